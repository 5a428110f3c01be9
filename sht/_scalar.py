"""What lies around the Legendre stage for scalars: one field, one set of coefficients.

The functions are compiled as overloads of those in `_kinds`.
"""

from __future__ import annotations

from numba import njit

from ._legendre import PHASES, WIDTH
from ._legendre_tables import BLOCK
from ._simd import (
    LANES,
    RINGS,
    add_block,
    add_vector,
    load_block,
    load_complex,
    load_vector,
    splat,
    splat_rings,
    store_complex,
    store_vector,
)
from ._simd_degrees import (
    load_degrees,
    load_degrees_there,
    store_degrees,
    store_degrees_there,
)


def order_sums_into(orders, phases, place, groups, tables):
    """``orders[m] = even ± x odd`` on one ring of a tile, for the orders of the first groups."""
    odd = splat(-tables.x[place.pair] if place.south else tables.x[place.pair])
    for g in range(groups):
        k = (g * place.fields + place.field) * PHASES + place.pair % RINGS * LANES
        re = load_vector(phases, k) + odd * load_vector(phases, k + 2 * BLOCK)
        im = load_vector(phases, k + BLOCK) + odd * load_vector(phases, k + 3 * BLOCK)
        store_complex(orders, g * LANES, re, im)


def add_order_sums(phases, orders, place, groups, area, tables):
    """The transpose of `order_sums_into`, times the area of a point: adds to the phases."""
    even, odd = (
        splat(area),
        splat(area * (-tables.x[place.pair] if place.south else tables.x[place.pair])),
    )
    for g in range(groups):
        k = (g * place.fields + place.field) * PHASES + place.pair % RINGS * LANES
        re, im = load_complex(orders, g * LANES)
        add_vector(phases, k, even * re)
        add_vector(phases, k + BLOCK, even * im)
        add_vector(phases, k + 2 * BLOCK, odd * re)
        add_vector(phases, k + 3 * BLOCK, odd * im)


def order_blocks(phases, g, place, tables):
    """``even ± x odd`` of one group on all rings of a tile: north, then south."""
    k = (g * place.fields + place.field) * PHASES
    x = splat_rings(tables.x, place.tile * RINGS)
    odd_re, odd_im = x * load_block(phases, k + 2 * BLOCK), x * load_block(phases, k + 3 * BLOCK)
    even_re, even_im = load_block(phases, k), load_block(phases, k + BLOCK)
    return even_re + odd_re, even_im + odd_im, even_re - odd_re, even_im - odd_im


def add_order_blocks(phases, g, place, north_re, north_im, south_re, south_im, tables):
    """The transpose of `order_blocks`: adds to the phases."""
    k = (g * place.fields + place.field) * PHASES
    x = splat_rings(tables.x, place.tile * RINGS)
    add_block(phases, k, north_re + south_re)
    add_block(phases, k + BLOCK, north_im + south_im)
    add_block(phases, k + 2 * BLOCK, x * (north_re - south_re))
    add_block(phases, k + 3 * BLOCK, x * (north_im - south_im))


def pack_into(coef, a, field, fields, groups, add, tables):
    """Packed coefficients, scaled, in the order of the Legendre stage, or `add` them to it.

    Of the groups of orders from the first of `groups` on, up to the second.
    """
    factors = tables.factors
    for g in range(groups[0], groups[1]):
        start, steps = tables.starts[g], tables.starts[g + 1] - tables.starts[g]
        base = (start * fields + field * steps) * WIDTH
        whole = whole_steps(g, tables)
        even_re, even_im, odd_re, odd_im = two_degrees(a, g, 0, whole > 0, tables)
        for i in range(steps):
            following = two_degrees(a, g, 2 * i + 2, i < whole, tables)
            c, k = (start + i) * 3 * LANES, base + i * WIDTH
            own, below = load_vector(factors, c), load_vector(factors, c + LANES)
            of_odd = load_vector(factors, c + 2 * LANES)
            put_vector(coef, k, own * even_re + below * following[0], add)
            put_vector(coef, k + LANES, own * even_im + below * following[1], add)
            put_vector(coef, k + 2 * LANES, of_odd * odd_re, add)
            put_vector(coef, k + 3 * LANES, of_odd * odd_im, add)
            even_re, even_im, odd_re, odd_im = following


def unpack_into(a, coef, field, fields, groups, add, tables):
    """The transpose of `pack_into`."""
    factors = tables.factors
    for g in range(groups[0], groups[1]):
        start, steps = tables.starts[g], tables.starts[g + 1] - tables.starts[g]
        base = (start * fields + field * steps) * WIDTH
        whole = whole_steps(g, tables)
        before_re, before_im, below = splat(0.0), splat(0.0), splat(0.0)
        for i in range(steps):
            c, k = (start + i) * 3 * LANES, base + i * WIDTH
            own, of_odd = load_vector(factors, c), load_vector(factors, c + 2 * LANES)
            re, im = load_vector(coef, k), load_vector(coef, k + LANES)
            pair = (
                own * re + below * before_re,
                own * im + below * before_im,
                of_odd * load_vector(coef, k + 2 * LANES),
                of_odd * load_vector(coef, k + 3 * LANES),
            )
            put_degrees(a, g, 2 * i, pair, i < whole, add, tables)
            before_re, before_im, below = re, im, load_vector(factors, c + LANES)


@njit(error_model="numpy")
def span_of_groups(groups, tables):
    """Where the packed coefficients of the orders of some groups begin and end."""
    first, end = groups[0] * LANES, min(groups[1] * LANES, tables.mmax + 1)
    return _end_of_order(first - 1, tables), _end_of_order(end - 1, tables)


@njit(error_model="numpy")
def _end_of_order(m, tables):
    return tables.begins[m] + tables.counts[m] if m >= 0 else 0


@njit(error_model="numpy")
def two_degrees(a, g, k, whole, tables):
    """Degrees k and k + 1 of the orders of a group, 0 where one has none; `whole`: all have."""
    if whole:
        return load_degrees(a, tables.begins, tables.counts, g * LANES, k)
    return load_degrees_there(a, tables.begins, tables.counts, g * LANES, k)


@njit(error_model="numpy")
def put_degrees(a, g, k, values, whole, add, tables):
    """Put what `two_degrees` gives, or `add` it."""
    if whole:
        store_degrees(a, tables.begins, tables.counts, g * LANES, k, values, add)
    else:
        store_degrees_there(a, tables.begins, tables.counts, g * LANES, k, values, add)


@njit(error_model="numpy")
def whole_steps(g, tables):
    """Steps for which all orders of a group have their two degrees, and the two after."""
    return max(0, tables.counts[g * LANES : (g + 1) * LANES].min() // 2 - 1)


@njit(error_model="numpy")
def put_vector(array, index, value, add):
    if add:
        add_vector(array, index, value)
    else:
        store_vector(array, index, value)
