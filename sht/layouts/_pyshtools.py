"""pyshtools: cosine and sine coefficients, as in geodesy and geomagnetism."""

from __future__ import annotations

from sht._spectrum import check_truncation, degrees_orders

from ._layout import RealLayout, real_layout
from ._normalisation import NORMS, normalisation


def pyshtools(
    lmax: int, mmax: int | None = None, normalization: str = "4pi", csphase: int = 1
) -> RealLayout:
    r"""Real coefficients of pyshtools: ``cilm[0, l, m]`` of cosines, ``cilm[1, l, m]`` of sines.

    Parameters
    ----------
    lmax, mmax : int
        Highest degree and order, inclusive; ``mmax`` is ``lmax`` if not given.
    normalization : "4pi", "ortho", "schmidt" or "unnorm"
        As for ``pyshtools.SHCoeffs``: the integral over the sphere of the square of a function is
        4π, 1, 4π/(2l+1), or that of P_lm cos mφ. "unnorm" up to degree 85.
    csphase : 1 or -1
        As there: 1 leaves the Condon-Shortley phase out, -1 has it in.

    Returns
    -------
    RealLayout
        Of shape (2, lmax + 1, lmax + 1), zero where m > l or m > mmax, and for sines of order 0.

    Raises
    ------
    TypeError, ValueError
        The truncation is impossible, or the normalization or phase is none of these.

    Notes
    -----
    .. math:: f = \sum_{l, m} \bar P_{lm}(\cos\theta) (C_{lm} \cos m\varphi + S_{lm} \sin m\varphi)

    The Gauss coefficients g and h of geomagnetism are C and S with "schmidt", where f is the
    potential divided by the reference radius, on that sphere.

    References
    ----------
    M. A. Wieczorek, M. Meschede, "SHTools: Tools for working with spherical harmonics", Geochem.
    Geophys. Geosyst. 19 (2018) 2574, eqs. 1-12.

    Examples
    --------
    >>> layout = pyshtools(2)
    >>> layout
    RealLayout: 6 packed coefficients as real (..., 2, 3, 3)
    >>> import numpy as np
    >>> a = np.zeros(6, complex)
    >>> a[0] = 2 * np.sqrt(np.pi)  # the field 1
    >>> round(float(layout.unpack(a)[0, 0, 0]), 12)
    1.0
    """
    call = "sht.layouts.pyshtools(lmax, mmax, normalization, csphase)"
    lmax, mmax = check_truncation(call, lmax, mmax)
    if normalization not in NORMS:
        raise ValueError(f"`{call}` needs a normalization of {NORMS}. Got {normalization!r}.")
    if csphase not in (1, -1):
        raise ValueError(
            f"`{call}` needs csphase = 1 (left out) or -1 (included). Got {csphase!r}."
        )
    degrees, orders = degrees_orders(lmax, mmax)
    factor = normalisation(lmax, mmax, normalization, cs_phase=csphase == -1, real=True)
    cosine = degrees * (lmax + 1) + orders
    sine = cosine + (lmax + 1) ** 2
    return real_layout((2, lmax + 1, lmax + 1), lmax + 1, cosine, sine, factor)
