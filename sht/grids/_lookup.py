"""Which ring and which point is near: methods of `RingGrid`, for numbers or whole arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from ._rings import RingGrid

_TIE = 1e-9  # of the distance between points: closer to half way than this is half way


class Neighbours(NamedTuple):
    """Indices of the neighbours of points, of the points' shape: int, or array of int64."""

    west: Any
    """The point before on the same ring, which is closed: of a single point, itself."""
    east: Any
    """The point after on the same ring."""
    north: Any
    """The nearest point of the next ring north, -1 on the first ring: poles are not crossed."""
    south: Any
    """The nearest point of the next ring south, -1 on the last ring."""


def ring_of(grid: RingGrid, point: ArrayLike) -> Any:
    """Ring on which a point is.

    Parameters
    ----------
    point : int or array of int
        Indices in [0, npoints), ring by ring, on full grids too: ``j * nlon + i``.

    Returns
    -------
    int or array of int64
        j with ``offsets[j] <= point < offsets[j + 1]``.

    Raises
    ------
    TypeError, ValueError
        Not integers, or outside the grid.

    Examples
    --------
    >>> from sht.grids import OctaminimalGaussian
    >>> OctaminimalGaussian(2).ring_of([0, 3, 4, 23]).tolist()
    [0, 0, 1, 3]
    """
    points = _indices("ring_of(point)", grid, point)
    return _as_given(_ring_of(grid, points))


def nearest_ring(grid: RingGrid, theta: ArrayLike) -> Any:
    """Ring whose latitude is nearest, the northern one of two.

    Parameters
    ----------
    theta : float or array of float
        Colatitudes in radians, in [0, pi].

    Returns
    -------
    int or array of int64

    Raises
    ------
    ValueError
        A colatitude is outside [0, pi] or not finite.

    Examples
    --------
    >>> from sht.grids import FullClenshaw
    >>> FullClenshaw(179, 360).nearest_ring(np.deg2rad([0.0, 1.6, 90.0, 180.0])).tolist()
    [0, 1, 89, 178]
    """
    colatitudes = _angles("nearest_ring(theta)", "theta", theta)
    _check_colatitudes("nearest_ring(theta)", colatitudes)
    return _as_given(_nearest_ring(grid, colatitudes))


def nearest_point(grid: RingGrid, theta: ArrayLike, phi: ArrayLike) -> Any:
    """Grid point that is nearest on the sphere, on whichever ring it is.

    Parameters
    ----------
    theta : float or array of float
        Colatitudes in radians, in [0, pi].
    phi : float or array of float
        Longitudes in radians, any. The two broadcast.

    Returns
    -------
    int or array of int64
        Indices in [0, npoints), ring by ring. Half way between two points of a ring it is the
        eastern one; of points as near on several rings, any.

    Raises
    ------
    ValueError
        A colatitude is outside [0, pi], or an angle not finite.

    Notes
    -----
    The nearest of a ring is the nearest in longitude. Rings are searched outwards from the nearest
    one until their latitude alone is further away than the best point so far: a few rings only, as
    long as points are about as far apart along rings as across.

    Examples
    --------
    >>> from sht.grids import HEALPix
    >>> HEALPix(4).nearest_point(0.1, np.deg2rad([44.0, 91.0])).tolist()
    [0, 1]
    """
    call = "nearest_point(theta, phi)"
    theta_, phi_ = np.broadcast_arrays(_angles(call, "theta", theta), _angles(call, "phi", phi))
    _check_colatitudes(call, theta_)
    start = _nearest_ring(grid, theta_)
    best = _nearest_on_ring(grid, start, phi_)
    least = _haversine(grid, best, start, theta_, phi_)
    # Outwards from the nearest ring, until rings are further away than the nearest point so far.
    for away in range(1, grid.nlat):
        searching = False
        for ring in (start - away, start + away):
            inside = (ring >= 0) & (ring < grid.nlat)
            ring = np.clip(ring, 0, grid.nlat - 1)
            near = inside & (np.sin(0.5 * (grid.theta[ring] - theta_)) ** 2 < least)
            if not np.any(near):
                continue
            searching = True
            point = _nearest_on_ring(grid, ring, phi_)
            distance = np.where(near, _haversine(grid, point, ring, theta_, phi_), np.inf)
            best = np.where(distance < least, point, best)
            least = np.minimum(distance, least)
        if not searching:
            break
    return _as_given(best)


