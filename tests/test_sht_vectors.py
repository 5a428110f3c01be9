"""Winds, gradients, vorticity and divergence on the grid: identities, other libraries, adjoints."""

import functools
import pickle

import numpy as np
import pytest
from numba import njit

import sht
from llvm import hvp, jvp, value_and_grad
from sht import operators, reference, vectors
from sht.grids import FullGaussian, HEALPix, OctahedralGaussian
from tests.sht_cases import EPS

LMAX, RADIUS = 21, 2.5
GRIDS = {
    "full": FullGaussian.for_lmax(LMAX),
    "octahedral": OctahedralGaussian(32),
    "HEALPix": HEALPix(16),
}
every = pytest.mark.parametrize("name", GRIDS)
exact = pytest.mark.parametrize("name", ["full", "octahedral"])

# name: (takes coefficients of a pair or of a scalar or fields, kernel)
MAPS = {
    "winds": ("pair", vectors.winds_into),
    "potential_winds": ("pair", vectors.potential_winds_into),
    "gradient": ("scalar", vectors.gradient_into),
    "vorticity_divergence": ("field", vectors.vorticity_divergence_into),
    "potentials": ("field", vectors.potentials_into),
    "curl": ("field", vectors.curl_into),
    "divergence": ("field", vectors.divergence_into),
}
each_map = pytest.mark.parametrize("method", MAPS)


@functools.cache
def transform(name, mmax=LMAX, dtype="float64"):
    return sht.VectorTransform(LMAX, GRIDS[name], mmax, dtype, radius=RADIUS)


def random(t, kind, seed, batch=()):
    rng = np.random.default_rng(seed)
    if kind == "field":
        return rng.standard_normal((*batch, *t.fields.shape)).astype(t.dtype)
    axes = (2,) if kind == "pair" else ()
    a = reference.random_coefficients(rng, t.lmax, t.mmax, (*batch, *axes))
    a[..., 0] = 0  # degree 0 has no winds
    return a.astype(t.coefficients.dtype)


def difference(x, y):
    return np.max(np.abs(x - y)) / np.max(np.abs(y))


def laplacian(t):
    return -t.degrees * (t.degrees + 1) / RADIUS**2


@exact
@pytest.mark.parametrize("mmax", [LMAX, 9])
def test_identities(name, mmax):
    t = transform(name, mmax)
    x = random(t, "pair", 1)
    tolerance = 40 * EPS * (LMAX + 1)
    assert difference(t.vorticity_divergence(t.winds(x)), x) <= tolerance
    assert difference(t.potentials(t.potential_winds(x)), x) <= tolerance
    # div grad = Laplacian, curl grad = 0; vorticity and divergence are Laplacians of the potentials
    a = x[0]
    assert difference(t.divergence(t.gradient(a)), laplacian(t) * a) <= tolerance
    assert np.max(np.abs(t.curl(t.gradient(a)))) <= tolerance * np.max(np.abs(laplacian(t) * a))
    turned = t.vorticity_divergence(t.potential_winds(x))
    assert difference(turned, laplacian(t) * x) <= tolerance


@every
def test_equal_what_coefficients_give_divided_by_the_cosine(name):
    t = transform(name)
    one_more = sht.Transform(LMAX + 1, t.grid, LMAX, aliasing="fold")
    fold = sht.VectorTransform(LMAX, t.grid, radius=RADIUS, aliasing="fold")
    x, coslat = random(t, "pair", 2), np.repeat(t.grid.sin_theta, t.grid.nlon)
    coslat = coslat.reshape(t.grid.shape)
    winds = one_more.synthesis(operators.coslat_wind(x, LMAX, radius=RADIUS)) / coslat
    # The sum of many degrees is small near the poles, and then divided by a small number.
    assert difference(fold.winds(x), winds) <= 100 * EPS * (LMAX + 1) / np.min(coslat)
    slope = one_more.synthesis(operators.coslat_gradient(x[0], LMAX, radius=RADIUS)) / coslat
    assert difference(fold.gradient(x[0]), slope) <= 100 * EPS * (LMAX + 1) / np.min(coslat)


