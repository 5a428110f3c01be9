"""Operators as a device runs them: thread by thread on the host, and on the stand-in."""

import functools
from typing import Any

import numpy as np
import pytest

import sht
from enzyme_rules._cupy import DeviceError
from sht import operators as op
from sht._device_orders import _TURNS, run_by_orders
from tests import standin_cuda
from tests.sht_operator_cases import (
    OPERATORS,
    ORDERS,
    each_operator,
    given_to,
    radius_of,
    small,
    wanted_of,
)
from tests.standin_cuda import ndarray

both_ways = pytest.mark.parametrize("transposed", [False, True], ids=["plain", "transposed"])


def example(name, lmax, mmax, transposed, batch=(3,)):
    """What goes in, and an array for what comes out."""
    given, wanted = given_to(name, lmax, mmax, batch), wanted_of(name, lmax, mmax, batch)
    given, wanted = (wanted, given) if transposed else (given, wanted)
    return given, np.full_like(wanted, np.nan)


def on_the_host(name, given, lmax, mmax, transposed):
    function = getattr(op, "adjoint_" * transposed + name)
    return function(given, lmax, mmax, *radius_of(name))


def test_every_operator_is_here():
    assert set(ORDERS) == set(OPERATORS)


@both_ways
@each_operator
@small
def test_threads_do_what_the_host_does(lmax, mmax, name, transposed):
    """The same operations of the same source, in another order where they are transposed."""
    given, results = example(name, lmax, mmax, transposed)
    kept = given.copy()
    arguments = (np, ORDERS[name], (lmax, mmax), radius_of(name), transposed)
    run_by_orders(*arguments, results, given)
    want = on_the_host(name, given, lmax, mmax, transposed)
    assert np.max(np.abs(results - want)) <= 8 * 2.2e-16 * max(1.0, np.max(np.abs(want)))
    assert np.array_equal(given, kept)
    again = np.full_like(results, np.nan)
    run_by_orders(*arguments, again, given)
    assert np.array_equal(again, results)


@each_operator
def test_no_two_threads_of_a_turn_add_to_one_item(name):
    """With unit cotangents in the rows of one turn: each item has what one of them adds."""
    lmax, mmax = 7, 4
    ones = np.ones_like(wanted_of(name, lmax, mmax, (1,)))
    rows = row_numbers(lmax + OPERATORS[name][3], mmax)
    for turn in range(_TURNS):
        counts = np.zeros(given_to(name, lmax, mmax).shape[-1], int)
        for row in range(turn, lmax + 2, _TURNS):
            given = ones * (rows == row)
            results = np.empty_like(given_to(name, lmax, mmax, (1,)))
            run_by_orders(np, ORDERS[name], (lmax, mmax), radius_of(name), True, results, given)
            counts += np.any(results.reshape(-1, results.shape[-1]) != 0, axis=0)
        assert counts.max() <= 1


def row_numbers(lmax, mmax):
    degrees, orders = sht.degrees_orders(lmax, mmax)
    return degrees - orders


@pytest.fixture(scope="module")
def gpu(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        standin_cuda.install(patch, tmp_path_factory.mktemp("gpu"))
        yield


@pytest.mark.parametrize("dtype", ["complex128", "complex64"])
@both_ways
@each_operator
def test_arrays_on_a_device(gpu, name, transposed, dtype):
    lmax, mmax = 5, 4
    given, _ = example(name, lmax, mmax, transposed, (2, 2))
    given = given.astype(dtype)
    function = functools.partial(getattr(op, "adjoint_" * transposed + name), lmax=lmax, mmax=mmax)
    want, on_device = function(given), ndarray(given.copy())
    found = function(on_device)
    assert isinstance(found, ndarray)
    assert found.dtype == want.dtype == dtype
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(found.get(), want, atol=8 * eps * max(1.0, np.abs(want).max()))
    np.testing.assert_array_equal(on_device.get(), given)
    out = ndarray(np.full_like(want, np.nan))
    assert function(on_device, out=out) is out
    np.testing.assert_array_equal(out.get(), found.get())


@pytest.mark.parametrize("dtype", ["complex128", "complex64"])
def test_filters_and_spectra_on_a_device(gpu, dtype):
    lmax, mmax, eps = 5, 4, np.finfo(dtype).eps
    found: Any
    out: Any
    a = given_to("laplacian", lmax, mmax, (2, 3)).astype(dtype)
    response = sht.gaussian_beam(lmax, 0.7)
    want = sht.filter_degrees(a, response, lmax, mmax)
    for there in (response, ndarray(response)):
        found = sht.filter_degrees(ndarray(a), there, lmax, mmax)
        assert isinstance(found, ndarray)
        np.testing.assert_allclose(found.get(), want, rtol=2 * eps)
    power, cross = sht.power_spectrum, sht.cross_spectrum
    found = power(ndarray(a), lmax, mmax)
    assert found.dtype == power(a, lmax, mmax).dtype
    np.testing.assert_allclose(found.get(), power(a, lmax, mmax), rtol=4 * eps)
    out = ndarray(np.full((2, 3, lmax + 1), np.nan, found.dtype))
    assert cross(ndarray(a), ndarray(a[:1, 0]), lmax, mmax, out=out) is out
    want = cross(a, a[:1, 0], lmax, mmax)
    np.testing.assert_allclose(out.get(), want, atol=4 * eps * np.abs(want).max())


def test_responses_elsewhere(gpu):
    a, response = given_to("laplacian", 5, 4), np.ones(6)
    with pytest.raises(DeviceError, match=r"filter_degrees\(a, .*Got arrays on device 0 and the h"):
        sht.filter_degrees(a, ndarray(response), 5, 4)
    with pytest.raises(DeviceError, match=r"laplacian\(a, .*Got arrays on device 0 and the host"):
        op.laplacian(ndarray(a), 5, 4, out=a.copy())
    with pytest.raises(ValueError, match=r"needs shape \(..., 20\). Got \(21,\)"):
        op.laplacian(ndarray(np.zeros(21, complex)), 5, 4)


@pytest.mark.parametrize("new", [(3, 2), (9, 9), (7, 2), (3, 3), (5, 4)])
def test_truncation_on_a_device(gpu, new):
    a: Any = given_to("laplacian", 5, 4, (2,))
    found = sht.truncate(ndarray(a), 5, new[0], 4, new[1])
    assert isinstance(found, ndarray)
    np.testing.assert_array_equal(found.get(), sht.truncate(a, 5, new[0], 4, new[1]))
