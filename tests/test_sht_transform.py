"""Synthesis and analysis: against the reference, scipy, known values, and each other."""

import pickle

import numpy as np
import pytest
from scipy import special

import sht
from sht.grids import FullGaussian
from tests.sht_cases import (
    BATCHES,
    CASES,
    EPS,
    SIZES,
    TINY,
    cases_and_maps,
    difference,
    given_to,
    name_of,
    random_pair,
    tolerance,
    transform,
)

FORWARDS = ("synthesis", "analysis")
every_case = pytest.mark.parametrize(("case", "name"), cases_and_maps(CASES, FORWARDS), ids=str)
exact_case = pytest.mark.parametrize("case", [case for case in CASES if case.exact], ids=str)
every = pytest.mark.parametrize("size", SIZES, ids=name_of)
tiny = pytest.mark.parametrize("size", TINY, ids=name_of)


# Against other programs


@pytest.mark.parametrize("batch", [(), (2, 1)], ids=str)
@every_case
def test_equals_the_reference(case, name, batch):
    t = case.transform()
    given = given_to(name, t, 1, batch)
    assert difference(getattr(t, name)(given), case.reference(name, given)) <= case.tolerance


@every
def test_equals_sums_over_scipys_harmonics(size):
    t = transform(*size)
    a, f = random_pair(t, 2)
    degrees, orders = sht.degrees_orders(t.lmax, t.mmax)
    harmonics = special.sph_harm_y(degrees, orders, t.grid.theta[:, None], 0.0).real
    phases = np.exp(1j * np.deg2rad(t.grid.longitudes[0]) * np.arange(t.mmax + 1)[:, None])
    both = np.where(np.arange(t.mmax + 1) > 0, 2.0, 1.0)[:, None]
    column = orders == np.arange(t.mmax + 1)[:, None]
    sums = np.array([harmonics[:, k] @ a[k] for k in column])
    want = (sums.T @ (both * phases)).real
    assert difference(t.synthesis(a), want) <= 1e-12
    moments = (t.grid.areas[:, None] * f) @ phases.conj().T
    want = np.concatenate([moments[:, m] @ harmonics[:, k] for m, k in enumerate(column)])
    assert difference(t.analysis(f), want) <= 1e-12


# Known values


@every
def test_a_constant_field(size):
    t = transform(*size)
    a = np.zeros(t.ncoef, np.complex128)
    a[0] = 2 * np.sqrt(np.pi) * 7.0
    field = np.full(t.grid.shape, 7.0)
    # As chirps, rings of 90 points are a convolution of 126.
    assert np.max(np.abs(t.synthesis(a) - field)) <= 8 * EPS * 7
    assert difference(t.analysis(field), a) <= 20 * EPS


def test_signs_have_the_condon_shortley_phase():
    t = transform(5, 5, 7, 12)
    phi = np.deg2rad(t.grid.longitudes)
    sine, cosine = t.grid.sin_theta[:, None], t.grid.cos_theta[:, None]
    unit = np.sqrt(3 / (8 * np.pi))
    known = {
        (1, 0): (1, np.sqrt(3 / (4 * np.pi)) * cosine * np.ones_like(phi)),
        # a(1, 1) and its mirror: 2 Re(Y_11) = -2 sqrt(3 / 8π) sin θ cos φ
        (1, 1): (1, -2 * unit * sine * np.cos(phi)),
        (2, 1): (1j, 2 * np.sqrt(15 / (8 * np.pi)) * sine * cosine * np.sin(phi)),
        (2, 2): (1, 2 * np.sqrt(15 / (32 * np.pi)) * sine**2 * np.cos(2 * phi)),
    }
    for (l, m), (value, field) in known.items():  # noqa: E741
        a = np.zeros(t.ncoef, np.complex128)
        a[sht.lm_index(l, m, t.lmax)] = value
        assert np.max(np.abs(t.synthesis(a) - field)) <= 8 * EPS
        assert np.max(np.abs(t.analysis(field) - a)) <= 16 * EPS


@pytest.mark.parametrize("size", [(5, 5, 7, 12), (9, 8, 17, 19)], ids=name_of)
def test_each_coefficient_gives_its_harmonic(size):
    t = transform(*size)
    degrees, orders = sht.degrees_orders(t.lmax, t.mmax)
    theta, phi = t.grid.theta[:, None], np.deg2rad(t.grid.longitudes)
    harmonics = special.sph_harm_y(degrees[:, None, None], orders[:, None, None], theta, phi)
    both = np.where(orders > 0, 2.0, 1.0)[:, None, None]  # a(l, -m) Y(l, -m) is the conjugate
    unit = np.eye(t.ncoef)
    for factor in (1, 1j):
        fields = both * (factor * harmonics).real
        assert difference(t.synthesis(factor * unit + 0j), fields) <= tolerance(t.lmax)
        want = np.where(orders > 0, factor, np.real(factor)) * unit
        assert difference(t.analysis(fields), want + 0j) <= 2 * tolerance(t.lmax)


