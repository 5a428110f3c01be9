"""What the last turns of nested loops leave behind, kept: a way around a fault of Enzyme.

A number that a loop hands from one turn to the next, ``y = t; t = cos(b[j])``, and that is used
behind that loop and the one around it: Enzyme computes it again from what it has kept of the turn
before the last one, and looks that up as if the outer loop were in its first turn. The gradient is
wrong, and nothing is said; where the inner loop may end early, it looks up something that nothing
has set.

So it is with arrays, ``p, q = q * x[j], p``: the derivative went to another one's shadow.

So what an inner loop leaves behind goes through a function that Enzyme does not compute again, in
the loop that makes it. It must stay there: LLVM moves what is used outside alone, but not what is
convergent.
"""

from __future__ import annotations

import re
from collections import defaultdict

from ._ir_text import LOCAL, Function, Loop, label_of, leads_to, loops, with_functions
from ._uses import Uses

LEFT = "left"
FLOATS = ("double", "float")
VARYING = (*FLOATS, "ptr")
KINDS = (*VARYING, "i64", "i32", "i16", "i8", "i1")
_KIND = f"({'|'.join(KINDS)})"
_MADE = re.compile(rf"^  ({LOCAL}) = (.*)")
_PHI = re.compile(rf"^  {LOCAL} = phi ")
# The type of what is made: of a conversion, a comparison, a choice, and of all else.
_TYPES = (
    re.compile(rf".* to {_KIND}$"),
    re.compile(rf"select .*?\bi1 [^,]+, {_KIND} "),
    re.compile(rf"(?:tail )?[a-z]+ (?:[a-z]\w*(?:\([^)]*\))? )*?{_KIND}\b"),
)
_PLACE = re.compile("getelementptr ")
_COMPARED = re.compile("[if]cmp ")
_OF_NUMBERS = "memory(none)"
# Enzyme computes again what writes nothing and has no derivative.
_OF_INTEGERS = 'memory(inaccessiblemem: readwrite) "enzyme_inactive"'
_FIXED = """
define internal {0} @{1}_{0}({0} %x) noinline optnone convergent nounwind willreturn {2} {{
  ret {0} %x
}}
"""


def with_last_turns_kept(ir: str) -> str:
    """The module with every such number behind a call.

    Parameters
    ----------
    ir : str
        As Enzyme gets it: optimised, and all in one function.
    """
    kept = with_functions(ir, _kept)
    kinds = [kind for kind in KINDS if f"@{LEFT}_{kind}(" in kept]
    return kept + "".join(
        _FIXED.format(kind, LEFT, _OF_NUMBERS if kind in VARYING else _OF_INTEGERS)
        for kind in kinds
    )


def _kept(function: Function) -> str:
    blocks = function.blocks
    inner = _inner_loops({name: leads_to(text) for name, text in blocks.items()})
    if not inner:
        return function.text
    uses = Uses(function.text)
    used_in: defaultdict[str, set[str]] = defaultdict(set)
    for block, text in blocks.items():
        for name in uses.names(text):
            used_in[name].add(block)
    calls: defaultdict[str, list[str]] = defaultdict(list)
    outside: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for block, loop in inner.items():
        for line in blocks[block].splitlines():
            made = _MADE.match(line)
            if made is None or not (kind := _kind(made[2])):
                continue
            name, behind = made[1], used_in[made[1]] - loop.blocks
            if behind and (kind not in FLOATS or uses.is_needed(name)):
                left = f'%"{LEFT} {name[1:].strip(chr(34))}"'
                calls[name].append(f"  {left} = call {kind} @{LEFT}_{kind}({kind} {name})")
                for other in behind:
                    outside[other][name] = left
    changed = [
        _with_calls(uses.renamed(text, outside[block]), calls) for block, text in blocks.items()
    ]
    return f"{function.head}{''.join(changed)}}}"


def _inner_loops(successors: dict[str, list[str]]) -> dict[str, Loop]:
    """The innermost loop of each block that is in one within another."""
    found: dict[str, Loop] = {}
    nested = set[str]()
    for loop in sorted(loops(successors), key=lambda loop: -len(loop.blocks)):
        nested |= loop.blocks & found.keys()
        found.update(dict.fromkeys(loop.blocks, loop))
    return {block: loop for block, loop in found.items() if block in nested}


def _kind(operation: str) -> str:
    """The type of a number or a pointer that is made; nothing for structures and the like."""
    operation = re.sub(r", (?:align|!).*", "", operation)
    if _PLACE.match(operation):
        return "ptr"
    if _COMPARED.match(operation):
        return "i1"
    return next((found[1] for pattern in _TYPES if (found := pattern.match(operation))), "")


def _with_calls(text: str, calls: dict[str, list[str]]) -> str:
    """A block with the calls behind what they take, and behind all that is chosen on entry."""
    lines, waiting = list[str](), list[str]()
    for line in text.splitlines():
        if not _PHI.match(line) and not label_of(line):
            lines += waiting
            waiting = []
        lines.append(line)
        if made := _MADE.match(line):
            waiting += calls.get(made[1], [])
    return "\n".join([*lines, *waiting, ""])
