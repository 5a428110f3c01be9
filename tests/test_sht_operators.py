"""Operators in coefficient space: formulas, identities, the grid, other libraries."""

import functools
import itertools

import numpy as np
import pytest

import sht
from sht import operators as op
from sht.grids import FullGaussian
from tests.sht_cases import EPS, difference
from tests.sht_operator_cases import (
    OPERATORS,
    SIZES,
    R,
    coefficients,
    each_operator,
    every,
    given_to,
    radius_of,
    raised,
    scalar,
    small,
    wanted_of,
)

# Against the formulas, one coefficient at a time


def epsilon(l, m):  # noqa: E741
    return np.sqrt((l**2 - m**2) / (4 * l**2 - 1))


def formula(name, given, lmax, mmax, r):
    more_in, more_out = OPERATORS[name][1], OPERATORS[name][3]
    rows = [sht.unpack(x, lmax + more_in, mmax) for x in np.atleast_2d(given)]

    def at(x, l, m):  # noqa: E741
        return x[l, m] if m <= l < len(x) else 0.0

    def ladder(x, l, m, below, above):  # noqa: E741
        low = below * epsilon(l, m) * at(x, l - 1, m) if l > m else 0.0
        return low + above * epsilon(l + 1, m) * at(x, l + 1, m)

    def one(l, m):  # noqa: E741
        a, b = rows[0], rows[-1]
        lap, ll = l * (l + 1), max(l * (l + 1), 1)
        low = -1 / l if l > 1 else 0.0
        vor = (1j * m * at(b, l, m) + ladder(a, l, m, l + 1, -l)) / r
        div = (1j * m * at(a, l, m) - ladder(b, l, m, l + 1, -l)) / r
        return {
            "laplacian": lambda: -lap / r**2 * at(a, l, m),
            "inverse_laplacian": lambda: -(r**2) / ll * at(a, l, m) * (l > 0),
            "longitude_derivative": lambda: 1j * m * at(a, l, m),
            "coslat_latitude_derivative": lambda: ladder(a, l, m, 1 - l, l + 2),
            "times_sinlat": lambda: ladder(a, l, m, 1, 1),
            "coslat_gradient": lambda: (
                1j * m / r * at(a, l, m),
                ladder(a, l, m, 1 - l, l + 2) / r,
            ),
            "coslat_wind": lambda: (
                r * (-1j * m / ll * at(b, l, m) + ladder(a, l, m, low, 1 / (l + 1))),
                r * (-1j * m / ll * at(a, l, m) - ladder(b, l, m, low, 1 / (l + 1))),
            ),
            "divergence": lambda: div,
            "curl": lambda: vor,
            "vorticity_divergence": lambda: (vor, div),
        }[name]()

    degrees, orders = sht.degrees_orders(lmax + more_out, mmax)
    pairs = zip(degrees.tolist(), orders.tolist(), strict=True)
    return np.array([one(*pair) for pair in pairs], complex).T


@each_operator
@small
def test_formulas(lmax, mmax, name):
    given = given_to(name, lmax, mmax)
    want = formula(name, given, lmax, mmax, R)
    got = getattr(op, name)(given, lmax, mmax, *radius_of(name))
    assert got.shape == wanted_of(name, lmax, mmax).shape == want.shape
    assert np.max(np.abs(got - want)) <= 8 * EPS * max(1.0, np.max(np.abs(want)))


@each_operator
def test_batches_and_out(name):
    lmax, mmax = 9, 4
    function = functools.partial(getattr(op, name), lmax=lmax, mmax=mmax)
    given = given_to(name, lmax, mmax, (3, 2))
    want = np.array([[function(x) for x in row] for row in given])
    assert np.array_equal(function(given), want)
    assert np.array_equal(function(np.asfortranarray(given)), want)
    out = np.full_like(want, np.nan)
    assert function(given, out=out) is out
    assert np.array_equal(out, want)
    assert function(given[:0]).shape == want[:0].shape


