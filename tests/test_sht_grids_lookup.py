"""Look-ups on grids against brute force, and HEALPix's nested order against healpy."""

import numpy as np
import pytest

from sht.grids import FullGaussian, HEALPix, OctaminimalGaussian
from sht.grids._nested import nest_to_ring, ring_to_nest
from tests.sht_grid_cases import GRIDS, grid_name

over_grids = pytest.mark.parametrize("grid", [*GRIDS, HEALPix(16)], ids=grid_name)


def vectors(theta, phi):
    return np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], -1)


def points_of(grid):
    """Colatitude and longitude of every point, in radians."""
    return np.pi / 2 - np.deg2rad(grid.latitudes.ravel()), np.deg2rad(grid.longitudes.ravel())


def distances(grid, theta, phi):
    """Chords from places (k,) to all points of a grid, (k, npoints)."""
    return np.linalg.norm(vectors(theta, phi)[:, None] - vectors(*points_of(grid)), axis=-1)


def some_places():
    rng = np.random.default_rng(5)
    theta = np.arccos(rng.uniform(-1, 1, 300))
    theta[:40] *= 0.05
    theta[40:80] = np.pi - 0.05 * theta[40:80]
    theta[80:84] = 0.0, np.pi, 1e-9, np.pi / 2
    return theta, rng.uniform(-10, 10, 300)


@over_grids
def test_nearest_point(grid):
    theta, phi = some_places()
    all_distances = distances(grid, theta, phi)
    found = grid.nearest_point(theta, phi)
    assert found.shape == theta.shape
    assert found.dtype == np.int64
    got = all_distances[np.arange(len(theta)), found]
    assert np.max(got - all_distances.min(axis=1)) <= 1e-12


@over_grids
def test_the_nearest_of_a_grid_point_is_itself(grid):
    assert np.array_equal(grid.nearest_point(*points_of(grid)), np.arange(grid.npoints))


@over_grids
def test_rings(grid):
    theta, _ = some_places()
    away = np.abs(theta[:, None] - grid.theta)
    ring = grid.nearest_ring(theta)
    assert np.array_equal(away[np.arange(len(theta)), ring], away.min(axis=1))
    assert np.array_equal(grid.nearest_ring(grid.theta), np.arange(grid.nlat))
    points = np.arange(grid.npoints)
    assert np.array_equal(grid.ring_of(points), np.repeat(np.arange(grid.nlat), grid.nlon))


@over_grids
def test_neighbours(grid):
    points = np.arange(grid.npoints)
    west, east, north, south = grid.neighbours(points)
    ring = grid.ring_of(points)
    for along, other, back in [(1, east, west), (-1, west, east)]:
        assert np.array_equal(grid.ring_of(other), ring)
        assert np.array_equal(back[other], points)
        step = along * 360 / grid.nlon[ring]
        off = grid.longitudes.ravel()[other] - grid.longitudes.ravel() - step
        assert np.max(np.abs((off + 180) % 360 - 180)) <= 1e-12
    to_all = distances(grid, *points_of(grid))
    for other, beside in [(north, ring - 1), (south, ring + 1)]:
        outside = (beside < 0) | (beside >= grid.nlat)
        assert np.all(other[outside] == -1)
        for p in points[~outside]:
            assert grid.ring_of(other[p]) == beside[p]
            on_ring = slice(grid.offsets[beside[p]], grid.offsets[beside[p] + 1])
            assert to_all[p, other[p]] - to_all[p, on_ring].min() <= 1e-12


def test_half_way_goes_east():
    grid = HEALPix(4)  # on the belt, points of a ring are half way between those of the next
    belt = np.arange(*grid.offsets[[5, 9]])
    _, _, north, south = grid.neighbours(belt)
    for other in (north, south):
        off = (grid.longitudes[other] - grid.longitudes[belt]) % 360
        assert np.max(np.abs(off - 360 / 32)) <= 1e-12
    assert FullGaussian(2, 4).nearest_point(1.0, np.deg2rad([45, 135, 225, 315])).tolist() == [
        1,
        2,
        3,
        0,
    ]
    assert FullGaussian(2, 4).nearest_ring(np.pi / 2) == 0


