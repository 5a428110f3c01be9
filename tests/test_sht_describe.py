"""Fields and coefficients in two lines: the numbers in them, and that there are two."""

import re

import numpy as np
import pytest

import sht
from sht import grids
from sht._describe import describe

GRIDS = [
    grids.FullGaussian(1, 1),
    grids.FullGaussian(8, 16),
    grids.OctahedralGaussian(3),
    grids.HEALPix(2),
    grids.Rings([0.5, 1.5, 2.5], [1, 8, 4]),  # without weights
]
every_grid = pytest.mark.parametrize("grid", GRIDS, ids=lambda grid: type(grid).__name__)
T = sht.Transform(9, grids.FullGaussian(16, 32), mmax=8)


def two_lines(*arguments):
    lines = describe(*arguments).split("\n")
    assert len(lines) == 2
    return lines


def number(name, text):
    found = re.search(rf"{name} (-?[\d.]+(?:e[-+]\d+)?)", text)
    assert found, text
    return float(found[1])


@every_grid
def test_a_constant_has_its_value_for_mean_and_rms(grid):
    first, second = two_lines(np.full(grid.shape, -2.5, np.float32), grid)
    assert first.startswith(f"{type(grid).__name__}(")
    shape = ", ".join(map(str, grid.shape))
    assert first.endswith(f", field ({shape}) float32, all finite")
    assert second.startswith("  mean -2.5, rms 2.5; least -2.5 at ")


def test_mean_and_rms_are_those_by_area():
    grid = grids.FullGaussian(8, 16)
    x = np.sin(np.deg2rad(grid.latitudes))
    _, second = two_lines(3.0 * x**2, grid)
    assert number("mean", second) == 1.0
    assert number("rms", second) == 1.342  # 3 / √5


def test_zones_stand_in_for_weights():
    theta = np.pi * (np.arange(64) + 0.5) / 64
    grid = grids.Rings(theta, 8)
    _, second = two_lines(np.cos(theta)[:, None] ** 2 + np.zeros(grid.shape), grid)
    assert abs(number("mean", second) - 1 / 3) < 4e-4


@pytest.mark.parametrize("grid", [grids.FullGaussian(8, 16), grids.HEALPix(2)], ids=["full", "hp"])
def test_extremes_are_where_they_are(grid):
    field = np.random.default_rng(0).standard_normal(grid.shape)
    field.flat[5], field.flat[grid.npoints - 2] = 7.0, -8.0
    _, second = two_lines(field, grid)
    for text, point in (("least -8", grid.npoints - 2), ("largest 7", 5)):
        latitude, longitude = grid.latitudes.flat[point], grid.longitudes.flat[point]
        side = "N" if latitude >= 0 else "S"
        assert f"{text} at {abs(latitude):.1f}{side} {longitude:.1f}E" in second
    assert "[" not in second


def test_what_is_not_finite_is_counted_and_left_out():
    grid = grids.FullGaussian(2, 4)
    field = np.ones(grid.shape)
    field[0, :2], field[1, 0] = np.nan, -np.inf
    first, second = two_lines(field, grid)
    assert first.endswith("2 NaN, 1 infinite")
    assert second.startswith("  mean 1, rms 1; least 1 at")
    first, second = two_lines(np.full(grid.shape, np.nan), grid)
    assert first.endswith("8 NaN")
    assert second == "  no values"


def test_a_batch_of_fields_says_how_many_and_in_which_the_extremes_are():
    grid = grids.OctahedralGaussian(1)
    fields = np.zeros((2, 3, *grid.shape))
    fields[1, 0, 7], fields[0, 2, 0] = -1.0, 2.0
    first, second = two_lines(fields, grid)
    assert first == "OctahedralGaussian(n=1), 6 fields (2, 3, 40) float64, all finite"
    assert re.search(r"least -1 at \S+ \S+ in \[1, 0\], largest 2 at \S+ \S+ in \[0, 2\]$", second)


