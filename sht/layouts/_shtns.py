"""SHTns: the same order, other normalisations."""

from __future__ import annotations

import numpy as np

from sht._spectrum import check_truncation

from ._layout import ComplexLayout, complex_layout
from ._normalisation import normalisation

NORMS = ("ortho", "4pi", "schmidt")


def shtns(
    lmax: int,
    mmax: int | None = None,
    norm: str = "ortho",
    *,
    cs_phase: bool = True,
    real_norm: bool = False,
) -> ComplexLayout:
    """Coefficients of SHTns with ``mres = 1``.

    Parameters
    ----------
    lmax, mmax : int
        Highest degree and order, inclusive; ``mmax`` is ``lmax`` if not given.
    norm : "ortho", "4pi" or "schmidt"
        For SHTns' ``sht_orthonormal`` (its default, and the same as ours), ``sht_fourpi`` and
        ``sht_schmidt``.
    cs_phase : bool
        False for ``SHT_NO_CS_PHASE``.
    real_norm : bool
        True for ``SHT_REAL_NORM``.

    Returns
    -------
    ComplexLayout
        Of shape (ncoef,), in the order of ours.

    Raises
    ------
    TypeError, ValueError
        The truncation is impossible, or the norm is none of these.

    References
    ----------
    N. Schaeffer, "Efficient spherical harmonic transforms aimed at pseudospectral numerical
    simulations", Geochem. Geophys. Geosyst. 14 (2013) 751; its manual on normalisations.

    Examples
    --------
    >>> layout = shtns(2, norm="schmidt", cs_phase=False)
    >>> layout
    ComplexLayout: 6 packed coefficients as complex (..., 6)
    >>> q = layout.unpack(np.ones(6, complex))
    >>> bool(np.allclose(q[1], np.sqrt(3 / (4 * np.pi))))
    True
    """
    call = "sht.layouts.shtns(lmax, mmax, norm)"
    lmax, mmax = check_truncation(call, lmax, mmax)
    if norm not in NORMS:
        raise ValueError(f"`{call}` needs a norm of {NORMS}. Got {norm!r}.")
    factor = normalisation(lmax, mmax, norm, cs_phase=cs_phase, real=real_norm)
    return complex_layout(factor.shape, np.arange(factor.size), factor)
