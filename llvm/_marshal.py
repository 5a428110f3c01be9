"""From Python values to the words that compiled code reads, and the check that makes that safe."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from ._flat import Item
from ._overlap import Span, bounds

_CODES = {"float64": "d", "float32": "f4x", "complex128": "dd", "complex64": "ff"}


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
    first_words : list of int
        Of each item.
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
        self._returned = struct.Struct(f"={''.join(codes)}")
        word = len(codes)
        self._parts: dict[tuple[int, int], tuple[struct.Struct, int]] = {}
        self._codes: list[str] = []
        self.first_words: list[int] = []
        self.number_words: list[tuple[int, int, Any]] = []
        for position, item in enumerate(self.items):
            self.first_words.append(word)
            code, words = "", 0
            if item.kind == "array":
                ty: Any = item.type
                sizes = ty.ndim if ty.layout in "CF" else 2 * ty.ndim
                words = 1 + shadows * item.varies + sizes
                code = f"{words}q"
            elif item.kind == "integer":
                code, words = "q", 1
            elif item.kind != "nothing":
                one = _CODES[item.type.name]
                long = struct.calcsize(f"={one}") // 8
                own = range(shadows * position, shadows * (position + 1)) if item.varies else ()
                code, words = one * (1 + len(own)), long * (1 + len(own))
                for count, k in enumerate(own, 1):
                    self.number_words.append((k, word + long * count, item.type))
            self._codes.append(code)
            word += words
        self.words = word
        self._block = ctypes.c_char * max(1, 8 * word)  # filled by the compiled code: not `bytes`
        self._numbers = [
            (k, 8 * first, struct.Struct(f"={_CODES[ty.name]}"))
            for k, first, ty in self.number_words
        ]
        strided = [i.kind == "array" and getattr(i.type, "layout", "") == "A" for i in items]
        self._plan = [(item.kind, s, item) for item, s in zip(items, strided, strict=True)]

    def new_block(self) -> Any:
        """Memory for the words of a call."""
        return self._block()

    def fill(
        self, values: Sequence[Any], shadows: list[Any], seed: float
    ) -> tuple[Any, list[Span]]:
        """A block for one call, and the memory that it points to; see `fill_items`.

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
        block = self.new_block()
        self.fill_returned(block, seed)
        return block, self.fill_items(block, 0, values, shadows)

    def fill_returned(self, block: Any, seed: float) -> None:
        """Zeros for the returned number and its tangents, and its cotangent."""
        words = self.returned(seed)
        block[: len(words)] = words

    def returned(self, seed: float) -> bytes:
        """The first words of a block: see `fill_returned`."""
        if not self.returns_value:
            return b""
        words = [0.0] * (1 + self.shadows)
        if self.shadows:
            words[self.seeded] = seed
        return self._returned.pack(*words)

    def fill_items(
        self, block: Any, first: int, values: Sequence[Any], shadows: list[Any]
    ) -> list[Span]:
        """Write the words of consecutive items; return the memory that they point to.

        Parameters
        ----------
        block : from `new_block`
        first : int
            Position of the first item.
        values : sequence
            One for each item.
        shadows : list
            As for `fill`, of all items.
        """
        count = self.shadows
        words: list[Any] = []
        spans: list[Span] = []
        end = first + len(values)
        for k, value in enumerate(values, first):
            kind, strided, item = self._plan[k]
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
        if words:
            layout, offset = self._part(first, end)
            layout.pack_into(block, offset, *words)
        return spans

    def _part(self, first: int, end: int) -> tuple[struct.Struct, int]:
        known = self._parts.get((first, end))
        if known is None:
            layout = struct.Struct(f"={''.join(self._codes[first:end])}")
            known = self._parts[first, end] = layout, 8 * self.first_words[first]
        return known

    def read(self, block: Any, shadows: list[Any]) -> tuple[float, float]:
        """The returned number and its first shadow; those of the arguments go into `shadows`."""
        for position, offset, layout in self._numbers:
            pair = layout.unpack_from(block, offset)
            shadows[position] = pair[0] if len(pair) == 1 else complex(*pair)
        if not self.returns_value:
            return 0.0, 0.0
        value, *tangents = self._returned.unpack_from(block)
        return value, tangents[0] if tangents else 0.0


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
    # On a cache line: vectors of a shadow that lie across two lines cost twice.
    if array.flags.c_contiguous:
        if array.nbytes < 4096:
            return np.zeros(array.shape, array.dtype)
        buffer = np.zeros(array.nbytes + 64, np.uint8)
        return np.ndarray(array.shape, array.dtype, buffer, -address(buffer) % 64)
    return zeros_together([array])[0][0]


def zeros_together(arrays: Sequence[np.ndarray]) -> tuple[list[np.ndarray], np.ndarray]:
    """As `zeros_like` for each of some arrays, and the memory of all of them, in one piece."""
    offsets, size = [], 0
    for array in arrays:
        start = address(array)
        low, high = bounds(array, start)
        offsets.append(size + start - low)
        size += -(-(high - low) // 64) * 64
    memory = np.zeros(size + 64, np.uint8)
    begin = -address(memory) % 64
    made = [
        np.ndarray(array.shape, array.dtype, memory, begin + offset, array.strides)
        for array, offset in zip(arrays, offsets, strict=True)
    ]
    return made, memory


def copy_like(array: np.ndarray) -> np.ndarray:
    """A copy with the array's very strides."""
    made = zeros_like(array)
    made[...] = array
    return made
