"""A field at arbitrary points: values, the transpose, and gradients by position."""

import functools

import ducc0
import numba
import numpy as np
import pytest
import scipy.special

import sht
from enzyme_rules.testing import test_rule as check_rule
from llvm import Const, Duplicated, Reverse, autodiff, hvp, jvp, value_and_grad
from sht import _point_kernels
from sht._order_sums import first_step, make_order_tables, make_polynomials, sectoral_into
from sht._point_kernels import adjoint_evaluate_into, evaluate_into
from sht._points import adjoint_evaluate, evaluate
from sht.reference import random_coefficients

EPS = np.finfo(np.float64).eps
# One point, one lane more than a vector has, more than a block of points; mmax < lmax.
SIZES = [(0, 0, 1), (1, 1, 3), (4, 2, 8), (9, 9, 9), (21, 13, 300), (64, 64, 17)]


def coefficients(lmax, mmax, batch=(), seed=0):
    return random_coefficients(np.random.default_rng(seed), lmax, mmax, batch)


def places(n, seed=1):
    """Points everywhere, the poles among them."""
    rng = np.random.default_rng(seed)
    theta, phi = np.arccos(rng.uniform(-1, 1, n)), rng.uniform(-4, 9, n)
    theta[-3:] = np.array([0.0, np.pi, 1e-200])[:n]
    return theta, phi


def tables(theta, lmax, mmax):
    """λ_lm and its derivative by θ, both (npoints, lmax + 1, mmax + 1): not at the poles."""
    p = sht.reference.legendre_table(lmax, mmax, theta)
    l, m = np.arange(lmax + 1.0)[:, None], np.arange(mmax + 1.0)  # noqa: E741
    factor = np.sqrt(np.maximum((2 * l + 1) * (l**2 - m**2) / np.maximum(2 * l - 1, 1), 0))
    sin, cos = np.sin(theta)[:, None, None], np.cos(theta)[:, None, None]
    below = np.concatenate([np.zeros_like(p[:, :1]), p[:, :-1]], axis=1)
    return p, (l * cos * p - factor * below) / sin


def exactly(a, theta, phi, lmax, mmax):
    """The values, and their derivatives by θ and φ, from tables."""
    p, slope = tables(theta, lmax, mmax)
    m = np.arange(mmax + 1)
    turned = np.exp(1j * m * phi[:, None]) * np.where(m > 0, 2, 1)
    dense = sht.unpack(a, lmax, mmax)
    values = np.einsum("jlm,lm,jm->j", p, dense, turned).real
    by_theta = np.einsum("jlm,lm,jm->j", slope, dense, turned).real
    by_phi = np.einsum("jlm,lm,jm->j", p, dense, 1j * m * turned).real
    return values, by_theta, by_phi


# --- values ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("lmax", "mmax", "n"), SIZES)
def test_values(lmax, mmax, n):
    theta, phi = places(n)
    a = coefficients(lmax, mmax, (2,))
    got = evaluate(a, theta, phi, lmax, mmax)
    p = sht.reference.legendre_table(lmax, mmax, theta)
    m = np.arange(mmax + 1)
    turned = np.exp(1j * m * phi[:, None]) * np.where(m > 0, 2, 1)
    want = np.einsum("jlm,klm,jm->kj", p, sht.unpack(a, lmax, mmax), turned).real
    assert got.shape == (2, n)
    assert np.max(np.abs(got - want)) <= 8 * EPS * (lmax + 4) * np.max(np.abs(want))


def test_against_scipy():
    """One harmonic at a time, of which SciPy has its own definition."""
    theta, phi = places(5)
    for l, m in [(0, 0), (3, 0), (3, 2), (7, 7), (8, 1)]:  # noqa: E741
        a = np.zeros(sht.ncoef(8), complex)
        a[sht.lm_index(l, m, 8)] = 1.0 - (0.5j if m else 0)
        y = scipy.special.sph_harm_y(l, m, theta, phi)
        want = (a[sht.lm_index(l, m, 8)] * y).real * (2 if m else 1)
        np.testing.assert_allclose(evaluate(a, theta, phi, 8), want, rtol=0, atol=1e-14)


