"""`RecomputedRule`: derivatives of a function that is run again, and of which nothing is kept."""

import functools
from typing import Any

import numba
import numpy as np
import pytest

from enzyme_rules import RecomputedRule, register
from enzyme_rules.testing import RuleError, test_rule
from llvm import AutodiffError, Duplicated, Reverse, autodiff, grad, hvp, jvp, value_and_grad
from tests.gradient_checks import CHECKS, Case

X = np.array([0.2, 0.45, 0.6, 0.75, 0.9])
STEPS = 3


def make_orbit():
    """A new function each time: a rule belongs to one function."""

    @numba.njit(error_model="numpy")
    def orbit_into(y, x, n):
        for i in range(x.size):
            value = x[i]
            for _ in range(n):
                value = 3.7 * value * (1 - value)
            y[i] = value

    return orbit_into


plain = make_orbit()
ruled = register(RecomputedRule(make_orbit()))


def make_loss(orbit_into):
    @numba.njit
    def loss(x, n):
        y = np.empty_like(x)
        total = 0.0
        for k in range(3):  # the same output again and again: a tape would be needed
            orbit_into(y, x * (1 - 0.1 * k), n)
            for i in range(y.size):
                total += y[i] ** 2
        return total

    return loss


@functools.cache
def losses():
    return make_loss(plain), make_loss(ruled)


# --- right -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.complex128])
def test_kit(dtype):
    x = X.astype(dtype) * (1 + 0.1j if dtype == np.complex128 else 1)
    test_rule(register(RecomputedRule(make_orbit())), np.zeros_like(x), x, STEPS)


def test_kit_strided_arrays_two_outputs_tuples_scratch_and_constants():
    @numba.njit(error_model="numpy")
    def smooth_into(sums, pair, factors, work, products):
        x, w = pair
        work[:] = x
        for k in range(factors.size):
            for i in range(1, x.shape[0]):
                work[i] = work[i] * work[i - 1] * factors[k] + w[i, 1] ** 2
        for i in range(x.shape[0]):
            sums[i] += work[i]  # an output may be added to
            products[i, 0] = work[i] * x[i]

    rule = RecomputedRule(smooth_into, outputs=(0, 4), scratch=(3,), constants=(2,))
    rng = np.random.default_rng(0)
    wide = rng.standard_normal((2, 5, 3))
    test_rule(
        register(rule),
        rng.standard_normal(5),
        (rng.standard_normal(10)[::-2], np.asfortranarray(wide[0])),
        np.array([0.5, 0.25]),
        np.zeros(5),
        wide[1, ::-1],
    )


def test_is_what_enzyme_derives_without_it():
    by_itself, recomputed = losses()
    value, (gradient,) = value_and_grad(by_itself, argnums=(0,))(X, STEPS)
    again, (recomputed_gradient,) = value_and_grad(recomputed, argnums=(0,))(X, STEPS)
    assert again == value
    np.testing.assert_allclose(recomputed_gradient, gradient, rtol=1e-13)


def test_second_derivatives():
    by_itself, recomputed = losses()
    tangent = np.linspace(1, 2, X.size)
    expected, got = (hvp(f, (X, STEPS), (tangent, None)) for f in (by_itself, recomputed))
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-13 * np.abs(other).max())


def test_gradients():
    for check in CHECKS:
        check(Case(function=losses()[1], arguments=(X, STEPS)))


def make_twice(orbit_into):
    @numba.njit(error_model="numpy")
    def twice_into(y, x, work, n):
        orbit_into(work[0], x, n)
        for i in range(x.size):
            work[1, i] = 0.5 * work[0, i] + 0.1
        orbit_into(y, work[1], n)

    return twice_into


def make_rows(twice_into):
    @numba.njit
    def rows(x, n):
        y, work, total = np.empty(2), np.empty((2, 2)), 0.0
        for k in range(0, x.size - 1, 2):
            twice_into(y, x[k : k + 2], work, n)
            total += y[0] * y[1]
        return total

    return rows


def test_within_itself():
    """A recomputed function that calls another, and shares its work space with other calls."""
    twice = register(RecomputedRule(make_twice(ruled), scratch=(2,)))
    expected = grad(make_rows(make_twice(plain)))(X, STEPS)
    got = grad(make_rows(twice))(X, STEPS)
    np.testing.assert_allclose(got, expected, rtol=1e-13)
    tangent = np.linspace(1, 2, X.size)
    _, forward = jvp(make_rows(twice), (X, STEPS), (tangent, None))
    np.testing.assert_allclose(forward, expected @ tangent, rtol=1e-13)


def test_leaves_results_alone():
    """Outputs hold what the caller has made of them, not what the second run writes."""

    @numba.njit
    def loss(y, x):
        ruled(y, x, STEPS)
        total = y.sum()
        y[:] = 7.0
        return total

    y, dx = np.zeros(5), np.zeros(5)
    autodiff(Reverse, loss, Duplicated(y, np.zeros(5)), Duplicated(X, dx))
    np.testing.assert_array_equal(y, 7.0)
    assert dx.all()


def test_leaves_integer_results_alone():
    @numba.njit
    def halved_into(y, count, x):
        count[0] = 0
        for i in range(x.size):
            y[i] = x[i]
            while y[i] > 0.25:
                y[i] *= 0.5
                count[0] += 1

    register(RecomputedRule(halved_into, outputs=(0, 1)))

    @numba.njit
    def loss(x, count):
        y = np.empty_like(x)
        halved_into(y, count, x)
        count[0] += 100
        return y.sum()

    count = np.zeros(1, np.int64)
    np.testing.assert_array_equal(grad(loss)(X, count), [1, 0.5, 0.25, 0.25, 0.25])
    assert count[0] == 107


