"""What the maps take of memory, in processes of their own, by what Linux says of them."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LMAX, SHAPE = 511, (768, 1536)

PROGRAM = f"""
import sys
import numpy as np
import sht

def kilobytes(what):
    return int(next(x for x in open("/proc/self/status") if x.startswith(what)).split()[1])

name = sys.argv[1]
small = sht.Transform(7, sht.grids.FullGaussian(12, 24), threads=1)
getattr(small, name)(np.ones(*small.spaces[name][0]))  # loads the code
before = kilobytes("VmRSS")
t = sht.Transform({LMAX}, sht.grids.FullGaussian{SHAPE}, threads=1)
given, out = (np.ones(*space) for space in t.spaces[name])
getattr(t, name)(given, out=out)
print(1024 * (kilobytes("VmHWM") - before))
"""


def peak(name):
    """Bytes of a Transform, what a map takes and gives, and what it needs besides."""
    command = [sys.executable, "-c", PROGRAM, name]
    for _ in range(2):  # the first may compile, which takes more
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux")
@pytest.mark.parametrize(
    ("adjoint", "plain"), [("adjoint_analysis", "synthesis"), ("adjoint_synthesis", "analysis")]
)
def test_an_adjoint_takes_no_more_than_its_map(adjoint, plain):
    assert peak(adjoint) <= 1.1 * peak(plain)
