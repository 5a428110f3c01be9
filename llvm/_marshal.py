"""From Python arguments to the words that compiled code reads, and the checks that make that safe."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numba.core import types
from numba.np.numpy_support import as_dtype

from ._abi import FLOATING, leaves

_SCALARS = {
    types.float64: ("d", 1),
    types.float32: ("f4x", 1),
    types.complex128: ("dd", 2),
    types.complex64: ("ff", 2),
}


def items(ty: types.Type, value: Any) -> Iterator[tuple[types.Type, Any]]:
    """The arrays and numbers in an argument, in the order of its leaves."""
    if isinstance(ty, types.BaseTuple):
        for item_type, item in zip(ty.types, value, strict=True):
            yield from items(item_type, item)
    elif leaves(ty):
        yield ty, value


def zeros_like(ty: types.Type, value: Any) -> Any:
    """A shadow of zeros for an argument: arrays with the very strides of the primal's.

    Numbers get an array without dimensions, for their derivative to be written into.
    """
    if isinstance(ty, types.BaseTuple):
        made = [zeros_like(t, v) for t, v in zip(ty.types, value, strict=True)]
        return rebuild_tuple(value, made)
    if isinstance(ty, types.Array):
        return _zeros_with_strides(value)
    if isinstance(ty, FLOATING):
        return np.zeros((), as_dtype(ty))
    return None


def rebuild_tuple(value: Any, made: Sequence[Any]) -> Any:
    """A tuple of the kind of `value`; named tuples keep their names."""
    return type(value)._make(made) if hasattr(value, "_make") else tuple(made)


def _zeros_with_strides(array: np.ndarray) -> np.ndarray:
    low, high = _bounds(array) if array.size else (0, 0)
    # On a cache line: vectors of a shadow that lie across two lines cost twice.
    buffer = np.zeros(high - low + 64, np.uint8)
    start = -buffer.__array_interface__["data"][0] % 64
    offset = start + (array.__array_interface__["data"][0] - low if array.size else 0)
    return np.ndarray(array.shape, array.dtype, buffer, offset, array.strides)


def overlaps_itself(array: np.ndarray) -> bool:
    """Whether two elements of an array share memory, as in what ``np.broadcast_to`` returns."""
    steps = sorted((abs(s), n) for s, n in zip(array.strides, array.shape, strict=True) if n > 1)
    reach = array.itemsize
    for step, length in steps:
        if step < reach:
            return bool(array.size)
        reach = step * (length - 1) + reach
    return False


class Slots:
    """The words for one call, in order, and every array they point to."""

    def __init__(self) -> None:
        self._format: list[str] = []
        self._values: list[Any] = []
        self.arrays: list[tuple[np.ndarray, bool]] = []

    def add_address(self, array: np.ndarray, *, written: bool) -> None:
        self._format.append("q")
        self._values.append(array.__array_interface__["data"][0])
        self.arrays.append((array, written))

    def add(self, ty: types.Type, value: Any, shadow: Any, *, written: bool) -> None:
        """One array or number of an argument, and its shadow if it varies."""
        if isinstance(ty, types.Array):
            self.add_address(value, written=written)
            if shadow is not None:
                self.add_address(shadow, written=True)
            sizes = value.shape if ty.layout in "CF" else (*value.shape, *value.strides)
            self._format.append(f"{len(sizes)}q")
            self._values += sizes
        elif isinstance(ty, FLOATING):
            code, words = _SCALARS[ty]
            self._format.append(code)
            self._values += [value] if words == 1 else [value.real, value.imag]
            if shadow is not None:
                self.add_address(shadow, written=True)
        else:
            self._format.append("q")
            self._values.append(_as_word(ty, value))

    def pack(self) -> bytes:
        return struct.pack(f"={''.join(self._format)}", *self._values)


def _as_word(ty: types.Type, value: Any) -> int:
    word = int(value)
    return word - (1 << 64) if word >= 1 << 63 else word


def first_overlap(arrays: Sequence[tuple[np.ndarray, bool]]) -> tuple[int, int] | None:
    """Positions of two arrays that share memory, one of which is written; None if there are none.

    Compiled code is told that no two arrays overlap. Arrays that are only read may: nothing that is
    done to one can then be seen through the other.
    """
    spans = []
    for i, (array, written) in enumerate(arrays):
        if array.size:
            low, high = _bounds(array)
            spans.append((low, high, i, written))
    spans.sort()
    for k, (_, high, i, written) in enumerate(spans):
        for low, _, j, also_written in spans[k + 1 :]:
            if low >= high:
                break
            if (written or also_written) and _share(arrays[i][0], arrays[j][0]):
                return min(i, j), max(i, j)
    return None


def _bounds(array: np.ndarray) -> tuple[int, int]:
    if array.flags.forc:
        low = array.__array_interface__["data"][0]
        return low, low + array.nbytes
    return np.lib.array_utils.byte_bounds(array)


def _share(a: np.ndarray, b: np.ndarray) -> bool:
    try:
        return np.shares_memory(a, b, max_work=10_000)
    except np.exceptions.TooHardError:
        return True
