"""The transform on rings that move: equal to the others, and its gradients by their places."""

import copy
import functools
import pickle
from typing import Any

import numba
import numpy as np
import pytest

import sht
from llvm import Const, Duplicated, Reverse, autodiff, hvp, jvp, value_and_grad
from sht._geometry import GeometryTransform
from sht._geometry_kernels import rings_analysis_into, rings_synthesis_into
from sht._points import evaluate
from sht.grids import FullGaussian, HEALPix, OctahedralGaussian, Rings
from sht.reference import random_coefficients

EPS = np.finfo(np.float64).eps
# Rings of 1, 4 and odd numbers of points, offsets of either sign, unequal weights.
UNEVEN = Rings(
    [0.1, 0.5, 1.0, 2.2, 3.0],
    [1, 4, 9, 8, 5],
    [0.1, 0.2, 0.3, -0.4, 1.0],
    [0.2, 0.3, 0.5, 0.6, 0.4],
)
CASES = [
    (0, 0, FullGaussian(1, 1)),
    (5, 2, FullGaussian(7, 12)),
    (6, 6, UNEVEN),
    (10, 10, HEALPix(4)),
    (63, 40, OctahedralGaussian(64)),
]
NAMES = [f"T{lmax}-m{mmax}-{type(grid).__name__}" for lmax, mmax, grid in CASES]


@functools.cache
def transform(k):
    lmax, mmax, grid = CASES[k]
    return GeometryTransform(lmax, grid, mmax)


def inputs(t, batch=(), seed=0):
    rng = np.random.default_rng(seed)
    a = random_coefficients(rng, t.lmax, t.mmax, batch)
    return a, rng.standard_normal((*batch, *t.grid.shape))


@pytest.mark.parametrize("k", range(len(CASES)), ids=NAMES)
def test_equals_the_reference(k):
    t = transform(k)
    a, field = inputs(t, (2,))
    for name, given in [
        ("synthesis", a),
        ("analysis", field),
        ("adjoint_synthesis", field),
        ("adjoint_analysis", a),
    ]:
        got = getattr(t, name)(given)
        want = getattr(sht.reference, name)(given, t.grid, t.lmax, t.mmax)
        assert got.shape == want.shape
        assert got.dtype == want.dtype
        limit = 8 * EPS * (t.lmax + 4) * np.max(np.abs(want))
        assert np.max(np.abs(got - want)) <= limit, name


@pytest.mark.parametrize("k", range(len(CASES)), ids=NAMES)
def test_dot(k):
    t = transform(k)
    a, field = inputs(t)
    for there, back in (("synthesis", "adjoint_synthesis"), ("adjoint_analysis", "analysis")):
        f, b = getattr(t, there)(a), getattr(t, back)(field)
        scale = np.linalg.norm(f) * np.linalg.norm(field) + np.linalg.norm(a) * np.linalg.norm(b)
        assert abs((f * field).sum() - np.vdot(a, b).real) <= 1e-14 * scale


def test_equals_the_transform():
    grid = FullGaussian(48, 96)
    t, fixed = GeometryTransform(31, grid), sht.Transform(31, grid)
    a, field = inputs(t)
    for name, given in (("synthesis", a), ("analysis", field)):
        want = getattr(fixed, name)(given)
        assert np.max(np.abs(getattr(t, name)(given) - want)) <= 2e-13 * np.max(np.abs(want))


def test_rings_that_move():
    """Values are those of the field at the points where the rings have gone."""
    t = GeometryTransform(2, UNEVEN)  # all orders are below Nyquist on rings of 5 points and more
    a, _ = inputs(t)
    theta, phi0 = t.grid.theta + 0.05, t.grid.phi0 - 0.3
    field = t.synthesis(a, theta, phi0)
    for j in (2, 3, 4):
        n = t.grid.nlon[j]
        ring = slice(t.grid.offsets[j], t.grid.offsets[j + 1])
        want = evaluate(a, theta[j], phi0[j] + 2 * np.pi * np.arange(n) / n, 2)
        np.testing.assert_allclose(field[ring], want, rtol=0, atol=1e-14)


