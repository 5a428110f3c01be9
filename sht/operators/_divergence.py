"""From vectors divided by cos φ to scalars: divergence and vorticity."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _kernels, _one_order
from ._call import PAIR, PAIR_OF_ONE_DEGREE_MORE, SCALAR, Operator, apply

DIVERGENCE = Operator(
    _kernels.divergence_into, _one_order.divergence_order, PAIR_OF_ONE_DEGREE_MORE, SCALAR
)
CURL = Operator(_kernels.curl_into, _one_order.curl_order, PAIR_OF_ONE_DEGREE_MORE, SCALAR)
BOTH = Operator(
    _kernels.vorticity_divergence_into,
    _one_order.vorticity_divergence_order,
    PAIR_OF_ONE_DEGREE_MORE,
    PAIR,
)


def divergence(
    wind: ArrayLike,
    lmax: int,
    mmax: int | None = None,
    radius: float = 1.0,
    *,
    out: NDArray | None = None,
) -> NDArray[np.complex128]:
    """Divergence of a vector that is given divided by cos φ.

    Parameters
    ----------
    wind : (..., 2, ncoef(lmax + 1, mmax)) complex128 or complex64
        Coefficients of u / cos φ and v / cos φ: on a grid, U and V divided by cos² φ, analysed to
        one degree more than the result has.
    lmax, mmax : int
        Truncation of the result, inclusive; ``mmax = None`` means ``lmax``.
    radius : float
        Radius of the sphere in a unit of length, positive.
    out : (..., ncoef(lmax, mmax)) array of the dtype of `wind`, optional
        Where to write the result.

    Returns
    -------
    (..., ncoef(lmax, mmax)) array of the dtype of `wind`

    Raises
    ------
    TypeError, ValueError
        Wrong dtype, shape or truncation; a radius that is not positive.

    Notes
    -----
    The projection of ``(∂u/∂λ + ∂(v cos φ)/∂φ) / (radius cos φ)``, integrated by parts so that no
    derivative of the wind is needed [1]_. With the ε of `coslat_latitude_derivative`, for each m::

        radius div(l) = i m u(l) - (l+1) ε(l) v(l-1) + l ε(l+1) v(l+1)

    u / cos φ need not be a finite sum: the degrees beyond lmax + 1 have no part in this. The
    quadrature must be exact to degree 2 lmax + 1, so ``nlat >= lmax + 1``. The adjoint is minus
    `coslat_gradient`.

    References
    ----------
    .. [1] D. R. Durran, "Numerical Methods for Fluid Dynamics", 2nd edition, 2010, chapter 6.

    Examples
    --------
    >>> divergence([[0, 0], [0, 3**0.5 + 0j]], lmax=0).real.tolist()
    [0.0]
    """
    call = "divergence(wind, lmax, mmax, radius)"
    return apply(call, DIVERGENCE, wind, lmax, mmax, radius, out=out)


def adjoint_divergence(
    b: ArrayLike,
    lmax: int,
    mmax: int | None = None,
    radius: float = 1.0,
    *,
    out: NDArray | None = None,
) -> NDArray[np.complex128]:
    """Transpose of `divergence`: (..., ncoef) to (..., 2, ncoef(lmax + 1, mmax))."""
    call = "adjoint_divergence(b, lmax, mmax, radius)"
    return apply(call, DIVERGENCE, b, lmax, mmax, radius, out=out, transposed=True)


def curl(
    wind: ArrayLike,
    lmax: int,
    mmax: int | None = None,
    radius: float = 1.0,
    *,
    out: NDArray | None = None,
) -> NDArray[np.complex128]:
    """Vorticity (radial component of the curl) of a vector that is given divided by cos φ.

    Parameters, errors and what is said of the grid are those of `divergence`.

    Returns
    -------
    (..., ncoef(lmax, mmax)) array of the dtype of `wind`

    Notes
    -----
    The projection of ``(∂v/∂λ - ∂(u cos φ)/∂φ) / (radius cos φ)``; for each m::

        radius vor(l) = i m v(l) + (l+1) ε(l) u(l-1) - l ε(l+1) u(l+1)

    Examples
    --------
    u / cos φ = 1 is a rotating solid body, whose vorticity is 2 sin φ:

    >>> one = (4 * 3.141592653589793) ** 0.5
    >>> vor = curl([[one, 0, 0, 0, 0j], [0, 0, 0, 0, 0]], lmax=1)
    >>> bool(abs(vor[1] - 2 * one / 3**0.5) < 1e-14)
    True
    """
    call = "curl(wind, lmax, mmax, radius)"
    return apply(call, CURL, wind, lmax, mmax, radius, out=out)


def adjoint_curl(
    b: ArrayLike,
    lmax: int,
    mmax: int | None = None,
    radius: float = 1.0,
    *,
    out: NDArray | None = None,
) -> NDArray[np.complex128]:
    """Transpose of `curl`: (..., ncoef) to (..., 2, ncoef(lmax + 1, mmax))."""
    call = "adjoint_curl(b, lmax, mmax, radius)"
    return apply(call, CURL, b, lmax, mmax, radius, out=out, transposed=True)


def vorticity_divergence(
    wind: ArrayLike,
    lmax: int,
    mmax: int | None = None,
    radius: float = 1.0,
    *,
    out: NDArray | None = None,
) -> NDArray[np.complex128]:
    """Vorticity and divergence: `curl` and `divergence` in one array.

    On a grid it undoes `coslat_wind`.

    Parameters and errors are those of `divergence`, but for `out`, which is
    (..., 2, ncoef(lmax, mmax)).

    Returns
    -------
    (..., 2, ncoef(lmax, mmax)) array of the dtype of `wind`
        Vorticity, then divergence.

    Examples
    --------
    >>> import sht
    >>> from sht.operators import coslat_wind
    >>> t = sht.Transform(4, sht.grids.FullGaussian(5, 9), mmax=3)  # wind: one more degree
    >>> vordiv = np.ones((2, sht.ncoef(3, 3)), complex)
    >>> vordiv[:, 0] = 0
    >>> wind = t.synthesis(coslat_wind(vordiv, lmax=3))
    >>> scaled = wind / np.sin(t.grid.theta)[:, None] ** 2
    >>> bool(np.allclose(vorticity_divergence(t.analysis(scaled), lmax=3), vordiv, atol=1e-14))
    True
    """
    call = "vorticity_divergence(wind, lmax, mmax, radius)"
    return apply(call, BOTH, wind, lmax, mmax, radius, out=out)


def adjoint_vorticity_divergence(
    vordiv: ArrayLike,
    lmax: int,
    mmax: int | None = None,
    radius: float = 1.0,
    *,
    out: NDArray | None = None,
) -> NDArray[np.complex128]:
    """Transpose of `vorticity_divergence`: (..., 2, ncoef) to (..., 2, ncoef(lmax + 1, mmax))."""
    call = "adjoint_vorticity_divergence(vordiv, lmax, mmax, radius)"
    return apply(call, BOTH, vordiv, lmax, mmax, radius, out=out, transposed=True)
