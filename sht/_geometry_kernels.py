"""The kernels of `GeometryTransform`, for use inside ``@njit`` code, and their rules."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from enzyme_rules import RecomputedRule, register
from enzyme_rules.fftw import RealFFTs, brfft_into, fft_of, rfft_into

from ._order_sums import (
    add_order_coefficients,
    first_step,
    make_order_tables,
    make_polynomials,
    order_sums_into,
    scaled_into,
    sectoral_into,
    unscaled_into,
)
from ._packed import packed_size
from ._simd import LANES

_BLOCK = 256
"""Rings at a time: what one order needs of them stays in the L1 cache."""


class Rings(NamedTuple):
    """What compiled code sees of a `GeometryTransform`: all that does not move."""

    lmax: int
    mmax: int
    nlon: np.ndarray
    longest: int
    ffts: RealFFTs


@njit(error_model="numpy")
def rings_synthesis_into(field, a, theta, phi0, rings):
    """Coefficients to points on rings, for use inside ``@njit`` code.

    Parameters
    ----------
    field : (npoints,) float64
        Overwritten. Contiguous; ring after ring.
    a : (ncoef,) complex128
    theta, phi0 : (nlat,) float64
        Colatitude and first longitude of each ring, in radians.
    rings : GeometryTransform

    Raises
    ------
    ValueError
        Arrays of other sizes; nothing has been written then.

    Notes
    -----
    Differentiates by `a`, `theta` and `phi0`.
    """
    _check_sizes(field, a, theta, phi0, theta, rings)
    mmax, t = rings.mmax, make_order_tables(rings.lmax, rings.mmax)
    c = np.zeros(2 * len(t.recurrence))
    scaled_into(c, a, t, 1.0)
    x, sectoral, exponent = _prepared(theta, t.ratio)
    n = len(x)
    re, im = np.zeros((mmax + 1) * n), np.zeros((mmax + 1) * n)
    state = make_polynomials(min(_BLOCK, n))
    for m in range(mmax + 1):
        first, end = first_step(rings.lmax, m), first_step(rings.lmax, m + 1)
        for begin in range(0, n, _BLOCK):
            part = slice(begin, min(begin + _BLOCK, n))
            row = slice(m * n + part.start, m * n + part.stop)
            _sums_of_order_into(
                re[row],
                im[row],
                c[2 * first : 2 * end],
                x[part],
                sectoral[row],
                exponent[row],
                t.recurrence[first:end],
                state,
            )
    spectrum = np.zeros(rings.longest // 2 + 1, np.complex128)
    scratch = np.zeros(2 * len(spectrum) + rings.longest)
    point = 0
    for j in range(len(theta)):
        half = rings.nlon[j] // 2 + 1
        kept = min(mmax, (rings.nlon[j] - 1) // 2)
        turn_re, turn_im = np.cos(phi0[j]), np.sin(phi0[j])
        unit_re, unit_im = 1.0, 0.0
        for m in range(half):
            spectrum[m] = 0.0
            if m <= kept:
                p, q = re[m * n + j], im[m * n + j]
                spectrum[m] = complex(unit_re * p - unit_im * q, unit_re * q + unit_im * p)
                unit_re, unit_im = (
                    unit_re * turn_re - unit_im * turn_im,
                    unit_re * turn_im + unit_im * turn_re,
                )
        ring = field[point : point + rings.nlon[j]]
        brfft_into(ring, spectrum[:half], fft_of(rings.ffts, j), scratch)
        point += rings.nlon[j]


@njit(error_model="numpy")
def rings_analysis_into(a, field, theta, phi0, weights, rings):
    """Points on rings to coefficients, by quadrature, for use inside ``@njit`` code.

    Parameters
    ----------
    a : (ncoef,) complex128
        Overwritten.
    field : (npoints,) float64
        Contiguous; ring after ring.
    theta, phi0 : (nlat,) float64
        Colatitude and first longitude of each ring, in radians.
    weights : (nlat,) float64
        Quadrature weights in cos θ: an area is ``weights[j] * 2 * pi / nlon[j]``.
    rings : GeometryTransform

    Raises
    ------
    ValueError
        Arrays of other sizes; nothing has been written then.

    Notes
    -----
    Differentiates by `field`, `theta`, `phi0` and `weights`.
    """
    _check_sizes(field, a, theta, phi0, weights, rings)
    mmax, t = rings.mmax, make_order_tables(rings.lmax, rings.mmax)
    x, sectoral, exponent = _prepared(theta, t.ratio)
    n = len(x)
    re, im = np.zeros((mmax + 1) * n), np.zeros((mmax + 1) * n)
    spectrum = np.zeros(rings.longest // 2 + 1, np.complex128)
    scratch = np.zeros(2 * len(spectrum) + rings.longest)
    point = 0
    for j in range(len(theta)):
        half = rings.nlon[j] // 2 + 1
        kept = min(mmax, (rings.nlon[j] - 1) // 2)
        ring = field[point : point + rings.nlon[j]]
        rfft_into(spectrum[:half], ring, fft_of(rings.ffts, j), scratch)
        area = weights[j] * 2.0 * np.pi / rings.nlon[j]
        turn_re, turn_im = np.cos(phi0[j]), np.sin(phi0[j])
        unit_re, unit_im = 1.0, 0.0
        for m in range(kept + 1):
            p, q = area * spectrum[m].real, area * spectrum[m].imag
            re[m * n + j] = unit_re * p + unit_im * q
            im[m * n + j] = unit_re * q - unit_im * p
            unit_re, unit_im = (
                unit_re * turn_re - unit_im * turn_im,
                unit_re * turn_im + unit_im * turn_re,
            )
        point += rings.nlon[j]
    c = np.zeros(2 * len(t.recurrence))
    state = make_polynomials(min(_BLOCK, n))
    for m in range(mmax + 1):
        first, end = first_step(rings.lmax, m), first_step(rings.lmax, m + 1)
        for begin in range(0, n, _BLOCK):
            part = slice(begin, min(begin + _BLOCK, n))
            row = slice(m * n + part.start, m * n + part.stop)
            _add_spectrum_of_order(
                c[2 * first : 2 * end],
                re[row],
                im[row],
                x[part],
                sectoral[row],
                exponent[row],
                t.recurrence[first:end],
                state,
            )
    unscaled_into(a, c, t, 1.0)


@njit(error_model="numpy")
def _check_sizes(field, a, theta, phi0, weights, rings):
    nlat, npoints = len(rings.nlon), 0
    for j in range(nlat):
        npoints += rings.nlon[j]
    if (
        len(field) != npoints
        or len(a) != packed_size(rings.lmax, rings.mmax)
        or len(theta) != nlat
        or len(phi0) != nlat
        or len(weights) != nlat
    ):
        raise ValueError(
            "`rings_synthesis_into` and `rings_analysis_into` need a flat field of all points, the "
            "coefficients of `rings`, and theta, phi0 and weights with one number for each ring. "
            "Got arrays of other sizes. Pass one field at a time, `field.reshape(-1)`."
        )


@njit(error_model="numpy")
def _prepared(theta, ratio):
    """Cosines, and λ_mm of all orders, at as many rings as there are lanes, or a multiple."""
    n = (len(theta) + LANES - 1) // LANES * LANES
    x, s = np.zeros(n), np.ones(n)
    for j in range(len(theta)):
        x[j] = np.cos(theta[j])
        s[j] = np.sin(theta[j])
    sectoral, exponent = np.zeros(len(ratio) * n), np.zeros(len(ratio) * n)
    sectoral_into(sectoral, exponent, s, ratio)
    return x, sectoral, exponent


@njit(error_model="numpy")
def _sums_of_order_into(re, im, c, x, sectoral, exponent, recurrence, state):
    order_sums_into(re, im, c, x, sectoral, exponent, recurrence, state)


@njit(error_model="numpy")
def _add_spectrum_of_order(c, re, im, x, sectoral, exponent, recurrence, state):
    add_order_coefficients(c, re, im, x, sectoral, exponent, recurrence, state)


# A derivative by colatitudes needs the polynomials of all degrees: of one order at a time.
register(RecomputedRule(_sums_of_order_into, outputs=(0, 1), constants=(6,), scratch=(7,)))
register(RecomputedRule(_add_spectrum_of_order, constants=(6,), scratch=(7,)))
