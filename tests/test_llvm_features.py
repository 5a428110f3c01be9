"""NumPy and Numba as people use them: lists, sorting, special functions, random numbers, print."""

import math

import numba
import numpy as np
import pytest

from llvm import grad, hvp, value_and_grad
from tests.gradient_checks import CHECKS, Case, flat

X = np.array([0.3, -1.2, 0.7, 2.1, 1.4, -0.5])
P = np.abs(X) + 0.25
Z = np.array([0.5 + 0.3j, -0.7 + 1.1j, 1.2 - 0.4j])
EPS = np.finfo(float).eps


@numba.njit
def gamma_functions(x):
    total = 0.0
    for v in x:
        total += math.gamma(v) + math.lgamma(v) * v + math.erf(v)
    return total


@numba.njit
def complex_powers(z):
    s = 0j
    for v in z:
        s += v ** (v * 0.5 + 0.2) + v**3 + v**-2
    return (s * s).real + np.power(z, 2.5).imag.sum() + (z**2).real.sum()


@numba.njit
def sorting(x):
    """Values move; where they move to does not vary."""
    s = np.sort(x)
    y = x * x
    y.sort()
    o = x[np.argsort(-x)]
    total = 0.0
    for i in range(s.size):
        total += (i + 1) * s[i] ** 2 + y[i] * o[i]
    return total


@numba.njit
def order_statistics(x):
    return np.median(x) ** 2 + np.percentile(x, 30.0) + np.partition(x, 3)[:3].sum() ** 2


@numba.njit
def choosing(x, y):
    a = np.where(x > 0.5, x * x, y)
    b = np.select([x > 1.0, x > 0.0], [x**2, x**3], 2.0)
    return (a * b).sum() + (np.unique(x) ** 2).sum() + (np.roll(x, 2) * x).sum()


@numba.njit
def growing_lists(x):
    values = [0.0]
    for k in range(40):
        values.append(values[-1] * 0.9 + x[k % x.size] ** 2)
    last = values.pop()
    first = values.pop(0)
    values.insert(1, last * first)
    values[2] = x[0] * values[3]
    values.reverse()
    part = values[1:4]
    values += part
    total = 0.0
    for i, v in enumerate(values):
        total += v * (i + 1)
    return total + sum(part) * max(values)


@numba.njit
def lists_of_things(x):
    arrays = [x * 2.0, x**2]
    arrays.append(np.sin(x))
    total = 0.0
    for a in arrays:
        total += a.sum() * a[0]
    for v, i in [(v, i) for i, v in enumerate(x)]:
        total += v * v * i
    ordered = sorted([v * v for v in x])
    return total + ordered[0] * ordered[1] + np.array([v**3 for v in x]).sum()


@numba.stencil
def bend(a):
    return a[-1] - 2.0 * a[0] + a[1] ** 2


@numba.vectorize
def elementwise(a, b):
    return a * a + math.sin(b)


@numba.njit
def kernels(x):
    return (bend(x) ** 2).sum() + (elementwise(x, 2.0 * x) ** 2).sum()


@numba.njit
def indexing(x):
    i = np.array([3, 0, 0, 2])
    y = x * x
    y[i] = x[i] * 2.0
    y[x < 0] = x[1] ** 2
    y[1:3] -= x[0]
    y[::2] *= 2.0
    total = 0.0
    for k in range(3):
        total += (x[k::2] ** 2).sum() * (k + 1) + x[::-1][k] ** 3
    return (y**2).sum() + total + (x[x > 0.5] ** 3).sum()


@numba.njit
def rebound(u):
    """Names that stand for another array in each pass."""
    for _ in range(3):
        new = u.copy()
        new[1:-1] += 0.1 * (u[:-2] + u[2:] - 2.0 * u[1:-1]) * u[1:-1]
        u = new
    return (u * u).sum() + np.diff(u).sum() ** 2


@numba.njit
def at_random(x):
    """Numbers that do not vary; arrays of them, into which something is written that does."""
    np.random.seed(3)
    total = 0.0
    for _ in range(5):
        total += (x[0] + x[1] ** 2 * np.random.randn()) ** 2
    noise = np.random.normal(0.0, 1.0, 6)
    noise[2] = x[1] ** 2
    return total + ((x + noise * x[3]) ** 2).sum() + np.random.uniform(0.0, 1.0) * x[2]


CASES = [
    Case(function=gamma_functions, arguments=(P,)),
    Case(function=complex_powers, arguments=(Z,)),
    Case(function=sorting, arguments=(X,)),
    Case(function=order_statistics, arguments=(X,)),
    Case(function=choosing, arguments=(X, P), argnums=(0, 1)),
    Case(function=growing_lists, arguments=(X,)),
    Case(function=lists_of_things, arguments=(X,)),
    Case(function=kernels, arguments=(X,)),
    Case(function=indexing, arguments=(X,)),
    Case(function=rebound, arguments=(X,)),
    Case(function=at_random, arguments=(X,)),
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__)
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_gradient(case, check):
    check(case)


@numba.njit
def choosing_with_itself(x):
    return choosing(x, x * x)


TWICE = [
    gamma_functions,
    sorting,
    order_statistics,
    choosing_with_itself,
    growing_lists,
    lists_of_things,
    kernels,
    indexing,
    rebound,
]


@pytest.mark.parametrize("function", TWICE, ids=lambda f: f.py_func.__name__)
def test_second_derivative(function):
    """Against differences of fourth order of the gradient."""
    x = P if function is gamma_functions else X
    v = np.array([0.2, 1.0, -0.4, 0.3, -0.7, 0.5])
    step = 1e-3

    def at(k):
        return flat(grad(function)(x + k * step * v))

    _, product = hvp(function, (x,), (v,))
    estimate = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * step)
    np.testing.assert_allclose(product, estimate, rtol=0, atol=1e-7 * np.abs(estimate).max())


def test_known_derivatives_of_gamma_functions():
    """ψ(1) = −γ, Γ'(1) = −γ, ψ'(1) = π²/6."""

    @numba.njit
    def log_gamma(x):
        return math.lgamma(x)

    @numba.njit
    def gamma(x):
        return math.gamma(x)

    assert abs(grad(log_gamma)(1.0) + np.euler_gamma) <= 8 * EPS
    assert abs(grad(gamma)(1.0) + np.euler_gamma) <= 8 * EPS
    assert abs(hvp(log_gamma, (1.0,), (1.0,))[1] - np.pi**2 / 6) <= 16 * EPS


def test_printing(capfd):
    @numba.njit
    def talkative(x):
        print("x is", x)
        return x * x

    assert value_and_grad(talkative)(3.0) == (9.0, 6.0)
    numbers = [line.split()[-1] for line in capfd.readouterr().out.splitlines()]
    assert numbers == ["3.0"]
