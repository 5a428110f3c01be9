"""A linear map of one field, written as an ``@njit`` kernel, applied to a batch, or transposed.

Everything public that takes fields or coefficients with leading axes goes through here. `llvm` is
imported when it is needed, so that `import sht` stays light; plain maps need no Enzyme.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from enzyme_rules._cupy import cupy, device_of, on_device

from ._arguments import array_in_place, as_batch, check_out


class Space(NamedTuple):
    """What one field, or one set of coefficients, is: the last axes of an array, and its dtype."""

    shape: tuple[int, ...]
    dtype: Any


def apply_map(
    call: str,
    kernel: Any,
    given: ArrayLike,
    source: Space,
    target: Space,
    constants: tuple[Any, ...] = (),
    out: NDArray | None = None,
    *,
    transposed: bool = False,
) -> NDArray:
    """Apply a kernel, or its transpose, to each field of a batch.

    Parameters
    ----------
    call : str
        As the user wrote it, for messages: ``"sht.laplacian(a, lmax)"``.
    kernel : njit function
        ``kernel(output, input, *constants)`` overwrites its output, and is real-linear in its
        input.
    given : (..., *source.shape) array_like
    source, target : Space
        Of what is given and of what is returned, also when transposed.
    constants : tuple
        The kernel's other arguments.
    out : (..., *target.shape) array, optional
        Where to write the result.
    transposed : bool
        Apply the transpose, with respect to Re Σ conj(x) y, that Enzyme makes of the kernel.

    Returns
    -------
    (..., *target.shape) array

    Raises
    ------
    TypeError, ValueError
        Wrong dtype, shape, or `out`; nothing has been written then.
    """

    def run(results: NDArray, batch: NDArray) -> None:
        for one, given_one in zip(results, batch, strict=True):
            if transposed:
                one[...] = 0
                backwards(kernel, given_one.copy(), one, *constants)  # what is given is used up
            else:
                forwards(kernel, one, given_one, *constants)

    return apply_run(call, run, given, source, target, out)


def apply_run(
    call: str,
    run: Callable[[NDArray, NDArray], None],
    given: ArrayLike,
    source: Space,
    target: Space,
    out: NDArray | None,
    library: Any = np,
) -> NDArray:
    """As `apply_map`, by ``run(results, batch)``: contiguous, with one leading axis each.

    With CuPy as library, `given` and `out` are on the current device, and so is the result.
    """
    array = array_in_place(call, given, library)
    batch, leading = as_batch(call, array, *source, library)
    shape = leading + target.shape
    if out is not None:
        check_out(call, out, shape, target.dtype, array, library)
    # A result goes directly into `out` where its fields are contiguous.
    direct = out if out is not None and out.flags.c_contiguous else None
    result = library.empty(shape, target.dtype) if direct is None else direct
    run(result.reshape(-1, *target.shape), batch)
    if out is None or direct is not None:
        return result
    out[...] = result
    return out


def place_of(call: str, *arrays: Any) -> tuple[Any, int | None, AbstractContextManager[Any]]:
    """Where some arrays are: their library, the device or None, and a block for work there."""
    device = device_of(call, arrays)
    return np if device is None else cupy(), device, on_device(device)


def forwards(kernel: Any, output: Any, given: Any, *rest: Any) -> None:
    """``output = K(given)``, or ``output += K(given)`` where the kernel accumulates."""
    from llvm import compiled

    compiled(kernel)(output, given, *rest)


def backwards(kernel: Any, output: Any, given: Any, *rest: Any) -> None:
    """``given += Kᵀ(output)``; clears `output` where the kernel overwrites it."""
    from llvm import Const, Duplicated, linear_transpose

    linear_transpose(
        kernel,
        Duplicated(placeholder("output", output.shape, output.dtype), output),
        Duplicated(placeholder("given", given.shape, given.dtype), given),
        *map(Const, rest),
    )


@functools.lru_cache(maxsize=32)
def placeholder(role: str, shape: tuple[int, ...], dtype: np.dtype) -> NDArray:
    """A primal array for a transposed linear map: what it holds is of no consequence.

    It needs an address of its own, is shared by all calls and threads, and takes next to no memory
    as long as nothing is written there. A fresh one for each call cost 2 ms of page faults at T511.
    """
    del role
    return np.zeros(shape, dtype)
