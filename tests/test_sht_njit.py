"""Both transforms inside a user's own @njit function, differentiated whole by one call."""

import functools
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numba import njit

import sht
from llvm import AutodiffError, jvp, value_and_grad
from sht import reference
from tests.sht_cases import EPS, random_pair, transform

# What a user writes


@njit()
def quartic(a, t, field, scratch):
    sht.synthesis_into(field, a, t, scratch)
    return (field**4).sum()


@njit()
def misfit(a, data, weight, t, field, scratch):
    sht.synthesis_into(field, a, t, scratch)
    total = 0.0
    for j in range(field.shape[0]):
        for i in range(field.shape[1]):
            if weight[j, i] > 0.0:
                total += weight[j, i] * (field[j, i] - data[j, i]) ** 2
    return 0.5 * total


@njit()
def regridded(f, response, fine, coarse, fine_scratch, coarse_scratch):
    """Analysis, a filter, and synthesis of the low degrees on another grid; buffers of its own."""
    a, low = np.empty(fine.legendre.scale.size, np.complex128), np.empty_like(response)
    sht.analysis_into(a, f, fine, fine_scratch)
    k = 0
    for m in range(coarse.mmax + 1):
        first = m * (2 * fine.lmax + 1 - m) // 2
        for l in range(m, coarse.lmax + 1):  # noqa: E741
            low[k] = response[k] * a[first + l]
            k += 1
    g = np.empty((coarse.rings.areas.size, coarse.rings.width))
    sht.synthesis_into(g, low, coarse, coarse_scratch)
    return np.sum(g**3)


@njit()
def forecast(a, damping, target, steps, t, state, field, tendency, scratch):
    """Squared error of a model of `steps` steps, whose buffers hold the last one only.

    a ← damping a + A(S(a)²) / 10, the square made in place.
    """
    state[:] = a
    for _ in range(steps):
        sht.synthesis_into(field, state, t, scratch)
        for j in range(field.shape[0]):
            for i in range(field.shape[1]):
                field[j, i] = field[j, i] ** 2
        sht.analysis_into(tendency, field, t, scratch)
        for k in range(state.size):
            state[k] = damping[k] * state[k] + 0.1 * tendency[k]
    total = 0.0
    for k in range(state.size):
        miss = state[k] - target[k]
        total += miss.real**2 + miss.imag**2
    return total


# The same gradients by hand, from the adjoints of the reference


class By:
    """The four maps of the reference on one transform's grid."""

    def __init__(self, t):
        options = {"grid": t.grid, "lmax": t.lmax, "mmax": t.mmax}
        self.s = functools.partial(reference.synthesis, **options)
        self.a = functools.partial(reference.analysis, **options)
        self.st = functools.partial(reference.adjoint_synthesis, **options)
        self.at = functools.partial(reference.adjoint_analysis, **options)


def quartic_by_hand(a, t, *_):
    by = By(t)
    return by.st(4 * by.s(a) ** 3)


def misfit_by_hand(a, data, weight, t, *_):
    by = By(t)
    return by.st(weight * (by.s(a) - data))


def regridded_by_hand(f, response, fine, coarse, *_):
    degrees, orders = sht.degrees_orders(coarse.lmax, coarse.mmax)
    kept = sht.lm_index(degrees, orders, fine.lmax)
    high, low = By(fine), By(coarse)
    g = low.s(response * high.a(f)[kept])
    back = np.zeros(fine.ncoef, np.complex128)
    back[kept] = np.conj(response) * low.st(3 * g**2)
    return high.at(back)


def forecast_by_hand(a, damping, target, steps, t, *_):
    by = By(t)
    states = [a]
    for _ in range(steps):
        states.append(damping * states[-1] + 0.1 * by.a(by.s(states[-1]) ** 2))
    back = 2 * (states[-1] - target)
    for state in reversed(states[:-1]):
        back = damping * back + by.st(2 * by.s(state) * by.at(0.1 * back))
    return back


# The table


@dataclass(frozen=True)
class Case:
    function: Any
    by_hand: Callable[..., np.ndarray]
    arguments: tuple[Any, ...]
    name: str = ""

    def __str__(self):
        return self.name or self.function.py_func.__name__


