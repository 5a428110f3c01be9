"""FFTW's real transforms as functions for ``@njit`` code, and their exact adjoints as rules.

Both transforms are unnormalised: `rfft_into` is numpy's ``rfft``, `brfft_into` is n ``irfft``. The
library is the one inside pyfftw. Plans are made here, outside of what is differentiated; compiled
code only executes them, which FFTW allows from many threads at once.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import threading
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numba import njit, types
from numba.extending import overload

from ._c_function import c_function
from ._registry import register
from ._rules import LinearRule

UNALIGNED = 1 << 1
EFFORT = {"estimate": 1 << 6, "measure": 0, "patient": 1 << 5}
_ALIGNMENT = 16  # of FFTW's SIMD code; numpy's own arrays have it, views of odd offset do not

planner = threading.Lock()


class RealFFT(NamedTuple):
    """A plan for real data of one length. Passed to ``@njit`` code as it is.

    Attributes
    ----------
    n : int
        Number of real values.
    r2c, c2r : int
        FFTW plans for arrays that begin on 16 bytes.
    r2c_anywhere, c2r_anywhere : int
        FFTW plans for all other arrays.
    multiplicity : (n // 2 + 1,) float32 or float64
        How often each value of the half spectrum stands in the whole one: 1 at k = 0 and, for even
        n, at k = n/2, else 2. The adjoints' factors.
    """

    n: int
    r2c: int
    c2r: int
    r2c_anywhere: int
    c2r_anywhere: int
    multiplicity: np.ndarray


@functools.cache
def library() -> ctypes.CDLL:
    """The FFTW that pyfftw brings.

    Raises
    ------
    ImportError
        pyfftw is not installed.
    """
    # pyfftw itself is not imported: it would import SciPy. Its extension module leads to the FFTW
    # libraries it was linked with, in a wheel as well as in conda.
    spec = importlib.util.find_spec("pyfftw")
    folders = (spec.submodule_search_locations or []) if spec else []
    found = [file for folder in folders for file in Path(folder).glob("pyfftw*.so")]
    if not found:
        raise ImportError(
            "FFTs need pyfftw, which holds FFTW. It is not installed: pip install pyfftw"
        )
    loaded = ctypes.CDLL(str(found[0]))
    for prefix in ("fftw", "fftwf"):
        pointer, flags = ctypes.c_void_p, ctypes.c_uint
        for kind in ("r2c", "c2r"):
            plan = getattr(loaded, f"{prefix}_plan_dft_{kind}_1d")
            plan.restype, plan.argtypes = pointer, [ctypes.c_int, pointer, pointer, flags]
        getattr(loaded, f"{prefix}_export_wisdom_to_string").restype = pointer
        getattr(loaded, f"{prefix}_import_wisdom_from_string").argtypes = [ctypes.c_char_p]
        getattr(loaded, f"{prefix}_free").argtypes = [pointer]
    return loaded


def plan_real_fft(n: int, dtype: Any = np.float64, effort: str = "estimate") -> RealFFT:
    """Plan transforms of n real values to n // 2 + 1 complex ones, and back.

    Parameters
    ----------
    n : int
        At least 1, even or odd.
    dtype : float64 or float32
    effort : {"estimate", "measure", "patient"}
        How long FFTW looks for a fast way. With "measure" it takes about 0.2 s for a length of some
        hundreds, for transforms that are 10 % faster.

    Returns
    -------
    RealFFT
        The same one for the same arguments, for the life of the process.

    Raises
    ------
    ValueError
        n is not an integer or < 1, or an unknown dtype or effort.
    """
    dtype = np.dtype(dtype)
    whole = isinstance(n, (int, np.integer)) and n >= 1
    if not whole or dtype not in (np.float64, np.float32) or effort not in EFFORT:
        raise ValueError(
            f"`plan_real_fft(n, dtype, effort)` needs an integer n >= 1, float64 or "
            f"float32, and an effort of {', '.join(EFFORT)}. Got {n}, {dtype}, {effort!r}."
        )
    # FFTW's planner is not thread-safe: one plan at a time. The lock is held around the cache, so
    # that two threads that ask for the same plan get the same one.
    with planner:
        return _plan(int(n), dtype, effort)


@functools.cache
def _plan(n: int, dtype: np.dtype, effort: str) -> RealFFT:
    prefix = "fftw" if dtype == np.float64 else "fftwf"
    values = _aligned(n, dtype)
    spectrum = _aligned(n // 2 + 1, np.result_type(dtype, np.complex64))

    def plan(kind: str, source: np.ndarray, target: np.ndarray, flags: int) -> int:
        make = getattr(library(), f"{prefix}_plan_dft_{kind}_1d")
        made = make(n, source.ctypes.data, target.ctypes.data, flags)
        if not made:
            raise RuntimeError(f"FFTW has no plan for a real transform of length {n}.")
        return made

    multiplicity = np.full(n // 2 + 1, 2, dtype)
    multiplicity[0] = 1
    if n % 2 == 0:
        multiplicity[-1] = 1
    multiplicity.setflags(write=False)
    flags = EFFORT[effort]
    return RealFFT(
        n,
        plan("r2c", values, spectrum, flags),
        plan("c2r", spectrum, values, flags),
        plan("r2c", values, spectrum, flags | UNALIGNED),
        plan("c2r", spectrum, values, flags | UNALIGNED),
        multiplicity,
    )


def export_wisdom() -> tuple[bytes, ...]:
    """What FFTW has found out by planning in this process, in double and in single precision."""
    found = []
    with planner:
        for prefix in ("fftw", "fftwf"):
            start = getattr(library(), f"{prefix}_export_wisdom_to_string")()
            found.append(ctypes.string_at(start))
            getattr(library(), f"{prefix}_free")(start)
    return tuple(found)


def import_wisdom(wisdom: tuple[bytes, ...]) -> bool:
    """Give FFTW what `export_wisdom` returned, so that it need not measure again.

    Returns
    -------
    bool
        Whether it was of use: not if it is that of another FFTW.
    """
    with planner:
        return all(
            getattr(library(), f"{prefix}_import_wisdom_from_string")(text)
            for prefix, text in zip(("fftw", "fftwf"), wisdom, strict=True)
        )


def _aligned(count: int, dtype: Any) -> np.ndarray:
    """Uninitialised memory that begins on 64 bytes."""
    size = count * np.dtype(dtype).itemsize
    buffer = np.empty(size + 64, np.uint8)
    start = -buffer.ctypes.data % 64
    return buffer[start : start + size].view(dtype)


class RealFFTs(NamedTuple):
    """Plans for rings of several lengths. Passed to ``@njit`` code as it is; see `fft_of`.

    Attributes
    ----------
    index : (nrings,) int64
        Which of the different lengths each ring has.
    n : (nlengths,) int64
    handles : (nlengths, 4) int64
        As in `RealFFT`: r2c, c2r, r2c_anywhere, c2r_anywhere.
    starts : (nlengths + 1,) int64
        Where the factors of each length begin.
    multiplicity : (sum of n // 2 + 1,) float32 or float64
    """

    index: np.ndarray
    n: np.ndarray
    handles: np.ndarray
    starts: np.ndarray
    multiplicity: np.ndarray


def plan_real_ffts(lengths: Any, dtype: Any = np.float64, effort: str = "estimate") -> RealFFTs:
    """Plan transforms of rings; arguments as for `plan_real_fft`, but for the lengths.

    Parameters
    ----------
    lengths : (nrings,) array_like of int
        At least one, each at least 1. Equal ones share a plan.

    Raises
    ------
    ValueError
        A length is not an integer or < 1, or an unknown dtype or effort.
    """
    different, index = np.unique(np.asarray(lengths), return_inverse=True)
    plans = [plan_real_fft(n, dtype, effort) for n in different]
    arrays = RealFFTs(
        index.astype(np.int64),
        np.array([plan.n for plan in plans], np.int64),
        np.array([plan[1:5] for plan in plans], np.int64),
        np.cumsum([0, *[plan.n // 2 + 1 for plan in plans]]),
        np.concatenate([plan.multiplicity for plan in plans]),
    )
    for array in arrays:
        array.setflags(write=False)
    return arrays


@njit(error_model="numpy")
def fft_of(plans, ring):
    """The plan for one ring, inside ``@njit`` code."""
    k = plans.index[ring]
    return RealFFT(
        plans.n[k],
        plans.handles[k, 0],
        plans.handles[k, 1],
        plans.handles[k, 2],
        plans.handles[k, 3],
        plans.multiplicity[plans.starts[k] : plans.starts[k + 1]],
    )


def fft_scratch(plan: RealFFT | RealFFTs) -> np.ndarray:
    """Work space for transforms with these plans: (2 (n // 2 + 1) + n,) for the largest n."""
    n = int(np.max(plan.n))
    return _aligned(2 * (n // 2 + 1) + n, plan.multiplicity.dtype)


_POINTERS = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
_execute = {
    (kind, bits): c_function(
        f"{prefix}_execute_dft_{kind}",
        getattr(library(), f"{prefix}_execute_dft_{kind}"),
        *_POINTERS,
    )
    for kind in ("r2c", "c2r")
    for prefix, bits in (("fftw", 64), ("fftwf", 32))
}
_r2c64, _r2c32 = _execute["r2c", 64], _execute["r2c", 32]
_c2r64, _c2r32 = _execute["c2r", 64], _execute["c2r", 32]


def _require_types(plan, values, spectrum, scratch): ...


@overload(_require_types, inline="always")
def _require_types_for(plan, values, spectrum, scratch):
    # One real and one complex array, of the plan's precision: or FFTW reads what is not there.
    wanted = plan.types[-1].dtype
    real = isinstance(values, types.Array) and values.dtype == wanted
    half = isinstance(spectrum, types.Array) and spectrum.dtype == types.Complex(
        f"complex{2 * wanted.bitwidth}", wanted
    )
    work = isinstance(scratch, types.Array) and scratch.dtype == wanted
    if not (real and half and work and values.ndim == spectrum.ndim == scratch.ndim == 1):
        raise TypeError(
            f"A real FFT planned for {wanted} needs one-dimensional arrays: {wanted} values, a "
            f"complex{2 * wanted.bitwidth} spectrum, {wanted} scratch. Got {values}, {spectrum} "
            f"and {scratch}. Make the plan for the dtype of the values: `plan_real_fft(n, dtype)`."
        )
    return lambda plan, values, spectrum, scratch: None


def _run_r2c(plan, values, spectrum): ...


def _run_c2r(plan, spectrum, values): ...


@overload(_run_r2c, inline="always")
def _run_r2c_for(plan, values, spectrum):
    if values.dtype == types.float64:
        return lambda plan, values, spectrum: _r2c64(plan, values, spectrum)
    return lambda plan, values, spectrum: _r2c32(plan, values, spectrum)


@overload(_run_c2r, inline="always")
def _run_c2r_for(plan, spectrum, values):
    if values.dtype == types.float64:
        return lambda plan, spectrum, values: _c2r64(plan, spectrum, values)
    return lambda plan, spectrum, values: _c2r32(plan, spectrum, values)


@njit(error_model="numpy")
def _require_sizes(plan, values, spectrum, scratch):
    # In the adjoints, too: a rule goes on after its first part has raised.
    count = plan.n // 2 + 1
    if values.size != plan.n or spectrum.size != count or scratch.size < 2 * count + plan.n:
        raise ValueError(
            "`rfft_into` and `brfft_into` need the plan's n values, n // 2 + 1 coefficients, and "
            "the scratch of `fft_scratch(plan)`. Got arrays of other sizes. Make a plan for them, "
            "or pass views of the plan's size."
        )


@njit(error_model="numpy")
def rfft_into(spectrum, values, plan, scratch):
    """``spectrum[k] = Σ_i values[i] exp(-2πi k i / n)``, k = 0 … n // 2.

    Parameters
    ----------
    spectrum : (n // 2 + 1,) complex
        Overwritten. Contiguous.
    values : (n,) float
        Left as it is. Contiguous.
    plan : RealFFT
        Of length n and of this dtype.
    scratch : (2 (n // 2 + 1) + n,) float
        See `fft_scratch`. Used by the derivative.

    Raises
    ------
    ValueError
        The arrays do not have the plan's length.
    """
    _require_types(plan, values, spectrum, scratch)
    _require_sizes(plan, values, spectrum, scratch)
    if (values.ctypes.data | spectrum.ctypes.data) % _ALIGNMENT == 0:
        _run_r2c(plan.r2c, values, spectrum)
    else:
        _run_r2c(plan.r2c_anywhere, values, spectrum)


@njit(error_model="numpy")
def brfft_into(values, spectrum, plan, scratch):
    """``values[i] = Re Σ_k s_k spectrum[k] exp(2πi k i / n)``, s the plan's multiplicity.

    Imaginary parts at k = 0 and, for even n, at k = n/2 have no effect.

    Parameters
    ----------
    values : (n,) float
        Overwritten. Contiguous.
    spectrum : (n // 2 + 1,) complex
        Left as it is. Contiguous.
    plan : RealFFT
        Of length n and of this dtype.
    scratch : (2 (n // 2 + 1) + n,) float
        See `fft_scratch`. Apart from the other arrays.

    Raises
    ------
    ValueError
        The arrays do not have the plan's length.
    """
    _require_types(plan, values, spectrum, scratch)
    _require_sizes(plan, values, spectrum, scratch)
    # A c2r that may destroy its input takes two thirds of the time of one that may not; with a
    # copy for it to destroy it is still a fifth faster (n = 384).
    half, pairs = scratch[: 2 * spectrum.size], spectrum.view(scratch.dtype)
    for k in range(half.size):  # not half[:] = pairs, which allocates in case they overlap
        half[k] = pairs[k]
    _run_c2r_on_scratch(values, half, plan)


@njit(error_model="numpy")
def _run_c2r_on_scratch(values, half, plan):
    """C2r of a half spectrum as pairs of numbers, which is destroyed."""
    if (values.ctypes.data | half.ctypes.data) % _ALIGNMENT == 0:
        _run_c2r(plan.c2r, half, values)
    else:
        _run_c2r(plan.c2r_anywhere, half, values)


@njit(error_model="numpy")
def _rfft_adjoint(dspectrum, dvalues, plan, scratch):
    # values += brfft(dspectrum / s), which ignores the imaginary parts that are no freedom of ours
    _require_sizes(plan, dvalues, dspectrum, scratch)
    count = plan.n // 2 + 1
    half, result = scratch[: 2 * count], scratch[2 * count : 2 * count + plan.n]
    pairs = dspectrum.view(scratch.dtype)
    for k in range(count):  # as real numbers: Numba's complex division has branches
        half[2 * k] = pairs[2 * k] / plan.multiplicity[k]
        half[2 * k + 1] = pairs[2 * k + 1] / plan.multiplicity[k]
    _run_c2r_on_scratch(result, half, plan)
    for i in range(plan.n):
        dvalues[i] += result[i]


@njit(error_model="numpy")
def _brfft_adjoint(dvalues, dspectrum, plan, scratch):
    # spectrum += s * rfft(dvalues)
    _require_sizes(plan, dvalues, dspectrum, scratch)
    count = plan.n // 2 + 1
    half = scratch[: 2 * count]
    rfft_into(half.view(dspectrum.dtype), dvalues, plan, scratch)
    pairs = dspectrum.view(scratch.dtype)
    for k in range(count):
        pairs[2 * k] += plan.multiplicity[k] * half[2 * k]
        pairs[2 * k + 1] += plan.multiplicity[k] * half[2 * k + 1]


register(LinearRule(rfft_into, adjoint=_rfft_adjoint, scratch=(3,)))
register(LinearRule(brfft_into, adjoint=_brfft_adjoint, scratch=(3,)))
