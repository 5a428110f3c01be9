"""Real FFTs of many rings, as they run on the host: NumPy's ring by ring, and dot tests."""

import numpy as np
import pytest

from enzyme_rules import _cupy
from enzyme_rules._cupy import DeviceError
from enzyme_rules.cufft import (
    batch_rings,
    brfft_rings_adjoint_into,
    brfft_rings_into,
    rfft_rings_adjoint_into,
    rfft_rings_into,
    sizes,
    spectrum_of,
    values_of,
)

LENGTHS = [
    pytest.param([12, 12, 12], id="full"),
    pytest.param([4, 8, 12, 12, 8, 4], id="reduced"),
    pytest.param([7, 1, 2, 9, 7, 3, 2, 1, 5], id="any"),
]
DTYPES = [np.float64, np.float32]
every = pytest.mark.parametrize("lengths", LENGTHS)
precise = pytest.mark.parametrize("dtype", DTYPES, ids=["float64", "float32"])
FIELDS = 3


def random_arrays(rings, dtype, seed):
    """Values and half spectra; the imaginary parts that real values do not have are 0."""
    rng, (count, half) = np.random.default_rng(seed), sizes(rings)
    values = rng.standard_normal(FIELDS * count).astype(dtype)
    spectra = rng.standard_normal((FIELDS * half, 2)) @ np.array([1, 1j])
    spectra = spectra.astype(np.result_type(dtype, np.complex64))
    for _, spectrum, n in rows(rings, values, spectra):
        spectrum[0] = spectrum[0].real
        if n % 2 == 0:
            spectrum[-1] = spectrum[-1].real
    return values, spectra


def rows(rings, values, spectra):
    """Each ring of each field, by the functions that kernels use."""
    for field in range(FIELDS):
        for ring, n in enumerate(rings.n.tolist()):
            v = values_of.py_func(rings, ring, field, FIELDS)
            s = spectrum_of.py_func(rings, ring, field, FIELDS)
            yield values[v : v + n], spectra[s : s + n // 2 + 1], n


@every
def test_rings_fill_their_batches(lengths):
    rings = batch_rings(lengths)
    count, half = sizes(rings)
    values, spectra = np.zeros(FIELDS * count), np.zeros(FIELDS * half)
    for value, spectrum, _ in rows(rings, values, spectra):
        value += 1
        spectrum += 1
    assert np.all(values == 1)
    assert np.all(spectra == 1)


def test_a_full_grid_is_one_batch_as_it_is():
    rings = batch_rings([5] * 4)
    starts = [values_of.py_func(rings, ring, f, FIELDS) for f in range(FIELDS) for ring in range(4)]
    assert starts == list(range(0, 5 * 4 * FIELDS, 5))


@precise
@every
def test_each_ring_is_numpys(lengths, dtype):
    rings, eps = batch_rings(lengths), np.finfo(dtype).eps
    values, spectra = random_arrays(rings, dtype, 1)
    forth, back = np.full_like(spectra, np.nan), np.full_like(values, np.nan)
    rfft_rings_into(forth, values, rings, FIELDS)
    for value, spectrum, n in rows(rings, values, forth):
        want = np.fft.rfft(value.astype(np.float64))
        assert np.max(np.abs(spectrum - want)) <= 4 * eps * n
    kept = spectra.copy()
    brfft_rings_into(back, spectra, rings, FIELDS)
    for value, spectrum, n in rows(rings, back, kept):
        want = n * np.fft.irfft(spectrum.astype(np.complex128), n)
        assert np.max(np.abs(value - want)) <= 8 * eps * n


@precise
@every
@pytest.mark.parametrize(
    ("into", "adjoint_into"),
    [(rfft_rings_into, rfft_rings_adjoint_into), (brfft_rings_into, brfft_rings_adjoint_into)],
)
def test_dot(into, adjoint_into, lengths, dtype):
    rings, eps = batch_rings(lengths), np.finfo(dtype).eps
    values, spectra = random_arrays(rings, dtype, 2)
    x, y = (values, spectra) if into is rfft_rings_into else (spectra, values)
    forth, back = np.full_like(y, np.nan), np.full_like(x, np.nan)
    into(forth, x.copy(), rings, FIELDS)
    adjoint_into(back, y.copy(), rings, FIELDS)
    scale = np.linalg.norm(forth) * np.linalg.norm(y)
    both = float(np.vdot(forth, y).real), float(np.vdot(x, back).real)
    assert abs(both[0] - both[1]) <= 4 * eps * scale


@every
def test_imaginary_parts_that_are_no_freedom(lengths):
    rings = batch_rings(lengths)
    values, spectra = random_arrays(rings, np.float64, 3)
    brfft_rings_adjoint_into(spectra, values, rings, FIELDS)
    other = spectra.copy()
    for _, spectrum, n in rows(rings, values, spectra):
        assert spectrum[0].imag == 0
        assert n % 2 or spectrum[-1].imag == 0
    for _, spectrum, n in rows(rings, values, other):
        spectrum[0] += 1j
        if n % 2 == 0:
            spectrum[-1] += 1j
    one, two = np.empty_like(values), np.empty_like(values)
    rfft_rings_adjoint_into(one, spectra, rings, FIELDS)
    rfft_rings_adjoint_into(two, other, rings, FIELDS)
    assert np.array_equal(one, two)


@pytest.mark.parametrize("lengths", [[], [3, 0], [[4]], [2.0], 4], ids=str)
def test_lengths_that_are_none(lengths):
    with pytest.raises(ValueError, match="an integer >= 1 for each ring"):
        batch_rings(lengths)


@pytest.mark.parametrize(
    ("dtype", "spectra_dtype", "missing"),
    [(np.float64, np.complex64, 0), (np.int64, np.complex128, 0), (np.float64, np.complex128, 1)],
)
def test_other_arrays(dtype, spectra_dtype, missing):
    rings = batch_rings([4, 6])
    count, half = sizes(rings)
    values, spectra = np.zeros(count - missing, dtype), np.zeros(half, spectra_dtype)
    for call, y, x in ((rfft_rings_into, spectra, values), (brfft_rings_into, values, spectra)):
        with pytest.raises(ValueError, match=r"needs 1 x 10 real values and 1 x 7 complex ones"):
            call(y, x, rings, 1)


class WithoutCufft:
    """CuPy where its library of FFTs is not installed."""

    @property
    def cuda(self):
        raise ImportError("Failure finding libcufft.so.11")


def test_no_cufft(monkeypatch):
    monkeypatch.setattr(_cupy, "cupy", WithoutCufft)
    with pytest.raises(DeviceError, match=r"need cuFFT.*Failure finding.*enzyme-sht\[cuda12\]"):
        _cupy.cufft()
