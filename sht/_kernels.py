"""The transform as ``@njit`` functions: what methods call, what users call, what Enzyme sees."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from enzyme_rules import LinearRule, register

from ._arguments import check_kernel_arrays
from ._stages import (
    coef_to_sums,
    pack_coefficients_into,
    rings_to_sums,
    sums_to_coef,
    sums_to_rings,
    unpack_coefficients_into,
)


class Scratch(NamedTuple):
    """Work space of one transform in one thread. What it holds is of no consequence between calls.

    Attributes
    ----------
    coef : (nsteps * numbers per step,) float64
        Scaled coefficients in the order of the Legendre stage.
    sums : (tiles in a block * ngroups * numbers per group,) float64
        What lies between the stages, for some tiles.
    state : (2 * BLOCK,) float64
        Polynomials of one tile, for the derivative.
    orders : (ngroups * LANES,) complex128
        The orders of one ring that are more than its points can tell apart.
    row : (row length,) complex
        The half spectrum of one ring.
    fft : float array
        For the FFT and its derivative.
    """

    coef: np.ndarray
    sums: np.ndarray
    state: np.ndarray
    orders: np.ndarray
    row: np.ndarray
    fft: np.ndarray


@njit(error_model="numpy", nogil=True)
def synthesis_into(field, a, t, scratch):
    """Coefficients to grid points, for use inside ``@njit`` code; see `Transform.synthesis`.

    Parameters
    ----------
    field : t.fields.shape float
        One field of the transform's dtype. Overwritten. C-contiguous.
    a : t.coefficients.shape complex
        Contiguous.
    t : Transform or SpinTransform
    scratch : Scratch
        ``t.scratch()``; each thread needs its own.

    Raises
    ------
    TypeError
        When it is compiled: another dtype or layout.
    ValueError
        Another shape, or the scratch of another Transform; nothing has been written then.

    Notes
    -----
    Real-linear in `a`; a rule makes its derivative the transposed map, without a tape.
    """
    check_kernel_arrays(field, a, t, scratch)
    points = field.ravel()
    pack_coefficients_into(scratch.coef, a, t)
    _, ngroups, ntiles = t.legendre.first.shape
    for begin in range(0, ntiles, t.block):
        tiles = begin, min(begin + t.block, ntiles)
        coef_to_sums(scratch.sums, scratch.coef, scratch.state, t, (0, ngroups), tiles)
        sums_to_rings(points, scratch.sums, t, scratch, tiles)


@njit(error_model="numpy", nogil=True)
def analysis_into(a, field, t, scratch):
    """Grid points to coefficients, for use inside ``@njit`` code; see `Transform.analysis`.

    Parameters
    ----------
    a : t.coefficients.shape complex
        Overwritten. Contiguous.
    field : t.fields.shape float
        One field of the transform's dtype. C-contiguous.
    t : Transform or SpinTransform
    scratch : Scratch
        ``t.scratch()``; each thread needs its own.

    Raises
    ------
    TypeError
        When it is compiled: another dtype or layout.
    ValueError
        Another shape, or the scratch of another Transform; nothing has been written then.

    Notes
    -----
    Real-linear in `field`; a rule makes its derivative the transposed map, without a tape.
    """
    check_kernel_arrays(field, a, t, scratch)
    points = field.ravel()
    _, ngroups, ntiles = t.legendre.first.shape
    scratch.coef[:] = 0.0
    for begin in range(0, ntiles, t.block):
        tiles = begin, min(begin + t.block, ntiles)
        rings_to_sums(scratch.sums, points, t, scratch, tiles)
        sums_to_coef(scratch.coef, scratch.sums, scratch.state, t, (0, ngroups), tiles)
    unpack_coefficients_into(a, scratch.coef, t)


register(LinearRule(synthesis_into, scratch=(3,)))
register(LinearRule(analysis_into, scratch=(3,)))
