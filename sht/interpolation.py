"""Values of a field between its points, and on another grid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from ._apply import Space, apply_map
from ._arguments import array_in_place
from ._bilinear import bilinear_rows
from ._fields import as_field, require_grid
from ._identity import ByIdentity
from .grids import RingGrid
from .layouts import truncate

if TYPE_CHECKING:
    from ._transform import Transform

_CALL = "`interpolate_into(values, field, interpolator)` needs"
_WRONG_FIELD = (
    f"{_CALL} a field of the interpolator's own grid, one at a time. Got another size. "
    "Make the interpolator with `sht.Interpolator(grid, theta, phi)` for this grid."
)
_WRONG_VALUES = (
    f"{_CALL} as many values as the interpolator has points. Got another number. "
    "Make them with `np.empty(interpolator.shape)`."
)


class _Rows(NamedTuple):
    """What compiled code sees of an `Interpolator`: a sparse matrix, row by row.

    Row k holds the entries ``starts[k]:starts[k + 1]``: grid points and their weights, whose sum
    is 1. None of the weights is 0, so that a NaN stays with the values that depend on it.
    """

    npoints: int
    starts: np.ndarray
    points: np.ndarray
    weights: np.ndarray


@njit(error_model="numpy")
def interpolate_into(values, field, interpolator):
    """Overwrite `values` with the field at the interpolator's points.

    Linear in the field; its adjoint, a scatter, is what Enzyme makes of it.

    Parameters
    ----------
    values : array of ``interpolator.shape``, float32 or float64, C-contiguous
    field : array of ``grid.shape``, float32 or float64, C-contiguous
        Sums are in float64 whatever its dtype.
    interpolator : Interpolator

    Raises
    ------
    ValueError
        Another number of points or of values.
    """
    if field.size != interpolator.npoints:
        raise ValueError(_WRONG_FIELD)
    if values.size != interpolator.starts.size - 1:
        raise ValueError(_WRONG_VALUES)
    flat_field, flat_values = field.reshape(field.size), values.reshape(values.size)
    starts, points, weights = interpolator.starts, interpolator.points, interpolator.weights
    for k in range(flat_values.size):
        total = 0.0
        for entry in range(starts[k], starts[k + 1]):
            total += weights[entry] * flat_field[points[entry]]
        flat_values[k] = total


class Interpolator(ByIdentity, _Rows):
    r"""Bilinear interpolation from a grid to given points, prepared.

    Parameters
    ----------
    grid : RingGrid
        Where fields are known: any grid, full or reduced.
    theta : array_like of float
        Colatitudes of the points in radians, in [0, pi].
    phi : array_like of float
        Their longitudes in radians, any finite values. Broadcast with `theta`.

    Raises
    ------
    TypeError, ValueError
        The grid is none; angles that are not finite, outside their range or do not broadcast.

    Notes
    -----
    Between the two rings that enclose a point, which need not have equally many points,

    .. math::

        f(\theta, \varphi) = (1 - t)\, r_j(\varphi) + t\, r_{j+1}(\varphi), \qquad
        t = \frac{\theta - \theta_j}{\theta_{j+1} - \theta_j},

    and :math:`r_j` is linear, and periodic, between the neighbours on ring j. Beyond the first and
    the last ring the pole itself takes the place of a ring; its value is the mean of the ring next
    to it. HEALPix's interpolation [1]_ and SpeedyWeather's do the same. The error is of second
    order in the spacing; next to the poles of reduced grids, whose polar rings keep few points, of
    first. Constants are kept, and values stay within the field's; its integral is not kept.

    Points closer than 1e-14 to a ring, or to a longitude of its points, are taken to lie there: at
    a grid point a field has its own value, to the bit.

    An Interpolator is a named tuple of arrays: pass it to your own ``@njit`` functions and call
    `interpolate_into` there.

    References
    ----------
    .. [1] K. M. Górski et al., "HEALPix: a framework for high-resolution discretization and fast
       analysis of data distributed on the sphere", Astrophys. J. 622 (2005) 759;
       ``get_interp_val`` of its library.

    Examples
    --------
    >>> import numpy as np, sht
    >>> from sht.interpolation import Interpolator
    >>> grid = sht.grids.FullGaussian(64, 128)
    >>> interpolator = Interpolator(grid, theta=[0.0, 0.6, 1.2], phi=[0.0, 3.0, -40.0])
    >>> interpolator
    Interpolator to points of shape (3,)
      from FullGaussian(nlat=64, nlon=128): 64 rings of 128 points, 2.8 x 2.8 degrees
    >>> interpolator.interpolate(grid.latitudes).round(1)
    array([87.9, 55.6, 21.2])
    """

    grid: RingGrid
    shape: tuple[int, ...]
    """Of the points, and so of one field's values."""

    _angles: tuple[NDArray, NDArray]

    def __new__(  # noqa: D102 (the class says it)
        cls, grid: RingGrid, theta: ArrayLike, phi: ArrayLike
    ) -> Interpolator:
        call = "sht.Interpolator(grid, theta, phi)"
        require_grid(call, grid)
        theta, phi = _check_angles(call, theta, phi)
        made = super().__new__(cls, grid.npoints, *bilinear_rows(grid, theta.ravel(), phi.ravel()))
        made.grid, made.shape, made._angles = grid, theta.shape, (theta, phi)
        return made

    @classmethod
    def between(cls, source: RingGrid, target: RingGrid) -> Interpolator:
        """Interpolator from one grid to all points of another, whose ``shape`` its values have.

        Raises
        ------
        TypeError
            One of them is not a grid.
        """
        call = "sht.Interpolator.between(source, target)"
        require_grid(call, source)
        require_grid(call, target)
        within = np.arange(target.npoints) - np.repeat(target.offsets[:-1], target.nlon)
        phi = np.repeat(target.phi0, target.nlon)
        phi = phi + within * np.repeat(2.0 * np.pi / target.nlon, target.nlon)
        theta = np.repeat(target.theta, target.nlon)
        return cls(source, theta.reshape(target.shape), phi.reshape(target.shape))

    def __reduce__(self) -> tuple[Any, ...]:
        return Interpolator, (self.grid, *self._angles)

    def __repr__(self) -> str:
        return (
            f"Interpolator to points of shape {self.shape}\n"
            f"  from {repr(self.grid).splitlines()[0]}"
        )

    def interpolate(self, field: ArrayLike, out: NDArray | None = None) -> NDArray:
        """Values of a field at the points.

        Parameters
        ----------
        field : (..., *grid.shape) float32 or float64
        out : (..., *shape) array, optional
            Of the field's dtype; where to write the result. Must not overlap `field`.

        Returns
        -------
        (..., *shape) array of the field's dtype

        Raises
        ------
        TypeError, ValueError
            Wrong dtype, shape, or `out`; nothing has been written then.
        """
        return self._apply("interpolate(field)", field, out, transposed=False)

    def adjoint_interpolate(self, values: ArrayLike, out: NDArray | None = None) -> NDArray:
        """The transpose of `interpolate`: from a cotangent of the values to one of the field.

        Parameters
        ----------
        values : (..., *shape) float32 or float64
            ∂L/∂values.
        out : (..., *grid.shape) array, optional
            Of the values' dtype; where to write the result. Must not overlap `values`.

        Returns
        -------
        (..., *grid.shape) array of the values' dtype
            ∂L/∂f: each value's, spread over the grid points that it came from.

        Raises
        ------
        EnzymeNotFoundError
            There is no Enzyme, and the derivative is not in the cache.
        TypeError, ValueError
            Wrong dtype, shape, or `out`; nothing has been written then.
        """
        return self._apply("adjoint_interpolate(values)", values, out, transposed=True)

    def _apply(self, call: str, given: ArrayLike, out: Any, *, transposed: bool) -> NDArray:
        call = f"sht.Interpolator.{call}"
        given = array_in_place(call, given, np)
        _check_dtype(call, given)
        if not transposed:
            as_field(call, given, self.grid)
        field, values = Space(self.grid.shape, given.dtype), Space(self.shape or (1,), given.dtype)
        source, target = (values, field) if transposed else (field, values)
        # One point without an axis gets one, in `out` too: the kernel's arrays have axes.
        scalar, into = self.shape == (), out
        if scalar and transposed:
            given = given[..., None]
        elif scalar and isinstance(out, np.ndarray):
            into = out[..., None]
        result = apply_map(
            call, interpolate_into, given, source, target, (self,), into, transposed=transposed
        )
        if scalar and not transposed:
            return result[..., 0] if out is None else out
        return result


