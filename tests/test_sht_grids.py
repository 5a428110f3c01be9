"""Grids as values: equality, pickling, immutability, `repr`, and bad ones refused."""

import pickle

import numpy as np
import pytest

from sht.grids import (
    FullClenshaw,
    FullGaussian,
    HEALPix,
    OctaHEALPix,
    OctahedralClenshaw,
    OctahedralGaussian,
    OctaminimalGaussian,
    RingGrid,
    Rings,
)
from tests.sht_grid_cases import GRIDS, NAMED, SMALLEST, grid_name

over_grids = pytest.mark.parametrize("grid", GRIDS, ids=grid_name)
PER_RING = ["theta", "cos_theta", "sin_theta", "nlon", "phi0", "weights", "areas"]
THREE_RINGS = ([0.5, 1.5, 2.5], [3, 8, 4], [0.0, 0.1, -0.2], [0.5, 1.0, 0.5])


@over_grids
def test_equal_by_type_and_parameters(grid):
    copy = pickle.loads(pickle.dumps(grid))  # noqa: S301
    assert copy is not grid
    assert copy == grid
    assert hash(copy) == hash(grid)
    assert copy.shape == grid.shape
    for name in [*PER_RING, "offsets"]:
        assert np.array_equal(getattr(copy, name), getattr(grid, name))
    other_type = type("Other", (type(grid),), {})
    assert other_type(*grid._parameters) != grid
    assert grid != grid._parameters
    assert sum(other == grid for other in GRIDS) == 1


def test_parameters_compare_by_value():
    assert FullGaussian(3, 5) == FullGaussian(np.int64(3), np.int32(5)) != FullGaussian(5, 3)
    assert len({grid for _ in range(2) for grid in GRIDS}) == len(GRIDS)
    assert Rings(*THREE_RINGS) == Rings(*map(np.array, THREE_RINGS))
    assert Rings([1.0, 2.0], 4, 0.5) == Rings([1.0, 2.0], np.int32(4), [0.5, 0.5])
    # Fields of these two have different shapes.
    assert Rings([1.0, 2.0], 4) != Rings([1.0, 2.0], [4, 4])


@over_grids
def test_nothing_can_be_changed(grid):
    for name in [*PER_RING, "offsets"]:
        with pytest.raises(ValueError, match="read-only"):
            getattr(grid, name)[0] = 1
        with pytest.raises(AttributeError, match=f"immutable: cannot set `{name}`"):
            setattr(grid, name, 1)
        with pytest.raises(AttributeError, match=f"immutable: cannot delete `{name}`"):
            delattr(grid, name)


def test_a_grid_does_not_keep_the_callers_arrays():
    arrays = [np.array(values) for values in THREE_RINGS]
    grid = Rings(*arrays)
    for array in arrays:
        array[:] = 1
    assert grid == Rings(*THREE_RINGS)
    assert np.array_equal(grid.theta, THREE_RINGS[0])


@over_grids
def test_shapes_and_types(grid):
    for name in PER_RING:
        assert getattr(grid, name).shape == (grid.nlat,)
        assert getattr(grid, name).dtype == (np.int64 if name == "nlon" else np.float64)
    assert grid.offsets.dtype == np.int64
    assert grid.offsets.tolist() == [0, *np.cumsum(grid.nlon)]
    assert grid.npoints == grid.nlon.sum() == np.prod(grid.shape)
    assert grid.latitudes.shape == grid.longitudes.shape == grid.shape
    assert np.all((grid.longitudes >= 0) & (grid.longitudes < 360))
    assert grid.shape == ((grid.nlat, grid.nlon[0]) if grid.full else (grid.npoints,))
    for limit in (grid.max_lmax, grid.max_mmax, grid.exact_lmax):
        assert limit is None or type(limit) is int


@over_grids
def test_repr_says_size_use_and_shape(grid):
    first, second = repr(grid).splitlines()
    assert first.startswith(f"{type(grid).__name__}(")
    assert f"{grid.nlat} ring" in first
    assert f"{grid.nlon.max()} points" in first
    assert second.endswith(f"fields (..., {', '.join(map(str, grid.shape))})")
    assert len(first) <= 100
    if grid.exact_lmax is not None:
        assert f"exact for lmax <= {grid.exact_lmax}" in second
    if not isinstance(grid, Rings):
        assert eval(first.partition(":")[0], {type(grid).__name__: type(grid)}) == grid  # noqa: S307


def test_repr_of_what_analysis_there_is():
    assert "mmax <= 63" in repr(FullGaussian(64, 128))
    assert "analysis not exact" in repr(HEALPix(4))
    assert "exactness of analysis not known" in repr(Rings(*THREE_RINGS))
    assert "no quadrature weights" in repr(Rings(*THREE_RINGS[:3]))


def test_weights_or_none():
    assert all(grid.has_weights for grid in [*SMALLEST[:-1], *NAMED])
    assert Rings(*THREE_RINGS).has_weights
    without = Rings(*THREE_RINGS[:3])
    assert not without.has_weights
    assert not np.any(without.weights)
    assert not np.any(without.areas)


def test_any_rings():
    grid = Rings(*THREE_RINGS)
    assert (grid.shape, grid.full) == ((15,), False)
    assert (grid.max_lmax, grid.max_mmax, grid.exact_lmax) == (None, None, None)
    assert np.allclose(grid.areas, 2 * np.pi * np.array([0.5 / 3, 1 / 8, 0.5 / 4]), rtol=1e-15)
    full = Rings([0.5, 1.5, 2.5], 4, 0.1)
    assert (full.shape, full.full) == ((3, 4), True)
    assert full.phi0.tolist() == [0.1, 0.1, 0.1]
    assert not RingGrid.full


