"""The operators as ``@njit`` kernels on one field; Enzyme differentiates them as they stand.

The output is overwritten, and must not overlap the input. Both are contiguous, complex128 or
complex64, and `radius` may vary too. ValueError where sizes do not fit; nothing is written then.
"""

from __future__ import annotations

import math

from numba import njit

from sht._packed import packed_size
from sht._rows import row_of


@njit(error_model="numpy", nogil=True)
def laplacian_into(b, a, lmax, mmax, radius):
    """``b = ∇² a``; see `laplacian`. Scalar to scalar."""
    _check(b, a, lmax, lmax, mmax)
    scale = -1.0 / radius**2
    for m in range(mmax + 1):
        given, row = row_of(a, m, lmax), row_of(b, m, lmax)
        for i in range(len(row)):
            weight = scale * ((m + i) * (m + i + 1))
            row[i] = complex(weight * given[i].real, weight * given[i].imag)


@njit(error_model="numpy", nogil=True)
def inverse_laplacian_into(b, a, lmax, mmax, radius):
    """``∇² b = a`` but for the mean of a; see `inverse_laplacian`. Scalar to scalar."""
    _check(b, a, lmax, lmax, mmax)
    scale = -(radius**2)
    for m in range(mmax + 1):
        given, row = row_of(a, m, lmax), row_of(b, m, lmax)
        for i in range(len(row)):
            weight = scale / ((m + i) * (m + i + 1)) if m + i > 0 else 0.0
            row[i] = complex(weight * given[i].real, weight * given[i].imag)


@njit(error_model="numpy", nogil=True)
def longitude_derivative_into(b, a, lmax, mmax):
    """``b = ∂a/∂λ``; see `longitude_derivative`. Scalar to scalar."""
    _check(b, a, lmax, lmax, mmax)
    for m in range(mmax + 1):
        given, row = row_of(a, m, lmax), row_of(b, m, lmax)
        for i in range(len(row)):
            row[i] = complex(-m * given[i].imag, m * given[i].real)


@njit(error_model="numpy", nogil=True)
def coslat_latitude_derivative_into(b, a, lmax, mmax):
    """``b = cos φ ∂a/∂φ``; see `coslat_latitude_derivative`. Scalar to one more degree."""
    _check(b, a, lmax + 1, lmax, mmax)
    b[:] = 0.0
    for m in range(mmax + 1):
        _add_neighbours(row_of(b, m, lmax + 1), row_of(a, m, lmax), m, 1.0, _derivative)


@njit(error_model="numpy", nogil=True)
def times_sinlat_into(b, a, lmax, mmax):
    """``b = a sin φ``; see `times_sinlat`. Scalar to one more degree."""
    _check(b, a, lmax + 1, lmax, mmax)
    b[:] = 0.0
    for m in range(mmax + 1):
        _add_neighbours(row_of(b, m, lmax + 1), row_of(a, m, lmax), m, 1.0, _sine)


@njit(error_model="numpy", nogil=True)
def coslat_gradient_into(g, a, lmax, mmax, radius):
    """``g = cos φ ∇a``; see `coslat_gradient`. Scalar to two components of one more degree."""
    _require_two(g)
    _check(g[0], a, lmax + 1, lmax, mmax)
    g[:] = 0.0
    for m in range(mmax + 1):
        given = row_of(a, m, lmax)
        _add_times_i(row_of(g[0], m, lmax + 1), given, m, m / radius, _one)
        _add_neighbours(row_of(g[1], m, lmax + 1), given, m, 1.0 / radius, _derivative)


@njit(error_model="numpy", nogil=True)
def coslat_wind_into(wind, vordiv, lmax, mmax, radius):
    """(vorticity, divergence) to (U, V); see `coslat_wind`. Both of shape (2, ...)."""
    _require_two(wind)
    _require_two(vordiv)
    _check(wind[0], vordiv[0], lmax + 1, lmax, mmax)
    wind[:] = 0.0
    for m in range(mmax + 1):
        u, v = row_of(wind[0], m, lmax + 1), row_of(wind[1], m, lmax + 1)
        vor, div = row_of(vordiv[0], m, lmax), row_of(vordiv[1], m, lmax)
        _add_times_i(u, div, m, -m * radius, _inverse)
        _add_times_i(v, vor, m, -m * radius, _inverse)
        _add_neighbours(u, vor, m, radius, _derivative_of_inverse)
        _add_neighbours(v, div, m, -radius, _derivative_of_inverse)


