"""One call of a compiled derivative: shadows made, overlaps refused, exceptions raised."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
from numba.core import types
from numba.np.numpy_support import as_dtype

from ._abi import leaves
from ._errors import AutodiffError
from ._marshal import Slots, first_overlap, items, rebuild_tuple, zeros_like
from ._program import Program

_STATUS_OK = (0, -2)  # -2: the function returned None
_LOW = 0xFFFFFFFF


def call(
    program: Program,
    function: Any,
    arguments: Sequence[Any],
    shadows: Sequence[Any],
    *,
    seed: float = 1.0,
) -> tuple[float, float]:
    """Run a compiled derivative.

    Parameters
    ----------
    program : Program
    function : njit function
        What was differentiated, for its name and for its exceptions.
    arguments : sequence
        Of the types that the program was compiled for.
    shadows : sequence
        One for each argument: arrays like the argument's (a tuple of them for a tuple, an array
        without dimensions for a number), or None. Where the program needs one and gets None, it has
        one of zeros for the duration of the call.
    seed : float
        Derivative that goes in for the returned value, in reverse mode.

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
    slots = Slots()
    dtype = np.float32 if program.returned_bits == 32 else np.float64
    value, dvalue = np.zeros(1, dtype), np.full(1, seed, dtype)
    if program.returns_value:
        slots.add_address(value, written=True)
        slots.add_address(dvalue, written=True)
    flags = iter(program.item_flags)
    for ty, argument, shadow in zip(
        program.question.argument_types, arguments, shadows, strict=True
    ):
        pairs = items(ty, argument)
        given = iter([s for _, s in items(ty, shadow)]) if shadow is not None else None
        for item_type, item in pairs:
            varies, written = next(flags)
            item_shadow = next(given) if given is not None else None
            if varies and item_shadow is None:
                item_shadow = zeros_like(item_type, item)
            slots.add(item_type, item, item_shadow if varies else None, written=written)
    _refuse_overlap(function, slots)
    saved = _copies(shadows) if program.may_raise else None
    result = program.loaded.entry(slots.pack())
    status = result & _LOW
    status -= (1 << 32) if status >= 1 << 31 else 0
    if status not in _STATUS_OK or result >> 32:
        if saved is not None:
            _restore(shadows, saved)
        if status not in _STATUS_OK:
            _raise_again(function, arguments)
        raise AutodiffError(
            f"A rule used by `{function.py_func.__qualname__}` failed: one of its functions raised, or "
            f"an array that a linear rule takes for a constant varies. Its result was discarded.",
            stage="compile",
            function=function.py_func.__qualname__,
        )
    return float(value[0]), float(dvalue[0])


def _refuse_overlap(function: Any, slots: Slots) -> None:
    overlap = first_overlap(slots.arrays)
    if overlap is None:
        return
    (a, _), (b, _) = slots.arrays[overlap[0]], slots.arrays[overlap[1]]
    raise ValueError(
        f"The gradient of `{function.py_func.__qualname__}` needs arrays that do not overlap where one "
        f"of them is written. Got arrays of shape {a.shape} and {b.shape} that share memory. "
        f"Pass a copy of one: `x.copy()`."
    )


def _copies(shadows: Sequence[Any]) -> list[Any]:
    return [copy.deepcopy(s) for s in shadows]


def _restore(shadows: Sequence[Any], saved: Sequence[Any]) -> None:
    for shadow, old in zip(shadows, saved, strict=True):
        if isinstance(shadow, tuple):
            _restore(shadow, old)
        elif isinstance(shadow, np.ndarray):
            shadow[...] = old


def _raise_again(function: Any, arguments: Sequence[Any]) -> None:
    """Let Numba's own version of the function raise, on copies: message, type and place are then its own."""
    function(*(copy.deepcopy(a) for a in arguments))
    raise AutodiffError(
        f"`{function.py_func.__qualname__}` raised an exception inside its gradient, but not when it "
        f"was called again. It depends on something besides its arguments.",
        stage="compile",
        function=function.py_func.__qualname__,
    )


def read_shadow(ty: types.Type, argument: Any, shadow: Any) -> Any:
    """A shadow as the user gets it: a number for a number, None for what cannot vary."""
    if isinstance(ty, types.BaseTuple):
        made = [read_shadow(t, a, s) for t, a, s in zip(ty.types, argument, shadow, strict=True)]
        return rebuild_tuple(argument, made)
    if isinstance(ty, types.Array) or shadow is None:
        return shadow if shadow is not None and leaves(ty)[0].can_vary else None
    return shadow[()].item()


def scalar_shadow(ty: types.Type, value: Any) -> np.ndarray:
    """An array without dimensions that holds a number's tangent."""
    return np.array(value, as_dtype(ty))
