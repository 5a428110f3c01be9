"""`jvp`, `vjp` and `hvp` of launches, beside those of the loop over all threads."""

import math
import re
from typing import Any

import numba
import numpy as np
import pytest

from enzyme_rules._cupy import DeviceError
from llvm import grad, hvp, jvp, kernel, vjp
from llvm._cuda_files import assemble
from llvm._ptx import emit_ptx
from llvm._request import Mode, Question, Threads
from llvm._stages import derive
from tests import kernel_cases, standin_cuda
from tests.kernel_cases import Case, N, mapped
from tests.standin_cuda import ndarray
from tests.test_llvm_kernels import looped, named, random_like, same_strides


@pytest.fixture(params=["host", "device"])
def put(request, monkeypatch, tmp_path):
    """How an array gets to where kernels run."""
    if request.param == "host":
        return same_strides
    standin_cuda.install(monkeypatch, tmp_path)
    return lambda array: ndarray(same_strides(array))


def taken(value) -> Any:
    """All arrays and numbers, on the host."""
    if isinstance(value, tuple):
        return [x for item in value for x in taken(item)]
    if isinstance(value, ndarray):
        return [value.get()]
    return [] if value is None else [np.asarray(value)]


def assert_close(found, expected, case):
    found, expected = taken(found), taken(expected)
    assert len(found) == len(expected)
    for x, y in zip(found, expected, strict=True):
        assert x.shape == y.shape
        assert x.dtype == y.dtype
        scale = 50 * case.eps * max(1.0, np.abs(y).max(initial=0.0))
        np.testing.assert_allclose(x, y, rtol=N * case.eps, atol=scale)


def tangents_of(case, seed=5):
    make = random_like(seed)
    return [
        mapped(make, value) if varies and not isinstance(value, float) else 0.3 if varies else None
        for value, varies in zip(case.arguments, case.varying, strict=True)
    ]


def in_place(put, values):
    return tuple(None if value is None else mapped(put, value) for value in values)


@named
def test_jvp(put, case, atomics):
    tangents = tangents_of(case)
    run, kept = kernel(case.body, atomics=atomics)[N], in_place(put, case.arguments)
    found = jvp(run, kept, in_place(put, tangents))
    plain = mapped(same_strides, case.arguments)
    expected = jvp(looped(case.body), (N, *plain), (None, *tangents))
    assert_close(found, expected, case)
    assert_close(kept, case.arguments, Case(case.body, (), (), eps=0.0))


@named
def test_vjp(put, case, atomics):
    chosen = tuple(k for k, varies in enumerate(case.varying) if varies)
    run, kept = kernel(case.body, atomics=atomics)[N], in_place(put, case.arguments)
    value, pullback = vjp(run, *kept, argnums=chosen)
    plain = mapped(same_strides, case.arguments)
    expected, other = vjp(looped(case.body), N, *plain, argnums=tuple(1 + k for k in chosen))
    assert_close(value, expected, case)
    for _ in range(2):
        cotangents = mapped(random_like(6), expected) if isinstance(expected, tuple) else (0.7,)
        given = in_place(put, cotangents)
        assert_close(pullback(*given), other(*cotangents), case)
    assert_close(kept, case.arguments, Case(case.body, (), (), eps=0.0))


@numba.njit
def energy(i, x, w, scale):
    return scale * math.exp(w[0] * x[i]) + x[i] * x[i] * w[1] ** 2


@numba.njit
def lengths(i, z, scale):
    return scale * (z[i].real ** 2 + z[i].imag ** 2) ** 2


@numba.njit
def on_the_way(i, y, x):
    y[i] = x[i] ** 2
    y[i] *= x[i]
    return y[i] * y[i]


_random = np.random.default_rng(4)
_x, _z = _random.random(N), _random.random(N) + 1j * _random.random(N)
SECOND = [
    Case(energy, (_x, np.array([0.4, 1.7]), 1.3), (True, True, True)),
    Case(energy, (_x, np.array([0.4, 1.7]), 1.3), (True, False, False), apart=True),
    Case(lengths, (_z, 1.3), (True, True)),
    Case(lengths, (_z, 1.3), (True, False), apart=True),
    Case(on_the_way, (np.zeros(N), _x), (False, True), apart=True),
    Case(kernel_cases.misfit, (_x, _x[::-1].copy(), 0.7), (True, True, True)),
    Case(kernel_cases.overwrites, (_x,), (True,), apart=True),
]
SECOND_ORDER = [(case, atomics) for case in SECOND for atomics in ([True, False][: 1 + case.apart])]


