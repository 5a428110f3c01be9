"""FFTs of all rings of a tile at once, of one length or of any even ones."""

import math

import numba
import numpy as np
import pytest

import sht
from llvm import hvp, jvp, value_and_grad
from sht import _tile_tables, reference
from sht._lane_ffts import (
    chirp_size,
    chirps_of,
    orders_of_points,
    points_of_orders,
    points_of_spectra,
    spectra_of_points,
    turns_of,
)
from sht._lane_passes import PAIR, from_places, make_passes, places_of, radices_of, to_places
from sht._simd import LANES, RINGS, aligned_zeros
from sht._tile_tables import ANY_LENGTH, KEPT, ONE_BY_ONE, ONE_LENGTH, WAY

EPS = np.finfo(float).eps

# Each number of a pass alone or with others: 2 … 8, and up to four passes.
SIZES = [1, 2, 3, 4, 5, 6, 7, 8, 12, 20, 28, 40, 48, 56, 60, 84, 120, 140, 180, 192, 256, 420, 768]


def parts(numbers):
    """Complex numbers for each lane, as the kernels have them."""
    return np.ascontiguousarray(np.stack([numbers.real, numbers.imag], axis=1)).ravel()


def numbers(x, count):
    found = x[: count * PAIR].reshape(count, 2, LANES)
    return found[:, 0] + 1j * found[:, 1]


def random(rng, *shape):
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


@pytest.mark.parametrize("size", SIZES)
def test_passes(size):
    """Both ways, both signs, as NumPy's; each lane by itself."""
    passes, rng = make_passes([60, size]), np.random.default_rng(size)
    assert math.prod(radices_of(size) or ()) == size
    assert sorted(places_of(size)) == list(range(size))
    assert radices_of(11 * size) is None
    given = random(rng, size, LANES)
    atol = 4 * EPS * max(1, np.log2(size))
    for re, transform in (
        (LANES, np.fft.fft),
        (0, lambda x, axis: size * np.fft.ifft(x, axis=axis)),
    ):
        want = transform(given, axis=0)
        x = parts(given)
        to_places(x, 1, passes, re)
        found = numbers(x, size)[places_of(size)]
        np.testing.assert_allclose(found, want, rtol=0, atol=atol * np.abs(want).max())
        disordered = np.empty_like(given)
        disordered[places_of(size)] = given
        x = parts(disordered)
        from_places(x, 1, passes, re)
        np.testing.assert_allclose(numbers(x, size), want, rtol=0, atol=atol * np.abs(want).max())


