"""Orthogonal times triangular."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from ._linalg_arrays import NOT_CONVERGED, NOT_FINITE, add_transposed, copy_transposed, together
from ._linalg_lapack import geqrf, ungqr
from ._linalg_products import KernelRule, matmul_into
from ._linalg_triangular import clear_upper, triangular_solve_into
from ._registry import register


@njit()
def qr_into(q: Any, t: Any, a: Any, info: Any) -> None:
    """Compute a = qᵀ tᵀ, the columns of qᵀ orthonormal.

    Parameters
    ----------
    q : (n, m) float or complex, C-contiguous
    t : (n, n) of the same dtype, C-contiguous
        Lower triangular, with a real diagonal.
    a : (m, n) of the same dtype, m >= n
    info : (1,) int64
        What went wrong, or 0.

    Notes
    -----
    There is no derivative where columns depend on each other: it comes out infinite or as NaN.
    """
    n = a.shape[1]
    info[0] = 0
    if not copy_transposed(q, a):
        info[0] = NOT_FINITE
        return
    tau = np.empty(n, a.dtype)
    geqrf(q, tau)
    t[:] = q[:, :n]
    clear_upper(t)
    if ungqr(q, tau) != 0:
        info[0] = NOT_CONVERGED


@njit()
def _augmented(q: Any, dq: Any, t: Any, dt: Any, a: Any, da: Any, info: Any) -> Any:
    qr_into(q, t, a, info)
    return together(q, t)


@njit()
def _reverse(q: Any, dq: Any, t: Any, dt: Any, a: Any, da: Any, info: Any, kept: Any) -> None:
    if da is not a:
        # With Q = qᵀ, R = tᵀ and M = R dRᴴ - dQᴴ Q: dA = (dQ + Q C) R⁻ᴴ, where the Hermitian C has
        # the lower triangle of M.
        old, triangle = kept[: q.size].reshape(q.shape), kept[q.size :].reshape(t.shape)
        n = a.shape[1]
        middle = np.zeros((n, n), a.dtype)
        left = np.zeros((a.shape[0], n), a.dtype)
        if dt is not t:
            change = dt.copy()
            clear_upper(change)
            matmul_into(middle, triangle, change, 1, 2, 1, 0)
        if dq is not q:
            matmul_into(middle, dq, old, 2, 1, -1, 1)
            copy_transposed(left, dq)
        for i in range(n):
            middle[i, i] = middle[i, i].real
            for j in range(i):
                middle[j, i] = np.conj(middle[i, j])
        matmul_into(left, old, middle, 1, 0, 1, 1)
        solved = np.empty(left.shape, a.dtype)
        triangular_solve_into(solved, triangle, left, 3)
        for i in range(a.shape[0]):
            for j in range(n):
                da[i, j] += solved[i, j]
    if dq is not q:
        dq[:] = 0
    if dt is not t:
        dt[:] = 0


@njit()
def _forward(q: Any, dq: Any, t: Any, dt: Any, a: Any, da: Any, info: Any) -> None:
    qr_into(q, t, a, info)
    n = a.shape[1]
    change = np.zeros(a.shape, a.dtype)
    if da is not a:
        change[:] = da
    # X = Qᴴ dA R⁻¹ is Ω + dR R⁻¹, Ω anti-Hermitian and dR R⁻¹ upper triangular and real on its
    # diagonal.
    product, x = np.empty((n, n), a.dtype), np.empty((n, n), a.dtype)
    matmul_into(product, q, change, 2, 0, 1, 0)
    triangular_solve_into(x, t, product, 0)
    upper = np.zeros((n, n), a.dtype)
    for i in range(n):
        upper[i, i] = x[i, i].real
        for j in range(i):
            upper[j, i] = x[j, i] + np.conj(x[i, j])
    if dt is not t:
        matmul_into(dt, t, upper, 0, 1, 1, 0)
    if dq is not q:
        solved = np.empty(a.shape, a.dtype)
        triangular_solve_into(solved, t, change, 0)
        matmul_into(dq, upper, q, 1, 0, -1, 0)
        add_transposed(dq, solved)


register(
    KernelRule(
        qr_into,
        augmented_primal=_augmented,
        reverse=_reverse,
        forward=_forward,
        writes=(0, 1, 3),
    )
)
