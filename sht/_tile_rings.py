"""The Fourier stage for tiles whose rings are transformed at once; see `_lane_ffts`.

As in `_fourier`, both ways and their transposes are two functions with a flag.
"""

from __future__ import annotations

from typing import NamedTuple

from numba import njit

from ._kinds import add_order_blocks, order_blocks
from ._lane_ffts import orders_of_points, points_of_orders, points_of_spectra, spectra_of_points
from ._lane_passes import PAIR
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
from ._tile_tables import FACTORS, KEPT, LONGEST, ONE_LENGTH, SHORTEST, SIZE, TURNING, WAY


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
    ffts, row = t.tile_ffts, t.tile_ffts.tiles[place.tile]
    kept, k, factors = row[KEPT], row[SIZE], ffts.factors[row[FACTORS] :]
    x, spectra = _work(row, ffts, scratch)
    for g in range(kept // LANES + 1):
        blocks = order_blocks(phases, g, place, t.legendre)
        if transposed:
            blocks = _shared(blocks, ffts.shares, place.tile)
        north_re, north_im, south_re, south_im = blocks
        at = g * LANES * PAIR
        store_rows(spectra, at, PAIR, rows_of_blocks(north_re, south_re))
        store_rows(spectra, at + LANES, PAIR, rows_of_blocks(north_im, south_im))
    if transposed:  # orders m > 0 once, not for -m too
        _scale(spectra, kept, 0.5)
    first, begin = place.tile * LANES, _begin(place, t)
    add = transposed and not scratch.alone
    if row[WAY] == ONE_LENGTH:
        _turn(spectra, row, ffts, 1.0)
        points_of_spectra(x, spectra, kept, k, ffts.passes, factors)
        places = ffts.passes.places[ffts.passes.sizes[k, 2] :]
        for i in range(0, row[LONGEST], LANES):
            rows = load_pairs(x, places, i // 2)
            store_rings(points, ffts.offsets, first, begin + i, rows, add)
        return
    points_of_orders(x, spectra, kept, row[LONGEST] // 2, k, ffts.passes, factors)
    whole = row[SHORTEST] // LANES * LANES
    for i in range(0, whole, LANES):
        rows = load_rows(x, i * LANES, LANES)
        store_rings(points, ffts.offsets, first, begin + i, rows, add)
    for lane in range(LANES):
        at = begin + ffts.offsets[place.tile, lane]
        for i in range(whole, ffts.lengths[place.tile, lane]):
            before = points[at + i] if add else 0.0
            points[at + i] = before + x[i * LANES + lane]


@njit(error_model="numpy")
def sums_of_tile(phases, points, place, t, scratch, transposed):
    """Adds Σ_i f_i exp(-i m φ_i), times areas; if `transposed` c_m instead."""
    ffts, row = t.tile_ffts, t.tile_ffts.tiles[place.tile]
    kept, k, factors = row[KEPT], row[SIZE], ffts.factors[row[FACTORS] :]
    x, spectra = _work(row, ffts, scratch)
    first, begin = place.tile * LANES, _begin(place, t)
    whole = row[SHORTEST] // LANES * LANES
    for i in range(0, whole, LANES):
        rows = load_rings(points, ffts.offsets, first, begin + i)
        store_rows(x, i * LANES, LANES, rows)
    x[whole * LANES : row[LONGEST] * LANES] = 0.0
    for lane in range(LANES):
        at = begin + ffts.offsets[place.tile, lane]
        for i in range(whole, ffts.lengths[place.tile, lane]):
            x[i * LANES + lane] = points[at + i]
    if row[WAY] == ONE_LENGTH:
        spectra_of_points(spectra, x, kept, k, ffts.passes, factors)
        _turn(spectra, row, ffts, -1.0)
    else:
        orders_of_points(spectra, x, kept, row[LONGEST] // 2, k, ffts.passes, factors)
    groups = kept // LANES + 1
    spectra[(kept + 1) * PAIR : groups * LANES * PAIR] = 0.0
    if transposed:
        _scale(spectra, kept, 2.0)
    for g in range(groups):
        at = g * LANES * PAIR
        north_re, south_re = blocks_of_rows(load_rows(spectra, at, PAIR))
        north_im, south_im = blocks_of_rows(load_rows(spectra, at + LANES, PAIR))
        blocks = north_re, north_im, south_re, south_im
        shares = ffts.shares[1] if transposed else ffts.shares[0]
        north_re, north_im, south_re, south_im = _shared(blocks, shares, place.tile)
        add_order_blocks(phases, g, place, north_re, north_im, south_re, south_im, t.legendre)


@njit(error_model="numpy")
def _work(row, ffts, scratch):
    """Memory for the transform, and for its orders."""
    end = ffts.passes.sizes[row[SIZE], 0] * PAIR
    return scratch.lanes[:end], scratch.lanes[end:]


@njit(error_model="numpy")
def _begin(place, t):
    """Where the points of a component begin."""
    return (place.field * len(t.legendre.first) + place.part) * t.rings.npoints


@njit(error_model="numpy")
def _shared(blocks, shares, tile):
    """Blocks of the north and the south times a number for each ring."""
    north = splat_rings(shares, tile * LANES)
    south = splat_rings(shares, tile * LANES + RINGS)
    return north * blocks[0], north * blocks[1], south * blocks[2], south * blocks[3]


@njit(error_model="numpy")
def _scale(spectra, kept, factor):
    """Orders m > 0 times a factor."""
    factor = splat(factor)
    for i in range(PAIR, (kept + 1) * PAIR, LANES):
        store_vector(spectra, i, factor * load_vector(spectra, i))


@njit(error_model="numpy")
def _turn(spectra, row, ffts, sign):
    """Times exp(± i m φ0), φ0 each ring's first longitude."""
    begin, sign = row[TURNING], splat(sign)
    if begin < 0:
        return
    for i in range(0, (row[KEPT] + 1) * PAIR, PAIR):
        re, im = load_vector(spectra, i), load_vector(spectra, i + LANES)
        cosine = load_vector(ffts.factors, begin + i)
        sine = sign * load_vector(ffts.factors, begin + i + LANES)
        store_vector(spectra, i, cosine * re - sine * im)
        store_vector(spectra, i + LANES, cosine * im + sine * re)
