"""The adjoints that Enzyme makes of both maps: dot tests, other programs, matrices, tangents."""

import numpy as np
import pytest

import sht
from llvm import Const, Duplicated, Forward, Reverse, autodiff, linear_transpose
from sht import reference
from tests.sht_cases import (
    BATCHES,
    EPS,
    SIZES,
    TINY,
    difference,
    name_of,
    random_pair,
    tolerance,
    transform,
)

every = pytest.mark.parametrize("size", SIZES, ids=name_of)
tiny = pytest.mark.parametrize("size", TINY, ids=name_of)


def as_real(a):
    """Real parts, then imaginary parts, as `reference.synthesis_matrix` orders them."""
    return np.concatenate([a.real, a.imag], axis=-1)


def multiplicity(t):
    return np.where(sht.degrees_orders(t.lmax, t.mmax)[1] > 0, 2.0, 1.0)


# The adjoints as methods


@pytest.mark.parametrize("batch", [(1,), (3,), (8,)], ids=str)
@every
def test_dot(size, batch):
    t = transform(*size)
    a, f = random_pair(t, 1, batch)
    a[..., : t.lmax + 1] += 1j * np.random.default_rng(2).standard_normal(t.lmax + 1)
    forth, back = t.synthesis(a), t.adjoint_synthesis(f)
    scale = np.linalg.norm(forth) * np.linalg.norm(f)
    assert abs(np.vdot(forth, f) - np.vdot(a, back).real) <= 1e-13 * scale
    forth, back = t.analysis(f), t.adjoint_analysis(a)
    scale = np.linalg.norm(forth) * np.linalg.norm(a)
    assert abs(np.vdot(forth, a).real - np.vdot(f, back)) <= 1e-13 * scale


@pytest.mark.parametrize("batch", BATCHES, ids=str)
@every
def test_equal_the_references_adjoints(size, batch):
    t = transform(*size)
    a, f = random_pair(t, 3, batch)
    want = reference.adjoint_synthesis(f, t.grid, t.lmax, t.mmax)
    assert difference(t.adjoint_synthesis(f), want) <= tolerance(t.lmax)
    want = reference.adjoint_analysis(a, t.grid, t.lmax, t.mmax)
    assert difference(t.adjoint_analysis(a), want) <= tolerance(t.lmax)


@pytest.mark.parametrize("size", [*SIZES, (255, 255, 384, 768), (511, 511, 768, 1536)], ids=name_of)
def test_equal_ducc0s_adjoints(size):
    ducc0 = pytest.importorskip("ducc0")
    t = transform(*size)
    a, f = random_pair(t, 4)
    options = {"spin": 0, "lmax": t.lmax, "mmax": t.mmax, "geometry": "GL", "nthreads": 1}
    nlat, nlon = t.grid.shape
    # ducc0's coefficients of orders m > 0 stand for those of -m as well, ours are real unknowns.
    want = multiplicity(t) * ducc0.sht.adjoint_synthesis_2d(map=f[None], **options)[0]
    norm = np.linalg.norm
    assert norm(t.adjoint_synthesis(f) - want) <= 1e-12 * norm(want)
    given = (a / multiplicity(t))[None]
    want = ducc0.sht.adjoint_analysis_2d(alm=given, ntheta=nlat, nphi=nlon, **options)[0]
    assert norm(t.adjoint_analysis(a) - want) <= 1e-12 * norm(want)


@tiny
def test_are_the_transposed_matrices(size):
    t = transform(*size)
    points = np.eye(t.grid.npoints).reshape(-1, *t.grid.shape)
    units = np.concatenate([np.eye(t.ncoef), 1j * np.eye(t.ncoef)])
    matrix = reference.synthesis_matrix(t.grid, t.lmax, t.mmax)
    assert np.max(np.abs(as_real(t.adjoint_synthesis(points)) - matrix)) <= 20 * EPS
    matrix = reference.analysis_matrix(t.grid, t.lmax, t.mmax)
    columns = t.adjoint_analysis(units).reshape(2 * t.ncoef, -1)
    assert np.max(np.abs(columns - matrix)) <= 20 * EPS * np.max(t.grid.areas)


@tiny
def test_round_trip_from_the_spectrum_has_the_identity_as_jacobian(size):
    t = transform(*size)
    units = np.concatenate([np.eye(t.ncoef), 1j * np.eye(t.ncoef)])
    jacobian = as_real(t.adjoint_synthesis(t.adjoint_analysis(units)))
    want = np.eye(2 * t.ncoef)
    null = t.ncoef + np.arange(t.lmax + 1)  # the imaginary parts of order 0 have no effect
    want[null, null] = 0
    assert np.max(np.abs(jacobian - want)) <= 10 * EPS


@every
def test_round_trip_from_the_grid_has_a_projection_as_jacobian(size):
    """Once or twice, it is the same on every cotangent; test_sht_transform.py says why not 1."""
    t = transform(*size)
    _, f = random_pair(t, 5)
    once = t.adjoint_analysis(t.adjoint_synthesis(f))
    twice = t.adjoint_analysis(t.adjoint_synthesis(once))
    assert difference(twice, once) <= 2 * tolerance(t.lmax)
    if t.grid.npoints > 2 * t.ncoef:
        assert difference(once, f) > 0.1


@every
def test_imaginary_parts_of_order_zero(size):
    t = transform(*size)
    a, f = random_pair(t, 6, (2,))
    assert not np.any(t.adjoint_synthesis(f).imag[:, : t.lmax + 1])
    other = a.copy()
    other[:, : t.lmax + 1] += 1j
    assert np.array_equal(t.adjoint_analysis(other), t.adjoint_analysis(a))


