"""`python -m llvm`: what is installed, the commands that install Enzyme, and the report."""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from ._build import build_enzyme
from ._enzyme import find_enzyme, llvmlite_version
from ._errors import AutodiffError
from ._folders import CacheFolderError, cache_dir
from ._install import install_enzyme
from ._report_command import add_command, run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0, or 1 where there is no usable Enzyme."""
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    for_enzyme = [word for word in rest if word.startswith("--enzyme-")]
    if unknown := [word for word in rest if word not in for_enzyme or options.command != "report"]:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    try:
        match options.command:
            case "install-enzyme":
                if not (options.unless_found and _found()):
                    install_enzyme(_say, wheel=options.wheel)
            case "build-enzyme":
                build_enzyme(_say)
            case "clear-cache":
                _say(f"Removed {_clear_compiled()} compiled results.")
            case "report":
                return run_command(options, for_enzyme)
            case _:
                return _status()
    except (AutodiffError, CacheFolderError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m llvm",
        description="Without a command: which Enzyme is used, all versions, and the cache.",
    )
    commands = parser.add_subparsers(dest="command", metavar="command")
    install = commands.add_parser(
        "install-enzyme", help="fetch the prebuilt Enzyme driver; no compiler needed"
    )
    install.add_argument(
        "--wheel", type=Path, metavar="FILE", help="the pinned wheel, downloaded elsewhere"
    )
    install.add_argument(
        "--unless-found", action="store_true", help="do nothing where there is an Enzyme already"
    )
    commands.add_parser(
        "build-enzyme", help="build Enzyme's LLVM plugin from source (`make enzyme`)"
    )
    add_command(commands)
    commands.add_parser("clear-cache", help="remove the compiled results, and nothing else")
    return parser


def _say(text: str) -> None:
    print(text, flush=True)


def _found() -> bool:
    try:
        enzyme = find_enzyme()
    except AutodiffError:
        return False
    _say(f"Enzyme is there: {enzyme.origin}, `{enzyme.path}`.")
    return True


def _status() -> int:
    _say(f"Python    {platform.python_version()} ({sys.platform} {platform.machine()})")
    for name in ("enzyme-sht", "numba", "llvmlite", "numpy", "pyfftw"):
        _say(f"{name:9} {_version(name)}")
    _say(f"LLVM      {'.'.join(map(str, llvmlite_version()))} (in llvmlite)")
    _say(f"`llvm`    {_owner()}")
    status = 0
    try:
        enzyme = find_enzyme()
        _say(f"Enzyme    {enzyme.origin}: {enzyme.version}\n          {enzyme.path}")
        if enzyme.opt:
            _say(f"opt       {enzyme.opt}")
    except AutodiffError as error:
        _say(f"Enzyme    none. {error}")
        status = 1
    size = sum(path.stat().st_size for path in cache_dir().rglob("*") if path.is_file())
    _say(f"cache     {cache_dir()}")
    _say(f"          {size / 1e6:.1f} MB, {len(_compiled())} files of compiled results")
    return status


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _owner() -> str:
    """Say whose package `llvm` is: the name is short, and another distribution may want it too."""
    here = Path(__file__).resolve().parent
    owners = importlib.metadata.packages_distributions().get("llvm", [])
    return f"{', '.join(sorted(set(owners))) or 'no distribution'}, imported from {here}"


def _compiled() -> list[Path]:
    return [path for path in cache_dir("compiled").rglob("*") if path.is_file()]


def _clear_compiled() -> int:
    files = _compiled()
    shutil.rmtree(cache_dir("compiled"))
    return len(files)


if __name__ == "__main__":
    raise SystemExit(main())
