"""Rotation of coefficients: peers, points, exact cases, adjoints, gradients by the angles."""

import functools
import itertools
from typing import Any

import numpy as np
import pytest
from numba import njit

import sht
from enzyme_rules.testing import test_rule as check_rule
from llvm import AutodiffError, hvp, jvp, value_and_grad
from sht._wigner import MAX_LMAX, quarter_turn_into
from sht.reference import random_coefficients
from sht.rotation import adjoint_rotate, euler_angles, rotate, rotate_into
from tests.sht_cases import BATCHES, EPS, difference

PI = np.pi
DEGREES = [0, 1, 2, 5, 31, 32, 127]
ANGLES = [
    (0.0, 0.0, 0.0),
    (0.3, 1.4, -2.5),
    (-6.2, -0.7, 4.0),
    (0.0, PI / 2, 0.0),
    (PI, PI, -PI),
    (1.0, 1e-9, 2.0),
]
every = pytest.mark.parametrize("lmax", DEGREES)
each_angle = pytest.mark.parametrize("angles", ANGLES, ids=str)


def coefficients(seed, lmax, batch=()) -> Any:
    return random_coefficients(np.random.default_rng(seed), lmax, lmax, batch)


def tolerance(lmax):
    """Of the largest coefficient: phases m α are rounded, and the recurrence has lmax steps."""
    return 2 * EPS * (lmax + 4)


def matrix(psi, theta, phi):
    def about_z(angle):
        c, s = np.cos(angle), np.sin(angle)
        return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])

    c, s = np.cos(theta), np.sin(theta)
    return about_z(phi) @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]) @ about_z(psi)


# Against other libraries


@each_angle
@every
def test_equals_ducc0(lmax, angles):
    ducc0 = pytest.importorskip("ducc0")
    a = coefficients(1, lmax)
    want = ducc0.sht.rotate_alm(a, lmax, *angles)
    assert difference(rotate(a, lmax, *angles), want) <= tolerance(lmax)


@pytest.mark.parametrize(
    "lmax", [511, 1200, pytest.param(MAX_LMAX, marks=pytest.mark.slow)], ids=str
)
def test_equals_ducc0_at_high_degrees(lmax):
    """Beyond 900 there are columns that start below what a float64 can hold."""
    ducc0 = pytest.importorskip("ducc0")
    a = coefficients(2, lmax)
    want = ducc0.sht.rotate_alm(a, lmax, *ANGLES[1])
    got = rotate(a, lmax, *ANGLES[1])
    assert difference(got, want) <= 1e-12
    assert difference(got, want) <= tolerance(lmax)


@each_angle
@pytest.mark.parametrize("lmax", [1, 5, 31])
def test_equals_healpy(lmax, angles):
    healpy = pytest.importorskip("healpy")
    a = coefficients(3, lmax)
    want = a.copy()
    healpy.rotate_alm(want, *angles)
    assert difference(rotate(a, lmax, *angles), want) <= tolerance(lmax)


# Known exactly


@each_angle
def test_values_move_with_the_points(angles):
    harmonic = pytest.importorskip("scipy.special").sph_harm_y
    lmax = 6
    degrees, orders = sht.degrees_orders(lmax)

    def value(a, x):
        theta, phi = np.arctan2(np.hypot(x[0], x[1]), x[2]), np.arctan2(x[1], x[0])
        basis = harmonic(degrees[:, None], orders[:, None], theta, phi)
        return np.where(orders > 0, 2.0, 1.0) @ (a[:, None] * basis).real

    a, x = coefficients(4, lmax), np.random.default_rng(5).standard_normal((3, 20))
    got = value(rotate(a, lmax, *angles), matrix(*angles) @ x)
    assert np.max(np.abs(got - value(a, x))) <= 64 * EPS * (lmax + 4)


@each_angle
def test_degree_1_is_a_vector(angles):
    """v · x has a_10 = √(4π/3) v_z, a_11 = -√(2π/3) (v_x - i v_y), and goes to R v."""

    def of(v):
        a11 = -np.sqrt(2 * PI / 3) * (v[0] - 1j * v[1])
        return np.array([0, np.sqrt(4 * PI / 3) * v[2], a11])

    for v in np.eye(3):
        assert np.max(np.abs(rotate(of(v), 1, *angles) - of(matrix(*angles) @ v))) <= 8 * EPS


