"""What the Legendre stage knows beforehand: recurrence, scaling, and where the functions begin.

Orders are taken `LANES` at a time (a *group*), pairs of mirrored rings `RINGS` at a time (a
*tile*). Lane k of a group holds order m = m_0 + k, and all lanes start together, each at its lowest
degree. From there a function q is carried from *step* to step,

    q_{i+1} = (A_i z + D_i) q_i - q_{i-1},   q_{-1} = 0,

and every step has four numbers for each lane to multiply it with.

**Scalars.** One step is two degrees, m + 2i and m + 2i + 1. With x = cos θ and
``ε_l = sqrt((l² - m²) / (4l² - 1))``, ``x λ_l = ε_{l+1} λ_{l+1} + ε_l λ_{l-1}``. Functions of odd
l - m are x times an even one, ``λ_{m+2i+1} = x r_i``; from the relation those of even l - m are

    λ_{m+2i} = ε_{m+2i+1} r_i + ε_{m+2i} r_{i-1},

and, with l = m + 2i + 1,

    ε_{l+1} ε_{l+2} r_{i+1} = (x² - ε_{l+1}² - ε_l²) r_i - ε_l ε_{l-1} r_{i-1}.

So one function serves two degrees, at three quarters of the multiplications that one step for each
degree takes (K. Ishioka, J. Meteor. Soc. Japan 96 (2018) 241). With r_i = κ_i q_i,

    κ_{i+1} = κ_{i-1} ε_l ε_{l-1} / (ε_{l+1} ε_{l+2}),   A_i = κ_i / (ε_{l+1} ε_{l+2} κ_{i+1}),

κ_0 = κ_1 = 1; what multiplies r goes into the coefficients, once for each. The same A_i z + D_i
comes from z = x², D = -A (ε_{l+1}² + ε_l²) and from z = -sin² θ, D = A (1 - ε_{l+1}² - ε_l²). Each
tile uses the one whose z is smaller: next to the poles cos² θ, rounded, has lost the digits of θ,
and the error would grow as l², next to the Equator sin² θ has.

**Spin s > 0.** One step is one degree, l = max(m, s) + i, and

    x λ_l = ε_{l+1} λ_{l+1} + ε_l λ_{l-1} - b_l λ_l,
    ε_l = sqrt((l² - m²) (l² - s²) / (4 l² - 1)) / l,   b_l = m s / (l (l + 1)).

With λ = κ_i q, ``κ_{i+1} = κ_{i-1} ε_l / ε_{l+1}``, ``A_i = κ_i / (ε_{l+1} κ_{i+1})``, z = x and
D = A b. (P. J. Kostelec and D. N. Rockmore, J. Fourier Anal. Appl. 14 (2008) 145, eq. 4.5; without
spin DLMF 14.10.3.)

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
    lmax, mmax, spin, ncoef : int
    begins, counts : (ngroups * LANES,) int64
        Where the degrees of each order begin in the packed vector, and how many are used; 0 beyond
        mmax.
    starts : (ngroups + 1,) int64
        Group g holds the steps ``starts[g]:starts[g + 1]``.
    recurrence : (2, nsteps * 2 * LANES) float64
        [step][A_i, D_i][lane], all groups one after the other; row 0 for z = -sin² θ, row 1 for
        z = cos² θ.
    factors : (nsteps * 3 * LANES,) float64
        [step][which][lane]: what multiplies coefficients of degree m + 2i at their own step, those
        of m + 2i + 2 at this one, and those of m + 2i + 1.
    row : (1, ntiles) int64
        Which row of `recurrence` a tile uses.
    z : (1, ntiles * RINGS) float64
        The argument of the recurrence, padded with zeros.
    x : (ntiles * RINGS,) float64
        |cos θ| of the pairs, padded with zeros.
    first : (1, ngroups, ntiles) int64
        Step to start from; the number of steps where nothing matters.
    seeds : (1, ngroups, ntiles, 2 * BLOCK) float64
        q at the step before and at that step.
    """

    lmax: int
    mmax: int
    spin: int
    ncoef: int
    begins: np.ndarray
    counts: np.ndarray
    starts: np.ndarray
    recurrence: np.ndarray
    factors: np.ndarray
    row: np.ndarray
    z: np.ndarray
    x: np.ndarray
    first: np.ndarray
    seeds: np.ndarray


class SpinTables(LegendreTables):
    """As `LegendreTables`, for spin s > 0, where functions in the south are not those of the north.

    ``row``, ``z``, ``first`` and ``seeds`` have a row for x and one for -x; ``recurrence`` has one
    row, z = ± cos θ; ``factors`` has κ_i / 2 alone, (nsteps * LANES,).
    """

    __slots__ = ()


