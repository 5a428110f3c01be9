"""The rules of linear algebra, each checked whole.

Complex, where what a kernel writes is unique: real numbers are a special case of that.
"""

from typing import Any

import numpy as np
import pytest

from enzyme_rules import linalg
from enzyme_rules.testing import test_rule
from tests.linalg_cases import matrices, random

RNG = np.random.default_rng(11)
COMPLEX: Any = np.complex128


def some(*shape, dtype: Any = COMPLEX):
    return random(RNG, shape, dtype)


def good():
    return np.zeros(1, np.int64)


@pytest.mark.parametrize("op_a", range(4))
@pytest.mark.parametrize("op_b", range(4))
def test_matmul(op_a, op_b):
    for m, k, n in ((2, 3, 4), (9, 10, 11)):  # a loop, and BLAS
        a = some(k, m) if op_a & 1 else some(m, k)
        b = some(n, k) if op_b & 1 else some(k, n)
        test_rule(linalg.matmul_into, some(m, n), a, b, op_a, op_b, 1, int(op_a > op_b))
        test_rule(linalg.matmul_into, some(m, n), a, b, op_a, op_b, -1, int(op_a < op_b))


@pytest.mark.parametrize("op", range(4))
def test_triangular_solve(op):
    for n, rows in ((3, 1), (9, 5), (70, 6)):  # row by row, in one block, in two
        t = np.tril(matrices(COMPLEX, n)[0]) + n * np.eye(n)
        test_rule(
            linalg.triangular_solve_into, some(rows, n), t, some(rows, n), op, tolerance=1e-12
        )


@pytest.mark.parametrize("op", range(4))
def test_solve_factored(op):
    """What stands for a matrix has not the derivative of its items: it is left constant here."""
    for n, rows in ((3, 1), (9, 5), (70, 6)):
        a = matrices(COMPLEX, n)[0][RNG.permutation(n)]
        f, info, x, b = np.empty((n + 1, n), COMPLEX), good(), some(rows, n), some(rows, n)
        linalg.factor_into(f, a, info)
        test_rule(
            linalg.solve_factored_into, some(rows, n), f, b, op, constants=(1,), tolerance=1e-11
        )
        linalg.solve_factored_into(x, f, b, op)
        matrix = (a, a.T, a.conj(), a.conj().T)[op]
        assert np.abs(matrix @ x.T - b.T).max() <= 1e-10


def test_solve():
    for n, rows in ((3, 1), (70, 6)):
        a = matrices(COMPLEX, n)[0]
        test_rule(linalg.solve_into, some(rows, n), a, some(rows, n), good(), tolerance=1e-10)


def test_inverse():
    a = np.asfortranarray(matrices(COMPLEX)[0])
    test_rule(linalg.inverse_into, some(5, 5), a, good(), tolerance=1e-12)


def test_cholesky():
    a = matrices(COMPLEX)[0]
    # What is above the diagonal is not read.
    a = np.tril(a @ a.conj().T) + np.triu(some(5, 5), 1)
    test_rule(linalg.cholesky_into, some(5, 5), a, good(), tolerance=1e-11)


@pytest.mark.parametrize("m", [3, 7])
def test_qr(m):
    test_rule(linalg.qr_into, some(3, m), some(3, 3), some(m, 3), good(), tolerance=1e-11)


def test_eigh():
    a = matrices(np.float64)[0]
    shape, dtype = a.shape, a.dtype
    test_rule(linalg.eigh_into, some(5, dtype=dtype), some(*shape, dtype=dtype), a, good(),
              tolerance=1e-11)  # fmt: skip


@pytest.mark.parametrize(("m", "n"), [(4, 4), (5, 3), (3, 5)])
def test_svd(m, n):
    k = min(m, n)
    u, s, v, a = (some(*shape, dtype=float) for shape in ((k, m), (k,), (n, k), (m, n)))
    test_rule(linalg.svd_into, u, s, v, a, good(), tolerance=1e-11)


@pytest.mark.parametrize("m", [4, 9])
def test_pinv(m):
    cut, info = np.array([1e-12]), np.zeros(2, np.int64)
    test_rule(linalg.pinv_into, some(m, 4), some(m, 4), cut, info, constants=(2,), tolerance=1e-11)


def test_what_goes_wrong_is_told():
    ones, empty, info = np.ones((3, 3)), np.empty((3, 3)), good()
    linalg.solve_into(np.empty((1, 3)), ones, np.ones((1, 3)), info)
    assert info[0] == linalg.SINGULAR
    linalg.inverse_into(empty, ones * np.nan, info)
    assert info[0] == linalg.NOT_FINITE
    # Derivatives of what failed are computed, and thrown away: pivots must lie in the matrix.
    factors = np.full((4, 3), 1e9)
    linalg.factor_into(factors, ones * np.inf, info)
    assert info[0] == linalg.NOT_FINITE
    assert (factors[-1] == [1, 2, 3]).all()
    linalg.cholesky_into(empty, -np.eye(3), info)
    assert info[0] == linalg.NOT_POSITIVE
    linalg.inverse_into(empty, np.eye(3), info)
    assert info[0] == 0
