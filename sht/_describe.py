"""What a person wants to know of a field, or of coefficients, in two lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._fields import as_field, require_grid
from .grids import RingGrid

if TYPE_CHECKING:
    from ._transform import Transform

_RESOLVED = 1e-4  # of the largest power: 1 % of the largest amplitude


def describe(x: ArrayLike, grid: RingGrid | Transform) -> str:
    r"""Describe a field, or coefficients, in two lines of text.

    Parameters
    ----------
    x : (..., *grid.shape) real array, or (..., ncoef) complex array
        A field, or packed coefficients. With leading axes the figures are of all together.
    grid : RingGrid or Transform
        What a field is on; for coefficients their Transform.

    Returns
    -------
    str
        Of a field: grid, shape, dtype, how many values are not finite; mean and root mean square
        (rms) by area, the least and the largest value and where they are. Values that are not
        finite are left out.

        Of coefficients: truncation, shape, dtype, how many are not finite (and count as 0); mean
        and rms of the field they stand for; the degree of the largest power; and the power at the
        last degrees, a tenth of all, relative to it: how well the field is resolved.

    Raises
    ------
    TypeError, ValueError
        Another shape; complex values without a Transform; no grid.

    Notes
    -----
    Power is that of one degree, :math:`P_l = \frac{1}{4\pi} \left(|a_{l0}|^2 + 2 \sum_{m>0}
    |a_{lm}|^2\right)`, whose sum is the mean square of the field (Parseval). The largest is sought
    at l > 0, and the field is called resolved where none of the last degrees has more than 1e-4
    of it, 1 % in amplitude.

    Examples
    --------
    >>> import numpy as np, sht
    >>> t = sht.Transform(21, sht.grids.FullGaussian(32, 64))
    >>> field = 280 + 30 * np.cos(np.deg2rad(2 * t.grid.latitudes))
    >>> print(sht.describe(field, t.grid))
    FullGaussian(nlat=32, nlon=64), field (32, 64) float64, all finite
      mean 290, rms 290.6; least 250.3 at 85.8N 0.0E, largest 309.9 at 2.8N 0.0E
    >>> print(sht.describe(t.analysis(field), t))
    lmax=21, mmax=21, coefficients (253) complex128, all finite
      mean 290, rms 290.6; most power at l=2, ... of it at l=20 to 21: resolved
    """
    call = "sht.describe(x, grid)"
    array = np.asarray(x)
    transform = None if isinstance(grid, RingGrid) else grid
    rings: Any = grid if transform is None else getattr(transform, "grid", transform)
    require_grid(call, rings)
    if array.dtype.kind != "c":
        return _of_field(as_field(call, array, rings), rings)
    if transform is None:
        raise TypeError(
            f"`{call}` needs a real field on this grid. Got {array.dtype}. Of coefficients, "
            "`sht.describe(a, t)` needs the Transform."
        )
    if array.shape[-1:] != (transform.ncoef,):
        raise ValueError(
            f"`sht.describe(a, t)` needs coefficients of shape (..., {transform.ncoef}) for "
            f"lmax={transform.lmax}, mmax={transform.mmax}. Got {array.shape}."
        )
    return _of_coefficients(array, transform)


def _of_field(field: NDArray, grid: RingGrid) -> str:
    rows = field.reshape(-1, grid.npoints).astype(np.float64)
    leading = field.shape[: field.ndim - len(grid.shape)]
    finite = np.isfinite(rows)
    first = f"{repr(grid).partition(': ')[0]}, {_what('field', field, leading, finite)}"
    if not np.any(finite):
        return f"{first}\n  no values"
    areas = np.broadcast_to(_areas(grid), rows.shape)[finite]
    mean = np.average(rows[finite], weights=areas)
    rms = np.sqrt(np.average(rows[finite] ** 2, weights=areas))
    extremes = []
    for name, found in (
        ("least", np.argmin(np.where(finite, rows, np.inf))),
        ("largest", np.argmax(np.where(finite, rows, -np.inf))),
    ):
        number, point = divmod(int(found), grid.npoints)
        where = f" in [{', '.join(map(str, np.unravel_index(number, leading)))}]" if leading else ""
        extremes.append(f"{name} {rows[number, point]:.4g} at {_place(grid, point)}{where}")
    return f"{first}\n  mean {mean:.4g}, rms {rms:.4g}; {', '.join(extremes)}"


def _of_coefficients(a: NDArray, t: Transform) -> str:
    lmax = t.lmax
    finite = np.isfinite(a)
    first = f"lmax={lmax}, mmax={t.mmax}, {_what('coefficients', a, a.shape[:-1], finite)}"
    if not np.any(finite):
        return f"{first}\n  no values"
    rows = np.where(finite, a, 0.0).astype(np.complex128).reshape(-1, a.shape[-1])
    squares = np.where(t.orders == 0, rows.real**2, 2.0 * np.abs(rows) ** 2)
    power = np.bincount(t.degrees, np.mean(squares, 0)) / (4.0 * np.pi)
    mean, rms = np.mean(rows[:, 0].real) / np.sqrt(4.0 * np.pi), np.sqrt(np.sum(power))
    second = f"  mean {mean:.4g}, rms {rms:.4g}; "
    if not np.any(power[1:]):
        return f"{first}\n{second}no power at l > 0"
    most = 1 + int(np.argmax(power[1:]))
    last = max(1, lmax + 1 - max(2, (lmax + 1) // 10))  # two at least: the odd ones may be 0
    ratio = np.max(power[last:]) / power[most]
    degree = f"l={last} to {lmax}" if last < lmax else f"l={lmax}"
    return (
        f"{first}\n{second}most power at l={most}, {ratio:.1e} of it at {degree}: "
        f"{'resolved' if ratio <= _RESOLVED else 'not resolved'}"
    )


def _what(name: str, array: NDArray, leading: tuple[int, ...], finite: NDArray) -> str:
    """Kind, number, shape and dtype, and how many values are unusable."""
    if leading:
        count = int(np.prod(leading))
        name = f"{count} {name}s" if name == "field" else f"{name} of {count} fields"
    shape = ", ".join(map(str, array.shape))
    missing = array.size - int(np.count_nonzero(finite))
    nan = int(np.count_nonzero(np.isnan(array)))
    state = "all finite" if not missing else f"{nan} NaN"
    state += f", {missing - nan} infinite" if missing > nan else ""
    return f"{name} ({shape}) {array.dtype}, {state}"


def _areas(grid: RingGrid) -> NDArray[np.float64]:
    """Solid angle of every point; of its part of the zone around its ring if weights are none."""
    areas = grid.areas
    if not np.all(areas > 0.0):
        middle = np.cos(0.5 * (grid.theta[1:] + grid.theta[:-1]))
        areas = -np.diff(np.concatenate([[1.0], middle, [-1.0]])) / grid.nlon
    return np.repeat(areas, grid.nlon)


def _place(grid: RingGrid, point: int) -> str:
    latitude, longitude = grid.latitudes.flat[point], grid.longitudes.flat[point]
    return f"{abs(latitude):.1f}{'N' if latitude >= 0.0 else 'S'} {longitude:.1f}E"
