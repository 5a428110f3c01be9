"""The full Clenshaw grid: regular in longitude and latitude, without points on the poles."""

from __future__ import annotations

from typing import Self, SupportsIndex

import numpy as np

from ._checks import count, good_length
from ._latitudes import clenshaw_curtis
from ._rings import RingGrid


class FullClenshaw(RingGrid):
    """Regular longitude-latitude grid of ``nlat`` rings with ``nlon`` points, from longitude 0.

    Parameters
    ----------
    nlat : int
        Number of rings, at least 1, at j 180 / (nlat + 1) degrees from the north pole: there is
        one on the Equator where ``nlat`` is odd, and none on a pole.
    nlon : int
        Number of points on each ring, at least 1, even or odd. ``2 * (nlat + 1)`` makes the
        distances equal along and across the rings.

    Raises
    ------
    TypeError
        ``nlat`` or ``nlon`` is not an integer.
    ValueError
        ``nlat`` or ``nlon`` is less than 1.

    Notes
    -----
    The Clenshaw-Curtis quadrature without poles (Fejér's second rule) integrates degrees up to
    ``nlat - 1``, and also ``nlat`` where that is odd. Hence analysis is exact for
    ``lmax <= exact_lmax = (nlat - 1) // 2`` and ``mmax <= max_mmax = (nlon - 1) // 2``: half the
    degree that as many Gaussian rings reach.

    ``for_lmax(lmax, d)`` analyses products of d fields exactly: ``nlon`` is the smallest multiple
    of four with no prime factor beyond 7 that is at least 2 (d + 1) lmax + 2, and
    ``nlat = nlon // 2 - 1``.

    Examples
    --------
    >>> FullClenshaw(179, 360)
    FullClenshaw(nlat=179, nlon=360): 179 rings of 360 points, 1 x 1 degrees
      analysis exact for lmax <= 89, mmax <= 179; fields (..., 179, 360)
    """

    full = True

    def __init__(self, nlat: SupportsIndex, nlon: SupportsIndex) -> None:
        call = "FullClenshaw(nlat, nlon)"
        nlat, nlon = count(call, "nlat", nlat), count(call, "nlon", nlon)
        super().__init__(
            (nlat, nlon),
            **clenshaw_curtis(nlat)._asdict(),
            nlon=np.full(nlat, nlon),
            phi0=np.zeros(nlat),
        )

    @classmethod
    def _smallest(cls, lmax: int, sampled: int) -> Self:
        nlon = good_length(2 * sampled + 2)
        return cls(nlon // 2 - 1, nlon)

    @property
    def exact_lmax(self) -> int:
        """Highest degree for which analysis is exact, ``(nlat - 1) // 2``."""
        return (self.nlat - 1) // 2
