"""Grids: their geometry, the resolutions they choose, immutability, and bad ones refused."""

import pickle

import numpy as np
import pytest
from scipy import special

from sht.grids import FullGaussian, RingGrid

EPS = np.finfo(np.float64).eps
SIZES = [(1, 1), (1, 4), (2, 4), (3, 5), (5, 8), (32, 64), (33, 65), (64, 1)]


class AnyRings(RingGrid):
    """The smallest subclass, for what the shared constructor checks."""

    def __init__(self, theta, nlon, phi0, weights):
        parameters = (tuple(theta), tuple(nlon), tuple(phi0), tuple(weights))
        super().__init__(parameters, theta=theta, nlon=nlon, phi0=phi0, weights=weights)

    @property
    def max_lmax(self):
        return 0

    @property
    def max_mmax(self):
        return 0

    def __repr__(self):
        return "AnyRings"


THREE_RINGS = ([0.5, 1.5, 2.5], [3, 8, 4], [0.0, 0.1, -0.2], [0.5, 1.0, 0.5])


@pytest.mark.parametrize(("nlat", "nlon"), SIZES)
def test_full_gaussian_geometry(nlat, nlon):
    grid = FullGaussian(nlat, nlon)
    assert grid.shape == grid.latitudes.shape == grid.longitudes.shape == (nlat, nlon)
    assert (grid.nlat, grid.npoints) == (nlat, nlat * nlon)
    assert grid.offsets.tolist() == [j * nlon for j in range(nlat + 1)]
    for per_ring in (grid.theta, grid.cos_theta, grid.sin_theta, grid.weights, grid.areas):
        assert per_ring.shape == (nlat,)
        assert per_ring.dtype == np.float64
    assert np.array_equal(grid.nlon, np.full(nlat, nlon))
    assert grid.nlon.dtype == grid.offsets.dtype == np.int64
    assert not np.any(grid.phi0)
    assert abs(grid.areas @ grid.nlon / (4 * np.pi) - 1) <= 8 * EPS
    assert np.max(np.abs(grid.latitudes[:, 0] + np.rad2deg(grid.theta) - 90)) <= 200 * EPS
    assert np.max(np.abs(grid.longitudes[0] - np.arange(nlon) * 360 / nlon)) <= 400 * EPS
    assert np.max(np.abs(grid.cos_theta - special.roots_legendre(nlat)[0][::-1])) <= 4 * EPS


def test_points_of_reduced_rings():
    grid = AnyRings(*THREE_RINGS)
    assert grid.shape == (15,)
    assert grid.offsets.tolist() == [0, 3, 11, 15]
    assert np.allclose(grid.longitudes[3:5], np.rad2deg([0.1, 0.1 + np.pi / 4]), rtol=1e-15)
    assert np.isclose(grid.longitudes[11], 360 - np.rad2deg(0.2), rtol=1e-15)
    assert np.allclose(grid.areas, 2 * np.pi * np.array([0.5 / 3, 1 / 8, 0.5 / 4]), rtol=1e-15)


@pytest.mark.parametrize(
    ("lmax", "dealiasing", "shape"),
    [
        (0, 1, (2, 4)),
        (0, 3, (2, 4)),
        (1, 1, (2, 4)),
        (31, 2, (48, 96)),
        (42, 2, (64, 128)),  # T42, T63, T85, T106, T170: the usual climate grids
        (63, 2, (96, 192)),
        (85, 2, (128, 256)),
        (106, 2, (160, 320)),
        (170, 2, (256, 512)),
        (127, 1, (128, 256)),
        (127, 3, (256, 512)),
        (1023, 2, (1536, 3072)),
    ],
)
def test_resolutions_of_the_literature(lmax, dealiasing, shape):
    assert FullGaussian.for_lmax(lmax, dealiasing).shape == shape


@pytest.mark.parametrize("dealiasing", [1, 1.5, 2, 3])
@pytest.mark.parametrize("lmax", [*range(40), 127, 255, 1000])
def test_for_lmax_carries_what_it_says(lmax, dealiasing):
    grid = FullGaussian.for_lmax(lmax, dealiasing)
    nlat, nlon = grid.shape
    assert nlon >= (dealiasing + 1) * lmax + 1
    assert 2 * nlat - 1 >= (dealiasing + 1) * lmax
    assert grid.max_lmax >= lmax
    assert grid.max_mmax >= lmax
    assert nlon == 2 * nlat
    for prime in (2, 3, 5, 7):
        while nlon % prime == 0:
            nlon //= prime
    assert nlon == 1


@pytest.mark.parametrize(("nlat", "nlon", "limits"), [(1, 1, (0, 0)), (8, 15, (7, 7))])
def test_limits_of_exact_analysis(nlat, nlon, limits):
    grid = FullGaussian(nlat, nlon)
    assert (grid.max_lmax, grid.max_mmax) == limits
    # An even ring has an order of Nyquist, which carries no sine and is not counted.
    assert FullGaussian(nlat, nlon + 1).max_mmax == limits[1]


