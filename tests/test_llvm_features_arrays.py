"""More of NumPy and Numba as people use them: building, searching, kernels, generators."""

import math
import random
from typing import NamedTuple

import numba
import numpy as np
import pytest
from numba import literal_unroll, types
from numba.experimental.jitclass.decorators import jitclass
from numba.extending import intrinsic, overload, register_jitable

from llvm import AutodiffError, grad, hvp, jvp, value_and_grad
from tests.gradient_checks import CHECKS, Case, flat

X = np.array([0.3, -1.2, 0.7, 2.1, 1.4, -0.5])
P = np.abs(X) + 0.25
M = np.array([[0.5, -0.3, 1.1], [0.2, 0.9, -1.4], [2.0, 0.1, 0.35]])


@numba.njit
def putting_together(x, y):
    a, b, c = np.vstack((x, y)), np.hstack((x, y)), np.column_stack((x, y))
    total = a[1, 2] * a[0, 1] + b[3] * b[7] + c[2, 1] * c[0, 0]
    for part in np.array_split(y, 4):
        total += part.sum() ** 2
    total += (np.repeat(x, 2) ** 2).sum() + np.append(x, y)[8] ** 3
    return total + (np.delete(x, 2) ** 2).sum()


@numba.njit
def parts_of_matrices(m):
    a = m * m
    np.fill_diagonal(a, 3.0)
    total = (np.tril(a) * np.rot90(m)).sum()
    return total + (np.diag(m) ** 2).sum()


@numba.njit
def of_matrices(m):
    total = 0.0
    best = np.argmax(m, axis=1)
    for i in range(3):
        total += m[i, best[i]] ** 2
    for (i, j), v in np.ndenumerate(m):
        total += (i + 2 * j + 1) * v * v
    for v in m.flat:
        total += v**3
    k = np.array([2, 0])
    n = m.copy()
    n[k] = 3.0 * m[np.array([0, 1])]
    n[:, k] *= 2.0
    return total + (n**2).sum() + (np.take(m, k) ** 2).sum()


@numba.njit
def of_series(x, y):
    grid = np.linspace(-2.03, 3.0, 6)
    total = (np.interp(x, grid, y) ** 2).sum() + np.trapezoid(y, np.cumsum(x * x)) ** 2
    return total + (np.convolve(x, y[:3]) ** 2).sum() + np.cross(x[:3], y[3:])[1]


@numba.njit
def counting(x, y):
    """Integers made of what varies, which do not."""
    where = np.searchsorted(np.linspace(-2.03, 3.0, 6), x)
    count = np.bincount(np.array([0, 1, 1, 2, 0, 3]), weights=y)
    bars, edges = np.histogram(x, 4, (-2.01, 2.53))
    total = (x * where).sum() + (count**2).sum() + (bars * x[0]).sum() + edges[1]
    return total + np.nanmean(x) * np.nanmax(y) + np.count_nonzero(x > 0.5) * x[1]


class Two(NamedTuple):
    a: np.ndarray
    b: float


@numba.njit
def may_refuse(v):
    if v < 0.0:
        raise ValueError("negative")
    return v * v


@numba.njit
def squares(x):
    for v in x:
        yield v * v


PARTS = (1, 2.5, 3)


@numba.njit
def control(x):
    two = Two(x * 2.0, x[0])
    total = (two.a**2).sum() * two.b
    for v in x:
        try:
            total += may_refuse(v)
        except Exception:
            total += 3.0 * v
    for v in squares(x):
        total = total * 0.5 + v
    for factor in literal_unroll(PARTS):
        total += (x * factor).sum() ** 2
    for i in {0, 2, 3}:
        total += x[i] ** 3
    for i, (a, b) in enumerate(zip(x, x[::-1])):  # noqa: B905
        total += a * b * i
    return total


@numba.guvectorize(["void(float64[:], float64[:], float64[:])"], "(n),(n)->()")
def inner(a, b, result):
    total = 0.0
    for i in range(a.size):
        total += a[i] * b[i]
    result[0] = total


@numba.vectorize(["float64(float64, float64)"])
def frozen(a, b):
    return a * math.sin(b)


@numba.stencil
def cross_shaped(a, b):
    return a[-1, 0] * b[0, 0] + a[1, 0] + a[0, 1] ** 2 + a[0, -1] - 4.0 * a[0, 0]


def overloaded(x):
    raise NotImplementedError


@overload(overloaded)
def _overloaded(x):
    if isinstance(x, types.Array):
        return lambda x: (x**2).sum()
    return lambda x: x * 3.0


@register_jitable
def jitable(x):
    return x[0] * x[1]


@intrinsic
def squared(typing_context, x):
    def codegen(context, builder, signature, arguments):
        return builder.fmul(arguments[0], arguments[0])

    return x(x), codegen


@jitclass([("a", numba.float64), ("v", numba.float64[:])])
class Scaled:
    def __init__(self, a, v):
        self.a = a
        self.v = v

    def total(self):
        return self.a * self.v.sum()


