"""Compiled functions, called by other @njit code and by what is differentiated."""

from typing import Any, NamedTuple

import numba
import numpy as np
import pytest
from numba import typeof

from enzyme_rules import LinearRule, register, unregister
from llvm import compiled, grad, jvp
from llvm._fingerprint import fingerprint
from llvm._request import Mode, Question

X = np.array([0.5, -1.0, 2.0])


class Plan(NamedTuple):
    factor: float
    weights: np.ndarray
    shift: tuple[int, np.ndarray]


def plan():
    return Plan(2.0, np.array([1.0, 2.0, 3.0]), (1, np.array([10.0, 20.0, 30.0])))


@numba.njit
def apply(out, x, p):
    for i in range(len(x)):
        out[i] = p.factor * p.weights[i] * x[i] + p.shift[0] * p.shift[1][i]


@numba.njit
def total(x, scale=2.0):
    return scale * (x * x).sum()


@numba.njit
def checks(out, x, p):
    if len(out) != len(x):
        raise ValueError("lengths differ")
    out[:] = p.factor * x
    if out[0] > 100.0:
        raise ValueError("too much")


fast_apply, fast_checks = compiled(apply), compiled(checks)
fast_total: Any = compiled(total)


@numba.njit
def call_apply(out, x, p):
    fast_apply(out, x, p)


@numba.njit
def call_total(x):
    return fast_total(x) + fast_total(x, 1.0)


@numba.njit
def call_checks(out, x, p):
    fast_checks(out, x, p)


def test_as_the_function_itself():
    want, found, inside = np.empty(3), np.empty(3), np.empty(3)
    apply(want, X, plan())
    fast_apply(found, X, plan())
    call_apply(inside, X, plan())
    np.testing.assert_array_equal(found, want)
    np.testing.assert_array_equal(inside, want)
    assert call_total(X) == total(X) + total(X, 1.0)


def test_a_view_is_copied_where_it_is_read():
    want, found = np.empty(3), np.empty(3)
    x = np.arange(6.0)[::2]
    apply(want, x, plan())
    call_apply(found, x, plan())
    np.testing.assert_array_equal(found, want)


def test_a_view_is_refused_where_it_is_written():
    with pytest.raises(numba.TypingError, match="contiguous arrays where the function writes"):
        call_apply(np.empty(6)[::2], X, plan())


def test_exceptions():
    with pytest.raises(ValueError, match="lengths differ"):
        call_checks(np.empty(2), X, plan())
    with pytest.raises(ValueError, match="too much"):
        call_checks(np.empty(3), 99.0 * X + 100.0, plan())


@pytest.mark.parametrize("shared", ["input", "plan", "nested"])
def test_overlaps(shared):
    p = plan()
    memory = {"input": X.copy(), "plan": p.weights, "nested": p.shift[1]}
    x = memory["input"]
    before = memory[shared].copy()
    with pytest.raises(
        ValueError, match=r"`apply`, compiled .* do not overlap where one is written"
    ):
        call_apply(memory[shared], x, p)
    np.testing.assert_array_equal(memory[shared], before)
    call_apply(memory[shared][:0], x[:0], p)  # nothing shares no memory


@numba.njit
def double_and_halve(double, half, x, y):
    for i in range(3):
        double[i] = 2.0 * x[i] + y[i]
        half[i] = 0.5 * x[i] + y[i]


fast_double_and_halve = compiled(double_and_halve)


@numba.njit
def call_double_and_halve(double, half, x, y):
    fast_double_and_halve(double, half, x, y)


@pytest.mark.parametrize("first", [(0, 3, 6, 9), (9, 6, 3, 0), (0, 3, 6, 6), (4, 7, 0, 1)])
def test_side_by_side_is_apart(first):
    memory = np.arange(12.0)
    double, half, x, y = (memory[k : k + 3] for k in first)
    want = 2.0 * x + y, 0.5 * x + y
    call_double_and_halve(double, half, x, y)
    np.testing.assert_array_equal((double, half), want)


@pytest.mark.parametrize(
    "first", [(0, 2, 6, 9), (2, 0, 6, 9), (0, 3, 5, 9), (0, 3, 9, 1), (3, 6, 0, 4)]
)
def test_one_shared_item_is_an_overlap(first):
    memory = np.arange(12.0)
    with pytest.raises(ValueError, match="do not overlap where one is written"):
        call_double_and_halve(*(memory[k : k + 3] for k in first))
    np.testing.assert_array_equal(memory, np.arange(12.0))


@numba.njit
def loss(x, out, p):
    fast_apply(out, x, p)
    return (out * out).sum() + fast_total(x)


@numba.njit
def plain_loss(x, out, p):
    apply(out, x, p)
    return (out * out).sum() + total(x)


def test_differentiated_as_the_function_itself():
    want = grad(plain_loss)(X, np.empty(3), plan())
    np.testing.assert_array_equal(grad(loss)(X, np.empty(3), plan()), want)
    t = np.array([1.0, -0.5, 0.25])
    _, tangent = jvp(loss, (X, np.empty(3), plan()), (t, None, None))
    np.testing.assert_allclose(tangent, want @ t, rtol=1e-14)


@numba.njit
def doubled(out, x):
    out[:] = 2.0 * x


@numba.njit
def ruled_loss(x, out):
    fast_doubled(out, x)
    return out.sum()


fast_doubled = compiled(doubled)


@numba.njit
def tripled_adjoint(dout, dx):
    dx += 3.0 * dout
    dout[:] = 0.0


def test_the_functions_rule_is_heeded():
    rule = LinearRule(doubled, adjoint=tripled_adjoint)  # wrong, so that it is seen
    register(rule)
    try:
        np.testing.assert_array_equal(grad(ruled_loss)(X, np.empty(3)), np.full(3, 3.0))
    finally:
        unregister(rule)
    np.testing.assert_array_equal(grad(ruled_loss)(X, np.empty(3)), np.full(3, 2.0))


def test_what_calls_it_has_a_key():
    """The one of the function, so that gradients are found on disk."""

    def key(function):
        types = tuple(typeof(a) for a in (X, np.empty(3), plan()))
        return fingerprint(function, Question(Mode.REVERSE, types, (True, False, False)), "1")

    assert key(loss) is not None
    assert key(loss) != key(plain_loss)
