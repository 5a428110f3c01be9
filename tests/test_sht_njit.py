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
from llvm import AutodiffError, compiled, jvp, value_and_grad
from sht._arguments import check_kernel_arrays
from sht.grids import FullGaussian, HEALPix, OctahedralGaussian
from tests.sht_cases import EPS, Case, difference, given_to, random_pair, transform

# What a user writes


@njit()
def quartic(a, t, field, scratch):
    sht.synthesis_into(field, a, t, scratch)
    return (field**4).sum()


@njit()
def polarised(eb, t, field, scratch):
    """Fourth power of the polarisation's amplitude, on any grid: field is (2, npoints)."""
    sht.synthesis_into(field, eb, t, scratch)
    total = 0.0
    for i in range(field.shape[1]):
        total += (field[0, i] ** 2 + field[1, i] ** 2) ** 2
    return total


@njit()
def misfit(a, data, weight, t, field, scratch):
    """In single precision, on rings of any lengths."""
    sht.synthesis_into(field, a, t, scratch)
    total = 0.0
    for i in range(field.size):
        if weight[i] > 0.0:
            total += weight[i] * (field[i] - data[i]) ** 2
    return 0.5 * total


@njit()
def regridded(f, response, fine, coarse, fine_scratch, coarse_scratch):
    """Analysis, a filter, and synthesis of the low degrees on HEALPix; buffers of its own."""
    a, low = np.empty(fine.legendre.ncoef, np.complex128), np.empty_like(response)
    sht.analysis_into(a, f, fine, fine_scratch)
    k = 0
    for m in range(coarse.mmax + 1):
        first = m * (2 * fine.lmax + 1 - m) // 2
        for l in range(m, coarse.lmax + 1):  # noqa: E741
            low[k] = response[k] * a[first + l]
            k += 1
    g = np.empty(coarse.rings.npoints)
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
    """The four maps of the reference for one case."""

    def __init__(self, case):
        self.s, self.a, self.st, self.at = (
            functools.partial(case.reference, name)
            for name in ("synthesis", "analysis", "adjoint_synthesis", "adjoint_analysis")
        )


def quartic_by_hand(by, a, *_):
    return by.st(4 * by.s(a) ** 3)


def polarised_by_hand(by, eb, *_):
    field = by.s(eb)
    return by.st(4 * (field**2).sum(axis=0) * field)


def misfit_by_hand(by, a, data, weight, *_):
    return by.st(weight * (by.s(a) - data))


def regridded_by_hand(by, f, response, fine, coarse, *_):
    low = By(COARSE)
    kept = sht.lm_index(coarse.degrees, coarse.orders, fine.lmax)
    g = low.s(response * by.a(f)[kept])
    back = np.zeros(fine.ncoef, np.complex128)
    back[kept] = np.conj(response) * low.st(3 * g**2)
    return by.at(back)


def forecast_by_hand(by, a, damping, target, steps, *_):
    states = [a]
    for _ in range(steps):
        states.append(damping * states[-1] + 0.1 * by.a(by.s(states[-1]) ** 2))
    back = 2 * (states[-1] - target)
    for state in reversed(states[:-1]):
        back = damping * back + by.st(2 * by.s(state) * by.at(0.1 * back))
    return back


# The table


@dataclass(frozen=True)
class Loss:
    function: Any
    by_hand: Callable[..., np.ndarray]
    case: Case
    arguments: tuple[Any, ...]
    name: str = ""

    def __str__(self):
        return self.name or self.function.py_func.__name__

    def want(self):
        return self.by_hand(By(self.case), *self.arguments)

    @property
    def eps(self):
        """A few powers of fields of degree l, whose errors grow as l eps."""
        return 32 * EPS if self.case.dtype == "float64" else 1e-8


FINE = Case(FullGaussian(17, 19), 9, 8)
COARSE = Case(HEALPix(2), 5, 2)
POLARISED = Case(HEALPix(4), 9, 8, spin=2, aliasing="fold")
SINGLE = Case(OctahedralGaussian(16), 31, dtype="float32", aliasing="fold")


