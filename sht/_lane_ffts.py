"""FFTs of `LANES` rings of one length at once: a ring for each lane of a vector.

All rings of a full grid, and those around the Equator of others, have one length. Side by side
their transforms need no shuffling of numbers within vectors, and take a half to a fifth of FFTW's
time for one ring after the other (docs/performance.md).

The n points of a ring are h = n/2 complex numbers z_j = x_{2j} + i x_{2j+1}; with
Z_k = Σ_j z_j exp(-2πi j k / h) and the half spectrum X_k of the points

    Z_k = X_k + conj(X_{h-k}) + i exp(2πi k / n) (X_k - conj(X_{h-k})) = S + D,
    Z_{h-k} = conj(S - D),

(Cooley, Lewis and Welch, 1970). What is of length h goes through passes of 2 to 8 numbers, in place
(Gentleman and Sande, 1966), so that one array has to stay in the cache. That leaves numbers out of
order; whoever reads them looks up where they are.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
from numba import njit

from ._simd_butterflies import RADICES, butterfly
from ._ring_tables import RingTables
from ._simd import LANES, RINGS, load_vector, splat, store_vector

PAIR = 2 * LANES
"""Numbers for each complex number: real parts of all rings, then imaginary parts."""


class LaneFFTs(NamedTuple):
    """Tables for tiles whose rings are transformed at once.

    Attributes
    ----------
    work : int
        How many float64 a transform needs for itself.
    length : (ntiles,) int64
        Which of the lengths all rings of a tile have; -1 where they go one by one.
    half : (nlengths,) int64
        n/2.
    passes : (nlengths, most) int64
        How many numbers each pass takes at a time; 0 behind the last.
    starts : (nlengths, 3) int64
        Where its roots begin, its turns, and its places.
    roots : (...) float64
        exp(2πi j k / m) for each pass, j = 1 … radix - 1 side by side.
    turns : (...) float64
        exp(2πi k / n) for k = 0 … n/4.
    places : (...) int64
        Where the passes leave number j.
    offsets : (ntiles, LANES) int64
        Where the points of each ring begin: of those in the north, then of those in the south.
    areas : (ntiles, LANES) float64
        Solid angle of a point of each; 0 for rings that there are not.
    shares : (ntiles, LANES) float64
        1, or 0 for rings that there are not.
    turning : (ntiles,) int64
        Row of `phases` for each tile, -1 where all its rings begin at longitude 0.
    phases : (..., mmax + 1, 2, LANES) float64
        exp(i m φ0), real and imaginary parts.
    """

    work: int
    length: np.ndarray
    half: np.ndarray
    passes: np.ndarray
    starts: np.ndarray
    roots: np.ndarray
    turns: np.ndarray
    places: np.ndarray
    offsets: np.ndarray
    areas: np.ndarray
    shares: np.ndarray
    turning: np.ndarray
    phases: np.ndarray


def make_lane_ffts(rings: RingTables, mmax: int) -> LaneFFTs:
    """Tables for the rings of a grid: for tiles whose rings have one length and truncation.

    Where a tile has fewer rings, the others are the first one again, with no share in anything.
    """
    tiles = rings.pairs.reshape(-1, RINGS, 2).transpose(0, 2, 1).reshape(-1, LANES)
    there = tiles >= 0
    tiles = np.where(there, tiles, tiles[:, :1])
    n, kept = np.diff(rings.offsets)[tiles], rings.orders[tiles]
    good = {length: _radices(length // 2) for length in np.unique(n).tolist() if _fits(length)}
    together = (
        there[:, 0]
        & (n == n[:, :1]).all(axis=1)
        & (kept == kept[:, :1]).all(axis=1)
        & (2 * kept[:, 0] < n[:, 0])
        & np.isin(n[:, 0], [length for length, radices in good.items() if radices])
    )
    lengths = np.unique(n[together, 0])
    index = np.where(together, np.searchsorted(lengths, n[:, 0]), -1)
    radices = [good[length] or () for length in lengths.tolist()]
    passes = np.zeros((len(lengths), max(map(len, radices), default=0) + 1), np.int64)
    roots, turns, places, starts = [np.zeros(0)], [np.zeros(0)], [np.zeros(0, np.int64)], []
    for k, length in enumerate(lengths.tolist()):
        passes[k, : len(radices[k])] = radices[k]
        starts.append([sum(map(len, each)) for each in (roots, turns, places)])
        roots.append(_roots(radices[k]))
        places.append(_places(radices[k]))
        turns.append(np.exp(2j * np.pi / length * np.arange(length // 4 + 1)).view(float))
    turning, phases = _turning(rings, tiles, together, mmax)
    tables = LaneFFTs(
        int(lengths[-1] + LANES) * PAIR if len(lengths) else 0,
        index.astype(np.int64),
        lengths // 2,
        passes,
        np.array(starts, np.int64).reshape(-1, 3),
        np.concatenate(roots),
        np.concatenate(turns),
        np.concatenate(places),
        rings.offsets[tiles],
        np.where(there, rings.areas[tiles], 0.0),
        there.astype(float),
        turning,
        phases,
    )
    for array in tables[1:]:
        array.setflags(write=False)
    return tables


def _fits(n: int) -> bool:
    return n >= 2 * LANES and n % LANES == 0


@functools.cache
def _radices(h: int) -> tuple[int, ...] | None:
    """The fewest passes for h numbers, or None. The first ones, whose strides are long, take few."""
    if h == 1:
        return ()
    found = [(r, _radices(h // r)) for r in RADICES if h % r == 0]
    ways = [tuple(sorted((r, *rest))) for r, rest in found if rest is not None]
    return min(ways, key=lambda way: (len(way), way[-1] - way[0]), default=None)


def _roots(radices: tuple[int, ...]) -> np.ndarray:
    found, left = [np.zeros(0)], int(np.prod(radices))
    for radix in radices:
        m, left = left, left // radix
        angles = np.outer(np.arange(left), np.arange(1, radix))
        found.append(np.exp(2j * np.pi / m * angles).ravel().view(float))
    return np.concatenate(found)


def _places(radices: tuple[int, ...]) -> np.ndarray:
    h = left = int(np.prod(radices))
    j, places = np.arange(h), np.zeros(h, np.int64)
    for radix in radices:
        left //= radix
        places += j % radix * left
        j //= radix
    return places


def _turning(
    rings: RingTables, tiles: np.ndarray, together: np.ndarray, mmax: int
) -> tuple[np.ndarray, np.ndarray]:
    """For tiles with rings that do not begin at longitude 0: the factors of their orders."""
    rows = np.where(together[:, None], rings.rotation[tiles], -1)
    different, index = np.unique(rows, axis=0, return_inverse=True)
    turned_ones = (different >= 0).any(axis=1)
    turning = np.where(turned_ones, np.cumsum(turned_ones) - 1, -1)[index.ravel()]
    all_phases = np.concatenate([rings.phases, np.ones((1, mmax + 1))])  # row -1 does not turn
    phases = all_phases[different[turned_ones]].transpose(0, 2, 1)
    parts = np.stack([phases.real, phases.imag], axis=2)
    return turning.astype(np.int64), np.ascontiguousarray(parts)


@njit(error_model="numpy")
def _load(x, k):
    return load_vector(x, k * PAIR), load_vector(x, k * PAIR + LANES)


@njit(error_model="numpy")
def _store(x, k, re, im):
    store_vector(x, k * PAIR, re)
    store_vector(x, k * PAIR + LANES, im)


@njit(error_model="numpy")
def points_of_spectra(x, spectra, kept, k, ffts):
    """Half spectra to points, as `brfft_into`.

    Parameters
    ----------
    x : (half * PAIR,) float64
        Overwritten. The two points 2j and 2j + 1 of all rings are the `PAIR` numbers at place j.
    spectra : (half * PAIR,) float64
        Orders beyond `kept` count as 0, and the imaginary part of order 0.
    kept : int
        Below half.
    k : int
        Which of the lengths.
    ffts : LaneFFTs
    """
    h = ffts.half[k]
    turns = ffts.turns[ffts.starts[k, 1] :]
    first, zero = load_vector(spectra, 0), splat(0.0)
    store_vector(x, 0, first)
    store_vector(x, LANES, first)
    for i in range(1, h // 2 + 1):
        a_re, a_im = _load(spectra, i) if i <= kept else (zero, zero)
        b_re, b_im = _load(spectra, h - i) if h - i <= kept else (zero, zero)
        cosine, sine = splat(turns[2 * i]), splat(turns[2 * i + 1])
        s_re, s_im = a_re + b_re, a_im - b_im
        re, im = a_re - b_re, a_im + b_im
        d_re, d_im = zero - (re * sine + im * cosine), re * cosine - im * sine
        _store(x, i, s_re + d_re, s_im + d_im)
        _store(x, h - i, s_re - d_re, d_im - s_im)
    _passes(x, k, ffts, 0)


@njit(error_model="numpy")
def spectra_of_points(spectra, x, kept, k, ffts):
    """Points to half spectra up to order `kept`, as `rfft_into`.

    Parameters
    ----------
    spectra : (half * PAIR,) float64
        Overwritten up to order `kept`.
    x : (half * PAIR,) float64
        Point i of all rings are the `LANES` numbers from ``i * LANES`` on. Used up.
    kept, k, ffts
        As for `points_of_spectra`.
    """
    h = ffts.half[k]
    turns, places = ffts.turns[ffts.starts[k, 1] :], ffts.places[ffts.starts[k, 2] :]
    _passes(x, k, ffts, LANES)
    half, zero = splat(0.5), splat(0.0)
    re, im = _load(x, 0)
    _store(spectra, 0, re + im, zero)
    for i in range(1, h // 2 + 1):
        a_re, a_im = _load(x, places[i])
        b_re, b_im = _load(x, places[h - i])
        cosine, sine = splat(turns[2 * i]), splat(turns[2 * i + 1])
        s_re, s_im = half * (a_re + b_re), half * (a_im - b_im)
        re, im = half * (a_re - b_re), half * (a_im + b_im)
        d_re, d_im = im * cosine - re * sine, zero - (re * cosine + im * sine)
        if i <= kept:
            _store(spectra, i, s_re + d_re, s_im + d_im)
        if h - i <= kept:
            _store(spectra, h - i, s_re - d_re, d_im - s_im)


@njit(error_model="numpy")
def _passes(x, k, ffts, re):
    """``Σ_j x_j exp(2πi j k / h)``, with `re` = `LANES` of exp(-2πi j k / h); out of order."""
    roots = ffts.roots[ffts.starts[k, 0] :]
    blocks, left = 1, ffts.half[k]
    for radix in ffts.passes[k]:
        if radix == 0:
            break
        left //= radix
        if radix == 8:
            _pass_8(x, blocks, left, roots, re)
        elif radix == 7:
            _pass_7(x, blocks, left, roots, re)
        elif radix == 6:
            _pass_6(x, blocks, left, roots, re)
        elif radix == 5:
            _pass_5(x, blocks, left, roots, re)
        elif radix == 4:
            _pass_4(x, blocks, left, roots, re)
        elif radix == 3:
            _pass_3(x, blocks, left, roots, re)
        else:
            _pass_2(x, blocks, left, roots, re)
        roots = roots[2 * (radix - 1) * left :]
        blocks *= radix


def _pass_of(radix):
    @njit(error_model="numpy")
    def one_pass(x, blocks, left, roots, re):
        """In each block, transform the numbers p + left j, j < radix, and turn them.

        That makes `radix` blocks of it, of `left` numbers.
        """
        for block in range(blocks):
            for p in range(left):
                first = block * radix * left + p
                butterfly(x, first, left, roots, 2 * (radix - 1) * p, re, radix)

    return one_pass


_pass_2, _pass_3, _pass_4, _pass_5, _pass_6, _pass_7, _pass_8 = map(_pass_of, range(2, 9))
