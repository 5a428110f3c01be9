"""The packed layout of spherical harmonic coefficients: which (l, m) lives where."""

from __future__ import annotations

import operator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


def ncoef(lmax: int, mmax: int | None = None) -> int:
    """Count the packed coefficients with ``0 <= m <= mmax`` and ``m <= l <= lmax``.

    Parameters
    ----------
    lmax : int
        Highest degree, inclusive, at least 0.
    mmax : int, optional
        Highest order, inclusive, in [0, lmax]. ``lmax`` if not given.

    Returns
    -------
    int

    Raises
    ------
    TypeError, ValueError
        A degree or order is not an integer or lies outside its range.

    Examples
    --------
    >>> ncoef(2), ncoef(42), ncoef(42, mmax=0)
    (6, 946, 43)
    """
    lmax, mmax = check_truncation("ncoef(lmax, mmax)", lmax, mmax)
    return (mmax + 1) * (lmax + 1) - mmax * (mmax + 1) // 2


def lm_index(l: ArrayLike, m: ArrayLike, lmax: int) -> Any:  # noqa: E741
    """Position of (l, m) in a packed vector: ``m * (2 * lmax + 1 - m) // 2 + l``.

    The order is m-major with l contiguous, that of healpy and ducc0, and the position does not
    depend on ``mmax``.

    Parameters
    ----------
    l, m : int or array of int
        Degrees and orders, ``0 <= m <= l <= lmax``. Arrays broadcast.
    lmax : int
        Highest degree, inclusive.

    Returns
    -------
    int or array of int64

    Raises
    ------
    TypeError, ValueError
        ``l`` or ``m`` is not an integer, or does not satisfy ``0 <= m <= l <= lmax``.

    Examples
    --------
    >>> lm_index(2, 1, lmax=2)
    4
    >>> lm_index([0, 1, 2], 0, lmax=2).tolist()
    [0, 1, 2]
    """
    call = "lm_index(l, m, lmax)"
    lmax, _ = check_truncation(call, lmax, None)
    degree, order = np.asarray(l), np.asarray(m)
    if degree.dtype.kind not in "iu" or order.dtype.kind not in "iu":
        raise TypeError(
            f"`{call}` needs integer degrees and orders. "
            f"Got l of {degree.dtype} and m of {order.dtype}."
        )
    degree, order = degree.astype(np.int64), order.astype(np.int64)
    if np.any(order < 0) or np.any(order > degree) or np.any(degree > lmax):
        raise ValueError(
            f"`{call}` needs 0 <= m <= l <= lmax = {lmax}. Got l = {l}, m = {m}. Only m >= 0 is "
            "stored: of a real field a(l, -m) is (-1)**m * conj(a(l, m))."
        )
    index = order * (2 * lmax + 1 - order) // 2 + degree
    return int(index) if index.ndim == 0 else index


