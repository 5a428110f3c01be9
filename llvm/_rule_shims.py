"""The LLVM functions that Enzyme calls for a rule: ``augmented``, ``reverse`` and ``forward``.

Enzyme passes every flat parameter followed by its shadow, integers too. The shadow of a pointer
that does not vary is that pointer itself: a shim that wrote there would destroy the primal's data.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types

from ._abi import I64, POINTER, Leaf, leaves, pack
from ._lower import count_error
from ._memory_types import state_memory_types
from ._rule_calls import RuledCall

VOID = ir.VoidType()
I32 = ir.IntType(32)


@dataclass(frozen=True)
class Passes:
    """For which of its passes Enzyme may ask a rule.

    Attributes
    ----------
    forward, reverse : bool
        What nobody asks for is neither compiled nor derived.
    twice : bool
        Whether what Enzyme makes of them will be differentiated once more, forwards.
    whole : bool
        Whether rules that are compiled separately are to be there as others are.
    """

    forward: bool
    reverse: bool
    twice: bool = False
    whole: bool = False

    def apart(self, rule: Any) -> bool:
        """Whether a rule's functions are compiled separately."""
        # Derived once more, they must be there for Enzyme to look into.
        return rule.separate and not (self.twice or self.whole)


SHIMS = {"gradient": ("augmented", "reverse"), "derivative": ("forward",)}
"""The shims for each kind of registration."""


def has_shadow(ty: types.Type) -> bool:
    """Whether an argument of this type is followed by its shadow in a rule's functions."""
    return any(leaf.can_vary for leaf in leaves(ty))


def types_with_shadows(argument_types: tuple[types.Type, ...]) -> tuple[types.Type, ...]:
    """The argument types of a rule's own functions: each array is followed by its shadow."""
    return tuple(t for ty in argument_types for t in ((ty, ty) if has_shadow(ty) else (ty,)))


