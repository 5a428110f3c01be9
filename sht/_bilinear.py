"""The weights of bilinear interpolation between rings, as a sparse matrix."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .grids import RingGrid

_SAME_ANGLE = 1e-14  # radians: several roundings of 2 pi, and 60 nanometres on the Earth


def bilinear_rows(
    grid: RingGrid, theta: NDArray, phi: NDArray
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """A sparse matrix from a field's points to its values at others.

    Parameters
    ----------
    grid : RingGrid
    theta, phi : (n,) float64
        Colatitudes in [0, pi] and longitudes of the others.

    Returns
    -------
    starts : (n + 1,) int64
        The entries of row k are ``starts[k]:starts[k + 1]``.
    points : (entries,) int64
        Indices of grid points, ring by ring.
    weights : (entries,) float64
        In (0, 1]; those of a row add up to 1.
    """
    # The poles count as rings -1 and nlat.
    circles = np.concatenate([[0.0], grid.theta, [np.pi]])
    south = np.searchsorted(grid.theta, theta + _SAME_ANGLE, "right")
    north = south - 1
    t = (theta - circles[north + 1]) / (circles[south + 1] - circles[north + 1])
    t[np.abs(theta - circles[north + 1]) <= _SAME_ANGLE] = 0.0
    entries = []
    for ring, share in ((north, 1.0 - t), (south, t)):
        there = np.flatnonzero((ring >= 0) & (ring < grid.nlat))
        west, east, u = _neighbours(grid, ring[there], phi[there])
        entries += [(there, west, share[there] * (1.0 - u)), (there, east, share[there] * u)]
    for pole, ring, share in ((north < 0, 0, 1.0 - t), (south == grid.nlat, -1, t)):
        there, n = np.flatnonzero(pole), int(grid.nlon[ring])
        first = int(grid.offsets[:-1][ring])
        circle = np.tile(np.arange(first, first + n), len(there))
        entries.append((np.repeat(there, n), circle, np.repeat(share[there] / n, n)))
    rows, points, weights = (np.concatenate(part) for part in zip(*entries, strict=True))
    kept = np.flatnonzero(weights)
    kept = kept[np.argsort(rows[kept], kind="stable")]
    counts = np.bincount(rows[kept], minlength=len(theta))
    return np.concatenate([[0], np.cumsum(counts)]), points[kept], weights[kept]


def _neighbours(grid: RingGrid, ring: NDArray, phi: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Indices of the points west and east of each longitude on its ring, and the share of east."""
    n, turn = grid.nlon[ring], 2.0 * np.pi
    step = np.mod((phi - grid.phi0[ring]) / turn * n, n)
    nearest = np.rint(step)
    step = np.where(np.abs(step - nearest) <= _SAME_ANGLE / turn * n, nearest, step)
    west = np.floor(step).astype(np.int64)
    first = grid.offsets[ring]
    return first + west % n, first + (west + 1) % n, step - west
