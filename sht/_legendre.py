"""The Legendre stage: sums over degrees, with the polynomials made on the fly.

See `_legendre_tables` for groups, tiles, steps and the recurrence.
"""

from __future__ import annotations

from numba import njit

from enzyme_rules import LinearRule, register

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

PHASES = 4 * BLOCK
"""Numbers per group and tile: real and imaginary part of the even sum, then of the odd one."""


@njit(error_model="numpy")
def _next_pair(p, q, recurrence, i, cos_theta):
    """The polynomials two steps on."""
    p = load_vector(recurrence, i * LANES) * cos_theta * q - p
    q = load_vector(recurrence, (i + 1) * LANES) * cos_theta * p - q
    return p, q


@njit(error_model="numpy")
def _add_degrees(sums, coef, i, p, q):
    """Add to the sums of a synthesis what steps i (even) and i + 1 contribute."""
    even_re, even_im, odd_re, odd_im = sums
    return (
        even_re + p * load_vector(coef, 2 * i * LANES),
        even_im + p * load_vector(coef, (2 * i + 1) * LANES),
        odd_re + q * load_vector(coef, (2 * i + 2) * LANES),
        odd_im + q * load_vector(coef, (2 * i + 3) * LANES),
    )


@njit(error_model="numpy")
def _add_rings(coef, i, p, q, sums):
    """Add to the coefficients of steps i (even) and i + 1 what the rings of a tile contribute."""
    even_re, even_im, odd_re, odd_im = sums
    k = 2 * i * LANES
    add_vector(coef, k, sum_rings(p * even_re))
    k += LANES
    add_vector(coef, k, sum_rings(p * even_im))
    k += LANES
    add_vector(coef, k, sum_rings(q * odd_re))
    k += LANES
    add_vector(coef, k, sum_rings(q * odd_im))


@njit(error_model="numpy")
def load_sums(phases):
    return (
        load_block(phases, 0),
        load_block(phases, BLOCK),
        load_block(phases, 2 * BLOCK),
        load_block(phases, 3 * BLOCK),
    )


@njit(error_model="numpy")
def store_sums(phases, sums):
    even_re, even_im, odd_re, odd_im = sums
    store_block(phases, 0, even_re)
    store_block(phases, BLOCK, even_im)
    store_block(phases, 2 * BLOCK, odd_re)
    store_block(phases, 3 * BLOCK, odd_im)


@njit(error_model="numpy")
def legendre_synthesis_into(phases, coef, state, x, recurrence, seeds, first):
    """Sums over degrees at the rings of one tile, for the orders of one group.

    ``even = Σ_{even i} q_i(x) c_i`` and ``odd = Σ_{odd i} q_i(x) c_i`` for each ring and each lane;
    the northern ring has even + odd, its southern mirror even - odd.

    Parameters
    ----------
    phases : (PHASES,) float64
        Overwritten: [even re, even im, odd re, odd im][ring][lane].
    coef : (2 * steps * LANES,) float64
        [step][re, im][lane], scaled with κ. An even number of steps.
    state : (2 * BLOCK,) float64
        Work space of the derivative: the two latest polynomials.
    x : (RINGS,) float64
    recurrence : (steps * LANES,) float64
    seeds : (2 * BLOCK,) float64
    first : int
    """
    cos_theta = splat_rings(x, 0)
    p, q = load_block(seeds, 0), load_block(seeds, BLOCK)
    zero = zero_block()
    sums = (zero, zero, zero, zero)
    for i in range(first, len(recurrence) // LANES, 2):
        sums = _add_degrees(sums, coef, i, p, q)
        p, q = _next_pair(p, q, recurrence, i, cos_theta)
    store_sums(phases, sums)


@njit(error_model="numpy")
def legendre_analysis_into(coef, phases, state, x, recurrence, seeds, first):
    """Adds to the coefficients of one group what the rings of one tile contribute.

    ``c_i += Σ_rings q_i(x) even`` for even i, the odd sums for odd i. Arguments as for
    `legendre_synthesis_into`, of which it is the transpose.
    """
    cos_theta = splat_rings(x, 0)
    p, q = load_block(seeds, 0), load_block(seeds, BLOCK)
    sums = load_sums(phases)
    for i in range(first, len(recurrence) // LANES, 2):
        _add_rings(coef, i, p, q, sums)
        p, q = _next_pair(p, q, recurrence, i, cos_theta)


# Enzyme differentiates one step of each loop: two degrees. A derivative of the whole loop would run
# it backwards, and keep all its polynomials for that, since the recurrence is not stable downwards.


@njit(error_model="numpy")
def synthesis_term_into(phases, coef, state, i, x, recurrence):
    """Adds what steps i and i + 1 contribute, and advances the polynomials in `state`."""
    p, q = load_block(state, 0), load_block(state, BLOCK)
    store_sums(phases, _add_degrees(load_sums(phases), coef, i, p, q))
    p, q = _next_pair(p, q, recurrence, i, splat_rings(x, 0))
    store_block(state, 0, p)
    store_block(state, BLOCK, q)


@njit(error_model="numpy")
def analysis_term_into(coef, phases, state, i, x, recurrence):
    """Adds what the rings contribute to steps i and i + 1, and advances the polynomials."""
    p, q = load_block(state, 0), load_block(state, BLOCK)
    _add_rings(coef, i, p, q, load_sums(phases))
    p, q = _next_pair(p, q, recurrence, i, splat_rings(x, 0))
    store_block(state, 0, p)
    store_block(state, BLOCK, q)


@njit(error_model="numpy")
def _synthesis_terms(phases, coef, state, x, recurrence, seeds, first):
    store_block(state, 0, load_block(seeds, 0))
    store_block(state, BLOCK, load_block(seeds, BLOCK))
    for i in range(first, len(recurrence) // LANES, 2):
        synthesis_term_into(phases, coef, state, i, x, recurrence)


@njit(error_model="numpy")
def _analysis_terms(coef, phases, state, x, recurrence, seeds, first):
    store_block(state, 0, load_block(seeds, 0))
    store_block(state, BLOCK, load_block(seeds, BLOCK))
    for i in range(first, len(recurrence) // LANES, 2):
        analysis_term_into(coef, phases, state, i, x, recurrence)


register(LinearRule(synthesis_term_into, state=(2,), accumulates=True))
register(LinearRule(analysis_term_into, state=(2,), accumulates=True))
register(LinearRule(legendre_synthesis_into, terms=_synthesis_terms, state=(2,)))
register(LinearRule(legendre_analysis_into, terms=_analysis_terms, state=(2,), accumulates=True))
