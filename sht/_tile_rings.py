"""The Fourier stage for tiles whose rings are transformed at once; see `_lane_ffts`.

As in `_fourier`, both ways and their transposes are two functions with a flag.
"""

from __future__ import annotations

from typing import NamedTuple

from numba import njit

from ._kinds import add_order_blocks, order_blocks
from ._lane_ffts import PAIR, points_of_spectra, spectra_of_points
from ._simd import LANES, RINGS, load_vector, splat, splat_rings, store_vector
from ._simd_rows import (
    blocks_of_rows,
    load_pairs,
    load_rings,
    load_rows,
    rows_of_blocks,
    store_rings,
    store_rows,
)


class TilePlace(NamedTuple):
    """Which tile of which field.

    Attributes
    ----------
    tile : int
    part : int
        Component of the field.
    field, fields : int
        Which of how many are transformed at once.
    """

    tile: int
    part: int
    field: int
    fields: int


@njit(error_model="numpy")
def points_of_tile(points, phases, place, t, scratch, transposed):
    """The points of the rings; if `transposed`, times their areas, with c_m = 1, and added."""
    ffts, tile = t.lane_ffts, place.tile
    k = ffts.length[tile]
    n = 2 * ffts.half[k]
    x, y = scratch.lanes[: n * LANES], scratch.lanes[n * LANES :]
    kept = t.rings.orders[t.rings.pairs[tile * RINGS, 0]]
    for g in range(kept // LANES + 1):
        north_re, north_im, south_re, south_im = order_blocks(phases, g, place, t.legendre)
        if transposed:
            north, south = _of_each(ffts.areas, tile)
            north_re, north_im = north * north_re, north * north_im
            south_re, south_im = south * south_re, south * south_im
        at = g * LANES * PAIR
        store_rows(y, at, PAIR, rows_of_blocks(north_re, south_re))
        store_rows(y, at + LANES, PAIR, rows_of_blocks(north_im, south_im))
    _turn(y, kept, t, tile, 1.0)
    if transposed:  # orders m > 0 once, not for -m too
        half = splat(0.5)
        for i in range(PAIR, (kept + 1) * PAIR, LANES):
            store_vector(y, i, half * load_vector(y, i))
    points_of_spectra(x, y, kept, k, ffts)
    begin, add = _begin(place, t), transposed and not scratch.alone
    places = ffts.places[ffts.starts[k, 2] :]
    for i in range(0, n, LANES):
        rows = load_pairs(x, places, i // 2)
        store_rings(points, ffts.offsets, tile * LANES, begin + i, rows, add)


@njit(error_model="numpy")
def sums_of_tile(phases, points, place, t, scratch, transposed):
    """Adds Σ_i f_i exp(-i m φ_i), times areas; if `transposed` c_m instead, and clears points."""
    ffts, tile = t.lane_ffts, place.tile
    k = ffts.length[tile]
    n = 2 * ffts.half[k]
    x, y = scratch.lanes[: n * LANES], scratch.lanes[n * LANES :]
    kept = t.rings.orders[t.rings.pairs[tile * RINGS, 0]]
    begin = _begin(place, t)
    for i in range(0, n, LANES):
        rows = load_rings(points, ffts.offsets, tile * LANES, begin + i)
        store_rows(x, i * LANES, LANES, rows)
    if transposed and not scratch.alone:
        for lane in range(LANES):
            first = begin + ffts.offsets[tile, lane]
            points[first : first + n] = 0.0
    spectra_of_points(y, x, kept, k, ffts)
    groups = kept // LANES + 1
    y[(kept + 1) * PAIR : groups * LANES * PAIR] = 0.0
    _turn(y, kept, t, tile, -1.0)
    if transposed:
        two = splat(2.0)
        for i in range(PAIR, (kept + 1) * PAIR, LANES):
            store_vector(y, i, two * load_vector(y, i))
    for g in range(groups):
        at = g * LANES * PAIR
        north_re, south_re = blocks_of_rows(load_rows(y, at, PAIR))
        north_im, south_im = blocks_of_rows(load_rows(y, at + LANES, PAIR))
        north, south = _of_each(ffts.shares if transposed else ffts.areas, tile)
        north_re, north_im = north * north_re, north * north_im
        south_re, south_im = south * south_re, south * south_im
        add_order_blocks(phases, g, place, north_re, north_im, south_re, south_im, t.legendre)


@njit(error_model="numpy")
def _of_each(numbers, tile):
    """One of the numbers for each ring, as blocks: north and south."""
    return splat_rings(numbers, tile * LANES), splat_rings(numbers, tile * LANES + RINGS)


@njit(error_model="numpy")
def _begin(place, t):
    """Where the points of a component begin."""
    return (place.field * len(t.legendre.first) + place.part) * t.rings.npoints


@njit(error_model="numpy")
def _turn(spectra, kept, t, tile, sign):
    """Times exp(± i m φ0), φ0 each ring's first longitude."""
    k = t.lane_ffts.turning[tile]
    if k < 0:
        return
    phases = t.lane_ffts.phases
    sign = splat(sign)
    for m in range(kept + 1):
        i, j = m * PAIR, (k * phases.shape[1] + m) * PAIR
        re, im = load_vector(spectra, i), load_vector(spectra, i + LANES)
        cosine, sine = load_vector(phases, j), sign * load_vector(phases, j + LANES)
        store_vector(spectra, i, cosine * re - sine * im)
        store_vector(spectra, i + LANES, cosine * im + sine * re)