class Shims:
    """Builds the functions of one rule at one tuple of argument types, in one module."""

    def __init__(self, call: RuledCall, module: Any) -> None:
        self.call = call
        self.module = module
        per_argument = [leaves(ty) for ty in call.argument_types]
        self.leaves: list[Leaf] = [leaf for group in per_argument for leaf in group]
        self.types = [leaf.llvm_type for leaf in self.leaves]
        self.first_leaf = [0]
        for group in per_argument:
            self.first_leaf.append(self.first_leaf[-1] + len(group))
        function_type = ir.FunctionType(VOID, self.types)
        self.op = ir.Function(module, function_type, call.op)
        # What the rule is registered for. Where the forward pass is left out it has its own name.
        skip = call.symbol != call.op
        self.registered = ir.Function(module, function_type, call.symbol) if skip else self.op

    def name(self, part: str) -> str:
        return f"{self.call.symbol}_{part}"

    def start(self, part: str, returned: ir.Type, *, tape: bool = False) -> tuple[Any, list, list]:
        """Begin a shim: its builder, the primal leaves and the shadow leaves."""
        function = self.declare_shim(part, returned, tape=tape)
        builder = ir.IRBuilder(function.append_basic_block("entry"))
        count = 2 * len(self.types)
        return builder, list(function.args[:count:2]), list(function.args[1:count:2])

    def declare_shim(self, part: str, returned: ir.Type, *, tape: bool = False) -> Any:
        """A function of all leaves and their shadows, and of what the forward pass kept."""
        paired = [ty for ty in self.types for _ in range(2)]
        function_type = ir.FunctionType(returned, paired + [POINTER] * tape)
        return ir.Function(self.module, function_type, self.name(part))

    def declare_all(self) -> None:
        """All shims, defined elsewhere."""
        self.declare_shim("augmented", POINTER)
        self.declare_shim("reverse", VOID, tape=True)
        self.declare_shim("forward", VOID)

    def state_types(self, builder: Any, primal: list[Any], shadow: list[Any]) -> None:
        """For a shim that Enzyme will differentiate: see `state_memory_types`."""
        for values in (primal, shadow):
            state_memory_types(self.module, builder, self.leaves, values)

    def declare(self, part: str, parameter_types: list[ir.Type]) -> Any:
        name = self.name(part)
        known = self.module.globals.get(name)
        return known or ir.Function(self.module, ir.FunctionType(VOID, parameter_types), name)

    def declare_clear(self) -> Any:
        output = self.call.rule.output
        return self.declare(
            "clear", self.types[self.first_leaf[output] : self.first_leaf[output + 1]]
        )

    def call_enzyme(
        self, builder: Any, primal: list[Any], shadow: list[Any], mixes_pointers: bool = False
    ) -> None:
        """Reverse of the function itself: its output's value is not needed."""
        body = self.declare("body", self.types)
        enzyme_type = ir.FunctionType(VOID, [], var_arg=True)
        enzyme = ir.Function(self.module, enzyme_type, f"__enzyme_autodiff_{self.call.symbol}")
        names = ["enzyme_dup", "enzyme_dupnoneed", "enzyme_const"]
        names += ["enzyme_runtime_activity"] * mixes_pointers
        markers = {name: self.marker(builder, name) for name in names}
        rule = self.call.rule
        activity = {rule.output: "enzyme_dupnoneed", rule.input: "enzyme_dup"}
        activity |= dict.fromkeys(rule.scratch, "enzyme_dupnoneed")
        arguments = [body]
        if mixes_pointers:
            arguments.append(markers["enzyme_runtime_activity"])
        for argument in range(len(self.call.argument_types)):
            marker = activity.get(argument, "enzyme_const")
            for leaf in range(self.first_leaf[argument], self.first_leaf[argument + 1]):
                if marker != "enzyme_const" and self.leaves[leaf].can_vary:
                    arguments += [markers[marker], primal[leaf], shadow[leaf]]
                else:
                    arguments += [markers["enzyme_const"], primal[leaf]]
        builder.call(enzyme, arguments)

    def call_numba(
        self,
        builder: Any,
        compiled: Any,
        primal: list,
        shadow: list,
        extra: list[Any] | None = None,
    ) -> tuple[Any, Any]:
        """Call one of the rule's Numba functions with the arguments with shadows.

        Returns its value, and whether it has raised.
        """
        context = compiled.target_context
        values = []
        for argument, ty in enumerate(self.call.argument_types):
            chosen = slice(self.first_leaf[argument], self.first_leaf[argument + 1])
            values.append(pack(context, builder, ty, iter(primal[chosen])))
            if has_shadow(ty):
                values.append(pack(context, builder, ty, self._shadow(chosen, primal, shadow)))
        callee = context.declare_function(self.module, compiled.fndesc)
        status, value = context.call_conv.call_function(
            builder,
            callee,
            compiled.signature.return_type,
            compiled.signature.args,
            values + (extra or []),
        )
        count_error(self.module, builder, status.is_error)
        return value, status.is_error

    def _shadow(self, chosen: slice, primal: list[Any], shadow: list[Any]) -> Iterator[Any]:
        """Pointers of the shadow, sizes of the primal: shadows of integers are undefined."""
        for leaf, p, s in zip(self.leaves[chosen], primal[chosen], shadow[chosen], strict=True):
            yield s if leaf.can_vary else p

    def zeros_like(
        self, builder: Any, context: Any, ty: Any, values: list[Any], count: Any
    ) -> tuple[Any, Any, Any]:
        """Blocks of zeros, each laid out like an array, or a number, and of whole cache lines.

        Parameters
        ----------
        ty : numba type
        values : list of LLVM values
            The leaves of the array, and whatever follows.
        count : LLVM i64
            How many; may be zero.

        Returns
        -------
        memory, start, size
            What is to be freed, where the first item of the first block is, and bytes to the next.
        """
        below = self.bytes_below(builder, ty, values)
        size: Any = I64(context.get_abi_sizeof(context.get_data_type(getattr(ty, "dtype", ty))))
        if getattr(ty, "layout", "C") in "CF":
            for length in values[1 : 1 + getattr(ty, "ndim", 0)]:
                size = builder.mul(size, length)
        else:
            for reach in _reaches(builder, ty, values):
                size = builder.add(size, _largest(builder, reach, builder.neg(reach)))
        size = builder.and_(builder.add(size, I64(63)), I64(-64))
        kind = ir.FunctionType(POINTER, [I64, I64])
        calloc = cgutils.get_or_insert_function(self.module, kind, "calloc")
        memory = builder.call(calloc, [count, size])
        start = builder.gep(memory, [below], source_etype=ir.IntType(8))
        return memory, start, size

    def bytes_below(self, builder: Any, ty: Any, values: list[Any]) -> Any:
        """How far the items of an array reach below its first one."""
        below: Any = I64(0)
        if getattr(ty, "layout", "C") not in "CF":
            for reach in _reaches(builder, ty, values):
                below = builder.add(below, _largest(builder, builder.neg(reach), I64(0)))
        return below

    def keep_tape(
        self, builder: Any, context: Any, ty: types.Array, array: Any, failed: Any
    ) -> Any:
        """Put an array's memory, start and length where the reverse shim finds them."""
        result = builder.alloca(POINTER)
        builder.store(ir.Constant(POINTER, None), result)
        with builder.if_then(builder.not_(failed)):
            view = context.make_array(ty)(context, builder, array)
            memory = builder.alloca(POINTER)
            start = builder.alloca(POINTER)
            builder.store(builder.bitcast(view.meminfo, POINTER), memory)
            builder.store(builder.bitcast(view.data, POINTER), start)
            malloc = ir.Function(self.module, ir.FunctionType(POINTER, [I64]), "malloc")
            # Arguments have no memory of their own: what is a view of one is copied, for it may be
            # overwritten before `reverse` runs, and must not be freed.
            borrowed = builder.icmp_unsigned("==", builder.load(memory), ir.Constant(POINTER, None))
            with builder.if_then(borrowed):
                size = builder.mul(view.nitems, view.itemsize)
                copy = builder.call(malloc, [size])
                cgutils.raw_memcpy(builder, copy, builder.load(start), size, 1)
                builder.store(copy, memory)
                builder.store(copy, start)
            record = builder.call(malloc, [I64(24)])
            slots = self._record_slots(builder, record)
            for slot, kept in zip(
                slots, (builder.load(memory), builder.load(start), view.nitems), strict=True
            ):
                builder.store(kept, slot)
            builder.store(record, result)
        return builder.load(result)

    def restore_tape(
        self, builder: Any, context: Any, ty: types.Array, record: Any
    ) -> tuple[Any, Any]:
        """The array, and the memory to be freed."""
        memory, start, length = map(builder.load, self._record_slots(builder, record))
        return pack(context, builder, ty, iter([start, length])), memory

    def _record_slots(self, builder: Any, record: Any) -> list[Any]:
        """Where memory, start and length stand. Pointers as such, or they would lose shadows."""
        kind = ir.LiteralStructType([POINTER, POINTER, I64])
        struct = builder.bitcast(record, kind.as_pointer())
        return [builder.gep(struct, [I32(0), I32(k)]) for k in range(3)]

    def marker(self, builder: Any, name: str) -> Any:
        """One of Enzyme's words for what an argument is, as a value."""
        known = self.module.globals.get(name)
        return builder.load(known or ir.GlobalVariable(self.module, I32, name))

    def register_gradient(self) -> None:
        """Tell Enzyme which functions are reverse mode of the opaque one."""
        parts = [self.module.globals[self.name(part)] for part in ("augmented", "reverse")]
        self.register_one("gradient", self.call.symbol, [self.registered, *parts])

    def register_derivative(self) -> None:
        """Tell Enzyme which function is forward mode of the opaque one."""
        forward = self.module.globals[self.name("forward")]
        self.register_one("derivative", self.call.symbol, [self.registered, forward])

    def register_one(self, kind: str, symbol: str, functions: list[Any]) -> None:
        """Tell Enzyme which functions are the "gradient" or the "derivative" of the first."""
        array_type = ir.ArrayType(POINTER, len(functions))
        name = f"__enzyme_register_{kind}_{symbol}"
        variable = ir.GlobalVariable(self.module, array_type, name)
        variable.initializer = ir.Constant(  # pyright: ignore[reportAttributeAccessIssue]
            array_type, [f.bitcast(POINTER) for f in functions]
        )


def _reaches(builder: Any, ty: Any, values: list[Any]) -> Iterator[Any]:
    """Of each axis the bytes from the first item to the last, which may be negative."""
    shape, strides = values[1 : 1 + ty.ndim], values[1 + ty.ndim : 1 + 2 * ty.ndim]
    for length, stride in zip(shape, strides, strict=True):
        yield builder.mul(builder.sub(length, I64(1)), stride)


def _largest(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(builder.icmp_signed(">", a, b), a, b)
