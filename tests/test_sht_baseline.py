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

import numpy as np
import sht
from sht import _execute, _simd, reference

assert (_simd.LANES, _simd.RINGS) == (4, 2)
rng = np.random.default_rng(0)
for divided in (False, True):
    _execute._WORTH_DIVIDING = 0 if divided else 1 << 60
    grid = sht.grids.FullGaussian(33, 64)
    t = sht.Transform(31, grid, mmax=17, threads=2)
    a = rng.normal(size=t.ncoef) + 1j * rng.normal(size=t.ncoef)
    f = rng.normal(size=grid.shape)
    for name, given in (
        ("synthesis", a),
        ("analysis", f),
        ("adjoint_synthesis", f),
        ("adjoint_analysis", a),
    ):
        want = getattr(reference, name)(given, grid, 31, 17)
        error = abs(getattr(t, name)(given) - want).max() / abs(want).max()
        assert error < 1e-13, (name, divided, error)
print("right")
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="names x86-64 processors")
@pytest.mark.parametrize(
    ("hidden", "cpu"),
    [("avx512", "haswell"), ("avx,fma,f16c,vaes,vpclmulqdq", "x86-64")],
    ids=["AVX2", "SSE2"],
)
def test_lesser_processors(hidden, cpu):
    command = [sys.executable, "-c", _PROGRAM, hidden, cpu]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout.strip() == "right", done.stderr[-2000:]