def test_on_a_grid():
    """A point on a ring has the grid's value."""
    t = sht.Transform(31, sht.grids.FullGaussian(32, 64))
    a = coefficients(31, 31)
    field = t.synthesis(a)
    phi = 2 * np.pi * np.arange(64) / 64
    got = evaluate(a, t.grid.theta[:, None], phi, 31)
    assert got.shape == (32, 64)
    np.testing.assert_allclose(got, field, rtol=0, atol=2e-13 * np.abs(field).max())


def test_at_the_poles():
    """One value for all longitudes, that of order 0; beyond a pole the field goes on."""
    lmax = 12
    a = coefficients(lmax, lmax)
    l = np.arange(lmax + 1)  # noqa: E741
    zonal = a[: lmax + 1].real * np.sqrt((2 * l + 1) / (4 * np.pi))
    phi = np.linspace(0, 6, 9)
    np.testing.assert_allclose(evaluate(a, 0.0, phi, lmax), zonal.sum(), rtol=1e-14)
    south = (zonal * (-1.0) ** l).sum()
    np.testing.assert_allclose(evaluate(a, np.pi, phi, lmax), south, rtol=1e-12)
    values = np.zeros(9)
    evaluate_into(values, a, np.full(9, -0.3), phi, lmax, lmax)
    np.testing.assert_allclose(values, evaluate(a, 0.3, phi + np.pi, lmax), rtol=0, atol=1e-13)


@pytest.mark.parametrize("lmax", [255, 1023, pytest.param(4095, marks=pytest.mark.slow)])
def test_high_degrees(lmax):
    """sin^m θ is as small as 1e-24000 here. Rounding of cos θ moves a point by eps / sin θ."""
    rng = np.random.default_rng(2)
    theta = np.concatenate([10.0 ** rng.uniform(-6, -1, 5), rng.uniform(0.1, 3, 5)])
    theta[0] = np.pi - theta[0]
    phi = rng.uniform(0, 6, 10)
    a = coefficients(lmax, lmax)
    got = evaluate(a, theta, phi, lmax)
    location = np.stack([theta, phi], axis=-1)
    want = ducc0.sht.synthesis_general(
        alm=a[None], spin=0, lmax=lmax, loc=location, epsilon=2e-14, nthreads=1
    )[0]
    size = np.linalg.norm(a) / np.sqrt(2 * np.pi)  # of the field
    limit = 4 * EPS * lmax / np.maximum(np.sin(theta), 1 / lmax)
    assert np.all(np.abs(got - want) <= limit * size)


def test_single_precision():
    theta, phi = places(20)
    a = coefficients(40, 40).astype(np.complex64)
    got, want = evaluate(a, theta, phi, 40), evaluate(a.astype(complex), theta, phi, 40)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, want.astype(np.float32))
    back, exact = adjoint_evaluate(got, theta, phi, 40), adjoint_evaluate(want, theta, phi, 40)
    assert back.dtype == np.complex64
    assert np.max(np.abs(back - exact)) < 1e-6 * np.max(np.abs(exact))


def test_shapes_and_out():
    a = coefficients(5, 5, (2, 3))
    theta, phi = np.linspace(0, 3, 4)[:, None], np.linspace(0, 6, 5)
    values = evaluate(a, theta, phi, 5)
    assert values.shape == (2, 3, 4, 5)
    assert evaluate(a, 0.5, 0.5, 5).shape == (2, 3)
    out = np.empty((5, 4, 3, 2)).T
    assert evaluate(a, theta, phi, 5, out=out) is out
    np.testing.assert_array_equal(out, values)
    back = adjoint_evaluate(values, theta, phi, 5)
    assert back.shape == a.shape
    wide = [x.ravel() for x in np.broadcast_arrays(theta, phi)]
    one_by_one = adjoint_evaluate(values.reshape(2, 3, 20), wide[0], wide[1], 5)
    np.testing.assert_array_equal(back, one_by_one)


