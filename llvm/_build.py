"""Build Enzyme's LLVM plugin from its own released source, and see it work."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import tarfile
import tempfile
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ._enzyme import llvmlite_major, load_plugin
from ._errors import EnzymeVersionError, ToolchainError
from ._folders import cache_dir, open_atomically
from ._process import run_tool
from ._toolfiles import find_opt, llvm_folders, record_release

_RELEASE = "v0.0.293"
_SHA256 = "1a1f2fb1e99a416511c3b46207422e5f0104e5e0d9b9309c4be7f457ecf51838"
_URL = "https://github.com/EnzymeAD/Enzyme/archive/refs/tags/{release}.tar.gz"
_LARGEST = 200 << 20  # bytes: far more than any release has

_SQUARE = """
define double @square(double %x) {
  %y = fmul double %x, %x
  ret double %y
}
define double @slope(double %x) {
  %d = call double (...) @__enzyme_autodiff_square(ptr @square, double %x)
  ret double %d
}
declare double @__enzyme_autodiff_square(...)
"""


@dataclass(frozen=True)
class BuildTools:
    """What a build needs of the system: programs, and the folder of LLVM's CMake files."""

    cmake: Path
    ninja: Path
    compiler: Path
    llvm_cmake: Path


def build_enzyme(progress: Callable[[str], object] = print) -> Path:
    """Build the plugin with CMake and Ninja against the system's LLVM, and put it into the cache.

    Parameters
    ----------
    progress : callable
        Told in words what is being done.

    Returns
    -------
    Path
        The plugin, which `find_enzyme` prefers to the prebuilt driver from now on.

    Raises
    ------
    ToolchainError
        If a tool is missing (the message names its package), the source cannot be had, or the
        build fails.
    EnzymeVersionError
        If the LLVM that ``LLVM_DIR`` or ``ENZYME_OPT`` names is of another major than llvmlite's.

    Notes
    -----
    ``ENZYME_SOURCE`` names a local checkout to build instead of the pinned release;
    ``ENZYME_VERSION`` with ``ENZYME_SHA256`` another release.
    """
    major = llvmlite_major()
    tools = find_build_tools(major)
    find_opt(major)  # its absence is better known before an hour of compiling than after
    name = f"LLVMEnzyme-{major}"
    with tempfile.TemporaryDirectory(prefix="enzyme-sht-") as folder:
        source, release = _source(Path(folder), progress)
        progress(f"Configuring {release} for LLVM {major} in {tools.llvm_cmake} ...")
        build = Path(folder) / "build"
        _configure(tools, source, build)
        progress("Compiling; Enzyme is large, which takes many minutes ...")
        _tool(tools.cmake, "--build", build, "--target", name, what="The build", timeout=4 * 3600)
        built = [p for p in build.rglob(f"{name}.*") if p.suffix in (".so", ".dylib")]
        if len(built) != 1:
            raise ToolchainError(f"The build must make one {name}.so. Got {len(built)} of them.")
        progress("Trying it on the derivative of x² ...")
        load_plugin(built[0], "make enzyme").run(_SQUARE, timeout=60)
        plugin = cache_dir("plugin") / built[0].name
        with built[0].open("rb") as compiled, open_atomically(plugin, mode=0o700) as target:
            shutil.copyfileobj(compiled, target)
    record_release(plugin, release)
    progress(f"Installed the plugin: `{plugin}`.")
    return plugin


def find_build_tools(major: int) -> BuildTools:
    """Return the tools of a build, or name each one that is missing with its package."""
    compilers = (os.environ.get("CXX") or "c++", "c++", "g++", "clang++")
    places = {
        "CMake": shutil.which("cmake"),
        "Ninja": shutil.which("ninja"),
        "C++ compiler": next(filter(None, map(shutil.which, compilers)), None),
        f"LLVM {major} development files (or set LLVM_DIR)": _llvm_cmake(major),
    }
    apt = dict(zip(places, ("cmake", "ninja-build", "g++", f"llvm-{major}-dev"), strict=True))
    brew = dict(zip(places, ("cmake", "ninja", "llvm", f"llvm@{major}"), strict=True))
    if missing := [tool for tool, place in places.items() if place is None]:
        install, package = ("brew", brew) if sys.platform == "darwin" else ("apt-get", apt)
        raise ToolchainError(
            "`make enzyme` needs CMake, Ninja, a C++ compiler and LLVM's development files. Got"
            f" no {', no '.join(missing)}. Install what is missing:"
            f" `{install} install {' '.join(package[tool] for tool in missing)}`."
        )
    return BuildTools(*(Path(place) for place in places.values() if place))