def make_losses():
    t, low, polar, single = (c.transform() for c in (FINE, COARSE, POLARISED, SINGLE))
    (a, f), (a31, f31), (eb, qu) = random_pair(t, 1), random_pair(single, 2), random_pair(polar, 3)
    rng = np.random.default_rng(3)
    weight = np.where(rng.random(f31.shape) < 0.4, 0.0, rng.random(f31.shape)).astype(np.float32)
    damping = np.exp(-0.01 * t.degrees * (t.degrees + 1.0))
    response = np.exp(1j * np.arange(low.ncoef)) * 2
    step = t, np.zeros_like(a), np.zeros_like(f), np.zeros_like(a), t.scratch()
    target, _ = random_pair(t, 4)
    yield Loss(quartic, quartic_by_hand, FINE, (a, t, np.zeros_like(f), t.scratch()))
    given = eb, polar, np.zeros_like(qu), polar.scratch()
    yield Loss(polarised, polarised_by_hand, POLARISED, given)
    given = a31, f31, weight, single, np.zeros_like(f31), single.scratch()
    yield Loss(misfit, misfit_by_hand, SINGLE, given)
    given = f, response, t, low, t.scratch(), low.scratch()
    yield Loss(regridded, regridded_by_hand, FINE, given)
    for steps in (0, 1, 3, 8):
        arguments = (0.5 * a, damping, target, steps, *step)
        yield Loss(forecast, forecast_by_hand, FINE, arguments, f"forecast of {steps} steps")


LOSSES = list(make_losses())
every = pytest.mark.parametrize("case", LOSSES, ids=str)


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
    made = made + 1j * rng.standard_normal(like.shape) if np.iscomplexobj(like) else made
    return made.astype(like.dtype)


# Each case: exact checks first, differences last


@every
def test_gradient_is_the_one_derived_by_hand(case):
    value, gradient = gradient_of(case.function)(*case.arguments)
    want = case.want()
    assert gradient.shape == want.shape
    assert gradient.dtype == want.dtype
    assert np.max(np.abs(gradient - want)) <= 100 * case.eps * np.max(np.abs(want))
    primal = case.function(*case.arguments)
    assert abs(value - primal) <= 4 * case.eps * abs(primal)


@every
def test_forward_mode_is_the_slope_of_reverse_mode(case):
    value, gradient = gradient_of(case.function)(*case.arguments)
    direction = random_direction(case.arguments[0], 5)
    other, slope = tangent_of(case.function, case.arguments, direction)
    scale = np.linalg.norm(gradient) * np.linalg.norm(direction)
    assert abs(slope - np.vdot(gradient, direction).real) <= max(1e-12, 100 * case.eps) * scale
    assert abs(value - other) <= 4 * case.eps * abs(value)


def arrays_in(value):
    if isinstance(value, tuple):
        return [array for item in value for array in arrays_in(item)]
    return [value] if isinstance(value, np.ndarray) else []


@every
def test_inputs_and_tables_stay_and_results_repeat(case):
    inputs = [v for v in case.arguments if not isinstance(v, sht.Scratch)]
    if case.function is forecast:
        inputs = inputs[:-3]  # its buffers
    if case.function in (quartic, misfit, polarised):
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
    eps = np.finfo(case.case.dtype).eps
    step = eps**0.2 / 4
    (f1, b1), (f2, b2) = (
        [
            case.function((given + sign * k * step * direction).astype(given.dtype), *rest)
            for sign in (1, -1)
        ]
        for k in (1, 2)
    )
    estimate = (8 * (f1 - b1) - (f2 - b2)) / (12 * step)
    scale = max(np.linalg.norm(gradient), abs(f1))
    assert abs(estimate - np.vdot(gradient, direction).real) <= 20 * eps**0.7 * scale


def test_the_transform_itself_cannot_be_differentiated():
    """Its tables are constants of a linear rule: their share of a derivative would be missing."""
    a, t, field, scratch = LOSSES[0].arguments
    with pytest.raises(AutodiffError, match="constant varies"):
        value_and_grad(quartic, argnums=(0, 1))(a, t, field, scratch)


