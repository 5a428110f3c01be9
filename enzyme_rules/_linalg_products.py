"""The product of two matrices, and its rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from ._linalg_lapack import gemm
from ._registry import register
from ._rules import CustomRule

# Below this number of multiplications BLAS takes longer to begin than a loop to end.
_SMALL = 512


@dataclass(frozen=True)
class KernelRule(CustomRule):
    """A `CustomRule` of a function that writes into some of its arguments only.

    Such functions are the same in many gradients, and long: they are compiled once for all.

    Parameters
    ----------
    writes : tuple of int
        Which these are.
    """

    writes: tuple[int, ...] = (0,)
    separate = True

    def access(self, argument: int) -> str:
        return "" if argument in self.writes else "readonly"


@njit(fastmath={"contract"})
def matmul_into(c: Any, a: Any, b: Any, op_a: int, op_b: int, sign: int, add: int) -> None:
    """Compute c = add c + sign op_a(a) op_b(b).

    Parameters
    ----------
    c : (m, n) float or complex, C-contiguous
    a, b : float or complex, C-contiguous
        Of the same dtype.
    op_a, op_b : int
        The sum of 1, if the matrix is to be transposed, and 2, if conjugated.
    sign : int
        1 or -1.
    add : int
        0 or 1; with 0 what c held is of no consequence.
    """
    m, n = c.shape
    k = a.shape[0] if op_a & 1 else a.shape[1]
    if m * n == 0:
        return
    if m * n * k > _SMALL:
        if op_a == 2:
            a, op_a = np.conj(a), 0
        if op_b == 2:
            b, op_b = np.conj(b), 0
        gemm(c, a, b, op_a, op_b, sign, add)
        return
    for i in range(m):
        for j in range(n):
            total = c.dtype.type(0)
            for p in range(k):
                left = a[p, i] if op_a & 1 else a[i, p]
                right = b[j, p] if op_b & 1 else b[p, j]
                left = np.conj(left) if op_a & 2 else left
                total += left * (np.conj(right) if op_b & 2 else right)
            c[i, j] = (c[i, j] if add else 0) + sign * total


@njit()
def _augmented(
    c: Any, dc: Any, a: Any, da: Any, b: Any, db: Any, op_a: int, op_b: int, sign: int, add: int
) -> Any:
    matmul_into(c, a, b, op_a, op_b, sign, add)
    left = a.size if dc is not c and db is not b else 0
    right = b.size if dc is not c and da is not a else 0
    kept = np.empty(left + right, a.dtype)
    if left:
        kept[:left] = a.ravel()
    if right:
        kept[left:] = b.ravel()
    return kept


@njit()
def _reverse(
    c: Any,
    dc: Any,
    a: Any,
    da: Any,
    b: Any,
    db: Any,
    op_a: int,
    op_b: int,
    sign: int,
    add: int,
    kept: Any,
) -> None:
    if dc is c:
        return
    left = 0
    # The adjoints of transposing and of conjugating are these themselves.
    if db is not b:
        left = a.size
        old, conj = kept[:left].reshape(a.shape), op_b & 2
        if op_b & 1:
            matmul_into(db, dc, old, 1 ^ conj, op_a ^ 2 ^ conj, sign, 1)
        else:
            matmul_into(db, old, dc, op_a ^ 3 ^ conj, conj, sign, 1)
    if da is not a:
        old, conj = kept[left:].reshape(b.shape), op_a & 2
        if op_a & 1:
            matmul_into(da, old, dc, op_b ^ 2 ^ conj, 1 ^ conj, sign, 1)
        else:
            matmul_into(da, dc, old, conj, op_b ^ 3 ^ conj, sign, 1)
    if not add:
        dc[:] = 0


@njit()
def _forward(
    c: Any, dc: Any, a: Any, da: Any, b: Any, db: Any, op_a: int, op_b: int, sign: int, add: int
) -> None:
    matmul_into(c, a, b, op_a, op_b, sign, add)
    if dc is c:
        return
    if da is not a:
        matmul_into(dc, da, b, op_a, op_b, sign, add)
    elif not add:
        dc[:] = 0
    if db is not b:
        matmul_into(dc, a, db, op_a, op_b, sign, 1)


register(KernelRule(matmul_into, augmented_primal=_augmented, reverse=_reverse, forward=_forward))
