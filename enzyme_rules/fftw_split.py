"""FFTW's complex transforms of many interleaved sequences, real and imaginary parts apart.

For kernels that are made of them. There is no rule: who differentiates such a kernel gives it one.
"""

from __future__ import annotations

import ctypes
import functools
from typing import NamedTuple

import numpy as np

from ._c_function import c_function
from .fftw import EFFORT, UNALIGNED, library, planner


class Strides(NamedTuple):
    """Where numbers stand, in float64: those of one sequence, and the sequences.

    Attributes
    ----------
    item, sequence : int
        From one number to the next, and from one sequence to the next.
    imaginary : int
        From a real part to its imaginary part.
    """

    item: int
    sequence: int
    imaginary: int


class _Dimension(ctypes.Structure):
    _fields_ = [("n", ctypes.c_int), ("input", ctypes.c_int), ("output", ctypes.c_int)]


@functools.cache
def plan_split(n: int, count: int, given: Strides, result: Strides) -> int:
    """A plan for ``y[k] = Σ_i x[i] exp(-2πi k i / n)`` of `count` sequences, in double precision.

    The opposite sign comes of exchanging real and imaginary parts, on both sides.

    Parameters
    ----------
    n, count : int
    given, result : Strides

    Returns
    -------
    int
        For `execute_split`, for the life of the process.
    """
    sizes = [(n - 1) * s.item + (count - 1) * s.sequence + s.imaginary + 1 for s in (given, result)]
    places = []
    memory = [np.zeros(size) for size in sizes]
    for array, strides in zip(memory, (given, result), strict=True):
        places += [array.ctypes.data, array.ctypes.data + 8 * strides.imaginary]
    items = _Dimension(n, given.item, result.item)
    sequences = _Dimension(count, given.sequence, result.sequence)
    make = library().fftw_plan_guru_split_dft
    make.restype = ctypes.c_void_p
    pointer = ctypes.POINTER(_Dimension)
    make.argtypes = [ctypes.c_int, pointer] * 2 + [ctypes.c_void_p] * 4 + [ctypes.c_uint]
    with planner:
        return make(1, items, 1, sequences, *places, EFFORT["estimate"] | UNALIGNED)


execute_split = c_function(
    "fftw_execute_split_dft", library().fftw_execute_split_dft, *[ctypes.c_void_p] * 5
)
"""``execute_split(plan, real, imaginary, result_real, result_imaginary)``: addresses."""
