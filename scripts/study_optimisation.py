"""A study: what passes before and after Enzyme, noalias and Enzyme's flags do to a gradient's cost.

Five kernels, and for each a loop over `Options`. Every variant's gradient is checked against the
default's before it is timed, and the default's against forward mode. What Enzyme refuses, or gets
wrong, is a row of the table like any other. How is timed is said in `timing`; "kept" is memory that
lives from the forward pass to the reverse pass, read off the report of each gradient.

Enzyme's program optimises at O2 on both sides of Enzyme in any case: "before" comes in front of
that, "after" behind it.
"""

from __future__ import annotations

import argparse
import inspect
import json
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from timing import describe, ratio, time_in_turns

from llvm import AutodiffError, Options, jvp, value_and_grad

# The kernels


@njit()
def stencil(u, next_u, steps):
    """Diffusion with a cubic loss, in place: what is overwritten has to be kept."""
    for _ in range(steps):
        for i in range(1, u.size - 1):
            next_u[i] = u[i] + 0.2 * (u[i - 1] - 2.0 * u[i] + u[i + 1]) - 0.1 * u[i] ** 3
        for i in range(1, u.size - 1):
            u[i] = next_u[i]
    total = 0.0
    for i in range(u.size):
        total += u[i] ** 2
    return total


@njit()
def norm(x, weight):
    """Array expressions and reductions: temporaries, and nothing that is overwritten."""
    scaled = x * weight
    return np.sqrt((scaled * scaled).sum()) + (scaled * x).sum()


@njit()
def logistic(x, rate, steps):
    """One number through many steps: each has to be kept."""
    for _ in range(steps):
        x = rate * x * (1.0 - x)
    return x


@njit()
def matvec(a, x, y):
    """A matrix-vector product in loops, into an array that is passed in."""
    total = 0.0
    for i in range(a.shape[0]):
        y[i] = 0.0
        for j in range(a.shape[1]):
            y[i] += a[i, j] * x[j]
        total += np.tanh(y[i]) ** 2
    return total


@njit()
def huber(x, data, edge):
    """A sum whose terms branch on the data."""
    total = 0.0
    for i in range(x.size):
        r = abs(x[i] - data[i])
        total += 0.5 * r * r if r < edge else edge * (r - 0.5 * edge)
    return total


@dataclass(frozen=True)
class Kernel:
    """A function, what it is called with, and what it is differentiated by."""

    function: Any
    arguments: tuple[Any, ...]
    argnums: tuple[int, ...]

    @property
    def name(self) -> str:
        """As in the table."""
        return self.function.py_func.__name__

    def fresh(self) -> tuple[Any, ...]:
        """Arguments that may be written into."""
        return tuple(a.copy() if isinstance(a, np.ndarray) else a for a in self.arguments)

    def sizes(self) -> dict[str, int]:
        """Values for the names in the report's sizes."""
        found: dict[str, int] = {}
        names = inspect.signature(self.function.py_func).parameters
        for name, argument in zip(names, self.arguments, strict=True):
            if isinstance(argument, int):
                found[name] = argument
            for axis, length in enumerate(np.shape(argument)):
                found[f"{name}.shape[{axis}]"] = length
        return found


def kernels(scale: float) -> list[Kernel]:
    rng = np.random.default_rng(0)

    def some(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape)

    def n(full: int) -> int:
        return max(8, round(scale * full))

    side = n(512)
    return [
        Kernel(stencil, (some(n(2000)), np.zeros(n(2000)), n(100)), (0,)),
        Kernel(norm, (some(n(200_000)), some(n(200_000))), (0, 1)),
        # Beyond this rate it is chaotic, and no two ways to compute its gradient agree.
        Kernel(logistic, (0.3, 3.2, n(50_000)), (0, 1)),
        Kernel(matvec, (some(side, side) / side, some(side), np.zeros(side)), (0, 1)),
        Kernel(huber, (some(n(200_000)), some(n(200_000)), 1.0), (0, 2)),
    ]


# The variants

DEFAULT = "default"
VARIANTS = {
    DEFAULT: Options(),
    "without noalias": Options(noalias=False),
    "before: O1": Options(passes_before="O1"),
    "before: O2": Options(passes_before="O2"),
    "before: O3": Options(passes_before="O3"),
    "before: O3, after: O0": Options(passes_before="O3", passes_after="O0"),
    "after: O0": Options(passes_after="O0"),
    "after: O1": Options(passes_after="O1"),
    "after: O2": Options(passes_after="O2"),
    "rematerialize": Options(("--enzyme-rematerialize=1",)),
    "no min-cut of tapes": Options(("--enzyme-mincut-cache=0",)),
    "no recomputation": Options(("--enzyme-new-cache=0",)),
    "tapes zeroed": Options(("--enzyme-zero-cache=1",)),
    "no activity analysis": Options(("--enzyme-disable-activity-analysis=1",)),
    "fast-math": Options(("--enzyme-fast-math=1",)),
}


@dataclass
class Row:
    """What came of one variant of one kernel."""

    problem: str = ""
    ratio: float = 0.0
    low: float = 0.0
    high: float = 0.0
    kept: int | None = None
    allocations: int = 0
    compile_seconds: float = 0.0


def flat(gradient: tuple[Any, ...]) -> np.ndarray:
    return np.concatenate([np.ravel(g) for g in gradient])


