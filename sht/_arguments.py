"""Checks of the arrays that the maps of a transform take and fill."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numba.core import types
from numpy.typing import ArrayLike, NDArray

from enzyme_rules._cupy import as_cupy, is_on_device

from ._kinds import of_pairs
from ._legendre import PHASES, STATE, WIDTH
from ._simd import LANES, intrinsic


def as_batch(
    call: str, given: ArrayLike, shape: tuple[int, ...], dtype: Any, library: Any = np
) -> tuple[NDArray, tuple[int, ...]]:
    """An input as a contiguous batch, and its leading axes.

    Parameters
    ----------
    call : str
        For messages.
    given : array_like
        What the user passed: ``(..., *shape)`` of this dtype, with any strides.
    shape, dtype
        Of one field.
    library : module
        NumPy, or CuPy for an array that is on a device and stays there.

    Returns
    -------
    (count, *shape) array, tuple of int

    Raises
    ------
    TypeError
        Another dtype, or an array that is not where it must be.
    ValueError
        Another shape.
    """
    array = array_in_place(call, given, library)
    if array.dtype != dtype:
        raise TypeError(
            f"`{call}` needs dtype {np.dtype(dtype)}. Got {array.dtype}. {_cast_hint(array, dtype)}"
        )
    if array.shape[-len(shape) :] != shape or array.ndim < len(shape):
        raise ValueError(
            f"`{call}` needs shape {_shown(shape)}. Got {array.shape}. "
            f"{_shape_hint(call, array, shape)}".rstrip()
        )
    leading = array.shape[: array.ndim - len(shape)]
    return library.ascontiguousarray(array).reshape(-1, *shape), leading


def array_in_place(call: str, given: Any, library: Any) -> NDArray:
    """What was given as an array of this library, without a copy from or to a device."""
    if is_on_device(given) != (library is not np):
        raise TypeError(
            f"`{call}` runs on the host. Got an array on a device. Pass `cupy.asnumpy(x)`."
            if library is np
            else f"`{call}` needs all arrays on the device that one is on. Got "
            f"{type(given).__name__}. Pass `cupy.asarray(x, dtype)`."
        )
    return np.asarray(given) if library is np else as_cupy(given)


def check_out(
    call: str, out: Any, shape: tuple[int, ...], dtype: Any, given: NDArray, library: Any = np
) -> None:
    """Check that a result can be written into `out`.

    Raises
    ------
    TypeError
        Not an array of this dtype.
    ValueError
        Another shape, read-only, or overlapping the input.
    """
    call = call.replace(")", ", out)")
    if not isinstance(out, library.ndarray) or out.dtype != dtype:
        got = out.dtype if isinstance(out, library.ndarray) else type(out).__name__
        name = "np" if library is np else "cupy"
        raise TypeError(
            f"`{call}` needs `out` to be a {np.dtype(dtype)} array. Got {got}. "
            f"Make it with `{name}.empty({shape}, np.{np.dtype(dtype)})`."
        )
    if out.shape != shape:
        raise ValueError(f"`{call}` needs `out` of shape {shape}. Got {out.shape}.")
    if library is np and not out.flags.writeable:
        raise ValueError(f"`{call}` writes into `out`. Got a read-only array. Pass `out.copy()`.")
    if library.shares_memory(out, given):
        raise ValueError(
            f"`{call}` needs `out` apart from the input. Got arrays that share memory. "
            f"Leave `out` out, or pass another array."
        )


def give_back(
    call: str, result: NDArray, given: NDArray, out: NDArray | None, library: Any = np
) -> NDArray:
    """A finished result, or `out` with the result in it; raises as `check_out`."""
    if out is None:
        return result
    check_out(call, out, result.shape, result.dtype, given, library)
    out[...] = result
    return out


def check_radius(call: str, radius: float) -> float:
    """A radius as a float; TypeError where it is no number, ValueError where not positive."""
    try:
        number = float(radius)
    except (TypeError, ValueError):
        raise TypeError(f"`{call}` needs a number `radius`. Got {radius!r}.") from None
    if not 0.0 < number < math.inf:
        raise ValueError(f"`{call}` needs a radius > 0. Got {radius!r}. The Earth's is 6.371e6 m.")
    return number


def _shown(shape: tuple[int, ...]) -> str:
    return f"(..., {', '.join(map(str, shape))})"


def _cast_hint(array: NDArray, dtype: Any) -> str:
    if np.can_cast(array.dtype, dtype, "same_kind"):
        return f"Convert it: `.astype(np.{np.dtype(dtype)})`."
    return "Fields are real, coefficients complex."


def _shape_hint(call: str, array: NDArray, shape: tuple[int, ...]) -> str:
    """What may have gone wrong."""
    coefficients = array.dtype.kind == "c"
    pair = len(shape) > 1 and shape[0] == 2 and not call.startswith("sht.Transform.")
    if pair and array.shape[-len(shape) + 1 :] == shape[1:]:
        return f"It takes pairs: `np.stack([first, second], axis={-len(shape)})`."
    if pair and len(shape) == 2 and array.shape[-2:] == shape[::-1]:
        return "The axis of 2 comes first: pass it with `.swapaxes(-1, -2)`."
    if coefficients:
        return "Coefficients are packed, m-major, as in healpy: see `sht.lm_index`."
    if len(shape) > 1 + pair and array.shape[-2:] == shape[:-3:-1]:
        return "Longitude comes last: pass `field.swapaxes(-1, -2)`."
    if len(shape) > 1 + pair and array.shape[-1:] == (math.prod(shape[-2:]),):
        rings = ", ".join(map(str, shape[-2:]))
        return f"Split its rings: `field.reshape(*field.shape[:-1], {rings})`."
    if len(shape) == 1 + pair:
        return "Fields on reduced grids are flat, ring after ring from the north."
    return ""


_CALLS = "`synthesis_into(field, a, t, scratch)` and `analysis_into(a, field, t, scratch)` need"
_WRONG_FIELD = (
    f"{_CALLS} a field of shape `t.fields.shape`, or several along a first axis. Got another. "
    "Pass fields of t's own grid."
)
_WRONG_COEFFICIENTS = (
    f"{_CALLS} coefficients of shape `t.coefficients.shape`, one set for each field. Got others. "
    "Make them with `np.zeros(*t.coefficients)`."
)
_WRONG_SCRATCH = (
    f"{_CALLS} the scratch of this Transform. Got that of another. Make it with `t.scratch()`."
)


BORROWS: Any = {"error_model": "numpy", "_nrt": False}
"""Of functions that are given all arrays of a Transform and keep none: without Numba's counting of
references, in each of them, a loss is compiled in 1.9 s rather than 2.3."""
INNER: Any = {**BORROWS, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""Of those that are never called from Python, besides: ways in from there are longer than they."""


