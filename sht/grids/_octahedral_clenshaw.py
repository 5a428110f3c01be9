"""The octahedral Clenshaw grid: equally spaced rings, fewer points towards the poles."""

from __future__ import annotations

from typing import Self, SupportsIndex

import numpy as np

from ._checks import count
from ._latitudes import clenshaw_curtis, triangle_counts
from ._rings import RingGrid


class OctahedralClenshaw(RingGrid):
    """Octahedral grid on equally spaced latitudes: 2n - 1 rings of 20, 24, ..., 24, 20 points.

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
    Ring j from a pole is at j 180 / 2n degrees and has 16 + 4j points, the first at longitude 0:
    the numbers of `OctahedralGaussian`, with a ring on the Equator and the quadrature of
    `FullClenshaw`, which is exact for products of degree 2n - 1, that is ``lmax <= n - 1``. Around
    the poles rings carry only the orders below half their number of points. Up to ``exact_lmax =
    min(n - 1, max(9, 9n // 10))`` that is negligible: a round trip changes a unit coefficient by
    less than 1e-13, and no field by more than 2e-13 of its norm. At ``lmax = n - 1`` these are
    4.3e-12 and 1e-11. Measured for n up to 400, where they no longer grow with n.

    ``for_lmax(lmax, d)`` has the smallest n for which the quadrature is exact for products of d
    fields, 2n - 1 >= (d + 1) lmax.

    Examples
    --------
    >>> OctahedralClenshaw(48)
    OctahedralClenshaw(n=48): 95 rings of 20 to 208 points, 10736 in all, about 2 degrees apart
      analysis exact for lmax <= 43; fields (..., 10736)
    """

    def __init__(self, n: SupportsIndex) -> None:
        n = count("OctahedralClenshaw(n)", "n", n)
        nlat = 2 * n - 1
        super().__init__(
            (n,),
            **clenshaw_curtis(nlat)._asdict(),
            nlon=triangle_counts(nlat, 20),
            phi0=np.zeros(nlat),
        )

    @classmethod
    def _smallest(cls, lmax: int, sampled: int) -> Self:
        return cls(sampled // 2 + 1)

    @property
    def exact_lmax(self) -> int:
        """Highest degree for which analysis is exact to 1e-13."""
        n = (self.nlat + 1) // 2
        return min(n - 1, max(9, 9 * n // 10))
