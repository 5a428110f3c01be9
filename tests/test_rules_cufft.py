"""Real FFTs of many rings, as they run on the host: NumPy's ring by ring, and dot tests."""

from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import numpy as np
import pytest

from enzyme_rules import _cupy, _device_ffts
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
from tests import standin_cuda
from tests.standin_cuda import Graph, Plan1d, Stream, current_stream, ndarray

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


# On a device, on the stand-in: many lengths are one launch from the third time on


MANY = [4, 8, 12, 16, 20, 20, 16, 12, 8, 4]


@pytest.fixture
def gpu(monkeypatch, tmp_path):
    standin_cuda.install(monkeypatch, tmp_path)
    monkeypatch.setattr(_device_ffts, "_places", _device_ffts._Places())


def started(run):
    """The calls of cuFFT that were made from the host, and the graphs that were launched."""
    before = Plan1d.calls, Graph.launched
    run()
    return Plan1d.calls - before[0], Graph.launched - before[1]


def on_device(lengths, dtype=np.float64):
    rings = batch_rings(lengths)
    values, spectra = random_arrays(rings, dtype, 4)
    return rings, ndarray(values), ndarray(spectra)


@precise
def test_what_is_done_again_is_one_launch(gpu, dtype):
    rings, values, spectra = on_device(MANY, dtype)
    counts = []
    for seed in (5, 6, 7, 8):
        given, half = random_arrays(rings, dtype, seed)
        values[:], spectra[:] = given, half
        rings_twice = _host(rings, given, half)
        found = ndarray(np.full_like(given, np.nan))
        counts.append(started(lambda: rfft_rings_into(spectra, values, rings, FIELDS)))
        np.testing.assert_array_equal(spectra.get(), rings_twice[0])
        spectra[:] = half
        counts.append(started(lambda: brfft_rings_into(values, spectra, rings, FIELDS)))
        np.testing.assert_array_equal(values.get(), rings_twice[1])
        brfft_rings_into(found, ndarray(half), rings, FIELDS)  # elsewhere, in between
        np.testing.assert_array_equal(found.get(), rings_twice[1])
    assert counts == [(5, 0)] * 2 + [(5, 1)] * 2 + [(0, 1)] * 4


def _host(rings, given, half):
    spectra, values = np.empty_like(half), np.empty_like(given)
    rfft_rings_into(spectra, given, rings, FIELDS)
    brfft_rings_into(values, half.copy(), rings, FIELDS)
    return spectra, values


def test_one_length_needs_no_graph(gpu):
    rings, values, spectra = on_device([12] * 6)
    for _ in range(4):
        assert started(lambda: rfft_rings_into(spectra, values, rings, FIELDS)) == (1, 0)


def test_other_rings_or_fields_on_the_same_memory(gpu):
    """Equal sizes, other divisions: another graph."""
    for lengths in (MANY, [*MANY[:-2], 6, 6], MANY):
        rings = batch_rings(lengths)
        values, spectra = random_arrays(rings, np.float64, 4)
        _same_memory[0][: values.size] = values
        there = ndarray(_same_memory[0])[: values.size], ndarray(_same_memory[1])[: spectra.size]
        for _ in range(3):
            rfft_rings_into(there[1], there[0], rings, FIELDS)
            np.testing.assert_array_equal(there[1].get(), _host(rings, values, spectra)[0])


_same_memory = np.zeros(1000), np.zeros(1000, complex)


def test_the_oldest_graphs_go(gpu, monkeypatch):
    monkeypatch.setattr(_device_ffts, "_MOST_GRAPHS", 2)
    rings, values, spectra = on_device(MANY)
    others = [ndarray(np.empty_like(spectra.get())) for _ in range(3)]

    def run(output):
        return started(lambda: rfft_rings_into(output, values, rings, FIELDS))

    assert [run(spectra) for _ in range(3)] == [(5, 0), (5, 1), (0, 1)]
    assert [run(output) for output in (*others, spectra)] == [(5, 0)] * 4
    (place,) = _device_ffts._places.all.values()
    assert len(place.graphs) == 2
    for _ in range(5):  # more places than there is room for: none is captured, all are right
        for output in (*others, spectra):
            assert run(output) == (5, 0)


def test_where_cuda_refuses_to_capture(gpu, monkeypatch):
    monkeypatch.setattr(Stream, "can_capture", False)
    rings, values, spectra = on_device(MANY)
    for _ in range(3):
        assert started(lambda: rfft_rings_into(spectra, values, rings, FIELDS)) == (5, 0)


def test_calls_that_fail_while_they_are_captured(gpu, monkeypatch):
    rings, values, spectra = on_device(MANY)
    want = _host(rings, values.get(), spectra.get())[0]
    rfft_rings_into(spectra, values, rings, FIELDS)
    original = Plan1d.fft

    def fails(self, given, output, direction):
        if current_stream().ptr and self.n == 12:
            raise RuntimeError("CUFFT_EXEC_FAILED")
        original(self, given, output, direction)

    monkeypatch.setattr(Plan1d, "fft", fails)
    spectra[:] = 0
    rfft_rings_into(spectra, values, rings, FIELDS)
    np.testing.assert_array_equal(spectra.get(), want)
    assert current_stream().ptr == 0


def test_inside_of_a_capture_of_the_users_own(gpu):
    rings, values, spectra = on_device(MANY)
    want = _host(rings, values.get(), spectra.get())[0]
    with Stream() as mine:
        for _ in range(2):
            rfft_rings_into(spectra, values, rings, FIELDS)
        spectra[:] = 0
        mine.begin_capture()
        assert started(lambda: rfft_rings_into(spectra, values, rings, FIELDS)) == (5, 0)
        graph = mine.end_capture()
        assert not spectra.get().any()
    graph.launch()
    np.testing.assert_array_equal(spectra.get(), want)


def test_each_stream_and_thread_has_its_own(gpu):
    rings, values, spectra = on_device(MANY)

    def run():
        return started(lambda: rfft_rings_into(spectra, values, rings, FIELDS))

    assert [run() for _ in range(3)] == [(5, 0), (5, 1), (0, 1)]
    with Stream():
        assert [run() for _ in range(3)] == [(5, 0), (5, 1), (0, 1)]
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(run).result() == (5, 0)
    assert run() == (0, 1)


@pytest.mark.skipif(find_spec("cupy") is None, reason="CuPy is not installed")
def test_cupy_has_what_the_standin_has():
    import cupy

    assert {"begin_capture", "end_capture", "is_capturing", "synchronize"} <= set(
        dir(cupy.cuda.Stream)
    )
    assert "launch" in dir(cupy.cuda.Graph)
    assert "launch(self, stream=None)" in cupy.cuda.Graph.launch.__doc__
    assert issubclass(cupy.cuda.runtime.CUDARuntimeError, RuntimeError)
