"""The adjoints that Enzyme makes of both maps: dot tests, other programs, matrices, tangents."""

import numpy as np
import pytest

import sht
from llvm import Const, Duplicated, Forward, Reverse, autodiff, linear_transpose
from sht import reference
from sht.grids import FullGaussian, HEALPix
from tests.sht_cases import (
    CASES,
    EPS,
    SIZES,
    TINY,
    Case,
    cases_and_maps,
    difference,
    given_to,
    name_of,
    random_pair,
    tolerance,
    transform,
)

every = pytest.mark.parametrize("size", SIZES, ids=name_of)
# An adjoint takes 10 s to compile for each kind of array: of one dtype, and one or two axes.
COMPILED = [
    case for case in CASES if (case.spin > 0) + (case.dtype == "float32") + case.grid.full <= 1
]
every_case = pytest.mark.parametrize(
    ("case", "name"), cases_and_maps(COMPILED, ("synthesis", "analysis")), ids=str
)
tiny = pytest.mark.parametrize("size", TINY, ids=name_of)


def as_real(a):
    """Real parts, then imaginary parts, as `reference.synthesis_matrix` orders them."""
    return np.concatenate([a.real, a.imag], axis=-1)


# The adjoints as methods


@every_case
def test_dot(case, name):
    t, adjoint = case.transform(), "adjoint_" + name
    x, y = given_to(name, t, 1, (3,)), given_to(adjoint, t, 2, (3,))
    forth, back = getattr(t, name)(x), getattr(t, adjoint)(y)
    scale = np.linalg.norm(forth) * np.linalg.norm(y)
    eps = 1e-13 if case.dtype == "float64" else 1e-6
    assert abs(float(dot(forth, y)) - float(dot(x, back))) <= eps * scale


def dot(x, y):
    """Re Σ conj(x) y in float64."""
    both = np.asarray(x, complex), np.asarray(y, complex)
    return np.vdot(*both).real


@every_case
def test_equal_the_references_adjoints(case, name):
    t, adjoint = case.transform(), "adjoint_" + name
    given = given_to(adjoint, t, 3, (2,))
    want = case.reference(adjoint, given)
    assert difference(getattr(t, adjoint)(given), want) <= case.tolerance


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


@every_case
def test_imaginary_parts_of_order_zero(case, name):
    t, adjoint = case.transform(), "adjoint_" + name
    given, zero = given_to(adjoint, t, 6), t.orders == 0
    if name == "synthesis":
        assert not np.any(t.adjoint_synthesis(given).imag[..., zero])
    else:
        other = given.copy()
        other[..., zero] += 1j
        assert np.array_equal(t.adjoint_analysis(other), t.adjoint_analysis(given))


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


SMALL = Case(FullGaussian(1, 1), 0)
FULL = Case(FullGaussian(17, 19), 9, 8)
WITH_SPIN = Case(HEALPix(2), 5, spin=2, aliasing="fold")
VECTORS = Case(HEALPix(2), 5, spin=1, vectors=True, aliasing="fold")
SINGLE = Case(HEALPix(2), 7, dtype="float32", aliasing="fold")
# Each pair of a kernel and types is a gradient to compile: those of both kernels for one type.
KERNELS = pytest.mark.parametrize(
    ("case", "kernel"),
    [
        (SMALL, "synthesis"),
        (SMALL, "analysis"),
        (FULL, "synthesis"),
        (FULL, "analysis"),
        (WITH_SPIN, "synthesis"),
        (VECTORS, "synthesis"),
        (VECTORS, "analysis"),
        (SINGLE, "analysis"),
    ],
    ids=str,
)


def kernel_of(t, kernel, seed):
    """A kernel, its map and adjoint as methods, and random (output, input, doutput, dinput)."""
    a, f = random_pair(t, seed)
    da, df = random_pair(t, seed + 1)
    if kernel == "synthesis":
        return sht.synthesis_into, t.synthesis, t.adjoint_synthesis, (f, a, df, da)
    return sht.analysis_into, t.analysis, t.adjoint_analysis, (a, f, da, df)


@KERNELS
def test_tangent_is_the_map_of_the_tangent(case, kernel):
    t = case.transform()
    into, mapped, _, (y, x, dy, dx) = kernel_of(t, kernel, 8)
    kept = x.copy(), dx.copy()
    assert (
        autodiff(Forward, into, Duplicated(y, dy), Duplicated(x, dx), Const(t), Const(t.scratch()))
        is None
    )
    assert difference(y, mapped(x)) <= 2 * case.tolerance
    assert difference(dy, mapped(dx)) <= 2 * case.tolerance
    assert np.array_equal(x, kept[0])
    assert np.array_equal(dx, kept[1])


@pytest.mark.parametrize("call", ["autodiff", "linear_transpose"])
@KERNELS
def test_reverse_accumulates_and_clears(case, kernel, call):
    t = case.transform()
    into, mapped, adjoint, (y, x, dy, dx) = kernel_of(t, kernel, 9)
    want, kept, wanted_y = dx + adjoint(dy), x.copy(), mapped(x)
    activities = Duplicated(y, dy), Duplicated(x, dx), Const(t), Const(t.scratch())
    if call == "autodiff":
        assert autodiff(Reverse, into, *activities) == ()
        assert difference(y, wanted_y) <= 2 * case.tolerance
    else:
        assert linear_transpose(into, *activities) is None
    assert difference(dx, want) <= 2 * case.tolerance
    assert not np.any(dy)
    assert np.array_equal(x, kept)


@pytest.mark.parametrize(("kernel", "mode"), [("synthesis", Reverse), ("analysis", Forward)])
def test_a_constant_input_has_no_derivative_and_stays(kernel, mode):
    t = FULL.transform()
    into, _, _, (y, x, dy, _) = kernel_of(t, kernel, 10)
    kept = x.copy()
    autodiff(mode, into, Duplicated(y, dy), Const(x), Const(t), Const(t.scratch()))
    assert np.array_equal(x, kept)
    assert not np.any(dy)


def arrays_in(value):
    if isinstance(value, tuple):
        return [array for item in value for array in arrays_in(item)]
    return [value] if isinstance(value, np.ndarray) else []


@KERNELS
def test_no_table_of_the_transform_is_written(case, kernel):
    """Tables passed by reference once had derivatives written into them, elsewhere."""
    t = case.transform()
    before = [array.tobytes() for array in arrays_in(t)]
    assert len(before) >= 7
    into, _, adjoint, (y, x, dy, dx) = kernel_of(t, kernel, 12)
    adjoint(dy)
    for mode in (Forward, Reverse):
        autodiff(mode, into, Duplicated(y, dy), Duplicated(x, dx), Const(t), Const(t.scratch()))
    assert [array.tobytes() for array in arrays_in(t)] == before


@KERNELS
def test_work_space_is_of_no_consequence(case, kernel):
    t = case.transform()
    results = []
    for fill in (0.0, np.nan):
        scratch = t.scratch()
        for array in arrays_in(scratch):
            array[...] = fill
        into, _, _, (y, x, dy, dx) = kernel_of(t, kernel, 13)
        autodiff(Reverse, into, Duplicated(y, dy), Duplicated(x, dx), Const(t), Const(scratch))
        results.append((y, dx))
    assert np.array_equal(results[0][0], results[1][0])
    assert np.array_equal(results[0][1], results[1][1])
