"""Analysis where quadrature is not exact: healpy, dense least squares, exactness, transposes."""

import functools
import itertools
import warnings
from typing import Any

import numpy as np
import pytest
from numba import njit

import sht
from llvm import compiled, jvp, value_and_grad
from sht import reference
from sht.grids import FullClenshaw, FullGaussian, HEALPix, OctaHEALPix, OctaminimalGaussian, Rings
from sht.refinement import (
    adjoint_jacobi_analysis,
    adjoint_least_squares_analysis,
    jacobi_analysis,
    jacobi_analysis_into,
    least_squares_analysis,
    least_squares_analysis_into,
    least_squares_solver,
)
from tests.sht_cases import EPS

TIGHT = 1e-13


def uneven_rings():
    """Without weights, and with no symmetry about the Equator."""
    rng = np.random.default_rng(0)
    theta = np.linspace(0.1, 3.0, 18) + rng.uniform(-0.04, 0.04, 18)
    return Rings(theta, rng.integers(25, 40, 18), rng.uniform(0, 6, 18), None)


# grid, lmax; least squares determines the coefficients, quadrature is off by 1e-4 to 1e-1
GRIDS = {
    "HEALPix": (HEALPix(8), 15),
    "OctaHEALPix": (OctaHEALPix(16), 15),
    "octaminimal": (OctaminimalGaussian(16), 15),
    "full": (FullClenshaw(16, 33), 10),
    "rings": (uneven_rings(), 11),
}
every = pytest.mark.parametrize("name", GRIDS)
inexact = pytest.mark.parametrize("name", ["HEALPix", "OctaHEALPix", "octaminimal", "full"])
any_spin = pytest.mark.parametrize("spin", [0, 2])


@functools.cache
def make(name, spin=0, aliasing="fold", dtype="float64", threads=1):
    grid, lmax = GRIDS[name]
    options = {"dtype": dtype, "threads": threads, "aliasing": aliasing}
    if spin:
        return sht.SpinTransform(spin, lmax, grid, **options)
    return sht.Transform(lmax, grid, **options)


def coefficients(t, seed, batch=()):
    rng = np.random.default_rng(seed)
    spin = t.coefficients.shape[:-1]
    a = reference.random_coefficients(rng, t.lmax, t.mmax, (*batch, *spin))
    if spin:
        a[..., t.degrees < 2] = 0.0
    return a.astype(t.coefficients.dtype)


def noise(t, seed, batch=()):
    return np.random.default_rng(seed).standard_normal((*batch, *t.fields.shape)).astype(t.dtype)


def random_weights(t, seed):
    """Of very different size, a fifth of the points without any."""
    rng = np.random.default_rng(seed)
    return rng.uniform(0.5, 2.0, t.fields.shape) * (rng.uniform(size=t.fields.shape) > 0.2)


def difference(x, y):
    return np.linalg.norm(x - y) / np.linalg.norm(y)


# Against healpy


@pytest.mark.parametrize("iterations", range(4))
def test_jacobi_equals_healpy(iterations):
    healpy = pytest.importorskip("healpy")
    t, polarised = make("HEALPix"), make("HEALPix", 2)
    maps = np.stack([noise(t, 1), *noise(polarised, 2)])
    want = healpy.map2alm(maps, t.lmax, pol=True, iter=iterations, use_weights=False)
    assert difference(jacobi_analysis(maps[0], t, iterations), want[0]) <= 1e-12
    assert difference(jacobi_analysis(maps[1:], polarised, iterations), want[1:]) <= 1e-12
    if iterations == 0:
        assert np.array_equal(jacobi_analysis(maps[0], t, 0), t.analysis(maps[0]))


# Exactness


@any_spin
@inexact
def test_jacobi_contracts(name, spin):
    """The error of each iteration is at most a fifth of that of the one before."""
    t = make(name, spin)
    a = coefficients(t, 3)
    errors = [difference(jacobi_analysis(t.synthesis(a), t, k), a) for k in range(6)]
    assert 1e-5 < errors[0] < 0.2
    for before, after in itertools.pairwise(errors):
        assert after <= max(before / 5, 1e-14)


