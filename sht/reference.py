r"""The slow, obvious transform with its analytic adjoints, for tests only.

The four maps are written ring by ring from their equations and share no code with the fast
transform or with Enzyme, so that agreement means something. With
:math:`o_{mj} = e^{i m \varphi_{0j}}`, :math:`\Delta\Omega_j` the area of a point of ring j,
unnormalised FFTs, and ``M_j`` the highest order kept on ring j:

.. math::

   g_{mj} = o_{mj} \sum_l \lambda_{lm}(\theta_j) a_{lm},\quad f_j = \mathrm{brfft}(g_{\cdot j})
   \quad\text{(synthesis)}

   a_{lm} = \sum_j \Delta\Omega_j \overline{o_{mj}} \lambda_{lm}(\theta_j)\, \mathrm{rfft}(f_j)_m
   \quad\text{(analysis)}

Orders at and above the Nyquist order of a ring are dropped: ``M_j = min(mmax, (nlon_j - 1) // 2)``.
Pass ``orders`` for another rule.

Cotangents follow :math:`\bar z = \partial L/\partial\,\mathrm{Re} z + i\,\partial L/\partial\,
\mathrm{Im} z`, adjoint to the inner product :math:`\mathrm{Re}\sum \bar x y`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._spectrum import ncoef, pack, unpack
from .grids import RingGrid


def legendre_table(
    lmax: int,
    mmax: int | None,
    theta: ArrayLike,
    *,
    cos_theta: ArrayLike | None = None,
    sin_theta: ArrayLike | None = None,
) -> NDArray[np.float64]:
    r"""Orthonormal associated Legendre functions with Condon-Shortley phase, by recurrence.

    Parameters
    ----------
    lmax, mmax : int
        Highest degree and order, inclusive; ``mmax = None`` means ``lmax``.
    theta : (nlat,) float64
        Colatitudes in radians, in [0, pi].
    cos_theta, sin_theta : (nlat,) float64, optional
        Where they are known better than ``theta`` tells.

    Returns
    -------
    (nlat, lmax + 1, mmax + 1) float64
        ``table[j, l, m]`` is :math:`\lambda_{lm}(\theta_j)`, zero where ``m > l``.

    Notes
    -----
    :math:`Y_{lm} = \lambda_{lm} e^{im\varphi}` is orthonormal on the sphere: the integral of
    :math:`\lambda_{lm}^2` over x is 1/(2 pi), and :math:`\lambda_{00} = 1/\sqrt{4\pi}`. The
    recurrences are those of [1]_ section 6.7, for fully normalised functions. Nothing is rescaled:
    sin(theta)**m underflows to zero near the poles, which costs accuracy beyond lmax of about 1000.

    References
    ----------
    .. [1] W. H. Press et al., "Numerical Recipes", 3rd edition, 2007, eqs. (6.7.7) to (6.7.10).

    Examples
    --------
    >>> table = legendre_table(1, 1, [np.pi / 2])
    >>> bool(abs(table[0, 0, 0] - 1 / np.sqrt(4 * np.pi)) < 1e-16)
    True
    >>> bool(abs(table[0, 1, 1] + np.sqrt(3 / (8 * np.pi))) < 1e-15)
    True
    """
    mmax = lmax if mmax is None else mmax
    theta = np.atleast_1d(np.asarray(theta, np.float64))
    x = np.cos(theta) if cos_theta is None else np.asarray(cos_theta, np.float64)
    sin = np.sin(theta) if sin_theta is None else np.asarray(sin_theta, np.float64)
    table = np.zeros((len(theta), lmax + 1, mmax + 1))
    sectoral = np.full(len(theta), 1.0 / np.sqrt(4.0 * np.pi))
    for m in range(mmax + 1):
        table[:, m, m] = sectoral
        sectoral = -np.sqrt(1.0 + 1.0 / (2.0 * (m + 1))) * sin * sectoral
        if m < lmax:
            table[:, m + 1, m] = np.sqrt(2.0 * m + 3.0) * x * table[:, m, m]
        for l in range(m + 2, lmax + 1):  # noqa: E741
            alpha = np.sqrt((4.0 * l**2 - 1.0) / (l**2 - m**2))
            beta = np.sqrt(((l - 1.0) ** 2 - m**2) / (4.0 * (l - 1.0) ** 2 - 1.0))
            table[:, l, m] = alpha * (x * table[:, l - 1, m] - beta * table[:, l - 2, m])
    return table


def synthesis(
    a: ArrayLike,
    grid: RingGrid,
    lmax: int,
    mmax: int | None = None,
    *,
    orders: ArrayLike | None = None,
) -> NDArray[np.float64]:
    """Field on a grid from its coefficients, S.

    Parameters
    ----------
    a : (..., ncoef) complex128
        Packed coefficients. The imaginary parts of order 0 are ignored.
    grid : RingGrid
    lmax, mmax : int
        Truncation of ``a``; ``mmax = None`` means ``lmax``.
    orders : (nlat,) int, optional
        Highest order kept on each ring, at most ``nlon_j // 2``.

    Returns
    -------
    (..., *grid.shape) float64
    """
    mmax = lmax if mmax is None else mmax
    dense = unpack(np.asarray(a, np.complex128), lmax, mmax)
    field = np.empty((*dense.shape[:-2], grid.npoints))
    for _, ring, nlon, table, phase in _rings(grid, lmax, mmax, orders):
        kept = len(phase)
        order_sums = np.einsum("lm,...lm->...m", table, dense[..., :kept]) * phase
        field[..., ring] = _brfft(order_sums, nlon)
    return field.reshape(*dense.shape[:-2], *grid.shape)


def adjoint_synthesis(
    cotangent: ArrayLike,
    grid: RingGrid,
    lmax: int,
    mmax: int | None = None,
    *,
    orders: ArrayLike | None = None,
) -> NDArray[np.complex128]:
    r"""Cotangent of the coefficients from that of the field, the adjoint of :func:`synthesis`.

    Parameters
    ----------
    cotangent : (..., *grid.shape) float64
    grid, lmax, mmax, orders
        As in :func:`synthesis`.

    Returns
    -------
    (..., ncoef) complex128
        The imaginary parts of order 0 are exactly 0.

    Notes
    -----
    :math:`\bar a_{lm} = \sum_j \overline{o_{mj}} \lambda_{lm}(\theta_j) s_{mj}\,
    \mathrm{rfft}(\bar f_j)_m`, without quadrature weights, with s = 1 for m = 0 and m = nlon / 2
    and 2 otherwise. It is (2 - delta_m0) times ducc0's, which counts the orders -m as unknowns.
    """
    mmax = lmax if mmax is None else mmax
    points = _points("adjoint_synthesis(cotangent, grid, ...)", cotangent, grid)
    dense = np.zeros((*points.shape[:-1], lmax + 1, mmax + 1), np.complex128)
    for _, ring, nlon, table, phase in _rings(grid, lmax, mmax, orders):
        kept = len(phase)
        spectrum = np.fft.rfft(points[..., ring])[..., :kept] * _half_spectrum(nlon)[:kept]
        dense[..., :kept] += table * (np.conj(phase) * spectrum)[..., None, :]
    return pack(dense)


def analysis(
    field: ArrayLike,
    grid: RingGrid,
    lmax: int,
    mmax: int | None = None,
    *,
    orders: ArrayLike | None = None,
) -> NDArray[np.complex128]:
    """Coefficients of a field by the grid's quadrature, A.

    Parameters
    ----------
    field : (..., *grid.shape) float64
    grid, lmax, mmax, orders
        As in :func:`synthesis`.

    Returns
    -------
    (..., ncoef) complex128
    """
    mmax = lmax if mmax is None else mmax
    points = _points("analysis(field, grid, ...)", field, grid)
    dense = np.zeros((*points.shape[:-1], lmax + 1, mmax + 1), np.complex128)
    for j, ring, _, table, phase in _rings(grid, lmax, mmax, orders):
        kept = len(phase)
        spectrum = np.fft.rfft(points[..., ring])[..., :kept] * grid.areas[j]
        dense[..., :kept] += table * (np.conj(phase) * spectrum)[..., None, :]
    return pack(dense)


def adjoint_analysis(
    cotangent: ArrayLike,
    grid: RingGrid,
    lmax: int,
    mmax: int | None = None,
    *,
    orders: ArrayLike | None = None,
) -> NDArray[np.float64]:
    r"""Cotangent of the field from that of the coefficients, the adjoint of :func:`analysis`.

    Parameters
    ----------
    cotangent : (..., ncoef) complex128
        The imaginary parts of order 0 are ignored.
    grid, lmax, mmax, orders
        As in :func:`synthesis`.

    Returns
    -------
    (..., *grid.shape) float64

    Notes
    -----
    :math:`\bar f_j = \mathrm{brfft}(\Delta\Omega_j\, o_{mj} \sum_l \lambda_{lm}(\theta_j)
    \bar a_{lm} / s_{mj})`, with s as in :func:`adjoint_synthesis`.
    """
    mmax = lmax if mmax is None else mmax
    dense = unpack(np.asarray(cotangent, np.complex128), lmax, mmax)
    field = np.empty((*dense.shape[:-2], grid.npoints))
    for j, ring, nlon, table, phase in _rings(grid, lmax, mmax, orders):
        kept = len(phase)
        factor = grid.areas[j] * phase / _half_spectrum(nlon)[:kept]
        order_sums = np.einsum("lm,...lm->...m", table, dense[..., :kept]) * factor
        field[..., ring] = _brfft(order_sums, nlon)
    return field.reshape(*dense.shape[:-2], *grid.shape)


def synthesis_matrix(
    grid: RingGrid, lmax: int, mmax: int | None = None, *, orders: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Matrix of :func:`synthesis` between real vectors, for small ``lmax``.

    Returns
    -------
    (npoints, 2 * ncoef) float64
        The columns are all real parts of the packed coefficients, then all imaginary parts. Its
        transpose is the matrix of :func:`adjoint_synthesis`.
    """
    unit = np.eye(ncoef(lmax, mmax))
    basis = np.concatenate([unit, 1j * unit])
    fields = synthesis(basis, grid, lmax, mmax, orders=orders)
    return fields.reshape(len(basis), grid.npoints).T