def interpolate(
    field: ArrayLike, grid: RingGrid, theta: ArrayLike, phi: ArrayLike, out: NDArray | None = None
) -> NDArray:
    """Values of a field at arbitrary points, bilinear between rings and longitudes.

    Parameters
    ----------
    field : (..., *grid.shape) float32 or float64
    grid : RingGrid
    theta : array_like of float
        Colatitudes of the points in radians, in [0, pi].
    phi : array_like of float
        Their longitudes in radians, any finite values. Broadcast with `theta`.
    out : (..., *points) array, optional
        Of the field's dtype; where to write the result. Must not overlap `field`.

    Returns
    -------
    (..., *points) array of the field's dtype

    Raises
    ------
    TypeError, ValueError
        Wrong grid, angles, dtype, shape, or `out`; nothing has been written then.

    See Also
    --------
    Interpolator : the same, prepared once for many fields; the method is described there.

    Examples
    --------
    >>> import numpy as np, sht
    >>> from sht.interpolation import interpolate
    >>> grid = sht.grids.FullGaussian(64, 128)
    >>> theta, phi = np.deg2rad(90 - 48.1), np.deg2rad(11.6)  # Munich
    >>> float(interpolate(grid.latitudes, grid, theta, phi).round(3))
    48.1
    """
    return Interpolator(grid, theta, phi).interpolate(field, out)


