"""HEALPix's two orders of pixels: ring by ring, and nested in the twelve base pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Geometry, from Górski et al. (2005), sections 4 and 5. Base pixel 4 row + column, row 0 to 2 from
# the north, is a square with coordinates x towards the north-east and y towards the north-west,
# each in [0, nside). The centre of pixel (x, y) is on ring (row + 2) nside - x - y - 1, rings
# counted from 1. On the belt it is x - y half steps east of the centre of its base pixel, where a
# step is the distance between points, pi / (2 nside). In nested order, the bits of x and y
# alternate, those of x being the lower ones.

_SPREAD = (
    (16, 0x0000FFFF0000FFFF),
    (8, 0x00FF00FF00FF00FF),
    (4, 0x0F0F0F0F0F0F0F0F),
    (2, 0x3333333333333333),
    (1, 0x5555555555555555),
)
_SQUEEZE = (
    (1, 0x3333333333333333),
    (2, 0x0F0F0F0F0F0F0F0F),
    (4, 0x00FF00FF00FF00FF),
    (8, 0x0000FFFF0000FFFF),
    (16, 0x00000000FFFFFFFF),
)


def nest_to_ring(nside: int, pixel: ArrayLike) -> Any:
    """Ring-order indices of pixels in nested order; see `HEALPix.nest_to_ring`."""
    pixels = _pixels("nest_to_ring", nside, pixel)
    face, within = np.divmod(pixels, nside * nside)
    x, y = _even_bits(within), _even_bits(within >> 1)
    row, column = np.divmod(face, 4)
    ring = (row + 2) * nside - x - y - 1
    # On a cap, ring j has 4 j pixels, j in each of the four base pixels.
    north = 2 * ring * (ring - 1) + column * ring + (nside - 1 - y)
    southern = 4 * nside - ring
    south = 12 * nside * nside - 2 * southern * (southern + 1) + column * southern + x
    centre = nside * (2 * column + (row != 1))
    along = (centre + x - y - _shift(nside, ring)) // 2 % (4 * nside)
    belt = 2 * nside * (nside - 1) + 4 * nside * (ring - nside) + along
    return _as_given(np.select([ring < nside, southern < nside], [north, south], belt))


def ring_to_nest(nside: int, pixel: ArrayLike) -> Any:
    """Nested indices of pixels in ring order; see `HEALPix.ring_to_nest`."""
    pixels = _pixels("ring_to_nest", nside, pixel)
    cap, npix = 2 * nside * (nside - 1), 12 * nside * nside
    in_north, in_south = pixels < cap, pixels >= npix - cap
    ring = _cap_ring(np.where(in_north, pixels, np.where(in_south, npix - 1 - pixels, 0)))
    start = np.where(in_north, 2 * ring * (ring - 1), npix - 2 * ring * (ring + 1))
    column, step = np.divmod(pixels - start, ring)
    north = (column, nside - ring + step, nside - 1 - step)
    south = (8 + column, step, ring - 1 - step)
    # On the belt the base pixel is the square between two diagonals of each direction: in half
    # steps, 2 x = up + nside (1 - 2 a) and 2 y = down + nside (1 - 2 b) lie in [0, 2 nside).
    ring, along = np.divmod(pixels - cap, 4 * nside)
    ring += nside
    east = 2 * along + _shift(nside, ring)
    up, down = east - ring - 1, -east - ring - 1
    a, b = (up + nside) // (2 * nside), (down + nside) // (2 * nside)
    row = -1 - a - b
    face = 4 * row + (a + (row > 0)) % 4
    belt = (face, (up + nside * (1 - 2 * a)) // 2, (down + nside * (1 - 2 * b)) // 2)
    face, x, y = (
        np.select([in_north, in_south], [n, s], b)
        for n, s, b in zip(north, south, belt, strict=True)
    )
    return _as_given(face * nside * nside + _spread_bits(x) + 2 * _spread_bits(y))


def _shift(nside: int, ring: NDArray[np.int64]) -> NDArray[np.int64]:
    """Half steps from longitude 0 to the first point of a ring of the belt."""
    return (ring - nside + 1) % 2


def _cap_ring(pixel: NDArray[np.int64]) -> NDArray[np.int64]:
    """Ring j with 2 j (j - 1) <= pixel < 2 j (j + 1)."""
    ring = ((1.0 + np.sqrt(1.0 + 2.0 * pixel)) / 2.0).astype(np.int64)
    # From 2^53 on, the root of the last pixel of a ring may be rounded up to the next one.
    return ring - (2 * ring * (ring - 1) > pixel)


def _even_bits(number: NDArray[np.int64]) -> NDArray[np.int64]:
    """Bits 0, 2, 4, ... of a number, side by side."""
    number = number & 0x5555555555555555
    for shift, mask in _SQUEEZE:
        number = (number | (number >> shift)) & mask
    return number


def _spread_bits(number: NDArray[np.int64]) -> NDArray[np.int64]:
    """A number of at most 32 bits with a 0 above each bit: undoes `_even_bits`."""
    for shift, mask in _SPREAD:
        number = (number | (number << shift)) & mask
    return number


def _pixels(call: str, nside: int, pixel: ArrayLike) -> NDArray[np.int64]:
    call = f"HEALPix({nside}).{call}(pixel)"
    check_nested(call, nside)
    pixels = np.asarray(pixel)
    if pixels.dtype.kind not in "iu":
        raise TypeError(f"`{call}` needs integer indices. Got {pixels.dtype}.")
    if np.any(pixels < 0) or np.any(pixels >= 12 * nside * nside):
        raise ValueError(
            f"`{call}` needs indices in [0, {12 * nside * nside}). "
            f"Got {pixels.min()} to {pixels.max()}."
        )
    return pixels.astype(np.int64)


def check_nested(call: str, nside: int) -> None:
    """Refuse an ``nside`` without nested order."""
    if nside & (nside - 1):
        raise ValueError(
            f"`{call}` needs `nside` to be a power of two: only then do pixels nest. "
            f"Got nside = {nside}. Ring order exists for every nside."
        )


def _as_given(result: NDArray[np.int64]) -> Any:
    """A Python integer where a single index was given."""
    return int(result) if result.ndim == 0 else result
