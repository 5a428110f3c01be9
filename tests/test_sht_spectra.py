"""Power and cross spectra: by their definition, by Parseval, as healpy has them, and gradients."""

import numpy as np
import pytest
from numba import njit

import sht
from llvm import jvp, value_and_grad
from sht import reference, spectra
from tests.sht_cases import EPS

TRUNCATIONS = [(0, 0), (1, 0), (1, 1), (9, 4), (31, 31), (127, 40)]
BATCHES = [(), (3,), (2, 1)]


def pair(lmax, mmax, batch=()):
    rng = np.random.default_rng(8)
    a, b = (reference.random_coefficients(rng, lmax, mmax, batch) for _ in range(2))
    return a, a + b


def by_definition(a, b, lmax, mmax):
    """Sum over all orders, negative ones too."""
    a, b = sht.unpack(a, lmax, mmax), sht.unpack(b, lmax, mmax)
    product = np.real(a * np.conj(b))
    total = product[..., 0] + 2 * product[..., 1:].sum(-1)
    return total / (2 * np.arange(lmax + 1) + 1)


def assert_close(got, want, tolerance):
    assert got.shape == want.shape
    assert np.max(np.abs(got - want)) <= tolerance * np.max(np.abs(want))


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize(("lmax", "mmax"), TRUNCATIONS)
def test_definition(lmax, mmax, batch):
    a, b = pair(lmax, mmax, batch)
    cross = spectra.cross_spectrum(a, b, lmax, mmax)
    assert_close(cross, by_definition(a, b, lmax, mmax), 4 * EPS)
    power = spectra.power_spectrum(a, lmax, mmax)
    assert_close(power, by_definition(a, a, lmax, mmax), 4 * EPS)
    assert np.array_equal(power, spectra.cross_spectrum(a, a, lmax, mmax))
    out = np.full((lmax + 1, *batch), np.nan).transpose(*range(1, len(batch) + 1), 0)
    assert spectra.cross_spectrum(a, b, lmax, mmax, out=out) is out
    assert np.array_equal(out, cross)


@pytest.mark.parametrize(("lmax", "mmax"), [(5, 2), (31, 31)])
def test_parseval(lmax, mmax):
    """Σ (2l+1) C_l is the integral of the product of the fields, by quadrature."""
    a, b = pair(lmax, mmax)
    a[: lmax + 1] += 1j  # which no field sees
    grid = sht.grids.FullGaussian.for_lmax(lmax)
    f, g = (reference.synthesis(x, grid, lmax, mmax) for x in (a, b))
    degeneracy = 2 * np.arange(lmax + 1) + 1
    for got, product in [
        (spectra.power_spectrum(a, lmax, mmax), f * f),
        (spectra.cross_spectrum(a, b, lmax, mmax), f * g),
    ]:
        integral = np.sum(grid.areas[:, None] * product)
        assert abs(degeneracy @ got - integral) <= 4 * EPS * lmax * integral


@pytest.mark.parametrize(("lmax", "mmax"), TRUNCATIONS)
def test_healpy_alm2cl(lmax, mmax):
    healpy = pytest.importorskip("healpy")
    a, b = pair(lmax, mmax)
    a[: lmax + 1] += 1j
    theirs = healpy.alm2cl(a, b, lmax=lmax, mmax=mmax)
    assert_close(spectra.cross_spectrum(a, b, lmax, mmax), theirs, 4 * EPS)
    theirs = healpy.alm2cl(a, lmax=lmax, mmax=mmax)
    assert_close(spectra.power_spectrum(a, lmax, mmax), theirs, 4 * EPS)


def test_healpy_anafast():
    healpy = pytest.importorskip("healpy")
    lmax, nside = 20, 16
    f = healpy.alm2map(pair(lmax, lmax)[0], nside)
    theirs = healpy.anafast(f, lmax=lmax)
    a = healpy.map2alm(f, lmax=lmax)
    assert_close(spectra.power_spectrum(a, lmax), theirs, 1e-13)


def test_leading_axes_broadcast():
    a, b = pair(5, 5, (3, 1))[0], pair(5, 5, (4,))[1]
    got = spectra.cross_spectrum(a, b, 5)
    assert got.shape == (3, 4, 6)
    assert np.array_equal(got[2, 1], spectra.cross_spectrum(a[2, 0], b[1], 5))


