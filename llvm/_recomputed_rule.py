"""A `RecomputedRule` as Enzyme gets it: three shims, two of which have it derive the body."""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import njit
from numba.core import cgutils, types
from numba.extending import overload

from ._abi import I64, POINTER, TUPLE, leaves, pack
from ._effects import body_mixes_pointers
from ._lower import compile_raw, count_error, flat_function, link
from ._recursion import needs_all_shadows, with_shadows_of_constants
from ._rule_calls import SHADOWED, RuledCall, always_shadowed
from ._rule_shims import VOID, Passes, Shims


def recomputed_rule(call: RuledCall, passes: Passes) -> str:
    """The module that registers a `RecomputedRule`."""
    body = compile_raw(call.rule.function, call.argument_types, follow_rule=False)
    name = f"{call.symbol}_body"
    # Under a name that carries no rule, so that Enzyme looks into it.
    flat = flat_function(body, name, call.argument_types, keep_value=False)
    copy = in_one(link([body], [flat]), name)
    fixed = [leaf for k in call.rule.constants for leaf in leaves(call.argument_types[k])]
    available = not any(leaf.can_vary for leaf in fixed)
    mixes = body_mixes_pointers(copy, name)
    if mixes and needs_all_shadows(copy, call.rule.name, available=available):
        copy, mixes = with_shadows_of_constants(copy), False
    builder = _Builder(call, body.target_context, mixes)
    return registered(builder, copy, name, passes)


def registered(builder: Any, copy: str, name: str, passes: Passes) -> str:
    """The module of a rule that has Enzyme derive a function.

    Parameters
    ----------
    builder : object
        With the shims, what they call in `compiled`, and methods `gradient` and `forward`.
    copy : str
        The module that defines the function.
    name : str
        Of the function.
    passes : Passes
    """
    shims = builder.shims
    modules = []
    if passes.reverse:
        builder.gradient()
        shims.register_gradient()
        modules.append(copy)
    if passes.forward:
        builder.forward()
        shims.register_derivative()
        # Forwards, Enzyme does not find the rules of calls with constants among their arguments.
        tangent = always_shadowed(copy).replace(SHADOWED, shims.name("pointer"))
        modules.append(tangent.replace(f"@{name}(", f"@{shims.name('tangent')}("))
    return link(builder.compiled, [*modules, shims.module], keep=())


def in_one(text: str, name: str) -> str:
    """The module with all that `name` calls inlined, where it can be."""
    module = llvm.parse_assembly(text)
    for function in module.functions:
        if not function.is_declaration and function.name != name:
            function.linkage = "internal"
            if b"noinline" not in b" ".join(function.attributes):
                function.add_function_attribute("alwaysinline")
    return str(module)


