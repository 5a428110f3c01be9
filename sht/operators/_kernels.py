"""The operators as ``@njit`` kernels on one field; Enzyme differentiates them as they stand.

The output is overwritten, and must not overlap the input. Both are contiguous, complex128 or
complex64, and `radius` may vary too. ValueError where sizes do not fit; nothing is written then.
"""

from __future__ import annotations

from numba import njit

from sht._packed import packed_size

from ._one_order import (
    coslat_gradient_order,
    coslat_latitude_derivative_order,
    coslat_wind_order,
    curl_order,
    divergence_order,
    inverse_laplacian_order,
    laplacian_order,
    longitude_derivative_order,
    times_sinlat_order,
    vorticity_divergence_order,
)


@njit(error_model="numpy", nogil=True)
def laplacian_into(b, a, lmax, mmax, radius):
    """``b = ∇² a``; see `laplacian`. Scalar to scalar."""
    _check(b, a, lmax, lmax, mmax)
    for m in range(mmax + 1):
        laplacian_order(b, a, m, (0, lmax + 2), lmax, radius)


@njit(error_model="numpy", nogil=True)
def inverse_laplacian_into(b, a, lmax, mmax, radius):
    """``∇² b = a`` but for the mean of a; see `inverse_laplacian`. Scalar to scalar."""
    _check(b, a, lmax, lmax, mmax)
    for m in range(mmax + 1):
        inverse_laplacian_order(b, a, m, (0, lmax + 2), lmax, radius)


@njit(error_model="numpy", nogil=True)
def longitude_derivative_into(b, a, lmax, mmax):
    """``b = ∂a/∂λ``; see `longitude_derivative`. Scalar to scalar."""
    _check(b, a, lmax, lmax, mmax)
    for m in range(mmax + 1):
        longitude_derivative_order(b, a, m, (0, lmax + 2), lmax)


@njit(error_model="numpy", nogil=True)
def coslat_latitude_derivative_into(b, a, lmax, mmax):
    """``b = cos φ ∂a/∂φ``; see `coslat_latitude_derivative`. Scalar to one more degree."""
    _check(b, a, lmax + 1, lmax, mmax)
    for m in range(mmax + 1):
        coslat_latitude_derivative_order(b, a, m, (0, lmax + 2), lmax)


@njit(error_model="numpy", nogil=True)
def times_sinlat_into(b, a, lmax, mmax):
    """``b = a sin φ``; see `times_sinlat`. Scalar to one more degree."""
    _check(b, a, lmax + 1, lmax, mmax)
    for m in range(mmax + 1):
        times_sinlat_order(b, a, m, (0, lmax + 2), lmax)


@njit(error_model="numpy", nogil=True)
def coslat_gradient_into(g, a, lmax, mmax, radius):
    """``g = cos φ ∇a``; see `coslat_gradient`. Scalar to two components of one more degree."""
    _require_two(g)
    _check(g[0], a, lmax + 1, lmax, mmax)
    for m in range(mmax + 1):
        coslat_gradient_order(g, a, m, (0, lmax + 2), lmax, radius)


@njit(error_model="numpy", nogil=True)
def coslat_wind_into(wind, vordiv, lmax, mmax, radius):
    """(vorticity, divergence) to (U, V); see `coslat_wind`. Both of shape (2, ...)."""
    _require_two(wind)
    _require_two(vordiv)
    _check(wind[0], vordiv[0], lmax + 1, lmax, mmax)
    for m in range(mmax + 1):
        coslat_wind_order(wind, vordiv, m, (0, lmax + 2), lmax, radius)


@njit(error_model="numpy", nogil=True)
def divergence_into(div, wind, lmax, mmax, radius):
    """Divergence of (u, v) / cos φ; see `divergence`. ``wind`` is (2, ...) of one more degree."""
    _require_two(wind)
    _check(div, wind[0], lmax, lmax + 1, mmax)
    for m in range(mmax + 1):
        divergence_order(div, wind, m, (0, lmax + 2), lmax, radius)


@njit(error_model="numpy", nogil=True)
def curl_into(vor, wind, lmax, mmax, radius):
    """Vorticity of (u, v) / cos φ; see `curl`. ``wind`` is (2, ...) of one more degree."""
    _require_two(wind)
    _check(vor, wind[0], lmax, lmax + 1, mmax)
    for m in range(mmax + 1):
        curl_order(vor, wind, m, (0, lmax + 2), lmax, radius)


@njit(error_model="numpy", nogil=True)
def vorticity_divergence_into(vordiv, wind, lmax, mmax, radius):
    """(u, v) / cos φ to (vorticity, divergence); see `vorticity_divergence`."""
    _require_two(vordiv)
    _require_two(wind)
    _check(vordiv[0], wind[0], lmax, lmax + 1, mmax)
    for m in range(mmax + 1):
        vorticity_divergence_order(vordiv, wind, m, (0, lmax + 2), lmax, radius)


_WRONG_TRUNCATION = "Operators in coefficient space need 0 <= mmax <= lmax. Got another truncation."
_WRONG_SIZE = (
    "Operators in coefficient space need `ncoef(lmax, mmax)` coefficients of a scalar and "
    "`ncoef(lmax + 1, mmax)` of what has one more degree, the output first. Got another number."
)
_WRONG_COMPONENTS = (
    "Winds, gradients, and vorticity with divergence need shape (2, ncoef). Got another number of "
    "components. `np.stack([u, v])` makes one array of two."
)


@njit(error_model="numpy")
def _check(output, given, output_lmax, given_lmax, mmax):
    """Lengths are checked here: a wrong one would overwrite memory."""
    if mmax < 0 or mmax > min(output_lmax, given_lmax):
        raise ValueError(_WRONG_TRUNCATION)
    if len(output) != packed_size(output_lmax, mmax) or len(given) != packed_size(given_lmax, mmax):
        raise ValueError(_WRONG_SIZE)


@njit(error_model="numpy")
def _require_two(components):
    if len(components) != 2:
        raise ValueError(_WRONG_COMPONENTS)
