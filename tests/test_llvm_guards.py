"""Code that keeps away from where a derivative is infinite, by a branch: no NaN comes of it.

LLVM would make the branch a choice between two results, both of which are then differentiated. What
is not chosen adds 0 · ∞ in reverse mode, where forward mode is right.
"""

import math
import re

import numba
import numpy as np
import pytest

from llvm import grad, hvp, jvp
from llvm._choices import with_choices_kept
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


@numba.njit
def log_of_maximum(x):
    return np.log(np.maximum(x, 1e-3)).sum()


@numba.njit
def inverse_of_minimum(x):
    return (1.0 / np.minimum(x - 0.3, -1e-3)).sum()


@numba.njit
def power_of_fmax(x):
    total = 0.0
    for a in x:
        total += np.fmax(a, 0.5) ** -0.5
    return total


@numba.njit
def replaced(x):
    """A branch that holds a constant alone, at another place than where it is used."""
    total = 0.0
    for a in x:
        b = a
        if a < 5e-4:
            b = 1e-3
        total += math.log(b)
    return total


@numba.njit
def at_least(a, least):
    if a > 0.25:
        return a
    return least


@numba.njit
def roots_of_replaced(x):
    total = 0.0
    for a in x:
        total += math.sqrt(at_least(a, 0.5))
    return total


@numba.njit
def overflow(x):
    """exp(x) is infinite where it is not chosen."""
    return np.exp(np.minimum(1000.0 * x, 700.0)).sum() * 1e-300


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
        (log_of_maximum, (X,), lambda x: where(x > 1e-3, lambda a: 1 / a, x)),
        (inverse_of_minimum, (X,), lambda x: where(x < 0.29, lambda a: -1 / (a - 0.3) ** 2, x)),
        (power_of_fmax, (X,), lambda x: where(x > 0.5, lambda a: -0.5 * a**-1.5, x)),
        (replaced, (X,), lambda x: where(x > 5e-4, lambda a: 1 / a, x)),
        (roots_of_replaced, (X,), lambda x: where(x > 0.25, lambda a: 0.5 / np.sqrt(a), x)),
        (overflow, (X,), lambda x: where(x < 0.5, lambda a: 1e-297 * np.exp(1e3 * a), x)),
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


EDGES = [log_of_maximum, inverse_of_minimum, power_of_fmax, replaced, roots_of_replaced]


@pytest.mark.parametrize("function", EDGES, ids=lambda f: f.__name__)
def test_second_derivative(function):
    """Of a sum of functions of one number each: it is diagonal."""
    _, product = hvp(function, (X,), (np.ones_like(X),))
    step = 1e-4

    def at(k):
        return grad(function)(X + k * step)

    estimate = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * step)
    away = np.abs(np.subtract.outer(X, [0.0, 1e-3, 0.25, 0.3, 0.5])).min(1) > 3 * step
    np.testing.assert_allclose(product[away], estimate[away], rtol=1e-7, atol=1e-7)
    assert np.isfinite(product).all()


@numba.njit
def called(x):
    return replaced(x) + log_of_maximum(x)


def test_nothing_is_left_of_what_keeps_choices_apart():
    gradient = grad(called)
    gradient(X)
    assert "@chosen_double(" in gradient.inspect_llvm("differentiated")
    assert "chosen_double" not in gradient.inspect_llvm("optimised")


TEXT = """
define double @f(double %x, i1 %c, ptr %raised) {
start:
  %half = select i1 %c, double %x, double 5.0e-1
  %both = select i1 %c, double 1.0, double 2.0
  %none = select i1 %c, double %x, double %half
  br i1 %c, label %head, label %failed
head:
  %sum = phi double [ 0.0, %start ], [ %more, %middle ]
  br i1 %c, label %then, label %middle
then:
  br label %middle
middle:
  %"or one" = phi double [ %sum, %head ], [ 1.0, %then ]
  %or = phi double [ %none, %head ], [ %both, %then ]
  %more = fadd double %"or one", %or
  br i1 %c, label %head, label %done
failed:
  br label %done
done:
  %result = phi double [ %more, %middle ], [ 0.0, %failed ]
  %status = phi i32 [ 0, %middle ], [ 1, %failed ]
  store i32 %status, ptr %raised
  ret double %result
}
"""


def test_which_choices_are_kept_apart():
    kept = with_choices_kept(TEXT)
    assert re.findall(r'%(\S+|".*?") = call double @chosen_double', kept) == ["half", '"or one"']
    without = TEXT.replace("5.0e-1", "%x").replace("[ 1.0,", "[ %x,")
    assert with_choices_kept(without) == without
    assert with_choices_kept(TEXT.replace("[ 1, %failed", "[ 0, %failed")).count("call double") == 3
