"""The Legendre stage with spin: one polynomial serves two sets of coefficients.

With P the functions of spin +s, a ring in the north and its mirror in the south need

    N⁺ = Σ P(x) c⁺,  N⁻ = Σ P(-x) c̃⁻,  S⁺ = Σ P(-x) c⁺,  S⁻ = Σ P(x) c̃⁻,

where c̃⁻ = (-1)^(l+m) c⁻: those of spin -s at x are those of spin s at -x but for that sign. The
kernels below are called once with x, once with -x. See `_legendre` for the scalar ones, and
`_legendre_tables` for groups, tiles, steps and the recurrence.
"""

from __future__ import annotations

from numba import njit

from enzyme_rules import LinearRule, register

from ._legendre import load_sums, store_sums
from ._legendre_tables import BLOCK
from ._simd import (
    LANES,
    add_vector,
    load_block,
    load_vector,
    splat_rings,
    store_block,
    sum_rings,
    zero_block,
)

SPIN_PHASES = 8 * BLOCK
"""Numbers per group and tile: of x, then of -x: Σ P c⁺ real and imaginary, Σ P c̃⁻ likewise."""


@njit(error_model="numpy")
def _next_pair(p, q, recurrence, offset, i, cos_theta):
    """The functions two steps on."""
    k = i * LANES
    p = (load_vector(recurrence, k) * cos_theta + load_vector(offset, k)) * q - p
    k += LANES
    q = (load_vector(recurrence, k) * cos_theta + load_vector(offset, k)) * p - q
    return p, q


@njit(error_model="numpy")
def _add_degrees(sums, coef, i, p, q):
    """Add to the sums of a synthesis what steps i and i + 1 contribute."""
    plus_re, plus_im, minus_re, minus_im = sums
    k = 4 * i * LANES
    plus_re = plus_re + p * load_vector(coef, k)
    plus_im = plus_im + p * load_vector(coef, k + LANES)
    minus_re = minus_re + p * load_vector(coef, k + 2 * LANES)
    minus_im = minus_im + p * load_vector(coef, k + 3 * LANES)
    k += 4 * LANES
    return (
        plus_re + q * load_vector(coef, k),
        plus_im + q * load_vector(coef, k + LANES),
        minus_re + q * load_vector(coef, k + 2 * LANES),
        minus_im + q * load_vector(coef, k + 3 * LANES),
    )


@njit(error_model="numpy")
def _add_rings(coef, i, p, q, sums):
    """Add to the coefficients of steps i and i + 1 what the rings of a tile contribute."""
    plus_re, plus_im, minus_re, minus_im = sums
    k = 4 * i * LANES
    for value in (p, q):
        add_vector(coef, k, sum_rings(value * plus_re))
        k += LANES
        add_vector(coef, k, sum_rings(value * plus_im))
        k += LANES
        add_vector(coef, k, sum_rings(value * minus_re))
        k += LANES
        add_vector(coef, k, sum_rings(value * minus_im))
        k += LANES


@njit(error_model="numpy")
def spin_synthesis_into(phases, coef, state, x, recurrence, offset, seeds, first):
    """Sums over degrees at the rings of one tile, for the orders of one group.

    Parameters
    ----------
    phases : (4 * BLOCK,) float64
        Overwritten: [Σ P c⁺ re, im, Σ P c̃⁻ re, im][ring][lane].
    coef : (4 * steps * LANES,) float64
        [step][c⁺ re, im, c̃⁻ re, im][lane], scaled with κ. An even number of steps.
    state : (2 * BLOCK,) float64
        Work space of the derivative: the two latest functions.
    x : (RINGS,) float64
    recurrence, offset : (steps * LANES,) float64
    seeds : (2 * BLOCK,) float64
    first : int
    """
    cos_theta = splat_rings(x, 0)
    p, q = load_block(seeds, 0), load_block(seeds, BLOCK)
    zero = zero_block()
    sums = (zero, zero, zero, zero)
    for i in range(first, len(recurrence) // LANES, 2):
        sums = _add_degrees(sums, coef, i, p, q)
        p, q = _next_pair(p, q, recurrence, offset, i, cos_theta)
    store_sums(phases, sums)


@njit(error_model="numpy")
def spin_analysis_into(coef, phases, state, x, recurrence, offset, seeds, first):
    """Adds to the coefficients of one group what the rings of one tile contribute.

    Arguments as for `spin_synthesis_into`, of which it is the transpose.
    """
    cos_theta = splat_rings(x, 0)
    p, q = load_block(seeds, 0), load_block(seeds, BLOCK)
    sums = load_sums(phases)
    for i in range(first, len(recurrence) // LANES, 2):
        _add_rings(coef, i, p, q, sums)
        p, q = _next_pair(p, q, recurrence, offset, i, cos_theta)


@njit(error_model="numpy")
def spin_synthesis_term_into(phases, coef, state, i, x, recurrence, offset):
    """Adds what steps i and i + 1 contribute, and advances the functions in `state`."""
    p, q = load_block(state, 0), load_block(state, BLOCK)
    store_sums(phases, _add_degrees(load_sums(phases), coef, i, p, q))
    p, q = _next_pair(p, q, recurrence, offset, i, splat_rings(x, 0))
    store_block(state, 0, p)
    store_block(state, BLOCK, q)


@njit(error_model="numpy")
def spin_analysis_term_into(coef, phases, state, i, x, recurrence, offset):
    """Adds what the rings contribute to steps i and i + 1, and advances the functions."""
    p, q = load_block(state, 0), load_block(state, BLOCK)
    _add_rings(coef, i, p, q, load_sums(phases))
    p, q = _next_pair(p, q, recurrence, offset, i, splat_rings(x, 0))
    store_block(state, 0, p)
    store_block(state, BLOCK, q)


@njit(error_model="numpy")
def _synthesis_terms(phases, coef, state, x, recurrence, offset, seeds, first):
    store_block(state, 0, load_block(seeds, 0))
    store_block(state, BLOCK, load_block(seeds, BLOCK))
    for i in range(first, len(recurrence) // LANES, 2):
        spin_synthesis_term_into(phases, coef, state, i, x, recurrence, offset)


@njit(error_model="numpy")
def _analysis_terms(coef, phases, state, x, recurrence, offset, seeds, first):
    store_block(state, 0, load_block(seeds, 0))
    store_block(state, BLOCK, load_block(seeds, BLOCK))
    for i in range(first, len(recurrence) // LANES, 2):
        spin_analysis_term_into(coef, phases, state, i, x, recurrence, offset)


register(LinearRule(spin_synthesis_term_into, state=(2,), accumulates=True))
register(LinearRule(spin_analysis_term_into, state=(2,), accumulates=True))
register(LinearRule(spin_synthesis_into, terms=_synthesis_terms, state=(2,)))
register(LinearRule(spin_analysis_into, terms=_analysis_terms, state=(2,), accumulates=True))
