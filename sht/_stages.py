"""The two stages of the transform over ranges of tiles and groups, each way.

What lies between the stages are the *sums*: for each tile, for each group, `PHASES` numbers, with
spin twice as many. A range of tiles ``begin … end`` has its sums one after the other from the start
of `sums` on.
"""

from __future__ import annotations

from numba import njit

from ._fourier import rings_to_tile, tile_to_rings
from ._kinds import (
    pack_into,
    phases_to_tile,
    tile_to_phases,
    unpack_into,
)
from ._legendre import PHASES


@njit(error_model="numpy")
def coef_to_sums(sums, coef, state, t, groups, tiles):
    """Legendre stage of a synthesis.

    Parameters
    ----------
    sums : (tiles * ngroups * PHASES * components,) float64
        Overwritten for these groups.
    coef : (nsteps * WIDTH * components,) float64
    state : (2 * BLOCK,) float64
        Work space of the derivative.
    t : Transform
    groups, tiles : (int, int)
        First, and one after the last.
    """
    each = PHASES * len(t.legendre.first)
    size = t.legendre.first.shape[1] * each
    for g in range(groups[0], groups[1]):
        for tile in range(tiles[0], tiles[1]):
            k = (tile - tiles[0]) * size + g * each
            tile_to_phases(sums[k : k + each], coef, state, t.legendre, g, tile)


@njit(error_model="numpy")
def sums_to_coef(coef, sums, state, t, groups, tiles):
    """Legendre stage of an analysis: adds to the coefficients. The transpose of `coef_to_sums`."""
    each = PHASES * len(t.legendre.first)
    size = t.legendre.first.shape[1] * each
    for g in range(groups[0], groups[1]):
        for tile in range(tiles[0], tiles[1]):
            k = (tile - tiles[0]) * size + g * each
            phases_to_tile(coef, sums[k : k + each], state, t.legendre, g, tile)


@njit(error_model="numpy")
def sums_to_rings(points, sums, t, scratch, tiles):
    """Fourier stage of a synthesis: overwrites the rings of these tiles."""
    size = t.legendre.first.shape[1] * PHASES * len(t.legendre.first)
    for tile in range(tiles[0], tiles[1]):
        k = (tile - tiles[0]) * size
        tile_to_rings(points, sums[k : k + size], tile, t, scratch)


@njit(error_model="numpy")
def rings_to_sums(sums, points, t, scratch, tiles):
    """Fourier stage of an analysis: overwrites the sums of these tiles."""
    size = t.legendre.first.shape[1] * PHASES * len(t.legendre.first)
    for tile in range(tiles[0], tiles[1]):
        k = (tile - tiles[0]) * size
        rings_to_tile(sums[k : k + size], points, tile, t, scratch)


@njit(error_model="numpy")
def pack_coefficients_into(coef, a, t):
    """Coefficients as the Legendre stage takes them: scaled, orders side by side."""
    pack_into(coef, a, t.legendre)


@njit(error_model="numpy")
def unpack_coefficients_into(a, coef, t):
    """The transpose of `pack_coefficients_into`."""
    unpack_into(a, coef, t.legendre)
