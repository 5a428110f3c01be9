"""Functions that call themselves, which cannot be inlined, and what Enzyme may be asked about them.

With runtime activity, Enzyme compares pointers of a primal and its shadow. To a function that is
not inlined it passes none for primals that it takes to be unneeded, and derivatives are lost
without a word: that of a determinant by minors was zero. Without it, no name may stand for an array
that varies or for one that does not. So all arrays vary there; those that nobody asked for too.
"""

from __future__ import annotations

import re

from ._errors import AutodiffError
from ._ir_text import functions
from ._lower import RECURSIVE

_POINTED_AT = re.compile(rf'^@"{re.escape(RECURSIVE)}([^"]+)" =', re.M)
_CONSTANT_ARRAY = "@.const.array."


def is_recursive(ir: str) -> bool:
    """Whether a function calls itself."""
    return bool(calling_themselves(ir))


def calling_themselves(ir: str) -> set[str]:
    """Functions that call themselves: by name, by way of others, or by Numba's pointer to them."""
    calls = {function.name: function.called for function in functions(ir)}
    # What is called by nothing that is left, or calls nothing, is on no way back to itself.
    while ends := [
        name
        for name, called in calls.items()
        if called.isdisjoint(calls) or all(name not in other for other in calls.values())
    ]:
        for name in ends:
            del calls[name]
    return {*calls, *_POINTED_AT.findall(ir)}


def needs_all_shadows(ir: str, name: str, *, available: bool = True) -> bool:
    """Whether what mixes pointers calls itself, so that Enzyme needs a shadow of each array.

    Parameters
    ----------
    ir : str
    name : str
        The function, for messages.
    available : bool
        Whether all arguments can have shadows.

    Raises
    ------
    AutodiffError
        One of the arrays has none, or may be a constant of the program, which cannot have one.
    """
    if not is_recursive(ir):
        return False
    if not available or _CONSTANT_ARRAY in ir:
        raise AutodiffError(
            f"`{name}` calls a function that calls itself, in which a name may stand for one array "
            f"or another: Enzyme needs a shadow of each. Got a constant one, global, of a closure "
            f"or of a rule, which has none. Pass it as an argument, or write the recursion as a "
            f"loop.",
            stage="differentiate",
            function=name,
        )
    return True
