"""On a real GPU: `make test-gpu`. Not part of `make test`, and an error where there is none."""

import numpy as np
import pytest

import sht
from enzyme_rules._cupy import cupy
from llvm import (
    Const,
    Duplicated,
    Forward,
    Reverse,
    autodiff,
    grad,
    hvp,
    jvp,
    kernel,
    value_and_grad,
    vjp,
)
from tests import kernel_cases
from tests.kernel_cases import N, mapped
from tests.sht_operator_cases import each_operator, given_to, wanted_of
from tests.test_llvm_kernels import named, random_like, same_strides

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def device():
    return cupy()


def on_gpu(library, array):
    """With the strides of the array."""
    made = library.asarray(same_strides(array))
    if array.strides == made.strides:
        return made
    wide = library.zeros((2 * array.shape[0], *array.shape[1:]), array.dtype)[::2]
    wide[...] = made
    return wide


@named
@pytest.mark.parametrize("mode", [Reverse, Forward], ids=lambda mode: mode.value)
def test_launch(device, case, atomics, mode):
    case = case.in_mode(mode)
    run = kernel(case.body, atomics=atomics)[N]
    host = case.activities(same_strides, random_like(5))
    make = random_like(5)
    there = case.activities(
        lambda array: on_gpu(device, array), lambda array: on_gpu(device, make(array))
    )
    expected, returned = autodiff(mode, run, *host), autodiff(mode, run, *there)
    for a, b in zip(host, there, strict=True):
        for name in ("value", "shadow"):
            found, other = [], []
            mapped(found.append, getattr(a, name, None))
            _append_arrays(device, other, getattr(b, name, None))
            for x, y in zip(found, other, strict=True):
                np.testing.assert_allclose(y, x, rtol=50 * case.eps, atol=50 * case.eps)
    np.testing.assert_allclose(
        np.array(returned, float), np.array(expected, float), rtol=N * case.eps
    )


def _append_arrays(library, found, value):
    if isinstance(value, tuple):
        for item in value:
            _append_arrays(library, found, item)
    elif isinstance(value, library.ndarray):
        found.append(library.asnumpy(value))


def test_additions_by_all_threads(device):
    """Every thread adds to one item: none is lost."""
    n = 1_000_000
    x = device.ones(n)
    dw = device.zeros(1)
    autodiff(
        Reverse,
        kernel(kernel_cases.waves)[n],
        Duplicated(device.zeros(n), device.ones(n)),
        Const(x),
        Duplicated(device.zeros(1), dw),
    )
    # d/dw sin(x w) exp(-x) at x = 1, w = 0
    assert float(dw[0]) == pytest.approx(n * np.exp(-1.0), rel=1e-10)


def test_products(device):
    case = next(case for case in kernel_cases.CASES if case.name == "misfit")
    run, tangents = kernel(case.body)[N], (np.ones(N), None, 0.3)
    arrays = tuple(device.asarray(x) if np.ndim(x) else x for x in case.arguments)
    there = (device.ones(N), None, 0.3)
    np.testing.assert_allclose(
        jvp(run, arrays, there), jvp(run, case.arguments, tangents), rtol=N * case.eps
    )
    found = vjp(run, *arrays, argnums=0)[1](2.0)[0]
    expected = vjp(run, *case.arguments, argnums=0)[1](2.0)[0]
    np.testing.assert_allclose(device.asnumpy(found), expected, rtol=1e-13)
    for x, y in zip(hvp(run, arrays, there), hvp(run, case.arguments, tangents), strict=True):
        np.testing.assert_allclose(device.asnumpy(x[0]), y[0], rtol=1e-12)
        assert float(x[1]) == pytest.approx(y[1], rel=1e-12)


