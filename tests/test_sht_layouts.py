"""Coefficients in other libraries' layouts: their fields are ours, and all of it differentiates."""

import warnings

import numpy as np
import pytest
from numba import njit
from scipy.special import lpmv, sph_harm_y

import sht
from llvm import jvp, value_and_grad
from sht import layouts, reference
from sht.layouts._layout import ComplexLayout
from tests.sht_cases import EPS

TRUNCATIONS = [(0, 0), (1, 1), (5, 2), (31, 31), (31, 17)]
BATCHES = [(), (3,), (2, 1)]

LAYOUTS = {
    "shtns": lambda lmax, mmax: layouts.shtns(lmax, mmax),
    "shtns 4pi real": lambda lmax, mmax: layouts.shtns(lmax, mmax, "4pi", real_norm=True),
    "shtns schmidt": lambda lmax, mmax: layouts.shtns(lmax, mmax, "schmidt", cs_phase=False),
    "ducc0 dense": lambda lmax, mmax: layouts.ducc0(
        lmax, mmax, mstart=np.arange(mmax + 1), lstride=mmax + 1
    ),
    "ducc0 gaps": lambda lmax, mmax: layouts.ducc0(
        lmax, mmax, mstart=7 + 3 * (lmax + 2) * np.arange(mmax + 1), lstride=2
    ),
    "torch-harmonics": lambda lmax, mmax: layouts.torch_harmonics(lmax, mmax, csphase=False),
    "pyshtools": lambda lmax, mmax: layouts.pyshtools(lmax, mmax),
    "pyshtools schmidt": lambda lmax, mmax: layouts.pyshtools(lmax, mmax, "schmidt", -1),
    "pyshtools unnorm": lambda lmax, mmax: layouts.pyshtools(lmax, mmax, "unnorm"),
    "orthonormal": lambda lmax, mmax: layouts.orthonormal(lmax, mmax),
}


def coefficients(lmax, mmax, batch=(), seed=1):
    return reference.random_coefficients(np.random.default_rng(seed), lmax, mmax, batch)


def values(a, lmax, mmax, theta, phi):
    """The field at points, by the definition alone."""
    theta, phi = np.broadcast_arrays(theta, phi)
    total = np.zeros(theta.shape)
    for value, l, m in zip(a, *sht.degrees_orders(lmax, mmax), strict=True):  # noqa: E741
        total += (2 if m else 1) * (value * sph_harm_y(l, m, theta, phi)).real
    return total


def assert_same(got, want, tolerance=1e-12):
    assert got.shape == want.shape
    assert np.max(np.abs(got - want)) <= tolerance * np.max(np.abs(want))


def random_theirs(layout, batch=(), seed=2):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((*batch, *layout.shape))
    if isinstance(layout, ComplexLayout):
        return x + 1j * rng.standard_normal(x.shape)
    return x


# The other libraries


