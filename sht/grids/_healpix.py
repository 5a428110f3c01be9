"""The HEALPix grid: points of equal area, in rings and nested."""

from __future__ import annotations

from typing import Any, Self, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _nested
from ._checks import count
from ._latitudes import equal_area
from ._rings import RingGrid


class HEALPix(RingGrid):
    r"""HEALPix grid in ring order: 12 nside² points of equal area on 4 nside - 1 rings.

    Parameters
    ----------
    nside : int
        Resolution, at least 1. Any number for ring order; a power of two for nested order too.

    Raises
    ------
    TypeError
        ``nside`` is not an integer.
    ValueError
        ``nside`` is less than 1.

    Notes
    -----
    With N = nside, ring j from the north has 4j points at :math:`\cos\theta = 1 - j^2/(3N^2)` up to
    j = N, then 4N points at 4/3 - 2j/(3N) down to j = 3N, then as in the north [1]_. The first
    point is at half the distance between points, on the belt on every second ring only.

    All weights are equal areas, which is not a quadrature: round trips of random coefficients err
    by 2e-3 at lmax = N, 8e-3 at 2N - 1, largest error relative to largest coefficient, nside 16 to
    64. Analysis is refined by iteration.

    ``max_lmax`` and ``max_mmax`` are 4N, not what sampling carries, as it is usual to work with
    degrees and orders up to 3N - 1 and beyond. No ring tells orders from 2N on from lower ones.

    ``for_lmax(lmax, d)`` has the smallest nside that is a power of two and gives the Equator
    4 nside >= (d + 1) lmax + 1 points.

    References
    ----------
    .. [1] K. M. Górski et al., "HEALPix: a framework for high-resolution discretization and fast
       analysis of data distributed on the sphere", Astrophys. J. 622 (2005) 759,
       doi:10.1086/427976, section 5.

    Examples
    --------
    >>> HEALPix(64)
    HEALPix(nside=64): 255 rings of 4 to 256 points, 49152 in all, about 0.92 degrees apart
      analysis not exact; fields (..., 49152)
    """

    def __init__(self, nside: SupportsIndex) -> None:
        nside = count("HEALPix(nside)", "nside", nside)
        nlat = 4 * nside - 1
        ring = np.arange(1, 2 * nside + 1)
        cap = ring < nside
        height = np.where(cap, ring**2 / (3.0 * nside**2), (2.0 * ring - nside) / (3.0 * nside))
        cos = np.where(cap, 1.0 - height, (4.0 * nside - 2.0 * ring) / (3.0 * nside))
        ring = np.arange(1, nlat + 1)
        nlon = 4 * np.minimum(np.minimum(ring, ring[::-1]), nside)
        shifted = (nlon < 4 * nside) | ((ring - nside) % 2 == 0)
        super().__init__(
            (nside,),
            **equal_area(nlat, height, cos, nlon)._asdict(),
            nlon=nlon,
            phi0=np.where(shifted, np.pi / nlon, 0.0),
        )

    @classmethod
    def _smallest(cls, lmax: int, sampled: int) -> Self:
        return cls(1 << (sampled // 4).bit_length())

    @property
    def nside(self) -> int:
        """Resolution: the side of each of the twelve base pixels, in points."""
        return (self.nlat + 1) // 4

    @property
    def max_lmax(self) -> int:
        """Highest degree that a transform accepts, ``4 * nside``."""
        return 4 * self.nside

    @property
    def max_mmax(self) -> int:
        """Highest order that a transform accepts, ``4 * nside``."""
        return 4 * self.nside

    def nest_to_ring(self, pixel: ArrayLike) -> Any:
        """Where pixels in nested order are in ring order, that of fields on this grid.

        Parameters
        ----------
        pixel : int or array of int
            Nested indices in [0, npoints).

        Returns
        -------
        int or array of int64

        Raises
        ------
        TypeError, ValueError
            Not integers, or outside the grid; ``nside`` is not a power of two.

        Examples
        --------
        >>> HEALPix(2).nest_to_ring([0, 1, 2, 3]).tolist()
        [13, 5, 4, 0]
        """
        return _nested.nest_to_ring(self.nside, pixel)

    def ring_to_nest(self, pixel: ArrayLike) -> Any:
        """Undo `nest_to_ring`: nested indices of pixels in ring order.

        Examples
        --------
        >>> HEALPix(2).ring_to_nest([13, 5, 4, 0]).tolist()
        [0, 1, 2, 3]
        """
        return _nested.ring_to_nest(self.nside, pixel)

    def to_nested(self, field: ArrayLike) -> NDArray:
        """A field of this grid in nested order.

        Parameters
        ----------
        field : (..., npoints) array
            In ring order, any dtype.

        Returns
        -------
        (..., npoints) array of the same dtype
            A new array. The adjoint is `from_nested`, as this is a permutation.

        Raises
        ------
        ValueError
            Another shape, or ``nside`` is not a power of two.

        Examples
        --------
        >>> grid = HEALPix(4)
        >>> field = np.random.default_rng(0).standard_normal((3, *grid.shape))
        >>> bool(np.all(grid.from_nested(grid.to_nested(field)) == field))
        True
        """
        return self._permuted("to_nested", field, _nested.nest_to_ring)

    def from_nested(self, field: ArrayLike) -> NDArray:
        """Undo `to_nested`: a field of this grid from one in nested order, (..., npoints)."""
        return self._permuted("from_nested", field, _nested.ring_to_nest)

    def _permuted(self, name: str, field: ArrayLike, index: Any) -> NDArray:
        call = f"HEALPix({self.nside}).{name}(field)"
        _nested.check_nested(call, self.nside)
        field = np.asarray(field)
        if field.shape[-1:] != self.shape:
            raise ValueError(f"`{call}` needs shape (..., {self.npoints}). Got {field.shape}.")
        return field[..., index(self.nside, np.arange(self.npoints))]