@numba.njit
def extensions(m):
    rows = np.zeros(3)
    inner(m, m, rows)
    total = (rows**2).sum() + (frozen(m, m.T) ** 2).sum() + (cross_shaped(m, m * m) ** 2).sum()
    total += overloaded(m) * overloaded(m[0, 0]) + jitable(m[0]) + squared(m[1, 1])  # pyright: ignore[reportCallIssue]
    scaled = Scaled(m[0, 0] ** 2, m[1] * 2.0)
    scaled.a += 1.0
    return total + scaled.total()


@numba.njit
def more_random(x):
    """Shuffled, drawn, and from Python's generator: all of them are the same each time."""
    np.random.seed(4)
    random.seed(2)
    order = np.random.permutation(x.size)
    total = (x[order] * x).sum() + x[np.random.randint(0, 6)] ** 2
    total += np.random.normal(x[0], x[1] ** 2) ** 2 + np.random.exponential(1.0) * x[2]
    return total + random.gauss(0.0, 1.0) * x[3] + random.random() * x[4] ** 2


CASES = [
    Case(function=putting_together, arguments=(X, P), argnums=(0, 1)),
    Case(function=parts_of_matrices, arguments=(M,)),
    Case(function=of_matrices, arguments=(M,)),
    Case(function=of_series, arguments=(X, P), argnums=(0, 1)),
    Case(function=counting, arguments=(X, P), argnums=(0, 1)),
    Case(function=control, arguments=(X,)),
    Case(function=extensions, arguments=(M,)),
    Case(function=more_random, arguments=(X,)),
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__)
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_gradient(case, check):
    check(case)


@numba.njit
def of_series_of_one(x):
    return of_series(x, x * x + 1.0)


TWICE = [parts_of_matrices, of_matrices, of_series_of_one, control, extensions, more_random]


@pytest.mark.parametrize("function", TWICE, ids=lambda f: f.__name__)
def test_second_derivative(function):
    """Against differences of fourth order of the gradient."""
    x = M if function in (extensions, parts_of_matrices, of_matrices) else X
    v = np.random.default_rng(1).standard_normal(x.shape)
    step = 1e-3

    def at(k):
        return flat(grad(function)(x + k * step * v))

    _, product = hvp(function, (x,), (v,))
    estimate = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * step)
    np.testing.assert_allclose(flat(product), estimate, rtol=0, atol=1e-7 * np.abs(estimate).max())


def test_numba_itself_is_as_it_was():
    """Lists, sets and sorting of functions that are not differentiated."""

    @numba.njit
    def f(x):
        values = [v for v in x]  # noqa: C416
        values.insert(0, 5.0)
        values.pop(2)
        values.sort()
        y = x.copy()
        y.sort()
        return np.array(sorted(values, reverse=True)), y, np.argsort(x), len({1, 2, 3}), values[0]

    grad(control)(X)
    ordered, y, order, size, least = f(X)
    np.testing.assert_array_equal(ordered, [5.0, 2.1, 1.4, 0.7, 0.3, -0.5])
    np.testing.assert_array_equal(y, np.sort(X))
    np.testing.assert_array_equal(order, np.argsort(X))
    assert (size, least) == (3, -0.5)


@numba.njit
def ties(x):
    s = np.sort(x)
    return s[0] + 10.0 * s[1] + 100.0 * s[2]


def test_sorting_of_equal_items():
    """One of the gradients of the pieces that meet there, each derivative going to one item."""
    gradient = grad(ties)(np.array([2.0, 2.0, 1.0]))
    assert gradient[2] == 1.0
    assert sorted(gradient[:2]) == [10.0, 100.0]
    _, tangent = jvp(ties, (np.array([2.0, 2.0, 1.0]),), (np.array([1.0, 2.0, 3.0]),))
    assert tangent == gradient @ [1.0, 2.0, 3.0]


@numba.njit
def mantissa(x):
    m, e = math.frexp(x)
    return math.ldexp(m, 3) * e


def test_powers_of_two():
    value, gradient = value_and_grad(mantissa)(5.0)  # 5 = 0.625 · 2³
    assert (value, gradient) == (8 * 0.625 * 3, 3.0)
    assert hvp(mantissa, (5.0,), (1.0,))[1] == 0.0


@numba.njit
def through_bits(x):
    """Copied as integers, and back: the derivative is that of a copy, or there is an error."""
    bits = x.view(np.int64)
    copied = np.empty(x.size, np.int64)
    for i in range(x.size):
        copied[i] = bits[x.size - 1 - i]
    back = copied.view(np.float64)
    return (back * back * np.arange(x.size)).sum()


def test_views_of_other_types():
    try:
        gradient = grad(through_bits)(X)
    except AutodiffError:
        return  # said so, at least
    np.testing.assert_allclose(gradient, 2 * X * np.arange(6)[::-1], rtol=1e-15)
