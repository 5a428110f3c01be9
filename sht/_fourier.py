"""The Fourier stage: between the sums of the Legendre stage, tile by tile, and points of rings.

Rings of a tile go all at once (`_tile_rings`) or, where their lengths are odd or those of mirrors
differ, one by one through FFTW.

Both ways and their transposes are two functions with a flag. The transform of one ring is f_i =
Re Σ_m c_m s_m exp(i m φ_i), c_0 = 1, c_m = 2 for orders m > 0, which stand for -m too. Its
transpose is what an analysis does, times c_m and without the area of a point; that holds for orders
that are folded, too. A transposed function adds to points, as derivatives do, unless
`RingScratch.alone` says that it need not.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from enzyme_rules.fftw import brfft_into, fft_of, rfft_into

from ._half_spectra import add_half_spectrum, half_spectrum_into
from ._simd import RINGS
from ._tile_rings import TilePlace, points_of_tile, sums_of_tile
from ._tile_tables import ONE_BY_ONE, WAY


class RingScratch(NamedTuple):
    """Work space for one ring, or for those of a tile.

    Attributes
    ----------
    row : (row length,) complex
        Its half spectrum.
    orders : (ngroups * LANES,) complex128
        Orders that are more than its points can tell apart.
    fft : float array
        For the FFT.
    lanes : (work of the FFTs of whole tiles,) float64
    alone : int
        Whether what a transposed map adds to is known to be 0, and what it uses up may stay.
    """

    row: np.ndarray
    orders: np.ndarray
    fft: np.ndarray
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
    _each(points_of_tile, _to_ring, points, phases, tile, t, scratch, fields, transposed)


@njit(error_model="numpy")
def rings_to_tile(phases, points, tile, t, scratch, fields, transposed):
    """Add to the sums of one tile what its rings, north and south, contribute to an analysis.

    Parameters
    ----------
    phases : (ngroups * passes * fields * PHASES,) float64
    points : (fields * components * npoints,) float
    tile : int
    t : Transform
    scratch : RingScratch
    fields : int
    transposed : bool
        Whether it is the transpose of `tile_to_rings` that is wanted.
    """
    _each(sums_of_tile, _from_ring, phases, points, tile, t, scratch, fields, transposed)


@njit(error_model="numpy")
def _each(of_tile, of_ring, output, given, tile, t, scratch, fields, transposed):
    """Call `of_tile` for each component of each field or, one by one, `of_ring` for each ring."""
    whole = t.tile_ffts.tiles[tile, WAY] != ONE_BY_ONE
    for field in range(fields):
        for part in range(len(t.legendre.first)):
            if whole:
                place = TilePlace(tile, part, field, fields)
                of_tile(output, given, place, t, scratch, transposed)
                continue
            for pair in range(tile * RINGS, (tile + 1) * RINGS):
                for south in range(2):
                    place = Place(t.rings.pairs[pair, south], pair, south, part, field, fields)
                    if place.ring >= 0:
                        of_ring(output, given, place, t, scratch, transposed)


@njit(error_model="numpy")
def clear_rings(points, tile, t, fields):
    """Clear the points of the rings of one tile."""
    for part in range(fields * len(t.legendre.first)):
        begin = part * t.rings.npoints
        for pair in range(tile * RINGS, (tile + 1) * RINGS):
            for ring in t.rings.pairs[pair]:
                if ring >= 0:
                    first, end = t.rings.offsets[ring], t.rings.offsets[ring + 1]
                    points[begin + first : begin + end] = 0.0


@njit(error_model="numpy")
def _points_of(points, place, t):
    """The points of one ring in one of the fields, as a view."""
    begin = (place.field * len(t.legendre.first) + place.part) * t.rings.npoints
    ring = place.ring
    return points[begin + t.rings.offsets[ring] : begin + t.rings.offsets[ring + 1]]


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
    factor = 0.5 * t.rings.areas[place.ring]
    for i in range(plan.n):
        before = 0.0 if scratch.alone else own[i]
        own[i] = before + factor * result[i]


@njit(error_model="numpy")
def _from_ring(phases, points, place, t, scratch, transposed):
    """Adds Σ_i f_i exp(-i m φ_i) times the area of a point; if `transposed` times c_m instead."""
    plan = fft_of(t.ffts, place.ring)
    own = _points_of(points, place, t)
    rfft_into(scratch.row[: plan.n // 2 + 1], own, plan, scratch.fft)
    factor, of_both = (1.0, 2.0) if transposed else (t.rings.areas[place.ring], 1.0)
    add_half_spectrum(phases, scratch.row, place, t, scratch, plan.n, factor, of_both)
