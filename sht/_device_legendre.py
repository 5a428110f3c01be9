"""The Legendre stage on a device: one lane of one group of orders for each thread.

The mathematics, the tables and the layouts are those of `_legendre`. A thread holds the rings of
one tile in registers: 4 sums and 2 functions for each. It goes through the tiles chunk,
chunk + chunks, … and for each through the steps. Threads beside each other have the lanes of one
group, then the next chunk: what they read of coefficients and recurrence is the same cache line,
and their tiles, next to each other, begin at about the same step.

No two threads write one item, so that nothing is atomic and the results are the same bits in every
run. Sums belong to one thread. Coefficients have *copies*, and thread (chunk, pass) takes copy
``(chunk passes + pass) mod copies``. Where coefficients are only read, one copy and a tile for
each chunk are best. Where they are added to, each chunk and pass has a copy of its own;
`add_copies` then adds these up, in order.
"""

from __future__ import annotations

from typing import NamedTuple

from numba import njit

from enzyme_rules import LinearRule, register

from ._lane_rings import (
    add,
    add_rings,
    dot,
    following,
    get,
    plus,
    put,
    put_rings,
    rings_of,
)
from ._legendre import PHASES, WIDTH
from ._legendre_tables import BLOCK
from ._simd import LANES, RINGS

_ZERO = (0.0,) * RINGS


class Division(NamedTuple):
    """How the Legendre stage is divided among threads.

    Attributes
    ----------
    fields : int
    chunks : int
        How many threads share the tiles.
    copies : int
        Of the coefficients.
    """

    fields: int
    chunks: int
    copies: int


class _Lane(NamedTuple):
    """What belongs to one thread: where its coefficients, recurrence, and rings begin.

    Attributes
    ----------
    group, mirror, field, chunk, lane, steps : int
    coef : int
        Its coefficients, ``coef + step * WIDTH``.
    recurrence : int
        Its row of the recurrence, ``recurrence + step * 2 * LANES``.
    state : int
        Its functions, as in a block.
    """

    group: int
    mirror: int
    field: int
    chunk: int
    lane: int
    steps: int
    coef: int
    recurrence: int
    state: int


@njit(error_model="numpy")
def _lane_of(i, t, division):
    passes, _, _ = t.first.shape
    fields, chunks, copies = division
    lane, rest = i % LANES, i // LANES
    chunk, rest = rest % chunks, rest // chunks
    field, rest = rest % fields, rest // fields
    # Groups come last: those of low orders, which have the most steps, are then the first to run.
    mirror, g = rest % passes, rest // passes
    start, steps = t.starts[g], t.starts[g + 1] - t.starts[g]
    copy = (chunk * passes + mirror) % copies
    coef = ((copy * t.starts[-1] + start) * fields + field * steps) * WIDTH + lane
    state = i // LANES * BLOCK + lane
    return _Lane(g, mirror, field, chunk, lane, steps, coef, start * 2 * LANES + lane, state)


@njit(error_model="numpy")
def threads_of(t, division):
    """How many threads there are."""
    passes, ngroups, _ = t.first.shape
    return ngroups * passes * division.fields * division.chunks * LANES


@njit(error_model="numpy")
def _sums_of(lane, tile, t, division):
    """Where the sums of a thread for one tile begin."""
    passes, ngroups, _ = t.first.shape
    place = (tile * ngroups + lane.group) * passes + lane.mirror
    return (place * division.fields + lane.field) * PHASES + lane.lane


@njit(error_model="numpy")
def _functions(lane, tile, t):
    """The functions before and at the first step, their argument, and the row of the recurrence."""
    seeds = t.seeds[lane.mirror, lane.group, tile]
    return (
        rings_of(seeds, lane.lane, LANES),
        rings_of(seeds, BLOCK + lane.lane, LANES),
        rings_of(t.z[lane.mirror], tile * RINGS, 1),
        t.recurrence[t.row[lane.mirror, tile]],
    )


@njit(error_model="numpy")
def _advance(before, now, z, recurrence, lane, k):
    at = lane.recurrence + k * 2 * LANES
    return now, following(before, now, z, get(recurrence, at), get(recurrence, at + LANES))


@njit(error_model="numpy")
def lane_synthesis_into(sums, coef, state, t, division, i):
    """Adds to the sums of one thread's tiles what its coefficients make, ``Σ_k q_k c_k``.

    Parameters
    ----------
    sums : (ntiles * ngroups * passes * fields * PHASES,) float64
        [tile][group][pass][field][which of four][ring][lane].
    coef : (copies * nsteps * fields * WIDTH,) float64
        [copy][group][field][step][which of four][lane].
    state : (threads * RINGS,) float64
        Work space of the derivative.
    t : LegendreTables
    division : Division
    i : int
        Number of the thread.
    """
    lane = _lane_of(i, t, division)
    for tile in range(lane.chunk, t.first.shape[2], division.chunks):
        before, now, z, recurrence = _functions(lane, tile, t)
        first, second, third, fourth = _ZERO, _ZERO, _ZERO, _ZERO
        for k in range(t.first[lane.mirror, lane.group, tile], lane.steps):
            c = lane.coef + k * WIDTH
            first = plus(first, now, get(coef, c))
            second = plus(second, now, get(coef, c + LANES))
            third = plus(third, now, get(coef, c + 2 * LANES))
            fourth = plus(fourth, now, get(coef, c + 3 * LANES))
            before, now = _advance(before, now, z, recurrence, lane, k)
        s = _sums_of(lane, tile, t, division)
        add_rings(sums, s, first)
        add_rings(sums, s + BLOCK, second)
        add_rings(sums, s + 2 * BLOCK, third)
        add_rings(sums, s + 3 * BLOCK, fourth)


