"""Filters degree by degree: known values, healpy's beams, and gradients by all they depend on."""

import numpy as np
import pytest
from numba import njit
from scipy.special import eval_legendre, sph_harm_y

import sht
from llvm import jvp, value_and_grad
from sht import filters, reference
from tests.sht_cases import EPS

TRUNCATIONS = [(0, 0), (1, 0), (9, 4), (31, 31)]


def coefficients(lmax, mmax, batch=()):
    return reference.random_coefficients(np.random.default_rng(10), lmax, mmax, batch)


@pytest.mark.parametrize("batch", [(), (3,), (2, 1)])
@pytest.mark.parametrize(("lmax", "mmax"), TRUNCATIONS)
def test_filter_is_a_multiplication_and_symmetric(lmax, mmax, batch):
    a = coefficients(lmax, mmax, batch)
    response = np.random.default_rng(11).standard_normal(lmax + 1)
    got = filters.filter_degrees(a, response, lmax, mmax)
    assert np.array_equal(got, response[sht.degrees_orders(lmax, mmax)[0]] * a)
    b = a[..., ::-1] * 1j
    left = np.vdot(b, got).real
    right = np.vdot(filters.filter_degrees(b, response, lmax, mmax), a).real
    assert abs(left - right) <= 4 * EPS * np.linalg.norm(a) * np.linalg.norm(got)
    out = np.empty_like(a)
    assert filters.filter_degrees(a, response, lmax, mmax, out=out) is out
    assert np.array_equal(out, got)


def test_single_precision():
    a = coefficients(9, 9).astype(np.complex64)
    response = filters.gaussian_beam(9, 0.3)
    got = filters.filter_degrees(a, response, 9)
    assert got.dtype == np.complex64
    want = filters.filter_degrees(a.astype(complex), response, 9)
    assert np.max(np.abs(got - want)) <= 2.0**-24 * np.max(np.abs(want))


# Responses


@pytest.mark.parametrize("fwhm", [0.0, 1e-3, 0.1, 2.0])
@pytest.mark.parametrize("lmax", [0, 1, 30, 1000])
def test_gaussian_beam_is_healpys(lmax, fwhm):
    healpy = pytest.importorskip("healpy")
    theirs = healpy.gauss_beam(fwhm, lmax, pol=True)
    # Rounding in the exponent is an error of the response. It may underflow.
    relative = (4 + lmax**2 * fwhm**2) * EPS
    for column, spin in [(0, 0), (1, 2), (2, 2)]:
        got, want = filters.gaussian_beam(lmax, fwhm, spin), theirs[:, column]
        assert np.all(np.abs(got - want) <= relative * want + 1e-300)


@pytest.mark.parametrize("spin", [0, 2])
def test_gaussian_beam_is_healpys_smoothing(spin):
    healpy = pytest.importorskip("healpy")
    lmax, fwhm = 20, 0.2
    a = coefficients(lmax, lmax, (3,))
    theirs = healpy.smoothalm(a, fwhm=fwhm, pol=True, inplace=False)
    theirs = theirs[0] if spin == 0 else theirs[1:]
    got = filters.filter_degrees(
        a[0] if spin == 0 else a[1:], filters.gaussian_beam(lmax, fwhm, spin), lmax
    )
    assert np.max(np.abs(got - theirs)) <= 8 * EPS * np.max(np.abs(theirs))


@pytest.mark.parametrize("radius", [1e-6, 1e-3, 0.1, 1.0, np.pi / 2, 3.0, np.pi])
def test_top_hat_beam_is_the_mean_of_legendre_polynomials(radius):
    """By Gauss-Legendre quadrature in 1 - cos: exact, and without loss for small discs."""
    lmax = 200
    nodes, weights = np.polynomial.legendre.leggauss(lmax)
    theta = 2 * np.arcsin(np.sin(radius / 2) * np.sqrt((nodes + 1) / 2))
    l = np.arange(lmax + 1)  # noqa: E741
    p = sph_harm_y(l[:, None], 0, theta, 0.0).real * np.sqrt(4 * np.pi / (2 * l[:, None] + 1))
    want = p @ weights / 2
    assert np.max(np.abs(filters.top_hat_beam(lmax, radius) - want)) <= 1e-13


def test_top_hat_beam_of_degrees_that_are_known():
    c = np.cos(0.8)
    l = np.arange(1, 40)  # noqa: E741
    closed = (eval_legendre(l - 1, c) - eval_legendre(l + 1, c)) / ((2 * l + 1) * (1 - c))
    got = filters.top_hat_beam(39, 0.8)
    assert got[0] == 1
    assert abs(got[1] - (1 + c) / 2) <= EPS
    assert np.max(np.abs(got[1:] - closed)) <= 1e-14
    # A whole sphere has one mean; a point is itself.
    assert np.max(np.abs(filters.top_hat_beam(20, np.pi)[1:])) <= EPS
    small = filters.top_hat_beam(20, 1e-5)
    n = np.arange(21)
    assert np.max(np.abs((1 - small) - n * (n + 1) * 1e-10 / 8)) <= 1e-15


