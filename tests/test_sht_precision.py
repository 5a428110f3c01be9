"""Single precision against double, and double against ducc0 at the highest degrees."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sht.grids import FullGaussian, OctahedralGaussian
from tests.sht_cases import Case, given_to
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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lmax", "spin", "allowed"), [(2047, 0, 1e-12), (2047, 2, 1e-12), (4095, 0, 1e-11)]
)
def test_equals_ducc0_at_the_highest_degrees(lmax, spin, allowed):
    """In the L2 norm on the sphere. Single rings next to a pole are worse, as with ducc0: there the
    rounding of cos θ is an error of l² eps.
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
def test_memory_at_t2047():
    """4 GB for everything, field and coefficients and both adjoints included."""
    code = """
import resource, sys
import numpy as np, sht

t = sht.Transform(2047, sht.grids.FullGaussian(2048, 4096), threads=2)
a = t.analysis(t.synthesis(np.ones(*t.coefficients)))
t.adjoint_synthesis(t.adjoint_analysis(a))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(peak if sys.platform == "darwin" else 1024 * peak)
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 4e9
