"""What one call of a compiled derivative needs for itself, kept for the next one.

Fresh memory costs more, page by page, than the gradient of a large transform does (0.8 ms with it
at T127, 2.9 ms without). The block of words is kept too: what a tuple that keeps its arrays has
put there stays.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ._fixed import Findings, findings_of
from ._flat import flatten
from ._marshal import address, copy_like, zeros_like
from ._overlap import Ranges, Span, first_overlap


class Workspace:
    """For one call at a time.

    Parameters
    ----------
    program : Program
    hidden : sequence of int
        Positions of shadows that nobody looks at after a call: in reverse mode, where each item has
        one.

    Attributes
    ----------
    block : ctypes array
        The words of the call.
    """

    def __init__(self, program: Any, hidden: Sequence[int]) -> None:
        self._frame = program.frame
        self.block = self._frame.new_block()
        self._words = memoryview(self.block).cast("B")[: 8 * self._frame.words].cast("q")
        self._firsts = program.starts[:-1]
        self._hidden: dict[int, Any] = dict.fromkeys(hidden)
        self._memory: dict[int, np.ndarray] = {}  # that of the hidden shadows, to be cleared
        self._copies: dict[int, Any] = {}
        seen = [
            k for k, item in enumerate(self._frame.items) if item.varies and k not in self._hidden
        ]
        # Arguments all of whose shadows are kept here; the others' words change with each call.
        self._keeps = [not any(a <= k < b for k in seen) for a, b in pairwise(program.starts)]
        self._known: list[_Known | None] = [None] * len(self._firsts)
        self._seen = seen
        kinds = [item.kind for item in self._frame.items]
        # Arguments that are one number, or nothing: the words say all of them.
        self._numbers = [b - a == 1 and kinds[a] != "array" for a, b in pairwise(program.starts)]
        # Where the arrays among the arguments were in the last call, if nothing overlapped in it.
        self._places: list[Any] | None = None

    def fill(
        self, arguments: Sequence[Any], shadows: list[Any], seed: float
    ) -> tuple[tuple[Any, Any], list[Span]] | None:
        """Write the words of a call, clear the hidden shadows, and put them among `shadows`.

        Returns
        -------
        pair of arrays and spans, or None
            Two that overlap, one of which is written, among all that there are.
        """
        self._frame.fill_returned(self.block, seed)
        if self._fill_again(arguments, shadows):
            return None
        self._places = None
        fresh = self._takes_fresh_shadows(shadows)
        spans: list[Span] = []
        known: list[_Known] = []
        others: list[Any] = []  # items one after the other, of arguments that are looked at anew
        for i, argument in enumerate(arguments):
            findings = findings_of(argument) if self._keeps[i] else None
            if findings is None:
                self._known[i] = None
                others += (argument,) if type(argument) is np.ndarray else flatten((argument,))
                continue
            first = self._firsts[i]
            if others:
                spans += self._fill_items(first - len(others), others, shadows)
                others = []
            last = self._known[i]
            if last is not None and last.findings() is findings:
                self._clear(last.hidden, shadows)
            else:
                values = flatten((argument,))
                found = self._fill_items(first, values, shadows)
                hidden = [k for k in self._hidden if first <= k < first + len(values)]
                mine = {id(self._hidden[k]) for k in hidden}
                last = self._known[i] = _Known(findings, hidden, found, mine)
            known.append(last)
        if others:
            spans += self._fill_items(len(self._frame.items) - len(others), others, shadows)
        overlap = _overlap(spans, known)
        if overlap is None and fresh:
            self._places = [_place_of(argument) for argument in arguments]
        return overlap

    def _takes_fresh_shadows(self, shadows: list[Any]) -> bool:
        """Whether each item has one shadow, and those that are not kept here are made here.

        New memory overlaps nothing.
        """
        if self._frame.shadows != 1:
            return False
        for k in self._seen:
            if shadows[k] is not None:
                return False
        return True

    def _fill_again(self, arguments: Sequence[Any], shadows: list[Any]) -> bool:
        """As `fill`, if all arrays are where they were in the last call; else nothing is done."""
        places = self._places
        if places is None or not self._takes_fresh_shadows(shadows):
            return False
        numbers, arrays = [], []  # whose words, or whose shadows, are others
        for i, argument in enumerate(arguments):
            known = self._known[i]
            if known is not None:
                if known.findings() is not findings_of(argument):
                    return False
            elif self._numbers[i]:
                numbers.append(i)
            elif type(argument) is not np.ndarray or _place_of(argument) != places[i]:
                return False
            elif not self._keeps[i]:
                arrays.append(i)
        self._clear(self._hidden, shadows)
        frame, words = self._frame, self._words
        for i in numbers:
            frame.fill_items(self.block, self._firsts[i], (arguments[i],), shadows)
        for i in arrays:
            k = self._firsts[i]
            shadow = shadows[k] = zeros_like(arguments[i])
            words[frame.first_words[k] + 1] = address(shadow)
        return True

    def _fill_items(self, first: int, values: list[Any], shadows: list[Any]) -> list[Span]:
        """Write the words of consecutive items, with zeros for their hidden shadows."""
        for k in self._hidden:
            if first <= k < first + len(values):
                value, kept = values[k - first], self._hidden[k]
                if _fits(kept, value):
                    self._clear((k,), shadows)
                else:
                    shadows[k] = self._hidden[k] = zeros_like(value)
                    if value.size:
                        self._memory[k] = _memory_of(self._hidden[k])
        return self._frame.fill_items(self.block, first, values, shadows)

    def _clear(self, hidden: Iterable[int], shadows: list[Any]) -> None:
        for k in hidden:
            if k in self._memory:  # not empty
                self._memory[k].fill(0)
            shadows[k] = self._hidden[k]

    def copies(self, values: Sequence[Any]) -> list[Any]:
        """The values of all items, with copies of the arrays that the function may write."""
        return [
            self._copied(k, value) if item.written else value
            for k, (item, value) in enumerate(zip(self._frame.items, values, strict=True))
        ]

    def _copied(self, k: int, value: np.ndarray) -> np.ndarray:
        kept: Any = self._copies.get(k)
        if _fits(kept, value):
            kept[...] = value
        else:
            kept = self._copies[k] = copy_like(value)
        return kept


def _place_of(value: Any) -> Any:
    return (address(value), value.shape, value.strides) if type(value) is np.ndarray else None


def _memory_of(array: np.ndarray) -> np.ndarray:
    """As bytes where it is in one piece: they are cleared in less than half of the time."""
    if array.flags.c_contiguous:
        return array.reshape(-1).view(np.uint8)
    return array.T.reshape(-1).view(np.uint8) if array.flags.f_contiguous else array


def _fits(kept: Any, value: np.ndarray) -> bool:
    """Whether an array that was kept is laid out as this one."""
    return kept is not None and kept.shape == value.shape and kept.strides == value.strides


class _Known:
    """What a tuple that keeps its arrays has put into the block, and where its memory is."""

    def __init__(
        self, findings: Findings, hidden: list[int], spans: list[Span], mine: set[int]
    ) -> None:
        self.findings = weakref.ref(findings)
        self.hidden = hidden
        # By weak references: what is kept here does not keep the tuple alive.
        own = [span for span in spans if id(span[3]) not in mine]
        self._spans = [(low, high, is_written, weakref.ref(x)) for low, high, is_written, x in own]
        self.written = [(low, high) for low, high, is_written, _ in own if is_written]
        self.read = Ranges([span for span in own if not span[2]])

    def spans(self) -> list[Span]:
        return [(low, high, is_written, x()) for low, high, is_written, x in self._spans]  # type: ignore


def _overlap(spans: list[Span], known: list[_Known]) -> tuple[tuple[Any, Any], list[Span]] | None:
    """As `first_overlap`, with a quick answer where nothing comes near to anything."""
    if known:
        ranges = [(low, high) for low, high, _, _ in spans]
        for one in known:
            ranges += one.written
        ranges.sort()
        if all(one.read.are_apart_from(ranges) for one in known):
            return None
        spans = [*spans, *(span for one in known for span in one.spans())]
    pair = first_overlap(spans)
    return None if pair is None else (pair, spans)
