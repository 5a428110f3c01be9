"""Interpolation and regridding: exact where it must be, against an oracle, healpy, and adjoints."""

import pickle

import numpy as np
import pytest
from numba import njit

import sht
from llvm import jvp, value_and_grad
from sht import grids
from sht.interpolation import (
    Interpolator,
    adjoint_interpolate,
    interpolate,
    interpolate_into,
    regrid_bilinear,
    regrid_spectral,
)

EPS = np.finfo(np.float64).eps
GRIDS = [
    grids.FullGaussian(1, 1),
    grids.FullGaussian(2, 4),
    grids.FullGaussian(5, 9),  # a ring on the Equator
    grids.FullGaussian(16, 33),
    grids.FullClenshaw(7, 16),
    grids.OctahedralGaussian(5),
    grids.OctaminimalGaussian(4),
    grids.HEALPix(1),
    grids.HEALPix(4),
    grids.OctaHEALPix(3),
    grids.Rings([0.7], [1], [0.3]),
    grids.Rings([0.5, 1.5, 2.0, 2.5], [1, 8, 4, 2], [0.0, 0.1, -0.2, 9.0]),
]
every_grid = pytest.mark.parametrize(
    "grid", GRIDS, ids=lambda grid: f"{type(grid).__name__}{grid.npoints}"
)


def random_field(grid, seed=0, batch=()):
    return np.random.default_rng(seed).standard_normal((*batch, *grid.shape))


def random_points(count, seed=1):
    """Uniform on the sphere, with both poles, the Equator, and longitudes of several turns."""
    rng = np.random.default_rng(seed)
    theta = np.arccos(rng.uniform(-1.0, 1.0, count))
    theta[:3] = 0.0, np.pi, np.pi / 2
    return theta, rng.uniform(-15.0, 15.0, count)


def own_points(grid):
    return np.deg2rad(90.0 - grid.latitudes), np.deg2rad(grid.longitudes)


def oracle(field, grid, theta, phi):
    """The definition, point by point, with NumPy's periodic linear interpolation for a ring."""
    rings = np.split(field.ravel(), grid.offsets[1:-1])
    circles = np.concatenate([[0.0], grid.theta, [np.pi]])
    values = []
    for one_theta, one_phi in zip(theta, phi, strict=True):
        column = [rings[0].mean()]
        for ring, start in zip(rings, grid.phi0, strict=True):
            longitudes = start + np.arange(len(ring)) * (2 * np.pi / len(ring))
            column.append(np.interp(one_phi, longitudes, ring, period=2 * np.pi))
        column.append(rings[-1].mean())
        values.append(np.interp(one_theta, circles, column))
    return np.array(values)


# Exact


@every_grid
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_at_grid_points_a_field_has_its_own_values_to_the_bit(grid, dtype):
    field = random_field(grid).astype(dtype)
    field.flat[0] = np.nan
    for angles in (own_points(grid), (own_points(grid)[0], own_points(grid)[1] + 4 * np.pi)):
        got = interpolate(field, grid, *angles)
        assert got.dtype == dtype
        assert np.array_equal(got, field, equal_nan=True)
    assert np.array_equal(regrid_bilinear(field, grid, grid), field, equal_nan=True)


@every_grid
def test_constants_are_kept_and_weights_are_a_mean(grid):
    interpolator = Interpolator(grid, *random_points(300))
    constant = np.full(grid.shape, 1.7)
    assert np.max(np.abs(interpolator.interpolate(constant) - 1.7)) <= (8 + grid.nlon.max()) * EPS
    assert np.all(interpolator.weights > 0.0)
    assert np.all(interpolator.weights <= 1.0)
    assert np.all((interpolator.points >= 0) & (interpolator.points < grid.npoints))


@every_grid
def test_against_the_definition(grid):
    theta, phi = random_points(100)
    field = random_field(grid)
    got = interpolate(field, grid, theta, phi)
    # Angles are good to eps times a turn or two, and the steepest ring has nlon points in one.
    tolerance = 30 * EPS * grid.nlon.max() * np.max(np.abs(field))
    assert np.max(np.abs(got - oracle(field, grid, theta, phi))) <= tolerance