def summed(body):
    @numba.njit
    def returns(n, *arguments):
        total = 0.0
        for i in range(n):
            total += body(i, *arguments)
        return total

    return returns


@pytest.mark.parametrize(
    ("case", "atomics"),
    SECOND_ORDER,
    ids=[f"{c.name}{sum(c.varying)}-{'shared' if a else 'apart'}" for c, a in SECOND_ORDER],
)
def test_hvp(put, case, atomics):
    tangents = tangents_of(case)
    run = kernel(case.body, atomics=atomics)[N]
    found = hvp(run, in_place(put, case.arguments), in_place(put, tangents))
    plain = mapped(same_strides, case.arguments)
    expected = hvp(summed(case.body), (N, *plain), (None, *tangents))
    assert_close(found, expected, case)


@pytest.mark.parametrize(("case", "atomics"), SECOND_ORDER)
def test_ptx_of_second_derivatives(case, atomics):
    types = (numba.types.intp, *map(numba.typeof, case.arguments))
    threads = Threads.SHARED if atomics else Threads.APART
    question = Question(Mode.FORWARD_OVER_REVERSE, types, (False, *case.varying), threads=threads)
    text = emit_ptx(derive(case.body, question)[0], "sm_90")
    assert assemble(text, "sm_90")[0].startswith(b"\x7fELF")
    assert ".extern" not in text
    assert bool(re.search(r"\b(?:atom|red)\.[^\n]*add\.f", text)) == atomics


def test_exact_second_derivative(put):
    """Σ exp(w x): of w it is Σ x exp(w x), then Σ x² exp(w x), from all threads to one item."""

    @numba.njit
    def exponential(i, x, w):
        return math.exp(w[0] * x[i])

    x, w = np.array([1.0, 2.0, 3.0]), np.array([0.5])
    run = kernel(exponential)[3]
    gradient, product = hvp(run, (put(x), put(w)), (None, put(np.ones(1))))
    assert taken(gradient)[0] == pytest.approx((x * np.exp(0.5 * x)).sum(), rel=1e-14)
    assert taken(product)[0] == pytest.approx((x * x * np.exp(0.5 * x)).sum(), rel=1e-14)


def test_gradients_agree(put):
    case = SECOND[0]
    run, arguments = kernel(case.body)[N], in_place(put, case.arguments)
    value, pullback = vjp(run, *arguments)
    assert_close(pullback(1.0), grad(run, (0, 1, 2))(*arguments), case)
    tangent = jvp(run, arguments, in_place(put, tangents_of(case)))[1]
    pairs = zip(taken(pullback(1.0)), taken(tuple(tangents_of(case))), strict=True)
    assert tangent == pytest.approx(sum(np.vdot(x, y) for x, y in pairs), rel=1e-13)
    assert value == pytest.approx(run(*arguments), rel=1e-14)


def test_the_point_of_a_pullback_stays(put):
    x = put(np.array([1.0, 2.0, 3.0]))
    _, pullback = vjp(kernel(kernel_cases.overwrites)[3], x)
    x[:] = put(np.zeros(3))
    assert list(taken(pullback(1.0))[0]) == [4.0, 32.0, 108.0]


def test_what_is_refused(put):
    x = put(np.ones(3))
    writes, returns = kernel(kernel_cases.in_place)[3], kernel(kernel_cases.overwrites)[3]
    with pytest.raises(TypeError, match=r"`hvp\(kernel\(in_place\)\[3\], .* needs threads that"):
        hvp(writes, (x,), (x,))
    with pytest.raises(TypeError, match="Got None for each"):
        hvp(returns, (x,), (None,))
    with pytest.raises(ValueError, match=r"`jvp\(kernel.*one tangent, or None, for each of the 1"):
        jvp(returns, (x,), (x, x))
    with pytest.raises(ValueError, match="needs the tangent of `x` to have shape"):
        jvp(returns, (x,), (put(np.ones(4)),))
    with pytest.raises(ValueError, match="takes one cotangent for each of its 1 results. Got 2"):
        vjp(returns, x)[1](1.0, 2.0)
    with pytest.raises(TypeError, match="has nothing to pass on"):
        vjp(returns, x, has_aux=True)
    with pytest.raises(TypeError, match="has nothing to pass on"):
        jvp(returns, (x,), (x,), has_aux=True)


def test_tangents_in_another_place(monkeypatch, tmp_path):
    standin_cuda.install(monkeypatch, tmp_path)
    x = ndarray(np.ones(3))
    with pytest.raises(DeviceError, match=r"`jvp\(kernel\(overwrites\)\[3\], .*and the host"):
        jvp(kernel(kernel_cases.overwrites)[3], (x,), (np.ones(3),))
