"""The physics of the demo: Gauss coefficients, tracks and the misfit's scale, without Enzyme."""

import datetime
import importlib.util
import warnings
from pathlib import Path

import numpy as np
import pytest

from sht import reference
from sht.grids import FullGaussian

ROOT = Path(__file__).resolve().parent.parent
EPS = np.finfo(np.float64).eps


@pytest.fixture(scope="module")
def demo():
    path = ROOT / "scripts" / "demo_magnetic_field.py"
    spec = importlib.util.spec_from_file_location("demo_magnetic_field", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def ppigrf():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pandas, which it imports
        return pytest.importorskip("ppigrf")


def test_table_is_the_one_of_ppigrf(demo, ppigrf):
    n, m, g, h = demo.read_igrf()
    assert len(n) == 104
    cos, sin = ppigrf.ppigrf.read_shc()
    row = list(cos.index.year).index(2025)
    columns = list(zip(n.tolist(), m.tolist(), strict=True))
    assert np.array_equal(g, [cos.iloc[row][key] for key in columns])
    assert np.array_equal(h, [sin.iloc[row][key] for key in columns])


@pytest.mark.parametrize("radius", [6371.2, 6821.2, 3485.0])
@pytest.mark.parametrize("lmax", [13, 20])
def test_radial_field_is_that_of_ppigrf(demo, ppigrf, radius, lmax):
    grid = FullGaussian(24, 45)
    a = demo.from_gauss(*demo.read_igrf(), lmax, radius)
    ours = reference.synthesis(a, grid, lmax)
    theirs = ppigrf.igrf_gc(
        radius,
        90.0 - grid.latitudes.ravel(),
        grid.longitudes.ravel(),
        datetime.datetime(2025, 1, 1),
    )[0]
    error = np.max(np.abs(ours.ravel() - np.ravel(theirs)))
    assert error <= 1e-12 * np.max(np.abs(theirs))


def test_gauss_coefficients_survive_the_round_trip(demo):
    n, m, g, h = demo.read_igrf()
    a = demo.from_gauss(n, m, g, h, 20, 6821.2)
    again = demo.to_gauss(a, n, m, 20, 6821.2)
    assert np.max(np.abs(again[0] - g)) <= 4 * EPS * np.max(np.abs(g))
    assert np.max(np.abs(again[1] - h)) <= 4 * EPS * np.max(np.abs(h))


def test_tracks_leave_gaps(demo):
    grid = FullGaussian.for_lmax(42)
    seen = demo.cells_seen(grid)
    assert 0.3 < np.mean(seen) < 0.7
    distance = np.hypot(grid.latitudes + 25, grid.longitudes - 310)
    assert not np.any(seen[distance < 20])
    # 87.4 degrees of inclination: nothing beyond, and every ring before is crossed
    crossed = np.any(seen, axis=1)
    assert np.array_equal(crossed, np.abs(grid.latitudes[:, 0]) < 88.5)


def test_picture_is_drawn(demo, tmp_path):
    pytest.importorskip("matplotlib")
    grid = FullGaussian(16, 32)
    truth = reference.synthesis(1e-3 * demo.from_gauss(*demo.read_igrf(), 13, 6821.2), grid, 13)
    path = tmp_path / "map.png"
    demo.draw(path, grid, truth, truth, truth > 0, truth + 1e-3)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size > 50_000