def analysis_matrix(
    grid: RingGrid, lmax: int, mmax: int | None = None, *, orders: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Matrix of :func:`analysis` between real vectors, for small ``lmax``.

    Returns
    -------
    (2 * ncoef, npoints) float64
        The rows are all real parts of the packed coefficients, then all imaginary parts. Its
        transpose is the matrix of :func:`adjoint_analysis`.
    """
    basis = np.eye(grid.npoints).reshape(grid.npoints, *grid.shape)
    a = analysis(basis, grid, lmax, mmax, orders=orders)
    return np.concatenate([a.real, a.imag], axis=-1).T


def random_coefficients(
    rng: np.random.Generator, lmax: int, mmax: int | None = None, batch: tuple[int, ...] = ()
) -> NDArray[np.complex128]:
    """Packed standard normal coefficients of a real field: order 0 has no imaginary part.

    Examples
    --------
    >>> random_coefficients(np.random.default_rng(0), 2, batch=(3,)).shape
    (3, 6)
    """
    shape = (*batch, ncoef(lmax, mmax))
    a = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    a.imag[..., : lmax + 1] = 0.0
    return a


def _rings(grid: RingGrid, lmax: int, mmax: int, orders: ArrayLike | None):
    """For each ring: number, slice of its points, nlon, table and phases of the orders kept."""
    table = legendre_table(
        lmax, mmax, grid.theta, cos_theta=grid.cos_theta, sin_theta=grid.sin_theta
    )
    highest = (grid.nlon - 1) // 2 if orders is None else np.asarray(orders)
    for j in range(grid.nlat):
        kept = min(mmax, int(highest[j])) + 1
        phase = np.exp(1j * np.arange(kept) * grid.phi0[j])
        ring = slice(int(grid.offsets[j]), int(grid.offsets[j + 1]))
        yield j, ring, int(grid.nlon[j]), table[j, :, :kept], phase


def _half_spectrum(nlon: int) -> NDArray[np.float64]:
    """s: how often each order of a half spectrum occurs in the whole one."""
    s = np.full(nlon // 2 + 1, 2.0)
    s[0] = 1.0
    if nlon % 2 == 0:
        s[-1] = 1.0
    return s


def _brfft(spectrum: NDArray[np.complex128], nlon: int) -> NDArray[np.float64]:
    """Unnormalised c2r FFT; missing orders are zero."""
    return np.fft.irfft(spectrum, nlon, norm="forward")


def _points(call: str, field: ArrayLike, grid: RingGrid) -> NDArray[np.float64]:
    """Return a field as (..., npoints)."""
    field = np.asarray(field, np.float64)
    rank = len(grid.shape)
    shape = ", ".join(map(str, grid.shape))
    if field.ndim < rank or field.shape[-rank:] != grid.shape:
        raise ValueError(f"`{call}` needs shape (..., {shape}). Got {field.shape}.")
    return field.reshape(*field.shape[: field.ndim - rank], grid.npoints)
