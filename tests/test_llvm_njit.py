"""Derivatives called inside other @njit code: the same as from Python, in loops and threads."""

import sys
import threading
from typing import Any, NamedTuple

import numba
import numpy as np
import pytest
from numba.core.errors import TypingError

from enzyme_rules import CustomRule, register, unregister
from llvm import AutodiffError, grad, hessian, hvp, jacfwd, jacrev, jvp, value_and_grad

RNG = np.random.default_rng(6)
X = RNG.standard_normal(4)
EPS = np.finfo(float).eps


class Model(NamedTuple):
    scale: float
    weights: Any
    count: int


@numba.njit
def rosenbrock(x):
    total = 0.0
    for i in range(x.size - 1):
        total += 100 * (x[i + 1] - x[i] ** 2) ** 2 + (1 - x[i]) ** 2
    return total


@numba.njit
def many_kinds(x, z, model, m, flag=True):
    """Of every kind of argument: arrays, complex numbers, a named tuple, a function's default."""
    s = (m * x[0]).sum() * model.scale + (z * z).imag
    if flag:
        s += (model.weights * x[:2]).sum() * model.count
    return s


@numba.njit
def half_done(x, counter):
    counter[0] += 1.0
    if x[0] > 5.0:
        raise ValueError("too large")
    x *= 2.0
    return x.sum() * counter[0]


@numba.njit
def single(x, a):
    return a * (x * x).sum()


@numba.njit
def shifted(x, a):
    return np.sin(x) * x[0] * a


@numba.njit
def turned(x, a):
    return np.exp(1j * a * x) * x[0]


@numba.njit
def filled(a, y, x):
    y[: x.size] = x
    return a * y.sum()


@numba.njit
def moved(y, x):
    y[: x.size] += 2.0 * x
    return (y * y).sum()


gradient = grad(rosenbrock)
of_moved = grad(moved)
of_moved_by_source = grad(moved, argnums=1)
of_filled = grad(filled)
hessian_matrix = hessian(rosenbrock)
of_many = value_and_grad(many_kinds, argnums=(0, 1, 2, 3))
of_half_done = value_and_grad(half_done)
of_single = value_and_grad(single, argnums=(0, 1))
forward_matrix, reverse_matrix = jacfwd(shifted), jacrev(shifted)
complex_columns, complex_rows = jacfwd(turned), jacrev(turned)


@numba.njit
def descend(x, rate, steps):
    for _ in range(steps):
        x = x - rate * gradient(x)
    return x


@numba.njit
def newton(x, steps):
    for _ in range(steps):
        x = x - np.linalg.solve(hessian_matrix(x), gradient(x))
    return x


@numba.njit
def all_kinds(x, z, model, m):
    return of_many(x, z, model, m), of_many(x, z, model, m, False)


@numba.njit
def call_half_done(x, counter):
    return of_half_done(x, counter)


@numba.njit
def call_filled(a, y, x):
    return of_filled(a, y, x)


@numba.njit
def call_moved(y, x):
    return of_moved(y, x)


@numba.njit
def call_moved_by_source(y, x):
    return of_moved_by_source(y, x)


@numba.njit
def call_single(x, a):
    return of_single(x, a)


@numba.njit
def products(x, t):
    return (
        hvp(rosenbrock, (x,), (t,)),
        jvp(rosenbrock, (x,), (t,)),
        jvp(shifted, (x, 2.0), (t, 0.5)),
        hvp(single, (x, 2.0), (t, 0.5)),
    )


@numba.njit
def matrices(x):
    return forward_matrix(x, 2.0), reverse_matrix(x, 2.0)


@numba.njit(parallel=True)
def in_prange(points):
    out = np.empty_like(points)
    for i in numba.prange(points.shape[0]):
        out[i] = gradient(points[i])
    return out


