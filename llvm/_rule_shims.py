"""The LLVM functions that Enzyme calls for a rule: ``augmented``, ``reverse`` and ``forward``.

Enzyme passes every flat parameter followed by its shadow, integers too. The shadow of a pointer
that does not vary is that pointer itself: a shim that wrote there would destroy the primal's data.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import njit
from numba.core import cgutils, types

from enzyme_rules import LinearRule

from ._abi import I64, POINTER, Leaf, leaves, pack
from ._effects import body_mixes_pointers
from ._errors import AutodiffError
from ._lower import compile_raw, count_error, flat_function, link
from ._rule_calls import (
    TRANSPOSE,
    RuledCall,
    find_call,
    opaque_calls,
    transposed,
    without_primal,
)

VOID = ir.VoidType()
I32 = ir.IntType(32)


@njit(error_model="numpy")
def _clear(array: Any) -> None:
    array[...] = 0


def has_shadow(ty: types.Type) -> bool:
    """Whether an argument of this type is followed by its shadow in a rule's functions."""
    return any(leaf.can_vary for leaf in leaves(ty))


def types_with_shadows(argument_types: tuple[types.Type, ...]) -> tuple[types.Type, ...]:
    """The argument types of a rule's own functions: each array is followed by its shadow."""
    return tuple(t for ty in argument_types for t in ((ty, ty) if has_shadow(ty) else (ty,)))


def linear_rule(call: RuledCall) -> str:
    """The module that registers a `LinearRule`."""
    rule, argument_types = call.rule, call.argument_types
    compiled, modules, derived = [], [], []
    mixes = False
    clear = f"{call.symbol}_clear"
    output_type = (argument_types[rule.output],)
    compiled.append(compile_raw(_clear, output_type))
    modules.append(flat_function(compiled[-1], clear, output_type, keep_value=False))
    adjoint = f"{call.symbol}_adjoint"
    if rule.adjoint is not None:
        compiled.append(compile_raw(rule.adjoint, argument_types))
        modules.append(flat_function(compiled[-1], adjoint, argument_types, keep_value=False))
    elif rule.terms is not None:
        derived.append(_transposed_terms(call, adjoint))
    else:
        copy, mixes = _derivable_copy(call)
        derived.append(copy)
    modules.append(_linear_module(call, compiled[0].target_context, mixes))
    return link(compiled, [*derived, *modules])


def _derivable_copy(call: RuledCall) -> tuple[str, bool]:
    """The function again, for Enzyme to differentiate, under a name that carries no rule.

    No value inside it is needed, so the functions with rules that it calls need not be run
    forwards. The second result says whether it mixes pointers.
    """
    body = compile_raw(call.rule.function, call.argument_types, follow_rule=False)
    name = f"{call.symbol}_body"
    copy = flat_function(body, name, call.argument_types, keep_value=False)
    text = without_primal(link([body], [copy]))
    return text, body_mixes_pointers(text, name)


def _transposed_terms(call: RuledCall, name: str) -> str:
    """A module that defines `name` as the rule's terms, each transposed."""
    compiled = compile_raw(call.rule.terms, call.argument_types)
    flat = flat_function(
        compiled, name, call.argument_types, keep_value=False, seen_by_enzyme=False
    )
    text = link([compiled], [flat])
    parts = []
    for symbol in sorted(opaque_calls(text)):
        term = find_call(symbol)
        if not (isinstance(term.rule, LinearRule) and term.rule.accumulates):
            raise AutodiffError(
                f"`terms` of `{call.rule.name}` may call functions with a LinearRule that "
                f"accumulates. Got `{term.rule.name}`.",
                stage="prepare",
                function=call.rule.name,
            )
        module = compiled.target_context.create_module(f"transpose of {symbol}")
        shims = _Shims(term, module)
        function_type = ir.FunctionType(VOID, shims.types)
        function = ir.Function(module, function_type, f"{symbol}{TRANSPOSE}")
        for argument in function.args:
            if isinstance(argument.type, ir.PointerType):
                argument.add_attribute("noalias")
        builder = ir.IRBuilder(function.append_basic_block("entry"))
        # There are no primals: neither is read or written by the derivative of a linear function.
        shims.call_enzyme(builder, list(function.args), list(function.args))
        builder.ret_void()
        copy, mixes = _derivable_copy(term)
        if mixes:
            raise AutodiffError(
                f"`{term.rule.name}`, a term of `{call.rule.name}`, must not choose between "
                f"arrays: a name in it may stand for one or another. Choose between numbers.",
                stage="prepare",
                function=term.rule.name,
            )
        parts += [copy, str(module)]
    linked = llvm.parse_assembly(transposed(text))
    for part in parts:
        linked.link_in(llvm.parse_assembly(part))
    # Kept out of line: its parameters tell LLVM that nothing overlaps, and what the terms carry
    # along then stays in registers.
    linked.get_function(name).add_function_attribute("noinline")
    return str(linked)


