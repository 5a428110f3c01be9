"""The Legendre stage on a device: one lane of one group of orders for each thread.

The mathematics, the tables and the layouts are those of `_legendre`, with all coefficients of all
groups at once, and all sums of all tiles. Nothing is atomic: no two threads write one item, and the
results are the same bits in every run. That takes two ways to divide the same work:

- *By tiles*: a thread has the sums of one tile in registers, and goes through the steps of its
  group. It owns the sums: for the synthesis, and the transpose of the analysis.
- *By blocks*: a thread has the coefficients of `STEPS` steps in registers, and goes through the
  tiles. It owns the coefficients: for the analysis, and the transpose of the synthesis. The
  functions that its steps begin with are a table, which threads by tiles make beforehand for a
  *window* of blocks at a time, so that memory stays O(lmax²).

Lanes are next to each other, then tiles or blocks. So the threads of a warp read the same cache
lines: by tiles the same coefficients and recurrence, by blocks the same sums.
"""

from __future__ import annotations

from typing import NamedTuple

from numba import njit

from enzyme_rules import LinearRule, register

from ._lane_rings import add, following, get, plus, plus_dot, put, put_rings, rings_of
from ._legendre import PHASES, WIDTH
from ._legendre_tables import BLOCK
from ._simd import LANES, RINGS

STEPS = 8
"""Steps of a block: 32 coefficients in registers, beside 4 sums and 2 functions of each ring."""

_NEXT = 2 * LANES  # from one step of the recurrence to the next
_ZERO = (0.0,) * RINGS
_NONE = (0.0,) * 4


class Window(NamedTuple):
    """Blocks ``begin … begin + count - 1`` of each group."""

    begin: int
    count: int


class _Tile(NamedTuple):
    """What belongs to a thread by tiles: where it begins in each array."""

    first: int
    steps: int
    sums: int
    coef: int
    recurrence: int
    state: int


@njit(error_model="numpy")
def _tile_of(i, t, fields):
    """The tile of thread i, and the four numbers that say where its functions are."""
    passes, _, ntiles = t.first.shape
    lane, rest = i % LANES, i // LANES
    tile, rest = rest % ntiles, rest // ntiles
    field, rest = rest % fields, rest // fields
    # Groups come last: those of low orders, which have the most steps, are then the first to run.
    mirror, g = rest % passes, rest // passes
    start, steps = t.starts[g], t.starts[g + 1] - t.starts[g]
    place = _Tile(
        t.first[mirror, g, tile],
        steps,
        _sums_at(g, mirror, field, tile, lane, t, fields),
        (start * fields + field * steps) * WIDTH + lane,
        start * 2 * LANES + lane,
        i // LANES * BLOCK + lane,
    )
    return place, (mirror, g, tile, lane)


@njit(error_model="numpy")
def _sums_at(g, mirror, field, tile, lane, t, fields):
    passes, ngroups, _ = t.first.shape
    return (((tile * ngroups + g) * passes + mirror) * fields + field) * PHASES + lane


@njit(error_model="numpy")
def _seeds(which, t):
    """The functions before and at the first step."""
    mirror, g, tile, lane = which
    seeds = t.seeds[mirror, g, tile]
    return rings_of(seeds, lane, LANES), rings_of(seeds, BLOCK + lane, LANES)


@njit(error_model="numpy")
def _argument(mirror, tile, t):
    """What the recurrence of a tile depends on: z of its rings, and its row of the table."""
    return rings_of(t.z[mirror], tile * RINGS, 1), t.recurrence[t.row[mirror, tile]]


@njit(error_model="numpy")
def _advance(before, now, z, recurrence, at):
    return now, following(before, now, z, get(recurrence, at), get(recurrence, at + LANES))


# By tiles


