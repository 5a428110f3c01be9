"""`np.linalg` as functions that differentiate: kernels with rules, and Numba's exceptions.

An exception inside a function with a rule would lose its text and its class. So the kernels say
what is wrong in an integer, and it is raised here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import overload
from numba.np.linalg import F_INT_nptype as PIVOT
from numba.np.linalg import _compute_singular_values, _oneD_norm_2
from numba.np.numpy_support import as_dtype

from enzyme_rules.linalg import (
    NOT_CONVERGED,
    NOT_FINITE,
    NOT_POSITIVE,
    SINGULAR,
    cholesky_into,
    eigh_into,
    factor_into,
    inverse_into,
    pinv_into,
    qr_into,
    slogdet_factored_into,
    solve_into,
    svd_into,
)

from ._target import TARGET_NAME


def _real(a: Any) -> Any:
    """The dtype of singular values and norms."""
    return as_dtype(getattr(a.dtype, "underlying_float", a.dtype))


def _floating(*given: Any) -> bool:
    """Whether these are arrays of one float or complex dtype; if not, Numba is to say so."""
    return all(isinstance(a, types.Array) for a in given) and {
        isinstance(a.dtype, types.Float | types.Complex) and a.dtype == given[0].dtype
        for a in given
    } == {True}


def _is_matrix(a: Any) -> bool:
    return _floating(a) and a.ndim == 2


@njit()
def _raise_unless_good(info: Any) -> None:
    if info[0] == NOT_FINITE:
        raise np.linalg.LinAlgError("Array must not contain infs or NaNs.")
    if info[0] == SINGULAR:
        raise np.linalg.LinAlgError("Matrix is singular to machine precision.")
    if info[0] == NOT_POSITIVE:
        raise np.linalg.LinAlgError("Matrix is not positive definite.")
    if info[0] == NOT_CONVERGED:
        raise ValueError("Internal algorithm failed to converge.")


@njit()
def _require_square(a: Any) -> None:
    if a.shape[0] != a.shape[1]:
        raise np.linalg.LinAlgError("Last 2 dimensions of the array must be square.")


@njit()
def _require_items(a: Any) -> None:
    if a.size == 0:
        raise np.linalg.LinAlgError("Arrays cannot be empty")


@njit()
def _require_finite(a: Any) -> None:
    for x in a.flat:
        if not np.isfinite(x):
            raise np.linalg.LinAlgError("Array must not contain infs or NaNs.")


@overload(np.linalg.solve, target=TARGET_NAME)
def _solve(a: Any, b: Any) -> Any:
    if not (_floating(a, b) and a.ndim == 2 and b.ndim in (1, 2)):
        return None
    if b.ndim == 1:

        def solve(a: Any, b: Any) -> Any:
            _require_finite(b)
            if a.shape[0] != b.size:
                raise np.linalg.LinAlgError(
                    "Incompatible array sizes, system is not dimensionally valid."
                )
            _require_square(a)
            right = np.ascontiguousarray(b).reshape((1, b.size))
            x, info = np.empty((1, b.size), a.dtype), np.zeros(1, np.int64)
            solve_into(x, a, right, info)
            _raise_unless_good(info)
            return x[0]

    else:

        def solve(a: Any, b: Any) -> Any:
            _require_finite(b)
            if a.shape[0] != b.shape[0]:
                raise np.linalg.LinAlgError(
                    "Incompatible array sizes, system is not dimensionally valid."
                )
            _require_square(a)
            x, info = np.empty((b.shape[1], b.shape[0]), a.dtype), np.zeros(1, np.int64)
            solve_into(x, a, np.ascontiguousarray(b.T), info)
            _raise_unless_good(info)
            return x.T

    return solve


@overload(np.linalg.inv, target=TARGET_NAME)
def _inv(a: Any) -> Any:
    if not _is_matrix(a):
        return None

    def inv(a: Any) -> Any:
        _require_square(a)
        y, info = np.empty(a.shape, a.dtype), np.zeros(1, np.int64)
        inverse_into(y, a, info)
        _raise_unless_good(info)
        return y.T

    return inv


@overload(np.linalg.slogdet, target=TARGET_NAME)
def _slogdet(a: Any) -> Any:
    if not _is_matrix(a):
        return None
    dtype = np.complex128 if isinstance(a.dtype, types.Complex) else np.float64

    def slogdet(a: Any) -> Any:
        _require_square(a)
        n = a.shape[0]
        f, info = np.empty((n + 1, n), a.dtype), np.zeros(1, np.int64)
        sign, log = np.empty(1, dtype), np.empty(1, np.float64)
        factor_into(f, a, info)
        if info[0] != SINGULAR:
            _raise_unless_good(info)
        slogdet_factored_into(sign, log, f)
        return sign[0], log[0]

    return slogdet


@overload(np.linalg.cholesky, target=TARGET_NAME)
def _cholesky(a: Any) -> Any:
    if not _is_matrix(a):
        return None

    def cholesky(a: Any) -> Any:
        _require_square(a)
        t, info = np.empty(a.shape, a.dtype), np.zeros(1, np.int64)
        cholesky_into(t, a, info)
        _raise_unless_good(info)
        return t

    return cholesky


@overload(np.linalg.qr, target=TARGET_NAME)
def _qr(a: Any) -> Any:
    if not _is_matrix(a):
        return None

    def qr(a: Any) -> Any:
        _require_items(a)
        m, n = a.shape
        k, info = min(m, n), np.zeros(1, np.int64)
        q, t = np.empty((k, m), a.dtype), np.empty((k, k), a.dtype)
        qr_into(q, t, a[:, :k], info)
        _raise_unless_good(info)
        r = np.empty((n, k), a.dtype)
        r[:k] = t
        if n > k:
            # The other columns, in the basis of the first.
            rest = a[:, k:]
            _require_finite(rest)
            r[k:] = (np.conj(q) @ rest).T
        return q.T, r.T

    return qr


@overload(np.linalg.eigh, target=TARGET_NAME)
def _eigh(a: Any) -> Any:
    if not _is_matrix(a):
        return None
    dtype = _real(a)

    def eigh(a: Any) -> Any:
        _require_square(a)
        w, v = np.empty(a.shape[0], dtype), np.empty(a.shape, a.dtype)
        info = np.zeros(1, np.int64)
        eigh_into(w, v, a, info)
        _raise_unless_good(info)
        return w, v.T

    return eigh


@overload(np.linalg.eigvalsh, target=TARGET_NAME)
def _eigvalsh(a: Any) -> Any:
    if not _is_matrix(a):
        return None

    def eigvalsh(a: Any) -> Any:
        return np.linalg.eigh(a)[0]

    return eigvalsh


@overload(np.linalg.svd, target=TARGET_NAME)
def _svd(a: Any, full_matrices: Any = 1) -> Any:
    if not _is_matrix(a):
        return None
    dtype = _real(a)

    def svd(a: Any, full_matrices: Any = 1) -> Any:
        _require_items(a)
        m, n = a.shape
        k = min(m, n)
        u = np.empty((m if full_matrices else k, m), a.dtype)
        v = np.empty((n, n if full_matrices else k), a.dtype)
        s, info = np.empty(k, dtype), np.zeros(1, np.int64)
        svd_into(u, s, v, a, info)
        _raise_unless_good(info)
        return u.T, s, v.T

    return svd


@overload(_compute_singular_values, target=TARGET_NAME)
def _singular_values(a: Any) -> Any:
    def singular_values(a: Any) -> Any:
        return np.linalg.svd(a, False)[1]

    return singular_values


@overload(np.linalg.pinv, target=TARGET_NAME)
def _pinv(a: Any, rcond: Any = 1.0e-15) -> Any:
    if not _is_matrix(a):
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
        _raise_unless_good(info)
    return y.T, info[1]


@overload(np.linalg.lstsq, target=TARGET_NAME)
def _lstsq(a: Any, b: Any, rcond: Any = -1.0) -> Any:
    if not (_floating(a, b) and a.ndim == 2 and b.ndim in (1, 2)):
        return None
    dtype = _real(a)
    eps = np.finfo(dtype).eps

    def lstsq(a: Any, b: Any, rcond: Any = -1.0) -> Any:
        _require_finite(a)
        _require_finite(b)
        _require_items(a)
        _require_items(b)
        if a.shape[0] != b.shape[0]:
            raise np.linalg.LinAlgError(
                "Incompatible array sizes, system is not dimensionally valid."
            )
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
    dtype = _real(a).type

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
