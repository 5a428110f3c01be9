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
    add_vector,
    load_complex,
    load_degrees,
    load_vector,
    splat,
    store_complex,
    store_degrees,
    store_vector,
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


def pack_into(coef, a, field, fields, add, tables):
    """Packed coefficients, scaled, in the order of the Legendre stage, or `add` them to it."""
    factors = tables.factors
    for g in range(len(tables.starts) - 1):
        start, steps = tables.starts[g], tables.starts[g + 1] - tables.starts[g]
        base = (start * fields + field * steps) * WIDTH
        whole = whole_steps(g, tables)
        if whole > 0:
            even_re, even_im, odd_re, odd_im = load_degrees(a, tables.begins, g * LANES, 0)
        for i in range(whole):
            following = load_degrees(a, tables.begins, g * LANES, 2 * i + 2)
            c, k = (start + i) * 3 * LANES, base + i * WIDTH
            own, below = load_vector(factors, c), load_vector(factors, c + LANES)
            of_odd = load_vector(factors, c + 2 * LANES)
            put_vector(coef, k, own * even_re + below * following[0], add)
            put_vector(coef, k + LANES, own * even_im + below * following[1], add)
            put_vector(coef, k + 2 * LANES, of_odd * odd_re, add)
            put_vector(coef, k + 3 * LANES, of_odd * odd_im, add)
            even_re, even_im, odd_re, odd_im = following
        for lane in range(LANES):
            begin, count = tables.begins[g * LANES + lane], tables.counts[g * LANES + lane]
            for i in range(whole, steps):
                c, k = (start + i) * 3 * LANES + lane, base + i * WIDTH + lane
                n = begin + 2 * i
                even, odd = 0.0j, 0.0j
                if 2 * i < count:
                    even += factors[c] * a[n]
                if 2 * i + 2 < count:
                    even += factors[c + LANES] * a[n + 2]
                if 2 * i + 1 < count:
                    odd += factors[c + 2 * LANES] * a[n + 1]
                coef[k] = even.real + (coef[k] if add else 0.0)
                coef[k + LANES] = even.imag + (coef[k + LANES] if add else 0.0)
                coef[k + 2 * LANES] = odd.real + (coef[k + 2 * LANES] if add else 0.0)
                coef[k + 3 * LANES] = odd.imag + (coef[k + 3 * LANES] if add else 0.0)


def unpack_into(a, coef, field, fields, add, tables):
    """The transpose of `pack_into`."""
    factors = tables.factors
    for g in range(len(tables.starts) - 1):
        start, steps = tables.starts[g], tables.starts[g + 1] - tables.starts[g]
        base = (start * fields + field * steps) * WIDTH
        whole = whole_steps(g, tables)
        before_re, before_im, below = splat(0.0), splat(0.0), splat(0.0)
        for i in range(whole):
            c, k = (start + i) * 3 * LANES, base + i * WIDTH
            own, of_odd = load_vector(factors, c), load_vector(factors, c + 2 * LANES)
            re, im = load_vector(coef, k), load_vector(coef, k + LANES)
            pair = (
                own * re + below * before_re,
                own * im + below * before_im,
                of_odd * load_vector(coef, k + 2 * LANES),
                of_odd * load_vector(coef, k + 3 * LANES),
            )
            store_degrees(a, tables.begins, g * LANES, 2 * i, pair, add)
            before_re, before_im, below = re, im, load_vector(factors, c + LANES)
        for lane in range(LANES):
            begin, count = tables.begins[g * LANES + lane], tables.counts[g * LANES + lane]
            for i in range(whole, (count + 1) // 2):
                c, k = (start + i) * 3 * LANES + lane, base + i * WIDTH + lane
                n = begin + 2 * i
                even = factors[c] * complex(coef[k], coef[k + LANES])
                if i > 0:
                    before = complex(coef[k - WIDTH], coef[k - WIDTH + LANES])
                    even += factors[c - 2 * LANES] * before
                a[n] = even + (a[n] if add else 0.0j)
                if 2 * i + 1 < count:
                    odd = complex(coef[k + 2 * LANES], coef[k + 3 * LANES])
                    a[n + 1] = factors[c + 2 * LANES] * odd + (a[n + 1] if add else 0.0j)


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
