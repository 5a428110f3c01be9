"""The Legendre stage: sums over degrees, with the polynomials made on the fly.

One kernel, each way, serves scalars and spin: a function q and four numbers for each step. See
`_legendre_tables` for groups, tiles, steps and the recurrence. A kernel takes several fields at
once; they share the polynomials.
"""

from __future__ import annotations

from numba import njit

from enzyme_rules import LinearRule, register

from ._legendre_tables import BLOCK
from ._simd import (
    LANES,
    add_vector,
    dot_rings,
    load_block,
    load_vector,
    splat_rings,
    store_block,
    zero_block,
)

WIDTH = 4 * LANES
"""Numbers per step of one field's coefficients. Scalars: real and imaginary part of what belongs to
even l - m, then of odd. Spin: of c⁺, then of c̃⁻."""

PHASES = 4 * BLOCK
"""Numbers per group and tile of one field: for each of those four the sum over the steps."""

CHUNK = 64
"""Steps whose polynomials several fields share at a time: 16 KB, half of an L1 cache. At T1023 16
steps took 1.15 times as long, 256 steps as long."""

STATE = CHUNK * BLOCK
"""Numbers of work space: the polynomials of a chunk."""


@njit(error_model="numpy")
def _next(before, now, recurrence, i, z):
    """The polynomials one step on."""
    k = 2 * i * LANES
    factor = load_vector(recurrence, k) * z + load_vector(recurrence, k + LANES)
    return now, factor * now - before


@njit(error_model="numpy")
def _add_step(sums, coef, i, q):
    """Add to the sums of a synthesis what step i contributes."""
    first, second, third, fourth = sums
    k = i * WIDTH
    return (
        first + q * load_vector(coef, k),
        second + q * load_vector(coef, k + LANES),
        third + q * load_vector(coef, k + 2 * LANES),
        fourth + q * load_vector(coef, k + 3 * LANES),
    )


@njit(error_model="numpy")
def _add_rings(coef, i, q, sums):
    """Add to the coefficients of step i what the rings of a tile contribute."""
    first, second, third, fourth = sums
    k = i * WIDTH
    add_vector(coef, k, dot_rings(q, first))
    add_vector(coef, k + LANES, dot_rings(q, second))
    add_vector(coef, k + 2 * LANES, dot_rings(q, third))
    add_vector(coef, k + 3 * LANES, dot_rings(q, fourth))


@njit(error_model="numpy")
def _load_sums(phases):
    return (
        load_block(phases, 0),
        load_block(phases, BLOCK),
        load_block(phases, 2 * BLOCK),
        load_block(phases, 3 * BLOCK),
    )


@njit(error_model="numpy")
def _store_sums(phases, sums):
    first, second, third, fourth = sums
    store_block(phases, 0, first)
    store_block(phases, BLOCK, second)
    store_block(phases, 2 * BLOCK, third)
    store_block(phases, 3 * BLOCK, fourth)


