"""Grids and truncations by the names that the literature has for them."""

from __future__ import annotations

import re
from typing import NamedTuple

from ._full_gaussian import FullGaussian
from ._healpix import HEALPix
from ._octahedral_gaussian import OctahedralGaussian
from ._rings import RingGrid

_GRIDS = {
    "F": lambda n: FullGaussian(2 * n, 4 * n),
    "O": OctahedralGaussian,
    "H": HEALPix,
}
_TRUNCATIONS = {
    "T": lambda lmax: FullGaussian.for_lmax(lmax, 2),
    "TQ": lambda lmax: FullGaussian.for_lmax(lmax, 2),
    "TL": lambda lmax: FullGaussian.for_lmax(lmax, 1),
    "TCO": lambda lmax: OctahedralGaussian.for_lmax(lmax, 3),
}


class Resolution(NamedTuple):
    """A truncation and the grid that goes with it: ``sht.Transform(*resolution("T42"))``."""

    lmax: int
    grid: RingGrid


def named(name: str) -> RingGrid:
    """Grid with this name, in upper or lower case.

    Parameters
    ----------
    name : str
        One of

        ========== ==========================================================================
        F48        ``FullGaussian(96, 192)``: 48 rings between a pole and the Equator [1]_
        O1280      ``OctahedralGaussian(1280)`` [1]_
        H64        ``HEALPix(64)``: nside [2]_
        T42, TQ42  ``FullGaussian.for_lmax(42, dealiasing=2)``, quadratic: F32 [3]_
        TL159      ``FullGaussian.for_lmax(159, dealiasing=1)``, linear: F80 [3]_
        TCo1279    ``OctahedralGaussian.for_lmax(1279, dealiasing=3)``, cubic: O1280 [3]_
        ========== ==========================================================================

    Returns
    -------
    RingGrid

    Raises
    ------
    TypeError
        Not a string.
    ValueError
        No such name.

    Notes
    -----
    Grids of truncations are those of a rule, which gives the published ones of ECMWF, and for T21,
    T31, T42, T63, T85, T106, T170 and T213 those of climate models. Some centres have others for
    other numbers: T62 of the NCEP/NCAR reanalysis has 94 x 192 points. Models at TL and TQ
    truncations often leave out points towards the poles; those reduced grids, named N80 and so on,
    have the rings of F80 and a table of numbers of points, for which there is `Rings.gaussian`.

    References
    ----------
    .. [1] ECMWF, "Gaussian grids", Confluence space FCST: naming convention.
    .. [2] K. M. Górski et al. (2005), doi:10.1086/427976. The letter H is that of ECMWF's Atlas.
    .. [3] N. P. Wedi (2014), doi:10.1098/rsta.2013.0289, and ECMWF, "Relationship between spectral
       truncation and grid point resolution": 4N is about 2, 3, 4 times lmax + 1 on linear,
       quadratic and cubic grids.

    Examples
    --------
    >>> named("O96") == named("TCo95") == OctahedralGaussian(96)
    True
    >>> named("T42").shape, named("TL159").shape
    ((64, 128), (160, 320))
    """
    prefix, number = _parsed("named(name)", name)
    return {**_GRIDS, **_TRUNCATIONS}[prefix](number)


def resolution(name: str) -> Resolution:
    """Truncation and grid with this name: T42, TQ42, TL159 or TCo1279, as in `named`.

    Parameters
    ----------
    name : str
        A truncation, in upper or lower case. Its number is the highest degree, inclusive.

    Returns
    -------
    Resolution
        ``lmax`` and ``grid``.

    Raises
    ------
    TypeError
        Not a string.
    ValueError
        No such name, or one of a grid that says nothing of a truncation.

    Examples
    --------
    >>> lmax, grid = resolution("TCo1279")
    >>> lmax, grid.nlat, grid.npoints
    (1279, 2560, 6599680)
    """
    prefix, number = _parsed("resolution(name)", name)
    if prefix in _GRIDS:
        raise ValueError(
            f"`resolution(name)` needs the name of a truncation, such as T42. Got {name!r}, a "
            f"grid, which goes with several. `named({name!r})` gives the grid alone."
        )
    return Resolution(number, _TRUNCATIONS[prefix](number))


def _parsed(call: str, name: str) -> tuple[str, int]:
    if not isinstance(name, str):
        raise TypeError(f"`{call}` needs a string, such as 'O96'. Got {name!r}.")
    match = re.fullmatch(r"([A-Z]+)([0-9]+)", name.strip().upper())
    if match is None or match[1] not in {**_GRIDS, **_TRUNCATIONS}:
        hint = ""
        if match is not None and match[1] == "N":
            hint = (
                " Original reduced grids are tables: `Rings.gaussian(pl)`, with the numbers of "
                "points that GRIB files hold as `pl`."
            )
        raise ValueError(
            f"`{call}` knows F48, O96, H64, T42, TQ42, TL159, TCo95 and the like. "
            f"Got {name!r}.{hint}"
        )
    return match[1], int(match[2])
