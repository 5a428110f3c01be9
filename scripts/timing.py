"""What the benchmarks have in common: contenders that take turns, ratios, the machine.

All contenders are prepared, warmed up, and then take turns: one round times each once, as the mean
of as many calls as take some milliseconds. Reported are medians over the rounds with the smallest
and the largest, and ratios as medians of the ratios within each round, so that a slow spell of the
machine hits both sides.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from llvm._enzyme import find_enzyme

TURN = 5e-3  # seconds of calls in one turn, at least

# Sums that may be regrouped, as whoever looks for speed lets them be: otherwise each addition waits
# for the one before, a nanosecond a point, which has nothing to do with the gradient.
REGROUPED = {"reassoc", "contract"}


def time_in_turns(
    calls: dict[str, Callable[[], Any]], rounds: int, turn: float = TURN
) -> dict[str, list[float]]:
    """Seconds per call of each contender in each round."""
    repeats = {}
    for name, call in calls.items():
        call()  # compiles, plans, fills caches
        start = time.perf_counter()
        call()
        repeats[name] = max(1, round(turn / (time.perf_counter() - start)))
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            count = repeats[name]
            call()  # the contender before has used the caches
            start = time.perf_counter()
            for _ in range(count):
                call()
            times[name].append((time.perf_counter() - start) / count)
    return times


def ratio(times: dict[str, list[float]], name: str, other: str) -> float:
    """Median over the rounds of one contender's time in another's."""
    return statistics.median(x / y for x, y in zip(times[name], times[other], strict=True))


def describe(threads: int, rounds: int, peers: list[str]) -> dict[str, Any]:
    """The machine and the versions of all that took part."""
    cpu, flags = platform.processor() or platform.machine(), set()
    info = Path("/proc/cpuinfo")
    if info.exists():
        fields = dict(line.split(":", 1) for line in info.read_text().splitlines() if ":" in line)
        entries = {key.strip(): value.strip() for key, value in fields.items()}
        cpu, flags = entries.get("model name", cpu), set(entries.get("flags", "").split())
    simd = next((name for name in ("avx512f", "avx2", "sse2") if name in flags), "")
    versions = {"python": platform.python_version(), "enzyme": find_enzyme().version}
    for package in ("numpy", "numba", "llvmlite", "pyfftw", *peers):
        versions[package] = importlib.metadata.version(package)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    machine = f"{cpu} {f'({simd}) ' if simd else ''}{cores} cores, {platform.system()}"
    return {"machine": machine, "versions": versions, "threads": threads, "rounds": rounds}


def compare(old: dict[str, Any], results: dict[str, dict[str, list[float]]]) -> None:
    """Print the change of each median since another run."""
    print(f"\nAgainst the run on {old['machine']}, threads={old['threads']} (now ÷ then):")
    for size, times in results.items():
        for name, seconds in times.items():
            before = old["results"].get(size, {}).get(name)
            if before:
                change = statistics.median(seconds) / statistics.median(before)
                print(f"  {size:6}{name:28}{change:8.2f}")


def installed(peer: str) -> bool:
    try:
        importlib.import_module(peer)
    except ImportError:
        print(f"{peer} is not installed: left out. `pip install {peer}` adds it.")
        return False
    return True
