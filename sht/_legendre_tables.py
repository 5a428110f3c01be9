"""What the Legendre stage knows beforehand: recurrence, scaling, and where the polynomials begin.

Orders are taken `LANES` at a time (a *group*), rings of the northern half `RINGS` at a time (a
*tile*). Lane k of a group holds order m = m_0 + k and, at *step* i, degree l = m + i: all lanes
start together, and even steps are the polynomials that are symmetric about the Equator, odd steps
those that are not.

With P = κ_i q the recurrence needs one coefficient, ``q_{i+1} = A_i x q_i - q_{i-1}``, where

    κ_{i+1} = κ_{i-1} ε_l / ε_{l+1},   A_i = κ_i / (ε_{l+1} κ_{i+1}),   ε_l = sqrt((l²-m²)/(4l²-1)),

κ_0 = κ_1 = 1. The factors κ go into the coefficients, once for each. (Three-term recurrence: DLMF
14.10.3 in orthonormal form; a scaling with this effect is in K. Ishioka, J. Meteor. Soc. Japan 96
(2018) 241, for a recurrence in x².)

Near the poles P is smaller than any number that matters until l is well above m. Each pair of group
and tile therefore starts at the first step where some |P| exceeds `NEGLIGIBLE`, from seeds that are
made once, with an exponent of their own, so that nothing underflows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from ._simd import LANES, RINGS, aligned_zeros

BLOCK = RINGS * LANES
"""Numbers in a block."""

NEGLIGIBLE = 1e-30
"""Polynomials below this are left out. They are of order 1 where they matter, so that coefficients
would have to differ by 14 orders of magnitude more than float64 resolves for it to be seen."""


class LegendreTables(NamedTuple):
    """All that the Legendre stage knows of truncation and latitudes. O(lmax²) numbers.

    Attributes
    ----------
    lmax, mmax : int
    starts : (ngroups + 1,) int64
        Group g holds the steps ``starts[g]:starts[g + 1]``, an even number of them.
    recurrence : (nsteps * LANES,) float64
        A_{i+1} of each lane at step i, all groups one after the other.
    scale : (ncoef,) float64
        κ of each coefficient in the packed order.
    x : (ntiles * RINGS,) float64
        cos θ of the northern rings, padded with zeros.
    first : (ngroups, ntiles) int64
        Even step to start from; the number of steps where nothing matters.
    seeds : (ngroups, ntiles, 2 * BLOCK) float64
        q at that step and at the next.
    """

    lmax: int
    mmax: int
    starts: np.ndarray
    recurrence: np.ndarray
    scale: np.ndarray
    x: np.ndarray
    first: np.ndarray
    seeds: np.ndarray

    @property
    def ngroups(self) -> int:
        """Number of groups of orders."""
        return self.first.shape[0]

    @property
    def ntiles(self) -> int:
        """Number of tiles of northern rings."""
        return self.first.shape[1]


def make_tables(
    lmax: int, mmax: int, cos_theta: np.ndarray, sin_theta: np.ndarray
) -> LegendreTables:
    """Tables for rings of the northern half, the Equator included.

    Parameters
    ----------
    lmax, mmax : int
        Truncation, mmax <= lmax.
    cos_theta, sin_theta : (nrings,) float64
        From north to south, cos θ >= 0.
    """
    ngroups = mmax // LANES + 1
    ntiles = -(-len(cos_theta) // RINGS)
    steps = lmax - LANES * np.arange(ngroups) + 1
    starts = np.concatenate([[0], np.cumsum(steps + steps % 2)]).astype(np.int64)
    padding = ntiles * RINGS - len(cos_theta)
    x, sine = np.pad(cos_theta, (0, padding)), np.pad(sin_theta, (0, padding))
    tables = LegendreTables(
        lmax,
        mmax,
        starts,
        aligned_zeros(starts[-1] * LANES),
        np.zeros((mmax + 1) * (2 * lmax + 2 - mmax) // 2),
        x,
        np.zeros((ngroups, ntiles), np.int64),
        aligned_zeros((ngroups, ntiles, 2 * BLOCK)),
    )
    # Imported here, so that `import sht` stays light. Compiled and kept by our own toolchain: Numba
    # would take most of a second in every new process.
    from llvm import compiled

    compiled(_fill_recurrence)(tables)
    compiled(_fill_seeds)(tables, sine, len(cos_theta))
    for array in tables[2:]:
        array.setflags(write=False)
    return tables


@njit(error_model="numpy")
def _epsilon(l, m):  # noqa: E741
    return np.sqrt((l - m) * (l + m) / (4.0 * l * l - 1.0))


@njit(error_model="numpy")
def _coefficient(t, g, lane, i):
    """A_i; A_0 is 1 / ε_{m+1}."""
    if i == 0:
        return np.sqrt(2.0 * (g * LANES + lane) + 3.0)
    return t.recurrence[(t.starts[g] + i - 1) * LANES + lane]


@njit(error_model="numpy")
def _fill_recurrence(t):
    position = 0
    for m in range(t.mmax + 1):
        group, lane = divmod(m, LANES)
        steps = t.starts[group + 1] - t.starts[group]
        before, now = 1.0, 1.0  # κ at steps i and i + 1
        for i in range(steps):
            l = m + i  # noqa: E741
            if l <= t.lmax:
                t.scale[position] = before
                position += 1
            ratio = _epsilon(l + 1.0, m) / _epsilon(l + 2.0, m)
            before, now = now, before * ratio
            t.recurrence[(t.starts[group] + i) * LANES + lane] = before / (
                _epsilon(l + 2.0, m) * now
            )


@njit(error_model="numpy")
def _fill_seeds(t, sine, nrings):
    ngroups, ntiles = t.first.shape
    # λ_mm = (-1)^m sqrt(∏ (2k+1)/(2k) / 4π) sin^m θ, as logarithms of their size
    log_mm = np.empty(t.mmax + 1)
    log_mm[0] = -0.5 * np.log(4.0 * np.pi)
    for m in range(1, t.mmax + 1):
        log_mm[m] = log_mm[m - 1] + 0.5 * np.log((2.0 * m + 1.0) / (2.0 * m))
    # The sectoral values themselves by products, which are more accurate than exp(log) is.
    sectoral = np.empty((t.mmax + 1, len(sine)))
    for j in range(len(sine)):
        value = np.sqrt(1.0 / (4.0 * np.pi))
        for m in range(t.mmax + 1):
            sectoral[m, j] = value
            value *= -np.sqrt((2.0 * m + 3.0) / (2.0 * m + 2.0)) * sine[j]
    start = np.empty(BLOCK, np.int64)
    for g in range(ngroups):
        steps = t.starts[g + 1] - t.starts[g]
        for tile in range(ntiles):
            first = steps
            for r in range(RINGS):
                j = tile * RINGS + r
                for lane in range(LANES):
                    m = g * LANES + lane
                    start[r * LANES + lane] = steps
                    if j < nrings and m <= t.mmax:
                        log_value = log_mm[m] + m * np.log(sine[j])
                        i = _first_step(t, g, lane, t.x[j], log_value, steps)
                        start[r * LANES + lane] = i
                        first = min(first, i)
            first -= first % 2
            t.first[g, tile] = first
            if first >= steps:
                continue
            for r in range(RINGS):
                j = tile * RINGS + r
                for lane in range(LANES):
                    m = g * LANES + lane
                    if j < nrings and m <= t.mmax:
                        log_value = log_mm[m] + m * np.log(sine[j])
                        p, q = _at_step(t, g, lane, t.x[j], sectoral[m, j], log_value, first)
                        t.seeds[g, tile, r * LANES + lane] = p
                        t.seeds[g, tile, BLOCK + r * LANES + lane] = q


@njit(error_model="numpy")
def _first_step(t, g, lane, x, log_value, steps):
    """First step where |q| exceeds `NEGLIGIBLE`; `steps` if none does."""
    limit = np.log(NEGLIGIBLE)
    if log_value > limit:
        return 0
    before, now, exponent = 0.0, 1.0, log_value
    for i in range(steps):
        if np.log(abs(now) + 1e-300) + exponent > limit:
            return i
        a = _coefficient(t, g, lane, i)
        before, now = now, a * x * now - before
        if abs(now) > 1e100:
            before, now, exponent = before * 1e-100, now * 1e-100, exponent + 100 * np.log(10.0)
    return steps


@njit(error_model="numpy")
def _at_step(t, g, lane, x, sectoral, log_value, step):
    """The polynomials q at a step and at the next."""
    scaled = sectoral == 0.0 or abs(sectoral) < 1e-290
    before, now = 0.0, 1.0 if scaled else sectoral
    exponent = log_value if scaled else 0.0
    for i in range(step):
        a = _coefficient(t, g, lane, i)
        before, now = now, a * x * now - before
        if scaled and abs(now) > 1e100:
            before, now, exponent = before * 1e-100, now * 1e-100, exponent + 100 * np.log(10.0)
    following = _coefficient(t, g, lane, step) * x * now - before
    if scaled:
        sign = -1.0 if (g * LANES + lane) % 2 else 1.0
        factor = sign * np.exp(exponent)
        return factor * now, factor * following
    return now, following