@pytest.mark.parametrize("n", [16, 24, 40, 48, 56, 96, 120, 360, 384, 840])
def test_one_length(n):
    """Orders beyond those kept count as 0, and imaginary parts at k = 0; as NumPy's."""
    h, rng = n // 2, np.random.default_rng(n)
    passes, turns = make_passes([60, h]), turns_of(n)
    for kept in sorted({0, 1, h // 2 - 1, h // 2, h // 2 + 1, h - 1}):
        spectra = random(rng, h, LANES)
        x = aligned_zeros(h * PAIR)
        x[:] = np.nan  # whatever another length has left there
        points_of_spectra(x, parts(spectra), kept, 1, passes, turns)
        points = x.reshape(h, 2, LANES)[places_of(h)].reshape(n, LANES)
        padded = np.zeros((h + 1, LANES), complex)
        padded[: kept + 1] = spectra[: kept + 1]
        want = n * np.fft.irfft(padded, n, axis=0)
        atol = 4 * EPS * np.log2(n) * np.abs(want).max()
        np.testing.assert_allclose(points, want, rtol=0, atol=atol)

        values = rng.normal(size=(n, LANES))
        found = np.full(h * PAIR, np.nan)
        spectra_of_points(found, values.ravel().copy(), kept, 1, passes, turns)
        want = np.fft.rfft(values, axis=0)[: kept + 1]
        atol = 4 * EPS * np.log2(n) * np.abs(want).max()
        got = numbers(found, kept + 1)
        np.testing.assert_allclose(got, want, rtol=0, atol=atol)
        assert np.isnan(found[(kept + 1) * PAIR :]).all()
        assert not got.imag[0].any()


@pytest.mark.parametrize(
    "n", [(2, 2, 2, 2), (4, 8, 12, 16), (34, 58, 46, 62), (622, 634, 640, 634)]
)
@pytest.mark.parametrize("highest", [0, 1, 9, 40, 331])
def test_any_length(n, highest):
    """Against the sums as they stand: with turns, with orders beyond Nyquist."""
    n, rng = np.array(n[:RINGS]), np.random.default_rng(highest)
    kept = np.maximum(0, highest - np.arange(RINGS))
    phi0 = np.linspace(0, 0.3, RINGS)
    h, size = int(n.max()) // 2, chirp_size(int(n.max()) // 2 + 2 * highest)
    assert size >= h + 2 * highest
    passes, chirps = make_passes([60, size]), chirps_of(n, kept, phi0, size)
    spectra = random(rng, highest + 1, LANES)
    x = aligned_zeros(size * PAIR)
    x[:] = np.nan
    points_of_orders(x, parts(spectra), highest, h, 1, passes, chirps)
    values = rng.normal(size=(2 * h, LANES))
    y = aligned_zeros(size * PAIR)
    y[: 2 * h * LANES] = values.ravel()
    found = np.full((highest + 1) * PAIR, np.nan)
    orders_of_points(found, y, highest, h, 1, passes, chirps)
    found = numbers(found, highest + 1)
    for lane in range(LANES):
        ring = lane % RINGS
        m, i = np.arange(kept[ring] + 1), np.arange(n[ring])
        # Exact angles, but for one rounding.
        angle = 2 * np.pi / n[ring] * (np.outer(m, i) % n[ring]) + m[:, None] * phi0[ring]
        matrix = np.exp(1j * angle)
        c = np.where(m > 0, 2.0, 1.0) * spectra[m, lane]
        c[0] = c[0].real
        want = (c @ matrix).real
        # That of a convolution with numbers of modulus 1, in the 2-norm.
        growth = 4 * EPS * np.log2(size + 1) * np.sqrt(size)
        points = x[lane : n[ring] * LANES : LANES]
        np.testing.assert_allclose(points, want, rtol=0, atol=growth * np.linalg.norm(c))
        want = matrix.conj() @ values[: n[ring], lane]
        atol = growth * np.linalg.norm(values[: n[ring], lane])
        np.testing.assert_allclose(found[m, lane], want, rtol=0, atol=atol)
        assert not found[kept[ring] + 1 :, lane].any()
        assert not found.imag[0].any()


def southern_areas():
    """Rings of one length with first longitudes and weights of their own."""
    theta = np.array([0.2, 0.3, 0.5, 0.7, 0.8, 1.0, 1.1, 1.3, 1.4])
    rings = np.concatenate([theta, [np.pi / 2], np.pi - theta[::-1]])
    rng = np.random.default_rng(1)
    return sht.grids.Rings(rings, 48, phi0=rng.uniform(0, 0.1, 19), weights=rng.uniform(0.1, 1, 19))


GRIDS = {
    "Gaussian": sht.grids.FullGaussian.for_lmax(23),
    "octahedral": sht.grids.OctahedralGaussian.for_lmax(23),
    "HEALPix, half of whose belt is turned": sht.grids.HEALPix(16),
    "a ring on the Equator": sht.grids.FullClenshaw(33, 64),
    "phases and areas of each ring": southern_areas(),
}


def ways(t):
    return t.tile_ffts.tiles[:, WAY]


def test_which_tiles():
    found = {name: set(ways(sht.Transform(19, grid))) for name, grid in GRIDS.items()}
    want = [{ONE_LENGTH}, {ANY_LENGTH}, {ONE_LENGTH, ANY_LENGTH}, {ONE_LENGTH}, {ONE_LENGTH}]
    assert list(found.values()) == want
    # A tile with fewer rings than lanes.
    assert (sht.Transform(19, GRIDS["a ring on the Equator"]).tile_ffts.shares[1] == 0).any()
    grid = GRIDS["Gaussian"]
    assert set(ways(sht.Transform(19, grid, orders=np.arange(grid.nlat) % 20))) == {ONE_BY_ONE}
    mirrored = np.minimum(np.arange(grid.nlat), np.arange(grid.nlat)[::-1])
    assert set(ways(sht.Transform(19, grid, orders=mirrored))) == {ANY_LENGTH}
    folded = sht.Transform(19, sht.grids.Rings(grid.theta, 16), aliasing="fold")
    assert set(ways(folded)) == {ANY_LENGTH}
    assert set(ways(sht.Transform(10, sht.grids.FullGaussian(16, 23)))) == {ONE_BY_ONE}
    # Next to the poles there are no functions of high orders.
    near, *_, far = sht.Transform(255, sht.grids.FullGaussian.for_lmax(255)).tile_ffts.tiles
    assert near[KEPT] < 60
    assert far[KEPT] == 255


def both(make):
    """A transform, and the same with rings one by one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_tile_tables, "_way", lambda *_: ONE_BY_ONE)
        one_by_one = make()
    assert set(ways(one_by_one)) == {ONE_BY_ONE}
    return make(), one_by_one


KINDS = {
    "scalar": lambda grid, *how: sht.Transform(19, grid, None, how[0], aliasing=how[1]),
    "spin 2": lambda grid, *how: sht.SpinTransform(2, 19, grid, None, how[0], aliasing=how[1]),
    "vectors": lambda grid, *how: sht.VectorTransform(19, grid, None, how[0], aliasing=how[1]),
}


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("aliasing", ["drop", "fold"])
@pytest.mark.parametrize("fields", [(), (3,)])
def test_transform(name, kind, dtype, aliasing, fields):
    """All four maps: the same as ring by ring but for rounding; into memory that is not clear."""
    t, one_by_one = both(lambda: KINDS[kind](GRIDS[name], dtype, aliasing))
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
    t = sht.Transform(19, GRIDS[name], aliasing="fold")
    rng = np.random.default_rng(3)
    a = rng.normal(size=t.ncoef) + 1j * rng.normal(size=t.ncoef)
    want = reference.synthesis(a, t.grid, 19, orders=19)
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
    t = sht.Transform(19, GRIDS["HEALPix, half of whose belt is turned"])
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
