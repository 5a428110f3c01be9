"""Shadows and copies of arguments, for the public transforms of functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ._arguments import number
from ._call import refuse_overlap
from ._flat import Item, flatten, flatten_like, rebuild
from ._marshal import address, copy_like, zeros_like
from ._overlap import Span, bounds, first_overlap
from ._program import Program


def in_form_of(
    program: Program, arguments: Sequence[Any], shadows: Sequence[Any], chosen: Sequence[int]
) -> tuple[Any, ...]:
    """The shadows of the chosen arguments, in the form of these: None for what cannot vary."""
    starts = program.starts
    return tuple(
        rebuild(arguments[i], iter(shadows[starts[i] : starts[i + 1]]), instances=False)
        for i in chosen
    )


def with_copies(
    program: Program,
    function: Any,
    arguments: tuple[Any, ...],
    which: Sequence[bool] | None = None,
) -> tuple[Any, ...]:
    """The arguments, with copies of the arrays that the function may write; of some, or of all.

    Raises
    ------
    ValueError
        As `refuse_shared`.
    """
    refuse_shared(program, function, arguments)
    made = []
    for i, argument in enumerate(arguments):
        own = program.frame.items[program.starts[i] : program.starts[i + 1]]
        if (which is None or which[i]) and any(item.written for item in own):
            pairs = zip(own, flatten([argument]), strict=True)
            flat = iter([copy_like(value) if item.written else value for item, value in pairs])
            argument = rebuild(argument, flat)
        made.append(argument)
    return tuple(made)


def refuse_shared(program: Program, function: Any, arguments: Sequence[Any]) -> None:
    """Raise ValueError where an array that is written shares memory with another.

    Their copies would not, and what the function then computes would be something else.
    """
    values = flatten(arguments)
    may_write = [item.written for item in program.frame.items]
    if _overlap(values, may_write) is None:
        return
    # What LLVM cannot rule out, the function need not do.
    after = copies(arguments)
    function(*after)
    pairs = zip(values, flatten(after), may_write, strict=True)
    changes = [w and was.tobytes() != now.tobytes() for was, now, w in pairs]
    overlap = _overlap(values, changes)
    if overlap is not None:
        refuse_overlap(function, *overlap)


def _overlap(
    values: Sequence[Any], written: Sequence[bool]
) -> tuple[tuple[Any, Any], list[Span]] | None:
    spans: list[Span] = [
        (*bounds(value, address(value)), is_written, value)
        for value, is_written in zip(values, written, strict=True)
        if isinstance(value, np.ndarray) and value.nbytes
    ]
    pair = first_overlap(spans)
    return None if pair is None else (pair, spans)


def copies(arguments: Sequence[Any]) -> tuple[Any, ...]:
    """The arguments, with a copy of every array."""
    return tuple(rebuild(a, iter(map(_copy, flatten([a])))) for a in arguments)


def _copy(value: Any) -> Any:
    return copy_like(value) if isinstance(value, np.ndarray) else value


def shadows_like(what: str, items: Sequence[Item], argument: Any, given: Any) -> list[Any]:
    """Shadows for the items of one argument, filled with a tangent or cotangent that is like it."""
    flat = flatten([argument])
    found: list[Any] = []
    for item, value, own in zip(items, flat, flatten_like(what, argument, given), strict=False):
        if own is None or not item.can_vary:
            found.append(None)
        elif item.kind == "array":
            found.append(zeros_like(value))
            _fill(what, found[-1], own)
        else:
            found.append(shadow_of_number(what, item, own))
    return found


def shadow_of_number(what: str, item: Item, given: Any) -> complex | float:
    """A tangent or cotangent of a number."""
    return number(what, given, is_complex=item.kind == "complex")


def _fill(what: str, shadow: np.ndarray, given: Any) -> None:
    given = np.asarray(given)
    refuse_unlike(what, shadow, given)
    shadow[...] = given


def refuse_unlike(what: str, shadow: Any, given: Any) -> None:
    """Raise ValueError where a tangent or cotangent is not like its shadow."""
    if given.shape != shadow.shape or not np.can_cast(given.dtype, shadow.dtype, "same_kind"):
        raise ValueError(
            f"A derivative needs {what} to have shape {shadow.shape} and dtype {shadow.dtype}, "
            f"like what it belongs to. Got {given.shape} and {given.dtype}."
        )
