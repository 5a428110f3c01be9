"""Arrays on a device, as the rest of the toolchain sees them: NumPy arrays that nobody may read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from enzyme_rules._cupy import as_cupy, cupy, is_on_device

from ._flat import flatten, rebuild
from ._marshal import address
from ._overlap import bounds


class _Memory:
    """Says where an array is and what it looks like, and keeps alive what it is in."""

    def __init__(self, owner: Any, start: int, shape: Any, dtype: np.dtype, strides: Any) -> None:
        self.owner = owner
        self.__array_interface__ = {
            "data": (start, False),
            "shape": tuple(shape),
            "typestr": dtype.str,
            "strides": tuple(strides),
            "version": 3,
        }


def header(array: Any) -> np.ndarray:
    """A NumPy array with the address, shape, strides and dtype of an array on a device.

    Its types, sizes and overlaps can be found as for any other. Its items must not be touched: the
    address means nothing to the host.
    """
    array = as_cupy(array)
    if array.size == 0:
        return np.empty(array.shape, array.dtype)
    memory: Any = _Memory(array, array.data.ptr, array.shape, np.dtype(array.dtype), array.strides)
    return np.asarray(memory)


def headers(values: Iterable[Any]) -> tuple[Any, ...]:
    """Values, tuples among them, with headers for arrays on a device."""
    found = []
    for value in values:
        flat = iter([header(v) if is_on_device(v) else v for v in flatten([value])])
        found.append(rebuild(value, flat))
    return tuple(found)


def device_zeros_like(array: np.ndarray) -> np.ndarray:
    """The header of zeros on the current device, with the strides of `array`."""
    if array.size == 0:
        return np.empty(array.shape, array.dtype)
    start = address(array)
    low, high = bounds(array, start)
    buffer = cupy().zeros(high - low, "u1")
    start += buffer.data.ptr - low
    memory: Any = _Memory(buffer, start, array.shape, array.dtype, array.strides)
    return np.asarray(memory)
