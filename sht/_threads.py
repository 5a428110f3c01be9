"""Threads that wait for work, so that to share a transform of a millisecond pays.

To start a thread for each call takes some 50 µs. These sleep in between, hold no lock that a fork
would leave locked, and end with the process. Nobody else's pool is used or disturbed, and calls
from many threads at once take a thread each, or start one.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable

Share = Callable[[int], None]


class _Hand(threading.Thread):
    """One thread, and the queue of what it is asked to do."""

    def __init__(self) -> None:
        super().__init__(name="sht", daemon=True)
        self.tasks: queue.SimpleQueue[tuple[Share, int, queue.SimpleQueue]] = queue.SimpleQueue()
        self.start()

    def run(self) -> None:
        while True:
            share, worker, results = self.tasks.get()
            results.put(_outcome(share, worker))
            del share, results  # or they would live as long as this waits


_idle: list[_Hand] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)  # threads do not survive a fork


def in_threads(share: Share, workers: int) -> None:
    """Call ``share(k)`` for each k < workers, the first in this thread. An exception comes through.

    Returns when all have ended.
    """
    results: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
    hands = [_take() for _ in range(1, workers)]
    for worker, hand in enumerate(hands, 1):
        hand.tasks.put((share, worker, results))
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
