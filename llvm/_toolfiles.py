"""What we know of the files of a toolchain: their content's hash, their LLVM, their release."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path

from ._errors import EnzymeNotFoundError, EnzymeVersionError, ToolchainError
from ._folders import cache_dir, write_atomically
from ._process import run_tool

# Where Homebrew lives on macOS (ARM, Intel) and on Linux.
HOMEBREW = ("/opt/homebrew", "/usr/local", "/home/linuxbrew/.linuxbrew")

_LLVM_VERSION = re.compile(r"LLVM version (\d+\S*)")


@dataclass(frozen=True)
class FileFacts:
    """SHA-256 of a file, and the LLVM version it reports where it is a program ("" elsewhere)."""

    sha256: str
    llvm_version: str = ""

    @property
    def llvm_major(self) -> int:
        """Its LLVM's major version."""
        return int(self.llvm_version.partition(".")[0])


def file_facts(path: Path, program: str = "") -> FileFacts:
    """Return the facts of a file, remembered on disk until its size or time changes.

    Parameters
    ----------
    path : Path
        A plugin or a program.
    program : str
        What the program is called in messages; it is asked for its LLVM version then.

    Notes
    -----
    Hashing the driver, 320 MB, takes 0.2 s, and each process needs its hash for the cache's keys.
    """
    path = path.resolve()
    info = path.stat()
    return _facts(path, program, f"{path}|{info.st_size}|{info.st_mtime_ns}|{info.st_ino}")


@lru_cache(maxsize=32)
def _facts(path: Path, program: str, identity: str) -> FileFacts:
    name = hashlib.sha256(identity.encode()).hexdigest()[:32]
    note = cache_dir("facts") / f"{name}.json"
    try:
        facts = known = FileFacts(**json.loads(note.read_bytes()))
    except (OSError, ValueError, TypeError):  # none yet, or a damaged one: find out again
        known = None
        with path.open("rb") as file:
            facts = FileFacts(hashlib.file_digest(file, "sha256").hexdigest())
    if program and not facts.llvm_version:
        facts = replace(facts, llvm_version=_llvm_version(path, program))
    if facts != known:
        write_atomically(note, json.dumps(asdict(facts)).encode())
    return facts


def _llvm_version(path: Path, program: str) -> str:
    answer = run_tool([path, "--version"], what=program, timeout=60)
    if not (version := _LLVM_VERSION.search(answer)):
        raise ToolchainError(
            f"{program} (`{path}`) must report an LLVM version. Got: {answer.strip()[:200]!r}."
        )
    return version[1]


def llvm_folders(major: int) -> list[Path]:
    """Return where Debian's packages and Homebrew put an LLVM of that major, there or not."""
    kegs = (Path(prefix, "opt", keg) for prefix in HOMEBREW for keg in (f"llvm@{major}", "llvm"))
    return [Path(f"/usr/lib/llvm-{major}"), *kegs]


def find_opt(major: int) -> tuple[Path, str]:
    """Return LLVM's `opt` of the given major and its version.

    Raises
    ------
    EnzymeNotFoundError
        If there is none, or ``$ENZYME_OPT`` names a file that is not there.
    EnzymeVersionError
        If ``$ENZYME_OPT`` is of another major.
    """
    if own := os.environ.get("ENZYME_OPT"):
        if not (found := shutil.which(own)):
            raise EnzymeNotFoundError(f"ENZYME_OPT must name a program that is there. Got `{own}`.")
        facts = file_facts(Path(found), program="opt")
        if facts.llvm_major != major:
            raise EnzymeVersionError(Path(found), facts.llvm_major, major)
        return Path(found), facts.llvm_version
    on_path = shutil.which(f"opt-{major}"), shutil.which("opt")
    for place in (*on_path, *(folder / "bin" / "opt" for folder in llvm_folders(major))):
        if place and os.access(place, os.X_OK):
            facts = file_facts(Path(place), program="opt")
            if facts.llvm_major == major:
                return Path(place), facts.llvm_version
    raise EnzymeNotFoundError(
        f"An Enzyme plugin needs `opt` of LLVM {major} beside it (`apt-get install llvm-{major}`,"
        f" `brew install llvm@{major}`, or ENZYME_OPT=path). Got none."
    )


def record_release(path: Path, release: str) -> None:
    """Write beside an installed file which release it is."""
    facts = {"release": release, "sha256": file_facts(path).sha256}
    write_atomically(path.with_name(f"{path.name}.json"), json.dumps(facts, indent=1).encode())


def installed_release(path: Path) -> str | None:
    """Return the release recorded beside a file, if it is still the file it was recorded for."""
    try:
        note = json.loads(path.with_name(f"{path.name}.json").read_bytes())
        return note["release"] if note["sha256"] == file_facts(path).sha256 else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
