"""Gauss-Legendre nodes and weights: exact symmetries, exactness, and other people's numbers."""

import time

import numpy as np
import pytest
from scipy import special

from sht._quadrature import gauss_legendre

EPS = np.finfo(np.float64).eps

# 31 and 32 nodes surround the first use of the expansion away from the poles.
SIZES = [1, 2, 3, 4, 5, 10, 15, 16, 29, 30, 31, 32, 33, 64, 101, 256, 513, 1536, 3072]


@pytest.mark.parametrize("n", SIZES)
def test_symmetries_are_exact(n):
    rule = gauss_legendre(n)
    assert np.array_equal(rule.cos_theta, -rule.cos_theta[::-1])
    assert np.array_equal(rule.sin_theta, rule.sin_theta[::-1])
    assert np.array_equal(rule.weights, rule.weights[::-1])
    assert np.all(np.diff(rule.theta) > 0)
    assert 0 < rule.theta[0]
    assert rule.theta[-1] < np.pi
    if n % 2:
        assert rule.cos_theta[n // 2] == 0.0
        assert rule.sin_theta[n // 2] == 1.0
    assert not any(array.flags.writeable for array in rule)
    assert all(array.shape == (n,) and array.dtype == np.float64 for array in rule)


@pytest.mark.parametrize("n", SIZES)
def test_weights_sum_to_two(n):
    assert abs(gauss_legendre(n).weights.sum() - 2.0) <= 8 * EPS


@pytest.mark.parametrize("n", [1, 2, 3, 8, 31, 32, 101])
def test_exact_for_polynomials_of_degree_2n_minus_1(n):
    rule = gauss_legendre(n)
    # Legendre polynomials, bounded by 1, are a basis without cancellation.
    integrals = [rule.weights @ special.eval_legendre(k, rule.cos_theta) for k in range(2 * n)]
    assert abs(integrals[0] - 2.0) <= 8 * EPS
    assert np.max(np.abs(integrals[1:])) <= 20 * EPS
    assert abs(rule.weights @ special.eval_legendre(2 * n, rule.cos_theta)) > 1e-3


@pytest.mark.parametrize("n", SIZES)
def test_nodes_and_weights_of_extended_precision(n):
    theta, weights = _extended(n, gauss_legendre(n).theta[: (n + 1) // 2])
    rule = gauss_legendre(n)
    north = slice(0, len(theta))
    assert np.max(np.abs(rule.theta[north] / theta - 1)) <= 4 * EPS
    assert np.max(np.abs(rule.sin_theta[north] / np.sin(theta) - 1)) <= 4 * EPS
    # The recurrence beside the poles adds n rounding errors as a random walk.
    assert np.max(np.abs(rule.weights[north] / weights - 1)) <= (8 + np.sqrt(n)) * EPS


@pytest.mark.parametrize("n", [1, 2, 3, 16, 33, 256, 513])
def test_nodes_agree_with_scipy(n):
    x, weights = special.roots_legendre(n)
    rule = gauss_legendre(n)
    assert np.max(np.abs(rule.cos_theta - x[::-1])) <= 4 * EPS
    # SciPy's own weights lose n**3 eps beside the poles; there is nothing finer to learn from them.
    assert np.max(np.abs(rule.weights / weights[::-1] - 1)) <= 8 * EPS + 0.1 * n**3 * EPS


@pytest.mark.parametrize("n", SIZES)
def test_agrees_with_ducc0(n):
    misc = pytest.importorskip("ducc0").misc
    rule = gauss_legendre(n)
    assert np.max(np.abs(rule.theta - misc.GL_thetas(n))) <= 8 * EPS
    weights = misc.GL_weights(n, 1) / (2 * np.pi)
    assert np.max(np.abs(rule.weights / weights - 1)) <= (16 + np.sqrt(n)) * EPS


def test_quick_enough_to_build_on_each_start():
    gauss_legendre.cache_clear()
    start = time.perf_counter()
    gauss_legendre(1536)
    # 5 ms where it was written; the bound leaves room for a busy machine.
    assert time.perf_counter() - start < 0.5


@pytest.mark.parametrize(
    ("n", "error", "match"),
    [
        (0, ValueError, r"needs at least one node. Got n = 0"),
        (-3, ValueError, r"Got n = -3"),
        (2.0, TypeError, r"needs an integer number of nodes. Got 2.0"),
        ("8", TypeError, r"Got '8'"),
    ],
)
def test_bad_input_is_told(n, error, match):
    with pytest.raises(error, match=match):
        gauss_legendre(n)


def _extended(n, theta):
    """Refine angles by Newton's iteration on the recurrence for differences, in long double."""
    if np.finfo(np.longdouble).eps > 1e-18:
        pytest.skip("this machine's long double is no longer than double")
    theta = theta.astype(np.longdouble)
    for _ in range(2):
        t = 2 * np.sin(theta / 2) ** 2
        p, e = np.ones_like(theta), np.zeros_like(theta)
        for k in range(n):
            e = e - (2 * k + 1) * t * p
            p = p + e / (k + 1)
        dp = (e - n * t * p) / np.sin(theta)
        theta = theta - p / dp
    return theta, 2 / dp**2
