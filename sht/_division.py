"""One field in several threads: what each of them does, and the memory that they share.

A field is divided where nothing is shared: the Fourier stage by tiles, the Legendre stage by tiles
when it makes fields and by groups of orders when it makes coefficients, which are packed and
unpacked by groups. Every sum is taken in the same order for any number of threads, so that the
results are the same bits.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ._legendre import STATE, WIDTH
from ._simd import RINGS, aligned_zeros
from ._stages import (
    coef_to_sums,
    pack_coefficients_into,
    rings_to_sums,
    sums_to_coef,
    sums_to_rings,
    unpack_coefficients_into,
)
from ._threads import run_at_once
from ._tile_tables import SIZE, WAY
from ._workers import LinearMap

if TYPE_CHECKING:  # it is imported when it is needed
    from llvm._steps import Shares, Step


class _Block:
    """Some tiles of one thread, which it takes through both stages before the next."""

    def __init__(self, t: Any, sums: NDArray, state: NDArray, ring: Any, tiles: Any) -> None:
        _, ngroups, _ = t.legendre.first.shape
        fields = t.legendre.columns
        self.sums = sums[: (tiles[1] - tiles[0]) * t.sums_of_a_tile(1)]
        self.to_sums = LinearMap(coef_to_sums, state, t, fields, (0, ngroups), tiles)
        self.from_sums = LinearMap(sums_to_coef, state, t, fields, (0, ngroups), tiles)
        self.to_rings = LinearMap(sums_to_rings, t, ring, fields, tiles)
        self.from_rings = LinearMap(rings_to_sums, t, ring, fields, tiles)


class _Part:
    """What one thread works on: some tiles, block by block or all at once, and some groups."""

    def __init__(self, t: Any, sums: NDArray, coef: NDArray, tiles: Any, groups: Any) -> None:
        _, _, ntiles = t.legendre.first.shape
        fields, size = t.legendre.columns, t.sums_of_a_tile(1)
        state, ring = aligned_zeros(STATE), t.ring_scratch(alone=True)
        first, end = (int(t.legendre.starts[g]) * fields * WIDTH for g in groups)
        self.all_sums, self.all_coef = sums, coef
        self.sums, self.coef = sums[tiles[0] * size : tiles[1] * size], coef[first:end]
        self.pack = LinearMap(pack_coefficients_into, t, fields, groups, True)
        self.unpack = LinearMap(unpack_coefficients_into, t, fields, groups, True)
        self.to_rings = LinearMap(sums_to_rings, t, ring, fields, tiles)
        self.from_rings = LinearMap(rings_to_sums, t, ring, fields, tiles)
        self.to_sums = LinearMap(coef_to_sums, state, t, fields, groups, (0, ntiles))
        self.from_sums = LinearMap(sums_to_coef, state, t, fields, groups, (0, ntiles))
        step = t.tiles_at_once(1)
        self.blocks = [
            _Block(t, self.sums, state, ring, (begin, min(begin + step, tiles[1])))
            for begin in range(tiles[0], tiles[1], step)
        ]


class _Item:
    """What a thread does next: something with compiled code, made when it is first asked for.

    Attributes
    ----------
    moves : bool
        Whether it has an array of the user's.
    """

    moves = False

    def step(self, result: NDArray, given: NDArray) -> Step | None:
        """For these arrays of the user's; None if they overlap what they must not."""
        raise NotImplementedError


class _Forwards(_Item):
    """``output = K(given)``; None stands for the array of the user's that is one of these."""

    _transposed = False

    def __init__(self, of: LinearMap, output: NDArray | None, given: NDArray | None) -> None:
        self._of, self._output, self._given = of, output, given
        self.moves = output is None or given is None
        self._call: Any = None

    def step(self, result: NDArray, given: NDArray) -> Step | None:
        if self._transposed:
            result, given = given, result
        output = result if self._output is None else self._output
        inner = given if self._given is None else self._given
        if self._call is None:
            self._call = self._of.like(output, inner, transposed=self._transposed)
        return self._call.step(output, inner)


class _Backwards(_Forwards):
    """``given += Kᵀ(output)``."""

    _transposed = True


class _Clear(_Item):
    def __init__(self, array: NDArray) -> None:
        from llvm._steps import Clearing

        self._clearing = Clearing(array)

    def step(self, result: NDArray, given: NDArray) -> Step | None:
        return self._clearing.step()


