"""Time gradients of ordinary Numba code beside JAX and PyTorch, on ADBench's kind of objectives.

A Gaussian mixture, bundle adjustment, an LSTM, hand tracking, k-means, a stiff differential
equation, a stencil code: `objectives/` has each as plain loops in Numba, and as a user of JAX and
of PyTorch writes it. Timed are the function itself and value and gradient, ours by
`value_and_grad`, theirs by ``jax.jit(jax.value_and_grad)`` and ``torch.autograd``, also through
`torch.compile` where the function is not a long loop in Python. Before that, all must agree.

One table for each number of threads, in a process that is told so: ours uses one all the same,
where the function itself does. Another shows what a gradient costs besides time: compiling it in a
fresh process with an empty cache, and the memory at its peak, beyond that of the function.

Run it with ``make bench``; `pip install jax torch` adds the peers.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib
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

import numpy as np
from objectives import OBJECTIVES, Objective
from timing import compare, describe, installed, ratio, time_in_turns

from llvm import value_and_grad
from llvm._enzyme import find_enzyme

TOLERANCE = 1e-9
PEERS = ("jax", "torch", "torch.compile")
Call = Callable[[], Any]


def in_jax(objective: Objective, arguments: tuple[Any, ...]) -> Call:
    jax = importlib.import_module("jax")
    jax.config.update("jax_enable_x64", True)
    numbers = [i for i, a in enumerate(arguments) if not isinstance(a, np.ndarray)]
    function = jax.value_and_grad(objective.in_jax(jax), objective.argnums)
    gradient = jax.jit(function, static_argnums=numbers)
    theirs = [jax.numpy.asarray(a) if isinstance(a, np.ndarray) else a for a in arguments]
    return lambda: jax.block_until_ready(gradient(*theirs))


def in_torch(objective: Objective, arguments: tuple[Any, ...], compiled: bool) -> Call:
    torch = importlib.import_module("torch")
    function = objective.in_torch(torch)
    if compiled:
        function = torch.compile(function, dynamic=False)
    theirs = [torch.tensor(a) if isinstance(a, np.ndarray) else a for a in arguments]
    varying = [theirs[i].requires_grad_() for i in objective.argnums]

    def call() -> tuple[float, Any]:
        value = function(*theirs)
        return value.item(), torch.autograd.grad(value, varying)

    return call


def contenders(objective: Objective, size: str, threads: int) -> tuple[dict[str, Call], list[str]]:
    """What takes turns, and what is to be said of those that do not."""
    arguments = objective.make(**objective.sizes[size])
    gradient = value_and_grad(objective.function, objective.argnums)
    calls: dict[str, Call] = {
        "primal": lambda: objective.function(*arguments),
        "ours": lambda: gradient(*arguments),
    }
    notes: list[str] = []
    want = flat(calls["ours"]())
    if installed("jax"):
        calls["jax"] = in_jax(objective, arguments)
    if installed("torch"):
        importlib.import_module("torch").set_num_threads(threads)
        calls["torch"] = in_torch(objective, arguments, compiled=False)
        if not objective.unrolled:
            compiled = in_torch(objective, arguments, compiled=True)
            try:
                compiled()
            except Exception as error:  # of many kinds: there may be no C++ compiler, for one
                notes.append(f"torch.compile does not take {objective.name}: {error!r:.200}")
            else:
                calls["torch.compile"] = compiled
    for peer in calls.keys() & PEERS:
        error = distance(flat(calls[peer]()), want)
        if not error <= TOLERANCE:
            where = f"{objective.name}, {size}"
            raise SystemExit(f"{peer} and we differ by {error:.1e} on {where}: nothing to compare.")
    return calls, notes


def flat(result: Any) -> list[np.ndarray]:
    value, gradient = result
    return [np.asarray(part) for part in (value, *gradient)]


def distance(got: list[np.ndarray], want: list[np.ndarray]) -> float:
    """The largest difference, relative to the largest entry of the array that it is in."""
    pairs = zip(got, want, strict=True)
    return max(float(np.abs(g - w).max() / np.abs(w).max()) for g, w in pairs)


# What runs in a process of its own. Each function prints one line of JSON.


def measure_times(names: list[str], sizes: list[str], threads: int, rounds: int) -> None:
    results, notes = {}, []
    for name in names:
        for size in sizes:
            calls, remarks = contenders(OBJECTIVES[name], size, threads)
            results[f"{name}, {size}"] = time_in_turns(calls, rounds)
            notes += remarks
    print(json.dumps({"results": results, "notes": notes}))


def measure_compiling(names: list[str]) -> None:
    (objective,) = (OBJECTIVES[name] for name in names)
    arguments = objective.make(**objective.sizes["small"])
    find_enzyme()  # reads the whole driver once, where nothing is in the cache
    seconds = []
    for _ in range(2):  # the second call only computes
        start = time.perf_counter()
        value_and_grad(objective.function, objective.argnums)(*arguments)
        seconds.append(time.perf_counter() - start)
    print(json.dumps(seconds[0] - seconds[1]))


def measure_memory(names: list[str]) -> None:
    (objective,) = (OBJECTIVES[name] for name in names)
    peaks = []
    for function in (objective.function, value_and_grad(objective.function, objective.argnums)):
        function(*objective.make(**objective.sizes["small"]))  # compiles
        peaks.append(peak(function, objective.make(**objective.sizes["large"])))
    print(json.dumps(peaks))


def peak(function: Any, arguments: tuple[Any, ...]) -> int:
    """Bytes that the process has at most during a call, beyond what it had before. Linux only.

    The heap gives back what it has to spare, or small allocations would go unnoticed.
    """
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # starts the peak anew
    before = _resident("VmRSS")
    function(*arguments)
    return max(0, _resident("VmHWM") - before)


def _resident(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def in_child(kind: str, names: list[str], threads: int, *options: str, **environment: str) -> Any:
    """What one of these prints, with so many threads for everybody."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    counted = ("OMP", "MKL", "OPENBLAS", "NUMBA")
    eigen = "true" if threads > 1 else "false"
    environment |= {f"{library}_NUM_THREADS": str(threads) for library in counted}
    environment["XLA_FLAGS"] = (
        f"--xla_cpu_multi_thread_eigen={eigen} intra_op_parallelism_threads={threads}"
    )
    command = [sys.executable, __file__, "--measure", kind, "--threads", str(threads), *options]
    done = subprocess.run(
        [*command, "--only", *names],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        # XLA has no other way to be told.
        preexec_fn=(lambda: os.sched_setaffinity(0, cores[:threads])) if cores else None,
    )
    return json.loads(done.stdout.splitlines()[-1])


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="turns of each contender")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="for everybody")
    parser.add_argument("--sizes", nargs="+", default=["small", "large"])
    parser.add_argument("--only", nargs="+", choices=[*OBJECTIVES], default=[*OBJECTIVES])
    parser.add_argument("--save", type=Path, metavar="FILE", help="write all times as JSON")
    parser.add_argument("--compare", type=Path, metavar="FILE", help="print changes since FILE")
    parser.add_argument(
        "--measure", choices=["times", "compiling", "memory"], help=argparse.SUPPRESS
    )
    options = parser.parse_args(arguments)
    if min(options.rounds, *options.threads) < 1:
        parser.error("--rounds and --threads must be at least 1")
    if options.measure == "times":
        return measure_times(options.only, options.sizes, options.threads[0], options.rounds)
    if options.measure:
        measure = measure_compiling if options.measure == "compiling" else measure_memory
        return measure(options.only)

    peers = [peer for peer in ("jax", "torch") if installed(peer)]
    about = describe(options.threads[0], options.rounds, peers)
    print(about["machine"])
    print(", ".join(f"{name} {version}" for name, version in about["versions"].items()))
    results = {}
    for threads in options.threads:
        rest = ["--rounds", str(options.rounds), "--sizes", *options.sizes]
        found = in_child("times", options.only, threads, *rest)
        results |= {f"{row}, threads={threads}": t for row, t in found["results"].items()}
        print_times(found["results"], threads)
        print(*found["notes"], sep="\n", end="")
    print_costs(options.only)
    if options.compare:
        compare(json.loads(options.compare.read_text()), results)
    if options.save:
        options.save.write_text(json.dumps(about | {"results": results}, indent=1) + "\n")
    return None


