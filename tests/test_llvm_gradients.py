"""Gradients of Numba code as people write it: one table of functions, the same checks for each."""

import math
from typing import Any, NamedTuple

import numba
import numpy as np
import pytest

from enzyme_rules import LinearRule, register, unregister
from llvm import Active, Reverse, autodiff, grad, jvp, value_and_grad, vjp
from tests.gradient_checks import CHECKS, Case

X = np.array([0.3, -1.2, 0.7, 2.1])
M = np.array([[0.5, -0.3, 1.1], [0.2, 0.9, -1.4]])


@numba.njit
def cube_sum(x):
    return (x**3).sum()


@numba.njit
def product_rule(x, y, n, flag):
    if flag:
        return math.sin(x) * y**n
    return x


@numba.njit
def scale_into(y, x, a):
    for i in range(x.size):
        y[i] = a * x[i] ** 2


@numba.njit
def add_into(y, x):
    y += 3.0 * x


@numba.njit
def double_in_place(x, n):
    for _ in range(n):
        x *= 2.0
    return x.sum()


@numba.njit
def through_scratch(x, scratch):
    for i in range(x.size):
        scratch[i] = np.exp(x[i])
    total = 0.0
    for i in range(x.size):
        total += scratch[i] * scratch[x.size - 1 - i]
    return total


@numba.njit
def temporaries(x):
    t = np.zeros(x.size)
    u = np.empty_like(x)
    for i in range(x.size):
        t[i] = x[i] * x[i]
        u[i] = np.sin(t[i])
    return (t * u + np.ones(x.size) - np.full(x.size, 0.5)).sum()


@numba.njit
def reductions(x):
    return np.mean(x) * np.var(x) + np.prod(x) + x.std() + np.max(x) - x.min() + np.sum(x * x)


@numba.njit
def scans(x):
    c = np.cumsum(x)
    p = np.cumprod(x)
    return (c * p).sum() + c[::2].sum() - p[1:-1].prod()


@numba.njit
def elementary(x):
    y = np.abs(x) + 0.5
    return (
        np.exp(-y) + np.log(y) * np.sqrt(y) + np.tanh(x) + np.arctan2(x, y) + np.sinh(x)
        + np.cos(x) ** 2 + np.hypot(x, y) + np.log1p(y) + np.expm1(x) + y**1.5
    ).sum()  # fmt: skip


@numba.njit
def shapes(m):
    t = m.T.copy()
    flat = m.ravel()
    r = t.reshape(m.size)
    s = np.concatenate((flat[:3], r[3:]))
    return (
        (s * flat).sum() + np.outer(flat, r)[1, 2] + np.flip(flat)[0] + np.clip(s, 0.0, 1.0).sum()
    )


@numba.njit
def axis_sums(m):
    return (m.sum(axis=0) ** 2).sum() + (m.sum(axis=1) ** 3).sum()


@numba.njit
def broadcasting(m, v):
    return ((m * v + v[0]) ** 2 / (1.0 + m * m)).sum()


@numba.njit
def newton_sqrt(a):
    x = a
    while abs(x * x - a) > 1e-14 * a:
        x = 0.5 * (x + a / x)
    return x


@numba.njit
def early_exit(x, limit):
    total = 0.0
    for value in x:
        if value < 0.0:
            continue
        total += value * value
        if total > limit:
            break
    return total


@numba.njit
def branches(x):
    total = 0.0
    for i in range(x.size):
        if x[i] > 1.0:
            total += x[i] ** 2
        elif x[i] < 0.0:
            total -= np.exp(x[i])
        else:
            total += 3.0 * x[i]
    return total


@numba.njit
def power(x, n):
    return 1.0 if n == 0 else x * power(x, n - 1)


@numba.njit
def square(x):
    return x * x


square(1.0)  # compiled before any gradient is asked for


@numba.njit
def nested(x):
    offset = x[0]

    def inner(v):
        return square(v) + offset

    total = 0.0
    for v in x:
        total += inner(v) * square(v)
    return total


