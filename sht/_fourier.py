"""The Fourier stage: between the sums of the Legendre stage, tile by tile, and points of rings.

Both ways and their transposes are two functions, `_to_ring` and `_from_ring`, with factors.
The transform of one ring is f_i = Re Σ_m c_m s_m exp(i m φ_i), c_0 = 1, c_m = 2 for orders m > 0,
which stand for -m too. Its transpose is what an analysis does, times c_m and without the area of a
point; that holds for orders that are folded, too.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from enzyme_rules import LinearRule, register
from enzyme_rules.fftw import brfft_into, fft_of, rfft_into

from ._kinds import add_order_sums, order_sums_into
from ._simd import LANES, RINGS


class RingScratch(NamedTuple):
    """Work space for one ring.

    Attributes
    ----------
    row : (row length,) complex
        Its half spectrum.
    orders : (ngroups * LANES,) complex128
        Orders that are more than its points can tell apart.
    fft : float array
        For the FFT.
    """

    row: np.ndarray
    orders: np.ndarray
    fft: np.ndarray


class Place(NamedTuple):
    """Which ring of which field.

    Attributes
    ----------
    ring : int
    pair : int
        The row of ``rings.pairs`` that has it.
    south : int
        Whether it is the second of that pair.
    part : int
        Component of the field.
    field, fields : int
        Which of how many are transformed at once.
    """

    ring: int
    pair: int
    south: int
    part: int
    field: int
    fields: int


@njit(error_model="numpy")
def tile_to_rings(points, phases, tile, t, scratch, fields):
    """Transform the rings of one tile, north and south, to grid points.

    Parameters
    ----------
    points : (fields * components * npoints,) float
        The rings of the tile are overwritten.
    phases : (ngroups * passes * fields * PHASES,) float64
        Of this tile.
    tile : int
    t : Transform
    scratch : RingScratch
    fields : int
    """
    components = len(t.legendre.first)
    for pair in range(tile * RINGS, (tile + 1) * RINGS):
        for south in range(2):
            ring = t.rings.pairs[pair, south]
            if ring >= 0:
                for field in range(fields):
                    for part in range(components):
                        values = _points_of(points, field * components + part, ring, t.rings)
                        place = Place(ring, pair, south, part, field, fields)
                        ring_of_phases_into(values, phases, place, t, scratch)


@njit(error_model="numpy")
def rings_to_tile(phases, points, tile, t, scratch, fields):
    """Add to the sums of one tile what its rings, north and south, contribute to an analysis.

    Parameters
    ----------
    phases : (ngroups * passes * fields * PHASES,) float64
    points : (fields * components * npoints,) float
    tile : int
    t : Transform
    scratch : RingScratch
    fields : int
    """
    components = len(t.legendre.first)
    for pair in range(tile * RINGS, (tile + 1) * RINGS):
        for south in range(2):
            ring = t.rings.pairs[pair, south]
            if ring >= 0:
                for field in range(fields):
                    for part in range(components):
                        values = _points_of(points, field * components + part, ring, t.rings)
                        place = Place(ring, pair, south, part, field, fields)
                        phases_of_ring_into(phases, values, place, t, scratch)


@njit(error_model="numpy")
def _points_of(points, field, ring, rings):
    """The points of one ring in one of the fields, as a view."""
    begin = field * rings.npoints
    return points[begin + rings.offsets[ring] : begin + rings.offsets[ring + 1]]


@njit(error_model="numpy")
def ring_of_phases_into(values, phases, place, t, scratch):
    """The points of one ring."""
    _to_ring(values, phases, place, t, scratch, 1.0, False)


@njit(error_model="numpy")
def phases_of_ring_into(phases, values, place, t, scratch):
    """Adds what one ring contributes, times the area of its points."""
    _from_ring(phases, values, place, t, scratch, t.rings.areas[place.ring], 1.0)


@njit(error_model="numpy")
def _adjoint_of_ring(dvalues, dphases, place, t, scratch):
    _from_ring(dphases, dvalues, place, t, scratch, 1.0, 2.0)


@njit(error_model="numpy")
def _adjoint_of_phases(dphases, dvalues, place, t, scratch):
    _to_ring(dvalues, dphases, place, t, scratch, t.rings.areas[place.ring], True)


register(LinearRule(ring_of_phases_into, adjoint=_adjoint_of_ring, scratch=(4,)))
register(
    LinearRule(phases_of_ring_into, adjoint=_adjoint_of_phases, scratch=(4,), accumulates=True)
)


@njit(error_model="numpy")
def _to_ring(values, phases, place, t, scratch, factor, transposed):
    """The points of a ring; if `transposed`, they are added, times `factor`, with c_m = 1."""
    kept = t.rings.orders[place.ring]
    plan = fft_of(t.ffts, place.ring)
    half = plan.n // 2 + 1
    row, orders = scratch.row, scratch.orders
    if 2 * kept < plan.n:
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
        _fold_into(row[:half], orders[: kept + 1], plan.n)
    if not transposed:
        brfft_into(values, row[:half], plan, scratch.fft)
        return
    result = scratch.fft[2 * half : 2 * half + plan.n]
    brfft_into(result, row[:half], plan, scratch.fft)
    for i in range(plan.n):
        values[i] += 0.5 * factor * result[i]


@njit(error_model="numpy")
def _from_ring(phases, values, place, t, scratch, factor, of_both):
    """Adds factor · c_m Σ_i f_i exp(-i m φ_i), c_0 = 1 and c_m = of_both for m > 0."""
    kept = t.rings.orders[place.ring]
    groups = kept // LANES + 1
    plan = fft_of(t.ffts, place.ring)
    half = plan.n // 2 + 1
    row, orders = scratch.row, scratch.orders
    rfft_into(row[:half], values, plan, scratch.fft)
    if 2 * kept < plan.n:
        row[0] /= of_both
        row[kept + 1 : groups * LANES] = 0.0
        _rotate(row, t.rings, place.ring, -1.0)
        add_order_sums(phases, row, place, groups, factor * of_both, t.legendre)
    else:
        _unfold_into(orders[: kept + 1], row[:half], plan.n)
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
