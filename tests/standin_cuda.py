"""A stand-in for CuPy and a GPU: arrays in the host's memory, kernels run thread by thread.

What it runs is the very IR that becomes PTX, with the entry of a launch, the words it reads, the
scratch of its threads; the registers of a thread are variables, and libdevice is the C library.
What it cannot show is what a driver says, how fast anything is, and what threads do at once.
"""

import contextlib
import ctypes
import random
import re
import sys
import types

import llvmlite.binding as ll
import numpy as np

from llvm import _device_memory, _ptx
from llvm._entry import ERRORS
from llvm._target_machine import run_passes, target_machine
from tests.own_cache import use_own_cache


class CUDADriverError(RuntimeError):
    pass


class CUDARuntimeError(RuntimeError):
    pass


class ndarray:
    """A device's array, which NumPy cannot take for one of its own."""

    dtype: np.dtype
    shape: tuple[int, ...]

    def __init__(self, array, device=0):
        self._array = array
        self._device = device
        self.device = types.SimpleNamespace(id=device)
        self.data = types.SimpleNamespace(ptr=array.__array_interface__["data"][0])
        for name in ("shape", "strides", "dtype", "size", "ndim", "flags", "nbytes"):
            setattr(self, name, getattr(array, name))

    def __dlpack_device__(self):
        return 2, self._device

    def __array__(self, *_, **__):
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")

    def __len__(self):
        return len(self._array)

    def __getitem__(self, key):
        return ndarray(self._array[key], self._device)

    def __setitem__(self, key, value):
        self._array[key] = value._array if isinstance(value, ndarray) else value

    def get(self):
        return self._array.copy()

    def copy(self):
        return ndarray(self._array.copy(), self._device)

    def reshape(self, *shape):
        return ndarray(self._array.reshape(*shape), self._device)

    def __add__(self, other):
        return ndarray(self._array + other._array, self._device)

    def __sub__(self, other):
        return ndarray(self._array - other._array, self._device)

    def sum(self, axis):
        return ndarray(self._array.sum(axis=axis), self._device)


class Stream:
    """Work is done at once, or where it captures, put down for a graph."""

    made: list["Stream"] = []  # noqa: RUF012
    current: list["Stream"] = []  # noqa: RUF012
    can_capture = True

    def __init__(self, null=False, non_blocking=False):
        self.ptr = 0 if null else 2 + len(Stream.made)
        self.captured = None
        Stream.made.append(self)

    def __enter__(self):
        Stream.current.append(self)
        return self

    def __exit__(self, *error):
        Stream.current.pop()

    def do(self, action):
        if self.captured is None:
            action()
        else:
            self.captured.append(action)

    def begin_capture(self):
        if self.ptr in (0, 1):
            raise RuntimeError("cannot capture on the default (legacy) stream")
        if not Stream.can_capture:
            raise CUDARuntimeError("cudaErrorStreamCaptureUnsupported")
        self.captured = []

    def end_capture(self):
        found, self.captured = self.captured, None
        if found is None or "invalid" in found:
            raise CUDARuntimeError("cudaErrorStreamCaptureInvalidated")
        return Graph(found)

    def is_capturing(self):
        assert self.ptr > 1, "the legacy stream must not be asked"
        return self.captured is not None

    def synchronize(self):
        refuse_in_capture()


def current_stream():
    return Stream.current[-1]


def refuse_in_capture():
    """What waits or allocates ends a capture, and is refused."""
    for stream in Stream.made:
        if stream.captured is not None:
            stream.captured.append("invalid")
            raise CUDARuntimeError("cudaErrorStreamCaptureUnsupported")


class Graph:
    """What was captured, at the addresses that it had."""

    launched = 0

    def __init__(self, actions):
        self.actions = actions

    def launch(self, stream=None):
        Graph.launched += 1
        for action in self.actions:
            (stream or current_stream()).do(action)


class _At:
    """An array by its address alone, as CUDA sees it."""

    def __init__(self, array):
        self.__array_interface__ = dict(array._array.__array_interface__)


class Device:
    compute_capability = "72"  # no test compiles real PTX for it

    def __init__(self, device):
        self.device = device

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass


class Module:
    """IR instead of PTX, compiled for the host."""

    kernels: dict[int, "Module"] = {}  # noqa: RUF012

    def load(self, code):
        text = _for_host(code.rstrip(b"\0").decode())
        self._engine = ll.create_mcjit_compiler(ll.parse_assembly(text), target_machine())
        self._engine.finalize_object()
        address = self._engine.get_function_address("kernel")
        self.run = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 5, ctypes.c_int64)(address)
        self.registers = {
            name: ctypes.c_int32.from_address(self._engine.get_global_value_address(name))
            for name in ("tid", "ctaid", "ntid", "nctaid")
        }

    def get_function(self, name):
        assert name == "kernel"
        Module.kernels[id(self)] = self
        return types.SimpleNamespace(ptr=id(self))

    def get_global_var(self, name):
        return self._engine.get_global_value_address(name)


def launch(function, *rest):
    blocks, threads = rest[0], rest[3]
    assert rest[1:3] == rest[4:6] == (1, 1)
    stream, parameters, extra = rest[7:]
    assert stream == current_stream().ptr
    assert current_stream().captured is None, "not modelled: parameters would have to be copied"
    assert extra == 0
    places = (ctypes.c_void_p * 6).from_address(parameters)
    numbers = [ctypes.c_uint64.from_address(place).value for place in places[1:]]
    module = Module.kernels[function]
    every = [(block, thread) for block in range(blocks) for thread in range(threads)]
    random.Random(0).shuffle(every)
    for block, thread in every:
        module.registers["ctaid"].value, module.registers["tid"].value = block, thread
        module.registers["nctaid"].value, module.registers["ntid"].value = blocks, threads
        module.run(places[0], *numbers)


