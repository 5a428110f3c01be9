"""Isotropic filters: each degree times a number, and the numbers of the usual ones."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from enzyme_rules._cupy import as_cupy, is_on_device

from ._apply import Space, apply_map, apply_run, forwards, place_of
from ._device_orders import run_by_orders
from ._packed import check_degrees, check_packed, precision_of
from ._rows import row_of
from ._spectrum import check_degree, check_truncation, ncoef


@njit(error_model="numpy")
def filter_degrees_into(b, a, response, lmax, mmax):
    """Write ``b_lm = response[l] * a_lm``.

    Differentiates by `a` and by `response`.

    Parameters
    ----------
    b : (ncoef,) complex
        Overwritten.
    a : (ncoef,) complex
        Packed coefficients.
    response : (lmax + 1,) float64
    lmax, mmax : int
        Highest degree and order, inclusive.

    Raises
    ------
    ValueError
        Another number of degrees or coefficients.
    """
    check_packed(b, lmax, mmax)
    check_packed(a, lmax, mmax)
    check_degrees(response, lmax)
    for m in range(mmax + 1):
        filter_order(b, a, m, (0, lmax + 1), lmax, response)


@njit(error_model="numpy")
def filter_order(b, a, m, some, lmax, response):
    """Some rows of one order, as the maps of `sht.operators._one_order`."""
    row, given = row_of(b, m, lmax), row_of(a, m, lmax)
    for i in range(some[0], min(len(row), some[1])):
        row[i] = response[m + i] * given[i]


def filter_degrees(
    a: ArrayLike,
    response: ArrayLike,
    lmax: int,
    mmax: int | None = None,
    out: NDArray | None = None,
) -> NDArray:
    """Multiply the coefficients of each degree by a number.

    Parameters
    ----------
    a : (..., ncoef) complex128 or complex64
        Packed coefficients.
    response : (lmax + 1,) real
        The number for each degree: on the host, as the functions here make it, or where `a` is.
    lmax, mmax : int
        Highest degree and order, inclusive; ``mmax`` is ``lmax`` if not given.
    out : (..., ncoef) array, optional
        Where to write the result. Must not overlap `a`.

    Returns
    -------
    (..., ncoef) array of the same dtype

    Raises
    ------
    TypeError, ValueError
        The truncation is impossible; wrong dtype, shape, or `out`.

    Notes
    -----
    A filter is its own adjoint. On the sphere it is a convolution with the function of distance γ
    Σ (2l+1)/(4π) response[l] P_l(cos γ) (Funk-Hecke).

    Examples
    --------
    >>> filter_degrees([1.0, 2.0, 3.0 + 4.0j], [1.0, 0.5], lmax=1).tolist()
    [(1+0j), (1+0j), (1.5+2j)]
    """
    call = "filter_degrees(a, response, lmax, mmax)"
    lmax, mmax = check_truncation(call, lmax, mmax)
    placed = (response,) if is_on_device(response) else ()  # those on the host are uploaded
    library, device, there = place_of(call, a, out, *placed)
    numbers = as_cupy(response) if placed else np.asarray(response)
    if numbers.shape != (lmax + 1,) or numbers.dtype.kind not in "iuf":
        raise ValueError(
            f"`{call}` needs one real response for each of {lmax + 1} degrees. "
            f"Got {numbers.dtype} of shape {numbers.shape}."
        )
    with there:
        space = Space((ncoef(lmax, mmax),), precision_of(a).complex)
        response = library.ascontiguousarray(library.asarray(numbers, np.float64))
        if device is None:
            constants = response, lmax, mmax
            return apply_map(call, filter_degrees_into, a, space, space, constants, out)
        run = functools.partial(
            run_by_orders, library, filter_order, (lmax, mmax), (response,), False
        )
        return apply_run(call, run, a, space, space, out, library)


# Responses


@njit(error_model="numpy")
def exponential_response_into(response, order, strength, cutoff):
    """Write the response that `exponential_response` returns; differentiates by its parameters."""
    lmax = response.size - 1
    for l in range(lmax + 1):  # noqa: E741
        # Where the power is 0 the response is 1, whatever the order: log(0) stays out of gradients.
        response[l] = 1.0
        if l > cutoff * lmax:
            eta = (l / lmax - cutoff) / (1.0 - cutoff)
            response[l] = math.exp(-strength * eta**order)


def exponential_response(
    lmax: int, order: float, strength: float = 36.0, cutoff: float = 0.0
) -> NDArray[np.float64]:
    r"""Exponential filter of a spectral method, against Gibbs oscillations and aliasing.

    .. math:: \exp(-\alpha \eta^p), \qquad \eta = \frac{l/l_{max} - \eta_c}{1 - \eta_c}
              \text{ for } l > \eta_c l_{max}, \text{ else } 1

    Parameters
    ----------
    lmax : int
        Highest degree, inclusive.
    order : float
        p > 0: the larger, the less is taken from low degrees. Usually even, 4 to 36.
    strength : float
        α >= 0, minus the logarithm of the response at lmax. 36 leaves float64's epsilon.
    cutoff : float
        η_c in [0, 1): the fraction of lmax up to which nothing is changed.

    Returns
    -------
    (lmax + 1,) float64

    Raises
    ------
    TypeError, ValueError
        A parameter is outside its range.

    References
    ----------
    D. Gottlieb, C.-W. Shu, "On the Gibbs phenomenon and its resolution", SIAM Review 39 (1997)
    644, section 3.

    Examples
    --------
    >>> exponential_response(4, order=4, strength=2.0).round(3).tolist()
    [1.0, 0.992, 0.882, 0.531, 0.135]
    """
    call = "exponential_response(lmax, order, strength, cutoff)"
    response = _empty(call, lmax)
    _need(call, order > 0, "order > 0", order)
    _need(call, strength >= 0, "strength >= 0", strength)
    _need(call, 0 <= cutoff < 1, "0 <= cutoff < 1", cutoff)
    forwards(exponential_response_into, response, float(order), float(strength), float(cutoff))
    return response


@njit(error_model="numpy")
def hyperdiffusion_response_into(response, power, strength):
    """Write the response that `hyperdiffusion_response` returns; differentiates by both."""
    lmax = response.size - 1
    response[0] = 1.0
    for l in range(1, lmax + 1):  # noqa: E741
        ratio = l * (l + 1) / (lmax * (lmax + 1))
        response[l] = math.exp(-strength * ratio**power)


def hyperdiffusion_response(lmax: int, power: float, strength: float) -> NDArray[np.float64]:
    r"""Hyperdiffusion over one time step, as dynamical cores of atmospheres apply it.

    .. math:: \exp\left(-\frac{\Delta t}{\tau}
              \left(\frac{l(l+1)}{l_{max}(l_{max}+1)}\right)^n\right)

    solves ∂a/∂t = -K (-∇²)^n a exactly over a time step, with K such that the highest degree decays
    by e in the time τ.

    Parameters
    ----------
    lmax : int
        Highest degree, inclusive.
    power : float
        n > 0, the number of Laplacians: 1 is diffusion, 4 is the usual ∇⁸.
    strength : float
        Δt/τ >= 0: the time step in units of the time in which the highest degree decays by e.

    Returns
    -------
    (lmax + 1,) float64

    Raises
    ------
    TypeError, ValueError
        A parameter is outside its range.

    References
    ----------
    C. Jablonowski, D. L. Williamson, "The pros and cons of diffusion, filters and fixers in
    atmospheric general circulation models", in Numerical Techniques for Global Atmospheric Models,
    Springer 2011, section 13.3.

    Examples
    --------
    >>> hyperdiffusion_response(3, power=1, strength=1.0).round(3).tolist()
    [1.0, 0.846, 0.607, 0.368]
    """
    call = "hyperdiffusion_response(lmax, power, strength)"
    response = _empty(call, lmax)
    _need(call, power > 0, "power > 0", power)
    _need(call, strength >= 0, "strength >= 0", strength)
    forwards(hyperdiffusion_response_into, response, float(power), float(strength))
    return response


@njit(error_model="numpy")
def gaussian_beam_into(response, fwhm, spin):
    """Write the response that `gaussian_beam` returns; differentiates by `fwhm`."""
    variance = fwhm * fwhm / (8.0 * math.log(2.0))
    for l in range(response.size):  # noqa: E741
        response[l] = math.exp(-0.5 * (l * (l + 1) - spin * spin) * variance)


def gaussian_beam(lmax: int, fwhm: float, spin: int = 0) -> NDArray[np.float64]:
    r"""Gaussian smoothing, or the beam of a telescope.

    .. math:: \exp\left(-\tfrac12 (l(l+1) - s^2) \sigma^2\right), \qquad
              \sigma = \mathrm{fwhm} / \sqrt{8 \ln 2}

    Parameters
    ----------
    lmax : int
        Highest degree, inclusive.
    fwhm : float
        Full width at half maximum, >= 0, in radians.
    spin : int
        s: 0 for scalar fields, 2 for the E and B of polarisation.

    Returns
    -------
    (lmax + 1,) float64
        1 at degree 0 for spin 0.

    Raises
    ------
    TypeError, ValueError
        A parameter is outside its range.

    Notes
    -----
    Spin 0 is ``healpy.gauss_beam(fwhm, lmax)``, spin 2 its columns 1 and 2 with ``pol=True``.

    References
    ----------
    A. Challinor et al., "All-sky convolution of polarized beams", Phys. Rev. D 62 (2000) 123002,
    section IV.

    Examples
    --------
    >>> gaussian_beam(2, fwhm=np.deg2rad(30)).round(3).tolist()
    [1.0, 0.952, 0.862]
    """
    call = "gaussian_beam(lmax, fwhm, spin)"
    response = _empty(call, lmax)
    _need(call, fwhm >= 0, "fwhm >= 0, in radians", fwhm)
    spin = check_degree(call, "spin", spin)
    forwards(gaussian_beam_into, response, float(fwhm), spin)
    return response


@njit(error_model="numpy")
def top_hat_beam_into(response, radius):
    """Write the response that `top_hat_beam` returns; differentiates by `radius`."""
    half = math.sin(0.5 * radius)
    s = 2.0 * half * half
    q, step = 1.0, 0.0
    response[0] = 1.0
    for l in range(1, response.size):  # noqa: E741
        response[l] = (1.0 - 0.5 * s) * q
        step = ((l - 1) * step - (2 * l + 1) * s * q) / (l + 2)
        q += step


def top_hat_beam(lmax: int, radius: float) -> NDArray[np.float64]:
    r"""The mean over a circular disc around each point.

    .. math:: \frac{P_{l-1}(c) - P_{l+1}(c)}{(2l+1)(1-c)} = \frac{1+c}{l(l+1)} P_l'(c),
              \qquad c = \cos(\mathrm{radius}); \quad 1 \text{ at } l = 0

    Parameters
    ----------
    lmax : int
        Highest degree, inclusive.
    radius : float
        Of the disc, in radians, in (0, π].

    Returns
    -------
    (lmax + 1,) float64

    Raises
    ------
    TypeError, ValueError
        A parameter is outside its range.

    Notes
    -----
    The right-hand form, q_l = 2 P_l'/(l(l+1)) by (l+2) q_{l+1} = (2l+1) c q_l - (l-1) q_{l-1} in
    terms of differences q_{l+1} - q_l and of 1-c, does not lose digits for small discs.

    References
    ----------
    C. Jekeli, "Alternative methods to smooth the Earth's gravity field", Ohio State University
    report 327, 1981, section 4: Pellinen's mean.

    Examples
    --------
    >>> top_hat_beam(2, radius=np.pi / 2).round(3).tolist()
    [1.0, 0.5, 0.0]
    """
    call = "top_hat_beam(lmax, radius)"
    response = _empty(call, lmax)
    _need(call, 0 < radius <= np.pi, "a radius in (0, pi], in radians", radius)
    forwards(top_hat_beam_into, response, float(radius))
    return response


def _empty(call: str, lmax: int) -> NDArray[np.float64]:
    return np.empty(check_degree(call, "lmax", lmax) + 1)


def _need(call: str, fits: bool, what: str, got: Any) -> None:
    # Infinities pass comparisons.
    if not fits or not math.isfinite(got):
        raise ValueError(f"`{call}` needs {what}. Got {got!r}.")
