"""ducc0: any start for each order, any stride between degrees."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from sht._spectrum import check_degree, check_truncation, degrees_orders

from ._layout import ComplexLayout, complex_layout


def ducc0(
    lmax: int, mmax: int | None = None, *, mstart: ArrayLike, lstride: int = 1
) -> ComplexLayout:
    """Coefficients of ducc0 where (l, m) is at ``mstart[m] + l * lstride``.

    Without `mstart`, ducc0's coefficients are ours, and so are healpy's.

    Parameters
    ----------
    lmax, mmax : int
        Highest degree and order, inclusive; ``mmax`` is ``lmax`` if not given.
    mstart : (mmax + 1,) int
        Where degree 0 of each order would be. May be negative for m > 0.
    lstride : int
        Distance between degrees.

    Returns
    -------
    ComplexLayout
        Of shape (n,), n the smallest that holds them.

    Raises
    ------
    TypeError, ValueError
        The truncation is impossible, or coefficients lie outside the array or on one another.

    Examples
    --------
    >>> layout = ducc0(2, mstart=[0, 1, 2], lstride=3)  # a dense [l, m]
    >>> layout.unpack(np.arange(1, 7) + 0j).real.astype(int).reshape(3, 3).tolist()
    [[1, 0, 0], [2, 4, 0], [3, 5, 6]]
    """
    call = "sht.layouts.ducc0(lmax, mmax, mstart, lstride)"
    lmax, mmax = check_truncation(call, lmax, mmax)
    lstride = check_degree(call, "lstride", lstride)
    starts = np.asarray(mstart)
    if starts.shape != (mmax + 1,) or starts.dtype.kind not in "iu":
        raise ValueError(
            f"`{call}` needs one integer `mstart` for each of {mmax + 1} orders. "
            f"Got {starts.dtype} of shape {starts.shape}."
        )
    degrees, orders = degrees_orders(lmax, mmax)
    index = starts.astype(np.int64)[orders] + degrees * lstride
    if index.min() < 0 or len(np.unique(index)) != len(index):
        raise ValueError(
            f"`{call}` needs a place of its own, at 0 or later, for each (l, m). "
            f"Got mstart = {mstart}, lstride = {lstride}."
        )
    return complex_layout((int(index.max()) + 1,), index, np.ones(len(index)))
