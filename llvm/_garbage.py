"""Fewer looks through all of Python's objects while code is compiled."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# Numba makes some million objects for a map of `sht`, nearly all of which live until it is done.
# By the usual thresholds the collector looks through all of them again and again: 1.6 s of 17 s of
# a first map and its adjoint, where these spend 0.2 s and take 4 % more memory.
_THRESHOLDS = 20_000, 50, 100


@contextmanager
def seldom_collected() -> Iterator[None]:
    """A time in which garbage is collected seldom. Where it is not collected at all, it is not."""
    before = gc.get_threshold()
    if before[0]:
        gc.set_threshold(*_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
