"""Whether arrays share memory: compiled code is told that no two of them do."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from operator import itemgetter
from typing import Any

import numpy as np

Span = tuple[int, int, bool, np.ndarray]
"""First byte, end, whether it is written, and the array."""


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
    """The first byte of an array, and the one after its last."""
    if not array.size:
        return start, start
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


class Ranges:
    """Disjoint ranges of memory, in order, that cover those given: first bytes and ends."""

    def __init__(self, ranges: Iterable[tuple[int, int]]) -> None:
        self._lows: list[int] = []
        self._highs: list[int] = []
        for low, high in sorted(ranges):
            if self._highs and low <= self._highs[-1]:
                self._highs[-1] = max(high, self._highs[-1])
            else:
                self._lows.append(low)
                self._highs.append(high)

    def are_apart_from(self, others: list[tuple[int, int]]) -> bool:
        """Whether the others, in order, overlap neither these nor each other."""
        end = 0
        for low, high in others:
            k = bisect_right(self._lows, low)
            if low < end or (k and self._highs[k - 1] > low):
                return False
            if k < len(self._lows) and self._lows[k] < high:
                return False
            end = high
        return True

    def room(self, low: int, high: int) -> tuple[int, int] | None:
        """The range around this one that is free of these; None if this one is not."""
        k = bisect_right(self._lows, low)
        begin = self._highs[k - 1] if k else 0
        end = self._lows[k] if k < len(self._lows) else 1 << 63
        return (begin, end) if begin <= low and high <= end else None
