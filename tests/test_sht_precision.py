"""Single precision against double, and double against ducc0 at the highest degrees."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import sht
from sht.grids import FullClenshaw, FullGaussian, OctahedralGaussian
from tests.sht_cases import EPS, Case, given_to
from tests.test_sht_peers import of_ducc0, relative

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("lmax", [31, 127, 255, 511])
@pytest.mark.parametrize(
    ("grid", "name"),
    [
        (FullGaussian, "synthesis"),
        (FullGaussian, "analysis"),
        (OctahedralGaussian, "synthesis"),
        (OctahedralGaussian, "analysis"),
        (OctahedralGaussian, "adjoint_synthesis"),
        (OctahedralGaussian, "adjoint_analysis"),
    ],
)
def test_single_precision(grid, name, lmax):
    """1e-6 in the L2 norm: sums over degrees are taken in double, those of FFTs in single."""
    single = Case(grid.for_lmax(lmax), lmax, dtype="float32").transform()
    double = Case(grid.for_lmax(lmax), lmax).transform()
    given = given_to(name, single, 1)
    want = getattr(double, name)(given.astype(np.result_type(given, np.float64)))
    got = getattr(single, name)(given)
    assert got.dtype == (np.complex64 if np.iscomplexobj(want) else np.float32)
    assert relative(got, want) <= 1e-6


def zonal_sum(theta, c):
    """Σ λ_l0 c_l in long double: even and odd degrees together, at colatitudes in long double."""
    x, long = np.cos(theta), np.longdouble
    before, now = np.zeros_like(x), np.full_like(x, 1 / np.sqrt(4 * np.arccos(long(-1))))
    total = np.zeros_like(x)
    for l in range(len(c)):  # noqa: E741
        total += c[l] * now
        here, above = (long(n) / np.sqrt(abs(4 * long(n) ** 2 - 1)) for n in (l, l + 1))
        before, now = now, (x * now - here * before) / above
    return total


def order_one_sums(theta, c):
    """Σ λ_l1' c_l and Σ λ_l1 / sin θ c_l, divided by sqrt(l(l+1)), as `zonal_sum`."""
    x, long = np.cos(theta), np.longdouble
    here, above = long(0), np.sqrt(long(3) / 15)
    before, now = np.zeros_like(x), np.full_like(x, -np.sqrt(3 / (8 * np.arccos(long(-1)))))
    slope, quotient = np.zeros_like(x), np.zeros_like(x)
    for l, value in enumerate(c, 1):  # noqa: E741
        after = (x * now - here * before) / above
        scaled = value / np.sqrt(long(l) * (l + 1))
        slope += scaled * (l * above * after - (l + 1) * here * before)
        quotient += scaled * now
        before, now = now, after
        here, above = above, np.sqrt((long(l + 2) ** 2 - 1) / (4 * long(l + 2) ** 2 - 1))
    return slope, quotient


in_long_double = pytest.mark.skipif(
    float(np.finfo(np.longdouble).eps) > 1e-18, reason="long double is double here"
)


@in_long_double
def test_vectors_next_to_poles_and_equator():
    """Order 1, the one that is not 0 at the poles; as a transform of spin 1 it is 4e-12 there."""
    lmax, n = 1023, 1025
    t = sht.VectorTransform(lmax, FullClenshaw(n, 4), mmax=1, threads=1, planning="estimate")
    c = np.random.default_rng(1).standard_normal(lmax)
    theta = np.arange(1, n + 1, dtype=np.longdouble) / (n + 1) * np.arccos(np.longdouble(-1))
    slope, quotient = order_one_sums(theta, c)
    eb = np.zeros(t.coefficients.shape, complex)
    eb[0, t.orders == 1] = c
    (q, _, _, _), (_, u, _, _) = t.synthesis(eb).swapaxes(-1, -2)  # by longitude
    for got, want in ((q, 2 * slope), (u, -2 * quotient)):
        assert np.max(np.abs(got - want)) <= 4 * EPS * lmax * np.max(np.abs(want))


@in_long_double
def test_rings_next_to_poles_and_equator():
    """An error that grows as lmax: with cos θ alone, rounded, it is 1.5e-11 at a pole."""
    lmax, n = 2047, 2049
    t = sht.Transform(lmax, FullClenshaw(n, 4), mmax=0, threads=1, planning="estimate")
    c = np.random.default_rng(1).standard_normal(t.ncoef)
    theta = np.arange(1, n + 1, dtype=np.longdouble) / (n + 1) * np.arccos(np.longdouble(-1))
    assert np.max(np.abs(t.grid.theta - theta)) <= 4 * EPS
    want = zonal_sum(theta, c)
    error = np.abs(t.synthesis(c + 0j)[:, 0] - want) / np.max(np.abs(want))
    assert np.max(error) <= 4 * EPS * lmax


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lmax", "spin", "allowed"), [(2047, 0, 1e-12), (2047, 2, 1e-12), (4095, 0, 1e-11)]
)
def test_equals_ducc0_at_the_highest_degrees(lmax, spin, allowed):
    """In the L2 norm on the sphere. Single rings next to a pole differ by more, since there ducc0
    has the error of a rounded cos θ.
    """
    case = Case(FullGaussian(lmax + 1, 2 * lmax + 2), lmax, spin=spin)
    t = case.transform(threads=2)
    root = np.sqrt(case.grid.areas)[:, None]
    a = given_to("synthesis", t, 1)
    want = of_ducc0(case, "synthesis", a, nthreads=2)
    assert relative(root * t.synthesis(a), root * want) <= allowed
    field = given_to("analysis", t, 2)
    assert relative(t.analysis(field), of_ducc0(case, "analysis", field, nthreads=2)) <= allowed


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux")
def test_memory_at_t2047():
    """4 GB for everything, field and coefficients and both adjoints included."""
    code = """
import numpy as np, sht

t = sht.Transform(2047, sht.grids.FullGaussian(2048, 4096), threads=2)
a = t.analysis(t.synthesis(np.ones(*t.coefficients)))
t.adjoint_synthesis(t.adjoint_analysis(a))
# Not `ru_maxrss`, which starts from what the process that started this one has.
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert 1024 * int(done.stdout) < 4e9
