"""torch-harmonics: a dense triangle of degrees and orders."""

from __future__ import annotations

from sht._spectrum import check_truncation, degrees_orders

from ._layout import ComplexLayout, complex_layout
from ._normalisation import normalisation


def torch_harmonics(lmax: int, mmax: int | None = None, *, csphase: bool = True) -> ComplexLayout:
    """Coefficients of torch-harmonics with ``norm="ortho"``, its default.

    Parameters
    ----------
    lmax, mmax : int
        Highest degree and order, inclusive; ``mmax`` is ``lmax`` if not given. torch-harmonics
        counts them: its ``lmax`` and ``mmax`` are larger by one.
    csphase : bool
        As given to its ``RealSHT`` and ``InverseRealSHT``.

    Returns
    -------
    ComplexLayout
        Of shape (lmax + 1, mmax + 1): ``[..., l, m]``, zero where m > l.

    Raises
    ------
    TypeError, ValueError
        The truncation is impossible.

    Notes
    -----
    Its other norms are not covered: there its analysis multiplies by functions that its synthesis
    divides by, so that they are other than what "Schmidt" means elsewhere.

    Examples
    --------
    >>> import numpy as np
    >>> torch_harmonics(2, 1).unpack(np.arange(1, 6) + 0j).real.astype(int).tolist()
    [[1, 0], [2, 4], [3, 5]]
    """
    lmax, mmax = check_truncation("sht.layouts.torch_harmonics(lmax, mmax)", lmax, mmax)
    degrees, orders = degrees_orders(lmax, mmax)
    factor = normalisation(lmax, mmax, cs_phase=csphase)
    return complex_layout((lmax + 1, mmax + 1), degrees * (mmax + 1) + orders, factor)
