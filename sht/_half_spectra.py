"""Between the orders of a ring, as the Legendre stage has them, and the half spectrum of a ring.

A ring's orders are turned by exp(i m φ0) where it does not begin at longitude 0. Orders that its
points cannot tell apart are dropped before, or folded here onto those they look like.
"""

from __future__ import annotations

from numba import njit

from ._kinds import add_order_sums, order_sums_into
from ._simd import LANES


@njit(error_model="numpy")
def half_spectrum_into(row, phases, place, t, scratch, n, transposed):
    """What n points can tell apart of the orders of a ring; if `transposed`, order 0 twice."""
    kept = t.rings.orders[place.ring]
    half, orders = n // 2 + 1, scratch.orders
    if 2 * kept < n:
        order_sums_into(row, phases, place, kept // LANES + 1, t.legendre)
        row[kept + 1 : half] = 0.0
        _rotate(row, t.rings, place.ring, 1.0)
        if transposed:
            row[0] *= 2.0
    else:
        order_sums_into(orders, phases, place, kept // LANES + 1, t.legendre)
        _rotate(orders, t.rings, place.ring, 1.0)
        if transposed:
            orders[0] *= 2.0
        _fold_into(row[:half], orders[: kept + 1], n)


@njit(error_model="numpy")
def add_half_spectrum(phases, row, place, t, scratch, n, factor, of_both):
    """The transpose of `half_spectrum_into`, but for factors."""
    kept = t.rings.orders[place.ring]
    groups, orders = kept // LANES + 1, scratch.orders
    if 2 * kept < n:
        row[0] /= of_both
        row[kept + 1 : groups * LANES] = 0.0
        _rotate(row, t.rings, place.ring, -1.0)
        add_order_sums(phases, row, place, groups, factor * of_both, t.legendre)
    else:
        _unfold_into(orders[: kept + 1], row[: n // 2 + 1], n)
        orders[0] /= of_both
        orders[kept + 1 : groups * LANES] = 0.0
        _rotate(orders, t.rings, place.ring, -1.0)
        add_order_sums(phases, orders, place, groups, factor * of_both, t.legendre)


@njit(error_model="numpy")
def _rotate(orders, rings, ring, sign):
    """Times exp(± i m φ0), φ0 the ring's first longitude."""
    k = rings.rotation[ring]
    if k >= 0:
        for m in range(rings.orders[ring] + 1):
            phase = rings.phases[k, m]
            orders[m] *= complex(phase.real, sign * phase.imag)


@njit(error_model="numpy")
def _fold_into(row, orders, n):
    """Orders at and beyond Nyquist as what they look like on n points: m as m mod n.

    Orders m > 0 stand for -m as well. Where both look like the same order, 0 or that of Nyquist,
    it gets both.
    """
    row[:] = 0.0
    for m in range(len(orders)):
        k = m % n
        value = orders[m]
        if m > 0 and (k == 0 or 2 * k == n):
            row[k] += 2.0 * value
        elif 2 * k < n:
            row[k] += value
        else:
            row[n - k] += complex(value.real, -value.imag)


@njit(error_model="numpy")
def _unfold_into(orders, row, n):
    """What n points say of each order: that of m mod n, conjugate beyond Nyquist."""
    for m in range(len(orders)):
        k = m % n
        if 2 * k <= n:
            orders[m] = row[k]
        else:
            orders[m] = complex(row[n - k].real, -row[n - k].imag)