def neighbours(grid: RingGrid, point: ArrayLike) -> Neighbours:
    """Neighbours of points: to the west and east on their ring, and on the rings beside it.

    Parameters
    ----------
    point : int or array of int
        Indices in [0, npoints), ring by ring.

    Returns
    -------
    Neighbours
        ``west``, ``east``, ``north``, ``south``, each of the shape of ``point``. Of two points of a
        ring that are as near, the eastern one is taken. In the north and south of the first and the
        last ring there is -1. On reduced grids "north" does not undo "south".

    Raises
    ------
    TypeError, ValueError
        Not integers, or outside the grid.

    Examples
    --------
    >>> from sht.grids import FullGaussian
    >>> FullGaussian(4, 8).neighbours(8)
    Neighbours(west=15, east=9, north=0, south=16)
    """
    points = _indices("neighbours(point)", grid, point)
    ring = _ring_of(grid, points)
    start, nlon = grid.offsets[ring], grid.nlon[ring]
    within = points - start
    phi = grid.phi0[ring] + within * (2.0 * np.pi / nlon)
    beyond = []
    for other in (ring - 1, ring + 1):
        inside = (other >= 0) & (other < grid.nlat)
        found = _nearest_on_ring(grid, np.clip(other, 0, grid.nlat - 1), phi)
        beyond.append(_as_given(np.where(inside, found, -1)))
    west, east = start + (within - 1) % nlon, start + (within + 1) % nlon
    return Neighbours(_as_given(west), _as_given(east), *beyond)


def _ring_of(grid: RingGrid, points: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.searchsorted(grid.offsets, points, side="right") - 1


def _nearest_ring(grid: RingGrid, theta: NDArray) -> NDArray[np.int64]:
    between = 0.5 * (grid.theta[1:] + grid.theta[:-1])
    return np.searchsorted(between, theta)


def _nearest_on_ring(grid: RingGrid, ring: NDArray, phi: NDArray) -> NDArray[np.int64]:
    nlon = grid.nlon[ring]
    steps = (phi - grid.phi0[ring]) * (nlon / (2.0 * np.pi))
    return grid.offsets[ring] + np.floor(steps + (0.5 + _TIE)).astype(np.int64) % nlon


def _haversine(
    grid: RingGrid, point: NDArray, ring: NDArray, theta: NDArray, phi: NDArray
) -> NDArray[np.float64]:
    """sin^2 of half the angle between grid points and others: accurate also where it is small."""
    longitude = grid.phi0[ring] + (point - grid.offsets[ring]) * (2.0 * np.pi / grid.nlon[ring])
    east = np.sin(0.5 * (longitude - phi)) ** 2
    south = np.sin(0.5 * (grid.theta[ring] - theta)) ** 2
    return south + grid.sin_theta[ring] * np.sin(theta) * east


def _indices(call: str, grid: RingGrid, point: ArrayLike) -> NDArray[np.int64]:
    points = np.asarray(point)
    if points.dtype.kind not in "iu":
        raise TypeError(f"`grid.{call}` needs integer indices. Got {points.dtype}.")
    if np.any(points < 0) or np.any(points >= grid.npoints):
        raise ValueError(
            f"`grid.{call}` needs indices in [0, {grid.npoints}), which count the points ring by "
            f"ring, on full grids too. Got {points.min()} to {points.max()}."
        )
    return points.astype(np.int64)


def _angles(call: str, name: str, angle: ArrayLike) -> NDArray[np.float64]:
    angles = np.asarray(angle, np.float64)
    if not np.all(np.isfinite(angles)):
        raise ValueError(f"`grid.{call}` needs finite `{name}`. Got NaN or infinity in it.")
    return angles


def _check_colatitudes(call: str, theta: NDArray) -> None:
    if np.any(theta < 0.0) or np.any(theta > np.pi):
        raise ValueError(
            f"`grid.{call}` needs colatitudes in [0, pi], in radians. Got {theta.min()} to "
            f"{theta.max()}. From latitudes in degrees: `np.deg2rad(90 - latitude)`."
        )


def _as_given(result: NDArray[np.int64]) -> Any:
    """A Python integer where a single number was asked for."""
    return int(result) if np.ndim(result) == 0 else result.astype(np.int64, copy=False)
