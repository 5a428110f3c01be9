"""Arrays inside larger buffers whose every other byte is known: what writes beyond one is seen."""

from __future__ import annotations

import numpy as np

_MARGIN = 128  # bytes on each side
_PATTERN = 0xA5


class Guarded:
    """A copy of an array, with its shape, strides and alignment, surrounded by known bytes.

    Attributes
    ----------
    array : numpy array
    """

    def __init__(self, like: np.ndarray, values: np.ndarray) -> None:
        low, high = np.lib.array_utils.byte_bounds(like)
        self._buffer = np.full(high - low + 2 * _MARGIN + 64, _PATTERN, np.uint8)
        start = like.__array_interface__["data"][0]
        # Code may choose another way for aligned arrays: the copy is to go the way of its model.
        shift = (low - self._buffer.ctypes.data - _MARGIN) % 64
        self._offset = _MARGIN + shift + (start - low)
        self.array = np.ndarray(like.shape, like.dtype, self._buffer, self._offset, like.strides)
        self.array[...] = values
        self.array.setflags(write=like.flags.writeable)

    def is_intact(self) -> bool:
        """Whether all bytes that do not belong to the array are as they were."""
        copy = self._buffer.copy()
        shape = (*self.array.shape, self.array.itemsize)
        strides = (*self.array.strides, 1)
        np.ndarray(shape, np.uint8, copy, self._offset, strides)[...] = _PATTERN
        return bool((copy == _PATTERN).all())
