"""Where the points of grids are, and their weights: formulas, healpy, ducc0, symmetry."""

import numpy as np
import pytest
from scipy import special

from sht.grids import (
    FullClenshaw,
    FullGaussian,
    HEALPix,
    OctaHEALPix,
    OctahedralClenshaw,
    OctahedralGaussian,
    OctaminimalGaussian,
    Rings,
)
from tests.sht_grid_cases import GRIDS, NAMED, SMALLEST, grid_name

EPS = np.finfo(np.float64).eps
WHOLE = [*SMALLEST[:-1], *NAMED]  # with weights, and symmetric
NSIDES = [*range(1, 17), 64]
LONG_PI = np.arccos(np.longdouble(-1))


def on_circle(a, b):
    """Largest distance of two angles in degrees, 0 and 360 being the same."""
    return np.max(np.abs((a - b + 180) % 360 - 180))


def symmetric_counts(north, nlat):
    return [*north, *north[::-1][nlat % 2 :]]


@pytest.mark.parametrize(
    ("grid", "nlon", "phi0"),
    [
        (FullGaussian(3, 5), [5, 5, 5], [0, 0, 0]),
        (FullClenshaw(2, 7), [7, 7], [0, 0]),
        (OctahedralGaussian(2), [20, 24, 24, 20], [0, 0, 0, 0]),
        (OctaminimalGaussian(2), [4, 8, 8, 4], [1 / 4, 1 / 8, 1 / 8, 1 / 4]),
        (OctahedralClenshaw(2), [20, 24, 20], [0, 0, 0]),
        (OctaHEALPix(2), [4, 8, 4], [1 / 4, 1 / 8, 1 / 4]),
        (HEALPix(1), [4, 4, 4], [1 / 4, 0, 1 / 4]),
        (
            HEALPix(2),
            [4, 8, 8, 8, 8, 8, 4],
            [1 / 4, 1 / 8, 0, 1 / 8, 0, 1 / 8, 1 / 4],
        ),
    ],
    ids=lambda value: "" if isinstance(value, list) else grid_name(value),
)
def test_numbers_of_points_and_first_longitudes(grid, nlon, phi0):
    assert grid.nlon.tolist() == nlon
    assert grid.phi0.tolist() == [np.pi * p for p in phi0]


@pytest.mark.parametrize("n", [1, 2, 5, 31])
def test_octahedral_numbers(n):
    j = np.arange(1, n + 1)
    for kind, first, nlat in [
        (OctahedralGaussian, 16, 2 * n),
        (OctaminimalGaussian, 0, 2 * n),
        (OctahedralClenshaw, 16, 2 * n - 1),
        (OctaHEALPix, 0, 2 * n - 1),
    ]:
        grid = kind(n)
        assert grid.nlon.tolist() == symmetric_counts((first + 4 * j).tolist(), nlat)
    assert OctaHEALPix(n).npoints == 4 * n**2
    assert OctahedralGaussian(n).npoints == 4 * n * (n + 9)  # O1280: 6599680, as ECMWF says


