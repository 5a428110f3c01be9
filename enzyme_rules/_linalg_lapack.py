"""BLAS and LAPACK for ``@njit`` code, as Numba has them, on row-major arrays.

A row-major array is its own transpose to these libraries. `gemm` hides that; of all others the
arguments are named as LAPACK sees them. Each returns LAPACK's ``info``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import overload
from numba.np.linalg import _BLAS, _LAPACK, F_INT_nptype, _dummy_liveness_func, get_blas_kind
from numba.np.numpy_support import as_dtype

PIVOT = F_INT_nptype
"""The integer type of LAPACK's pivots."""


def gemm(c: Any, a: Any, b: Any, op_a: int, op_b: int, sign: int, add: int) -> None:
    """Compute what `matmul_into` does, but op 2, on arrays whose rows are contiguous."""
    raise NotImplementedError


def getrf(a: Any, pivots: Any) -> int:
    """LU factors of a square matrix, in its place."""
    raise NotImplementedError


def getri(a: Any, pivots: Any) -> int:
    """The inverse, from LU factors and in their place."""
    raise NotImplementedError


def potrf(a: Any) -> int:
    """The Cholesky factor U with UᴴU = a, of the upper triangle of LAPACK's matrix."""
    raise NotImplementedError


def evd(a: Any, w: Any) -> int:
    """Eigenvalues and, in the place of a, eigenvectors, of the lower triangle."""
    raise NotImplementedError


def gesdd(a: Any, u: Any, s: Any, vh: Any, whole: int) -> int:
    """Singular values and vectors, all of them if `whole`; a is destroyed."""
    raise NotImplementedError


def geqrf(a: Any, tau: Any) -> int:
    """R and the reflectors of Q, in the place of a."""
    raise NotImplementedError


def ungqr(a: Any, tau: Any) -> int:
    """Q from its reflectors, in their place."""
    raise NotImplementedError


@overload(gemm)
def _gemm(c: Any, a: Any, b: Any, op_a: Any, op_b: Any, sign: Any, add: Any) -> Any:
    call = _BLAS().numba_xxgemm(c.dtype)
    kind = ord(get_blas_kind(c.dtype))
    factors = np.array([-1, 0, 1], as_dtype(c.dtype))
    letters = np.array([ord(x) for x in "ntxc"])
    kept = 3 if isinstance(c.dtype, types.Complex) else 1  # real numbers have no conjugate

    def gemm(c: Any, a: Any, b: Any, op_a: Any, op_b: Any, sign: Any, add: Any) -> Any:
        m, n = c.shape
        k = a.shape[0] if op_a & 1 else a.shape[1]
        size = c.itemsize
        # Transposed, the factors change places.
        call(
            kind,
            letters[op_b & kept],
            letters[op_a & kept],
            n,
            m,
            k,
            factors[sign + 1 :].ctypes,
            b.ctypes,
            max(b.strides[0] // size, b.shape[1]),
            a.ctypes,
            max(a.strides[0] // size, a.shape[1]),
            factors[add + 1 :].ctypes,
            c.ctypes,
            max(c.strides[0] // size, n),
        )
        _dummy_liveness_func([a.size, b.size, c.size])

    return gemm


@overload(getrf)
def _getrf(a: Any, pivots: Any) -> Any:
    call = _LAPACK().numba_xxgetrf(a.dtype)
    kind = ord(get_blas_kind(a.dtype))

    def getrf(a: Any, pivots: Any) -> Any:
        n = a.shape[0]
        info = call(kind, n, n, a.ctypes, n, pivots.ctypes)
        _dummy_liveness_func([a.size, pivots.size])
        return info

    return getrf


@overload(getri)
def _getri(a: Any, pivots: Any) -> Any:
    call = _LAPACK().numba_ez_xxgetri(a.dtype)
    kind = ord(get_blas_kind(a.dtype))

    def getri(a: Any, pivots: Any) -> Any:
        n = a.shape[0]
        info = call(kind, n, a.ctypes, n, pivots.ctypes)
        _dummy_liveness_func([a.size, pivots.size])
        return info

    return getri


@overload(potrf)
def _potrf(a: Any) -> Any:
    call = _LAPACK().numba_xxpotrf(a.dtype)
    kind = ord(get_blas_kind(a.dtype))
    upper = ord("U")

    def potrf(a: Any) -> Any:
        n = a.shape[0]
        info = call(kind, upper, n, a.ctypes, n)
        _dummy_liveness_func([a.size])
        return info

    return potrf


@overload(evd)
def _evd(a: Any, w: Any) -> Any:
    call = _LAPACK().numba_ez_xxxevd(a.dtype)
    kind = ord(get_blas_kind(a.dtype))
    vectors, lower = ord("V"), ord("L")

    def evd(a: Any, w: Any) -> Any:
        n = a.shape[0]
        info = call(kind, vectors, lower, n, a.ctypes, n, w.ctypes)
        _dummy_liveness_func([a.size, w.size])
        return info

    return evd


@overload(gesdd)
def _gesdd(a: Any, u: Any, s: Any, vh: Any, whole: Any) -> Any:
    call = _LAPACK().numba_ez_gesdd(a.dtype)
    kind = ord(get_blas_kind(a.dtype))
    job_all, job_some = ord("A"), ord("S")

    def gesdd(a: Any, u: Any, s: Any, vh: Any, whole: Any) -> Any:
        n, m = a.shape
        job = job_all if whole else job_some
        info = call(kind, job, m, n, a.ctypes, m, s.ctypes, u.ctypes, m, vh.ctypes, vh.shape[1])
        _dummy_liveness_func([a.size, u.size, s.size, vh.size])
        return info

    return gesdd


@overload(geqrf)
def _geqrf(a: Any, tau: Any) -> Any:
    call = _LAPACK().numba_ez_geqrf(a.dtype)
    kind = ord(get_blas_kind(a.dtype))

    def geqrf(a: Any, tau: Any) -> Any:
        n, m = a.shape
        info = call(kind, m, n, a.ctypes, m, tau.ctypes)
        _dummy_liveness_func([a.size, tau.size])
        return info

    return geqrf


@overload(ungqr)
def _ungqr(a: Any, tau: Any) -> Any:
    call = _LAPACK().numba_ez_xxgqr(a.dtype)
    kind = ord(get_blas_kind(a.dtype))

    def ungqr(a: Any, tau: Any) -> Any:
        n, m = a.shape
        info = call(kind, m, n, n, a.ctypes, m, tau.ctypes)
        _dummy_liveness_func([a.size, tau.size])
        return info

    return ungqr
