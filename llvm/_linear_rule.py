"""A `LinearRule` as Enzyme gets it: three shims, and where the transposed map comes from."""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import njit

from enzyme_rules import LinearRule

from ._abi import POINTER
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
from ._rule_shims import VOID, Shims


@njit(error_model="numpy")
def _clear(array: Any) -> None:
    array[...] = 0


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
        shims = Shims(term, module)
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
    shim = Shims(call, module)
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