def peer(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what they warn of at import is no concern of ours
        return pytest.importorskip(name)


@pytest.mark.parametrize(("lmax", "mmax"), TRUNCATIONS)
def test_healpy_has_ours(lmax, mmax):
    healpy = peer("healpy")
    a = coefficients(lmax, mmax)
    theirs = healpy.alm2map(a, 8, lmax=lmax, mmax=mmax)
    theta, phi = healpy.pix2ang(8, np.arange(768))
    assert_same(theirs, values(a, lmax, mmax, theta, phi))


@pytest.mark.parametrize("name", ["ours", "ducc0 dense", "ducc0 gaps"])
@pytest.mark.parametrize(("lmax", "mmax"), TRUNCATIONS)
def test_ducc0(lmax, mmax, name):
    ducc0 = peer("ducc0")
    a = coefficients(lmax, mmax)
    theta, nlon = np.array([0.3, 1.1, 2.9]), 64
    rings = {
        "theta": theta,
        "nphi": np.full(3, nlon, np.uint64),
        "phi0": np.zeros(3),
        "ringstart": np.arange(3, dtype=np.uint64) * nlon,
    }
    alm, starts = a, {}
    if name == "ducc0 dense":
        alm = LAYOUTS[name](lmax, mmax).unpack(a)
        starts = {"mstart": np.arange(mmax + 1, dtype=np.uint64), "lstride": mmax + 1}
    if name == "ducc0 gaps":
        alm = LAYOUTS[name](lmax, mmax).unpack(a)
        starts = {"mstart": np.uint64(7) + 3 * (lmax + 2) * np.arange(mmax + 1, dtype=np.uint64)}
        starts["lstride"] = 2
    theirs = ducc0.sht.synthesis(
        alm=alm[None], spin=0, lmax=lmax, mmax=mmax, nthreads=1, **rings, **starts
    )[0]
    phi = 2 * np.pi * np.arange(nlon) / nlon
    assert_same(theirs.reshape(3, nlon), values(a, lmax, mmax, theta[:, None], phi))


@pytest.mark.parametrize("csphase", [1, -1])
@pytest.mark.parametrize("normalization", ["4pi", "ortho", "schmidt", "unnorm"])
@pytest.mark.parametrize(("lmax", "mmax"), TRUNCATIONS[1:])
def test_pyshtools(lmax, mmax, normalization, csphase):
    pyshtools = peer("pyshtools")
    a = coefficients(lmax, mmax)
    layout = layouts.pyshtools(lmax, mmax, normalization, csphase)
    options = {"normalization": normalization, "csphase": csphase}
    theirs = pyshtools.SHCoeffs.from_array(layout.unpack(a), **options)
    grid = theirs.expand(grid="GLQ", extend=False)
    theta = np.pi / 2 - np.deg2rad(grid.lats())
    assert_same(grid.to_array(), values(a, lmax, mmax, theta[:, None], np.deg2rad(grid.lons())))
    assert_same(layout.pack(grid.expand(**options).to_array()), a)


@pytest.mark.parametrize("flags", ["", "no phase", "real norm", "both"])
@pytest.mark.parametrize("norm", ["ortho", "4pi", "schmidt"])
@pytest.mark.parametrize(("lmax", "mmax"), [(5, 2), (31, 17)])
def test_shtns(lmax, mmax, norm, flags):
    shtns = peer("shtns")
    names = {"ortho": "sht_orthonormal", "4pi": "sht_fourpi", "schmidt": "sht_schmidt"}
    no_phase, real_norm = flags in ("no phase", "both"), flags in ("real norm", "both")
    code = getattr(shtns, names[norm])
    code += no_phase * shtns.SHT_NO_CS_PHASE + real_norm * shtns.SHT_REAL_NORM
    plan = shtns.sht(lmax, mmax, 1, code)
    nlat, nlon = plan.set_grid(32, 64, shtns.sht_quick_init | shtns.SHT_PHI_CONTIGUOUS)
    degrees, orders = sht.degrees_orders(lmax, mmax)
    assert np.array_equal(plan.l, degrees)
    assert np.array_equal(plan.m, orders)
    a = coefficients(lmax, mmax)
    layout = layouts.shtns(lmax, mmax, norm, cs_phase=not no_phase, real_norm=real_norm)
    theta, phi = np.arccos(plan.cos_theta), 2 * np.pi * np.arange(nlon) / nlon
    field = plan.synth(layout.unpack(a))
    assert field.shape == (nlat, nlon)
    assert_same(field, values(a, lmax, mmax, theta[:, None], phi))
    assert_same(layout.pack(plan.analys(field)), a)


@pytest.mark.parametrize("csphase", [True, False])
def test_torch_harmonics(csphase):
    torch, peers = peer("torch"), peer("torch_harmonics")
    lmax, mmax, grid = 15, 15, sht.grids.FullGaussian(16, 32)
    options = {"grid": "legendre-gauss", "csphase": csphase}
    plan = peers.InverseRealSHT(16, 32, lmax + 1, mmax + 1, **options).double()
    a = coefficients(lmax, mmax)
    layout = layouts.torch_harmonics(lmax, mmax, csphase=csphase)
    theirs = plan(torch.from_numpy(layout.unpack(a))).numpy()
    # Its own order of latitudes is north to south in all versions that we know of.
    assert_same(theirs, reference.synthesis(a, grid, lmax))


def test_torch_harmonics_by_its_formula():
    """Sums of λ_lm [l, m] with brfft, and (-1)^m without phase: what its source says."""
    lmax, mmax, theta, nlon = 9, 6, np.array([0.4, 1.5, 2.2]), 16
    a = coefficients(lmax, mmax)
    for csphase in (True, False):
        dense = layouts.torch_harmonics(lmax, mmax, csphase=csphase).unpack(a)
        degrees, orders = np.ogrid[: lmax + 1, : mmax + 1]
        polynomials = sph_harm_y(degrees, orders, theta[:, None, None], 0.0).real
        polynomials *= 1.0 if csphase else (-1.0) ** orders
        rings = np.einsum("jlm,lm->jm", polynomials, dense)
        field = np.fft.irfft(rings, nlon, norm="forward")
        phi = 2 * np.pi * np.arange(nlon) / nlon
        assert_same(field, values(a, lmax, mmax, theta[:, None], phi))


def test_gauss_coefficients():
    """Schmidt's functions as textbooks have them, without Condon-Shortley phase."""
    n, m, theta, phi = 3, 2, 0.7, 1.9
    gh = np.zeros((2, 5, 5))
    gh[:, n, m] = 2.0, -3.0
    a = layouts.pyshtools(4, normalization="schmidt").pack(gh)
    schmidt = np.sqrt(2 * 1 / 120) * lpmv(m, n, np.cos(theta))  # 2 (n-m)!/(n+m)!; m is even
    want = schmidt * (2.0 * np.cos(m * phi) - 3.0 * np.sin(m * phi))
    assert abs(values(a, 4, 4, theta, phi) - want) <= 8 * EPS


# Every layout


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize(("lmax", "mmax"), TRUNCATIONS)
@pytest.mark.parametrize("name", LAYOUTS)
def test_pack_undoes_unpack(name, lmax, mmax, batch):
    layout = LAYOUTS[name](lmax, mmax)
    a = coefficients(lmax, mmax, batch)
    theirs = layout.unpack(a)
    assert theirs.shape == batch + layout.shape
    assert np.count_nonzero(theirs.view(np.float64)) == np.count_nonzero(a.view(np.float64))
    again = layout.pack(theirs)
    assert again.dtype == np.complex128
    assert np.all(np.abs(again - a) <= EPS * np.abs(a))
    if np.all(np.abs(layout.factor) == 1):
        assert np.array_equal(again, a)


@pytest.mark.parametrize("name", ["shtns schmidt", "ducc0 gaps", "pyshtools", "orthonormal"])
def test_single_precision(name):
    layout = LAYOUTS[name](5, 2)
    a = coefficients(5, 2)
    single = layout.unpack(a.astype(np.complex64))
    assert single.dtype in (np.complex64, np.float32)
    assert_same(single, layout.unpack(a), 1e-7)
    again = layout.pack(single)
    assert again.dtype == np.complex64
    assert_same(again, a, 2e-7)


@pytest.mark.parametrize("name", ["shtns schmidt", "torch-harmonics", "pyshtools", "orthonormal"])
def test_adjoints(name):
    layout = LAYOUTS[name](9, 6)
    a, x = coefficients(9, 6, (2,)), random_theirs(layout, (2,))
    a += 1j * np.random.default_rng(3).standard_normal(a.shape)  # of order 0 too
    for there, back, u, v in [
        (layout.unpack, layout.adjoint_unpack, a, x),
        (layout.pack, layout.adjoint_pack, x, a),
    ]:
        left, right = np.vdot(v, there(u)).real, np.vdot(back(v), u).real
        assert abs(left - right) <= 8 * EPS * np.linalg.norm(v) * np.linalg.norm(there(u))


def test_out_and_repr():
    layout = layouts.pyshtools(5, 2)
    a = coefficients(5, 2, (3,))
    out = np.full((3, 2, 6, 6), np.nan)
    assert layout.unpack(a, out=out) is out
    assert np.array_equal(out, layout.unpack(a))
    assert repr(layout) == "RealLayout: 15 packed coefficients as real (..., 2, 6, 6)"
    assert layout == layout
    assert layout != layouts.pyshtools(5, 2)


@pytest.mark.parametrize(("lmax", "mmax"), TRUNCATIONS)
def test_orthonormal_norm_is_the_fields(lmax, mmax):
    layout, grid = layouts.orthonormal(lmax, mmax), sht.grids.FullGaussian(40, 80)
    a = coefficients(lmax, mmax)
    a[: lmax + 1] += 1j  # which no field sees
    v = layout.unpack(a)
    assert v.shape == ((lmax + 1) ** 2 - (lmax - mmax) * (lmax - mmax + 1),)
    field = reference.synthesis(a, grid, lmax, mmax)
    assert abs(np.sum(grid.areas[:, None] * field**2) - v @ v) <= 1e-13 * (v @ v)
    # In the order that is documented
    parts = [a[: lmax + 1].real]
    for m in range(1, mmax + 1):
        of_order = a[sht.lm_index(np.arange(m, lmax + 1), m, lmax)]
        parts += [np.sqrt(2) * of_order.real, -np.sqrt(2) * of_order.imag]
    assert np.array_equal(v, np.concatenate(parts))


def test_unnormalised_functions_reach_degree_85():
    factor = layouts.normalisation(85, norm="unnorm")
    assert np.all(np.isfinite(1 / factor))
    # P_85,85 is 169!! at the Equator.
    double_factorial = np.prod(np.arange(1.0, 170.0, 2.0))
    want = -sph_harm_y(85, 85, np.pi / 2, 0.0).real / double_factorial
    assert abs(factor[-1] / want - 1) <= 1e-13


# Truncation

CHANGES = [
    ((5, 5), (3, 3)),
    ((3, 3), (5, 5)),
    ((9, 4), (7, 7)),
    ((9, 7), (12, 2)),
    ((4, 4), (4, 4)),
]


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize(("old", "new"), CHANGES)
def test_truncate(old, new, batch):
    a, b = coefficients(*old, batch=batch), coefficients(*new, batch=batch, seed=4)
    got = layouts.truncate(a, old[0], new[0], old[1], new[1])
    dense = np.zeros((*batch, new[0] + 1, new[1] + 1), complex)
    l, m = min(old[0], new[0]) + 1, min(old[1], new[1]) + 1  # noqa: E741
    dense[..., :l, :m] = sht.unpack(a, *old)[..., :l, :m]
    assert np.array_equal(got, sht.pack(dense))
    # Its adjoint is the way back, exactly.
    back = layouts.truncate(b, new[0], old[0], new[1], old[1])
    error = abs(np.vdot(b, got).real - np.vdot(back, a).real)
    assert error <= 8 * EPS * np.linalg.norm(a) * np.linalg.norm(b)


def test_truncate_is_triangular_unless_told_and_keeps_precision():
    a = coefficients(5, 5).astype(np.complex64)
    assert layouts.truncate(a, 5, 2).dtype == np.complex64
    assert layouts.truncate(a, 5, 2).shape == (6,)


# Inside a user's function


@njit()
def real_unknowns(v, weight, layout, a, low, lmax, mmax, low_max):
    """A loss of real unknowns: cubic, and of low degrees more."""
    layouts.pack_real_into(a, v, layout)
    layouts.truncate_into(low, a, lmax, mmax, low_max, low_max)
    total = 0.0
    for k in range(a.size):
        total += weight[k] * a[k].real ** 3 - a[k].imag ** 2 * a[k].real
    for k in range(low.size):
        total += low[k].real ** 2 * low[k].imag
    return total


def real_by_hand(v, weight, layout, a, low, lmax, mmax, low_max):
    a = layout.pack(v)
    cotangent = 3 * weight * a.real**2 - a.imag**2 - 2j * a.imag * a.real
    low = layouts.truncate(a, lmax, low_max, mmax)
    x, y = np.real(low), np.imag(low)
    low_cotangent = 2 * x * y + 1j * x**2
    cotangent += layouts.truncate(low_cotangent, low_max, lmax, None, mmax)
    return layout.adjoint_pack(cotangent)


@njit()
def complex_unknowns(a, weight, layout, theirs, back):
    """A loss of what is unpacked and of what is packed again."""
    layouts.unpack_complex_into(theirs, a, layout)
    for i in range(theirs.shape[0]):
        for j in range(theirs.shape[1]):
            z = theirs[i, j]
            theirs[i, j] = z * z
    layouts.pack_complex_into(back, theirs, layout)
    total = 0.0
    for k in range(a.size):
        total += weight[k] * back[k].real + back[k].imag
    return total


def complex_by_hand(a, weight, layout, theirs, back):
    cotangent = layout.adjoint_pack(weight + 1j)
    return layout.adjoint_unpack(2 * np.conj(layout.unpack(a)) * cotangent)


def real_case():
    lmax, mmax = 7, 5
    layout = layouts.orthonormal(lmax, mmax)
    n = sht.ncoef(lmax, mmax)
    rng = np.random.default_rng(5)
    buffers = np.zeros(n, complex), np.zeros(sht.ncoef(4), complex)
    return (rng.standard_normal(layout.shape), rng.standard_normal(n), layout, *buffers) + (
        lmax,
        mmax,
        4,
    )


def complex_case():
    layout = layouts.torch_harmonics(7, 5, csphase=False)
    a = coefficients(7, 5)
    weight = np.random.default_rng(6).standard_normal(a.size)
    return a, weight, layout, np.zeros(layout.shape, complex), np.zeros_like(a)


@pytest.mark.parametrize(
    ("function", "by_hand", "arguments"),
    [
        (real_unknowns, real_by_hand, real_case()),
        (complex_unknowns, complex_by_hand, complex_case()),
    ],
    ids=["real", "complex"],
)
def test_gradients(function, by_hand, arguments):
    x, rest = arguments[0], arguments[1:]
    tables = [np.copy(table) for table in rest[1][2:]]
    value, gradient = value_and_grad(function)(x, *rest)
    want = by_hand(x, *rest)
    assert_same(gradient, want, 8 * EPS)
    rng = np.random.default_rng(7)
    direction = rng.standard_normal(x.shape).astype(x.dtype)
    if np.iscomplexobj(x):
        direction += 1j * rng.standard_normal(x.shape)
    primal, tangent = jvp(function, arguments, (direction,) + (None,) * len(rest))
    slope = np.vdot(gradient, direction).real
    assert abs(primal - value) <= 8 * EPS * abs(value)
    assert abs(tangent - slope) <= 1e-13 * np.linalg.norm(gradient) * np.linalg.norm(direction)
    step = 1e-5
    ahead, behind = (function(x + s * direction, *rest) for s in (step, -step))
    assert abs((ahead - behind) / (2 * step) - slope) <= 1e-7 * np.linalg.norm(gradient)
    assert all(np.array_equal(*pair) for pair in zip(tables, rest[1][2:], strict=True))


# Bad input


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: layouts.shtns(3, norm="unnorm"), ValueError, r"shtns.*norm of .* Got 'unnorm'"),
        (lambda: layouts.pyshtools(3, normalization="4π"), ValueError, r"Got '4π'"),
        (lambda: layouts.pyshtools(3, csphase=0), ValueError, r"csphase = 1 .* Got 0"),
        (lambda: layouts.pyshtools(86, normalization="unnorm"), ValueError, r"beyond degree 85"),
        (lambda: layouts.normalisation(3, norm="4"), ValueError, r"Got '4'"),
        (lambda: layouts.orthonormal(3, 4), ValueError, r"mmax <= lmax"),
        (lambda: layouts.ducc0(3, mstart=[0, 1]), ValueError, r"one integer .* Got int64 of shape"),
        (lambda: layouts.ducc0(1, mstart=[0, 0]), ValueError, r"a place of its own"),
        (lambda: layouts.ducc0(1, mstart=[0, -2]), ValueError, r"at 0 or later"),
        (lambda: layouts.ducc0(1, mstart=[0, 1], lstride=-1), ValueError, r"lstride >= 0"),
        (lambda: layouts.torch_harmonics(-1), ValueError, r"lmax >= 0"),
        (
            lambda: layouts.pyshtools(2).pack(np.zeros((2, 4, 4))),
            ValueError,
            r"`layout.pack\(theirs\)` needs shape \(..., 2, 3, 3\). Got \(2, 4, 4\)",
        ),
        (
            lambda: layouts.pyshtools(2).unpack(np.zeros(6)),
            TypeError,
            r"`layout.unpack\(a\)` needs dtype complex128. Got float64",
        ),
        (
            lambda: layouts.truncate(np.zeros(5, complex), 2, 3),
            ValueError,
            r"`truncate\(a, lmax, .*\)` needs shape \(..., 6\). Got \(5,\)",
        ),
        (
            lambda: layouts.truncate_into(np.zeros(3, complex), np.zeros(6, complex), 2, 2, 2, 2),
            ValueError,
            r"needs ncoef\(lmax, mmax\) of them",
        ),
        (
            lambda: layouts.unpack_real_into(
                np.zeros(8), np.zeros(6, complex), layouts.orthonormal(2)
            ),
            ValueError,
            r"need `theirs` of shape `layout.shape`",
        ),
        (
            lambda: layouts.pack_complex_into(
                np.zeros(5, complex), np.zeros(6, complex), layouts.shtns(2)
            ),
            ValueError,
            r"one coefficient for each entry",
        ),
    ],
)
def test_bad_input_is_told(call, error, match):
    with pytest.raises(error, match=match):
        call()
