"""Tuples that keep their arrays are looked at once; what a call finds there it must still check."""

import copy
import gc
import pickle
import weakref
from typing import Any, NamedTuple

import numba
import numpy as np
import pytest

from llvm import Const, Duplicated, Reverse, autodiff, grad, hessian, hvp, jacfwd, value_and_grad
from llvm._fixed import findings_of, once


class _Plan(NamedTuple):
    factor: Any
    weights: np.ndarray
    room: np.ndarray


class Plan(_Plan):
    _keeps_arrays_ = True


class Plain(NamedTuple):
    factor: Any
    weights: np.ndarray
    room: np.ndarray


def made(cls, n=5, seed=0):
    return cls(2.0 + seed, np.random.default_rng(seed).normal(size=n), np.full(n, np.nan))


@numba.njit
def weighted(x, plan, out):
    for i in range(len(x)):
        plan.room[i] = plan.factor * x[i] ** 2
    for i in range(len(x)):
        out[i] = plan.weights[i] * plan.room[i]
    return out.sum()


def expected(x, plan):
    return 2.0 * plan.factor * plan.weights * x


X = np.array([0.5, -1.0, 2.0, 3.0, -0.25])


@pytest.mark.parametrize("cls", [Plan, Plain])
def test_calls_in_turn(cls):
    """With two tuples in turn, other arrays beside them, and the first one again."""
    gradient, first, second = value_and_grad(weighted), made(cls), made(cls, seed=1)
    for plan in (first, first, second, second, first, made(cls, seed=2)):
        for x in (X, X[::-1].copy(), X + 1.0):
            value, found = gradient(x, plan, np.empty(5))
            np.testing.assert_allclose(found, expected(x, plan), rtol=1e-15)
            np.testing.assert_allclose(value, (expected(x, plan) * x / 2.0).sum(), rtol=1e-14)


@numba.njit
def quadratic(x, plan):
    return plan.factor * (plan.weights * x * x).sum()


@pytest.mark.parametrize("function", [weighted, quadratic], ids=lambda f: f.py_func.__name__)
def test_several_shadows_in_turn(function):
    """Forwards over reverse an item has three shadows, in vector mode as many as directions."""
    plan = made(Plan)
    rest = (plan, np.empty(5)) if function is weighted else (plan,)
    nothing = (None,) * len(rest)
    second = np.diag(expected(np.ones(5), plan))
    for x in (X, X[::-1].copy(), X + 1.0):
        for v in (np.ones(5), X):
            gradient, product = hvp(function, (x, *rest), (v, *nothing))
            np.testing.assert_allclose(gradient, expected(x, plan), rtol=1e-15)
            np.testing.assert_allclose(product, expected(v, plan), rtol=1e-15)
        np.testing.assert_allclose(hessian(function)(x, *rest), second, rtol=1e-15)
        np.testing.assert_allclose(jacfwd(function)(x, *rest), expected(x, plan), rtol=1e-15)


def test_other_sizes():
    gradient = grad(weighted)
    for n in (5, 3, 5, 8):
        plan, x = made(Plan, n), np.ones(n)
        np.testing.assert_allclose(gradient(x, plan, np.empty(n)), expected(x, plan), rtol=1e-15)


@numba.njit
def reads_what_was_there(x, plan):
    plan.room[0] += x[0]
    return plan.room[0] ** 2


def test_hidden_shadows_begin_at_zero():
    """This function leaves a cotangent in the shadow of what it found there."""
    plan, gradient = made(Plan), grad(reads_what_was_there)
    for room in (1.0, 4.0, 9.0):
        plan.room[0] = room
        np.testing.assert_allclose(gradient(X, plan)[0], 2.0 * (room + X[0]), rtol=1e-15)


def test_content_may_change():
    plan, gradient = made(Plan), grad(weighted)
    for factor in (1.0, -2.0):
        plan.weights[:] *= factor
        np.testing.assert_allclose(gradient(X, plan, np.empty(5)), expected(X, plan), rtol=1e-15)


