"""One call of a compiled derivative: overlaps refused, exceptions raised, nothing half done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from ._errors import AutodiffError
from ._flat import flatten, rebuild
from ._marshal import Span, copy_like, first_overlap
from ._program import Program

_STATUS_OK = (0, -2)  # -2: the function returned None
_LOW = 0xFFFFFFFF


def call(
    program: Program,
    function: Any,
    arguments: Sequence[Any],
    shadows: list[Any],
    *,
    seed: float = 1.0,
    restore: bool = False,
) -> tuple[float, float]:
    """Run a compiled derivative.

    Parameters
    ----------
    program : Program
    function : njit function
        What was differentiated, for its name and for its exceptions.
    arguments : sequence
        Of the types that the program was compiled for.
    shadows : list
        One for each item of the arguments: an array like the item, a tangent for a number, or None
        for zero. On return it holds the derivatives by numbers too.
    seed : float
        Derivative that goes in for the returned value, in reverse mode.
    restore : bool
        Whether an exception, of the function or of a rule, must leave the shadows as they were.

    Returns
    -------
    value, derivative : float
        What the function returned, and its tangent in forward mode. (0, 0) if it returns nothing.

    Raises
    ------
    ValueError
        Two arrays share memory and one of them is written.
    Exception
        Whatever the function itself raises.
    """
    values = flatten(arguments)
    frame = program.frame
    block, spans = frame.fill(values, shadows, seed)
    overlap = first_overlap(spans)
    if overlap is not None:
        _refuse_overlap(function, overlap, spans)
    if program.may_raise:
        # To let the function raise again it must be called with what it was called with.
        before = [
            copy_like(v) if i.written else v for i, v in zip(frame.items, values, strict=True)
        ]
    saved: list[Any] = []
    if restore and (program.may_raise or program.rules_may_fail):
        saved = [s.copy() if isinstance(s, np.ndarray) else s for s in shadows]
    result = program.loaded.entry(block)
    status = result & _LOW
    status -= (1 << 32) if status >= 1 << 31 else 0
    if status in _STATUS_OK and not result >> 32:
        return frame.read(block, shadows)
    for shadow, old in zip(shadows, saved, strict=False):
        if isinstance(shadow, np.ndarray):
            shadow[...] = old
    if status not in _STATUS_OK:
        given = iter(before)
        _raise_again(function, [rebuild(argument, given) for argument in arguments])
    name = function.py_func.__qualname__
    raise AutodiffError(
        f"A rule used by `{name}` failed: one of its functions raised, or an array that a linear "
        f"rule takes for a constant varies. Its result was discarded.",
        stage="compile",
        function=name,
    )


def _refuse_overlap(function: Any, pair: tuple[Any, Any], spans: list[Span]) -> NoReturn:
    a, b = pair
    written = {id(array) for _, _, is_written, array in spans if is_written}
    kinds = " and ".join(
        f"one of shape {x.shape}{' that is written' if id(x) in written else ''}" for x in (a, b)
    )
    raise ValueError(
        f"The derivative of `{function.py_func.__qualname__}` needs arrays, shadows among them, "
        f"that do not overlap where one of them is written. Got two that share memory: {kinds}. "
        f"Pass a copy of one: `x.copy()`."
    )


def _raise_again(function: Any, arguments: Sequence[Any]) -> NoReturn:
    """Let Numba's own version of the function raise: message, type and place are then its own."""
    function(*arguments)
    name = function.py_func.__qualname__
    raise AutodiffError(
        f"`{name}` raised an exception inside its derivative, but not when it was called again. "
        f"It depends on something besides its arguments.",
        stage="compile",
        function=name,
    )
