"""A `CustomRule` as Enzyme gets it: its Numba functions behind three shims."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types

from ._abi import POINTER
from ._errors import AutodiffError
from ._lower import compile_raw, link
from ._rule_calls import RuledCall, always_shadowed
from ._rule_shims import VOID, Shims, types_with_shadows


def custom_rule(call: RuledCall, twice: bool = False) -> str:
    """The module that registers a `CustomRule`; `twice` as for `prepare`."""
    rule = call.rule
    shadowed = types_with_shadows(call.argument_types)
    augmented = compile_raw(rule.augmented_primal, shadowed)
    context = augmented.target_context
    module = context.create_module(f"rule of {call.symbol}")
    shim = Shims(call, module)
    tape_type = _tape_type(rule, augmented.signature.return_type)
    builder, primal, shadow = shim.start("augmented", POINTER)
    if twice:
        shim.state_types(builder, primal, shadow)
    tape, failed = shim.call_numba(builder, augmented, primal, shadow)
    if tape_type is not None:
        builder.ret(shim.keep_tape(builder, context, tape_type, tape, failed))
    else:
        builder.ret(ir.Constant(POINTER, None))

    keeps = tape_type is not None
    reverse = compile_raw(rule.reverse, (*shadowed, tape_type) if keeps else shadowed)
    builder, primal, shadow = shim.start("reverse", VOID, tape=True)
    if twice:
        shim.state_types(builder, primal, shadow)
    if keeps:
        record = builder.function.args[-1]
        # There is none where `augmented_primal` has raised: the result is discarded.
        with builder.if_then(builder.icmp_unsigned("!=", record, ir.Constant(POINTER, None))):
            array, memory = shim.restore_tape(builder, context, tape_type, record)
            shim.call_numba(builder, reverse, primal, shadow, [array])
            free = ir.Function(module, ir.FunctionType(VOID, [POINTER]), "free")
            builder.call(free, [memory])
            builder.call(free, [record])
    else:
        shim.call_numba(builder, reverse, primal, shadow)
    builder.ret_void()

    compiled = [augmented, reverse]
    if rule.forward is not None:
        forward = compile_raw(rule.forward, shadowed)
        builder, primal, shadow = shim.start("forward", VOID)
        shim.call_numba(builder, forward, primal, shadow)
        builder.ret_void()
        compiled.append(forward)
    shim.register(forward=rule.forward is not None)
    text = link(compiled, [module])
    # Differentiated once more, the calls in it are calls of their rules' own `forward`.
    return always_shadowed(text) if twice else text


def _tape_type(rule: Any, returned: types.Type) -> types.Array | None:
    """The type of what `augmented_primal` returns for `reverse`, if anything."""
    if isinstance(returned, types.Array) and returned.ndim == 1 and returned.layout == "C":
        return returned
    if returned == types.none:
        return None
    raise AutodiffError(
        f"`augmented_primal` of `{rule.name}` must return a contiguous one-dimensional array for "
        f"`reverse`, or nothing. Got a `{returned}`. Put all that is to be kept into one array.",
        stage="prepare",
        function=rule.name,
    )
