"""Functions with their last arguments fixed: as the long way, in less time."""

from typing import NamedTuple

import numpy as np
import pytest
from numba import njit

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
