"""One call of a compiled derivative: overlaps refused, exceptions raised, nothing half done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from ._entry import RETURNED_NONE
from ._errors import AutodiffError
from ._flat import flatten, rebuild
from ._overlap import Span
from ._program import Program
from ._workspace import Workspace

_STATUS_OK = (0, RETURNED_NONE)
_LOW = 0xFFFFFFFF


def call(
    program: Program,
    function: Any,
    arguments: Sequence[Any],
    shadows: list[Any],
    *,
    seed: float = 1.0,
    restore: bool = False,
    hidden: Sequence[int] = (),
    remember: bool = False,
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
        As many for each item of the arguments as the mode has: an array like the item, a tangent
        for a number, or None for zero. On return it holds the derivatives by numbers too.
    seed : float
        Derivative that goes in for the returned value, in reverse mode.
    restore : bool
        Whether an exception, of the function or of a rule, must leave the shadows as they were.
    hidden : sequence of int
        `Program.hidden`, or nothing: positions of shadows, given as None, that nobody looks at
        afterwards.
    remember : bool
        Whether `call_again` may be tried next time: all shadows were given as None.

    Returns
    -------
    value, derivative : float
        What the function returned, and its tangent in forward mode. (0, 0) if it returns nothing.

    Raises
    ------
    ValueError
        Two arrays share memory and one of them is written; the function returned None instead of a
        number.
    Exception
        Whatever the function itself raises.
    """
    spaces = program.spaces[bool(hidden)]
    try:
        space = spaces.pop()
    except IndexError:  # the first call, or as many at once as there are spaces
        space = Workspace(program, hidden)
    overlap = space.fill(arguments, shadows, seed)
    if overlap is not None:
        pair, spans = overlap
        refuse_overlap(function, pair, spans)
    saved: list[Any] = []
    if restore and (program.may_raise or program.rules_may_fail):
        saved = [s.copy() if isinstance(s, np.ndarray) else s for s in shadows]
    try:
        result = _run(program, function, arguments, shadows, space)
    except BaseException:
        for shadow, old in zip(shadows, saved, strict=False):
            if isinstance(shadow, np.ndarray):
                shadow[...] = old
        raise
    if remember:
        space.remember(arguments, shadows)
    spaces.append(space)
    return result


def call_again(
    program: Program, function: Any, arguments: Sequence[Any], hidden: Sequence[int]
) -> tuple[float, list[Any]] | None:
    """As `call` in reverse mode, of arguments such as those of a call that was remembered.

    Returns
    -------
    value, shadows or None
        None if they are others: nothing has been done then.
    """
    spaces = program.spaces[bool(hidden)]
    try:
        space = spaces.pop()
    except IndexError:
        return None
    shadows = space.fill_again(arguments)
    if shadows is None:
        spaces.append(space)
        return None
    value, _ = _run(program, function, arguments, shadows, space)
    spaces.append(space)
    return value, shadows


def _run(
    program: Program,
    function: Any,
    arguments: Sequence[Any],
    shadows: list[Any],
    space: Workspace,
) -> tuple[float, float]:
    """Enter the compiled code, for which everything is ready; read what it returned."""
    # To let the function raise again it must be called with what it was called with.
    before = space.copies(flatten(arguments)) if program.raises_after_writing else None
    result = program.loaded.entry(space.block)
    status = result & _LOW
    status -= (1 << 32) if status >= 1 << 31 else 0
    none = status == RETURNED_NONE and program.returns_value
    if status in _STATUS_OK and not result >> 32 and not none:
        return program.frame.read(space.block, shadows)
    if status not in _STATUS_OK:
        given = arguments
        if before is not None:
            items = iter(before)
            given = [rebuild(argument, items) for argument in arguments]
        _raise_again(function, given)
    name = function.py_func.__qualname__
    if none:
        raise ValueError(
            f"`{name}` returned None for these arguments: there is no derivative of that. Got a "
            f"function that returns a number or None. Give it a number to return in each case."
        )
    raise AutodiffError(
        f"A rule used by `{name}` failed: one of its functions raised, an array that a linear "
        f"rule takes for a constant varies, or what a recomputed function has read was overwritten "
        f"before the reverse pass. Its result was discarded.",
        stage="compile",
        function=name,
    )


def refuse_overlap(function: Any, pair: tuple[Any, Any], spans: list[Span]) -> NoReturn:
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
