"""From scalars to vectors times cos φ: gradient, and wind from vorticity and divergence."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _kernels, _one_order
from ._call import PAIR, PAIR_OF_ONE_DEGREE_MORE, SCALAR, Operator, apply

COSLAT_GRADIENT = Operator(
    _kernels.coslat_gradient_into, _one_order.coslat_gradient_order, SCALAR, PAIR_OF_ONE_DEGREE_MORE
)
COSLAT_WIND = Operator(
    _kernels.coslat_wind_into, _one_order.coslat_wind_order, PAIR, PAIR_OF_ONE_DEGREE_MORE
)


def coslat_gradient(
    a: ArrayLike,
    lmax: int,
    mmax: int | None = None,
    radius: float = 1.0,
    *,
    out: NDArray | None = None,
) -> NDArray[np.complex128]:
    """Gradient times cos φ: ``(∂a/∂λ, cos φ ∂a/∂φ) / radius``.

    Parameters
    ----------
    a : (..., ncoef(lmax, mmax)) complex128 or complex64
        Packed coefficients. Any leading axes.
    lmax, mmax : int
        Truncation of `a`, inclusive; ``mmax = None`` means ``lmax``.
    radius : float
        Radius of the sphere in a unit of length, positive.
    out : (..., 2, ncoef(lmax + 1, mmax)) array of the dtype of `a`, optional
        Where to write the result.

    Returns
    -------
    (..., 2, ncoef(lmax + 1, mmax)) array of the dtype of `a`
        Towards the east, towards the north. On a grid, divide by cos φ.

    Raises
    ------
    TypeError, ValueError
        Wrong dtype, shape or truncation; a radius that is not positive.

    Notes
    -----
    See `longitude_derivative` and `coslat_latitude_derivative`. Its adjoint is minus `divergence`.

    Examples
    --------
    >>> coslat_gradient([1 + 0j], lmax=0).real.tolist()  # of a constant
    [[0.0, 0.0], [0.0, 0.0]]
    """
    call = "coslat_gradient(a, lmax, mmax, radius)"
    return apply(call, COSLAT_GRADIENT, a, lmax, mmax, radius, out=out)


def adjoint_coslat_gradient(
    g: ArrayLike,
    lmax: int,
    mmax: int | None = None,
    radius: float = 1.0,
    *,
    out: NDArray | None = None,
) -> NDArray[np.complex128]:
    """Transpose of `coslat_gradient`: (..., 2, ncoef(lmax + 1, mmax)) to (..., ncoef)."""
    call = "adjoint_coslat_gradient(g, lmax, mmax, radius)"
    return apply(call, COSLAT_GRADIENT, g, lmax, mmax, radius, out=out, transposed=True)


def coslat_wind(
    vordiv: ArrayLike,
    lmax: int,
    mmax: int | None = None,
    radius: float = 1.0,
    *,
    out: NDArray | None = None,
) -> NDArray[np.complex128]:
    """Wind times cos φ, (U, V), from vorticity and divergence.

    Parameters
    ----------
    vordiv : (..., 2, ncoef(lmax, mmax)) complex128 or complex64
        Vorticity, then divergence, in units of velocity per length. Means, which no wind has, are
        left out.
    lmax, mmax : int
        Truncation of both, inclusive; ``mmax = None`` means ``lmax``.
    radius : float
        Radius of the sphere in a unit of length, positive.
    out : (..., 2, ncoef(lmax + 1, mmax)) array of the dtype of `vordiv`, optional
        Where to write the result.

    Returns
    -------
    (..., 2, ncoef(lmax + 1, mmax)) array of the dtype of `vordiv`
        U = u cos φ towards the east, V = v cos φ towards the north.

    Raises
    ------
    TypeError, ValueError
        Wrong dtype, shape or truncation; a radius that is not positive.

    Notes
    -----
    With stream function ψ and velocity potential χ, the `inverse_laplacian` of both,
    ``radius U = ∂χ/∂λ - cos φ ∂ψ/∂φ`` and ``radius V = ∂ψ/∂λ + cos φ ∂χ/∂φ`` [1]_. With the ε of
    `coslat_latitude_derivative`, for each m and without terms of l = 0::

        U(l) / radius = -i m / (l (l+1)) div(l) + ε(l+1) / (l+1) vor(l+1) - ε(l) / l vor(l-1)
        V(l) / radius = -i m / (l (l+1)) vor(l) - ε(l+1) / (l+1) div(l+1) + ε(l) / l div(l-1)

    References
    ----------
    .. [1] D. R. Durran, "Numerical Methods for Fluid Dynamics", 2nd edition, 2010, chapter 6.

    Examples
    --------
    The vorticity 2 sin φ / radius is that of a rotating solid body, u = cos φ, U = cos² φ:

    >>> vor = [0, 2 * (4 * 3.141592653589793 / 3) ** 0.5, 0j]
    >>> u, v = coslat_wind([vor, [0, 0, 0]], lmax=1)
    >>> u.real.round(3).tolist(), v.real.tolist()
    ([2.363, 0.0, -1.057, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0])
    """
    call = "coslat_wind(vordiv, lmax, mmax, radius)"
    return apply(call, COSLAT_WIND, vordiv, lmax, mmax, radius, out=out)


def adjoint_coslat_wind(
    wind: ArrayLike,
    lmax: int,
    mmax: int | None = None,
    radius: float = 1.0,
    *,
    out: NDArray | None = None,
) -> NDArray[np.complex128]:
    """Transpose of `coslat_wind`: (..., 2, ncoef(lmax + 1, mmax)) to (..., 2, ncoef)."""
    call = "adjoint_coslat_wind(wind, lmax, mmax, radius)"
    return apply(call, COSLAT_WIND, wind, lmax, mmax, radius, out=out, transposed=True)
