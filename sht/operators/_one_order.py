"""The operators on one order, some of its degrees: what the host and a device run.

``..._order(output, input, m, some, lmax)``, some with ``radius`` at the end: writes the rows from
``some[0]`` to ``some[1]`` (degrees m + i), of as many as there are. On the host all degrees of an
order are one call; on a device each is a thread. Row i is made of the rows i - 1, i and i + 1 of
the input, of the same order.
"""

from __future__ import annotations

import math

from numba import njit

from sht._rows import row_of


@njit(error_model="numpy")
def laplacian_order(b, a, m, some, lmax, radius):
    _set(row_of(b, m, lmax), row_of(a, m, lmax), m, some, 1.0 / radius**2, _laplacian)


@njit(error_model="numpy")
def inverse_laplacian_order(b, a, m, some, lmax, radius):
    _set(row_of(b, m, lmax), row_of(a, m, lmax), m, some, radius**2, _inverse)


@njit(error_model="numpy")
def longitude_derivative_order(b, a, m, some, lmax):
    row, given = row_of(b, m, lmax), row_of(a, m, lmax)
    for i in range(some[0], min(len(row), some[1])):
        row[i] = complex(-m * given[i].imag, m * given[i].real)


@njit(error_model="numpy")
def coslat_latitude_derivative_order(b, a, m, some, lmax):
    row = row_of(b, m, lmax + 1)
    _clear(row, some)
    _add_neighbours(row, row_of(a, m, lmax), m, some, 1.0, _derivative)


@njit(error_model="numpy")
def times_sinlat_order(b, a, m, some, lmax):
    row = row_of(b, m, lmax + 1)
    _clear(row, some)
    _add_neighbours(row, row_of(a, m, lmax), m, some, 1.0, _sine)


@njit(error_model="numpy")
def coslat_gradient_order(g, a, m, some, lmax, radius):
    given = row_of(a, m, lmax)
    u, v = row_of(g[0], m, lmax + 1), row_of(g[1], m, lmax + 1)
    _clear(u, some)
    _clear(v, some)
    _add_times_i(u, given, m, some, m / radius, _one)
    _add_neighbours(v, given, m, some, 1.0 / radius, _derivative)


@njit(error_model="numpy")
def coslat_wind_order(wind, vordiv, m, some, lmax, radius):
    u, v = row_of(wind[0], m, lmax + 1), row_of(wind[1], m, lmax + 1)
    vor, div = row_of(vordiv[0], m, lmax), row_of(vordiv[1], m, lmax)
    _clear(u, some)
    _clear(v, some)
    _add_times_i(u, div, m, some, m * radius, _inverse)
    _add_times_i(v, vor, m, some, m * radius, _inverse)
    _add_neighbours(u, vor, m, some, radius, _derivative_of_inverse)
    _add_neighbours(v, div, m, some, -radius, _derivative_of_inverse)


@njit(error_model="numpy")
def divergence_order(div, wind, m, some, lmax, radius):
    row = row_of(div, m, lmax)
    _clear(row, some)
    _add_times_i(row, row_of(wind[0], m, lmax + 1), m, some, m / radius, _one)
    _add_neighbours(row, row_of(wind[1], m, lmax + 1), m, some, -1.0 / radius, _divergence)


@njit(error_model="numpy")
def curl_order(vor, wind, m, some, lmax, radius):
    row = row_of(vor, m, lmax)
    _clear(row, some)
    _add_times_i(row, row_of(wind[1], m, lmax + 1), m, some, m / radius, _one)
    _add_neighbours(row, row_of(wind[0], m, lmax + 1), m, some, 1.0 / radius, _divergence)


@njit(error_model="numpy")
def vorticity_divergence_order(vordiv, wind, m, some, lmax, radius):
    curl_order(vordiv[0], wind, m, some, lmax, radius)
    divergence_order(vordiv[1], wind, m, some, lmax, radius)


@njit(error_model="numpy")
def _clear(b, some):
    for i in range(some[0], min(len(b), some[1])):
        b[i] = 0.0


@njit(error_model="numpy")
def _set(b, a, m, some, factor, weight):
    """``b(l) = factor weight(l) a(l)``."""
    for i in range(some[0], min(len(b), some[1])):
        w = factor * weight(m + i)
        b[i] = complex(w * a[i].real, w * a[i].imag)


@njit(error_model="numpy")
def _add_times_i(b, a, m, some, factor, weight):
    """``b(l) += i factor weight(l) a(l)``, of the degrees that both rows have."""
    for i in range(some[0], min(len(a), len(b), some[1])):
        w = factor * weight(m + i)
        b[i] = complex(b[i].real - w * a[i].imag, b[i].imag + w * a[i].real)


@njit(error_model="numpy")
def _add_neighbours(b, a, m, some, factor, weights):
    """``b(l) += factor (below(l) ε(l) a(l-1) + above(l) ε(l+1) a(l+1))``, of what the rows have.

    Two loops without branches, which run five times as fast as one with them.
    """
    for i in range(max(1, some[0]), min(len(a) + 1, len(b), some[1])):
        w = factor * weights(m + i)[0] * _epsilon(m + i, m)
        b[i] = complex(b[i].real + w * a[i - 1].real, b[i].imag + w * a[i - 1].imag)
    for i in range(some[0], min(len(a) - 1, len(b), some[1])):
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
def _laplacian(l):  # noqa: E741
    return -l * (l + 1)


@njit(error_model="numpy")
def _inverse(l):  # noqa: E741
    """Of the Laplacian, but for a mean, which becomes 0."""
    return -1.0 / (l * (l + 1)) if l > 0 else 0.0
