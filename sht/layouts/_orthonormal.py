"""Real vectors whose Euclidean norm is the field's."""

from __future__ import annotations

import numpy as np

from sht._spectrum import check_truncation, degrees_orders

from ._layout import RealLayout, real_layout
from ._normalisation import normalisation


def orthonormal(lmax: int, mmax: int | None = None) -> RealLayout:
    r"""Real coefficients without redundancy, of an orthonormal basis of real functions.

    For optimisers and samplers that want real unknowns: none is without effect, and the Euclidean
    norm of the vector is the L2 norm of the field on the sphere.

    Parameters
    ----------
    lmax, mmax : int
        Highest degree and order, inclusive; ``mmax`` is ``lmax`` if not given.

    Returns
    -------
    RealLayout
        Of shape (n,), n = (lmax + 1)² if mmax = lmax. Order by order: a_l0 for l = 0 … lmax; then
        for each m > 0 the cosines :math:`\sqrt 2 \Re a_{lm}` for l = m … lmax, and the sines
        :math:`-\sqrt 2 \Im a_{lm}`.

    Raises
    ------
    TypeError, ValueError
        The truncation is impossible.

    Notes
    -----
    The functions are λ_l0, √2 λ_lm cos mφ and √2 λ_lm sin mφ, with Condon-Shortley phase. `unpack`
    and `pack` are not each other's adjoint: the inner product Re Σ conj(a) b counts orders m > 0
    once, the sphere twice.

    Examples
    --------
    >>> orthonormal(1).unpack([1.0, 2.0, 3.0 + 4.0j]).round(3).tolist()
    [1.0, 2.0, 4.243, -5.657]
    """
    lmax, mmax = check_truncation("sht.layouts.orthonormal(lmax, mmax)", lmax, mmax)
    orders = degrees_orders(lmax, mmax)[1]
    # Before the cosines of order m lie the sines of orders 1 … m - 1, besides what is packed.
    before = np.maximum(orders - 1, 0)
    cosine = np.arange(len(orders)) + before * (lmax + 1) - before * (before + 1) // 2
    sine = cosine + lmax + 1 - orders
    factor = normalisation(lmax, mmax, real=True)
    return real_layout((2 * len(orders) - (lmax + 1),), lmax + 1, cosine, sine, factor)
