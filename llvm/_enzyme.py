"""Where Enzyme comes from, and how IR goes through it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import llvmlite.binding

from ._errors import AutodiffError, EnzymeNotFoundError, EnzymeVersionError, ToolchainError
from ._folders import cache_dir
from ._process import run_and_listen
from ._toolfiles import HOMEBREW, file_facts, find_opt, installed_release

# What the driver does, for the plugin: O2 before Enzyme and O2 around it, neither of them
# vectorising (Enzyme wants scalar code; the stage after it vectorises). `preserve-nvvm`, with which
# the driver's second O2 begins, reads custom rules and keeps the functions that they name.
_PIPELINE = "default<O2>,preserve-nvvm,enzyme,default<O2>"
_NO_VECTORS = ("-vectorize-loops=false", "-vectorize-slp=false")

# Enzyme's own search can grow without end on some programs: it once took all of 24 GB, and the
# machine with it. Ordinary derivatives need some 100 MB.
_MEMORY = 6 << 30
# And can go on for hours. Most derivatives take it less than a second, the largest of ours ten.
_SECONDS = 120.0

# The driver runs Enzyme only if some function has a name that starts so.
_TRIGGER = "__enzyme_autodiff_trigger"

_LEFT_OVER = re.compile(
    r"\b(?:call|invoke)\b.*@(\"?[^\s\"(]*__enzyme_(?:autodiff|fwddiff|fwdsplit|augment|reverse"
    r"|virtualreverse|batch)[^\s\"(]*)"
)
_PLUGIN_NAME = re.compile(r"LLVMEnzyme-(\d+)\.(?:so|dylib)$")


@dataclass(frozen=True)
class Enzyme:
    """An Enzyme that runs as a program of its own.

    Parameters
    ----------
    kind : {"plugin", "driver"}
        An LLVM pass plugin for `opt`, or one executable that holds LLVM and Enzyme.
    path : Path
        The plugin or the driver.
    origin : str
        How it was found, for people: "ENZYME_PLUGIN", "make enzyme", "prebuilt driver".
    version : str
        Names the release, the file's content and its LLVM; part of cache keys.
    llvm_major : int
        The LLVM it was built with.
    opt : Path, optional
        The `opt` that loads a plugin.
    """

    kind: Literal["plugin", "driver"]
    path: Path
    origin: str
    version: str
    llvm_major: int
    opt: Path | None = None

    def run(self, ir: str, flags: Sequence[str] = (), timeout: float = _SECONDS) -> str:
        """Return the module after Enzyme.

        Parameters
        ----------
        ir : str
            LLVM IR text with calls of ``__enzyme_autodiff*`` and the like.
        flags : sequence of str
            ``--enzyme-*`` options.
        timeout : float
            Seconds that the run may take.

        Returns
        -------
        str
            IR text: optimised without vectorisation, every derivative in place.

        Raises
        ------
        ToolchainError
            If Enzyme fails, takes too long, or leaves a derivative undone.

        Notes
        -----
        Nothing touches the disk: the module goes in and out through pipes. Two runs on the same
        module need not give the same text, since Enzyme orders some work by address.
        """
        return self.run_and_listen(ir, flags, timeout)[0]

    def run_and_listen(
        self,
        ir: str,
        flags: Sequence[str] = (),
        timeout: float = _SECONDS,
        memory: int = _MEMORY,
    ) -> tuple[str, str]:
        """As `run`, in so many bytes; and what Enzyme said on the way, which the flags decide."""
        if self.kind == "driver":
            if _TRIGGER not in ir:
                ir = f"{ir}\ndeclare void @{_TRIGGER}(...)\n"
            # With `-o -` it prints the IR and stops. Told to write a file it goes on to machine
            # code, which costs time and dies on what the host cannot select, GPU code for one.
            command = [self.path, "--tool=llc", "-", "-o", "-", *flags]
            what = "The Enzyme driver"
        else:
            if self.opt is None:
                raise ToolchainError(f"The plugin `{self.path}` needs an `opt`. Got none.")
            command = [
                self.opt,
                f"-load-pass-plugin={self.path}",
                f"-load={self.path}",  # once more, or opt does not know the plugin's options
                f"-passes={_PIPELINE}",
                *_NO_VECTORS,
                *flags,
                *("-S", "-", "-o", "-"),
            ]
            what = "opt with Enzyme"
        result, said = run_and_listen(command, what=what, timeout=timeout, stdin=ir, memory=memory)
        _check_done(result)
        return result, said


def find_enzyme() -> Enzyme:
    """Return the Enzyme to use.

    Returns
    -------
    Enzyme
        The first of: ``$ENZYME_PLUGIN``, ``$ENZYME_DRIVER``, the plugin that ``make enzyme`` built,
        one from Homebrew, the prebuilt driver of ``python -m llvm install-enzyme``.

    Raises
    ------
    EnzymeNotFoundError
        If there is none, or an environment variable names a file that is not there.
    EnzymeVersionError
        If the one that an environment variable names, or the only one found, is of another LLVM.
    """
    refused: list[AutodiffError] = []
    for by_user, look in _places():
        try:
            return look()
        except AutodiffError as error:
            if by_user:
                raise
            refused.append(error)
    if refused:
        raise refused[0]
    raise EnzymeNotFoundError()


def llvmlite_version() -> tuple[int, int, int]:
    """Return the version of the LLVM inside llvmlite."""
    return llvmlite.binding.llvm_version_info


def llvmlite_major() -> int:
    """Return the LLVM major that Enzyme must share with llvmlite."""
    return llvmlite_version()[0]


def _places() -> Iterator[tuple[bool, Callable[[], Enzyme]]]:
    """Every place where something is, in order: (named by the user, how to make it an Enzyme)."""
    for variable, load in (("ENZYME_PLUGIN", load_plugin), ("ENZYME_DRIVER", load_driver)):
        if value := os.environ.get(variable):
            yield True, lambda v=variable, f=load, p=value: f(_named_file(v, p), v)
    for path in _plugins_in(cache_dir("plugin")):
        yield False, lambda p=path: load_plugin(p, "make enzyme")
    for prefix in HOMEBREW:
        for folder in (Path(prefix, "lib"), Path(prefix, "opt/enzyme/lib")):
            for path in _plugins_in(folder):
                yield False, lambda p=path: load_plugin(p, "Homebrew")
    driver = cache_dir("driver") / "catalyst"
    if driver.is_file():
        yield False, lambda: load_driver(driver, "prebuilt driver")


def _named_file(variable: str, value: str) -> Path:
    path = Path(value).expanduser().absolute()
    if not path.is_file():
        raise EnzymeNotFoundError(
            f"{variable} must name a file that is there. Got `{value}`. Correct or unset it."
        )
    return path


def _plugins_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("LLVMEnzyme-*") if _PLUGIN_NAME.search(path.name))


def load_plugin(path: Path, origin: str) -> Enzyme:
    """Return the Enzyme of a plugin file, once its LLVM and that of an `opt` are llvmlite's."""
    needed = llvmlite_major()
    named = _PLUGIN_NAME.search(path.name)
    # A plugin by another name is loaded by an `opt` of our major, which refuses what does not fit.
    if named and int(named[1]) != needed:
        raise EnzymeVersionError(path, int(named[1]), needed)
    opt, opt_version = find_opt(needed)
    release = installed_release(path) or "unknown"
    version = f"enzyme {release} {file_facts(path).sha256[:16]} opt {opt_version}"
    return Enzyme("plugin", path, origin, version, needed, opt)


def load_driver(path: Path, origin: str) -> Enzyme:
    """Return the Enzyme of a driver, once it is executable and of llvmlite's LLVM."""
    needed = llvmlite_major()
    if not os.access(path, os.X_OK):
        raise EnzymeNotFoundError(
            f"The Enzyme driver must be executable. Got `{path}`, which is not: `chmod u+x` it."
        )
    facts = file_facts(path, program="The Enzyme driver")
    if facts.llvm_major != needed:
        raise EnzymeVersionError(path, facts.llvm_major, needed)
    release = installed_release(path) or "unknown"
    version = f"driver {release} {facts.sha256[:16]} LLVM {facts.llvm_version}"
    return Enzyme("driver", path, origin, version, needed)


def _check_done(ir: str) -> None:
    """Enzyme that did not run at all reports success: look for what it should have replaced."""
    for line in ir.splitlines():
        if "__enzyme_" in line and (left := _LEFT_OVER.search(line)):
            symbol = left[1].strip('"')
            raise ToolchainError(
                f"After Enzyme no derivative may be left to do. Got a call of `{symbol}` that it"
                f" did not replace: {line.strip()[:200]}",
                stage="differentiate",
                symbol=symbol,
            )
