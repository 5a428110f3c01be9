"""A `CustomRule` as Enzyme gets it: its Numba functions behind three shims."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types

from ._abi import POINTER
from ._errors import AutodiffError
from ._lower import compile_raw, link, private
from ._rule_calls import RuledCall, always_shadowed
from ._rule_shims import SHIMS, VOID, Passes, Shims, types_with_shadows
from ._target import EnzymeDispatcher


def custom_rule(call: RuledCall, passes: Passes) -> tuple[str, str]:
    """The module that registers a `CustomRule`, and one with what of it Enzyme need not see."""
    builder = _Builder(call, passes.twice)
    # Without a `forward` Enzyme is to say so, for which it must know the function.
    gradient = passes.reverse or call.rule.forward is None
    derivative = passes.forward and call.rule.forward is not None
    if passes.apart(call.rule):
        builder.shims.declare_all()
    else:
        if gradient:
            builder.gradient()
        if derivative:
            builder.derivative()
    if gradient:
        builder.shims.register_gradient()
    if derivative:
        builder.shims.register_derivative()
    if passes.twice:
        # Differentiated once more, the calls in it are calls of their rules' own `forward`.
        text = link(builder.compiled, [builder.module])
        return private(always_shadowed(text), keep=()), ""
    seen = link([], [builder.module], keep=())
    if not builder.compiled:
        return seen, ""
    names = [part.fndesc.llvm_func_name for part in builder.compiled]
    return seen, link(builder.compiled, [], keep=names)


def custom_shims(call: RuledCall, part: str) -> str:
    """A module that defines the shims of a separate rule: those of its "gradient" or "derivative".

    Raises
    ------
    AutodiffError
        Numba cannot compile them.
    """
    builder = _Builder(call, twice=False)
    if part == "gradient":
        builder.gradient()
    else:
        builder.derivative()
    names = [builder.shims.name(shim) for shim in SHIMS[part]]
    return link(builder.compiled, [builder.module], keep=names)


class _Builder:
    """Writes the shims of one rule at one tuple of argument types."""

    def __init__(self, call: RuledCall, twice: bool) -> None:
        self.rule, self.twice = call.rule, twice
        self.shadowed = types_with_shadows(call.argument_types)
        context = EnzymeDispatcher.targetdescr.target_context
        self.module = context.create_module(f"rule of {call.symbol}")
        self.shims = Shims(call, self.module)
        self.compiled: list[Any] = []

    def gradient(self) -> None:
        """The two shims of reverse mode."""
        augmented = self._compile(self.rule.augmented_primal, self.shadowed)
        context = augmented.target_context
        tape_type = _tape_type(self.rule, augmented.signature.return_type)
        builder, primal, shadow = self._start("augmented", POINTER)
        tape, failed = self.shims.call_numba(builder, augmented, primal, shadow)
        if tape_type is not None:
            builder.ret(self.shims.keep_tape(builder, context, tape_type, tape, failed))
        else:
            builder.ret(ir.Constant(POINTER, None))

        more = () if tape_type is None else (tape_type,)
        reverse = self._compile(self.rule.reverse, (*self.shadowed, *more))
        builder, primal, shadow = self._start("reverse", VOID, tape=True)
        if tape_type is not None:
            record = builder.function.args[-1]
            # There is none where `augmented_primal` has raised: the result is discarded.
            with builder.if_then(builder.icmp_unsigned("!=", record, ir.Constant(POINTER, None))):
                array, memory = self.shims.restore_tape(builder, context, tape_type, record)
                self.shims.call_numba(builder, reverse, primal, shadow, [array])
                kind = ir.FunctionType(VOID, [POINTER])
                free = cgutils.get_or_insert_function(self.module, kind, "free")
                builder.call(free, [memory])
                builder.call(free, [record])
        else:
            self.shims.call_numba(builder, reverse, primal, shadow)
        builder.ret_void()

    def derivative(self) -> None:
        """The shim of forward mode."""
        forward = self._compile(self.rule.forward, self.shadowed)
        builder, primal, shadow = self.shims.start("forward", VOID)
        self.shims.call_numba(builder, forward, primal, shadow)
        builder.ret_void()

    def _compile(self, function: Any, argument_types: tuple[types.Type, ...]) -> Any:
        self.compiled.append(compile_raw(function, argument_types))
        return self.compiled[-1]

    def _start(
        self, part: str, returned: ir.Type, *, tape: bool = False
    ) -> tuple[Any, list[Any], list[Any]]:
        builder, primal, shadow = self.shims.start(part, returned, tape=tape)
        if self.twice:
            self.shims.state_types(builder, primal, shadow)
        return builder, primal, shadow


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
