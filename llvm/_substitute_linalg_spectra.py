"""Eigenvalues, singular values, norms and least squares of `np.linalg`, in the same way."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numba.extending import overload
from numba.np.linalg import F_INT_nptype as PIVOT
from numba.np.linalg import _compute_singular_values, _oneD_norm_2
from numba.np.numpy_support import as_dtype

from enzyme_rules.linalg import eigh_into, pinv_into, svd_into

from ._substitute_linalg_matrix import (
    is_matrix,
    is_system,
    raise_unless_good,
    require_finite,
    require_items,
    require_rows,
    require_square,
)
from ._target import TARGET_NAME


def real_dtype(a: Any) -> Any:
    """The dtype of singular values and norms."""
    return as_dtype(getattr(a.dtype, "underlying_float", a.dtype))


@overload(np.linalg.eigh, target=TARGET_NAME)
def _eigh(a: Any) -> Any:
    if not is_matrix(a):
        return None
    dtype = real_dtype(a)

    def eigh(a: Any) -> Any:
        require_square(a)
        w, v = np.empty(a.shape[0], dtype), np.empty(a.shape, a.dtype)
        info = np.zeros(1, np.int64)
        eigh_into(w, v, a, info)
        raise_unless_good(info)
        return w, v.T

    return eigh


@overload(np.linalg.eigvalsh, target=TARGET_NAME)
def _eigvalsh(a: Any) -> Any:
    if not is_matrix(a):
        return None

    def eigvalsh(a: Any) -> Any:
        return np.linalg.eigh(a)[0]

    return eigvalsh


@overload(np.linalg.svd, target=TARGET_NAME)
def _svd(a: Any, full_matrices: Any = 1) -> Any:
    if not is_matrix(a):
        return None
    dtype = real_dtype(a)

    def svd(a: Any, full_matrices: Any = 1) -> Any:
        require_items(a)
        m, n = a.shape
        k = min(m, n)
        u = np.empty((m if full_matrices else k, m), a.dtype)
        v = np.empty((n, n if full_matrices else k), a.dtype)
        s, info = np.empty(k, dtype), np.zeros(1, np.int64)
        svd_into(u, s, v, a, info)
        raise_unless_good(info)
        return u.T, s, v.T

    return svd


@overload(_compute_singular_values, target=TARGET_NAME)
def _singular_values(a: Any) -> Any:
    def singular_values(a: Any) -> Any:
        return np.linalg.svd(a, False)[1]

    return singular_values


@overload(np.linalg.pinv, target=TARGET_NAME)
def _pinv(a: Any, rcond: Any = 1.0e-15) -> Any:
    if not is_matrix(a):
        return None

    def pinv(a: Any, rcond: Any = 1.0e-15) -> Any:
        return _pinv_and_rank(a, rcond)[0]

    return pinv


@njit()
def _pinv_and_rank(a: Any, rcond: float) -> Any:
    m, n = a.shape
    info, cut = np.zeros(2, np.int64), np.empty(1, np.float64)
    cut[0] = rcond
    y = np.empty((m, n), a.dtype)
    if a.size > 0:
        if m >= n:
            pinv_into(y, a, cut, info)
        else:
            flipped = np.empty((n, m), a.dtype)
            pinv_into(flipped, a.T, cut, info)
            y[:] = flipped.T
        raise_unless_good(info)
    return y.T, info[1]


@overload(np.linalg.lstsq, target=TARGET_NAME)
def _lstsq(a: Any, b: Any, rcond: Any = -1.0) -> Any:
    if not is_system(a, b):
        return None
    dtype = real_dtype(a)
    eps = np.finfo(dtype).eps

    def lstsq(a: Any, b: Any, rcond: Any = -1.0) -> Any:
        require_finite(a)
        require_finite(b)
        require_items(a)
        require_items(b)
        require_rows(a, b)
        inverse, rank = _pinv_and_rank(a, eps if rcond < 0 else rcond)
        x = inverse @ b
        if rank < a.shape[1] or a.shape[0] <= a.shape[1]:
            residuals = np.empty(0, dtype)
        else:
            residuals = _column_sums(b - a @ x, dtype)
        return x, residuals, PIVOT(rank), _compute_singular_values(a)

    return lstsq


def _column_sums(r: Any, dtype: Any) -> Any:
    """Sums of squares of the columns, or of the only one."""
    raise NotImplementedError


@overload(_column_sums, target=TARGET_NAME)
def _column_sums_impl(r: Any, dtype: Any) -> Any:
    if r.ndim == 1:

        def column_sums(r: Any, dtype: Any) -> Any:
            sums = np.zeros(1, dtype)
            for x in r:
                sums[0] += x.real * x.real + x.imag * x.imag
            return sums

    else:

        def column_sums(r: Any, dtype: Any) -> Any:
            sums = np.zeros(r.shape[1], dtype)
            for i in range(r.shape[0]):
                for j in range(r.shape[1]):
                    x = r[i, j]
                    sums[j] += x.real * x.real + x.imag * x.imag
            return sums

    return column_sums


@overload(_oneD_norm_2, target=TARGET_NAME)
def _norm_impl(a: Any) -> Any:
    dtype = real_dtype(a).type

    def norm(a: Any) -> Any:
        return dtype(_norm(a))

    return norm


# Sums in any order, as in BLAS.
@njit(fastmath={"reassoc", "contract"})
def _norm(a: Any) -> float:
    """The square root of the sum of squares. Of zeros it is 0, and so is its derivative."""
    total = 0.0
    for x in a:
        total += np.float64(x.real) ** 2 + np.float64(x.imag) ** 2
    if 1e-280 < total < 1e300:
        return np.sqrt(total)
    largest = 0.0
    for x in a:
        largest = max(largest, abs(np.float64(x.real)), abs(np.float64(x.imag)))
    if largest == 0 or not np.isfinite(largest):
        return total
    total = 0.0
    for x in a:
        total += (x.real / largest) ** 2 + (x.imag / largest) ** 2
    return largest * np.sqrt(total)
