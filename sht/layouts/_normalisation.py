"""Normalisations of spherical harmonics, as numbers that coefficients are multiplied by."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sht._spectrum import check_truncation, degrees_orders

NORMS = ("ortho", "4pi", "schmidt", "unnorm")
# (l + m)! reaches 170!, the last in float64, at l = m = 85.
_MOST_UNNORMALISED = 85


def normalisation(
    lmax: int,
    mmax: int | None = None,
    norm: str = "ortho",
    *,
    cs_phase: bool = True,
    real: bool = False,
) -> NDArray[np.float64]:
    r"""What our coefficients are multiplied by to be those of functions normalised otherwise.

    Parameters
    ----------
    lmax, mmax : int
        Highest degree and order, inclusive; ``mmax`` is ``lmax`` if not given.
    norm : "ortho", "4pi", "schmidt" or "unnorm"
        The integral of \|Y\|² over the sphere: 1; 4π; 4π/(2l+1); or, with P_lm not normalised at
        all, whatever it is.
    cs_phase : bool
        Whether the functions have the Condon-Shortley phase (-1)^m, as ours do.
    real : bool
        Whether the functions are real, of cos mφ and sin mφ, and the norm is theirs: then those of
        order m > 0 are √2 times as large, but for "unnorm", and there are two for one of ours.

    Returns
    -------
    (ncoef,) float64
        Packed.

    Raises
    ------
    TypeError, ValueError
        The truncation is impossible, the norm is none of these, or "unnorm" is asked for beyond
        degree 85, where it overflows.

    Notes
    -----
    With N² = (2l+1)/(4π) · (l-m)!/(l+m)!, our functions are (-1)^m N P_lm e^{imφ}. The result is
    (-1)^m for functions without phase, √(2 - δ_m0) for real ones, and 1, 1/√(4π), √((2l+1)/(4π)),
    or N (N √(2 - δ_m0) more for real ones).

    References
    ----------
    M. A. Wieczorek, M. Meschede, "SHTools: Tools for working with spherical harmonics", Geochem.
    Geophys. Geosyst. 19 (2018) 2574, eqs. 1-12.

    Examples
    --------
    >>> float(normalisation(0, norm="4pi")[0] ** -2 / np.pi)
    4.0
    >>> normalisation(1, norm="ortho", cs_phase=False).tolist()
    [1.0, 1.0, -1.0]
    """
    call = "normalisation(lmax, mmax, norm)"
    lmax, mmax = check_truncation(call, lmax, mmax)
    if norm not in NORMS:
        raise ValueError(f"`{call}` needs a norm of {NORMS}. Got {norm!r}.")
    if norm == "unnorm" and lmax > _MOST_UNNORMALISED:
        raise ValueError(
            f"`{call}` has no unnormalised functions beyond degree {_MOST_UNNORMALISED}, "
            f"where they overflow. Got lmax = {lmax}. Take another norm, or `truncate` first."
        )
    l, m = degrees_orders(lmax, mmax)  # noqa: E741
    factor: NDArray[Any] = np.ones(len(l)) if cs_phase else 1.0 - 2.0 * (m % 2)
    if real:
        factor[m > 0] *= np.sqrt(2.0)
    if norm == "4pi":
        factor /= np.sqrt(4 * np.pi)
    elif norm == "schmidt":
        factor *= np.sqrt((2 * l + 1) / (4 * np.pi))
    elif norm == "unnorm":
        pairs = zip(l.tolist(), m.tolist(), strict=True)
        # The quotient of exact integers, rounded once.
        ratio = np.array([math.factorial(i - j) / math.factorial(i + j) for i, j in pairs])
        factor *= np.sqrt((2 * l + 1) / (4 * np.pi)) * np.sqrt(ratio)
        if real:
            factor[m > 0] *= np.sqrt(2.0)
    return factor