@njit(error_model="numpy")
def lane_analysis_into(coef, sums, state, t, division, i):
    """Adds to the coefficients of one thread what its tiles contribute, ``c_k += Σ q_k sum``.

    Arguments as for `lane_synthesis_into`, of which it is the transpose.
    """
    lane = _lane_of(i, t, division)
    for tile in range(lane.chunk, t.first.shape[2], division.chunks):
        before, now, z, recurrence = _functions(lane, tile, t)
        s = _sums_of(lane, tile, t, division)
        first = rings_of(sums, s, LANES)
        second = rings_of(sums, s + BLOCK, LANES)
        third = rings_of(sums, s + 2 * BLOCK, LANES)
        fourth = rings_of(sums, s + 3 * BLOCK, LANES)
        for k in range(t.first[lane.mirror, lane.group, tile], lane.steps):
            c = lane.coef + k * WIDTH
            add(coef, c, dot(now, first))
            add(coef, c + LANES, dot(now, second))
            add(coef, c + 2 * LANES, dot(now, third))
            add(coef, c + 3 * LANES, dot(now, fourth))
            before, now = _advance(before, now, z, recurrence, lane, k)


# As on the CPU, Enzyme differentiates one step, and a transposed loop is one of transposed steps in
# the same order: the functions are made again, not kept.


@njit(error_model="numpy", fastmath={"contract"})
def lane_synthesis_step_into(sums, coef, q, s, c, k):
    """Adds to the sums from s on what the coefficients from c on make with the functions from k."""
    for which in range(4):
        value = get(coef, c + which * LANES)
        for r in range(RINGS):
            add(sums, s + which * BLOCK + r * LANES, get(q, k + r * LANES) * value)


@njit(error_model="numpy", fastmath={"contract"})
def lane_analysis_step_into(coef, sums, q, c, s, k):
    """The transpose of it: adds to the coefficients from c on."""
    for which in range(4):
        for r in range(RINGS):
            value = get(q, k + r * LANES) * get(sums, s + which * BLOCK + r * LANES)
            add(coef, c + which * LANES, value)


@njit(error_model="numpy")
def _synthesis_steps(sums, coef, state, t, division, i):
    lane = _lane_of(i, t, division)
    for tile in range(lane.chunk, t.first.shape[2], division.chunks):
        before, now, z, recurrence = _functions(lane, tile, t)
        s = _sums_of(lane, tile, t, division)
        for k in range(t.first[lane.mirror, lane.group, tile], lane.steps):
            put_rings(state, lane.state, now)
            lane_synthesis_step_into(sums, coef, state, s, lane.coef + k * WIDTH, lane.state)
            before, now = _advance(before, now, z, recurrence, lane, k)


@njit(error_model="numpy")
def _analysis_steps(coef, sums, state, t, division, i):
    lane = _lane_of(i, t, division)
    for tile in range(lane.chunk, t.first.shape[2], division.chunks):
        before, now, z, recurrence = _functions(lane, tile, t)
        s = _sums_of(lane, tile, t, division)
        for k in range(t.first[lane.mirror, lane.group, tile], lane.steps):
            put_rings(state, lane.state, now)
            lane_analysis_step_into(coef, sums, state, lane.coef + k * WIDTH, s, lane.state)
            before, now = _advance(before, now, z, recurrence, lane, k)


register(LinearRule(lane_synthesis_step_into, state=(2,), accumulates=True))
register(LinearRule(lane_analysis_step_into, state=(2,), accumulates=True))
register(LinearRule(lane_synthesis_into, terms=_synthesis_steps, state=(2,), accumulates=True))
register(LinearRule(lane_analysis_into, terms=_analysis_steps, state=(2,), accumulates=True))


@njit(error_model="numpy")
def legendre_synthesis_of(i, sums, coef, state, t, division):
    """Thread i of the Legendre stage of a synthesis."""
    lane_synthesis_into(sums, coef, state, t, division, i)


@njit(error_model="numpy")
def legendre_analysis_of(i, coef, sums, state, t, division):
    """Thread i of the Legendre stage of an analysis."""
    lane_analysis_into(coef, sums, state, t, division, i)


@njit(error_model="numpy")
def add_copies(i, total, coef, copies):
    """Thread i: ``total[i]`` is the sum of the copies, in their order."""
    value = 0.0
    for copy in range(copies):
        value += get(coef, copy * len(total) + i)
    put(total, i, value)
