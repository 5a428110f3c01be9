"""What the Fourier stage knows of a grid: pairs of rings, phases, the orders each ring keeps."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ._simd import RINGS
from .grids import RingGrid


class RingTables(NamedTuple):
    """Rings of a grid for one truncation.

    Attributes
    ----------
    npoints : int
    width : int
        Points of each ring on a full grid, whose fields have two axes; 0 on others.
    longest : int
        Points of the longest ring.
    pairs : (ntiles * RINGS, 2) int64
        A ring of the north and its mirror in the south, from the poles to the Equator; -1 where
        there is none.
    offsets : (nlat + 1,) int64
        Where the points of each ring begin.
    areas : (nlat,) float64
        Solid angle of a point of each ring.
    orders : (nlat,) int64
        Highest order kept on each ring. Beyond that of Nyquist they are folded.
    rotation : (nlat,) int64
        Row of `phases` for each ring, -1 for rings that begin at longitude 0.
    phases : (different first longitudes, mmax + 1) complex128
        exp(i m φ0).
    """

    npoints: int
    width: int
    longest: int
    pairs: np.ndarray
    offsets: np.ndarray
    areas: np.ndarray
    orders: np.ndarray
    rotation: np.ndarray
    phases: np.ndarray


def make_ring_tables(grid: RingGrid, mmax: int, orders: np.ndarray) -> RingTables:
    """Tables for a grid.

    Parameters
    ----------
    grid : RingGrid
    mmax : int
    orders : (nlat,) int
        Highest order kept on each ring.
    """
    different, index = np.unique(grid.phi0, return_inverse=True)
    turned = different != 0.0
    rotation = np.where(turned, np.cumsum(turned) - 1, -1)[index]
    pairs = _pairs(grid)
    padding = -len(pairs) % RINGS
    tables = RingTables(
        grid.npoints,
        grid.shape[-1] if grid.full else 0,
        int(np.max(grid.nlon)),
        np.pad(pairs, ((0, padding), (0, 0)), constant_values=-1),
        grid.offsets.astype(np.int64),
        grid.areas,
        np.minimum(orders, mmax).astype(np.int64),
        rotation.astype(np.int64),
        np.exp(1j * np.outer(different[turned], np.arange(mmax + 1))),
    )
    for array in tables[3:]:
        array.setflags(write=False)
    return tables


def _pairs(grid: RingGrid) -> np.ndarray:
    """Rings that are mirrors of each other to the bit, and those that have none."""
    x, sine = grid.cos_theta, grid.sin_theta
    south = {(-x[j], sine[j]): j for j in range(grid.nlat) if x[j] < 0.0}
    pairs = [(j, south.pop((x[j], sine[j]), -1)) for j in range(grid.nlat) if x[j] >= 0.0]
    pairs += [(-1, j) for j in south.values()]
    return np.array(sorted(pairs, key=lambda pair: -abs(x[max(pair)])), np.int64)