def test_single_precision_is_summed_in_double():
    lmax = 127
    a, b = (x.astype(np.complex64) for x in pair(lmax, lmax))
    got = spectra.cross_spectrum(a, b, lmax)
    assert got.dtype == np.float32
    want = by_definition(a.astype(complex), b.astype(complex), lmax, lmax)
    assert np.all(np.abs(got - want) <= 2.0**-24 * np.abs(want) + 1e-300)
    assert spectra.power_spectrum(a, lmax).dtype == np.float32


# Inside a user's function


@njit()
def loss(a, b, target, c, p, lmax, mmax):
    """Misfit of a cross spectrum in logarithms of a power spectrum."""
    spectra.cross_spectrum_into(c, a, b, lmax, mmax)
    spectra.power_spectrum_into(p, b, lmax, mmax)
    total = 0.0
    for l in range(lmax + 1):  # noqa: E741
        total += (c[l] - target[l]) ** 2 + np.log(p[l])
    return total


def by_hand(a, b, target, lmax, mmax):
    l, m = sht.degrees_orders(lmax, mmax)  # noqa: E741
    weight = np.where(m > 0, 2, 1) / (2 * l + 1)
    c = by_definition(a, b, lmax, mmax)
    p = by_definition(b, b, lmax, mmax)
    c_bar, p_bar = (2 * (c - target))[l], (1 / p)[l]
    return c_bar * weight * b, c_bar * weight * a + 2 * p_bar * weight * b


def test_gradient():
    lmax, mmax = 9, 6
    a, b = pair(lmax, mmax)
    rng = np.random.default_rng(9)
    target = rng.standard_normal(lmax + 1)
    rest = target, np.zeros(lmax + 1), np.zeros(lmax + 1), lmax, mmax
    value, gradients = value_and_grad(loss, argnums=(0, 1))(a, b, *rest)
    for got, want in zip(gradients, by_hand(a, b, target, lmax, mmax), strict=True):
        assert_close(got, want, 16 * EPS)
        assert not np.any(got[: lmax + 1].imag)
    tangents = pair(lmax, mmax, (2,))[1]
    slope = sum(np.vdot(g, t).real for g, t in zip(gradients, tangents, strict=True))
    primal, tangent = jvp(loss, (a, b, *rest), (*tangents, *[None] * len(rest)))
    assert abs(primal - value) <= 8 * EPS * abs(value)
    assert abs(tangent - slope) <= 1e-12 * np.linalg.norm(gradients) * np.linalg.norm(tangents)
    step = 1e-6
    ahead, behind = (loss(a + s * tangents[0], b + s * tangents[1], *rest) for s in (step, -step))
    assert abs((ahead - behind) / (2 * step) - slope) <= 1e-7 * np.linalg.norm(gradients)


# Bad input


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (
            lambda: spectra.power_spectrum(np.zeros(5, complex), 2),
            ValueError,
            r"`power_spectrum\(a, lmax, mmax\)` needs shape \(..., 6\). Got \(5,\)",
        ),
        (lambda: spectra.power_spectrum(np.zeros(6), 2), TypeError, r"dtype complex128"),
        (
            lambda: spectra.cross_spectrum(np.zeros(6, complex), np.zeros(6, np.complex64), 2),
            TypeError,
            r"dtype complex128. Got complex64",
        ),
        (
            lambda: spectra.cross_spectrum(np.zeros((2, 6), complex), np.zeros((3, 6), complex), 2),
            ValueError,
            r"leading axes that broadcast. Got \(2,\) and \(3,\)",
        ),
        (
            lambda: spectra.cross_spectrum_into(
                np.zeros(2), np.zeros(6, complex), np.zeros(6, complex), 2, 2
            ),
            ValueError,
            r"one value for each degree",
        ),
        (
            lambda: spectra.power_spectrum_into(np.zeros(3), np.zeros(6, complex), 2, 1),
            ValueError,
            r"ncoef\(lmax, mmax\) of them",
        ),
    ],
)
def test_bad_input_is_told(call, error, match):
    with pytest.raises(error, match=match):
        call()
