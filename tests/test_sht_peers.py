"""The four maps against ducc0, healpy, SHTns and pyshtools, on every grid that they have."""

import numpy as np
import pytest

import sht
from sht.grids import FullGaussian, HEALPix, OctahedralGaussian, Rings
from tests.sht_cases import (
    CASES,
    Case,
    cases_and_maps,
    difference,
    given_to,
    random_pair,
)

# They fold orders beyond Nyquist: on grids where none are kept, all ways are the same.
SAME_AS_PEERS = [
    case
    for case in CASES
    if case.dtype == "float64"
    and case.orders == "all"
    and np.array_equal(case.kept, np.full(case.grid.nlat, case.highest_order))
]


def relative(got, want):
    """In the L2 norm."""
    assert got.shape == want.shape
    return np.linalg.norm(got - want) / max(np.linalg.norm(want), 1e-300)


def of_ducc0(case, name, given, nthreads=1):
    """A map of one field by ducc0, whose coefficients of order m > 0 stand for those of -m, too.

    It has no quadrature of its own for rings: analysis is the adjoint of the weighted field.
    """
    ducc0 = pytest.importorskip("ducc0")
    grid = case.grid
    geometry = {
        "theta": grid.theta,
        "nphi": grid.nlon.astype(np.uint64),
        "phi0": grid.phi0,
        "ringstart": grid.offsets[:-1].astype(np.uint64),
        "lmax": case.lmax,
        "mmax": case.highest_order,
        "spin": case.spin,
        "nthreads": nthreads,
    }
    count = 2 if case.spin else 1
    areas = np.repeat(grid.areas, grid.nlon)
    both = np.where(case.degrees_orders[1] > 0, 2.0, 1.0)
    if name in ("synthesis", "adjoint_analysis"):
        a = case.padded(given if name == "synthesis" else given / both).reshape(count, -1)
        field = ducc0.sht.synthesis(alm=a, **geometry)
        field = field if name == "synthesis" else areas * field
        return field.reshape(given.shape[:-1] + grid.shape)
    points = given.reshape(count, -1)
    points = areas * points if name == "analysis" else points
    a = ducc0.sht.adjoint_synthesis(map=points, **geometry)[:, case.in_triangle]
    return (a if name == "analysis" else both * a).reshape(
        *given.shape[: given.ndim - len(grid.shape)], -1
    )


@pytest.mark.parametrize(
    ("case", "name"), cases_and_maps(SAME_AS_PEERS, ("synthesis", "analysis")), ids=str
)
def test_equals_ducc0(case, name):
    given = given_to(name, case.transform(), 1)
    got = getattr(case.transform(), name)(given)
    if case.spin > case.lmax:
        assert not np.any(got)  # ducc0 refuses
    else:
        assert difference(got, of_ducc0(case, name, given)) <= 1e-12


HIGH = [
    *(Case(FullGaussian.for_lmax(lmax), lmax) for lmax in (255, 511)),
    Case(FullGaussian.for_lmax(1023), 1023),
    Case(OctahedralGaussian.for_lmax(255), 255, aliasing="fold"),
    Case(HEALPix(128), 255, spin=2, aliasing="fold"),
]


@pytest.mark.parametrize(
    ("case", "name"),
    [
        *cases_and_maps(HIGH, ("synthesis", "analysis")),
        *cases_and_maps([HIGH[1], *HIGH[3:]], ("adjoint_synthesis", "adjoint_analysis")),
    ],
    ids=str,
)
def test_equals_ducc0_at_high_degrees(case, name):
    # L2 norms: of single points, those near a pole are worse. There P_l(cos θ) changes by l² / 2
    # of a change of cos θ, so that its rounding alone, eps / 2, is an error ~ l² eps in every
    # program that starts from cos θ, ours and ducc0's among them.
    given = given_to(name, case.transform(), 2)
    want = of_ducc0(case, name, given)
    assert relative(getattr(case.transform(), name)(given), want) <= 1e-12


