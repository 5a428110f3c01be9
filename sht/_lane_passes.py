"""Discrete Fourier transforms of one size for each lane of a vector: passes of 2 to 8 numbers.

Side by side, transforms need no shuffling of numbers within vectors. They are in place (Gentleman
and Sande, 1966), so that one array has to stay in the cache. That leaves numbers out of order: who
reads them looks up where they are, or goes back through the transposed passes, which sort them.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
from numba import njit

from ._simd import LANES
from ._simd_butterflies import RADICES, butterfly

PAIR = 2 * LANES
"""Numbers for each complex number: real parts of all lanes, then imaginary parts."""


class Passes(NamedTuple):
    """Tables for some sizes.

    Attributes
    ----------
    sizes : (nsizes, ...) int64
        Size, where its `roots` begin, where its `places` begin, then how many numbers each pass
        takes at a time, and 0 behind the last.
    roots : (...) float64
        exp(2πi j k / m) for each pass, j = 1 … radix - 1 side by side.
    places : (...) int64
        Where `to_places` leaves number j.
    """

    sizes: np.ndarray
    roots: np.ndarray
    places: np.ndarray


def make_passes(sizes: list[int]) -> Passes:
    """Tables; of each size `radices_of` must know a way."""
    rows, roots, places = [], [np.zeros(0)], [np.zeros(0, np.int64)]
    for size in sizes:
        radices = radices_of(size) or ()
        rows.append([size, sum(map(len, roots)), sum(map(len, places)), *radices])
        roots.append(_roots(radices))
        places.append(places_of(size))
    table = np.zeros((len(rows), max(map(len, rows), default=0) + 1), np.int64)
    for k, row in enumerate(rows):
        table[k, : len(row)] = row
    return Passes(table, np.concatenate(roots), np.concatenate(places))


@functools.cache
def radices_of(size: int) -> tuple[int, ...] | None:
    """The fewest passes, or None. The first ones, whose strides are long, take few numbers."""
    if size == 1:
        return ()
    found = [(r, radices_of(size // r)) for r in RADICES if size % r == 0]
    ways = [tuple(sorted((r, *rest))) for r, rest in found if rest is not None]
    return min(ways, key=lambda way: (len(way), way[-1] - way[0]), default=None)


def _roots(radices: tuple[int, ...]) -> np.ndarray:
    found, left = [np.zeros(0)], int(np.prod(radices))
    for radix in radices:
        m, left = left, left // radix
        angles = np.outer(np.arange(left), np.arange(1, radix))
        found.append(np.exp(2j * np.pi / m * angles).ravel().view(float))
    return np.concatenate(found)


@functools.cache
def places_of(size: int) -> np.ndarray:
    """(size,) Where `to_places` leaves number j."""
    j, places, left = np.arange(size), np.zeros(size, np.int64), size
    for radix in radices_of(size) or ():
        left //= radix
        places += j % radix * left
        j //= radix
    return places


@njit(error_model="numpy")
def to_places(x, k, passes, re):
    """``Σ_j x_j exp(2πi j k / size)`` in place, out of order.

    Parameters
    ----------
    x : (size * PAIR,) float64
    k : int
        Which of the sizes.
    passes : Passes
    re : int
        0, or `LANES`: then it is exp(-2πi j k / size).
    """
    roots = passes.roots[passes.sizes[k, 1] :]
    blocks, left = 1, passes.sizes[k, 0]
    for radix in passes.sizes[k, 3:]:
        if radix == 0:
            break
        left //= radix
        _pass(x, blocks, left, roots, re, radix, True)
        roots = roots[2 * (radix - 1) * left :]
        blocks *= radix


@njit(error_model="numpy")
def from_places(x, k, passes, re):
    """The same transform, of numbers out of order into their order: each pass transposed."""
    radices = passes.sizes[k, 3:]
    count = 0
    while radices[count] > 0:
        count += 1
    begin, left = passes.sizes[k, 1], 1
    for radix in radices[:count]:
        begin += 2 * (radix - 1) * (passes.sizes[k, 0] // left // radix)
        left *= radix
    blocks, left = passes.sizes[k, 0], 1
    for i in range(count - 1, -1, -1):
        radix = radices[i]
        blocks //= radix
        begin -= 2 * (radix - 1) * left
        _pass(x, blocks, left, passes.roots[begin:], re, radix, False)
        left *= radix


@njit(error_model="numpy")
def _pass(x, blocks, left, roots, re, radix, first):
    """In each block, transform the numbers p + left j, j < radix, and turn them (or before it).

    That makes `radix` blocks of it, of `left` numbers.
    """
    if radix == 8:
        _pass_8(x, blocks, left, roots, re, first)
    elif radix == 7:
        _pass_7(x, blocks, left, roots, re, first)
    elif radix == 6:
        _pass_6(x, blocks, left, roots, re, first)
    elif radix == 5:
        _pass_5(x, blocks, left, roots, re, first)
    elif radix == 4:
        _pass_4(x, blocks, left, roots, re, first)
    elif radix == 3:
        _pass_3(x, blocks, left, roots, re, first)
    else:
        _pass_2(x, blocks, left, roots, re, first)


def _pass_of(radix):
    @njit(error_model="numpy")
    def one_pass(x, blocks, left, roots, re, first):
        for block in range(blocks):
            for p in range(left):
                at, k = block * radix * left + p, 2 * (radix - 1) * p
                if first:
                    butterfly(x, at, left, roots, k, re, radix, 0)
                else:
                    butterfly(x, at, left, roots, k, re, radix, 1)

    return one_pass


_pass_2, _pass_3, _pass_4, _pass_5, _pass_6, _pass_7, _pass_8 = map(_pass_of, range(2, 9))
