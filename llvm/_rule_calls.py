"""Calls of functions that have a rule: what they look like in the IR that Enzyme sees.

Such a call is ``call void @op(leaves…)``, where `op` is a name of ours for one rule at one tuple of
argument types. The preparation stage finds these names in the module and attaches the rule.
"""

from __future__ import annotations

import hashlib
import inspect
import itertools
import re
from dataclasses import dataclass, replace
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from enzyme_rules import LinearRule, Rule

from ._abi import leaves, unpack

_SKIP = "_unrun"
PREFIX = "ruled_"
"""What the names of opaque functions, and of all that belongs to their rules, begin with."""

SYMBOL_PATTERN = rf"{PREFIX}\w+?_[0-9a-f]{{12}}(?:{_SKIP})?"
_SYMBOL = re.compile(rf"@({SYMBOL_PATTERN})\b")


@dataclass(frozen=True)
class RuledCall:
    """A rule at one tuple of argument types.

    Attributes
    ----------
    symbol : str
        Name of the opaque function in the IR.
    rule : enzyme_rules.Rule
    argument_types : tuple of numba types
    skip_primal : bool
        Whether the forward pass leaves it out, as it may where all that varies enters linearly.
    """

    symbol: str
    rule: Any
    argument_types: tuple[types.Type, ...]
    skip_primal: bool = False

    @property
    def op(self) -> str:
        """Name of the function that is run, where it is run."""
        return self.symbol.removesuffix(_SKIP)


ruled_calls: dict[str, RuledCall] = {}
"""Every opaque function named so far. An entry changes only when its function gets another rule."""


def opaque_calls(ir: str) -> set[str]:
    """The names of opaque functions in a module."""
    return set(_SYMBOL.findall(ir))


def find_call(symbol: str) -> RuledCall:
    """The rule and the argument types behind a name."""
    call = ruled_calls[symbol.removesuffix(_SKIP)]
    if symbol.endswith(_SKIP) and isinstance(call.rule, LinearRule):
        return replace(call, symbol=symbol, skip_primal=True)
    return replace(call, symbol=symbol)


def without_primal(ir: str) -> str:
    """The module with every opaque call under the name whose forward pass does nothing.

    Right where all that varies enters linearly: the derivative then needs no value.
    """
    return _SYMBOL.sub(lambda found: f"@{found[1].removesuffix(_SKIP)}{_SKIP}", ir)


SHADOWED = f"{PREFIX}pointer"
# optnone, or LLVM would see through it before Enzyme does.
SHADOWED_POINTER = f"""
define ptr @{SHADOWED}(ptr %p) noinline optnone nounwind "enzyme_active_val" {{
  ret ptr %p
}}
"""
"""The function whose result Enzyme takes for active: see `always_shadowed`."""
_INTEGER = '"enzyme_type"="{[-1]:Integer}"'
# Not the calls inside bodies that a rule has differentiated in reverse mode, which are all `_SKIP`.
_CALL = re.compile(rf"^( *)((?:tail )?call void @ruled_\w+(?<!{_SKIP}))\((.*?)\)([^)]*)$", re.M)


def always_shadowed(ir: str) -> str:
    """The module with no argument of an opaque call provably constant, for forward mode.

    There Enzyme does not find the rule of a call that has a constant pointer among its arguments
    ("No forward mode derivative found"; reverse mode finds it). What comes out of a function that
    it is told to take for active has a shadow: that of a constant is the pointer itself, as in
    reverse mode. Remove this when Enzyme finds such rules.
    """
    count = 0

    def shadowed(found: re.Match[str]) -> str:
        nonlocal count
        indent, call, arguments, rest = found.groups()
        lines, passed = [], []
        for argument in arguments.split(", "):
            if argument.startswith("ptr "):
                name = f"%{SHADOWED}.{count}"
                count += 1
                lines.append(f"{indent}{name} = call ptr @{SHADOWED}({argument})\n")
                argument = f"ptr {name}"
            passed.append(argument)
        return f"{''.join(lines)}{indent}{call}({', '.join(passed)}){rest}"

    text = _CALL.sub(shadowed, ir)
    return integers_marked(f"{text}\n{SHADOWED_POINTER}" if count else ir)


def integers_marked(ir: str) -> str:
    """The module with the integers among the arguments of opaque calls marked as such.

    Forwards, Enzyme does not find the rule where one might be a pointer for all it knows, as a
    number that comes from the middle of an array.
    """

    def marked(found: re.Match[str]) -> str:
        indent, call, arguments, rest = found.groups()
        passed = re.sub(rf"\bi64 (?!{re.escape(_INTEGER)})", f"i64 {_INTEGER} ", arguments)
        return f"{indent}{call}({passed}){rest}"

    return _CALL.sub(marked, ir)


HIDDEN = "_hidden"
"""At the end of the name of a function whose body Enzyme must not see where it is called."""


def revealed(ir: str) -> str:
    """The module after Enzyme, with each hidden body in the place of its declaration."""
    hidden = re.findall(rf"^define [^@\n]*@(\w+){HIDDEN}\(", ir, re.M)
    for name in hidden:
        ir = re.sub(rf"^declare [^@\n]*@{name}\([^\n]*\n", "", ir, flags=re.M)
    return ir.replace(f"{HIDDEN}(", "(") if hidden else ir


def transposed(ir: str) -> str:
    """The module with each opaque call one of its transpose, which takes shadows for primals."""
    return _SYMBOL.sub(rf"@\1{TRANSPOSE}", ir)


TRANSPOSE = "_transpose"


def _name(rule: Rule, argument_types: tuple[types.Type, ...]) -> str:
    # Short, because LLVM cuts local value names at 1,024 characters.
    function = rule.function.py_func
    text = f"{function.__module__}.{function.__qualname__}{argument_types}"
    for attempt in itertools.count():
        digest = hashlib.sha256(f"{text}{attempt or ''}".encode()).hexdigest()[:12]
        symbol = f"ruled_{function.__name__}_{digest}"
        known = ruled_calls.get(symbol)
        # Functions made by one factory share their qualified name.
        if known is None or known.rule.function is rule.function:
            return symbol
    raise AssertionError("unreachable")


def make_call_stub(rule: Rule) -> Any:
    """A Python function with the signature of `rule.function` whose lowering is one opaque call."""

    @intrinsic
    def opaque_call(typing_context: Any, args: Any) -> Any:
        # Constant arrays of a program are read-only for Numba; their shadows are not.
        argument_types = tuple(
            ty.copy(readonly=False) if isinstance(ty, types.Array) else ty for ty in args.types
        )
        flat = [leaf.llvm_type for ty in argument_types for leaf in leaves(ty)]
        call = RuledCall(_name(rule, argument_types), rule, argument_types)
        ruled_calls[call.symbol] = call

        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            declaration = builder.module.globals.get(call.symbol)
            if declaration is None:
                function_type = ir.FunctionType(ir.VoidType(), flat)
                declaration = ir.Function(builder.module, function_type, call.symbol)
            builder.call(declaration, unpack(context, builder, args, values[0]))
            return context.get_dummy_value()

        return types.void(args), codegen

    parameters = ", ".join(inspect.signature(rule.function.py_func).parameters)
    source = f"def stub({parameters}):\n    opaque_call(({parameters},))\n"
    namespace = {"opaque_call": opaque_call}
    exec(compile(source, f"<call of {rule.name}>", "exec"), namespace)  # noqa: S102
    return namespace["stub"]
