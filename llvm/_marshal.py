"""From Python values to the words that compiled code reads, and the check that makes that safe."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from operator import itemgetter
from typing import Any

import numpy as np

from ._flat import Item

Span = tuple[int, int, bool, np.ndarray]
"""First byte, end, whether it is written, and the array."""

_CODES = {
    "float64": ("d", 1),
    "float32": ("f4x", 1),
    "complex128": ("dd", 2),
    "complex64": ("ff", 2),
}


class Frame:
    """How the arguments and shadows of one compiled derivative lie in memory when it is called.

    A block of words: the returned number and its shadows, then for each item what it is followed by
    what its shadows are. An array is its address, its shadows' addresses, its shape and, if it is
    neither C nor Fortran, its strides; a number is itself, and its shadows.

    Parameters
    ----------
    items : sequence of Item
    returned_bits : int
        32 or 64 for a function that returns a number, 0 for one that does not.
    shadows : int
        How many an item has that varies: see `Mode`.

    Attributes
    ----------
    words : int
        Of the block.
    seeded : int
        Which word holds the derivative that goes in for the returned number.
    number_words : list of (int, int, numba type)
        For each number that varies, of its shadows: the position among all shadows, its first word,
        its type.
    """

    def __init__(self, items: Sequence[Item], returned_bits: int, shadows: int) -> None:
        self.items = tuple(items)
        self.returns_value = returned_bits > 0
        self.shadows = shadows
        # The cotangent is the only shadow of the returned number, or lies between two tangents.
        self.seeded = 1 if shadows == 1 else 2
        codes = ["f4x" if returned_bits == 32 else "d"] * (1 + shadows if returned_bits else 0)
        count = word = len(codes)
        self._derivatives: list[tuple[int, int, int]] = []
        self.number_words: list[tuple[int, int, Any]] = []
        for position, item in enumerate(self.items):
            if item.kind == "array":
                ty: Any = item.type
                sizes = ty.ndim if ty.layout in "CF" else 2 * ty.ndim
                words = 1 + shadows * item.varies + sizes
                codes.append(f"{words}q")
                count += words
                word += words
            elif item.kind == "integer":
                codes.append("q")
                count += 1
                word += 1
            elif item.kind != "nothing":
                code, numbers = _CODES[item.type.name]
                own = range(shadows * position, shadows * (position + 1)) if item.varies else ()
                codes.append(code * (1 + len(own)))
                long = struct.calcsize(f"={code}") // 8
                for k in own:
                    count += numbers
                    word += long
                    self._derivatives.append((k, count, numbers))
                    self.number_words.append((k, word, item.type))
                count += numbers
                word += long
        self._struct = struct.Struct(f"={''.join(codes)}")
        self.words = self._struct.size // 8
        # Filled by the compiled code, so not `bytes`.
        self._block = ctypes.c_char * max(1, self._struct.size)
        strided = [i.kind == "array" and getattr(i.type, "layout", "") == "A" for i in items]
        self._plan = [(item.kind, s, item) for item, s in zip(items, strided, strict=True)]

    def fill(
        self, values: Sequence[Any], shadows: list[Any], seed: float
    ) -> tuple[Any, list[Span]]:
        """The block for one call, and the memory that it points to.

        Parameters
        ----------
        values : sequence
            One for each item.
        shadows : list
            `Frame.shadows` for each item: an array, a number, or None for zero. Where an array is
            needed and None given, one of zeros is put into the list.
        seed : float
            Derivative that goes in for the returned number, in reverse mode.
        """
        count = self.shadows
        words: list[Any] = []
        if self.returns_value:
            words = [0.0] * (1 + count)
            if count:
                words[self.seeded] = seed
        spans: list[Span] = []
        for k, (kind, strided, item) in enumerate(self._plan):
            value = values[k]
            if kind == "array":
                start = address(value)
                words.append(start)
                size = value.nbytes
                if size:
                    low, high = bounds(value, start) if strided else (start, start + size)
                    spans.append((low, high, item.written, value))
                for s in range(count * k, count * (k + 1)) if item.varies else ():
                    shadow = shadows[s]
                    if shadow is None:
                        shadow = shadows[s] = zeros_like(value)
                    start = address(shadow)
                    words.append(start)
                    if size:
                        low, high = bounds(shadow, start) if strided else (start, start + size)
                        spans.append((low, high, True, shadow))
                words += value.shape
                if strided:
                    words += value.strides
            elif kind == "integer":
                word = int(value)
                words.append(word if word < 1 << 63 else word - (1 << 64))
            elif kind == "real":
                words.append(value)
                if item.varies:
                    words += [s or 0.0 for s in shadows[count * k : count * (k + 1)]]
            elif kind == "complex":
                words += value.real, value.imag
                for s in shadows[count * k : count * (k + 1)] if item.varies else ():
                    shadow = s or 0.0
                    words += shadow.real, shadow.imag
        block = self._block()
        self._struct.pack_into(block, 0, *words)
        return block, spans

    def read(self, block: Any, shadows: list[Any]) -> tuple[float, float]:
        """The returned number and its first shadow; those of the arguments go into `shadows`."""
        words = self._struct.unpack_from(block)
        for position, first, count in self._derivatives:
            pair = words[first : first + count]
            shadows[position] = pair[0] if count == 1 else complex(*pair)
        if not self.returns_value:
            return 0.0, 0.0
        return words[0], words[1] if self.shadows else 0.0


# NumPy keeps an array's address right behind Python's own header of the object. Read there, it
# takes 0.1 µs; by `__array_interface__`, 1 µs, which for a plan of two dozen arrays is more than
# the rest.
_HEADER = object.__basicsize__
_word_at = ctypes.c_size_t.from_address


def _quick_address(array: np.ndarray) -> int:
    return _word_at(id(array) + _HEADER).value


def _safe_address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


_probe = np.zeros(3)[1:]
address = _quick_address if _quick_address(_probe) == _safe_address(_probe) else _safe_address
"""The address of an array's first item."""