@any_spin
@pytest.mark.parametrize("aliasing", ["drop", "fold"])
@every
def test_least_squares_recovers_fields_of_these_degrees(name, aliasing, spin):
    t = make(name, spin, aliasing)
    a = coefficients(t, 4)
    found = least_squares_analysis(t.synthesis(a), t, tolerance=TIGHT)
    assert difference(found.a, a) <= 1e-11
    assert found.residual <= TIGHT
    assert found.iterations <= (70 if name == "rings" else 15)
    # The degree of exactness of a quadrature does not matter, nor what the tolerance leaves.
    loose = least_squares_analysis(t.synthesis(a), t)
    assert 1e-16 < difference(loose.a, a) <= 1e-8
    assert loose.iterations < found.iterations


def test_where_quadrature_is_exact_one_iteration_is_enough():
    t = sht.Transform(20, FullGaussian.for_lmax(20))
    field = noise(t, 5)
    found = least_squares_analysis(field, t)
    assert found.iterations == 1
    assert difference(found.a, t.analysis(field)) <= 1e-14
    assert difference(jacobi_analysis(field, t), t.analysis(field)) <= 1e-14


# Against a dense solution


@functools.cache
def synthesis_matrix(grid, lmax, aliasing):
    return reference.synthesis_matrix(grid, lmax, orders=lmax if aliasing == "fold" else None)


def dense(t, field, weights):
    """Of the least squares, the smallest Σ M |a|², by a singular value decomposition."""
    matrix = synthesis_matrix(t.grid, t.lmax, t._made_by[1].aliasing)
    multiplicity = np.tile(np.where(t.orders == 0, 1.0, 2.0), 2)
    w = np.sqrt(np.broadcast_to(weights, t.fields.shape).ravel())
    scaled = w[:, None] * matrix / np.sqrt(multiplicity)
    x = np.linalg.pinv(scaled, rcond=1e-9) @ (w * field.ravel()) / np.sqrt(multiplicity)
    return x[: t.ncoef] + 1j * x[t.ncoef :]


CHOICES = {
    "default": lambda t: None,
    "equal": lambda t: np.ones(t.grid.shape),
    "masked": lambda t: t.grid.latitudes > -60,
    "random": lambda t: random_weights(t, 6),
}


@pytest.mark.parametrize("choice", CHOICES)
@every
def test_least_squares_equals_a_dense_solution(name, choice):
    t = make(name, aliasing="drop")
    field, weights = noise(t, 7), CHOICES[choice](t)
    found = least_squares_analysis(field, t, weights, tolerance=TIGHT, max_iterations=2000)
    if weights is None:
        areas = t.grid.areas if name != "rings" else np.ones(t.grid.nlat)
        weights = np.repeat(areas, t.grid.nlon).reshape(t.grid.shape)
    want = dense(t, field, weights)
    assert difference(found.a, want) <= (1e-6 if choice == "masked" else 1e-10)


def test_the_smallest_of_many_solutions():
    """49 numbers from 48 points, and from 20 of these."""
    t = sht.Transform(6, HEALPix(2), aliasing="fold")
    field, some = noise(t, 8), np.arange(48) % 5 < 2
    for weights in (np.ones(48), some):
        found = least_squares_analysis(field, t, weights, tolerance=1e-13, max_iterations=1000)
        assert difference(found.a, dense(t, field, weights)) <= 1e-9
    assert np.max(np.abs(t.synthesis(found.a) - field)[some]) <= 1e-10
    # Its transpose exists as well, although cotangents are not all of analyses.
    y = coefficients(t, 9)
    back = adjoint_least_squares_analysis(y, t, some, tolerance=1e-13, max_iterations=1000)
    assert abs(np.vdot(found.a, y).real - float(np.vdot(field, back))) <= 1e-9


# Iterations and their report


