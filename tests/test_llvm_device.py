"""Kernels for a GPU without one: PTX that NVIDIA's assembler takes, and launches on a stand-in."""

import re
import sys
from importlib.util import find_spec
from typing import Any

import numba
import numpy as np
import pytest

from enzyme_rules._cupy import DeviceError, cupy
from llvm import (
    Active,
    Const,
    Duplicated,
    Forward,
    NoDerivativeError,
    Reverse,
    ToolchainError,
    _cuda_files,
    _device_code,
    autodiff,
    grad,
    kernel,
    linear_transpose,
    ptx,
    value_and_grad,
)
from llvm._cuda_files import assemble
from llvm._ptx import emit_ptx
from llvm._request import Mode, Question, Threads
from llvm._stages import derive
from tests import kernel_cases, standin_cuda
from tests.kernel_cases import CASES, N, mapped, overwrites
from tests.own_cache import use_own_cache
from tests.standin_cuda import ndarray
from tests.test_llvm_kernels import named, random_like, same_strides, with_rule

ARCHITECTURES = ("sm_80", "sm_90", "sm_100")


@named
def test_ptx_assembles(case, atomics):
    threads = Threads.SHARED if atomics else Threads.APART
    types = (numba.types.intp, *map(numba.typeof, case.arguments))
    for mode in (Mode.PRIMAL, Reverse, Forward):
        varying = (False, *[v and mode is not Mode.PRIMAL for v in case.varying])
        made, _ = derive(case.body, Question(mode, types, varying, threads=threads))
        # What differs between cases is not the architecture.
        for architecture in ARCHITECTURES if case in CASES[:3] else ARCHITECTURES[1:2]:
            text = emit_ptx(made, architecture)
            code, said = assemble(text, architecture)
            assert code.startswith(b"\x7fELF")
            assert "bytes spill stores" not in said.replace(" 0 bytes spill stores", "")
            assert ".extern" not in text
            shared = re.findall(r"\b(?:atom|red)\.[^\n]*add\.f", text)
            assert bool(shared) == (atomics and mode is Reverse)


def test_old_and_new_architectures():
    case = CASES[0]
    for architecture in ("sm_70", "sm_75", "sm_86", "sm_89", "sm_103", "sm_120", "sm_121"):
        text = ptx(kernel(case.body)[N], *case.arguments, architecture=architecture)
        assert assemble(text, architecture)[0]
    for wrong in ("sm_60", "90", "compute_90", ""):
        with pytest.raises(ValueError, match="'sm_70'` and later"):
            _cuda_files.target(wrong)
    assert _cuda_files.target("sm_87")[0] == "sm_86"
    assert _cuda_files.target("sm_130")[0] == "sm_120"


def test_no_cuda_files(monkeypatch):
    monkeypatch.setattr(_cuda_files, "_folders", lambda: iter(()))
    _cuda_files._find.cache_clear()
    try:
        with pytest.raises(ToolchainError, match=r"Got no ptxas. .*enzyme-sht\[cuda12\]"):
            assemble("", "sm_90")
    finally:
        _cuda_files._find.cache_clear()


def test_ptxas_refuses():
    with pytest.raises(ToolchainError, match="ptxas for sm_90"):
        assemble("this is no PTX", "sm_90")


@numba.njit
def prints(i, y):
    print(y[i])


def test_what_a_gpu_does_not_have():
    with pytest.raises(NoDerivativeError, match="kernel `prints` calls `.*`, which a GPU does not"):
        ptx(kernel(prints)[3], np.zeros(3))


def test_ptx_takes_what_autodiff_takes():
    with pytest.raises(TypeError, match="needs a launch"):
        ptx(kernel(prints), np.zeros(3))
    with pytest.raises(TypeError, match="each argument wrapped"):
        ptx(kernel(prints)[3], np.zeros(3), mode=Reverse)


@pytest.fixture
def gpu(monkeypatch, tmp_path):
    standin_cuda.install(monkeypatch, tmp_path)


def on_gpu(array):
    return ndarray(same_strides(array))


@named
@pytest.mark.parametrize("mode", [Reverse, Forward], ids=lambda mode: mode.value)
def test_launch_on_a_device(gpu, case, atomics, mode):
    case = case.in_mode(mode)
    run = kernel(case.body, atomics=atomics)[N]
    host = case.activities(same_strides, random_like(5))
    make = random_like(5)
    device = case.activities(on_gpu, lambda array: ndarray(make(array)))
    expected, returned = autodiff(mode, run, *host), autodiff(mode, run, *device)
    for a, b in zip(host, device, strict=True):
        for name in ("value", "shadow"):
            found, other = [], []
            mapped(found.append, getattr(a, name, None))
            for array in _arrays(getattr(b, name, None)):
                other.append(array.get())
            for x, y in zip(found, other, strict=True):
                np.testing.assert_allclose(y, x, rtol=50 * case.eps, atol=50 * case.eps)
    np.testing.assert_allclose(
        np.array(returned, float), np.array(expected, float), rtol=N * case.eps
    )


