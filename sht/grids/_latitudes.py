"""Latitudes and weights of rings other than Gauss-Legendre's, exactly symmetric in the Equator."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Latitudes(NamedTuple):
    """One value per ring, north to south; the same fields as `GaussLegendre`."""

    theta: NDArray[np.float64]
    """(nlat,) Colatitudes in radians, ascending in (0, pi)."""
    cos_theta: NDArray[np.float64]
    """(nlat,) Their cosines, of a southern ring the bits of its northern mirror, negated."""
    sin_theta: NDArray[np.float64]
    """(nlat,) Their sines, of a southern ring the bits of its northern mirror."""
    weights: NDArray[np.float64]
    """(nlat,) Weights in x = cos(theta), whose sum is 2."""


def clenshaw_curtis(nlat: int) -> Latitudes:
    r"""Equally spaced latitudes without the poles, and the weights that suit them.

    Parameters
    ----------
    nlat : int
        Number of rings, at least 1.

    Returns
    -------
    Latitudes
        With N = nlat + 1, θ_j = jπ/N and w_j = (4 sin θ_j / N) Σ sin(pθ_j)/p over odd p < N.

    Notes
    -----
    Known as Fejér's second rule, [1]_ eq. (2.4), or as the Clenshaw-Curtis rule without its end
    points. It integrates polynomials of degree up to ``nlat - 1``, and as it is symmetric, also of
    degree ``nlat`` where that is odd.

    References
    ----------
    .. [1] J. Waldvogel, "Fast construction of the Fejér and Clenshaw-Curtis quadrature rules",
       BIT Numer. Math. 46 (2006) 195, doi:10.1007/s10543-006-0045-4.

    Examples
    --------
    >>> rule = clenshaw_curtis(3)
    >>> rule.cos_theta.round(12).tolist(), rule.weights.round(12).tolist()
    ([0.707106781187, 0.0, -0.707106781187], [0.666666666667, 0.666666666667, 0.666666666667])
    """
    intervals = nlat + 1
    j = np.arange(1, intervals // 2 + 1)
    theta = j * np.pi / intervals
    sin = np.sin(theta)
    # As a sine of the latitude: exactly 0 on the Equator, and accurate beside it.
    cos = np.sin((intervals - 2 * j) * (np.pi / (2 * intervals)))
    p = np.arange(1, intervals, 2)
    inverse = np.zeros(intervals)
    inverse[p] = 1.0 / p
    sums = -np.fft.rfft(inverse, 2 * intervals).imag[j]
    return mirrored(nlat, theta, cos, sin, 4.0 / intervals * sin * sums)


def equal_area(
    nlat: int,
    height: NDArray[np.float64],
    cos_theta: NDArray[np.float64],
    nlon: NDArray[np.int64],
) -> Latitudes:
    """Latitudes of a grid all of whose points have the same area.

    Parameters
    ----------
    nlat : int
        Number of rings on both hemispheres.
    height : (north,) float64
        1 - cos(theta) of the northern rings, and the Equator if there is a ring on it. The sine
        comes from it as beside the poles the cosine has lost its digits.
    cos_theta : (north,) float64
        The same rings' cosines, exactly 0 on the Equator.
    nlon : (nlat,) int64
        Points on each ring.

    Returns
    -------
    Latitudes
        Weights are 2 nlon_j / npoints.
    """
    sin = np.sqrt(height * (1.0 + cos_theta))
    weights = 2.0 * nlon[: len(height)] / nlon.sum()
    return mirrored(nlat, np.arctan2(sin, cos_theta), cos_theta, sin, weights)


def mirrored(
    nlat: int,
    theta: NDArray[np.float64],
    cos_theta: NDArray[np.float64],
    sin_theta: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> Latitudes:
    """All rings from those of the north, the Equator's included: (ceil(nlat / 2),) each."""
    south = slice(0, nlat // 2)
    return Latitudes(
        np.concatenate([theta, np.pi - theta[south][::-1]]),
        np.concatenate([cos_theta, -cos_theta[south][::-1]]),
        np.concatenate([sin_theta, sin_theta[south][::-1]]),
        np.concatenate([weights, weights[south][::-1]]),
    )


def triangle_counts(nlat: int, first: int) -> NDArray[np.int64]:
    """Points on each of ``nlat`` rings: ``first`` beside a pole and 4 more from ring to ring.

    The rings then fit on the faces of an octahedron, hence the names of such grids.
    """
    ring = np.arange(nlat)
    return first + 4 * np.minimum(ring, ring[::-1])
