"""Which Enzyme is found, which is refused, and what comes out of one."""

import os
import re
import resource
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import llvm._enzyme
import llvm._toolfiles
from llvm._enzyme import Enzyme, find_enzyme, llvmlite_major
from llvm._errors import EnzymeNotFoundError, EnzymeVersionError, ToolchainError
from llvm._process import run_tool

MAJOR = llvmlite_major()
PLUGIN = f"LLVMEnzyme-{MAJOR}.so"

SQUARE = """
define double @square(double %x) {
  %y = fmul double %x, %x
  ret double %y
}
"""
REVERSE = f"""{SQUARE}
declare double @__enzyme_autodiff_square(ptr, double)
define double @slope(double %x) {{
  %d = call double @__enzyme_autodiff_square(ptr @square, double %x)
  ret double %d
}}
"""
FORWARD = f"""{SQUARE}
declare double @__enzyme_fwddiff_square(ptr, double, double)
define double @slope(double %x) {{
  %d = call double @__enzyme_fwddiff_square(ptr @square, double %x, double 1.0)
  ret double %d
}}
"""
TWICE_X = re.compile(r"define double @slope.*?fmul fast double %x, 2\.0.*?ret double", re.DOTALL)


@pytest.fixture(scope="module")
def enzyme():
    try:
        return find_enzyme()
    except EnzymeNotFoundError:
        if os.environ.get("CI"):
            raise
        pytest.skip("no Enzyme on this machine")


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Make a machine without any Enzyme, its own cache, its own path."""
    for name in ("ENZYME_PLUGIN", "ENZYME_DRIVER", "ENZYME_OPT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ENZYME_SHT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "cat").symlink_to(shutil.which("cat") or "/bin/cat")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(llvm._enzyme, "HOMEBREW", (str(tmp_path / "brew"),))
    monkeypatch.setattr(llvm._toolfiles, "llvm_folders", lambda major: [])
    program(tmp_path / "bin" / f"opt-{MAJOR}")
    return tmp_path


def program(path, body="cat", version=f"{MAJOR}.1.0"):
    """Write a program that reports an LLVM version, and else does `body`."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.write_text(
        f'#!/bin/sh\nif [ "$1" = --version ]; then echo "  LLVM version {version}"; exit; fi\n'
        f"{body}\n"
    )
    path.chmod(0o700)
    return path


def a_driver(path, body="cat"):
    return Enzyme("driver", program(path, body), "test", "0", MAJOR)


def place_plugin(path):
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.write_bytes(b"plugin")
    return path


ORDER = ["ENZYME_PLUGIN", "ENZYME_DRIVER", "make enzyme", "Homebrew", "prebuilt driver"]


@pytest.mark.parametrize("first", range(len(ORDER)))
def test_order(machine, monkeypatch, first):
    make = {
        "ENZYME_PLUGIN": lambda: monkeypatch.setenv(
            "ENZYME_PLUGIN", str(place_plugin(machine / "mine" / "anything.so"))
        ),
        "ENZYME_DRIVER": lambda: monkeypatch.setenv(
            "ENZYME_DRIVER", str(program(machine / "mine" / "driver"))
        ),
        "make enzyme": lambda: place_plugin(machine / "cache" / "plugin" / PLUGIN),
        "Homebrew": lambda: place_plugin(machine / "brew" / "lib" / PLUGIN),
        "prebuilt driver": lambda: program(machine / "cache" / "driver" / "catalyst"),
    }
    for origin in ORDER[first:]:
        make[origin]()
    found = find_enzyme()
    assert found.origin == ORDER[first]
    assert found.kind == ("driver" if "driver" in ORDER[first].lower() else "plugin")
    assert found.llvm_major == MAJOR


def test_nothing_names_both_commands(machine):
    with pytest.raises(EnzymeNotFoundError, match="python -m llvm install-enzyme.*make enzyme"):
        find_enzyme()