# --- the transpose -----------------------------------------------------------------------------


@pytest.mark.parametrize(("lmax", "mmax", "n"), SIZES)
def test_dot(lmax, mmax, n):
    theta, phi = places(n)
    a, v = coefficients(lmax, mmax), np.random.default_rng(3).standard_normal(n)
    values, back = evaluate(a, theta, phi, lmax, mmax), adjoint_evaluate(v, theta, phi, lmax, mmax)
    scale = np.linalg.norm(values) * np.linalg.norm(v) + np.linalg.norm(a) * np.linalg.norm(back)
    assert abs(values @ v - np.vdot(a, back).real) <= 1e-14 * scale
    assert not back[: lmax + 1].imag.any()


def test_enzyme_derives_the_same_transpose():
    theta, phi = places(30)
    a, v = coefficients(9, 6), np.random.default_rng(3).standard_normal(30)
    values, a_bar = np.zeros(30), np.zeros_like(a)
    autodiff(
        Reverse,
        evaluate_into,
        Duplicated(values, v.copy()),
        Duplicated(a, a_bar),
        *map(Const, (theta, phi, 9, 6)),
    )
    want = adjoint_evaluate(v, theta, phi, 9, 6)
    np.testing.assert_allclose(a_bar, want, rtol=0, atol=1e-13 * np.abs(want).max())
    np.testing.assert_array_equal(values, evaluate(a, theta, phi, 9, 6))


# --- gradients ---------------------------------------------------------------------------------


@numba.njit
def misfit(a, theta, phi, values, weight, lmax, mmax):
    evaluate_into(values, a, theta, phi, lmax, mmax)
    total = 0.0
    for j in range(len(values)):
        total += weight[j] * values[j] ** 2
    return total


@numba.njit
def seen_misfit(values, theta, phi, a, weight, lmax, mmax):
    adjoint_evaluate_into(a, values, theta, phi, lmax, mmax)
    total = 0.0
    for k in range(len(a)):
        total += weight[k] * (a[k].real ** 2 + 0.5 * a[k].imag ** 2)
    return total


@functools.cache
def case(lmax=24, mmax=20, n=300):
    rng = np.random.default_rng(4)
    a = coefficients(lmax, mmax)
    theta, phi = np.arccos(rng.uniform(-0.99, 0.99, n)), rng.uniform(0, 6, n)
    arguments = (a, theta, phi, np.zeros(n), rng.standard_normal(n), lmax, mmax)
    value, gradients = value_and_grad(misfit, argnums=(0, 1, 2))(*arguments)
    return arguments, value, gradients


def test_gradient_by_position():
    """Exactly: d λ_lm / dθ from two polynomials, and i m for the longitude."""
    (a, theta, phi, _, weight, lmax, mmax), value, (a_bar, by_theta, by_phi) = case()
    values, slope, turn = exactly(a, theta, phi, lmax, mmax)
    np.testing.assert_allclose(value, (weight * values**2).sum(), rtol=1e-12)
    for got, want in (
        (by_theta, 2 * weight * values * slope),
        (by_phi, 2 * weight * values * turn),
    ):
        assert np.max(np.abs(got - want)) <= 1e-12 * np.max(np.abs(want))
    want = adjoint_evaluate(2 * weight * values, theta, phi, lmax, mmax)
    assert np.max(np.abs(a_bar - want)) <= 1e-12 * np.max(np.abs(want))


def test_forward_is_reverse():
    arguments, _, gradients = case()
    rng = np.random.default_rng(5)
    tangents = (coefficients(24, 20, seed=6), *rng.standard_normal((2, 300)))
    _, tangent = jvp(misfit, arguments, (*tangents, None, None, None, None))
    parts = [np.vdot(g, t).real for g, t in zip(gradients, tangents, strict=True)]
    assert abs(tangent - sum(parts)) <= 1e-12 * np.abs(parts).sum()


