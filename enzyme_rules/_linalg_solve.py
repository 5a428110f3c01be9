"""Linear systems.

`factor_into` writes LU factors into an array that stands for the matrix itself: its shadow is that
of the matrix, transposed as LAPACK wants it, and not the derivative of the factors, which no one
needs. So a system is factored once for the solution and all of its derivatives.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from ._linalg_arrays import (
    NOT_FINITE,
    SINGULAR,
    add_product,
    add_transposed,
    copy_transposed,
    together,
)
from ._linalg_lapack import PIVOT, getrf
from ._linalg_products import KernelRule, matmul_into
from ._linalg_triangular import solve_triangle
from ._registry import register


@njit()
def factor_into(f: Any, a: Any, info: Any) -> None:
    """Compute the LU factors of a matrix.

    Parameters
    ----------
    f : (n + 1, n) float or complex, C-contiguous
        LAPACK's factors, and in the last row its pivots.
    a : (n, n) of the same dtype
    info : (1,) int64
        What went wrong, or 0.
    """
    n = a.shape[0]
    # Where nothing is exchanged, or was factored: the reverse pass of what has failed is run too.
    pivots = np.arange(1, n + 1).astype(PIVOT)
    info[0] = 0
    if not copy_transposed(f[:n], a):
        info[0] = NOT_FINITE
    elif n > 0 and getrf(f[:n], pivots) != 0:
        info[0] = SINGULAR
    for i in range(n):
        f[n, i] = pivots[i]


@njit()
def _factor_augmented(f: Any, df: Any, a: Any, da: Any, info: Any) -> None:
    factor_into(f, a, info)


@njit()
def _factor_reverse(f: Any, df: Any, a: Any, da: Any, info: Any) -> None:
    if df is f:
        return
    if da is not a:
        add_transposed(da, df[:-1])
    df[:] = 0


@njit()
def _factor_forward(f: Any, df: Any, a: Any, da: Any, info: Any) -> None:
    factor_into(f, a, info)
    if df is f:
        return
    df[:] = 0
    if da is not a:
        copy_transposed(df[:-1], da)


register(
    KernelRule(
        factor_into,
        augmented_primal=_factor_augmented,
        reverse=_factor_reverse,
        forward=_factor_forward,
        writes=(0, 2),
    )
)


@njit()
def _exchange(x: Any, f: Any, back: int) -> None:
    """Exchange items of the rows of x as LAPACK's pivots say, or back again."""
    n = x.shape[1]
    for k in range(n):
        i = n - 1 - k if back else k
        j = int(f[n, i].real) - 1
        if i != j:
            for r in range(x.shape[0]):
                x[r, i], x[r, j] = x[r, j], x[r, i]


@njit()
def solve_factored_into(x: Any, f: Any, b: Any, op: int) -> None:
    """Solve op(A) x = b for each row of b.

    Parameters
    ----------
    x, b : (k, n) float or complex, C-contiguous
    f : (n + 1, n) of the same dtype, C-contiguous
        What `factor_into` made of A.
    op : int
        As in `matmul_into`.
    """
    x[:] = np.conj(b) if op & 2 else b
    # Aᵀ is, in row-major order: a lower triangle, a unit upper triangle, exchanges.
    back = op & 1
    if not back:
        _exchange(x, f, back)
    solve_triangle(x, f, 1 - back, 1 - back, 1 - back)
    solve_triangle(x, f, back, 1 - back, back)
    if back:
        _exchange(x, f, back)
    if op & 2:
        x[:] = np.conj(x)


@njit()
def _factored_augmented(x: Any, dx: Any, f: Any, df: Any, b: Any, db: Any, op: int) -> Any:
    solve_factored_into(x, f, b, op)
    return together(f, x)


@njit()
def _factored_reverse(
    x: Any, dx: Any, f: Any, df: Any, b: Any, db: Any, op: int, kept: Any
) -> None:
    if dx is x:
        return
    w = np.empty(x.shape, x.dtype)
    solve_factored_into(w, kept[: f.size].reshape(f.shape), dx, op ^ 3)
    if db is not b:
        db += w
    if df is not f:
        y = kept[f.size :].reshape(x.shape)
        if op & 1:
            matmul_into(df[:-1], w, y, op & 2 ^ 1, op & 2 ^ 2, -1, 1)
        else:
            matmul_into(df[:-1], y, w, op & 2 ^ 3, op & 2, -1, 1)
    dx[:] = 0


@njit()
def _factored_forward(x: Any, dx: Any, f: Any, df: Any, b: Any, db: Any, op: int) -> None:
    solve_factored_into(x, f, b, op)
    if dx is x:
        return
    right = np.zeros(x.shape, x.dtype)
    if db is not b:
        right[:] = db
    if df is not f:
        matmul_into(right, x, df[:-1], 0, op, -1, 1)
    solve_factored_into(dx, f, right, op)


register(
    KernelRule(
        solve_factored_into,
        augmented_primal=_factored_augmented,
        reverse=_factored_reverse,
        forward=_factored_forward,
    )
)


@njit()
def solve_into(x: Any, a: Any, b: Any, info: Any) -> None:
    """Solve a x = b for each row of b.

    Parameters
    ----------
    x, b : (k, n) float or complex, C-contiguous
    a : (n, n) of the same dtype
    info : (1,) int64
        What went wrong, or 0.
    """
    f = np.empty((a.shape[0] + 1, a.shape[0]), a.dtype)
    factor_into(f, a, info)
    if info[0] == 0:
        solve_factored_into(x, f, b, 0)
    else:
        x[:] = 0


@njit()
def _solve_augmented(x: Any, dx: Any, a: Any, da: Any, b: Any, db: Any, info: Any) -> Any:
    n = a.shape[0]
    kept = np.empty((n + 1) * n + x.size, a.dtype)
    f = kept[: (n + 1) * n].reshape((n + 1, n))
    factor_into(f, a, info)
    if info[0] == 0:
        solve_factored_into(x, f, b, 0)
    else:
        x[:] = 0
    kept[(n + 1) * n :] = x.ravel()
    return kept


@njit()
def _solve_reverse(x: Any, dx: Any, a: Any, da: Any, b: Any, db: Any, info: Any, kept: Any) -> None:
    if dx is x:
        return
    n = a.shape[0]
    w = np.empty(x.shape, x.dtype)
    solve_factored_into(w, kept[: (n + 1) * n].reshape((n + 1, n)), dx, 3)
    if db is not b:
        db += w
    if da is not a:
        add_product(da, w, kept[(n + 1) * n :].reshape(x.shape), 1, 2, -1)
    dx[:] = 0


@njit()
def _solve_forward(x: Any, dx: Any, a: Any, da: Any, b: Any, db: Any, info: Any) -> None:
    n = a.shape[0]
    f, df = np.empty((n + 1, n), a.dtype), np.zeros((n + 1, n), a.dtype)
    factor_into(f, a, info)
    if info[0] != 0:
        x[:] = 0
        return
    solve_factored_into(x, f, b, 0)
    if dx is x:
        return
    right = np.zeros(x.shape, x.dtype)
    if db is not b:
        right[:] = db
    if da is not a:
        copy_transposed(df[:-1], da)
        matmul_into(right, x, df[:-1], 0, 0, -1, 1)
    solve_factored_into(dx, f, right, 0)


register(
    KernelRule(
        solve_into,
        augmented_primal=_solve_augmented,
        reverse=_solve_reverse,
        forward=_solve_forward,
        writes=(0, 3),
    )
)