def test_turning_is_a_phase():
    """All first longitudes moved by α: order m of the coefficients turned by exp(± i m α)."""
    t, alpha = transform(4), 0.7
    a, field = inputs(t)
    _, m = sht.degrees_orders(t.lmax, t.mmax)
    turned = t.synthesis(a, phi0=t.grid.phi0 + alpha)
    np.testing.assert_allclose(turned, t.synthesis(a * np.exp(1j * m * alpha)), atol=1e-12)
    got = t.analysis(field, phi0=t.grid.phi0 + alpha)
    np.testing.assert_allclose(got, t.analysis(field) * np.exp(-1j * m * alpha), atol=1e-14)


def test_weights_and_out():
    t = transform(2)
    a, field = inputs(t, (3,))
    out = np.empty((3, t.ncoef), complex)
    assert t.analysis(field, weights=2 * t.grid.weights, out=out) is out
    np.testing.assert_allclose(out, 2 * t.analysis(field), rtol=1e-15)
    wide = np.empty((t.grid.npoints, 3)).T
    np.testing.assert_array_equal(t.synthesis(a, out=wide), t.synthesis(a))


def test_is_a_value():
    t = transform(2)
    a, _ = inputs(t)
    for other in (pickle.loads(pickle.dumps(t)), copy.deepcopy(t)):  # noqa: S301
        np.testing.assert_array_equal(other.synthesis(a), t.synthesis(a))
    assert t != transform(1)
    assert t in {t}
    assert repr(t).startswith("GeometryTransform(lmax=6, mmax=6): 28 coefficients (..., 28)")


# --- gradients ---------------------------------------------------------------------------------


@numba.njit
def of_field(theta, phi0, a, rings, field, weight):
    rings_synthesis_into(field, a, theta, phi0, rings)
    total = 0.0
    for j in range(len(field)):
        total += weight[j] * field[j] ** 2
    return total


@numba.njit
def of_spectrum(theta, phi0, weights, field, rings, a, weight):
    rings_analysis_into(a, field, theta, phi0, weights, rings)
    total = 0.0
    for k in range(len(a)):
        total += weight[k] * (a[k].real ** 2 + 0.5 * a[k].imag ** 2)
    return total


def slopes(t):
    """d λ_lm / dθ as a table, exactly, from λ_lm and λ_{l-1,m}."""
    p = sht.reference.legendre_table(t.lmax, t.mmax, t.grid.theta)
    l, m = np.arange(t.lmax + 1.0)[:, None], np.arange(t.mmax + 1.0)  # noqa: E741
    factor = np.sqrt(np.maximum((2 * l + 1) * (l**2 - m**2) / np.maximum(2 * l - 1, 1), 0))
    below = np.concatenate([np.zeros_like(p[:, :1]), p[:, :-1]], axis=1)
    cos, sin = np.cos(t.grid.theta)[:, None, None], np.sin(t.grid.theta)[:, None, None]
    return (l * cos * p - factor * below) / sin


