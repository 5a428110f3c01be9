"""The Fourier stage: between the sums of the Legendre stage, tile by tile, and points of rings."""

from __future__ import annotations

from numba import njit

from enzyme_rules.fftw import brfft_into, fft_of, rfft_into

from ._kinds import add_order_sums, order_sums_into
from ._simd import LANES, RINGS


@njit(error_model="numpy")
def tile_to_rings(points, phases, tile, t, scratch):
    """Transform the rings of one tile, north and south, to grid points.

    Parameters
    ----------
    points : (components * npoints,) float
        The rings of the tile are overwritten.
    phases : (ngroups * PHASES * components,) float64
        Of this tile.
    tile : int
    t : Transform
    scratch : Scratch
    """
    for r in range(RINGS):
        for south in range(2):
            ring = t.rings.pairs[tile * RINGS + r, south]
            if ring >= 0:
                for component in range(len(t.legendre.first)):
                    values = _points_of(points, component, ring, t.rings)
                    _synthesise_ring(values, phases, r, south, component, ring, t, scratch)


@njit(error_model="numpy")
def rings_to_tile(phases, points, tile, t, scratch):
    """The transpose of what `tile_to_rings` is without the factors of the half spectrum, weighted.

    Parameters
    ----------
    phases : (ngroups * PHASES * components,) float64
        Overwritten.
    points : (components * npoints,) float
    tile : int
    t : Transform
    scratch : Scratch
    """
    phases[:] = 0.0
    for r in range(RINGS):
        for south in range(2):
            ring = t.rings.pairs[tile * RINGS + r, south]
            if ring >= 0:
                for component in range(len(t.legendre.first)):
                    values = _points_of(points, component, ring, t.rings)
                    _analyse_ring(phases, values, r, south, component, ring, t, scratch)


@njit(error_model="numpy")
def _points_of(points, component, ring, rings):
    """The points of one ring in one of the fields, as a view."""
    begin = component * rings.npoints
    return points[begin + rings.offsets[ring] : begin + rings.offsets[ring + 1]]


@njit(error_model="numpy")
def _synthesise_ring(values, phases, r, south, component, ring, t, scratch):
    kept = t.rings.orders[ring]
    groups = kept // LANES + 1
    plan = fft_of(t.ffts, ring)
    half = plan.n // 2 + 1
    row = scratch.row
    if 2 * kept < plan.n:
        order_sums_into(row, phases, r, south, component, groups, t.legendre)
        row[kept + 1 : half] = 0.0
        _rotate(row, t.rings, ring, 1.0)
    else:
        order_sums_into(scratch.orders, phases, r, south, component, groups, t.legendre)
        _rotate(scratch.orders, t.rings, ring, 1.0)
        _fold_into(row[:half], scratch.orders[: kept + 1], plan.n)
    brfft_into(values, row[:half], plan, scratch.fft)


@njit(error_model="numpy")
def _analyse_ring(phases, values, r, south, component, ring, t, scratch):
    kept = t.rings.orders[ring]
    groups = kept // LANES + 1
    area = t.rings.areas[ring]
    plan = fft_of(t.ffts, ring)
    half = plan.n // 2 + 1
    row = scratch.row
    rfft_into(row[:half], values, plan, scratch.fft)
    if 2 * kept < plan.n:
        row[kept + 1 : groups * LANES] = 0.0
        _rotate(row, t.rings, ring, -1.0)
        add_order_sums(phases, row, r, south, component, groups, area, t.legendre)
    else:
        _unfold_into(scratch.orders[: kept + 1], row[:half], plan.n)
        scratch.orders[kept + 1 : groups * LANES] = 0.0
        _rotate(scratch.orders, t.rings, ring, -1.0)
        add_order_sums(phases, scratch.orders, r, south, component, groups, area, t.legendre)


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
