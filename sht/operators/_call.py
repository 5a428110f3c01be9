"""How a public operator reaches its kernel: truncation and radius checked, spaces made."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sht._apply import Space, apply_map
from sht._spectrum import check_truncation, ncoef

SCALAR = (), 0
ONE_DEGREE_MORE = (), 1
PAIR = (2,), 0
PAIR_OF_ONE_DEGREE_MORE = (2,), 1


class Operator(NamedTuple):
    """A kernel, and what it takes and gives: leading axes, and how many degrees beyond lmax."""

    kernel: Any
    source: tuple[tuple[int, ...], int]
    target: tuple[tuple[int, ...], int]


def apply(
    call: str,
    operator: Operator,
    given: ArrayLike,
    lmax: int,
    mmax: int | None,
    radius: float | None = None,
    *,
    out: NDArray | None = None,
    transposed: bool = False,
) -> NDArray[np.complex128]:
    """``operator(given)``, or its transpose; `radius` is None where the kernel takes none."""
    lmax, mmax = check_truncation(call, lmax, mmax)
    given = np.asarray(given)
    dtype = np.complex64 if given.dtype == np.complex64 else np.complex128
    spaces = [
        Space((*axes, ncoef(lmax + more, mmax)), dtype)
        for axes, more in (operator.source, operator.target)
    ]
    source, target = reversed(spaces) if transposed else spaces
    constants = (lmax, mmax) if radius is None else (lmax, mmax, _check_radius(call, radius))
    return apply_map(
        call, operator.kernel, given, source, target, constants, out, transposed=transposed
    )


def _check_radius(call: str, radius: float) -> float:
    try:
        number = float(radius)
    except (TypeError, ValueError):
        raise TypeError(f"`{call}` needs a number `radius`. Got {radius!r}.") from None
    if not 0.0 < number < math.inf:
        raise ValueError(f"`{call}` needs a radius > 0. Got {radius!r}. The Earth's is 6.371e6 m.")
    return number
