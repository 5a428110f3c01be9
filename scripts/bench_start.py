r"""Time what a new process does until its first transform and its first gradient.

Each round is a process of its own, which times its stages one after the other: with a cache that is
empty, so that all is compiled, and with the one that such a process has left. Numba's import is
timed apart, since whoever uses this has it. Python's byte code is written before.

Where a stage spends its time: ``python -X importtime -c "import sht"``, or
``python -m cProfile -s cumulative scripts/bench_start.py --stages``.

Run it with ``make bench``.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

LMAX = 255
FIRST_SYNTHESIS = "import sht … first synthesis"
"""The sum of the stages up to there, for which the project has a bar: half a second."""


def stages() -> dict[str, float]:
    """Go through them in this process, which must not have done any before; seconds of each."""
    taken: dict[str, float] = {}

    def stage(name: str, run: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = run()
        taken[name] = time.perf_counter() - start
        return result

    numba = stage("import numba", lambda: __import__("numba"))
    sht = stage("import sht", lambda: __import__("sht"))
    np: Any = __import__("numpy")
    grid = (3 * (LMAX + 1) // 2, 3 * (LMAX + 1))
    t = stage(
        f"Transform T{LMAX}", lambda: sht.Transform(LMAX, sht.grids.FullGaussian(*grid), threads=1)
    )
    a = np.zeros(t.ncoef, complex)
    a[1] = 1.0
    field = stage("first synthesis", lambda: t.synthesis(a))
    taken[FIRST_SYNTHESIS] = sum(
        seconds for name, seconds in taken.items() if name != "import numba"
    )
    stage("first adjoint", lambda: t.adjoint_synthesis(field))
    scratch = t.scratch()

    @numba.njit()
    def quartic(a: Any, t: Any, field: Any, scratch: Any) -> Any:
        sht.synthesis_into(field, a, t, scratch)
        return (field**4).sum()

    def gradient() -> Any:
        from llvm import value_and_grad

        return value_and_grad(quartic)(a, t, field, scratch)

    value, _ = stage("first gradient of a loss", gradient)
    plain = stage("first plain call of that loss", lambda: quartic(a, t, field, scratch))
    # Their sums may be regrouped in different ways.
    if abs(value - plain) > 1e-12 * abs(plain):
        raise SystemExit(f"The gradient's value {value} is not that of the loss, {plain}.")
    return taken


def in_new_process(cache: Path, enzyme: tuple[str, str]) -> dict[str, float]:
    """The stages in a new process, with a folder for the cache."""
    variables = {"ENZYME_SHT_CACHE": str(cache), enzyme[0]: enzyme[1]}
    return json.loads(run_python([__file__, "--stages"], variables).splitlines()[-1])


def run_python(arguments: list[str], variables: dict[str, str]) -> str:
    """Run a Python that sees this project, and keeps the byte code of what it imports."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"PYTHONPATH": str(Path(__file__).resolve().parents[1])} | variables
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"A process failed:\n{done.stderr}")
    return done.stdout


def measure(rounds: int, empty: int) -> dict[str, dict[str, list[float]]]:
    """Seconds of each stage in each round, for an empty cache and a filled one."""
    from llvm._enzyme import find_enzyme

    found = find_enzyme()
    # An empty cache has no Enzyme either.
    enzyme = ("ENZYME_DRIVER" if found.kind == "driver" else "ENZYME_PLUGIN", str(found.path))
    results: dict[str, dict[str, list[float]]] = {"empty": {}, "filled": {}}

    def add(kind: str, taken: dict[str, float]) -> None:
        for name, seconds in taken.items():
            results[kind].setdefault(name, []).append(seconds)

    run_python(["-c", "import numba, sht, llvm"], {})
    for _ in range(empty):
        with tempfile.TemporaryDirectory() as folder:
            cache = Path(folder, "cache")
            add("empty", in_new_process(cache, enzyme))
            for _ in range(-(-rounds // empty)):
                add("filled", in_new_process(cache, enzyme))
    return results


def show(results: dict[str, dict[str, list[float]]]) -> None:
    heads = [f"{kind} cache: median (min … max), s" for kind in results]
    print(f"\n{'':34}{heads[0]:40}{heads[1]}")
    for name in results["filled"]:
        cells = []
        for times in results.values():
            own = times[name]
            low, middle, high = min(own), statistics.median(own), max(own)
            cells.append(f"{middle:8.3f} ({low:.3f} … {high:.3f})")
        print(f"  {name:32}{cells[0]:40}{cells[1]}")


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, help="processes with a filled cache")
    parser.add_argument("--empty", type=int, default=3, help="processes with an empty cache")
    parser.add_argument("--save", type=Path, metavar="FILE", help="write all times as JSON")
    parser.add_argument("--stages", action="store_true", help="the stages in this process, as JSON")
    options = parser.parse_args(arguments)
    if options.stages:
        print(json.dumps(stages()))
        return
    if options.rounds < 1 or options.empty < 1:
        parser.error("--rounds and --empty must be at least 1")
    from timing import describe  # it imports what is timed here

    about = describe(1, options.rounds, [])
    print(about["machine"])
    print(", ".join(f"{name} {version}" for name, version in about["versions"].items()))
    results = measure(options.rounds, options.empty)
    show(results)
    if options.save:
        options.save.write_text(json.dumps(about | {"results": results}, indent=1) + "\n")
        print(f"\nsaved {options.save}")


if __name__ == "__main__":
    main()