def make_cases():
    t = transform(9, 8, 17, 19)
    low = transform(5, 2, 6, 5)
    even = transform(31, 31, 33, 64)
    (a, f), (a31, f31) = random_pair(t, 1), random_pair(even, 2)
    rng = np.random.default_rng(3)
    weight = np.where(rng.random(f31.shape) < 0.4, 0.0, rng.random(f31.shape))
    degrees, _ = sht.degrees_orders(t.lmax, t.mmax)
    damping = np.exp(-0.01 * degrees * (degrees + 1.0))
    response = np.exp(1j * np.arange(low.ncoef)) * 2
    step = t, np.zeros_like(a), np.zeros_like(f), np.zeros_like(a), t.scratch()
    target, _ = random_pair(t, 4)
    yield Case(quartic, quartic_by_hand, (a, t, np.zeros_like(f), t.scratch()))
    yield Case(misfit, misfit_by_hand, (a31, f31, weight, even, np.zeros_like(f31), even.scratch()))
    yield Case(regridded, regridded_by_hand, (f, response, t, low, t.scratch(), low.scratch()))
    for steps in (0, 1, 3, 8):
        arguments = (0.5 * a, damping, target, steps, *step)
        yield Case(forecast, forecast_by_hand, arguments, f"forecast of {steps} steps")


CASES = list(make_cases())
every = pytest.mark.parametrize("case", CASES, ids=str)


@functools.cache
def gradient_of(function):
    """Compiled once for all tests."""
    return value_and_grad(function)


def tangent_of(function, arguments, direction):
    tangents = [direction, *[None] * (len(arguments) - 1)]
    return jvp(function, arguments, tangents)


def random_direction(like, seed):
    rng = np.random.default_rng(seed)
    made = rng.standard_normal(like.shape)
    return made + 1j * rng.standard_normal(like.shape) if np.iscomplexobj(like) else made


# Each case: exact checks first, differences last


@every
def test_gradient_is_the_one_derived_by_hand(case):
    value, gradient = gradient_of(case.function)(*case.arguments)
    want = case.by_hand(*case.arguments)
    assert gradient.shape == want.shape
    assert gradient.dtype == want.dtype
    # A few powers of fields of degree l, whose errors grow as l eps.
    assert np.max(np.abs(gradient - want)) <= 100 * 32 * EPS * np.max(np.abs(want))
    primal = case.function(*case.arguments)
    assert abs(value - primal) <= 100 * EPS * abs(primal)


@every
def test_forward_mode_is_the_slope_of_reverse_mode(case):
    value, gradient = gradient_of(case.function)(*case.arguments)
    direction = random_direction(case.arguments[0], 5)
    other, slope = tangent_of(case.function, case.arguments, direction)
    scale = np.linalg.norm(gradient) * np.linalg.norm(direction)
    assert abs(slope - np.vdot(gradient, direction).real) <= 1e-12 * scale
    assert abs(value - other) <= 100 * EPS * abs(value)


def arrays_in(value):
    if isinstance(value, tuple):
        return [array for item in value for array in arrays_in(item)]
    return [value] if isinstance(value, np.ndarray) else []


@every
def test_inputs_and_tables_stay_and_results_repeat(case):
    inputs = [v for v in case.arguments if not isinstance(v, sht.Scratch)]
    if case.function is forecast:
        inputs = inputs[:-3]  # its buffers
    if case.function in (quartic, misfit):
        inputs = inputs[:-1]
    before = [array.tobytes() for array in arrays_in(tuple(inputs))]
    first = gradient_of(case.function)(*case.arguments)
    second = gradient_of(case.function)(*case.arguments)
    assert [array.tobytes() for array in arrays_in(tuple(inputs))] == before
    assert first[0] == second[0]
    assert first[1].tobytes() == second[1].tobytes()


@every
def test_central_differences(case):
    _, gradient = gradient_of(case.function)(*case.arguments)
    given, rest = case.arguments[0], case.arguments[1:]
    direction = random_direction(given, 6)
    direction /= np.linalg.norm(direction)
    step = EPS**0.2 / 4
    (f1, b1), (f2, b2) = (
        [case.function(given + sign * k * step * direction, *rest) for sign in (1, -1)]
        for k in (1, 2)
    )
    estimate = (8 * (f1 - b1) - (f2 - b2)) / (12 * step)
    scale = max(np.linalg.norm(gradient), abs(f1))
    assert abs(estimate - np.vdot(gradient, direction).real) <= 20 * EPS**0.7 * scale


def test_the_transform_itself_cannot_be_differentiated():
    """Its tables are constants of a linear rule: their share of a derivative would be missing."""
    a, t, field, scratch = CASES[0].arguments
    with pytest.raises(AutodiffError, match="constant varies"):
        value_and_grad(quartic, argnums=(0, 1))(a, t, field, scratch)


