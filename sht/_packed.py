"""What kernels over packed coefficients check first, and the precision their results have."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from enzyme_rules._cupy import as_cupy, is_on_device

_WRONG_SIZE = (
    "A kernel over packed coefficients needs ncoef(lmax, mmax) of them, with 0 <= mmax <= lmax. "
    "Got another number. Make them with `np.zeros(sht.ncoef(lmax, mmax), complex)`."
)
_WRONG_DEGREES = (
    "A kernel over the degrees of packed coefficients needs one value for each degree. "
    "Got another number. Make the array with `np.zeros(lmax + 1)`."
)


@njit(error_model="numpy")
def packed_size(lmax, mmax):
    """`sht.ncoef` inside ``@njit`` code."""
    return (mmax + 1) * (lmax + 1) - mmax * (mmax + 1) // 2


@njit(error_model="numpy")
def check_packed(a, lmax, mmax):
    """Check that `a` has the coefficients of this truncation: a wrong length overwrites memory."""
    if mmax < 0 or mmax > lmax or a.size != packed_size(lmax, mmax):
        raise ValueError(_WRONG_SIZE)


@njit(error_model="numpy")
def check_degrees(c, lmax):
    """Check that `c` has a value for each degree."""
    if c.size != lmax + 1:
        raise ValueError(_WRONG_DEGREES)


class Precision(NamedTuple):
    """The dtype of coefficients, and of real numbers as precise."""

    complex: Any
    real: Any


def precision_of(given: ArrayLike) -> Precision:
    """Single for complex64 and float32, double for all else."""
    array = as_cupy(given) if is_on_device(given) else np.asarray(given)
    single = array.dtype in (np.complex64, np.float32)
    return Precision(np.complex64, np.float32) if single else Precision(np.complex128, np.float64)