def test_residual_is_what_it_is_said_to_be():
    t = make("rings")
    field, weights = noise(t, 10), random_weights(t, 11)

    def size_of_analysis(f):
        b = t.adjoint_synthesis(weights * f) / np.where(t.orders == 0, 1, 2)
        return np.sqrt(np.sum(np.where(t.orders == 0, 1, 2) * np.abs(b) ** 2))

    misfits = []
    for k in range(12):
        with pytest.warns(RuntimeWarning, match=rf"1\.0e-10 within {k} iterations, for 1 of 1"):
            a, iterations, residual = least_squares_analysis(field, t, weights, max_iterations=k)
        left = field - t.synthesis(a)
        assert iterations == k
        assert abs(size_of_analysis(left) / size_of_analysis(field) / residual - 1) <= 1e-10
        misfits.append(np.sum(weights * left**2))
    assert np.all(np.diff(misfits) < 0)


def test_missing_points_may_hold_anything():
    t = make("HEALPix")
    field, mask = noise(t, 12), random_weights(t, 13) > 0
    want = least_squares_analysis(field, t, mask)
    for junk in (np.nan, np.inf, -1.6375e30):
        found = least_squares_analysis(np.where(mask, field, junk), t, mask)
        assert np.array_equal(found.a, want.a)
    nothing = least_squares_analysis(field, t, 0 * mask)
    assert not nothing.a.any()
    assert nothing.iterations == nothing.residual == 0
    assert not adjoint_least_squares_analysis(want.a, t, mask)[~mask].any()


@any_spin
def test_weights_have_no_scale(spin):
    t = make("HEALPix", spin)
    field, weights = noise(t, 14), random_weights(t, 15)
    want = least_squares_analysis(field, t, weights).a
    assert difference(least_squares_analysis(field, t, 1e6 * weights).a, want) <= 1e-12
    if spin:  # one weight for both components
        both = np.stack([weights[0], weights[0]])
        found = least_squares_analysis(field, t, weights[0]).a
        assert np.array_equal(found, least_squares_analysis(field, t, both).a)


# Transposes


@pytest.mark.parametrize("iterations", [0, 1, 3])
@pytest.mark.parametrize(("name", "spin"), [("full", 0), ("octaminimal", 0), ("HEALPix", 2)])
def test_dot_jacobi(name, spin, iterations):
    t = make(name, spin)
    x, y = noise(t, 16, (2,)), coefficients(t, 17, (2,))
    image, back = jacobi_analysis(x, t, iterations), adjoint_jacobi_analysis(y, t, iterations)
    scale = np.linalg.norm(image) * np.linalg.norm(y)
    assert abs(np.vdot(image, y).real - float(np.vdot(x, back))) <= 1e-13 * scale


@any_spin
@pytest.mark.parametrize("weighted", [False, True])
@every
def test_dot_least_squares(name, weighted, spin):
    t = make(name, spin)
    weights = random_weights(t, 18) if weighted else None
    x, y = noise(t, 19, (2,)), coefficients(t, 20, (2,))
    options = {"tolerance": TIGHT, "max_iterations": 1000}
    image = least_squares_analysis(x, t, weights, **options).a
    back = adjoint_least_squares_analysis(y, t, weights, **options)
    scale = np.linalg.norm(image) * np.linalg.norm(y)
    assert abs(np.vdot(image, y).real - float(np.vdot(x, back))) <= 1e-11 * scale


# Batches, precision, threads


@pytest.mark.parametrize("spin", [0, 2])
def test_batches_and_out(spin):
    t = make("OctaHEALPix", spin)
    x, y = noise(t, 21, (2, 3)), coefficients(t, 22, (2, 3))
    x[0, 1] *= 1e-3  # each field converges by itself
    for mapped, given in [
        (jacobi_analysis, x),
        (adjoint_jacobi_analysis, y),
        (lambda x, t, out=None: least_squares_analysis(x, t, out=out).a, x),
        (adjoint_least_squares_analysis, y),
    ]:
        want = mapped(given, t)
        for index in np.ndindex(2, 3):
            assert difference(mapped(given[index], t), want[index]) <= 4 * EPS
        out = np.full((*want.shape, 2), np.nan, want.dtype)[..., 0]
        assert mapped(np.asfortranarray(given), t, out=out) is out
        assert np.array_equal(out, want)
        assert np.array_equal(mapped(given, make("OctaHEALPix", spin, threads=2)), want)
    found = least_squares_analysis(x, t)
    assert found.iterations.shape == found.residual.shape == (2, 3)
    assert least_squares_analysis(x[:0], t).a.shape == (0, 3, *t.coefficients.shape)