def test_current_stream_and_device(device):
    field, data = device.random.random(N), device.random.random(N)
    run = value_and_grad(kernel(kernel_cases.misfit)[N])
    value, gradient = run(field, data, 0.5)
    with device.cuda.Stream(non_blocking=True) as stream:
        again, same = run(field, data, 0.5)
        stream.synchronize()
    assert value == again
    assert bool((gradient == same).all())


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("grid", ["F32", "O32", "H16"])
@pytest.mark.parametrize("name", ["synthesis", "analysis", "adjoint_synthesis", "adjoint_analysis"])
def test_transform(device, name, grid, dtype):
    t = sht.Transform(31, sht.grids.named(grid), dtype=dtype)
    generator = np.random.default_rng(1)
    to_points = name in ("synthesis", "adjoint_analysis")
    shape = t.coefficients.shape if to_points else t.fields.shape
    given = generator.standard_normal((3, *shape))
    if to_points:
        given = given + 1j * generator.standard_normal((3, *shape))
    given = given.astype(t.coefficients.dtype if to_points else t.fields.dtype)
    expected = getattr(t, name)(given)
    found = getattr(t, name)(device.asarray(given))
    assert isinstance(found, device.ndarray)
    error = np.abs(device.asnumpy(found) - expected).max() / np.abs(expected).max()
    assert error < (1e-13 if dtype == "float64" else 1e-6)


@pytest.mark.parametrize("transposed", [False, True])
@each_operator
def test_operators(device, name, transposed):
    given = (wanted_of if transposed else given_to)(name, 31, 20, (3,))
    function = getattr(sht.operators, "adjoint_" * transposed + name)
    expected, found = function(given, 31, 20), function(device.asarray(given), 31, 20)
    assert isinstance(found, device.ndarray)
    error = np.abs(device.asnumpy(found) - expected).max() / np.abs(expected).max()
    assert error < 1e-15


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_values_at_points(device, dtype):
    rng, n, lmax = np.random.default_rng(1), 1000, 63
    theta, phi = rng.uniform(0, np.pi, n), rng.uniform(0, 7, n)
    a = given_to("laplacian", lmax, lmax, (3,)).astype(np.result_type(dtype, np.complex64))
    expected = sht.evaluate(a, theta, phi, lmax)
    found = sht.evaluate(device.asarray(a), theta, phi, lmax)
    eps = np.finfo(dtype).eps
    scale = np.abs(expected).max()
    np.testing.assert_allclose(device.asnumpy(found), expected, atol=8 * eps * lmax * scale)
    back = sht.adjoint_evaluate(expected, theta, phi, lmax)
    there = sht.adjoint_evaluate(
        device.asarray(expected), device.asarray(theta), device.asarray(phi), lmax
    )
    scale = np.abs(back).max()
    np.testing.assert_allclose(device.asnumpy(there), back, atol=8 * eps * lmax * scale)


def test_rotations(device):
    lmax, angles = 63, (0.3, 1.1, -2.0)
    a = given_to("laplacian", lmax, lmax, (3,))
    for function in (sht.rotate, sht.adjoint_rotate):
        expected, found = function(a, lmax, *angles), function(device.asarray(a), lmax, *angles)
        assert np.abs(device.asnumpy(found) - expected).max() < 1e-14 * np.abs(expected).max()


def test_loss_through_the_transform(device):
    t = sht.Transform(31, sht.grids.named("F32"))
    n = t.grid.npoints
    generator = np.random.default_rng(1)
    a = generator.standard_normal(t.ncoef) + 0j
    data = generator.standard_normal(t.fields.shape)
    loss = grad(kernel(kernel_cases.misfit)[n])

    def gradient(a, data):
        field = t.synthesis(a)
        return t.adjoint_synthesis(loss(field.ravel(), data.ravel(), 1.0).reshape(field.shape))

    expected = gradient(a, data)
    found = device.asnumpy(gradient(device.asarray(a), device.asarray(data)))
    np.testing.assert_allclose(found, expected, atol=1e-12 * np.abs(expected).max())
