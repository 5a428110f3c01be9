"""Gradients through products: @, np.dot, np.vdot, np.outer, np.kron, np.trace, matrix powers."""

import numba
import numpy as np
import pytest

from llvm import grad, value_and_grad
from tests.linalg_cases import LAYOUTS, check_all, matrices, pair, random, weights

EPS = np.finfo(np.float64).eps

pytestmark = pytest.mark.filterwarnings("ignore:.*faster on contiguous")


@numba.njit
def products(a, b, k):
    total = 0.0
    x, y = a[0], b[:, 0]
    if k[0] != 0:
        total += k[0] * pair((a @ b) * (a @ b))
    if k[1] != 0:
        total += k[1] * (pair(np.dot(a, y)) + pair(np.dot(y, a)))
    if k[2] != 0:
        z = np.dot(x, y) * np.vdot(x, y)
        total += k[2] * (z.real - 0.3 * z.imag)
    if k[3] != 0:
        out = np.empty((a.shape[0], b.shape[1]), a.dtype)
        line = np.empty(a.shape[0], a.dtype)
        total += k[3] * (pair(np.dot(a, b, out)) + pair(np.dot(a, y, line)) + pair(out * out))
        np.dot(y, a, line)
        total += k[3] * pair(line * line)
    if k[4] != 0:
        total += k[4] * (pair(a @ a) + pair(a @ a.T) + pair(a.T @ a) + pair(a @ a[0]))
    return total


@numba.njit
def others(a, b, k):
    total = 0.0
    if k[0] != 0:
        total += k[0] * pair(np.outer(a[0], b[:, 0]))
    if k[1] != 0:
        total += k[1] * pair(np.kron(a, np.ascontiguousarray(b)))
        row, column = a[0].copy(), b[:, 0].copy()
        total += k[1] * pair(np.kron(np.kron(row, column), a))
        total += k[1] * (np.kron(row, column)[1] * np.kron(a, row)[0, 1]).real
    if k[2] != 0:
        total += k[2] * (np.trace(a * a) + np.trace(a @ a, 1) - np.trace(a, -1)).real
    if k[3] != 0:
        total += k[3] * 0.01 * pair(np.linalg.matrix_power(a, 5))
    if k[4] != 0:
        total += k[4] * pair(np.linalg.matrix_power(a, -3))
    return total


@pytest.mark.parametrize("layout", LAYOUTS)
def test_products_of_any_layout(layout):
    arguments = tuple(map(LAYOUTS[layout], matrices(np.float64)))
    check_all(products, arguments, (0, 1), 5, second=layout == "C")


def test_complex_products():
    check_all(products, matrices(np.complex128), (0, 1), 5, second=False)


def test_one_of_two():
    for argnums in ((0,), (1,)):
        check_all(products, matrices(np.float64), argnums, 5, second=False)


def test_others():
    check_all(others, matrices(np.float64), (0, 1), 5, second=False)


@numba.njit
def product(a, b):
    return pair(a @ b)


