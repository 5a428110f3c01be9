"""What lies around the Legendre stage for scalars: one field, one set of coefficients.

The functions are compiled as overloads of those in `_kinds`.
"""

from __future__ import annotations

from ._legendre import PHASES, WIDTH
from ._legendre_tables import BLOCK
from ._simd import LANES, RINGS, add_vector, load_complex, load_vector, splat, store_complex


def order_sums_into(orders, phases, pair, south, field, component, fields, groups, tables):
    """``orders[m] = even ± x odd`` on one ring of a tile, for the orders of the first groups."""
    odd = splat(-tables.x[pair] if south else tables.x[pair])
    for g in range(groups):
        k = (g * fields + field) * PHASES + pair % RINGS * LANES
        re = load_vector(phases, k) + odd * load_vector(phases, k + 2 * BLOCK)
        im = load_vector(phases, k + BLOCK) + odd * load_vector(phases, k + 3 * BLOCK)
        store_complex(orders, g * LANES, re, im)


def add_order_sums(phases, orders, pair, south, field, component, fields, groups, area, tables):
    """The transpose of `order_sums_into`, times the area of a point: adds to the phases."""
    even, odd = splat(area), splat(area * (-tables.x[pair] if south else tables.x[pair]))
    for g in range(groups):
        k = (g * fields + field) * PHASES + pair % RINGS * LANES
        re, im = load_complex(orders, g * LANES)
        add_vector(phases, k, even * re)
        add_vector(phases, k + BLOCK, even * im)
        add_vector(phases, k + 2 * BLOCK, odd * re)
        add_vector(phases, k + 3 * BLOCK, odd * im)


def pack_into(coef, a, field, fields, tables):
    """Packed coefficients, scaled, in the order of the Legendre stage, with zeros between them."""
    for g in range(len(tables.starts) - 1):
        start = tables.starts[g]
        steps = tables.starts[g + 1] - start
        for lane in range(LANES):
            m = g * LANES + lane
            count = tables.counts[m] if m <= tables.mmax else 0
            n = tables.begins[m] if m <= tables.mmax else 0
            k = (start * fields + field * steps) * WIDTH + lane
            end = k + steps * WIDTH
            for _ in range((count - 1) // 2):
                even = tables.scale[n] * a[n] + tables.below[n + 2] * a[n + 2]
                odd = tables.scale[n + 1] * a[n + 1]
                coef[k], coef[k + LANES] = even.real, even.imag
                coef[k + 2 * LANES], coef[k + 3 * LANES] = odd.real, odd.imag
                n += 2
                k += WIDTH
            if count > 0:
                even = tables.scale[n] * a[n]
                odd = tables.scale[n + 1] * a[n + 1] if count % 2 == 0 else 0.0j
                coef[k], coef[k + LANES] = even.real, even.imag
                coef[k + 2 * LANES], coef[k + 3 * LANES] = odd.real, odd.imag
                k += WIDTH
            for j in range(k, end, LANES):
                coef[j] = 0.0


def unpack_into(a, coef, field, fields, tables):
    """The transpose of `pack_into`."""
    for m in range(tables.mmax + 1):
        g, lane = m // LANES, m % LANES
        steps = tables.starts[g + 1] - tables.starts[g]
        n, count = tables.begins[m], tables.counts[m]
        k = (tables.starts[g] * fields + field * steps) * WIDTH + lane
        before = 0.0j
        for i in range((count + 1) // 2):
            even = complex(coef[k], coef[k + LANES])
            a[n] = tables.scale[n] * even + tables.below[n] * before
            if 2 * i + 1 < count:
                odd = complex(coef[k + 2 * LANES], coef[k + 3 * LANES])
                a[n + 1] = tables.scale[n + 1] * odd
            before = even
            n += 2
            k += WIDTH
