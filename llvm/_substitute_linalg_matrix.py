"""Systems, inverses, determinants and factors of `np.linalg` as functions that differentiate.

An exception inside a function with a rule would lose its text and its class. So the kernels say
what is wrong in an integer, and it is raised here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import overload

from enzyme_rules.linalg import (
    NOT_CONVERGED,
    NOT_FINITE,
    NOT_POSITIVE,
    SINGULAR,
    cholesky_into,
    factor_into,
    inverse_into,
    qr_into,
    slogdet_factored_into,
    solve_into,
)

from ._substitute_linalg import of_one_dtype
from ._target import TARGET_NAME


def is_matrix(a: Any) -> bool:
    return of_one_dtype(a) and a.ndim == 2


def is_system(a: Any, b: Any) -> bool:
    return of_one_dtype(a, b) and a.ndim == 2 and b.ndim in (1, 2)


@njit()
def raise_unless_good(info: Any) -> None:
    if info[0] == NOT_FINITE:
        raise np.linalg.LinAlgError("Array must not contain infs or NaNs.")
    if info[0] == SINGULAR:
        raise np.linalg.LinAlgError("Matrix is singular to machine precision.")
    if info[0] == NOT_POSITIVE:
        raise np.linalg.LinAlgError("Matrix is not positive definite.")
    if info[0] == NOT_CONVERGED:
        raise ValueError("Internal algorithm failed to converge.")


@njit()
def require_square(a: Any) -> None:
    if a.shape[0] != a.shape[1]:
        raise np.linalg.LinAlgError("Last 2 dimensions of the array must be square.")


@njit()
def require_rows(a: Any, b: Any) -> None:
    if a.shape[0] != b.shape[0]:
        raise np.linalg.LinAlgError("Incompatible array sizes, system is not dimensionally valid.")


@njit()
def require_items(a: Any) -> None:
    if a.size == 0:
        raise np.linalg.LinAlgError("Arrays cannot be empty")


@njit()
def require_finite(a: Any) -> None:
    for x in a.flat:
        if not np.isfinite(x):
            raise np.linalg.LinAlgError("Array must not contain infs or NaNs.")


@overload(np.linalg.solve, target=TARGET_NAME)
def _solve(a: Any, b: Any) -> Any:
    if not is_system(a, b):
        return None
    if b.ndim == 1:

        def solve(a: Any, b: Any) -> Any:
            require_finite(b)
            require_rows(a, b)
            require_square(a)
            right = np.ascontiguousarray(b).reshape((1, b.size))
            x, info = np.empty((1, b.size), a.dtype), np.zeros(1, np.int64)
            solve_into(x, a, right, info)
            raise_unless_good(info)
            return x[0]

    else:

        def solve(a: Any, b: Any) -> Any:
            require_finite(b)
            require_rows(a, b)
            require_square(a)
            x, info = np.empty((b.shape[1], b.shape[0]), a.dtype), np.zeros(1, np.int64)
            solve_into(x, a, np.ascontiguousarray(b.T), info)
            raise_unless_good(info)
            return x.T

    return solve


@overload(np.linalg.inv, target=TARGET_NAME)
def _inv(a: Any) -> Any:
    if not is_matrix(a):
        return None

    def inv(a: Any) -> Any:
        require_square(a)
        y, info = np.empty(a.shape, a.dtype), np.zeros(1, np.int64)
        inverse_into(y, a, info)
        raise_unless_good(info)
        return y.T

    return inv


@overload(np.linalg.slogdet, target=TARGET_NAME)
def _slogdet(a: Any) -> Any:
    if not is_matrix(a):
        return None
    dtype = np.complex128 if isinstance(a.dtype, types.Complex) else np.float64

    def slogdet(a: Any) -> Any:
        require_square(a)
        n = a.shape[0]
        f, info = np.empty((n + 1, n), a.dtype), np.zeros(1, np.int64)
        sign, log = np.empty(1, dtype), np.empty(1, np.float64)
        factor_into(f, a, info)
        if info[0] != SINGULAR:
            raise_unless_good(info)
        slogdet_factored_into(sign, log, f)
        return sign[0], log[0]

    return slogdet


@overload(np.linalg.cholesky, target=TARGET_NAME)
def _cholesky(a: Any) -> Any:
    if not is_matrix(a):
        return None

    def cholesky(a: Any) -> Any:
        require_square(a)
        t, info = np.empty(a.shape, a.dtype), np.zeros(1, np.int64)
        cholesky_into(t, a, info)
        raise_unless_good(info)
        return t

    return cholesky


@overload(np.linalg.qr, target=TARGET_NAME)
def _qr(a: Any) -> Any:
    if not is_matrix(a):
        return None

    def qr(a: Any) -> Any:
        require_items(a)
        m, n = a.shape
        k, info = min(m, n), np.zeros(1, np.int64)
        q, t = np.empty((k, m), a.dtype), np.empty((k, k), a.dtype)
        qr_into(q, t, a[:, :k], info)
        raise_unless_good(info)
        r = np.empty((n, k), a.dtype)
        r[:k] = t
        if n > k:
            # The other columns, in the basis of the first.
            rest = a[:, k:]
            require_finite(rest)
            r[k:] = (np.conj(q) @ rest).T
        return q.T, r.T

    return qr