@njit(error_model="numpy")
def synthesis_of_tile(i, sums, coef, t, fields):
    """Thread i: the sums of one tile, group and lane, ``Σ_k q_k c_k``.

    Parameters
    ----------
    i : int
        [group][pass][field][tile][lane].
    sums : (ntiles * ngroups * passes * fields * PHASES,) float64
        [tile][group][pass][field][which of four][ring][lane].
    coef : (nsteps * fields * WIDTH,) float64
        [group][field][step][which of four][lane].
    t : FunctionTables
    fields : int
    """
    own, which = _tile_of(i, t, fields)
    before, now = _seeds(which, t)
    z, recurrence = _argument(which[0], which[2], t)
    first, second, third, fourth = _ZERO, _ZERO, _ZERO, _ZERO
    for k in range(own.first, own.steps):
        c = own.coef + k * WIDTH
        first = plus(first, now, get(coef, c))
        second = plus(second, now, get(coef, c + LANES))
        third = plus(third, now, get(coef, c + 2 * LANES))
        fourth = plus(fourth, now, get(coef, c + 3 * LANES))
        before, now = _advance(before, now, z, recurrence, own.recurrence + k * _NEXT)
    put_rings(sums, own.sums, first)
    put_rings(sums, own.sums + BLOCK, second)
    put_rings(sums, own.sums + 2 * BLOCK, third)
    put_rings(sums, own.sums + 3 * BLOCK, fourth)


@njit(error_model="numpy")
def _tile_analysis(coef, sums, state, t, fields, i):
    own, which = _tile_of(i, t, fields)
    before, now = _seeds(which, t)
    z, recurrence = _argument(which[0], which[2], t)
    for k in range(own.first, own.steps):
        put_rings(state, own.state, now)
        analysis_step_into(coef, sums, state, own.coef + k * WIDTH, own.sums, own.state)
        before, now = _advance(before, now, z, recurrence, own.recurrence + k * _NEXT)


@njit(error_model="numpy")
def functions_of(i, functions, t, window):
    """Thread i: the functions that each block of a window begins with, on one tile.

    The windows of a map are made in order, each from where the one before has ended.

    Parameters
    ----------
    functions : (window.count + 1, passes, ngroups, ntiles, 2 * BLOCK) float64, flat
        Those at the step before, and those at the step; 0 where they are negligible. Last those
        that the next window begins with.
    """
    own, which = _tile_of(i, t, 1)
    mirror, g, tile, lane = which
    z, recurrence = _argument(mirror, tile, t)
    before, now = _ZERO, _ZERO
    if window.begin * STEPS > own.first:
        at = _functions_at(window.count, mirror, g, tile, lane, t)
        before, now = rings_of(functions, at, LANES), rings_of(functions, at + BLOCK, LANES)
    for j in range(window.count + 1):
        begin = (window.begin + j) * STEPS
        if begin == own.first:
            before, now = _seeds(which, t)
        at = _functions_at(j, mirror, g, tile, lane, t)
        put_rings(functions, at, before)
        put_rings(functions, at + BLOCK, now)
        if own.first <= begin < own.steps and j < window.count:
            for k in range(begin, begin + STEPS):
                at = own.recurrence + k * 2 * LANES
                before, now = _advance(before, now, z, recurrence, at)


@njit(error_model="numpy")
def _functions_at(j, mirror, g, tile, lane, t):
    passes, ngroups, ntiles = t.first.shape
    return (((j * passes + mirror) * ngroups + g) * ntiles + tile) * 2 * BLOCK + lane


# By blocks


class _Block(NamedTuple):
    """What belongs to a thread by blocks."""

    g: int
    field: int
    lane: int
    j: int  # the block's number within the window
    begin: int  # its first step
    coef: int
    recurrence: int
    state: int


@njit(error_model="numpy")
def _block_of(i, t, fields, window):
    """The block of thread i, and how many passes it takes: none if its group has no such block."""
    lane, rest = i % LANES, i // LANES
    j, rest = rest % window.count, rest // window.count
    field, g = rest % fields, rest // fields
    start, steps = t.starts[g], t.starts[g + 1] - t.starts[g]
    begin = (window.begin + j) * STEPS
    coef = (start * fields + field * steps + begin) * WIDTH + lane
    recurrence, state = (start + begin) * 2 * LANES + lane, i // LANES * BLOCK + lane
    own = _Block(g, field, lane, j, begin, coef, recurrence, state)
    return own, t.first.shape[0] if begin < steps else 0


