"""`SpinTransform`: the transform of two fields that are one quantity with spin."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._legendre_tables import SpinTables
from ._ring_transform import Recipe, RingTransform, prepare
from .grids import RingGrid


class SpinTransform(RingTransform):
    r"""Spin-weighted spherical harmonic transform on a grid of rings, and its adjoints.

    Parameters
    ----------
    spin : int
        At least 1: 1 for tangential vectors, 2 for polarisation (Stokes Q and U) or shear.
    lmax, grid, mmax, dtype, threads, truncation, orders, aliasing, planning
        As for `Transform`.

    Raises
    ------
    TypeError, ValueError
        As for `Transform`, or another spin.

    Notes
    -----
    Fields are pairs (Q, U), coefficients pairs (E, B), each those of a real field:

    .. math::

        Q \pm i U = -(\pm 1)^s \sum_{lm} (E_{lm} \pm i B_{lm})\, {}_{\pm s}Y_{lm},

    with :math:`{}_sY_{lm} = (-1)^s \sqrt{(2l+1)/4\pi}\, d^l_{m,-s}(\theta) e^{im\varphi}`
    [1]_. This is what healpy (spin 2) and ducc0 (any spin) compute. Spin 1 gives the components
    towards the south (θ) and the east (φ) of a vector with gradient part E and curl part B; see
    `VectorTransform`. Degrees below the spin have no effect, and analysis makes them 0.

    References
    ----------
    .. [1] J. N. Goldberg et al., "Spin-s spherical harmonics and ð", J. Math. Phys. 8 (1967) 2155.

    Examples
    --------
    >>> import numpy as np, sht
    >>> t = sht.SpinTransform(2, 16, sht.grids.FullGaussian.for_lmax(16))
    >>> eb = np.zeros((2, t.ncoef), complex)
    >>> eb[0, sht.lm_index(5, 2, 16)] = 1.0
    >>> qu = t.synthesis(eb)
    >>> qu.shape, bool(np.allclose(t.analysis(qu), eb))
    ((2, 28, 56), True)
    """

    def __new__(
        cls,
        spin: int,
        lmax: int,
        grid: RingGrid,
        mmax: int | None = None,
        dtype: Any = "float64",
        threads: int | None = None,
        *,
        truncation: str = "triangular",
        orders: Any = "all",
        aliasing: str = "drop",
        planning: str = "auto",
    ) -> SpinTransform:
        call = "sht.SpinTransform(spin, lmax, grid, mmax, dtype, threads)"
        if not isinstance(spin, (int, np.integer)) or spin < 1:
            raise ValueError(
                f"`{call}` needs an integer spin >= 1. Got {spin!r}. Scalars: `sht.Transform`."
            )
        recipe = Recipe(
            *(int(spin), lmax, grid, mmax, dtype, threads),
            *(truncation, orders, aliasing, planning, SpinTables),
        )
        return prepare(cls, call, recipe)
