"""What the stages do with spin s > 0: two fields Q and U, two sets of coefficients E and B.

Q ± i U = -Σ (E ± i B) times the functions of spin ±s, where for odd s the lower sign has a sign
more. In the stages that is c⁺ = -(E + i B) and c⁻ = -(-1)^s (E - i B).

The functions are compiled as overloads of those in `_kinds`.
"""

from __future__ import annotations

from numba import njit

from ._legendre_tables import BLOCK
from ._simd import LANES, RINGS, add_vector, load_complex, load_vector, splat, store_complex
from ._spin_legendre import SPIN_PHASES, spin_analysis_into, spin_synthesis_into

SPIN_WIDTH = 4 * LANES
"""Numbers per step of the coefficients: c⁺ and (-1)^(l+m) c⁻, real and imaginary parts."""


def tile_to_phases(phases, coef, state, tables, g, tile):
    """Legendre stage of a synthesis for one group and tile."""
    s, e = tables.starts[g], tables.starts[g + 1]
    for mirror in range(2):
        spin_synthesis_into(
            phases[4 * BLOCK * mirror : 4 * BLOCK * (mirror + 1)],
            coef[SPIN_WIDTH * s : SPIN_WIDTH * e],
            state,
            tables.x[mirror, tile * RINGS : (tile + 1) * RINGS],
            tables.recurrence[LANES * s : LANES * e],
            tables.offset[LANES * s : LANES * e],
            tables.seeds[mirror, g, tile],
            tables.first[mirror, g, tile],
        )


def phases_to_tile(coef, phases, state, tables, g, tile):
    """Legendre stage of an analysis for one group and tile: adds to the coefficients."""
    s, e = tables.starts[g], tables.starts[g + 1]
    for mirror in range(2):
        spin_analysis_into(
            coef[SPIN_WIDTH * s : SPIN_WIDTH * e],
            phases[4 * BLOCK * mirror : 4 * BLOCK * (mirror + 1)],
            state,
            tables.x[mirror, tile * RINGS : (tile + 1) * RINGS],
            tables.recurrence[LANES * s : LANES * e],
            tables.offset[LANES * s : LANES * e],
            tables.seeds[mirror, g, tile],
            tables.first[mirror, g, tile],
        )


def order_sums_into(orders, phases, r, south, component, groups, tables):
    """Orders of Q = (plus + minus) / 2 or U = (plus - minus) / 2i on one ring of a tile."""
    half = splat(0.5)
    for g in range(groups):
        plus, minus = _plus_minus(g, r, south)
        plus_re, plus_im = load_vector(phases, plus), load_vector(phases, plus + BLOCK)
        minus_re, minus_im = load_vector(phases, minus), load_vector(phases, minus + BLOCK)
        if component == 0:
            store_complex(
                orders, g * LANES, half * (plus_re + minus_re), half * (plus_im + minus_im)
            )
        else:
            store_complex(
                orders, g * LANES, half * (plus_im - minus_im), half * (minus_re - plus_re)
            )


def add_order_sums(phases, orders, r, south, component, groups, area, tables):
    """Adds the orders of Q to plus and minus, those of U times i and -i, times the area."""
    factor, opposite = splat(area), splat(-area)
    for g in range(groups):
        plus, minus = _plus_minus(g, r, south)
        re, im = load_complex(orders, g * LANES)
        if component == 0:
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
def _plus_minus(g, r, south):
    """Where the sums of one ring for spin +s and -s begin."""
    k = g * SPIN_PHASES + r * LANES
    return (k + 4 * BLOCK, k + 2 * BLOCK) if south else (k, k + 6 * BLOCK)


@njit(error_model="numpy")
def _first_sign(tables, m):
    """-(-1)^(s+l+m) at the lowest degree of an order; from there it alternates."""
    return 1.0 if (max(m, tables.spin) + m + tables.spin) % 2 else -1.0


def pack_into(coef, a, tables):
    """Packed E and B as c⁺ and (-1)^(l+m) c⁻, scaled, in the order of the Legendre stage."""
    for g in range(len(tables.starts) - 1):
        start = tables.starts[g]
        steps = tables.starts[g + 1] - start
        for lane in range(LANES):
            m = g * LANES + lane
            count = tables.counts[m] if m <= tables.mmax else 0
            first = tables.begins[m] if m <= tables.mmax else 0
            sign = _first_sign(tables, m)
            # Those of order 0 cancel in Q and U, but for the rounding of the north and the south.
            imaginary = 1.0 if m > 0 else 0.0
            k = SPIN_WIDTH * start + lane
            for i in range(count):
                scale = tables.scale[first + i]
                e_re, b_re = scale * a[0, first + i].real, scale * a[1, first + i].real
                scale *= imaginary
                e_im, b_im = scale * a[0, first + i].imag, scale * a[1, first + i].imag
                coef[k] = b_im - e_re
                coef[k + LANES] = -e_im - b_re
                coef[k + 2 * LANES] = sign * (e_re + b_im)
                coef[k + 3 * LANES] = sign * (e_im - b_re)
                sign = -sign
                k += SPIN_WIDTH
            for _ in range(count, steps):
                coef[k] = 0.0
                coef[k + LANES] = 0.0
                coef[k + 2 * LANES] = 0.0
                coef[k + 3 * LANES] = 0.0
                k += SPIN_WIDTH


def unpack_into(a, coef, tables):
    """E = -(c⁺ + c⁻) / 2 and B = -(c⁺ - c⁻) / 2i for even s; degrees below the spin are 0."""
    a[:] = 0.0
    for m in range(tables.mmax + 1):
        k = SPIN_WIDTH * tables.starts[m // LANES] + m % LANES
        first = tables.begins[m]
        sign = _first_sign(tables, m)
        for i in range(tables.counts[m]):
            real = 0.5 * tables.scale[first + i]
            imag = real if m > 0 else 0.0
            plus_re, plus_im = coef[k], coef[k + LANES]
            minus_re, minus_im = sign * coef[k + 2 * LANES], sign * coef[k + 3 * LANES]
            a[0, first + i] = complex(real * (minus_re - plus_re), imag * (minus_im - plus_im))
            a[1, first + i] = complex(real * (-plus_im - minus_im), imag * (plus_re + minus_re))
            sign = -sign
            k += SPIN_WIDTH
