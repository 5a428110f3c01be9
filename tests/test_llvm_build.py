"""The mechanics of `make enzyme`, on StandIn: a small LLVM pass that is NOT Enzyme.

Enzyme's own source cannot be downloaded from every machine. What is tested here is all around it:
tools found or named, CMake and Ninja called, a plugin loaded by `opt`, another LLVM refused.
"""

import hashlib
import io
import shutil
import socket
import tarfile
from pathlib import Path

import pytest

import llvm._build
from llvm._build import BuildTools, build_enzyme, find_build_tools
from llvm._enzyme import find_enzyme, llvmlite_major
from llvm._errors import EnzymeNotFoundError, EnzymeVersionError, ToolchainError
from llvm._toolfiles import find_opt

STANDIN = Path(__file__).parent / "standin_pass"
MAJOR = llvmlite_major()
CUBE = """
define double @cube(double %x) {
  %y = fmul double %x, %x
  %z = fmul double %y, %x
  ret double %z
}
declare double @__enzyme_autodiff_cube(ptr, double)
define double @slope(double %x) {
  %d = call double @__enzyme_autodiff_cube(ptr @cube, double %x)
  ret double %d
}
"""


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    for name in ("PLUGIN", "DRIVER", "OPT", "SOURCE", "VERSION", "SHA256"):
        monkeypatch.delenv(f"ENZYME_{name}", raising=False)
    monkeypatch.setenv("ENZYME_SHT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def standin(tmp_path_factory):
    """StandIn built as `make enzyme` builds Enzyme: (the cache folder, what was said)."""
    try:
        find_build_tools(MAJOR)
        find_opt(MAJOR)
    except (ToolchainError, EnzymeNotFoundError) as error:
        pytest.skip(f"this machine cannot build an LLVM pass: {error}")
    cache = tmp_path_factory.mktemp("standin") / "cache"
    said = []
    with pytest.MonkeyPatch.context() as patch:
        for name in ("PLUGIN", "DRIVER", "OPT"):
            patch.delenv(f"ENZYME_{name}", raising=False)
        patch.setenv("ENZYME_SHT_CACHE", str(cache))
        patch.setenv("ENZYME_SOURCE", str(STANDIN))
        build_enzyme(said.append)
    return cache, said


@pytest.fixture
def no_tools(monkeypatch):
    """Tools that are never called, for tests of what comes after finding them."""
    monkeypatch.setattr(llvm._build, "find_build_tools", lambda major: BuildTools(*[Path("/")] * 4))
    monkeypatch.setattr(llvm._build, "find_opt", lambda major: (Path("/"), f"{MAJOR}.1"))


def test_built_plugin_is_found_and_loaded(standin, own_cache, monkeypatch):
    cache, said = standin
    monkeypatch.setenv("ENZYME_SHT_CACHE", str(cache))
    found = find_enzyme()
    assert found.origin == "make enzyme"
    assert found.path.parent == cache / "plugin"
    assert "source standin_pass" in found.version
    # x + x whatever the function: this is StandIn's mark, which no Enzyme would make of a cube.
    assert "fadd double %x, %x" in found.run(CUBE)
    assert [text.split()[0] for text in said] == [
        "Configuring",
        "Compiling;",
        "Trying",
        "Installed",
    ]


def test_same_plugin_said_to_be_of_another_llvm(standin, own_cache, tmp_path, monkeypatch):
    (built,) = (standin[0] / "plugin").glob("LLVMEnzyme-*[!n]")
    other = shutil.copy(built, tmp_path / "LLVMEnzyme-21.so")
    monkeypatch.setenv("ENZYME_PLUGIN", str(other))
    with pytest.raises(EnzymeVersionError, match=rf"LLVM {MAJOR},.*Got LLVM 21"):
        find_enzyme()


def test_opt_of_another_llvm_is_refused(standin, own_cache, tmp_path, monkeypatch):
    (built,) = (standin[0] / "plugin").glob("LLVMEnzyme-*[!n]")
    opt = tmp_path / "opt"
    opt.write_text("#!/bin/sh\necho 'LLVM version 21.1.0'\n")
    opt.chmod(0o700)
    monkeypatch.setenv("ENZYME_PLUGIN", str(built))
    monkeypatch.setenv("ENZYME_OPT", str(opt))
    with pytest.raises(EnzymeVersionError, match=rf"LLVM {MAJOR},.*Got LLVM 21"):
        find_enzyme()


def test_file_that_is_no_plugin(standin, own_cache, tmp_path, monkeypatch):
    fake = tmp_path / f"LLVMEnzyme-{MAJOR}.so"
    fake.write_bytes(b"not a shared library")
    monkeypatch.setenv("ENZYME_PLUGIN", str(fake))
    with pytest.raises(ToolchainError, match="(?i)could not load"):
        find_enzyme().run(CUBE)


def test_source_that_does_not_compile(standin, own_cache, tmp_path, monkeypatch):
    source = tmp_path / "enzyme"
    shutil.copytree(STANDIN, source)
    (source / "StandIn.cpp").write_text("this is not C++\n")
    monkeypatch.setenv("ENZYME_SOURCE", str(tmp_path))
    with pytest.raises(ToolchainError, match="The build .*failed"):
        build_enzyme(lambda text: None)
    assert not list((own_cache / "plugin").glob("*") if (own_cache / "plugin").exists() else [])


TOOLS = {
    "CMake": ({"cmake"}, "cmake"),
    "Ninja": ({"ninja"}, "ninja-build"),
    r"C\+\+ compiler": ({"c++", "g++", "clang++"}, r"g\+\+"),
    f"LLVM {MAJOR} development files": ({f"llvm-config-{MAJOR}"}, f"llvm-{MAJOR}-dev"),
}


@pytest.mark.parametrize("tool", TOOLS)
def test_missing_tool_is_named_with_its_package(tmp_path, monkeypatch, tool):
    hidden, package = TOOLS[tool]
    config = tmp_path / "lib" / "cmake" / "llvm" / "LLVMConfig.cmake"
    config.parent.mkdir(parents=True)
    config.write_text(f"set(LLVM_VERSION_MAJOR {MAJOR})\n")
    folders = [] if "LLVM" in tool else [tmp_path]
    for name in ("CXX", "LLVM_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(llvm._build, "llvm_folders", lambda major: folders)
    monkeypatch.setattr(
        shutil, "which", lambda name: None if name in hidden or "config" in name else f"/bin/{name}"
    )
    monkeypatch.setattr("sys.platform", "linux")
    with pytest.raises(ToolchainError, match=rf"no {tool}.*`apt-get install {package}`"):
        find_build_tools(MAJOR)
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(ToolchainError, match=rf"no {tool}.*`brew install"):
        find_build_tools(MAJOR)


def test_llvm_dir_of_another_llvm(tmp_path, monkeypatch):
    monkeypatch.setenv("LLVM_DIR", str(tmp_path))
    with pytest.raises(ToolchainError, match="LLVM_DIR must be the folder of LLVMConfig.cmake"):
        find_build_tools(MAJOR)
    (tmp_path / "LLVMConfig.cmake").write_text("set(LLVM_VERSION_MAJOR 19)\n")
    with pytest.raises(EnzymeVersionError, match=rf"LLVM {MAJOR},.*Got LLVM 19"):
        find_build_tools(MAJOR)


def test_unreachable_host(own_cache, no_tools, monkeypatch):
    with socket.socket() as taken:  # bound but not listening: a connection is refused
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/{{release}}.tar.gz"
        monkeypatch.setattr(llvm._build, "_URL", url)
        with pytest.raises(
            ToolchainError, match="could not be downloaded.*make enzyme ENZYME_SOURCE="
        ):
            build_enzyme(lambda text: None)


def archive_with(path, name):
    with tarfile.open(path, "w:gz") as tar:
        member = tarfile.TarInfo(name)
        member.size = 4
        tar.addfile(member, io.BytesIO(b"file"))
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def release(tmp_path, own_cache, no_tools, monkeypatch):
    """Serve an archive as the release v9, whose one member has the given name."""

    def serve(name, sha256=None):
        real = archive_with(tmp_path / "v9.tar.gz", name)
        monkeypatch.setattr(llvm._build, "_URL", f"file://{tmp_path}/{{release}}.tar.gz")
        monkeypatch.setenv("ENZYME_VERSION", "v9")
        monkeypatch.setenv("ENZYME_SHA256", sha256 or real)

    return serve


def test_other_checksum_is_refused(release):
    release("Enzyme-9/enzyme/CMakeLists.txt", sha256="0" * 64)
    with pytest.raises(ToolchainError, match=r"must have SHA-256 0{64}\. Got [0-9a-f]{64}"):
        build_enzyme(lambda text: None)


def test_other_release_needs_its_checksum(release, monkeypatch):
    release("Enzyme-9/enzyme/CMakeLists.txt")
    monkeypatch.delenv("ENZYME_SHA256")
    with pytest.raises(ToolchainError, match="set ENZYME_SHA256"):
        build_enzyme(lambda text: None)


def test_archive_that_would_write_elsewhere(release, tmp_path):
    release("../../evil")
    with pytest.raises(ToolchainError, match="could not be unpacked"):
        build_enzyme(lambda text: None)
    assert not list(tmp_path.rglob("evil"))


def test_archive_without_enzyme(release):
    release("Enzyme-9/README.md")
    with pytest.raises(ToolchainError, match="must have `enzyme/CMakeLists.txt`"):
        build_enzyme(lambda text: None)


def test_release_is_unpacked_and_configured(release, monkeypatch):
    release("Enzyme-9/enzyme/CMakeLists.txt")
    called = []

    def configure(tools, source, build):
        called.append((source / "CMakeLists.txt").read_text())
        raise ToolchainError("that is far enough")

    monkeypatch.setattr(llvm._build, "_configure", configure)
    with pytest.raises(ToolchainError, match="far enough"):
        build_enzyme(lambda text: None)
    assert called == ["file"]
