"""Inverses and determinants."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import overload

from ._linalg_arrays import NOT_FINITE, SINGULAR, add_product, copy_transposed
from ._linalg_lapack import PIVOT, getrf, getri
from ._linalg_products import KernelRule, matmul_into
from ._registry import register


@njit()
def inverse_into(y: Any, a: Any, info: Any) -> None:
    """Compute yᵀ = a⁻¹.

    Parameters
    ----------
    y : (n, n) float or complex, C-contiguous
    a : (n, n) of the same dtype
    info : (1,) int64
        What went wrong, or 0.
    """
    n = a.shape[0]
    pivots = np.empty(n, PIVOT)
    info[0] = 0
    if not copy_transposed(y, a):
        info[0] = NOT_FINITE
    elif n > 0 and (getrf(y, pivots) != 0 or getri(y, pivots) != 0):
        info[0] = SINGULAR


@njit()
def _inverse_augmented(y: Any, dy: Any, a: Any, da: Any, info: Any) -> Any:
    inverse_into(y, a, info)
    return y.ravel().copy()


@njit()
def _inverse_reverse(y: Any, dy: Any, a: Any, da: Any, info: Any, kept: Any) -> None:
    if dy is y:
        return
    if da is not a:
        old, product = kept.reshape(y.shape), np.empty(y.shape, y.dtype)
        matmul_into(product, dy, old, 0, 3, 1, 0)
        add_product(da, product, old, 1, 2, -1)
    dy[:] = 0


@njit()
def _inverse_forward(y: Any, dy: Any, a: Any, da: Any, info: Any) -> None:
    inverse_into(y, a, info)
    if dy is y:
        return
    if da is a:
        dy[:] = 0
        return
    change, product = np.empty(y.shape, y.dtype), np.empty(y.shape, y.dtype)
    copy_transposed(change, da)
    matmul_into(product, change, y, 0, 0, 1, 0)
    matmul_into(dy, y, product, 0, 0, -1, 0)


register(
    KernelRule(
        inverse_into,
        augmented_primal=_inverse_augmented,
        reverse=_inverse_reverse,
        forward=_inverse_forward,
        writes=(0, 2),
    )
)


@njit()
def inverse_factored_into(y: Any, f: Any) -> None:
    """Compute yᵀ = A⁻¹ from what `factor_into` made of A."""
    n = y.shape[0]
    pivots = np.empty(n, PIVOT)
    y[:] = f[:n]
    for i in range(n):
        pivots[i] = int(f[n, i].real)
    if n > 0 and getri(y, pivots) != 0:
        y[:] = np.nan


@njit()
def _factored_augmented(y: Any, dy: Any, f: Any, df: Any) -> Any:
    inverse_factored_into(y, f)
    return y.ravel().copy()


@njit()
def _factored_reverse(y: Any, dy: Any, f: Any, df: Any, kept: Any) -> None:
    if dy is y:
        return
    if df is not f:
        old, product = kept.reshape(y.shape), np.empty(y.shape, y.dtype)
        matmul_into(product, dy, old, 0, 3, 1, 0)
        matmul_into(df[:-1], old, product, 3, 0, -1, 1)
    dy[:] = 0


@njit()
def _factored_forward(y: Any, dy: Any, f: Any, df: Any) -> None:
    inverse_factored_into(y, f)
    if dy is y:
        return
    if df is f:
        dy[:] = 0
        return
    product = np.empty(y.shape, y.dtype)
    matmul_into(product, df[:-1], y, 0, 0, 1, 0)
    matmul_into(dy, y, product, 0, 0, -1, 0)


register(
    KernelRule(
        inverse_factored_into,
        augmented_primal=_factored_augmented,
        reverse=_factored_reverse,
        forward=_factored_forward,
    )
)


@njit()
def slogdet_factored_into(sign: Any, log: Any, f: Any) -> None:
    """Compute det A = sign exp(log).

    Parameters
    ----------
    sign : (1,) float64 or complex128
        Of absolute value 1; 0 if A is singular.
    log : (1,) float64
    f : (n + 1, n) float or complex, C-contiguous
        What `factor_into` made of A.

    Notes
    -----
    There is no derivative at a singular matrix: it comes out as NaN.
    """
    n = f.shape[1]
    sign[0], log[0] = 1.0, 0.0
    for i in range(n):
        size = abs(f[i, i])
        if size == 0:
            sign[0], log[0] = 0.0, -np.inf
            return
        sign[0] *= f[i, i] / size
        if f[n, i].real != i + 1:
            sign[0] = -sign[0]
        log[0] += np.log(size)


def _weight(sign: Any, dsign: Any, dlog: Any) -> Any:
    """The cotangent of log det A: a sign of absolute value 1 moves along the circle."""
    raise NotImplementedError


@overload(_weight)
def _weight_impl(sign: Any, dsign: Any, dlog: Any) -> Any:
    if isinstance(sign, types.Complex):

        def weight(sign: Any, dsign: Any, dlog: Any) -> Any:
            return complex(dlog, (np.conj(sign) * dsign).imag)

    else:

        def weight(sign: Any, dsign: Any, dlog: Any) -> Any:
            return dlog

    return weight


@njit()
def _slogdet_augmented(sign: Any, dsign: Any, log: Any, dlog: Any, f: Any, df: Any) -> Any:
    slogdet_factored_into(sign, log, f)
    kept = np.empty(f.size + 1, f.dtype)
    kept[: f.size] = f.ravel()
    kept[f.size] = sign[0]
    return kept


@njit()
def _slogdet_reverse(
    sign: Any, dsign: Any, log: Any, dlog: Any, f: Any, df: Any, kept: Any
) -> None:
    moved, scaled = dsign is not sign, dlog is not log
    if df is not f and (moved or scaled):
        n = f.shape[1]
        along = dsign[0] if moved else 0 * dsign[0]
        weight = _weight(kept[f.size], along, dlog[0] if scaled else 0.0)
        y = np.empty((n, n), f.dtype)
        inverse_factored_into(y, kept[: f.size].reshape(f.shape))
        for i in range(n):
            for j in range(n):
                df[j, i] += weight * np.conj(y[i, j])
    if moved:
        dsign[0] = 0
    if scaled:
        dlog[0] = 0


@njit()
def _slogdet_forward(sign: Any, dsign: Any, log: Any, dlog: Any, f: Any, df: Any) -> None:
    slogdet_factored_into(sign, log, f)
    n = f.shape[1]
    change = 0 * sign[0]
    if df is not f:
        y = np.empty((n, n), f.dtype)
        inverse_factored_into(y, f)
        for i in range(n):
            for j in range(n):
                change += y[i, j] * df[j, i]
    if dsign is not sign:
        dsign[0] = sign[0] * (change - change.real)
    if dlog is not log:
        dlog[0] = change.real


register(
    KernelRule(
        slogdet_factored_into,
        augmented_primal=_slogdet_augmented,
        reverse=_slogdet_reverse,
        forward=_slogdet_forward,
        writes=(0, 1),
    )
)
