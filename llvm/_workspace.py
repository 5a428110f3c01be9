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

from ._again import Again
from ._fixed import Findings, findings_of
from ._flat import flatten
from ._marshal import copy_like, zeros_together
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
        self._firsts = program.starts[:-1]
        self._hidden: dict[int, Any] = dict.fromkeys(hidden)
        self._memory = np.empty(0, np.uint8)  # that of the hidden shadows, to be cleared
        self._copies: dict[int, Any] = {}
        self._seen = {
            k for k, item in enumerate(self._frame.items) if item.varies and k not in self._hidden
        }
        # Arguments all of whose shadows are kept here; the others' words change with each call.
        self._keeps = [
            self._seen.isdisjoint(range(first, end)) for first, end in pairwise(program.starts)
        ]
        self._known: list[Known | None] = [None] * len(self._firsts)
        self._again: Again | None = None

    def fill(
        self, arguments: Sequence[Any], shadows: list[Any], seed: float
    ) -> tuple[tuple[Any, Any], list[Span]] | None:
        """Write the words of a call, clear the hidden shadows, and put them among `shadows`.

        Returns
        -------
        pair of arrays and spans, or None
            Two that overlap, one of which is written, among all that there are.
        """
        self._again = None
        self._frame.fill_returned(self.block, seed)
        if self._hidden:
            self._clear_hidden(arguments)
            for k, shadow in self._hidden.items():
                shadows[k] = shadow
        spans: list[Span] = []
        known: list[Known] = []
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
            if last is None or last.findings() is not findings:
                found = self._fill_items(first, flatten((argument,)), shadows)
                last = self._known[i] = Known(findings, found, self._hidden.values())
            known.append(last)
        if others:
            spans += self._fill_items(len(self._frame.items) - len(others), others, shadows)
        return _overlap(spans, known)

    def remember(self, arguments: Sequence[Any], shadows: Sequence[Any]) -> None:
        """Make ready for more calls such as the last one, whose seen shadows were made for it."""
        if self._frame.shadows == 1 and Again.takes(arguments, self._known):
            self._again = Again(
                self._frame, self.block, arguments, self._firsts, self._known, self._seen, shadows
            )

    def fill_again(self, arguments: Sequence[Any]) -> list[Any] | None:
        """As `fill`, for arguments such as those remembered; None if they are others.

        Returns
        -------
        list or None
            All shadows.
        """
        shadows = None if self._again is None else self._again.fill(arguments)
        if shadows is not None and self._hidden:
            self._memory.fill(0)
        return shadows

    def _fill_items(self, first: int, values: list[Any], shadows: list[Any]) -> list[Span]:
        return self._frame.fill_items(self.block, first, values, shadows)

    def _clear_hidden(self, arguments: Sequence[Any]) -> None:
        """Zeros for the hidden shadows, which are made anew if one does not fit any more."""
        values = flatten(arguments)
        if all(_fits(kept, values[k]) for k, kept in self._hidden.items()):
            self._memory.fill(0)
            return
        made, self._memory = zeros_together([values[k] for k in self._hidden])
        self._hidden = dict(zip(self._hidden, made, strict=True))
        self._known = [None] * len(self._known)

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


def _fits(kept: Any, value: np.ndarray) -> bool:
    """Whether an array that was kept is laid out as this one."""
    return kept is not None and kept.shape == value.shape and kept.strides == value.strides


class Known:
    """What a tuple that keeps its arrays has put into the block, and where its memory is."""

    def __init__(self, findings: Findings, spans: list[Span], hidden: Iterable[Any]) -> None:
        self.findings = weakref.ref(findings)
        # By weak references: what is kept here does not keep the tuple alive.
        ours = set(map(id, hidden))
        own = [span for span in spans if id(span[3]) not in ours]
        self._spans = [(low, high, is_written, weakref.ref(x)) for low, high, is_written, x in own]
        self.ranges = [span[:2] for span in own]
        self.written = [span[:2] for span in own if span[2]]
        self.read = Ranges([span[:2] for span in own if not span[2]])

    def spans(self) -> list[Span]:
        return [(low, high, is_written, x()) for low, high, is_written, x in self._spans]  # type: ignore


def _overlap(spans: list[Span], known: list[Known]) -> tuple[tuple[Any, Any], list[Span]] | None:
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
