"""The Fourier stage: between the sums of the Legendre stage, tile by tile, and points of rings."""

from __future__ import annotations

from numba import njit

from enzyme_rules.fftw import brfft_into, fft_of, rfft_into

from ._kinds import add_order_sums, order_sums_into
from ._simd import LANES, RINGS


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
    scratch : Scratch
    fields : int
    """
    for pair in range(tile * RINGS, (tile + 1) * RINGS):
        for south in range(2):
            ring = t.rings.pairs[pair, south]
            if ring >= 0:
                for field in range(fields):
                    _synthesise_ring(points, phases, pair, south, ring, field, fields, t, scratch)


@njit(error_model="numpy")
def rings_to_tile(phases, points, tile, t, scratch, fields):
    """The transpose of what `tile_to_rings` is without the factors of the half spectrum, weighted.

    Parameters
    ----------
    phases : (ngroups * passes * fields * PHASES,) float64
        Overwritten.
    points : (fields * components * npoints,) float
    tile : int
    t : Transform
    scratch : Scratch
    fields : int
    """
    phases[:] = 0.0
    for pair in range(tile * RINGS, (tile + 1) * RINGS):
        for south in range(2):
            ring = t.rings.pairs[pair, south]
            if ring >= 0:
                for field in range(fields):
                    _analyse_ring(phases, points, pair, south, ring, field, fields, t, scratch)


@njit(error_model="numpy")
def _points_of(points, field, ring, rings):
    """The points of one ring in one of the fields, as a view."""
    begin = field * rings.npoints
    return points[begin + rings.offsets[ring] : begin + rings.offsets[ring + 1]]


@njit(error_model="numpy")
def _synthesise_ring(points, phases, pair, south, ring, field, fields, t, scratch):
    kept = t.rings.orders[ring]
    groups = kept // LANES + 1
    plan = fft_of(t.ffts, ring)
    half = plan.n // 2 + 1
    row, orders = scratch.row, scratch.orders
    components = len(t.legendre.first)
    for part in range(components):
        values = _points_of(points, field * components + part, ring, t.rings)
        if 2 * kept < plan.n:
            order_sums_into(row, phases, pair, south, field, part, fields, groups, t.legendre)
            row[kept + 1 : half] = 0.0
            _rotate(row, t.rings, ring, 1.0)
        else:
            order_sums_into(orders, phases, pair, south, field, part, fields, groups, t.legendre)
            _rotate(orders, t.rings, ring, 1.0)
            _fold_into(row[:half], orders[: kept + 1], plan.n)
        brfft_into(values, row[:half], plan, scratch.fft)


@njit(error_model="numpy")
def _analyse_ring(phases, points, pair, south, ring, field, fields, t, scratch):
    kept = t.rings.orders[ring]
    groups = kept // LANES + 1
    area = t.rings.areas[ring]
    plan = fft_of(t.ffts, ring)
    half = plan.n // 2 + 1
    row, orders = scratch.row, scratch.orders
    components = len(t.legendre.first)
    for part in range(components):
        values = _points_of(points, field * components + part, ring, t.rings)
        rfft_into(row[:half], values, plan, scratch.fft)
        if 2 * kept < plan.n:
            row[kept + 1 : groups * LANES] = 0.0
            _rotate(row, t.rings, ring, -1.0)
            add_order_sums(phases, row, pair, south, field, part, fields, groups, area, t.legendre)
        else:
            _unfold_into(orders[: kept + 1], row[:half], plan.n)
            orders[kept + 1 : groups * LANES] = 0.0
            _rotate(orders, t.rings, ring, -1.0)
            add_order_sums(
                phases, orders, pair, south, field, part, fields, groups, area, t.legendre
            )


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