@every
def test_right_angles(lmax):
    a, (degrees, orders) = coefficients(6, lmax), sht.degrees_orders(lmax)
    even = (-1.0) ** degrees
    for angles, want in [
        ((PI / 2, 0.0, 0.0), (-1j) ** (orders % 4) * a),  # about z
        ((0.0, 0.0, PI), (-1.0) ** orders * a),
        ((0.0, PI, 0.0), even * a.conj()),  # about y: x and z change sign
        ((0.0, PI, PI), even * (-1.0) ** orders * a.conj()),  # about x
    ]:
        assert difference(rotate(a, lmax, *angles), want) <= tolerance(lmax)
    four = functools.reduce(lambda b, _: rotate(b, lmax, 0.0, PI / 2, 0.0), range(4), a)
    assert difference(four, a) <= 4 * tolerance(lmax)


@each_angle
@every
def test_round_trip_composition_and_power(lmax, angles):
    a, (degrees, _) = coefficients(7, lmax), sht.degrees_orders(lmax)
    psi, theta, phi = angles
    b = rotate(a, lmax, *angles)
    assert difference(rotate(b, lmax, -phi, -theta, -psi), a) <= 2 * tolerance(lmax)
    further = (0.4, 2.2, -1.0)
    once = euler_angles(matrix(*further) @ matrix(*angles))
    want = rotate(a, lmax, *once)
    assert difference(rotate(b, lmax, *further), want) <= 4 * tolerance(lmax)
    twice = np.where(sht.degrees_orders(lmax)[1] > 0, 2.0, 1.0)
    power = [np.bincount(degrees, twice * np.abs(x) ** 2) for x in (a, b)]
    assert np.max(np.abs(power[1] / power[0] - 1)) <= 4 * tolerance(lmax)


def test_imaginary_parts_of_order_0():
    """They are ignored, and come out as 0."""
    a = coefficients(8, 9)
    b = rotate(a, 9, *ANGLES[1])
    assert not np.any(b[:10].imag)
    a[:10] += 1j
    assert np.array_equal(rotate(a, 9, *ANGLES[1]), b)
    assert not np.any(adjoint_rotate(a, 9, *ANGLES[1])[:10].imag)


@pytest.mark.parametrize("batch", BATCHES, ids=str)
def test_batches_and_out(batch):
    a = coefficients(9, 9, batch)
    want = np.array([rotate(x, 9, *ANGLES[1]) for x in a.reshape(-1, a.shape[-1])])
    want = want.reshape(a.shape)
    assert np.array_equal(rotate(a, 9, *ANGLES[1]), want)
    out = np.full_like(a, np.nan)
    assert rotate(a, 9, *ANGLES[1], out=out) is out
    assert np.array_equal(out, want)


def test_single_precision():
    a = coefficients(10, 31).astype(np.complex64)
    for function in (rotate, adjoint_rotate):
        got = function(a, 31, *ANGLES[1])
        assert got.dtype == np.complex64
        want = function(a.astype(complex), 31, *ANGLES[1])
        assert np.max(np.abs(got - want)) <= 2 * np.finfo(np.float32).eps * np.max(np.abs(want))


# Adjoints


@pytest.mark.parametrize("lmax", [0, 1, 2, 31, 127, 1000])
def test_dot(lmax):
    a, b = coefficients(11, lmax), coefficients(12, lmax)
    a[: lmax + 1] *= 1 + 2j
    b[: lmax + 1] *= 1 - 3j
    forth, back = rotate(a, lmax, *ANGLES[1]), adjoint_rotate(b, lmax, *ANGLES[1])
    scale = np.linalg.norm(forth) * np.linalg.norm(b)
    assert abs(np.vdot(forth, b).real - np.vdot(a, back).real) <= 1e-13 * scale


@each_angle
def test_adjoint_is_the_rotation_back_with_orders_counted(angles):
    lmax = 31
    twice = np.where(sht.degrees_orders(lmax)[1] > 0, 2.0, 1.0)
    b, (psi, theta, phi) = coefficients(13, lmax), angles
    want = twice * rotate(b / twice, lmax, -phi, -theta, -psi)
    assert difference(adjoint_rotate(b, lmax, *angles), want) <= tolerance(lmax)