@pytest.mark.parametrize(
    ("make", "arguments", "error", "match"),
    [
        (
            FullGaussian,
            (
                0,
                4,
            ),
            ValueError,
            r"`FullGaussian\(nlat, nlon\)` needs nlat >= 1",
        ),
        (
            FullGaussian,
            (
                4,
                0,
            ),
            ValueError,
            r"needs nlon >= 1. Got nlon = 0",
        ),
        (
            FullGaussian,
            (
                4,
                -1,
            ),
            ValueError,
            r"`FullGaussian.for_lmax\(lmax\)` chooses",
        ),
        (
            FullGaussian,
            (
                4.0,
                8,
            ),
            TypeError,
            r"needs an integer nlat. Got 4.0",
        ),
        (
            FullGaussian,
            (
                4,
                "8",
            ),
            TypeError,
            r"needs an integer nlon. Got '8'",
        ),
        (
            FullClenshaw,
            (
                0,
                4,
            ),
            ValueError,
            r"`FullClenshaw\(nlat, nlon\)` needs nlat >= 1",
        ),
        (
            FullClenshaw,
            (
                4,
                None,
            ),
            TypeError,
            r"needs an integer nlon. Got None",
        ),
        (OctahedralGaussian, (0,), ValueError, r"`OctahedralGaussian\(n\)` needs n >= 1"),
        (OctaminimalGaussian, (-2,), ValueError, r"`OctaminimalGaussian\(n\)` needs n >= 1"),
        (OctahedralClenshaw, (0,), ValueError, r"`OctahedralClenshaw\(n\)` needs n >= 1"),
        (HEALPix, (0,), ValueError, r"`HEALPix\(nside\)` needs nside >= 1. Got nside = 0"),
        (HEALPix, (2.0,), TypeError, r"needs an integer nside. Got 2.0"),
        (OctaHEALPix, (0,), ValueError, r"`OctaHEALPix\(n\)` needs n >= 1"),
        (Rings.gaussian, (18,), ValueError, r"`Rings.gaussian\(nlon\)`.*Got shape \(\)"),
        (Rings.gaussian, ([],), ValueError, r"one number of points for each ring"),
        (Rings.gaussian, ([18, 0],), ValueError, r"Got nlon = 0 on ring 1"),
    ],
)
def test_bad_sizes_are_refused(make, arguments, error, match):
    with pytest.raises(error, match=match):
        make(*arguments)


@pytest.mark.parametrize(
    ("changed", "value", "error", "match"),
    [
        (0, [], ValueError, r"`Rings` needs at least one ring"),
        (0, 0.5, ValueError, r"as 1-d arrays. Got `theta` of shape \(\)"),
        (0, [[0.5, 1.5, 2.5]], ValueError, r"as 1-d arrays. Got `theta` of shape \(1, 3\)"),
        (0, [0.5, 1.5], ValueError, r"one value per ring: `phi0` of shape \(2,\). Got \(3,\)"),
        (0, [0.0, 1.5, 2.5], ValueError, r"ascending in \(0, pi\).*Got values from 0.0 to 2.5"),
        (0, [0.5, 1.5, np.pi], ValueError, r"without the poles"),
        (0, [-0.5, 1.5, 2.5], ValueError, r"without the poles"),
        (0, [0.5, 0.5, 2.5], ValueError, r"strictly ascending"),
        (0, [2.5, 1.5, 0.5], ValueError, r"north to south"),
        (0, [0.5, np.nan, 2.5], ValueError, r"needs finite `theta`. Got NaN"),
        (0, [0.5, 1.5, np.inf], ValueError, r"needs finite `theta`. Got NaN or infinity"),
        (1, [3, 0, 4], ValueError, r"at least one point on every ring. Got nlon = 0 on ring 1"),
        (1, 0, ValueError, r"at least one point on every ring. Got nlon = 0 on ring 0"),
        (1, [3, 4], ValueError, r"`nlon` of shape \(3,\). Got \(2,\)"),
        (1, [3.0, 8.0, 4.0], TypeError, r"needs integer numbers of points `nlon`. Got float64"),
        (1, 3.0, TypeError, r"needs integer numbers of points `nlon`. Got float64"),
        (2, [0.0, np.inf, 0.0], ValueError, r"needs finite `phi0`"),
        (2, [0.0, 0.1], ValueError, r"`phi0` of shape \(3,\). Got \(2,\)"),
        (3, [0.5, 1.0], ValueError, r"`weights` of shape \(3,\). Got \(2,\)"),
        (3, 0.5, ValueError, r"`weights` of shape \(3,\). Got \(\)"),
        (3, [0.5, np.nan, 0.5], ValueError, r"needs finite `weights`"),
    ],
)
def test_bad_rings_are_refused(changed, value, error, match):
    arguments = list(THREE_RINGS)
    arguments[changed] = value
    with pytest.raises(error, match=match):
        Rings(*arguments)


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
@pytest.mark.parametrize("kind", [FullGaussian, HEALPix])
def test_bad_resolution_is_refused(kind, lmax, dealiasing, error, match):
    with pytest.raises(error, match=f"`{kind.__name__}.*{match}"):
        kind.for_lmax(lmax, dealiasing)


def test_any_rings_have_no_resolutions():
    with pytest.raises(NotImplementedError, match=r"Try `sht.grids.FullGaussian.for_lmax\(4\)`"):
        Rings.for_lmax(4)
