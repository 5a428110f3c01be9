"""The octaminimal reduced Gaussian grid: as few as four points around each pole."""

from __future__ import annotations

from typing import Self, SupportsIndex

import numpy as np

from sht._quadrature import gauss_legendre

from ._checks import count
from ._latitudes import triangle_counts
from ._rings import RingGrid


class OctaminimalGaussian(RingGrid):
    """Octaminimal reduced Gaussian grid: 2n Gaussian rings of 4, 8, ..., 4n, 4n, ..., 8, 4 points.

    Parameters
    ----------
    n : int
        Rings between a pole and the Equator, at least 1.

    Raises
    ------
    TypeError
        ``n`` is not an integer.
    ValueError
        ``n`` is less than 1.

    Notes
    -----
    Ring j from a pole has 4j points, the first at half the distance between them: an octahedron's
    faces, and 16 points fewer on each ring than `OctahedralGaussian`.

    The quadrature is exact for ``lmax <= 2n - 1``, but rings around the poles carry too few
    orders: round trips of random coefficients err by 1e-3 at lmax = n - 1 and 1e-4 at n / 2,
    largest error relative to largest coefficient, n from 16 to 64. Analysis is refined by
    iteration.

    ``for_lmax(lmax, d)`` has the smallest n for which the quadrature is exact for products of d
    fields, and the Equator's rings sample them: 4n >= (d + 1) lmax + 1. Around the poles that is
    too few with d below 3: of single fields, round trips lose 5e-2 with d = 2, half with d = 1.

    Examples
    --------
    >>> OctaminimalGaussian(48)
    OctaminimalGaussian(n=48): 96 rings of 4 to 192 points, 9408 in all, about 2.1 degrees apart
      analysis not exact; fields (..., 9408)
    """

    def __init__(self, n: SupportsIndex) -> None:
        n = count("OctaminimalGaussian(n)", "n", n)
        nlon = triangle_counts(2 * n, 4)
        super().__init__((n,), **gauss_legendre(2 * n)._asdict(), nlon=nlon, phi0=np.pi / nlon)

    @classmethod
    def _smallest(cls, lmax: int, sampled: int) -> Self:
        return cls(sampled // 4 + 1)