def test_integers_and_a_transform_instead_of_its_grid():
    field = np.arange(16 * 32).reshape(16, 32)
    assert describe(field, T) == describe(field, T.grid)
    assert "int64" in describe(field, T)


# Coefficients


def coefficients(**values):
    a = np.zeros(T.ncoef, complex)
    for name, value in values.items():
        degree, order = map(int, name[1:].split("_"))
        a[sht.lm_index(degree, order, T.lmax)] = value
    return a


def test_mean_and_rms_are_those_of_the_field():
    a = sht.reference.random_coefficients(np.random.default_rng(1), 9, 8)
    of_coefficients, of_field = describe(a, T), describe(T.synthesis(a), T)
    for name in ("mean", "rms"):
        assert number(name, of_coefficients) == number(name, of_field)


@pytest.mark.parametrize(
    ("a", "says"),
    [
        (coefficients(_0_0=1000, _3_2=1.0), "most power at l=3, 0.0e+00 of it at l=8 to 9: res"),
        (coefficients(_3_0=1.0, _9_1=7e-3), "l=3, 9.8e-05 of it at l=8 to 9: resolved"),
        (coefficients(_3_0=1.0, _8_1=1e-2), "l=3, 2.0e-04 of it at l=8 to 9: not resolved"),
        (coefficients(_3_0=1.0, _4_0=9j), "l=3, 0.0e+00 of it"),  # Im a_l0 has no effect
        (coefficients(_0_0=2.0), "mean 0.5642, rms 0.5642; no power at l > 0"),
        (coefficients(_0_0=np.nan), "rms 0; no power"),
        (np.full(T.ncoef, np.nan * 1j), "no values"),
    ],
)
def test_where_the_power_is(a, says):
    first, second = two_lines(a, T)
    assert first.startswith("lmax=9, mmax=8, coefficients (54) complex128, ")
    assert says in second
    assert ("NaN" in first) == bool(np.any(np.isnan(a)))


def test_a_batch_of_coefficients():
    a = coefficients(_0_0=2.0).astype(np.complex64)
    first, second = two_lines(np.stack([a, 3 * a]), T)
    assert first == "lmax=9, mmax=8, coefficients of 2 fields (2, 54) complex64, all finite"
    assert second.startswith("  mean 1.128, rms 1.262;")  # 2 · 0.5642, √5 · 0.5642


@pytest.mark.parametrize("lmax", [0, 1, 2])
def test_small_truncations(lmax):
    t = sht.Transform(lmax, grids.FullGaussian(4, 8))
    two_lines(np.ones(t.ncoef, complex), t)


@pytest.mark.parametrize(
    ("x", "grid", "error", "match"),
    [
        (
            np.zeros((32, 16)),
            T.grid,
            ValueError,
            r"`sht.describe\(x, grid\)` needs shape",
        ),
        (np.zeros(40), grids.HEALPix(2), ValueError, r"\(..., 48\) on `HEALPix\(nside=2\)`. Got"),
        (np.zeros(T.ncoef, complex), T.grid, TypeError, r"`sht.describe\(a, t\)` needs the Transf"),
        (np.zeros(55, complex), T, ValueError, r"\(..., 54\) for lmax=9, mmax=8. Got \(55,\)"),
        (np.zeros(55), "T9", TypeError, r"needs a grid of `sht.grids`. Got str"),
        (["a"], T.grid, TypeError, r"needs real fields"),
    ],
)
def test_bad_input_is_told(x, grid, error, match):
    with pytest.raises(error, match=match):
        describe(x, grid)


def test_coefficients_of_a_rhomboid():
    """They are packed otherwise than a triangle's; the figures are those of the field."""
    t = sht.Transform(12, sht.grids.FullGaussian(16, 32), mmax=5, truncation="rhomboidal")
    a = np.zeros(t.ncoef, complex)
    a[(t.degrees == 9) & (t.orders == 5)] = 2.0
    assert (
        sht.describe(a, t)
        .splitlines()[1]
        .startswith(f"  mean 0, rms {np.sqrt(8 / (4 * np.pi)):.4g}; most power at l=9")
    )