def test_float32():
    t, short = make("octaminimal"), make("octaminimal", dtype="float32")
    x = noise(t, 23)
    found = least_squares_analysis(1e-25 * x.astype(np.float32), short)
    assert found.a.dtype == np.complex64
    assert difference(1e25 * found.a, least_squares_analysis(x, t).a) <= 1e-5
    low = jacobi_analysis(x.astype(np.float32), short)
    assert low.dtype == np.complex64
    assert difference(low, jacobi_analysis(x, t)) <= 1e-6
    y = coefficients(t, 24)
    back = adjoint_least_squares_analysis(y.astype(np.complex64), short)
    assert back.dtype == np.float32
    assert difference(back, adjoint_least_squares_analysis(y, t)) <= 1e-5


# Inside @njit code


def test_kernels_equal_the_functions():
    """With spin, in float32; scalars in float64 are in the gradient below."""
    t = make("HEALPix", 2, dtype="float32")
    x, weights, eps = noise(t, 25), random_weights(t, 26), np.finfo(np.float32).eps
    tolerance = float(1e3 * eps)
    a = np.full(t.coefficients.shape, np.nan, t.coefficients.dtype)
    compiled(jacobi_analysis_into)(a, x, 2, t, t.scratch())
    assert difference(a, jacobi_analysis(x, t, 2)) <= 4 * eps
    want = least_squares_analysis(x, t, weights, tolerance=tolerance)
    x[weights == 0] = np.nan
    solver = least_squares_solver(t, weights, tolerance=tolerance)
    scratch = solver.scratch()
    compiled(least_squares_analysis_into)(a, x, solver, scratch)
    assert difference(a, want.a) <= 3 * tolerance
    assert abs(scratch.report[0] - want.iterations) <= 1
    assert scratch.report[1] <= tolerance


@njit()
def misfit(field, target, a, cube, t, solver, scratch):
    """Of both refinements of the cube of a field, to a target."""
    for i in range(field.size):
        cube[i] = field[i] ** 3
    total = 0.0
    jacobi_analysis_into(a, cube, 2, t, scratch.transform)
    for k in range(a.size):
        total += (a[k].real - target[k].real) ** 2 + (a[k].imag - target[k].imag) ** 2
    least_squares_analysis_into(a, cube, solver, scratch)
    for k in range(a.size):
        total += (a[k].real - target[k].real) ** 2 + (a[k].imag - target[k].imag) ** 2
    return total


@functools.cache
def arguments():
    t = make("HEALPix")
    solver = least_squares_solver(t, random_weights(t, 28), tolerance=TIGHT)
    buffers = np.zeros(t.ncoef, complex), np.zeros(t.fields.shape)
    return noise(t, 27), coefficients(t, 29), *buffers, t, solver, solver.scratch()


@functools.cache
def gradient():
    return value_and_grad(misfit)(*arguments())


def test_gradient_in_njit_code():
    value, found = gradient()
    field, target, *_, t, solver, _ = arguments()
    options = {"weights": solver.weights, "tolerance": TIGHT}
    first = jacobi_analysis(field**3, t, 2) - target
    second = least_squares_analysis(field**3, t, **options).a - target
    assert abs(value - np.sum(np.abs(first) ** 2 + np.abs(second) ** 2)) <= 1e-12 * value
    back = adjoint_jacobi_analysis(2 * first, t, 2)
    back += adjoint_least_squares_analysis(2 * second, t, **options)
    assert difference(found, 3 * field**2 * back) <= 1e-12


