"""What the files of a package hold, as text for keys: names and digests, not times."""

from __future__ import annotations

import functools
import hashlib
import sys
import types as python_types
from pathlib import Path
from typing import Any

OUR_PACKAGES = {"enzyme_rules", "llvm", "sht"}


def package_of(value: Any) -> str:
    """The outermost package that a value's module, or the value as a module, is in."""
    module = getattr(value, "__module__", None) or getattr(type(value), "__module__", "")
    if isinstance(value, python_types.ModuleType):
        module = value.__name__
    return str(module).split(".")[0]


_stamps: dict[tuple[str, int], str] = {}


def stamp(package: str) -> str:
    """Names and contents of the files of a package: of all if it is ours, else of those loaded."""
    # Ours are loaded when they are needed: by what has been done before, which changes no code.
    if package in OUR_PACKAGES:
        return folder_stamp(package)
    modules = [
        module
        for name, module in sys.modules.copy().items()
        if name == package or name.startswith(f"{package}.")
    ]
    key = (package, len(modules))
    if key not in _stamps:
        lines = []
        for module in modules:
            file = getattr(module, "__file__", None)
            if file and Path(file).exists():
                lines.append(f"{module.__name__} {_digest(file)}")
        _stamps[key] = "\n".join(sorted(lines))
    return _stamps[key]


@functools.cache
def folder_stamp(package: str) -> str:
    """Of all files, so that it does not matter which of them a program imports."""
    folder = Path(str(sys.modules[package].__file__)).parent
    files = sorted(folder.rglob("*.py"))
    return "\n".join(f"{f.relative_to(folder)} {_digest(f)}" for f in files)


@functools.cache
def _digest(file: str | Path) -> str:
    # Not its time: a copy of the same files, in a new environment or on another machine, finds what
    # was compiled. All of ours take 4 ms.
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()