@each_operator
@small
def test_order_0_stays_real(lmax, mmax, name):
    """Coefficients of real fields go to coefficients of real fields, exactly."""
    given = given_to(name, lmax, mmax)
    assert not np.any(given[..., : lmax + 1 + OPERATORS[name][1]].imag)
    got = getattr(op, name)(given, lmax, mmax)
    assert not np.any(got[..., : lmax + 1 + OPERATORS[name][3]].imag)


@pytest.mark.parametrize("name", [name for name in OPERATORS if radius_of(name)])
def test_the_radius_is_a_power(name):
    given = given_to(name, 9, 4)
    want = R ** OPERATORS[name][4] * getattr(op, name)(given, 9, 4)
    assert difference(getattr(op, name)(given, 9, 4, R), want) <= 4 * EPS
    assert difference(getattr(op, name)(given, 9, 4, radius=R), want) <= 4 * EPS


# Identities between coefficients


@every
def test_inverse_laplacian_undoes_the_laplacian_but_for_the_mean(lmax, mmax):
    a = coefficients(1, lmax, mmax)
    want = a.copy()
    want[0] = 0
    for first, second in itertools.permutations([op.laplacian, op.inverse_laplacian]):
        assert difference(second(first(a, lmax, mmax, R), lmax, mmax, R), want) <= 4 * EPS


@every
def test_derivatives_make_the_laplacian(lmax, mmax):
    """(cos φ ∂φ)² + ∂λ² = cos² φ ∇² = (1 - sin² φ) ∇², and [cos φ ∂φ, sin φ] = 1 - sin² φ."""

    def d(a, up):
        return op.coslat_latitude_derivative(a, lmax + up, mmax)

    def s(a, up):
        return op.times_sinlat(a, lmax + up, mmax)

    def up2(a):
        return raised(raised(a, lmax, mmax), lmax + 1, mmax)

    a = coefficients(2, lmax, mmax)
    twice = functools.partial(op.longitude_derivative, lmax=lmax, mmax=mmax)
    laplacian = op.laplacian(a, lmax, mmax)
    left = d(d(a, 0), 1) + up2(twice(twice(a)))
    right = up2(laplacian) - s(s(laplacian, 0), 1)
    scale = (lmax + 1) ** 2 * np.max(np.abs(a))
    assert np.max(np.abs(left - right)) <= 16 * EPS * scale
    left, right = d(s(a, 0), 1) - s(d(a, 0), 1), up2(a) - s(s(a, 0), 1)
    assert np.max(np.abs(left - right)) <= 16 * EPS * (lmax + 1) * np.max(np.abs(a))


@every
def test_winds_of_potentials_are_gradients(lmax, mmax):
    """Of a velocity potential, and turned by 90 degrees of a stream function."""
    p = scalar(3, lmax, mmax)
    east, north = op.coslat_gradient(p, lmax, mmax, R)
    potential = np.stack([np.zeros_like(p), p])
    got = op.coslat_wind(op.laplacian(potential, lmax, mmax, R), lmax, mmax, R)
    assert difference(got, np.stack([east, north])) <= 8 * EPS
    got = op.coslat_wind(op.laplacian(potential[::-1], lmax, mmax, R), lmax, mmax, R)
    assert difference(got, np.stack([-north, east])) <= 8 * EPS


@small
def test_divergence_and_curl_are_transposes(lmax, mmax):
    """Integration by parts: ∫ p div w = -∫ ∇p · w, ∫ p curl w = -∫ (k × ∇p) · w."""
    w = given_to("divergence", lmax, mmax)
    div, vor = op.divergence(w, lmax, mmax, R), op.curl(w, lmax, mmax, R)
    scale = 8 * EPS * max(1.0, np.max(np.abs(div)), np.max(np.abs(vor)))
    assert np.max(np.abs(div + op.adjoint_coslat_gradient(w, lmax, mmax, R))) <= scale
    turned = op.laplacian(op.adjoint_coslat_wind(w, lmax, mmax, R), lmax, mmax, R)
    assert np.max(np.abs(turned + np.stack([vor, div]))) <= scale
    assert np.array_equal(op.vorticity_divergence(w, lmax, mmax, R), np.stack([vor, div]))


