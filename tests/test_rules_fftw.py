"""FFTW's transforms and their adjoints, for every length from 1 to 64."""

import gc
import re
import threading
import tracemalloc
from typing import Any

import numba
import numpy as np
import pytest

from enzyme_rules.fftw import (
    brfft_into,
    fft_of,
    fft_scratch,
    plan_real_fft,
    plan_real_ffts,
    rfft_into,
)
from enzyme_rules.testing import test_rule
from llvm import AutodiffError, Const, Duplicated, Forward, Reverse, autodiff, value_and_grad
from llvm._rule_calls import opaque_calls

LENGTHS = range(1, 65)
DTYPES = [np.float64, np.float32]
TOLERANCE = {np.float64: 1e-14, np.float32: 1e-6}  # relative to the norm: FFTs grow like √log n
dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)


def complex_of(dtype):
    return np.result_type(dtype, np.complex64)


def random(rng, count, dtype):
    if np.dtype(dtype).kind == "c":
        return (rng.standard_normal(count) + 1j * rng.standard_normal(count)).astype(dtype)
    return rng.standard_normal(count).astype(dtype)


def example(n, dtype, seed=0):
    """Values, spectrum, plan and scratch, random."""
    rng = np.random.default_rng(1000 * seed + n)
    plan = plan_real_fft(n, dtype)
    values, spectrum = random(rng, n, dtype), random(rng, n // 2 + 1, complex_of(dtype))
    return values, spectrum, plan, fft_scratch(plan)


def error(got, expected):
    return np.linalg.norm(got - expected) / np.linalg.norm(expected)


def transform(name, values, spectrum) -> list[Any]:
    """The function and its arguments, output first."""
    if name == "rfft":
        return [rfft_into, spectrum, values]
    return [brfft_into, values, spectrum]


names = pytest.mark.parametrize("name", ["rfft", "brfft"])


# --- values ------------------------------------------------------------------------------------


@dtypes
def test_values_are_those_of_numpy(dtype):
    for n in LENGTHS:
        values, spectrum, plan, scratch = example(n, dtype)
        out = np.full_like(spectrum, np.nan)
        rfft_into(out, values, plan, scratch)
        expected = np.fft.rfft(values.astype(np.float64))
        assert error(out, expected) < TOLERANCE[dtype], n
        # Exactly zero, whatever the library does for short lengths.
        assert out[0].imag == 0
        assert n % 2 or out[-1].imag == 0

        out = np.full_like(values, np.nan)
        brfft_into(out, spectrum, plan, scratch)
        expected = n * np.fft.irfft(spectrum.astype(np.complex128), n)
        assert error(out, expected) < TOLERANCE[dtype], n


@dtypes
def test_inputs_are_preserved(dtype):
    for n in LENGTHS:
        values, spectrum, plan, scratch = example(n, dtype)
        before = values.tobytes(), spectrum.tobytes()
        rfft_into(np.empty_like(spectrum), values, plan, scratch)
        brfft_into(np.empty_like(values), spectrum, plan, scratch)
        assert (values.tobytes(), spectrum.tobytes()) == before, n


@dtypes
def test_arrays_may_begin_anywhere(dtype):
    for n in LENGTHS:
        values, spectrum, plan, scratch = example(n, dtype)
        odd_values, odd_spectrum = (
            np.empty(n + 1, dtype)[1:],
            np.empty(2 * len(spectrum) + 1, dtype),
        )
        odd_spectrum = odd_spectrum[1:].view(spectrum.dtype)
        assert odd_values.ctypes.data % 16
        odd_values[:], odd_spectrum[:] = values, spectrum
        out, odd_out = np.empty_like(spectrum), np.empty_like(odd_spectrum)
        rfft_into(out, values, plan, scratch)
        rfft_into(odd_out, odd_values, plan, scratch)
        rfft_into(odd_spectrum, values, plan, scratch)
        assert error(odd_out, out) < TOLERANCE[dtype], n
        assert error(odd_spectrum, out) < TOLERANCE[dtype], n
        odd_spectrum[:] = spectrum
        out = np.empty_like(values)
        brfft_into(out, spectrum, plan, scratch)
        brfft_into(odd_values, odd_spectrum, plan, scratch)
        assert error(odd_values, out) < TOLERANCE[dtype], n


@dtypes
def test_imaginary_parts_that_are_no_freedom(dtype):
    """At k = 0, and for even n at k = n/2: without effect, and without gradient."""
    for n in LENGTHS:
        values, spectrum, plan, scratch = example(n, dtype)
        other = spectrum.copy()
        null = [0, n // 2] if n % 2 == 0 else [0]
        other[null] += 1j
        out, same = np.empty_like(values), np.empty_like(values)
        brfft_into(out, spectrum, plan, scratch)
        brfft_into(same, other, plan, scratch)
        assert error(same, out) < TOLERANCE[dtype], n

        gradient = np.zeros_like(spectrum)
        differentiate(Reverse, "brfft", (out, values), (spectrum, gradient), plan, scratch)
        assert (gradient[null].imag == 0).all(), n
        # The adjoint of rfft ignores cotangents there, too.
        got = [np.zeros_like(values), np.zeros_like(values)]
        for gradient, cotangent in zip(got, (spectrum, other), strict=True):
            pair = spectrum.copy(), cotangent.copy()
            differentiate(Reverse, "rfft", pair, (values, gradient), plan, scratch)
        assert error(got[1], got[0]) < TOLERANCE[dtype], n


# --- derivatives -------------------------------------------------------------------------------


def differentiate(mode, name, output, values, plan, scratch):
    function = rfft_into if name == "rfft" else brfft_into
    autodiff(mode, function, Duplicated(*output), Duplicated(*values), Const(plan), Const(scratch))


@dtypes
@names
def test_adjoint(name, dtype):
    """⟨ȳ, J ẋ⟩ = ⟨Jᵀ ȳ, ẋ⟩ relative to the product of the norms, and shadows as they should be."""
    worst = 0.0
    for n in LENGTHS:
        values, spectrum, plan, scratch = example(n, dtype)
        _, y, x = transform(name, values, spectrum)
        tangent, cotangent, start = (
            random(np.random.default_rng(n), len(a), a.dtype) for a in (x, y, x)
        )
        pushed = np.full_like(y, np.nan)
        differentiate(Forward, name, (y.copy(), pushed), (x, tangent), plan, scratch)
        alone = np.empty_like(y)
        (rfft_into if name == "rfft" else brfft_into)(alone, tangent, plan, scratch)
        assert pushed.tobytes() == alone.tobytes(), n

        gradient, used = start.copy(), cotangent.copy()
        differentiate(Reverse, name, (y.copy(), used), (x, gradient), plan, scratch)
        assert not used.any(), n
        left = np.vdot(cotangent.astype(complex), pushed.astype(complex)).real
        right = np.vdot((gradient - start).astype(complex), tangent.astype(complex)).real
        scale = np.linalg.norm(cotangent) * np.linalg.norm(pushed)
        # What the shadow held before is added and subtracted again.
        scale += np.linalg.norm(start) * np.linalg.norm(tangent)
        worst = max(worst, abs(left - right) / scale)
    assert worst < TOLERANCE[dtype]


@dtypes
def test_adjoints_are_the_formulas(dtype):
    """With s_k = 1 at k = 0 and at Nyquist, else 2: brfft(X̄ / s), and s · rfft(x̄)."""
    for n in LENGTHS:
        values, spectrum, plan, scratch = example(n, dtype)
        s = np.full(n // 2 + 1, 2)
        s[0] = 1
        if n % 2 == 0:
            s[-1] = 1
        np.testing.assert_array_equal(plan.multiplicity, s)
        gradient = np.zeros_like(values)
        pair = spectrum.copy(), spectrum.copy()
        differentiate(Reverse, "rfft", pair, (values, gradient), plan, scratch)
        expected = n * np.fft.irfft(spectrum.astype(np.complex128) / s, n)
        assert error(gradient, expected) < TOLERANCE[dtype], n
        gradient = np.zeros_like(spectrum)
        pair = values.copy(), values.copy()
        differentiate(Reverse, "brfft", pair, (spectrum, gradient), plan, scratch)
        expected = s * np.fft.rfft(values.astype(np.float64))
        assert error(gradient, expected) < TOLERANCE[dtype], n


@dtypes
@names
def test_rule_at_odd_and_even_lengths(name, dtype):
    for n in (1, 2, 9, 16):
        values, spectrum, plan, scratch = example(n, dtype)
        test_rule(*transform(name, values, spectrum), plan, scratch)


def test_inside_a_loop_over_rings():
    """As a transform uses it: rows of an array, the same scratch for each."""

    @numba.njit
    def energy(field, spectra, plan, scratch):
        total = 0.0
        for j in range(field.shape[0]):
            rfft_into(spectra[j], field[j], plan, scratch)
            for k in range(spectra.shape[1]):
                total += abs(spectra[j, k]) ** 2 * plan.multiplicity[k]
        return total

    plan = plan_real_fft(12)
    field = np.random.default_rng(0).standard_normal((3, 12))
    spectra = np.zeros((3, 7), np.complex128)
    value, gradient = value_and_grad(energy)(field, spectra, plan, fft_scratch(plan))
    # Parseval: Σ_k s_k |X_k|² = n Σ_i x_i²
    assert value == pytest.approx(12 * (field**2).sum(), rel=1e-14)
    np.testing.assert_allclose(gradient, 24 * field, rtol=0, atol=1e-13 * 24)


# --- plans -------------------------------------------------------------------------------------


def test_the_same_plan_for_the_same_length():
    assert plan_real_fft(36) is plan_real_fft(36, "float64")
    assert plan_real_fft(36, np.float32) is not plan_real_fft(36)
    assert plan_real_fft(36, effort="measure") is not plan_real_fft(36)
    assert not plan_real_fft(36).multiplicity.flags.writeable


def test_threads_plan_and_execute_at_once():
    """FFTW's planner is not thread-safe, its execution is; ours takes care of the first."""
    results, errors = {}, []
    start = threading.Barrier(6)

    def work(thread):
        try:
            start.wait()
            for n in range(65, 105):  # lengths that nobody has planned yet
                values, spectrum, plan, scratch = example(n, np.float64)
                rfft_into(spectrum, values, plan, scratch)
                gradient = np.zeros(n)
                differentiate(
                    Reverse,
                    "rfft",
                    (spectrum.copy(), spectrum.copy()),
                    (values, gradient),
                    plan,
                    scratch,
                )
                results[thread, n] = id(plan), spectrum, gradient
        except Exception as failure:  # reported below, in the thread that pytest watches
            errors.append(failure)

    threads = [threading.Thread(target=work, args=(t,)) for t in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    for n in range(65, 105):
        values, *_ = example(n, np.float64)
        expected = np.fft.rfft(values)
        for t in range(6):
            plan, spectrum, gradient = results[t, n]
            assert plan == results[0, n][0]
            assert error(spectrum, expected) < 1e-14
            assert gradient.tobytes() == results[0, n][2].tobytes()


@dtypes
def test_no_allocation(dtype):
    """Neither in the transform and its rule, as compiled, nor growing from call to call."""
    values, spectrum, plan, scratch = example(48, dtype)

    @numba.njit
    def both(values, spectrum, plan, scratch):
        rfft_into(spectrum, values, plan, scratch)
        brfft_into(values, spectrum, plan, scratch)
        return values[0]

    gradient = value_and_grad(both)
    gradient(values, spectrum, plan, scratch)
    for stage in ("prepared", "optimised"):
        ir = gradient.inspect_llvm(stage)
        assert stage == "optimised" or len(opaque_calls(ir)) >= 2
        assert not re.search(r"call[^\n]*@(malloc|calloc|NRT_)", ir), stage
    tracemalloc.start()
    try:
        gradient(values, spectrum, plan, scratch)
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(50):
            gradient(values, spectrum, plan, scratch)
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 50 * values.nbytes / 10


# --- mistakes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments", [(0,), (-3,), (2.5,), (8, "int64"), (8, "complex128"), (8, "float64", "quick")]
)
def test_plans_that_cannot_be(arguments):
    with pytest.raises((TypeError, ValueError), match=r"`plan_real_fft\(n, dtype, effort\)` needs"):
        plan_real_fft(*arguments)


@pytest.mark.parametrize(
    ("values", "spectrum"),
    [
        (np.zeros(8, np.float32), np.zeros(5, np.complex128)),
        (np.zeros(8), np.zeros(5, np.complex64)),
        (np.zeros(8), np.zeros(5)),
        (np.zeros((1, 8)), np.zeros((1, 5), np.complex128)),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
@names
def test_arrays_of_another_type(name, values, spectrum):
    plan = plan_real_fft(8)
    function, output, source = transform(name, values, spectrum)
    with pytest.raises(TypeError, match="planned for float64 needs.*Got array"):
        function(output, source, plan, fft_scratch(plan))


@names
def test_arrays_of_another_length(name):
    plan = plan_real_fft(8)
    scratch = fft_scratch(plan)
    for n, count in ((9, 5), (7, 4), (8, 6), (8, 4), (0, 0)):
        values, spectrum = np.ones(n), np.ones(count, np.complex128)
        function, output, source = transform(name, values, spectrum)
        with pytest.raises(ValueError, match=r"need the plan's n values, n // 2 \+ 1 coeff"):
            function(output, source, plan, scratch)
        assert (output == 1).all()
        pairs = [(a, np.ones_like(a)) for a in (output, source)]
        with pytest.raises(AutodiffError, match="A rule used by"):
            differentiate(Reverse, name, pairs[0], pairs[1], plan, scratch)


def test_scratch_of_another_plan():
    values, spectrum, plan, _ = example(8, np.float64)
    with pytest.raises(ValueError, match=r"the scratch of `fft_scratch\(plan\)`"):
        rfft_into(spectrum, values, plan, fft_scratch(plan_real_fft(7)))


def test_a_strided_array():
    _, spectrum, plan, scratch = example(8, np.float64)
    wide = np.zeros(16)
    with pytest.raises(TypeError, match="takes a `c_void_p`, a contiguous array.*Got a `array"):
        rfft_into(spectrum, wide[::2], plan, scratch)


def test_plans_for_rings_of_several_lengths():
    lengths = np.array([4, 9, 4, 1, 30])
    plans = plan_real_ffts(lengths)
    assert fft_scratch(plans).size == 2 * 16 + 30
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    x = np.random.default_rng(3).standard_normal(offsets[-1])
    for j, n in enumerate(lengths):
        spectrum = np.zeros(n // 2 + 1, complex)
        ring = x[offsets[j] : offsets[j + 1]].copy()
        rfft_of_ring(spectrum, ring, plans, j, fft_scratch(plans))
        assert np.max(np.abs(spectrum - np.fft.rfft(ring))) <= 10 * np.finfo(float).eps * n
    with pytest.raises(ValueError, match="integer n >= 1"):
        plan_real_ffts([4, 0])


@numba.njit()
def rfft_of_ring(spectrum, values, plans, ring, scratch):
    rfft_into(spectrum, values, fft_of(plans, ring), scratch)