def _llvm_cmake(major: int) -> Path | None:
    if own := os.environ.get("LLVM_DIR"):
        if not (Path(own) / "LLVMConfig.cmake").is_file():
            raise ToolchainError(
                f"LLVM_DIR must be the folder of LLVMConfig.cmake. Got `{own}`, which has none."
            )
        places = [Path(own)]
    else:
        places = [folder / "lib" / "cmake" / "llvm" for folder in llvm_folders(major)]
        if config := shutil.which(f"llvm-config-{major}"):
            places.append(Path(run_tool([config, "--cmakedir"], what=config, timeout=60).strip()))
    for place in places:
        file = place / "LLVMConfig.cmake"
        text = file.read_text(errors="replace") if file.is_file() else ""
        if version := re.search(r"set\(LLVM_VERSION_MAJOR (\d+)\)", text):
            if int(version[1]) == major:
                return place
            if own:
                raise EnzymeVersionError(place, int(version[1]), major)
    return None


def _source(folder: Path, progress: Callable[[str], object]) -> tuple[Path, str]:
    """Return the folder with Enzyme's CMakeLists.txt and what to call it."""
    if own := os.environ.get("ENZYME_SOURCE"):
        checkout = Path(own).expanduser().absolute()
        return _cmake_folder(checkout, f"ENZYME_SOURCE={own}"), f"source {checkout.name}"
    release = os.environ.get("ENZYME_VERSION") or _RELEASE
    sha256 = os.environ.get("ENZYME_SHA256") or (_SHA256 if release == _RELEASE else "")
    if not sha256:
        raise ToolchainError(
            f"Another release than {_RELEASE} needs its checksum: set ENZYME_SHA256 beside"
            f" ENZYME_VERSION. Got ENZYME_VERSION={release} alone."
        )
    url = _URL.format(release=release)
    progress(f"Downloading {url} ...")
    archive = folder / "source.tar.gz"
    try:
        with urllib.request.urlopen(url, timeout=60) as response:
            archive.write_bytes(response.read(_LARGEST))
    except OSError as error:  # URLError and time-outs are among them
        raise ToolchainError(
            f"Enzyme's source could not be downloaded from {url}. Got: {error}. Where that host"
            " cannot be reached, download and unpack it elsewhere, then"
            " `make enzyme ENZYME_SOURCE=/path/to/Enzyme`; or do without a build:"
            " `python -m llvm install-enzyme`."
        ) from error
    got = hashlib.sha256(archive.read_bytes()).hexdigest()
    if got != sha256:
        raise ToolchainError(
            f"Enzyme's source {release} must have SHA-256 {sha256}. Got {got} from {url}: nothing"
            " was unpacked."
        )
    unpacked = folder / "source"
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(unpacked, filter="data")  # nothing outside the folder, no devices
    except tarfile.TarError as error:
        raise ToolchainError(
            f"Enzyme's source from {url} could not be unpacked. Got: {error}."
        ) from error
    (top,) = unpacked.iterdir()
    return _cmake_folder(top, url), release


def _cmake_folder(checkout: Path, named: str) -> Path:
    for folder in (checkout / "enzyme", checkout):
        if (folder / "CMakeLists.txt").is_file():
            return folder
    raise ToolchainError(f"Enzyme's source must have `enzyme/CMakeLists.txt`. Got none in {named}.")


def _configure(tools: BuildTools, source: Path, build: Path) -> None:
    _tool(
        *(tools.cmake, "-G", "Ninja", "-S", source, "-B", build),
        f"-DCMAKE_MAKE_PROGRAM={tools.ninja}",
        f"-DCMAKE_CXX_COMPILER={tools.compiler}",
        f"-DLLVM_DIR={tools.llvm_cmake}",
        *("-DCMAKE_BUILD_TYPE=Release", "-DENZYME_CLANG=OFF"),
        what="CMake",
        timeout=600,
    )


def _tool(*command: str | Path, what: str, timeout: float) -> None:
    # With the user's environment: CC, CXXFLAGS and CMAKE_BUILD_PARALLEL_LEVEL are theirs to set.
    run_tool(command, what=what, timeout=timeout, env=dict(os.environ))