def same(got, want):
    """In the same form, and the same numbers: compiled twice, sums may be taken in two orders."""
    assert type(got) is type(want)
    if isinstance(want, tuple):
        for g, w in zip(got, want, strict=True):
            same(g, w)
    elif np.asarray(want).dtype.kind in "fc":
        eps = np.finfo(np.asarray(want).dtype).eps
        np.testing.assert_allclose(got, want, rtol=4 * eps, atol=4 * eps)
    else:
        np.testing.assert_array_equal(got, want)


def test_gradient_descent_and_newton_as_a_whole():
    x = X.copy()
    for _ in range(5):
        x = x - 1e-3 * gradient(x)
    np.testing.assert_allclose(descend(X, 1e-3, 5), x, rtol=0, atol=64 * EPS)
    # Rosenbrock's minimum is at ones, and Newton's method finds it to the last digits.
    np.testing.assert_allclose(newton(np.full(4, 0.5), 20), np.ones(4), rtol=0, atol=64 * EPS)


def test_every_kind_of_argument():
    m = RNG.standard_normal((6, 4))[::2, ::-1]  # neither C nor Fortran contiguous
    model = Model(0.5, np.array([2.0, -1.0]), 3)
    arguments = (X, 1.0 + 2.0j, model, m)
    with_flag, without = all_kinds(*arguments)
    same(with_flag, of_many(*arguments))
    same(without, of_many(*arguments, False))
    assert with_flag[1][2].count is None
    single_precision = X.astype(np.float32), np.float32(1.5)
    got, want = call_single(*single_precision), of_single(*single_precision)
    assert got[1][0].dtype == np.float32
    same(got[1][0], want[1][0])
    np.testing.assert_allclose(got[0], want[0], rtol=float(np.finfo(np.float32).eps))


def test_products_and_matrices():
    t = RNG.standard_normal(4)
    first, second, third, fourth = products(X, t)
    same(first, hvp(rosenbrock, (X,), (t,)))
    same(second, jvp(rosenbrock, (X,), (t,)))
    same(third, jvp(shifted, (X, 2.0), (t, 0.5)))
    same(fourth, hvp(single, (X, 2.0), (t, 0.5)))
    forward, reverse = matrices(X)
    same(forward, forward_matrix(X, 2.0))
    same(reverse, reverse_matrix(X, 2.0))


def test_what_the_function_writes():
    """Differentiated by: copied first. Constant: written. As from Python."""
    x, counter = X.copy(), np.zeros(1)
    value, slope = call_half_done(x, counter)
    same((x, counter), (X, np.ones(1)))
    np.testing.assert_allclose([value, *slope], [2 * X.sum(), *np.full(4, 2.0)], rtol=8 * EPS)


def test_exceptions_are_the_functions_own():
    x, counter = np.full(4, 9.0), np.zeros(1)
    with pytest.raises(ValueError, match="too large"):
        call_half_done(x, counter)
    same(x, np.full(4, 9.0))
    with pytest.raises(ValueError, match="do not overlap where one is written"):
        call_filled(1.0, x, x[1:])


def test_copies_do_not_hide_what_is_shared():
    """A copy is made of what is written and differentiated by, and of what is no C or F array."""
    both = np.concatenate((X, X))
    grid = np.outer(X, X)
    for y, x in ((both[:4], both[1:4]), (both, both[::2]), (both, both[::-2])):
        for call in (call_moved, call_moved_by_source):
            with pytest.raises(ValueError, match="do not overlap where one is written"):
                call(y, x)
    with pytest.raises(ValueError, match="do not overlap where one is written"):
        call_moved(grid[0], grid[:, 0])
    y = both[:4].copy()
    same(call_moved(both[:4], both[4:7]), 2 * (y + 2 * np.append(y[:3], 0)))
    same(call_moved(both[:4], both[7:4:-1]), 2 * (y + 2 * np.append(y[:0:-1], 0)))
    assert call_moved(both[:4], both[4:4:2]).size == 4


