"""What lies around the Legendre stage with spin s > 0: two fields Q and U, coefficients E and B.

Q ± i U = -Σ (E ± i B) times the functions of spin ±s, where for odd s the lower sign has a sign
more. In the stages that is c⁺ = -(E + i B) / 2 and c⁻ = -(-1)^s (E - i B) / 2.

With P the functions of spin +s, a ring in the north and its mirror in the south need

    N⁺ = Σ P(x) c⁺,  N⁻ = Σ P(-x) c̃⁻,  S⁺ = Σ P(-x) c⁺,  S⁻ = Σ P(x) c̃⁻,

where c̃⁻ = (-1)^(l+m) c⁻: those of spin -s at x are those of spin s at -x but for that sign. So one
function serves two sets of coefficients, and the Legendre stage is passed twice, with x and -x.

The functions are compiled as overloads of those in `_kinds`.
"""

from __future__ import annotations

from numba import njit

from ._legendre import PHASES, WIDTH
from ._legendre_tables import BLOCK
from ._scalar import span_of_groups
from ._simd import (
    LANES,
    RINGS,
    add_block,
    add_vector,
    load_block,
    load_complex,
    load_vector,
    splat,
    store_complex,
    subtract_block,
)


def order_sums_into(orders, phases, place, groups, tables):
    """Orders of Q = plus + minus or U = (plus - minus) / i on one ring of a tile."""
    for g in range(groups):
        plus, minus = _plus_minus(g, place)
        plus_re, plus_im = load_vector(phases, plus), load_vector(phases, plus + BLOCK)
        minus_re, minus_im = load_vector(phases, minus), load_vector(phases, minus + BLOCK)
        if place.part == 0:
            store_complex(orders, g * LANES, plus_re + minus_re, plus_im + minus_im)
        else:
            store_complex(orders, g * LANES, plus_im - minus_im, minus_re - plus_re)


def add_order_sums(phases, orders, place, groups, area, tables):
    """The transpose of `order_sums_into`, times the area of a point: adds to the phases."""
    factor, opposite = splat(area), splat(-area)
    for g in range(groups):
        plus, minus = _plus_minus(g, place)
        re, im = load_complex(orders, g * LANES)
        if place.part == 0:
            add_vector(phases, plus, factor * re)
            add_vector(phases, plus + BLOCK, factor * im)
            add_vector(phases, minus, factor * re)
            add_vector(phases, minus + BLOCK, factor * im)
        else:
            add_vector(phases, plus, opposite * im)
            add_vector(phases, plus + BLOCK, factor * re)
            add_vector(phases, minus, factor * im)
            add_vector(phases, minus + BLOCK, opposite * re)


@njit(error_model="numpy")
def _plus_minus(g, place):
    """Where the sums of one ring for spin +s and -s begin."""
    plus, minus = _plus_minus_of_tile(g, place, place.south)
    ring = place.pair % RINGS * LANES
    return plus + ring, minus + ring


@njit(error_model="numpy")
def _plus_minus_of_tile(g, place, south):
    x = (2 * g * place.fields + place.field) * PHASES
    opposite = x + place.fields * PHASES
    return (opposite, x + 2 * BLOCK) if south else (x, opposite + 2 * BLOCK)


def order_blocks(phases, g, place, tables):
    """Orders of Q or U of one group on all rings of a tile: north, then south."""
    north_re, north_im = _blocks_of_half(phases, g, place, 0)
    south_re, south_im = _blocks_of_half(phases, g, place, 1)
    return north_re, north_im, south_re, south_im


def add_order_blocks(phases, g, place, north_re, north_im, south_re, south_im, tables):
    """The transpose of `order_blocks`: adds to the phases."""
    _add_blocks_of_half(phases, g, place, 0, north_re, north_im)
    _add_blocks_of_half(phases, g, place, 1, south_re, south_im)


