"""What grids carry: degrees whose analysis is exact, sizes for a truncation, names."""

import numpy as np
import pytest

from sht import reference
from sht.grids import (
    FullClenshaw,
    FullGaussian,
    HEALPix,
    OctaHEALPix,
    OctahedralClenshaw,
    OctahedralGaussian,
    OctaminimalGaussian,
    named,
    resolution,
)
from tests.sht_grid_cases import NAMED, SMALLEST, grid_name

KINDS = [
    FullGaussian,
    OctahedralGaussian,
    OctaminimalGaussian,
    FullClenshaw,
    OctahedralClenshaw,
    HEALPix,
    OctaHEALPix,
]
SEVERAL = {
    FullGaussian: [FullGaussian(nlat, 2 * nlat) for nlat in (1, 2, 3, 8, 33)],
    FullClenshaw: [FullClenshaw(nlat, nlat + 4) for nlat in (1, 2, 3, 4, 15, 16, 63)],
    OctahedralGaussian: [OctahedralGaussian(n) for n in (1, 2, 4, 8, 16, 32, 48)],
    OctahedralClenshaw: [OctahedralClenshaw(n) for n in (1, 2, 4, 8, 16, 32, 48)],
}
EXACT = [grid for grids in SEVERAL.values() for grid in grids]