def zeros_like(array: np.ndarray) -> np.ndarray:
    """A shadow of zeros for an array: with its very strides, so that Numba sees the same type."""
    if array.nbytes < 4096 and array.flags.c_contiguous:
        return np.zeros(array.shape, array.dtype)
    low = high = start = address(array)
    if array.size:
        low, high = bounds(array, start)
    # On a cache line: vectors of a shadow that lie across two lines cost twice.
    buffer = np.zeros(high - low + 64, np.uint8)
    offset = -address(buffer) % 64 + start - low
    return np.ndarray(array.shape, array.dtype, buffer, offset, array.strides)


def copy_like(array: np.ndarray) -> np.ndarray:
    """A copy with the array's very strides."""
    made = zeros_like(array)
    made[...] = array
    return made


def overlaps_itself(array: np.ndarray) -> bool:
    """Whether two elements of an array share memory, as in what ``np.broadcast_to`` returns."""
    if array.flags.forc:
        return False
    steps = sorted((abs(s), n) for s, n in zip(array.strides, array.shape, strict=True) if n > 1)
    reach = array.itemsize
    for step, length in steps:
        if step < reach:
            return bool(array.size)
        reach = step * (length - 1) + reach
    return False


def first_overlap(spans: list[Span]) -> tuple[np.ndarray, np.ndarray] | None:
    """Two arrays that share memory, one of which is written; None if there are none.

    Compiled code is told that no two arrays overlap. Arrays that are only read may: nothing that is
    done to one can then be seen through the other.
    """
    spans.sort(key=itemgetter(0))
    end = end_of_written = 0
    for low, high, written, _ in spans:
        if low < (end if written else end_of_written):
            return _exact_overlap(spans)
        if high > end:
            end = high
        if written and high > end_of_written:
            end_of_written = high
    return None


def _exact_overlap(spans: list[Span]) -> tuple[np.ndarray, np.ndarray] | None:
    """As `first_overlap`, for sorted spans some of which meet: their arrays may interleave."""
    for k, (_, high, written, a) in enumerate(spans):
        for low, _, also_written, b in spans[k + 1 :]:
            if low >= high:
                break
            if (written or also_written) and _share(a, b):
                return a, b
    return None


def bounds(array: np.ndarray, start: int) -> tuple[int, int]:
    """The first byte of an array that is not empty, and the one after its last."""
    low, high = start, start + array.itemsize
    for length, step in zip(array.shape, array.strides, strict=True):
        if step < 0:
            low += (length - 1) * step
        else:
            high += (length - 1) * step
    return low, high


def _share(a: np.ndarray, b: np.ndarray) -> bool:
    effort: Any = 10_000
    try:
        return np.shares_memory(a, b, max_work=effort)
    except np.exceptions.TooHardError:
        return True
