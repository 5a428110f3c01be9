"""How many orders the rings of a grid keep: short rings cannot tell high orders apart."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .grids import RingGrid

_RULES = {
    "all": lambda nlon, coslat: np.full(len(nlon), np.iinfo(np.int64).max),
    "linear": lambda nlon, coslat: nlon // 2,
    "quadratic": lambda nlon, coslat: nlon // 3,
    "cubic": lambda nlon, coslat: nlon // 4,
    "linquad_coslat2": lambda nlon, coslat: nlon / (2.0 + coslat**2),
    "lincub_coslat": lambda nlon, coslat: nlon / (2.0 + 2.0 * coslat),
}


def orders_kept(
    call: str, grid: RingGrid, mmax: int, orders: Any, aliasing: str
) -> NDArray[np.int64]:
    """Highest order that each ring keeps.

    Parameters
    ----------
    call : str
        For messages.
    grid : RingGrid
    mmax : int
    orders : str or (nlat,) array of int
        A rule of the number of points n and the latitude ϑ, or the orders themselves: "all",
        "linear" n/2, "quadratic" n/3, "cubic" n/4, "linquad_coslat2" n/(2 + cos²ϑ), "lincub_coslat"
        n/(2 + 2 cos ϑ). (The rules are those of SpeedyTransforms.)
    aliasing : {"drop", "fold"}
        What becomes of orders at and beyond that of Nyquist, n/2.

    Returns
    -------
    (nlat,) int64

    Raises
    ------
    TypeError, ValueError
        No such rule, or orders that are none.
    """
    if aliasing not in ("drop", "fold"):
        raise ValueError(f'`{call}` needs `aliasing` to be "drop" or "fold". Got {aliasing!r}.')
    if isinstance(orders, str):
        if orders not in _RULES:
            known = ", ".join(f'"{name}"' for name in _RULES)
            raise ValueError(
                f"`{call}` needs `orders` to be one of {known}, or an integer for each ring. "
                f"Got {orders!r}."
            )
        kept = np.floor(_RULES[orders](grid.nlon, grid.sin_theta))
    else:
        kept = np.asarray(orders)
        if kept.dtype.kind not in "iu" or kept.shape != (grid.nlat,) or np.any(kept < 0):
            got = f"{kept.dtype} of shape {kept.shape}"
            got += f", {kept.min()} among them" if kept.dtype.kind in "iu" and kept.size else ""
            raise ValueError(
                f"`{call}` needs `orders` to be the name of a rule, or integers >= 0, one for each "
                f"ring: shape ({grid.nlat},). Got {got}."
            )
    kept = np.minimum(kept, mmax).astype(np.int64)
    return np.minimum(kept, (grid.nlon - 1) // 2) if aliasing == "drop" else kept


def check_grid(call: str, grid: Any, lmax: int) -> None:
    """Raise a TypeError that names a grid for this degree if it is none."""
    if not isinstance(grid, RingGrid):
        raise TypeError(
            f"`{call}` needs a grid of `sht.grids`. Got {type(grid).__name__}. "
            f"Try `sht.grids.FullGaussian.for_lmax({lmax})`."
        )


def check_carries(call: str, grid: Any, lmax: int, mmax: int, aliasing: str) -> None:
    """Check that a grid can carry a truncation.

    Raises
    ------
    TypeError
        It is no grid.
    ValueError
        It cannot.
    """
    check_grid(call, grid, lmax)
    max_lmax = math.inf if grid.max_lmax is None else grid.max_lmax
    max_mmax = math.inf if aliasing == "fold" else (int(np.max(grid.nlon)) - 1) // 2
    if lmax > max_lmax or mmax > max_mmax:
        name = type(grid).__name__
        limits = {"lmax": max_lmax, "mmax": max_mmax}
        needs = " and ".join(f"{n} <= {most}" for n, most in limits.items() if most < math.inf)
        shape = " x ".join(map(str, grid.shape))
        fix = f"`sht.grids.{name}.for_lmax({lmax})` carries it."
        if grid.max_lmax is None:
            fix = 'Take longer rings, a lower mmax, or aliasing="fold".'
        raise ValueError(
            f"`{call}` needs {needs} on this {name} of {shape} points. "
            f"Got lmax = {lmax}, mmax = {mmax}. {fix}"
        )