def test_scalars_and_broadcasting():
    grid = OctaminimalGaussian(3)
    assert type(grid.nearest_point(1.0, 2.0)) is int
    assert type(grid.nearest_ring(1.0)) is int
    assert type(grid.ring_of(np.int32(7))) is int
    assert all(type(index) is int for index in grid.neighbours(7))
    theta, phi = np.linspace(0, np.pi, 4)[:, None], np.linspace(0, 6, 5)
    both = grid.nearest_point(theta, phi)
    assert both.shape == (4, 5)
    assert both[2, 3] == grid.nearest_point(theta[2, 0], phi[3])
    assert grid.neighbours(both).north.shape == (4, 5)
    assert grid.nearest_point([], []).shape == (0,)


@pytest.mark.parametrize(
    ("call", "arguments", "error", "match"),
    [
        ("ring_of", (24,), ValueError, r"indices in \[0, 24\).*Got 24 to 24"),
        ("ring_of", ([0, -1],), ValueError, r"Got -1 to 0"),
        ("ring_of", (1.0,), TypeError, r"needs integer indices. Got float64"),
        ("neighbours", (24,), ValueError, r"`grid.neighbours\(point\)` needs indices"),
        ("nearest_ring", (-0.1,), ValueError, r"colatitudes in \[0, pi\], in radians"),
        ("nearest_ring", (np.nan,), ValueError, r"needs finite `theta`"),
        ("nearest_point", (90.0, 0.0), ValueError, r"Got 90.0 to 90.0.*np.deg2rad"),
        ("nearest_point", (1.0, np.inf), ValueError, r"needs finite `phi`"),
    ],
)
def test_bad_places_are_refused(call, arguments, error, match):
    with pytest.raises(error, match=match):
        getattr(OctaminimalGaussian(2), call)(*arguments)


@pytest.mark.parametrize("nside", [1, 2, 4, 8, 16, 32, 64])
def test_nested_order(nside):
    healpy = pytest.importorskip("healpy")
    pixel = np.arange(12 * nside**2)
    assert np.array_equal(nest_to_ring(nside, pixel), healpy.nest2ring(nside, pixel))
    assert np.array_equal(ring_to_nest(nside, pixel), healpy.ring2nest(nside, pixel))


@pytest.mark.parametrize("order", [20, 29])
def test_nested_order_of_the_largest_grids(order):
    healpy = pytest.importorskip("healpy")
    nside = 1 << order
    npix, cap = 12 * nside**2, 2 * nside * (nside - 1)
    edges = [0, cap, npix // 2, npix - cap]
    near = np.concatenate([np.arange(edge - 50, edge + 50) for edge in edges]) % npix
    pixel = np.concatenate([near, np.random.default_rng(0).integers(0, npix, 20000)])
    assert np.array_equal(nest_to_ring(nside, pixel), healpy.nest2ring(nside, pixel))
    assert np.array_equal(ring_to_nest(nside, pixel), healpy.ring2nest(nside, pixel))


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.complex128, np.int8])
def test_nested_fields(dtype):
    healpy = pytest.importorskip("healpy")
    grid = HEALPix(8)
    field = np.random.default_rng(1).integers(-99, 99, (2, 3, grid.npoints)).astype(dtype)
    nested = grid.to_nested(field)
    assert nested.dtype == dtype
    assert np.array_equal(nested[1, 2], healpy.reorder(field[1, 2], r2n=True))
    assert np.array_equal(grid.from_nested(nested), field)
    assert grid.nest_to_ring(grid.ring_to_nest(17)) == 17
    assert type(grid.nest_to_ring(17)) is int


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: HEALPix(3).to_nested(np.zeros(108)), ValueError, r"power of two.*Got nside = 3"),
        (lambda: HEALPix(6).from_nested(np.zeros(432)), ValueError, r"HEALPix\(6\).from_nested"),
        (lambda: HEALPix(3).nest_to_ring(0), ValueError, r"power of two"),
        (lambda: HEALPix(2).to_nested(np.zeros(47)), ValueError, r"\(..., 48\). Got \(47,\)"),
        (lambda: HEALPix(2).ring_to_nest(48), ValueError, r"indices in \[0, 48\). Got 48 to 48"),
        (lambda: HEALPix(2).nest_to_ring(-1), ValueError, r"Got -1 to -1"),
        (lambda: HEALPix(2).nest_to_ring(1.0), TypeError, r"integer indices. Got float64"),
    ],
)
def test_bad_nested_calls_are_refused(call, error, match):
    with pytest.raises(error, match=match):
        call()