@pytest.mark.parametrize("lmax", [1, 7])
def test_rule_of_the_quarter_turn(lmax):
    a = coefficients(14, lmax)
    check_rule(quarter_turn_into, np.zeros_like(a), a, lmax)


# In a user's own @njit function, differentiated whole


@njit()
def tumble(a, angles, target, lmax, state, turned):
    """Squared distance after rotations that reuse two buffers, with a square in between."""
    state[:] = a
    for step in range(len(angles)):
        rotate_into(turned, state, angles[step], lmax)
        for k in range(len(a)):
            state[k] = turned[k] + 0.1 * turned[k].real ** 2
    total = 0.0
    for k in range(len(a)):
        miss = state[k] - target[k]
        total += miss.real**2 + miss.imag**2
    return total


def by_hand(a, angles, target, lmax) -> Any:
    """From the public maps: a turn about an axis has the slope -i m where that axis is z."""
    minus_im = -1j * sht.degrees_orders(lmax)[1]
    states, turned = [a], []
    for step in angles:
        turned.append(rotate(states[-1], lmax, *step))
        states.append(turned[-1] + 0.1 * turned[-1].real ** 2)
    bar, slopes = 2 * (states[-1] - target), np.zeros_like(angles)
    for k in reversed(range(len(angles))):
        psi, theta, phi = angles[k]
        b, given = turned[k], states[k]
        bar = bar + 0.2 * b.real * bar.real
        aside = rotate(b, lmax, -PI / 2 - phi, -PI / 2, PI / 2)  # the axis of theta is z now
        by_theta = rotate(minus_im * aside, lmax, -PI / 2, PI / 2, PI / 2 + phi)
        by_psi = rotate(minus_im * given, lmax, psi, theta, phi)
        slopes[k] = [np.vdot(bar, x).real for x in (by_psi, by_theta, minus_im * b)]
        bar = adjoint_rotate(bar, lmax, psi, theta, phi)
    return bar, slopes


LMAX = 7


def arguments():
    a, target, state, turned = (coefficients(seed, LMAX) for seed in (15, 16, 17, 18))
    return a, np.array([[0.3, 1.4, -2.5], [2.0, -0.4, 0.6]]), target, LMAX, state, turned


@functools.cache
def gradient():
    return value_and_grad(tumble, argnums=(0, 1))(*arguments())


def directions():
    rng = np.random.default_rng(19)
    return coefficients(20, LMAX), rng.standard_normal((2, 3))


def test_gradient_is_the_one_derived_by_hand():
    value, (a_bar, angles_bar) = gradient()
    want_a, want_angles = by_hand(*arguments()[:4])
    assert difference(a_bar, want_a) <= 8 * tolerance(LMAX)
    assert difference(angles_bar, want_angles) <= 64 * tolerance(LMAX)
    assert abs(value - tumble(*arguments())) <= 64 * EPS * value


def test_forward_mode_is_the_slope_of_reverse_mode():
    value, (a_bar, angles_bar) = gradient()
    da, d_angles = directions()
    other, slope = jvp(tumble, arguments(), [da, d_angles, None, None, None, None])
    want = np.vdot(a_bar, da).real + np.sum(angles_bar * d_angles)
    assert abs(slope - want) <= 1e-12 * np.linalg.norm(a_bar) * np.linalg.norm(da)
    assert abs(value - other) <= 64 * EPS * value


def test_central_differences():
    (a, angles, *rest), (da, d_angles) = arguments(), directions()
    _, (a_bar, angles_bar) = gradient()
    h = 1e-3
    (f1, b1), (f2, b2) = (
        [tumble(a + s * k * h * da, angles + s * k * h * d_angles, *rest) for s in (1, -1)]
        for k in (1, 2)
    )
    estimate = (8 * (f1 - b1) - (f2 - b2)) / (12 * h)
    want = np.vdot(a_bar, da).real + np.sum(angles_bar * d_angles)
    assert abs(estimate - want) <= 1e-7 * np.linalg.norm(a_bar) * np.linalg.norm(da)