# There and back


@exact_case
def test_round_trip_from_the_spectrum(case):
    t = case.transform()
    a, _ = random_pair(t, 5, (2,))
    if case.spin:
        a[..., t.degrees < case.spin] = 0.0
    # Short rings of octahedral grids leave out some 1e-12 where lmax = n - 1: see docs/grids.md.
    allowed = 2 * case.tolerance + (0.0 if case.grid.full else 5e-12)
    assert difference(t.analysis(t.synthesis(a)), a) <= allowed


@tiny
def test_round_trip_from_the_spectrum_is_the_identity(size):
    t = transform(*size)
    unit = np.eye(t.ncoef) + 0j
    again = t.analysis(t.synthesis(np.concatenate([unit, 1j * unit])))
    again = np.concatenate([again.real, again.imag], axis=-1)
    want = np.eye(2 * t.ncoef)
    null = t.ncoef + np.arange(t.lmax + 1)  # the imaginary parts of order 0 have no effect
    want[null, null] = 0
    assert np.max(np.abs(again - want)) <= 10 * EPS


@exact_case
def test_round_trip_from_the_grid_is_a_projection(case):
    t = case.transform()
    _, f = random_pair(t, 6)
    once = t.synthesis(t.analysis(f))
    again = t.synthesis(t.analysis(once))
    assert np.max(np.abs(again - once)) <= 2 * case.tolerance * np.max(np.abs(f))


@tiny
def test_that_projection_has_fewer_freedoms_than_the_grid_has_points(size):
    """Why the gradient of the round trip is not 1 if it starts from a field with short waves.

    The Jacobian P projects onto the fields of degrees up to lmax: its trace is their number, while
    the identity's would be the number of points. What the grid can hold beyond lmax is lost on the
    way, and so is its share of the gradient; only on fields of low degree P is the identity.
    """
    t = transform(*size)
    points = np.eye(t.grid.npoints).reshape(-1, *t.grid.shape)
    p = t.synthesis(t.analysis(points)).reshape(t.grid.npoints, -1).T
    assert np.max(np.abs(p @ p - p)) <= 20 * EPS
    freedoms = 2 * t.ncoef - (t.lmax + 1)
    assert abs(np.trace(p) - freedoms) <= 4 * EPS * t.grid.npoints
    areas = np.repeat(t.grid.areas, t.grid.nlon)
    assert np.max(np.abs(areas[:, None] * p - (areas[:, None] * p).T)) <= 20 * EPS  # orthogonal
    a, _ = random_pair(t, 7)
    low = t.synthesis(a).ravel()
    assert np.max(np.abs(p @ low - low)) <= 40 * EPS * np.max(np.abs(low))
    if freedoms < t.grid.npoints:
        assert np.max(np.abs(p - np.eye(t.grid.npoints))) > 0.01


@exact_case
def test_parseval(case):
    t = case.transform()
    a, _ = random_pair(t, 8)
    field = t.synthesis(a).reshape(-1, case.grid.npoints).astype(np.float64)
    energy = np.sum(field**2 @ np.repeat(case.grid.areas, case.grid.nlon))
    both = np.where(t.orders > 0, 2.0, 1.0) * (t.degrees >= case.spin)
    want = np.sum(both * np.abs(a) ** 2)
    assert abs(energy - want) <= 2 * case.tolerance * want


@every_case
def test_linear(case, name):
    t = case.transform()
    given, transformed = given_to(name, t, 9, (2,)), getattr(t, name)
    parts = transformed(given)
    whole = transformed(2 * given[0] - 3 * given[1])
    eps = np.finfo(case.dtype).eps
    assert difference(whole, 2 * parts[0] - 3 * parts[1]) <= 8 * eps * np.sqrt(t.lmax + 1)
    # A power of two and a sign round nothing.
    assert np.array_equal(transformed(-4 * given), -4 * parts)


@every_case
def test_imaginary_parts_of_order_zero(case, name):
    t = case.transform()
    given, zero = given_to(name, t, 10), t.orders == 0
    if name == "synthesis":
        other = given.copy()
        other[..., zero] += 1j
        assert np.array_equal(t.synthesis(other), t.synthesis(given))
    else:
        assert not np.any(t.analysis(given).imag[..., zero])


# Same bits, whatever the way