def test_second_derivatives():
    """The Hessian by coefficients and positions is symmetric, and belongs to the gradient."""
    arguments, _, gradients = case()
    rng = np.random.default_rng(10)
    u, v = [(coefficients(24, 20, seed=k), *rng.standard_normal((2, 300))) for k in (11, 12)]
    rest = [None] * 4
    first, of_u = hvp(misfit, arguments, (*u, *rest))
    _, of_v = hvp(misfit, arguments, (*v, *rest))
    for got, want in zip(first, gradients, strict=True):
        assert np.max(np.abs(got - want)) <= 1e-13 * np.max(np.abs(want))
    left = [np.vdot(x, y).real for x, y in zip(v, of_u, strict=True)]
    right = [np.vdot(x, y).real for x, y in zip(u, of_v, strict=True)]
    assert abs(sum(left) - sum(right)) <= 1e-12 * np.abs(left + right).sum()


def test_differences():
    (a, theta, phi, _, weight, lmax, mmax), _, (_, by_theta, by_phi) = case()
    d_theta, d_phi = np.random.default_rng(7).standard_normal((2, 300)) / 100

    def at(k):
        h = k * 1e-2
        values = evaluate(a, theta + h * d_theta, phi + h * d_phi, lmax, mmax)
        return (weight * values**2).sum()

    estimate = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * 1e-2)
    assert abs(estimate - by_theta @ d_theta - by_phi @ d_phi) <= 1e-8 * abs(estimate)


def test_gradient_at_the_poles():
    """Along a meridian through a pole the field is smooth; order 1 alone has a slope there."""
    lmax = 24
    a = coefficients(lmax, 20)
    theta, phi = np.array([0.0, np.pi, 1e-200, 1e-9]), np.array([0.3, 0.3, 0.3, 0.3])
    weight = np.ones(4)
    _, (slope, turn) = value_and_grad(misfit, argnums=(1, 2))(
        a, theta, phi, np.zeros(4), weight, lmax, 20
    )
    values = evaluate(a, theta, phi, lmax, 20)
    h = 1e-3
    # At -h a meridian goes on as the one on the other side.
    near = [evaluate(a, [k * h, np.pi - k * h], phi[:2], lmax, 20) for k in (1, 2)]
    far = [evaluate(a, [k * h, np.pi - k * h], phi[:2] + np.pi, lmax, 20) for k in (1, 2)]
    slopes = (8 * (near[0] - far[0]) - (near[1] - far[1])) / (12 * h) * [1, -1]
    want = 2 * values[:2] * slopes
    np.testing.assert_allclose(slope[:2], want, rtol=1e-6)
    np.testing.assert_allclose(slope[2:], slope[0], rtol=1e-5)
    assert not turn[0]
    assert np.isfinite(turn).all()


def test_gradient_of_the_transpose():
    """The other way round: by values and positions, forward and reverse."""
    rng = np.random.default_rng(8)
    theta, phi, values = rng.uniform(0.1, 3, 20), rng.uniform(0, 6, 20), rng.standard_normal(20)
    lmax, mmax = 9, 7
    count = sht.ncoef(lmax, mmax)
    weight = rng.standard_normal(count)
    arguments = (values, theta, phi, np.zeros(count, complex), weight, lmax, mmax)
    _, gradients = value_and_grad(seen_misfit, argnums=(0, 1, 2))(*arguments)
    a = adjoint_evaluate(values, theta, phi, lmax, mmax)
    a_bar = 2 * weight * (a.real + 0.5j * a.imag)
    seen, slope, turn = exactly(a_bar, theta, phi, lmax, mmax)
    for got, want in zip(gradients, (seen, values * slope, values * turn), strict=True):
        assert np.max(np.abs(got - want)) <= 1e-12 * np.max(np.abs(want))
    tangents = rng.standard_normal((3, 20))
    _, tangent = jvp(seen_misfit, arguments, (*tangents, None, None, None, None))
    parts = [g @ t for g, t in zip(gradients, tangents, strict=True)]
    assert abs(tangent - sum(parts)) <= 1e-12 * np.abs(parts).sum()


