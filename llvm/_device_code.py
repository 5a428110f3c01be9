"""Kernels on devices: loaded, and launched through CuPy."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from enzyme_rules._cupy import DeviceError, cupy

from ._device_memory import BLOCK, uses_scratch
from ._entry import ERRORS, KERNEL

_MOST_SCRATCH = 1 << 28  # bytes, in all; a launch that would take more has fewer threads, in turns
_MOST_BLOCKS = (1 << 31) - 1
_Numbers = ctypes.c_uint64 * 5
_Places = ctypes.c_uint64 * 6


@dataclass
class DeviceCode:
    """PTX, and what devices have made of it.

    Attributes
    ----------
    ptx : str
    function : str
        For messages.
    uses_scratch : bool
        Whether its threads allocate.
    """

    ptx: str = field(repr=False)
    function: str
    _loaded: dict[int, Any] = field(default_factory=dict, repr=False)
    _kernels: dict[int, int] = field(default_factory=dict, repr=False)
    _lock: Any = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        self.uses_scratch = uses_scratch(self.ptx)

    def launch(
        self, device: int, n: int, block: Any, addresses: tuple[int, int, int], scratch: int
    ) -> None:
        """Launch n threads in the current stream of a device, which is the current one.

        Parameters
        ----------
        device : int
        n : int
        block : ctypes array
            What `Frame` made. It may be written again when this returns.
        addresses : (int, int, int)
            Of the places of values, tangents, and what is raised.
        scratch : int
            Bytes for each thread, if it allocates.
        """
        library = cupy()
        blocks = min(-(-n // BLOCK), _MOST_BLOCKS)
        buffer, start = None, 0
        if self.uses_scratch:
            scratch = -(-scratch // 16) * 16
            blocks = max(1, min(blocks, _MOST_SCRATCH // (BLOCK * scratch)))
            buffer = library.empty(blocks * BLOCK * scratch, "u1")
            start = buffer.data.ptr
        numbers = _Numbers(*addresses, start, scratch)
        at = ctypes.addressof(numbers)
        places = _Places(ctypes.addressof(block), at, at + 8, at + 16, at + 24, at + 32)
        kernel = self._kernels.get(device) or self._kernel(library, device)
        library.cuda.driver.launchKernel(
            *(kernel, blocks, 1, 1, BLOCK, 1, 1),
            *(0, library.cuda.get_current_stream().ptr, ctypes.addressof(places), 0),
        )

    def _kernel(self, library: Any, device: int) -> int:
        self._kernels[device] = self._module(library, device).get_function(KERNEL).ptr
        return self._kernels[device]

    def rule_errors(self, device: int) -> int:
        """How many rules have failed so far in this kernel on the current device. Waits for it."""
        library = cupy()
        address = self._module(library, device).get_global_var(ERRORS)
        count = ctypes.c_int64()
        place = getattr(address, "ptr", address)
        library.cuda.get_current_stream().synchronize()
        library.cuda.runtime.memcpy(ctypes.addressof(count), place, 8, 2)  # device to host
        return count.value

    def _module(self, library: Any, device: int) -> Any:
        with self._lock:
            if device not in self._loaded:
                module = library.cuda.function.Module()
                module.load(self.ptx.encode() + b"\0")
                self._loaded[device] = module
            return self._loaded[device]

    @contextmanager
    def errors(self, device: int) -> Iterator[None]:
        """A block in which what CUDA says is said with the kernel's name."""
        library = cupy()
        try:
            yield
        except MemoryError as error:
            error.add_note(
                f"It was for a launch of the kernel `{self.function}` on device {device}: for what "
                f"its threads return or allocate, or for shadows. Launch fewer threads at a time."
            )
            raise
        except (
            library.cuda.driver.CUDADriverError,
            library.cuda.runtime.CUDARuntimeError,
        ) as error:
            raise DeviceError(
                f"Device {device} must be able to run the kernel `{self.function}`. Got: {error}. "
                f"After an unsupported PTX version or architecture update the driver; after an "
                f"illegal address, look for an index beyond an array: on NumPy arrays "
                f"`boundscheck=True` finds it. What came before in the stream may be the cause."
            ) from error
