"""Bad input: one error that names the call, its need, what it got and the fix. NaN is data."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import sht
from sht.grids import FullGaussian
from tests.sht_cases import random_pair, transform

ROOT = Path(__file__).resolve().parent.parent
T = transform(9, 8, 17, 19)
A, F = random_pair(T, 1, (2,))

# name: takes coefficients?
MAPS = {"synthesis": True, "analysis": False, "adjoint_synthesis": False, "adjoint_analysis": True}
each_map = pytest.mark.parametrize("name", MAPS)


def given_to(name):
    return (A if MAPS[name] else F).copy()


def refused(name, given, *, out=None, error: type[Exception] = ValueError, needs, got, fix=""):
    """The message says all four things, and neither input nor output has changed."""
    before = [x.tobytes() if isinstance(x, np.ndarray) else None for x in (given, out)]
    with pytest.raises(error) as caught:
        getattr(T, name)(given, out=out)
    message = str(caught.value)
    argument = "a" if MAPS[name] else "field"
    assert message.startswith(f"`sht.Transform.{name}({argument}")
    assert needs in message.split("Got")[0]
    assert got in message.split("Got")[1]
    assert fix in message.split("Got")[1]
    assert [x.tobytes() if isinstance(x, np.ndarray) else None for x in (given, out)] == before


# Shapes


@pytest.mark.parametrize("name", ["analysis", "adjoint_synthesis"])
def test_swapped_axes(name):
    refused(
        name,
        np.zeros((19, 17)),
        needs="needs shape (..., 17, 19)",
        got="(19, 17)",
        fix="Longitude comes last: pass `field.swapaxes(-1, -2)`.",
    )
    refused(name, F.swapaxes(-1, -2), needs="17, 19", got="(2, 19, 17)", fix="Longitude comes last")


@pytest.mark.parametrize("name", ["analysis", "adjoint_synthesis"])
@pytest.mark.parametrize("shape", [(17, 18), (323,), (), (19,), (17, 19, 1)], ids=str)
def test_fields_of_another_shape(name, shape):
    refused(name, np.zeros(shape), needs="needs shape (..., 17, 19)", got=str(shape))


@pytest.mark.parametrize("name", ["synthesis", "adjoint_analysis"])
@pytest.mark.parametrize("count", [T.ncoef - 1, T.ncoef + 1, sht.ncoef(9), 0])
def test_another_number_of_coefficients(name, count):
    refused(
        name,
        np.zeros((3, count), complex),
        needs=f"needs shape (..., {T.ncoef})",
        got=f"(3, {count})",
        fix="`sht.lm_index`",
    )


def test_a_number_is_no_vector():
    refused("synthesis", np.complex128(1), needs=f"(..., {T.ncoef})", got="()", fix="packed")


# Types


@each_map
def test_single_precision(name):
    given = given_to(name)
    small = given.astype(np.complex64 if MAPS[name] else np.float32)
    refused(
        name,
        small,
        error=TypeError,
        needs=f"needs dtype {given.dtype}",
        got=str(small.dtype),
        fix=f"Convert it: `.astype(np.{given.dtype})`",
    )


@each_map
def test_real_for_complex_and_complex_for_real(name):
    given = given_to(name)
    other = given.real if MAPS[name] else given + 0j
    fix = ".astype" if MAPS[name] else "Fields are real, coefficients complex."
    refused(name, other.copy(), error=TypeError, needs="dtype", got=str(other.dtype), fix=fix)


@each_map
@pytest.mark.parametrize("bad", [None, "field", [["a"]], {}], ids=str)
def test_what_is_no_array(name, bad):
    with pytest.raises(TypeError, match=rf"sht.Transform.{name}\(.*needs dtype"):
        getattr(T, name)(bad)


# out=


@each_map
def test_wrong_out(name):
    given = given_to(name)
    good = getattr(T, name)(given)
    bad_shape = np.zeros(good.shape[1:], good.dtype)
    refused(name, given, out=bad_shape, needs=f"shape {good.shape}", got=str(bad_shape.shape))
    other = np.zeros(good.shape, np.float32)
    kind = f"`out` to be a {good.dtype} array"
    refused(name, given, out=other, error=TypeError, needs=kind, got="float32", fix="np.empty")
    refused(name, given, out=[1.0], error=TypeError, needs=kind, got="list", fix="np.empty")
    read_only = np.zeros_like(good)
    read_only.setflags(write=False)
    refused(name, given, out=read_only, needs="writes into `out`", got="read-only", fix="copy()")


@each_map
def test_overlapping_in_and_out(name):
    given = given_to(name)
    target = getattr(T, name)(given)
    memory = np.zeros(given.nbytes + target.nbytes, np.uint8)
    source = memory[: given.nbytes].view(given.dtype).reshape(given.shape)
    source[...] = given
    for start in (0, 16, given.nbytes - 16):
        out = memory[start : start + target.nbytes].view(target.dtype).reshape(target.shape)
        refused(
            name,
            source,
            out=out,
            needs="apart from the input",
            got="share memory",
            fix="another array",
        )
    # Side by side in one buffer is well.
    out = memory[given.nbytes :].view(target.dtype).reshape(target.shape)
    assert np.array_equal(getattr(T, name)(source, out=out), target)


# Building a transform


def test_what_is_no_grid():
    for bad in ((17, 19), None, "F48", np.zeros(3)):
        with pytest.raises(
            TypeError, match=r"`sht\.Transform\(lmax, grid.*needs a grid of `sht.grids`"
        ):
            sht.Transform(5, bad)  # type: ignore[arg-type]
    with pytest.raises(
        TypeError, match=r"Got tuple\. Try `sht\.grids\.FullGaussian\.for_lmax\(5\)`"
    ):
        sht.Transform(5, (17, 19))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("lmax", "mmax", "nlat", "nlon"),
    [(16, 9, 16, 64), (9, 9, 17, 18), (9, 5, 17, 10), (200, None, 17, 19)],
)
def test_truncation_beyond_the_grid(lmax, mmax, nlat, nlon):
    grid = FullGaussian(nlat, nlon)
    needs = (
        f"needs lmax <= {nlat - 1} and mmax <= {(nlon - 1) // 2} on this grid of {nlat} x {nlon}"
    )
    got = f"Got lmax = {lmax}, mmax = {lmax if mmax is None else mmax}"
    with pytest.raises(ValueError, match=r"`sht\.Transform\(") as caught:
        sht.Transform(lmax, grid, mmax=mmax)
    assert needs in str(caught.value)
    assert got in str(caught.value)
    assert f"for_lmax({lmax})` carries it" in str(caught.value)
    sht.Transform(lmax, FullGaussian.for_lmax(lmax), mmax=mmax)  # it does


@pytest.mark.parametrize(
    ("lmax", "mmax", "error", "message"),
    [
        (-1, None, ValueError, "needs lmax >= 0. Got lmax = -1"),
        (5.0, None, TypeError, "needs an integer lmax. Got 5.0"),
        (None, None, TypeError, "needs an integer lmax. Got None"),
        (5, 6, ValueError, "needs mmax <= lmax. Got lmax = 5, mmax = 6"),
        (5, -1, ValueError, "needs mmax >= 0. Got mmax = -1"),
        (5, 2.5, TypeError, "needs an integer mmax. Got 2.5"),
    ],
)
def test_impossible_truncations(lmax, mmax, error, message):
    with pytest.raises(
        error, match=r"`sht\.Transform\(lmax, grid, mmax, dtype, threads\)` needs "
    ) as caught:
        sht.Transform(lmax, FullGaussian(8, 16), mmax=mmax)
    assert message in str(caught.value)


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2"])
def test_impossible_numbers_of_threads(threads):
    with pytest.raises(
        ValueError, match=rf"needs `threads` to be a positive int\. Got {threads!r}"
    ):
        sht.Transform(5, FullGaussian(8, 16), threads=threads)


@pytest.mark.parametrize("dtype", ["float32", np.float32, np.complex128, int])
def test_other_dtypes_are_not_there_yet(dtype):
    shown = np.dtype(dtype)
    with pytest.raises(
        NotImplementedError, match=f"has float64 transforms only. Got {shown}"
    ) as caught:
        sht.Transform(5, FullGaussian(8, 16), dtype=dtype)
    assert "`field.astype(np.float64)`" in str(caught.value)


# NaN is data


@each_map
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_infinity_propagate(name, bad):
    given = given_to(name)
    want = getattr(T, name)(given)
    given.reshape(2, -1)[1, 40] = bad
    result = getattr(T, name)(given)
    assert np.array_equal(result[0], want[0])  # the other field of the batch knows nothing of it
    changed = ~np.isfinite(result[1])
    if MAPS[name]:  # one coefficient is everywhere on the sphere, except where its sine vanishes
        assert np.mean(changed) > 0.9
    else:  # one point is in all coefficients, whose real parts none escapes
        assert np.all(changed)
    assert np.array_equal(getattr(T, name)(given_to(name)), want)  # nor does the next call


# Without Enzyme


def run_alone(code, cache):
    """Run code in a process that finds no Enzyme and nothing in the cache."""
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("ENZYME", "HOMEBREW"))}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=keep | {"ENZYME_SHT_CACHE": str(cache), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_plain_transforms_work_without_enzyme(tmp_path):
    code = """
import numpy as np, sht
from llvm import EnzymeNotFoundError
from llvm._enzyme import find_enzyme
try:
    raise SystemExit(f"found {find_enzyme()}")
except EnzymeNotFoundError:
    pass
t = sht.Transform(5, sht.grids.FullGaussian(8, 16), threads=1)
a = np.ones(t.ncoef, complex)
a.imag[6:] = 2
assert np.allclose(t.analysis(t.synthesis(a)), a)
for adjoint, given in ((t.adjoint_synthesis, np.ones((8, 16))), (t.adjoint_analysis, a)):
    try:
        adjoint(given)
    except EnzymeNotFoundError as error:
        print(error)
assert np.allclose(t.analysis(t.synthesis(a)), a)
"""
    done = run_alone(code, tmp_path / "cache")
    if done.stderr.startswith("found "):
        pytest.skip("an Enzyme is installed where every user of this machine finds it")
    assert done.returncode == 0, done.stderr
    messages = done.stdout.strip().splitlines()
    assert len(messages) == 2
    for message in messages:
        assert "`python -m llvm install-enzyme`" in message
        assert "`make enzyme`" in message