@pytest.mark.parametrize("variable", ["ENZYME_PLUGIN", "ENZYME_DRIVER", "ENZYME_OPT"])
def test_variable_that_names_nothing(machine, monkeypatch, variable):
    place_plugin(machine / "cache" / "plugin" / PLUGIN)
    monkeypatch.setenv("ENZYME_PLUGIN", str(machine / "cache" / "plugin" / PLUGIN))
    if variable == "ENZYME_DRIVER":
        monkeypatch.delenv("ENZYME_PLUGIN")
    monkeypatch.setenv(variable, "/not/there")
    with pytest.raises(EnzymeNotFoundError, match=rf"{variable} must name.*Got `/not/there`"):
        find_enzyme()


def test_driver_that_is_not_executable(machine, monkeypatch):
    monkeypatch.setenv("ENZYME_DRIVER", str(place_plugin(machine / "driver")))
    with pytest.raises(EnzymeNotFoundError, match="chmod"):
        find_enzyme()


def other_plugin(machine, monkeypatch):
    monkeypatch.setenv("ENZYME_PLUGIN", str(place_plugin(machine / "LLVMEnzyme-21.so")))


def other_driver(machine, monkeypatch):
    monkeypatch.setenv("ENZYME_DRIVER", str(program(machine / "driver", version="21.0.0git")))


def other_opt(machine, monkeypatch):
    monkeypatch.setenv("ENZYME_PLUGIN", str(place_plugin(machine / PLUGIN)))
    monkeypatch.setenv("ENZYME_OPT", str(program(machine / "opt", version="21.1.3")))


def other_homebrew(machine, monkeypatch):
    place_plugin(machine / "brew" / "lib" / "LLVMEnzyme-21.dylib")


@pytest.mark.parametrize("case", [other_plugin, other_driver, other_opt, other_homebrew])
def test_another_llvm_is_refused(machine, monkeypatch, case):
    case(machine, monkeypatch)
    with pytest.raises(EnzymeVersionError, match=rf"LLVM {MAJOR}.*Got LLVM 21") as caught:
        find_enzyme()
    assert (caught.value.found, caught.value.needed) == (21, MAJOR)


def test_found_by_chance_with_another_llvm_is_passed_over(machine):
    place_plugin(machine / "brew" / "lib" / "LLVMEnzyme-21.so")
    program(machine / "cache" / "driver" / "catalyst")
    assert find_enzyme().origin == "prebuilt driver"


def test_plugin_without_opt(machine, monkeypatch):
    (machine / "bin" / f"opt-{MAJOR}").unlink()
    program(machine / "bin" / "opt", version="14.0.6")
    monkeypatch.setenv("ENZYME_PLUGIN", str(place_plugin(machine / PLUGIN)))
    with pytest.raises(EnzymeNotFoundError, match=f"`opt` of LLVM {MAJOR}.*apt-get install"):
        find_enzyme()


def test_version_follows_the_content(machine, monkeypatch):
    driver = program(machine / "driver")
    monkeypatch.setenv("ENZYME_DRIVER", str(driver))
    before = find_enzyme().version
    assert find_enzyme().version == before
    program(driver, body="cat; true")
    assert find_enzyme().version != before


def test_damaged_note_is_made_anew(machine, monkeypatch):
    monkeypatch.setenv("ENZYME_DRIVER", str(program(machine / "driver")))
    before = find_enzyme()
    for note in (machine / "cache" / "facts").iterdir():
        note.write_bytes(b'{"sha')
    llvm._toolfiles._facts.cache_clear()
    assert find_enzyme() == before


@pytest.mark.parametrize("module", [REVERSE, FORWARD], ids=["reverse", "forward alone"])
def test_derivative(enzyme, module):
    after = enzyme.run(module)
    assert TWICE_X.search(after), after


def test_flags_reach_enzyme(enzyme):
    after = enzyme.run(REVERSE, ["--enzyme-fast-math=0"])
    assert "fast" not in after
    assert "double @slope" in after


