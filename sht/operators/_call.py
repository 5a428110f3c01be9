"""How a public operator reaches its kernel: truncation and radius checked, spaces made."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sht._apply import Space, apply_map, apply_run, place_of
from sht._arguments import check_radius
from sht._device_orders import run_by_orders
from sht._packed import precision_of
from sht._spectrum import check_truncation, ncoef

SCALAR = (), 0
ONE_DEGREE_MORE = (), 1
PAIR = (2,), 0
PAIR_OF_ONE_DEGREE_MORE = (2,), 1


class Operator(NamedTuple):
    """A kernel of one field, that of one order which it consists of, and what they take and give.

    Of `source` and `target` the leading axes, and how many degrees beyond lmax.
    """

    kernel: Any
    order: Any
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
    rest = () if radius is None else (check_radius(call, radius),)
    library, device, there = place_of(call, given, out)
    with there:
        dtype = precision_of(given).complex
        spaces = [
            Space((*axes, ncoef(lmax + more, mmax)), dtype)
            for axes, more in (operator.source, operator.target)
        ]
        source, target = reversed(spaces) if transposed else spaces
        if device is None:
            constants = lmax, mmax, *rest
            return apply_map(
                call, operator.kernel, given, source, target, constants, out, transposed=transposed
            )
        run = functools.partial(
            run_by_orders, library, operator.order, (lmax, mmax), rest, transposed
        )
        return apply_run(call, run, given, source, target, out, library)
