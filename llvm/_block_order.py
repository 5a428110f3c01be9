"""Loops that run later, put in front of those that run before them: a way around a fault of Enzyme.

Two loops that read the same places of an array, which is then overwritten: Enzyme keeps what the
first read, takes it for what the second read too, and then looks it up by the first loop's counter,
wherever that stands when the second is gone through backwards. Complex numbers, columns and single
fields show it; for reals that lie side by side another way is taken. Nothing is said, and the
gradient is wrong. It happens only if Enzyme meets the earlier loop first, and it goes through the
blocks of a function as they stand in the text, where their order means nothing to LLVM.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from ._ir_text import Function, leads_to, walk, with_functions

_NUMBER = re.compile(r"%(\d+)\b")
_NUMBERED_LABEL = re.compile(r"^(\d+):", re.M)
# In this guise Enzyme passes over what it is to do.
_TO_DO, _LATER = "__enzyme_", "__later_"
_TYPE_STATED = re.compile(
    rf"^(declare void @{_LATER}(?:double|float|integer)\(ptr)(, i64\)).*$", re.M
)
_HARMLESS = (
    r"\1 captures(none)\2 nofree nosync nounwind willreturn memory(inaccessiblemem: readwrite)"
)
_TRIGGER = re.compile(r"^declare [^\n]*@__enzyme_autodiff_trigger\(.*\n", re.M)


def needs_order(ir: str) -> bool:
    """Whether something in the module is to be differentiated backwards."""
    return f"@{_TO_DO}autodiff_" in ir


def optimised(ir: str, optimise: Callable[[str], str]) -> str:
    """The module, optimised as it is before Enzyme sees it.

    Inlining and unrolling set blocks in the order in which they run: they must be over before that
    is changed.

    Parameters
    ----------
    ir : str
    optimise : callable
        What Enzyme's program makes of a module without anything to differentiate.
    """
    hidden = _TYPE_STATED.sub(_HARMLESS, ir.replace(_TO_DO, _LATER))
    return _TRIGGER.sub("", optimise(hidden)).replace(_LATER, _TO_DO)


def reordered(ir: str) -> str:
    """The module with the blocks of each function, but for the first, behind all they lead to.

    Those that lead back are the exception: a loop's blocks stay in front of what leads to the loop.
    """
    return with_functions(ir, _reordered)


def _reordered(function: Function) -> str:
    blocks = function.blocks
    ended, _ = walk({name: leads_to(part) for name, part in blocks.items()})
    order = dict.fromkeys((next(iter(blocks)), *ended, *blocks))
    # Numbers must ascend in the text, names need not; nothing else's begins with a hyphen.
    body = "\n".join(_NUMBERED_LABEL.sub(r"-\1:", blocks[name]) for name in order)
    return _NUMBER.sub(r"%-\1", f"{function.head}{body}}}")