def test_shadows_accumulate():
    (a, theta, phi, values, weight, *sizes), _, gradients = case()
    shadows = [np.full_like(a, 1 + 2j), np.full(300, 3.0), np.full(300, -4.0)]
    before = [s.copy() for s in shadows]
    primals = [Duplicated(x, s) for x, s in zip((a, theta, phi), shadows, strict=True)]
    rest = (Duplicated(values, np.zeros(300)), *map(Const, (weight, *sizes)))
    autodiff(Reverse, misfit, *primals, *rest)
    for shadow, old, gradient in zip(shadows, before, gradients, strict=True):
        limit = 1e-14 * np.max(np.abs(gradient))
        np.testing.assert_allclose(shadow - old, gradient, rtol=0, atol=limit)


@pytest.mark.slow
def test_rules():
    lmax, m, n = 9, 2, 8
    rng = np.random.default_rng(9)
    t = make_order_tables(lmax, lmax)
    x = rng.uniform(-0.9, 0.9, n)
    sectoral, exponent = np.zeros((lmax + 1) * n), np.zeros((lmax + 1) * n)
    sectoral_into(sectoral, exponent, np.sqrt(1 - x**2), t.ratio)
    row = slice(m * n, (m + 1) * n)
    part = slice(first_step(lmax, m), first_step(lmax, m + 1))
    c, values = rng.standard_normal(2 * (part.stop - part.start)), rng.standard_normal(n)
    phi = rng.uniform(0, 6, n)
    rest = (x, sectoral[row], exponent[row], np.cos(m * phi), np.sin(m * phi), t.recurrence[part])
    work = (np.zeros(n), np.zeros(n), make_polynomials(n))
    # An exponent is an integer in a float64, for Enzyme's sake: it does not vary.
    check_rule(_point_kernels._add_values_of_order, values, c, *rest, *work, constants=(4,))
    check_rule(_point_kernels._add_spectrum_of_order, c, values, *rest, *work, constants=(4,))


# --- wrong -------------------------------------------------------------------------------------


def test_errors():
    a = coefficients(5, 5)
    bad = [
        (lambda: evaluate(a, 90.0, 0.0, 5), ValueError, r"in \[0, π\].*np.deg2rad\(90 - latitude"),
        (lambda: evaluate(a, -0.1, 0.0, 5), ValueError, r"Got values from -0.1 to -0.1"),
        (lambda: evaluate(a, 0.5, np.nan, 5), ValueError, "finite angles. Got NaN.*`phi`"),
        (lambda: evaluate(a, [0.1, 0.2], [1, 2, 3], 5), ValueError, "that broadcast. Got shapes"),
        (lambda: evaluate(a, [], 0.0, 5), ValueError, "needs at least one point"),
        (lambda: evaluate(a, 0.5j, 0.0, 5), TypeError, "real angles. Got `theta` of complex128"),
        (lambda: evaluate(a, 0.5, 0.0, 6), ValueError, r"needs shape \(..., 28\). Got \(21,\)"),
        (lambda: evaluate(a.real, 0.5, 0.0, 5), TypeError, "needs dtype complex128"),
        (lambda: evaluate(a, 0.5, 0.0, 5, out=np.zeros(2)), ValueError, "`out` of shape"),
        (lambda: adjoint_evaluate([1.0], [1, 2], 0.0, 5), ValueError, "a value for each point"),
    ]
    for call, kind, match in bad:
        with pytest.raises(kind, match=match):
            call()
    values, theta = np.zeros(3), np.zeros(3)
    for arguments in [
        (values, a, theta, theta, 6, 6),
        (values, a, theta[:2], theta, 5, 5),
        (values[:2], a, theta, theta, 5, 5),
        (values, a, theta, theta[:2], 5, 5),
    ]:
        with pytest.raises(ValueError, match=r"need `sht.ncoef\(lmax, mmax\)` coefficients"):
            evaluate_into(*arguments)
