"""What the Legendre stage knows beforehand: recurrence, scaling, and where the functions begin.

Orders are taken `LANES` at a time (a *group*), pairs of mirrored rings `RINGS` at a time (a
*tile*). Lane k of a group holds order m = m_0 + k and, at *step* i, degree l = max(m, |s|) + i for
spin s: all lanes start together. For scalars (s = 0) even steps are the functions that are
symmetric about the Equator, odd steps those that are not.

Spin-weighted functions satisfy ``x λ_l = ε_{l+1} λ_{l+1} + ε_l λ_{l-1} - b_l λ_l`` with

    ε_l = sqrt((l² - m²) (l² - s²) / (4 l² - 1)) / l,   b_l = m s / (l (l + 1)).

With λ = κ_i q the recurrence needs one coefficient, or two with spin,

    q_{i+1} = A_i (x + b_l) q_i - q_{i-1},
    κ_{i+1} = κ_{i-1} ε_l / ε_{l+1},   A_i = κ_i / (ε_{l+1} κ_{i+1}),

κ_0 = κ_1 = 1. The factors κ go into the coefficients, once for each. (Three-term recurrence: DLMF
14.10.3 in orthonormal form, with spin P. J. Kostelec and D. N. Rockmore, J. Fourier Anal. Appl. 14
(2008) 145, eq. 4.5; a scaling with this effect is in K. Ishioka, J. Meteor. Soc. Japan 96 (2018)
241, for a recurrence in x².)

Near the poles λ is smaller than any number that matters until l is well above m. Each pair of group
and tile therefore starts at the first step where some |q| exceeds `NEGLIGIBLE`, from seeds that are
made once, with an exponent of their own, so that nothing underflows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from ._simd import LANES, RINGS, aligned_zeros
from ._spectrum import Truncation

BLOCK = RINGS * LANES
"""Numbers in a block."""

NEGLIGIBLE = 1e-30
"""Functions below this are left out. They are of order 1 where they matter, so that coefficients
would have to differ by 14 orders of magnitude more than float64 resolves for it to be seen."""


class LegendreTables(NamedTuple):
    """All that the Legendre stage of scalars knows of truncation and latitudes. O(lmax²) numbers.

    Attributes
    ----------
    lmax, mmax, spin : int
    begins, counts : (mmax + 1,) int64
        Where the degrees of each order begin in the packed vector, and how many are used.
    starts : (ngroups + 1,) int64
        Group g holds the steps ``starts[g]:starts[g + 1]``, an even number of them.
    recurrence : (nsteps * LANES,) float64
        A_{i+1} of each lane at step i, all groups one after the other.
    scale : (ncoef,) float64
        κ of each coefficient in the packed order; 0 for degrees below the spin.
    x : (1, ntiles * RINGS) float64
        |cos θ| of the pairs, padded with zeros.
    first : (1, ngroups, ntiles) int64
        Even step to start from; the number of steps where nothing matters.
    seeds : (1, ngroups, ntiles, 2 * BLOCK) float64
        q at that step and at the next.
    """

    lmax: int
    mmax: int
    spin: int
    begins: np.ndarray
    counts: np.ndarray
    starts: np.ndarray
    recurrence: np.ndarray
    scale: np.ndarray
    x: np.ndarray
    first: np.ndarray
    seeds: np.ndarray


class SpinTables(NamedTuple):
    """As `LegendreTables`, for spin s > 0.

    A row more in ``x``, ``first`` and ``seeds`` is for -x: with spin the functions there are not
    those at x but for a sign.

    Attributes
    ----------
    offset : (nsteps * LANES,) float64
        A_{i+1} b of each lane at step i.
    """

    lmax: int
    mmax: int
    spin: int
    begins: np.ndarray
    counts: np.ndarray
    starts: np.ndarray
    recurrence: np.ndarray
    scale: np.ndarray
    x: np.ndarray
    first: np.ndarray
    seeds: np.ndarray
    offset: np.ndarray


def make_tables(
    truncation: Truncation,
    spin: int,
    x: np.ndarray,
    sine: np.ndarray,
    orders: np.ndarray,
) -> LegendreTables | SpinTables:
    """Tables for pairs of rings, mirrored about the Equator.

    Parameters
    ----------
    truncation : Truncation
    spin : int
        At least 0; 0 for scalars.
    x, sine : (npairs,) float64
        |cos θ| and sin θ.
    orders : (npairs,) int
        Highest order kept on any ring of the pair: what lies beyond is left out.
    """
    lmax, mmax = truncation.lmax, truncation.mmax
    m = np.arange(mmax + 1)
    lowest = np.maximum(m, spin)
    counts = np.maximum(truncation.highest - lowest + 1, 0)
    begins = truncation.positions[:-1] + np.minimum(lowest - m, truncation.highest - m + 1)
    ngroups = mmax // LANES + 1
    padded = np.pad(counts, (0, ngroups * LANES - len(counts))).reshape(ngroups, LANES)
    steps = padded.max(axis=1)
    starts = np.concatenate([[0], np.cumsum(steps + steps % 2)]).astype(np.int64)
    ntiles = -(-len(x) // RINGS)
    padding = ntiles * RINGS - len(x)
    passes = 2 if spin else 1
    shared = (
        lmax,
        mmax,
        spin,
        begins.astype(np.int64),
        counts.astype(np.int64),
        starts,
        aligned_zeros(starts[-1] * LANES),
        np.zeros(truncation.ncoef),
        np.pad(x, (0, padding)) * np.array([[1.0], [-1.0]])[:passes],
        np.zeros((passes, ngroups, ntiles), np.int64),
        aligned_zeros((passes, ngroups, ntiles, 2 * BLOCK)),
    )
    offset = aligned_zeros(starts[-1] * LANES)
    tables = LegendreTables(*shared)
    highest = np.pad(orders, (0, padding), constant_values=-1).reshape(ntiles, RINGS).max(axis=1)
    # Imported here, so that `import sht` stays light. Compiled and kept by our own toolchain: Numba
    # would take most of a second in every new process.
    from llvm import compiled

    compiled(_fill_recurrence)(tables, offset)
    for south in range(passes):
        compiled(_fill_seeds)(tables, offset, sine, highest.astype(np.int64), south)
    for array in (*tables[3:], offset):
        array.setflags(write=False)
    return SpinTables(*tables, offset) if spin else tables


@njit(error_model="numpy")
def _epsilon(l, m, s):  # noqa: E741
    return np.sqrt((l - m) * (l + m) * ((l - s) / l) * ((l + s) / l) / (4.0 * l * l - 1.0))


@njit(error_model="numpy")
def _offset(l, m, s):  # noqa: E741
    return m * s / (l * (l + 1.0)) if s > 0 else 0.0


@njit(error_model="numpy")
def _fill_recurrence(t, offset):
    for m in range(t.mmax + 1):
        group, lane = divmod(m, LANES)
        before, now = 1.0, 1.0  # κ at steps i and i + 1
        for i in range(t.starts[group + 1] - t.starts[group]):
            l = max(m, t.spin) + i  # noqa: E741
            if i < t.counts[m]:
                t.scale[t.begins[m] + i] = before
            ratio = _epsilon(l + 1.0, m, t.spin) / _epsilon(l + 2.0, m, t.spin)
            before, now = now, before * ratio
            k = (t.starts[group] + i) * LANES + lane
            t.recurrence[k] = before / (_epsilon(l + 2.0, m, t.spin) * now)
            offset[k] = t.recurrence[k] * _offset(l + 1.0, m, t.spin)


_RANGE = 2.0**128
_SHIFT = 2.0**-256
# Numbers with an exponent of their own are ``mantissa * _SHIFT**exponent``, with a mantissa between
# 1 / _RANGE and _RANGE: products of powers of two, which round nothing.


@njit(error_model="numpy")
def _product(mantissa, exponent, factor):
    mantissa *= factor
    while abs(mantissa) < 1.0 / _RANGE and mantissa != 0.0:
        mantissa, exponent = mantissa / _SHIFT, exponent + 1
    while abs(mantissa) >= _RANGE:
        mantissa, exponent = mantissa * _SHIFT, exponent - 1
    return mantissa, exponent


@njit(error_model="numpy")
def _value(mantissa, exponent):
    """As float64: 0 where it is too small for one."""
    if exponent == 0:
        return mantissa
    return mantissa * _SHIFT if exponent == 1 else (mantissa / _SHIFT if exponent == -1 else 0.0)


@njit(error_model="numpy")
def _fill_lowest(mantissa, exponent, mmax, s, x, sine, south):
    """λ at the lowest degree of every order, l = max(m, s), on a ring or its mirror in the south.

    (-1)^m sqrt((2l+1)/4π (2l)! / ((l+a)! (l-a)!)) cos(θ/2)^|m-s| sin(θ/2)^(m+s), a = min(m, s)
    """
    cos_half = np.sqrt(0.5 * (1.0 + x))
    sin_half = 0.5 * sine / cos_half
    tangent = cos_half / sin_half if south else sin_half / cos_half
    value, power = np.sqrt(1.0 / (4.0 * np.pi)), 0
    for l in range(s):  # noqa: E741
        factor = np.sqrt((2.0 * l + 3.0) * (2.0 * l + 2.0)) / (l + 1.0) * 0.5 * sine
        value, power = _product(value, power, factor)
    for m in range(mmax + 1):
        mantissa[m], exponent[m] = value, power
        if m < s:
            factor = -np.sqrt((s - m) / (s + m + 1.0)) * tangent
        else:
            n = m + 1.0
            factor = -np.sqrt((2.0 * n + 1.0) * (2.0 * n) / ((n - s) * (n + s))) * 0.5 * sine
        value, power = _product(value, power, factor)


@njit(error_model="numpy")
def _first_step(t, offset, g, lane, x, value, power):
    """First step at which one function is not negligible; the number of steps if it always is."""
    m = g * LANES + lane
    l = max(m, t.spin)  # noqa: E741
    begin = t.starts[g]
    steps = t.starts[g + 1] - begin
    now = value
    following = (x + _offset(l, m, t.spin)) / _epsilon(l + 1.0, m, t.spin) * now
    for i in range(steps):
        if abs(_value(now, power)) > NEGLIGIBLE:
            return i
        k = (begin + i) * LANES + lane
        now, following = following, (t.recurrence[k] * x + offset[k]) * following - now
        if abs(following) >= _RANGE:
            now, following, power = now * _SHIFT, following * _SHIFT, power - 1
    return steps


_STRIDE = 4
"""Steps between looks at the exponents: meanwhile a function grows by less than 2^256."""


@njit(error_model="numpy")
def _climb(t, offset, g, x, now, following, power, last):
    """All functions of a tile and a group, from the lowest degrees up to step `last`."""
    for i in range(last):
        begin = (t.starts[g] + i) * LANES
        for r in range(RINGS):
            for lane in range(LANES):
                k, a = r * LANES + lane, begin + lane
                after = (t.recurrence[a] * x[r] + offset[a]) * following[k] - now[k]
                now[k] = following[k]
                following[k] = after
        if i % _STRIDE == _STRIDE - 1 or i == last - 1:
            for k in range(BLOCK):
                if abs(following[k]) >= _RANGE:
                    now[k] *= _SHIFT
                    following[k] *= _SHIFT
                    power[k] -= 1


@njit(error_model="numpy")
def _fill_seeds(t, offset, sine, highest, south):
    _, ngroups, ntiles = t.first.shape
    nrings = len(sine)
    mantissa = np.zeros((nrings, t.mmax + 1))
    exponent = np.zeros((nrings, t.mmax + 1), np.int64)
    for j in range(nrings):
        _fill_lowest(mantissa[j], exponent[j], t.mmax, t.spin, t.x[0, j], sine[j], south)
    now, following, power = np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK, np.int64)
    for g in range(ngroups):
        lanes = min(LANES, t.mmax + 1 - g * LANES)
        # Next to the poles functions go as θ^(m + s), and in the south as θ^|m - s|.
        largest = min(max(t.spin - g * LANES, 0), lanes - 1) if south else 0
        for tile in range(ntiles):
            rings = min(RINGS, nrings - tile * RINGS)
            first = t.starts[g + 1] - t.starts[g]
            if highest[tile] >= g * LANES:
                # Functions are largest on the ring next to the Equator.
                j = tile * RINGS + rings - 1
                for lane in (largest, lanes - 1):
                    m = g * LANES + lane
                    step = _first_step(
                        t, offset, g, lane, t.x[south, j], mantissa[j, m], exponent[j, m]
                    )
                    first = min(first, step - step % 2)
            t.first[south, g, tile] = first
            if first == t.starts[g + 1] - t.starts[g]:
                continue
            now[:], following[:], power[:] = 0.0, 0.0, 0
            x = t.x[south, tile * RINGS : (tile + 1) * RINGS]
            for r in range(rings):
                for lane in range(lanes):
                    m, k, j = g * LANES + lane, r * LANES + lane, tile * RINGS + r
                    l = max(m, t.spin)  # noqa: E741
                    factor = (x[r] + _offset(l, m, t.spin)) / _epsilon(l + 1.0, m, t.spin)
                    now[k], power[k] = mantissa[j, m], exponent[j, m]
                    following[k] = factor * now[k]
            _climb(t, offset, g, x, now, following, power, first)
            for k in range(BLOCK):
                t.seeds[south, g, tile, k] = _value(now[k], power[k])
                t.seeds[south, g, tile, BLOCK + k] = _value(following[k], power[k])
