"""How the four maps are run: batches of fields, and one field in several threads.

The maps are two kernels, each forwards and transposed. Plain maps need no Enzyme.

With several threads a field is divided where nothing is shared: the Fourier stage by tiles, the
Legendre stage by tiles when it makes fields and by groups of orders when it makes coefficients.
Every sum is taken in the same order for any number of threads, so that the results are the same
bits.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._legendre import PHASES, STATE, WIDTH
from ._simd import RINGS, aligned_zeros
from ._stages import (
    coef_to_sums,
    pack_coefficients_into,
    rings_to_sums,
    sums_to_coef,
    sums_to_rings,
    unpack_coefficients_into,
)
from ._threads import in_threads
from ._tile_tables import SIZE, WAY
from ._workers import LinearMap, clear

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
    if not (
        given.dtype is source.dtype
        and given.shape == source.shape
        and given.flags.carray
        and (t.threads == 1 or not _is_divided(t))
    ):
        return None
    if out is None:
        out = np.empty(target.shape, target.dtype)
    elif not (
        out.dtype is target.dtype
        and out.shape == target.shape
        and out.flags.carray
        and not np.may_share_memory(out, given)
    ):
        return None
    mine = t.borrow_worker(1)
    mine.short(name, out, given)
    t.give_back(mine)
    return out


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
            division = t.borrow_division()
            _DIVIDED[name](division, results[k].reshape(-1), batch[k].reshape(-1))
            t.give_back(division)
        return
    if count == 1:
        mine = t.borrow_worker(1)
        mine.run(name, results.reshape(-1), batch.reshape(-1))
        t.give_back(mine)
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


class _Part:
    """What one thread does of a divided field: some tiles, or some groups of orders."""

    def __init__(self, t: Any, sums: NDArray, tiles: Any, groups: Any) -> None:
        passes, ngroups, ntiles = t.legendre.first.shape
        fields = t.legendre.columns
        size = ngroups * passes * fields * PHASES
        state, ring = aligned_zeros(STATE), t.ring_scratch(alone=True)
        self.sums = sums[tiles[0] * size : tiles[1] * size]
        self.to_rings = LinearMap(sums_to_rings, t, ring, fields, tiles)
        self.from_rings = LinearMap(rings_to_sums, t, ring, fields, tiles)
        by_tiles, by_groups = ((0, ngroups), tiles), (groups, (0, ntiles))
        self.to_sums = LinearMap(coef_to_sums, state, t, fields, *by_tiles)
        self.from_sums = LinearMap(sums_to_coef, state, t, fields, *by_tiles)
        self.groups_to_sums = LinearMap(coef_to_sums, state, t, fields, *by_groups)
        self.groups_from_sums = LinearMap(sums_to_coef, state, t, fields, *by_groups)


class Division:
    """One field over several threads: the parts, and the memory they share.

    Attributes
    ----------
    both, apart : list of _Part
        For maps whose threads take their tiles through both stages; for those that do one stage
        after the other, by tiles and then by groups.
    """

    def __init__(self, t: Any) -> None:
        tables = t.legendre
        passes, ngroups, ntiles = tables.first.shape
        steps = (np.diff(tables.starts)[:, None] - tables.first).sum(axis=0)
        self.sums = aligned_zeros(ntiles * ngroups * passes * tables.columns * PHASES)
        self.coef = aligned_zeros(int(tables.starts[-1]) * tables.columns * WIDTH)
        self.pack = LinearMap(pack_coefficients_into, t, tables.columns, True)
        self.unpack = LinearMap(unpack_coefficients_into, t, tables.columns, True)
        legendre, fourier = steps.sum(axis=0), _fourier_costs(t)
        groups = _equal_parts(steps.sum(axis=1), t.threads)

        def parts(costs: NDArray) -> list[_Part]:
            pairs = itertools.zip_longest(_equal_parts(costs, t.threads), groups, fillvalue=(0, 0))
            return [_Part(t, self.sums, tiles, groups) for tiles, groups in pairs]

        self.both, self.apart = parts(legendre + fourier), parts(fourier)


def in_parts(parts: list[_Part], share: Callable[[_Part], None]) -> None:
    """Call `share` for each part, in a thread of its own."""
    in_threads(lambda k: share(parts[k]), len(parts))


def _fourier_costs(t: Any) -> NDArray:
    """What the Fourier stage of each tile costs, in steps of the Legendre stage (6.6 ns).

    A tile took 0.39 ns n log2(n) where all its rings have n points, 1.5 ns M log2(M) where they are
    chirped to M, and a ring alone 0.1 ns n log2(n). (`scripts/bench_stages.py`)
    """
    pairs, ffts = t.rings.pairs, t.tile_ffts
    n = np.maximum(np.diff(t.rings.offsets), 2)[pairs]
    alone = np.where(pairs >= 0, n * np.log2(n), 0.0).reshape(-1, 2 * RINGS).sum(axis=1)
    way, size = ffts.tiles[:, WAY], ffts.passes.sizes[ffts.tiles[:, SIZE], 0]
    together = size * np.log2(size)
    costs = np.choose(way, [0.015 * alone, 0.12 * together, 0.22 * together])
    return t.components * (costs + t.legendre.first.shape[1])


def _equal_parts(costs: NDArray, count: int) -> list[tuple[int, int]]:
    """Ranges of about equal cost, none of them empty."""
    cumulated = np.concatenate([[0], np.cumsum(costs + 1)])
    cuts = np.searchsorted(cumulated, np.linspace(0, cumulated[-1], count + 1))
    pairs = zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True)
    return [(a, b) for a, b in pairs if a < b]


def _synthesis(d: Division, field: NDArray, a: NDArray) -> None:
    d.pack.forwards(d.coef, a)

    def share(part: _Part) -> None:
        part.to_sums.forwards(part.sums, d.coef)
        part.to_rings.forwards(field, part.sums)

    in_parts(d.both, share)


def _adjoint_analysis(d: Division, field: NDArray, a: NDArray) -> None:
    d.unpack.backwards(a, d.coef)

    def share(part: _Part) -> None:
        clear(part.sums)
        part.from_sums.backwards(d.coef, part.sums)
        part.from_rings.backwards(part.sums, field)

    in_parts(d.both, share)


def _analysis(d: Division, a: NDArray, field: NDArray) -> None:
    clear(d.coef)
    in_parts(d.apart, lambda part: part.from_rings.forwards(part.sums, field))
    in_parts(d.apart, lambda part: part.groups_from_sums.forwards(d.coef, d.sums))
    d.unpack.forwards(a, d.coef)


def _adjoint_synthesis(d: Division, a: NDArray, field: NDArray) -> None:
    def fourier(part: _Part) -> None:
        clear(part.sums)
        part.to_rings.backwards(field, part.sums)

    in_parts(d.apart, fourier)
    clear(d.coef)
    in_parts(d.apart, lambda part: part.groups_to_sums.backwards(d.sums, d.coef))
    d.pack.backwards(d.coef, a)


_DIVIDED: dict[str, Callable[[Division, NDArray, NDArray], None]] = {
    "synthesis": _synthesis,
    "analysis": _analysis,
    "adjoint_synthesis": _adjoint_synthesis,
    "adjoint_analysis": _adjoint_analysis,
}
