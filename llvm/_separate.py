"""Functions with a rule that are compiled apart: once, for all gradients that call them.

A gradient through `np.linalg.solve` takes seconds to compile, nearly all of them for code that is
the same in every such gradient. So rules may ask to be `separate`: Enzyme sees of them what it
calls, and that becomes an object file of its own, kept on disk like a gradient.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from numba.core import compiler_lock

from enzyme_rules import generation

from . import _cache
from ._arena import with_arena
from ._compile import ObjectCode, assemble_module
from ._custom_rule import SHIMS, separate_shims
from ._differentiate import ERROR_COUNTER, ERRORS
from ._fingerprint import part_fingerprint
from ._lower import linked_texts, make_private
from ._memory_types import without_types
from ._prepare import bodies, body_of
from ._rule_calls import SYMBOL_PATTERN, RuledCall, find_call
from ._target_machine import remove_unused, run_pipeline, target_machine


@dataclass(frozen=True)
class Part:
    """The machine code of one part of a rule, and whether it can fail."""

    code: ObjectCode
    may_fail: bool


_parts: dict[tuple[Any, ...], Part] = {}


def parts_for(undefined: Iterable[str]) -> dict[str, Part]:
    """Of the functions that machine code expects, those of separate rules: the part of each."""
    found = {}
    for symbol in undefined:
        if named := _NAME.fullmatch(symbol):
            found[symbol] = _part(find_call(named[1]), _PARTS[named[2]])
    return found


_NAME = re.compile(rf"({SYMBOL_PATTERN})(?:_({'|'.join(s for g in SHIMS.values() for s in g)}))?")
_PARTS = {None: "function", **{shim: part for part, shims in SHIMS.items() for shim in shims}}
_FACTS = {"undefined", "may_fail"}


@compiler_lock.global_compiler_lock
def _part(call: RuledCall, part: str) -> Part:
    known = generation(), call.symbol, part
    if known not in _parts:
        key = part_fingerprint(call, part)
        kept = _cache.read(key) if key else None
        if kept is None or kept.facts.keys() != _FACTS:
            made = _compile(call, part)
            facts = {"undefined": list(made.code.undefined), "may_fail": made.may_fail}
            kept = _cache.Entry(facts, made.code.code)
            if key:
                _cache.write(key, kept)
        code = ObjectCode(kept.code, tuple(kept.facts["undefined"]))
        _parts[known] = Part(code, kept.facts["may_fail"])
    return _parts[known]


def _compile(call: RuledCall, part: str) -> Part:
    """Everything that the part calls is in it, so that nothing else need be found again."""
    if part == "function":
        names, text = (call.symbol,), body_of(call, call.symbol)
    else:
        names = tuple(f"{call.symbol}_{shim}" for shim in SHIMS[part])
        text = separate_shims(call, part)
    texts = [without_types(t) for t in bodies([text], separate=True)]
    module = linked_texts(with_arena([*texts, _COUNTER]))
    make_private(module, keep=names)
    remove_unused(module)
    module = run_pipeline(module, target_machine(), "O3", vectorise=True)
    code = assemble_module(module)
    # The counter itself belongs to the gradient.
    undefined = tuple(symbol for symbol in code.undefined if symbol != ERRORS)
    return Part(ObjectCode(code.code, undefined), may_fail=len(undefined) < len(code.undefined))


_COUNTER = ERROR_COUNTER.replace(f"@{ERRORS} = global i64 0", f"@{ERRORS} = external global i64")
