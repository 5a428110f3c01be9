"""What the rules of linear algebra share: matrices in and out of row-major buffers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numba.extending import overload

from ._linalg_products import matmul_into

NOT_FINITE, SINGULAR, NOT_POSITIVE, NOT_CONVERGED = 1, 2, 3, 4
"""What a kernel says in its argument `info`, or 0."""

_TILE = 16


@njit()
def copy_transposed(out: Any, a: Any) -> bool:
    """Copy aᵀ, by tiles that stay in cache, and say whether all is finite."""
    m, n = a.shape
    finite = True
    for i0 in range(0, m, _TILE):
        for j0 in range(0, n, _TILE):
            for i in range(i0, min(i0 + _TILE, m)):
                for j in range(j0, min(j0 + _TILE, n)):
                    out[j, i] = a[i, j]
                    finite = finite and np.isfinite(a[i, j])
    return finite


@njit()
def add_transposed(out: Any, a: Any) -> None:
    """Add aᵀ, by tiles."""
    m, n = a.shape
    for i0 in range(0, m, _TILE):
        for j0 in range(0, n, _TILE):
            for i in range(i0, min(i0 + _TILE, m)):
                for j in range(j0, min(j0 + _TILE, n)):
                    out[j, i] += a[i, j]


def add_product(c: Any, a: Any, b: Any, op_a: int, op_b: int, sign: int) -> None:
    """Add what `matmul_into` computes to a matrix of any layout."""
    raise NotImplementedError


@overload(add_product)
def _add_product(c: Any, a: Any, b: Any, op_a: Any, op_b: Any, sign: Any) -> Any:
    if c.layout == "C":

        def add_product(c: Any, a: Any, b: Any, op_a: Any, op_b: Any, sign: Any) -> Any:
            matmul_into(c, a, b, op_a, op_b, sign, 1)

    elif c.layout == "F":

        def add_product(c: Any, a: Any, b: Any, op_a: Any, op_b: Any, sign: Any) -> Any:
            matmul_into(c.T, b, a, op_b ^ 1, op_a ^ 1, sign, 1)

    else:

        def add_product(c: Any, a: Any, b: Any, op_a: Any, op_b: Any, sign: Any) -> Any:
            product = np.empty(c.shape, c.dtype)
            matmul_into(product, a, b, op_a, op_b, sign, 0)
            for i in range(c.shape[0]):
                for j in range(c.shape[1]):
                    c[i, j] += product[i, j]

    return add_product


@njit()
def hermitian_into(h: Any, a: Any) -> None:
    """The Hermitian matrix that has the lower triangle of a."""
    for i in range(a.shape[0]):
        h[i, i] = a[i, i].real
        for j in range(i):
            h[i, j] = a[i, j]
            h[j, i] = np.conj(a[i, j])


@njit()
def add_hermitian(a: Any, h: Any) -> None:
    """The adjoint of `hermitian_into`."""
    for i in range(a.shape[0]):
        a[i, i] += h[i, i].real
        for j in range(i):
            a[i, j] += h[i, j] + np.conj(h[j, i])


@njit()
def together(a: Any, b: Any) -> Any:
    """All items of two arrays, for a rule to keep."""
    kept = np.empty(a.size + b.size, a.dtype)
    kept[: a.size] = a.ravel()
    kept[a.size :] = b.ravel()
    return kept


@njit(error_model="numpy")
def divided(numerator: Any, gap: Any) -> Any:
    """The quotient; 0 where nothing is asked for, whatever the gap between eigenvalues."""
    return numerator * 0.0 if numerator == 0 else numerator / gap


@njit()
def negligible(a: Any) -> Any:
    """What is lost in the rounding errors of a product with orthonormal rows."""
    largest = abs(a[0, 0]) if a.size > 0 else abs(a.dtype.type(0))
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            largest = max(largest, abs(a[i, j]))
    return 1e-2 * largest
