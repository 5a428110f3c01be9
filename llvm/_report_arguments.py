"""The arguments of a derivative by name, for the report: who varies, and what sizes are called."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from numba.core import types

from ._abi import leaves
from ._arguments import name_of
from ._flat import items, named_items
from ._prepare import Prepared
from ._request import Mode, Question, Request
from ._stages import Stages


@dataclass(frozen=True)
class Activity:
    """One argument, or one item of a tuple.

    Attributes
    ----------
    name, type : str
    varies : bool
        Whether it was asked for, and can vary.
    written : bool
        Whether the function may write into it.
    hidden_shadow : bool
        Whether it has a shadow all the same, because derivatives pass through what is written.
    """

    name: str
    type: str
    varies: bool
    written: bool
    hidden_shadow: bool

    def __str__(self) -> str:
        words = ["varies" if self.varies else "constant"]
        words += ["written"] * self.written + ["hidden shadow"] * self.hidden_shadow
        return ", ".join(words)


def parameter_names(
    function: Any, question: Question, prepared: Prepared, request: Request
) -> dict[str, str]:
    """What ``%p0``, ``%p1``… of ``@derivative`` stand for."""
    parameters = [("status", False)]
    if prepared.lowered.returns_value:
        parameters.append(("result", True))
    flat = [
        name
        for position, ty in enumerate(question.argument_types)
        for name in _leaf_names(name_of(function, position), ty)
    ]
    parameters += zip(flat, request.varying, strict=True)
    if request.mode is Mode.FORWARD_OVER_REVERSE:
        parameters = [
            (f"d{name}" if shadow else name, varies)
            for name, varies in parameters
            for shadow in range(1 + varies)
        ]
    return {f"p{i}": name for i, (name, _) in enumerate(parameters)}


def _leaf_names(name: str, ty: Any) -> Iterator[str]:
    for part, item in named_items(name, ty, by_field=True):
        yield from [part] * min(1, len(leaves(item)))
        if isinstance(item, types.Array):
            axes = range(item.ndim)
            yield from (f"{part}.shape[{k}]" for k in axes)
            if item.layout not in "CF":
                yield from (f"{part}.strides[{k}]" for k in axes)


def activity(function: Any, question: Question, stages: Stages) -> Iterator[Activity]:
    """What each argument is to the derivative, items of tuples apart."""
    request, effects = stages.differentiated.request, stages.prepared.effects
    flat = iter(items(question.argument_types, request.varying, effects.writes))
    for position, ty in enumerate(question.argument_types):
        asked = question.varying[position]
        for name, item_type in named_items(name_of(function, position), ty, by_field=True):
            item = next(flat)
            yield Activity(
                name,
                str(item_type),
                varies=asked and item.varies,
                written=item.written,
                hidden_shadow=item.varies and not asked,
            )
