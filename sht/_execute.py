"""How the four maps are run: alone, in batches of fields, or one field in several threads.

The maps are two kernels, each forwards and transposed. Plain maps need no Enzyme.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._threads import in_threads

_WORTH_DIVIDING = 1 << 22
"""Coefficients times rings, reached at about T180: from there on it takes half a millisecond, and a
second thread is worth waking."""


def apply_to_one(name: str, t: Any, given: NDArray, out: NDArray | None) -> NDArray | None:
    """Apply a map to one field as it stands: the short way, for what users do most.

    Parameters
    ----------
    name : str
        As for `apply_to_batch`.
    t : Transform
    given : array
    out : array or None

    Returns
    -------
    array or None
        The result; None where something has to be looked at or converted: nothing has been done.
    """
    spaces = t.spaces.get(name)
    if spaces is None:
        return None
    source, target = spaces
    if not (given.dtype is source.dtype and given.shape == source.shape and given.flags.carray):
        return None
    if out is not None and not (
        out.dtype is target.dtype
        and out.shape == target.shape
        and out.flags.carray
        and not np.may_share_memory(out, given)
    ):
        return None
    result: NDArray = np.empty(target.shape, target.dtype) if out is None else out
    if t.threads > 1 and _is_divided(t):
        _divide(name, t, result.reshape(-1), given.reshape(-1))
        return result
    mine = t.borrow_worker(1)
    mine.short(name, result, given)
    t.give_back(mine)
    return result


def _is_divided(t: Any) -> bool:
    """Whether one field is worth dividing among threads."""
    return t.ncoef * t.grid.nlat >= _WORTH_DIVIDING


def apply_to_batch(name: str, t: Any, results: NDArray, batch: NDArray) -> None:
    """Apply a map to each field of a batch.

    Parameters
    ----------
    name : {"synthesis", "analysis", "adjoint_synthesis", "adjoint_analysis"}
    t : Transform
    results, batch : (count, ...) arrays
        C-contiguous. `results` is overwritten.
    """
    count = len(batch)
    if count < t.threads and _is_divided(t):
        for k in range(count):
            _divide(name, t, results[k].reshape(-1), batch[k].reshape(-1))
        return
    if count == 1:
        _alone(name, t, results.reshape(-1), batch.reshape(-1))
        return
    workers = min(t.threads, count)
    if workers == 0:
        return
    at_once = min(t.fields_at_once, -(-count // workers))

    def share(worker: int) -> None:
        mine = t.borrow_worker(at_once)
        end = (worker + 1) * count // workers
        for begin in range(worker * count // workers, end, at_once):
            some = slice(begin, min(begin + at_once, end))
            mine.run(name, results[some].reshape(-1), batch[some].reshape(-1))
        t.give_back(mine)

    in_threads(share, workers)


def _alone(name: str, t: Any, result: NDArray, given: NDArray) -> None:
    mine = t.borrow_worker(1)
    mine.run(name, result, given)
    t.give_back(mine)


def _divide(name: str, t: Any, result: NDArray, given: NDArray) -> None:
    division = t.borrow_division()
    well = division.run(name, result, given)
    t.give_back(division)
    if not well:
        _alone(name, t, result, given)  # it says what is wrong
