"""The Legendre stage on a device, by threads that own sums of a tile: see `_device_legendre`."""

from __future__ import annotations

from typing import NamedTuple

from numba import njit

from enzyme_rules import LinearRule, register

from ._device_legendre import (
    NEXT,
    STEPS,
    advance,
    analysis_step_into,
    argument_of,
    functions_at,
    sums_at,
)
from ._lane_rings import get, plus, put_rings, rings_of
from ._legendre import WIDTH
from ._legendre_tables import BLOCK
from ._simd import LANES, RINGS

_ZERO = (0.0,) * RINGS


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
        sums_at(g, mirror, field, tile, lane, t, fields),
        (start * fields + field * steps) * WIDTH + lane,
        start * NEXT + lane,
        i // LANES * BLOCK + lane,
    )
    return place, (mirror, g, tile, lane)


@njit(error_model="numpy")
def _seeds(which, t):
    """The functions before and at the first step."""
    mirror, g, tile, lane = which
    seeds = t.seeds[mirror, g, tile]
    return rings_of(seeds, lane, LANES), rings_of(seeds, BLOCK + lane, LANES)


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
    z, recurrence = argument_of(which[0], which[2], t)
    first, second, third, fourth = _ZERO, _ZERO, _ZERO, _ZERO
    for k in range(own.first, own.steps):
        c = own.coef + k * WIDTH
        first = plus(first, now, get(coef, c))
        second = plus(second, now, get(coef, c + LANES))
        third = plus(third, now, get(coef, c + 2 * LANES))
        fourth = plus(fourth, now, get(coef, c + 3 * LANES))
        before, now = advance(before, now, z, recurrence, own.recurrence + k * NEXT)
    put_rings(sums, own.sums, first)
    put_rings(sums, own.sums + BLOCK, second)
    put_rings(sums, own.sums + 2 * BLOCK, third)
    put_rings(sums, own.sums + 3 * BLOCK, fourth)


@njit(error_model="numpy")
def _tile_analysis(coef, sums, state, t, fields, i):
    own, which = _tile_of(i, t, fields)
    before, now = _seeds(which, t)
    z, recurrence = argument_of(which[0], which[2], t)
    for k in range(own.first, own.steps):
        put_rings(state, own.state, now)
        analysis_step_into(coef, sums, state, own.coef + k * WIDTH, own.sums, own.state)
        before, now = advance(before, now, z, recurrence, own.recurrence + k * NEXT)


@njit(error_model="numpy")
def _thread_of_tile_analysis(coef, sums, state, t, fields, i):
    _tile_analysis(coef, sums, state, t, fields, i)


register(LinearRule(_thread_of_tile_analysis, terms=_tile_analysis, state=(2,), accumulates=True))


@njit(error_model="numpy")
def analysis_of_tile(i, coef, sums, state, t, fields):
    """Thread i adds to the coefficients what one tile contributes.

    Others add to the same ones: only its transpose may run on a device, by which a thread adds to
    the sums that it owns. Arguments as for `synthesis_of_tile` and `analysis_of_block`.
    """
    _thread_of_tile_analysis(coef, sums, state, t, fields, i)


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
    z, recurrence = argument_of(mirror, tile, t)
    before, now = _ZERO, _ZERO
    if window.begin * STEPS > own.first:
        at = functions_at(window.count, mirror, g, tile, lane, t)
        before, now = rings_of(functions, at, LANES), rings_of(functions, at + BLOCK, LANES)
    for j in range(window.count + 1):
        begin = (window.begin + j) * STEPS
        if begin == own.first:
            before, now = _seeds(which, t)
        at = functions_at(j, mirror, g, tile, lane, t)
        put_rings(functions, at, before)
        put_rings(functions, at + BLOCK, now)
        if own.first <= begin < own.steps and j < window.count:
            for k in range(begin, begin + STEPS):
                at = own.recurrence + k * 2 * LANES
                before, now = advance(before, now, z, recurrence, at)