def study(kernel: Kernel, names: list[str], rounds: int) -> dict[str, Row]:
    """Check, then time, all variants of a kernel."""
    rows = {name: Row() for name in names}
    reference: np.ndarray | None = None
    arguments = kernel.fresh()
    calls: dict[str, Callable[[], Any]] = {"primal": lambda: kernel.function(*arguments)}
    for name in names:
        gradient = value_and_grad(kernel.function, kernel.argnums, options=VARIANTS[name])
        row = rows[name]
        try:
            found = flat(gradient(*kernel.fresh())[1])
        except AutodiffError as error:
            row.problem = f"refused: {error}"
            continue
        if reference is None:
            reference = checked(kernel, found)
        error = np.abs(found - reference).max() / np.abs(reference).max()
        if not error < 1e-10:
            row.problem = f"wrong: the error is {error:.1e}"
            continue
        report = gradient.report()
        values = kernel.sizes()
        sizes = [None if item.per else item.size.at(values) for item in report.kept]
        row.kept = None if None in sizes else sum(size for size in sizes if size)
        row.allocations = report.gradient.allocations
        row.compile_seconds = sum(stage.seconds for stage in report.stages)
        calls[name] = lambda gradient=gradient: gradient(*arguments)
    times = time_in_turns(calls, rounds)
    for name in calls.keys() - {"primal"}:
        each = [g / p for g, p in zip(times[name], times["primal"], strict=True)]
        rows[name].ratio = ratio(times, name, "primal")
        rows[name].low, rows[name].high = min(each), max(each)
    return rows


def checked(kernel: Kernel, gradient: np.ndarray) -> np.ndarray:
    """The gradient, after ⟨gradient, direction⟩ was found to be what forward mode says it is."""
    rng = np.random.default_rng(1)
    direction = [
        rng.standard_normal(np.shape(a)) if i in kernel.argnums else None
        for i, a in enumerate(kernel.arguments)
    ]
    # What a kernel may write has a tangent as well: it starts from zero.
    tangents = [
        np.zeros_like(a) if d is None and isinstance(a, np.ndarray) else d
        for a, d in zip(kernel.arguments, direction, strict=True)
    ]
    tangents = [float(t) if isinstance(t, np.ndarray) and t.ndim == 0 else t for t in tangents]
    _, tangent = jvp(kernel.function, kernel.fresh(), tangents)
    along = flat(tuple(direction[i] for i in kernel.argnums))
    expected = float(gradient @ along)
    scale = np.linalg.norm(gradient) * np.linalg.norm(along)
    if not abs(tangent - expected) <= 1e-10 * scale:
        raise SystemExit(f"{kernel.name}: forward mode gives {tangent}, reverse mode {expected}")
    return gradient


# Showing it


def table(rows: dict[str, Row]) -> Iterator[str]:
    yield f"{'':24}{'gradient ÷ primal':>18}{'spread':>16}{'kept':>13}{'mallocs':>9}{'compile':>10}"
    for name, row in rows.items():
        if row.problem:
            yield f"{name:24}  {textwrap.shorten(row.problem, 90, placeholder=' …')}"
            continue
        kept = "not known" if row.kept is None else f"{row.kept:,} B"
        spread = f"{row.low:.2f} … {row.high:.2f}"
        seconds = f"{1e3 * row.compile_seconds:.0f} ms"
        yield f"{name:24}{row.ratio:18.2f}{spread:>16}{kept:>13}{row.allocations:9}{seconds:>10}"


def plot(results: dict[str, dict[str, Row]], path: Path) -> None:
    from matplotlib.figure import Figure

    names = list(next(iter(results.values())))
    figure = Figure(figsize=(8, 1.5 + 0.35 * len(names)), layout="constrained")
    axes = figure.subplots()
    for k, (kernel, rows) in enumerate(results.items()):
        timed = [(i, rows[name]) for i, name in enumerate(names) if not rows[name].problem]
        at = [i + 0.12 * (k - len(results) / 2) for i, _ in timed]
        middle = np.array([row.ratio for _, row in timed])
        low = middle - [row.low for _, row in timed]
        high = [row.high for _, row in timed] - middle
        axes.errorbar(middle, at, xerr=[low, high], fmt="o", ms=4, label=kernel)
    axes.set(xlabel="gradient ÷ primal", xscale="log", yticks=range(len(names)), yticklabels=names)
    axes.invert_yaxis()
    axes.grid(alpha=0.3, axis="x", which="both")
    axes.legend(ncols=len(results), loc="upper center", bbox_to_anchor=(0.4, 1.0 + 1 / len(names)))
    figure.savefig(path, dpi=120)


def main(arguments: list[str] | None = None) -> None:
    """Run the study."""
    every = [kernel.name for kernel in kernels(0.0)]
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, help="turns of each variant")
    parser.add_argument("--scale", type=float, default=1.0, help="of the kernels' sizes")
    parser.add_argument("--kernels", nargs="+", choices=every, default=every)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--save", type=Path, metavar="FILE", help="write all of it as JSON")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the ratios")
    options = parser.parse_args(arguments)
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    about = describe(1, options.rounds, [])
    print(f"{about['machine']}, {options.rounds} rounds")
    names = [DEFAULT, *(name for name in options.variants if name != DEFAULT)]
    results: dict[str, dict[str, Row]] = {}
    for kernel in kernels(options.scale):
        if kernel.name not in options.kernels:
            continue
        shown = ", ".join(f"{name} = {value}" for name, value in kernel.sizes().items())
        print(f"\n{kernel.name} ({shown})")
        results[kernel.name] = study(kernel, names, options.rounds)
        print("\n".join(table(results[kernel.name])))
        sys.stdout.flush()
    if options.plot:
        plot(results, options.plot)
    if options.save:
        saved = {kernel: {n: vars(r) for n, r in rows.items()} for kernel, rows in results.items()}
        options.save.write_text(json.dumps(about | {"results": saved}, indent=1) + "\n")


if __name__ == "__main__":
    main()
