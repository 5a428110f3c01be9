r"""The slow, obvious transform with its analytic adjoints, of any spin, for tests only.

The four maps are sums over orders at the points of each ring, written from their equations. They
share nothing with the fast transform but the packing: no FFT, no half spectra, no symmetry of the
rings, no recurrence with spin. With :math:`_s\lambda_{lm}` the harmonics at longitude 0,
orders of both signs, and :math:`M_j` the highest order kept on ring j:

.. math::

   f_{ji} = \sum_{|m| \le M_j} e^{i m \varphi_{ji}} \sum_l {}_s\lambda_{lm}(\theta_j) c_{lm}
   \quad\text{(synthesis)}

   c_{lm} = \sum_j \Delta\Omega_j\, {}_s\lambda_{lm}(\theta_j) \sum_i e^{-i m \varphi_{ji}} f_{ji}
   \quad\text{(analysis)}

For scalars f is the field and c = a, with :math:`a_{l,-m} = (-1)^m \bar a_{lm}`. For spin s > 0,
f = Q + iU and c = -(E + iB), where E and B are as a: shapes have an axis of 2 in front of their
last ones, and what follows holds with it.

Orders at and above that of Nyquist are left out: ``M_j = min(mmax, (nlon_j - 1) // 2)``.
``orders`` gives others. Those beyond Nyquist are then what the points make of them:
``orders=mmax`` is ``aliasing="fold"``.

Cotangents follow :math:`\bar z = \partial L/\partial\,\mathrm{Re} z + i\,\partial L/\partial\,
\mathrm{Im} z`, adjoint to the inner product :math:`\mathrm{Re}\sum \bar x y`. An order m > 0 is in
the sum twice: hence the factor 2 - δ_m0 in the adjoints.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._spectrum import degrees_orders, ncoef, pack, unpack
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


def spin_table(spin: int, lmax: int, mmax: int, theta: ArrayLike) -> NDArray[np.float64]:
    r"""Spin-weighted harmonics at longitude 0, orders of both signs.

    Parameters
    ----------
    spin : int
    lmax, mmax : int
    theta : (nlat,) float64

    Returns
    -------
    (nlat, lmax + 1, 2 * mmax + 1) float64
        ``table[j, l, mmax + m]`` is :math:`_s\lambda_{lm}(\theta_j) = (-1)^s \sqrt{(2l+1)/4\pi}\,
        d^l_{m,-s}(\theta_j)`, zero where ``l < max(|m|, spin)``.

    Notes
    -----
    The matrix d is :math:`e^{-i\theta J_y}`, which the eigenvectors of :math:`J_y` make without any
    recurrence [1]_; its eigenvalues are the integers from -l to l.

    References
    ----------
    .. [1] X. M. Feng et al., "High-precision evaluation of Wigner's d matrix by exact
       diagonalization", Phys. Rev. E 92 (2015) 043307.

    Examples
    --------
    >>> table = spin_table(1, 1, 1, [np.pi / 2])
    >>> bool(abs(table[0, 1, 1] - np.sqrt(3 / (8 * np.pi))) < 1e-15)  # sqrt(3/8π) sin θ
    True
    """
    theta = np.asarray(theta, np.float64)
    table = np.zeros((len(theta), lmax + 1, 2 * mmax + 1))
    for l in range(spin, lmax + 1):  # noqa: E741
        vectors = _eigenvectors(l)
        turned = np.exp(-1j * np.outer(theta, np.arange(-l, l + 1)))
        column = ((turned * vectors[l - spin].conj()) @ vectors.T).real  # d of orders m and -spin
        kept = min(l, mmax)
        factor = (-1) ** spin * np.sqrt((2 * l + 1) / (4 * np.pi))
        table[:, l, mmax - kept : mmax + kept + 1] = factor * column[:, l - kept : l + kept + 1]
    return table


def synthesis(
    a: ArrayLike,
    grid: RingGrid,
    lmax: int,
    mmax: int | None = None,
    *,
    spin: int = 0,
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
    spin : int
    orders : int or (nlat,) int, optional
        Highest order kept on each ring.

    Returns
    -------
    (..., *grid.shape) float64
    """
    mmax = lmax if mmax is None else mmax
    c = _whole(unpack(np.asarray(a, np.complex128), lmax, mmax), spin)
    field = np.empty((*c.shape[:-2], grid.npoints), np.complex128)
    for ring, part, table, waves in _rings(grid, lmax, mmax, spin, orders):
        order_sums = np.einsum("lm,...lm->...m", table, c[..., part])
        field[..., ring] = order_sums @ waves.T
    pair = field.real if spin == 0 else np.stack([field.real, field.imag], axis=-2)
    return np.ascontiguousarray(pair.reshape(*pair.shape[:-1], *grid.shape))


