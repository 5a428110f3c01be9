"""Triangular systems, in blocks: BLAS has them, but Numba's choice of BLAS has not.

Right-hand sides and solutions are the rows of an array. Of the triangular matrix only its own
triangle is read.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from ._linalg_arrays import together
from ._linalg_lapack import gemm
from ._linalg_products import KernelRule, matmul_into
from ._registry import register

_BLOCK = 48


# Sums in any order, as in BLAS.
@njit(fastmath={"reassoc", "contract"}, error_model="numpy")
def _solve_row(x: Any, t: Any, start: int, upper: int, transposed: int, unit: int) -> None:
    """Solve with the block of t that begins at `start`, along the rows of t in either case."""
    n = x.size
    for step in range(n):
        i = step if upper == transposed else n - 1 - step
        row = t[start + i, start : start + n]
        if not transposed:
            total = x[i]
            for j in range(i + 1 if upper else 0, n if upper else i):
                total -= row[j] * x[j]
            x[i] = total
        if not unit:
            x[i] /= row[i]
        if transposed:
            for j in range(i + 1 if upper else 0, n if upper else i):
                x[j] -= row[j] * x[i]


@njit()
def solve_triangle(x: Any, t: Any, upper: int, transposed: int, unit: int) -> None:
    """Solve T y = x, or Tᵀ y = x, in place, for the rows of x.

    T is the upper or the lower triangle of t, with ones on its diagonal if `unit`.
    """
    rows, n = x.shape
    if rows <= 4 or n <= 8:
        for r in range(rows):
            _solve_row(x[r], t, 0, upper, transposed, unit)
        return
    # Of many rows a product of matrices is made: blocks on the diagonal are inverted.
    size = min(_BLOCK, n)
    inverse, old = np.empty((size, size), x.dtype), np.empty((rows, size), x.dtype)
    for k in range((n + size - 1) // size):
        start = k * size if upper == transposed else max(n - (k + 1) * size, 0)
        end = min(start + size, n) if upper == transposed else n - k * size
        first, last = (0, start) if upper == transposed else (end, n)
        if first < last:
            part = t[first:last, start:end] if transposed else t[start:end, first:last]
            gemm(x[:, start:end], x[:, first:last], part, 0, 1 - transposed, -1, 1)
        inverse[:] = 0
        for i in range(end - start):
            inverse[i, i] = 1
            _solve_row(inverse[i, : end - start], t, start, upper, transposed, unit)
        old[:, : end - start] = x[:, start:end]
        gemm(
            x[:, start:end],
            old[:, : end - start],
            inverse[: end - start, : end - start],
            0,
            0,
            1,
            0,
        )


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
    return together(t, x)


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