@njit(error_model="numpy")
def _blocks_of_half(phases, g, place, south):
    plus, minus = _plus_minus_of_tile(g, place, south)
    plus_re, plus_im = load_block(phases, plus), load_block(phases, plus + BLOCK)
    minus_re, minus_im = load_block(phases, minus), load_block(phases, minus + BLOCK)
    if place.part == 0:
        return plus_re + minus_re, plus_im + minus_im
    return plus_im - minus_im, minus_re - plus_re


@njit(error_model="numpy")
def _add_blocks_of_half(phases, g, place, south, re, im):
    plus, minus = _plus_minus_of_tile(g, place, south)
    if place.part == 0:
        add_block(phases, plus, re)
        add_block(phases, plus + BLOCK, im)
        add_block(phases, minus, re)
        add_block(phases, minus + BLOCK, im)
    else:
        subtract_block(phases, plus, im)
        add_block(phases, plus + BLOCK, re)
        add_block(phases, minus, im)
        subtract_block(phases, minus + BLOCK, re)


@njit(error_model="numpy")
def spin_sign(tables, m, k):
    """-(-1)^(s+l+m) at degree l = max(m, s) + k."""
    return 1.0 if (max(m, tables.spin) + m + tables.spin + k) % 2 else -1.0


def pack_into(coef, a, field, fields, groups, add, tables):
    """Packed E and B as c⁺ and c̃⁻, scaled, in the order of the Legendre stage; `add`: added."""
    b = tables.ncoef
    for g in range(groups[0], groups[1]):
        start, steps = tables.starts[g], tables.starts[g + 1] - tables.starts[g]
        for lane in range(LANES):
            m = g * LANES + lane
            first, count = tables.begins[m], tables.counts[m]
            sign = spin_sign(tables, m, 0)
            # Those of order 0 cancel in Q and U, but for the rounding of the north and the south.
            imaginary = 1.0 if m > 0 else 0.0
            for i in range(steps):
                k = (start * fields + field * steps + i) * WIDTH + lane
                if not add:
                    coef[k] = 0.0
                    coef[k + LANES] = 0.0
                    coef[k + 2 * LANES] = 0.0
                    coef[k + 3 * LANES] = 0.0
                if i < count:
                    n, scale = first + i, tables.factors[(start + i) * LANES + lane]
                    e_re, b_re = scale * a[n].real, scale * a[b + n].real
                    scale *= imaginary
                    e_im, b_im = scale * a[n].imag, scale * a[b + n].imag
                    coef[k] += b_im - e_re
                    coef[k + LANES] += -e_im - b_re
                    coef[k + 2 * LANES] += sign * (e_re + b_im)
                    coef[k + 3 * LANES] += sign * (e_im - b_re)
                sign = -sign


def unpack_into(a, coef, field, fields, groups, add, tables):
    """The transpose of `pack_into`; degrees below the spin are 0."""
    b = tables.ncoef
    begin, end = span_of_groups(groups, tables)
    if not add:
        a[begin:end] = 0.0
        a[b + begin : b + end] = 0.0
    for m in range(groups[0] * LANES, min(groups[1] * LANES, tables.mmax + 1)):
        g, lane = m // LANES, m % LANES
        start, steps = tables.starts[g], tables.starts[g + 1] - tables.starts[g]
        sign = spin_sign(tables, m, 0)
        for i in range(tables.counts[m]):
            n, real = tables.begins[m] + i, tables.factors[(start + i) * LANES + lane]
            imag = real if m > 0 else 0.0
            k = (start * fields + field * steps + i) * WIDTH + lane
            plus_re, plus_im = coef[k], coef[k + LANES]
            minus_re, minus_im = sign * coef[k + 2 * LANES], sign * coef[k + 3 * LANES]
            a[n] += complex(real * (minus_re - plus_re), imag * (minus_im - plus_im))
            a[b + n] += complex(real * (-plus_im - minus_im), imag * (plus_re + minus_re))
            sign = -sign