def ring_parts(t, table, a, by_phi0=False):
    """The reference's synthesis, ring by ring, with another table, or its derivative by φ0."""
    dense, field = sht.unpack(a, t.lmax, t.mmax), np.zeros(t.grid.npoints)
    for j, n in enumerate(t.grid.nlon):
        m = np.arange(min(t.mmax, (n - 1) // 2) + 1)
        sums = (table[j, :, : len(m)] * dense[:, : len(m)]).sum(0) * np.exp(1j * m * t.grid.phi0[j])
        ring = slice(t.grid.offsets[j], t.grid.offsets[j + 1])
        factor = 1j * m if by_phi0 else 1.0
        field[ring] = np.fft.irfft(sums * factor, n, norm="forward")
    return field


def per_ring(t, values):
    return np.add.reduceat(values, t.grid.offsets[:-1])


def close(got, want):
    assert np.max(np.abs(got - want)) <= 1e-12 * np.max(np.abs(want))


@functools.cache
def field_case():
    t = transform(2)
    a, weight = inputs(t, seed=1)
    arguments = (t.grid.theta, t.grid.phi0, a, t, np.zeros(t.grid.npoints), weight)
    return arguments, value_and_grad(of_field, argnums=(0, 1, 2))(*arguments)


@functools.cache
def spectrum_case():
    t = transform(2)
    _, field = inputs(t, seed=2)
    weight = np.random.default_rng(3).standard_normal(t.ncoef)
    places = (t.grid.theta, t.grid.phi0, t.grid.weights)
    arguments = (*places, field, t, np.zeros(t.ncoef, complex), weight)
    return arguments, value_and_grad(of_spectrum, argnums=(0, 1, 2, 3))(*arguments)


def test_gradient_of_synthesis():
    """Exactly, from the derivative of λ_lm and from i m."""
    (_, _, a, t, _, weight), (value, (by_theta, by_phi0, a_bar)) = field_case()
    field = sht.reference.synthesis(a, t.grid, t.lmax)
    f_bar = 2 * weight * field
    np.testing.assert_allclose(value, (weight * field**2).sum(), rtol=1e-13)
    p = sht.reference.legendre_table(t.lmax, t.mmax, t.grid.theta)
    close(by_theta, per_ring(t, f_bar * ring_parts(t, slopes(t), a)))
    close(by_phi0, per_ring(t, f_bar * ring_parts(t, p, a, by_phi0=True)))
    close(a_bar, sht.reference.adjoint_synthesis(f_bar, t.grid, t.lmax))


def test_gradient_of_analysis():
    """⟨ā, A f⟩ is Σ_j w_j 2π/n_j Σ_i f_ji g_ji, with g the half of a synthesis of ā."""
    arguments, (value, (by_theta, by_phi0, by_weights, f_bar)) = spectrum_case()
    field, t, weight = arguments[3], arguments[4], arguments[6]
    a = sht.reference.analysis(field, t.grid, t.lmax)
    np.testing.assert_allclose(value, (weight * (a.real**2 + a.imag**2 / 2)).sum(), rtol=1e-13)
    a_bar = 2 * weight * (a.real + 0.5j * a.imag)
    _, m = sht.degrees_orders(t.lmax, t.mmax)
    half = a_bar * np.where(m > 0, 0.5, 1)
    p = sht.reference.legendre_table(t.lmax, t.mmax, t.grid.theta)
    areas = np.repeat(t.grid.areas, t.grid.nlon)
    close(f_bar, areas * ring_parts(t, p, half))
    close(by_theta, per_ring(t, areas * field * ring_parts(t, slopes(t), half)))
    close(by_phi0, per_ring(t, areas * field * ring_parts(t, p, half, by_phi0=True)))
    shares = per_ring(
        t, 2 * np.pi / np.repeat(t.grid.nlon, t.grid.nlon) * field * ring_parts(t, p, half)
    )
    close(by_weights, shares)


def test_forward_is_reverse():
    rng = np.random.default_rng(4)
    for function, (arguments, (_, gradients)) in (
        (of_field, field_case()),
        (of_spectrum, spectrum_case()),
    ):
        tangents = [
            rng.standard_normal(g.shape)
            + (1j * rng.standard_normal(g.shape) if g.dtype == complex else 0)
            for g in gradients
        ]
        rest = [None] * (len(arguments) - len(tangents))
        _, tangent = jvp(function, arguments, (*tangents, *rest))
        parts = [np.vdot(g, d).real for g, d in zip(gradients, tangents, strict=True)]
        assert abs(tangent - sum(parts)) <= 1e-12 * np.abs(parts).sum()


def test_second_derivatives():
    """The Hessian is symmetric, and belongs to the gradient."""
    rng = np.random.default_rng(6)
    arguments, (_, gradients) = field_case()
    u, v = [
        (*rng.standard_normal((2, 5)), random_coefficients(rng, arguments[3].lmax))
        for _ in range(2)
    ]
    first, of_u = hvp(of_field, arguments, (*u, *[None] * 3))
    _, of_v = hvp(of_field, arguments, (*v, *[None] * 3))
    for got, want in zip(first, gradients, strict=True):
        close(got, want)
    left = [np.vdot(x, y).real for x, y in zip(v, of_u, strict=True)]
    right = [np.vdot(x, y).real for x, y in zip(u, of_v, strict=True)]
    assert abs(sum(left) - sum(right)) <= 1e-12 * np.abs(left + right).sum()


def estimate(loss, arguments, gradients):
    """Central differences of fourth order in one direction, and the same by the gradients."""
    directions = np.random.default_rng(5).standard_normal((len(arguments), 5))

    def at(k):
        return loss(*[x + k * 1e-3 * d for x, d in zip(arguments, directions, strict=True)])

    parts = [g @ d for g, d in zip(gradients, directions, strict=False)]
    return (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * 1e-3), sum(parts)


def test_differences():
    (theta, phi0, a, t, _, weight), (_, gradients) = field_case()
    want, got = estimate(
        lambda theta, phi0: (weight * t.synthesis(a, theta, phi0) ** 2).sum(),
        (theta, phi0),
        gradients,
    )
    assert abs(got - want) <= 1e-8 * abs(want)
    (*places, field, t, _, weight), (_, gradients) = spectrum_case()

    def loss(*places):
        a = t.analysis(field, *places)
        return (weight * (a.real**2 + a.imag**2 / 2)).sum()

    want, got = estimate(loss, tuple(places), gradients)
    assert abs(got - want) <= 1e-8 * abs(want)


def test_shadows_accumulate():
    (theta, phi0, a, t, field, weight), (_, gradients) = field_case()
    shadows = [np.full(5, 3.0), np.full(5, -4.0), np.full_like(a, 1 + 2j)]
    before = [s.copy() for s in shadows]
    primals = [Duplicated(x, s) for x, s in zip((theta, phi0, a), shadows, strict=True)]
    rest = (Const(t), Duplicated(field, np.zeros_like(field)), Const(weight))
    autodiff(Reverse, of_field, *primals, *rest)
    for shadow, old, gradient in zip(shadows, before, gradients, strict=True):
        np.testing.assert_allclose(
            shadow - old, gradient, rtol=0, atol=1e-13 * np.abs(gradient).max()
        )


# --- wrong -------------------------------------------------------------------------------------


def test_errors():
    t = transform(2)
    a, field = inputs(t)
    bare = GeometryTransform(2, Rings([0.5, 1.5], [4, 4]))
    no_grid: Any = "no grid"
    bad = [
        (lambda: GeometryTransform(2, no_grid), TypeError, "needs a grid of `sht.grids`"),
        (lambda: GeometryTransform(2, t.grid, 3), ValueError, "needs mmax <= lmax"),
        (
            lambda: t.synthesis(a, theta=[1.0]),
            ValueError,
            r"`theta` for each of the 5 rings. Got \(1,",
        ),
        (lambda: t.analysis(field, phi0=[np.nan] * 5), ValueError, "finite `phi0`.*Got NaN"),
        (lambda: t.synthesis(a[:-1]), ValueError, r"needs shape \(..., 28\)"),
        (lambda: t.analysis(field[:-1]), ValueError, r"needs shape \(..., 27\) for this grid"),
        (lambda: t.synthesis(a, out=a.real), ValueError, "`out` of shape"),
        (lambda: bare.analysis(np.zeros(8)), ValueError, "needs quadrature weights"),
    ]
    for call, kind, match in bad:
        with pytest.raises(kind, match=match):
            call()
    bare.analysis(np.zeros(8), weights=[1, 1])
    with pytest.raises(ValueError, match="need a flat field of all points"):
        rings_synthesis_into(field[:-1], a, t.grid.theta, t.grid.phi0, t)


def test_equal_to_itself_only():
    """Tuples of arrays would compare their arrays."""
    grid = FullGaussian(4, 8)
    for make in (
        lambda: sht.GeometryTransform(2, grid),
        lambda: sht.Interpolator(grid, [0.5], [0.0]),
    ):
        one, other = make(), make()
        assert one == one
        assert one != other
        assert not one == other
