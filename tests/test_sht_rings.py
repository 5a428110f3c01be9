"""What is special about some rings: short, turned, next to a pole, on the Equator, unpaired."""

import numpy as np
import pytest

import sht
from sht.grids import FullClenshaw, FullGaussian, HEALPix, OctahedralGaussian, Rings
from tests.sht_cases import CASES, EPS, Case, difference, given_to, random_pair, tolerance

every_case = pytest.mark.parametrize("case", CASES, ids=str)
SHORT = [
    Case(OctahedralGaussian(12), 20, orders="cubic"),
    Case(HEALPix(4), 7, 6),
    Case(FullGaussian(12, 19), 9, orders=(3, 9, 0, 5, 9, 1, 0, 9, 2, 4, 9, 9)),
    Case(HEALPix(4), 7, 6, spin=2),
]


def ring_of(case, j):
    return slice(*case.grid.offsets[j : j + 2])


def flat(case, field):
    return field.reshape(*field.shape[: field.ndim - len(case.grid.shape)], case.grid.npoints)


# Orders


@every_case
def test_kept_orders_follow_the_rule(case):
    assert np.array_equal(case.transform().rings.orders, case.kept)
    assert np.array_equal(case.transform().degrees, case.degrees_orders[0])
    assert np.array_equal(case.transform().orders, case.degrees_orders[1])


def test_orders_of_an_octahedral_grid():
    """Points 20, 24, 28, 32 from the pole; all below that of Nyquist at most."""
    grid = OctahedralGaussian(4)
    known = {
        "all": [7, 7, 7, 7],
        "linear": [7, 7, 7, 7],
        "quadratic": [6, 7, 7, 7],
        "cubic": [5, 6, 7, 7],
        "linquad_coslat2": [7, 7, 7, 7],
        "lincub_coslat": [7, 7, 7, 7],
    }
    for rule, kept in known.items():
        t = sht.Transform(7, grid, threads=1, orders=rule)
        assert t.rings.orders.tolist() == kept + kept[::-1]
    # sin θ = 0.2 and 0.8 about: 20 / 2.04 and 32 / 2.64; 20 / 2.4 and 32 / 3.6.
    two = Rings([np.arcsin(0.2), np.pi - np.arcsin(0.8)], [20, 32])
    for rule, kept in {"linquad_coslat2": [9, 12], "lincub_coslat": [8, 8]}.items():
        assert sht.Transform(15, two, threads=1, orders=rule).rings.orders.tolist() == kept


@pytest.mark.parametrize("case", SHORT, ids=str)
def test_orders_beyond_those_kept_are_not_there(case):
    """Nothing of them, to the bit, in fields; and nothing of a field on the ring in them."""
    t, rng = case.transform(), np.random.default_rng(1)
    a, f = random_pair(t, 1)
    t.synthesis(a)  # leaves other numbers in the work space
    beyond = [j for j in range(case.grid.nlat) if case.kept[j] < case.highest_order]
    assert beyond
    for j in beyond:
        high = t.orders > case.kept[j]
        field = flat(case, t.synthesis(np.where(high, a, 0)))
        assert not np.any(field[..., ring_of(case, j)])
        low = flat(case, t.synthesis(np.where(high, 0, a)))
        whole = flat(case, t.synthesis(a))
        assert np.array_equal(low[..., ring_of(case, j)], whole[..., ring_of(case, j)])
        only = np.zeros_like(f)
        points = flat(case, only)
        points[..., ring_of(case, j)] = rng.standard_normal(points[..., ring_of(case, j)].shape)
        for adjoint_or_not in (t.analysis, t.adjoint_synthesis):
            made = adjoint_or_not(only)
            assert not np.any(made[..., high])
            assert np.all(made[..., (t.orders == 0) & (t.degrees >= case.spin)].real)
        back = flat(case, t.adjoint_analysis(np.where(high, a, 0)))
        assert not np.any(back[..., ring_of(case, j)])