@njit(error_model="numpy")
def legendre_synthesis_into(phases, coef, state, z, recurrence, seeds, first):
    """Sums over degrees at the rings of one tile, for the orders of one group.

    ``Σ_i q_i(z) c_i`` for each field, each of the four numbers c of a step, each ring and lane.

    Parameters
    ----------
    phases : (fields * PHASES,) float64
        Overwritten: [field][which of the four][ring][lane].
    coef : (fields * steps * WIDTH,) float64
        [field][step][which of the four][lane], scaled.
    state : (STATE,) float64
        Work space of the derivative, and of several fields.
    z : (RINGS,) float64
    recurrence : (steps * 2 * LANES,) float64
    seeds : (2 * BLOCK,) float64
    first : int
    """
    if len(phases) > PHASES:
        phases[:] = 0.0
        _each_chunk(
            _start_synthesis, _synthesise_chunk, phases, coef, state, z, recurrence, seeds, first
        )
        return
    argument = splat_rings(z, 0)
    before, now = load_block(seeds, 0), load_block(seeds, BLOCK)
    zero = zero_block()
    sums = (zero, zero, zero, zero)
    for i in range(first, len(recurrence) // (2 * LANES)):
        sums = _add_step(sums, coef, i, now)
        before, now = _next(before, now, recurrence, i, argument)
    _store_sums(phases, sums)


@njit(error_model="numpy")
def legendre_analysis_into(coef, phases, state, z, recurrence, seeds, first):
    """Adds to the coefficients of one group what the rings of one tile contribute.

    ``c_i += Σ_rings q_i(z) sum``. Arguments as for `legendre_synthesis_into`, of which it is the
    transpose.
    """
    if len(phases) > PHASES:
        _each_chunk(
            _start_analysis, _analyse_chunk, phases, coef, state, z, recurrence, seeds, first
        )
        return
    argument = splat_rings(z, 0)
    before, now = load_block(seeds, 0), load_block(seeds, BLOCK)
    sums = _load_sums(phases)
    for i in range(first, len(recurrence) // (2 * LANES)):
        _add_rings(coef, i, now, sums)
        before, now = _next(before, now, recurrence, i, argument)


@njit(error_model="numpy")
def _each_chunk(start, add, phases, coef, state, z, recurrence, seeds, first):
    """Several fields: the polynomials of some steps into memory, then ``add`` for each field.

    All but the first field: ``start`` sums that while it makes the polynomials.
    """
    steps = len(recurrence) // (2 * LANES)
    argument = splat_rings(z, 0)
    now = load_block(seeds, 0), load_block(seeds, BLOCK)
    for begin in range(first, steps, CHUNK):
        end = min(begin + CHUNK, steps)
        now = start(
            phases[:PHASES],
            coef[begin * WIDTH : end * WIDTH],
            state,
            recurrence[begin * 2 * LANES : end * 2 * LANES],
            argument,
            now,
        )
        for field in range(1, len(phases) // PHASES):
            add(
                phases[field * PHASES : (field + 1) * PHASES],
                coef[(field * steps + begin) * WIDTH : (field * steps + end) * WIDTH],
                state,
                end - begin,
            )


@njit(error_model="numpy")
def _start_synthesis(phases, coef, state, recurrence, argument, functions):
    before, now = functions
    sums = _load_sums(phases)
    for i in range(len(recurrence) // (2 * LANES)):
        store_block(state, i * BLOCK, now)
        sums = _add_step(sums, coef, i, now)
        before, now = _next(before, now, recurrence, i, argument)
    _store_sums(phases, sums)
    return before, now


@njit(error_model="numpy")
def _start_analysis(phases, coef, state, recurrence, argument, functions):
    before, now = functions
    sums = _load_sums(phases)
    for i in range(len(recurrence) // (2 * LANES)):
        store_block(state, i * BLOCK, now)
        _add_rings(coef, i, now, sums)
        before, now = _next(before, now, recurrence, i, argument)
    return before, now


@njit(error_model="numpy")
def _synthesise_chunk(phases, coef, state, steps):
    sums = _load_sums(phases)
    for i in range(steps):
        sums = _add_step(sums, coef, i, load_block(state, i * BLOCK))
    _store_sums(phases, sums)


@njit(error_model="numpy")
def _analyse_chunk(phases, coef, state, steps):
    sums = _load_sums(phases)
    for i in range(steps):
        _add_rings(coef, i, load_block(state, i * BLOCK), sums)


# Enzyme differentiates one step of these loops, and the transpose of a loop is one of transposed
# steps in the same order. A derivative of a whole loop would run it backwards, and keep all its
# polynomials for that, since the recurrence is not stable downwards.


@njit(error_model="numpy")
def synthesis_step_into(phases, coef, q, i):
    """Adds to the sums of one field what step i contributes, with the functions q of that step."""
    _store_sums(phases, _add_step(_load_sums(phases), coef, i, load_block(q, 0)))


@njit(error_model="numpy")
def analysis_step_into(coef, phases, q, i):
    """Adds to step i of `coef` what the rings contribute. The transpose of the above."""
    _add_rings(coef, i, load_block(q, 0), _load_sums(phases))


@njit(error_model="numpy")
def _synthesis_steps(phases, coef, state, z, recurrence, seeds, first):
    if len(phases) > PHASES:
        _each_chunk(
            _start_synthesis_steps,
            _synthesis_steps_of_chunk,
            phases,
            coef,
            state,
            z,
            recurrence,
            seeds,
            first,
        )
        return
    argument = splat_rings(z, 0)
    before, now = load_block(seeds, 0), load_block(seeds, BLOCK)
    for i in range(first, len(recurrence) // (2 * LANES)):
        store_block(state, 0, now)
        synthesis_step_into(phases, coef, state, i)
        before, now = _next(before, now, recurrence, i, argument)


@njit(error_model="numpy")
def _analysis_steps(coef, phases, state, z, recurrence, seeds, first):
    if len(phases) > PHASES:
        _each_chunk(
            _start_analysis_steps,
            _analysis_steps_of_chunk,
            phases,
            coef,
            state,
            z,
            recurrence,
            seeds,
            first,
        )
        return
    argument = splat_rings(z, 0)
    before, now = load_block(seeds, 0), load_block(seeds, BLOCK)
    for i in range(first, len(recurrence) // (2 * LANES)):
        store_block(state, 0, now)
        analysis_step_into(coef, phases, state, i)
        before, now = _next(before, now, recurrence, i, argument)


@njit(error_model="numpy")
def _start_synthesis_steps(phases, coef, state, recurrence, argument, functions):
    before, now = functions
    for i in range(len(recurrence) // (2 * LANES)):
        store_block(state, i * BLOCK, now)
        synthesis_step_into(phases, coef, state[i * BLOCK : (i + 1) * BLOCK], i)
        before, now = _next(before, now, recurrence, i, argument)
    return before, now


@njit(error_model="numpy")
def _start_analysis_steps(phases, coef, state, recurrence, argument, functions):
    before, now = functions
    for i in range(len(recurrence) // (2 * LANES)):
        store_block(state, i * BLOCK, now)
        analysis_step_into(coef, phases, state[i * BLOCK : (i + 1) * BLOCK], i)
        before, now = _next(before, now, recurrence, i, argument)
    return before, now


@njit(error_model="numpy")
def _synthesis_steps_of_chunk(phases, coef, state, steps):
    for i in range(steps):
        synthesis_step_into(phases, coef, state[i * BLOCK : (i + 1) * BLOCK], i)


@njit(error_model="numpy")
def _analysis_steps_of_chunk(phases, coef, state, steps):
    for i in range(steps):
        analysis_step_into(coef, phases, state[i * BLOCK : (i + 1) * BLOCK], i)


register(LinearRule(synthesis_step_into, state=(2,), accumulates=True))
register(LinearRule(analysis_step_into, state=(2,), accumulates=True))
register(LinearRule(legendre_synthesis_into, terms=_synthesis_steps, state=(2,)))
register(LinearRule(legendre_analysis_into, terms=_analysis_steps, state=(2,), accumulates=True))
