"""Any rings: a grid from its colatitudes, numbers of points, first longitudes and weights."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sht._quadrature import gauss_legendre

from ._rings import RingGrid

_MIRROR = 4 * np.spacing(np.pi)  # rounding of latitudes in degrees, converted and subtracted


class Rings(RingGrid):
    """Grid of any rings of equally spaced points, north to south.

    Parameters
    ----------
    theta : (nlat,) float
        Colatitudes in radians, strictly ascending in (0, pi).
    nlon : int or (nlat,) int
        Points on each ring, at least 1, even or odd. One number makes a full grid, whose fields are
        (..., nlat, nlon); a number for each ring one of fields (..., npoints).
    phi0 : float or (nlat,) float
        Longitude of the first point of each ring, in radians.
    weights : (nlat,) float, optional
        Quadrature weights w_j in x = cos(theta); their sum is 2 for the whole sphere. Negative ones
        are allowed, as interpolatory rules have them. None where no quadrature is known: nothing is
        put in their place, `weights` are 0 and `has_weights` is False, so that fields can be
        synthesised but not analysed by quadrature.

    Raises
    ------
    TypeError
        ``nlon`` is not an integer.
    ValueError
        No rings; arrays of unequal length; an empty ring; a colatitude outside (0, pi) or out of
        order; something not finite.

    Notes
    -----
    There is no limit to the degree, ``max_lmax`` and ``max_mmax`` are None, and whether a
    quadrature is exact is for the caller to know: ``exact_lmax`` is None.

    Rings whose colatitudes mirror each other in the Equator to 4 ulp of pi, 2e-15 radians, get the
    same sines and opposite cosines, exactly, computed in the north; one so close to the Equator
    gets the cosine 0. ``theta`` stays as given.

    Examples
    --------
    >>> Rings([0.5, 1.5, 2.5], [3, 8, 4])
    Rings(theta, nlon, phi0): 3 rings of 3 to 8 points, 15 in all, about 52 degrees apart
      no quadrature weights, hence no analysis; fields (..., 15)
    >>> Rings(np.deg2rad(90 - np.array([60, 0, -60])), 12).cos_theta.round(12).tolist()
    [0.866025403784, 0.0, -0.866025403784]
    """

    def __init__(
        self,
        theta: ArrayLike,
        nlon: ArrayLike,
        phi0: ArrayLike = 0.0,
        weights: ArrayLike | None = None,
    ) -> None:
        theta = np.array(theta, np.float64)
        counts, phi0 = np.asarray(nlon), np.asarray(phi0, np.float64)
        phi0 = np.broadcast_to(phi0, theta.shape) if phi0.ndim == 0 else phi0
        vars(self)["full"] = counts.ndim == 0
        if weights is not None:
            weights = np.asarray(weights, np.float64)
        cos, sin = _mirrored_functions(theta.ravel())
        super().__init__(
            (_value(theta), _value(counts), _value(phi0), _value(weights)),
            theta=theta,
            cos_theta=cos,
            sin_theta=sin,
            nlon=np.broadcast_to(counts, theta.shape) if counts.ndim == 0 else counts,
            phi0=phi0,
            weights=np.zeros(theta.shape) if weights is None else weights,
        )

    @classmethod
    def gaussian(cls, nlon: ArrayLike) -> Self:
        """Reduced Gaussian grid of any numbers of points, such as ECMWF's N320.

        Parameters
        ----------
        nlon : (nlat,) int
            Points on each ring, north to south: the key ``pl`` of GRIB files on such grids.

        Returns
        -------
        Rings
            On Gauss-Legendre latitudes, with their weights. The first points are at longitude 0.

        Raises
        ------
        TypeError, ValueError
            Not integers, not 1-d, or an empty ring.

        Examples
        --------
        >>> Rings.gaussian([18, 25, 25, 18])
        Rings(theta, nlon, phi0, weights): 4 rings of 18 to 25 points, 86 in all, about 22 degrees
        apart
          exactness of analysis not known; fields (..., 86)
        """
        counts = np.asarray(nlon)
        if counts.ndim != 1 or not len(counts):
            raise ValueError(
                "`Rings.gaussian(nlon)` needs one number of points for each ring, north to south. "
                f"Got shape {counts.shape}. For equal rings there is `FullGaussian(nlat, nlon)`."
            )
        rule = gauss_legendre(len(counts))
        return cls(rule.theta, counts, 0.0, rule.weights)

    @property
    def max_lmax(self) -> None:
        """None: there is no limit."""
        return None

    @property
    def max_mmax(self) -> None:
        """None: there is no limit."""
        return None

    def _signature(self) -> str:
        return "theta, nlon, phi0, weights" if self.has_weights else "theta, nlon, phi0"


def _value(given: NDArray | None) -> object:
    """An argument as a hashable value: a number, a tuple of them, or None."""
    if given is None:
        return None
    return tuple(given.ravel().tolist()) if given.ndim else given.item()


def _mirrored_functions(theta: NDArray[np.float64]) -> tuple[NDArray, NDArray]:
    """Cosines and sines, the south's from the north's where rings mirror each other."""
    with np.errstate(invalid="ignore"):  # infinite angles are refused later, with a message
        cos, sin = np.cos(theta), np.sin(theta)
        equator = np.abs(theta - 0.5 * np.pi) <= _MIRROR
    cos[equator], sin[equator] = 0.0, 1.0
    north = np.flatnonzero((theta < 0.5 * np.pi) & ~equator)
    south = np.flatnonzero((theta > 0.5 * np.pi) & ~equator)
    if len(north):
        mirror = np.pi - theta[south]
        # Mirrors are closer to each other than half way to the next ring.
        between = 0.5 * (theta[north][1:] + theta[north][:-1])
        nearest = north[np.searchsorted(between, mirror)]
        found = np.abs(theta[nearest] - mirror) <= _MIRROR
        cos[south[found]] = -cos[nearest[found]]
        sin[south[found]] = sin[nearest[found]]
    return cos, sin