def test_from_several_threads():
    a, t, _, _ = LOSSES[0].arguments
    want = gradient_of(quartic)(*LOSSES[0].arguments)[1]
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
    "coefficients too few": (*SHAPE, COUNT - 1, "coefficients of shape"),
    "coefficients too many": (*SHAPE, COUNT + 1, "coefficients of shape"),
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
        (np.zeros((1, 1, *SHAPE)), np.zeros(COUNT, complex), "`field`.*float64, 4d, C"),
        (np.zeros(SHAPE), np.zeros(COUNT, np.complex64), "`a`.*complex64, 1d, C"),
        (np.zeros(SHAPE), np.zeros(COUNT), "`a`.*float64, 1d, C"),
        (np.zeros(SHAPE), np.zeros(2 * COUNT, complex)[::2], "`a`.*complex128, 1d, A"),
        (np.zeros(COUNT, complex), np.zeros(SHAPE), "`field`.*complex128, 1d, C"),
    ],
    ids=[
        "float32",
        "Fortran",
        "strided",
        "two leading axes",
        "complex64",
        "real",
        "strided a",
        "swapped",
    ],
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


# The same on rings of many lengths, with spin, and in single precision

OTHERS = {
    "reduced": Case(HEALPix(4), 7),
    "spin": POLARISED,
    "full spin": Case(FullGaussian(8, 15), 7, spin=2),
    "single": SINGLE,
}
FIELD, COEFFICIENTS, SCRATCH = "a field of shape", "coefficients of shape", "scratch of this"
WRONG_OTHERS = [
    # transform, shapes of the field and of the coefficients: None where they are right
    ("reduced", (191,), None, FIELD),
    ("reduced", (193,), None, FIELD),
    ("reduced", (1, 192), None, COEFFICIENTS),
    ("reduced", (12, 16), None, FIELD),
    ("reduced", None, (35,), COEFFICIENTS),
    ("single", (1200,), None, FIELD),
    ("single", None, (527,), COEFFICIENTS),
    ("spin", (192, 2), None, FIELD),
    ("spin", (1, 384), None, FIELD),
    ("spin", (2, 191), None, FIELD),
    ("spin", (4, 96), None, FIELD),
    ("spin", None, (54, 2), COEFFICIENTS),
    ("spin", None, (1, 108), COEFFICIENTS),
    ("spin", None, (2, 53), COEFFICIENTS),
    ("full spin", (2, 15, 8), None, FIELD),
    ("full spin", (8, 2, 15), None, FIELD),
    ("full spin", (16, 15), None, FIELD),
    ("full spin", None, (36, 2), COEFFICIENTS),
]


@njit()
def check(field, a, t, scratch):
    check_kernel_arrays(field, a, t, scratch)


@pytest.mark.parametrize("row", range(len(WRONG_OTHERS)))
def test_wrong_shapes_are_refused_by_all(row):
    name, shape, counts, message = WRONG_OTHERS[row]
    t = OTHERS[name].transform()
    field = np.full(shape or t.fields.shape, 7.0, t.fields.dtype)
    a = np.full(counts or t.coefficients.shape, 7.0, t.coefficients.dtype)
    with pytest.raises(ValueError, match=message):
        check(field, a, t, t.scratch())
    for kernel, output, given in ((sht.synthesis_into, field, a), (sht.analysis_into, a, field)):
        with pytest.raises(ValueError, match=message):
            compiled(kernel)(output, given, t, t.scratch())
    assert np.all(field == 7)
    assert np.all(a == 7)


@pytest.mark.parametrize(
    ("name", "other"), [("spin", "reduced"), ("reduced", "spin"), ("reduced", "full spin")]
)
def test_scratch_of_another_kind_is_refused(name, other):
    t = OTHERS[name].transform()
    field, a = np.zeros(*t.fields), np.zeros(*t.coefficients)
    with pytest.raises(ValueError, match=SCRATCH):
        check(field, a, t, OTHERS[other].transform().scratch())


@pytest.mark.parametrize(
    ("name", "field", "a", "message"),
    [
        ("single", np.zeros(1216), np.zeros(528, np.complex64), "float32, 1d.*Got array.float64"),
        ("single", np.zeros(1216, np.float32), np.zeros(528, complex), "complex64, 1d.*complex128"),
        (
            "reduced",
            np.zeros(192, np.float32),
            np.zeros(36, complex),
            "float64, 1d, C.*float32, 1d",
        ),
        ("spin", np.zeros(384), np.zeros((2, 54), complex), r"2d, C. or .*3d, C.*Got array.*1d, C"),
        ("spin", np.zeros((2, 192)), np.zeros(108, complex), r"`a` to be.*2d, C.*Got array.*1d, C"),
        ("spin", np.zeros((2, 192)).T, np.zeros((2, 54), complex), r"2d, C. or .*Got array.*2d, F"),
    ],
)
def test_wrong_types_are_refused_by_all(name, field, a, message):
    t = OTHERS[name].transform()
    with pytest.raises(TypeError, match=message):
        sht.synthesis_into(field, a, t, t.scratch())