def _linear_module(call: RuledCall, context: Any, mixes_pointers: bool) -> Any:
    rule = call.rule
    module = context.create_module(f"rule of {call.symbol}")
    shim = _Shims(call, module)
    position = shim.first_leaf
    y, x = position[rule.output], position[rule.input]
    # Every array that is neither output nor input nor scratch must be constant, or its part of the
    # derivative would be missing without a word.
    written = {rule.output, rule.input, *rule.scratch, *rule.state}
    constant_arguments = [i for i in range(len(call.argument_types)) if i not in written]
    constants = [
        leaf
        for i in constant_arguments
        for leaf in range(position[i], position[i + 1])
        if shim.leaves[leaf].can_vary
    ]

    builder, primal, shadow = shim.start("augmented", POINTER)
    if not call.skip_primal:
        builder.call(shim.op, primal)
    builder.ret(ir.Constant(POINTER, None))

    def with_shadows(primal: list[Any], shadow: list[Any]) -> list[Any]:
        chosen = list(primal)
        for argument in (rule.output, rule.input):
            for leaf in range(position[argument], position[argument + 1]):
                # Only pointers: Enzyme leaves the shadows of integers undefined.
                if shim.leaves[leaf].can_vary:
                    chosen[leaf] = shadow[leaf]
        return chosen

    def clear_output(builder: Any, primal: list[Any], shadow: list[Any]) -> None:
        if not rule.accumulates:
            chosen = slice(y, position[rule.output + 1])
            builder.call(shim.declare_clear(), with_shadows(primal, shadow)[chosen])

    def check_constants(builder: Any, primal: list[Any], shadow: list[Any]) -> None:
        for leaf in constants:
            varies = builder.icmp_unsigned("!=", primal[leaf], shadow[leaf])
            count_error(module, builder, varies)

    builder, primal, shadow = shim.start("reverse", VOID, tape=True)
    check_constants(builder, primal, shadow)
    with builder.if_then(builder.icmp_unsigned("!=", primal[y], shadow[y])):
        varies = builder.icmp_unsigned("!=", primal[x], shadow[x])
        if rule.adjoint is not None or rule.terms is not None:
            with builder.if_then(varies):
                builder.call(shim.declare("adjoint", shim.types), with_shadows(primal, shadow))
            clear_output(builder, primal, shadow)
        else:
            with builder.if_else(varies) as (then, otherwise):
                with then:
                    shim.call_enzyme(builder, primal, shadow, mixes_pointers)
                with otherwise:
                    clear_output(builder, primal, shadow)
    builder.ret_void()

    builder, primal, shadow = shim.start("forward", VOID)
    check_constants(builder, primal, shadow)
    if not call.skip_primal:
        builder.call(shim.op, primal)
    with builder.if_then(builder.icmp_unsigned("!=", primal[y], shadow[y])):
        varies = builder.icmp_unsigned("!=", primal[x], shadow[x])
        with builder.if_else(varies) as (then, otherwise):
            with then:
                builder.call(shim.op, with_shadows(primal, shadow))
            with otherwise:
                clear_output(builder, primal, shadow)
    builder.ret_void()
    shim.register()
    return module


def custom_rule(call: RuledCall) -> str:
    """The module that registers a `CustomRule`."""
    rule = call.rule
    shadowed = types_with_shadows(call.argument_types)
    augmented = compile_raw(rule.augmented_primal, shadowed)
    context = augmented.target_context
    module = context.create_module(f"rule of {call.symbol}")
    shim = _Shims(call, module)
    tape_type = _tape_type(rule, augmented.signature.return_type)
    builder, primal, shadow = shim.start("augmented", POINTER)
    tape, failed = shim.call_numba(builder, augmented, primal, shadow)
    if tape_type is not None:
        builder.ret(shim.keep_tape(builder, context, tape_type, tape, failed))
    else:
        builder.ret(ir.Constant(POINTER, None))

    keeps = tape_type is not None
    reverse = compile_raw(rule.reverse, (*shadowed, tape_type) if keeps else shadowed)
    builder, primal, shadow = shim.start("reverse", VOID, tape=True)
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
    return link(compiled, [module])


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


class _Shims:
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
        paired = [ty for ty in self.types for _ in range(2)]
        function_type = ir.FunctionType(returned, paired + [POINTER] * tape)
        function = ir.Function(self.module, function_type, self.name(part))
        builder = ir.IRBuilder(function.append_basic_block("entry"))
        count = 2 * len(self.types)
        return builder, list(function.args[:count:2]), list(function.args[1:count:2])

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
        markers = {}
        names = ["enzyme_dup", "enzyme_dupnoneed", "enzyme_const"]
        names += ["enzyme_runtime_activity"] * mixes_pointers
        for marker in names:
            variable = ir.GlobalVariable(self.module, I32, marker)
            markers[marker] = builder.load(variable)
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
            slots = builder.bitcast(record, I64.as_pointer())
            builder.store(builder.ptrtoint(builder.load(memory), I64), slots)
            builder.store(builder.ptrtoint(builder.load(start), I64), builder.gep(slots, [I64(1)]))
            builder.store(view.nitems, builder.gep(slots, [I64(2)]))
            builder.store(record, result)
        return builder.load(result)

    def restore_tape(
        self, builder: Any, context: Any, ty: types.Array, record: Any
    ) -> tuple[Any, Any]:
        """The array, and the memory to be freed."""
        slots = builder.bitcast(record, I64.as_pointer())
        memory, start, length = (builder.load(builder.gep(slots, [I64(i)])) for i in range(3))
        pointer = builder.inttoptr(start, POINTER)
        return pack(context, builder, ty, iter([pointer, length])), builder.inttoptr(
            memory, POINTER
        )

    def register(self, *, forward: bool = True) -> None:
        """Tell Enzyme which functions belong to the opaque one."""
        self._register("gradient", ["augmented", "reverse"])
        if forward:
            self._register("derivative", ["forward"])

    def _register(self, kind: str, parts: list[str]) -> None:
        functions = [self.registered, *(self.module.globals[self.name(part)] for part in parts)]
        array_type = ir.ArrayType(POINTER, len(functions))
        name = f"__enzyme_register_{kind}_{self.call.symbol}"
        variable = ir.GlobalVariable(self.module, array_type, name)
        variable.initializer = ir.Constant(  # pyright: ignore[reportAttributeAccessIssue]
            array_type, [f.bitcast(POINTER) for f in functions]
        )
