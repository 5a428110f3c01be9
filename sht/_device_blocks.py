"""The Legendre stage on a device, by threads that own coefficients: see `_device_legendre`."""

from __future__ import annotations

from typing import NamedTuple

from numba import njit

from enzyme_rules import LinearRule, register

from ._device_legendre import (
    NEXT,
    STEPS,
    advance,
    argument_of,
    functions_at,
    sums_at,
    synthesis_step_into,
)
from ._lane_rings import plus_dot, put, put_rings, rings_of
from ._legendre import WIDTH
from ._legendre_tables import BLOCK
from ._simd import LANES

_NONE = (0.0,) * 4


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
    recurrence, state = (start + begin) * NEXT + lane, i // LANES * BLOCK + lane
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
            s = sums_at(own.g, mirror, own.field, tile, own.lane, t, fields)
            f = (
                rings_of(sums, s, LANES),
                rings_of(sums, s + BLOCK, LANES),
                rings_of(sums, s + 2 * BLOCK, LANES),
                rings_of(sums, s + 3 * BLOCK, LANES),
            )
            c0, q = _with(c0, q[1], f), advance(q[0], q[1], z, recurrence, at)
            c1, q = _with(c1, q[1], f), advance(q[0], q[1], z, recurrence, at + NEXT)
            c2, q = _with(c2, q[1], f), advance(q[0], q[1], z, recurrence, at + 2 * NEXT)
            c3, q = _with(c3, q[1], f), advance(q[0], q[1], z, recurrence, at + 3 * NEXT)
            c4, q = _with(c4, q[1], f), advance(q[0], q[1], z, recurrence, at + 4 * NEXT)
            c5, q = _with(c5, q[1], f), advance(q[0], q[1], z, recurrence, at + 5 * NEXT)
            c6, q = _with(c6, q[1], f), advance(q[0], q[1], z, recurrence, at + 6 * NEXT)
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
    at = functions_at(own.j, mirror, own.g, tile, own.lane, t)
    q = rings_of(functions, at, LANES), rings_of(functions, at + BLOCK, LANES)
    z, recurrence = argument_of(mirror, tile, t)
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
            s = sums_at(own.g, mirror, own.field, tile, own.lane, t, fields)
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
    return advance(q[0], q[1], z, recurrence, own.recurrence + k * NEXT)


@njit(error_model="numpy")
def _thread_of_block_synthesis(sums, coef, state, functions, t, fields, window, i):
    _block_synthesis(sums, coef, state, functions, t, fields, window, i)


register(
    LinearRule(_thread_of_block_synthesis, terms=_block_synthesis, state=(2,), accumulates=True)
)


@njit(error_model="numpy")
def synthesis_of_block(i, sums, coef, state, functions, t, fields, window):
    """Thread i adds to the sums of all tiles what the coefficients of one block make.

    Others add to the same ones: only its transpose may run on a device, by which a thread adds to
    the coefficients that it owns. Arguments as for `analysis_of_block`.
    """
    _thread_of_block_synthesis(sums, coef, state, functions, t, fields, window, i)