def degrees_orders(
    lmax: int, mmax: int | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Degree and order of every packed coefficient.

    Parameters
    ----------
    lmax : int
        Highest degree, inclusive, at least 0.
    mmax : int, optional
        Highest order, inclusive, in [0, lmax]. ``lmax`` if not given.

    Returns
    -------
    l, m : (ncoef,) int64

    Raises
    ------
    TypeError, ValueError
        A degree or order is not an integer or lies outside its range.

    Examples
    --------
    >>> l, m = degrees_orders(2)
    >>> l.tolist(), m.tolist()
    ([0, 1, 2, 1, 2, 2], [0, 0, 0, 1, 1, 2])
    """
    lmax, mmax = check_truncation("degrees_orders(lmax, mmax)", lmax, mmax)
    return Truncation(lmax, mmax).degrees_orders


def pack(dense: ArrayLike) -> NDArray:
    """Packed vector of a dense triangle.

    Parameters
    ----------
    dense : (..., lmax + 1, mmax + 1) array
        ``dense[..., l, m]`` with ``mmax <= lmax``, any dtype. Entries with ``m > l`` are ignored.

    Returns
    -------
    (..., ncoef) array of the same dtype
        A new array.

    Raises
    ------
    ValueError
        ``dense`` has fewer than two axes, or more orders than degrees.

    Examples
    --------
    >>> pack([[1, 0, 0], [2, 4, 0], [3, 5, 6]]).tolist()
    [1, 2, 3, 4, 5, 6]
    """
    dense = np.asarray(dense)
    if dense.ndim < 2 or not 1 <= dense.shape[-1] <= dense.shape[-2]:
        raise ValueError(
            "`pack(dense)` needs shape (..., lmax + 1, mmax + 1) with 0 <= mmax <= lmax. "
            f"Got {dense.shape}. Degrees come before orders: transpose the last two axes if needed."
        )
    degrees, orders = degrees_orders(dense.shape[-2] - 1, dense.shape[-1] - 1)
    return dense[..., degrees, orders]


def unpack(packed: ArrayLike, lmax: int, mmax: int | None = None) -> NDArray:
    """Dense triangle of a packed vector, zero where ``m > l``; undoes :func:`pack`.

    Parameters
    ----------
    packed : (..., ncoef) array
        Packed coefficients, any dtype.
    lmax : int
        Highest degree, inclusive.
    mmax : int, optional
        Highest order, inclusive, in [0, lmax]. ``lmax`` if not given.

    Returns
    -------
    (..., lmax + 1, mmax + 1) array of the same dtype
        ``dense[..., l, m]``, a new array.

    Raises
    ------
    TypeError, ValueError
        The truncation is impossible, or the last axis does not have ``ncoef(lmax, mmax)`` entries.

    Examples
    --------
    >>> unpack([1, 2, 3, 4, 5, 6], lmax=2).tolist()
    [[1, 0, 0], [2, 4, 0], [3, 5, 6]]
    """
    lmax, mmax = check_truncation("unpack(packed, lmax, mmax)", lmax, mmax)
    packed = np.asarray(packed)
    degrees, orders = degrees_orders(lmax, mmax)
    if packed.ndim < 1 or packed.shape[-1] != len(degrees):
        raise ValueError(
            f"`unpack(packed, {lmax}, {mmax})` needs shape (..., {len(degrees)}). "
            f"Got {packed.shape}. The coefficients come last, and `ncoef(lmax, mmax)` counts them."
        )
    dense = np.zeros((*packed.shape[:-1], lmax + 1, mmax + 1), packed.dtype)
    dense[..., degrees, orders] = packed
    return dense


class Truncation(NamedTuple):
    """Which (l, m) there are: ``0 <= m <= mmax`` and ``m <= l <= highest[m]``.

    Packed order by order, as `lm_index` says for triangles.
    """

    lmax: int
    mmax: int
    rhomboidal: bool = False
    """Whether all orders have as many degrees, ``lmax - mmax + 1``."""

    @property
    def highest(self) -> NDArray[np.int64]:
        """(mmax + 1,) Highest degree of each order."""
        orders = np.arange(self.mmax + 1)
        return (
            orders + self.lmax - self.mmax if self.rhomboidal else np.full_like(orders, self.lmax)
        )

    @property
    def positions(self) -> NDArray[np.int64]:
        """(mmax + 2,) Where each order begins in a packed vector; the last is its length."""
        counts = self.highest - np.arange(self.mmax + 1) + 1
        return np.concatenate([[0], np.cumsum(counts)])

    @property
    def ncoef(self) -> int:
        """Length of a packed vector."""
        return int(self.positions[-1])

    @property
    def degrees_orders(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Degree and order of every packed coefficient, (ncoef,) each."""
        positions = self.positions
        orders = np.repeat(np.arange(self.mmax + 1), np.diff(positions))
        return np.arange(self.ncoef) - positions[orders] + orders, orders


def check_truncation(call: str, lmax: int, mmax: int | None) -> tuple[int, int]:
    """Check ``lmax`` and ``mmax``, which is ``lmax`` where None, and return Python integers."""
    lmax = check_degree(call, "lmax", lmax)
    mmax = lmax if mmax is None else check_degree(call, "mmax", mmax)
    if mmax > lmax:
        raise ValueError(f"`{call}` needs mmax <= lmax. Got lmax = {lmax}, mmax = {mmax}.")
    return lmax, mmax


def check_degree(call: str, name: str, value: Any) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"`{call}` needs an integer {name}. Got {value!r}.") from None
    if number < 0:
        raise ValueError(f"`{call}` needs {name} >= 0. Got {name} = {number}.")
    return number