def test_top_hat_beam_smooths_a_field_to_means_of_discs():
    """At the pole, by quadrature over the disc itself."""
    lmax, radius = 12, 0.6
    a = coefficients(lmax, lmax)
    smooth = filters.filter_degrees(a, filters.top_hat_beam(lmax, radius), lmax)
    l = np.arange(lmax + 1)  # noqa: E741
    at_pole = np.sum(np.real(smooth[: lmax + 1]) * np.sqrt((2 * l + 1) / (4 * np.pi)))
    nodes, weights = np.polynomial.legendre.leggauss(20)
    x = np.cos(radius) + (1 - np.cos(radius)) * (nodes + 1) / 2
    # Around the pole only order 0 has a mean.
    rings = sph_harm_y(l, 0, np.arccos(x)[:, None], 0.0).real @ a[: lmax + 1].real
    assert abs(at_pole - weights @ rings / 2) <= 1e-14 * np.max(np.abs(a))


def test_exponential_response():
    l = np.arange(41)  # noqa: E741
    got = filters.exponential_response(40, order=6, strength=3.0)
    assert np.max(np.abs(got - np.exp(-3 * (l / 40) ** 6))) <= EPS
    assert filters.exponential_response(40, order=8)[-1] == pytest.approx(EPS, rel=0.05)
    got = filters.exponential_response(40, order=2, strength=1.0, cutoff=0.5)
    assert np.all(got[:21] == 1)
    assert np.max(np.abs(got[20:] - np.exp(-(((l[20:] - 20) / 20) ** 2)))) <= 4 * EPS
    assert filters.exponential_response(0, order=2).tolist() == [1.0]


def test_hyperdiffusion_response_solves_its_equation():
    """Many small explicit steps of ∂a/∂t = -K (-∇²)^n a; e-folding at the highest degree."""
    lmax, power, strength, steps = 21, 4, 0.8, 20_000
    l = np.arange(lmax + 1.0)  # noqa: E741
    rate = (l * (l + 1)) ** power / (lmax * (lmax + 1)) ** power
    want = (1 - strength / steps * rate) ** steps
    got = filters.hyperdiffusion_response(lmax, power, strength)
    assert np.max(np.abs(got - want)) <= strength**2 / steps
    assert filters.hyperdiffusion_response(lmax, power, 1.0)[-1] == pytest.approx(1 / np.e)
    assert filters.hyperdiffusion_response(0, power, 1.0).tolist() == [1.0]
    twice = filters.hyperdiffusion_response(lmax, power, 2 * strength)
    assert np.max(np.abs(twice - got**2)) <= 4 * EPS


# Inside a user's function


@njit()
def loss(a, response, target, b, lmax, mmax):
    """Of what a filter, applied twice, leaves."""
    filters.filter_degrees_into(b, a, response, lmax, mmax)
    for k in range(b.size):
        b[k] = b[k] * b[k]
    total = 0.0
    for k in range(b.size):
        total += target[k].real * b[k].real + target[k].imag * b[k].imag
    return total


def test_gradients_by_coefficients_and_response():
    lmax, mmax = 9, 6
    rng = np.random.default_rng(12)
    a, target = coefficients(lmax, mmax, (2,))
    response = rng.standard_normal(lmax + 1)
    l = sht.degrees_orders(lmax, mmax)[0]  # noqa: E741
    rest = target, np.zeros_like(a), lmax, mmax
    value, gradients = value_and_grad(loss, argnums=(0, 1))(a, response, *rest)
    b_bar = 2 * np.conj(response[l] * a) * target
    by_response = np.bincount(l, (np.conj(a) * b_bar).real)
    for got, want in zip(gradients, (response[l] * b_bar, by_response), strict=True):
        assert np.max(np.abs(got - want)) <= 8 * EPS * np.max(np.abs(want))
    tangents = coefficients(lmax, mmax) * 1j, rng.standard_normal(lmax + 1)
    slope = sum(np.vdot(g, t).real for g, t in zip(gradients, tangents, strict=True))
    primal, tangent = jvp(loss, (a, response, *rest), (*tangents, *[None] * len(rest)))
    scale = np.linalg.norm(gradients[0]) * np.linalg.norm(tangents[0])
    assert abs(primal - value) <= 8 * EPS * scale
    assert abs(tangent - slope) <= 1e-13 * scale


@njit()
def loss_of_parameters(fwhm, radius, order, strength, cutoff, power, diffusion, weight, r):
    """Each response, weighted: parameters are differentiated like anything else."""
    filters.gaussian_beam_into(r[0], fwhm, 2)
    filters.top_hat_beam_into(r[1], radius)
    filters.exponential_response_into(r[2], order, strength, cutoff)
    filters.hyperdiffusion_response_into(r[3], power, diffusion)
    total = 0.0
    for i in range(4):
        for l in range(r.shape[1]):  # noqa: E741
            total += weight[i, l] * r[i, l]
    return total