def test_what_the_host_cannot_compile_comes_out(enzyme):
    """The driver would go on to machine code if it were asked for a file, and die of this."""
    barrier = "  call void @llvm.nvvm.barrier0()\n  ret double %d"
    module = REVERSE.replace("  ret double %d", barrier) + "declare void @llvm.nvvm.barrier0()\n"
    assert "llvm.nvvm.barrier" in enzyme.run(module)


def test_no_derivative_is_an_error_with_its_cause(enzyme):
    module = REVERSE.replace("fmul double %x, %x", "call double @opaque(double %x)")
    module += "declare double @opaque(double)\n"
    with pytest.raises(ToolchainError, match="opaque") as caught:
        enzyme.run(module)
    assert "opaque" in caught.value.stderr


def test_not_ir_is_an_error(enzyme):
    with pytest.raises(ToolchainError, match="top-level entity"):
        enzyme.run("this is not LLVM IR")


def test_runs_at_once_from_threads(enzyme):
    modules = [REVERSE.replace("@slope", f"@slope{k}") for k in range(6)]
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(enzyme.run, modules))
    for k, result in enumerate(results):
        assert f"@slope{k}(" in result


def test_nothing_is_left_on_disk(enzyme, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    enzyme.run(REVERSE)
    assert list(tmp_path.iterdir()) == []


def test_undone_derivative_is_noticed(tmp_path):
    """A driver that does nothing and reports success, as the real one does without its trigger."""
    with pytest.raises(ToolchainError, match="__enzyme_fwddiff_square") as caught:
        a_driver(tmp_path / "driver").run(FORWARD)
    assert caught.value.symbol == "__enzyme_fwddiff_square"
    assert caught.value.stage == "differentiate"


def test_message_that_is_not_utf8(tmp_path):
    driver = a_driver(tmp_path / "driver", body=r"printf 'error: caf\351\n' >&2; exit 3")
    with pytest.raises(ToolchainError, match="exit status 3\\.\nerror: caf\ufffd"):
        driver.run(SQUARE)


def test_stack_frames_are_kept_from_the_message(tmp_path):
    body = "echo 'Assertion `x` failed.' >&2; echo ' #0 0x0000abc f()' >&2; kill -ABRT $$"
    with pytest.raises(ToolchainError, match="SIGABRT") as caught:
        a_driver(tmp_path / "driver", body).run(SQUARE)
    assert "Assertion" in str(caught.value)
    assert "#0" not in str(caught.value)
    assert "#0" in caught.value.stderr


def test_time_limit_ends_the_children_too(tmp_path):
    driver = a_driver(tmp_path / "driver", body=f"(sleep 3; touch {tmp_path}/late) & sleep 60")
    start = time.monotonic()
    with pytest.raises(ToolchainError, match=r"within 0\.5 s"):
        driver.run(SQUARE, timeout=0.5)
    assert time.monotonic() - start < 2.5
    time.sleep(3.5 - (time.monotonic() - start))
    assert not (tmp_path / "late").exists()


def test_program_that_cannot_start(tmp_path):
    driver = Enzyme("driver", Path(tmp_path / "gone"), "test", "0", MAJOR)
    with pytest.raises(ToolchainError, match="could not be started"):
        driver.run(SQUARE)


def test_environment_is_not_passed_on(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "hush")
    driver = a_driver(tmp_path / "driver", body=f"cat >/dev/null; {shutil.which('env')}")
    assert "hush" not in driver.run(SQUARE)


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="memory is limited on Linux only")
def test_a_tool_that_wants_all_the_memory_gets_no_more():
    wait = "import sys; sys.stdin.read(); x = bytearray(1 << 31)"
    with pytest.raises(ToolchainError, match="ran out of the memory that it is allowed"):
        run_tool([sys.executable, "-c", wait], what="A program", timeout=60, memory=1 << 30)
