"""The slow transform against SciPy, ducc0, known values, and its own adjoints and inverses."""

import numpy as np
import pytest
from scipy import special

from sht import reference
from sht._spectrum import degrees_orders, lm_index, ncoef
from sht.grids import FullGaussian, RingGrid

EPS = np.finfo(np.float64).eps


class Rings(RingGrid):
    """Rings of any length and offset, without symmetry: nothing may assume a full grid."""

    def __init__(self, nlon, seed=0):
        rng = np.random.default_rng(seed)
        nlat = len(nlon)
        super().__init__(
            (tuple(nlon), seed),
            theta=(np.arange(nlat) + rng.uniform(0.2, 0.8, nlat)) * np.pi / nlat,
            nlon=nlon,
            phi0=rng.uniform(0, 2 * np.pi, nlat),
            weights=rng.uniform(0.5, 1.5, nlat) * 2 / nlat,
        )

    @property
    def max_lmax(self):
        return 0

    @property
    def max_mmax(self):
        return 0

    def __repr__(self):
        return f"Rings({self.nlon.tolist()})"


# lmax, mmax, grid. On all of these analysis is exact.
EXACT = [
    (0, 0, FullGaussian(1, 1)),
    (0, 0, FullGaussian(1, 2)),
    (0, 0, FullGaussian(4, 3)),
    (1, 1, FullGaussian(2, 3)),
    (1, 1, FullGaussian(3, 4)),
    (1, 0, FullGaussian(2, 1)),
    (5, 5, FullGaussian(6, 11)),
    (5, 5, FullGaussian(7, 12)),
    (5, 2, FullGaussian(6, 5)),
    (31, 31, FullGaussian(32, 63)),
    (31, 31, FullGaussian(33, 64)),
    (31, 17, FullGaussian(48, 96)),
    (63, 63, FullGaussian.for_lmax(63)),
]
# Here orders are dropped, rings are short, or quadrature is meaningless: adjoints must not mind.
INEXACT = [
    (1, 1, FullGaussian(1, 1)),
    (1, 1, FullGaussian(2, 2)),
    (5, 5, FullGaussian(4, 10)),
    (8, 8, FullGaussian(9, 9)),
    (8, 8, Rings([1, 2, 3, 4, 5, 17, 16, 20, 7, 2])),
    (8, 3, Rings([4, 8, 12, 16, 12, 8, 4])),
]


def name_of(value):
    return value.__class__.__name__ + str(value.shape) if isinstance(value, RingGrid) else None


every = pytest.mark.parametrize(("lmax", "mmax", "grid"), EXACT + INEXACT, ids=name_of)
exact = pytest.mark.parametrize(("lmax", "mmax", "grid"), EXACT, ids=name_of)


def test_table_agrees_with_scipy():
    lmax = 63
    theta = np.concatenate([[1e-3], np.linspace(0.05, 3.1, 31), [np.pi / 2]])
    table = reference.legendre_table(lmax, None, theta)
    degrees, orders = degrees_orders(lmax)
    expected = special.sph_harm_y(degrees, orders, theta[:, None], 0.0).real
    # The largest function grows as sqrt(lmax), errors of the recurrences as lmax.
    assert np.max(np.abs(table[:, degrees, orders] - expected)) <= 2 * lmax * EPS * np.sqrt(lmax)
    assert not np.any(table[:, np.triu(np.ones((lmax + 1, lmax + 1)), 1) > 0])


def test_table_is_orthonormal_and_has_parity():
    grid = FullGaussian(64, 1)
    table = reference.legendre_table(63, 63, grid.theta)
    for m in (0, 1, 7, 40, 63):
        functions = table[:, m:, m]
        gram = 2 * np.pi * functions.T @ (grid.weights[:, None] * functions)
        assert np.max(np.abs(gram - np.eye(len(gram)))) <= 64 * EPS
        sign = (-1.0) ** np.arange(64 - m)
        assert np.max(np.abs(functions[::-1] - sign * functions)) <= 64 * 8 * EPS


def test_known_values():
    grid = FullGaussian(6, 11)
    a = np.zeros((3, ncoef(5)), np.complex128)
    a[0, 0] = 2 * np.sqrt(np.pi) * 7.0  # the constant 7
    a[1, lm_index(1, 0, 5)] = np.sqrt(4 * np.pi / 3)  # cos(theta)
    a[2, lm_index(1, 1, 5)] = -0.5 * np.sqrt(8 * np.pi / 3)  # sin(theta) cos(phi)
    phi = np.deg2rad(grid.longitudes)
    fields = np.stack(
        [
            np.full(grid.shape, 7.0),
            np.broadcast_to(grid.cos_theta[:, None], grid.shape),
            grid.sin_theta[:, None] * np.cos(phi),
        ]
    )
    assert np.max(np.abs(reference.synthesis(a, grid, 5) - fields)) <= 10 * EPS * 7
    assert np.max(np.abs(reference.analysis(fields, grid, 5) - a)) <= 10 * EPS * 25


