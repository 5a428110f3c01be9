"""Functions with their last arguments fixed: as the long way, in less time."""

from typing import NamedTuple

import numpy as np
import pytest
from numba import njit

from enzyme_rules import LinearRule, register, unregister
from llvm import Bound, Const, Duplicated, linear_transpose


class Plan(NamedTuple):
    weights: np.ndarray
    power: int


@njit()
def weigh(y, x, plan, work):
    """y = w² x, by way of work = w x."""
    if plan.power != 2:
        raise ValueError("power must be", plan.power)
    for i in range(x.size):
        work[i] = plan.weights[i] * x[i]
    for i in range(x.size):
        y[i] = plan.weights[i] * work[i]


def given(n=5):
    rng = np.random.default_rng(n)
    return rng.normal(size=n), Plan(rng.normal(size=n), 2), np.full(n, np.nan)


def test_forwards():
    x, plan, work = given()
    bound = Bound(weigh, (plan, work))
    for scale in (1.0, -2.0):  # the second call takes the short way
        y = np.zeros(5)
        bound(y, scale * x)
        assert np.array_equal(y, plan.weights * (plan.weights * (scale * x)))


def test_transposed_is_linear_transpose():
    _, plan, work = given()
    bound = Bound(weigh, (plan, work), transposed=True)
    rng = np.random.default_rng(1)
    for _ in range(3):
        seed = rng.normal(size=5)
        want, used = np.ones(5), seed.copy()
        y, x = np.zeros(5), np.zeros(5)
        linear_transpose(weigh, Duplicated(y, used), Duplicated(x, want), Const(plan), Const(work))
        gradient, cotangent = np.ones(5), seed.copy()
        bound(y, x, shadows=(cotangent, gradient))
        # The shadow of the work space, made once, was left at zero by the call before.
        assert np.array_equal(gradient, want)
        assert not cotangent.any()


def test_other_sizes_and_types():
    x, plan, work = given(5)
    bound = Bound(weigh, (plan, work))
    for y, z in ((np.zeros(3), x[:3].copy()), (np.zeros(5), x), (np.zeros(3, np.float32), x[:3])):
        bound(y, z)
        assert np.allclose(y, plan.weights[: z.size] ** 2 * z, rtol=1e-6)


def test_overlap_is_refused():
    x, plan, work = given()
    bound = Bound(weigh, (plan, work))
    bound(np.zeros(5), x)
    for y in (x, work):
        kept = x.copy()
        with pytest.raises(ValueError, match="do not overlap"):
            bound(y, x)
        assert np.array_equal(x, kept)


def test_strided_arrays_are_refused():
    x, plan, work = given()
    bound = Bound(weigh, (plan, work))
    for _ in range(2):
        with pytest.raises(ValueError, match="C-contiguous"):
            bound(np.zeros(10)[::2], x)


def test_exceptions_of_the_function_arrive():
    x, plan, work = given()
    bound = Bound(weigh, (plan._replace(power=3), work))
    for _ in range(2):
        with pytest.raises(ValueError, match="power must be"):
            bound(np.zeros(5), x)


def test_arrays_that_are_alike():
    x, plan, work = given()
    run = Bound(weigh, (plan, work)).like(np.zeros(5), x)
    for scale in (1.0, -2.0, 3.0):
        y = np.zeros(5)
        run(y, scale * x)
        assert np.array_equal(y, plan.weights * (plan.weights * (scale * x)))


def test_shadows_that_are_alike():
    _, plan, work = given()
    bound = Bound(weigh, (plan, work), transposed=True)
    primals = np.zeros(5), np.zeros(5)
    run = bound.like(*primals, shadows=(np.zeros(5), np.zeros(5)))
    for scale in (1.0, -2.0, 3.0):
        (want, found), seed = np.ones((2, 5)), scale * np.arange(5.0)
        bound(np.zeros(5), np.zeros(5), shadows=(seed.copy(), want))
        run(seed, found)
        assert np.array_equal(found, want)
        assert not seed.any()
    with pytest.raises(ValueError, match="do not overlap"):
        run(primals[0], np.zeros(5))


def test_overlaps_are_looked_for_in_each_call():
    plan, work = Plan(np.arange(1.0, 6.0), 2), np.zeros(5)
    memory = np.zeros(40)
    bound = Bound(weigh, (plan, memory[15:20]))
    run = bound.like(memory[:5], memory[5:10])
    # Right up to the work space from both sides, and one item into it.
    for call in (run, bound):
        call(memory[10:15], memory[20:25])
        call(memory[20:25], memory[10:15])
        call(memory[0:5], memory[35:40])
        for first, second in ((11, 20), (19, 5), (5, 11), (0, 19), (0, 4), (4, 0), (7, 7)):
            with pytest.raises(ValueError, match="do not overlap"):
                call(memory[first : first + 5], memory[second : second + 5])
    run = Bound(weigh, (plan, plan.weights)).like(work, np.ones(5))
    with pytest.raises(ValueError, match="do not overlap"):
        run(work, np.ones(5))


def test_exceptions_arrive_from_arrays_that_are_alike():
    x, plan, work = given()
    run = Bound(weigh, (plan._replace(power=3), work)).like(np.zeros(5), x)
    for _ in range(2):
        with pytest.raises(ValueError, match="power must be"):
            run(np.zeros((5, 1)), x[None])


@njit()
def double_into(y, x):
    for i in range(len(x)):
        y[i] = 2.0 * x[i]


@njit()
def call_double(y, x, plan):
    double_into(y, x)


@njit()
def triple_back(dy, dx):
    for i in range(len(dx)):
        dx[i] += 3.0 * dy[i]


def test_rules_that_come_later_are_heeded():
    _, plan, _ = given()
    run = Bound(call_double, (plan,), transposed=True).like(
        np.zeros(5), np.zeros(5), shadows=(np.zeros(5), np.zeros(5))
    )
    rule = LinearRule(double_into, adjoint=triple_back)
    for factor in (2.0, 3.0):
        dy, dx = np.arange(5.0)[:, None], np.ones((1, 5))
        run(dy, dx)
        assert np.array_equal(dx[0], 1.0 + factor * np.arange(5.0))
        register(rule)
    unregister(rule)
