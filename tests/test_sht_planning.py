"""How FFTs are planned, and that what was measured is found again by the next process."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import sht
from enzyme_rules.fftw import export_wisdom, import_wisdom, plan_real_fft
from sht import _planning
from sht.grids import FullGaussian, OctahedralGaussian
from tests.sht_cases import Case, difference, given_to

PROGRAM = """
import sys
import numpy as np
import sht
from enzyme_rules.fftw import export_wisdom
from sht import _planning

_planning._recall()
known = export_wisdom()
t = sht.Transform(5, sht.grids.FullGaussian(8, 37), planning="measure")
again = t.analysis(t.synthesis(np.ones(t.ncoef) + 0j))
print(export_wisdom() == known, float(abs(again - 1).max()))
"""


def run(folder):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | {"ENZYME_SHT_CACHE": str(folder)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    nothing_new, error = done.stdout.split()
    assert float(error) < 1e-12
    return nothing_new == "True"


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """The cache after a first process, which compiles for all tests here."""
    folder = tmp_path_factory.mktemp("measured") / "cache"
    assert not run(folder)
    return folder


@pytest.fixture
def folder(measured, tmp_path):
    return Path(shutil.copytree(measured, tmp_path / "cache"))


def test_what_was_measured_is_kept_and_found_again(folder):
    (file,) = (folder / "fftw").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert b"fftw" in file.read_bytes()
    assert run(folder)


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"(fftw-0 bad)\n\n(fftwf-0 bad)", b"\0" * 99]
)
def test_a_damaged_file_is_ignored_and_replaced(folder, content):
    (file,) = (folder / "fftw").iterdir()
    whole = file.read_bytes()
    file.write_bytes(content)
    assert not run(folder)
    assert len(file.read_bytes()) > len(whole) // 2
    assert run(folder)


def test_a_folder_that_cannot_be_used_costs_nothing_but_time(monkeypatch, tmp_path):
    open_to_all = tmp_path / "cache"
    open_to_all.mkdir(mode=0o777)
    open_to_all.chmod(0o777)
    monkeypatch.setenv("ENZYME_SHT_CACHE", str(open_to_all))
    plans = _planning.plan_rings(np.full(4, 41), np.float64, "measure")
    assert plans.n.tolist() == [41]
    assert list(open_to_all.iterdir()) == []


@pytest.mark.parametrize("planning", ["estimate", "measure", "auto"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_all_ways_give_the_same(planning, dtype):
    case = Case(FullGaussian(12, 23), 10, dtype=dtype)
    t = sht.Transform(10, case.grid, dtype=dtype, threads=1, planning=planning)
    for name in ("synthesis", "analysis"):
        given = given_to(name, t, 1)
        assert difference(getattr(t, name)(given), case.reference(name, given)) <= case.tolerance


def test_auto_measures_few_lengths_only(monkeypatch):
    asked = []
    monkeypatch.setattr(_planning, "plan_real_ffts", lambda n, dtype, *how: asked.append(how))
    _planning.plan_rings(np.array([8, 16, 8]), np.float64, "auto")
    _planning.plan_rings(OctahedralGaussian(8).nlon, np.float64, "auto")
    assert asked == [("measure",), ()]


def test_unknown_planning_is_refused():
    with pytest.raises(ValueError, match=r"planning.*auto, estimate, measure. Got 'patient'"):
        sht.Transform(3, FullGaussian(8, 16), planning="patient")


def test_wisdom_of_another_fftw_is_refused():
    plan_real_fft(20, effort="measure")
    assert import_wisdom(export_wisdom())
    assert not import_wisdom((b"(fftw-0.0.0 nothing)", b"(fftw-0.0.0 nothing)"))
