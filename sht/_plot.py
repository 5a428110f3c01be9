"""Pictures by Matplotlib, which is imported when one is asked for: maps, and triangles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._fields import one_field, require_grid
from ._spectrum import check_truncation, ncoef, unpack
from .grids import RingGrid

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WHOLE_SPHERE = ("mollweide", "hammer", "aitoff")  # projections whose axes are in radians
_DECADES = 20  # shown below the largest coefficient, at most: rounding errors are at 16


def plot(
    field: ArrayLike,
    grid: RingGrid,
    *,
    title: str = "",
    label: str = "",
    limits: tuple[float, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a map of one field, on any grid.

    Parameters
    ----------
    field : (*grid.shape,) real array
        NaN and infinities are left grey.
    grid : RingGrid
    title : str, optional
        Above the map.
    label : str, optional
        Below the colour bar: quantity and unit.
    limits : (low, high), optional
        Of the colours. If not given, those of the field, and if it has both signs symmetric about
        0, which is white.
    ax : matplotlib Axes, optional
        Where to draw. Plain axes get longitude and latitude in degrees; those of a projection
        "mollweide", "hammer" or "aitoff" the whole sphere. If not given, a new figure with a
        Mollweide map, in which areas are true.

    Returns
    -------
    matplotlib Axes
        ``sht.plot(field, grid).figure.savefig("map.png")`` writes a picture.

    Raises
    ------
    ImportError
        There is no Matplotlib.
    TypeError, ValueError
        No grid; a field that is complex, of another shape, or more than one; bad limits.

    Notes
    -----
    Nothing is interpolated: every pixel has the value of the grid point nearest to it.

    Examples
    --------
    >>> import numpy as np, sht
    >>> grid = sht.grids.FullGaussian(32, 64)
    >>> ax = sht.plot(grid.latitudes, grid, label="latitude in degrees")  # doctest: +SKIP
    """
    call = "sht.plot(field, grid)"
    require_grid(call, grid)
    field = one_field(call, field, grid)
    low, high = _limits(call, field, limits)
    axes = _new_axes(call, (8.0, 5.0), "mollweide") if ax is None else cast(Any, ax)
    projected = axes.name in _WHOLE_SPHERE
    latitude, longitude, image = raster(field, grid)
    mesh = axes.pcolormesh(
        np.deg2rad(longitude) if projected else longitude,
        np.deg2rad(latitude) if projected else latitude,
        np.ma.masked_invalid(image),
        cmap="RdBu_r" if low < 0.0 < high else "viridis",
        vmin=low,
        vmax=high,
        rasterized=True,
    )
    axes.set_facecolor("0.8")
    if projected:
        axes.set_longitude_grid(60)
        axes.set_latitude_grid(30)
        axes.grid(color="0.3", alpha=0.4, linewidth=0.5)
        axes.set_xticklabels([])  # they would lie on the colours
    else:
        axes.set(xlim=(-180, 180), ylim=(-90, 90), aspect="equal")
        axes.set(xticks=range(-180, 181, 60), yticks=range(-90, 91, 30))
        axes.set(xlabel="longitude in degrees east", ylabel="latitude in degrees north")
    axes.set_title(title)
    bar = {"orientation": "horizontal", "shrink": 0.6, "aspect": 40}
    axes.figure.colorbar(mesh, ax=axes, label=label, **bar)
    return axes


def plot_coefficients(
    a: ArrayLike, lmax: int, mmax: int | None = None, *, title: str = "", ax: Axes | None = None
) -> Axes:
    """Draw the sizes of one field's coefficients as a triangle: log10 |a_lm| over (m, l).

    Parameters
    ----------
    a : (ncoef,) array
        Packed coefficients.
    lmax : int
        Highest degree, inclusive.
    mmax : int, optional
        Highest order, inclusive, in [0, lmax]. ``lmax`` if not given.
    title : str, optional
        Above the triangle.
    ax : matplotlib Axes, optional
        Where to draw. A new figure if not given.

    Returns
    -------
    matplotlib Axes
        Colours go from the largest coefficient down to the least, over 1 to 20 decades; zeros have
        the last one.

    Raises
    ------
    ImportError
        There is no Matplotlib.
    TypeError, ValueError
        An impossible truncation, or another number of coefficients.

    Examples
    --------
    >>> import numpy as np, sht
    >>> l, m = sht.degrees_orders(31)
    >>> ax = sht.plot_coefficients(np.exp(-0.5 * l), 31)  # doctest: +SKIP
    """
    call = "sht.plot_coefficients(a, lmax, mmax)"
    lmax, mmax = check_truncation(call, lmax, mmax)
    a = np.asarray(a)
    if a.shape != (ncoef(lmax, mmax),):
        raise ValueError(
            f"`{call}` needs the coefficients of one field, of shape ({ncoef(lmax, mmax)},). "
            f"Got {a.shape}. `sht.ncoef(lmax, mmax)` counts them."
        )
    axes = _new_axes(call, (5.5, 5.0), "rectilinear") if ax is None else cast(Any, ax)
    size = unpack(np.abs(a).astype(np.float64), lmax, mmax)
    shown = size[(size > 0.0) & np.isfinite(size)]
    least, high = np.log10([shown.min(), shown.max()]) if shown.size else (0.0, 0.0)
    low = np.clip(least, high - _DECADES, high - 1.0)
    logarithm = np.log10(np.maximum(size, 10.0**low))
    above = np.arange(lmax + 1)[:, None] < np.arange(mmax + 1)
    image = axes.imshow(np.ma.masked_where(above, logarithm), vmin=low, vmax=high, aspect="auto")
    axes.set(xlabel="order m", ylabel="degree l", title=title)
    for axis in (axes.xaxis, axes.yaxis):
        axis.get_major_locator().set_params(integer=True)
    axes.figure.colorbar(image, ax=axes, label=r"$\log_{10} |a_{lm}|$")
    return axes


def raster(field: NDArray, grid: RingGrid) -> tuple[NDArray, NDArray, NDArray]:
    """One field as an image, each pixel with the value of the grid point nearest to its middle.

    Returns
    -------
    latitude, longitude : (nlat + 1,), (nlon + 1,) float64
        Edges of the pixels in degrees: from 90 to -90, and from -180 to 180.
    image : (nlat, nlon) array of the field's dtype
    """
    rows = int(np.clip(2 * grid.nlat, 360, 720))
    theta = (np.arange(rows) + 0.5) * (np.pi / rows)
    phi = (np.arange(2 * rows) + 0.5) * (np.pi / rows) - np.pi
    image = field.ravel()[grid.nearest_point(theta[:, None], phi)]
    return np.linspace(90.0, -90.0, rows + 1), np.linspace(-180.0, 180.0, 2 * rows + 1), image


def _limits(call: str, field: NDArray, limits: Any) -> tuple[float, float]:
    if limits is not None:
        try:
            low, high = map(float, limits)
        except (TypeError, ValueError):
            low = high = np.nan
        if not -np.inf < low < high < np.inf:
            raise ValueError(
                f"`{call}` needs limits (low, high), numbers with low < high. Got {limits!r}."
            )
        return low, high
    finite = field[np.isfinite(field)]
    if not finite.size:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    if low < 0.0 < high:
        high = max(-low, high)
        low = -high
    return low, high


def _new_axes(call: str, size: tuple[float, float], projection: str) -> Any:
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            f"`{call}` needs Matplotlib, which is not installed. Get it: `pip install matplotlib`."
        ) from error
    return plt.figure(figsize=size, layout="constrained").add_subplot(projection=projection)
