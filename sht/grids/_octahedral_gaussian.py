"""The octahedral reduced Gaussian grid: fewer points towards the poles, and nothing lost."""

from __future__ import annotations

from typing import Self, SupportsIndex

import numpy as np

from sht._quadrature import gauss_legendre

from ._checks import count
from ._latitudes import triangle_counts
from ._rings import RingGrid


class OctahedralGaussian(RingGrid):
    """Octahedral reduced Gaussian grid O``n``: 2n Gaussian rings of 20, 24, ..., 24, 20 points.

    Parameters
    ----------
    n : int
        Rings between a pole and the Equator, at least 1, as in ECMWF's O1280.

    Raises
    ------
    TypeError
        ``n`` is not an integer.
    ValueError
        ``n`` is less than 1.

    Notes
    -----
    Ring j from a pole has 16 + 4j points, the first at longitude 0 [1]_. The grid has about half
    the points of `FullGaussian` with as many rings.

    The quadrature is exact for ``lmax <= 2n - 1``, but rings around the poles carry only the
    orders below half their number of points. Harmonics of higher orders are small there. Up to
    ``exact_lmax = min(2n - 1, max(9, 15n // 16))`` they are negligible: a round trip changes a unit
    coefficient by less than 1e-13, and no field by more than 2e-13 of its norm. At
    ``lmax = n - 1``, ECMWF's cubic grid TCo, these are 1.1e-12 and 3e-12; beyond, errors grow, to
    1e-10 at 1.1n and 1e-6 at 1.25n. Measured for n up to 400, where they no longer grow with n.

    ``for_lmax(lmax, d)`` has the smallest n >= lmax + 1 for which the quadrature is exact for
    products of d fields, 4n - 1 >= (d + 1) lmax: O(lmax + 1) up to d = 3. That counts points on
    the Equator, as names like TCo do. Towards the poles rings have fewer points than products
    need: at T42, O43 analyses those of two random fields to 5e-6 of the largest coefficient, and
    those of three to 5e-2.

    References
    ----------
    .. [1] S. Malardel et al., "A new grid for the IFS", ECMWF Newsletter 146 (2016) 23,
       doi:10.21957/zwdu9u5i.

    Examples
    --------
    >>> OctahedralGaussian(96)
    OctahedralGaussian(n=96): 192 rings of 20 to 400 points, 40320 in all, about 1 degrees apart
      analysis exact for lmax <= 90; fields (..., 40320)
    """

    def __init__(self, n: SupportsIndex) -> None:
        n = count("OctahedralGaussian(n)", "n", n)
        nlat = 2 * n
        super().__init__(
            (n,),
            **gauss_legendre(nlat)._asdict(),
            nlon=triangle_counts(nlat, 20),
            phi0=np.zeros(nlat),
        )

    @classmethod
    def _smallest(cls, lmax: int, sampled: int) -> Self:
        return cls(max(sampled // 4, lmax) + 1)

    @property
    def exact_lmax(self) -> int:
        """Highest degree for which analysis is exact to 1e-13."""
        n = self.nlat // 2
        return min(2 * n - 1, max(9, 15 * n // 16))