# On the grid


@functools.cache
def transforms(lmax, mmax):
    """Of scalars, and of one more degree; on the smallest grid on which all below is exact."""
    grid = FullGaussian(lmax + 2, 2 * mmax + 2)
    pair = [sht.Transform(degree, grid, mmax=mmax) for degree in (lmax, lmax + 1)]
    return *pair, grid.sin_theta[:, None], grid.cos_theta[:, None]


@every
def test_times_sinlat_on_the_grid(lmax, mmax):
    t, t1, _, sin = transforms(lmax, mmax)
    a = coefficients(4, lmax, mmax)
    want = sin * t.synthesis(a)
    assert difference(t1.synthesis(op.times_sinlat(a, lmax, mmax)), want) <= 8 * EPS * (lmax + 4)


@every
def test_div_grad_and_curl_grad_on_the_grid(lmax, mmax):
    _, t1, cos, _ = transforms(lmax, mmax)
    a = scalar(5, lmax, mmax)
    gradient = t1.synthesis(op.coslat_gradient(a, lmax, mmax, R)) / cos
    scaled = t1.analysis(gradient / cos)
    want = op.laplacian(a, lmax, mmax, R)
    tolerance = 8 * EPS * (lmax + 4) * np.max(np.abs(want))
    assert np.max(np.abs(op.divergence(scaled, lmax, mmax, R) - want)) <= tolerance
    assert np.max(np.abs(op.curl(scaled, lmax, mmax, R))) <= tolerance


@every
def test_wind_and_back(lmax, mmax):
    _, t1, cos, _ = transforms(lmax, mmax)
    vordiv = np.stack([scalar(6, lmax, mmax), scalar(7, lmax, mmax)])
    wind = t1.synthesis(op.coslat_wind(vordiv, lmax, mmax, R))
    back = op.vorticity_divergence(t1.analysis(wind / cos**2), lmax, mmax, R)
    assert difference(back, vordiv) <= 8 * EPS * (lmax + 4)
    again = t1.synthesis(op.coslat_wind(back, lmax, mmax, R))
    assert difference(again, wind) <= 16 * EPS * (lmax + 4)


@pytest.mark.parametrize(("lmax", "mmax"), SIZES[1:], ids=lambda n: str(n))
def test_solid_body_rotation(lmax, mmax):
    """The wind u = cos φ has vorticity 2 sin φ / radius, in coefficients and on the grid."""
    _, t1, cos, _ = transforms(lmax, mmax)
    vordiv = np.zeros((2, sht.ncoef(lmax, mmax)), complex)
    vordiv[0, 1] = 2 / R * np.sqrt(4 * np.pi / 3)  # of degree 1, order 0
    u, v = t1.synthesis(op.coslat_wind(vordiv, lmax, mmax, R)) / cos
    assert np.max(np.abs(u - cos)) <= 8 * EPS * (lmax + 4)
    assert not np.any(v)
    scaled = np.zeros((2, sht.ncoef(lmax + 1, mmax)), complex)
    scaled[0, 0] = np.sqrt(4 * np.pi)  # u / cos φ = 1
    vor, div = op.vorticity_divergence(scaled, lmax, mmax, R)
    assert np.max(np.abs(vor - vordiv[0])) <= 4 * EPS
    assert not np.any(div)
    assert np.max(np.abs(op.curl(scaled, lmax, mmax, R) - vordiv[0])) <= 4 * EPS


# Against other libraries


