"""What all grids share: rings of equally spaced points on circles of latitude, and no data."""

from __future__ import annotations

import inspect
from collections.abc import Hashable
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._checks import as_counts, check_rings, sampled_degree
from ._lookup import nearest_point, nearest_ring, neighbours, ring_of


class RingGrid:
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

    full: bool = False
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
        counts = as_counts(type(self).__name__, nlon)
        arrays = {
            "_theta": theta,
            "_cos_theta": np.array(np.cos(theta) if cos_theta is None else cos_theta, np.float64),
            "_sin_theta": np.array(np.sin(theta) if sin_theta is None else sin_theta, np.float64),
            "_phi0": np.array(phi0, np.float64),
            "_weights": np.array(weights, np.float64),
            "_nlon": counts,
        }
        check_rings(type(self).__name__, arrays)
        arrays["_offsets"] = np.concatenate([[0], np.cumsum(counts)])
        arrays["_areas"] = arrays["_weights"] * (2.0 * np.pi) / counts
        vars(self)["_parameters"] = parameters
        for name, array in arrays.items():
            array.setflags(write=False)
            vars(self)[name] = array

    # What a subclass says about itself

    @property
    def max_lmax(self) -> int | None:
        """Highest degree that the grid can carry, None where there is no limit.

        One less than the number of rings: the polynomials in cos(theta) of more degrees than rings
        cannot be told apart. Whether analysis is exact up to it is another question, that of
        `exact_lmax`.
        """
        return self.nlat - 1

    @property
    def max_mmax(self) -> int | None:
        """Highest order that the grid can carry, None where there is no limit.

        The highest below that of Nyquist, nlon / 2, on the longest ring: the sine of Nyquist's
        order is 0 on every point.
        """
        return (int(self.nlon.max()) - 1) // 2

    @property
    def exact_lmax(self) -> int | None:
        """Highest degree for which analysis by quadrature is exact to rounding.

        None where that is never so, or not known. Meant are fields of degrees up to ``lmax`` and
        orders up to ``min(lmax, max_mmax)``.
        """
        return None

    @classmethod
    def _smallest(cls, lmax: int, sampled: int) -> Self:
        """The smallest grid for products of degree ``sampled - lmax`` tested by degree ``lmax``."""
        raise NotImplementedError(
            f"`{cls.__name__}` has no resolutions to choose from: its rings are given one by one. "
            f"Try `sht.grids.FullGaussian.for_lmax({lmax})`."
        )

    @classmethod
    def for_lmax(cls, lmax: int, dealiasing: float = 2) -> Self:
        """Smallest convenient grid that samples products of ``dealiasing`` fields.

        Parameters
        ----------
        lmax : int
            Highest degree of each field and of the analysis, inclusive, at least 0.
        dealiasing : float
            Number d of factors, at least 1. With 1 (a linear grid) fields of degree ``lmax`` are
            sampled, with 2 (quadratic) products of two of them, with 3 (cubic) of three.

        Returns
        -------
        RingGrid
            Of this class. Its longest ring has at least (d + 1) lmax + 1 points. See the class for
            what that makes exact.

        Raises
        ------
        TypeError
            ``lmax`` is not an integer, or ``dealiasing`` not a number.
        ValueError
            ``lmax`` is negative, or ``dealiasing`` less than 1 or not finite.

        Notes
        -----
        A product of d fields has degrees and orders up to d lmax. Sampling takes order
        m for m + k nlon. Orders up to lmax stay clean if d lmax - nlon < -lmax, hence
        nlon >= (d + 1) lmax + 1 [1]_. Against Y_lm the product is a polynomial in cos(theta) of
        degree (d + 1) lmax, which is what a quadrature has to integrate [2]_.

        References
        ----------
        .. [1] S. A. Orszag, "On the elimination of aliasing in finite-difference schemes by
           filtering high-wavenumber components", J. Atmos. Sci. 28 (1971) 1074.
        .. [2] N. P. Wedi, "Increasing horizontal resolution in numerical weather prediction and
           climate simulations: illusion or panacea?", Phil. Trans. R. Soc. A 372 (2014) 20130289,
           for linear, quadratic and cubic grids.

        Examples
        --------
        >>> from sht.grids import FullGaussian, OctahedralGaussian
        >>> FullGaussian.for_lmax(42).shape, FullGaussian.for_lmax(127, dealiasing=1).shape
        ((64, 128), (128, 256))
        >>> OctahedralGaussian.for_lmax(1279, dealiasing=3) == OctahedralGaussian(1280)
        True
        """
        call = f"{cls.__name__}.for_lmax(lmax, dealiasing)"
        return cls._smallest(*sampled_degree(call, lmax, dealiasing))

    def _signature(self) -> str:
        """Arguments of the constructor as `repr` shows them."""
        names = inspect.signature(type(self)).parameters
        return ", ".join(f"{n}={value}" for n, value in zip(names, self._parameters, strict=True))

    def __repr__(self) -> str:
        most = int(self.nlon.max())
        size = f"{self.nlat} ring{'s' if self.nlat > 1 else ''} of "
        if self.full:
            size += f"{most} points, {180 / self.nlat:.2g} x {360 / most:.2g} degrees"
        else:
            apart = np.rad2deg(np.sqrt(4.0 * np.pi / self.npoints))
            size += f"{self.nlon.min()} to {most} points, {self.npoints} in all, "
            size += f"about {apart:.2g} degrees apart"
        if self.exact_lmax is not None:
            use = f"analysis exact for lmax <= {self.exact_lmax}"
            use += f", mmax <= {self.max_mmax}" if self.full else ""
        elif not self.has_weights:
            use = "no quadrature weights, hence no analysis"
        elif self.max_lmax is None:
            use = "exactness of analysis not known"
        else:
            use = "analysis not exact"
        fields = ", ".join(map(str, self.shape))
        name = f"{type(self).__name__}({self._signature()})"
        return f"{name}: {size}\n  {use}; fields (..., {fields})"

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
        """(nlat,) Quadrature weights w_j in x = cos(theta), all 0 where none are known."""
        return vars(self)["_weights"]

    @property
    def has_weights(self) -> bool:
        """Whether there are quadrature weights, without which there is no analysis."""
        return bool(np.any(self.weights))

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

    # Look-ups

    ring_of = ring_of
    nearest_ring = nearest_ring
    nearest_point = nearest_point
    neighbours = neighbours

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
