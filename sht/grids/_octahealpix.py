"""The OctaHEALPix grid: points of equal area on the faces of an octahedron."""

from __future__ import annotations

from typing import Self, SupportsIndex

import numpy as np

from ._checks import count
from ._latitudes import equal_area, triangle_counts
from ._rings import RingGrid


class OctaHEALPix(RingGrid):
    r"""OctaHEALPix grid: 4n² points of equal area on 2n - 1 rings of 4, 8, ..., 4n, ..., 8, 4.

    Parameters
    ----------
    n : int
        Rings from a pole to the Equator, that on the Equator included, at least 1.

    Raises
    ------
    TypeError
        ``n`` is not an integer.
    ValueError
        ``n`` is less than 1.

    Notes
    -----
    Ring j from a pole has 4j points at :math:`|\cos\theta| = 1 - j^2/n^2`, the first at half the
    distance between them: the member without a belt of the family of [1]_.

    All weights are equal areas, which is not a quadrature: round trips of random coefficients err
    by 5e-3 to 1e-2 at lmax = n - 1, largest error relative to largest coefficient, n from 16 to
    64. Analysis is refined by iteration.

    ``for_lmax(lmax, d)`` has the smallest n with 4n >= (d + 1) lmax + 1 points on the Equator and
    more rings than lmax. Around the poles that is too few with d below 3: of single fields, round
    trips lose 3e-2 with d = 2, half with d = 1.

    References
    ----------
    .. [1] K. M. Górski et al., "HEALPix: a framework for high-resolution discretization and fast
       analysis of data distributed on the sphere", Astrophys. J. 622 (2005) 759,
       doi:10.1086/427976, section 4.

    Examples
    --------
    >>> OctaHEALPix(48)
    OctaHEALPix(n=48): 95 rings of 4 to 192 points, 9216 in all, about 2.1 degrees apart
      analysis not exact; fields (..., 9216)
    """

    def __init__(self, n: SupportsIndex) -> None:
        n = count("OctaHEALPix(n)", "n", n)
        nlat = 2 * n - 1
        ring = np.arange(1, n + 1)
        height = ring**2 / n**2
        cos = (n - ring) * (n + ring) / n**2
        nlon = triangle_counts(nlat, 4)
        super().__init__(
            (n,),
            **equal_area(nlat, height, cos, nlon)._asdict(),
            nlon=nlon,
            phi0=np.pi / nlon,
        )

    @classmethod
    def _smallest(cls, lmax: int, sampled: int) -> Self:
        return cls(max(sampled // 4 + 1, (lmax + 1) // 2 + 1))