@functools.cache
def winds(lmax):
    """Potentials, and the wind (u, v) of theirs on 64 x 128 points."""
    potentials = np.stack([scalar(8, lmax, lmax), scalar(9, lmax, lmax)])
    t1 = sht.Transform(lmax + 1, FullGaussian(64, 128), mmax=lmax)
    wind = t1.synthesis(op.coslat_wind(op.laplacian(potentials, lmax), lmax))
    return potentials, wind / t1.grid.sin_theta[:, None], t1.grid


@pytest.mark.parametrize("lmax", [1, 5, 42])
def test_equals_shtns(lmax):
    """Spheroidal χ and toroidal -ψ; components along θ (south) and longitude."""
    shtns = pytest.importorskip("shtns")
    (psi, chi), (u, v), grid = winds(lmax)
    peer = shtns.sht(lmax, lmax, 1, shtns.sht_orthonormal)
    peer.set_grid(64, 128, shtns.SHT_PHI_CONTIGUOUS | shtns.sht_gauss, 0)
    south, east = peer.spat_array(), peer.spat_array()
    peer.SHsphtor_to_spat(chi, -psi, south, east)
    assert difference(u, east) <= 8 * EPS * (lmax + 4)
    assert difference(-v, south) <= 8 * EPS * (lmax + 4)
    spheroidal, toroidal = peer.spec_array(), peer.spec_array()
    peer.spat_to_SHsphtor(-v, u, spheroidal, toroidal)
    t1 = sht.Transform(lmax + 1, grid, mmax=lmax)
    scaled = t1.analysis(np.stack([u, v]) / grid.sin_theta[:, None])
    got = op.inverse_laplacian(op.vorticity_divergence(scaled, lmax), lmax)
    assert difference(got, np.stack([-toroidal, spheroidal])) <= 8 * EPS * (lmax + 4)


@pytest.mark.parametrize("lmax", [1, 5, 42])
def test_equals_ducc0s_spin_1(lmax):
    """Its two sets are √(l(l+1)) χ and √(l(l+1)) ψ, its components southward and eastward."""
    ducc0 = pytest.importorskip("ducc0")
    (psi, chi), (u, v), grid = winds(lmax)
    degrees, _ = sht.degrees_orders(lmax)
    south, east = ducc0.sht.synthesis(
        alm=np.sqrt(degrees * (degrees + 1.0)) * np.stack([chi, psi]),
        theta=grid.theta,
        nphi=np.full(64, 128, np.uint64),
        phi0=np.zeros(64),
        ringstart=np.arange(64, dtype=np.uint64) * 128,
        spin=1,
        lmax=lmax,
        nthreads=1,
    ).reshape(2, 64, 128)
    assert difference(u, east) <= 8 * EPS * (lmax + 4)
    assert difference(-v, south) <= 8 * EPS * (lmax + 4)


def test_derivatives_against_differences():
    lmax, h = 5, 1e-3
    harmonic = pytest.importorskip("scipy.special").sph_harm_y
    theta, phi = np.array([0.3, 1.1, 1.7, 2.9]), np.array([0.2, 1.9, 3.3, 6.0])
    weights = np.array([8, -1]) / (12 * h)
    degrees, orders = sht.degrees_orders(lmax)
    degrees1, orders1 = sht.degrees_orders(lmax + 1, lmax)
    basis = harmonic(degrees1[:, None], orders1[:, None], theta, phi)
    for k in range(len(degrees)):
        unit = np.zeros(len(degrees), complex)
        unit[k] = 1

        def slope(f):
            return sum(w * (f(j * h) - f(-j * h)) for j, w in enumerate(weights, 1))

        north = slope(lambda d, k=k: harmonic(degrees[k], orders[k], theta - d, phi))
        east = slope(lambda d, k=k: harmonic(degrees[k], orders[k], theta, phi + d))
        got = op.coslat_latitude_derivative(unit, lmax) @ basis
        assert np.max(np.abs(got - np.sin(theta) * north)) <= 1e-10
        got = raised(op.longitude_derivative(unit, lmax), lmax, lmax) @ basis
        assert np.max(np.abs(got - east)) <= 1e-10
