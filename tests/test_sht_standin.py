"""The transform on arrays of a device, on the stand-in: what a GPU would be asked to do."""

import numba
import numpy as np
import pytest

import sht
from enzyme_rules._cupy import DeviceError
from llvm import _bound_launch, kernel
from tests import standin_cuda
from tests.standin_cuda import ndarray

NAMES = ("synthesis", "analysis", "adjoint_synthesis", "adjoint_analysis")


@pytest.fixture(scope="module")
def gpu(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        standin_cuda.install(patch, tmp_path_factory.mktemp("gpu"))
        yield


def given_to(t, name, count=2):
    generator = np.random.default_rng(1)
    space = t.coefficients if name in ("synthesis", "adjoint_analysis") else t.fields
    values = generator.standard_normal((count, *space.shape))
    if np.dtype(space.dtype).kind == "c":
        values = values + 1j * generator.standard_normal(values.shape)
    return values.astype(space.dtype)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("grid", ["F4", "O4", "H4"])
def test_maps(gpu, grid, name):
    t = sht.Transform(5, sht.grids.named(grid))
    given = given_to(t, name)
    expected = getattr(t, name)(given)
    found = getattr(t, name)(ndarray(given.copy()))
    assert isinstance(found, ndarray)
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found.get(), expected, atol=1e-14 * np.abs(expected).max())
    out = ndarray(np.full_like(expected, np.nan))
    assert getattr(t, name)(ndarray(given.copy()), out=out) is out
    np.testing.assert_array_equal(out.get(), found.get())


@pytest.mark.parametrize(
    ("method", "space"),
    [
        ("winds", "coefficients"),
        ("gradient", "scalar"),
        ("vorticity_divergence", "fields"),
        ("curl", "fields"),
        ("adjoint_potential_winds", "fields"),
        ("adjoint_divergence", "scalar"),
    ],
)
def test_winds(gpu, method, space):
    t = sht.VectorTransform(5, sht.grids.named("O4"), radius=2.0)
    given = given_to(t, "analysis" if space == "fields" else "synthesis")
    given = given[:, 0] if space == "scalar" else given
    expected = getattr(t, method)(given)
    found = getattr(t, method)(ndarray(given.copy()))
    assert isinstance(found, ndarray)
    np.testing.assert_allclose(found.get(), expected, atol=1e-14 * np.abs(expected).max())
    out = ndarray(np.full_like(expected, np.nan))
    assert getattr(t, method)(ndarray(given.copy()), out=out) is out
    np.testing.assert_array_equal(out.get(), found.get())


@pytest.mark.parametrize("name", NAMES)
def test_launches_wait_for_nothing(gpu, name, monkeypatch):
    """No kernel of a map may raise, allocate, or fail: each is started the short way."""

    def refuse(*_):
        raise AssertionError("the long way")

    monkeypatch.setattr(_bound_launch.BoundLaunch, "_long_way", refuse)
    t = sht.Transform(5, sht.grids.named("O4"))
    getattr(t, name)(ndarray(given_to(t, name)))


@pytest.mark.parametrize("name", NAMES)
def test_repeated(gpu, name):
    """FFTs become graphs of addresses, which the memory of other calls may have in between."""
    t = sht.Transform(5, sht.grids.named("O4"))
    given = [given_to(t, name, count) for count in (2, 3)]
    want = [getattr(t, name)(ndarray(x)).get() for x in given]
    kept = []
    for _ in range(10):
        for x, y in zip(given, want, strict=True):
            kept.append(getattr(t, name)(ndarray(x)))
            np.testing.assert_array_equal(kept[-1].get(), y)


def test_what_is_made_of_maps(gpu):
    t, coarse = sht.Transform(5, sht.grids.named("H4")), sht.Transform(3, sht.grids.named("F4"))
    field, a = given_to(t, "analysis"), given_to(t, "synthesis")
    for run, x in (
        (lambda f: sht.regrid_spectral(f, t, coarse), field),
        (lambda f: sht.jacobi_analysis(f, t, 2), field),
        (lambda f: sht.adjoint_jacobi_analysis(f, t, 2), a),
    ):
        expected, found = run(x), run(ndarray(x.copy()))
        assert isinstance(found, ndarray)
        np.testing.assert_allclose(found.get(), expected, atol=1e-13 * np.abs(expected).max())


@numba.njit
def quartic(i, field):
    return 0.25 * field[i] ** 4


def test_loss_in_one_call(gpu):
    t = sht.Transform(5, sht.grids.named("O4"))
    a = given_to(t, "synthesis", 3)
    run = sht.value_and_grad_through(t, kernel(quartic)[3 * t.grid.npoints])
    expected, exact = run(a)
    value, gradient = run(ndarray(a.copy()))
    assert isinstance(gradient, ndarray)
    np.testing.assert_allclose(value, expected, rtol=1e-13)
    np.testing.assert_allclose(gradient.get(), exact, atol=1e-13 * np.abs(exact).max())


def test_host_and_device_together(gpu):
    t = sht.Transform(5, sht.grids.named("F4"))
    a = given_to(t, "synthesis")
    with pytest.raises(DeviceError, match="Got arrays on device 0 and the host"):
        t.synthesis(ndarray(a), out=np.empty((2, *t.fields.shape)))
    with pytest.raises(TypeError, match="needs dtype complex128. Got complex64"):
        t.synthesis(ndarray(a.astype("c8")))