def _for_host(text):
    text = text.replace("ptx_kernel ", "").replace('syncscope("device") ', "")
    text = re.sub(r"byval\(\[\d+ x i64\]\) align 8 ", "", text)
    text = re.sub(r"^declare [^\n]*@llvm\.nvvm\.read[^\n]*\n", "", text, flags=re.M)
    text = re.sub(r"@llvm\.nvvm\.read\.ptx\.sreg\.(\w+)\.x\(", r"@read_\1(", text)
    text = re.sub(r"@__nv_(\w+)\(", r"@\1(", text)
    # A thread cannot end in the middle: it goes on with memory from somewhere else.
    text, count = re.subn(
        r'(?:tail )?call void asm sideeffect "exit;", ""\(\)[^\n]*\n\s*unreachable',
        "%elsewhere = call ptr @malloc(i64 %size)\n  ret ptr %elsewhere",
        text,
    )
    assert count == _device_memory.uses_scratch(text)
    for name in ("tid", "ctaid", "ntid", "nctaid"):
        text += f"\n@{name} = global i32 0\ndefine i32 @read_{name}() {{\n"
        text += f"  %value = load i32, ptr @{name}\n  ret i32 %value\n}}\n"
    return text + "\ndeclare ptr @malloc(i64)\n"


class Plan1d:
    """An FFT of real rows, as cuFFT does it: unnormalised, by a plan for so many."""

    calls = 0

    def __init__(self, n, kind, batch):
        refuse_in_capture()
        self.n, self.kind, self.batch = n, kind, batch

    def fft(self, given, output, direction):
        assert direction is None
        assert len(given._array) == self.batch
        Plan1d.calls += 1
        there = _At(given), _At(output)
        current_stream().do(lambda: self._run(*map(np.asarray, there)))

    def _run(self, given, output):
        if self.kind in ("R2C", "D2Z"):
            output[...] = np.fft.rfft(given)
        else:
            output[...] = np.fft.irfft(given, self.n, norm="forward")
            given[...] = np.nan


def _garbage(shape, dtype):
    """What is not overwritten is noticed."""
    return np.full(shape, np.nan if dtype.kind in "fc" else 77, dtype)


def _asarray(array, dtype=None):
    return ndarray(np.array(array._array if isinstance(array, ndarray) else array, dtype))


def _memcpy(target, source, size, kind):
    ctypes.memmove(target, source, size)


def standin(devices=1):
    """What ``import cupy`` finds, with some number of devices."""

    def count():
        if devices is None:
            raise CUDARuntimeError("cudaErrorInsufficientDriver")
        return devices

    Stream.made.clear()
    Stream.current[:] = [Stream(null=True)]
    cupy = types.ModuleType("cupy")
    vars(cupy).update(
        ndarray=ndarray,
        from_dlpack=lambda other: ndarray(other._array, other._device),
        zeros_like=lambda array: ndarray(np.zeros_like(array._array)),
        ascontiguousarray=lambda array: ndarray(np.ascontiguousarray(array._array)),
        zeros=lambda shape, dtype=float: ndarray(np.zeros(shape, dtype)),
        empty=lambda shape, dtype=float: ndarray(_garbage(shape, np.dtype(dtype))),
        empty_like=lambda array: ndarray(_garbage(array.shape, array.dtype)),
        shares_memory=lambda a, b: np.shares_memory(a._array, b._array),
        asarray=_asarray,
        broadcast_to=lambda array, shape: ndarray(np.broadcast_to(array._array, shape)),
        cuda=types.SimpleNamespace(
            Device=Device,
            Stream=Stream,
            get_current_stream=current_stream,
            function=types.SimpleNamespace(Module=Module),
            cufft=types.SimpleNamespace(
                Plan1d=Plan1d, **{f"CUFFT_{k}": k for k in ("R2C", "C2R", "D2Z", "Z2D")}
            ),
            using_allocator=lambda allocator: contextlib.nullcontext(),
            driver=types.SimpleNamespace(launchKernel=launch, CUDADriverError=CUDADriverError),
            runtime=types.SimpleNamespace(
                getDeviceCount=count,
                getDevice=lambda: 0,
                runtimeGetVersion=lambda: 13000,
                CUDARuntimeError=CUDARuntimeError,
                memcpy=_memcpy,
            ),
        ),
    )
    return cupy


def install(monkeypatch, folder, devices=1):
    """Let there be a GPU, and a cache of its own for what is compiled for it."""
    use_own_cache(monkeypatch, folder)
    monkeypatch.setitem(sys.modules, "cupy", standin(devices))
    monkeypatch.setattr(_ptx, "emit_ptx", lambda made, architecture: _without_unused(made))


def _without_unused(made):
    """As in PTX: a kernel that allocates nothing, or has no rule, does not know of either."""
    text = _ptx.device_ir(made)
    text, count = re.subn(r"(?m)^(define .*@device_allocate\(.*\)) (.*{)$", r"\1 noinline \2", text)
    assert count == 1
    module = ll.parse_assembly(text)
    for item in (*module.functions, *module.global_variables):
        if not item.is_declaration and item.name not in ("kernel", ERRORS):
            # Whoever else may call it, its parameter stays: `_for_host` goes by its name.
            item.linkage = "linkonce_odr" if item.name == "device_allocate" else "internal"
    run_passes(module, target_machine(), speed_level=1, vectorise=False)
    return str(module)