def test_from_several_threads():
    a, t, _, _ = CASES[0].arguments
    want = gradient_of(quartic)(*CASES[0].arguments)[1]
    found = {}

    def work(k):
        scratch, field = t.scratch(), np.zeros(t.grid.shape)
        found[k] = [gradient_of(quartic)(a, t, field, scratch)[1] for _ in range(20)]

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [0, 1, 2, 3]
    assert all(np.array_equal(g, want) for found_here in found.values() for g in found_here)


# Arrays that would be written out of bounds: errors, and nothing is written


T = transform(9, 8, 17, 19)
SHAPE, COUNT = T.grid.shape, T.ncoef
WRONG = {
    "row too short": (SHAPE[0], SHAPE[1] - 1, COUNT, "field of shape"),
    "row too long": (SHAPE[0], SHAPE[1] + 1, COUNT, "field of shape"),
    "ring too few": (SHAPE[0] - 1, SHAPE[1], COUNT, "field of shape"),
    "transposed": (SHAPE[1], SHAPE[0], COUNT, "field of shape"),
    "coefficients too few": (*SHAPE, COUNT - 1, "t.ncoef"),
    "coefficients too many": (*SHAPE, COUNT + 1, "t.ncoef"),
    "nothing": (0, 0, 0, "field of shape"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_shapes_are_refused(name):
    nlat, nlon, count, message = WRONG[name]
    field, a = np.full((nlat, nlon), 7.0), np.full(count, 7.0 + 0j)
    with pytest.raises(ValueError, match=message):
        sht.synthesis_into(field, a, T, T.scratch())
    with pytest.raises(ValueError, match=message):
        sht.analysis_into(a, field, T, T.scratch())
    with pytest.raises(
        (ValueError, AutodiffError), match=f"{message}|rule used by `quartic` failed"
    ):
        gradient_of(quartic)(a, T, field, T.scratch())
    assert np.all(field == 7)
    assert np.all(a == 7)


@pytest.mark.parametrize("size", [(0, 0, 1, 1), (5, 5, 7, 12), (31, 31, 33, 64)], ids=str)
def test_scratch_of_another_transform_is_refused(size):
    field, a = np.zeros(SHAPE), np.zeros(COUNT, np.complex128)
    with pytest.raises(ValueError, match="scratch of this Transform"):
        sht.synthesis_into(field, a, T, transform(*size).scratch())
    with pytest.raises(ValueError, match="scratch of this Transform"):
        sht.analysis_into(a, field, T, transform(*size).scratch())


@pytest.mark.parametrize(
    ("field", "a", "message"),
    [
        (np.zeros(SHAPE, np.float32), np.zeros(COUNT, complex), "`field`.*float32, 2d, C"),
        (np.zeros(SHAPE, order="F"), np.zeros(COUNT, complex), "`field`.*float64, 2d, F"),
        (np.zeros((17, 38))[:, ::2], np.zeros(COUNT, complex), "`field`.*float64, 2d, A"),
        (np.zeros((1, *SHAPE)), np.zeros(COUNT, complex), "`field`.*float64, 3d, C"),
        (np.zeros(SHAPE), np.zeros(COUNT, np.complex64), "`a`.*complex64, 1d, C"),
        (np.zeros(SHAPE), np.zeros(COUNT), "`a`.*float64, 1d, C"),
        (np.zeros(SHAPE), np.zeros(2 * COUNT, complex)[::2], "`a`.*complex128, 1d, A"),
        (np.zeros(COUNT, complex), np.zeros(SHAPE), "`field`.*complex128, 1d, C"),
    ],
    ids=["float32", "Fortran", "strided", "batch", "complex64", "real", "strided a", "swapped"],
)
def test_wrong_types_are_refused(field, a, message):
    message = message.replace(".*", r".*Got array\(")
    with pytest.raises(TypeError, match=message):
        sht.synthesis_into(field, a, T, T.scratch())
    with pytest.raises(TypeError, match=message):
        sht.analysis_into(a, field, T, T.scratch())
    if a.ndim == 1:  # quartic returns a real number only for a real field
        with pytest.raises((TypeError, AutodiffError), match=message):
            gradient_of(quartic)(a, T, field, T.scratch())


def test_nan_goes_where_it_belongs():
    a, t, field, scratch = CASES[0].arguments
    bad = a.copy()
    bad[3] = np.nan
    value, gradient = gradient_of(quartic)(bad, t, field, scratch)
    assert np.isnan(value)
    assert np.all(np.isnan(gradient.real))
    again = gradient_of(quartic)(a, t, field, scratch)[1]  # nothing of it is left in the work space
    assert np.array_equal(again, gradient_of(quartic)(a, t, np.zeros_like(field), t.scratch())[1])
