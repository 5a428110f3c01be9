"""What all grids share: rings of equally spaced points on circles of latitude, and no data."""

from __future__ import annotations

import abc
from collections.abc import Hashable
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray


class RingGrid(abc.ABC):
    r"""Geometry of a grid of rings, north to south. Immutable, and equal by its parameters.

    A grid that exists is valid: every subclass hands its arrays to this constructor, which checks
    them and makes them read-only. Its points are

    .. math:: (\theta_j,\ \varphi_{0j} + 2\pi i / n_j), \qquad 0 \le i < n_j.

    Parameters
    ----------
    parameters : tuple of hashable
        The subclass's constructor arguments. They decide equality, hash and pickling.
    theta : (nlat,) float
        Colatitudes in radians, strictly ascending in (0, pi).
    nlon : (nlat,) int
        Points on each ring, at least 1.
    phi0 : (nlat,) float
        Longitude of the first point of each ring, in radians.
    weights : (nlat,) float
        Quadrature weights w_j in x = cos(theta), whose sum is 2 where the grid has a quadrature.
    cos_theta, sin_theta : (nlat,) float, optional
        Given where they are known better than ``theta`` tells: a float64 close to pi has lost the
        digits of its sine.

    Raises
    ------
    ValueError
        No rings; arrays of unequal length; an empty ring; a colatitude outside (0, pi) or out of
        order; something not finite.
    """

    full: ClassVar[bool] = False
    """Whether all rings have as many points, so that fields are (..., nlat, nlon)."""

    _parameters: tuple[Hashable, ...]

    def __init__(
        self,
        parameters: tuple[Hashable, ...],
        *,
        theta: ArrayLike,
        nlon: ArrayLike,
        phi0: ArrayLike,
        weights: ArrayLike,
        cos_theta: ArrayLike | None = None,
        sin_theta: ArrayLike | None = None,
    ) -> None:
        theta = np.array(theta, np.float64)
        counts = _integers(type(self).__name__, nlon)
        arrays = {
            "_theta": theta,
            "_cos_theta": np.array(np.cos(theta) if cos_theta is None else cos_theta, np.float64),
            "_sin_theta": np.array(np.sin(theta) if sin_theta is None else sin_theta, np.float64),
            "_phi0": np.array(phi0, np.float64),
            "_weights": np.array(weights, np.float64),
            "_nlon": counts,
        }
        _check_rings(type(self).__name__, arrays)
        arrays["_offsets"] = np.concatenate([[0], np.cumsum(counts)])
        arrays["_areas"] = arrays["_weights"] * (2.0 * np.pi) / counts
        vars(self)["_parameters"] = parameters
        for name, array in arrays.items():
            array.setflags(write=False)
            vars(self)[name] = array

    # The three things that a subclass says about itself

    @property
    @abc.abstractmethod
    def max_lmax(self) -> int:
        """Highest degree whose analysis the rings' latitudes carry; see the subclass."""

    @property
    @abc.abstractmethod
    def max_mmax(self) -> int:
        """Highest order whose analysis the rings' longitudes carry; see the subclass."""

    @abc.abstractmethod
    def __repr__(self) -> str: ...

    # One value per ring

    @property
    def theta(self) -> NDArray[np.float64]:
        """(nlat,) Colatitudes in radians, ascending in (0, pi)."""
        return vars(self)["_theta"]

    @property
    def cos_theta(self) -> NDArray[np.float64]:
        """(nlat,) Cosines of the colatitudes, descending."""
        return vars(self)["_cos_theta"]

    @property
    def sin_theta(self) -> NDArray[np.float64]:
        """(nlat,) Sines of the colatitudes, as accurate as the grid knows them."""
        return vars(self)["_sin_theta"]

    @property
    def nlon(self) -> NDArray[np.int64]:
        """(nlat,) Points on each ring, also for full grids, whose one number is ``shape[1]``."""
        return vars(self)["_nlon"]

    @property
    def phi0(self) -> NDArray[np.float64]:
        """(nlat,) Longitude of the first point of each ring, in radians."""
        return vars(self)["_phi0"]

    @property
    def weights(self) -> NDArray[np.float64]:
        """(nlat,) Quadrature weights w_j in x = cos(theta)."""
        return vars(self)["_weights"]

    @property
    def areas(self) -> NDArray[np.float64]:
        """(nlat,) Solid angle of one point of each ring in steradian, w_j * 2 pi / nlon_j."""
        return vars(self)["_areas"]

    @property
    def offsets(self) -> NDArray[np.int64]:
        """(nlat + 1,) Ring j holds the points ``offsets[j]:offsets[j + 1]``."""
        return vars(self)["_offsets"]

    # Sizes

    @property
    def nlat(self) -> int:
        """Number of rings."""
        return len(self.theta)

    @property
    def npoints(self) -> int:
        """Number of points on all rings."""
        return int(self.offsets[-1])

    @property
    def shape(self) -> tuple[int, ...]:
        """Last axes of a field: (nlat, nlon) on full grids, (npoints,) on others."""
        return (self.nlat, int(self.nlon[0])) if self.full else (self.npoints,)

    # One value per point, computed on each call

    @property
    def latitudes(self) -> NDArray[np.float64]:
        """Latitude of every point in degrees north, of shape ``shape``."""
        return np.repeat(90.0 - np.rad2deg(self.theta), self.nlon).reshape(self.shape)

    @property
    def longitudes(self) -> NDArray[np.float64]:
        """Longitude of every point in degrees east, in [0, 360), of shape ``shape``."""
        within = np.arange(self.npoints) - np.repeat(self.offsets[:-1], self.nlon)
        step = np.repeat(360.0 / self.nlon, self.nlon)
        start = np.repeat(np.rad2deg(self.phi0), self.nlon)
        return np.mod(start + within * step, 360.0).reshape(self.shape)

    # An immutable value

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable: cannot set `{name}`.")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable: cannot delete `{name}`.")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RingGrid):
            return NotImplemented
        return type(self) is type(other) and self._parameters == other._parameters

    def __hash__(self) -> int:
        return hash((type(self), self._parameters))

    def __reduce__(self) -> tuple[type[RingGrid], tuple[Hashable, ...]]:
        return type(self), self._parameters


