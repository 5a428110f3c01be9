"""The Fourier stage: between the sums of the Legendre stage, tile by tile, and points of rings.

Rings go all at once (`_tile_rings`), in pairs (`_pair_ffts`), or one by one through FFTW: what is
fastest for their length.

Both ways and their transposes are two functions with a flag. The transform of one ring is f_i =
Re Σ_m c_m s_m exp(i m φ_i), c_0 = 1, c_m = 2 for orders m > 0, which stand for -m too. Its
transpose is what an analysis does, times c_m and without the area of a point; that holds for orders
that are folded, too. A transposed function adds to its result, as derivatives do, and clears what
it has used up, unless `RingScratch.alone` says that it need not.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from enzyme_rules.fftw import brfft_into, fft_of, rfft_into

from ._half_spectra import add_half_spectrum, half_spectrum_into
from ._pair_ffts import pair_of_points_into, points_of_pair_into
from ._simd import RINGS
from ._tile_rings import TilePlace, points_of_tile, sums_of_tile


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
    lanes : (work of the FFTs of whole tiles,) float64
    alone : int
        Whether what a transposed map adds to is known to be 0, and what it uses up may stay.
    """

    row: np.ndarray
    south: np.ndarray
    orders: np.ndarray
    fft: np.ndarray
    pair: np.ndarray
    work: np.ndarray
    lanes: np.ndarray
    alone: int


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
def tile_to_rings(points, phases, tile, t, scratch, fields, transposed):
    """Transform the rings of one tile, north and south, to grid points.

    Parameters
    ----------
    points : (fields * components * npoints,) float
        The rings of the tile are overwritten; added to if `transposed`.
    phases : (ngroups * passes * fields * PHASES,) float64
        Of this tile.
    tile : int
    t : Transform
    scratch : RingScratch
    fields : int
    transposed : bool
        Whether it is the transpose of `rings_to_tile` that is wanted.
    """
    whole = t.lane_ffts.length[tile] >= 0
    for field in range(fields):
        for part in range(len(t.legendre.first)):
            if whole:
                place = TilePlace(tile, part, field, fields)
                points_of_tile(points, phases, place, t, scratch, transposed)
                continue
            for pair in range(tile * RINGS, (tile + 1) * RINGS):
                if pair_fft_of(pair, t) >= 0:
                    place = Place(t.rings.pairs[pair, 0], pair, 0, part, field, fields)
                    _to_pair(points, phases, place, t, scratch, transposed)
                    continue
                for south in range(2):
                    place = Place(t.rings.pairs[pair, south], pair, south, part, field, fields)
                    if place.ring >= 0:
                        _to_ring(points, phases, place, t, scratch, transposed)


@njit(error_model="numpy")
def rings_to_tile(phases, points, tile, t, scratch, fields, transposed):
    """Add to the sums of one tile what its rings, north and south, contribute to an analysis.

    Parameters
    ----------
    phases : (ngroups * passes * fields * PHASES,) float64
    points : (fields * components * npoints,) float
        The rings of the tile are cleared if `transposed`.
    tile : int
    t : Transform
    scratch : RingScratch
    fields : int
    transposed : bool
        Whether it is the transpose of `tile_to_rings` that is wanted.
    """
    whole = t.lane_ffts.length[tile] >= 0
    for field in range(fields):
        for part in range(len(t.legendre.first)):
            if whole:
                place = TilePlace(tile, part, field, fields)
                sums_of_tile(phases, points, place, t, scratch, transposed)
                continue
            for pair in range(tile * RINGS, (tile + 1) * RINGS):
                if pair_fft_of(pair, t) >= 0:
                    place = Place(t.rings.pairs[pair, 0], pair, 0, part, field, fields)
                    _from_pair(phases, points, place, t, scratch, transposed)
                    continue
                for south in range(2):
                    place = Place(t.rings.pairs[pair, south], pair, south, part, field, fields)
                    if place.ring >= 0:
                        _from_ring(phases, points, place, t, scratch, transposed)


@njit(error_model="numpy")
def pair_fft_of(pair, t):
    """Which of the different lengths both rings of a pair have, if they go at once; or -1."""
    north, south = t.rings.pairs[pair]
    if north < 0 or south < 0:
        return -1
    k = t.ffts.index[north]
    return k if t.ffts.index[south] == k and t.pair_ffts.prime[k] > 0 else -1


