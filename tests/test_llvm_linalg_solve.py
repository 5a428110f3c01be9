"""Gradients through systems, inverses and determinants of np.linalg; what it raises."""

import numba
import numpy as np
import pytest

from llvm import grad, value_and_grad
from tests.linalg_cases import LAYOUTS, check_all, matrices, pair, weights

EPS = np.finfo(np.float64).eps


@numba.njit
def systems(a, b, k):
    total = 0.0
    if k[0] != 0:
        total += k[0] * pair(np.linalg.solve(a, b))
    if k[1] != 0:
        total += k[1] * pair(np.linalg.inv(a))
    if k[2] != 0:
        d = np.linalg.det(a)
        total += k[2] * 0.01 * (d.real - 0.5 * d.imag)
    if k[3] != 0:
        sign, log = np.linalg.slogdet(a)
        total += k[3] * (log * sign.real + sign.imag)
    return total


# One right-hand side or several
@pytest.mark.parametrize(("dtype", "several"), [(np.float64, True), (np.complex128, False)])
def test_every_mode(dtype, several):
    a, b = matrices(dtype)
    check_all(systems, (a, b if several else b[:, 0].copy()), (0, 1), 4, second=several)


@pytest.mark.parametrize("dtype", [np.float32, np.complex64])
def test_single_precision_gives_what_double_gives(dtype):
    a, b = matrices(dtype)
    wide = np.complex128 if np.dtype(dtype).kind == "c" else np.float64
    for term in range(4):
        k = np.arange(4) == term
        got = value_and_grad(systems, (0, 1))(a, b, k.astype(float))
        want = value_and_grad(systems, (0, 1))(a.astype(wide), b.astype(wide), k.astype(float))
        assert abs(got[0] - want[0]) <= 100 * np.finfo(dtype).eps * max(1.0, abs(want[0]))
        for x, y in zip(got[1], want[1], strict=True):
            assert x.dtype == dtype
            scale = max(1.0, np.abs(y).max())
            assert np.abs(x - y).max() <= 200 * np.finfo(dtype).eps * scale


def only(term, count=4):
    return (np.arange(count) == term).astype(float)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("n", [1, 5, 70])
def test_exact_formulas(layout, n):
    """Blocks of a triangle are of 48 rows, so 70 is more than one."""
    a, b = matrices(np.float64, n)
    a = a + np.eye(n) * (n > 5) * 5
    x, inverse = np.linalg.solve(a, b), np.linalg.inv(a)
    y = np.linalg.solve(a.T, weights(b.shape, np.float64))
    c = weights(a.shape, np.float64)
    want = {
        0: (-y @ x.T, y),
        1: (-inverse.T @ c @ inverse.T, 0 * b),
        3: (inverse.T * np.sign(np.linalg.det(a)), 0 * b),
    }
    if n < 70:
        want[2] = (0.01 * np.linalg.det(a) * inverse.T, 0 * b)
    for term, exact in want.items():
        got = grad(systems, (0, 1))(LAYOUTS[layout](a), LAYOUTS[layout](b), only(term))
        for g, e in zip(got, exact, strict=True):
            scale = max(1.0, np.abs(e).max())
            assert np.abs(g - e).max() <= 100 * n * np.linalg.cond(a) * EPS * scale, term


def test_an_overwritten_matrix_and_a_loop():
    @numba.njit
    def steps(a, x):
        for _ in range(3):
            x = np.linalg.solve(a, x)
            a *= 2.0
            a[0, 0] += x[0]
        return pair(x) + pair(a)

    @numba.njit
    def kept(a, x):
        for _ in range(3):
            x = np.linalg.inv(a) @ x
            b = 2.0 * a
            b[0, 0] += x[0]
            a = b
        return pair(x) + pair(a)

    a, b = matrices(np.float64)
    for got, want in zip(grad(steps, (0, 1))(a, b[:, 0].copy()),
                         grad(kept, (0, 1))(a, b[:, 0].copy()), strict=True):  # fmt: skip
        assert np.abs(got - want).max() <= 1e-12


SINGULAR = np.ones((3, 3))
INFINITE = np.full((3, 3), np.inf)
WIDE = np.ones((3, 4))
EMPTY = np.ones((0, 0))


@numba.njit
def any_error(a, b, which):
    if which == 0:
        return np.linalg.solve(a, b).sum()
    if which == 1:
        return np.linalg.inv(a).sum()
    if which == 2:
        return np.linalg.slogdet(a)[1]
    if which == 3:
        return np.linalg.cholesky(a).sum()
    if which == 4:
        return np.linalg.qr(a)[1].sum()
    if which == 5:
        return np.linalg.lstsq(a, b)[0].sum()
    return np.linalg.pinv(a).sum()


@pytest.mark.parametrize(
    ("which", "a", "b"),
    [
        (0, SINGULAR, SINGULAR),
        (0, INFINITE, SINGULAR),
        (0, SINGULAR + np.eye(3), INFINITE),
        (0, SINGULAR + np.eye(3), WIDE.T),
        (1, SINGULAR, SINGULAR),
        (1, WIDE, SINGULAR),
        (1, INFINITE, SINGULAR),
        (2, WIDE, SINGULAR),
        (2, INFINITE, SINGULAR),
        (3, -np.eye(3), SINGULAR),
        (3, WIDE, SINGULAR),
        (4, EMPTY, SINGULAR),
        (4, INFINITE, SINGULAR),
        (5, SINGULAR, WIDE.T),
        (5, EMPTY, SINGULAR),
        (5, INFINITE, SINGULAR),
        (6, INFINITE, SINGULAR),
    ],
)
def test_exceptions_are_those_of_numba(which, a, b):
    with pytest.raises(np.linalg.LinAlgError) as want:
        any_error(a, np.ascontiguousarray(b), which)
    with pytest.raises(np.linalg.LinAlgError) as got:
        grad(any_error, 0)(a, np.ascontiguousarray(b), which)
    assert str(got.value) == str(want.value)


@pytest.mark.parametrize("which", [0, 1, 2, 3, 6])
def test_of_nothing(which):
    value, gradient = value_and_grad(any_error, 0)(EMPTY, EMPTY, which)
    assert value == 0.0
    assert gradient.shape == (0, 0)


def test_a_singular_matrix_has_no_logarithm_and_no_gradient():
    value, gradient = value_and_grad(any_error, 0)(SINGULAR, SINGULAR, 2)
    assert value == -np.inf
    assert np.isnan(gradient).all()
