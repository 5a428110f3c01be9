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

from ._half_spectra import add_half_spectrum, half_spectrum_into
from ._pair_ffts import pair_of_points_into, points_of_pair_into
from ._simd import RINGS


class RingScratch(NamedTuple):
    """Work space for one ring, or for a pair.

    Attributes
    ----------
    row, south : (row length,) complex
        Its half spectrum, and that of its mirror.
    orders : (ngroups * LANES,) complex128
        Orders that are more than its points can tell apart.
    fft : float array
        For the FFT.
    pair : (2 * longest,) float64
        Points of two rings that are transformed at once; empty where none are.
    work : (work of the pair FFTs,) float64
    """

    row: np.ndarray
    south: np.ndarray
    orders: np.ndarray
    fft: np.ndarray
    pair: np.ndarray
    work: np.ndarray


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
        k = pair_fft_of(pair, t)
        if k >= 0:
            n = t.ffts.n[k]
            values = scratch.pair[: 2 * n]
            for field in range(fields):
                for part in range(components):
                    place = Place(t.rings.pairs[pair, 0], pair, 0, part, field, fields)
                    pair_of_phases_into(values, phases, place, t, scratch)
                    for south in range(2):
                        ring = t.rings.pairs[pair, south]
                        own = _points_of(points, field * components + part, ring, t.rings)
                        for i in range(n):
                            own[i] = values[south * n + i]
            continue
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
        k = pair_fft_of(pair, t)
        if k >= 0:
            n = t.ffts.n[k]
            values = scratch.pair[: 2 * n]
            for field in range(fields):
                for part in range(components):
                    for south in range(2):
                        ring = t.rings.pairs[pair, south]
                        own = _points_of(points, field * components + part, ring, t.rings)
                        for i in range(n):
                            values[south * n + i] = own[i]
                    place = Place(t.rings.pairs[pair, 0], pair, 0, part, field, fields)
                    phases_of_pair_into(phases, values, place, t, scratch)
            continue
        for south in range(2):
            ring = t.rings.pairs[pair, south]
            if ring >= 0:
                for field in range(fields):
                    for part in range(components):
                        values = _points_of(points, field * components + part, ring, t.rings)
                        place = Place(ring, pair, south, part, field, fields)
                        phases_of_ring_into(phases, values, place, t, scratch)


@njit(error_model="numpy")
def pair_fft_of(pair, t):
    """Which of the different lengths both rings of a pair have, if they go at once; or -1."""
    north, south = t.rings.pairs[pair]
    if north < 0 or south < 0:
        return -1
    k = t.ffts.index[north]
    return k if t.ffts.index[south] == k and t.pair_ffts.prime[k] > 0 else -1


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


@njit(error_model="numpy")
def pair_of_phases_into(values, phases, place, t, scratch):
    """The points of a ring and, behind them, those of its mirror."""
    _to_pair(values, phases, place, t, scratch, False)


@njit(error_model="numpy")
def phases_of_pair_into(phases, values, place, t, scratch):
    """Adds what a ring and its mirror contribute, times the area of their points."""
    _from_pair(phases, values, place, t, scratch, False)


@njit(error_model="numpy")
def _adjoint_of_pair(dvalues, dphases, place, t, scratch):
    _from_pair(dphases, dvalues, place, t, scratch, True)


@njit(error_model="numpy")
def _adjoint_of_pair_phases(dphases, dvalues, place, t, scratch):
    _to_pair(dvalues, dphases, place, t, scratch, True)


for _into, _adjoint in (
    (ring_of_phases_into, _adjoint_of_ring),
    (pair_of_phases_into, _adjoint_of_pair),
):
    register(LinearRule(_into, adjoint=_adjoint, scratch=(4,)))
for _into, _adjoint in (
    (phases_of_ring_into, _adjoint_of_phases),
    (phases_of_pair_into, _adjoint_of_pair_phases),
):
    register(LinearRule(_into, adjoint=_adjoint, scratch=(4,), accumulates=True))


@njit(error_model="numpy")
def _to_ring(values, phases, place, t, scratch, factor, transposed):
    """The points of a ring; if `transposed`, they are added, times `factor`, with c_m = 1."""
    plan = fft_of(t.ffts, place.ring)
    half = plan.n // 2 + 1
    row = scratch.row[:half]
    half_spectrum_into(scratch.row, phases, place, t, scratch, plan.n, transposed)
    if not transposed:
        brfft_into(values, row, plan, scratch.fft)
        return
    result = scratch.fft[2 * half : 2 * half + plan.n]
    brfft_into(result, row, plan, scratch.fft)
    for i in range(plan.n):
        values[i] += 0.5 * factor * result[i]


@njit(error_model="numpy")
def _to_pair(values, phases, place, t, scratch, transposed):
    """As `_to_ring`, for a ring and its mirror, each with the area of its own points."""
    k = t.ffts.index[place.ring]
    n = t.ffts.n[k]
    half_spectrum_into(scratch.row, phases, place, t, scratch, n, transposed)
    mirror = _mirror(place, t)
    half_spectrum_into(scratch.south, phases, mirror, t, scratch, n, transposed)
    work, result = scratch.work[: t.pair_ffts.work], scratch.work[t.pair_ffts.work :][: 2 * n]
    if not transposed:
        points_of_pair_into(values, scratch.row, scratch.south, k, t.pair_ffts, work)
        return
    points_of_pair_into(result, scratch.row, scratch.south, k, t.pair_ffts, work)
    north, south = 0.5 * t.rings.areas[place.ring], 0.5 * t.rings.areas[mirror.ring]
    for i in range(n):
        values[i] += north * result[i]
        values[n + i] += south * result[n + i]


@njit(error_model="numpy")
def _from_ring(phases, values, place, t, scratch, factor, of_both):
    """Adds factor · c_m Σ_i f_i exp(-i m φ_i), c_0 = 1 and c_m = of_both for m > 0."""
    plan = fft_of(t.ffts, place.ring)
    rfft_into(scratch.row[: plan.n // 2 + 1], values, plan, scratch.fft)
    add_half_spectrum(phases, scratch.row, place, t, scratch, plan.n, factor, of_both)


@njit(error_model="numpy")
def _from_pair(phases, values, place, t, scratch, transposed):
    """As `_from_ring`, for a ring and its mirror; the transpose of a synthesis or an analysis."""
    k = t.ffts.index[place.ring]
    n = t.ffts.n[k]
    work = scratch.work[: t.pair_ffts.work]
    pair_of_points_into(scratch.row, scratch.south, values, k, t.pair_ffts, work)
    mirror = _mirror(place, t)
    north, south, of_both = t.rings.areas[place.ring], t.rings.areas[mirror.ring], 1.0
    if transposed:
        north, south, of_both = 1.0, 1.0, 2.0
    add_half_spectrum(phases, scratch.row, place, t, scratch, n, north, of_both)
    add_half_spectrum(phases, scratch.south, mirror, t, scratch, n, south, of_both)


@njit(error_model="numpy")
def _mirror(place, t):
    """The ring in the south."""
    ring = t.rings.pairs[place.pair, 1]
    return Place(ring, place.pair, 1, place.part, place.field, place.fields)
