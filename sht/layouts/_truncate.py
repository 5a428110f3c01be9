"""Fewer or more degrees and orders."""

from __future__ import annotations

import functools

from numba import njit
from numpy.typing import ArrayLike, NDArray

from sht._apply import Space, apply_map, apply_run, place_of
from sht._device_orders import run_by_orders
from sht._packed import check_packed, precision_of
from sht._rows import row_of
from sht._spectrum import check_truncation, ncoef


@njit(error_model="numpy")
def truncate_into(b, a, lmax, mmax, new_lmax, new_mmax):
    """Write the coefficients `a` up to other degrees and orders, 0 where `a` has none.

    Parameters
    ----------
    b : (ncoef(new_lmax, new_mmax),) complex
        Overwritten.
    a : (ncoef(lmax, mmax),) complex
    lmax, mmax, new_lmax, new_mmax : int
        Highest degrees and orders, inclusive.

    Raises
    ------
    ValueError
        Another number of coefficients.
    """
    check_packed(a, lmax, mmax)
    check_packed(b, new_lmax, new_mmax)
    for m in range(new_mmax + 1):
        truncate_order(b, a, m, (0, new_lmax + 1), new_lmax, lmax, mmax)


@njit(error_model="numpy")
def truncate_order(b, a, m, some, new_lmax, lmax, mmax):
    """Some rows of one order, as the maps of `sht.operators._one_order`."""
    row, given = row_of(b, m, new_lmax), row_of(a, m, lmax)
    kept = min(lmax, new_lmax) + 1 - m if m <= mmax else 0
    end = min(len(row), some[1])
    for i in range(some[0], min(kept, end)):
        row[i] = given[i]
    for i in range(max(kept, some[0]), end):
        row[i] = 0.0


def truncate(
    a: ArrayLike,
    lmax: int,
    new_lmax: int,
    mmax: int | None = None,
    new_mmax: int | None = None,
    out: NDArray | None = None,
) -> NDArray:
    """Coefficients up to other degrees and orders: cut, or continued with zeros.

    Parameters
    ----------
    a : (..., ncoef(lmax, mmax)) complex128 or complex64
        Packed coefficients.
    lmax, new_lmax : int
        Highest degree, inclusive, of what is given and of the result.
    mmax, new_mmax : int, optional
        Highest orders, inclusive; ``lmax`` and ``new_lmax`` if not given.
    out : (..., ncoef(new_lmax, new_mmax)) array, optional
        Where to write the result. Must not overlap `a`.

    Returns
    -------
    (..., ncoef(new_lmax, new_mmax)) array of the same dtype

    Raises
    ------
    TypeError, ValueError
        A truncation is impossible; wrong dtype, shape, or `out`.

    Notes
    -----
    The adjoint is the way back: ``truncate(b, new_lmax, lmax, new_mmax, mmax)``.

    Examples
    --------
    >>> truncate([1.0, 2.0, 3.0 + 4.0j], 1, 2).tolist()
    [(1+0j), (2+0j), 0j, (3+4j), 0j, 0j]
    """
    call = "truncate(a, lmax, new_lmax, mmax, new_mmax)"
    lmax, mmax = check_truncation(call, lmax, mmax)
    new_lmax, new_mmax = check_truncation(call, new_lmax, new_mmax)
    library, device, there = place_of(call, a, out)
    with there:
        dtype = precision_of(a).complex
        source = Space((ncoef(lmax, mmax),), dtype)
        target = Space((ncoef(new_lmax, new_mmax),), dtype)
        if device is None:
            constants = (lmax, mmax, new_lmax, new_mmax)
            return apply_map(call, truncate_into, a, source, target, constants, out)
        new = new_lmax, new_mmax
        run = functools.partial(run_by_orders, library, truncate_order, new, (lmax, mmax), False)
        return apply_run(call, run, a, source, target, out, library)