class _Builder:
    """Writes the three shims of one rule at one tuple of argument types."""

    def __init__(self, call: RuledCall, context: Any, mixes_pointers: bool) -> None:
        self.mixes_pointers = mixes_pointers
        self.rule = call.rule
        self.context = context
        self.module = context.create_module(f"rule of {call.symbol}")
        self.shims = Shims(call, self.module)
        self.compiled: list[Any] = []
        self.arrays: list[tuple[int, types.Array, int]] = []  # argument, type, its first leaf
        for argument, ty in enumerate(call.argument_types):
            leaf = self.shims.first_leaf[argument]
            for item in _flat(ty):
                if isinstance(item, types.Array):
                    self.arrays.append((argument, item, leaf))
                leaf += len(leaves(item))

    def gradient(self) -> None:
        self.augmented()
        self.reverse()

    def augmented(self) -> None:
        """Run the function; remember nothing but what its inputs add up to."""
        builder, primal, _ = self.shims.start("augmented", POINTER)
        # Before the function: an output that is an input as well is then noticed.
        checksum = self._checksum(builder, primal)
        builder.call(self.shims.op, primal)
        builder.ret(builder.inttoptr(checksum, POINTER))

    def reverse(self) -> None:
        builder, primal, shadow = self.shims.start("reverse", VOID, tape=True)
        before = builder.ptrtoint(builder.function.args[-1], I64)
        changed = builder.icmp_unsigned("!=", before, self._checksum(builder, primal))
        count_error(self.module, builder, changed)
        for varies, _, _ in self._varying_constants(builder, primal, shadow):
            count_error(self.module, builder, varies)
        with builder.if_then(self._output_varies(builder, primal, shadow)):
            # Outputs hold what the caller has made of them since: the second run has its own.
            self._derive(builder, "autodiff", primal, shadow, own_outputs=True)
        builder.ret_void()

    def forward(self) -> None:
        builder, primal, shadow = self.shims.start("forward", VOID)
        # What the caller has allocated has tangents even where all of them are zero.
        for varies, ty, leaf in self._varying_constants(builder, primal, shadow):
            with builder.if_then(varies):
                moved = self._call(builder, _any_nonzero, ty, shadow[leaf], primal[leaf + 1 :])
                count_error(self.module, builder, moved)
        self._derive(builder, "fwddiff", primal, shadow, own_outputs=False)
        builder.ret_void()

    def _derive(
        self, builder: Any, mode: str, primal: list[Any], shadow: list[Any], *, own_outputs: bool
    ) -> None:
        """Have Enzyme derive the body; memory of our own takes the place of missing shadows.

        The derivative is then one for all choices of what varies. Enzyme could ask at run time,
        for each access, but code that asks is not vectorised.
        """
        values, shadow = list(primal), list(shadow)
        borrowed = []
        for argument, ty, leaf in self.arrays:
            if own_outputs and argument in self.rule.outputs:
                memory, start = self._zeros(builder, ty, primal[leaf:], I64(1))
                borrowed.append(memory)
                values[leaf] = start
            if argument not in self.rule.constants and self.shims.leaves[leaf].can_vary:
                constant = builder.icmp_unsigned("==", primal[leaf], shadow[leaf])
                count = builder.zext(constant, I64)
                memory, start = self._zeros(builder, ty, primal[leaf:], count)
                borrowed.append(memory)
                shadow[leaf] = builder.select(constant, start, shadow[leaf])
        body = self.shims.declare("body" if own_outputs else "tangent", self.shims.types)
        kind = ir.FunctionType(VOID, [], var_arg=True)
        enzyme = ir.Function(self.module, kind, f"__enzyme_{mode}_{self.shims.call.symbol}")
        dup, const = (self.shims.marker(builder, f"enzyme_{word}") for word in ("dup", "const"))
        arguments = [body]
        if self.mixes_pointers:
            arguments.append(self.shims.marker(builder, "enzyme_runtime_activity"))
        for argument in range(len(self.shims.call.argument_types)):
            first, end = self.shims.first_leaf[argument : argument + 2]
            for leaf in range(first, end):
                varies = self.shims.leaves[leaf].can_vary and argument not in self.rule.constants
                arguments += [dup, values[leaf], shadow[leaf]] if varies else [const, values[leaf]]
        builder.call(enzyme, arguments)
        free = cgutils.get_or_insert_function(self.module, ir.FunctionType(VOID, [POINTER]), "free")
        for memory in borrowed:
            builder.call(free, [memory])

    def _zeros(self, builder: Any, ty: types.Array, values: list[Any], count: Any) -> Any:
        return self.shims.zeros_like(builder, self.context, ty, values, count)[:2]

    def _varying_constants(self, builder: Any, primal: list[Any], shadow: list[Any]) -> list[Any]:
        """Of each constant array: whether it varies, its type and its first leaf."""
        return [
            (builder.icmp_unsigned("!=", primal[leaf], shadow[leaf]), ty, leaf)
            for argument, ty, leaf in self.arrays
            if argument in self.rule.constants and self.shims.leaves[leaf].can_vary
        ]

    def _output_varies(self, builder: Any, primal: list[Any], shadow: list[Any]) -> Any:
        varies: Any = ir.IntType(1)(0)
        for argument, _, leaf in self.arrays:
            if argument in self.rule.outputs and self.shims.leaves[leaf].can_vary:
                differs = builder.icmp_unsigned("!=", primal[leaf], shadow[leaf])
                varies = builder.or_(varies, differs)
        return varies

    def _checksum(self, builder: Any, primal: list[Any]) -> Any:
        """What all that must stay as it is adds up to."""
        total: Any = I64(0)
        for argument, ty, leaf in self.arrays:
            if argument not in (*self.rule.outputs, *self.rule.scratch):
                own = self._call(builder, _checksum, ty, primal[leaf], primal[leaf + 1 :])
                total = builder.add(builder.mul(total, I64(31)), own)
        return total

    def _call(
        self, builder: Any, function: Any, ty: types.Array, data: Any, sizes: list[Any]
    ) -> Any:
        """The value of one of the functions below for one array."""
        compiled = compile_raw(function, (ty,))
        if compiled not in self.compiled:
            self.compiled.append(compiled)
        _, value = self.context.call_conv.call_function(
            builder,
            self.context.declare_function(self.module, compiled.fndesc),
            compiled.signature.return_type,
            compiled.signature.args,
            [pack(self.context, builder, ty, iter([data, *sizes]))],
        )
        return value


def _flat(ty: Any) -> list[Any]:
    return [item for one in ty.types for item in _flat(one)] if isinstance(ty, TUPLE) else [ty]


@njit(error_model="numpy")
def _checksum(array: Any) -> Any:
    """The sum of all bits, each item with an odd factor of its own."""
    total = np.int64(0)
    factor = np.int64(1)
    for index in np.ndindex(array.shape):
        total += factor * _bits(array[index])
        factor += 2
    return total


def _bits(value) -> Any: ...


@overload(_bits, inline="always")
def _bits_of(value):
    if isinstance(value, types.Complex):
        return lambda value: _bits(value.real) + 3 * _bits(value.imag)
    if value == types.float64:
        return lambda value: np.float64(value).view(np.int64)
    if value == types.float32:
        return lambda value: np.int64(np.float32(value).view(np.int32))
    return lambda value: np.int64(value)


@njit(error_model="numpy")
def _any_nonzero(array: Any) -> Any:
    for index in np.ndindex(array.shape):
        if array[index] != 0:
            return True
    return False