@every
def test_known_winds(name):
    """Solid-body rotation, u = cos φ, has ψ = -R sin φ and the vorticity 2 sin φ / R."""
    t = transform(name)
    a = np.zeros(t.coefficients.shape, complex)
    a[0, 1] = 2 / RADIUS * np.sqrt(4 * np.pi / 3)
    latitude = np.deg2rad(t.grid.latitudes)
    want = np.stack([np.cos(latitude), 0 * latitude])
    assert np.max(np.abs(t.winds(a) - want)) <= 10 * EPS
    a[0, 1] *= -(RADIUS**2) / 2
    assert np.max(np.abs(t.potential_winds(a) - want)) <= 10 * EPS


@every
def test_equal_ducc0(name):
    ducc0 = pytest.importorskip("ducc0")
    t = sht.VectorTransform(LMAX, GRIDS[name], aliasing="fold")
    x, grid = random(t, "pair", 3), t.grid
    root = np.sqrt(np.maximum(t.degrees * (t.degrees + 1.0), 1))
    # Its spin 1 has components towards the south and the east, gradient and curl coefficients.
    south, east = ducc0.sht.synthesis(
        alm=np.stack([-x[1] / root, -x[0] / root]),
        spin=1,
        lmax=LMAX,
        theta=grid.theta,
        nphi=grid.nlon.astype(np.uint64),
        phi0=grid.phi0,
        ringstart=grid.offsets[:-1].astype(np.uint64),
        nthreads=1,
    ).reshape(2, *grid.shape)
    assert difference(t.winds(x), np.stack([east, -south])) <= 1e-13


def test_equal_shtns():
    shtns = pytest.importorskip("shtns")
    t = sht.VectorTransform(LMAX, GRIDS["full"])
    plan = shtns.sht(LMAX, LMAX)
    nlat, nlon = t.grid.shape
    plan.set_grid(nlat, nlon, shtns.sht_gauss | shtns.SHT_PHI_CONTIGUOUS, 0)
    potentials = random(t, "pair", 4)
    # Its spheroidal part is χ, its toroidal part -ψ; components towards the south and the east.
    south, east = plan.synth(potentials[1].copy(), -potentials[0])
    assert difference(t.potential_winds(potentials), np.stack([east, -south])) <= 1e-12


@each_map
@every
def test_dot(name, method):
    t = transform(name)
    kind, _ = MAPS[method]
    mapped, adjoint = getattr(t, method), getattr(t, f"adjoint_{method}")
    x = random(t, kind, 5, (2,))
    y = mapped(x)
    z = random(t, "field" if kind != "field" else "pair", 6, (2,))
    z = z[:, 0] if z.shape != y.shape else z
    scale = np.linalg.norm(y) * np.linalg.norm(z)
    assert abs(np.vdot(y, z).real - np.vdot(x, adjoint(z)).real) <= 1e-13 * scale


@each_map
@pytest.mark.parametrize(("name", "dtype"), [("full", "float64"), ("octahedral", "float32")])
def test_kernels_equal_the_methods(name, method, dtype):
    t = transform(name, dtype=dtype)
    kind, kernel = MAPS[method]
    x = random(t, kind, 7)
    want = getattr(t, method)(x)
    assert want.dtype == (t.coefficients.dtype if kind == "field" else t.dtype)
    found = np.empty_like(want)
    kernel(found, x, RADIUS, t, t.scratch())
    assert difference(found, want) <= 4 * np.finfo(dtype).eps


@each_map
def test_float32(method):
    t, short = transform("octahedral"), transform("octahedral", dtype="float32")
    x = random(t, MAPS[method][0], 8)
    want = getattr(t, method)(x)
    low = x.astype(np.complex64 if np.iscomplexobj(x) else np.float32)
    found = getattr(short, method)(low)
    assert np.linalg.norm(found - want) <= 1e-6 * np.linalg.norm(want)


@each_map
def test_batches_and_out(method):
    t = transform("octahedral")
    x = random(t, MAPS[method][0], 9, (2, 3))
    want = getattr(t, method)(x)
    for index in np.ndindex(2, 3):
        assert np.array_equal(getattr(t, method)(x[index]), want[index])
    out = np.full((*want.shape, 2), np.nan, want.dtype)[..., 0]
    assert getattr(t, method)(np.asfortranarray(x), out=out) is out
    assert np.array_equal(out, want)