@njit(error_model="numpy")
def _first_tile(own, mirror, t):
    """From which tile on the block matters: functions begin the earlier, the nearer the Equator."""
    tile, ntiles = 0, t.first.shape[2]
    while tile < ntiles and t.first[mirror, own.g, tile] > own.begin:
        tile += 1
    return tile


@njit(error_model="numpy")
def analysis_of_block(i, coef, sums, functions, t, fields, window):
    """Thread i: the coefficients of one block, ``Σ q_k sum`` over rings, tiles and passes.

    Parameters
    ----------
    i : int
        [group][field][block][lane].
    coef, sums, t, fields
        As for `synthesis_of_tile`.
    functions : float64
        From `functions_of`.
    window : Window
    """
    own, passes = _block_of(i, t, fields, window)
    c0, c1, c2, c3 = _NONE, _NONE, _NONE, _NONE
    c4, c5, c6, c7 = _NONE, _NONE, _NONE, _NONE
    for mirror in range(passes):
        for tile in range(_first_tile(own, mirror, t), t.first.shape[2]):
            q, z, recurrence, at = _start(own, mirror, tile, functions, t)
            s = _sums_at(own.g, mirror, own.field, tile, own.lane, t, fields)
            f = (
                rings_of(sums, s, LANES),
                rings_of(sums, s + BLOCK, LANES),
                rings_of(sums, s + 2 * BLOCK, LANES),
                rings_of(sums, s + 3 * BLOCK, LANES),
            )
            c0, q = _with(c0, q[1], f), _advance(q[0], q[1], z, recurrence, at)
            c1, q = _with(c1, q[1], f), _advance(q[0], q[1], z, recurrence, at + _NEXT)
            c2, q = _with(c2, q[1], f), _advance(q[0], q[1], z, recurrence, at + 2 * _NEXT)
            c3, q = _with(c3, q[1], f), _advance(q[0], q[1], z, recurrence, at + 3 * _NEXT)
            c4, q = _with(c4, q[1], f), _advance(q[0], q[1], z, recurrence, at + 4 * _NEXT)
            c5, q = _with(c5, q[1], f), _advance(q[0], q[1], z, recurrence, at + 5 * _NEXT)
            c6, q = _with(c6, q[1], f), _advance(q[0], q[1], z, recurrence, at + 6 * _NEXT)
            c7 = _with(c7, q[1], f)
    if passes > 0:
        for k, c in enumerate((c0, c1, c2, c3, c4, c5, c6, c7)):
            put(coef, own.coef + k * WIDTH, c[0])
            put(coef, own.coef + k * WIDTH + LANES, c[1])
            put(coef, own.coef + k * WIDTH + 2 * LANES, c[2])
            put(coef, own.coef + k * WIDTH + 3 * LANES, c[3])


@njit(error_model="numpy")
def _start(own, mirror, tile, functions, t):
    """The functions that a block begins with on a tile, and what is needed to go on from there."""
    at = _functions_at(own.j, mirror, own.g, tile, own.lane, t)
    q = rings_of(functions, at, LANES), rings_of(functions, at + BLOCK, LANES)
    z, recurrence = _argument(mirror, tile, t)
    return q, z, recurrence, own.recurrence


@njit(error_model="numpy")
def _with(c, q, f):
    """The four coefficients of a step, with what the rings of a tile contribute."""
    return (
        plus_dot(c[0], q, f[0]),
        plus_dot(c[1], q, f[1]),
        plus_dot(c[2], q, f[2]),
        plus_dot(c[3], q, f[3]),
    )


