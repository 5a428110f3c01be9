"""What grids are made from, checked, and how many points a truncation needs."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sht._spectrum import check_degree


def count(call: str, name: str, value: Any) -> int:
    """Check a number of rings or points and return it as a Python integer, at least 1.

    ``call`` is the constructor as written, for messages: ``"FullGaussian(nlat, nlon)"``.
    """
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"`{call}` needs an integer {name}. Got {value!r}.") from None
    if number < 1:
        grid = call.partition("(")[0]
        raise ValueError(
            f"`{call}` needs {name} >= 1. Got {name} = {number}. "
            f"`{grid}.for_lmax(lmax)` chooses a size from the truncation."
        )
    return number


def sampled_degree(call: str, lmax: Any, dealiasing: Any) -> tuple[int, int]:
    """Check the arguments of ``for_lmax``; return ``lmax`` and (dealiasing + 1) lmax, rounded up.

    The second is the degree of a product of ``dealiasing`` fields with a spherical harmonic, all
    of degree ``lmax``: what quadrature has to integrate, and points on a circle to tell from a
    constant.
    """
    lmax = check_degree(call, "lmax", lmax)
    try:
        factors = float(dealiasing)
    except (TypeError, ValueError):
        raise TypeError(f"`{call}` needs a number `dealiasing`. Got {dealiasing!r}.") from None
    if not (1.0 <= factors < math.inf):
        raise ValueError(
            f"`{call}` needs a finite dealiasing >= 1. Got {dealiasing}. "
            "1 is a linear, 2 a quadratic, 3 a cubic grid."
        )
    return lmax, math.ceil((factors + 1.0) * lmax)


def as_counts(grid: str, nlon: ArrayLike) -> NDArray[np.int64]:
    """Numbers of points as integers, wherever they came from."""
    counts = np.asarray(nlon)
    if counts.size and counts.dtype.kind not in "iu":
        raise TypeError(f"`{grid}` needs integer numbers of points `nlon`. Got {counts.dtype}.")
    return counts.astype(np.int64)


def check_rings(grid: str, arrays: dict[str, NDArray]) -> None:
    """Refuse arrays that describe no grid; they are named as the attributes that hold them."""
    theta = arrays["_theta"]
    if theta.ndim != 1 or not len(theta):
        raise ValueError(
            f"`{grid}` needs at least one ring, as 1-d arrays. Got `theta` of shape {theta.shape}."
        )
    for name, array in arrays.items():
        if array.shape != theta.shape:
            raise ValueError(
                f"`{grid}` needs one value per ring: `{name[1:]}` of shape {theta.shape}. "
                f"Got {array.shape}."
            )
        if not np.all(np.isfinite(array)):
            raise ValueError(f"`{grid}` needs finite `{name[1:]}`. Got NaN or infinity in it.")
    if np.any(arrays["_nlon"] < 1):
        ring = int(np.argmax(arrays["_nlon"] < 1))
        raise ValueError(
            f"`{grid}` needs at least one point on every ring. "
            f"Got nlon = {arrays['_nlon'][ring]} on ring {ring}."
        )
    if theta[0] <= 0.0 or theta[-1] >= np.pi or np.any(np.diff(theta) <= 0.0):
        raise ValueError(
            f"`{grid}` needs colatitudes `theta` in radians, strictly ascending in (0, pi): north "
            f"to south, without the poles. Got values from {theta[0]} to {theta[-1]}. "
            "From latitudes in degrees: `np.deg2rad(90 - latitude)`."
        )


def good_length(at_least: int) -> int:
    """Smallest multiple of 4 with prime factors 2, 3, 5, 7 only, which FFTW has codelets for."""
    length = 4 * math.ceil(at_least / 4)
    while not _is_smooth(length):
        length += 4
    return length


def _is_smooth(number: int) -> bool:
    for prime in (2, 3, 5, 7):
        while number % prime == 0:
            number //= prime
    return number == 1
