"""Checks of a grid, and of fields on it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .grids import RingGrid


def require_grid(call: str, grid: Any) -> None:
    """Raise a TypeError if it is no grid; `call`, as the user wrote it, is for the message."""
    if not isinstance(grid, RingGrid):
        raise TypeError(
            f"`{call}` needs a grid of `sht.grids`. Got {type(grid).__name__}. "
            "That of a Transform is `t.grid`."
        )


def as_field(call: str, given: ArrayLike, grid: RingGrid) -> NDArray:
    """The given fields as an array (..., *grid.shape) of real numbers, not converted.

    Raises
    ------
    TypeError
        Complex, or no numbers.
    ValueError
        Another shape.
    """
    field = np.asarray(given)
    if field.dtype.kind not in "biuf":
        hint = "Synthesise coefficients first." if field.dtype.kind == "c" else ""
        raise TypeError(f"`{call}` needs real fields. Got {field.dtype}. {hint}".rstrip())
    rank = len(grid.shape)
    if field.ndim < rank or field.shape[field.ndim - rank :] != grid.shape:
        needed = ", ".join(map(str, grid.shape))
        raise ValueError(
            f"`{call}` needs shape (..., {needed}) on `{repr(grid).partition(': ')[0]}`. "
            f"Got {field.shape}. {_hint(field, grid)}".rstrip()
        )
    return field


def one_field(call: str, given: ArrayLike, grid: RingGrid) -> NDArray:
    """One field as an array of ``grid.shape``; raises as `as_field`, and for more than one."""
    field = as_field(call, given, grid)
    if field.shape != grid.shape:
        first = ", ".join("0" * (field.ndim - len(grid.shape)))
        raise ValueError(
            f"`{call}` needs one field, of shape {grid.shape}. Got {field.shape}. "
            f"Choose one, as `field[{first}]`."
        )
    return field


def _hint(field: NDArray, grid: RingGrid) -> str:
    if not grid.full:
        return "The points come in one row, ring after ring from north to south."
    if field.shape[-2:] == grid.shape[::-1]:
        return "Longitude comes last: pass `field.swapaxes(-1, -2)`."
    if field.shape[-1:] == (grid.npoints,):
        nlat, nlon = grid.shape
        return f"Split its rings: `field.reshape(*field.shape[:-1], {nlat}, {nlon})`."
    return ""
