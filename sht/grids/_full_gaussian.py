"""The full Gaussian grid: Gauss-Legendre latitudes, as many longitudes on each."""

from __future__ import annotations

import math
import operator
from typing import Any, SupportsIndex

import numpy as np

from sht._quadrature import gauss_legendre
from sht._spectrum import check_degree

from ._rings import RingGrid


class FullGaussian(RingGrid):
    """Full Gaussian grid of ``nlat`` rings with ``nlon`` points each, the first at longitude 0.

    Parameters
    ----------
    nlat : int
        Number of rings, at least 1. Their colatitudes are the Gauss-Legendre nodes, so that odd
        ``nlat`` has a ring on the Equator and none has a point on a pole.
    nlon : int
        Number of points on each ring, at least 1, even or odd.

    Raises
    ------
    TypeError
        ``nlat`` or ``nlon`` is not an integer.
    ValueError
        ``nlat`` or ``nlon`` is less than 1.

    Notes
    -----
    Analysis of a field of degrees up to ``lmax`` and orders up to ``mmax`` gives its coefficients
    exactly where ``lmax <= max_lmax = nlat - 1`` and ``mmax <= max_mmax = (nlon - 1) // 2``. The
    first holds as the product of two polynomials has degree 2 lmax, and the quadrature is exact
    to 2 nlat - 1. The second keeps every order below that of Nyquist, nlon / 2, whose sine cannot
    be seen.

    Examples
    --------
    >>> grid = FullGaussian(64, 128)
    >>> grid
    FullGaussian(nlat=64, nlon=128): 64 rings of 128 points, 2.8 x 2.8 degrees
      analysis exact for lmax <= 63, mmax <= 63; fields (..., 64, 128)
    >>> bool(abs(grid.areas.sum() * 128 - 4 * np.pi) < 1e-14)
    True
    """

    full = True

    def __init__(self, nlat: SupportsIndex, nlon: SupportsIndex) -> None:
        nlat, nlon = _count("nlat", nlat), _count("nlon", nlon)
        rule = gauss_legendre(nlat)
        super().__init__(
            (nlat, nlon),
            theta=rule.theta,
            cos_theta=rule.cos_theta,
            sin_theta=rule.sin_theta,
            weights=rule.weights,
            nlon=np.full(nlat, nlon),
            phi0=np.zeros(nlat),
        )

    @classmethod
    def for_lmax(cls, lmax: int, dealiasing: float = 2) -> FullGaussian:
        """Smallest convenient grid on which products of ``dealiasing`` fields are analysed exactly.

        Parameters
        ----------
        lmax : int
            Highest degree of each field and of the analysis, inclusive, at least 0.
        dealiasing : float
            Number d of factors, at least 1. With 1 (a linear grid) fields of degree ``lmax``
            survive the round trip, with 2 (quadratic) the product of two of them is analysed
            exactly to degree ``lmax``, with 3 (cubic) that of three.

        Returns
        -------
        FullGaussian
            ``nlon`` is the smallest multiple of four with no prime factor beyond 7 that is at least
            (d + 1) lmax + 1, and ``nlat = nlon // 2``.

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
        degree (d + 1) lmax, and Gauss-Legendre quadrature needs 2 nlat - 1 >= (d + 1) lmax [2]_.

        References
        ----------
        .. [1] S. A. Orszag, "On the elimination of aliasing in finite-difference schemes by
           filtering high-wavenumber components", J. Atmos. Sci. 28 (1971) 1074.
        .. [2] N. P. Wedi, "Increasing horizontal resolution in numerical weather prediction and
           climate simulations: illusion or panacea?", Phil. Trans. R. Soc. A 372 (2014) 20130289,
           for linear, quadratic and cubic grids.

        Examples
        --------
        >>> FullGaussian.for_lmax(42).shape, FullGaussian.for_lmax(127, dealiasing=1).shape
        ((64, 128), (128, 256))
        """
        call = "FullGaussian.for_lmax(lmax, dealiasing)"
        lmax = check_degree(call, "lmax", lmax)
        try:
            factors = float(dealiasing)
        except (TypeError, ValueError):
            raise TypeError(f"`{call}` needs a number `dealiasing`. Got {dealiasing!r}.") from None
        if not (1.0 <= factors < math.inf):
            raise ValueError(
                f"`{call}` needs a finite dealiasing >= 1. Got {dealiasing}. "
                "1 is a linear, 2 a quadratic, 3 a cubic grid."
            )
        nlon = _good_length(math.ceil((factors + 1.0) * lmax + 1.0))
        return cls(nlon // 2, nlon)

    @property
    def max_lmax(self) -> int:
        """Highest degree for which analysis is exact, ``nlat - 1``."""
        return self.nlat - 1

    @property
    def max_mmax(self) -> int:
        """Highest order for which analysis is exact, ``(nlon - 1) // 2``."""
        return (self.shape[1] - 1) // 2

    def __repr__(self) -> str:
        nlat, nlon = self.shape
        return (
            f"FullGaussian(nlat={nlat}, nlon={nlon}): {nlat} rings of {nlon} points, "
            f"{180 / nlat:.2g} x {360 / nlon:.2g} degrees\n"
            f"  analysis exact for lmax <= {self.max_lmax}, mmax <= {self.max_mmax}; "
            f"fields (..., {nlat}, {nlon})"
        )


def _count(name: str, value: Any) -> int:
    call = "FullGaussian(nlat, nlon)"
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"`{call}` needs an integer {name}. Got {value!r}.") from None
    if number < 1:
        raise ValueError(
            f"`{call}` needs {name} >= 1. Got {name} = {number}. "
            "`FullGaussian.for_lmax(lmax)` chooses both from the truncation."
        )
    return number


def _good_length(at_least: int) -> int:
    """Smallest multiple of 4 with prime factors 2, 3, 5, 7 only, which FFTW has codelets for."""
    length = 4 * math.ceil(at_least / 4)
    while not _is_smooth(length):
        length += 4
    return length


def _is_smooth(number: int) -> bool:
    for prime in (2, 3, 5, 7):
        while number % prime == 0:
            number //= prime
    return number == 1