def closing_over(array, factor):
    @numba.njit
    def closure(x):
        return factor * (array * x**2).sum()

    return closure


@numba.njit
def defaults(x, a=2.0, n=3):
    return a * x**n


@numba.njit(error_model="numpy")
def numpy_errors(x, y):
    return x / y


@numba.njit(boundscheck=True)
def bounds_checked(x):
    total = 0.0
    for i in range(x.size):
        total += x[i] * x[-1 - i]
    return total


@numba.njit(fastmath=True)
def fast(x):
    total = 0.0
    for i in range(x.size):
        total += np.sin(x[i]) * x[i]
    return total


@numba.njit
def gather(x, index, mask):
    total = 0.0
    for k in range(index.size):
        if mask[k]:
            total += x[index[k]] ** 2
    return total


@numba.njit
def fancy(x, index):
    return (x[index] ** 2).sum() + (x[x > 0.0] ** 3).sum()


class State(NamedTuple):
    position: np.ndarray
    momentum: np.ndarray
    mass: float
    steps: int


@numba.njit
def energy(state):
    kinetic = (state.momentum**2).sum() / (2.0 * state.mass)
    return kinetic + state.steps * (state.position**4).sum()


def energy_gradient(state) -> Any:
    p = state.momentum
    nothing: Any = None
    return State(
        4 * state.steps * state.position**3, p / state.mass, -(p @ p) / (2 * state.mass**2), nothing
    )


@numba.njit
def of_tuples(nested, scale):
    (a, b), c = nested
    return scale * (a * b[0]).sum() + c * c


@numba.njit
def leapfrog(state, weights):
    q = state.position.copy()
    p = state.momentum.copy()
    for _ in range(state.steps):
        p -= 0.05 * 4.0 * q**3
        q += 0.1 * p / state.mass
        p -= 0.05 * 4.0 * q**3
    return (weights * q).sum() + (p * p).sum()


@numba.njit
def inner_tuples(x):
    pair = (x[:2] * 2.0, x[2:])
    total = 0.0
    for part in pair:
        total += (part**2).sum()
    return total


@numba.njit
def stencil(x, n):
    a = x.copy()
    b = np.zeros_like(a)
    for _ in range(n):
        for i in range(1, a.size - 1):
            b[i] = 0.25 * a[i - 1] + 0.5 * a[i] + 0.25 * a[i + 1] * a[i]
        a, b = b, a
    return (a * a).sum()


@numba.njit
def optional(x, weights=None):
    if weights is None:
        return (x * x).sum()
    return (weights * x * x).sum()


@numba.njit
def variadic(x, *rest):
    return x * rest[0] + rest[1] ** 2


@numba.njit
def applies(g, x):
    return g(x) * x


