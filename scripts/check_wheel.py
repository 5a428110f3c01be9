"""Build the wheel, look into it, install it into an empty environment, run a gradient there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {"enzyme_rules", "llvm", "sht"}

GRADIENT = """
from numba import njit

from llvm import value_and_grad


@njit()
def f(x, y):
    return x * x * y


value, slope = value_and_grad(f)(3.0, 2.0)
if (value, slope) != (18.0, 12.0):
    raise SystemExit(f"value_and_grad(x² y)(3, 2) must be (18, 12). Got {(value, slope)}.")
print("the gradient of x² y at (3, 2) is", slope)
"""


def run(*command: str | Path, cwd: Path = ROOT) -> None:
    """Run a command to its end, or stop here with its exit status."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    argv = [str(part) for part in command]
    done = subprocess.run(argv, cwd=cwd, env=environment, timeout=900)
    if done.returncode:
        raise SystemExit(f"`{' '.join(argv[:4])} ...` failed with exit status {done.returncode}.")


def check_contents(wheel: Path) -> None:
    """Stop if anything but the three packages is inside, or a README or py.typed is not."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    top = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    if top != PACKAGES:
        raise SystemExit(f"The wheel must hold {sorted(PACKAGES)} alone. Got {sorted(top)}.")
    missing = {f"{p}/{f}" for p in PACKAGES for f in ("README.md", "py.typed")} - set(names)
    if missing:
        raise SystemExit(f"The wheel must hold each package's files. Missing: {sorted(missing)}.")


def main() -> None:
    """Do all of it."""
    with tempfile.TemporaryDirectory(prefix="enzyme-sht-wheel-") as folder:
        out, environment, empty = (Path(folder) / name for name in ("out", "env", "empty"))
        empty.mkdir()
        print("building the wheel ...", flush=True)
        shutil.rmtree(ROOT / "build", ignore_errors=True)  # setuptools packs what it finds there
        pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
        run(*pip, "wheel", "--no-deps", "--wheel-dir", out, ROOT)
        (wheel,) = out.glob("*.whl")
        check_contents(wheel)
        print(f"installing {wheel.name} into an empty environment ...", flush=True)
        venv.create(environment, with_pip=True)
        python = environment / "bin" / "python"
        constraints = ROOT / "constraints.txt"
        run(python, *pip[1:], "install", "--constraint", constraints, wheel)
        print("running a gradient there ...", flush=True)
        run(python, "-m", "llvm", cwd=empty)
        run(python, "-c", GRADIENT, cwd=empty)
        dist = ROOT / "dist"
        dist.mkdir(exist_ok=True)
        shutil.copy(wheel, dist)
        print(f"the wheel is good: dist/{wheel.name}")


if __name__ == "__main__":
    main()
