"""FFTs of two rings at once, where their number of points has a large prime factor."""

import numba
import numpy as np
import pytest

import sht
from llvm import hvp, jvp, value_and_grad
from sht import _pair_ffts, reference
from sht._pair_ffts import make_pair_ffts, pair_of_points_into, points_of_pair_into
from sht._simd import LANES, aligned_zeros

EPS = np.finfo(float).eps

# 4 p, 8 p, an odd q, an odd length, q of several vectors that are not full, p², a Rader prime.
LENGTHS = np.array([68, 92, 136, 102, 119, 187, 340, 748, 1156, 764, 1172])
FFTWS = np.array([4, 16, 52, 104, 34, 17, 1244, 720, 96])
PLANS = make_pair_ffts(LENGTHS)


def half_spectra(n, rng):
    return rng.normal(size=(2, n // 2 + 1)) + 1j * rng.normal(size=(2, n // 2 + 1))


def test_which_lengths():
    wide = make_pair_ffts(LENGTHS)
    assert wide.prime[0] == 17
    assert wide.prime[1] == 23
    assert wide.prime[-1] == 293
    assert (wide.prime > 0).all()
    assert not make_pair_ffts(FFTWS[FFTWS != 34 if LANES == 4 else slice(None)]).prime.any()
    assert make_pair_ffts(FFTWS[:2]).work == 0


@pytest.mark.parametrize("k", range(len(LENGTHS)), ids=map(str, LENGTHS))
@pytest.mark.parametrize("dtype", [np.complex128, np.complex64])
def test_as_numpy(k, dtype):
    """Imaginary parts at k = 0 and n / 2 have no effect, as in `irfft`."""
    n, rng = int(LENGTHS[k]), np.random.default_rng(k)
    eps = np.finfo(dtype).eps
    north, south = half_spectra(n, rng).astype(dtype)
    values, work = np.empty(2 * n), aligned_zeros(PLANS.work)
    work[:] = 1e3  # whatever another length has left there
    points_of_pair_into(values, north, south, k, PLANS, work)
    want = n * np.fft.irfft(np.stack([north, south]).astype(complex), n).ravel()
    np.testing.assert_allclose(values, want, rtol=0, atol=4 * EPS * np.log2(n) * np.abs(want).max())

    field = rng.normal(size=(2, n))
    found = np.empty((2, n // 2 + 1), dtype)
    pair_of_points_into(found[0], found[1], field.ravel(), k, PLANS, work)
    want = np.fft.rfft(field)
    np.testing.assert_allclose(found, want, rtol=0, atol=4 * eps * np.log2(n) * np.abs(want).max())
    assert not found.imag[:, 0].any()


@pytest.mark.parametrize("k", [0, 3, 4, 9], ids=lambda k: str(LENGTHS[k]))
def test_one_ring_does_not_see_the_other(k):
    n, rng = int(LENGTHS[k]), np.random.default_rng(1)
    (one, other), (another, _) = half_spectra(n, rng), half_spectra(n, rng)
    found, work = np.empty((2, 2 * n)), aligned_zeros(PLANS.work)
    points_of_pair_into(found[0], one, other, k, PLANS, work)
    points_of_pair_into(found[1], one, another, k, PLANS, work)
    scale = np.abs(found).max()
    np.testing.assert_allclose(found[0, :n], found[1, :n], rtol=0, atol=16 * EPS * scale)


GRIDS = {
    "octahedral": sht.grids.OctahedralGaussian.for_lmax(23),
    "HEALPix": sht.grids.HEALPix(20),
    "weights of their own": sht.grids.Rings(
        np.array([0.4, 1.1, np.pi / 2, np.pi - 1.1, np.pi - 0.4]),
        np.array([68, 92, 76, 92, 68]),
        phi0=np.array([0.0, 0.1, 0.2, 0.3, 0.0]),
        weights=np.array([0.5, 0.75, 1.0, 0.25, 0.125]),
    ),
}


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("aliasing", ["drop", "fold"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("fields", [(), (3,)])
def test_transform(name, aliasing, dtype, fields):
    """All four maps, with pairs and with FFTW alone: the same but for rounding."""
    grid = GRIDS[name]
    t = sht.Transform(19, grid, dtype=dtype, aliasing=aliasing)
    assert t.pair_ffts.work > 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_pair_ffts, "_LARGEST", 0)
        alone = sht.Transform(19, grid, dtype=dtype, aliasing=aliasing)
    assert alone.pair_ffts.work == 0
    rng = np.random.default_rng(2)
    a = (rng.normal(size=(*fields, t.ncoef)) + 1j * rng.normal(size=(*fields, t.ncoef))).astype(
        t.coefficients.dtype
    )
    f = rng.normal(size=(*fields, *t.fields.shape)).astype(dtype)
    eps = np.finfo(dtype).eps
    for method, given in (
        ("synthesis", a),
        ("analysis", f),
        ("adjoint_synthesis", f),
        ("adjoint_analysis", a),
    ):
        want = getattr(alone, method)(given)
        np.testing.assert_allclose(
            getattr(t, method)(given), want, rtol=0, atol=32 * eps * np.abs(want).max()
        )


@pytest.mark.parametrize("name", GRIDS)
def test_reference(name):
    t = sht.Transform(19, GRIDS[name], aliasing="fold")
    rng = np.random.default_rng(3)
    a = rng.normal(size=t.ncoef) + 1j * rng.normal(size=t.ncoef)
    want = reference.synthesis(a, t.grid, 19, orders=19)
    np.testing.assert_allclose(
        t.synthesis(a), want, rtol=0, atol=3.4 * EPS * 23 * np.abs(want).max()
    )


@numba.njit
def quartic(a, field, t, scratch):
    sht.synthesis_into(field, a, t, scratch)
    return (field**4).sum()


def test_derivatives():
    """Gradient and its derivative, against those of the field: 4 f³ and 12 f² df."""
    t = sht.Transform(19, GRIDS["octahedral"])
    rng = np.random.default_rng(4)
    a, v = rng.normal(size=(2, t.ncoef)) + 1j * rng.normal(size=(2, t.ncoef))
    rest = np.empty(t.grid.shape), t, t.scratch()
    f, df = t.synthesis(a), t.synthesis(v)
    value, gradient = value_and_grad(quartic)(a, *rest)
    want = t.adjoint_synthesis(4.0 * f**3)
    np.testing.assert_allclose(value, (f**4).sum(), rtol=1e-13)
    np.testing.assert_allclose(gradient, want, rtol=0, atol=1e-14 * np.abs(want).max())
    _, tangent = jvp(quartic, (a, *rest), (v, None, None, None))
    np.testing.assert_allclose(tangent, (4.0 * f**3 * df).sum(), rtol=1e-12)
    found = hvp(quartic, (a, *rest), (v, None, None, None))[1]
    want = t.adjoint_synthesis(12.0 * f**2 * df)
    np.testing.assert_allclose(found, want, rtol=0, atol=1e-13 * np.abs(want).max())