def test_second_derivatives():
    """Of coefficients and angles together: the Hessian is symmetric, and the gradient's slope."""
    (a, angles, *rest), (da, d_angles) = arguments(), directions()
    other = coefficients(24, LMAX), np.random.default_rng(25).standard_normal((2, 3))

    def inner(u, v):
        return sum(np.vdot(x, y).real for x, y in zip(u, v, strict=True))

    constant = [None] * len(rest)
    found, products = [], []
    for direction in ((da, d_angles), other):
        gradient_there, product = hvp(tumble, (a, angles, *rest), [*direction, *constant])
        found.append(gradient_there)
        products.append(product)
    assert difference(found[0][0], gradient()[1][0]) <= 8 * tolerance(LMAX)
    sides = inner(other, products[0]), inner((da, d_angles), products[1])
    assert abs(sides[0] - sides[1]) <= 1e-12 * np.sqrt(inner(other, other)) * np.sqrt(
        inner(products[0], products[0])
    )
    h = 1e-4
    ahead, behind = (
        value_and_grad(tumble, argnums=(0, 1))(a + s * h * da, angles + s * h * d_angles, *rest)[1]
        for s in (1, -1)
    )
    for product, up, down in zip(products[0], ahead, behind, strict=True):
        assert difference((up - down) / (2 * h), product) <= 1e-5


# Angles of a matrix


def test_euler_angles():
    rng = np.random.default_rng(21)
    some = [*ANGLES, *(rng.uniform(-PI, PI, (20, 3)))]
    some += itertools.product((0.0, 1.0, -2.0), (0.0, PI, 1e-12, PI - 1e-12), (0.0, 3.0))
    for angles in some:
        want = matrix(*angles)
        psi, theta, phi = euler_angles(want)
        assert np.max(np.abs(matrix(psi, theta, phi) - want)) <= 8 * EPS
        assert 0 <= theta <= PI
        assert max(abs(psi), abs(phi)) <= PI


@pytest.mark.parametrize(
    "bad", [np.diag([1.0, 1, -1]), 2 * np.eye(3), np.eye(2), np.full((3, 3), np.nan)], ids=str
)
def test_euler_angles_of_no_rotation(bad):
    with pytest.raises(ValueError, match=r"`euler_angles\(matrix\)` needs an orthogonal"):
        euler_angles(bad)


# Bad input


@pytest.mark.parametrize("function", [rotate, adjoint_rotate])
def test_calls_check_their_arguments(function):
    a, angles = coefficients(22, 9), (0.1, 0.2, 0.3)
    needs = rf"`{function.__name__}\(\w, lmax, psi, theta, phi\)` needs"
    with pytest.raises(ValueError, match=rf"{needs} shape \(\.\.\., 66\)\. Got \(55,\).*mmax must"):
        function(a, 10, *angles)
    with pytest.raises(ValueError, match=rf"{needs} shape"):
        function(a[0], 9, *angles)
    with pytest.raises(ValueError, match=rf"{needs} lmax <= 1900\. Got lmax = 1901"):
        function(a, 1901, *angles)
    with pytest.raises(TypeError, match=rf"{needs} dtype complex128\. Got float64"):
        function(a.real, 9, *angles)
    with pytest.raises(ValueError, match=rf"{needs} finite angles"):
        function(a, 9, 0.1, np.nan, 0.3)
    with pytest.raises(TypeError, match=rf"{needs} three numbers in radians\. Got .*'north'"):
        function(a, 9, 0.1, "north", 0.3)
    with pytest.raises(ValueError, match="`out` apart from the input"):
        function(a, 9, *angles, out=a)


def test_the_kernel_checks_sizes():
    """Nothing is written then."""
    a, angles = coefficients(23, 9), np.array([0.1, 0.2, 0.3])
    b = np.full_like(a, 7)
    for given, output, turns, lmax in [
        (a, b, angles, 8),
        (a, b, angles, 10),
        (a, b, angles, -1),
        (a[:-1].copy(), b, angles, 9),
        (a, np.full(54, 7 + 0j), angles, 9),
        (a, b, angles[:2].copy(), 9),
    ]:
        with pytest.raises(ValueError, match="coefficients in `a` and `b`, and 3 angles"):
            rotate_into(output, given, turns, lmax)
        assert np.all(output == 7)
    many = np.zeros(sht.ncoef(MAX_LMAX + 1), complex)
    with pytest.raises(ValueError, match="lmax <= 1900"):
        rotate_into(many, many.copy(), angles, MAX_LMAX + 1)
    with pytest.raises((ValueError, AutodiffError), match="3 angles"):
        value_and_grad(tumble)(*arguments()[:3], LMAX + 1, *arguments()[4:])