SIZES = [(0, 3, 2), (3, 0, 2), (3, 2, 0), (1, 1, 1), (2, 3, 4), (20, 30, 17)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
@pytest.mark.parametrize("sizes", SIZES)
def test_exact_formulas(dtype, sizes):
    """dA = C Bᴴ and dB = Aᴴ C; small ones go through loops, large ones to BLAS."""
    m, k, n = sizes
    rng = np.random.default_rng(6)
    a, b = random(rng, (m, k), dtype), random(rng, (k, n), dtype)
    c = weights((m, n), dtype)
    value, (da, db) = value_and_grad(product, (0, 1))(a, b)
    eps = np.finfo(dtype).eps
    assert abs(value - product(a, b)) <= 100 * eps * max(1.0, abs(value))
    for got, want in ((da, c @ b.conj().T), (db, a.conj().T @ c)):
        assert got.dtype == dtype
        assert np.abs(got - want).max(initial=0.0) <= 100 * eps * max(
            1.0, np.abs(want).max(initial=0)
        )


@numba.njit
def times_vector(a, x, y):
    return pair(a @ x) + pair(y @ a)


@pytest.mark.parametrize("sizes", [(0, 3), (3, 0), (1, 1), (5, 3), (9, 70)])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_exact_formulas_with_vectors(sizes, layout):
    m, n = sizes
    rng = np.random.default_rng(7)
    a, x, y = (random(rng, shape, np.float64) for shape in (sizes, n, m))
    c, d = weights((m,), float), weights((n,), float)
    a = LAYOUTS[layout](a) if a.size else a
    got = grad(times_vector, (0, 1, 2))(a, x, y)
    want = (np.outer(c, x) + np.outer(y, d), a.T @ c, a @ d)
    for g, w in zip(got, want, strict=True):
        assert np.abs(g - w).max(initial=0.0) <= 100 * EPS * max(1.0, np.abs(w).max(initial=0.0))


def test_factors_that_are_overwritten():
    """As Kalman filters and power iterations do; the same without overwriting anything."""

    @numba.njit
    def overwriting(a, b):
        for _ in range(3):
            c = a @ b
            a[:] = c
            b *= c
            np.dot(c, b, a)
        x = a[0].copy()
        for _ in range(3):
            np.dot(a, x, x.copy())
            x = b @ x
            b[0] = x
        return pair(a) + pair(b) + pair(x)

    @numba.njit
    def afresh(a, b):
        for _ in range(3):
            c = a @ b
            b = b * c
            a = c @ b
        x = a[0]
        for _ in range(3):
            x = b @ x
            new = b.copy()
            new[0] = x
            b = new
        return pair(a) + pair(b) + pair(x)

    rng = np.random.default_rng(8)
    a, b = random(rng, (4, 4), float), random(rng, (4, 4), float)
    value, got = value_and_grad(overwriting, (0, 1))(a.copy(), b.copy())
    same, want = value_and_grad(afresh, (0, 1))(a, b)
    assert abs(value - same) <= 1e3 * EPS * abs(same)
    for g, w in zip(got, want, strict=True):
        assert np.abs(g - w).max() <= 1e4 * EPS * np.abs(w).max()


@numba.njit
def unfit(a, b, x, out, which):
    if which == 0:
        return (a @ b).sum()
    if which == 1:
        return (a @ x).sum()
    if which == 2:
        return (x @ a.T).sum()
    if which == 3:
        return np.dot(x, b[0])
    if which == 4:
        return np.vdot(x, b[0])
    if which == 5:
        return np.dot(a, b.T, out).sum()
    return np.dot(a, b[0], out[0]).sum()


@pytest.mark.parametrize("which", range(7))
def test_exceptions_are_those_of_numba(which):
    arguments = (np.ones((2, 3)), np.ones((2, 3)), np.ones(5), np.ones((4, 4)), which)
    with pytest.raises(ValueError, match="incompatible") as want:
        unfit(*arguments)
    with pytest.raises(ValueError, match="incompatible") as got:
        grad(unfit)(*arguments)
    assert str(got.value) == str(want.value)


CONSTANT = np.array([[1.0, 2.0], [3.0, 5.0]])


@numba.njit
def with_a_constant(x):
    return (CONSTANT @ x @ CONSTANT).sum() + np.linalg.solve(CONSTANT, x)[0, 1]


def test_constants_of_the_program():
    """Numba's type of them is read-only, which was taken for that of their shadows."""
    before = CONSTANT.copy()
    ones = np.ones(2)
    want = np.outer(CONSTANT.T @ ones, CONSTANT @ ones)
    want[:, 1] += np.linalg.inv(CONSTANT)[0]
    got = grad(with_a_constant)(np.eye(2))
    np.testing.assert_allclose(got, want, rtol=0, atol=64 * EPS * np.abs(want).max())
    assert before.tobytes() == CONSTANT.tobytes()
