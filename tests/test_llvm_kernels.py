"""Kernels on the CPU: thread by thread, both ways, beside the loop over all threads."""

import math

import numba
import numpy as np
import pytest

from enzyme_rules import LinearRule, register
from llvm import (
    Active,
    AutodiffError,
    Const,
    Duplicated,
    Forward,
    Reverse,
    autodiff,
    grad,
    kernel,
    linear_transpose,
    value_and_grad,
)
from tests import kernel_cases
from tests.kernel_cases import CASES, N, mapped


def looped(body):
    """The loop that a launch stands for, as an ordinary function."""
    number = body is kernel_cases.misfit

    @numba.njit
    def writes(n, *arguments):
        for i in range(n):
            body(i, *arguments)

    @numba.njit
    def returns(n, *arguments):
        total = 0.0
        for i in range(n):
            total += body(i, *arguments)
        return total

    return returns if number else writes


def random_like(seed):
    generator = np.random.default_rng(seed)

    def make(array):
        shadow = np.zeros((2 * array.shape[0], *array.shape[1:]), array.dtype)[::2]
        shadow = shadow if array.strides == shadow.strides else np.zeros_like(array)
        shadow[...] = generator.standard_normal(array.shape)
        return shadow

    return make


def arrays_of(activities):
    found = []
    for a in activities:
        for value in (a.value, getattr(a, "shadow", None)):
            mapped(found.append, value)
    return found


def same_strides(array):
    copy = np.zeros((2 * array.shape[0], *array.shape[1:]), array.dtype)[::2]
    copy = copy if array.strides == copy.strides else np.zeros_like(array)
    copy[...] = array
    return copy


LAUNCHES = [(case, True) for case in CASES if case.body is not kernel_cases.until] + [
    (case, False) for case in CASES if case.apart
]
named = pytest.mark.parametrize(
    ("case", "atomics"),
    LAUNCHES,
    ids=[f"{c.name}-{'shared' if a else 'apart'}" for c, a in LAUNCHES],
)


