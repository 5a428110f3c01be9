"""The reverse pass of a rule as forward mode finds it, which differentiates gradients once more.

What `reverse` does for a rule that keeps nothing is its *pullback*, a function of primals and
cotangents: ``pullback(x, dx, y, dy, n, dn)``. Forwards over reverse it is a call to Enzyme, and has
a derivative of its own, `pullback_forward`, in which each of these is followed by its tangent.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from ._abi import POINTER
from ._rule_calls import HIDDEN, SHADOWED
from ._rule_shims import VOID, Shims

PULLBACK = f"pullback{HIDDEN}"
"""The name to write the pullback under, with `Shims.start`.

Were its body in sight, LLVM would replace shadows that it does not use by ``poison``, and
`pullback_forward` would get that.
"""


def call_shadowed(shims: Shims, builder: Any, callee: Any, arguments: list[Any]) -> None:
    """A call of which forward mode finds the rule: see `always_shadowed`."""
    kind = ir.FunctionType(POINTER, [POINTER])
    shadowed = shims.module.globals.get(SHADOWED) or ir.Function(shims.module, kind, SHADOWED)
    found = [
        builder.call(shadowed, [value]) if isinstance(value.type, ir.PointerType) else value
        for value in arguments
    ]
    builder.call(callee, found)


def register_pullback(shims: Shims) -> None:
    """Make `reverse`, a call of the pullback, and give that the derivative `pullback_forward`."""
    pullback = pullback_of(shims)
    builder, primal, cotangent = shims.start("reverse", VOID, tape=True)
    call_shadowed(shims, builder, pullback, _in_turn(primal, cotangent))
    builder.ret_void()
    forward = shims.module.globals[shims.name("pullback_forward")]
    shims.register_one("derivative", pullback.name, [pullback, forward])


def linear_pullback_forward(shims: Shims, scratch: tuple[int, ...]) -> None:
    """Make `pullback_forward` of a pullback that is linear in the shadows, and in nothing else.

    It is two runs of the pullback: on the cotangents, and on the tangents of the cotangents.

    Parameters
    ----------
    shims : Shims
    scratch : tuple of int
        Arguments whose shadows are work space of the pullback.
    """
    pullback = pullback_of(shims)
    builder, primal, _, cotangent, second = start_pullback_forward(shims)
    builder.call(pullback, _in_turn(primal, cotangent))
    chosen = list(primal)
    for argument in range(len(shims.call.argument_types)):
        for leaf in range(*shims.first_leaf[argument : argument + 2]):
            if not shims.leaves[leaf].can_vary:
                continue
            # What does not vary has itself as shadow: the primal as cotangent, the cotangent as
            # the cotangent's tangent. The pullback knows it by the former, and as work space
            # either serves.
            constant = builder.icmp_unsigned("==", primal[leaf], cotangent[leaf])
            if argument not in scratch:
                same = builder.icmp_unsigned("==", cotangent[leaf], second[leaf])
                constant = builder.or_(constant, same)
            chosen[leaf] = builder.select(constant, primal[leaf], second[leaf])
    builder.call(pullback, _in_turn(primal, chosen))
    builder.ret_void()


def start_pullback_forward(shims: Shims) -> tuple[Any, ...]:
    """Begin `pullback_forward`: builder, primals, tangents, cotangents and tangents of these."""
    function_type = ir.FunctionType(VOID, [ty for ty in shims.types for _ in range(4)])
    function = ir.Function(shims.module, function_type, shims.name("pullback_forward"))
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    return builder, *(list(function.args[k::4]) for k in range(4))


def pullback_of(shims: Shims) -> Any:
    """The pullback as it is called."""
    pullback = shims.declare("pullback", [ty for ty in shims.types for _ in range(2)])
    pullback.attributes.add("nounwind")
    return pullback


def _in_turn(primal: list[Any], shadow: list[Any]) -> list[Any]:
    return [value for pair in zip(primal, shadow, strict=True) for value in pair]
