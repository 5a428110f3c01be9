"""Code that keeps away from where a derivative is infinite, by a branch: no NaN comes of it.

LLVM would make the branch a choice between two results, both of which are then differentiated. What
is not chosen adds 0 · ∞ in reverse mode, where forward mode is right.
"""

import math

import numba
import numpy as np
import pytest

from llvm import grad, jvp
from tests.gradient_checks import CHECKS, Case

X = np.array([0.3, -1.2, 0.0, 2.1, 1.4, -0.5])
P = np.array([0.5, 0.0, 0.25, 0.0, 0.25])
WITH_NAN = np.array([0.3, np.nan, 1.7, 2.1, np.nan, -0.5])


@numba.njit
def entropy(p):
    h = 0.0
    for i in range(p.size):
        if p[i] > 0:
            h -= p[i] * math.log(p[i])
    return h


@numba.njit
def entropy_of_rows(p):
    h = 0.0
    for row in p:
        for q in row:
            if q > 0.0:
                h -= q * np.log(q)
    return h


@numba.njit
def roots(x):
    total = 0.0
    for a in x:
        if a > 0:
            total += np.sqrt(a)
    return total


@numba.njit(error_model="numpy")
def quotients(x):
    total = 0.0
    for a in x:
        total += 1 / a if a != 0 else 0.0
    return total


@numba.njit
def powers(x, exponent):
    total = 0.0
    for a in x:
        if a > 0:
            total += a**exponent
    return total


@numba.njit
def skipped(x):
    total = 0.0
    for a in x:
        if a <= 0:
            continue
        total += math.log(a) * a
    return total


@numba.njit
def length(x):
    squares = (x * x).sum()
    return np.sqrt(squares) if squares > 0 else 0.0


@numba.njit
def kept_products(x):
    product = 1.0
    for a in x:
        if not math.isnan(a):
            product *= a
    return product


@numba.njit
def nan_sums(x):
    return np.nansum(x) * np.nanmean(x)


@numba.njit
def nan_variance(x):
    return np.nanvar(x)


@numba.njit
def nan_deviation(x):
    return np.nanstd(x)


@numba.njit
def nan_product(x):
    return np.nanprod(x)


def where(condition, function, x):
    """The function of those items alone, zero elsewhere."""
    made = np.zeros_like(x)
    made[condition] = function(x[condition])
    return made


def kept(function):
    return lambda x: where(~np.isnan(x), function, x)


def by_entropy(p):
    return where(p > 0, lambda q: -np.log(q) - 1, p)


CASES = [
    Case(function=function, arguments=arguments, exact=exact)
    for function, arguments, exact in (
        (entropy, (P,), by_entropy),
        (entropy_of_rows, (np.stack([P, P[::-1]]),), by_entropy),
        (roots, (X,), lambda x: where(x > 0, lambda a: 0.5 / np.sqrt(a), x)),
        (quotients, (X,), lambda x: where(x != 0, lambda a: -1 / a**2, x)),
        (powers, (X, 0.3), lambda x, e: where(x > 0, lambda a: e * a ** (e - 1), x)),
        (skipped, (X,), lambda x: where(x > 0, lambda a: np.log(a) + 1, x)),
        (length, (np.zeros(3),), np.zeros_like),
        (length, (X,), lambda x: x / np.sqrt((x**2).sum())),
        (kept_products, (WITH_NAN,), kept(lambda a: a.prod() / a)),
        (nan_sums, (WITH_NAN,), kept(lambda a: np.full_like(a, 2 * a.mean()))),
        (nan_variance, (WITH_NAN,), kept(lambda a: 2 * (a - a.mean()) / a.size)),
        (nan_deviation, (WITH_NAN,), kept(lambda a: (a - a.mean()) / a.size / a.std())),
        (nan_product, (WITH_NAN,), kept(lambda a: a.prod() / a)),
    )
]
# Central differences step over the edge.
EXACT = [check for check in CHECKS if check.__name__ != "check_differences"]


@pytest.mark.parametrize("check", EXACT)
@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.name}-{c.arguments[0].size}")
def test_guarded(case, check):
    check(case)


@numba.njit
def both_computed(x):
    return np.where(x > 0, np.log(x), 0.0).sum()


@numba.njit
def away_from_the_edge(x):
    return np.where(x > 0, np.log(np.where(x > 0, x, 1.0)), 0.0).sum()


def test_where_computes_both():
    """As the README says: what is not chosen is computed, and so differentiated."""
    assert np.isnan(grad(both_computed)(X)[X == 0]).all()
    exact = where(X > 0, lambda a: 1 / a, X)
    np.testing.assert_allclose(grad(away_from_the_edge)(X), exact, rtol=1e-15)
    _, tangent = jvp(away_from_the_edge, (X,), (np.ones_like(X),))
    np.testing.assert_allclose(tangent, exact.sum(), rtol=1e-15)
