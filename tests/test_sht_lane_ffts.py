"""FFTs of all rings of a tile at once, where they have one length."""

import numba
import numpy as np
import pytest

import sht
from llvm import hvp, jvp, value_and_grad
from sht import _lane_ffts, reference
from sht._lane_ffts import PAIR, make_lane_ffts, points_of_spectra, spectra_of_points
from sht._ring_tables import make_ring_tables
from sht._simd import LANES, RINGS, aligned_zeros

EPS = np.finfo(float).eps

# Each number of a pass alone or with others: 2 … 8, and up to four passes.
LENGTHS = [16, 24, 40, 48, 56, 80, 96, 112, 120, 144, 168, 240, 280, 360, 384, 512, 840, 1536]
OTHERS = [8, 20, 88, 104, 34, 17, 1000 * 11]


def tables(n):
    """Of a grid whose only tile has rings of n points."""
    theta = np.arange(1, LANES + 1) * np.pi / (LANES + 1)
    grid = sht.grids.Rings(np.concatenate([theta[:RINGS], np.pi - theta[:RINGS][::-1]]), n)
    kept = np.full(LANES, (n - 1) // 2)
    return make_lane_ffts(make_ring_tables(grid, n // 2, kept), n // 2)


def test_which_lengths():
    for n in LENGTHS:
        ffts = tables(n)
        assert ffts.length.tolist() == [0], n
        radices = ffts.passes[0][ffts.passes[0] > 0]
        assert np.prod(radices) == n // 2
        assert radices.max() <= 8
        assert ffts.passes[0, -1] == 0
        assert sorted(ffts.places) == list(range(n // 2))
    for n in OTHERS:
        assert tables(n).length.tolist() == [-1], n
        assert tables(n).work == 0


@pytest.mark.parametrize("n", LENGTHS)
def test_as_numpy(n):
    """Orders beyond those kept count as 0, and imaginary parts at k = 0; no lane sees another."""
    ffts, rng, h = tables(n), np.random.default_rng(n), n // 2
    for kept in sorted({0, 1, h // 2 - 1, h // 2, h // 2 + 1, h - 1}):
        spectra = rng.normal(size=(h, 2, LANES))
        x = aligned_zeros(h * PAIR)
        x[:] = np.nan  # whatever another length has left there
        points_of_spectra(x, spectra.ravel(), kept, 0, ffts)
        points = x.reshape(h, 2, LANES)[ffts.places].reshape(n, LANES)
        padded = np.zeros((h + 1, LANES), complex)
        padded[: kept + 1] = (spectra[:, 0] + 1j * spectra[:, 1])[: kept + 1]
        want = n * np.fft.irfft(padded, n, axis=0)
        atol = 4 * EPS * np.log2(n) * np.abs(want).max()
        np.testing.assert_allclose(points, want, rtol=0, atol=atol)

        values = rng.normal(size=(n, LANES))
        found = np.full(h * PAIR, np.nan)
        spectra_of_points(found, values.ravel().copy(), kept, 0, ffts)
        found = found.reshape(h, 2, LANES)
        want = np.fft.rfft(values, axis=0)[: kept + 1]
        atol = 4 * EPS * np.log2(n) * np.abs(want).max()
        got = found[: kept + 1, 0] + 1j * found[: kept + 1, 1]
        np.testing.assert_allclose(got, want, rtol=0, atol=atol)
        assert np.isnan(found[kept + 1 :]).all()
        assert not got.imag[0].any()


def southern_areas():
    """Rings of one length with first longitudes and weights of their own."""
    theta = np.array([0.2, 0.3, 0.5, 0.7, 0.8, 1.0, 1.1, 1.3, 1.4])
    rings = np.concatenate([theta, [np.pi / 2], np.pi - theta[::-1]])
    rng = np.random.default_rng(1)
    return sht.grids.Rings(rings, 48, phi0=rng.uniform(0, 0.1, 19), weights=rng.uniform(0.1, 1, 19))


GRIDS = {
    "Gaussian": sht.grids.FullGaussian.for_lmax(23),
    "HEALPix, the belt alone, half of it turned": sht.grids.HEALPix(16),
    "a ring on the Equator": sht.grids.FullClenshaw(33, 64),
    "phases and areas of each ring": southern_areas(),
}


def test_which_tiles():
    for name, grid in GRIDS.items():
        tiles = sht.Transform(19, grid).lane_ffts
        assert (tiles.length >= 0).all() == (not name.startswith("HEALPix"))
        assert (tiles.length >= 0).any()
        # Some have fewer rings than lanes: half a tile, a ring without a mirror.
        assert (tiles.shares == 0).any()
    # Orders that differ from ring to ring, or that are folded, go ring by ring.
    grid = GRIDS["Gaussian"]
    differ = sht.Transform(19, grid, orders=np.arange(grid.nlat) % 20)
    assert (differ.lane_ffts.length == -1).all()
    folded = sht.Transform(19, sht.grids.Rings(grid.theta, 16), aliasing="fold")
    assert (folded.lane_ffts.length == -1).all()


def both(make):
    """A transform, and the same with rings one by one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_lane_ffts, "_fits", lambda n: False)
        one_by_one = make()
    assert (one_by_one.lane_ffts.length == -1).all()
    return make(), one_by_one


KINDS = {
    "scalar": lambda grid, dtype: sht.Transform(19, grid, dtype=dtype),
    "spin 2": lambda grid, dtype: sht.SpinTransform(2, 19, grid, dtype=dtype),
    "vectors": lambda grid, dtype: sht.VectorTransform(19, grid, dtype=dtype),
}


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("fields", [(), (3,)])
def test_transform(name, kind, dtype, fields):
    """All four maps: the same as ring by ring but for rounding; into memory that is not clear."""
    t, one_by_one = both(lambda: KINDS[kind](GRIDS[name], dtype))
    if kind == "vectors":
        t, one_by_one = t.spin, one_by_one.spin
    rng = np.random.default_rng(2)
    a = rng.normal(size=(*fields, *t.coefficients.shape, 2)).view(complex)[..., 0]
    a = a.astype(t.coefficients.dtype)
    f = rng.normal(size=(*fields, *t.fields.shape)).astype(dtype)
    given = a.copy(), f.copy()
    eps = np.finfo(dtype).eps
    for method, x, out in (
        ("synthesis", a, np.full_like(f, np.nan)),
        ("analysis", f, np.full_like(a, np.nan)),
        ("adjoint_synthesis", f, np.full_like(a, np.nan)),
        ("adjoint_analysis", a, np.full_like(f, np.nan)),
    ):
        want = getattr(one_by_one, method)(x)
        found = getattr(t, method)(x, out=out)
        np.testing.assert_allclose(found, want, rtol=0, atol=32 * eps * np.abs(want).max())
        assert getattr(t, method)(x).tobytes() == found.tobytes()
    assert a.tobytes() == given[0].tobytes()
    assert f.tobytes() == given[1].tobytes()


@pytest.mark.parametrize("name", GRIDS)
def test_reference(name):
    t = sht.Transform(19, GRIDS[name])
    rng = np.random.default_rng(3)
    a = rng.normal(size=t.ncoef) + 1j * rng.normal(size=t.ncoef)
    kept = np.minimum((t.grid.nlon - 1) // 2, 19)
    want = reference.synthesis(a, t.grid, 19, orders=kept)
    np.testing.assert_allclose(
        t.synthesis(a), want, rtol=0, atol=3.4 * EPS * 23 * np.abs(want).max()
    )


@numba.njit
def twice(a, field, t, scratch):
    """The field is overwritten, and with it its cotangent; the second is the analysis of a cube."""
    sht.synthesis_into(field, a, t, scratch)
    total = (field**4).sum()
    b = np.empty_like(a)
    sht.analysis_into(b, field**3, t, scratch)
    sht.synthesis_into(field, b, t, scratch)
    return total + (field**2).sum()


def test_derivatives():
    """Gradients of a field that is used twice, against the maps; and the derivatives of those."""
    t = sht.Transform(19, GRIDS["HEALPix, the belt alone, half of it turned"])
    rng = np.random.default_rng(4)
    a, v = rng.normal(size=(2, t.ncoef)) + 1j * rng.normal(size=(2, t.ncoef))
    rest = np.empty(t.grid.shape), t, t.scratch()

    def gradient(a):
        f = t.synthesis(a)
        g = t.synthesis(t.analysis(f**3))
        cube = t.adjoint_analysis(t.adjoint_synthesis(2.0 * g))
        value = (f**4).sum() + (g**2).sum()
        return value, t.adjoint_synthesis(4.0 * f**3 + 3.0 * f**2 * cube)

    def tangent(a, v):
        f, df = t.synthesis(a), t.synthesis(v)
        g, dg = t.synthesis(t.analysis(f**3)), t.synthesis(t.analysis(3.0 * f**2 * df))
        adjoint = lambda g: t.adjoint_analysis(t.adjoint_synthesis(2.0 * g))  # noqa: E731
        rise = 12.0 * f**2 * df + 6.0 * f * df * adjoint(g) + 3.0 * f**2 * adjoint(dg)
        return (4.0 * f**3 * df + 2.0 * g * dg).sum(), t.adjoint_synthesis(rise)

    for _ in range(2):  # what is kept between calls is clear again
        value, found = value_and_grad(twice)(a, *rest)
        want_value, want = gradient(a)
        np.testing.assert_allclose(value, want_value, rtol=1e-13)
        np.testing.assert_allclose(found, want, rtol=0, atol=1e-13 * np.abs(want).max())
    slope, curvature = tangent(a, v)
    np.testing.assert_allclose(jvp(twice, (a, *rest), (v, None, None, None))[1], slope, rtol=1e-12)
    found = hvp(twice, (a, *rest), (v, None, None, None))[1]
    np.testing.assert_allclose(found, curvature, rtol=0, atol=1e-12 * np.abs(curvature).max())
