"""How the four maps are run: one field in one thread or in several, and batches of fields.

The maps are two kernels, each forwards and transposed. Compiling is left to `llvm`, imported only
here and when it is needed, so that `import sht` stays light. Plain maps need no Enzyme.

With several threads a field is divided where nothing is shared: the Fourier stage by tiles, the
Legendre stage by tiles when it makes fields and by groups of orders when it makes coefficients.
Every sum is taken in the same order for any number of threads, so that the results are the same
bits.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._apply import backwards, forwards, placeholder
from ._kernels import Scratch, coefficients_of_points_into, points_of_coefficients_into
from ._legendre import PHASES, WIDTH
from ._simd import aligned_zeros
from ._stages import (
    coef_to_sums,
    pack_coefficients_into,
    rings_to_sums,
    sums_to_coef,
    sums_to_rings,
    unpack_coefficients_into,
)

_WORTH_DIVIDING = 1 << 26
"""Coefficients times rings, reached at about T450. At T255 two threads were slower than one: to
start the second, and Python between the stages, takes as long as half of the field."""


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
    if count < t.threads and t.ncoef * t.grid.nlat >= _WORTH_DIVIDING:
        for k in range(count):
            _DIVIDED[name](t, results[k].reshape(-1), batch[k].reshape(-1))
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
            _WHOLE[name](mine, results[some].reshape(-1), batch[some].reshape(-1))
        t.give_back(mine)

    if workers == 1:
        share(0)
    else:
        in_threads(share, workers)


def in_threads(share: Callable[[int], None], workers: int) -> None:
    """Call ``share(k)`` for each k < workers, the first in this thread. An exception comes through.

    Threads are started for each call: that takes some 50 µs, and nothing is left running that would
    have to survive a fork or share the cores with anybody's pool.
    """
    errors: list[BaseException] = []

    def guarded(worker: int) -> None:
        try:
            share(worker)
        except BaseException as error:
            errors.append(error)

    others = [threading.Thread(target=guarded, args=(k,)) for k in range(1, workers)]
    for thread in others:
        thread.start()
    guarded(0)
    for thread in others:
        thread.join()
    if errors:
        raise errors[0]


class Worker:
    """What one thread needs for the maps of one Transform, kept from call to call.

    Making the work space, and checking the two dozen arrays of a plan, takes longer than a small
    transform does. `fields` are transformed at once.
    """

    def __init__(self, t: Any, fields: int = 1) -> None:
        self.fields = fields
        self.scratch: Scratch = t.scratch(fields)
        self._t = t
        self._bound: dict[Any, Any] = {}
        self._copies: dict[Any, NDArray] = {}

    def forwards(self, kernel: Any, output: NDArray, given: NDArray) -> None:
        """``output = K(given)`` for whole fields, flat."""
        self._bind(kernel, transposed=False)(output, given)

    def backwards(self, kernel: Any, output: NDArray, given: NDArray) -> None:
        """``given = Kᵀ(output)`` for whole fields, flat."""
        key = output.shape, output.dtype
        copy = self._copies.get(key)
        if copy is None:
            copy = self._copies[key] = np.empty_like(output)
        copy[...] = output  # it is used up
        given[...] = 0
        self._bind(kernel, transposed=True)(
            placeholder("output", output.shape, output.dtype),
            placeholder("given", given.shape, given.dtype),
            shadows=(copy, given),
        )

    def _bind(self, kernel: Any, *, transposed: bool) -> Any:
        key = kernel, transposed
        if key not in self._bound:
            from llvm import Bound

            self._bound[key] = Bound(kernel, (self._t, self.scratch), transposed=transposed)
        return self._bound[key]


_WHOLE: dict[str, Callable[[Worker, NDArray, NDArray], None]] = {
    "synthesis": lambda w, f, a: w.forwards(points_of_coefficients_into, f, a),
    "analysis": lambda w, a, f: w.forwards(coefficients_of_points_into, a, f),
    "adjoint_synthesis": lambda w, a, f: w.backwards(points_of_coefficients_into, f, a),
    "adjoint_analysis": lambda w, f, a: w.backwards(coefficients_of_points_into, a, f),
}


class Division:
    """One field over several threads: the parts, and the memory they share, kept between calls."""

    def __init__(self, t: Any, fields: int = 1) -> None:
        self.fields = fields
        tables = t.legendre
        _, self.ngroups, self.ntiles = tables.first.shape
        steps = (np.diff(tables.starts)[:, None] - tables.first).sum(axis=0)
        self.tiles = _equal_parts(steps.sum(axis=0), t.threads)
        self.groups = _equal_parts(steps.sum(axis=1), t.threads)
        self.size = self.ngroups * len(tables.first) * PHASES
        self.sums = aligned_zeros(self.ntiles * self.size)
        self.coef = aligned_zeros(int(tables.starts[-1]) * WIDTH)

    def sums_of(self, tiles: tuple[int, int]) -> NDArray:
        return self.sums[tiles[0] * self.size : tiles[1] * self.size]


def _equal_parts(costs: NDArray, count: int) -> list[tuple[int, int]]:
    """Ranges of about equal cost, none of them empty."""
    cumulated = np.concatenate([[0], np.cumsum(costs + 1)])
    cuts = np.searchsorted(cumulated, np.linspace(0, cumulated[-1], count + 1))
    pairs = zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True)
    return [(a, b) for a, b in pairs if a < b]


def _divided_spread(t: Any, field: NDArray, a: NDArray, *, transposed: bool) -> None:
    """From coefficients to a field: synthesis, or the transpose of analysis."""
    d = t.borrow_division()
    if transposed:
        field[...] = 0
        d.coef[:] = 0
        d.sums[:] = 0
        backwards(unpack_coefficients_into, a.copy(), d.coef, t, 1)
    else:
        forwards(pack_coefficients_into, d.coef, a, t, 1)

    def share(k: int) -> None:
        tiles = d.tiles[k]
        sums, mine = d.sums_of(tiles), t.borrow_worker()
        scratch = mine.scratch
        everything = (0, d.ngroups)
        if transposed:
            backwards(sums_to_coef, d.coef, sums, scratch.state, t, 1, everything, tiles)
            backwards(rings_to_sums, sums, field, t, scratch, 1, tiles)
        else:
            forwards(coef_to_sums, sums, d.coef, scratch.state, t, 1, everything, tiles)
            forwards(sums_to_rings, field, sums, t, scratch, 1, tiles)
        t.give_back(mine)

    in_threads(share, len(d.tiles))
    t.give_back(d)


def _divided_gather(t: Any, a: NDArray, field: NDArray, *, transposed: bool) -> None:
    """From a field to coefficients: analysis, or the transpose of synthesis."""
    d = t.borrow_division()
    d.coef[:] = 0
    if transposed:
        d.sums[:] = 0
    everything = (0, d.ntiles)
    given = field.copy() if transposed else field

    def fourier(k: int) -> None:
        tiles, mine = d.tiles[k], t.borrow_worker()
        if transposed:
            backwards(sums_to_rings, given, d.sums_of(tiles), t, mine.scratch, 1, tiles)
        else:
            forwards(rings_to_sums, d.sums_of(tiles), given, t, mine.scratch, 1, tiles)
        t.give_back(mine)

    def legendre(k: int) -> None:
        groups, mine = d.groups[k], t.borrow_worker()
        state = mine.scratch.state
        if transposed:
            backwards(coef_to_sums, d.sums, d.coef, state, t, 1, groups, everything)
        else:
            forwards(sums_to_coef, d.coef, d.sums, state, t, 1, groups, everything)
        t.give_back(mine)

    in_threads(fourier, len(d.tiles))
    in_threads(legendre, len(d.groups))
    if transposed:
        a[...] = 0
        backwards(pack_coefficients_into, d.coef, a, t, 1)
    else:
        forwards(unpack_coefficients_into, a, d.coef, t, 1)
    t.give_back(d)


_DIVIDED: dict[str, Callable[[Any, NDArray, NDArray], None]] = {
    "synthesis": lambda t, f, a: _divided_spread(t, f, a, transposed=False),
    "analysis": lambda t, a, f: _divided_gather(t, a, f, transposed=False),
    "adjoint_synthesis": lambda t, a, f: _divided_gather(t, a, f, transposed=True),
    "adjoint_analysis": lambda t, f, a: _divided_spread(t, f, a, transposed=True),
}
