"""Rotations as a device makes them: thread by thread on the host, and on the stand-in."""

from typing import Any

import numpy as np
import pytest

import sht
from enzyme_rules._cupy import DeviceError
from sht.reference import random_coefficients
from sht.rotation import rotate_by_threads
from tests import standin_cuda
from tests.sht_cases import difference
from tests.standin_cuda import ndarray

EPS = 2.2e-16
ANGLES = 0.3, 1.1, -2.0
both_ways = pytest.mark.parametrize("transposed", [False, True], ids=["plain", "transposed"])


def given(lmax, seed=1, batch=(2,)) -> Any:
    return random_coefficients(np.random.default_rng(seed), lmax, lmax, batch)


def by_threads(a, lmax, angles, transposed) -> Any:
    results = np.full_like(a, np.nan)
    rotate_by_threads(np, np.array(angles), lmax, transposed, results, a)
    return results


@both_ways
@pytest.mark.parametrize("lmax", [0, 1, 2, 9, 64])
def test_threads_do_what_the_host_does(lmax, transposed):
    a = given(lmax)
    kept, function = a.copy(), sht.adjoint_rotate if transposed else sht.rotate
    for angles in (ANGLES, (0.0, 0.0, 0.0), (0.0, np.pi / 2, 0.0)):
        found = by_threads(a, lmax, angles, transposed)
        assert difference(found, function(a, lmax, *angles)) <= 4 * EPS * (1 + lmax / 16)
    assert np.array_equal(a, kept)


def test_high_degrees_begin_below_any_float64():
    """d(k, l) = 2^-l at k = l."""
    lmax = 1090
    a = np.zeros((1, sht.ncoef(lmax)), complex)
    last = sht.lm_index(lmax, lmax, lmax)
    a[0, last] = 1.0
    found = by_threads(a, lmax, ANGLES, False)
    assert difference(found, sht.rotate(a, lmax, *ANGLES)) <= 1e-12
    back = by_threads(found, lmax, tuple(-x for x in reversed(ANGLES)), False)
    assert difference(back, a) <= 1e-11


def test_dot():
    lmax = 31
    a, b = given(lmax, 2), given(lmax, 3)
    forth, back = by_threads(a, lmax, ANGLES, False), by_threads(b, lmax, ANGLES, True)
    both = np.vdot(forth, b).real, np.vdot(a, back).real
    assert abs(both[0] - both[1]) <= 8 * EPS * np.linalg.norm(forth) * np.linalg.norm(b)
    assert not np.any(back[:, : lmax + 1].imag)


@pytest.fixture(scope="module")
def gpu(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        standin_cuda.install(patch, tmp_path_factory.mktemp("gpu"))
        yield


@both_ways
@pytest.mark.parametrize("dtype", ["complex128", "complex64"])
def test_arrays_on_a_device(gpu, dtype, transposed):
    lmax = 6
    a = given(lmax, batch=(2, 2)).astype(dtype)
    function: Any = sht.adjoint_rotate if transposed else sht.rotate
    want, found = function(a, lmax, *ANGLES), function(ndarray(a), lmax, *ANGLES)
    assert isinstance(found, ndarray)
    assert found.dtype == want.dtype
    assert difference(found.get(), want) <= 4 * np.finfo(dtype).eps
    out = ndarray(np.full_like(want, np.nan))
    assert function(ndarray(a), lmax, *ANGLES, out=out) is out
    np.testing.assert_array_equal(out.get(), found.get())


def test_what_is_refused(gpu):
    a: Any = given(5)
    with pytest.raises(DeviceError, match=r"`rotate\(a, .*Got arrays on device 0 and the host"):
        sht.rotate(ndarray(a), 5, *ANGLES, out=a.copy())
    with pytest.raises(ValueError, match=r"needs shape \(..., 28\). Got \(2, 21\)"):
        sht.rotate(ndarray(a), 6, *ANGLES)
