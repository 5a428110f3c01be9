"""Power and cross spectra: how much of a field, or of two, is in each degree."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from ._apply import Space, apply_map, apply_run, forwards, place_of
from ._arguments import as_batch, check_out
from ._packed import check_degrees, check_packed, precision_of
from ._spectrum import check_truncation, ncoef


@njit(error_model="numpy")
def cross_spectrum_into(c, a, b, lmax, mmax):
    """Write the cross spectrum of two sets of coefficients; see `cross_spectrum`.

    Parameters
    ----------
    c : (lmax + 1,) real
        Overwritten.
    a, b : (ncoef,) complex
        Packed coefficients; may be the same array.
    lmax, mmax : int
        Highest degree and order, inclusive.

    Raises
    ------
    ValueError
        Another number of degrees or coefficients.
    """
    check_degrees(c, lmax)
    check_packed(a, lmax, mmax)
    check_packed(b, lmax, mmax)
    for l in range(lmax + 1):  # noqa: E741
        _degree_into(c, a, b, l, lmax, mmax)


@njit(error_model="numpy")
def _degree_into(c, a, b, l, lmax, mmax):  # noqa: E741
    total = 0.0
    k = l + lmax
    for m in range(1, min(l, mmax) + 1):
        total += _product(a[k].real, b[k].real) + _product(a[k].imag, b[k].imag)
        k += lmax - m
    c[l] = (_product(a[l].real, b[l].real) + 2.0 * total) / (2 * l + 1)


@njit(error_model="numpy")
def spectrum_of_degree(i, c, a, b, lmax, mmax):
    """Thread i: one degree of one pair of fields, on a device."""
    field = i // (lmax + 1)
    _degree_into(c[field], a[field], b[field], i % (lmax + 1), lmax, mmax)


@njit(error_model="numpy")
def _product(x, y):
    # Of complex64, the parts are float32, and so would their product be.
    return np.float64(x) * np.float64(y)


@njit(error_model="numpy")
def power_spectrum_into(c, a, lmax, mmax):
    """Write the power spectrum of coefficients; see `power_spectrum` and `cross_spectrum_into`."""
    cross_spectrum_into(c, a, a, lmax, mmax)


def power_spectrum(
    a: ArrayLike, lmax: int, mmax: int | None = None, out: NDArray | None = None
) -> NDArray:
    r"""Power of a field in each degree: the mean square of its coefficients.

    .. math:: C_l = \frac{1}{2l+1} \sum_{m=-l}^{l} |a_{lm}|^2
              = \frac{1}{2l+1} \Bigl(a_{l0}^2 + 2 \sum_{m=1}^{l} |a_{lm}|^2\Bigr)

    Parameters
    ----------
    a : (..., ncoef) complex128 or complex64
        Packed coefficients. Imaginary parts of a_l0, which no field sees, do not count.
    lmax, mmax : int
        Highest degree and order, inclusive; ``mmax`` is ``lmax`` if not given.
    out : (..., lmax + 1) array, optional
        Where to write the result.

    Returns
    -------
    (..., lmax + 1) float64 or float32
        In the unit of the field squared, as precise as `a`; sums are made in float64.

    Raises
    ------
    TypeError, ValueError
        The truncation is impossible; wrong dtype, shape, or `out`.

    Notes
    -----
    Parseval: Σ (2l+1) C_l is the integral of the squared field over the unit sphere; divided by 4π,
    its mean square. Equal to ``healpy.alm2cl(a)``.

    Examples
    --------
    >>> power_spectrum([1.0, 3.0, 1.0 + 2.0j], lmax=1).round(3).tolist()
    [1.0, 6.333]
    """
    call = "power_spectrum(a, lmax, mmax)"
    lmax, mmax = check_truncation(call, lmax, mmax)
    library, device, there = place_of(call, a, out)
    with there:
        precision = precision_of(a)
        source = Space((ncoef(lmax, mmax),), precision.complex)
        target = Space((lmax + 1,), precision.real)
        if device is None:
            return apply_map(call, power_spectrum_into, a, source, target, (lmax, mmax), out)

        def run(results: NDArray, batch: NDArray) -> None:
            _on_device(results, batch, batch, lmax, mmax)

        return apply_run(call, run, a, source, target, out, library)


def cross_spectrum(
    a: ArrayLike, b: ArrayLike, lmax: int, mmax: int | None = None, out: NDArray | None = None
) -> NDArray:
    r"""Cross power of two fields in each degree.

    .. math:: C_l = \frac{1}{2l+1} \sum_{m=-l}^{l} a_{lm} \overline{b_{lm}}

    Parameters
    ----------
    a, b : (..., ncoef) complex128 or complex64
        Packed coefficients, both of one dtype. Leading axes broadcast.
    lmax, mmax : int
        Highest degree and order, inclusive; ``mmax`` is ``lmax`` if not given.
    out : (..., lmax + 1) array, optional
        Where to write the result.

    Returns
    -------
    (..., lmax + 1) float64 or float32
        Of either sign; of two equal fields, the `power_spectrum`.

    Raises
    ------
    TypeError, ValueError
        The truncation is impossible; wrong dtype, shape, or `out`.

    Notes
    -----
    Σ (2l+1) C_l is the integral of the product of the fields. Equal to ``healpy.alm2cl(a, b)``.
    The correlation of two fields, degree by degree, is C_l(a, b) / √(C_l(a) C_l(b)).

    Examples
    --------
    >>> cross_spectrum([1.0, 3.0, 1.0 + 2.0j], [2.0, 1.0, 0.0 - 1.0j], lmax=1).round(3).tolist()
    [2.0, -0.333]
    """
    call = "cross_spectrum(a, b, lmax, mmax)"
    lmax, mmax = check_truncation(call, lmax, mmax)
    library, device, there = place_of(call, a, b, out)
    with there:
        dtype, real = precision_of(a)
        count = (ncoef(lmax, mmax),)
        a_batch, a_leading = as_batch(call, a, count, dtype, library)
        b_batch, b_leading = as_batch(call, b, count, dtype, library)
        try:
            leading = np.broadcast_shapes(a_leading, b_leading)
        except ValueError:
            raise ValueError(
                f"`{call}` needs leading axes that broadcast. Got {a_leading} and {b_leading}."
            ) from None
        a_all = library.broadcast_to(a_batch.reshape(a_leading + count), leading + count)
        b_all = library.broadcast_to(b_batch.reshape(b_leading + count), leading + count)
        shape = (*leading, lmax + 1)
        if out is not None:
            check_out(call, out, shape, real, a_batch, library)
            check_out(call, out, shape, real, b_batch, library)
        result = library.empty(shape, real) if out is None else out
        if device is not None:
            x, y = (library.ascontiguousarray(x).reshape(-1, *count) for x in (a_all, b_all))
            c = library.empty((math.prod(leading), lmax + 1), real)
            _on_device(c, x, y, lmax, mmax)
            result[...] = c.reshape(shape)
            return result
        c = np.empty(lmax + 1, real)
        for index in np.ndindex(leading):
            forwards(cross_spectrum_into, c, a_all[index], b_all[index], lmax, mmax)
            result[index] = c
        return result


def _on_device(c: NDArray, a: NDArray, b: NDArray, lmax: int, mmax: int) -> None:
    from llvm import kernel  # imported here, so that `import sht` stays light

    kernel(spectrum_of_degree)[c.size](c, a, b, lmax, mmax)
