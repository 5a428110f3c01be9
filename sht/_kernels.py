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
    coef : (2 * nsteps * LANES,) float64
        Scaled coefficients in the order of the Legendre stage.
    sums : (tiles in a block * ngroups * PHASES,) float64
        What lies between the stages, for some tiles.
    state : (2 * BLOCK,) float64
        Polynomials of one tile, for the derivative.
    row : (row length,) complex128
        The half spectrum of one ring.
    fft : float64 array
        For the derivative of the FFT.
    """

    coef: np.ndarray
    sums: np.ndarray
    state: np.ndarray
    row: np.ndarray
    fft: np.ndarray


@njit(error_model="numpy", nogil=True)
def synthesis_into(field, a, t, scratch):
    """Coefficients to grid points, for use inside ``@njit`` code; see `Transform.synthesis`.

    Parameters
    ----------
    field : (nlat, nlon) float64
        Overwritten. C-contiguous.
    a : (ncoef,) complex128
        Contiguous.
    t : Transform
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
    pack_coefficients_into(scratch.coef, a, t)
    ngroups, ntiles = t.legendre.first.shape
    for begin in range(0, ntiles, t.block):
        tiles = begin, min(begin + t.block, ntiles)
        coef_to_sums(scratch.sums, scratch.coef, scratch.state, t, (0, ngroups), tiles)
        sums_to_rings(field, scratch.sums, t, scratch, tiles)


@njit(error_model="numpy", nogil=True)
def analysis_into(a, field, t, scratch):
    """Grid points to coefficients, for use inside ``@njit`` code; see `Transform.analysis`.

    Parameters
    ----------
    a : (ncoef,) complex128
        Overwritten. Contiguous.
    field : (nlat, nlon) float64
        C-contiguous.
    t : Transform
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
    ngroups, ntiles = t.legendre.first.shape
    scratch.coef[:] = 0.0
    for begin in range(0, ntiles, t.block):
        tiles = begin, min(begin + t.block, ntiles)
        rings_to_sums(scratch.sums, field, t, scratch, tiles)
        sums_to_coef(scratch.coef, scratch.sums, scratch.state, t, (0, ngroups), tiles)
    unpack_coefficients_into(a, scratch.coef, t)


register(LinearRule(synthesis_into, scratch=(3,)))
register(LinearRule(analysis_into, scratch=(3,)))
