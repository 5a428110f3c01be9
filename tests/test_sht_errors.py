"""Bad input: one error that names the call, its need, what it got and the fix. NaN is data."""

import functools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import sht
from sht.grids import FullGaussian, OctahedralGaussian, Rings
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
    other = np.real(given) if MAPS[name] else given + 0j
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
        f"needs lmax <= {nlat - 1} and mmax <= {(nlon - 1) // 2} on this FullGaussian of {nlat} x "
        f"{nlon} points"
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


RINGS = Rings([1.0, 2.0], 4)  # without weights
REDUCED = OctahedralGaussian(6)  # 12 rings, of 20 to 40 points
BAD_OPTIONS = {
    "float16": (TypeError, {"dtype": "float16"}, "`dtype` to be float64 or float32. Got float16"),
    "int": (TypeError, {"dtype": int}, "`dtype` to be float64 or float32. Got int64"),
    "complex": (TypeError, {"dtype": complex}, "float64 or float32. Got complex128"),
    "truncation": (ValueError, {"truncation": "square"}, '`truncation` to be "triangular"'),
    "aliasing": (
        ValueError,
        {"aliasing": "wrap"},
        '`aliasing` to be "drop" or "fold". Got \'wrap\'',
    ),
    "rule": (
        ValueError,
        {"orders": "septic"},
        '"lincub_coslat", or an integer for each ring. Got \'s',
    ),
    "some": (
        ValueError,
        {"orders": [5, 5]},
        "one for each ring: shape (12,). Got int64 of shape (2,)",
    ),
    "one": (ValueError, {"orders": 5}, "shape (12,). Got int64 of shape ()"),
    "none": (ValueError, {"orders": None}, "shape (12,). Got object"),
    "real": (ValueError, {"orders": np.full(12, 5.0)}, "shape (12,). Got float64 of shape (12,)"),
    "negative": (
        ValueError,
        {"orders": np.full(12, -1)},
        "Got int64 of shape (12,), -1 among them",
    ),
}


@pytest.mark.parametrize("name", BAD_OPTIONS)
def test_bad_options(name):
    error, options, message = BAD_OPTIONS[name]
    for made, call in (
        (sht.Transform, "`sht.Transform(lmax, grid, mmax, dtype, threads)` needs"),
        (
            functools.partial(sht.SpinTransform, 2),
            "`sht.SpinTransform(spin, lmax, grid, mmax, dtype, threads)` needs",
        ),
    ):
        with pytest.raises(error) as caught:
            made(5, REDUCED, **options)
        assert str(caught.value).startswith(call)
        assert message in str(caught.value)


@pytest.mark.parametrize("spin", [0, -2, 2.0, None, "2"])
def test_impossible_spins(spin):
    with pytest.raises(ValueError, match=f"needs an integer spin >= 1. Got {spin!r}. Scalars: "):
        sht.SpinTransform(spin, 5, REDUCED)


def test_what_other_grids_carry():
    with pytest.raises(
        ValueError, match=r"needs lmax <= 11 and mmax <= 19 on this Octahedral.* 360"
    ):
        sht.Transform(12, REDUCED)
    with pytest.raises(
        ValueError, match=r"needs lmax <= 11 on this Octa.*`sht.grids.Octa.*\(12\)`"
    ):
        sht.Transform(12, REDUCED, aliasing="fold")
    with pytest.raises(ValueError, match=r"mmax <= 1 on this Rings of 2 x 4 .* or aliasing=.fold"):
        sht.Transform(11, RINGS)
    assert sht.Transform(11, RINGS, aliasing="fold").mmax == 11
    assert sht.Transform(11, RINGS, 1).mmax == 1


def test_no_analysis_without_weights():
    t = sht.Transform(11, RINGS, 1)
    a, f = random_pair(t, 2)
    for call in (lambda: t.analysis(f), lambda: t.adjoint_analysis(a)):
        with pytest.raises(ValueError, match=r"needs a grid with quadrature weights. Got Rings"):
            call()
    assert t.adjoint_synthesis(t.synthesis(a)).shape == a.shape


SPIN = sht.SpinTransform(2, 5, REDUCED, threads=1)
FULL_SPIN = sht.SpinTransform(2, 5, FullGaussian(6, 11), threads=1)
SCALAR = sht.Transform(5, REDUCED, threads=1)
FULL = sht.Transform(5, FullGaussian(6, 11), threads=1)
MISSHAPEN = [
    (SCALAR.analysis, (12, 24), "(..., 360). Got (12, 24). Fields on reduced grids are flat"),
    (SCALAR.analysis, (361,), "(..., 360). Got (361,)"),
    (FULL.analysis, (2, 66), "(..., 6, 11). Got (2, 66). Split its rings"),
    (SPIN.analysis, (360,), "(..., 2, 360). Got (360,). It takes pairs: `np.stack"),
    (SPIN.analysis, (360, 2), "(..., 2, 360). Got (360, 2). The axis of 2 comes first"),
    (SPIN.adjoint_synthesis, (2, 12, 24), "(..., 2, 360). Got (2, 12, 24). Fields on reduced"),
    (SPIN.synthesis, (21,), "(..., 2, 21). Got (21,). It takes pairs"),
    (SPIN.synthesis, (21, 2), "(..., 2, 21). Got (21, 2). The axis of 2 comes first"),
    (SPIN.adjoint_analysis, (2, 20), "(..., 2, 21). Got (2, 20). Coefficients are packed"),
    (FULL_SPIN.analysis, (6, 11), "(..., 2, 6, 11). Got (6, 11). It takes pairs"),
    (FULL_SPIN.analysis, (2, 11, 6), "(..., 2, 6, 11). Got (2, 11, 6). Longitude comes last"),
]


@pytest.mark.parametrize("row", range(len(MISSHAPEN)))
def test_shapes_on_other_grids_and_with_spin(row):
    method, shape, message = MISSHAPEN[row]
    coefficients = method.__name__ in ("synthesis", "adjoint_analysis")
    with pytest.raises(ValueError, match=rf"`sht\.\w+\.{method.__name__}\(") as caught:
        method(np.zeros(shape, complex if coefficients else float))
    assert f"needs shape {message}" in str(caught.value)


def test_each_precision_takes_its_own():
    t = sht.Transform(5, REDUCED, dtype="float32", threads=1)
    with pytest.raises(TypeError, match=r"needs dtype float32. Got float64. Convert it"):
        t.analysis(np.zeros(360))
    with pytest.raises(TypeError, match=r"needs dtype complex64. Got complex128. Convert it"):
        t.synthesis(np.zeros(21, complex))
    with pytest.raises(TypeError, match=r"`out` to be a float32 array. Got float64"):
        t.synthesis(np.zeros(21, np.complex64), out=np.zeros(360))


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
