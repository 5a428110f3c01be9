"""Functions that call themselves, which cannot be inlined, and what Enzyme may be asked about them.

With runtime activity, Enzyme compares pointers of a primal and its shadow. To a function that is
not inlined it passes none for primals that it takes to be unneeded, and derivatives are lost
without a word: that of a determinant by minors was zero. Without it, no name may stand for an array
that varies or for one that does not. So all arrays vary there; those that nobody asked for too.
"""

from __future__ import annotations

import re

from ._errors import AutodiffError
from ._ir_text import functions, next_node
from ._lower import RECURSIVE

_POINTED_AT = re.compile(rf'^@"{re.escape(RECURSIVE)}([^"]+)" =', re.M)
_CONSTANT_ARRAY = re.compile(
    r"^@(?P<name>(?:\.const\.array\.|const_array_)[\w.]+) = internal (?:externally_initialized )?"
    r"constant (?P<kind>\[\d+ x i8\]) (?P<value>.*)",
    re.M,
)


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
        One of the arrays has none.
    """
    if not is_recursive(ir):
        return False
    if not available:
        raise AutodiffError(
            f"`{name}` calls a function that calls itself, in which a name may stand for one array "
            f"or another: Enzyme needs a shadow of each. Got a constant one of a rule, which has "
            f"none. Do without the rule's `constants`, or write the recursion as a loop.",
            stage="differentiate",
            function=name,
        )
    return True


def with_shadows_of_constants(ir: str) -> str:
    """The module with a shadow of each constant array, global or of a closure.

    What reverse mode adds to it nobody reads, and forwards it stays zero. Its own shadow is for
    that of a gradient. LLVM must not see that the arrays are constant, or they vary no more.
    """
    free = next_node(ir)
    shadows: list[str] = []

    def with_shadows(found: re.Match[str]) -> str:
        node = free + len(shadows)
        shadow, further = own = [f"@{found['name']}.shadow{k}" for k in (1, 2)]
        shadows.extend(own)
        array = f"internal externally_initialized global {found['kind']}"
        return (
            f"@{found['name']} = {array} {found['value']}, !enzyme_shadow !{node}\n"
            f"{shadow} = {array} zeroinitializer, align 8, !enzyme_shadow !{node + 1}\n"
            f"{further} = {array} zeroinitializer, align 8"
        )

    text = _CONSTANT_ARRAY.sub(with_shadows, ir)
    if not shadows:
        return ir
    # LLVM does not count what metadata name.
    used = f"@llvm.compiler.used = appending global [{len(shadows)} x ptr] ["
    nodes = [f"!{free + k} = !{{ptr {shadow}}}" for k, shadow in enumerate(shadows)]
    listed = ", ".join(f"ptr {shadow}" for shadow in shadows)
    return "\n".join((text, f'{used}{listed}], section "llvm.metadata"', *nodes, ""))