@pytest.mark.parametrize(
    ("nside", "lmax", "mmax"), [(1, 3, 2), (4, 8, 8), (32, 63, 63), (32, 80, 40)]
)
def test_equals_healpy(nside, lmax, mmax):
    healpy = pytest.importorskip("healpy")
    t = sht.Transform(lmax, HEALPix(nside), mmax, threads=1, aliasing="fold")
    a, f = random_pair(t, 3)
    assert difference(t.synthesis(a), healpy.alm2map(a, nside, lmax, mmax)) <= 1e-12
    assert difference(t.analysis(f), healpy.map2alm(f, lmax, mmax, iter=0)) <= 1e-12
    for spin in (1, 2, 3):
        t = sht.SpinTransform(spin, lmax, HEALPix(nside), mmax, threads=1, aliasing="fold")
        a, f = random_pair(t, 4)
        want = np.array(healpy.alm2map_spin(list(a), nside, spin, lmax, mmax))
        assert difference(t.synthesis(a), want) <= 1e-12
        want = np.array(healpy.map2alm_spin(list(f), spin, lmax, mmax))
        assert difference(t.analysis(f), want) <= 1e-12


@pytest.mark.parametrize(("lmax", "mmax", "nlat", "nlon"), [(15, 15, 32, 48), (42, 30, 64, 128)])
def test_equals_shtns_on_gauss(lmax, mmax, nlat, nlon):
    shtns = pytest.importorskip("shtns")
    peer = shtns.sht(lmax, mmax)
    peer.set_grid(nlat, nlon, shtns.sht_gauss | shtns.SHT_PHI_CONTIGUOUS, 0)
    t = sht.Transform(lmax, FullGaussian(nlat, nlon), mmax, threads=1)
    a, f = random_pair(t, 5)
    assert difference(t.synthesis(a), peer.synth(a)) <= 1e-12
    assert difference(t.analysis(f), peer.analys(f.copy())) <= 1e-12
    # A gradient of S and a curl of T, in degrees from 1 on: ours are scaled with sqrt(l (l + 1)).
    t = sht.SpinTransform(1, lmax, FullGaussian(nlat, nlon), mmax, threads=1)
    (s, toroidal), f = random_pair(t, 6)
    root = np.sqrt(t.degrees * (t.degrees + 1.0))
    field = np.array(peer.synth(s, toroidal))
    assert difference(t.synthesis(np.stack([root * s, -root * toroidal])), field) <= 1e-12
    want = np.array(peer.analys(*f.copy()))
    assert difference(t.analysis(f) * np.array([[1.0], [-1.0]]), root * want) <= 1e-12


def test_equals_shtns_on_equal_steps():
    shtns = pytest.importorskip("shtns")
    lmax, nlat, nlon = 21, 48, 64
    peer = shtns.sht(lmax, lmax)
    peer.set_grid(nlat, nlon, shtns.sht_reg_fast | shtns.SHT_PHI_CONTIGUOUS, 0)
    theta = np.arccos(peer.cos_theta)
    t = sht.Transform(lmax, Rings(theta, nlon), threads=1)
    a, _ = random_pair(t, 7)
    assert difference(t.synthesis(a), peer.synth(a)) <= 1e-12


@pytest.mark.parametrize("lmax", [0, 5, 30])
def test_equals_pyshtools_on_its_gauss_grid(lmax):
    expand = pytest.importorskip("pyshtools").expand
    t = sht.Transform(lmax, FullGaussian(lmax + 1, 2 * lmax + 1), threads=1)
    a, f = random_pair(t, 8)
    zeros, weights = expand.SHGLQ(lmax)
    # Real harmonics, orthonormal, with the Condon-Shortley phase: √2 cos mφ, √2 sin mφ for m > 0.
    root = np.where(t.orders > 0, np.sqrt(2.0), 1.0)
    real = np.zeros((2, lmax + 1, lmax + 1))
    real[:, t.degrees, t.orders] = root * np.real(a), -root * np.imag(a)
    want = expand.MakeGridGLQ(real, zeros, norm=4, csphase=-1)
    assert difference(t.synthesis(a), want) <= 1e-12
    cosine, sine = expand.SHExpandGLQ(f, weights, zeros, norm=4, csphase=-1)
    want = (cosine - 1j * sine)[t.degrees, t.orders] / root
    assert difference(t.analysis(f), want) <= 1e-12