def adjoint_interpolate(
    values: ArrayLike, grid: RingGrid, theta: ArrayLike, phi: ArrayLike, out: NDArray | None = None
) -> NDArray:
    """The transpose of `interpolate`: from a cotangent of the values to one of the field.

    See `Interpolator.adjoint_interpolate`.
    """
    return Interpolator(grid, theta, phi).adjoint_interpolate(values, out)


def regrid_bilinear(
    field: ArrayLike, source: RingGrid, target: RingGrid, out: NDArray | None = None
) -> NDArray:
    """A field on another grid, by bilinear interpolation.

    Parameters
    ----------
    field : (..., *source.shape) float32 or float64
    source, target : RingGrid
    out : (..., *target.shape) array, optional
        Of the field's dtype; where to write the result. Must not overlap `field`.

    Returns
    -------
    (..., *target.shape) array of the field's dtype

    Raises
    ------
    TypeError, ValueError
        Wrong grid, dtype, shape, or `out`; nothing has been written then.

    Notes
    -----
    Local, within the field's own extremes, and good for fields with edges, masks or NaN. Towards a
    coarser grid it samples: what is smaller than the target's spacing turns into noise, where
    `regrid_spectral` leaves it out. For many fields, prepare ``Interpolator.between(source,
    target)`` once.

    Examples
    --------
    >>> import numpy as np, sht
    >>> from sht.interpolation import regrid_bilinear
    >>> source, target = sht.grids.FullGaussian(64, 128), sht.grids.FullGaussian(16, 30)
    >>> coarse = regrid_bilinear(source.latitudes, source, target)
    >>> bool(np.abs(coarse - target.latitudes).max() < 0.02)
    True
    """
    return Interpolator.between(source, target).interpolate(field, out)


def regrid_spectral(
    field: ArrayLike, source: Transform, target: Transform, out: NDArray | None = None
) -> NDArray:
    """A field on another grid, through its spherical harmonic coefficients.

    Parameters
    ----------
    field : (..., *source.grid.shape) array
        Of the dtype that `source` transforms.
    source, target : Transform
        On the grids from and to which the field is taken. Degrees and orders that both have are
        kept, the others are left out.
    out : (..., *target.grid.shape) array, optional
        Where to write the result. Must not overlap `field`.

    Returns
    -------
    (..., *target.grid.shape) array

    Raises
    ------
    TypeError, ValueError
        Wrong dtype, shape, or `out`; nothing has been written then.

    Notes
    -----
    Exact for fields without degrees and orders beyond those kept, if `source` analyses exactly. It
    keeps means, and filters towards coarser grids; near edges it over- and undershoots.

    In ``@njit`` code, and differentiable there, it is three calls, with coefficients ``a`` and
    ``b`` and scratch of the two transforms::

        sht.analysis_into(a, field, source, source_scratch)
        sht.layouts.truncate_into(b, a, source.lmax, source.mmax, target.lmax, target.mmax)
        sht.synthesis_into(result, b, target, target_scratch)

    Examples
    --------
    >>> import numpy as np, sht
    >>> from sht.interpolation import regrid_spectral
    >>> fine = sht.Transform(21, sht.grids.FullGaussian.for_lmax(21))
    >>> coarse = sht.Transform(5, sht.grids.FullGaussian.for_lmax(5))
    >>> field = np.sin(np.deg2rad(fine.grid.latitudes))
    >>> filtered = regrid_spectral(field, fine, coarse)
    >>> bool(np.abs(filtered - np.sin(np.deg2rad(coarse.grid.latitudes))).max() < 1e-14)
    True
    """
    a = source.analysis(field)
    a = truncate(a, source.lmax, target.lmax, source.mmax, target.mmax)
    return target.synthesis(a, out)


def _check_dtype(call: str, given: NDArray) -> None:
    if given.dtype not in (np.float32, np.float64):
        hint = "Convert it: `.astype(np.float64)`."
        if given.dtype.kind == "c":
            hint = "Interpolate real and imaginary parts, or synthesise coefficients first."
        raise TypeError(f"`{call}` needs dtype float32 or float64. Got {given.dtype}. {hint}")


def _check_angles(call: str, theta: ArrayLike, phi: ArrayLike) -> tuple[NDArray, NDArray]:
    theta, phi = np.asarray(theta, np.float64), np.asarray(phi, np.float64)
    try:
        theta, phi = np.broadcast_arrays(theta, phi)
    except ValueError:
        raise ValueError(
            f"`{call}` needs theta and phi that broadcast. Got {theta.shape} and {phi.shape}."
        ) from None
    outside = ~((theta >= 0.0) & (theta <= np.pi))
    if np.any(outside):
        raise ValueError(
            f"`{call}` needs colatitudes `theta` in radians, in [0, pi]. "
            f"Got {theta[outside].flat[0]}. "
            "From latitudes in degrees: `np.deg2rad(90 - latitude)`."
        )
    if not np.all(np.isfinite(phi)):
        raise ValueError(f"`{call}` needs finite longitudes `phi`. Got NaN or infinity.")
    return theta.copy(), phi.copy()
