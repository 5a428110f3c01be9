"""Threads that wait for work, so that to share a transform of a millisecond pays.

To start a thread for each call takes some 50 µs. These sleep in between, or stay awake for a while
in compiled code (`llvm._steps`), hold no lock that a fork would leave locked, and end with the
process. Nobody else's pool is used or disturbed, and calls from many threads at once take a thread
each, or start one.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # it is imported when it is needed
    from llvm._steps import Box, Shares

Share = Callable[[int], None]


class _Hand(threading.Thread):
    """One thread, and the queue of what it is asked to do."""

    def __init__(self) -> None:
        super().__init__(name="sht", daemon=True)
        self._tasks: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._box: Box | None = None
        self.start()

    def run(self) -> None:
        while True:
            task = self._tasks.get()
            task()
            del task  # or what it has would live as long as this waits

    def ask(self, task: Callable[[], None]) -> None:
        """Have it call `task`, which does not raise."""
        if self._box is not None:
            self._box.send_to_sleep()
        self._tasks.put(task)

    @property
    def box(self) -> Box:
        """Where it looks while it is awake."""
        if self._box is None:
            from llvm._steps import Box

            self._box = Box()
        return self._box

    def wake(self) -> None:
        """Have it look there. To do so twice is of no consequence."""
        self._tasks.put(self.box.serve)


_idle: list[_Hand] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)  # threads do not survive a fork


def run_at_once(shares: Shares) -> bool:
    """Run lists of compiled calls, the first in this thread; whether all went well."""
    hands = [_take() for _ in range(1, len(shares))]
    boxes, well = [hand.box for hand in hands], False
    try:
        for hand, sleeps in zip(hands, shares.give(boxes), strict=True):
            if sleeps:
                hand.wake()
    except BaseException:  # an interrupt: they would wait for each other for ever
        for hand in hands:
            hand.wake()
        raise
    finally:
        if shares.are_given:
            well = shares.lead()
        _idle.extend(hands)
    return well


def in_threads(share: Share, workers: int) -> None:
    """Call ``share(k)`` for each k < workers, the first in this thread. An exception comes through.

    Returns when all have ended.
    """
    results: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
    hands = [_take() for _ in range(1, workers)]
    for worker, hand in enumerate(hands, 1):
        hand.ask(lambda worker=worker: results.put(_outcome(share, worker)))
    outcomes = [_outcome(share, 0), *(results.get() for _ in hands)]
    _idle.extend(hands)
    for error in outcomes:
        if error is not None:
            raise error


def _take() -> _Hand:
    try:
        return _idle.pop()
    except IndexError:
        return _Hand()


def _outcome(share: Share, worker: int) -> BaseException | None:
    try:
        share(worker)
    except BaseException as error:
        return error
    return None
