"""The full Gaussian grid: Gauss-Legendre latitudes, as many longitudes on each."""

from __future__ import annotations

from typing import Self, SupportsIndex

import numpy as np

from sht._quadrature import gauss_legendre

from ._checks import count, good_length
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

    ``for_lmax(lmax, d)`` analyses products of d fields exactly: ``nlon`` is the smallest multiple
    of four with no prime factor beyond 7 that is at least (d + 1) lmax + 1, and
    ``nlat = nlon // 2``, as the quadrature needs 2 nlat - 1 >= (d + 1) lmax.

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
        call = "FullGaussian(nlat, nlon)"
        nlat, nlon = count(call, "nlat", nlat), count(call, "nlon", nlon)
        super().__init__(
            (nlat, nlon),
            **gauss_legendre(nlat)._asdict(),
            nlon=np.full(nlat, nlon),
            phi0=np.zeros(nlat),
        )

    @classmethod
    def _smallest(cls, lmax: int, sampled: int) -> Self:
        nlon = good_length(sampled + 1)
        return cls(nlon // 2, nlon)

    @property
    def exact_lmax(self) -> int:
        """Highest degree for which analysis is exact, ``nlat - 1``."""
        return self.nlat - 1
