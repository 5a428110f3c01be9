"""Calls with arguments such as those of the last call: only what may differ is looked at.

To find types, bind names, write words and look for overlaps takes longer than a small gradient:
11 µs for four arguments, of which this leaves 4. An optimiser calls with the same arrays, or with
others of the same kind, thousands of times.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Any

import numpy as np

from ._arguments import class_decides, flags_of
from ._fixed import findings_of
from ._marshal import Frame, address, zeros_like
from ._overlap import Ranges, bounds


class Again:
    """What the last call was given, and which words of its block others would go into.

    Parameters
    ----------
    frame : Frame
        Of one shadow for each item that varies.
    block : from ``frame.new_block``
        Filled for that call.
    arguments : sequence
        Nothing overlaps that is written.
    firsts : sequence of int
        First item of each.
    known : sequence of Known or None
        For each argument that is a tuple that keeps its arrays, what `_workspace` knows of it.
    seen : set of int
        Items whose shadows are made anew for each call.
    shadows : list
        Of all items; those that are not `seen` are kept.
    """

    def __init__(
        self,
        frame: Frame,
        block: Any,
        arguments: Sequence[Any],
        firsts: Sequence[int],
        known: Sequence[Any],
        seen: Set[int],
        shadows: Sequence[Any],
    ) -> None:
        self._frame = frame
        self._block = block
        self._bytes = memoryview(block).cast("B")
        self._words = self._bytes[: 8 * frame.words].cast("q")
        self._returned = frame.returned(1.0)
        self._shadows = [None if k in seen else shadow for k, shadow in enumerate(shadows)]
        self._tuples = [one for one in known if one is not None]
        self._plans = [
            _Plan(frame, first, argument, one, first in seen)
            for first, argument, one in zip(firsts, arguments, known, strict=True)
        ]
        self._arrays = [plan for plan in self._plans if plan.dtype is not None]
        self._mover: _Plan | None = None  # the one array that moves from call to call,
        self._low, self._high = 1, 0  # and where it may begin

    @staticmethod
    def takes(arguments: Sequence[Any], known: Sequence[Any]) -> bool:
        """Whether the arguments are arrays, numbers and tuples that keep their arrays."""
        return all(
            one is not None or type(argument) is np.ndarray or class_decides(argument)
            for argument, one in zip(arguments, known, strict=True)
        )

    def fill(self, arguments: Sequence[Any]) -> list[Any] | None:
        """Write the words that differ.

        Returns
        -------
        list or None
            The shadows of all items; None if something is of another kind, or may share memory:
            what stands in the block then is of no use.
        """
        if len(arguments) != len(self._plans):
            return None
        shadows = self._shadows.copy()
        moved: list[tuple[_Plan, int]] = []
        for plan, argument in zip(self._plans, arguments, strict=True):
            if type(argument) is not plan.cls:
                return None
            if plan.dtype is not None:
                if not (
                    argument.dtype is plan.dtype
                    and argument.shape == plan.shape
                    and argument.strides == plan.strides
                    and flags_of(argument) == plan.flags
                ):
                    return None
                start = address(argument)
                if start != plan.start:
                    moved.append((plan, start))
                if plan.is_seen:
                    made = shadows[plan.first] = zeros_like(argument)
                    self._words[plan.word + 1] = address(made)
            elif plan.findings is not None:
                if findings_of(argument) is not plan.findings():
                    return None
            elif argument is not None:
                if not class_decides(argument):  # an integer that has become too large
                    return None
                self._frame.fill_items(self._block, plan.first, (argument,), shadows)
        if moved and not self._are_apart(moved):
            return None
        self._bytes[: len(self._returned)] = self._returned
        return shadows

    def _are_apart(self, moved: list[tuple[_Plan, int]]) -> bool:
        """Put arrays where they are now, unless one that is written may share memory."""
        (first, start), *others = moved
        if first is not self._mover or others or not self._low <= start <= self._high:
            self._mover = None
            for plan, begin in moved:
                plan.start = begin
            for plan, _ in moved:
                room = self._room(plan)
                if room is None:
                    plan.start = -1  # nothing is known any more
                    return False
                self._low, self._high = room[0] + plan.below, room[1] - plan.above
            self._mover = None if others else first
        for plan, begin in moved:
            plan.start = self._words[plan.word] = begin
        return True

    def _room(self, plan: _Plan) -> tuple[int, int] | None:
        """The memory around an array that it shares with nothing, or with what is only read."""
        taken = [
            (other.start - other.below, other.start + other.above)
            for other in self._arrays
            if other is not plan and other.above and (plan.written or other.written)
        ]
        for one in self._tuples:
            taken += one.ranges if plan.written else one.written
        return Ranges(taken).room(plan.start - plan.below, plan.start + plan.above)


class _Plan:
    """What is known about one argument.

    Attributes
    ----------
    cls : type
    first : int
        Its first item.
    findings : weak reference or None
        Of a tuple that keeps its arrays.
    dtype, shape, strides, flags, start
        Of an array; `dtype` is None for all else.
    below, above : int
        How many bytes of an array lie before its first item, and from there on.
    word : int
        Where its address goes; that of its shadow goes behind it.
    written : bool
        Whether the function may write it.
    is_seen : bool
        Whether its shadow is made anew for each call.
    """

    def __init__(self, frame: Frame, first: int, argument: Any, known: Any, is_seen: bool) -> None:
        self.cls = type(argument)
        self.first = first
        self.findings: Any = known.findings if known is not None else None
        self.dtype = None
        if self.cls is np.ndarray:
            self.dtype, self.shape, self.strides = argument.dtype, argument.shape, argument.strides
            self.flags = flags_of(argument)
            self.start = address(argument)
            low, high = bounds(argument, self.start)
            self.below, self.above = self.start - low, high - self.start
            self.word = frame.first_words[first]
            self.written = frame.items[first].written
            self.is_seen = is_seen