@pytest.mark.parametrize("again", [0, 2], ids=["at first", "later"])
@pytest.mark.parametrize(
    "overlapping",
    [
        pytest.param(lambda p: (X, p, p.weights), id="output and weights"),
        pytest.param(lambda p: (X, p, p.room), id="output and work space"),
        pytest.param(lambda p: (p.room, p, np.empty(5)), id="input and work space"),
    ],
)
def test_overlaps_are_refused(overlapping, again):
    plan, gradient = made(Plan), grad(weighted)
    for _ in range(again):
        gradient(X, plan, np.empty(5))
    with pytest.raises(ValueError, match=r"two that share memory: one of shape \(5,\)"):
        gradient(*overlapping(plan))
    np.testing.assert_allclose(gradient(X, plan, np.empty(5)), expected(X, plan), rtol=1e-15)


@numba.njit
def reads_only(x, plan):
    return (plan.weights * x).sum()


def test_what_is_only_read_may_overlap():
    plan, gradient = made(Plan), grad(reads_only)
    for _ in range(2):
        np.testing.assert_array_equal(gradient(plan.weights, plan), plan.weights)


def test_varying():
    """A tuple that varies is looked at anew: its shadows are the caller's."""
    plan = made(Plan)
    for _ in range(2):
        found = grad(reads_only, argnums=1)(X, plan)
        np.testing.assert_array_equal(found.weights, X)
        assert type(found) is Plan


def test_autodiff_in_turn_with_grad():
    """Both use the program, one with hidden shadows and one with the caller's."""
    plan, gradient = made(Plan), grad(weighted)
    for _ in range(2):
        np.testing.assert_allclose(gradient(X, plan, np.empty(5)), expected(X, plan), rtol=1e-15)
        dx = np.zeros(5)
        shadow = Plain(None, np.zeros(5), np.zeros(5))
        autodiff(Reverse, weighted, Duplicated(X, dx), Duplicated(plan, shadow), Const(np.empty(5)))
        np.testing.assert_allclose(dx, expected(X, plan), rtol=1e-15)
        np.testing.assert_allclose(shadow.weights, plan.factor * X**2, rtol=1e-15)


def through_pickle(plan):
    return pickle.loads(pickle.dumps(plan))  # noqa: S301


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy, through_pickle])
def test_copies_have_findings_of_their_own(make):
    plan = made(Plan)
    grad(weighted)(X, plan, np.empty(5))
    assert findings_of(plan)
    other = make(plan)
    assert not findings_of(other)
    np.testing.assert_allclose(grad(weighted)(X, other, np.empty(5)), expected(X, plan), rtol=1e-15)


def test_a_variant_that_takes_over_attributes():
    plan = made(Plan)
    grad(weighted)(X, plan, np.empty(5))
    other = plan._replace(weights=plan.weights + 1.0)
    vars(other).update(vars(plan))
    np.testing.assert_allclose(
        grad(weighted)(X, other, np.empty(5)), expected(X, other), rtol=1e-15
    )


def test_found_once():
    looks = []
    for value in (plan := made(Plan), plan, made(Plan), made(Plain), made(Plain)):
        once(value, "looks", lambda x: looks.append(x) or len(looks))
    assert len(looks) == 4


def test_memory_of_a_tuple_is_not_kept():
    gradient, plan = grad(weighted), made(Plan)
    gradient(X, plan, np.empty(5))
    weights = weakref.ref(plan.weights)
    del plan
    gc.collect()
    assert weights() is None


@numba.njit
def product(x, scale, out, weights):
    for i in range(len(x)):
        out[i] = scale * x[i] * x[i]
    return (weights * out).sum()


def test_the_same_arrays_again():
    """A call that finds all arrays where they were takes a short way; the others must not."""
    gradient = value_and_grad(product, argnums=(0, 1))
    memory = np.arange(1.0, 41.0)
    x, out, weights = memory[:5], memory[10:15], memory[20:25]
    arguments = [
        (x, 2.0, out, weights),
        (x, 3.0, out, weights),  # another number
        (weights, 3.0, out, x),  # the other way round
        (x, 3.0, out, memory[20:30:2]),
        (x, 3.0, out, memory[20:35:3]),  # the same place, other strides
        (x[:4], 3.0, out[:4], weights[:4]),
        (x, 3.0, out, weights),
    ]
    for x, scale, out, weights in arguments * 2:
        for _ in range(2):
            value, (by_x, by_scale) = gradient(x, scale, out, weights)
            want = np.sum(weights * scale * x * x)
            np.testing.assert_allclose(value, want, rtol=1e-14)
            np.testing.assert_allclose(by_x, 2.0 * scale * weights * x, rtol=1e-14)
            np.testing.assert_allclose(by_scale, want / scale, rtol=1e-14)
            x += 0.5  # other numbers at the same place


