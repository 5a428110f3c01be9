"""The Cholesky factor."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from ._linalg_arrays import NOT_POSITIVE, add_hermitian, copy_transposed, hermitian_into
from ._linalg_lapack import potrf
from ._linalg_products import KernelRule, matmul_into
from ._linalg_triangular import clear_upper, triangular_solve_into
from ._registry import register


@njit()
def cholesky_into(t: Any, a: Any, info: Any) -> None:
    """Compute a = T Tᴴ.

    Parameters
    ----------
    t : (n, n) float or complex, C-contiguous
        Lower triangular.
    a : (n, n) of the same dtype
        Only its lower triangle is read, so only that has a derivative.
    info : (1,) int64
        What went wrong, or 0.
    """
    info[0] = 0
    for i in range(a.shape[0]):
        t[i, : i + 1] = a[i, : i + 1]
    if a.shape[0] > 0 and potrf(t) != 0:
        info[0] = NOT_POSITIVE
    clear_upper(t)


@njit()
def _half(a: Any) -> None:
    """Of a Hermitian matrix, the lower triangle with half of the diagonal."""
    for i in range(a.shape[0]):
        a[i, i] = 0.5 * a[i, i].real
        a[i, i + 1 :] = 0


@njit()
def _augmented(t: Any, dt: Any, a: Any, da: Any, info: Any) -> Any:
    cholesky_into(t, a, info)
    return t.ravel().copy()


@njit()
def _reverse(t: Any, dt: Any, a: Any, da: Any, info: Any, kept: Any) -> None:
    if dt is t:
        return
    if da is not a:
        # T⁻ᴴ φ(Tᴴ dT) T⁻¹, with φ that of `_half`
        old, change = kept.reshape(t.shape), dt.copy()
        one, other = np.empty(t.shape, t.dtype), np.empty(t.shape, t.dtype)
        clear_upper(change)
        matmul_into(one, old, change, 3, 0, 1, 0)
        _half(one)
        copy_transposed(other, one)
        triangular_solve_into(one, old, other, 3)
        copy_transposed(other, one)
        triangular_solve_into(one, old, other, 1)
        add_hermitian(da, one)
    dt[:] = 0


@njit()
def _forward(t: Any, dt: Any, a: Any, da: Any, info: Any) -> None:
    cholesky_into(t, a, info)
    if dt is t:
        return
    if da is a:
        dt[:] = 0
        return
    # T φ(T⁻¹ dA T⁻ᴴ)
    one, other = np.empty(t.shape, t.dtype), np.empty(t.shape, t.dtype)
    hermitian_into(one, da)
    triangular_solve_into(other, t, np.conj(one), 0)
    copy_transposed(one, other)
    triangular_solve_into(other, t, np.conj(one), 0)
    copy_transposed(one, other)
    _half(one)
    matmul_into(dt, t, one, 0, 0, 1, 0)


register(
    KernelRule(
        cholesky_into,
        augmented_primal=_augmented,
        reverse=_reverse,
        forward=_forward,
        writes=(0, 2),
    )
)
