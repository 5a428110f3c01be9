"""Where the functions of the Legendre stage begin, and with what: see `_legendre_tables`.

Seeds are made with an exponent of their own, so that nothing underflows.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ._simd import LANES, RINGS

BLOCK = RINGS * LANES
"""Numbers in a block."""

NEGLIGIBLE = 1e-30
"""Functions below this are left out. They are of order 1 where they matter, so that coefficients
would have to differ by 14 orders of magnitude more than float64 resolves for it to be seen."""


@njit(error_model="numpy")
def epsilon(l, m, s):  # noqa: E741
    """ε_l of order m and spin s."""
    return np.sqrt((l - m) * (l + m) * ((l - s) / l) * ((l + s) / l) / (4.0 * l * l - 1.0))


_RANGE = 2.0**128
_SHIFT = 2.0**-256
# Numbers with an exponent of their own are ``mantissa * _SHIFT**exponent``, with a mantissa between
# 1 / _RANGE and _RANGE: products of powers of two, which round nothing.


@njit(error_model="numpy")
def _product(mantissa, exponent, factor):
    mantissa *= factor
    while abs(mantissa) < 1.0 / _RANGE and mantissa != 0.0:
        mantissa, exponent = mantissa / _SHIFT, exponent + 1
    while abs(mantissa) >= _RANGE:
        mantissa, exponent = mantissa * _SHIFT, exponent - 1
    return mantissa, exponent


@njit(error_model="numpy")
def _value(mantissa, exponent):
    """As float64: 0 where it is too small for one."""
    if exponent == 0:
        return mantissa
    return mantissa * _SHIFT if exponent == 1 else (mantissa / _SHIFT if exponent == -1 else 0.0)


@njit(error_model="numpy")
def _fill_lowest(mantissa, exponent, mmax, s, x, sine, south):
    """λ at the lowest degree of every order, l = max(m, s), on a ring or its mirror in the south.

    (-1)^m sqrt((2l+1)/4π (2l)! / ((l+a)! (l-a)!)) cos(θ/2)^|m-s| sin(θ/2)^(m+s), a = min(m, s)
    """
    cos_half = np.sqrt(0.5 * (1.0 + x))
    sin_half = 0.5 * sine / cos_half
    tangent = cos_half / sin_half if south else sin_half / cos_half
    value, power = np.sqrt(1.0 / (4.0 * np.pi)), 0
    for l in range(s):  # noqa: E741
        factor = np.sqrt((2.0 * l + 3.0) * (2.0 * l + 2.0)) / (l + 1.0) * 0.5 * sine
        value, power = _product(value, power, factor)
    for m in range(mmax + 1):
        mantissa[m], exponent[m] = value, power
        if m < s:
            factor = -np.sqrt((s - m) / (s + m + 1.0)) * tangent
        else:
            n = m + 1.0
            factor = -np.sqrt((2.0 * n + 1.0) * (2.0 * n) / ((n - s) * (n + s))) * 0.5 * sine
        value, power = _product(value, power, factor)


@njit(error_model="numpy")
def _fill_lowest_of_vectors(mantissa, exponent, mmax, sine):
    """λ_mm / sin θ, of order 0 λ_11, without a division."""
    value, power = -np.sqrt(3.0 / (8.0 * np.pi)), 0
    mantissa[0], exponent[0] = _product(value, power, sine)
    for m in range(1, mmax + 1):
        mantissa[m], exponent[m] = value, power
        n = m + 1.0
        value, power = _product(value, power, -np.sqrt((2.0 * n + 1.0) / (2.0 * n)) * sine)


@njit(error_model="numpy")
def _at_lowest(t, mantissa, m):
    """Q at the first step, from the function at the lowest degree."""
    if len(t.first) == 2:
        return mantissa
    order = max(m, t.spin)
    return mantissa / epsilon(order + 1.0, order, 0)


@njit(error_model="numpy")
def _first_step(t, row, g, lane, z, now, power):
    """First step at which one function is not negligible; the number of steps if it always is."""
    steps = t.starts[g + 1] - t.starts[g]
    before = 0.0
    for i in range(steps):
        if abs(_value(now, power)) > NEGLIGIBLE:
            return i
        k = (t.starts[g] + i) * 2 * LANES + lane
        before, now = now, (t.recurrence[row, k] * z + t.recurrence[row, k + LANES]) * now - before
        if abs(now) >= _RANGE:
            before, now, power = before * _SHIFT, now * _SHIFT, power - 1
    return steps


_STRIDE = 4
"""Steps between looks at the exponents: meanwhile a function grows by less than 2^256."""


@njit(error_model="numpy")
def _climb(t, row, g, z, before, now, power, last):
    """All functions of a tile and a group, from the lowest degrees up to step `last`."""
    for i in range(last):
        begin = (t.starts[g] + i) * 2 * LANES
        for r in range(RINGS):
            for lane in range(LANES):
                k, a = r * LANES + lane, begin + lane
                factor = t.recurrence[row, a] * z[r] + t.recurrence[row, a + LANES]
                after = factor * now[k] - before[k]
                before[k] = now[k]
                now[k] = after
        if i % _STRIDE == _STRIDE - 1 or i == last - 1:
            for k in range(BLOCK):
                if abs(now[k]) >= _RANGE:
                    before[k] *= _SHIFT
                    now[k] *= _SHIFT
                    power[k] -= 1


@njit(error_model="numpy")
def fill_seeds(t, sine, highest, multiple):
    """Fill ``first`` and ``seeds`` of some tables; `highest` order kept on each tile."""
    nrings = len(sine)
    mantissa = np.zeros((nrings, t.mmax + 1))
    exponent = np.zeros((nrings, t.mmax + 1), np.int64)
    for south in range(len(t.first)):
        for j in range(nrings):
            if t.columns == 2:
                _fill_lowest_of_vectors(mantissa[j], exponent[j], t.mmax, sine[j])
            else:
                _fill_lowest(mantissa[j], exponent[j], t.mmax, t.spin, t.x[j], sine[j], south)
        _fill_seeds_of_pass(t, mantissa, exponent, highest, south, multiple)


@njit(error_model="numpy")
def _fill_seeds_of_pass(t, mantissa, exponent, highest, south, multiple):
    _, ngroups, ntiles = t.first.shape
    nrings = len(mantissa)
    before, now, power = np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK, np.int64)
    for g in range(ngroups):
        lanes = min(LANES, t.mmax + 1 - g * LANES)
        # Next to the poles functions go as θ^(m + s), in the south and of vectors as θ^|m - s|.
        nearest = south or t.columns == 2
        largest = min(max(t.spin - g * LANES, 0), lanes - 1) if nearest else 0
        for tile in range(ntiles):
            rings, row = min(RINGS, nrings - tile * RINGS), t.row[south, tile]
            steps = t.starts[g + 1] - t.starts[g]
            first = steps
            if highest[tile] >= g * LANES:
                # Functions are largest on the ring next to the Equator.
                j = tile * RINGS + rings - 1
                for lane in (largest, lanes - 1):
                    m = g * LANES + lane
                    q = _at_lowest(t, mantissa[j, m], m)
                    step = _first_step(t, row, g, lane, t.z[south, j], q, exponent[j, m])
                    first = min(first, step)
            first = first // multiple * multiple
            t.first[south, g, tile] = first
            if first == steps:
                continue
            before[:], now[:], power[:] = 0.0, 0.0, 0
            for r in range(rings):
                for lane in range(lanes):
                    m, k, j = g * LANES + lane, r * LANES + lane, tile * RINGS + r
                    now[k], power[k] = _at_lowest(t, mantissa[j, m], m), exponent[j, m]
            z = t.z[south, tile * RINGS : (tile + 1) * RINGS]
            _climb(t, row, g, z, before, now, power, first)
            for k in range(BLOCK):
                t.seeds[south, g, tile, k] = _value(before[k], power[k])
                t.seeds[south, g, tile, BLOCK + k] = _value(now[k], power[k])