def adjoint_synthesis(
    cotangent: ArrayLike,
    grid: RingGrid,
    lmax: int,
    mmax: int | None = None,
    *,
    spin: int = 0,
    orders: ArrayLike | None = None,
) -> NDArray[np.complex128]:
    r"""Cotangent of the coefficients from that of the field, the adjoint of :func:`synthesis`.

    Parameters
    ----------
    cotangent : (..., *grid.shape) float64
    grid, lmax, mmax, spin, orders
        As in :func:`synthesis`.

    Returns
    -------
    (..., ncoef) complex128
        The imaginary parts of order 0 are exactly 0.

    Notes
    -----
    :math:`\bar a_{lm} = (2 - \delta_{m0}) \sum_j \lambda_{lm}(\theta_j) \sum_i
    e^{-i m \varphi_{ji}} \bar f_{ji}`, without quadrature weights. ducc0's is without the factor
    2 - δ_m0: it counts the orders -m as unknowns.
    """
    mmax = lmax if mmax is None else mmax
    points = _points("adjoint_synthesis(cotangent, grid, ...)", cotangent, grid, spin)
    return _multiplicity(lmax, mmax) * _moments(points, grid, lmax, mmax, spin, orders)


def analysis(
    field: ArrayLike,
    grid: RingGrid,
    lmax: int,
    mmax: int | None = None,
    *,
    spin: int = 0,
    orders: ArrayLike | None = None,
) -> NDArray[np.complex128]:
    """Coefficients of a field by the grid's quadrature, A.

    Parameters
    ----------
    field : (..., *grid.shape) float64
    grid, lmax, mmax, spin, orders
        As in :func:`synthesis`.

    Returns
    -------
    (..., ncoef) complex128
    """
    mmax = lmax if mmax is None else mmax
    points = _points("analysis(field, grid, ...)", field, grid, spin)
    areas = np.repeat(grid.areas, grid.nlon)
    return _moments(areas * points, grid, lmax, mmax, spin, orders)


def adjoint_analysis(
    cotangent: ArrayLike,
    grid: RingGrid,
    lmax: int,
    mmax: int | None = None,
    *,
    spin: int = 0,
    orders: ArrayLike | None = None,
) -> NDArray[np.float64]:
    r"""Cotangent of the field from that of the coefficients, the adjoint of :func:`analysis`.

    Parameters
    ----------
    cotangent : (..., ncoef) complex128
        The imaginary parts of order 0 are ignored.
    grid, lmax, mmax, spin, orders
        As in :func:`synthesis`.

    Returns
    -------
    (..., *grid.shape) float64

    Notes
    -----
    :math:`\bar f_{ji} = \Delta\Omega_j \mathrm{Re} \sum_{m \ge 0} e^{i m \varphi_{ji}}
    \sum_l \lambda_{lm}(\theta_j) \bar a_{lm}`.
    """
    mmax = lmax if mmax is None else mmax
    halved = np.asarray(cotangent, np.complex128) / _multiplicity(lmax, mmax)
    areas = np.repeat(grid.areas, grid.nlon).reshape(grid.shape)
    return areas * synthesis(halved, grid, lmax, mmax, spin=spin, orders=orders)


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


def _multiplicity(lmax: int, mmax: int) -> NDArray[np.float64]:
    """(ncoef,) How often a coefficient is in the sum: for m > 0 as that of -m, too."""
    return np.where(degrees_orders(lmax, mmax)[1] > 0, 2.0, 1.0)


def _whole(dense: NDArray[np.complex128], spin: int) -> NDArray[np.complex128]:
    """All c, of orders from -mmax to mmax, (..., lmax + 1, 2 * mmax + 1)."""
    mmax = dense.shape[-1] - 1
    signs = (-1.0) ** np.arange(mmax, 0, -1)
    whole = np.concatenate([signs * dense[..., :0:-1].conj(), dense], axis=-1)
    whole[..., mmax] = whole[..., mmax].real
    return whole if spin == 0 else -(whole[..., 0, :, :] + 1j * whole[..., 1, :, :])


