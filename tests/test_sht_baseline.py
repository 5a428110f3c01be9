"""Processors without AVX-512, and without any AVX: other vectors and tiles, the same results."""

import platform
import subprocess
import sys

import pytest

# Hides what the processor has before anything asks; both LLVM's passes and the kernels look there.
_PROGRAM = """
import sys
import llvmlite.binding as llvm
from llvmlite.binding import targets

hidden, cpu = sys.argv[1].split(","), sys.argv[2]
features = llvm.get_host_cpu_features()
for name in features:
    if any(name.startswith(prefix) for prefix in hidden):
        features[name] = False
llvm.get_host_cpu_features = targets.get_host_cpu_features = lambda: features
llvm.get_host_cpu_name = lambda: cpu

from sht import _execute, _simd
from sht.grids import FullGaussian, HEALPix, OctahedralGaussian
from tests.sht_cases import MAPS, Case, difference, given_to

assert (_simd.LANES, _simd.RINGS) == (4, 2)
with_spin = Case(HEALPix(8), 20, spin=2, aliasing="fold")
vectors = Case(HEALPix(8), 20, spin=1, vectors=True, aliasing="fold")
single = Case(OctahedralGaussian(12), 20, dtype="float32", aliasing="fold")
table = [  # few: everything is compiled anew
    (Case(FullGaussian(33, 64), 31, 17), MAPS, (False, True)),
    (with_spin, ("synthesis", "adjoint_synthesis"), (False,)),
    (vectors, ("synthesis", "analysis"), (False,)),
    (single, ("analysis",), (False,)),
]
if sys.argv[3] == "some":
    table = [(table[0][0], ("synthesis", "adjoint_analysis"), (False, True))]
for case, names, ways in table:
    for name in names:
        for divided in ways:
            _execute._WORTH_DIVIDING = 0 if divided else 1 << 60
            given = given_to(name, case.transform(), 1)
            error = difference(
                getattr(case.transform(2), name)(given), case.reference(name, given)
            )
            assert error <= case.tolerance, (case, name, divided, error)
print("right")
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="names x86-64 processors")
@pytest.mark.parametrize(
    ("hidden", "cpu", "maps"),
    [
        ("avx512", "haswell", "all"),
        ("avx,fma,f16c,vaes,vpclmulqdq", "x86-64", "some"),
        pytest.param("avx,fma,f16c,vaes,vpclmulqdq", "x86-64", "all", marks=pytest.mark.slow),
    ],
    ids=["AVX2", "SSE2", "SSE2, all"],
)
def test_lesser_processors(hidden, cpu, maps):
    command = [sys.executable, "-c", _PROGRAM, hidden, cpu, maps]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.stdout.strip() == "right", done.stderr[-2000:]
