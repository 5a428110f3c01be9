"""The Fourier stage: between the sums of the Legendre stage, tile by tile, and points of rings."""

from __future__ import annotations

from numba import njit

from enzyme_rules.fftw import brfft_into, rfft_into

from ._legendre import PHASES
from ._legendre_tables import BLOCK
from ._simd import LANES, RINGS


@njit(error_model="numpy")
def tile_to_rings(field, phases, tile, t, scratch):
    """Transform the rings of one tile, north and south, to grid points.

    Parameters
    ----------
    field : (nlat, nlon) float64
        The rings of the tile are overwritten.
    phases : (ngroups * PHASES,) float64
        Of this tile.
    tile : int
    t : Transform
    scratch : Scratch
    """
    nlat = field.shape[0]
    for r in range(RINGS):
        north = tile * RINGS + r
        south = nlat - 1 - north
        if north <= south:
            _fill_row(scratch.row, phases, r, 1.0)
            brfft_into(field[north], scratch.row[: t.fft.n // 2 + 1], t.fft, scratch.fft)
            if north < south:
                _fill_row(scratch.row, phases, r, -1.0)
                brfft_into(field[south], scratch.row[: t.fft.n // 2 + 1], t.fft, scratch.fft)


@njit(error_model="numpy")
def rings_to_tile(phases, field, tile, t, scratch):
    """The transpose of what `tile_to_rings` is without the factors of the half spectrum, weighted.

    Parameters
    ----------
    phases : (ngroups * PHASES,) float64
        Overwritten.
    field : (nlat, nlon) float64
    tile : int
    t : Transform
    scratch : Scratch
    """
    nlat = field.shape[0]
    for r in range(RINGS):
        north = tile * RINGS + r
        south = nlat - 1 - north
        if north <= south:
            rfft_into(scratch.row[: t.fft.n // 2 + 1], field[north], t.fft, scratch.fft)
        _set_phases(phases, scratch.row, r, t.areas[north] if north <= south else 0.0)
        if north < south:
            rfft_into(scratch.row[: t.fft.n // 2 + 1], field[south], t.fft, scratch.fft)
            _add_mirror(phases, scratch.row, r, t.areas[south])


@njit(error_model="numpy")
def _fill_row(row, phases, r, sign):
    """``row[m] = even + sign * odd``, zero beyond the last group."""
    ngroups = len(phases) // PHASES
    for g in range(ngroups):
        k = g * PHASES + r * LANES
        for lane in range(LANES):
            row[g * LANES + lane] = complex(
                phases[k + lane] + sign * phases[k + 2 * BLOCK + lane],
                phases[k + BLOCK + lane] + sign * phases[k + 3 * BLOCK + lane],
            )
    row[ngroups * LANES :] = 0.0


@njit(error_model="numpy")
def _set_phases(phases, row, r, area):
    """Even and odd sums of a northern ring alone. Area 0 stands for a ring that does not exist."""
    for g in range(len(phases) // PHASES):
        k = g * PHASES + r * LANES
        for lane in range(LANES):
            value = row[g * LANES + lane] if area > 0.0 else 0.0j
            phases[k + lane] = area * value.real
            phases[k + BLOCK + lane] = area * value.imag
            phases[k + 2 * BLOCK + lane] = area * value.real
            phases[k + 3 * BLOCK + lane] = area * value.imag


@njit(error_model="numpy")
def _add_mirror(phases, row, r, area):
    """Add the southern ring: to the even sums as it is, to the odd ones with the other sign."""
    for g in range(len(phases) // PHASES):
        k = g * PHASES + r * LANES
        for lane in range(LANES):
            value = row[g * LANES + lane]
            phases[k + lane] += area * value.real
            phases[k + BLOCK + lane] += area * value.imag
            phases[k + 2 * BLOCK + lane] -= area * value.real
            phases[k + 3 * BLOCK + lane] -= area * value.imag
