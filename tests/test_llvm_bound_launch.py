"""Kernels with their last arguments fixed: as the long way, in less time."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numba
import numpy as np
import pytest

from enzyme_rules._cupy import DeviceError
from llvm import Const, Duplicated, _bound_launch, kernel, linear_transpose
from tests import standin_cuda
from tests.standin_cuda import ndarray

N = 150


class Table(NamedTuple):
    weights: np.ndarray
    shifts: np.ndarray


@numba.njit(error_model="numpy")
def weigh(i, y, x, work, table, power):
    work[i] = x[i]
    for _ in range(power):
        work[i] *= table.weights[i]
    y[i] = work[i] * table.weights[(i + table.shifts[0]) % x.size]


@pytest.fixture(params=["host", "device"])
def put(request, monkeypatch, tmp_path):
    if request.param == "host":
        return np.copy
    standin_cuda.install(monkeypatch, tmp_path)
    return lambda array: ndarray(np.copy(array))


def taken(array) -> Any:
    return array.get() if isinstance(array, ndarray) else array


@pytest.fixture
def short(monkeypatch):
    """There is no long way."""

    def refuse(*_):
        raise AssertionError("the long way")

    monkeypatch.setattr(_bound_launch.BoundLaunch, "_long_way", refuse)


RUN = kernel(weigh, atomics=False)
_random = np.random.default_rng(1)
X = _random.standard_normal(N)
TABLE = Table(_random.standard_normal(N), np.array([3]))


def table(put):
    return Table(*map(put, TABLE))


def expected(x):
    return TABLE.weights**2 * x * np.roll(TABLE.weights, -3)


def test_forwards(put, short):
    bound = RUN.bound((table(put), 2))
    for scale in (1.0, -2.0):
        y, work = put(np.zeros(N)), put(np.zeros(N))
        bound(N, y, put(scale * X), work)
        np.testing.assert_allclose(taken(y), expected(scale * X), rtol=1e-14)
    few = put(np.zeros(N))
    bound(5, few, put(X), work)
    assert np.array_equal(taken(few)[:5], taken(y)[:5] / -2.0)
    assert not taken(few)[5:].any()
    bound(0, few, put(X), work)


def test_transposed_is_linear_transpose(put, short):
    bound = RUN.bound((table(put), 2), transposed=True)
    for seed in (1, 2):
        cotangent = np.random.default_rng(seed).standard_normal(N)
        used, want = put(cotangent), put(np.ones(N))
        y, x, work = (put(np.zeros(N)) for _ in range(3))
        rest = Const(work), Const(table(put)), Const(2)
        linear_transpose(RUN[N], Duplicated(y, used), Duplicated(x, want), *rest)
        dy, dx = put(cotangent), put(np.ones(N))
        bound(N, y, x, work, shadows=(dy, dx, None))
        assert np.array_equal(taken(dx), taken(want))
        assert not taken(dy).any()
        np.testing.assert_allclose(taken(dx), 1.0 + expected(cotangent), rtol=1e-12)


def test_other_sizes_and_types(put, short):
    bound = RUN.bound((table(put), 2))
    for dtype, n in (("f8", N), ("f4", N), ("f8", 40), ("f8", N)):
        y, work = put(np.zeros(n, dtype)), put(np.zeros(n, dtype))
        bound(n, y, put(np.ones(n, dtype)), work)
        want = TABLE.weights[:n] ** 2 * TABLE.weights[(np.arange(n) + 3) % n]
        np.testing.assert_allclose(taken(y), want, rtol=1e-14 if dtype == "f8" else 1e-6)


def test_from_many_threads(short):
    bound = RUN.bound((TABLE, 2))

    def run(scale):
        y = np.zeros(N)
        for _ in range(50):
            bound(N, y, scale * X, np.zeros(N))
        return y

    with ThreadPoolExecutor(4) as pool:
        for scale, y in enumerate(pool.map(run, range(4))):
            np.testing.assert_allclose(y, expected(float(scale) * X), rtol=1e-14)


def test_overlap(put):
    fixed = table(put)
    bound = RUN.bound((fixed, 2))
    x, work = put(X), put(np.zeros(N))
    for _ in range(2):
        with pytest.raises(ValueError, match="that do not overlap where one of them is written"):
            bound(N, x, x, work)
        with pytest.raises(ValueError, match="that do not overlap where one of them is written"):
            bound(N, fixed.weights, x, work)
    bound(N, work, x, put(np.zeros(N)))


@numba.njit
def careful(i, y, x):
    if x[i] < 0.0:
        raise ValueError("negative")
    y[i] = x[i] ** 0.5


def test_exceptions(put):
    bound, y = kernel(careful).bound(()), put(np.zeros(N))
    bound(N, y, put(np.full(N, 4.0)))
    assert np.array_equal(taken(y), np.full(N, 2.0))
    on_host = put is np.copy
    error, message = (
        (ValueError, "negative") if on_host else (DeviceError, r"Thread 7 of `careful`")
    )
    wrong = np.ones(N)
    wrong[7] = -1.0
    with pytest.raises(error, match=message):
        bound(N, y, put(wrong))


def test_what_cuda_says(monkeypatch, tmp_path):
    standin_cuda.install(monkeypatch, tmp_path)
    import cupy

    bound = RUN.bound((table(lambda x: ndarray(np.copy(x))), 2))
    arrays = [ndarray(np.zeros(N)) for _ in range(3)]
    bound(N, *arrays)

    def refuses(*_):
        raise standin_cuda.CUDADriverError("CUDA_ERROR_ILLEGAL_ADDRESS")

    monkeypatch.setattr(cupy.cuda.driver, "launchKernel", refuses)
    with pytest.raises(DeviceError, match="kernel `weigh`. Got: CUDA_ERROR_ILLEGAL_ADDRESS"):
        bound(N, *arrays)


@numba.njit
def total(i, x):
    return x[i]


def test_what_is_refused(put):
    bound = RUN.bound((table(put), 2))
    y, x, work = (put(np.zeros(2 * N))[::2] for _ in range(3))
    with pytest.raises(ValueError, match="needs C-contiguous arrays"):
        bound(N, y, x, work)
    y, x, work = (put(np.zeros(N)) for _ in range(3))
    with pytest.raises(ValueError, match="none. Got 3 for 3"):
        bound(N, y, x, work, shadows=(y, x, work))
    with pytest.raises(TypeError, match="writes into its first arguments alone"):
        RUN.bound((work, table(put), 2))(N, y, x)
    with pytest.raises(TypeError, match="needs a kernel that returns nothing"):
        kernel(total).bound(())(N, x)


def test_arrays_in_two_places(monkeypatch, tmp_path):
    standin_cuda.install(monkeypatch, tmp_path, devices=2)
    bound = RUN.bound((table(lambda x: ndarray(np.copy(x))), 2))
    arrays = [ndarray(np.zeros(N)) for _ in range(3)]
    bound(N, *arrays)
    with pytest.raises(DeviceError, match=r"`kernel\(f\).bound.*on device 0 and device 1"):
        bound(N, *arrays[:2], ndarray(np.zeros(N), 1))
    with pytest.raises(DeviceError, match=r"`kernel\(f\).bound.*on device 0 and the host"):
        bound(N, *[np.zeros(N) for _ in range(3)])
