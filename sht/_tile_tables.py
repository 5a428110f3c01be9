"""What the Fourier stage knows of tiles whose rings are transformed at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ._lane_ffts import chirp_size, chirps_of, turns_of
from ._lane_passes import PAIR, Passes, make_passes, radices_of
from ._legendre_tables import LegendreTables
from ._ring_tables import RingTables
from ._simd import LANES, RINGS

WAY, SIZE, KEPT, LONGEST, SHORTEST, FACTORS, TURNING = range(7)
"""Columns of `TileFFTs.tiles`."""
ONE_BY_ONE, ONE_LENGTH, ANY_LENGTH = range(3)
"""Ways."""


class TileFFTs(NamedTuple):
    """Tables for the tiles of a grid.

    Where a tile has fewer rings than there are lanes, the others are its first ring again, with no
    share in anything.

    Attributes
    ----------
    work : int
        How many float64 a transform needs for itself.
    tiles : (ntiles, 7) int64
        The way of a tile; which of the sizes of `passes`; the highest order of its rings; points of
        the longest and of the shortest; where its factors begin; where those that turn its orders
        begin, or -1.
    offsets, lengths : (ntiles, LANES) int64
        Where the points of each ring begin, and how many there are: of those in the north, then of
        those in the south.
    shares : (2, ntiles, LANES) float64
        Solid angle of a point of each; ones. Both 0 for rings that there are not.
    passes : Passes
    factors : (...) float64
        See `_lane_ffts`; and exp(i m φ0), real and imaginary parts of all lanes.
    """

    work: int
    tiles: np.ndarray
    offsets: np.ndarray
    lengths: np.ndarray
    shares: np.ndarray
    passes: Passes
    factors: np.ndarray


def make_tile_ffts(rings: RingTables, phi0: np.ndarray, legendre: LegendreTables) -> TileFFTs:
    """Tables for the rings of a grid, whose first longitudes are phi0."""
    lanes, there = _lanes_of(rings)
    n = np.diff(rings.offsets)[lanes]
    kept = np.minimum(rings.orders[lanes], _reach(legendre)[:, None])
    sizes: dict[int, int] = {}
    known: dict[bytes, int] = {}
    factors: list[np.ndarray] = [np.zeros(0)]
    tiles = np.zeros((len(lanes), 7), np.int64)

    def begin_of(made: np.ndarray) -> int:  # many tiles have the same
        key = made.tobytes()
        if key not in known:
            known[key] = sum(map(len, factors))
            factors.append(made)
        return known[key]

    for row, ring, each, order, is_there in zip(tiles, lanes, n, kept, there, strict=True):
        way = _way(ring, each, order, is_there, phi0)
        row[[WAY, KEPT, TURNING]] = way, np.max(order), -1
        row[[LONGEST, SHORTEST]] = np.max(each), np.min(each)
        if way == ONE_LENGTH:
            size = int(each[0]) // 2
            row[FACTORS] = begin_of(turns_of(int(each[0])))
            if phi0[ring].any():
                turning = np.exp(1j * np.outer(np.arange(row[KEPT] + 1), phi0[ring]))
                parts = np.stack([np.real(turning), np.imag(turning)], axis=1)
                row[TURNING] = begin_of(parts.ravel())
        elif way == ANY_LENGTH:
            size = chirp_size(int(row[LONGEST]) // 2 + 2 * int(row[KEPT]))
            mine = slice(0, RINGS)
            row[FACTORS] = sum(map(len, factors))
            factors.append(chirps_of(each[mine], order[mine], phi0[ring[mine]], size))
        else:
            continue
        row[SIZE] = sizes.setdefault(size, len(sizes))
    largest = max(sizes, default=0)
    groups = max((int(row[KEPT]) // LANES + 1 for row in tiles if row[WAY]), default=0)
    tables = TileFFTs(
        (largest + groups * LANES) * PAIR,
        tiles,
        rings.offsets[lanes],
        np.where(there, n, 0),
        shares_of(rings),
        make_passes(list(sizes) or [1]),
        np.concatenate(factors),
    )
    for array in (*tables[1:5], *tables.passes, tables.factors):
        array.setflags(write=False)
    return tables


def _lanes_of(rings: RingTables) -> tuple[np.ndarray, np.ndarray]:
    """(ntiles, LANES) The ring of each lane, and whether there is one of its own."""
    lanes = rings.pairs.reshape(-1, RINGS, 2).transpose(0, 2, 1).reshape(-1, LANES)
    there = lanes >= 0
    return np.where(there, lanes, lanes[:, :1]), there


def shares_of(rings: RingTables) -> np.ndarray:
    """The ``shares`` of `TileFFTs`."""
    lanes, there = _lanes_of(rings)
    shares = np.stack([np.where(there, rings.areas[lanes], 0.0), there.astype(float)])
    shares.setflags(write=False)
    return shares


def _reach(legendre: LegendreTables) -> np.ndarray:
    """(ntiles,) Highest order that has functions on a tile: next to the poles there are few."""
    steps = np.diff(legendre.starts)[None, :, None]
    groups = np.any(legendre.first < steps, axis=0)
    last = groups.shape[0] - 1 - np.argmax(groups[::-1], axis=0)
    return np.where(groups.any(axis=0), (last + 1) * LANES - 1, 0)


def _way(
    ring: np.ndarray, n: np.ndarray, kept: np.ndarray, there: np.ndarray, phi0: np.ndarray
) -> int:
    if not there[0]:
        return ONE_BY_ONE
    one = (n == n[0]).all() and (kept == kept[0]).all() and 2 * kept[0] < n[0]
    if one and n[0] >= 2 * LANES and n[0] % LANES == 0 and radices_of(int(n[0]) // 2):
        return ONE_LENGTH
    mirrored = True
    for r in range(RINGS):
        north, south = r, RINGS + r
        if there[south] and not there[north]:
            return ONE_BY_ONE
        if there[south]:
            same = n[south] == n[north] and phi0[ring[south]] == phi0[ring[north]]
            mirrored = mirrored and same and kept[south] == kept[north]
    return ANY_LENGTH if mirrored and not (n[there] % 2).any() else ONE_BY_ONE
