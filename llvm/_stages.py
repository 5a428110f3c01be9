"""The stages one after the other, from a function and a question to optimised code."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from ._abi import leaves
from ._differentiate import Differentiated, differentiate
from ._enzyme import find_enzyme
from ._lower import Lowered, lower
from ._optimise import Optimised, optimise
from ._prepare import Prepared, prepare
from ._recursion import needs_all_shadows, with_shadows_of_constants
from ._request import DEFAULT_FLAGS, Mode, Question, Request
from ._rule_shims import Passes


@dataclass(frozen=True)
class Stages:
    """Every stage of one compilation, for inspection, and the seconds that each took."""

    lowered: Lowered
    prepared: Prepared
    differentiated: Differentiated
    optimised: Optimised
    seconds: tuple[float, ...] = field(default=(), compare=False)


def run_stages(function: Any, question: Question) -> Stages:
    """Run every stage but the last, without any cache."""
    differentiated, times = derive(function, question)
    optimised = optimise(differentiated, question.options.passes_after)
    seconds = tuple(end - start for start, end in pairwise([*times, time.perf_counter()]))
    prepared = differentiated.prepared
    return Stages(prepared.lowered, prepared, differentiated, optimised, seconds)


def derive(
    function: Any, question: Question, more_flags: Sequence[str] = ()
) -> tuple[Differentiated, list[float]]:
    """Run the first three stages, Enzyme with more flags; and the times before and after each."""
    times = [time.perf_counter()]
    derives = question.mode is not Mode.PRIMAL
    if derives:
        find_enzyme()  # or there is no use in starting
    lowered = lower(function, question.argument_types, noalias=question.options.noalias)
    times.append(time.perf_counter())
    prepared = prepare(
        lowered,
        skip_primal=question.skip_primal,
        rules=derives,
        passes=Passes(
            forward=question.mode is not Mode.REVERSE,
            reverse=question.mode is not Mode.FORWARD,
            twice=question.mode is Mode.FORWARD_OVER_REVERSE,
            whole=bool(question.architecture),
        ),
    )
    times.append(time.perf_counter())
    if prepared.rules:
        question = replace(question, width=1)
    all_vary = derives and _all_vary(prepared)
    if all_vary:
        prepared = replace(prepared, ir=with_shadows_of_constants(prepared.ir))
    request = _request(prepared, question, all_vary=all_vary)
    request = replace(request, flags=(*request.flags, *more_flags))
    differentiated = differentiate(prepared, request)
    return differentiated, [*times, time.perf_counter()]


def _all_vary(prepared: Prepared) -> bool:
    """Whether all arrays need shadows, whoever asked for some."""
    mixes = prepared.effects.mixes_pointers
    return mixes and needs_all_shadows(prepared.ir, prepared.lowered.name)


def _request(prepared: Prepared, question: Question, *, all_vary: bool) -> Request:
    flat: list[bool] = []
    for ty, varies in zip(question.argument_types, question.varying, strict=True):
        flat += [varies] * len(leaves(ty))
    effects = prepared.effects
    if question.mode is Mode.PRIMAL:
        return Request(
            question.mode,
            (False,) * len(flat),
            noalias=question.options.noalias,
            threads=question.threads,
        )
    varying = tuple(
        leaf.can_vary and (wanted or written or (all_vary and leaf.is_pointer))
        for leaf, wanted, written in zip(prepared.lowered.leaves, flat, effects.writes, strict=True)
    )
    return Request(
        question.mode,
        varying,
        effects.mixes_pointers and not all_vary,
        question.options.flags(DEFAULT_FLAGS),
        question.width,
        question.options.passes_before,
        question.options.noalias,
        question.threads,
    )