@pytest.mark.parametrize("k", [0, 4, 6, 10, 14, 16])
def test_an_overlap_after_calls_without(k):
    memory = np.arange(1.0, 31.0)
    gradient = grad(product)
    apart = memory[5:10], 2.0, memory[20:25], memory[15:20]
    gradient(*apart)
    want = gradient(*apart)
    overlapping = memory[5:10], 2.0, memory[k + 1 : k + 6], memory[15:20]
    for _ in range(2):
        with pytest.raises(ValueError, match="do not overlap"):
            gradient(*overlapping)
        np.testing.assert_array_equal(gradient(*apart), want)


@numba.njit
def weighed(x, weights):
    total = 0.0
    for i in range(len(x)):
        total += weights[i] * x[i] * x[i]
    return total


def test_shadows_of_the_caller_after_those_made_for_it():
    x, weights = np.arange(1.0, 6.0), np.arange(2.0, 7.0)
    want = grad(weighed)(x, weights)
    for _ in range(2):
        dx = np.ones(5)
        autodiff(Reverse, weighed, Duplicated(x, dx), Const(weights))
        np.testing.assert_array_equal(dx, 1.0 + want)
        np.testing.assert_array_equal(grad(weighed)(x, weights), want)
        with pytest.raises(ValueError, match="do not overlap"):
            autodiff(Reverse, weighed, Duplicated(x, weights), Const(weights))
        np.testing.assert_array_equal(grad(weighed)(x, weights), want)


MEMORY = np.arange(1.0, 61.0)


@pytest.mark.parametrize(
    "moved",
    [
        pytest.param({"x": 0}, id="the input onto the output"),
        pytest.param({"x": 4}, id="partly"),
        pytest.param({"out": 20}, id="the output onto the weights"),
        pytest.param({"x": 30, "out": 33}, id="both, onto each other"),
        pytest.param({"weights": 1, "x": 40}, id="one of two"),
    ],
)
def test_an_overlap_after_calls_that_moved(moved):
    """One array moved within the room that it has; then one moves out of it."""
    gradient, places = grad(product), {"x": 10, "out": 0, "weights": 20}

    def run(**at):
        x, out, weights = (MEMORY[k : k + 5] for k in (places | at).values())
        return gradient(x, 2.0, out, weights), 4.0 * weights * x

    for x in (10, 30, 31, 40, 10):
        np.testing.assert_array_equal(*run(x=x))
    for _ in range(2):
        with pytest.raises(ValueError, match="do not overlap"):
            run(**moved)
        np.testing.assert_array_equal(*run(x=30))
        np.testing.assert_array_equal(*run(x=20))  # both are only read


@pytest.mark.parametrize("where", ["weights", "room"])
def test_an_array_that_moves_into_a_tuple(where):
    plan, gradient = made(Plan), grad(weighted)
    for x in (X.copy(), X.copy(), X.copy()):
        gradient(x, plan, np.empty(5))
    own = getattr(plan, where)
    own[:] = X
    if where == "weights":  # only read
        np.testing.assert_allclose(gradient(own, plan, np.empty(5)), expected(X, plan), rtol=1e-15)
    else:
        with pytest.raises(ValueError, match="do not overlap"):
            gradient(own, plan, np.empty(5))


@numba.njit
def of_many_kinds(x, n, flag, z, nothing):
    if n > 3:
        raise ValueError("more than three")
    return (x.real**2).sum() * n * flag * abs(z) ** 2


