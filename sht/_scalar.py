"""What the stages do for scalars: one field, one set of coefficients.

The functions are compiled as overloads of those in `_kinds`.
"""

from __future__ import annotations

from ._legendre import PHASES, legendre_analysis_into, legendre_synthesis_into
from ._legendre_tables import BLOCK
from ._simd import LANES, RINGS, add_vector, load_complex, load_vector, splat, store_complex

WIDTH = 2 * LANES
"""Numbers per step of the coefficients: real and imaginary parts."""


def tile_to_phases(phases, coef, state, tables, g, tile):
    """Legendre stage of a synthesis for one group and tile."""
    s, e = tables.starts[g], tables.starts[g + 1]
    legendre_synthesis_into(
        phases,
        coef[WIDTH * s : WIDTH * e],
        state,
        tables.x[0, tile * RINGS : (tile + 1) * RINGS],
        tables.recurrence[LANES * s : LANES * e],
        tables.seeds[0, g, tile],
        tables.first[0, g, tile],
    )


def phases_to_tile(coef, phases, state, tables, g, tile):
    """Legendre stage of an analysis for one group and tile: adds to the coefficients."""
    s, e = tables.starts[g], tables.starts[g + 1]
    legendre_analysis_into(
        coef[WIDTH * s : WIDTH * e],
        phases,
        state,
        tables.x[0, tile * RINGS : (tile + 1) * RINGS],
        tables.recurrence[LANES * s : LANES * e],
        tables.seeds[0, g, tile],
        tables.first[0, g, tile],
    )


def order_sums_into(orders, phases, r, south, component, groups, tables):
    """``orders[m] = even ± odd`` for one ring of a tile, for the orders of the first groups."""
    for g in range(groups):
        k = g * PHASES + r * LANES
        even_re, even_im = load_vector(phases, k), load_vector(phases, k + BLOCK)
        odd_re, odd_im = load_vector(phases, k + 2 * BLOCK), load_vector(phases, k + 3 * BLOCK)
        if south:
            store_complex(orders, g * LANES, even_re - odd_re, even_im - odd_im)
        else:
            store_complex(orders, g * LANES, even_re + odd_re, even_im + odd_im)


def add_order_sums(phases, orders, r, south, component, groups, area, tables):
    """The transpose of `order_sums_into`, times the area of a point: adds to the phases."""
    even_area, odd_area = splat(area), splat(-area if south else area)
    for g in range(groups):
        k = g * PHASES + r * LANES
        re, im = load_complex(orders, g * LANES)
        add_vector(phases, k, even_area * re)
        add_vector(phases, k + BLOCK, even_area * im)
        add_vector(phases, k + 2 * BLOCK, odd_area * re)
        add_vector(phases, k + 3 * BLOCK, odd_area * im)


def pack_into(coef, a, tables):
    """Packed coefficients, scaled, in the order of the Legendre stage, with zeros between them."""
    for g in range(len(tables.starts) - 1):
        start = tables.starts[g]
        steps = tables.starts[g + 1] - start
        for lane in range(LANES):
            m = g * LANES + lane
            count = tables.counts[m] if m <= tables.mmax else 0
            first = tables.begins[m] if m <= tables.mmax else 0
            k = WIDTH * start + lane
            for i in range(count):
                coef[k + WIDTH * i] = tables.scale[first + i] * a[first + i].real
                coef[k + WIDTH * i + LANES] = tables.scale[first + i] * a[first + i].imag
            for i in range(count, steps):
                coef[k + WIDTH * i] = 0.0
                coef[k + WIDTH * i + LANES] = 0.0


def unpack_into(a, coef, tables):
    """The transpose of `pack_into`."""
    for m in range(tables.mmax + 1):
        k = WIDTH * tables.starts[m // LANES] + m % LANES
        first = tables.begins[m]
        for i in range(tables.counts[m]):
            a[first + i] = tables.scale[first + i] * complex(
                coef[k + WIDTH * i], coef[k + WIDTH * i + LANES]
            )