@njit(error_model="numpy")
def _points_of(points, place, t):
    """The points of one ring in one of the fields, as a view."""
    begin = (place.field * len(t.legendre.first) + place.part) * t.rings.npoints
    ring = place.ring
    return points[begin + t.rings.offsets[ring] : begin + t.rings.offsets[ring + 1]]


@njit(error_model="numpy")
def _mirror(place, t):
    """The ring in the south."""
    ring = t.rings.pairs[place.pair, 1]
    return Place(ring, place.pair, 1, place.part, place.field, place.fields)


@njit(error_model="numpy")
def _to_ring(points, phases, place, t, scratch, transposed):
    """The points of a ring; if `transposed`, they are added, times their area, with c_m = 1."""
    plan = fft_of(t.ffts, place.ring)
    half = plan.n // 2 + 1
    row, own = scratch.row[:half], _points_of(points, place, t)
    half_spectrum_into(scratch.row, phases, place, t, scratch, plan.n, transposed)
    if not transposed:
        brfft_into(own, row, plan, scratch.fft)
        return
    result = scratch.fft[2 * half : 2 * half + plan.n]
    brfft_into(result, row, plan, scratch.fft)
    _add_points(own, result, t.rings.areas[place.ring], scratch)


@njit(error_model="numpy")
def _to_pair(points, phases, place, t, scratch, transposed):
    """As `_to_ring`, for a ring and its mirror, each with the area of its own points."""
    k = t.ffts.index[place.ring]
    n = t.ffts.n[k]
    half_spectrum_into(scratch.row, phases, place, t, scratch, n, transposed)
    mirror = _mirror(place, t)
    half_spectrum_into(scratch.south, phases, mirror, t, scratch, n, transposed)
    values = scratch.pair[: 2 * n]
    points_of_pair_into(values, scratch.row, scratch.south, k, t.pair_ffts, scratch.work)
    for ring, own in ((place, values[:n]), (mirror, values[n:])):
        if transposed:
            _add_points(_points_of(points, ring, t), own, t.rings.areas[ring.ring], scratch)
        else:
            _copy(_points_of(points, ring, t), own)


@njit(error_model="numpy")
def _from_ring(phases, points, place, t, scratch, transposed):
    """Adds Σ_i f_i exp(-i m φ_i) times the area of a point; if `transposed` times c_m instead."""
    plan = fft_of(t.ffts, place.ring)
    own = _points_of(points, place, t)
    rfft_into(scratch.row[: plan.n // 2 + 1], own, plan, scratch.fft)
    _clear(own, scratch, transposed)
    _add_spectrum(phases, scratch.row, place, t, scratch, plan.n, transposed)


@njit(error_model="numpy")
def _from_pair(phases, points, place, t, scratch, transposed):
    """As `_from_ring`, for a ring and its mirror."""
    k = t.ffts.index[place.ring]
    n = t.ffts.n[k]
    values, mirror = scratch.pair[: 2 * n], _mirror(place, t)
    for ring, copy in ((place, values[:n]), (mirror, values[n:])):
        own = _points_of(points, ring, t)
        _copy(copy, own)
        _clear(own, scratch, transposed)
    pair_of_points_into(scratch.row, scratch.south, values, k, t.pair_ffts, scratch.work)
    _add_spectrum(phases, scratch.row, place, t, scratch, n, transposed)
    _add_spectrum(phases, scratch.south, mirror, t, scratch, n, transposed)


@njit(error_model="numpy")
def _add_spectrum(phases, row, place, t, scratch, n, transposed):
    factor, of_both = (1.0, 2.0) if transposed else (t.rings.areas[place.ring], 1.0)
    add_half_spectrum(phases, row, place, t, scratch, n, factor, of_both)


@njit(error_model="numpy")
def _add_points(own, result, area, scratch):
    for i in range(len(own)):
        before = 0.0 if scratch.alone else own[i]
        own[i] = before + 0.5 * area * result[i]


@njit(error_model="numpy")
def _copy(to, own):
    for i in range(len(own)):
        to[i] = own[i]


@njit(error_model="numpy")
def _clear(own, scratch, transposed):
    if transposed and not scratch.alone:
        own[:] = 0.0