def print_times(results: dict[str, dict[str, list[float]]], threads: int) -> None:
    """Medians with the smallest and largest in µs; ratios as medians of those within each round."""
    print(f"\nthreads={threads} for everybody; value and gradient")
    print(f"{'':18}{'primal µs':>12}{'gradient µs':>30}{'÷ primal':>10}", end="")
    print("".join(f"{name:>19}" for name in PEERS) + "   ÷ ours")
    ratios = []
    for row, times in results.items():
        primal, ours = ([1e6 * t for t in times[name]] for name in ("primal", "ours"))
        ratios.append(ratio(times, "ours", "primal"))
        spread = f"{statistics.median(ours):.1f} ({min(ours):.1f} … {max(ours):.1f})"
        print(f"{row:18}{statistics.median(primal):12.1f}{spread:>30}{ratios[-1]:10.2f}", end="")
        print("".join(f"{against(times, peer):>19}" for peer in PEERS))
    print(f"gradient ÷ primal: median {statistics.median(ratios):.2f}, largest {max(ratios):.2f}")
    sys.stdout.flush()


def against(times: dict[str, list[float]], peer: str) -> str:
    """Their time in ours, with its spread over the rounds."""
    if peer not in times:
        return "-"
    rounds = [t / o for t, o in zip(times[peer], times["ours"], strict=True)]
    return f"{statistics.median(rounds):.2f} ± {(max(rounds) - min(rounds)) / 2:.2f}"


def print_costs(names: list[str]) -> None:
    """Compiling without a cache, and the peak of memory for the large size."""
    enzyme = find_enzyme()
    provider = f"ENZYME_{enzyme.kind.upper()}"
    print(f"\n{'':18}{'compiling s':>12}{'peak of primal MB':>20}{'of gradient MB':>16}")
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            own = {"ENZYME_SHT_CACHE": str(Path(folder) / "cache"), provider: str(enzyme.path)}
            seconds = in_child("compiling", [name], 1, **own)
        print(f"{name:18}{seconds:12.2f}", end="")
        if Path("/proc/self/clear_refs").exists():
            in_child("compiling", [name], 1)  # compiling itself takes far more
            primal, gradient = in_child("memory", [name], 1)
            print(f"{primal / 1e6:20.2f}{gradient / 1e6:16.2f}", end="")
        print(flush=True)


if __name__ == "__main__":
    main()