def derivatives(fwhm, radius, order, strength, cutoff, power, diffusion, lmax):
    """Of the responses by each parameter: which of the four, and the derivative."""
    l = np.arange(lmax + 1.0)  # noqa: E741
    beam = filters.gaussian_beam(lmax, fwhm, 2)
    yield 0, beam * -(l * (l + 1) - 4) * fwhm / (8 * np.log(2))
    # The mean over a disc changes by what its rim differs: d/dc of its integral.
    c, hat = np.cos(radius), filters.top_hat_beam(lmax, radius)
    yield 1, (eval_legendre(l, c) - hat) / (1 - c) * np.sin(radius)
    eta = np.maximum(l / lmax - cutoff, 0) / (1 - cutoff)
    log_eta = np.log(np.where(eta > 0, eta, 1))
    response = filters.exponential_response(lmax, order, strength, cutoff)
    yield 2, -strength * response * eta**order * log_eta
    yield 2, -response * eta**order
    inner = np.where(eta > 0, (l / lmax - 1) / (1 - cutoff) ** 2, 0)
    yield 2, -strength * response * order * eta ** (order - 1) * inner
    ratio = l * (l + 1) / (lmax * (lmax + 1))
    diffused = filters.hyperdiffusion_response(lmax, power, diffusion)
    yield 3, -diffusion * diffused * ratio**power * np.log(np.where(ratio > 0, ratio, 1))
    yield 3, -diffused * ratio**power


def test_gradients_by_parameters():
    lmax = 16
    parameters = (0.3, 0.7, 4.0, 2.5, 0.2, 3.0, 0.8)
    weight = np.random.default_rng(13).standard_normal((4, lmax + 1))
    rest = weight, np.zeros((4, lmax + 1))
    _, gradients = value_and_grad(loss_of_parameters, argnums=range(7))(*parameters, *rest)
    want = [weight[i] @ d for i, d in derivatives(*parameters, lmax)]
    assert np.max(np.abs(np.subtract(gradients, want))) <= 1e-13 * np.max(np.abs(want))
    tangents = np.random.default_rng(14).standard_normal(7)
    _, tangent = jvp(loss_of_parameters, (*parameters, *rest), (*tangents.tolist(), None, None))
    assert abs(tangent - tangents @ want) <= 1e-13 * np.linalg.norm(want)


# Bad input


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (
            lambda: filters.filter_degrees(np.zeros(6, complex), np.ones(2), 2),
            ValueError,
            r"one real response for each of 3 degrees. Got float64 of shape \(2,\)",
        ),
        (
            lambda: filters.filter_degrees(np.zeros(6, complex), np.ones(3, complex), 2),
            ValueError,
            r"one real response",
        ),
        (lambda: filters.filter_degrees(np.zeros(6), np.ones(3), 2), TypeError, r"complex128"),
        (
            lambda: filters.filter_degrees_into(
                np.zeros(6, complex), np.zeros(6, complex), np.ones(2), 2, 2
            ),
            ValueError,
            r"one value for each degree",
        ),
        (
            lambda: filters.filter_degrees_into(
                np.zeros(5, complex), np.zeros(6, complex), np.ones(3), 2, 2
            ),
            ValueError,
            r"ncoef\(lmax, mmax\) of them",
        ),
        (lambda: filters.exponential_response(3, 0), ValueError, r"needs order > 0. Got 0"),
        (lambda: filters.exponential_response(3, 2, -1.0), ValueError, r"strength >= 0"),
        (lambda: filters.exponential_response(3, 2, cutoff=1.0), ValueError, r"cutoff < 1"),
        (lambda: filters.exponential_response(-1, 2), ValueError, r"lmax >= 0"),
        (lambda: filters.hyperdiffusion_response(3, 0, 1.0), ValueError, r"power > 0"),
        (lambda: filters.hyperdiffusion_response(3, 1, np.inf), ValueError, r"strength .* Got inf"),
        (lambda: filters.gaussian_beam(3, -1.0), ValueError, r"fwhm >= 0, in radians. Got -1.0"),
        (lambda: filters.gaussian_beam(3, np.nan), ValueError, r"Got nan"),
        (lambda: filters.gaussian_beam(3, 0.1, spin=-2), ValueError, r"spin >= 0"),
        (lambda: filters.top_hat_beam(3, 0.0), ValueError, r"radius in \(0, pi\], in radians"),
        (lambda: filters.top_hat_beam(3, 30.0), ValueError, r"Got 30.0"),
    ],
)
def test_bad_input_is_told(call, error, match):
    with pytest.raises(error, match=match):
        call()
