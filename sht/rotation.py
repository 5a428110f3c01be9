"""Rotation of fields, in coefficient space."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from ._apply import Space, apply_map, apply_run, place_of
from ._arguments import array_in_place
from ._device_orders import run_by_orders
from ._packed import precision_of
from ._rows import row_of
from ._spectrum import check_truncation, ncoef
from ._wigner import MAX_LMAX, quarter_turn_into, quarter_turn_of


def rotate(
    a: ArrayLike, lmax: int, psi: float, theta: float, phi: float, *, out: NDArray | None = None
) -> NDArray[np.complex128]:
    """Coefficients of a field turned about three axes: about z by psi, y by theta, z by phi.

    The axes stay where they are, the field moves, and angles are right-handed: with
    ``R = Rz(phi) Ry(theta) Rz(psi)`` the result has at the point R x the value that `a` has at x.
    What was at the north pole is then at colatitude `theta` and longitude `phi`.

    Parameters
    ----------
    a : (..., ncoef) complex128 or complex64
        Packed coefficients with ``mmax = lmax``. The imaginary parts of order 0 are ignored.
    lmax : int
        Highest degree, inclusive, at most 1900.
    psi, theta, phi : float
        In radians, finite, in this order: that of ``healpy.rotate_alm(a, psi, theta, phi)`` and
        ``ducc0.sht.rotate_alm(a, lmax, psi, theta, phi)``. In the order of Wigner's D(α, β, γ) they
        are γ, β, α.
    out : (..., ncoef) array of the dtype of `a`, optional
        Where to write the result.

    Returns
    -------
    (..., ncoef) array of the dtype of `a`

    Raises
    ------
    TypeError, ValueError
        Wrong dtype or shape, or lmax too high; an angle that is no finite number.

    Notes
    -----
    A turn about y is one about z between two that exchange the axes [1]_, where d is
    that of Wigner at π/2, for each l::

        b(m) = e^(-im (phi+π/2)) Σ_k d(m, k) e^(-ik (theta-π)) Σ_n d(k, n) e^(-in (psi+π/2)) a(n)

    Angles appear in phases alone. Work is O(lmax³), memory O(lmax²), the error below lmax eps of
    the largest coefficient. The power of each degree stays the same.

    References
    ----------
    .. [1] T. Risbo, "Fourier transform summation of Legendre series and D-functions", J. Geodesy 70
       (1996) 383.

    Examples
    --------
    The field z, turned by 90 degrees about y, is x:

    >>> z = [0, 1.0 + 0j, 0]
    >>> rotate(z, 1, 0.0, np.pi / 2, 0.0).round(6).tolist()
    [0j, 0j, (-0.707107+0j)]
    """
    return _rotate("rotate(a, lmax, psi, theta, phi)", a, lmax, (psi, theta, phi), out, False)


def adjoint_rotate(
    b: ArrayLike, lmax: int, psi: float, theta: float, phi: float, *, out: NDArray | None = None
) -> NDArray[np.complex128]:
    """Transpose of `rotate`, with respect to Re Σ conj(x) y, that Enzyme makes of `rotate_into`.

    Parameters and errors are those of `rotate`. This is not the rotation back: orders m > 0 stand
    for two coefficients of the field, and their cotangents are twice as large.

    Examples
    --------
    >>> adjoint_rotate([0, 0, 1.0 + 0j], 1, 0.0, np.pi / 2, 0.0).round(6).tolist()
    [0j, (-0.707107+0j), 0j]
    """
    call = "adjoint_rotate(b, lmax, psi, theta, phi)"
    return _rotate(call, b, lmax, (psi, theta, phi), out, True)


@njit(error_model="numpy", nogil=True)
def rotate_into(b, a, angles, lmax):
    """`rotate` for use inside ``@njit`` code, differentiable by the coefficients and the angles.

    Parameters
    ----------
    b : (ncoef,) complex128 or complex64
        Overwritten. Contiguous, apart from `a`.
    a : (ncoef,) complex128 or complex64
        Contiguous.
    angles : (3,) float64
        psi, theta, phi, in radians.
    lmax : int
        At most 1900; ``mmax = lmax``.

    Raises
    ------
    ValueError
        Another number of coefficients or angles, or lmax too high; nothing has been written then.
    """
    n = (lmax + 1) * (lmax + 2) // 2
    if lmax < 0 or len(a) != n or len(b) != n or len(angles) != 3:
        raise ValueError(_WRONG_SIZES)
    if lmax > MAX_LMAX:
        raise ValueError(_TOO_HIGH)
    x, y = np.empty(n, np.complex128), np.empty(n, np.complex128)
    _turn_about_z_into(x, a, angles[0], 1, lmax)
    quarter_turn_into(y, x, lmax)
    _turn_about_z_into(x, y, angles[1], 2, lmax)
    quarter_turn_into(y, x, lmax)
    _turn_about_z_into(b, y, angles[2], 1, lmax)


_WRONG_SIZES = (
    "`rotate_into(b, a, angles, lmax)` needs (lmax + 1) (lmax + 2) / 2 coefficients in `a` and "
    "`b`, and 3 angles. Got another number. A rotation mixes all orders, so mmax is lmax."
)
_TOO_HIGH = "`rotate_into(b, a, angles, lmax)` needs lmax <= 1900. Got more."


@njit(error_model="numpy")
def _turn_about_z_into(b, a, angle, quarters, lmax):
    """Times e^(-im angle) (-i)^(m quarters): right angles are exact this way."""
    for m in range(lmax + 1):
        turn_order(b, a, m, (0, lmax + 1), lmax, angle, quarters)


@njit(error_model="numpy")
def turn_order(b, a, m, some, lmax, angle, quarters):
    """Some rows of one order, as the maps of `sht.operators._one_order`."""
    c, s = math.cos(m * angle), -math.sin(m * angle)
    right = m * quarters % 4
    if right % 2 == 1:
        c, s = s, -c
    if right > 1:
        c, s = -c, -s
    given, row = row_of(a, m, lmax), row_of(b, m, lmax)
    for i in range(some[0], min(len(row), some[1])):
        re, im = given[i].real, given[i].imag
        row[i] = complex(c * re - s * im, c * im + s * re)


def euler_angles(matrix: ArrayLike) -> tuple[float, float, float]:
    """Angles psi, theta, phi of `rotate` for a rotation matrix.

    Parameters
    ----------
    matrix : (3, 3) array_like of float
        Orthogonal to 1e-9, with determinant 1: ``matrix @ x`` is where the point x goes.

    Returns
    -------
    psi, theta, phi : float
        In radians, theta in [0, π], the others in [-π, π], such that
        ``matrix = Rz(phi) Ry(theta) Rz(psi)``. Where theta is 0 or π to rounding only one
        combination of the other two is determined; psi is 0 then.

    Raises
    ------
    ValueError
        Not a rotation matrix.

    Examples
    --------
    >>> euler_angles([[0, -1, 0], [1, 0, 0], [0, 0, 1]])  # x goes to y
    (0.0, 0.0, 1.5707963267948966)
    """
    r = np.asarray(matrix, np.float64)
    proper = r.shape == (3, 3) and np.allclose(r @ r.T, np.eye(3), rtol=0, atol=1e-9)
    if not proper or np.linalg.det(r) < 0.0:
        raise ValueError(
            "`euler_angles(matrix)` needs an orthogonal 3 x 3 matrix of determinant 1. "
            f"Got {r.tolist()}. A reflection is no rotation."
        )
    sine = math.hypot(r[0, 2], r[1, 2])
    theta = math.atan2(sine, r[2, 2])
    if sine < 1e-15:
        return 0.0, theta, math.atan2(-r[0, 1], r[1, 1])
    return math.atan2(r[2, 1], -r[2, 0]), theta, math.atan2(r[1, 2], r[0, 2])


def _rotate(
    call: str, a: ArrayLike, lmax: int, angles: Any, out: NDArray | None, transposed: bool
) -> NDArray[np.complex128]:
    lmax, _ = check_truncation(call, lmax, None)
    if lmax > MAX_LMAX:
        raise ValueError(f"`{call}` needs lmax <= {MAX_LMAX}. Got lmax = {lmax}.")
    try:
        turned = np.array([float(angle) for angle in angles])
    except (TypeError, ValueError):
        raise TypeError(f"`{call}` needs three numbers in radians. Got {angles!r}.") from None
    if not np.all(np.isfinite(turned)):
        raise ValueError(f"`{call}` needs finite angles. Got {angles!r}.")
    library, device, there = place_of(call, a, out)
    with there:
        given = array_in_place(call, a, library)
        if given.ndim < 1 or given.shape[-1] != ncoef(lmax):
            raise ValueError(
                f"`{call}` needs shape (..., {ncoef(lmax)}). Got {given.shape}. A rotation mixes "
                f"all orders up to the degree, so mmax must be lmax: fill up with 0."
            )
        space = Space((ncoef(lmax),), precision_of(given).complex)
        if device is None:
            constants = turned, lmax
            return apply_map(
                call, rotate_into, given, space, space, constants, out, transposed=transposed
            )
        run = functools.partial(rotate_by_threads, library, turned, lmax, transposed)
        return apply_run(call, run, given, space, space, out, library)


def rotate_by_threads(
    library: Any, angles: NDArray, lmax: int, transposed: bool, results: Any, batch: Any
) -> None:
    """Rotate each field of a batch on a device, or apply the transpose.

    Parameters
    ----------
    library : module
        CuPy, and both arrays are on the current device; or NumPy, which tests pass.
    angles : (3,) float64
        On the host.
    lmax : int
    transposed : bool
    results, batch : (count, ncoef) complex
        C-contiguous. `results` is overwritten.
    """
    from llvm import kernel  # imported here, so that `import sht` stays light

    quarter = kernel(quarter_turn_of, atomics=False)[len(batch) * (lmax + 1) ** 2]
    x, y = (library.empty(batch.shape, np.complex128) for _ in range(2))
    turns = list(zip(angles.tolist(), (1, 2, 1), strict=True))
    if transposed:  # of a product, the conjugate's
        turns = [(-angle, -quarters) for angle, quarters in reversed(turns)]

    def turn(output: Any, given: Any, by: tuple[float, int]) -> None:
        run_by_orders(library, turn_order, (lmax, lmax), by, False, output, given)

    turn(x, batch, turns[0])
    quarter(y, x, lmax, int(transposed))
    turn(x, y, turns[1])
    quarter(y, x, lmax, int(transposed))
    turn(results, y, turns[2])
