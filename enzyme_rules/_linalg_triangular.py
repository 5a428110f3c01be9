"""Triangular systems, in blocks: BLAS has them, but Numba's choice of BLAS has not.

Right-hand sides and solutions are the rows of an array. Of the triangular matrix only its own
triangle is read.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from ._linalg_lapack import gemm
from ._linalg_products import KernelRule, matmul_into
from ._registry import register

_BLOCK = 48


# Sums in any order, as in BLAS.
@njit(fastmath={"reassoc", "contract"})
def solve_triangle(x: Any, t: Any, upper: int, transposed: int, unit: int) -> None:
    """Solve T y = x, or Tᵀ y = x, in place, for the rows of x.

    T is the upper or the lower triangle of t, with ones on its diagonal if `unit`.
    """
    rows, n = x.shape
    block = np.empty((_BLOCK, _BLOCK), x.dtype)
    upwards = upper == transposed
    for k in range((n + _BLOCK - 1) // _BLOCK):
        start = k * _BLOCK if upwards else max(n - (k + 1) * _BLOCK, 0)
        end = min(start + _BLOCK, n) if upwards else n - k * _BLOCK
        first, last = (0, start) if upwards else (end, n)
        if first < last:
            part = t[first:last, start:end] if transposed else t[start:end, first:last]
            gemm(x[:, start:end], x[:, first:last], part, 0, 1 - transposed, -1, 1)
        size = end - start
        for i in range(size):
            for j in range(size):
                block[i, j] = t[start + j, start + i] if transposed else t[start + i, start + j]
        for r in range(rows):
            for step in range(size):
                i = step if upwards else size - 1 - step
                total = x[r, start + i]
                for j in range(0 if upwards else i + 1, i if upwards else size):
                    total -= block[i, j] * x[r, start + j]
                x[r, start + i] = total if unit else total / block[i, i]


@njit()
def triangular_solve_into(x: Any, t: Any, b: Any, op: int) -> None:
    """Solve op(T) x = b for each row of b.

    Parameters
    ----------
    x, b : (k, n) float or complex, C-contiguous
    t : (n, n) of the same dtype, C-contiguous
        Only its lower triangle is read.
    op : int
        As in `matmul_into`.
    """
    x[:] = np.conj(b) if op & 2 else b
    solve_triangle(x, t, 0, op & 1, 0)
    if op & 2:
        x[:] = np.conj(x)


@njit()
def clear_upper(t: Any) -> None:
    """Zero what is above the diagonal."""
    for i in range(t.shape[0]):
        t[i, i + 1 :] = 0


@njit()
def _augmented(x: Any, dx: Any, t: Any, dt: Any, b: Any, db: Any, op: int) -> Any:
    triangular_solve_into(x, t, b, op)
    kept = np.empty(t.size + x.size, t.dtype)
    kept[: t.size] = t.ravel()
    kept[t.size :] = x.ravel()
    return kept


@njit()
def _reverse(x: Any, dx: Any, t: Any, dt: Any, b: Any, db: Any, op: int, kept: Any) -> None:
    if dx is x:
        return
    old, y = kept[: t.size].reshape(t.shape), kept[t.size :].reshape(x.shape)
    w = np.empty(x.shape, x.dtype)
    triangular_solve_into(w, old, dx, op ^ 3)
    if db is not b:
        db += w
    if dt is not t:
        change = np.empty(t.shape, t.dtype)
        if op & 1:
            matmul_into(change, y, w, op & 2 ^ 3, op & 2, -1, 0)
        else:
            matmul_into(change, w, y, op & 2 ^ 1, op & 2 ^ 2, -1, 0)
        clear_upper(change)
        dt += change
    dx[:] = 0


@njit()
def _forward(x: Any, dx: Any, t: Any, dt: Any, b: Any, db: Any, op: int) -> None:
    triangular_solve_into(x, t, b, op)
    if dx is x:
        return
    right = np.zeros(x.shape, x.dtype)
    if db is not b:
        right[:] = db
    if dt is not t:
        change = dt.copy()
        clear_upper(change)
        matmul_into(right, x, change, 0, op ^ 1, -1, 1)
    triangular_solve_into(dx, t, right, op)


register(
    KernelRule(
        triangular_solve_into, augmented_primal=_augmented, reverse=_reverse, forward=_forward
    )
)
