"""Values at points as a device makes them: thread by thread on the host, and on the stand-in."""

from typing import Any

import numpy as np
import pytest

import sht
from enzyme_rules._cupy import DeviceError
from llvm import Const, Duplicated, linear_transpose
from sht import _device_points
from sht._device_points import order_at_points, run_at_points, values_of_orders
from sht._order_sums import make_order_tables
from sht.reference import random_coefficients
from tests import standin_cuda
from tests.sht_cases import difference
from tests.standin_cuda import ndarray

EPS = 2.2e-16
TRUNCATIONS = [(0, 0), (1, 0), (5, 5), (31, 17), (255, 255)]
each = pytest.mark.parametrize(("lmax", "mmax"), TRUNCATIONS)


def points_of(count, seed=1):
    """The poles and a point next to one, where functions of high orders are below any float64."""
    rng = np.random.default_rng(seed)
    theta = np.concatenate([[0.0, np.pi, 1e-3], rng.uniform(0, np.pi, count - 3)])
    return theta, rng.uniform(0, 7, count)


def given(lmax, mmax, count, transposed, seed=2, batch=(2,)) -> Any:
    rng = np.random.default_rng(seed)
    if transposed:
        return rng.standard_normal((*batch, count))
    return random_coefficients(rng, lmax, mmax, batch)


def by_threads(x, points, lmax, mmax, transposed) -> Any:
    shape = (len(x), sht.ncoef(lmax, mmax) if transposed else len(points[0]))
    results = np.full(shape, np.nan, complex if transposed else float)
    run_at_points(np, None, points, (lmax, mmax), transposed, results, x)
    return results


def on_the_host(x, points, lmax, mmax, transposed) -> Any:
    theta, phi = points
    return (sht.adjoint_evaluate if transposed else sht.evaluate)(x, theta, phi, lmax, mmax)


@pytest.mark.parametrize("transposed", [False, True], ids=["plain", "transposed"])
@each
def test_threads_do_what_the_host_does(lmax, mmax, transposed):
    points = points_of(20)
    x = given(lmax, mmax, 20, transposed)
    kept = x.copy()
    found = by_threads(x, points, lmax, mmax, transposed)
    want = on_the_host(x, points, lmax, mmax, transposed)
    assert difference(found, want) <= 4 * EPS * (lmax + 4)
    assert np.array_equal(x, kept)
    assert np.array_equal(by_threads(x, points, lmax, mmax, transposed), found)


@each
def test_dot(lmax, mmax):
    points = points_of(20)
    a, values = given(lmax, mmax, 20, False), given(lmax, mmax, 20, True)
    forth = by_threads(a, points, lmax, mmax, False)
    back = by_threads(values, points, lmax, mmax, True)
    both = np.sum(forth * values), np.vdot(a, back).real
    assert abs(both[0] - both[1]) <= 8 * EPS * np.linalg.norm(forth) * np.linalg.norm(values)
    assert not np.any(back[:, : lmax + 1].imag)


@pytest.mark.parametrize("transposed", [False, True], ids=["plain", "transposed"])
def test_however_it_is_divided(transposed, monkeypatch):
    lmax, mmax, points = 9, 6, points_of(30)
    x = given(lmax, mmax, 30, transposed)
    want = by_threads(x, points, lmax, mmax, transposed)
    for size, threads in ((1, 1), (8 * 7 * 8 * 7, 1 << 15), (1 << 28, 7 * 2 * 4), (1 << 28, 1)):
        monkeypatch.setattr(_device_points, "_BYTES", size)
        monkeypatch.setattr(_device_points, "_THREADS", threads)
        found = by_threads(x, points, lmax, mmax, transposed)
        assert difference(found, want) <= 4 * EPS
        if not transposed:
            assert np.array_equal(found, want)


def test_no_two_threads_add_to_one_item():
    """Each transposed thread by itself, as a function of its index."""
    t, (theta, _) = make_order_tables(5, 4), points_of(7)
    groups, fields, orders, n = 3, 2, 5, 7
    functions = np.random.default_rng(3).standard_normal((4, orders * n))
    functions[1] = 0.0
    sums, values = np.ones((fields, orders * n, 2)), np.ones((fields, n))
    a = np.zeros((fields, sht.ncoef(5, 4) * groups), complex)
    counts = np.zeros(a.shape, int)
    for i in range(fields * orders * groups):
        mine = np.zeros_like(a)
        rest = np.zeros(fields * orders * groups), functions, theta, t, groups, groups
        linear_transpose(
            order_at_points,
            Const(i),
            Duplicated(np.zeros_like(sums), sums.copy()),
            Duplicated(np.zeros_like(a), mine),
            *map(Const, rest),
        )
        counts += mine != 0
    assert np.all(counts == 1)
    counts = np.zeros(sums.shape, int)
    for i in range(fields * n):
        mine, given = np.zeros_like(sums), values.copy()
        linear_transpose(
            values_of_orders,
            Const(i),
            Duplicated(np.zeros_like(values), given),
            Duplicated(np.zeros_like(sums), mine),
            Const(functions),
            Const(orders),
        )
        assert np.count_nonzero(given == 0) == 1
        counts += mine != 0
    assert np.all(counts == 1)


@pytest.fixture(scope="module")
def gpu(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        standin_cuda.install(patch, tmp_path_factory.mktemp("gpu"))
        yield


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("transposed", [False, True], ids=["plain", "transposed"])
def test_arrays_on_a_device(gpu, transposed, dtype):
    lmax, mmax, (theta, phi) = 9, 6, points_of(12)
    theta, phi = theta.reshape(3, 4), phi.reshape(3, 4)
    x = given(lmax, mmax, 12, transposed)
    x = x.reshape(2, 3, 4) if transposed else x
    x = x.astype(dtype if transposed else np.result_type(dtype, np.complex64))
    function: Any = sht.adjoint_evaluate if transposed else sht.evaluate
    want = function(x, theta, phi, lmax, mmax)
    for angles in ((theta, phi), (ndarray(theta), ndarray(phi)), (ndarray(theta), phi)):
        found = function(ndarray(x), *angles, lmax, mmax)
        assert isinstance(found, ndarray)
        assert found.dtype == want.dtype
        assert found.shape == want.shape
        assert difference(found.get(), want) <= 16 * np.finfo(dtype).eps
    out = ndarray(np.full_like(want, np.nan))
    assert function(ndarray(x), theta, phi, lmax, mmax, out=out) is out
    np.testing.assert_array_equal(out.get(), found.get())


def test_points_elsewhere(gpu):
    a: Any = given(5, 5, 3, False)
    with pytest.raises(DeviceError, match=r"sht.evaluate\(a, .*Got arrays on device 0 and the h"):
        sht.evaluate(a, ndarray(np.ones(3)), np.ones(3), 5)
    with pytest.raises(ValueError, match="needs theta and phi that broadcast"):
        sht.evaluate(ndarray(a), ndarray(np.ones(3)), np.ones(4), 5)
    with pytest.raises(ValueError, match=r"needs colatitudes theta in \[0, π\]"):
        sht.evaluate(ndarray(a), -1.0, 1.0, 5)
    with pytest.raises(ValueError, match="needs a value for each point"):
        sht.adjoint_evaluate(ndarray(np.ones(4)), np.ones(3), np.ones(3), 5)
