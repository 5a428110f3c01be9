"""The transform as ``@njit`` functions: what methods call, what users call, what Enzyme sees."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from enzyme_rules import LinearRule, register

from ._arguments import check_kernel_arrays
from ._fourier import rings_to_tile, tile_to_rings
from ._legendre import PHASES, legendre_analysis_into, legendre_synthesis_into
from ._simd import LANES, RINGS


class Scratch(NamedTuple):
    """Work space of one transform in one thread. What it holds is of no consequence between calls.

    Attributes
    ----------
    coef : (2 * nsteps * LANES,) float64
        Scaled coefficients in the order of the Legendre stage.
    phases : (tiles in a block * ngroups * PHASES,) float64
    state : (2 * BLOCK,) float64
        Polynomials of one tile, for the derivative.
    row : (row length,) complex128
        The half spectrum of one ring.
    fft : float64 array
        For the derivative of the FFT.
    """

    coef: np.ndarray
    phases: np.ndarray
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
    tables = t.legendre
    ngroups, ntiles = tables.first.shape
    size = ngroups * PHASES
    for begin in range(0, ntiles, t.block):
        end = min(begin + t.block, ntiles)
        for g in range(ngroups):
            s, e = tables.starts[g], tables.starts[g + 1]
            for tile in range(begin, end):
                k = (tile - begin) * size + g * PHASES
                legendre_synthesis_into(
                    scratch.phases[k : k + PHASES],
                    scratch.coef[2 * LANES * s : 2 * LANES * e],
                    scratch.state,
                    tables.x[tile * RINGS : (tile + 1) * RINGS],
                    tables.recurrence[LANES * s : LANES * e],
                    tables.seeds[g, tile],
                    tables.first[g, tile],
                )
        for tile in range(begin, end):
            k = (tile - begin) * size
            tile_to_rings(field, scratch.phases[k : k + size], tile, t, scratch)


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
    tables = t.legendre
    ngroups, ntiles = tables.first.shape
    size = ngroups * PHASES
    scratch.coef[:] = 0.0
    for begin in range(0, ntiles, t.block):
        end = min(begin + t.block, ntiles)
        for tile in range(begin, end):
            k = (tile - begin) * size
            rings_to_tile(scratch.phases[k : k + size], field, tile, t, scratch)
        for g in range(ngroups):
            s, e = tables.starts[g], tables.starts[g + 1]
            for tile in range(begin, end):
                k = (tile - begin) * size + g * PHASES
                legendre_analysis_into(
                    scratch.coef[2 * LANES * s : 2 * LANES * e],
                    scratch.phases[k : k + PHASES],
                    scratch.state,
                    tables.x[tile * RINGS : (tile + 1) * RINGS],
                    tables.recurrence[LANES * s : LANES * e],
                    tables.seeds[g, tile],
                    tables.first[g, tile],
                )
    unpack_coefficients_into(a, scratch.coef, t)


@njit(error_model="numpy")
def pack_coefficients_into(coef, a, t):
    """Packed coefficients, scaled, to the order of the Legendre stage; zeros where none are."""
    tables = t.legendre
    for g in range(len(tables.starts) - 1):
        start = tables.starts[g]
        steps = tables.starts[g + 1] - start
        for lane in range(LANES):
            m = g * LANES + lane
            count = tables.lmax - m + 1 if m <= tables.mmax else 0
            first = m * (2 * tables.lmax + 1 - m) // 2 + m
            k = 2 * LANES * start + lane
            for i in range(count):
                coef[k + 2 * LANES * i] = tables.scale[first + i] * a[first + i].real
                coef[k + 2 * LANES * i + LANES] = tables.scale[first + i] * a[first + i].imag
            for i in range(max(count, 0), steps):
                coef[k + 2 * LANES * i] = 0.0
                coef[k + 2 * LANES * i + LANES] = 0.0


@njit(error_model="numpy")
def unpack_coefficients_into(a, coef, t):
    """The transpose of `pack_coefficients_into`."""
    tables = t.legendre
    for m in range(tables.mmax + 1):
        k = 2 * LANES * tables.starts[m // LANES] + m % LANES
        first = m * (2 * tables.lmax + 1 - m) // 2 + m
        for i in range(tables.lmax - m + 1):
            a[first + i] = tables.scale[first + i] * complex(
                coef[k + 2 * LANES * i], coef[k + 2 * LANES * i + LANES]
            )


register(LinearRule(synthesis_into, scratch=(3,)))
register(LinearRule(analysis_into, scratch=(3,)))