STATE = State(np.array([0.4, -0.2]), np.array([0.1, 0.3]), 1.7, 3)
CASES = [
    Case(function=cube_sum, arguments=(X,), exact=lambda x: 3 * x**2),
    Case(
        function=product_rule,
        arguments=(0.7, 1.3, 3, True),
        argnums=(1, 0),
        exact=lambda x, y, n, _: (n * math.sin(x) * y ** (n - 1), math.cos(x) * y**n),
    ),
    Case(
        function=scale_into,
        arguments=(np.zeros(4), X, 1.5),
        argnums=(1, 2),
        outputs=(0,),
        exact=lambda y, x, a: (2 * a * x, (x**2).sum()),
    ),
    Case(
        function=add_into,
        arguments=(np.ones(4), X),
        argnums=(0, 1),
        outputs=(0,),
        exact=lambda y, x: (np.ones(4), np.full(4, 3.0)),
    ),
    Case(
        function=double_in_place,
        arguments=(X, 3),
        scratch=(0,),
        exact=lambda x, n: np.full(4, 8.0),
    ),
    Case(
        function=through_scratch,
        arguments=(X, np.zeros(4)),
        scratch=(1,),
        exact=lambda x, _: 2 * np.exp(x + x[::-1]),
    ),
    Case(
        function=temporaries,
        arguments=(X,),
        exact=lambda x: 2 * x * np.sin(x**2) + 2 * x**3 * np.cos(x**2),
    ),
    Case(function=reductions, arguments=(X,)),
    Case(function=scans, arguments=(X,)),
    Case(function=elementary, arguments=(X,)),
    Case(function=shapes, arguments=(M,)),
    Case(
        function=axis_sums,
        arguments=(M,),
        exact=lambda m: 2 * m.sum(0) + 3 * m.sum(1)[:, None] ** 2,
    ),
    Case(function=broadcasting, arguments=(M, np.array([0.3, 0.6, -0.9])), argnums=(0, 1)),
    Case(function=newton_sqrt, arguments=(2.0,), exact=lambda a: 0.5 / math.sqrt(a)),
    Case(function=early_exit, arguments=(X, 0.5), exact=lambda x, _: 2 * x * [1, 0, 1, 0]),
    Case(
        function=branches,
        arguments=(X,),
        exact=lambda x: np.array([3, -np.exp(x[1]), 3, 2 * x[3]]),
    ),
    Case(function=power, arguments=(1.1, 4), exact=lambda x, n: n * x ** (n - 1)),
    Case(
        function=nested,
        arguments=(X,),
        exact=lambda x: 4 * x**3 + 2 * x * x[0] + (x @ x) * np.array([1, 0, 0, 0]),
    ),
    Case(
        function=closing_over(np.array([1.0, 2, 3, 4]), 0.5),
        arguments=(X,),
        exact=lambda x: x * [1, 2, 3, 4],
    ),
    Case(
        function=defaults,
        arguments=(1.2, 2.0, 3),
        argnums=(0, 1),
        exact=lambda x, a, n: (a * n * x ** (n - 1), x**n),
    ),
    Case(
        function=numpy_errors,
        arguments=(1.2, 0.4),
        argnums=(0, 1),
        exact=lambda x, y: (1 / y, -x / y**2),
    ),
    Case(function=bounds_checked, arguments=(X,), exact=lambda x: 2 * x[::-1]),
    Case(function=fast, arguments=(X,), exact=lambda x: np.sin(x) + x * np.cos(x)),
    Case(
        function=gather,
        arguments=(X, np.array([0, 2, 2, 1]), np.array([True, True, True, False])),
        exact=lambda x, *_: 2 * x * [1, 0, 2, 0],
    ),
    Case(
        function=fancy,
        arguments=(X, np.array([0, 2, 2, 1])),
        exact=lambda x, _: 2 * x * [1, 1, 2, 0] + 3 * x**2 * (x > 0),
    ),
    Case(function=energy, arguments=(STATE,), exact=lambda s: (energy_gradient(s),)),
    Case(
        function=of_tuples,
        arguments=(((X, np.array([2.0])), 0.5), 3.0),
        argnums=(0, 1),
        exact=lambda t, s: (
            ((np.full(4, s * t[0][1][0]), np.array([s * t[0][0].sum()])), 2 * t[1]),
            (t[0][0] * t[0][1][0]).sum(),
        ),
    ),
    Case(function=leapfrog, arguments=(STATE, np.array([1.0, 2.0]))),
    Case(function=inner_tuples, arguments=(X,), exact=lambda x: 2 * x * [4, 4, 1, 1]),
    Case(function=stencil, arguments=(X, 3)),
    Case(function=optional, arguments=(X, None), exact=lambda x, _: 2 * x),
    Case(function=optional, arguments=(X, X + 3), exact=lambda x, w: 2 * w * x),
    Case(
        function=variadic,
        arguments=(1.5, 2.0, 3.0),
        argnums=(0, 1, 2),
        exact=lambda x, a, b: (a, x, 2 * b),
    ),
    Case(function=applies, arguments=(square, 1.5), argnums=(1,), exact=lambda g, x: 3 * x**2),
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_gradient(case, check):
    check(case)


def test_arguments_to_vary_are_copied_where_the_function_writes():
    """The gradient can be asked for twice; what does not vary is written, as by the function."""
    x, scratch = X.copy(), np.zeros(4)
    first = grad(double_in_place)(x, 3)
    np.testing.assert_array_equal(first, grad(double_in_place)(x, 3))
    np.testing.assert_array_equal(x, X)
    grad(through_scratch)(x, scratch)
    np.testing.assert_allclose(scratch, np.exp(X), rtol=1e-15)


def test_defaults_and_keywords():
    assert grad(defaults)(1.5) == 2 * 3 * 1.5**2
    assert grad(defaults)(x=1.5, n=2) == 2 * 2 * 1.5
    assert grad(defaults, argnums=1)(1.5, a=7.0) == 1.5**3
    assert grad(defaults, argnums=-2)(1.5) == 1.5**3
    value, pullback = vjp(defaults, 1.5, argnums=0)
    assert (value, pullback(1.0)) == (2 * 1.5**3, (2 * 3 * 1.5**2,))
    assert jvp(defaults, (1.5,), (2.0,)) == (2 * 1.5**3, 2 * 2 * 3 * 1.5**2)
    assert autodiff(Reverse, defaults, Active(1.5)) == (2 * 3 * 1.5**2,)


def test_shape_of_the_result():
    """One position gives the gradient, several a tuple; the name is the function's."""
    x = X.copy()
    assert isinstance(grad(cube_sum)(x), np.ndarray)
    assert isinstance(grad(cube_sum, argnums=(0,))(x), tuple)
    value, gradient = value_and_grad(cube_sum)(x)
    assert isinstance(value, float)
    assert isinstance(gradient, np.ndarray)
    assert vars(grad(cube_sum))["__name__"] == "cube_sum"
    assert repr(grad(cube_sum)) == "grad(cube_sum, argnums=0)"


def test_vjp_keeps_its_point():
    """What happens to the arrays afterwards does not move the pullback."""
    x = X.copy()
    value, pullback = vjp(cube_sum, x)
    x[:] = 0.0
    np.testing.assert_allclose(pullback(2.0)[0], 6 * X**2, rtol=1e-15)
    assert value == cube_sum(X)


def test_none_is_a_zero_cotangent():
    _, pullback = vjp(scale_into, np.zeros(4), X, 1.5)
    assert [np.abs(d).max() for d in pullback(None)] == [0.0, 0.0, 0.0]


def test_nan_goes_through():
    x = X.copy()
    x[1] = np.nan
    value, gradient = value_and_grad(cube_sum)(x)
    assert np.isnan(value)
    np.testing.assert_array_equal(np.isnan(gradient), [False, True, False, False])


def test_slices_of_matrices_written_in_place():
    """Numba's message for shapes that do not fit is made of lists, which have no derivative."""

    @numba.njit
    def f(x, c):
        x[1:] *= c[:-1]
        x[:] = x * c[::-1]
        return x.sum()

    x, c = np.arange(1.0, 7.0).reshape(3, 2), np.arange(2.0, 8.0).reshape(3, 2)
    want = np.stack([c[2], c[0] * c[1], c[1] * c[0]])
    np.testing.assert_allclose(grad(f)(x, c), want, rtol=1e-15)
    with pytest.raises(ValueError, match="broadcast"):
        grad(f)(x, c.reshape(2, 3))


def test_rule_registered_after_the_gradient_was_compiled():
    @numba.njit
    def copy_into(y, x):
        y[:] = x

    @numba.njit
    def seven_times(dy, dx):
        dx += 7 * dy

    @numba.njit
    def f(x):
        y = np.empty_like(x)
        copy_into(y, x)
        return y.sum()

    gradient, x = grad(f), np.ones(2)
    assert gradient(x).tolist() == [1.0, 1.0]
    rule = LinearRule(copy_into, adjoint=seven_times)
    register(rule)
    try:
        assert gradient(x).tolist() == [7.0, 7.0]
    finally:
        unregister(rule)
    assert gradient(x).tolist() == [1.0, 1.0]