@named
@pytest.mark.parametrize("mode", [Reverse, Forward], ids=lambda mode: mode.value)
def test_launch_is_the_loop(case, atomics, mode):
    case = case.in_mode(mode)
    results = []
    for run in (kernel(case.body, atomics=atomics)[N], looped(case.body)):
        activities = case.activities(same_strides, random_like(5))
        first = () if isinstance(run, type(kernel(case.body)[N])) else (Const(N),)
        returned = autodiff(mode, run, *first, *activities)
        results.append((returned, arrays_of(activities)))
    (returned, arrays), (expected, others) = results
    for a, b in zip(arrays, others, strict=True):
        np.testing.assert_allclose(a, b, rtol=50 * case.eps, atol=50 * case.eps)
    # A sum of N numbers that do not cancel.
    np.testing.assert_allclose(
        np.array(returned, float), np.array(expected, float), rtol=N * case.eps
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_launch_itself(case):
    arguments = mapped(same_strides, case.arguments)
    plain = mapped(same_strides, case.arguments)
    returned = kernel(case.body)[N](*arguments)
    expected = looped(case.body)(N, *plain)
    mapped(lambda a: a, arguments)
    flat, other = [], []
    mapped(flat.append, arguments)
    mapped(other.append, plain)
    for a, b in zip(flat, other, strict=True):
        np.testing.assert_allclose(a, b, rtol=4 * case.eps)
    assert (returned is None) == (expected is None)
    if expected is not None:
        assert returned == pytest.approx(expected, rel=N * case.eps)


def test_exact_derivative_of_a_sum():
    field, data = np.array([1.0, 2.0, 3.0]), np.zeros(3)
    dfield = np.zeros(3)
    (dsigma,) = autodiff(
        Reverse, kernel(kernel_cases.misfit)[3], Duplicated(field, dfield), Const(data), Active(1.0)
    )
    assert list(dfield) == [4.0, 32.0, 108.0]
    assert dsigma == -4.0 * (1 + 16 + 81)


def test_gradient_of_a_launch():
    field, data = np.array([1.0, 2.0, 3.0]), np.zeros(3)
    run = kernel(kernel_cases.misfit)[3]
    assert list(grad(run)(field, data, 1.0)) == [4.0, 32.0, 108.0]
    value, (dsigma,) = value_and_grad(run, argnums=(2,))(field, data, 1.0)
    assert (value, dsigma) == (98.0, -392.0)
    x = field.copy()
    assert list(grad(kernel(kernel_cases.overwrites)[3])(x)) == [4.0, 32.0, 108.0]
    assert list(x) == list(field)
    with pytest.raises(TypeError, match="needs threads that return real numbers"):
        grad(kernel(kernel_cases.in_place)[3])(x)
    with pytest.raises(TypeError, match=r"takes `argnums` alone"):
        grad(run, has_aux=True)
    with pytest.raises(TypeError, match="Got `data`|Got `i`|among those to vary"):
        grad(kernel(kernel_cases.iterate)[3], 2)(x, x, 3)


def test_no_threads():
    x = np.ones(3)
    assert kernel(kernel_cases.misfit)[0](x, x, 1.0) == 0.0
    dx = np.zeros(3)
    run = kernel(kernel_cases.misfit)[0]
    assert autodiff(Reverse, run, Duplicated(x, dx), Const(x), Active(1.0)) == (0.0,)
    assert not dx.any()


@numba.njit
def careful(i, y, x):
    if x[i] < 0:
        raise ValueError("negative")
    y[i] = math.sqrt(x[i])


def test_exception_is_the_bodys_own():
    x, y = np.array([4.0, -1.0, 9.0]), np.zeros(3)
    run = kernel(careful)[3]
    with pytest.raises(ValueError, match="negative"):
        run(y, x)
    dx, dy = np.full(3, 7.0), np.ones(3)
    with pytest.raises(ValueError, match="negative"):
        autodiff(Reverse, run, Duplicated(y, dy), Duplicated(x, dx))
    assert (dx == 7).all()
    assert (dy == 1).all()


@numba.njit
def _double_into(y, x):
    y[0] = 2.0 * x[0]


register(LinearRule(_double_into))


@numba.njit
def with_rule(i, y, x):
    _double_into(y[i : i + 1], x[i : i + 1])


def test_rule_in_a_kernel():
    x, dx, y, dy = np.ones(4), np.zeros(4), np.zeros(4), np.arange(4.0)
    run = kernel(with_rule, atomics=False)[4]
    linear_transpose(run, Duplicated(y, dy), Duplicated(x, dx))
    assert list(dx) == [0.0, 2.0, 4.0, 6.0]
    assert not dy.any()


def test_rule_needs_threads_apart():
    x = np.ones(4)
    with pytest.raises(AutodiffError, match=r"`_double_into`, with a rule.*atomics=False"):
        autodiff(
            Reverse,
            kernel(with_rule)[4],
            Duplicated(np.zeros(4), np.ones(4)),
            Duplicated(x, np.zeros(4)),
        )


def test_shared_threads_need_loops_that_end_by_count():
    x = np.ones(4)
    with pytest.raises(AutodiffError, match="a loop ends at a time that only its values tell"):
        autodiff(
            Reverse,
            kernel(kernel_cases.until)[4],
            Duplicated(np.zeros(4), np.ones(4)),
            Duplicated(x, np.zeros(4)),
        )


def test_what_a_kernel_is_made_of():
    with pytest.raises(TypeError, match=r"`kernel\(f\)` needs an @njit function"):
        kernel(math.sin)
    with pytest.raises(TypeError, match="first parameter is the index"):
        kernel(numba.njit(lambda: 1.0))
    with pytest.raises(ValueError, match="positive number of bytes. Got 0"):
        kernel(careful, scratch=0)
    run = kernel(careful)
    with pytest.raises(TypeError, match=r"`careful\[n\]\(\.\.\.\)`. Got `careful"):
        run(np.zeros(3), np.zeros(3))
    for n in (-1, 2.0, True, "3"):
        with pytest.raises(TypeError, match="integer that is not negative"):
            run[n]
    with pytest.raises(TypeError, match="needs the arguments of `careful"):
        run[3](np.zeros(3))
    assert repr(run[3]) == "kernel(careful)[3]"
    assert run.__name__ == "careful"


def test_atomics_are_there(tmp_path):
    from llvm._request import Mode, Question, Threads
    from llvm._stages import derive

    case = CASES[0]
    types = (numba.types.intp, *map(numba.typeof, case.arguments))
    for threads in (Threads.SHARED, Threads.APART):
        question = Question(Mode.REVERSE, types, (False, *case.varying), threads=threads)
        ir = derive(case.body, question)[0].ir
        assert ir.count("atomicrmw fadd") == (2 if threads is Threads.SHARED else 0)
        assert "__kmpc_fork_call(" not in ir.split("declare void @__kmpc_fork_call(")[0]