def test_other_kinds_after_the_same():
    """What is not as in the last call goes the long way, with its checks and its messages."""
    gradient = value_and_grad(of_many_kinds)
    x = np.array([1.0, -2.0])
    frozen = x.copy()
    frozen.flags.writeable = False
    for again in (1, 3):
        for given in (
            (x, 2, True, 1.0 + 2.0j, None),
            (x.astype(np.float32), 2, True, 1.0 + 2.0j, None),
            (x + 1.0j, 2, True, 1.0 + 2.0j, None),
            (frozen, 2, True, 1.0 + 2.0j, None),
            (np.broadcast_to(3.0, 2), 2, True, 1.0 + 2.0j, None),
            (x[::-1], 2.0, 1, 3.0, None),
            (x, np.int8(-3), np.bool_(True), 1.0 + 2.0j, None),
        ):
            for _ in range(again):
                value, found = gradient(*given)
                x_, n, flag, z, _ = given
                factor = n * flag * abs(z) ** 2
                np.testing.assert_allclose(value, factor * (np.real(x_) ** 2).sum(), rtol=1e-6)
                np.testing.assert_allclose(found, 2.0 * factor * np.real(x_), rtol=1e-6)
                assert found.dtype == x_.dtype
        gradient(x, 2, True, 1.0 + 2.0j, None)
        with pytest.raises(ValueError, match="more than three"):
            gradient(x, 4, True, 1.0 + 2.0j, None)
        with pytest.raises(TypeError, match="needs the arguments of"):
            gradient(x, 2)
        with pytest.raises(TypeError, match="int too big|takes numbers"):
            gradient(x, 1 << 70, True, 1.0 + 2.0j, None)
        _, found = gradient(x, n=2, flag=True, z=1.0 + 2.0j, nothing=None)
        np.testing.assert_allclose(found, 20.0 * x, rtol=1e-15)


def test_gradients_by_all_kinds_again():
    gradient = value_and_grad(of_many_kinds, argnums=(3, 0))
    for z in (1.0 + 2.0j, 3.0j):
        for x in (np.array([1.0, -2.0]), np.array([0.5, 4.0])):
            for _ in range(2):
                value, (by_z, by_x) = gradient(x, 2, True, z, None)
                np.testing.assert_allclose(value, 2.0 * (x**2).sum() * abs(z) ** 2, rtol=1e-15)
                np.testing.assert_allclose(by_z, 4.0 * (x**2).sum() * z, rtol=1e-15)
                np.testing.assert_allclose(by_x, 4.0 * x * abs(z) ** 2, rtol=1e-15)


def test_gradients_are_not_overwritten_by_later_calls():
    first = grad(weighed)(X, X)
    kept = first.copy()
    gradient = grad(weighed)
    found = [gradient(X, k * np.ones(5)) for k in range(4)]
    np.testing.assert_array_equal(first, kept)
    for k, each in enumerate(found):
        np.testing.assert_array_equal(each, 2.0 * k * X)


@numba.njit
def weighed_often(x, count):
    return x.sum() * count


def test_the_short_way_is_taken(monkeypatch):
    """With the same arrays, with one that moves, with other numbers: types are not asked for."""
    gradient, plan, out = value_and_grad(product, argnums=(0, 1)), made(Plan), np.empty(5)
    through_plan = grad(weighted)
    repeated = grad(weighed_often)
    gradient(X, 2.0, out, X)
    through_plan(X, plan, out)
    repeated(X, 2)
    monkeypatch.setattr("llvm._gradient.program_for", None)
    for count in (2, 3):
        np.testing.assert_array_equal(repeated(X, count), np.full(5, count))
    for x, scale in ((X, 2.0), (X.copy(), 2.0), (X, 3.0)):
        value, (by_x, by_scale) = gradient(x, scale, out, X)
        np.testing.assert_allclose(by_x, 2.0 * scale * X * X, rtol=1e-15)
        np.testing.assert_allclose(value, scale * by_scale, rtol=1e-15)
        np.testing.assert_allclose(through_plan(x, plan, out), expected(x, plan), rtol=1e-15)


def test_an_output_that_has_become_read_only():
    gradient, out = grad(product), np.empty(5)
    for _ in range(2):
        gradient(X, 2.0, out, X)
    out.flags.writeable = False
    with pytest.raises(Exception, match="readonly array"):
        gradient(X, 2.0, out, X)
