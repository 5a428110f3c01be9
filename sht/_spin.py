"""What lies around the Legendre stage with spin s > 0: two fields Q and U, coefficients E and B.

Q ± i U = -Σ (E ± i B) times the functions of spin ±s, where for odd s the lower sign has a sign
more. In the stages that is c⁺ = -(E + i B) and c⁻ = -(-1)^s (E - i B).

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
from ._simd import LANES, RINGS, add_vector, load_complex, load_vector, splat, store_complex


def order_sums_into(orders, phases, pair, south, field, component, fields, groups, tables):
    """Orders of Q = (plus + minus) / 2 or U = (plus - minus) / 2i on one ring of a tile."""
    half = splat(0.5)
    for g in range(groups):
        plus, minus = _plus_minus(g, pair, south, field, fields)
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


def add_order_sums(phases, orders, pair, south, field, component, fields, groups, area, tables):
    """Adds the orders of Q to plus and minus, those of U times i and -i, times the area."""
    factor, opposite = splat(area), splat(-area)
    for g in range(groups):
        plus, minus = _plus_minus(g, pair, south, field, fields)
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
def _plus_minus(g, pair, south, field, fields):
    """Where the sums of one ring for spin +s and -s begin."""
    x = (2 * g * fields + field) * PHASES + pair % RINGS * LANES
    opposite = x + fields * PHASES
    return (opposite, x + 2 * BLOCK) if south else (x, opposite + 2 * BLOCK)


@njit(error_model="numpy")
def _first_sign(tables, m):
    """-(-1)^(s+l+m) at the lowest degree of an order; from there it alternates."""
    return 1.0 if (max(m, tables.spin) + m + tables.spin) % 2 else -1.0


def pack_into(coef, a, field, fields, tables):
    """Packed E and B as c⁺ and (-1)^(l+m) c⁻, scaled, in the order of the Legendre stage."""
    b = len(tables.scale)
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
            k = (start * fields + field * steps) * WIDTH + lane
            end = k + steps * WIDTH
            for n in range(first, first + count):
                scale = tables.scale[n]
                e_re, b_re = scale * a[n].real, scale * a[b + n].real
                scale *= imaginary
                e_im, b_im = scale * a[n].imag, scale * a[b + n].imag
                coef[k] = b_im - e_re
                coef[k + LANES] = -e_im - b_re
                coef[k + 2 * LANES] = sign * (e_re + b_im)
                coef[k + 3 * LANES] = sign * (e_im - b_re)
                sign = -sign
                k += WIDTH
            for j in range(k, end, LANES):
                coef[j] = 0.0


def unpack_into(a, coef, field, fields, tables):
    """E = -(c⁺ + c⁻) / 2 and B = -(c⁺ - c⁻) / 2i for even s; degrees below the spin are 0."""
    a[:] = 0.0
    b = len(tables.scale)
    for m in range(tables.mmax + 1):
        g, lane = m // LANES, m % LANES
        steps = tables.starts[g + 1] - tables.starts[g]
        k = (tables.starts[g] * fields + field * steps) * WIDTH + lane
        sign = _first_sign(tables, m)
        for n in range(tables.begins[m], tables.begins[m] + tables.counts[m]):
            real = 0.5 * tables.scale[n]
            imag = real if m > 0 else 0.0
            plus_re, plus_im = coef[k], coef[k + LANES]
            minus_re, minus_im = sign * coef[k + 2 * LANES], sign * coef[k + 3 * LANES]
            a[n] = complex(real * (minus_re - plus_re), imag * (minus_im - plus_im))
            a[b + n] = complex(real * (-plus_im - minus_im), imag * (plus_re + minus_re))
            sign = -sign
            k += WIDTH