def _moments(
    points: NDArray, grid: RingGrid, lmax: int, mmax: int, spin: int, orders: ArrayLike | None
) -> NDArray[np.complex128]:
    """Packed coefficients of a sum over points, without weights; (..., npoints) complex."""
    c = np.zeros((*points.shape[:-1], lmax + 1, 2 * mmax + 1), np.complex128)
    for ring, part, table, waves in _rings(grid, lmax, mmax, spin, orders):
        c[..., part] += table * (points[..., ring] @ waves.conj())[..., None, :]
    positive = c[..., mmax:]
    if spin == 0:
        return pack(positive)
    # c = -(E + iB), and of E and B those of order -m are known from those of m.
    negative = (-1.0) ** np.arange(mmax + 1) * c[..., mmax::-1].conj()
    return pack(np.stack([-0.5 * (positive + negative), 0.5j * (positive - negative)], axis=-3))


def _rings(
    grid: RingGrid, lmax: int, mmax: int, spin: int, orders: ArrayLike | None
) -> Iterator[tuple[slice, slice, NDArray[np.float64], NDArray[np.complex128]]]:
    """For each ring: slices of its points and orders, harmonics there, and (nlon, orders) waves."""
    tables = _table(grid, lmax, mmax, spin)
    highest = (grid.nlon - 1) // 2 if orders is None else np.asarray(orders)
    highest = np.broadcast_to(highest, (grid.nlat,))
    for j in range(grid.nlat):
        kept = min(mmax, int(highest[j]))
        part = slice(mmax - kept, mmax + kept + 1)
        phases = np.exp(1j * np.arange(-kept, kept + 1) * grid.phi0[j])
        ring = slice(int(grid.offsets[j]), int(grid.offsets[j + 1]))
        yield ring, part, tables[j][:, part], phases * _waves(int(grid.nlon[j]), kept)


@functools.lru_cache(maxsize=4)
def _table(grid: RingGrid, lmax: int, mmax: int, spin: int) -> NDArray[np.float64]:
    """(nlat, lmax + 1, 2 * mmax + 1) Harmonics at longitude 0."""
    if spin > 0:
        return spin_table(spin, lmax, mmax, grid.theta)
    half = legendre_table(
        lmax, mmax, grid.theta, cos_theta=grid.cos_theta, sin_theta=grid.sin_theta
    )
    signs = (-1.0) ** np.arange(mmax, 0, -1)
    return np.concatenate([signs * half[..., :0:-1], half], axis=-1)


@functools.lru_cache(maxsize=64)
def _waves(nlon: int, kept: int) -> NDArray[np.complex128]:
    """(nlon, 2 * kept + 1) exp(2πi m k / nlon). Whole turns are taken off while they are exact."""
    turns = np.outer(np.arange(nlon), np.arange(-kept, kept + 1)) % nlon
    return np.exp(2j * np.pi * turns / nlon)


@functools.lru_cache(maxsize=128)
def _eigenvectors(l: int) -> NDArray[np.complex128]:  # noqa: E741
    """Of J_y, in the basis of orders from -l to l: rows are orders, columns eigenvalues."""
    m = np.arange(-l, l)
    up = 0.5 * np.sqrt(l * (l + 1.0) - m * (m + 1.0))  # <m + 1| J_x |m>
    return np.linalg.eigh(np.diag(-1j * up, -1) + np.diag(1j * up, 1))[1]


def _points(call: str, field: ArrayLike, grid: RingGrid, spin: int) -> NDArray:
    """Return a field as (..., npoints), complex where it has spin."""
    field = np.asarray(field, np.float64)
    shape = (2, *grid.shape) if spin else grid.shape
    if field.ndim < len(shape) or field.shape[-len(shape) :] != shape:
        shown = ", ".join(map(str, shape))
        raise ValueError(f"`{call}` needs shape (..., {shown}). Got {field.shape}.")
    field = field.reshape(*field.shape[: field.ndim - len(grid.shape)], grid.npoints)
    return field[..., 0, :] + 1j * field[..., 1, :] if spin else field
