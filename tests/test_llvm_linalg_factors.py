"""Gradients through factors, pseudo-inverses and least squares of np.linalg."""

import numba
import numpy as np
import pytest

from llvm import grad
from tests.linalg_cases import check_all, matrices, pair, weights

EPS = np.finfo(np.float64).eps


@numba.njit
def factors(a, b, k):
    total = 0.0
    if k[0] != 0:
        total += k[0] * pair(np.linalg.cholesky(a))
    if k[1] != 0:
        q, r = np.linalg.qr(b)
        # LAPACK's signs change from one place to another.
        signs = np.sign(np.real(np.diag(r)))
        total += k[1] * (pair(q * signs) + pair(signs * r.T))
    return total


@numba.njit
def least_squares(c, b, k):
    total = 0.0
    if k[0] != 0:
        total += k[0] * pair(np.linalg.pinv(b))
    if k[1] != 0:
        x, residuals, rank, s = np.linalg.lstsq(b, c)
        total += k[1] * (pair(x) + rank * pair(residuals) + pair(s))
    return total


# A square, a tall and a wide matrix: the same compiled code.
@pytest.mark.parametrize("shape", [(5, 5), (5, 3), (3, 5)])
@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_factors(dtype, shape):
    _, b = matrices(dtype, *shape)
    square, _ = matrices(dtype)
    check_all(factors, (square @ square.conj().T, b), (0, 1), 2, second=dtype == np.float64)


@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 5)])
@pytest.mark.parametrize(("dtype", "several"), [(np.float64, False), (np.complex128, True)])
def test_least_squares(dtype, several, shape):
    c, b = matrices(dtype, *shape)
    c = c if several else c[:, 1].copy()
    check_all(least_squares, (c, b), (0, 1), 2, growth=1e4, second=not several)


@pytest.mark.parametrize("m", [4, 9])
def test_a_cholesky_factor_multiplies_back(m):
    """L Lᴴ is the matrix, so the gradient is that of the matrix: of its lower triangle alone."""

    @numba.njit
    def back(a):
        t = np.linalg.cholesky(a)
        return pair(t @ np.conj(t.T))

    a, _ = matrices(np.complex128, m)
    a = a @ a.conj().T
    c = weights(a.shape, a.dtype)
    want = np.tril(c + c.conj().T, -1) + np.diag(np.real(np.diag(c)))
    assert np.abs(grad(back)(a) - want).max() <= 1e-11


def test_least_squares_of_a_rank_that_is_not_full():
    """A⁺ b for a rank that stays: along tangents A B of the range, against the normal equations."""
    rng = np.random.default_rng(3)
    left, right = rng.standard_normal((6, 2)), rng.standard_normal((2, 4))
    b = np.linalg.lstsq(left, rng.standard_normal(6), rcond=None)[0] @ left.T
    shift = rng.standard_normal((2, 4))

    def solution(step):
        return weights((4,), float) @ (np.linalg.pinv(left @ (right + step * shift)) @ b)

    gradient = grad(least_squares, 1)(b, left @ right, np.array([0.0, 1.0]))
    # The singular values, on their way too, are of the same rank.
    h = 1e-3

    def values(step):
        s = np.linalg.svd(left @ (right + step * shift))[1]
        return solution(step) + weights((4,), float) @ (s * (np.arange(4) < 2))

    want = (8 * (values(h) - values(-h)) - (values(2 * h) - values(-2 * h))) / (12 * h)
    assert abs((gradient * (left @ shift)).sum() - want) <= 1e-8 * max(1.0, abs(want))


@numba.njit
def whole_qr(a):
    q, r = np.linalg.qr(a)
    return pair(q @ r)


@pytest.mark.parametrize("shape", [(60, 7), (7, 60), (55, 55)])
def test_q_times_r_is_the_matrix(shape):
    a = matrices(np.complex128, *shape)[1]
    assert np.abs(grad(whole_qr)(a) - weights(shape, a.dtype)).max() <= 1e4 * EPS * np.linalg.cond(
        a
    )


def test_dependent_columns_have_no_qr_gradient():
    """Nothing that could be taken for one: huge, infinite or NaN."""
    gradient = grad(factors, 1)(np.eye(2), np.ones((4, 3)), np.array([0.0, 1.0]))
    assert not np.abs(gradient).max() < 1e12
