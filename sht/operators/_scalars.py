"""Operators from scalars to scalars: Laplacian, derivatives, multiplication by sin φ."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _kernels, _one_order
from ._call import ONE_DEGREE_MORE, SCALAR, Operator, apply

LAPLACIAN = Operator(_kernels.laplacian_into, _one_order.laplacian_order, SCALAR, SCALAR)
INVERSE_LAPLACIAN = Operator(
    _kernels.inverse_laplacian_into, _one_order.inverse_laplacian_order, SCALAR, SCALAR
)
LONGITUDE = Operator(
    _kernels.longitude_derivative_into, _one_order.longitude_derivative_order, SCALAR, SCALAR
)
COSLAT_LATITUDE = Operator(
    _kernels.coslat_latitude_derivative_into,
    _one_order.coslat_latitude_derivative_order,
    SCALAR,
    ONE_DEGREE_MORE,
)
TIMES_SINLAT = Operator(
    _kernels.times_sinlat_into, _one_order.times_sinlat_order, SCALAR, ONE_DEGREE_MORE
)


def laplacian(
    a: ArrayLike,
    lmax: int,
    mmax: int | None = None,
    radius: float = 1.0,
    *,
    out: NDArray | None = None,
) -> NDArray[np.complex128]:
    """Laplacian on the sphere: times ``-l (l + 1) / radius²``.

    Of a stream function it is the vorticity, of a velocity potential the divergence.

    Parameters
    ----------
    a : (..., ncoef) complex128 or complex64
        Packed coefficients. Any leading axes.
    lmax, mmax : int
        Truncation, inclusive; ``mmax = None`` means ``lmax``.
    radius : float
        Radius of the sphere in a unit of length, positive.
    out : (..., ncoef) array of the dtype of `a`, optional
        Where to write the result.

    Returns
    -------
    (..., ncoef) array of the dtype of `a`
        In units of `a` per length².

    Raises
    ------
    TypeError, ValueError
        Wrong dtype, shape or truncation; a radius that is not positive.

    Notes
    -----
    It is its own adjoint.

    Examples
    --------
    >>> laplacian([1, 1, 1 + 0j], lmax=1).real.tolist()
    [0.0, -2.0, -2.0]
    """
    return apply("laplacian(a, lmax, mmax, radius)", LAPLACIAN, a, lmax, mmax, radius, out=out)


def adjoint_laplacian(
    b: ArrayLike,
    lmax: int,
    mmax: int | None = None,
    radius: float = 1.0,
    *,
    out: NDArray | None = None,
) -> NDArray[np.complex128]:
    """Transpose of `laplacian`, (..., ncoef) to (..., ncoef); the same map."""
    call = "adjoint_laplacian(b, lmax, mmax, radius)"
    return apply(call, LAPLACIAN, b, lmax, mmax, radius, out=out, transposed=True)


def inverse_laplacian(
    a: ArrayLike,
    lmax: int,
    mmax: int | None = None,
    radius: float = 1.0,
    *,
    out: NDArray | None = None,
) -> NDArray[np.complex128]:
    """Solution of mean 0 of ∇²b = a: times ``-radius² / (l (l + 1))``, and 0 at l = 0.

    Of a vorticity it is the stream function, of a divergence the velocity potential; of both in an
    array (2, ncoef) it is both.

    Parameters
    ----------
    a : (..., ncoef) complex128 or complex64
        Packed coefficients. Any leading axes. A mean, which no Laplacian has, is left out.
    lmax, mmax : int
        Truncation, inclusive; ``mmax = None`` means ``lmax``.
    radius : float
        Radius of the sphere in a unit of length, positive.
    out : (..., ncoef) array of the dtype of `a`, optional
        Where to write the result.

    Returns
    -------
    (..., ncoef) array of the dtype of `a`
        In units of `a` times length².

    Raises
    ------
    TypeError, ValueError
        Wrong dtype, shape or truncation; a radius that is not positive.

    Notes
    -----
    It is its own adjoint.

    Examples
    --------
    >>> inverse_laplacian([1, 1, 1 + 0j], lmax=1).real.tolist()
    [0.0, -0.5, -0.5]
    """
    call = "inverse_laplacian(a, lmax, mmax, radius)"
    return apply(call, INVERSE_LAPLACIAN, a, lmax, mmax, radius, out=out)


def adjoint_inverse_laplacian(
    b: ArrayLike,
    lmax: int,
    mmax: int | None = None,
    radius: float = 1.0,
    *,
    out: NDArray | None = None,
) -> NDArray[np.complex128]:
    """Transpose of `inverse_laplacian`, (..., ncoef) to (..., ncoef); the same map."""
    call = "adjoint_inverse_laplacian(b, lmax, mmax, radius)"
    return apply(call, INVERSE_LAPLACIAN, b, lmax, mmax, radius, out=out, transposed=True)


def longitude_derivative(
    a: ArrayLike, lmax: int, mmax: int | None = None, *, out: NDArray | None = None
) -> NDArray[np.complex128]:
    """Derivative by longitude, ∂/∂λ: times i m. Per radian.

    Parameters
    ----------
    a : (..., ncoef) complex128 or complex64
        Packed coefficients. Any leading axes.
    lmax, mmax : int
        Truncation, inclusive; ``mmax = None`` means ``lmax``.
    out : (..., ncoef) array of the dtype of `a`, optional
        Where to write the result.

    Returns
    -------
    (..., ncoef) array of the dtype of `a`

    Raises
    ------
    TypeError, ValueError
        Wrong dtype, shape or truncation.

    Examples
    --------
    >>> longitude_derivative([1, 1, 2 + 1j], lmax=1).tolist()
    [0j, 0j, (-1+2j)]
    """
    return apply("longitude_derivative(a, lmax, mmax)", LONGITUDE, a, lmax, mmax, out=out)


def adjoint_longitude_derivative(
    b: ArrayLike, lmax: int, mmax: int | None = None, *, out: NDArray | None = None
) -> NDArray[np.complex128]:
    """Transpose of `longitude_derivative`, (..., ncoef) to (..., ncoef): times -i m."""
    call = "adjoint_longitude_derivative(b, lmax, mmax)"
    return apply(call, LONGITUDE, b, lmax, mmax, out=out, transposed=True)


def coslat_latitude_derivative(
    a: ArrayLike, lmax: int, mmax: int | None = None, *, out: NDArray | None = None
) -> NDArray[np.complex128]:
    """Derivative by latitude times its cosine, cos φ ∂/∂φ. Per radian.

    Parameters
    ----------
    a : (..., ncoef(lmax, mmax)) complex128 or complex64
        Packed coefficients. Any leading axes.
    lmax, mmax : int
        Truncation of `a`, inclusive; ``mmax = None`` means ``lmax``.
    out : (..., ncoef(lmax + 1, mmax)) array of the dtype of `a`, optional
        Where to write the result.

    Returns
    -------
    (..., ncoef(lmax + 1, mmax)) array of the dtype of `a`
        With one more degree, and packed for it; the same orders.

    Raises
    ------
    TypeError, ValueError
        Wrong dtype, shape or truncation.

    Notes
    -----
    With ε(l, m) = √((l² - m²) / (4 l² - 1)), for each m [1]_::

        b(l) = -(l - 1) ε(l) a(l - 1) + (l + 2) ε(l + 1) a(l + 1)

    References
    ----------
    .. [1] D. R. Durran, "Numerical Methods for Fluid Dynamics", 2nd edition, 2010, chapter 6, for
       the recurrence (1 - x²) dP/dx = (l + 1) ε(l) P(l - 1) - l ε(l + 1) P(l + 1).

    Examples
    --------
    sin φ, of degree 1, goes to cos² φ, of degrees 0 and 2:

    >>> sin = [0, (4 * 3.141592653589793 / 3) ** 0.5, 0j]
    >>> coslat_latitude_derivative(sin, lmax=1).real.round(3).tolist()
    [2.363, 0.0, -1.057, 0.0, 0.0]
    """
    call = "coslat_latitude_derivative(a, lmax, mmax)"
    return apply(call, COSLAT_LATITUDE, a, lmax, mmax, out=out)


def adjoint_coslat_latitude_derivative(
    b: ArrayLike, lmax: int, mmax: int | None = None, *, out: NDArray | None = None
) -> NDArray[np.complex128]:
    """Transpose of `coslat_latitude_derivative`: (..., ncoef(lmax + 1, mmax)) to lmax."""
    call = "adjoint_coslat_latitude_derivative(b, lmax, mmax)"
    return apply(call, COSLAT_LATITUDE, b, lmax, mmax, out=out, transposed=True)


def times_sinlat(
    a: ArrayLike, lmax: int, mmax: int | None = None, *, out: NDArray | None = None
) -> NDArray[np.complex128]:
    """Multiplication by sin φ, as by the Coriolis parameter 2 Ω sin φ.

    Parameters
    ----------
    a : (..., ncoef(lmax, mmax)) complex128 or complex64
        Packed coefficients. Any leading axes.
    lmax, mmax : int
        Truncation of `a`, inclusive; ``mmax = None`` means ``lmax``.
    out : (..., ncoef(lmax + 1, mmax)) array of the dtype of `a`, optional
        Where to write the result.

    Returns
    -------
    (..., ncoef(lmax + 1, mmax)) array of the dtype of `a`
        With one more degree, and packed for it; the same orders.

    Raises
    ------
    TypeError, ValueError
        Wrong dtype, shape or truncation.

    Notes
    -----
    ``b(l) = ε(l) a(l - 1) + ε(l + 1) a(l + 1)`` for each m, ε(l, m) = √((l² - m²) / (4 l² - 1)).

    Examples
    --------
    >>> times_sinlat([3**0.5, 0, 0j], lmax=1).real.round(12).tolist()
    [0.0, 1.0, 0.0, 0.0, 0.0]
    """
    return apply("times_sinlat(a, lmax, mmax)", TIMES_SINLAT, a, lmax, mmax, out=out)


def adjoint_times_sinlat(
    b: ArrayLike, lmax: int, mmax: int | None = None, *, out: NDArray | None = None
) -> NDArray[np.complex128]:
    """Transpose of `times_sinlat`: (..., ncoef(lmax + 1, mmax)) to lmax."""
    call = "adjoint_times_sinlat(b, lmax, mmax)"
    return apply(call, TIMES_SINLAT, b, lmax, mmax, out=out, transposed=True)