@njit(**INNER)
def check_kernel_arrays(field, a, t, scratch):
    """Checks at the entry of the ``_into`` functions: a wrong length there overwrites memory.

    Raises
    ------
    TypeError
        When it is compiled: another dtype or layout, or `field` and `a` in each other's place.
    ValueError
        Another shape, or the scratch of another Transform.
    """
    _require_kernel_types(field, a, t, scratch)
    passes, ngroups, _ = t.legendre.first.shape
    rings, columns = t.rings, t.legendre.columns
    parts = passes * columns
    # Coefficients have as many axes as parts, and one more where there are several fields.
    several = field.ndim - parts - (1 if rings.width > 0 else 0)
    fields = field.shape[0] if several == 1 else 1
    fits = field.size == fields * parts * rings.npoints and field.shape[field.ndim - 1] == (
        rings.width if rings.width > 0 else rings.npoints
    )
    if parts == 2:
        fits = fits and 0 <= several <= 1 and field.shape[several] == 2
    if not (0 <= several <= 1 and fits):
        raise ValueError(_WRONG_FIELD)
    if (
        a.ndim - parts != several
        or a.size != fields * parts * t.legendre.ncoef
        or (several == 1 and a.shape[0] != fields)
        or (parts == 2 and a.shape[several] != 2)
    ):
        raise ValueError(_WRONG_COEFFICIENTS)
    half = rings.longest // 2 + 1
    if (
        scratch.fields < 1
        or scratch.block < 1
        or len(scratch.coef) != scratch.fields * columns * t.legendre.starts[-1] * WIDTH
        or len(scratch.sums) != scratch.block * ngroups * parts * scratch.fields * PHASES
        or len(scratch.state) < STATE
        or len(scratch.ring.orders) < ngroups * LANES
        or len(scratch.ring.row) < max(half, ngroups * LANES)
        or len(scratch.ring.fft) < 2 * (t.ffts.n[-1] // 2 + 1) + t.ffts.n[-1]
        or len(scratch.ring.lanes) < t.tile_ffts.work
    ):
        raise ValueError(_WRONG_SCRATCH)


@intrinsic
def _require_kernel_types(typing_context: Any, field: Any, a: Any, t: Any, scratch: Any) -> Any:
    real = t.types[t.fields.index("ffts")][-1].dtype
    complex_type = types.complex64 if real == types.float32 else types.complex128
    pairs = of_pairs(t.types[t.fields.index("legendre")])
    needed = {
        "field": (field, real, (2, 3, 4) if pairs else (1, 2, 3)),
        "a": (a, complex_type, (2, 3) if pairs else (1, 2)),
    }
    for name, (ty, dtype, ranks) in needed.items():
        array = isinstance(ty, types.Array)
        if not (array and ty.dtype == dtype and ty.ndim in ranks and ty.layout == "C"):
            shown = " or ".join(f"array({dtype}, {rank}d, C)" for rank in ranks)
            raise TypeError(
                f"{_CALLS} `{name}` to be a C-contiguous {shown}. Got {ty}. "
                f"What they write comes first; `ascontiguousarray` and `astype` convert the rest."
            )
    ring = scratch.types[scratch.fields.index("ring")]
    if ring.types[ring.fields.index("row")].dtype != complex_type:
        raise TypeError(_WRONG_SCRATCH)
    return types.void(
        field, a, t, scratch
    ), lambda context, builder, sig, args: context.get_dummy_value()