class _Barrier(_Item):
    """All threads come here before one goes on."""

    def step(self, result: NDArray, given: NDArray) -> Step | None:
        from llvm._steps import BARRIER

        return BARRIER


def _synthesis(p: _Part) -> list[_Item]:
    items: list[_Item] = [_Forwards(p.pack, p.all_coef, None), _Barrier()]
    for block in p.blocks:
        items += [
            _Forwards(block.to_sums, block.sums, p.all_coef),
            _Forwards(block.to_rings, None, block.sums),
        ]
    return items


def _adjoint_analysis(p: _Part) -> list[_Item]:
    items: list[_Item] = [_Backwards(p.unpack, None, p.all_coef), _Clear(p.sums), _Barrier()]
    for block in p.blocks:
        items += [
            _Backwards(block.from_sums, p.all_coef, block.sums),
            _Backwards(block.from_rings, block.sums, None),  # which clears the sums
        ]
    return items


def _analysis(p: _Part) -> list[_Item]:
    return [
        _Forwards(p.from_rings, p.sums, None),
        _Clear(p.coef),
        _Barrier(),
        _Forwards(p.from_sums, p.all_coef, p.all_sums),
        _Forwards(p.unpack, None, p.all_coef),
    ]


def _adjoint_synthesis(p: _Part) -> list[_Item]:
    return [
        _Clear(p.sums),
        _Backwards(p.to_rings, None, p.sums),
        _Clear(p.coef),
        _Barrier(),
        _Backwards(p.to_sums, p.all_sums, p.all_coef),
        _Backwards(p.pack, p.all_coef, None),
    ]


_SHARES: dict[str, Callable[[_Part], list[_Item]]] = {
    "synthesis": _synthesis,
    "analysis": _analysis,
    "adjoint_synthesis": _adjoint_synthesis,
    "adjoint_analysis": _adjoint_analysis,
}


class Division:
    """A transform, divided among as many threads as it has."""

    def __init__(self, t: Any) -> None:
        tables = t.legendre
        steps = (np.diff(tables.starts)[:, None] - tables.first).sum(axis=0)
        sums = aligned_zeros(tables.first.shape[2] * t.sums_of_a_tile(1))
        coef = aligned_zeros(int(tables.starts[-1]) * tables.columns * WIDTH)
        legendre, fourier = steps.sum(axis=0), _fourier_costs(t)
        groups = _equal_parts(steps.sum(axis=1), t.threads)

        def parts(costs: NDArray) -> list[_Part]:
            pairs = itertools.zip_longest(_equal_parts(costs, t.threads), groups, fillvalue=(0, 0))
            return [_Part(t, sums, coef, tiles, groups) for tiles, groups in pairs]

        # For maps whose threads take their tiles through both stages; for those that do one stage
        # after the other.
        both, apart = parts(legendre + fourier), parts(fourier)
        self._parts = {"synthesis": both, "adjoint_analysis": both}
        self._parts |= {"analysis": apart, "adjoint_synthesis": apart}
        self._maps: dict[str, _DividedMap] = {}

    def run(self, name: str, result: NDArray, given: NDArray) -> bool:
        """A map of one flat field. Whether it went well: a `Worker` has more to say about it."""
        known = self._maps.get(name)
        if known is None:
            lists = [_SHARES[name](part) for part in self._parts[name]]
            known = self._maps[name] = _DividedMap(lists)
        return known.run(result, given)


class _DividedMap:
    """What all threads do for one map, as compiled calls."""

    def __init__(self, lists: list[list[_Item]]) -> None:
        self._lists = lists
        self._shares: Shares | None = None
        self._moving: list[tuple[_Item, int, int, Step | None]] = []

    def run(self, result: NDArray, given: NDArray) -> bool:
        if self._shares is None:
            return self._run_first(result, given)
        for item, thread, position, known in self._moving:
            step = item.step(result, given)
            if step is None:
                return False
            if step != known:  # a rule has been registered since
                self._shares.put(thread, position, step)
        return run_at_once(self._shares)

    def _run_first(self, result: NDArray, given: NDArray) -> bool:
        from llvm._steps import Shares

        steps: list[list[Any]] = [[i.step(result, given) for i in own] for own in self._lists]
        if any(step is None for own in steps for step in own):
            return False
        self._shares = Shares(steps)
        self._moving = [
            (item, thread, position, steps[thread][position])
            for thread, items in enumerate(self._lists)
            for position, item in enumerate(items)
            if item.moves
        ]
        return run_at_once(self._shares)


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
