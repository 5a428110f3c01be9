"""One call of a kernel, or of its derivative, on the device where its arrays are."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from numba.core import types

from enzyme_rules._cupy import DeviceError, cupy, on_device

from ._call import refuse_overlap
from ._device_arrays import device_zeros_like
from ._entry import is_cotangent
from ._errors import AutodiffError
from ._flat import flatten
from ._overlap import first_overlap
from ._program import Program


def call_on_device(
    program: Program,
    function: Any,
    arguments: Sequence[Any],
    shadows: list[Any],
    device: int,
    *,
    seed: float,
    scratch: int,
) -> tuple[float, float]:
    """As `call`, for a kernel compiled for a GPU.

    Parameters
    ----------
    program : Program
    function : njit function
        The body, for its name.
    arguments : sequence
        The number of threads, and headers of arrays on the device.
    shadows : list
        As for `call`, of headers.
    device : int
    seed : float
    scratch : int
        Bytes that each thread may allocate.

    Returns
    -------
    value, derivative : float
        Sums over the threads, if they return a number.

    Raises
    ------
    DeviceError
        A thread raised an exception, or needs more memory; the driver refuses the launch.
    """
    library = cupy()
    frame, n = program.frame, int(arguments[0])
    name, code = function.py_func.__qualname__, program.loaded
    values = flatten(arguments)
    with on_device(device), code.errors(device):
        _fill_with_zeros(program, values, shadows)
        block, spans = frame.fill(values, shadows, seed)
        overlap = first_overlap(spans)
        if overlap is not None:
            refuse_overlap(function, overlap, spans)
        numbers = returned = raised = None
        # Derivatives by numbers are added up in memory, tangents of numbers are words.
        mine = [w for w in frame.number_words if is_cotangent(program.question.mode, w[0])]
        if mine:
            numbers = library.zeros(2 * len(mine), "f8")
            for k, (_, word, _) in enumerate(mine):
                struct.pack_into("=q", block, 8 * word, numbers.data.ptr + 16 * k)
        if program.returns_value:
            returned = library.zeros((2, n), f"f{program.returned_bits // 8}")
        if program.may_raise or code.uses_scratch:
            raised = library.zeros(2, "i8")
        rows = [0, 0] if returned is None else [returned[0].data.ptr, returned[1].data.ptr]
        rows.append(0 if raised is None else raised.data.ptr)
        before = code.rule_errors(device) if program.rules_may_fail else 0
        if n:
            code.launch(device, n, block, tuple(rows), scratch)
        if raised is not None:
            _check(name, raised.get(), scratch)
        if program.rules_may_fail and code.rule_errors(device) != before:
            raise AutodiffError(
                f"A rule used by the kernel `{name}` failed. What it wrote is undefined.",
                stage="compile",
                function=name,
            )
        if numbers is not None:
            found = numbers.get().reshape(-1, 2)
            for row, (position, _, ty) in zip(found, mine, strict=True):
                shadows[position] = _number(row, ty)
        if returned is None:
            return 0.0, 0.0
        sums = returned.sum(axis=1).get()
        return float(sums[0]), float(sums[1])


def _fill_with_zeros(program: Program, values: list[Any], shadows: list[Any]) -> None:
    """Put zeros where an array needs a shadow and has none."""
    count = program.frame.shadows
    for k, item in enumerate(program.frame.items):
        if item.kind == "array" and item.varies:
            for s in range(count * k, count * (k + 1)):
                if shadows[s] is None:
                    shadows[s] = device_zeros_like(values[k])


def _check(name: str, raised: np.ndarray, scratch: int) -> None:
    if raised[1]:
        raise DeviceError(
            f"Each thread of `{name}` may allocate {scratch} bytes, for arrays and for what the "
            f"reverse pass keeps. Got one that needs more; what it wrote is undefined. Give it "
            f"more: `kernel(f, scratch=...)`."
        )
    if raised[0]:
        raise DeviceError(
            f"Thread {raised[0] - 1} of `{name}` raised an exception; what it wrote is undefined. "
            f"Run that thread on NumPy copies of its arguments to see which: "
            f"`{name}({raised[0] - 1}, ...)`."
        )


def _number(row: np.ndarray, ty: Any) -> complex | float:
    """The derivative by a number, from the two words that it was added up in."""
    dtype = np.dtype(str(ty))
    value = row.view(dtype)[0]
    return complex(value) if isinstance(ty, types.Complex) else float(value)