@pytest.mark.parametrize("grid", [FullGaussian(6, 12), Rings([11, 12, 20])], ids=name_of)
def test_each_coefficient_gives_its_harmonic(grid):
    lmax = 5
    degrees, orders = degrees_orders(lmax)
    theta = np.repeat(grid.theta, grid.nlon)
    harmonics = special.sph_harm_y(
        degrees[:, None], orders[:, None], theta, np.deg2rad(grid.longitudes.ravel())
    )
    both = np.where(orders > 0, 2.0, 1.0)[:, None]  # a(l, -m) Y(l, -m) is the conjugate
    unit = np.eye(len(degrees))
    for factor in (1, 1j):
        fields = reference.synthesis(factor * unit, grid, lmax).reshape(len(unit), -1)
        assert np.max(np.abs(fields - both * (factor * harmonics).real)) <= 200 * EPS


@every
def test_agrees_with_ducc0(lmax, mmax, grid):
    ducc0 = pytest.importorskip("ducc0")
    if mmax > np.min((grid.nlon - 1) // 2):
        mmax = int(np.min((grid.nlon - 1) // 2))  # ducc0 folds what we drop
    rng = np.random.default_rng(lmax)
    a = reference.random_coefficients(rng, lmax, mmax)
    geometry = {
        "theta": grid.theta,
        "nphi": grid.nlon.astype(np.uint64),
        "phi0": grid.phi0,
        "ringstart": grid.offsets[:-1].astype(np.uint64),
        "lmax": lmax,
        "mmax": mmax,
        "spin": 0,
    }
    field = ducc0.sht.experimental.synthesis(alm=a[None], **geometry)[0]
    ours = reference.synthesis(a, grid, lmax, mmax).ravel()
    assert np.max(np.abs(ours - field)) <= 1e-13 * np.max(np.abs(field))

    cotangent = rng.standard_normal(grid.npoints)
    adjoint = ducc0.sht.experimental.adjoint_synthesis(map=cotangent[None], **geometry)[0]
    adjoint *= np.where(degrees_orders(lmax, mmax)[1] > 0, 2.0, 1.0)
    ours = reference.adjoint_synthesis(cotangent.reshape(grid.shape), grid, lmax, mmax)
    assert np.max(np.abs(ours - adjoint)) <= 1e-13 * np.max(np.abs(adjoint))


@exact
def test_analysis_agrees_with_ducc0(lmax, mmax, grid):
    ducc0 = pytest.importorskip("ducc0")
    field = np.random.default_rng(1).standard_normal(grid.shape)
    theirs = ducc0.sht.experimental.analysis_2d(
        map=field[None], spin=0, lmax=lmax, mmax=mmax, geometry="GL"
    )[0]
    ours = reference.analysis(field, grid, lmax, mmax)
    assert np.max(np.abs(ours - theirs)) <= 1e-13 * np.max(np.abs(theirs))


@pytest.mark.parametrize("batch", [(), (1,), (3,), (2, 4)])
@every
def test_dot(lmax, mmax, grid, batch):
    rng = np.random.default_rng(2)
    a = reference.random_coefficients(rng, lmax, mmax, batch)
    f = rng.standard_normal((*batch, *grid.shape))
    back = reference.adjoint_synthesis(f, grid, lmax, mmax)
    forth = reference.synthesis(a, grid, lmax, mmax)
    scale = np.linalg.norm(forth) * np.linalg.norm(f)
    assert abs(np.vdot(forth, f) - np.vdot(a, back).real) <= 1e-13 * max(scale, 1)
    assert not np.any(back.imag[..., : lmax + 1])

    forth = reference.analysis(f, grid, lmax, mmax)
    back = reference.adjoint_analysis(a, grid, lmax, mmax)
    scale = np.linalg.norm(forth) * np.linalg.norm(a)
    assert abs(np.vdot(forth, a).real - np.vdot(f, back)) <= 1e-13 * max(scale, 1)


@pytest.mark.parametrize("rule", ["drop", "fold"])
@pytest.mark.parametrize(
    ("lmax", "mmax", "grid"), [case for case in EXACT + INEXACT if case[0] <= 8], ids=name_of
)
def test_adjoints_are_transposes(lmax, mmax, grid, rule):
    orders = mmax if rule == "fold" else None
    count = ncoef(lmax, mmax)
    unit = np.concatenate([np.eye(count), 1j * np.eye(count)])
    points = np.eye(grid.npoints).reshape(-1, *grid.shape)

    matrix = reference.synthesis_matrix(grid, lmax, mmax, orders=orders)
    assert matrix.shape == (grid.npoints, 2 * count)
    assert not np.any(matrix[:, count : count + lmax + 1])  # Im a(l, 0) is a null direction
    rows = reference.adjoint_synthesis(points, grid, lmax, mmax, orders=orders)
    transpose = np.concatenate([rows.real, rows.imag], axis=-1)
    assert np.max(np.abs(matrix - transpose)) <= 50 * EPS

    matrix = reference.analysis_matrix(grid, lmax, mmax, orders=orders)
    assert matrix.shape == (2 * count, grid.npoints)
    columns = reference.adjoint_analysis(unit, grid, lmax, mmax, orders=orders)
    assert np.max(np.abs(matrix - columns.reshape(2 * count, -1))) <= 50 * EPS * np.max(grid.areas)


@exact
def test_round_trip_from_the_spectrum(lmax, mmax, grid):
    a = reference.random_coefficients(np.random.default_rng(3), lmax, mmax, (2,))
    again = reference.analysis(reference.synthesis(a, grid, lmax, mmax), grid, lmax, mmax)
    assert np.max(np.abs(again - a)) <= 1e-13 * np.max(np.abs(a))


@exact
def test_round_trip_from_the_grid_is_a_projection(lmax, mmax, grid):
    field = np.random.default_rng(4).standard_normal(grid.shape)

    def project(f):
        return reference.synthesis(reference.analysis(f, grid, lmax, mmax), grid, lmax, mmax)

    once = project(field)
    assert np.max(np.abs(project(once) - once)) <= 1e-13 * np.max(np.abs(field))
    if grid.npoints > 1 and grid.npoints > 2 * ncoef(lmax, mmax):
        assert np.max(np.abs(once - field)) > 0.1


@exact
def test_parseval(lmax, mmax, grid):
    a = reference.random_coefficients(np.random.default_rng(5), lmax, mmax)
    field = reference.synthesis(a, grid, lmax, mmax).reshape(grid.npoints)
    energy = np.repeat(grid.areas, grid.nlon) @ field**2
    both = np.where(degrees_orders(lmax, mmax)[1] > 0, 2.0, 1.0)
    assert abs(energy / (both @ np.abs(a) ** 2) - 1) <= 1e-13


@pytest.mark.parametrize("nlon", [1, 2, 3, 4, 9])
def test_folded_orders_are_values_at_the_points(nlon):
    """What few points see of a field is what many see in the same places."""
    few, many = FullGaussian(10, nlon), FullGaussian(10, 36)
    a = reference.random_coefficients(np.random.default_rng(8), 9)
    field = reference.synthesis(a, few, 9, orders=9)
    dense = reference.synthesis(a, many, 9)[:, :: 36 // nlon]
    assert np.max(np.abs(field - dense)) <= 1e-13 * np.max(np.abs(field))


# With spin


SPINS = [
    (spin, lmax, mmax, grid)
    for spin in (1, 2, 3)
    for lmax, mmax, grid in (
        (1, 1, FullGaussian(2, 3)),
        (5, 5, FullGaussian(7, 12)),
        (5, 2, FullGaussian(6, 5)),
        (8, 8, Rings([1, 2, 3, 4, 5, 17, 16, 20, 7, 2])),
    )
]


def with_spin(chosen):
    return pytest.mark.parametrize(("spin", "lmax", "mmax", "grid"), chosen, ids=name_of)


def test_spin_table_is_that_of_scalars_for_spin_0():
    theta = np.linspace(1e-3, 3.1, 40)
    table = reference.spin_table(0, 40, 40, theta)
    half = reference.legendre_table(40, 40, theta)
    assert np.max(np.abs(table[..., 40:] - half)) <= 1e-13
    signs = (-1.0) ** np.arange(41)
    assert np.max(np.abs(table[..., 40::-1] - signs * half)) <= 1e-13


@pytest.mark.parametrize("spin", [1, 2, 5])
def test_spin_table_is_orthonormal(spin):
    grid = FullGaussian(24, 1)
    table = reference.spin_table(spin, 20, 20, grid.theta)
    for m in (-20, -7, -spin, 0, 1, spin, 12):
        functions = table[:, max(abs(m), spin) :, 20 + m]
        gram = 2 * np.pi * functions.T @ (grid.weights[:, None] * functions)
        assert np.max(np.abs(gram - np.eye(len(gram)))) <= 1e-13
    assert not np.any(table[:, :spin])


@with_spin([case for case in SPINS if case[0] <= case[1]])  # ducc0 has no others
def test_with_spin_agrees_with_ducc0(spin, lmax, mmax, grid):
    ducc0 = pytest.importorskip("ducc0")
    rng = np.random.default_rng(spin)
    a = reference.random_coefficients(rng, lmax, mmax, (2,))
    geometry = {
        "theta": grid.theta,
        "nphi": grid.nlon.astype(np.uint64),
        "phi0": grid.phi0,
        "ringstart": grid.offsets[:-1].astype(np.uint64),
        "lmax": lmax,
        "mmax": mmax,
        "spin": spin,
    }
    field = ducc0.sht.synthesis(alm=a, **geometry)  # it folds
    ours = reference.synthesis(a, grid, lmax, mmax, spin=spin, orders=mmax)
    assert np.max(np.abs(ours.reshape(2, -1) - field)) <= 1e-13 * np.max(np.abs(field))
    cotangent = rng.standard_normal((2, *grid.shape))
    adjoint = ducc0.sht.adjoint_synthesis(map=cotangent.reshape(2, -1), **geometry)
    adjoint = adjoint * np.where(degrees_orders(lmax, mmax)[1] > 0, 2.0, 1.0)
    ours = reference.adjoint_synthesis(cotangent, grid, lmax, mmax, spin=spin, orders=mmax)
    assert np.max(np.abs(ours - adjoint)) <= 1e-13 * np.max(np.abs(adjoint))


@pytest.mark.parametrize("rule", ["drop", "fold"])
@with_spin(SPINS)
def test_adjoints_with_spin_are_transposes(spin, lmax, mmax, grid, rule):
    options = {"grid": grid, "lmax": lmax, "mmax": mmax, "spin": spin}
    options["orders"] = mmax if rule == "fold" else None
    size = 2 * ncoef(lmax, mmax)
    unit = np.concatenate([np.eye(size), 1j * np.eye(size)]).reshape(2 * size, 2, -1)
    points = np.eye(2 * grid.npoints).reshape(-1, 2, *grid.shape)

    def real(a):
        a = a.reshape(len(a), -1)
        return np.concatenate([a.real, a.imag], axis=-1)

    matrix = reference.synthesis(unit, **options).reshape(2 * size, -1).T
    transpose = real(reference.adjoint_synthesis(points, **options))
    assert np.max(np.abs(matrix - transpose)) <= 50 * EPS
    matrix = real(reference.analysis(points, **options)).T
    columns = reference.adjoint_analysis(unit, **options).reshape(2 * size, -1)
    assert np.max(np.abs(matrix - columns)) <= 50 * EPS * np.max(grid.areas)


@with_spin([case for case in SPINS if isinstance(case[-1], FullGaussian)])
def test_round_trip_with_spin(spin, lmax, mmax, grid):
    a = reference.random_coefficients(np.random.default_rng(3), lmax, mmax, (3, 2))
    a[..., degrees_orders(lmax, mmax)[0] < spin] = 0.0
    options = {"grid": grid, "lmax": lmax, "mmax": mmax, "spin": spin}
    again = reference.analysis(reference.synthesis(a, **options), **options)
    assert np.max(np.abs(again - a), initial=0.0) <= 1e-13 * max(1.0, np.max(np.abs(a)))


@pytest.mark.parametrize("nlon", [2, 4, 10, 16])
def test_orders_at_and_above_nyquist_are_dropped(nlon):
    grid = FullGaussian(10, nlon)
    _, orders = degrees_orders(9)
    a = reference.random_coefficients(np.random.default_rng(6), 9)
    dropped = 2 * orders >= nlon
    low = np.where(dropped, 0, a)
    field = reference.synthesis(a, grid, 9)
    assert np.array_equal(field, reference.synthesis(low, grid, 9))
    assert not np.any(reference.analysis(field, grid, 9)[dropped])


def test_imaginary_parts_of_order_zero_do_nothing():
    grid = FullGaussian(6, 11)
    a = reference.random_coefficients(np.random.default_rng(7), 5)
    b = a.copy()
    b[:6] += 1j
    assert np.array_equal(reference.synthesis(a, grid, 5), reference.synthesis(b, grid, 5))
    back = reference.adjoint_analysis
    assert np.array_equal(back(a, grid, 5), back(b, grid, 5))


def test_wrong_shapes_are_told():
    grid = FullGaussian(6, 11)
    with pytest.raises(ValueError, match=r"`analysis\(field, grid, ...\)` needs shape .*6, 11"):
        reference.analysis(np.zeros((11, 6)), grid, 5)
    with pytest.raises(ValueError, match=r"needs shape \(..., 21\). Got \(20,\)"):
        reference.synthesis(np.zeros(20), grid, 5)
    with pytest.raises(ValueError, match=r"needs shape \(..., 2, 6, 11\). Got \(6, 11\)"):
        reference.analysis(np.zeros((6, 11)), grid, 5, spin=2)
