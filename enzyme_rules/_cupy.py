"""CuPy: the only file that imports it, and it does so on use."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from typing import Any

import numpy as np

_CUDA = 2  # DLPack's number for the memory of a CUDA device
_CUDA_MANAGED = 13


class DeviceError(RuntimeError):
    """A GPU that is asked for cannot be used, or arrays are not where they must be."""


def cupy() -> Any:
    """CuPy, on a machine where it can reach a GPU.

    Raises
    ------
    DeviceError
        It is not installed, or there is no driver or none that is new enough, or no device.
    """
    if sys.modules.get("cupy") is not _usable[0]:
        _usable[:] = [_imported()]
    return _usable[0]


_usable: list[Any] = [object()]
"""CuPy, once it was found to reach a GPU: each launch asks for it some times. Else no module."""


def _imported() -> Any:
    try:
        import cupy
    except ImportError as error:
        if find_spec("cupy") is None:
            raise DeviceError(
                "Arrays on a GPU need CuPy. Got a Python without it. Install the one for the "
                "CUDA of your driver: `pip install enzyme-sht[cuda12]` or `[cuda13]`."
            ) from error
        raise DeviceError(
            f"Arrays on a GPU need a CuPy that can be imported. Got: {error}. It may be built for "
            f"another CUDA than the one that is installed: install `enzyme-sht[cuda12]` or "
            f"`[cuda13]`, and only one of them."
        ) from error
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise DeviceError(
            f"Arrays on a GPU need a driver of NVIDIA's, for CUDA "
            f"{cupy.cuda.runtime.runtimeGetVersion() // 1000} or later. Got: {error}. Install or "
            f"update the driver, or the CuPy for an older CUDA."
        ) from error
    if count == 0:
        raise DeviceError(
            "Arrays on a GPU need one. Got a driver that finds none. Look at `nvidia-smi`, and at "
            "CUDA_VISIBLE_DEVICES."
        )
    return cupy


def is_on_device(value: Any) -> bool:
    """Whether something is an array in the memory of a GPU: CuPy's, PyTorch's, JAX's.

    Does not import any of them.
    """
    if isinstance(value, np.ndarray) or not hasattr(value, "__dlpack_device__"):
        return False
    return value.__dlpack_device__()[0] in (_CUDA, _CUDA_MANAGED)


def as_cupy(value: Any) -> Any:
    """An array on a device as CuPy's, without a copy; through DLPack if it is another library's."""
    library = cupy()
    return value if isinstance(value, library.ndarray) else library.from_dlpack(value)


def device_of(call: str, arrays: Iterable[Any]) -> int | None:
    """The device that all of some arrays are on; None if they are all in the host's memory.

    Raises
    ------
    DeviceError
        They are on two devices, or on a device and on the host.
    """
    places: dict[int | None, Any] = {}
    for array in arrays:
        if is_on_device(array):
            places.setdefault(array.__dlpack_device__()[1], array)
        elif isinstance(array, np.ndarray) and array.ndim > 0:
            places.setdefault(None, array)
    if len(places) > 1:
        names = sorted("the host" if p is None else f"device {p}" for p in places)
        raise DeviceError(
            f"`{call}` needs all arrays in one place. Got arrays on {' and '.join(names)}. Move "
            f"them: `cupy.asarray(x)` to the current device, `cupy.asnumpy(x)` to the host."
        )
    return next(iter(places), None)


def on_device(device: int | None) -> AbstractContextManager[Any]:
    """A block in which a device is the current one; None for the host."""
    return nullcontext() if device is None else cupy().cuda.Device(device)


def uploaded(value: Any) -> Any:
    """A (named) tuple of NumPy arrays and numbers, with the arrays on the current device.

    They are there when this returns, for all streams.
    """
    result = _uploaded(value)
    cupy().cuda.get_current_stream().synchronize()
    return result


def _uploaded(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return cupy().asarray(value)
    if isinstance(value, tuple):
        items = [_uploaded(item) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    return value


def cufft() -> Any:
    """CuPy's cuFFT.

    Raises
    ------
    DeviceError
        The library is not there: CuPy comes without it.
    """
    try:
        return cupy().cuda.cufft
    except ImportError as error:
        raise DeviceError(
            f"FFTs on a GPU need cuFFT, which CuPy comes without. Got: {error}. Install it: "
            f"`pip install enzyme-sht[cuda12]` or `[cuda13]`."
        ) from error
