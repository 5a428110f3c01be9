"""Maps and triangles: the numbers behind the picture, and a pixel of it."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from sht import grids, lm_index, ncoef
from sht._plot import plot, plot_coefficients, raster

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

GRIDS = [
    grids.FullGaussian(1, 1),
    grids.FullGaussian(3, 5),
    grids.OctahedralGaussian(2),
    grids.OctaminimalGaussian(2),
    grids.HEALPix(2),
    grids.Rings([0.5, 1.5, 2.5], [1, 8, 4], [0.0, 0.1, -0.2]),
]
every_grid = pytest.mark.parametrize("grid", GRIDS, ids=lambda grid: type(grid).__name__)


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def vectors(latitude, longitude):
    latitude, longitude = np.deg2rad(latitude), np.deg2rad(longitude)
    horizontal = np.cos(latitude)
    x, y = horizontal * np.cos(longitude), horizontal * np.sin(longitude)
    return np.stack(np.broadcast_arrays(x, y, np.sin(latitude)), -1)


@every_grid
def test_pixels_have_the_value_of_the_nearest_point(grid):
    latitude, longitude, image = raster(np.arange(grid.npoints).reshape(grid.shape), grid)
    assert (latitude[0], latitude[-1], longitude[0], longitude[-1]) == (90, -90, -180, 180)
    assert image.shape == (len(latitude) - 1, len(longitude) - 1)
    rows, columns = slice(None, None, 7), slice(None, None, 11)
    middles = 0.5 * (latitude[1:] + latitude[:-1]), 0.5 * (longitude[1:] + longitude[:-1])
    pixels = vectors(middles[0][rows, None], middles[1][columns])
    points = vectors(grid.latitudes.ravel(), grid.longitudes.ravel())
    closeness = pixels @ points.T
    chosen = np.take_along_axis(closeness, image[rows, columns][..., None], -1)[..., 0]
    assert np.min(chosen - np.max(closeness, -1)) >= -1e-12
    assert len(np.unique(image)) == grid.npoints


@every_grid
def test_a_map_of_every_grid(grid):
    field = np.random.default_rng(0).standard_normal(grid.shape)
    ax: Any = plot(field, grid, title="a title", label="K")
    figure = ax.figure
    figure.canvas.draw()
    mesh, bar = ax.collections[0], figure.axes[1]
    assert ax.name == "mollweide"
    assert ax.get_title() == "a title"
    assert bar.get_xlabel() == "K"
    assert np.array_equal(mesh.get_array(), raster(field, grid)[2])
    assert np.allclose(np.abs(mesh.get_coordinates()).max((0, 1)), [np.pi, np.pi / 2])


@pytest.mark.parametrize(
    ("values", "limits", "want", "colours"),
    [
        ([-1.0, 3.0], None, (-3.0, 3.0), "RdBu_r"),
        ([-4.0, 3.0], None, (-4.0, 4.0), "RdBu_r"),
        ([0.0, 3.0], None, (0.0, 3.0), "viridis"),
        ([-5.0, -3.0], None, (-5.0, -3.0), "viridis"),
        ([2.0, np.nan], None, (2.0, 2.0), "viridis"),
        ([np.inf, np.nan], None, (0.0, 1.0), "viridis"),
        ([-1.0, 3.0], (-2, 8), (-2.0, 8.0), "RdBu_r"),
        ([-1.0, 3.0], (0, 8), (0.0, 8.0), "viridis"),
        ([True, False], None, (0.0, 1.0), "viridis"),
    ],
)
def test_limits_of_colours(values, limits, want, colours):
    grid = grids.FullGaussian(2, 1)
    mesh: Any = plot(np.array(values)[:, None], grid, limits=limits).collections[0]
    mesh.figure.canvas.draw()
    assert mesh.cmap.name == colours
    if want[0] < want[1]:
        assert mesh.get_clim() == want
    assert np.array_equal(np.ma.getmaskarray(mesh.get_array())[0, 0], ~np.isfinite(values[0]))


def test_plain_axes_have_north_up_and_greenwich_in_the_middle():
    grid = grids.FullGaussian(2, 4)
    field = np.arange(8.0).reshape(2, 4)
    field[1, 3] = np.nan
    figure, ax = plt.subplots()
    assert plot(field, grid, ax=ax) is ax
    assert (ax.get_xlabel(), ax.get_ylabel()) == (
        "longitude in degrees east",
        "latitude in degrees north",
    )
    assert (ax.get_xlim(), ax.get_ylim()) == ((-180, 180), (-90, 90))
    canvas: Any = figure.canvas
    canvas.draw()
    picture = np.asarray(canvas.buffer_rgba())
    mesh: Any = ax.collections[0]
    for point in range(8):
        latitude = 45.0 if point < 4 else -45.0
        longitude = (90.0 * (point % 4) + 200.0) % 360.0 - 180.0
        x, y = ax.transData.transform((longitude, latitude))
        want = mesh.to_rgba(field.flat[point]) if point != 7 else (0.8, 0.8, 0.8, 1)
        got = picture[picture.shape[0] - 1 - int(y), int(x)]
        assert np.max(np.abs(got - np.multiply(want, 255))) <= 1


@pytest.mark.parametrize(("lmax", "mmax"), [(0, None), (5, None), (5, 2), (40, 40)])
def test_triangle_of_coefficients(lmax, mmax):
    rng = np.random.default_rng(1)
    a = rng.standard_normal((ncoef(lmax, mmax), 2)) @ [1, 1j]
    ax: Any = plot_coefficients(a, lmax, mmax, title="a title")
    ax.figure.canvas.draw()
    image = ax.images[0]
    shown = image.get_array()
    orders = (lmax if mmax is None else mmax) + 1
    assert (ax.get_title(), ax.get_xlabel(), ax.get_ylabel()) == ("a title", "order m", "degree l")
    assert shown.shape == (lmax + 1, orders)
    assert np.array_equal(np.ma.getmaskarray(shown), ~np.tri(lmax + 1, orders, dtype=bool))
    sizes = np.log10(np.abs(a))
    for m in range(orders):
        row = sizes[lm_index(np.arange(m, lmax + 1), m, lmax)]
        assert np.allclose(shown[m:, m], row, rtol=1e-14)
    least = min(sizes.min(), sizes.max() - 1.0)  # a decade at least
    assert np.allclose(image.get_clim(), (least, sizes.max()), rtol=1e-14)
    assert ax.get_ylim() == (lmax + 0.5, -0.5)  # degrees downwards


def test_zeros_and_tiny_coefficients_have_the_last_colour():
    image: Any = plot_coefficients(np.array([100.0, 1e-30, 0.0]), 1).images[0]
    assert image.get_clim() == (-18.0, 2.0)
    assert image.get_array().compressed().tolist() == [2.0, -18.0, -18.0]
    image = plot_coefficients(np.zeros(3, np.complex64), 1).images[0]
    assert image.get_clim() == (-1.0, 0.0)
    image.figure.canvas.draw()


FULL, ROW = grids.FullGaussian(2, 4), grids.OctahedralGaussian(1)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: plot(np.zeros((2, 4)), "full"), TypeError, r"`sht.plot\(field, grid\)` needs a g"),  # type: ignore
        (lambda: plot(np.zeros((4, 2)), FULL), ValueError, r"Longitude comes last"),
        (lambda: plot(np.zeros(8), FULL), ValueError, r"Split its rings: .*2, 4\)"),
        (
            lambda: plot(np.zeros((3, 40)), ROW),
            ValueError,
            r"one field.* Got \(3, 40\).*d\[0\]",
        ),
        (lambda: plot(np.zeros(41), ROW), ValueError, r"\(..., 40\).*OctahedralGaussian"),
        (lambda: plot(np.zeros(40, complex), ROW), TypeError, r"Synthesise coefficients first"),
        (lambda: plot(np.zeros(40), ROW, limits=(1, 1)), ValueError, r"low < high. Got \(1, 1\)"),
        (lambda: plot(np.zeros(40), ROW, limits=3), ValueError, r"low < high. Got 3"),  # type: ignore
        (lambda: plot_coefficients(np.zeros(4), 1), ValueError, r"shape \(3,\). Got \(4,\)"),
        (lambda: plot_coefficients(np.zeros(3), 1, 2), ValueError, r"mmax <= lmax"),
    ],
)
def test_bad_input_is_told(call, error, match):
    with pytest.raises(error, match=match):
        call()
    assert plt.get_fignums() == []


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"`sht.plot\(field, grid\)` needs Matplotlib.*pip inst"):
        plot(np.zeros(40), ROW)


def test_matplotlib_comes_when_a_picture_is_asked_for():
    code = "import sys, sht, sht._plot; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "False", done.stderr
