"""The kernels of `evaluate` and `adjoint_evaluate`, for ``@njit`` code, and their rules."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from enzyme_rules import RecomputedRule, register

from ._order_sums import (
    Polynomials,
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
"""Points at a time: what one order needs of them stays in the L1 cache."""


class _Work(NamedTuple):
    """Work space for the points of a block.

    Attributes
    ----------
    sectoral, exponent : ((mmax + 1) * n,) float64
        λ_mm: see `sectoral_into`.
    unit_re, unit_im : ((mmax + 1) * n,) float64
        e^{imφ}.
    re, im : (n,) float64
        Sums of one order.
    state : Polynomials
    """

    sectoral: np.ndarray
    exponent: np.ndarray
    unit_re: np.ndarray
    unit_im: np.ndarray
    re: np.ndarray
    im: np.ndarray
    state: Polynomials


@njit(error_model="numpy")
def _make_work(n, mmax):
    size = (mmax + 1) * n
    return _Work(
        np.zeros(size),
        np.zeros(size),
        np.zeros(size),
        np.zeros(size),
        np.zeros(n),
        np.zeros(n),
        make_polynomials(n),
    )


class _Points(NamedTuple):
    """(n,) float64 each: cosines and sines of θ and φ."""

    x: np.ndarray
    s: np.ndarray
    cos_phi: np.ndarray
    sin_phi: np.ndarray


@njit(error_model="numpy")
def evaluate_into(values, a, theta, phi, lmax, mmax):
    """The field at points, for use inside ``@njit`` code; see `evaluate`.

    Parameters
    ----------
    values : (npoints,) float64 or float32
        Overwritten.
    a : (ncoef,) complex128 or complex64
    theta, phi : (npoints,) float64
    lmax, mmax : int

    Raises
    ------
    ValueError
        Arrays whose sizes do not fit each other; nothing has been written then.

    Notes
    -----
    Gradients by `a`, `theta` and `phi`, all together, take about five times as long as the values.
    """
    _check_sizes(values, a, theta, phi, lmax, mmax)
    t = make_order_tables(lmax, mmax)
    c = np.zeros(2 * len(t.recurrence))
    scaled_into(c, a, t, 2.0)  # a pair of orders m and -m
    points = _prepared(theta, phi)
    n = len(points.x)
    padded = np.zeros(n)
    work = _make_work(min(_BLOCK, n), mmax)
    for begin in range(0, n, _BLOCK):
        block = slice(begin, min(begin + _BLOCK, n))
        _add_values(padded[block], c, _part(points, block), lmax, t.recurrence, t.ratio, work)
    for j in range(len(values)):
        values[j] = padded[j]


@njit(error_model="numpy")
def adjoint_evaluate_into(a, values, theta, phi, lmax, mmax):
    """The transpose of `evaluate_into`; see `adjoint_evaluate`.

    Parameters
    ----------
    a : (ncoef,) complex128 or complex64
        Overwritten.
    values : (npoints,) float64 or float32
    theta, phi : (npoints,) float64
    lmax, mmax : int

    Raises
    ------
    ValueError
        Arrays whose sizes do not fit each other; nothing has been written then.
    """
    _check_sizes(values, a, theta, phi, lmax, mmax)
    t = make_order_tables(lmax, mmax)
    c = np.zeros(2 * len(t.recurrence))
    points = _prepared(theta, phi)
    n = len(points.x)
    padded = np.zeros(n)
    for j in range(len(values)):
        padded[j] = values[j]
    work = _make_work(min(_BLOCK, n), mmax)
    for begin in range(0, n, _BLOCK):
        block = slice(begin, min(begin + _BLOCK, n))
        _add_spectrum(c, padded[block], _part(points, block), lmax, t.recurrence, t.ratio, work)
    unscaled_into(a, c, t, 2.0)


@njit(error_model="numpy")
def _check_sizes(values, a, theta, phi, lmax, mmax):
    if (
        len(a) != packed_size(lmax, mmax)
        or len(theta) != len(values)
        or len(phi) != len(values)
        or mmax > lmax
        or mmax < 0
    ):
        raise ValueError(
            "`evaluate_into` and `adjoint_evaluate_into` need `sht.ncoef(lmax, mmax)` coefficients "
            "and as many values as theta and phi. Got arrays of other sizes."
        )


@njit(error_model="numpy")
def _prepared(theta, phi):
    # Padded with points on the Equator.
    n = (len(theta) + LANES - 1) // LANES * LANES
    x, s, cos_phi, sin_phi = np.zeros(n), np.ones(n), np.ones(n), np.zeros(n)
    for j in range(len(theta)):
        x[j] = np.cos(theta[j])
        s[j] = np.sin(theta[j])
        cos_phi[j] = np.cos(phi[j])
        sin_phi[j] = np.sin(phi[j])
    return _Points(x, s, cos_phi, sin_phi)


@njit(error_model="numpy")
def _part(points, block):
    return _Points(points.x[block], points.s[block], points.cos_phi[block], points.sin_phi[block])


# A derivative by the points needs the polynomials of all degrees. Both rules forget them: the outer
# one those of other blocks of points, the inner one those of other orders.


@njit(error_model="numpy")
def _add_values(values, c, points, lmax, recurrence, ratio, work):
    """Adds the field of all orders at the points of a block."""
    _fill_work(work, points, ratio)
    n = len(points.x)
    for m in range(len(ratio)):
        row = slice(m * n, (m + 1) * n)
        begin, end = first_step(lmax, m), first_step(lmax, m + 1)
        _add_values_of_order(
            values,
            c[2 * begin : 2 * end],
            points.x,
            work.sectoral[row],
            work.exponent[row],
            work.unit_re[row],
            work.unit_im[row],
            recurrence[begin:end],
            work.re,
            work.im,
            work.state,
        )


@njit(error_model="numpy")
def _add_spectrum(c, values, points, lmax, recurrence, ratio, work):
    """Adds what the points of a block contribute to all coefficients: the transpose."""
    _fill_work(work, points, ratio)
    n = len(points.x)
    for m in range(len(ratio)):
        row = slice(m * n, (m + 1) * n)
        begin, end = first_step(lmax, m), first_step(lmax, m + 1)
        _add_spectrum_of_order(
            c[2 * begin : 2 * end],
            values,
            points.x,
            work.sectoral[row],
            work.exponent[row],
            work.unit_re[row],
            work.unit_im[row],
            recurrence[begin:end],
            work.re,
            work.im,
            work.state,
        )


@njit(error_model="numpy")
def _fill_work(work, points, ratio):
    n = len(points.x)
    sectoral_into(work.sectoral, work.exponent, points.s, ratio)
    for j in range(n):
        work.unit_re[j] = 1.0
        work.unit_im[j] = 0.0
    for m in range(1, len(ratio)):
        for j in range(n):
            k = m * n + j
            re, im = work.unit_re[k - n], work.unit_im[k - n]
            work.unit_re[k] = re * points.cos_phi[j] - im * points.sin_phi[j]
            work.unit_im[k] = re * points.sin_phi[j] + im * points.cos_phi[j]


@njit(error_model="numpy")
def _add_values_of_order(
    values, c, x, sectoral, exponent, unit_re, unit_im, recurrence, re, im, state
):
    order_sums_into(re, im, c, x, sectoral, exponent, recurrence, state)
    for j in range(len(x)):
        values[j] += unit_re[j] * re[j] - unit_im[j] * im[j]


@njit(error_model="numpy")
def _add_spectrum_of_order(
    c, values, x, sectoral, exponent, unit_re, unit_im, recurrence, re, im, state
):
    for j in range(len(x)):
        re[j] = unit_re[j] * values[j]
        im[j] = -unit_im[j] * values[j]
    add_order_coefficients(c, re, im, x, sectoral, exponent, recurrence, state)


register(RecomputedRule(_add_values, constants=(4, 5), scratch=(6,)))
register(RecomputedRule(_add_spectrum, constants=(4, 5), scratch=(6,)))
register(RecomputedRule(_add_values_of_order, constants=(7,), scratch=(8, 9, 10)))
register(RecomputedRule(_add_spectrum_of_order, constants=(7,), scratch=(8, 9, 10)))
