"""The Legendre stage on a device: one lane of one group of orders for each thread.

The mathematics, the tables and the layouts are those of `_legendre`, with all coefficients of all
groups at once, and all sums of all tiles. Nothing is atomic: no two threads write one item, and the
results are the same bits in every run. That takes two ways to divide the same work:

- *By tiles* (`_device_tiles`): a thread has the sums of one tile in registers, and goes through the
  steps of its group. It owns the sums: for the synthesis, and the transpose of the analysis.
- *By blocks* (`_device_blocks`): a thread has the coefficients of `STEPS` steps in registers, and
  goes through the tiles. It owns the coefficients: for the analysis, and the transpose of the
  synthesis. The functions that its steps begin with are a table, which threads by tiles make
  beforehand for a *window* of blocks at a time, so that memory stays O(lmax²).

Lanes are next to each other, then tiles or blocks. So the threads of a warp read the same cache
lines: by tiles the same coefficients and recurrence, by blocks the same sums.
"""

from __future__ import annotations

from typing import NamedTuple

from numba import njit

from enzyme_rules import LinearRule, register

from ._lane_rings import add, following, get, rings_of
from ._legendre import PHASES
from ._legendre_tables import BLOCK
from ._simd import LANES, RINGS

STEPS = 8
"""Steps of a block: 32 coefficients in registers, beside 4 sums and 2 functions of each ring."""

NEXT = 2 * LANES
"""From one step of the recurrence to the next."""


class Window(NamedTuple):
    """Blocks ``begin … begin + count - 1`` of each group."""

    begin: int
    count: int


@njit(error_model="numpy")
def sums_at(g, mirror, field, tile, lane, t, fields):
    """Where the sums of a lane of one tile, group, pass and field begin."""
    passes, ngroups, _ = t.first.shape
    return (((tile * ngroups + g) * passes + mirror) * fields + field) * PHASES + lane


@njit(error_model="numpy")
def argument_of(mirror, tile, t):
    """What the recurrence of a tile depends on: z of its rings, and its row of the table."""
    return rings_of(t.z[mirror], tile * RINGS, 1), t.recurrence[t.row[mirror, tile]]


@njit(error_model="numpy")
def advance(before, now, z, recurrence, at):
    """The functions one step on, by what the recurrence has at a place."""
    return now, following(before, now, z, get(recurrence, at), get(recurrence, at + LANES))


@njit(error_model="numpy")
def functions_at(j, mirror, g, tile, lane, t):
    """Where the functions are that block j of a window begins with."""
    passes, ngroups, ntiles = t.first.shape
    return (((j * passes + mirror) * ngroups + g) * ntiles + tile) * 2 * BLOCK + lane


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
