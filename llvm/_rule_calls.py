"""Calls of functions that have a rule: what they look like in the IR that Enzyme sees.

Such a call is ``call void @op(leaves…)``, where `op` is a name of ours for one rule at one tuple of
argument types. The preparation stage finds these names in the module and attaches the rule.
"""

from __future__ import annotations

import hashlib
import inspect
from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from enzyme_rules import Rule

from ._abi import leaves, unpack

PREFIX = "ruled_"


@dataclass(frozen=True)
class RuledCall:
    """A rule at one tuple of argument types.

    Attributes
    ----------
    symbol : str
        Name of the opaque function in the IR.
    rule : enzyme_rules.Rule
    argument_types : tuple of numba types
    """

    symbol: str
    rule: Rule
    argument_types: tuple[types.Type, ...]


ruled_calls: dict[str, RuledCall] = {}
"""Every opaque function named so far. Names are unique, so entries never change."""


def _name(rule: Rule, argument_types: tuple[types.Type, ...]) -> str:
    # Short, because LLVM cuts local value names at 1,024 characters, and a pure function of the
    # program, because the IR is part of a cache key.
    function = rule.function.py_func
    text = f"{function.__module__}.{function.__qualname__}{argument_types}"
    return f"{PREFIX}{function.__name__}_{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def make_call_stub(rule: Rule) -> Any:
    """A Python function with the signature of `rule.function` whose lowering is one opaque call."""

    @intrinsic
    def opaque_call(typing_context: Any, args: Any) -> Any:
        argument_types = tuple(args.types)
        flat = [leaf.llvm_type for ty in argument_types for leaf in leaves(ty)]
        call = RuledCall(_name(rule, argument_types), rule, argument_types)

        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            ruled_calls[call.symbol] = call
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
