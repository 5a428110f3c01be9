"""Eigenvalues and eigenvectors of Hermitian matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from ._linalg_arrays import (
    NOT_CONVERGED,
    NOT_FINITE,
    add_hermitian,
    copy_transposed,
    divided,
    hermitian_into,
    negligible,
)
from ._linalg_lapack import evd
from ._linalg_products import KernelRule, matmul_into
from ._registry import register


@njit()
def eigh_into(w: Any, v: Any, a: Any, info: Any) -> None:
    """Compute a = vᵀ diag(w) conj(v).

    Parameters
    ----------
    w : (n,) float
        Eigenvalues in ascending order.
    v : (n, n) float or complex, C-contiguous
        Its rows are the eigenvectors.
    a : (n, n) of the same dtype
        Only its lower triangle is read, so only that has a derivative.
    info : (1,) int64
        What went wrong, or 0.

    Notes
    -----
    Eigenvectors of equal eigenvalues have no derivative: where that of a result would depend on it,
    it comes out infinite or as NaN. So does that of a result which depends on the phases of complex
    eigenvectors, which are LAPACK's choice. Forwards, tangents are for phases that stay.
    """
    info[0] = 0
    if not copy_transposed(v, a):
        info[0] = NOT_FINITE
    elif a.shape[0] > 0 and evd(v, w) != 0:
        info[0] = NOT_CONVERGED


@njit()
def _augmented(w: Any, dw: Any, v: Any, dv: Any, a: Any, da: Any, info: Any) -> Any:
    eigh_into(w, v, a, info)
    kept = np.empty(v.size + w.size, v.dtype)
    kept[: v.size] = v.ravel()
    for i in range(w.size):
        kept[v.size + i] = w[i]
    return kept


@njit()
def _reverse(w: Any, dw: Any, v: Any, dv: Any, a: Any, da: Any, info: Any, kept: Any) -> None:
    if da is not a:
        n = w.size
        old, values = kept[: v.size].reshape(v.shape), kept[v.size :]
        k, product = np.zeros((n, n), v.dtype), np.empty((n, n), v.dtype)
        if dv is not v:
            matmul_into(k, old, dv, 2, 1, 1, 0)
            limit = negligible(k)
            for i in range(n):
                k[i, i] = np.nan if abs(k[i, i].imag) > limit else 0.0
                for j in range(n):
                    if i != j:
                        k[i, j] = divided(k[i, j], (values[j] - values[i]).real)
        if dw is not w:
            for i in range(n):
                k[i, i] += dw[i]
        matmul_into(product, k, old, 0, 2, 1, 0)
        matmul_into(k, old, product, 1, 0, 1, 0)
        add_hermitian(da, k)
    if dw is not w:
        dw[:] = 0
    if dv is not v:
        dv[:] = 0


@njit()
def _forward(w: Any, dw: Any, v: Any, dv: Any, a: Any, da: Any, info: Any) -> None:
    eigh_into(w, v, a, info)
    n = w.size
    k, product = np.zeros((n, n), v.dtype), np.empty((n, n), v.dtype)
    if da is not a:
        hermitian_into(k, da)
        matmul_into(product, v, k, 2, 0, 1, 0)
        matmul_into(k, product, v, 0, 1, 1, 0)
    if dw is not w:
        for i in range(n):
            dw[i] = k[i, i].real
    if dv is not v:
        for i in range(n):
            k[i, i] = 0
            for j in range(n):
                if i != j:
                    k[i, j] = divided(k[i, j], w[j] - w[i])
        matmul_into(dv, k, v, 1, 0, 1, 0)


register(
    KernelRule(
        eigh_into,
        augmented_primal=_augmented,
        reverse=_reverse,
        forward=_forward,
        writes=(0, 1, 3),
    )
)
