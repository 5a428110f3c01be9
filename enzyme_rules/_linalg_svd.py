"""Singular values and vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from ._linalg_arrays import (
    NOT_CONVERGED,
    NOT_FINITE,
    add_product,
    copy_transposed,
    divided,
    negligible,
)
from ._linalg_lapack import gesdd
from ._linalg_products import KernelRule, matmul_into
from ._registry import register


@njit()
def svd_into(u: Any, s: Any, v: Any, a: Any, info: Any) -> None:
    """Compute a = Σₖ sₖ uₖ vₖᵀ, uₖ the rows of u and vₖ the columns of v.

    Parameters
    ----------
    u : (p, m) float or complex, C-contiguous
        Left singular vectors: p = m, or the smaller of m and n.
    s : (min(m, n),) float
        In descending order.
    v : (n, q) like `u`, C-contiguous
        Conjugates of right singular vectors: q = n, or the smaller of m and n.
    a : (m, n) like `u`
        Not empty.
    info : (1,) int64
        What went wrong, or 0.

    Notes
    -----
    Singular vectors of equal singular values have no derivative, nor have those of the value 0 in
    a matrix that is not square: where that of a result would depend on it, it comes out infinite or
    as NaN. So does that of a result which depends on the phases of complex vectors, which are
    LAPACK's choice, or on which vectors complete a basis. Forwards, tangents are for phases and
    complements that stay.
    """
    buffer = np.empty((a.shape[1], a.shape[0]), a.dtype)
    info[0] = 0
    whole = u.shape[0] > s.size or v.shape[1] > s.size
    if not copy_transposed(buffer, a):
        info[0] = NOT_FINITE
    elif gesdd(buffer, u, s, v, whole) != 0:
        info[0] = NOT_CONVERGED


@njit()
def _augmented(
    u: Any, du: Any, s: Any, ds: Any, v: Any, dv: Any, a: Any, da: Any, info: Any
) -> Any:
    svd_into(u, s, v, a, info)
    kept = np.empty(u.size + v.size + s.size, a.dtype)
    kept[: u.size] = u.ravel()
    kept[u.size : u.size + v.size] = v.ravel()
    for i in range(s.size):
        kept[u.size + v.size + i] = s[i]
    return kept


@njit()
def _value(s: Any, i: int) -> Any:
    """A singular value; vectors beyond the last one have 0."""
    return s[i].real if i < s.size else s[0].real * 0


@njit()
def _reverse(
    u: Any, du: Any, s: Any, ds: Any, v: Any, dv: Any, a: Any, da: Any, info: Any, kept: Any
) -> None:
    if da is not a:
        m, n, p, q, k = a.shape[0], a.shape[1], u.shape[0], v.shape[1], s.size
        left = kept[: u.size].reshape(u.shape)
        right = kept[u.size : u.size + v.size].reshape(v.shape)
        values = kept[u.size + v.size :]
        # Uᴴ dU and Vᴴ dV, for U = uᵀ and V = conj(v), and the cotangent of Uᴴ dA V
        along_u, along_v = np.zeros((p, p), a.dtype), np.zeros((q, q), a.dtype)
        if du is not u:
            matmul_into(along_u, left, du, 2, 1, 1, 0)
        if dv is not v:
            matmul_into(along_v, right, dv, 1, 2, 1, 0)
        middle = np.zeros((p, q), a.dtype)
        limit = max(negligible(along_u), negligible(along_v))
        arbitrary = 0.0
        for i in range(p):
            for j in range(q):
                one, other = _value(values, i), _value(values, j)
                turned = along_u[i, j] - np.conj(along_u[j, i]) if j < p else middle[i, j]
                moved = along_v[i, j] - np.conj(along_v[j, i]) if i < q else middle[i, j]
                if i != j:
                    gap = (other - one) * (other + one)
                    middle[i, j] = divided(other * turned + one * moved, gap)
                else:
                    arbitrary = max(arbitrary, abs(turned + moved))
                    middle[i, i] = divided(turned - moved, 4 * one)
        for i in range(k, p):
            for j in range(k, p):
                arbitrary = max(arbitrary, abs(along_u[i, j] - np.conj(along_u[j, i])))
        for i in range(k, q):
            for j in range(k, q):
                arbitrary = max(arbitrary, abs(along_v[i, j] - np.conj(along_v[j, i])))
        if arbitrary > limit:
            middle[0, 0] = np.nan
        if ds is not s:
            for i in range(k):
                middle[i, i] += ds[i]
        product = np.empty((p, n), a.dtype)
        matmul_into(product, middle, right, 0, 1, 1, 0)
        add_product(da, left, product, 1, 0, 1)
        if du is not u and p < m:
            outside = du.copy()
            matmul_into(outside, along_u, left, 1, 0, -1, 1)
            for i in range(k):
                for j in range(m):
                    outside[i, j] = divided(outside[i, j], values[i].real)
            add_product(da, outside, right, 1, 1, 1)
        if dv is not v and q < n:
            outside = dv.copy()
            matmul_into(outside, right, along_v, 0, 2, -1, 1)
            for i in range(n):
                for j in range(k):
                    outside[i, j] = divided(outside[i, j], values[j].real)
            add_product(da, left, outside, 1, 1, 1)
    if du is not u:
        du[:] = 0
    if ds is not s:
        ds[:] = 0
    if dv is not v:
        dv[:] = 0


@njit()
def _rotation(middle: Any, s: Any) -> Any:
    """How the vectors of the rows of ``middle = Uᴴ dA V`` turn, U and V of singular values `s`."""
    rows, columns = middle.shape
    omega = np.zeros((rows, rows), middle.dtype)
    for i in range(rows):
        for j in range(rows):
            one, other = _value(s, i), _value(s, j)
            there = middle[i, j] * other if j < columns else omega[i, j]
            back = np.conj(middle[j, i]) * one if i < columns else omega[i, j]
            if i != j:
                omega[i, j] = divided(there + back, (other - one) * (other + one))
            elif i < s.size:
                omega[i, i] = divided(there - back, 4 * one * one)
    return omega


@njit()
def _forward(u: Any, du: Any, s: Any, ds: Any, v: Any, dv: Any, a: Any, da: Any, info: Any) -> None:
    svd_into(u, s, v, a, info)
    m, n, p, q, k = a.shape[0], a.shape[1], u.shape[0], v.shape[1], s.size
    change = np.zeros(a.shape, a.dtype)
    if da is not a:
        change[:] = da
    # Uᴴ dA V, for U = uᵀ and V = conj(v)
    product, middle = np.empty((p, n), a.dtype), np.empty((p, q), a.dtype)
    matmul_into(product, u, change, 2, 0, 1, 0)
    matmul_into(middle, product, v, 0, 2, 1, 0)
    if ds is not s:
        for i in range(k):
            ds[i] = middle[i, i].real
    if du is not u:
        omega = _rotation(middle, s)
        matmul_into(du, omega, u, 1, 0, 1, 0)
        if p < m:
            outside = np.empty((k, m), a.dtype)
            matmul_into(outside, v, change, 3, 1, 1, 0)
            matmul_into(outside, middle, u, 1, 0, -1, 1)
            for i in range(k):
                for j in range(m):
                    du[i, j] += divided(outside[i, j], s[i])
    if dv is not v:
        omega = _rotation(np.conj(middle.T), s)
        matmul_into(dv, v, omega, 0, 2, 1, 0)
        if q < n:
            outside = np.empty((n, k), a.dtype)
            matmul_into(outside, change, u, 1, 3, 1, 0)
            matmul_into(outside, v, middle, 0, 1, -1, 1)
            for i in range(n):
                for j in range(k):
                    dv[i, j] += divided(outside[i, j], s[j])


register(
    KernelRule(
        svd_into,
        augmented_primal=_augmented,
        reverse=_reverse,
        forward=_forward,
        writes=(0, 1, 2, 4),
    )
)
