"""Functions with a rule that are compiled apart: once, for all gradients that call them.

A gradient through `np.linalg.solve` takes seconds to compile, nearly all of them for code that is
the same in every such gradient. So rules may ask to be `separate`: Enzyme sees of them what it
calls, and that becomes an object file of its own, kept on disk like a gradient.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from numba.core import compiler_lock

from enzyme_rules import LinearRule, generation

from . import _cache
from ._arena import with_arena
from ._compile import ObjectCode, assemble_module
from ._custom_rule import custom_shims
from ._differentiate import ERROR_COUNTER, inlined
from ._effects import REGISTRATION
from ._entry import ERRORS
from ._enzyme import find_enzyme
from ._fingerprint import part_fingerprint
from ._linear_rule import linear_shims
from ._lower import linked_texts, make_private
from ._memory_types import without_types
from ._ordered_runs import run_enzyme
from ._prepare import bodies, body_of, with_rules
from ._request import DEFAULT_FLAGS
from ._rounding import contracted, loosened, marked
from ._rule_calls import SYMBOL_PATTERN, RuledCall, find_call
from ._rule_shims import SHIMS, Passes
from ._target_machine import remove_unused, run_pipeline, target_machine


@dataclass(frozen=True)
class Part:
    """The machine code of one part of a rule, and whether it can fail."""

    code: ObjectCode
    may_fail: bool


_parts: dict[tuple[Any, ...], Part] = {}


def with_parts(code: ObjectCode) -> tuple[ObjectCode, bool]:
    """Machine code with the parts of separate rules that it calls, and whether these can fail."""
    found: dict[str, Part] = {}
    undefined, missing = set(), list(code.undefined)
    while missing:
        symbol = missing.pop()
        if not (named := _NAME.fullmatch(symbol)):
            undefined.add(symbol)
        elif symbol not in found:
            found[symbol] = _part(find_call(named[1]), _PARTS[named[2]])
            missing += found[symbol].code.undefined
    parts = list(dict.fromkeys(found.values()))
    whole = ObjectCode(code.code, tuple(sorted(undefined)), tuple(p.code.code for p in parts))
    return whole, any(part.may_fail for part in parts)


_NAME = re.compile(rf"({SYMBOL_PATTERN})(?:_({'|'.join(s for g in SHIMS.values() for s in g)}))?")
_PARTS = {None: "function", **{shim: part for part, shims in SHIMS.items() for shim in shims}}
_FACTS = {"undefined", "may_fail"}


@compiler_lock.global_compiler_lock
def _part(call: RuledCall, part: str) -> Part:
    known = generation(), call.symbol, part
    if known not in _parts:
        derives = isinstance(call.rule, LinearRule) and part == "gradient"
        key = part_fingerprint(call, part, find_enzyme().version if derives else "")
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
    """What the part calls is in it, so that nothing else need be found again.

    But for the function itself where it is linear: its derivatives call it, as a part of its own.
    """
    elsewhere = ""
    names = [f"{call.symbol}_{shim}" for shim in SHIMS[part]] if part in SHIMS else [call.symbol]
    if part == "function":
        texts = [body_of(call, call.symbol)]
    elif isinstance(call.rule, LinearRule):
        # The last of the shims: the first of reverse mode is what `linear_rule` calls.
        names, elsewhere = names[-1:], call.op
        texts = _linear_part(call, part, names)
    else:
        texts = [custom_shims(call, part)]
    texts = [without_types(t) for t in bodies(texts, separate=True, elsewhere=elsewhere)]
    module = linked_texts(with_arena([*texts, _COUNTER]))
    make_private(module, keep=names)
    remove_unused(module)
    module = run_pipeline(module, target_machine(), "O3", vectorise=True)
    code = assemble_module(module)
    # The counter itself belongs to the gradient.
    undefined = tuple(symbol for symbol in code.undefined if symbol != ERRORS)
    return Part(ObjectCode(code.code, undefined), may_fail=len(undefined) < len(code.undefined))


def _linear_part(call: RuledCall, part: str, names: Sequence[str]) -> list[str]:
    """The modules of a part, after Enzyme where it has something to derive."""
    passes = Passes(forward=part == "derivative", reverse=part == "gradient")
    text, unseen = linear_shims(replace(call, skip_primal=passes.reverse), passes)
    text = REGISTRATION.sub("", text)  # that is for those who call them
    if "@__enzyme_autodiff" not in text:
        return [text, unseen]
    # None of the rules that it goes through are separate in turn: all is to be in one object.
    text, more, _ = with_rules(text, replace(passes, whole=True), call, names)
    text, _ = run_enzyme(inlined(marked(text)), DEFAULT_FLAGS, call.rule.name, "reverse")
    return [contracted(loosened(text)), unseen, *more]


_COUNTER = ERROR_COUNTER.replace(f"@{ERRORS} = global i64 0", f"@{ERRORS} = external global i64")