@njit()
def enstrophy_of_forced_flow(vordiv, radius, uv, back, t, scratch):
    """A non-linear loss: winds, their cubes, and the vorticity of these."""
    vectors.winds_into(uv, vordiv, radius, t, scratch)
    uv *= np.abs(uv)
    vectors.vorticity_divergence_into(back, uv, radius, t, scratch)
    return np.sum(back.real**2 + back.imag**2)


def test_gradient_in_njit_code():
    t = transform("octahedral")
    x, scratch = random(t, "pair", 10), t.scratch()
    buffers = np.zeros(t.fields.shape), np.zeros(t.coefficients.shape, complex)
    call = (x, RADIUS, *buffers, t, scratch)
    value, (dx, dradius) = value_and_grad(enstrophy_of_forced_flow, argnums=(0, 1))(*call)
    uv = t.winds(x)
    back = t.vorticity_divergence(uv * abs(uv))
    assert abs(value - np.sum(abs(back) ** 2)) <= 100 * EPS * value
    want = t.adjoint_winds(2 * abs(uv) * t.adjoint_vorticity_divergence(2 * back))
    assert difference(dx, want) <= 100 * EPS
    # Winds grow like R, vorticity falls like 1/R: the loss like R².
    assert abs(dradius - 2 * value / RADIUS) <= 100 * EPS * abs(dradius)
    tangent = random(t, "pair", 11)
    _, slope = jvp(enstrophy_of_forced_flow, call, (tangent, 0.5, None, None, None, None))
    want = np.vdot(dx, tangent).real + 0.5 * dradius
    assert abs(slope - want) <= 1e-12 * np.linalg.norm(dx) * np.linalg.norm(tangent)


@njit()
def quartic(vordiv, radius, uv, t, scratch):
    vectors.winds_into(uv, vordiv, radius, t, scratch)
    return 0.25 * np.sum(uv**4)


def test_hessian_vector_product():
    t = transform("octahedral")
    x, v = random(t, "pair", 13), random(t, "pair", 14)
    call = x, RADIUS, np.zeros(t.fields.shape), t, t.scratch()
    gradient, product = hvp(quartic, call, (v, None, None, None, None))
    uv = t.winds(x)
    assert difference(gradient, t.adjoint_winds(uv**3)) <= 100 * EPS
    assert difference(product, t.adjoint_winds(3 * uv**2 * t.winds(v))) <= 100 * EPS


def test_pickled_and_shown():
    t = pickle.loads(pickle.dumps(transform("octahedral")))  # noqa: S301
    assert (type(t), t.lmax, t.radius) == (sht.VectorTransform, LMAX, RADIUS)
    assert repr(t).startswith("VectorTransform(lmax=21, mmax=21, spin=1")


def test_errors():
    t = transform("full")
    with pytest.raises(ValueError, match=r"radius > 0\. Got -1"):
        sht.VectorTransform(5, t.grid, radius=-1)
    with pytest.raises(ValueError, match=r"winds\(vordiv\)` needs shape \(\.\.\., 2, 253\)\. Got"):
        t.winds(np.zeros(t.ncoef, complex))
    with pytest.raises(TypeError, match=r"gradient\(a\)` needs dtype complex128\. Got float64"):
        t.gradient(np.zeros(t.ncoef))
    with pytest.raises(ValueError, match=r"curl\(uv\)` needs shape \(\.\.\., 2, \d+, \d+\)"):
        t.curl(np.zeros(t.grid.shape))
    with pytest.raises(ValueError, match=r"curl\(uv, out\)` needs `out` of shape"):
        t.curl(np.zeros(t.fields.shape), out=np.zeros(3, complex))
    other = sht.SpinTransform(2, LMAX, t.grid)
    uv, x = np.zeros(t.fields.shape), random(t, "pair", 12)
    with pytest.raises(ValueError, match="a VectorTransform"):
        vectors.winds_into(uv, x, 1.0, other, other.scratch())
    with pytest.raises(ValueError, match="a VectorTransform"):
        vectors.winds_into(uv, x[:, 1:].copy(), 1.0, t, t.scratch())