def test_in_prange_and_in_python_threads():
    points = RNG.standard_normal((200, 7))
    want = np.stack([gradient(p) for p in points])
    same(in_prange(points), want)

    @numba.njit(nogil=True)
    def rows(points, out):
        for i in range(points.shape[0]):
            out[i] = gradient(points[i])

    out = np.zeros_like(points)
    threads = [
        threading.Thread(target=rows, args=(points[k::4].copy(), out[50 * k : 50 * k + 50]))
        for k in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k in range(4):
        same(out[50 * k : 50 * k + 50], want[k::4])


def test_no_memory_is_lost():
    """Many gradients of a function that allocates, none of which is kept."""

    @numba.njit
    def allocating(x):
        y = np.exp(x)
        z = np.empty((x.size, 3))
        for i in range(x.size):
            z[i] = y[i] * x[i]
        return (z * z).sum()

    slope = grad(allocating)

    @numba.njit
    def repeat(x, n):
        total = 0.0
        for _ in range(n):
            total += slope(x)[0]
        return total

    resource: Any = pytest.importorskip("resource")
    x = np.ones(20_000)
    repeat(x, 10)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    repeat(x, 2_000)  # 0.5 MB and more each: a GB if it were kept
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unit = 1 if sys.platform == "darwin" else 1024
    assert (after - before) * unit < 50e6


@numba.njit
def doubled_into(y, x):
    y[:] = 2 * x


@numba.njit
def augmented(y, dy, x, dx):
    y[:] = 2 * x
    if x[0] > 5.0:
        raise ValueError("inside a rule")


@numba.njit
def reverse(y, dy, x, dx):
    dx += 2 * dy
    dy[:] = 0


@numba.njit
def through_rule(x):
    y = np.empty_like(x)
    doubled_into(y, x)
    return y.sum()


def test_a_rule_that_fails():
    rule = CustomRule(doubled_into, augmented_primal=augmented, reverse=reverse)
    register(rule)
    try:
        slope = grad(through_rule)

        @numba.njit
        def call(x):
            return slope(x)

        same(call(np.ones(2)), np.full(2, 2.0))
        with pytest.raises(RuntimeError, match="the derivative of `through_rule` failed: a rule"):
            call(np.full(2, 9.0))
    finally:
        unregister(rule)


@numba.njit
def starred(*xs):
    return xs[0] + xs[1]


@numba.njit
def doubly(x):
    return gradient(x)[0]


@numba.njit
def doubly_by_product(x):
    return hvp(rosenbrock, (x,), (x,))[1][0]


def test_what_is_refused():
    with pytest.raises(TypingError, match="differentiates by floating-point and complex argument"):
        call_single(X.astype(int), 1.0)
    for function in (doubly, doubly_by_product):
        with pytest.raises(
            AutodiffError, match="`rosenbrock` inside of .* has no derivative itsel"
        ):
            grad(function)(X)

    slope = grad(starred, argnums=(0, 1))

    @numba.njit
    def call():
        return slope(1.0, 2.0)

    with pytest.raises(TypeError, match="no derivative of `starred`, which takes \\*xs. Have it"):
        call()

    by_number = hessian(single, argnums=1)

    @numba.njit
    def second(x):
        return by_number(x, 1.0)

    with pytest.raises(TypingError, match="differentiates by one array of real numbers"):
        second(X)


@numba.njit
def complex_matrices(x, a):
    return complex_columns(x, a), complex_rows(x, a)


def test_jacobians_of_complex_results():
    x, a = np.array([0.4, -1.2, 0.7]), 1.5
    turned_by = np.exp(1j * a * x)
    want = 1j * a * x[0] * np.diag(turned_by)
    want[:, 0] += turned_by
    for found in complex_matrices(x, a):
        assert found.dtype == np.complex128
        np.testing.assert_allclose(found, want, rtol=0, atol=1e-15)