def _arrays(value):
    if isinstance(value, tuple):
        return [array for item in value for array in _arrays(item)]
    return [value] if isinstance(value, ndarray) else []


def test_launch_itself(gpu):
    case = CASES[4]
    arguments = [mapped(on_gpu, value) for value in case.arguments]
    expected = kernel(case.body)[N](*case.arguments)
    assert kernel(case.body)[N](*arguments) == pytest.approx(expected, rel=1e-14)
    assert kernel(case.body)[0](*arguments) == 0.0


def test_transpose_on_a_device(gpu):
    case = CASES[3]
    y, matrix, x = case.arguments
    dy, dx = random_like(1)(y), np.zeros_like(x)

    @numba.njit
    def linear(i, y, matrix, x):
        y[i] = 0.0
        for k in range(matrix.shape[1]):
            y[i] += matrix[i, k] * x[k]

    shadow = ndarray(dx)
    linear_transpose(
        kernel(linear)[N],
        Duplicated(on_gpu(y), on_gpu(dy)),
        Const(on_gpu(matrix)),
        Duplicated(on_gpu(x), shadow),
    )
    np.testing.assert_allclose(shadow.get(), matrix.T @ dy, rtol=1e-13)


def test_rule_on_a_device(gpu):
    dx, dy = ndarray(np.zeros(N)), ndarray(np.arange(float(N)))
    run = kernel(with_rule, atomics=False)[N]
    linear_transpose(run, Duplicated(ndarray(np.zeros(N)), dy), Duplicated(ndarray(np.ones(N)), dx))
    np.testing.assert_array_equal(dx.get(), 2.0 * np.arange(N))
    assert not dy.get().any()


def test_exception_on_a_device(gpu):
    @numba.njit
    def careful(i, y, x):
        if x[i] < 0:
            raise ValueError("negative")
        y[i] = x[i] ** 0.5

    x, y = np.ones(N), np.zeros(N)
    x[131] = -1.0
    with pytest.raises(DeviceError, match=r"Thread 131 of `.*careful` raised an exception"):
        kernel(careful)[N](on_gpu(y), on_gpu(x))


def test_scratch_that_is_too_small(gpu):
    temporary = next(case for case in CASES if case.name == "temporary")
    y, x, _ = temporary.arguments
    run = kernel(temporary.body, scratch=128)[N]
    run(on_gpu(y), on_gpu(x), 8)
    with pytest.raises(DeviceError, match="may allocate 128 bytes"):
        run(on_gpu(y), on_gpu(x), 40)
    kernel(temporary.body)[N](on_gpu(y), on_gpu(x), 40)


def test_more_threads_than_scratch_for_them(gpu, monkeypatch):
    temporary = next(case for case in CASES if case.name == "temporary")
    y, x, n = temporary.arguments
    monkeypatch.setattr(_device_code, "_MOST_SCRATCH", 1)
    result = on_gpu(y)
    kernel(temporary.body)[N](result, on_gpu(x), n)
    np.testing.assert_allclose(result.get(), sum(x**k for k in range(n)), rtol=1e-14)


def test_what_cuda_says(gpu, monkeypatch):
    library = sys.modules["cupy"]
    run, x = kernel(CASES[1].body)[N], np.ones(N)

    def refuses(*_):
        raise standin_cuda.CUDADriverError("CUDA_ERROR_UNSUPPORTED_PTX_VERSION")

    monkeypatch.setattr(library.cuda.driver, "launchKernel", refuses)
    with pytest.raises(DeviceError, match=r"kernel `iterate`. Got: CUDA_ERROR_UNSUPPORTED_PTX"):
        run(on_gpu(x), on_gpu(x), 3)

    def full(*_):
        raise MemoryError("Out of memory allocating 8 bytes")

    monkeypatch.setattr(library, "zeros", full)
    with pytest.raises(MemoryError, match="Out of memory") as caught:
        kernel(CASES[4].body)[N](on_gpu(x), on_gpu(x), 1.0)
    assert "a launch of the kernel `misfit` on device 0" in caught.value.__notes__[0]


def test_arrays_in_two_places(monkeypatch, tmp_path):
    standin_cuda.install(monkeypatch, tmp_path, devices=2)
    x = np.ones(N)
    run = kernel(CASES[4].body)[N]
    with pytest.raises(DeviceError, match="Got arrays on device 0 and the host"):
        run(on_gpu(x), x, 1.0)
    with pytest.raises(DeviceError, match="Got arrays on device 0 and device 1"):
        run(on_gpu(x), ndarray(x, 1), 1.0)
    with pytest.raises(DeviceError, match="Got arrays on device 0 and the host"):
        autodiff(Reverse, run, Duplicated(on_gpu(x), x), Const(on_gpu(x)), Active(1.0))


def test_overlap_on_a_device(gpu):
    x = np.ones(N)
    with pytest.raises(ValueError, match="needs arrays, shadows among them, that do not overlap"):
        kernel(CASES[1].body)[N](ndarray(x), ndarray(x), 3)