def test_forward_mode_is_the_slope_of_reverse_mode():
    value, found = gradient()
    field, *rest = arguments()
    direction = noise(make("HEALPix"), 30)
    primal, slope = jvp(misfit, (field, *rest), [direction, *[None] * len(rest)])
    assert abs(slope - found @ direction) <= 1e-12 * np.linalg.norm(found * direction)
    assert abs(primal - value) <= 1e-13 * value


def test_kernel_with_bad_arguments():
    t = make("HEALPix")
    field, solver = noise(t, 34), least_squares_solver(t)
    a, scratch = np.zeros(t.ncoef, complex), solver.scratch()
    other = least_squares_solver(make("octaminimal"))
    for arguments in [(field[1:].copy(), solver, scratch), (field, solver, other.scratch())]:
        with pytest.raises(ValueError, match=r"the shape of `solver\.weights`, and the scratch"):
            least_squares_analysis_into(a, *arguments)
    with pytest.raises(ValueError, match=r"coefficients of shape `t\.coefficients\.shape`"):
        least_squares_analysis_into(a[1:].copy(), field, solver, scratch)
    assert not a.any()
    field[7] = np.nan
    least_squares_analysis_into(a, field, solver, scratch)
    assert np.all(np.isnan(a))
    assert np.isnan(scratch.report[1])


# Bad input


def test_errors():
    t, none = make("HEALPix"), make("rings")
    field, a = noise(t, 35), coefficients(t, 36)
    for mapped, given in [
        (jacobi_analysis, field),
        (adjoint_jacobi_analysis, a),
        (least_squares_analysis, field),
        (adjoint_least_squares_analysis, a),
    ]:
        call = rf"`sht\.{mapped.__name__}\(\w+, t, \w+\)` needs"
        with pytest.raises(TypeError, match=rf"{call} a transform\. Got HEALPix"):
            mapped(given, t.grid)
        with pytest.raises(ValueError, match=rf"{call} shape \(\.\.\., {given.size}\)"):
            mapped(given[1:], t)
        with pytest.raises(TypeError, match=rf"{call} dtype"):
            mapped(given.astype(np.complex64), t)
        with pytest.raises(TypeError, match="needs `out` to be a"):
            mapped(given, t, out=given.copy())
    nonsense: list[Any] = [-1, 1.5, None]
    for iterations in nonsense:
        with pytest.raises(ValueError, match="`iterations` to be an int >= 0. Got"):
            jacobi_analysis(field, t, iterations)
    with pytest.raises(ValueError, match="needs a grid with quadrature weights"):
        jacobi_analysis(noise(none, 37), none)
    holes = field.copy()
    holes[3] = np.nan
    with pytest.raises(ValueError, match="Give missing points weight 0"):
        least_squares_analysis(holes, t)
    for weights, match in [
        (np.ones(5), r"real weights of shape \(768,\).* Got float64 of shape \(5,\)"),
        (1j * field, "Got complex128"),
        (field, "finite weights >= 0.*A mask is 1"),
        (holes, "finite weights >= 0"),
    ]:
        with pytest.raises(ValueError, match=match):
            least_squares_analysis(field, t, weights)
    for options, match in [
        ({"tolerance": 0.0}, r"`tolerance` to be in \(0, 1\)\. Got 0\.0"),
        ({"tolerance": np.nan}, "`tolerance`"),
        ({"max_iterations": -1}, "`max_iterations` to be an int >= 0. Got -1"),
    ]:
        with pytest.raises(ValueError, match=match):
            least_squares_analysis(field, t, **options)
        with pytest.raises(ValueError, match=match):
            least_squares_solver(t, **options)


def test_warning_counts_the_fields_that_have_not_converged():
    t = make("HEALPix")
    field = noise(t, 38, (3,))
    field[1] = 0.0
    with pytest.warns(RuntimeWarning, match=r"within 2 iterations, for 2 of 3 fields") as seen:
        found = least_squares_analysis(field, t, max_iterations=2)
    assert seen[0].filename == __file__
    assert found.iterations.tolist() == [2, 0, 2]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        least_squares_analysis(field, t)
