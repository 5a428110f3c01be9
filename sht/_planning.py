"""Plans for the FFTs of rings: measured where that is quick, and what was found is kept on disk."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from enzyme_rules.fftw import RealFFTs, export_wisdom, import_wisdom, plan_real_ffts

PLANNING = ("auto", "estimate", "measure")
_FEW = 2
"""Different lengths for which "auto" measures. One takes up to a second, the first time."""
_SEPARATOR = b"\n\n"


def plan_rings(nlon: np.ndarray, dtype: Any, planning: str) -> RealFFTs:
    """Plans for rings of these numbers of points; `planning` is one of `PLANNING`."""
    different = np.unique(nlon)
    few = len(different) <= _FEW and different[-1] > 1  # of one point there is nothing to find out
    if planning == "estimate" or (planning == "auto" and not few):
        return plan_real_ffts(nlon, dtype)
    _recall()
    known = export_wisdom()
    plans = plan_real_ffts(nlon, dtype, "measure")
    _keep(known)
    return plans


def _file() -> Path:
    """What was measured on one kind of processor says little about another."""
    from llvm._folders import cache_dir
    from llvm._target_machine import target_description

    machine = hashlib.sha256(target_description().encode()).hexdigest()[:16]
    return cache_dir("fftw") / f"wisdom-{machine}"


@functools.cache
def _recall() -> None:
    """Give FFTW what earlier processes have found, once."""
    _read()


def _read() -> None:
    from llvm._folders import CacheFolderError

    try:
        parts = _file().read_bytes().split(_SEPARATOR)
    except (OSError, CacheFolderError):
        return
    if len(parts) == 2:
        import_wisdom((parts[0], parts[1]))


def _keep(known: tuple[bytes, ...]) -> None:
    """Keep what was found beyond what was known. Where that cannot be, it is measured again."""
    from llvm._folders import CacheFolderError, write_atomically

    if export_wisdom() == known:
        return
    _read()  # what others have kept meanwhile
    try:
        write_atomically(_file(), _SEPARATOR.join(export_wisdom()))
    except (OSError, CacheFolderError):
        return