def test_number_in_a_tuple_has_no_place(gpu):
    tuples = next(case for case in CASES if case.name == "tuples")
    y, model, x = (mapped(on_gpu, value) for value in tuples.arguments)
    nothing: Any = None
    place: Any = np.zeros(())
    place = kernel_cases.Model(nothing, place)
    with pytest.raises(TypeError, match="no place for the derivative by a number in a tuple"):
        autodiff(
            Reverse,
            kernel(tuples.body)[N],
            Duplicated(y, on_gpu(np.ones(N))),
            Duplicated(model, place),
            Const(x),
        )


def test_function_that_is_no_kernel():
    x = ndarray(np.ones(3))

    @numba.njit
    def total(x):
        return x.sum()

    with pytest.raises(TypeError, match="It is on a GPU, where kernels run"):
        grad(total)(x)


def test_no_cupy(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(DeviceError, match=r"need (CuPy|a CuPy that can be imported)"):
        cupy()


@pytest.mark.parametrize(
    ("devices", "message"), [(None, "need a driver of NVIDIA's, for CUDA 13"), (0, "finds none")]
)
def test_no_device(monkeypatch, devices, message):
    monkeypatch.setitem(sys.modules, "cupy", standin_cuda.standin(devices))
    with pytest.raises(DeviceError, match=message):
        cupy()


@pytest.mark.skipif(find_spec("cupy") is None, reason="CuPy is not installed")
def test_cupy_has_what_the_standin_has():
    import cupy as library

    assert library.cuda.driver.launchKernel.__doc__.startswith("launchKernel(intptr_t f, unsigned")
    for name in ("Device", "get_current_stream"):
        assert hasattr(library.cuda, name)
    module = library.cuda.function.Module
    assert {"load", "get_function", "get_global_var"} <= set(dir(module))
    assert issubclass(library.cuda.driver.CUDADriverError, RuntimeError)
    assert issubclass(library.cuda.runtime.CUDARuntimeError, RuntimeError)
    assert {"memcpy", "getDeviceCount", "runtimeGetVersion"} <= set(dir(library.cuda.runtime))
    assert {"from_dlpack", "zeros", "zeros_like", "empty", "ndarray", "ascontiguousarray"} <= set(
        dir(library)
    )
    assert hasattr(library.ndarray, "__dlpack_device__")
    assert issubclass(library.cuda.memory.OutOfMemoryError, MemoryError)


def test_carried_to_where_there_is_no_enzyme(monkeypatch, tmp_path):
    """Compiled here, found in a copy of the cache on a machine without Enzyme."""
    _, name = use_own_cache(monkeypatch, tmp_path)

    @numba.njit
    def cube(i, y, x):
        y[i] = x[i] ** 3

    x = np.zeros(4)
    run = kernel(cube)[4]
    activities = Duplicated(x, None), Duplicated(x, None)
    made = ptx(run, *activities, mode=Reverse, architecture="sm_90")
    monkeypatch.delenv(name)
    from llvm import EnzymeNotFoundError, _program, _stages

    def none():
        raise EnzymeNotFoundError()

    for module in (_program, _stages):
        monkeypatch.setattr(module, "find_enzyme", none)
    for table in (_program._programs, _program._by_kind):
        table.pop(cube, None)
    assert ptx(run, *activities, mode=Reverse, architecture="sm_90") == made
    with pytest.raises(EnzymeNotFoundError):
        ptx(run, *activities, mode=Reverse, architecture="sm_80")


def test_gradient_on_a_device(gpu):
    field, data, sigma = next(c for c in CASES if c.name == "misfit").arguments
    run = kernel(kernel_cases.misfit)[N]
    value, (dfield, dsigma) = value_and_grad(run, argnums=(0, 2))(field, data, sigma)
    strided = ndarray(np.repeat(field, 2)[::2])
    found, (onfield, onsigma) = value_and_grad(run, (0, 2))(strided, on_gpu(data), sigma)
    assert isinstance(onfield, ndarray)
    np.testing.assert_allclose(onfield.get(), dfield, rtol=1e-13)
    np.testing.assert_allclose([found, onsigma], [value, dsigma], rtol=1e-13)


def test_gradient_leaves_arguments_on_a_device(gpu):
    x = np.array([1.0, 2.0, 3.0])
    on = ndarray(x.copy())
    gradient = grad(kernel(overwrites)[3])(on)
    assert list(gradient.get()) == [4.0, 32.0, 108.0]
    assert list(on.get()) == list(x)


def test_library_that_is_not_cupy(gpu):
    """Another library's arrays come through DLPack."""

    class Tensor:
        def __init__(self, array):
            self._array, self._device = array, 0

        def __dlpack_device__(self):
            return 2, 0

    y = np.zeros(3)
    kernel(CASES[1].body)[3](Tensor(y), Tensor(np.ones(3)), 0)
    assert list(y) == [1.0, 1.0, 1.0]
