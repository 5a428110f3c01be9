"""How a public operator reaches its kernel: truncation and radius checked, spaces made."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sht._apply import Space, apply_map
from sht._arguments import check_radius
from sht._packed import precision_of
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
    dtype = precision_of(given).complex
    spaces = [
        Space((*axes, ncoef(lmax + more, mmax)), dtype)
        for axes, more in (operator.source, operator.target)
    ]
    source, target = reversed(spaces) if transposed else spaces
    constants = (lmax, mmax) if radius is None else (lmax, mmax, check_radius(call, radius))
    return apply_map(
        call, operator.kernel, given, source, target, constants, out, transposed=transposed
    )