def test_keeps_nothing():
    """Memory does not grow with the number of calls: their tapes would take 1.6 GB."""

    @numba.njit(error_model="numpy")
    def long_orbit_into(y, x, n):
        for i in range(x.size):
            value = x[i]
            for k in range(n):
                value = np.sin(value) + 1e-3 * k
            y[i] += value

    register(RecomputedRule(long_orbit_into))

    @numba.njit
    def loss(x, y, n):
        for k in range(n):
            long_orbit_into(y, x[k : k + 1], 100_000)
        return y[0]

    resource = pytest.importorskip("resource")  # not on Windows
    gradient = grad(loss)
    gradient(np.zeros(1), np.zeros(1), 1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    gradient(np.linspace(0, 1, 200), np.zeros(1), 200)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert (after - before) * 1024 < 50e6


# --- wrong -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.complex64, np.bool_])
def test_an_input_that_is_overwritten(dtype):
    @numba.njit
    def scaled_into(y, x, z):
        for i in range(x.size):
            y[i] = x[i] if z[i] != 0 else 0.0

    register(RecomputedRule(scaled_into))

    @numba.njit
    def loss(x, z):
        y = np.empty_like(x)
        scaled_into(y, x, z)
        z[2] = z[1]
        return y.sum()

    z = np.array([1, 1, 0, 1, 1]).astype(dtype)
    with pytest.raises(AutodiffError, match="what a recomputed function has read was overwritten"):
        grad(loss)(X, z)
    z[2] = z[1]
    np.testing.assert_array_equal(grad(loss)(X, z), 1.0)  # overwritten with what was there


def test_an_output_that_is_an_input():
    @numba.njit
    def square(x):
        for i in range(x.size):
            x[i] = x[i] ** 2

    rule = register(RecomputedRule(square))
    with pytest.raises(RuleError) as caught:
        test_rule(rule, X)
    assert caught.value.check in ("accumulation", "dot test", "cleared")


def test_a_constant_that_varies():
    @numba.njit
    def weighed_into(y, x, w):
        for i in range(x.size):
            y[i] = x[i] * w[i]

    register(RecomputedRule(weighed_into, constants=(2,)))

    @numba.njit
    def loss(x, w):
        y = np.empty_like(x)
        weighed_into(y, x, w)
        return y.sum()

    np.testing.assert_array_equal(grad(loss)(X, X), X)
    with pytest.raises(AutodiffError, match="takes for a constant varies"):
        grad(loss, argnums=1)(X, X)
    with pytest.raises(AutodiffError, match="takes for a constant varies"):
        jvp(loss, (X, X), (None, X))


def test_constants_that_the_caller_makes():
    @numba.njit
    def weighed_into(y, x, w):
        for i in range(x.size):
            y[i] = x[i] ** 2 * w[i]

    register(RecomputedRule(weighed_into, constants=(2,)))

    @numba.njit
    def loss(x):
        y, w = np.empty_like(x), np.empty_like(x)
        for i in range(x.size):
            w[i] = np.sqrt(i + 1.0)
        weighed_into(y, x, w)
        return y.sum()

    w = np.sqrt(np.arange(1.0, 6.0))
    gradient = grad(loss)(X)
    np.testing.assert_allclose(gradient, 2 * w * X, rtol=1e-15)
    _, tangent = jvp(loss, (X,), (X,))
    np.testing.assert_allclose(tangent, gradient @ X, rtol=1e-15)


def test_a_body_that_chooses_between_arrays():
    @numba.njit
    def chosen_into(y, x, z):
        source = x if x[0] > z[0] else z
        for i in range(y.size):
            y[i] = source[i] ** 2

    # The constant is neither differentiated nor taken for the other.
    register(RecomputedRule(chosen_into, constants=(2,)))

    @numba.njit
    def loss(x, z):
        y = np.empty_like(x)
        chosen_into(y, x, z)
        return y.sum()

    for z, expected in ((X - 1, 2 * X), (X + 1, 0 * X)):
        before = z.copy()
        np.testing.assert_array_equal(grad(loss)(X, z), expected)
        np.testing.assert_array_equal(z, before)
        _, tangent = jvp(loss, (X, z), (X, None))
        np.testing.assert_allclose(tangent, expected @ X, rtol=1e-15)


def test_arguments_of_the_rule():
    with pytest.raises(TypeError, match="RecomputedRule.*@njit"):
        RecomputedRule(make_orbit().py_func)
    wrong: list[dict[str, Any]] = [{"outputs": ()}, {"scratch": (0,)}, {"constants": (1, 1)}]
    for places in wrong:
        with pytest.raises(ValueError, match="at least one output, and each argument in one"):
            RecomputedRule(make_orbit(), **places)
    rule = RecomputedRule(make_orbit(), scratch=(2,))
    assert [rule.access(i) for i in range(3)] == ["", "readonly", ""]


def test_unused():
    """A function whose result does not matter has no gradient, and no error."""

    @numba.njit
    def loss(x):
        y = np.empty_like(x)
        ruled(y, x, STEPS)
        return x.sum()

    np.testing.assert_array_equal(grad(loss)(X), 1.0)