def test_scratch_of_another_precision_is_refused():
    double, single = OTHERS["reduced"].transform(), SINGLE.transform()
    with pytest.raises(TypeError, match=SCRATCH):
        sht.synthesis_into(np.zeros(192), np.zeros(36, complex), double, single.scratch())


def test_nan_goes_where_it_belongs():
    a, t, field, scratch = LOSSES[0].arguments
    bad = a.copy()
    bad[3] = np.nan
    value, gradient = gradient_of(quartic)(bad, t, field, scratch)
    assert np.isnan(value)
    assert np.all(np.isnan(gradient.real))
    again = gradient_of(quartic)(a, t, field, scratch)[1]  # nothing of it is left in the work space
    assert np.array_equal(again, gradient_of(quartic)(a, t, np.zeros_like(field), t.scratch())[1])


@njit()
def refusing(a, t, field, scratch):
    if a[0].real > 5.0:
        raise ValueError("too large")
    sht.synthesis_into(field, a, t, scratch)
    return field.sum()


def test_an_exception_beside_a_transform_arrives_as_it_is():
    t = transform(5, 5, 7, 12)
    with pytest.raises(ValueError, match="too large"):
        value_and_grad(refusing)(np.full(t.ncoef, 9.0 + 0j), t, np.zeros(t.grid.shape), t.scratch())


# Several fields in one call


@njit()
def quartic_of_several(a, t, fields, scratch):
    sht.synthesis_into(fields, a, t, scratch)
    total = 0.0
    for x in fields.ravel():
        total += x**4
    return total


SEVERAL = {
    "full": Case(FullGaussian(17, 19), 9, 8),
    "reduced": Case(HEALPix(4), 7),
    "spin": POLARISED,
    "single": SINGLE,
}


@pytest.mark.parametrize("name", SEVERAL)
@pytest.mark.parametrize("at_once", [1, 2, 3, 7])
def test_several_fields_are_each_alone(name, at_once):
    """For any number at once, more or less than there are."""
    t = SEVERAL[name].transform()
    a, f = given_to("synthesis", t, 1, (5,)), given_to("analysis", t, 2, (5,))
    fields, spectra, scratch = np.empty_like(f), np.empty_like(a), t.scratch(at_once)
    compiled(sht.synthesis_into)(fields, a, t, scratch)
    compiled(sht.analysis_into)(spectra, f, t, scratch)
    assert np.array_equal(fields, np.stack([t.synthesis(x) for x in a]))
    assert np.array_equal(spectra, np.stack([t.analysis(x) for x in f]))


@pytest.mark.parametrize("name", ["full", "spin"])
def test_gradient_through_several_fields(name):
    t = SEVERAL[name].transform()
    a = given_to("synthesis", t, 1, (5,))
    fields = np.empty((5, *t.fields.shape))
    value, gradient = value_and_grad(quartic_of_several)(a, t, fields, t.scratch(2))
    want = t.synthesis(a)
    assert abs(value - np.sum(want**4)) <= 1e-13 * value
    adjoint = t.adjoint_synthesis(4 * want**3)
    assert difference(gradient, adjoint) <= SEVERAL[name].tolerance


@pytest.mark.parametrize(
    ("fields", "sets", "message"),
    [(3, 2, "one set for each field"), (0, 1, "one set for each field"), (2, None, "one set")],
)
def test_as_many_coefficients_as_fields(fields, sets, message):
    field = np.full((fields, *SHAPE), 7.0)
    a = np.full((COUNT,) if sets is None else (sets, COUNT), 7.0 + 0j)
    for scratch in (T.scratch(), T.scratch(4)):
        with pytest.raises(ValueError, match=message):
            sht.synthesis_into(field, a, T, scratch)
        with pytest.raises(ValueError, match=message):
            sht.analysis_into(a, field, T, scratch)
    assert np.all(field == 7)
    assert np.all(a == 7)


@pytest.mark.parametrize("fields", [0, -1, 1.5, "2", None])
def test_scratch_for_no_number_of_fields_is_refused(fields):
    with pytest.raises(ValueError, match=r"`t.scratch\(fields\)` needs a positive int"):
        T.scratch(fields)