@every_grid
def test_poles_have_the_mean_of_the_ring_next_to_them(grid):
    field = random_field(grid)
    for theta, ring in ((0.0, slice(0, grid.nlon[0])), (np.pi, slice(-grid.nlon[-1], None))):
        got = interpolate(field, grid, theta, [0.0, 1.0, 1e3])
        assert np.max(np.abs(got - np.mean(field.ravel()[ring]))) <= 8 * EPS


def test_halfway_on_the_equator_ring_and_over_the_date_line():
    grid = grids.FullGaussian(5, 4)
    field = np.arange(20.0).reshape(5, 4)
    got = interpolate(field, grid, np.pi / 2, np.pi * np.array([0.25, 1.75, -0.25, 2.25]))
    assert np.allclose(got, [8.5, 9.5, 9.5, 8.5], rtol=4 * EPS)


def test_nan_stays_where_it_is_needed():
    """Weights of 0 do not exist: neither a masked neighbour nor a masked pole spreads."""
    grid = grids.FullGaussian(8, 16)
    field = random_field(grid)
    field[0] = np.nan
    got = interpolate(field, grid, [0.1, grid.theta[1], 1.0], [0.1, 0.1, 0.1])
    assert np.isnan(got).tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("make", "order", "polar"),
    [
        (lambda n: grids.FullGaussian(n, 2 * n), 2, False),
        (lambda n: grids.FullGaussian(n, 2 * n), 2, True),
        (lambda n: grids.HEALPix(n // 4), 2, False),
        (lambda n: grids.HEALPix(n // 4), 1, True),  # its polar rings always have four points
    ],
)
def test_order_of_convergence(make, order, polar):
    def smooth(theta, phi):
        x, y, z = np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)
        return np.exp(x) + y * z**2

    errors = []
    for n in (48, 96, 192):
        grid = make(n)
        theta, phi = random_points(4000)
        theta = theta * (grid.theta[0] / np.pi) if polar else 0.4 + 0.8 * theta
        got = interpolate(smooth(*own_points(grid)), grid, theta, phi)
        errors.append(np.max(np.abs(got - smooth(theta, phi))))
    orders = np.log2(errors[:-1]) - np.log2(errors[1:])
    assert np.all(np.abs(orders - order) < 0.1), orders


@pytest.mark.parametrize("nside", [1, 2, 16])
def test_healpy_interpolates_as_we_do_to_the_poles(nside):
    healpy = pytest.importorskip("healpy")
    grid = grids.HEALPix(nside)
    field = random_field(grid)
    theta, phi = random_points(3000)
    got = interpolate(field, grid, theta, phi)
    assert np.max(np.abs(got - healpy.get_interp_val(field, theta, phi))) <= 200 * nside * EPS


# Shapes, dtypes, outputs


def test_batches_strides_and_out():
    grid = grids.OctahedralGaussian(5)
    theta, phi = (angle.reshape(5, 4) for angle in random_points(20))
    fields = random_field(grid, batch=(2, 3))
    interpolator = Interpolator(grid, theta, phi)
    want = np.array([[interpolator.interpolate(one) for one in row] for row in fields])
    assert interpolator.shape == (5, 4)
    assert np.array_equal(interpolate(fields, grid, theta, phi), want)
    assert np.array_equal(interpolator.interpolate(fields[:, ::-2]), want[:, ::-2])
    out = np.empty((5, 4, 2, 3)).transpose(2, 3, 0, 1)
    assert interpolator.interpolate(fields, out) is out
    assert np.array_equal(out, want)
    row = interpolate(fields, grid, 0.3, phi[0])  # broadcast
    assert row.shape == (2, 3, 4)


def test_one_point_without_an_axis():
    grid = grids.FullGaussian(4, 8)
    fields = random_field(grid, batch=(3,))
    value = interpolate(fields[0], grid, 0.9, 0.1)
    assert value.shape == ()
    assert value == interpolate(fields[0], grid, [0.9], 0.1)[0]
    out = np.empty(3)
    assert interpolate(fields, grid, 0.9, 0.1, out=out) is out
    assert out[0] == value
    back = adjoint_interpolate(1.0, grid, 0.9, 0.1)
    assert back.shape == grid.shape
    assert np.array_equal(back, adjoint_interpolate([1.0], grid, [0.9], 0.1))


def test_float32_is_summed_in_float64():
    grid = grids.HEALPix(4)
    points = random_points(500)
    field = random_field(grid).astype(np.float32)
    got = interpolate(field, grid, *points)
    assert got.dtype == np.float32
    assert np.array_equal(got, interpolate(field.astype(float), grid, *points).astype(np.float32))


def test_pickled_and_printed():
    interpolator = Interpolator(grids.HEALPix(2), *random_points(10))
    again = pickle.loads(pickle.dumps(interpolator))  # noqa: S301
    for one, other in zip(interpolator, again, strict=True):
        assert np.array_equal(one, other)
    assert again.grid == interpolator.grid
    assert repr(again).startswith("Interpolator to points of shape (10,)\n  from HEALPix(nside=2)")


# Adjoints and gradients


@every_grid
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_dot(grid, dtype):
    interpolator = Interpolator(grid, *random_points(200))
    field = random_field(grid, batch=(2,)).astype(dtype)
    values = np.random.default_rng(3).standard_normal((2, 200)).astype(dtype)
    there, back = interpolator.interpolate(field), interpolator.adjoint_interpolate(values)
    assert back.dtype == dtype
    assert back.shape == field.shape
    left = np.sum(there.astype(float) * values)
    right = np.sum(field.astype(float) * back)
    tolerance = 1e-13 if dtype == np.float64 else 1e-5
    assert abs(left - right) <= tolerance * np.linalg.norm(field) * np.linalg.norm(values)


@njit()
def misfit(field, data, predicted, interpolator):
    interpolate_into(predicted, field, interpolator)
    total = 0.0
    for k in range(data.size):
        total += 0.5 * (predicted[k] - data[k]) ** 2
    return total


@pytest.mark.parametrize("grid", [grids.FullGaussian(6, 12), grids.HEALPix(4)], ids=["full", "hp"])
def test_gradient_of_a_misfit_of_observations(grid):
    interpolator = Interpolator(grid, *random_points(50))
    rng = np.random.default_rng(4)
    field, direction, data = random_field(grid), random_field(grid, 5), rng.standard_normal(50)
    value, gradient = value_and_grad(misfit)(field, data, np.empty(50), interpolator)
    residual = interpolator.interpolate(field) - data
    assert abs(value - 0.5 * residual @ residual) <= 1e-14 * value
    want = interpolator.adjoint_interpolate(residual)
    assert np.max(np.abs(gradient - want)) <= 8 * EPS * np.max(np.abs(want))
    _, tangent = jvp(
        misfit,
        (field, data, np.empty(50), interpolator),
        (direction, None, np.zeros(50), None),
    )
    assert abs(tangent - np.sum(gradient * direction)) <= 1e-12 * abs(tangent)


def test_gradient_in_single_precision():
    grid = grids.HEALPix(4)
    interpolator = Interpolator(grid, *random_points(50))
    field, data = random_field(grid).astype(np.float32), np.zeros(50, np.float32)
    _, gradient = value_and_grad(misfit)(field, data, np.empty(50, np.float32), interpolator)
    wide = field.astype(float)
    want = interpolator.adjoint_interpolate(interpolator.interpolate(wide))
    assert gradient.dtype == np.float32
    assert np.max(np.abs(gradient - want)) <= 30 * np.finfo(np.float32).eps


@njit()
def misfit_of_coefficients(a, data, t, field, scratch, predicted, interpolator):
    sht.synthesis_into(field, a, t, scratch)
    return misfit(field, data, predicted, interpolator)


def test_gradient_through_the_transform():
    t = sht.Transform(5, grids.FullGaussian(8, 16))
    interpolator = Interpolator(t.grid, *random_points(50))
    rng = np.random.default_rng(6)
    a, data = sht.reference.random_coefficients(rng, 5, 5), rng.standard_normal(50)
    arguments = (a, data, t, np.empty(t.grid.shape), t.scratch(), np.empty(50), interpolator)
    _, gradient = value_and_grad(misfit_of_coefficients)(*arguments)
    residual = interpolator.interpolate(t.synthesis(a)) - data
    want = t.adjoint_synthesis(interpolator.adjoint_interpolate(residual))
    assert np.max(np.abs(gradient - want)) <= 1e-13 * np.max(np.abs(want))


# From grid to grid


@every_grid
def test_regrid_bilinear_is_interpolation_to_the_target_points(grid):
    target = grids.OctahedralGaussian(3)
    field = random_field(grid, batch=(2,))
    got = regrid_bilinear(field, grid, target)
    assert got.shape == (2, *target.shape)
    want = interpolate(field, grid, *own_points(target))
    assert np.max(np.abs(got - want)) <= 50 * EPS * grid.nlon.max()
    assert regrid_bilinear(got[0], target, grid).shape == grid.shape


@pytest.mark.parametrize(
    ("source", "target"),
    [((5, 5), (9, 9)), ((9, 9), (5, 5)), ((9, 4), (7, 7)), ((7, 7), (9, 2)), ((9, 6), (4, 3))],
)
def test_regrid_spectral_keeps_what_both_have(source, target):
    fine, coarse = (
        sht.Transform(lmax, grids.FullGaussian.for_lmax(lmax), mmax=mmax)
        for lmax, mmax in (source, target)
    )
    a = sht.reference.random_coefficients(np.random.default_rng(7), source[0], source[1], (3,))
    dense = np.zeros((3, 10, 10), complex)
    dense[:, : source[0] + 1, : source[1] + 1] = sht.unpack(a, *source)
    want = coarse.synthesis(sht.pack(dense[:, : target[0] + 1, : target[1] + 1]))
    got = regrid_spectral(fine.synthesis(a), fine, coarse)
    assert np.max(np.abs(got - want)) <= 1e-14 * np.max(np.abs(a)) * fine.ncoef
    out = np.empty_like(want)
    assert regrid_spectral(fine.synthesis(a), fine, coarse, out=out) is out
    assert np.array_equal(out, got)


# Bad input

GRID = grids.FullGaussian(4, 8)
ROW = grids.OctahedralGaussian(2)
ONE = Interpolator(GRID, [1.0], [1.0])


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: Interpolator((4, 8), 0, 0), TypeError, r"needs a grid of `sht.grids`. Got tuple"),  # type: ignore
        (lambda: Interpolator.between(GRID, 3), TypeError, r"between\(source, target\)`.* Got int"),  # type: ignore
        (
            lambda: Interpolator(GRID, 45.0, 0),
            ValueError,
            r"in \[0, pi\]. Got 45.0. From lat",
        ),
        (lambda: Interpolator(GRID, [1, np.nan], 0), ValueError, r"Got nan"),
        (lambda: Interpolator(GRID, 1, np.inf), ValueError, r"finite longitudes"),
        (lambda: Interpolator(GRID, [1, 1], [1] * 3), ValueError, r"Got \(2,\) and \(3,\)"),
        (lambda: ONE.interpolate(np.zeros((8, 4))), ValueError, r"Longitude comes last"),
        (lambda: ONE.interpolate(np.zeros(32)), ValueError, r"Split its rings: .*, 4, 8\)"),
        (lambda: ONE.interpolate(np.zeros((4, 8), int)), TypeError, r"Got int64. Convert it"),
        (lambda: ONE.interpolate(np.zeros((4, 8), complex)), TypeError, r"real and imaginary"),
        (lambda: interpolate(np.zeros(9), ROW, 0, 0), ValueError, r"(..., 88).* ring after ring"),
        (
            lambda: ONE.interpolate(np.zeros((4, 8)), np.zeros(1, np.float32)),
            TypeError,
            r"interpolate\(field, out\)` needs `out` to be a float64 array. Got float32",
        ),
        (lambda: ONE.adjoint_interpolate(np.zeros(2)), ValueError, r"needs shape \(..., 1\)"),
        (
            lambda: interpolate_into(np.zeros(1), np.zeros((4, 9)), ONE),
            ValueError,
            r"a field of the interpolator's own grid",
        ),
        (
            lambda: interpolate_into(np.zeros(2), np.zeros((4, 8)), ONE),
            ValueError,
            r"as many values as the interpolator has points",
        ),
    ],
)
def test_bad_input_is_told(call, error, match):
    with pytest.raises(error, match=match):
        call()