@pytest.mark.parametrize("nlat", [1, 2, 3, 8, 33, 64])
def test_gaussian_latitudes(nlat):
    ducc0 = pytest.importorskip("ducc0")
    grids = [FullGaussian(nlat, 6), Rings.gaussian(np.full(nlat, 6))]
    if nlat % 2 == 0:
        grids += [OctahedralGaussian(nlat // 2), OctaminimalGaussian(nlat // 2)]
    for grid in grids:
        assert np.max(np.abs(grid.cos_theta - special.roots_legendre(nlat)[0][::-1])) <= 4 * EPS
        assert np.max(np.abs(grid.theta - ducc0.misc.GL_thetas(nlat))) <= 4 * EPS
        # ducc0's are areas: they include 2 pi / nlon.
        want = ducc0.misc.GL_weights(nlat, 1) / (2 * np.pi)
        assert np.max(np.abs(grid.weights / want - 1)) <= 1e-13


@pytest.mark.parametrize("nlat", [1, 2, 3, 4, 7, 32, 255])
def test_clenshaw_latitudes(nlat):
    experimental = pytest.importorskip("ducc0").sht.experimental
    grids = [FullClenshaw(nlat, 4)] + [OctahedralClenshaw((nlat + 1) // 2)] * (nlat % 2)
    j = np.arange(1, nlat + 1)
    theta = j * LONG_PI / (nlat + 1)
    p = np.arange(1, nlat + 1, 2)
    weights = 4 * np.sin(theta) / (nlat + 1) * (np.sin(theta[:, None] * p) / p).sum(axis=1)
    for grid in grids:
        assert np.max(np.abs(grid.theta / theta - 1)) <= 2 * EPS
        assert np.max(np.abs(grid.cos_theta - np.cos(theta))) <= EPS
        assert np.max(np.abs(grid.sin_theta / np.sin(theta) - 1)) <= 2 * EPS
        assert np.max(np.abs(grid.weights / weights - 1)) <= 16 * EPS
        want = experimental.get_gridweights("F2", nlat) / (2 * np.pi)
        assert np.max(np.abs(grid.weights - want)) <= 16 * EPS


@pytest.mark.parametrize("nside", NSIDES)
def test_healpix_points(nside):
    healpy = pytest.importorskip("healpy")
    grid = HEALPix(nside)
    theta, phi = healpy.pix2ang(nside, np.arange(grid.npoints))
    assert grid.npoints == len(theta) == 12 * nside**2
    assert np.max(np.abs(grid.latitudes - 90 + np.rad2deg(theta))) <= 180 * EPS
    assert on_circle(grid.longitudes, np.rad2deg(phi)) <= 720 * EPS
    assert np.max(np.abs(grid.areas / healpy.nside2pixarea(nside) - 1)) <= 4 * EPS


@pytest.mark.parametrize("nside", [1, 2, 3, 16])
def test_healpix_rings(nside):
    healpix = pytest.importorskip("ducc0").healpix
    grid = HEALPix(nside)
    info = healpix.Healpix_Base(nside, "RING").sht_info()
    assert np.max(np.abs(grid.theta - info["theta"])) <= 4 * EPS
    assert np.array_equal(grid.nlon, info["nphi"])
    assert np.max(np.abs(grid.phi0 - info["phi0"])) <= 2 * EPS
    assert np.array_equal(grid.offsets[:-1], info["ringstart"])


def long_equal_area(kind, n, ring):
    """1 - |cos(theta)| of a ring of an equal-area grid, in extended precision."""
    ring, n = np.longdouble(ring), np.longdouble(n)
    if kind is OctaHEALPix:
        return ring**2 / n**2
    return np.where(ring <= n, ring**2 / (3 * n**2), (2 * ring - n) / (3 * n))


@pytest.mark.parametrize("kind", [HEALPix, OctaHEALPix])
@pytest.mark.parametrize("n", [1, 5, 1000])
def test_equal_area_latitudes(kind, n):
    grid = kind(n)
    ring = np.minimum(np.arange(grid.nlat), np.arange(grid.nlat)[::-1]) + 1
    height = long_equal_area(kind, n, ring)
    assert np.max(np.abs(np.abs(grid.cos_theta) - (1 - height))) <= EPS
    # Also beside the poles, where the square of the cosine has no digits of the sine.
    assert np.max(np.abs(grid.sin_theta / np.sqrt(height * (2 - height)) - 1)) <= 4 * EPS
    assert np.max(np.abs(grid.areas * grid.npoints / (4 * np.pi) - 1)) <= 4 * EPS


@pytest.mark.parametrize("grid", [*WHOLE, OctahedralGaussian(200)], ids=grid_name)
def test_rings_mirror_each_other_exactly(grid):
    assert np.array_equal(grid.cos_theta[::-1], -grid.cos_theta)
    for name in ("sin_theta", "weights", "nlon"):
        assert np.array_equal(getattr(grid, name)[::-1], getattr(grid, name))
    if grid.nlat % 2:
        middle = grid.nlat // 2
        assert grid.cos_theta[middle] == 0
        assert grid.sin_theta[middle] == 1
        assert not np.signbit(grid.cos_theta[middle])


@pytest.mark.parametrize("grid", GRIDS, ids=grid_name)
def test_angles_and_their_functions_agree(grid):
    assert np.max(np.abs(np.cos(grid.theta) - grid.cos_theta)) <= 3 * EPS
    assert np.max(np.abs(np.sin(grid.theta) - grid.sin_theta)) <= 3 * EPS
    assert np.all(grid.sin_theta > 0)
    assert np.all(np.diff(grid.cos_theta) < 0)


@pytest.mark.parametrize("grid", [*WHOLE, Rings.gaussian([18, 25, 25, 18])], ids=grid_name)
def test_areas_make_the_sphere(grid):
    assert abs(grid.areas @ grid.nlon / (4 * np.pi) - 1) <= 8 * EPS
    assert abs(np.sum(grid.weights) / 2 - 1) <= 8 * EPS


def test_longitudes_of_reduced_rings():
    grid = Rings([0.5, 1.5, 2.5], [3, 8, 4], [0.0, 0.1, -0.2])
    assert np.allclose(grid.longitudes[3:5], np.rad2deg([0.1, 0.1 + np.pi / 4]), rtol=1e-15)
    assert np.isclose(grid.longitudes[11], 360 - np.rad2deg(0.2), rtol=1e-15)
    assert np.allclose(grid.latitudes, 90 - np.rad2deg(np.repeat(grid.theta, grid.nlon)))


class TestMirrorsOfAnyRings:
    """Rings given by the user: rounding of their latitudes must not spoil symmetry."""

    @pytest.mark.parametrize("nlat", [2, 3, 17, 180])
    def test_rounded_latitudes(self, nlat):
        latitudes = 90 - np.arange(1, nlat + 1) * 180 / (nlat + 1)
        grid = Rings(np.deg2rad(90 - latitudes), 4)
        assert np.array_equal(grid.cos_theta[::-1], -grid.cos_theta)
        assert np.array_equal(grid.sin_theta[::-1], grid.sin_theta)
        assert np.count_nonzero(grid.cos_theta == 0) == nlat % 2

    def test_the_same_functions_as_gaussian_rings(self):
        grid, same = FullGaussian(33, 4), Rings.gaussian(np.full(33, 4))
        assert np.array_equal(grid.cos_theta, same.cos_theta)
        assert np.array_equal(grid.sin_theta, same.sin_theta)

    def test_only_some_mirror(self):
        theta = [0.1, 0.3, 0.300001, 1.0, np.pi - 1.5, np.pi - 1.0 + 4e-16, np.pi - 0.3, 3.0]
        grid = Rings(theta, 4)
        assert grid.cos_theta[5] == -grid.cos_theta[3]
        assert grid.cos_theta[6] == -grid.cos_theta[1]
        rest = [0, 1, 2, 3, 4, 7]
        assert np.array_equal(grid.cos_theta[rest], np.cos(theta)[rest])
        assert np.array_equal(grid.sin_theta[rest], np.sin(theta)[rest])
        assert np.array_equal(grid.theta, theta)

    def test_what_is_not_a_mirror_stays(self):
        theta = [1.0, np.pi - 1.0 + 1e-14]
        grid = Rings(theta, 4)
        assert np.array_equal(grid.cos_theta, np.cos(theta))

    @pytest.mark.parametrize("theta", [[1.0, 1.5], [2.0, 3.0], [np.pi / 2]])
    def test_one_hemisphere(self, theta):
        grid = Rings(theta, 4)
        assert np.max(np.abs(grid.cos_theta - np.cos(theta))) <= EPS
