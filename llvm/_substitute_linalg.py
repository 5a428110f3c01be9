"""Products as functions that differentiate: ``@``, `np.dot`, `np.vdot`.

Two matrices go to a kernel with a rule. What has a vector in it is a loop that Enzyme sees: a rule
would have to keep a copy of the matrix, as large as all that the product reads, while Enzyme keeps
nothing of what stays as it is.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import overload

from enzyme_rules.linalg import matmul_into

from ._target import TARGET_NAME

# Sums in any order, as BLAS has them: by eight, what a long sum loses is less, not more.
_sum = njit(fastmath={"reassoc", "contract"})


def row_major(a: Any) -> Any:
    """The matrix as a C-contiguous array, and 1 if that is its transpose."""
    raise NotImplementedError


@overload(row_major, target=TARGET_NAME)
def _row_major(a: Any) -> Any:
    if a.layout == "F":

        def row_major(a: Any) -> Any:
            return a.T, 1

    elif a.layout == "C":

        def row_major(a: Any) -> Any:
            return a, 0

    else:

        def row_major(a: Any) -> Any:
            return np.ascontiguousarray(a), 0

    return row_major


@overload(operator.matmul, target=TARGET_NAME)
def _matmul(a: Any, b: Any) -> Any:
    return _product(a, b)


@overload(np.dot, target=TARGET_NAME)
def _dot(a: Any, b: Any) -> Any:
    return _product(a, b)


@overload(np.vdot, target=TARGET_NAME)
def _vdot(left: Any, right: Any) -> Any:
    if not (of_one_dtype(left, right) and left.ndim == right.ndim == 1):
        return None

    def vdot(left: Any, right: Any) -> Any:
        if left.size != right.size:
            raise ValueError("incompatible array sizes for np.dot(a, b) (vector * vector)")
        return _inner(np.conj(left), right)

    return vdot


@overload(np.dot, target=TARGET_NAME)
def _dot_into(a: Any, b: Any, out: Any) -> Any:
    # Numba takes no other: it would write into a copy.
    if not (of_one_dtype(a, b, out) and out.layout == "C" and a.ndim + b.ndim - 2 == out.ndim > 0):
        return None
    into = _INTO[a.ndim, b.ndim]

    def dot(a: Any, b: Any, out: Any) -> Any:
        into(out, a, b)
        return out

    return dot


@overload(np.kron, target=TARGET_NAME)
def _kron(a: Any, b: Any) -> Any:
    """Item by item where there is a vector: Enzyme dies of Numba's rows, forwards."""
    if not of_one_dtype(a, b) or "A" in a.layout + b.layout:
        return None
    if {a.ndim, b.ndim} not in ({1}, {1, 2}):
        return None
    if a.ndim == b.ndim:

        def kron(a: Any, b: Any) -> Any:
            out = np.empty(a.size * b.size, a.dtype)
            for i in range(a.size):
                for j in range(b.size):
                    out[i * b.size + j] = a[i] * b[j]
            return out

    elif a.ndim == 1:

        def kron(a: Any, b: Any) -> Any:
            rows, columns = b.shape
            out = np.empty((rows, a.size * columns), a.dtype)
            for k in range(rows):
                for i in range(a.size):
                    for j in range(columns):
                        out[k, i * columns + j] = a[i] * b[k, j]
            return out

    else:

        def kron(a: Any, b: Any) -> Any:
            rows, columns = a.shape
            out = np.empty((rows, columns * b.size), a.dtype)
            for k in range(rows):
                for i in range(columns):
                    for j in range(b.size):
                        out[k, i * b.size + j] = a[k, i] * b[j]
            return out

    return kron


def of_one_dtype(*given: Any) -> bool:
    """Whether these are arrays of one float or complex dtype; if not, Numba is to say so."""
    return (
        all(isinstance(a, types.Array) for a in given)
        and len({a.dtype for a in given}) == 1
        and isinstance(given[0].dtype, types.Float | types.Complex)
    )


def _product(a: Any, b: Any) -> Any:
    if not of_one_dtype(a, b) or {a.ndim, b.ndim} > {1, 2}:
        return None
    if (a.ndim, b.ndim) == (1, 1):

        def product(a: Any, b: Any) -> Any:
            if a.size != b.size:
                raise ValueError("incompatible array sizes for np.dot(a, b) (vector * vector)")
            return _inner(a, b)

        return product
    into = _INTO[a.ndim, b.ndim]

    def product(a: Any, b: Any) -> Any:
        out = np.empty(a.shape[:-1] + b.shape[1:], a.dtype)
        into(out, a, b)
        return out

    return product


@_sum
def _inner(a: Any, b: Any) -> Any:
    total = a.dtype.type(0)
    for i in range(a.size):
        total += a[i] * b[i]
    return total


@njit()
def _matrix_matrix_into(out: Any, a: Any, b: Any) -> None:
    if a.shape[1] != b.shape[0]:
        raise ValueError("incompatible array sizes for np.dot(a, b) (matrix * matrix)")
    if out.shape != (a.shape[0], b.shape[1]):
        raise ValueError("incompatible output array size for np.dot(a, b, out) (matrix * matrix)")
    left, op_left = row_major(a)
    right, op_right = row_major(b)
    matmul_into(out, left, right, op_left, op_right, 1, 0)


@njit()
def _matrix_vector_into(out: Any, a: Any, b: Any) -> None:
    if a.shape[1] != b.size:
        raise ValueError("incompatible array sizes for np.dot(a, b) (matrix * vector)")
    if out.size != a.shape[0]:
        raise ValueError("incompatible output array size for np.dot(a, b, out) (matrix * vector)")
    _rows_times(out, a, b)


@njit()
def _vector_matrix_into(out: Any, a: Any, b: Any) -> None:
    if a.size != b.shape[0]:
        raise ValueError("incompatible array sizes for np.dot(a, b) (vector * matrix)")
    if out.size != b.shape[1]:
        raise ValueError("incompatible output array size for np.dot(a, b, out) (vector * matrix)")
    _rows_times(out, b.T, a)


_INTO = {
    (2, 2): _matrix_matrix_into,
    (2, 1): _matrix_vector_into,
    (1, 2): _vector_matrix_into,
}


def _rows_times(out: Any, a: Any, x: Any) -> None:
    """Compute out = a x, along whatever is contiguous in a."""
    raise NotImplementedError


@overload(_rows_times, target=TARGET_NAME)
def _rows_times_impl(out: Any, a: Any, x: Any) -> Any:
    chosen = _by_columns if a.layout == "F" else _by_rows

    def rows_times(out: Any, a: Any, x: Any) -> Any:
        chosen(out, a, x)

    return rows_times


@_sum
def _by_rows(out: Any, a: Any, x: Any) -> None:
    for i in range(a.shape[0]):
        total = a.dtype.type(0)
        for j in range(x.size):
            total += a[i, j] * x[j]
        out[i] = total


@_sum
def _by_columns(out: Any, a: Any, x: Any) -> None:
    # Four at once: backwards these are four sums, of which none waits for the others.
    out[:] = 0
    end = x.size - x.size % 4
    for j in range(0, end, 4):
        x0, x1, x2, x3 = x[j], x[j + 1], x[j + 2], x[j + 3]
        for i in range(out.size):
            out[i] += (a[i, j] * x0 + a[i, j + 1] * x1) + (a[i, j + 2] * x2 + a[i, j + 3] * x3)
    for j in range(end, x.size):
        for i in range(out.size):
            out[i] += a[i, j] * x[j]
