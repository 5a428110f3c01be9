"""A `LinearRule` as Enzyme gets it: three shims, and where the transposed map comes from."""

from __future__ import annotations

import hashlib
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import njit
from numba.core import types

from enzyme_rules import LinearRule

from ._abi import POINTER, leaves
from ._effects import body_mixes_pointers
from ._errors import AutodiffError
from ._flat import items
from ._lower import compile_raw, count_error, flat_function, link
from ._recursion import needs_all_shadows
from ._rule_calls import (
    TRANSPOSE,
    RuledCall,
    find_call,
    opaque_calls,
    transposed,
    without_primal,
)
from ._rule_shims import SHIMS, VOID, Passes, Shims
from ._rule_tangents import PULLBACK, call_shadowed, linear_pullback_forward, register_pullback
from ._target import EnzymeDispatcher


@njit(error_model="numpy")
def _require_zeros(array: Any) -> None:
    for value in array.flat:
        if value != 0:
            raise ValueError


@njit(error_model="numpy")
def _clear(array: Any) -> None:
    array[...] = 0


def linear_rule(call: RuledCall, passes: Passes) -> tuple[str, str]:
    """The module that registers a `LinearRule`, and one with what of it Enzyme need not see."""
    if not passes.apart(call.rule):
        return linear_shims(call, passes)
    context = EnzymeDispatcher.targetdescr.target_context
    module = context.create_module(f"rule of {call.symbol}")
    shims = Shims(call, module)
    if passes.reverse:
        augmented = _augmented(shims)
        # The same reverse pass with values and without.
        kind = ir.FunctionType(VOID, [*augmented.function_type.args, POINTER])
        reverse = ir.Function(module, kind, f"{call.op}_reverse")
        shims.register_one("gradient", call.symbol, [shims.registered, augmented, reverse])
    if passes.forward:
        shims.declare_shim("forward", VOID)
        shims.register_derivative()
    return link([], [module], keep=()), ""


def _augmented(shims: Shims, *, twice: bool = False) -> Any:
    """The forward pass of reverse mode: the function itself, of which nothing is kept."""
    builder, primal, _ = shims.start("augmented", POINTER)
    if not shims.call.skip_primal:
        # Differentiated once more, this call is one of the rule's own `forward`.
        if twice:
            call_shadowed(shims, builder, shims.op, primal)
        else:
            builder.call(shims.op, primal)
    builder.ret(ir.Constant(POINTER, None))
    return builder.function


def linear_shims(call: RuledCall, passes: Passes) -> tuple[str, str]:
    """As `linear_rule`, for one that is not separate, and visible from outside."""
    rule, argument_types = call.rule, call.argument_types
    compiled, modules, derived, names = [], [], [], []
    mixes = False
    # Derived once more, it is what these call.
    seen = passes.twice

    def bring(function: Any, part: str, types_: tuple[types.Type, ...]) -> None:
        compiled.append(compile_raw(function, types_))
        names.append(f"{call.symbol}_{part}")
        modules.append(
            flat_function(compiled[-1], names[-1], types_, keep_value=False, seen_by_enzyme=seen)
        )

    bring(_clear, "clear", (argument_types[rule.output],))
    if passes.reverse and rule.adjoint is not None:
        bring(rule.adjoint, "adjoint", argument_types)
    elif passes.reverse and rule.terms is not None:
        derived.append(_transposed_terms(call, f"{call.symbol}_adjoint"))
    elif passes.reverse:
        copy, mixes = _derivable_copy(call)
        derived.append(copy)
    for ty in {ty for _, ty in _constants(call)}:
        bring(_require_zeros, _zeros(ty), (ty,))
    rule_module = _linear_module(call, compiled[0].target_context, mixes, passes)
    visible = [f"{call.symbol}_{shim}" for group in SHIMS.values() for shim in group]
    if seen:
        return link(compiled, [*derived, *modules, rule_module], keep=visible), ""
    return link([], [rule_module, *derived], keep=visible), link(compiled, modules, keep=names)


def _constants(call: RuledCall) -> list[tuple[int, types.Array]]:
    """First leaf and type of each floating-point array that is no output, input or work space.

    They must not vary, or their part of the derivative would be missing without a word.
    """
    rule, found, leaf = call.rule, [], 0
    for argument, ty in enumerate(call.argument_types):
        constant = argument not in (rule.output, rule.input, *rule.scratch, *rule.state)
        for item in items([ty]):
            if constant and item.can_vary:
                found.append((leaf, item.type))
            leaf += len(leaves(item.type))
    return found


def _zeros(ty: types.Array) -> str:
    """Part of the name of `_require_zeros` for this type."""
    return f"zeros_{hashlib.sha256(str(ty).encode()).hexdigest()[:8]}"  # 12 are those of a rule


def _derivable_copy(call: RuledCall) -> tuple[str, bool]:
    """The function again, for Enzyme to differentiate, under a name that carries no rule.

    No value inside it is needed, so the functions with rules that it calls need not be run
    forwards. The second result says whether it mixes pointers.
    """
    body = compile_raw(call.rule.function, call.argument_types, follow_rule=False)
    name = f"{call.symbol}_body"
    copy = flat_function(body, name, call.argument_types, keep_value=False)
    text = without_primal(link([body], [copy]))
    mixes = body_mixes_pointers(text, name)
    if mixes:
        needs_all_shadows(text, call.rule.name, available=False)
    return text, mixes


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


def _linear_module(call: RuledCall, context: Any, mixes_pointers: bool, passes: Passes) -> Any:
    rule = call.rule
    # Without values it stands in a body whose derivative is linear: that of nothing again.
    twice = passes.twice and not call.skip_primal
    module = context.create_module(f"rule of {call.symbol}")
    shim = Shims(call, module)
    position = shim.first_leaf
    y, x = position[rule.output], position[rule.input]
    constants = _constants(call)

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
        for leaf, _ in constants:
            varies = builder.icmp_unsigned("!=", primal[leaf], shadow[leaf])
            count_error(module, builder, varies)

    if passes.reverse:
        _augmented(shim, twice=twice)
        part = PULLBACK if twice else "reverse"
        builder, primal, shadow = shim.start(part, VOID, tape=not twice)
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
        if twice:
            linear_pullback_forward(shim, rule.scratch)
            register_pullback(shim)
        shim.register_gradient()

    if passes.forward:
        builder, primal, shadow = shim.start("forward", VOID)
        # What was allocated inside of what is differentiated has a tangent even if it is constant.
        for leaf, ty in constants:
            with builder.if_then(builder.icmp_unsigned("!=", primal[leaf], shadow[leaf])):
                end = leaf + len(leaves(ty))
                zeros = shim.declare(_zeros(ty), shim.types[leaf:end])
                builder.call(zeros, [shadow[leaf], *primal[leaf + 1 : end]])
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
        shim.register_derivative()
    return module