def test_equal_by_type_and_parameters():
    grid = FullGaussian(3, 5)
    assert grid == FullGaussian(np.int64(3), np.int32(5))
    assert hash(grid) == hash(FullGaussian(3, 5))
    assert grid != FullGaussian(5, 3)
    assert grid != (3, 5)
    assert type("Other", (FullGaussian,), {})(3, 5) != grid
    assert AnyRings(*THREE_RINGS) == AnyRings(*THREE_RINGS)
    assert len({grid, FullGaussian(3, 5), FullGaussian(4, 5)}) == 2
    copy = pickle.loads(pickle.dumps(grid))  # noqa: S301
    assert copy == grid
    assert np.array_equal(copy.weights, grid.weights)


@pytest.mark.parametrize(
    "name", ["theta", "cos_theta", "sin_theta", "nlon", "phi0", "weights", "areas", "offsets"]
)
def test_nothing_can_be_changed(name):
    grid = FullGaussian(3, 5)
    with pytest.raises(ValueError, match="read-only"):
        getattr(grid, name)[0] = 1
    with pytest.raises(AttributeError, match=f"immutable: cannot set `{name}`"):
        setattr(grid, name, 1)
    with pytest.raises(AttributeError, match=f"immutable: cannot delete `{name}`"):
        delattr(grid, name)


def test_a_grid_does_not_keep_the_callers_arrays():
    theta = np.array(THREE_RINGS[0])
    grid = AnyRings(theta, *THREE_RINGS[1:])
    theta[0] = 0.1
    assert grid.theta[0] == 0.5


def test_repr_says_size_and_limits():
    first, second = repr(FullGaussian(64, 128)).splitlines()
    assert "64 rings of 128 points" in first
    assert "lmax <= 63, mmax <= 63" in second


@pytest.mark.parametrize(
    ("nlat", "nlon", "error", "match"),
    [
        (0, 4, ValueError, r"`FullGaussian\(nlat, nlon\)` needs nlat >= 1. Got nlat = 0"),
        (4, 0, ValueError, r"needs nlon >= 1. Got nlon = 0"),
        (4, -1, ValueError, r"Got nlon = -1. `FullGaussian.for_lmax\(lmax\)` chooses both"),
        (4.0, 8, TypeError, r"needs an integer nlat. Got 4.0"),
        (4, "8", TypeError, r"needs an integer nlon. Got '8'"),
    ],
)
def test_bad_full_gaussian_is_refused(nlat, nlon, error, match):
    with pytest.raises(error, match=match):
        FullGaussian(nlat, nlon)


@pytest.mark.parametrize(
    ("lmax", "dealiasing", "error", "match"),
    [
        (-1, 2, ValueError, r"for_lmax\(lmax, dealiasing\)` needs lmax >= 0. Got lmax = -1"),
        (4.5, 2, TypeError, r"needs an integer lmax. Got 4.5"),
        (4, 0.5, ValueError, r"needs a finite dealiasing >= 1. Got 0.5. 1 is a linear"),
        (4, np.nan, ValueError, r"finite dealiasing >= 1. Got nan"),
        (4, np.inf, ValueError, r"finite dealiasing >= 1. Got inf"),
        (4, "cubic", TypeError, r"needs a number `dealiasing`. Got 'cubic'"),
    ],
)
def test_bad_resolution_is_refused(lmax, dealiasing, error, match):
    with pytest.raises(error, match=match):
        FullGaussian.for_lmax(lmax, dealiasing)


@pytest.mark.parametrize(
    ("changed", "value", "error", "match"),
    [
        (0, [], ValueError, r"`AnyRings` needs at least one ring"),
        (0, [0.5, 1.5], ValueError, r"one value per ring: `phi0` of shape \(2,\). Got \(3,\)"),
        (0, [0.0, 1.5, 2.5], ValueError, r"ascending in \(0, pi\).*Got values from 0.0 to 2.5"),
        (0, [0.5, 1.5, 3.2], ValueError, r"without the poles"),
        (0, [0.5, 0.5, 2.5], ValueError, r"strictly ascending"),
        (0, [2.5, 1.5, 0.5], ValueError, r"north to south"),
        (0, [0.5, np.nan, 2.5], ValueError, r"needs finite `theta`. Got NaN"),
        (1, [3, 0, 4], ValueError, r"at least one point on every ring. Got nlon = 0 on ring 1"),
        (1, [3.0, 8.0, 4.0], TypeError, r"needs integer numbers of points `nlon`. Got float64"),
        (2, [0.0, np.inf, 0.0], ValueError, r"needs finite `phi0`"),
        (3, [0.5, 1.0], ValueError, r"`weights` of shape \(3,\). Got \(2,\)"),
        (3, [0.5, np.nan, 0.5], ValueError, r"needs finite `weights`"),
    ],
)
def test_bad_rings_are_refused(changed, value, error, match):
    arguments = list(THREE_RINGS)
    arguments[changed] = value
    with pytest.raises(error, match=match):
        AnyRings(*arguments)