def _integers(grid: str, nlon: ArrayLike) -> NDArray[np.int64]:
    counts = np.asarray(nlon)
    if counts.size and counts.dtype.kind not in "iu":
        raise TypeError(f"`{grid}` needs integer numbers of points `nlon`. Got {counts.dtype}.")
    return counts.astype(np.int64)


def _check_rings(grid: str, arrays: dict[str, NDArray]) -> None:
    theta = arrays["_theta"]
    if theta.ndim != 1 or not len(theta):
        raise ValueError(
            f"`{grid}` needs at least one ring, as 1-d arrays. Got `theta` of shape {theta.shape}."
        )
    for name, array in arrays.items():
        if array.shape != theta.shape:
            raise ValueError(
                f"`{grid}` needs one value per ring: `{name[1:]}` of shape {theta.shape}. "
                f"Got {array.shape}."
            )
        if not np.all(np.isfinite(array)):
            raise ValueError(f"`{grid}` needs finite `{name[1:]}`. Got NaN or infinity in it.")
    if np.any(arrays["_nlon"] < 1):
        ring = int(np.argmax(arrays["_nlon"] < 1))
        raise ValueError(
            f"`{grid}` needs at least one point on every ring. "
            f"Got nlon = {arrays['_nlon'][ring]} on ring {ring}."
        )
    if theta[0] <= 0.0 or theta[-1] >= np.pi or np.any(np.diff(theta) <= 0.0):
        raise ValueError(
            f"`{grid}` needs colatitudes `theta` in radians, strictly ascending in (0, pi): north "
            f"to south, without the poles. Got values from {theta[0]} to {theta[-1]}. "
            "From latitudes in degrees: `np.deg2rad(90 - latitude)`."
        )