@njit(error_model="numpy", nogil=True)
def divergence_into(div, wind, lmax, mmax, radius):
    """Divergence of (u, v) / cos φ; see `divergence`. ``wind`` is (2, ...) of one more degree."""
    _require_two(wind)
    _check(div, wind[0], lmax, lmax + 1, mmax)
    div[:] = 0.0
    for m in range(mmax + 1):
        row = row_of(div, m, lmax)
        _add_times_i(row, row_of(wind[0], m, lmax + 1), m, m / radius, _one)
        _add_neighbours(row, row_of(wind[1], m, lmax + 1), m, -1.0 / radius, _divergence)


@njit(error_model="numpy", nogil=True)
def curl_into(vor, wind, lmax, mmax, radius):
    """Vorticity of (u, v) / cos φ; see `curl`. ``wind`` is (2, ...) of one more degree."""
    _require_two(wind)
    _check(vor, wind[0], lmax, lmax + 1, mmax)
    vor[:] = 0.0
    for m in range(mmax + 1):
        row = row_of(vor, m, lmax)
        _add_times_i(row, row_of(wind[1], m, lmax + 1), m, m / radius, _one)
        _add_neighbours(row, row_of(wind[0], m, lmax + 1), m, 1.0 / radius, _divergence)


@njit(error_model="numpy", nogil=True)
def vorticity_divergence_into(vordiv, wind, lmax, mmax, radius):
    """(u, v) / cos φ to (vorticity, divergence); see `vorticity_divergence`."""
    _require_two(vordiv)
    curl_into(vordiv[0], wind, lmax, mmax, radius)
    divergence_into(vordiv[1], wind, lmax, mmax, radius)


@njit(error_model="numpy")
def _add_times_i(b, a, m, factor, weight):
    """``b(l) += i factor weight(l) a(l)``, of the degrees that both rows have."""
    for i in range(min(len(a), len(b))):
        w = factor * weight(m + i)
        b[i] = complex(b[i].real - w * a[i].imag, b[i].imag + w * a[i].real)


@njit(error_model="numpy")
def _add_neighbours(b, a, m, factor, weights):
    """``b(l) += factor (below(l) ε(l) a(l-1) + above(l) ε(l+1) a(l+1))``, of what the rows have.

    Two loops without branches, which run five times as fast as one with them.
    """
    for i in range(1, min(len(a) + 1, len(b))):
        w = factor * weights(m + i)[0] * _epsilon(m + i, m)
        b[i] = complex(b[i].real + w * a[i - 1].real, b[i].imag + w * a[i - 1].imag)
    for i in range(min(len(a) - 1, len(b))):
        w = factor * weights(m + i)[1] * _epsilon(m + i + 1, m)
        b[i] = complex(b[i].real + w * a[i + 1].real, b[i].imag + w * a[i + 1].imag)


@njit(error_model="numpy")
def _epsilon(l, m):  # noqa: E741
    """ε(l, m), with which sin φ Y(l) = ε(l) Y(l-1) + ε(l+1) Y(l+1) for each m."""
    return math.sqrt((l * l - m * m) / (4.0 * l * l - 1.0))


# Weights of what lies below and above: of the degrees l - 1 and l + 1 in the result's degree l.


@njit(error_model="numpy")
def _sine(l):  # noqa: E741
    return 1.0, 1.0


@njit(error_model="numpy")
def _derivative(l):  # noqa: E741
    """Those of cos φ ∂/∂φ."""
    return 1.0 - l, l + 2.0


@njit(error_model="numpy")
def _derivative_of_inverse(l):  # noqa: E741
    """Those of -cos φ ∂/∂φ after the inverse Laplacian, which takes the mean (l - 1 = 0) to 0."""
    return -1.0 / l if l > 1 else 0.0, 1.0 / (l + 1.0)


@njit(error_model="numpy")
def _divergence(l):  # noqa: E741
    """The negative transpose of the derivative."""
    return l + 1.0, -1.0 * l


@njit(error_model="numpy")
def _one(l):  # noqa: E741
    return 1.0


@njit(error_model="numpy")
def _inverse(l):  # noqa: E741
    """Minus the inverse Laplacian on the unit sphere."""
    return 1.0 / max(l * (l + 1), 1)


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