@njit(error_model="numpy")
def _block_synthesis(sums, coef, state, functions, t, fields, window, i):
    own, passes = _block_of(i, t, fields, window)
    for mirror in range(passes):
        for tile in range(_first_tile(own, mirror, t), t.first.shape[2]):
            q, z, recurrence, _ = _start(own, mirror, tile, functions, t)
            s = _sums_at(own.g, mirror, own.field, tile, own.lane, t, fields)
            # Written out, so that the transposed sums stay in registers from tile to tile.
            q = _block_step(sums, coef, state, own, s, 0, q, z, recurrence)
            q = _block_step(sums, coef, state, own, s, 1, q, z, recurrence)
            q = _block_step(sums, coef, state, own, s, 2, q, z, recurrence)
            q = _block_step(sums, coef, state, own, s, 3, q, z, recurrence)
            q = _block_step(sums, coef, state, own, s, 4, q, z, recurrence)
            q = _block_step(sums, coef, state, own, s, 5, q, z, recurrence)
            q = _block_step(sums, coef, state, own, s, 6, q, z, recurrence)
            _block_step(sums, coef, state, own, s, 7, q, z, recurrence)


@njit(error_model="numpy")
def _block_step(sums, coef, state, own, s, k, q, z, recurrence):
    put_rings(state, own.state, q[1])
    synthesis_step_into(sums, coef, state, s, own.coef + k * WIDTH, own.state)
    return _advance(q[0], q[1], z, recurrence, own.recurrence + k * _NEXT)


# As on the CPU, Enzyme differentiates one step, and a transposed loop is one of transposed steps in
# the same order: the functions are made again, not kept.


@njit(error_model="numpy", fastmath={"contract"})
def synthesis_step_into(sums, coef, q, s, c, k):
    """Adds to the sums from s on what the coefficients from c on make with the functions from k."""
    for which in range(4):
        value = get(coef, c + which * LANES)
        for r in range(RINGS):
            add(sums, s + which * BLOCK + r * LANES, get(q, k + r * LANES) * value)


@njit(error_model="numpy", fastmath={"contract"})
def analysis_step_into(coef, sums, q, c, s, k):
    """The transpose of it: adds to the coefficients from c on."""
    for which in range(4):
        for r in range(RINGS):
            value = get(q, k + r * LANES) * get(sums, s + which * BLOCK + r * LANES)
            add(coef, c + which * LANES, value)


register(LinearRule(synthesis_step_into, state=(2,), accumulates=True))
register(LinearRule(analysis_step_into, state=(2,), accumulates=True))


@njit(error_model="numpy")
def _thread_of_tile_analysis(coef, sums, state, t, fields, i):
    _tile_analysis(coef, sums, state, t, fields, i)


@njit(error_model="numpy")
def _thread_of_block_synthesis(sums, coef, state, functions, t, fields, window, i):
    _block_synthesis(sums, coef, state, functions, t, fields, window, i)


for _thread, _terms in (
    (_thread_of_tile_analysis, _tile_analysis),
    (_thread_of_block_synthesis, _block_synthesis),
):
    register(LinearRule(_thread, terms=_terms, state=(2,), accumulates=True))


@njit(error_model="numpy")
def analysis_of_tile(i, coef, sums, state, t, fields):
    """Thread i adds to the coefficients what one tile contributes.

    Others add to the same ones: only its transpose may run on a device, by which a thread adds to
    the sums that it owns. Arguments as for `synthesis_of_tile` and `analysis_of_block`.
    """
    _thread_of_tile_analysis(coef, sums, state, t, fields, i)


@njit(error_model="numpy")
def synthesis_of_block(i, sums, coef, state, functions, t, fields, window):
    """Thread i adds to the sums of all tiles what the coefficients of one block make.

    Others add to the same ones: only its transpose may run on a device, by which a thread adds to
    the coefficients that it owns. Arguments as for `analysis_of_block`.
    """
    _thread_of_block_synthesis(sums, coef, state, functions, t, fields, window, i)
