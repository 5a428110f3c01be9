"""The two stages of the transform over ranges of tiles and groups, each way.

What lies between the stages are the *sums*: for each tile, for each group, `PHASES` numbers. A
range of tiles ``begin … end`` has its sums one after the other from the start of `sums` on.
"""

from __future__ import annotations

from numba import njit

from ._fourier import rings_to_tile, tile_to_rings
from ._legendre import PHASES, legendre_analysis_into, legendre_synthesis_into
from ._simd import LANES, RINGS


@njit(error_model="numpy")
def coef_to_sums(sums, coef, state, t, groups, tiles):
    """Legendre stage of a synthesis.

    Parameters
    ----------
    sums : (tiles * ngroups * PHASES,) float64
        Overwritten for these groups.
    coef : (2 * nsteps * LANES,) float64
    state : (2 * BLOCK,) float64
        Work space of the derivative.
    t : Transform
    groups, tiles : (int, int)
        First, and one after the last.
    """
    tables = t.legendre
    size = len(tables.first) * PHASES
    for g in range(groups[0], groups[1]):
        s, e = tables.starts[g], tables.starts[g + 1]
        for tile in range(tiles[0], tiles[1]):
            k = (tile - tiles[0]) * size + g * PHASES
            legendre_synthesis_into(
                sums[k : k + PHASES],
                coef[2 * LANES * s : 2 * LANES * e],
                state,
                tables.x[tile * RINGS : (tile + 1) * RINGS],
                tables.recurrence[LANES * s : LANES * e],
                tables.seeds[g, tile],
                tables.first[g, tile],
            )


@njit(error_model="numpy")
def sums_to_coef(coef, sums, state, t, groups, tiles):
    """Legendre stage of an analysis: adds to the coefficients. The transpose of `coef_to_sums`."""
    tables = t.legendre
    size = len(tables.first) * PHASES
    for g in range(groups[0], groups[1]):
        s, e = tables.starts[g], tables.starts[g + 1]
        for tile in range(tiles[0], tiles[1]):
            k = (tile - tiles[0]) * size + g * PHASES
            legendre_analysis_into(
                coef[2 * LANES * s : 2 * LANES * e],
                sums[k : k + PHASES],
                state,
                tables.x[tile * RINGS : (tile + 1) * RINGS],
                tables.recurrence[LANES * s : LANES * e],
                tables.seeds[g, tile],
                tables.first[g, tile],
            )


@njit(error_model="numpy")
def sums_to_rings(field, sums, t, scratch, tiles):
    """Fourier stage of a synthesis: overwrites the rings of these tiles."""
    size = len(t.legendre.first) * PHASES
    for tile in range(tiles[0], tiles[1]):
        k = (tile - tiles[0]) * size
        tile_to_rings(field, sums[k : k + size], tile, t, scratch)


@njit(error_model="numpy")
def rings_to_sums(sums, field, t, scratch, tiles):
    """Fourier stage of an analysis: overwrites the sums of these tiles."""
    size = len(t.legendre.first) * PHASES
    for tile in range(tiles[0], tiles[1]):
        k = (tile - tiles[0]) * size
        rings_to_tile(sums[k : k + size], field, tile, t, scratch)


@njit(error_model="numpy")
def pack_coefficients_into(coef, a, t):
    """Packed coefficients, scaled, in the order of the Legendre stage, with zeros between them."""
    tables = t.legendre
    for g in range(len(tables.starts) - 1):
        start = tables.starts[g]
        steps = tables.starts[g + 1] - start
        for lane in range(LANES):
            m = g * LANES + lane
            count = tables.lmax - m + 1 if m <= tables.mmax else 0
            first = m * (2 * tables.lmax + 1 - m) // 2 + m
            k = 2 * LANES * start + lane
            for i in range(count):
                coef[k + 2 * LANES * i] = tables.scale[first + i] * a[first + i].real
                coef[k + 2 * LANES * i + LANES] = tables.scale[first + i] * a[first + i].imag
            for i in range(max(count, 0), steps):
                coef[k + 2 * LANES * i] = 0.0
                coef[k + 2 * LANES * i + LANES] = 0.0


@njit(error_model="numpy")
def unpack_coefficients_into(a, coef, t):
    """The transpose of `pack_coefficients_into`."""
    tables = t.legendre
    for m in range(tables.mmax + 1):
        k = 2 * LANES * tables.starts[m // LANES] + m % LANES
        first = m * (2 * tables.lmax + 1 - m) // 2 + m
        for i in range(tables.lmax - m + 1):
            a[first + i] = tables.scale[first + i] * complex(
                coef[k + 2 * LANES * i], coef[k + 2 * LANES * i + LANES]
            )
