"""`python -m llvm`: what it reports, what it removes, its exit status."""

import subprocess
import sys
from pathlib import Path

import numba
import pytest

import llvm._enzyme
from llvm.__main__ import main
from llvm._enzyme import llvmlite_major
from llvm._folders import cache_dir, write_atomically


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    for name in ("ENZYME_PLUGIN", "ENZYME_DRIVER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(llvm._enzyme, "HOMEBREW", ())
    monkeypatch.setenv("ENZYME_SHT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def driver(tmp_path, monkeypatch):
    path = tmp_path / "driver"
    path.write_text(f"#!/bin/sh\necho 'LLVM version {llvmlite_major()}.0.0git'\n")
    path.chmod(0o700)
    monkeypatch.setenv("ENZYME_DRIVER", str(path))
    return path


def test_report(driver, tmp_path, capsys):
    write_atomically(cache_dir("compiled") / "entry", bytes(2_000_000))
    assert main([]) == 0
    said = capsys.readouterr().out
    for fact in (
        f"numba     {numba.__version__}",
        f"LLVM      {llvmlite_major()}.",
        "ENZYME_DRIVER: driver unknown",
        str(driver),
        str(tmp_path / "cache"),
        "2.0 MB, 1 files of compiled results",
        f"imported from {Path(llvm._enzyme.__file__).parent}",
    ):
        assert fact in said


def test_report_without_enzyme(capsys):
    assert main([]) == 1
    assert "python -m llvm install-enzyme" in capsys.readouterr().out


def test_unless_found(driver, capsys):
    assert main(["install-enzyme", "--unless-found"]) == 0
    assert "Enzyme is there: ENZYME_DRIVER" in capsys.readouterr().out


def test_failure_is_one_message_and_a_status(tmp_path, capsys):
    assert main(["install-enzyme", "--wheel", str(tmp_path / "gone.whl")]) == 1
    assert capsys.readouterr().err.startswith("error: ")


def test_clear_cache_removes_compiled_results_alone(capsys):
    write_atomically(cache_dir("compiled", "ab") / "entry", b"code")
    write_atomically(cache_dir("driver") / "catalyst", b"driver")
    assert main(["clear-cache"]) == 0
    assert "Removed 1 compiled" in capsys.readouterr().out
    assert list(cache_dir("compiled").iterdir()) == []
    assert (cache_dir("driver") / "catalyst").read_bytes() == b"driver"


def test_unknown_command_names_the_known(tmp_path):
    root = Path(llvm._enzyme.__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-m", "llvm", "instal"],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    assert "install-enzyme" in done.stderr


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "with_functions.py").write_text(
        "import numba\n\n\ndef plain(x):\n    return x\n\n\n@numba.njit\ndef product(x, y):\n"
        "    return x * y\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return "with_functions"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["product", "--types", "float64, float64"], "must be named `module:function`"),
        (["no_such_module:f", "--types", ""], "No module named 'no_such_module'"),
        (["{}:f", "--types", ""], "must have a function `f`. Got no `f`"),
        (["{}:plain", "--types", "float64"], "@njit"),
        (["{}:product", "--types", "float64"], "one type for each of x, y. Got 1"),
        (["{}:product", "--types", "float, float64"], "takes numbers such as float64"),
        (["{}:product", "--types", "int64, float64"], "`x`, a value of type int64"),
        (["{}:product", "--types", "float64, float64", "--argnums", "2"], "from 0 to 1. Got 2"),
        (["{}:product", "--types", "float64, float64", "--enzyme-loose-types"], "are wrong"),
        (["{}:product", "--types", "float64, float64", "--passes-after", "O1|O2"], "a level"),
        (["{}:product", "--types", "float64, float64"], "python -m llvm install-enzyme"),
    ],
)
def test_gradient_report_says_what_is_wrong(module, words, said, capsys):
    assert main(["report", *(word.format(module) for word in words)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert said in error


@pytest.mark.parametrize(
    "words",
    [
        ["--enzyme-max-cache=1"],
        ["clear-cache", "--enzyme-max-cache=1"],
        ["report", "a:b", "--types", "", "--unknown"],
        ["report", "a:b"],
        ["report", "a:b", "--types", "", "--mode", "sideways"],
    ],
)
def test_flags_have_their_place(words, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 2
    assert "usage: python -m llvm" in capsys.readouterr().err