def test_dropping_and_folding_are_the_same_where_rings_are_long():
    for spin in (0, 2):
        drop, fold = (
            Case(HEALPix(8), 15, 1, spin=spin, aliasing=way).transform() for way in ("drop", "fold")
        )
        assert np.array_equal(drop.synthesis(a := random_pair(drop, 2)[0]), fold.synthesis(a))


def test_folded_fields_are_values_at_points():
    """On one point each, on any number of others: the value of the field there is the same."""

    def on_rings_of(nlon):
        return Case(Rings(FullGaussian(6, 1).theta, nlon), 9, aliasing="fold").transform()

    a, _ = random_pair(on_rings_of(1), 3)
    want = on_rings_of(40).synthesis(a)
    for nlon in (1, 2, 4, 5, 8, 20):
        got = on_rings_of(nlon).synthesis(a)
        assert difference(got, want[:, :: 40 // nlon]) <= 2 * tolerance(9)


# Places


@pytest.mark.parametrize("spin", [0, 1, 2, 3])
def test_turned_rings_are_turned_coefficients(spin):
    """A grid turned by φ0 sees a_lm exp(i m φ0), whatever becomes of high orders."""
    theta, nlon, phi0 = [0.3, 0.9, 1.4, 2.2], [3, 9, 21, 4], 0.7
    for aliasing in ("drop", "fold"):
        still, turned = (
            Case(Rings(theta, nlon, p), 8, spin=spin, aliasing=aliasing).transform()
            for p in (0.0, phi0)
        )
        a, _ = random_pair(still, 4)
        want = still.synthesis(a * np.exp(1j * still.orders * phi0))
        assert difference(turned.synthesis(a), want) <= 2 * tolerance(8)


@pytest.mark.parametrize("spin", [0, 1, 2, 3])
@pytest.mark.parametrize("theta", [1e-3, 1e-6, 1e-12, 1e-150])
def test_next_to_the_poles(theta, spin):
    """Only one order is left there, m = ∓s, whose functions are (-1)^s sqrt((2l + 1) / 4π)."""
    south = np.pi - theta if theta > 1e-15 else np.nextafter(np.pi, 0)
    case = Case(Rings([theta, 1.0, south], 48), 20, spin=spin)
    t = case.transform()
    a, _ = random_pair(t, 5)
    got = t.synthesis(a)
    alone = Case(Rings([theta], 48), 20, spin=spin).transform().synthesis(a)
    assert np.max(np.abs(alone - got[..., :1, :])) <= 1e-14 * np.max(np.abs(got))
    if theta > 1e-13:
        assert difference(got, case.reference("synthesis", a)) <= 1e-13
    degrees = np.arange(spin, 21)
    roots = np.sqrt((2 * degrees + 1) / (4 * np.pi))
    at = [sht.lm_index(l, spin, 20) for l in degrees]  # noqa: E741
    phi = np.deg2rad(t.grid.longitudes[0])
    pole = got[..., 0, :]
    if spin == 0:
        assert np.max(np.abs(pole - roots @ np.real(a[at]))) <= 1e3 * max(theta, 1e-15)
    else:
        # The sign of E and B of order -s, (-1)^s, is the function's, too.
        want = -(roots @ (a[0, at].conj() + 1j * a[1, at].conj())) * np.exp(-1j * spin * phi)
        assert np.max(np.abs(pole[0] + 1j * pole[1] - want)) <= 1e3 * max(theta, 1e-15)


def test_functions_odd_in_the_equator_are_zero_there():
    for grid in (
        FullClenshaw(31, 64),
        HEALPix(8),
        Rings(np.array([0.5, 1.0, 1.5]) * np.pi / 2, 40),
    ):
        j = int(np.argmin(np.abs(grid.cos_theta)))
        case = Case(grid, 15)
        t = case.transform()
        a, f = random_pair(t, 6)
        odd = (t.degrees + t.orders) % 2 == 1
        ring = ring_of(case, j)
        if grid.cos_theta[j] == 0.0:
            assert not np.any(flat(case, t.synthesis(np.where(odd, a, 0)))[ring])
            only = np.zeros_like(f)
            flat(case, only)[ring] = flat(case, f)[ring]
            assert not np.any(t.adjoint_synthesis(only)[odd])
            # It counts once: a mean over the ring is that of its points.
            assert difference(
                t.adjoint_synthesis(only), case.reference("adjoint_synthesis", only)
            ) <= tolerance(15)
        assert np.any(flat(case, t.synthesis(a))[ring])


@pytest.mark.parametrize("spin", [0, 2])
def test_rings_need_no_mirror(spin):
    """Those of one hemisphere alone, and of both without symmetry, are the same as among others."""
    whole = Case(FullGaussian(24, 48), 20, spin=spin)
    a, _ = random_pair(whole.transform(), 7)
    field = whole.transform().synthesis(a)
    theta = whole.grid.theta
    for rows in (slice(0, 12), slice(12, 24), slice(5, 6), [0, 1, 2, 13, 20, 23]):
        some = Case(Rings(theta[rows], 48), 20, spin=spin)
        # The cosines and sines are rounded anew.
        assert difference(some.transform().synthesis(a), field[..., rows, :]) <= 5e-14
    pairs = Case(Rings(theta[[0, 1, 2, 13, 20, 23]], 48), 20).transform().rings.pairs
    assert sorted(pairs[pairs >= 0].tolist()) == [0, 1, 2, 3, 4, 5]


@every_case
def test_each_ring_is_in_the_pairs_once(case):
    pairs, grid = case.transform().rings.pairs, case.grid
    assert sorted(pairs[pairs >= 0].tolist()) == list(range(grid.nlat))
    both = pairs[np.all(pairs >= 0, axis=1)]
    assert np.array_equal(grid.cos_theta[both[:, 0]], -grid.cos_theta[both[:, 1]])
    if case.grid.has_weights and not isinstance(grid, Rings):
        assert len(both) == grid.nlat // 2


def test_spin_beyond_the_degrees_leaves_nothing():
    case = Case(OctahedralGaussian(6), 10, spin=11)
    t = case.transform()
    a, f = random_pair(t, 8)
    for name in ("synthesis", "analysis", "adjoint_synthesis", "adjoint_analysis"):
        assert not np.any(getattr(t, name)(given_to(name, t, 9)))
    t = Case(OctahedralGaussian(6), 10, spin=3).transform()
    assert not np.any(t.synthesis(np.where(t.degrees < 3, a, 0)))
    assert not np.any(t.analysis(f)[:, t.degrees < 3])


def test_known_harmonics_with_spin():
    grid = FullGaussian(7, 12)
    x, sine = grid.cos_theta[:, None], grid.sin_theta[:, None]
    phi = np.deg2rad(grid.longitudes)
    zero = 0 * x * phi
    one = np.sqrt(3 / (8 * np.pi)) * sine + zero
    two = np.sqrt(15 / (32 * np.pi)) * sine**2 + zero
    unit = np.sqrt(5 / (64 * np.pi))
    pair = unit * ((1 - x) ** 2 * np.exp(2j * phi) + (1 + x) ** 2 * np.exp(-2j * phi))
    known = {  # spin, E or B, l, m: field. Spin 1 is a gradient of cos θ, and its curl.
        (1, 0, 1, 0): (-one, zero),
        (1, 1, 1, 0): (zero, -one),
        (2, 0, 2, 0): (-two, zero),
        (2, 1, 2, 0): (zero, -two),
        (2, 0, 2, 2): (-pair.real, -pair.imag),
        (2, 1, 2, 2): (pair.imag, -pair.real),
    }
    for (spin, which, l, m), field in known.items():  # noqa: E741
        t = Case(grid, 5, spin=spin).transform()
        a = np.zeros(t.coefficients.shape, complex)
        a[which, sht.lm_index(l, m, 5)] = 1.0
        assert np.max(np.abs(t.synthesis(a) - np.array(field))) <= 8 * EPS
        assert np.max(np.abs(t.analysis(np.array(field)) - a)) <= 16 * EPS
