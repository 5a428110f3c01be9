"""Functions that return their argument, into which neither LLVM nor Enzyme looks.

What goes through one of them is not merged with other numbers, nor moved, nor computed again. When
Enzyme has run they are opened, and nothing of them is left.
"""

from __future__ import annotations

import re

FLOATS = ("double", "float")
NUMBERS = (*FLOATS, "i64", "i32", "i16", "i8", "i1")
KINDS = (*NUMBERS, "ptr")
"""The types of numbers and pointers."""

CHOSEN, KEPT, LEFT = "chosen", "kept", "left"
"""Results of choices; numbers that are overwritten; what the last turn of a loop leaves behind."""

# optnone, or LLVM finds that they return their argument; convergent, or it moves them out of loops.
_FUNCTION = """
define internal {kind} @{name}_{kind}({kind} %x) noinline optnone nounwind willreturn {effects} {{
  ret {kind} %x
}}
"""
_COMPUTED_AGAIN = 'memory(none) "enzyme_shouldrecompute"'
_STAYS = "convergent memory(none)"
# What writes nothing and has no derivative is computed again all the same.
_INTEGER_STAYS = 'convergent memory(inaccessiblemem: readwrite) "enzyme_inactive"'
_NAMES = f"(?P<name>{CHOSEN}|{KEPT}|{LEFT})_(?P<kind>{'|'.join(KINDS)})"
_CALLED = re.compile(rf"= call \w+ @{_NAMES}\(")
_DEFINED = re.compile(
    rf"^(define internal [^@\n]*@\w*{_NAMES}(?:\.\d+)?\((?:[^()]|\([^()]*\))*\))[^{{\n]*", re.M
)


def call(name: str, kind: str, result: str, argument: str) -> str:
    """A line that calls such a function."""
    return f"  {result} = call {kind} @{name}_{kind}({kind} {argument})"


def with_definitions(ir: str) -> str:
    """A module that calls some of them, with those that it lacks."""
    defined = {found.group("name", "kind") for found in _DEFINED.finditer(ir)}
    called = dict.fromkeys(found.group("name", "kind") for found in _CALLED.finditer(ir))
    return ir + "".join(
        _FUNCTION.format(name=name, kind=kind, effects=_effects(name, kind))
        for name, kind in called
        if (name, kind) not in defined
    )


def _effects(name: str, kind: str) -> str:
    if name == CHOSEN:
        return _COMPUTED_AGAIN
    return _STAYS if kind in (*FLOATS, "ptr") else _INTEGER_STAYS


def opened(ir: str) -> str:
    """What Enzyme has made of a module, for LLVM to look into them."""
    return _DEFINED.sub(r"\1 alwaysinline ", ir)