@every
def test_same_input_twice(size):
    t = transform(*size)
    a, f = random_pair(t, 12)
    first = t.synthesis(a), t.analysis(f)
    t.synthesis(1j * a)  # leaves other numbers in the work space
    assert np.array_equal(t.synthesis(a), first[0])
    t.analysis(f**2)
    assert np.array_equal(t.analysis(f), first[1])


def layouts(given):
    """The same numbers with other strides."""
    yield "Fortran order", np.asfortranarray(given)
    yield "transposed", np.moveaxis(np.ascontiguousarray(np.moveaxis(given, 0, -1)), -1, 0)
    wide = np.zeros((*given.shape[:-1], 2 * given.shape[-1]), given.dtype)
    wide[..., ::2] = given
    yield "every second", wide[..., ::2]
    yield "backwards", np.ascontiguousarray(given[..., ::-1])[..., ::-1]
    read_only = given.copy()
    read_only.setflags(write=False)
    yield "read-only", read_only


@pytest.mark.parametrize("size", [(1, 1, 3, 4), (9, 8, 17, 19), (31, 17, 48, 96)], ids=name_of)
def test_any_strides(size):
    t = transform(*size)
    for transformed, given in zip((t.synthesis, t.analysis), random_pair(t, 13, (3,)), strict=True):
        want, kept = transformed(given), given.copy()
        for name, same in layouts(given):
            assert np.array_equal(transformed(same), want), name
            assert np.array_equal(same, kept), name
        assert np.array_equal(transformed(np.broadcast_to(given[1], given.shape))[2], want[1])
        assert np.array_equal(transformed(given[1].tolist()), want[1])


def off_alignment(given):
    """The same numbers where SIMD code would not have them: 8 bytes beyond a multiple of 16."""
    shifted = np.zeros(given.nbytes + 24, np.uint8)
    start = -shifted.ctypes.data % 16 + 8
    shifted = shifted[start : start + given.nbytes].view(given.dtype).reshape(given.shape)
    shifted[...] = given
    assert shifted.ctypes.data % 16 == 8
    return shifted


@pytest.mark.parametrize("size", [(9, 8, 17, 19), (31, 31, 33, 64), (31, 17, 48, 96)], ids=name_of)
def test_any_alignment(size):
    # FFTW has another plan for such arrays, which may round otherwise.
    t = transform(*size)
    a, f = random_pair(t, 17)
    out = np.full_like(f, np.nan), np.full_like(a, np.nan)
    for transformed, given, result in zip((t.synthesis, t.analysis), (a, f), out, strict=True):
        result = off_alignment(result)
        transformed(off_alignment(given), out=result)
        assert difference(result, transformed(given)) <= 8 * EPS


@pytest.mark.parametrize("batch", [*BATCHES, (0,), (2, 0, 3)], ids=str)
def test_leading_axes(batch):
    t = transform(9, 8, 17, 19)
    a, f = random_pair(t, 14, batch)
    assert t.synthesis(a).shape == (*batch, *t.grid.shape)
    assert t.analysis(f).shape == (*batch, t.ncoef)
    for index in np.ndindex(batch):
        assert np.array_equal(t.synthesis(a)[index], t.synthesis(a[index]))
        assert np.array_equal(t.analysis(f)[index], t.analysis(f[index]))


@pytest.mark.parametrize("batch", [(), (3,)], ids=str)
@pytest.mark.parametrize("size", [(5, 5, 7, 12), (31, 31, 33, 64)], ids=name_of)
def test_out(size, batch):
    t = transform(*size)
    for transformed, given in zip(
        (t.synthesis, t.analysis), random_pair(t, 15, batch), strict=True
    ):
        want = transformed(given)
        for _, out in layouts(np.full_like(want, np.nan) if batch else want[None]):
            out = out if batch else out[0]
            if out.flags.writeable:
                out[...] = np.nan
                assert transformed(given, out=out) is out
                assert np.array_equal(out, want)
        wide = np.full((*want.shape[:-1], want.shape[-1] + 4), 7.0, want.dtype)
        transformed(given, out=wide[..., 2:-2])
        assert np.array_equal(wide[..., 2:-2], want)
        assert np.all(wide[..., :2] == 7)
        assert np.all(wide[..., -2:] == 7)


def test_pickled_and_shown():
    t = sht.Transform(9, FullGaussian(17, 19), mmax=8, threads=3)
    same = pickle.loads(pickle.dumps(t))  # noqa: S301
    assert (same.lmax, same.mmax, same.grid, same.threads) == (9, 8, t.grid, 3)
    a, _ = random_pair(t, 16)
    assert np.array_equal(same.synthesis(a), t.synthesis(a))
    assert repr(t).startswith(
        f"Transform(lmax=9, mmax=8): {t.ncoef} coefficients (..., {t.ncoef}), complex128\n"
        "  on FullGaussian(nlat=17, nlon=19)"
    )
