"""NVIDIA's files that kernels are made from: libdevice, for mathematics, and `ptxas`."""

from __future__ import annotations

import functools
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from ._errors import ToolchainError
from ._process import run_and_listen

_LIBDEVICE = "nvvm/libdevice/libdevice.10.bc"
_HOW_TO_GET = "Install them: `pip install enzyme-sht[cuda12]` or `[cuda13]`, or set CUDA_HOME."
_ARCHITECTURE = re.compile(r"sm_(\d+)")

# The first version of PTX that knows an architecture: the older it is, the older the driver may be.
_PTX_VERSIONS = {70: 60, 75: 63, 80: 70, 86: 71, 89: 78, 90: 78, 100: 86, 103: 88, 120: 87}


def libdevice() -> Path:
    """NVIDIA's library of mathematics for a GPU, in LLVM's bitcode.

    Raises
    ------
    ToolchainError
        There is none.
    """
    return _find(_LIBDEVICE, "libdevice")


@functools.cache
def libdevice_digest() -> str:
    """What it holds, for cache keys."""
    return hashlib.sha256(libdevice().read_bytes()).hexdigest()[:16]


def target(architecture: str) -> tuple[str, int]:
    """The architecture to compile for, and the version of PTX to write.

    Parameters
    ----------
    architecture : str
        ``"sm_90"``. For one that we do not know, the latest before it, which it can run.

    Raises
    ------
    ValueError
        It is none, or an older one.
    """
    found = _ARCHITECTURE.fullmatch(architecture)
    known = [number for number in _PTX_VERSIONS if found and number <= int(found[1])]
    if not known:
        raise ValueError(
            f"Kernels are compiled for `architecture='sm_70'` and later. Got {architecture!r}. "
            f"It is the compute capability of the device, '8.0' as 'sm_80'."
        )
    return f"sm_{known[-1]}", _PTX_VERSIONS[known[-1]]


def assemble(ptx: str, architecture: str) -> tuple[bytes, str]:
    """Have `ptxas` make machine code, for a check and for its cost: a driver does so by itself.

    Parameters
    ----------
    ptx : str
    architecture : str
        ``"sm_90"``.

    Returns
    -------
    code : bytes
        An ELF file for `cuModuleLoadData`.
    said : str
        Registers, stack and spills of each kernel, as `ptxas` says them.

    Raises
    ------
    ToolchainError
        There is no `ptxas`, or it refuses.
    """
    target(architecture)
    with tempfile.TemporaryDirectory(prefix="enzyme-sht-") as folder:  # private to the user
        source, result = Path(folder, "kernel.ptx"), Path(folder, "kernel.cubin")
        source.write_text(ptx)
        _, said = run_and_listen(
            [_find("bin/ptxas", "ptxas"), f"-arch={architecture}", "-v", source, "-o", result],
            what=f"ptxas for {architecture}",
            timeout=300,
        )
        return result.read_bytes(), said


@functools.cache
def _find(name: str, what: str) -> Path:
    for folder in _folders():
        if (folder / name).is_file():
            return folder / name
    raise ToolchainError(
        f"Kernels for a GPU need libdevice and ptxas, of CUDA. Got no {what}. {_HOW_TO_GET}"
    )


def _folders() -> Iterator[Path]:
    """Where CUDA may be: what the user says, the wheels, the usual place."""
    for variable in ("CUDA_HOME", "CUDA_PATH"):
        if value := os.environ.get(variable):
            yield Path(value)
    spec = find_spec("nvidia")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        yield Path(place, "cu13")
        yield Path(place, "cuda_nvcc")
    yield Path("/usr/local/cuda")
