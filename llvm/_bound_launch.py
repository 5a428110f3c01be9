"""A kernel, or its transpose, with its last arguments fixed: for launches that must cost little.

As `Bound`, on the CPU or on a device. Here too, checking and flattening tables of a dozen arrays
takes longer than the launch itself.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from enzyme_rules import generation
from enzyme_rules._cupy import cupy, is_on_device, on_device

from ._device_arrays import headers
from ._flat import flatten
from ._kernel_call import Place, call_launch, place_of
from ._launch import Kernel
from ._marshal import address
from ._overlap import Ranges, bounds
from ._program import Program, program_for
from ._request import Mode

_CALL = "kernel(f).bound(fixed)(n, *arrays)"


@dataclass(frozen=True)
class _Prepared:
    """What is the same in every call with arrays of the same types and sizes.

    Attributes
    ----------
    words : bytes
        Those of a call, of which `front` is another in each.
    shadowed : tuple of bool
        Which of the arrays have a shadow: those that are written have one even if they do not vary.
    fixed : Ranges
    short : bool
        Whether a launch has nothing to wait for, and no way to fail.
    """

    place: Place
    program: Program
    block: Any
    words: bytes
    front: struct.Struct
    shadowed: tuple[bool, ...]
    fixed: Ranges
    short: bool


class BoundLaunch:
    """A kernel whose last arguments are fixed; see `Kernel.bound`."""

    def __init__(self, kernel: Kernel, fixed: tuple[Any, ...], transposed: bool) -> None:
        self._kernel, self._fixed, self._transposed = kernel, fixed, transposed
        self._known: dict[Any, _Prepared] = {}
        self._generation = generation()

    def __call__(self, n: int, *arrays: Any, shadows: Sequence[Any] = ()) -> None:
        """Run n threads.

        Parameters
        ----------
        n : int
        *arrays : C-contiguous arrays
            All NumPy's, or all CuPy's on one device.
        shadows : sequence of arrays or None
            If transposed, one for each array, of its shape and dtype; None for one that does not
            vary.

        Raises
        ------
        ValueError
            Arrays overlap, or are not C-contiguous.
        """
        if generation() != self._generation:  # a rule has been registered since
            self._known.clear()
            self._generation = generation()
        on_host = type(arrays[0]) is np.ndarray
        key = tuple([_kind(array, on_host) for array in (*arrays, *shadows)])
        prepared = self._known.get(key)
        if prepared is None:
            prepared = self._known[key] = self._prepare(n, arrays, shadows)
        words: list[int] = [n]
        ranges: list[tuple[int, int]] = []
        shadows = list(shadows or [None] * len(arrays))
        for k, array in enumerate(arrays):
            pair = [array]
            if prepared.shadowed[k]:
                if shadows[k] is None:
                    shadows[k] = (np if on_host else cupy()).zeros(array.shape, array.dtype)
                pair.append(shadows[k])
            size = array.nbytes
            for own in pair:
                start = address(own) if on_host else own.data.ptr
                words.append(start)
                if size:
                    ranges.append((start, start + size))
            words += array.shape
        ranges.sort()
        if not (prepared.short and prepared.fixed.are_apart_from(ranges)):
            self._long_way(prepared, n, arrays, shadows)
            return
        block = prepared.block.from_buffer_copy(prepared.words)
        prepared.front.pack_into(block, 0, *words)
        if on_host:
            if prepared.program.loaded.entry(block):
                self._long_way(prepared, n, arrays, shadows)  # which says what is wrong
        elif n:
            self._launch(prepared, n, block)

    def _launch(self, prepared: _Prepared, n: int, block: Any) -> None:
        device: Any = prepared.place.device
        code = prepared.program.loaded
        try:
            if cupy().cuda.runtime.getDevice() == device:
                code.launch(device, n, block, (0, 0, 0), 0)
            else:
                with on_device(device):
                    code.launch(device, n, block, (0, 0, 0), 0)
        except Exception:
            with code.errors(device):
                raise

    def _long_way(
        self, prepared: _Prepared, n: int, arrays: Sequence[Any], shadows: Sequence[Any]
    ) -> None:
        arguments = headers((n, *arrays, *self._fixed))
        rest = [None] * (len(prepared.program.frame.items) - 1 - len(arrays))
        everything = [None, *headers(shadows), *rest]
        call_launch(prepared.place, self._kernel[n], prepared.program, arguments, everything)

    def _prepare(self, n: int, arrays: Sequence[Any], shadows: Sequence[Any]) -> _Prepared:
        given = [array for array in (*arrays, *shadows) if array is not None]
        place = place_of(_CALL, [*given, *self._fixed])
        if not all(
            (isinstance(a, np.ndarray) or is_on_device(a)) and a.flags.c_contiguous for a in given
        ):
            raise ValueError(f"`{_CALL}` needs C-contiguous arrays. Got others.")
        if bool(shadows) != self._transposed or len(shadows) not in (0, len(arrays)):
            raise ValueError(
                f"`{_CALL}` needs a shadow, or None, for each array if it is transposed, else "
                f"none. Got {len(shadows)} for {len(arrays)}."
            )
        varying = [shadow is not None for shadow in shadows or [None] * len(arrays)]
        fixed = headers(self._fixed)
        arguments = n, *headers(arrays), *fixed
        program = program_for(
            _CALL,
            self._kernel.body,
            Mode.REVERSE if self._transposed else Mode.PRIMAL,
            arguments,
            (False, *varying, *[False] * len(fixed)),
            skip_primal=self._transposed,
            threads=self._kernel.threads,
            architecture=place.architecture,
        )
        items, first = program.frame.items, 1 + len(arrays)
        if program.returns_value or any(item.written for item in items[first:]):
            raise TypeError(
                f"`{_CALL}` needs a kernel that returns nothing and writes into its first "
                f"arguments alone. Got {self._kernel!r}, which does something else."
            )
        shadowed = tuple(item.varies for item in items[1:first])
        everything: list[Any] = [None, *headers(shadows)] if shadows else []
        everything += [None] * (len(items) - len(everything))
        block, _ = program.frame.fill(flatten(arguments), everything, 0.0)
        count = 1 + sum(1 + own + a.ndim for own, a in zip(shadowed, arrays, strict=True))
        own = [a for a in flatten(fixed) if isinstance(a, np.ndarray) and a.size]
        ranges = Ranges([bounds(a, address(a)) for a in own])
        code = program.loaded
        short = place.device is None or not (
            program.may_raise or program.rules_may_fail or code.uses_scratch
        )
        front = struct.Struct(f"={count}q")
        return _Prepared(place, program, type(block), bytes(block), front, shadowed, ranges, short)


def _kind(array: Any, on_host: bool) -> Any:
    if array is None:
        return None
    if on_host:
        return array.dtype, array.shape, array.flags.num
    return array.dtype, array.shape, array.strides, array.device.id