@pytest.mark.parametrize(
    "size", [(5, 5, 7, 12), (31, 31, 33, 64), (127, 127, 128, 255)], ids=name_of
)
def test_same_bits_whatever_the_way(size):
    alone = transform(*size)
    a, f = random_pair(alone, 7, (5,))
    wants = (
        np.stack([alone.adjoint_synthesis(x) for x in f]),
        np.stack([alone.adjoint_analysis(x) for x in a]),
    )
    for threads in (1, 2, 4):
        t = transform(*size, threads=threads)
        maps = t.adjoint_synthesis, t.adjoint_analysis
        for adjoint, given, want in zip(maps, (f, a), wants, strict=True):
            kept = given.copy()
            assert np.array_equal(adjoint(given), want)
            assert np.array_equal(adjoint(np.asfortranarray(given)), want)
            read_only = given.copy()
            read_only.setflags(write=False)
            out = np.full((*want.shape, 2), np.nan, want.dtype)[..., 0]
            assert adjoint(read_only, out=out) is out
            assert np.array_equal(out, want)
            assert given.tobytes() == kept.tobytes()


def test_no_fields():
    t = transform(5, 5, 7, 12)
    assert t.adjoint_synthesis(np.zeros((0, *t.grid.shape))).shape == (0, t.ncoef)
    assert t.adjoint_analysis(np.zeros((0, t.ncoef), complex)).shape == (0, *t.grid.shape)


# The kernels themselves, through `llvm`


KERNELS = pytest.mark.parametrize("kernel", ["synthesis", "analysis"])
SOME = pytest.mark.parametrize(
    "size", [(0, 0, 1, 1), (5, 2, 6, 5), (9, 8, 17, 19), (31, 31, 33, 64)], ids=name_of
)


def kernel_of(t, kernel, seed):
    """A kernel, its map and adjoint as methods, and random (output, input, doutput, dinput)."""
    a, f = random_pair(t, seed)
    da, df = random_pair(t, seed + 1)
    if kernel == "synthesis":
        return sht.synthesis_into, t.synthesis, t.adjoint_synthesis, (f, a, df, da)
    return sht.analysis_into, t.analysis, t.adjoint_analysis, (a, f, da, df)


@KERNELS
@SOME
def test_tangent_is_the_map_of_the_tangent(size, kernel):
    t = transform(*size)
    into, mapped, _, (y, x, dy, dx) = kernel_of(t, kernel, 8)
    kept = x.copy(), dx.copy()
    assert (
        autodiff(Forward, into, Duplicated(y, dy), Duplicated(x, dx), Const(t), Const(t.scratch()))
        is None
    )
    assert difference(y, mapped(x)) <= 4 * EPS * (t.lmax + 1)
    assert difference(dy, mapped(dx)) <= 4 * EPS * (t.lmax + 1)
    assert np.array_equal(x, kept[0])
    assert np.array_equal(dx, kept[1])


@pytest.mark.parametrize("call", ["autodiff", "linear_transpose"])
@KERNELS
@SOME
def test_reverse_accumulates_and_clears(size, kernel, call):
    t = transform(*size)
    into, mapped, adjoint, (y, x, dy, dx) = kernel_of(t, kernel, 9)
    want, kept, wanted_y = dx + adjoint(dy), x.copy(), mapped(x)
    activities = Duplicated(y, dy), Duplicated(x, dx), Const(t), Const(t.scratch())
    if call == "autodiff":
        assert autodiff(Reverse, into, *activities) == ()
        assert difference(y, wanted_y) <= 4 * EPS * (t.lmax + 1)
    else:
        assert linear_transpose(into, *activities) is None
    assert difference(dx, want) <= 4 * EPS * (t.lmax + 1)
    assert not np.any(dy)
    assert np.array_equal(x, kept)


@pytest.mark.parametrize(("kernel", "mode"), [("synthesis", Reverse), ("analysis", Forward)])
def test_a_constant_input_has_no_derivative_and_stays(kernel, mode):
    t = transform(9, 8, 17, 19)
    into, _, _, (y, x, dy, _) = kernel_of(t, kernel, 10)
    kept = x.copy()
    autodiff(mode, into, Duplicated(y, dy), Const(x), Const(t), Const(t.scratch()))
    assert np.array_equal(x, kept)
    assert not np.any(dy)


def arrays_in(value):
    if isinstance(value, tuple):
        return [array for item in value for array in arrays_in(item)]
    return [value] if isinstance(value, np.ndarray) else []


@SOME
def test_no_table_of_the_transform_is_written(size):
    """Tables passed by reference once had derivatives written into them, elsewhere."""
    t = transform(*size)
    before = [array.tobytes() for array in arrays_in(t)]
    assert len(before) >= 7
    a, f = random_pair(t, 11, (2,))
    t.adjoint_synthesis(f)
    t.adjoint_analysis(a)
    for kernel in ("synthesis", "analysis"):
        into, _, _, (y, x, dy, dx) = kernel_of(t, kernel, 12)
        for mode in (Forward, Reverse):
            autodiff(mode, into, Duplicated(y, dy), Duplicated(x, dx), Const(t), Const(t.scratch()))
    assert [array.tobytes() for array in arrays_in(t)] == before


def test_work_space_is_of_no_consequence():
    t = transform(9, 8, 17, 19)
    results = []
    for fill in (0.0, np.nan):
        scratch = t.scratch()
        for array in arrays_in(scratch):
            array[...] = fill
        for kernel in ("synthesis", "analysis"):
            into, _, _, (y, x, dy, dx) = kernel_of(t, kernel, 13)
            autodiff(Reverse, into, Duplicated(y, dy), Duplicated(x, dx), Const(t), Const(scratch))
            results.append(dx)
    assert np.array_equal(results[0], results[2])
    assert np.array_equal(results[1], results[3])
