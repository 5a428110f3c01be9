"""Fewer or more degrees and orders."""

from __future__ import annotations

from numba import njit
from numpy.typing import ArrayLike, NDArray

from sht._apply import Space, apply_map
from sht._packed import check_packed, precision_of
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
        to, first = m * (2 * new_lmax + 1 - m) // 2, m * (2 * lmax + 1 - m) // 2
        end = min(lmax, new_lmax) + 1 if m <= mmax else m
        for l in range(m, end):  # noqa: E741
            b[to + l] = a[first + l]
        for l in range(end, new_lmax + 1):  # noqa: E741
            b[to + l] = 0.0


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
    dtype = precision_of(a).complex
    source, target = Space((ncoef(lmax, mmax),), dtype), Space((ncoef(new_lmax, new_mmax),), dtype)
    constants = (lmax, mmax, new_lmax, new_mmax)
    return apply_map(call, truncate_into, a, source, target, constants, out)
