"""Real FFTs of many rings at once, by cuFFT on a GPU and by NumPy on the host.

Rings of one length are one batch. Its values are ``[field][ring][n]``, its half spectra
``[field][ring][n // 2 + 1]``, and the batches follow each other, the shortest rings first; rings
keep their order within a batch. So a field on a full grid is one batch as it is. All transforms
are unnormalised, as those of `enzyme_rules.fftw`.

These functions start work from Python, so that there is no call in compiled code for which a
`LinearRule` could be registered. The pairs that such rules would hold are functions here:
`rfft_rings_into` with `rfft_rings_adjoint_into`, `brfft_rings_into` with
`brfft_rings_adjoint_into`. Kernels before and after them are differentiated on their own.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from ._cupy import is_on_device
from ._device_ffts import real_ffts


class RingBatches(NamedTuple):
    """Where each ring is. Passed to ``@njit`` code as it is: see `values_of` and `spectrum_of`.

    Attributes
    ----------
    n : (nrings,) int64
        Points.
    batch : (nrings,) int64
        How many rings have this length.
    rank : (nrings,) int64
        Which of these it is.
    values, spectra : (nrings,) int64
        Where the values and the half spectra of its batch begin, if there is one field.
    """

    n: np.ndarray
    batch: np.ndarray
    rank: np.ndarray
    values: np.ndarray
    spectra: np.ndarray


def batch_rings(lengths: Any) -> RingBatches:
    """Rings of some lengths, in batches.

    Parameters
    ----------
    lengths : (nrings,) array_like of int
        At least one, each at least 1.

    Raises
    ------
    ValueError
        Another shape, or a length that is not an integer or < 1.
    """
    n = np.asarray(lengths)
    if n.ndim != 1 or n.size == 0 or n.dtype.kind not in "iu" or n.min() < 1:
        raise ValueError(
            f"`batch_rings(lengths)` needs an integer >= 1 for each ring, and at least one. "
            f"Got {lengths!r}."
        )
    different, index, counts = np.unique(n, return_inverse=True, return_counts=True)
    order = np.argsort(index, kind="stable")
    rank = np.empty(n.size, np.int64)
    rank[order] = np.arange(n.size) - np.repeat(np.cumsum(counts) - counts, counts)
    values = np.cumsum([0, *(counts * different)[:-1]])
    spectra = np.cumsum([0, *(counts * (different // 2 + 1))[:-1]])
    batches = RingBatches(
        n.astype(np.int64), counts[index].astype(np.int64), rank, values[index], spectra[index]
    )
    for array in batches:
        array.setflags(write=False)
    return batches


def sizes(rings: RingBatches) -> tuple[int, int]:
    """How many values, and how many of half spectra, one field has."""
    return int(rings.n.sum()), int((rings.n // 2 + 1).sum())


@njit(error_model="numpy")
def values_of(rings, ring, field, fields):
    """Where the values of one ring of one of the fields begin, inside ``@njit`` code."""
    row = field * rings.batch[ring] + rings.rank[ring]
    return rings.values[ring] * fields + row * rings.n[ring]


@njit(error_model="numpy")
def spectrum_of(rings, ring, field, fields):
    """Where the half spectrum of one ring of one of the fields begins, inside ``@njit`` code."""
    row = field * rings.batch[ring] + rings.rank[ring]
    return rings.spectra[ring] * fields + row * (rings.n[ring] // 2 + 1)


def rfft_rings_into(spectra: Any, values: Any, rings: RingBatches, fields: int) -> None:
    """``spectra[k] = Σ_i values[i] exp(-2πi k i / n)`` for each ring, k = 0 … n // 2.

    Parameters
    ----------
    spectra : (fields * Σ (n // 2 + 1),) complex64 or complex128
        Overwritten.
    values : (fields * Σ n,) float32 or float64
        Both of one precision and in one place: NumPy's or CuPy's, C-contiguous.
    rings : RingBatches
        NumPy's.
    fields : int

    Raises
    ------
    ValueError
        Arrays of other sizes, dtypes, or in two places.
    """
    _check("rfft_rings_into(spectra, values, rings, fields)", values, spectra, rings, fields)
    batches = functools.partial(_batches, values, spectra, rings, fields)
    if is_on_device(values):
        real_ffts(spectra, values, rings, fields, batches)
        return
    for _, some_values, some_spectra in batches():
        some_spectra[...] = np.fft.rfft(some_values)


def brfft_rings_into(values: Any, spectra: Any, rings: RingBatches, fields: int) -> None:
    """``values[i] = Re Σ_k s_k spectra[k] exp(2πi k i / n)`` for each ring, s its multiplicity.

    Imaginary parts at k = 0 and, for even n, at k = n/2 must be 0: cuFFT does not say what becomes
    of others. What `spectra` holds is undefined afterwards. Arguments as for `rfft_rings_into`.
    """
    _check("brfft_rings_into(values, spectra, rings, fields)", values, spectra, rings, fields)
    batches = functools.partial(_batches, values, spectra, rings, fields)
    if is_on_device(values):
        real_ffts(values, spectra, rings, fields, lambda: ((n, s, v) for n, v, s in batches()))
        return
    for n, some_values, some_spectra in batches():
        some_values[...] = np.fft.irfft(some_spectra, n, norm="forward")


def rfft_rings_adjoint_into(dvalues: Any, dspectra: Any, rings: RingBatches, fields: int) -> None:
    """The transpose of `rfft_rings_into`, with respect to Re Σ conj(x) y; `dspectra` is used up."""
    _check("rfft_rings_adjoint_into", dvalues, dspectra, rings, fields)
    for n, _, some in _batches(dvalues, dspectra, rings, fields):
        some[:, 1 : (n + 1) // 2] *= 0.5
        _make_hermitian(some, n)
    brfft_rings_into(dvalues, dspectra, rings, fields)


def brfft_rings_adjoint_into(dspectra: Any, dvalues: Any, rings: RingBatches, fields: int) -> None:
    """The transpose of `brfft_rings_into`, with respect to Re Σ conj(x) y."""
    rfft_rings_into(dspectra, dvalues, rings, fields)
    for n, _, some in _batches(dvalues, dspectra, rings, fields):
        some[:, 1 : (n + 1) // 2] *= 2.0
        _make_hermitian(some, n)


def _make_hermitian(spectra: Any, n: int) -> None:
    """Clear the imaginary parts that are no freedom of real values."""
    spectra[:, 0].imag = 0.0
    if n % 2 == 0:
        spectra[:, n // 2].imag = 0.0


def _batches(
    values: Any, spectra: Any, rings: RingBatches, fields: int
) -> Iterator[tuple[int, Any, Any]]:
    """Each length with its batch: (fields * rings, n) and (fields * rings, n // 2 + 1)."""
    for ring in np.flatnonzero(rings.rank == 0):
        n, count = int(rings.n[ring]), fields * int(rings.batch[ring])
        begin, half = fields * int(rings.values[ring]), n // 2 + 1
        some_values = values[begin : begin + count * n].reshape(count, n)
        begin = fields * int(rings.spectra[ring])
        yield n, some_values, spectra[begin : begin + count * half].reshape(count, half)


def _check(call: str, values: Any, spectra: Any, rings: RingBatches, fields: int) -> None:
    count, half = sizes(rings)
    wanted = np.result_type(values.dtype, np.complex64)
    if (
        values.dtype not in (np.float32, np.float64)
        or spectra.dtype != wanted
        or values.shape != (fields * count,)
        or spectra.shape != (fields * half,)
        or is_on_device(values) != is_on_device(spectra)
    ):
        raise ValueError(
            f"`{call}` needs {fields} x {count} real values and {fields} x {half} complex ones of "
            f"the same precision, flat, both on the host or both on a device. Got {values.dtype} "
            f"of shape {values.shape} and {spectra.dtype} of shape {spectra.shape}."
        )