def make_tables(
    truncation: Truncation,
    spin: int,
    x: np.ndarray,
    sine: np.ndarray,
    orders: np.ndarray,
    multiple: int = 1,
) -> LegendreTables | SpinTables:
    """Tables for pairs of rings, mirrored about the Equator.

    Parameters
    ----------
    truncation : Truncation
    spin : int
        At least 0; 0 for scalars.
    x, sine : (npairs,) float64
        |cos θ| and sin θ, from the poles to the Equator.
    orders : (npairs,) int
        Highest order kept on any ring of the pair: what lies beyond is left out.
    multiple : int
        All groups have a multiple of so many steps, and all functions begin at one.
    """
    lmax, mmax = truncation.lmax, truncation.mmax
    m = np.arange(mmax + 1)
    lowest = np.maximum(m, spin)
    counts = np.maximum(truncation.highest - lowest + 1, 0)
    begins = truncation.positions[:-1] + np.minimum(lowest - m, truncation.highest - m + 1)
    ngroups = mmax // LANES + 1
    missing = ngroups * LANES - len(counts)
    counts, begins = np.pad(counts, (0, missing)), np.pad(begins, (0, missing))
    steps = counts.reshape(ngroups, LANES).max(axis=1)
    steps = steps if spin else (steps + 1) // 2
    steps = np.maximum(steps, 1)  # a group may have no degree as high as the spin
    steps = -(-steps // multiple) * multiple
    starts = np.concatenate([[0], np.cumsum(steps)]).astype(np.int64)
    ntiles = -(-len(x) // RINGS)
    padding = ntiles * RINGS - len(x)
    cosines, sines = np.pad(x, (0, padding)), np.pad(sine, (0, padding))
    if spin:
        row = np.zeros((2, ntiles), np.int64)
        z = cosines * np.array([[1.0], [-1.0]])
    else:
        row = (cosines[::RINGS] ** 2 < 0.5).astype(np.int64)[None]
        z = np.where(np.repeat(row, RINGS, axis=1) == 1, cosines**2, -(sines**2))
    passes = len(row)
    tables = (SpinTables if spin else LegendreTables)(
        lmax,
        mmax,
        spin,
        truncation.ncoef,
        begins.astype(np.int64),
        counts.astype(np.int64),
        starts,
        aligned_zeros((1 if spin else 2, starts[-1] * 2 * LANES)),
        aligned_zeros(starts[-1] * (1 if spin else 3) * LANES),
        row,
        aligned_zeros(z.shape),
        cosines,
        np.zeros((passes, ngroups, ntiles), np.int64),
        aligned_zeros((passes, ngroups, ntiles, 2 * BLOCK)),
    )
    tables.z[:] = z
    highest = np.pad(orders, (0, padding), constant_values=-1).reshape(ntiles, RINGS).max(axis=1)
    # Imported here, so that `import sht` stays light. Compiled and kept by our own toolchain: Numba
    # would take most of a second in every new process.
    from llvm import compiled

    compiled(_fill_spin_recurrence if spin else _fill_recurrence)(tables)
    compiled(_fill_seeds)(tables, sine, highest.astype(np.int64), multiple)
    for array in tables[4:]:
        array.setflags(write=False)
    return tables


@njit(error_model="numpy")
def _epsilon(l, m, s):  # noqa: E741
    return np.sqrt((l - m) * (l + m) * ((l - s) / l) * ((l + s) / l) / (4.0 * l * l - 1.0))


@njit(error_model="numpy")
def _squared(l, m):  # noqa: E741
    """ε_l² of scalars."""
    return (l - m) * (l + m) / ((2.0 * l - 1.0) * (2.0 * l + 1.0))


@njit(error_model="numpy")
def _fill_recurrence(t):
    for m in range(t.mmax + 1):
        group, lane = divmod(m, LANES)
        before, now = 1.0, 1.0  # κ at steps i and i + 1
        for i in range(t.starts[group + 1] - t.starts[group]):
            l = m + 2.0 * i + 1.0  # noqa: E741
            k = (t.starts[group] + i) * 3 * LANES + lane
            if 2 * i < t.counts[m]:
                t.factors[k] = before * _epsilon(l, m, 0)
            if 2 * i + 2 < t.counts[m]:
                t.factors[k + LANES] = before * _epsilon(l + 1.0, m, 0)
            if 2 * i + 1 < t.counts[m]:
                t.factors[k + 2 * LANES] = before
            product = _epsilon(l + 1.0, m, 0) * _epsilon(l + 2.0, m, 0)
            factor = before / (product * now)
            following = _epsilon(l + 3.0, m, 0) * _epsilon(l + 4.0, m, 0)
            before, now = now, before * product / following
            here, above = _squared(l, m), _squared(l + 1.0, m)
            k = (t.starts[group] + i) * 2 * LANES + lane
            t.recurrence[0, k] = t.recurrence[1, k] = factor
            t.recurrence[0, k + LANES] = factor * (1.0 - here - above)
            t.recurrence[1, k + LANES] = -factor * (here + above)


@njit(error_model="numpy")
def _fill_spin_recurrence(t):
    for m in range(t.mmax + 1):
        group, lane = divmod(m, LANES)
        before, now = 1.0, 1.0  # κ at steps i and i + 1
        for i in range(t.starts[group + 1] - t.starts[group]):
            l = max(m, t.spin) + i + 0.0  # noqa: E741
            if i < t.counts[m]:
                t.factors[(t.starts[group] + i) * LANES + lane] = 0.5 * before
            here, above = _epsilon(l + 1.0, m, t.spin), _epsilon(l + 2.0, m, t.spin)
            k = (t.starts[group] + i) * 2 * LANES + lane
            t.recurrence[0, k] = before / (here * now)
            t.recurrence[0, k + LANES] = t.recurrence[0, k] * m * t.spin / (l * (l + 1.0))
            before, now = now, before * here / above


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
def _at_lowest(t, mantissa, m):
    """Q at the first step, from λ at the lowest degree."""
    return mantissa if t.spin > 0 else mantissa / _epsilon(m + 1.0, m, 0)


@njit(error_model="numpy")
def _first_step(t, row, g, lane, z, now, power):
    """First step at which one function is not negligible; the number of steps if it always is."""
    steps = t.starts[g + 1] - t.starts[g]
    before = 0.0
    for i in range(steps):
        if abs(_value(now, power)) > NEGLIGIBLE:
            return i
        k = (t.starts[g] + i) * 2 * LANES + lane
        before, now = now, (t.recurrence[row, k] * z + t.recurrence[row, k + LANES]) * now - before
        if abs(now) >= _RANGE:
            before, now, power = before * _SHIFT, now * _SHIFT, power - 1
    return steps


_STRIDE = 4
"""Steps between looks at the exponents: meanwhile a function grows by less than 2^256."""


@njit(error_model="numpy")
def _climb(t, row, g, z, before, now, power, last):
    """All functions of a tile and a group, from the lowest degrees up to step `last`."""
    for i in range(last):
        begin = (t.starts[g] + i) * 2 * LANES
        for r in range(RINGS):
            for lane in range(LANES):
                k, a = r * LANES + lane, begin + lane
                factor = t.recurrence[row, a] * z[r] + t.recurrence[row, a + LANES]
                after = factor * now[k] - before[k]
                before[k] = now[k]
                now[k] = after
        if i % _STRIDE == _STRIDE - 1 or i == last - 1:
            for k in range(BLOCK):
                if abs(now[k]) >= _RANGE:
                    before[k] *= _SHIFT
                    now[k] *= _SHIFT
                    power[k] -= 1


@njit(error_model="numpy")
def _fill_seeds(t, sine, highest, multiple):
    nrings = len(sine)
    mantissa = np.zeros((nrings, t.mmax + 1))
    exponent = np.zeros((nrings, t.mmax + 1), np.int64)
    for south in range(len(t.first)):
        for j in range(nrings):
            _fill_lowest(mantissa[j], exponent[j], t.mmax, t.spin, t.x[j], sine[j], south)
        _fill_seeds_of_pass(t, mantissa, exponent, highest, south, multiple)


@njit(error_model="numpy")
def _fill_seeds_of_pass(t, mantissa, exponent, highest, south, multiple):
    _, ngroups, ntiles = t.first.shape
    nrings = len(mantissa)
    before, now, power = np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK, np.int64)
    for g in range(ngroups):
        lanes = min(LANES, t.mmax + 1 - g * LANES)
        # Next to the poles functions go as θ^(m + s), and in the south as θ^|m - s|.
        largest = min(max(t.spin - g * LANES, 0), lanes - 1) if south else 0
        for tile in range(ntiles):
            rings, row = min(RINGS, nrings - tile * RINGS), t.row[south, tile]
            steps = t.starts[g + 1] - t.starts[g]
            first = steps
            if highest[tile] >= g * LANES:
                # Functions are largest on the ring next to the Equator.
                j = tile * RINGS + rings - 1
                for lane in (largest, lanes - 1):
                    m = g * LANES + lane
                    q = _at_lowest(t, mantissa[j, m], m)
                    step = _first_step(t, row, g, lane, t.z[south, j], q, exponent[j, m])
                    first = min(first, step)
            first = first // multiple * multiple
            t.first[south, g, tile] = first
            if first == steps:
                continue
            before[:], now[:], power[:] = 0.0, 0.0, 0
            for r in range(rings):
                for lane in range(lanes):
                    m, k, j = g * LANES + lane, r * LANES + lane, tile * RINGS + r
                    now[k], power[k] = _at_lowest(t, mantissa[j, m], m), exponent[j, m]
            z = t.z[south, tile * RINGS : (tile + 1) * RINGS]
            _climb(t, row, g, z, before, now, power, first)
            for k in range(BLOCK):
                t.seeds[south, g, tile, k] = _value(before[k], power[k])
                t.seeds[south, g, tile, BLOCK + k] = _value(now[k], power[k])
