"""BLAS and LAPACK for ``@njit`` code, as Numba has them, on row-major arrays.

A row-major array is its own transpose to these libraries. `gemm` hides that; of all others the
arguments are named as LAPACK sees them. Each returns LAPACK's ``info``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import _helperlib, types
from numba.extending import overload, register_jitable

PIVOT = np.int64 if getattr(_helperlib, "LAPACK_BUILD_ILP64", False) else np.int32
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


# Numba's linear algebra takes 0.1 s to import, so that waits until something is compiled.


def _blas(dtype: types.Type, name: str) -> tuple[Any, int]:
    """A function of Numba's, and the letter by which it knows the dtype."""
    from numba.np.linalg import _BLAS, get_blas_kind

    return getattr(_BLAS(), name)(dtype), ord(get_blas_kind(dtype))


def _lapack(dtype: types.Type, name: str) -> tuple[Any, int]:
    """The same for LAPACK."""
    from numba.np.linalg import _LAPACK, get_blas_kind

    return getattr(_LAPACK(), name)(dtype), ord(get_blas_kind(dtype))


@register_jitable
def _alive(sizes: Any) -> Any:
    """Keep arrays of which only the address was passed."""
    return sizes[0]


@overload(gemm)
def _gemm(c: Any, a: Any, b: Any, op_a: Any, op_b: Any, sign: Any, add: Any) -> Any:
    call, kind = _blas(c.dtype, "numba_xxgemm")
    factors = np.array([-1, 0, 1], str(c.dtype))
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
        _alive((a.size, b.size, c.size))

    return gemm


@overload(getrf)
def _getrf(a: Any, pivots: Any) -> Any:
    call, kind = _lapack(a.dtype, "numba_xxgetrf")

    def getrf(a: Any, pivots: Any) -> Any:
        n = a.shape[0]
        info = call(kind, n, n, a.ctypes, n, pivots.ctypes)
        _alive((a.size, pivots.size))
        return info

    return getrf


@overload(getri)
def _getri(a: Any, pivots: Any) -> Any:
    call, kind = _lapack(a.dtype, "numba_ez_xxgetri")

    def getri(a: Any, pivots: Any) -> Any:
        n = a.shape[0]
        info = call(kind, n, a.ctypes, n, pivots.ctypes)
        _alive((a.size, pivots.size))
        return info

    return getri


@overload(potrf)
def _potrf(a: Any) -> Any:
    call, kind = _lapack(a.dtype, "numba_xxpotrf")
    upper = ord("U")

    def potrf(a: Any) -> Any:
        n = a.shape[0]
        info = call(kind, upper, n, a.ctypes, n)
        _alive((a.size,))
        return info

    return potrf


@overload(evd)
def _evd(a: Any, w: Any) -> Any:
    call, kind = _lapack(a.dtype, "numba_ez_xxxevd")
    vectors, lower = ord("V"), ord("L")

    def evd(a: Any, w: Any) -> Any:
        n = a.shape[0]
        info = call(kind, vectors, lower, n, a.ctypes, n, w.ctypes)
        _alive((a.size, w.size))
        return info

    return evd


@overload(gesdd)
def _gesdd(a: Any, u: Any, s: Any, vh: Any, whole: Any) -> Any:
    call, kind = _lapack(a.dtype, "numba_ez_gesdd")
    job_all, job_some = ord("A"), ord("S")

    def gesdd(a: Any, u: Any, s: Any, vh: Any, whole: Any) -> Any:
        n, m = a.shape
        job = job_all if whole else job_some
        info = call(kind, job, m, n, a.ctypes, m, s.ctypes, u.ctypes, m, vh.ctypes, vh.shape[1])
        _alive((a.size, u.size, s.size, vh.size))
        return info

    return gesdd


@overload(geqrf)
def _geqrf(a: Any, tau: Any) -> Any:
    call, kind = _lapack(a.dtype, "numba_ez_geqrf")

    def geqrf(a: Any, tau: Any) -> Any:
        n, m = a.shape
        info = call(kind, m, n, a.ctypes, m, tau.ctypes)
        _alive((a.size, tau.size))
        return info

    return geqrf


@overload(ungqr)
def _ungqr(a: Any, tau: Any) -> Any:
    call, kind = _lapack(a.dtype, "numba_ez_xxgqr")

    def ungqr(a: Any, tau: Any) -> Any:
        n, m = a.shape
        info = call(kind, m, n, n, a.ctypes, m, tau.ctypes)
        _alive((a.size, tau.size))
        return info

    return ungqr
