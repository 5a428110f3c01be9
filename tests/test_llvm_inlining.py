"""Functions that LLVM would not inline, and bodies of rules that choose between arrays.

Both were silent: with runtime activity, the derivative of a callee that stays a call is lost.
"""

import numpy as np
from numba import njit

import enzyme_rules
from enzyme_rules import LinearRule
from llvm import Const, Duplicated, Reverse, autodiff, grad, hvp, jvp, linear_transpose

# Long enough that LLVM leaves its calls alone.
_LINES = "\n".join(f"        t = t * 0.5 + s * x[(i + {k}) % x.size]" for k in range(60))
_SOURCE = f"""
def spread(row, x, s):
    for i in range(x.size):
        t = s * x[i]
{_LINES}
        row[i] = t
"""
_space: dict = {}
exec(compile(_SOURCE, "<spread>", "exec"), _space)  # noqa: S102
_space["spread"].__module__ = __name__
spread = njit()(_space["spread"])


@njit()
def chosen(x, c, row, flag):
    """Quadratic in x by way of two calls of `spread`; and a name that stands for x or for c."""
    spread(row, x, 1.0)
    total = (row**2).sum()
    spread(row, x, -2.0)
    other = x if flag else c
    return total + row.sum() + (other**3).sum()


def test_calls_with_runtime_activity():
    x, c = np.linspace(0.2, 0.9, 5), np.linspace(1.0, 2.0, 5)
    kept = c.copy()
    for flag in (False, True):
        got = grad(chosen)(x, c, np.zeros(5), flag)
        # Without the cubes it is quadratic in x, so that differences with step 1 are exact.
        want = np.empty(5)
        for i, e in enumerate(np.eye(5)):
            up, down = (chosen(x + s * e, c, np.zeros(5), False) for s in (1.0, -1.0))
            want[i] = (up - down) / 2
        want += 3 * x**2 * flag
        assert np.allclose(got, want, rtol=1e-12)
        _, tangent = jvp(chosen, (x, c, np.zeros(5), flag), (np.ones(5), None, None, None))
        assert np.isclose(tangent, got.sum(), rtol=1e-12)
    assert np.array_equal(c, kept)


@njit()
def pick(y, x, c, take):
    """y = x where `take` is true, else y = 0 by way of the constant: linear in x."""
    source = x if take else c
    for i in range(y.size):
        y[i] = 2.0 * source[i]


enzyme_rules.register(LinearRule(pick))


@njit()
def picked(y, x, c, take):
    pick(y, x, c, take)


def test_a_rule_whose_body_chooses_between_arrays():
    x, c = np.array([1.0, 2.0, 3.0]), np.zeros(3)
    seed = np.array([1.0, 10.0, 100.0])
    for take in (True, False):
        for way in (lambda *a: autodiff(Reverse, *a), linear_transpose):
            y, dy, dx = np.zeros(3), seed.copy(), np.zeros(3)
            way(picked, Duplicated(y, dy), Duplicated(x, dx), Const(c), Const(take))
            assert np.array_equal(dx, 2 * seed * take)
            assert not dy.any()
            assert not c.any()  # not the place of the derivative by x


@njit()
def covariance(x):
    """Its derivative has helpers of Numba's that are never inlined; a cubic polynomial."""
    m = x.reshape((3, 4))
    centred = m - m.mean()
    return (m.sum(axis=1) ** 3).sum() + (centred.T @ centred)[1, 2] + np.cov(m)[0, 1]


def test_helpers_that_stay_out_of_line():
    x, v = np.random.default_rng(0).normal(size=(2, 12))
    gradient, product = hvp(covariance, (x,), (v,))
    # The gradient is quadratic, so that central differences with any step are exact.
    want = (grad(covariance)(x + v) - grad(covariance)(x - v)) / 2
    np.testing.assert_allclose(product, want, rtol=0, atol=1e-13 * np.abs(want).max())
    np.testing.assert_allclose(gradient, grad(covariance)(x), rtol=1e-13)
