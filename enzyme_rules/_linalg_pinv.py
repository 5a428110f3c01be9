"""The pseudo-inverse."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from ._linalg_arrays import (
    NOT_CONVERGED,
    NOT_FINITE,
    add_product,
    copy_transposed,
)
from ._linalg_lapack import gesdd
from ._linalg_products import KernelRule, matmul_into
from ._registry import register


@njit()
def pinv_into(y: Any, a: Any, cut: Any, info: Any) -> None:
    """Compute yᵀ = a⁺.

    Parameters
    ----------
    y : (m, n) float or complex, C-contiguous
    a : (m, n) of the same dtype, m >= n
        Not empty.
    cut : (1,) float64
        Singular values up to this multiple of the largest count as zero.
    info : (2,) int64
        What went wrong, or 0; and the rank.

    Notes
    -----
    The derivative is for a rank that stays.
    """
    m, n = a.shape
    buffer, left = np.empty((n, m), a.dtype), np.empty((n, m), a.dtype)
    right, s = np.empty((n, n), a.dtype), np.empty(n, a.real.dtype)
    info[0] = info[1] = 0
    if not copy_transposed(buffer, a):
        info[0] = NOT_FINITE
        return
    if gesdd(buffer, left, s, right, 0) != 0:
        info[0] = NOT_CONVERGED
        return
    for i in range(n):
        if s[i] > s[0] * cut[0]:
            info[1] += 1
            left[i] /= s[i]
        else:
            left[i] = 0
    matmul_into(y, left, right, 3, 3, 1, 0)


@njit()
def _augmented(y: Any, dy: Any, a: Any, da: Any, cut: Any, dcut: Any, info: Any) -> Any:
    pinv_into(y, a, cut, info)
    kept = np.empty(2 * y.size, y.dtype)
    kept[: y.size] = y.ravel()
    copy = kept[y.size :].reshape(y.shape)
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            copy[i, j] = a[i, j]
    return kept


@njit()
def _reverse(y: Any, dy: Any, a: Any, da: Any, cut: Any, dcut: Any, info: Any, kept: Any) -> None:
    if dy is y:
        return
    if da is not a:
        # With P = yᵀ and C = dPᴴ:
        # dA = (I - A P) C P Pᴴ + Pᴴ P C (I - P A) - (P C P)ᴴ, with no product larger than n × n
        m, n = a.shape
        inverse, matrix = kept[: y.size].reshape(y.shape), kept[y.size :].reshape(y.shape)
        square, other = np.empty((n, n), y.dtype), np.empty((n, n), y.dtype)
        c, change = np.conj(dy), np.empty((m, n), y.dtype)
        matmul_into(square, inverse, inverse, 1, 2, 1, 0)
        matmul_into(change, c, square, 0, 0, 1, 0)
        matmul_into(square, inverse, change, 1, 0, 1, 0)
        matmul_into(change, matrix, square, 0, 0, -1, 1)
        matmul_into(square, inverse, c, 1, 0, 1, 0)
        matmul_into(other, inverse, matrix, 1, 0, 1, 0)
        moved = np.empty((n, n), y.dtype)
        matmul_into(moved, square, other, 0, 0, -1, 0)
        matmul_into(change, inverse, moved, 2, 0, 1, 1)
        matmul_into(change, inverse, square, 2, 0, 1, 1)
        for i in range(m):
            for j in range(n):
                da[i, j] += change[i, j]
        add_product(da, inverse, square, 2, 3, -1)
    dy[:] = 0


@njit()
def _forward(y: Any, dy: Any, a: Any, da: Any, cut: Any, dcut: Any, info: Any) -> None:
    pinv_into(y, a, cut, info)
    if dy is y:
        return
    dy[:] = 0
    if da is a:
        return
    # With P = yᵀ and K = P dA: dP = P Pᴴ dAᴴ (I - A P) + (Kᴴ - P A Kᴴ - K) P
    m, n = a.shape
    matrix, change = np.empty((m, n), y.dtype), np.empty((m, n), y.dtype)
    matrix[:], change[:] = a, da
    square, other = np.empty((n, n), y.dtype), np.empty((n, n), y.dtype)
    k = np.empty((n, n), y.dtype)
    matmul_into(square, y, y, 1, 2, 1, 0)
    matmul_into(dy, change, square, 2, 1, 1, 0)
    matmul_into(square, matrix, dy, 1, 0, 1, 0)
    matmul_into(dy, y, square, 0, 0, -1, 1)
    matmul_into(k, y, change, 1, 0, 1, 0)
    matmul_into(other, y, matrix, 1, 0, 1, 0)
    matmul_into(square, other, k, 0, 3, -1, 0)
    for i in range(n):
        for j in range(n):
            square[i, j] += np.conj(k[j, i]) - k[i, j]
    matmul_into(dy, y, square, 0, 1, 1, 1)


register(
    KernelRule(
        pinv_into,
        augmented_primal=_augmented,
        reverse=_reverse,
        forward=_forward,
        writes=(0, 3),
    )
)
