"""The rings of a tile as one lane sees them: `RINGS` numbers in a tuple, which stay in registers.

A thread of a GPU holds one lane; what is one vector in `_simd` is one number here. Written out for
four rings and for two, since Numba's loops over tuples go through memory. Blocks are [ring][lane].
A product and a sum may be one fused operation, as in `_simd`: else a GPU needs twice as many.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ._simd import LANES, RINGS


@njit(error_model="numpy")
def get(array, k):
    """``array[k]``, k >= 0: as an unsigned number, which Numba does not ask for its sign."""
    return array[np.uint64(k)]


@njit(error_model="numpy")
def put(array, k, value):
    """``array[k] = value``, k >= 0."""
    array[np.uint64(k)] = value


@njit(error_model="numpy")
def add(array, k, value):
    """``array[k] += value``, k >= 0."""
    array[np.uint64(k)] += value


@njit(error_model="numpy")
def _four(array, k, stride):
    return (*_two(array, k, stride), *_two(array, k + 2 * stride, stride))


@njit(error_model="numpy")
def _two(array, k, stride):
    return get(array, k), get(array, k + stride)


@njit(error_model="numpy")
def _put_four(array, k, q):
    put(array, k, q[0])
    put(array, k + LANES, q[1])
    put(array, k + 2 * LANES, q[2])
    put(array, k + 3 * LANES, q[3])


@njit(error_model="numpy")
def _put_two(array, k, q):
    put(array, k, q[0])
    put(array, k + LANES, q[1])


@njit(error_model="numpy", fastmath={"contract"})
def _four_plus(sums, q, c):
    return sums[0] + q[0] * c, sums[1] + q[1] * c, sums[2] + q[2] * c, sums[3] + q[3] * c


@njit(error_model="numpy", fastmath={"contract"})
def _two_plus(sums, q, c):
    return sums[0] + q[0] * c, sums[1] + q[1] * c


@njit(error_model="numpy", fastmath={"contract"})
def _plus_four(value, q, sums):
    return value + q[0] * sums[0] + q[1] * sums[1] + q[2] * sums[2] + q[3] * sums[3]


@njit(error_model="numpy", fastmath={"contract"})
def _plus_two(value, q, sums):
    return value + q[0] * sums[0] + q[1] * sums[1]


@njit(error_model="numpy", fastmath={"contract"})
def _four_following(before, now, z, a, d):
    return (
        (a * z[0] + d) * now[0] - before[0],
        (a * z[1] + d) * now[1] - before[1],
        (a * z[2] + d) * now[2] - before[2],
        (a * z[3] + d) * now[3] - before[3],
    )


@njit(error_model="numpy", fastmath={"contract"})
def _two_following(before, now, z, a, d):
    return (a * z[0] + d) * now[0] - before[0], (a * z[1] + d) * now[1] - before[1]


_WIDE = RINGS == 4

rings_of = _four if _WIDE else _two
"""``rings_of(array, k, stride)``: the items k, k + stride, … of an array."""

put_rings = _put_four if _WIDE else _put_two
"""``put_rings(array, k, q)`` writes them into a block where this lane of the first ring is k."""

plus = _four_plus if _WIDE else _two_plus
"""``plus(sums, q, c)`` is ``sums + q c``."""

plus_dot = _plus_four if _WIDE else _plus_two
"""``plus_dot(value, q, sums)`` is ``value + Σ q sum``."""

following = _four_following if _WIDE else _two_following
"""``following(before, now, z, a, d)``: the functions one step on, ``(a z + d) now - before``."""