def round_trip(grid, lmax):
    """Largest error of random coefficients, relative to the largest of them."""
    mmax = min(lmax, (int(grid.nlon.max()) - 1) // 2)
    a = reference.random_coefficients(np.random.default_rng(lmax), lmax, mmax)
    field = reference.synthesis(a, grid, lmax, mmax)
    again = reference.analysis(field, grid, lmax, mmax)
    return np.max(np.abs(again - a)) / np.max(np.abs(a))


@pytest.mark.parametrize("grid", EXACT, ids=grid_name)
def test_analysis_is_exact_as_far_as_the_grid_says(grid):
    assert round_trip(grid, grid.exact_lmax) <= 1e-13


@pytest.mark.parametrize("grid", SEVERAL[FullGaussian] + SEVERAL[FullClenshaw], ids=grid_name)
def test_and_no_further(grid):
    assert round_trip(grid, grid.exact_lmax + 1) >= 1e-3


@pytest.mark.parametrize(
    ("kind", "limit"), [(OctahedralGaussian, 2e-12), (OctahedralClenshaw, 5e-12)]
)
@pytest.mark.parametrize("n", [8, 32, 64])
def test_cubic_octahedral_grids(kind, limit, n):
    """Of orders that rings around the poles cannot carry, little is lost at lmax = n - 1."""
    grid = kind(n)
    assert round_trip(grid, n - 1) <= limit
    if n == 64:
        assert n - 1 > grid.exact_lmax
        assert round_trip(grid, n - 1) >= 1e-13


@pytest.mark.parametrize(
    ("kind", "least", "most"),
    [(OctaminimalGaussian, 1e-4, 5e-3), (HEALPix, 1e-4, 5e-3), (OctaHEALPix, 1e-3, 2e-2)],
)
def test_grids_without_exact_analysis(kind, least, most):
    grid = kind(32)
    assert grid.exact_lmax is None
    assert least <= round_trip(grid, 31) <= most
    # Constants are exact everywhere.
    assert round_trip(grid, 0) <= 1e-15


def test_limits():
    assert (FullGaussian(8, 15).max_lmax, FullGaussian(8, 15).max_mmax) == (7, 7)
    # An even ring has an order of Nyquist, which carries no sine and is not counted.
    assert FullGaussian(8, 16).max_mmax == 7
    assert (FullClenshaw(9, 20).max_lmax, FullClenshaw(9, 20).max_mmax) == (8, 9)
    assert (OctahedralGaussian(6).max_lmax, OctahedralGaussian(6).max_mmax) == (11, 19)
    assert (OctaHEALPix(5).max_lmax, OctaHEALPix(5).max_mmax) == (8, 9)
    assert (HEALPix(4).max_lmax, HEALPix(4).max_mmax) == (16, 16)


@pytest.mark.parametrize("grid", SMALLEST[:-1] + NAMED, ids=grid_name)
def test_exactness_is_within_what_the_grid_carries(grid):
    assert grid.exact_lmax is None or 0 <= grid.exact_lmax <= grid.max_lmax


@pytest.mark.parametrize("dealiasing", [1, 1.5, 2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_for_lmax_carries_what_it_says(kind, dealiasing):
    for lmax in [*range(40), 127, 255]:
        grid = kind.for_lmax(lmax, dealiasing)
        sampled = (dealiasing + 1) * lmax
        assert type(grid) is kind
        assert grid.nlon.max() >= sampled + 1
        assert grid.max_lmax >= lmax
        assert grid.max_mmax >= lmax
        if "Gaussian" in kind.__name__:
            assert 2 * grid.nlat - 1 >= sampled
        if "Clenshaw" in kind.__name__:
            assert (grid.nlat - 1 | 1) >= sampled  # nlat - 1, and nlat itself where odd
        if grid.exact_lmax is not None and not grid.full:
            assert grid.nlat // 2 >= lmax  # n - 1, where nearly nothing is lost
        elif grid.exact_lmax is not None:
            assert grid.exact_lmax >= lmax


@pytest.mark.parametrize("kind", [FullGaussian, FullClenshaw])
@pytest.mark.parametrize("lmax", [*range(40), 127, 255])
def test_full_rings_have_lengths_that_are_fast_to_transform(kind, lmax):
    nlon = kind.for_lmax(lmax).shape[1]
    assert nlon % 4 == 0
    for prime in (2, 3, 5, 7):
        while nlon % prime == 0:
            nlon //= prime
    assert nlon == 1


@pytest.mark.parametrize(
    ("kind", "lmax", "dealiasing", "sizes"),
    [
        (FullGaussian, 0, 1, (2, 4)),
        (FullGaussian, 31, 2, (48, 96)),
        (FullGaussian, 1023, 2, (1536, 3072)),
        (FullClenshaw, 42, 2, (127, 256)),
        (OctahedralGaussian, 1279, 3, (1280,)),
        (OctahedralGaussian, 1279, 1, (1280,)),
        (OctahedralGaussian, 31, 4, (39,)),
        (OctaminimalGaussian, 31, 3, (32,)),
        (OctahedralClenshaw, 31, 1, (32,)),
        (OctahedralClenshaw, 31, 2, (47,)),
        (HEALPix, 127, 1, (64,)),
        (HEALPix, 128, 1, (128,)),
        (HEALPix, 0, 1, (1,)),
        (OctaHEALPix, 31, 3, (32,)),
        (OctaHEALPix, 3, 1, (3,)),
    ],
)
def test_sizes(kind, lmax, dealiasing, sizes):
    assert kind.for_lmax(lmax, dealiasing) == kind(*sizes)


@pytest.mark.parametrize("dealiasing", [1, 2, 3])
@pytest.mark.parametrize(
    ("kind", "tolerance"),
    [(FullGaussian, 1e-13), (FullClenshaw, 1e-13), (OctahedralClenshaw, 1e-12)],
)
def test_products_are_analysed_exactly(kind, dealiasing, tolerance):
    """A harmonic of d times the degree, sampled point by point, projected on all lower ones."""
    lmax = 15
    grid = kind.for_lmax(lmax, dealiasing)
    degree = dealiasing * lmax
    a = reference.random_coefficients(np.random.default_rng(0), degree)
    theta, phi = np.deg2rad(90 - grid.latitudes), np.deg2rad(grid.longitudes)
    table = reference.legendre_table(degree, degree, theta.ravel())
    f = 0.0
    for m in range(degree + 1):
        start = m * (2 * degree + 1 - m) // 2
        f = f + (1 + (m > 0)) * np.real(
            table[:, m:, m] @ a[start + m : start + degree + 1] * np.exp(1j * m * phi.ravel())
        )
    got = reference.analysis(np.reshape(f, grid.shape), grid, lmax)
    for m in range(lmax + 1):
        start, wide = m * (2 * lmax + 1 - m) // 2, m * (2 * degree + 1 - m) // 2
        want = a[wide + m : wide + lmax + 1]
        assert np.max(np.abs(got[start + m : start + lmax + 1] - want)) <= tolerance * 4


# N of the grids F<N> that go with truncations: climate models, and ECMWF's TL and TCo.
QUADRATIC = {21: 16, 31: 24, 42: 32, 63: 48, 85: 64, 106: 80, 170: 128, 213: 160, 341: 256}
LINEAR = {95: 48, 159: 80, 255: 128, 319: 160, 399: 200, 511: 256, 639: 320, 799: 400, 1279: 640}


def test_names_of_the_literature():
    for lmax, n in QUADRATIC.items():
        assert named(f"T{lmax}") == named(f"TQ{lmax}") == named(f"F{n}")
        assert resolution(f"T{lmax}") == (lmax, FullGaussian(2 * n, 4 * n))
    for lmax, n in LINEAR.items():
        assert resolution(f"TL{lmax}") == (lmax, named(f"F{n}"))
    for lmax in (95, 159, 255, 399, 639, 1279):
        assert resolution(f"TCo{lmax}") == (lmax, named(f"O{lmax + 1}"))
    assert named("H64") == HEALPix(64)
    assert named(" tco95 ") == named("o96") == OctahedralGaussian(96)


@pytest.mark.parametrize(
    ("call", "name", "error", "match"),
    [
        (named, 96, TypeError, r"`named\(name\)` needs a string, such as 'O96'. Got 96"),
        (named, "X96", ValueError, r"knows F48, O96, H64, T42.*Got 'X96'.$"),
        (named, "O", ValueError, r"Got 'O'"),
        (named, "O-1", ValueError, r"Got 'O-1'"),
        (named, "F0", ValueError, r"needs nlat >= 1"),
        (named, "N320", ValueError, r"`Rings.gaussian\(pl\)`"),
        (resolution, "O96", ValueError, r"Got 'O96', a grid.*`named\('O96'\)` gives the grid"),
        (resolution, "T", ValueError, r"`resolution\(name\)` knows"),
    ],
)
def test_unknown_names_are_refused(call, name, error, match):
    with pytest.raises(error, match=match):
        call(name)
