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

**Vectors.** Two scalars to this stage, with the functions λ_lm / sin θ instead of λ_lm: the same
recurrence, from other seeds. Those of order 0 are λ_l1, from l = 1 on, so that its lane has the
recurrence of order 1. `_vector` says what they are multiplied with.

Near the poles λ is smaller than any number that matters until l is well above m. Each pair of group
and tile therefore starts at the first step where some |q| exceeds `NEGLIGIBLE`, from seeds that are
made once (`_legendre_seeds`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from ._legendre_seeds import BLOCK, epsilon, fill_seeds
from ._simd import LANES, RINGS, aligned_zeros
from ._spectrum import Truncation


class LegendreTables(NamedTuple):
    """All that the Legendre stage of scalars knows of truncation and latitudes. O(lmax²) numbers.

    Attributes
    ----------
    lmax, mmax, spin, ncoef : int
    columns : int
        Sums for each field, those of one scalar each.
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
    scale : (2, 0) float64
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
    columns: int
    begins: np.ndarray
    counts: np.ndarray
    starts: np.ndarray
    recurrence: np.ndarray
    factors: np.ndarray
    scale: np.ndarray
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


class VectorTables(LegendreTables):
    """As `LegendreTables`, for vectors, of spin 1: two columns.

    ``factors`` has eight rows for each step, (nsteps * 8 * LANES,): see `_vector`; ``scale``,
    (2, lmax + 1 + padding), what E and B of each degree are multiplied with first.
    """

    __slots__ = ()


def make_tables(
    truncation: Truncation,
    kind: type[LegendreTables],
    spin: int,
    x: np.ndarray,
    sine: np.ndarray,
    orders: np.ndarray,
    multiple: int = 1,
) -> LegendreTables:
    """Tables for pairs of rings, mirrored about the Equator.

    Parameters
    ----------
    truncation : Truncation
    kind : type
        Of tables to make.
    spin : int
        0 for scalars, 1 for vectors, at least 1 with spin.
    x, sine : (npairs,) float64
        |cos θ| and sin θ, from the poles to the Equator.
    orders : (npairs,) int
        Highest order kept on any ring of the pair: what lies beyond is left out.
    multiple : int
        All groups have a multiple of so many steps, and all functions begin at one.
    """
    lmax, mmax = truncation.lmax, truncation.mmax
    m, with_spin = np.arange(mmax + 1), kind is SpinTables
    lowest = np.maximum(m, spin) if with_spin else m
    counts = np.maximum(truncation.highest - lowest + 1, 0)
    begins = truncation.positions[:-1] + np.minimum(lowest - m, truncation.highest - m + 1)
    functions = counts + (m > 0) if kind is VectorTables else counts
    ngroups = mmax // LANES + 1
    missing = (0, ngroups * LANES - len(counts))
    counts, begins, functions = (np.pad(each, missing) for each in (counts, begins, functions))
    steps = functions.reshape(ngroups, LANES).max(axis=1)
    steps = steps if with_spin else (steps + 1) // 2
    steps = np.maximum(steps, 1)  # a group may have no degree as high as the spin
    steps = -(-steps // multiple) * multiple
    starts = np.concatenate([[0], np.cumsum(steps)]).astype(np.int64)
    ntiles = -(-len(x) // RINGS)
    padding = ntiles * RINGS - len(x)
    cosines, sines = np.pad(x, (0, padding)), np.pad(sine, (0, padding))
    if with_spin:
        row = np.zeros((2, ntiles), np.int64)
        z = cosines * np.array([[1.0], [-1.0]])
    else:
        row = (cosines[::RINGS] ** 2 < 0.5).astype(np.int64)[None]
        z = np.where(np.repeat(row, RINGS, axis=1) == 1, cosines**2, -(sines**2))
    passes, columns = len(row), 2 if kind is VectorTables else 1
    tables = kind(
        lmax,
        mmax,
        spin,
        truncation.ncoef,
        columns,
        begins.astype(np.int64),
        counts.astype(np.int64),
        starts,
        aligned_zeros((1 if with_spin else 2, starts[-1] * 2 * LANES)),
        aligned_zeros(starts[-1] * (1 if with_spin else 3) * LANES),
        np.ones((2, lmax + 1 + 2 * LANES if kind is VectorTables else 0)),
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

    if with_spin:
        compiled(_fill_spin_recurrence)(tables)
    else:
        compiled(_fill_recurrence)(tables, functions.astype(np.int64))
    if kind is VectorTables:
        factors = aligned_zeros(starts[-1] * 8 * LANES)
        compiled(_fill_vector_factors)(factors, tables)
        tables = tables._replace(factors=factors)
    compiled(fill_seeds)(tables, sine, highest.astype(np.int64), multiple)
    for array in tables[5:]:
        array.setflags(write=False)
    return tables


@njit(error_model="numpy")
def _squared(l, m):  # noqa: E741
    """ε_l² of scalars."""
    return (l - m) * (l + m) / ((2.0 * l - 1.0) * (2.0 * l + 1.0))


@njit(error_model="numpy")
def _fill_recurrence(t, functions):
    """The recurrence of scalars and vectors, and factors as scalars have them."""
    for m in range(t.mmax + 1):
        group, lane = divmod(m, LANES)
        order = max(m, t.spin)  # vectors of order 0 have the functions of order 1
        before, now = 1.0, 1.0  # κ at steps i and i + 1
        for i in range(t.starts[group + 1] - t.starts[group]):
            l = order + 2.0 * i + 1.0  # noqa: E741
            k = (t.starts[group] + i) * 3 * LANES + lane
            if 2 * i < functions[m]:
                t.factors[k] = before * epsilon(l, order, 0)
            if 2 * i + 2 < functions[m]:
                t.factors[k + LANES] = before * epsilon(l + 1.0, order, 0)
            if 2 * i + 1 < functions[m]:
                t.factors[k + 2 * LANES] = before
            product = epsilon(l + 1.0, order, 0) * epsilon(l + 2.0, order, 0)
            factor = before / (product * now)
            following = epsilon(l + 3.0, order, 0) * epsilon(l + 4.0, order, 0)
            before, now = now, before * product / following
            here, above = _squared(l, order), _squared(l + 1.0, order)
            k = (t.starts[group] + i) * 2 * LANES + lane
            t.recurrence[0, k] = t.recurrence[1, k] = factor
            t.recurrence[0, k + LANES] = factor * (1.0 - here - above)
            t.recurrence[1, k + LANES] = -factor * (here + above)


@njit(error_model="numpy")
def _neighbours(m, k, count):
    """α, β and μ of function k of an order that has so many degrees: see `_vector`."""
    if m == 0:
        return 0.0, (-1.0 if k + 1 < count else 0.0), 0.0
    l = float(m + k)  # noqa: E741
    below = epsilon(l, m, 0) * np.sqrt((l - 1.0) / l) if 1 <= k <= count else 0.0
    above = epsilon(l + 1.0, m, 0) * np.sqrt((l + 2.0) / (l + 1.0)) if k + 1 < count else 0.0
    own = m / np.sqrt(l * (l + 1.0)) if k < count else 0.0
    return below, above, own


@njit(error_model="numpy")
def _fill_vector_factors(factors, t):
    """Those of vectors, from those of scalars with the same functions: see `_vector`."""
    for m in range(t.mmax + 1):
        group, lane = divmod(m, LANES)
        for step in range(t.starts[group], t.starts[group + 1]):
            k, c = 2 * (step - t.starts[group]), step * 3 * LANES + lane
            even, following, odd = t.factors[c], t.factors[c + LANES], t.factors[c + 2 * LANES]
            a0, b0, m0 = _neighbours(m, k, t.counts[m])
            a1, b1, m1 = _neighbours(m, k + 1, t.counts[m])
            a2, b2, m2 = _neighbours(m, k + 2, t.counts[m])
            n = step * 8 * LANES + lane
            factors[n] = even * a0
            factors[n + LANES] = following * a2 - even * b0
            factors[n + 2 * LANES] = -following * b2
            factors[n + 3 * LANES] = even * m0
            factors[n + 4 * LANES] = following * m2
            factors[n + 5 * LANES] = odd * a1
            factors[n + 6 * LANES] = -odd * b1
            factors[n + 7 * LANES] = odd * m1


@njit(error_model="numpy")
def _fill_spin_recurrence(t):
    for m in range(t.mmax + 1):
        group, lane = divmod(m, LANES)
        before, now = 1.0, 1.0  # κ at steps i and i + 1
        for i in range(t.starts[group + 1] - t.starts[group]):
            l = max(m, t.spin) + i + 0.0  # noqa: E741
            if i < t.counts[m]:
                t.factors[(t.starts[group] + i) * LANES + lane] = 0.5 * before
            here, above = epsilon(l + 1.0, m, t.spin), epsilon(l + 2.0, m, t.spin)
            k = (t.starts[group] + i) * 2 * LANES + lane
            t.recurrence[0, k] = before / (here * now)
            t.recurrence[0, k + LANES] = t.recurrence[0, k] * m * t.spin / (l * (l + 1.0))
            before, now = now, before * here / above
