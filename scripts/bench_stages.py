r"""Where the time of a synthesis goes: stages, how each grows, and how far it is from the limits.

The Legendre stage is counted: for each step of the recurrence, each ring and each lane, two fused
multiplications and additions make the function and four use it. Beside it stands the rate at which
this core does such operations when nothing has to be loaded, measured in the same run by a loop of
independent ones. Beside the Fourier stage stand FFTW's FFTs of as many rings, alone. The growth is
the exponent p of time ~ lmax^p between one size and the next.

Run it with ``make bench``; ``--plot FILE`` draws it.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from timing import describe, time_in_turns

import sht
from enzyme_rules.fftw import brfft_into, fft_scratch, plan_real_fft
from sht._legendre import PHASES, STATE
from sht._legendre_tables import BLOCK
from sht._simd import LANES, RINGS, aligned_zeros, load_block, load_vector, store_block
from sht._stages import (
    coef_to_sums,
    pack_coefficients_into,
    rings_to_sums,
    sums_to_coef,
    sums_to_rings,
    unpack_coefficients_into,
)
from sht._workers import LinearMap

PER_STEP = 6  # fused operations for each step, ring and lane
LOOPS = 20_000


@njit(error_model="numpy")
def independent_operations(sums, factors):
    """Twenty-four vectors at once, as many as there are registers for."""
    a, b, c = load_block(sums, 0), load_block(sums, BLOCK), load_block(sums, 2 * BLOCK)
    d, e, f = load_block(sums, 3 * BLOCK), load_block(sums, 4 * BLOCK), load_block(sums, 5 * BLOCK)
    x, y = load_vector(factors, 0), load_vector(factors, LANES)
    for _ in range(LOOPS):
        a, b, c = a * x + y, b * x + y, c * x + y
        d, e, f = d * x + y, e * x + y, f * x + y
    store_block(sums, 0, a + b + c + d + e + f)


@njit(error_model="numpy")
def fftw_alone(values, spectrum, plan, scratch, nlat):
    """FFTW's way to the points of so many rings, on memory that stays in the cache."""
    for _ in range(nlat):
        brfft_into(values, spectrum, plan, scratch)


def contenders(lmax: int) -> tuple[dict[str, Callable[[], Any]], float]:
    """All that is timed at one size, and the steps of the Legendre stage."""
    nlat = 3 * (lmax + 1) // 2
    t = sht.Transform(lmax, sht.grids.FullGaussian(nlat, 2 * nlat), threads=1)
    tables = t.legendre
    _, ngroups, ntiles = tables.first.shape
    steps = float(np.sum(np.diff(tables.starts)[:, None] - tables.first[0]))
    rng = np.random.default_rng(lmax)
    a = rng.standard_normal(t.ncoef) + 0j
    field = rng.standard_normal(t.grid.npoints)
    sums, coef = aligned_zeros(ntiles * ngroups * PHASES), t.scratch().coef
    ring = t.ring_scratch()
    everything = (aligned_zeros(STATE), t, 1, (0, ngroups), (0, ntiles))
    pack, unpack = (
        LinearMap(pack_coefficients_into, t, 1, (0, ngroups), True),
        LinearMap(unpack_coefficients_into, t, 1, (0, ngroups), True),
    )
    to_sums, to_coef = LinearMap(coef_to_sums, *everything), LinearMap(sums_to_coef, *everything)
    to_rings = LinearMap(sums_to_rings, t, ring, 1, (0, ntiles))
    from_rings = LinearMap(rings_to_sums, t, ring, 1, (0, ntiles))
    plan = plan_real_fft(2 * nlat, effort="measure")
    ffts = LinearMap(fftw_alone, plan, fft_scratch(plan), nlat)
    values, spectrum = np.zeros(2 * nlat), np.zeros(nlat + 1, complex)
    peak = LinearMap(independent_operations)
    registers, factors = aligned_zeros(6 * BLOCK), np.full(2 * LANES, 0.5)
    out, spectrum_out = np.empty(t.grid.shape), np.empty_like(a)
    square = field.reshape(t.grid.shape)
    return {
        "synthesis": lambda: t.synthesis(a, out=out),
        "pack": lambda: pack.forwards(coef, a),
        "Legendre": lambda: to_sums.forwards(sums, coef),
        "Fourier": lambda: to_rings.forwards(field, sums),
        "FFTW alone": lambda: ffts.forwards(values, spectrum),
        "analysis": lambda: t.analysis(square, out=spectrum_out),
        "Fourier, back": lambda: from_rings.forwards(sums, field),
        "Legendre, back": lambda: to_coef.forwards(coef, sums),
        "unpack": lambda: unpack.forwards(a, coef),
        "peak": lambda: peak.forwards(registers, factors),
    }, steps


def show(rows: dict[int, dict[str, Any]]) -> None:
    names = [name for name in next(iter(rows.values()))["times"] if name != "peak"]
    print(f"\n{'µs':16}" + "".join(f"{f'T{lmax}':>18}" for lmax in rows))
    before: dict[str, float] = {}
    for name in names:
        line, last = f"{name:16}", None
        for lmax, row in rows.items():
            now = row["times"][name]
            growth = math.log(now / before[name]) / math.log((lmax + 1) / (last + 1)) if last else 0
            line += f"{now:11.1f}" + (f"  ^{growth:4.2f}" if last else "       ").rjust(7)
            before[name], last = now, lmax
        print(line)
    print("\nFused operations per ns: six for each step, ring and lane")
    for name in ("Legendre", "Legendre, back", "peak"):
        line = f"{name:16}"
        for row in rows.values():
            line += f"{row['rates'][name]:11.1f}" + (
                f"  {row['rates'][name] / row['rates']['peak']:4.0%}"
                if name != "peak"
                else "      "
            ).rjust(7)
        print(line)


def plot(rows: dict[int, dict[str, Any]], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    sizes = list(rows)
    for name in ("synthesis", "pack", "Legendre", "Fourier", "FFTW alone"):
        axes.loglog(sizes, [rows[n]["times"][name] for n in sizes], "o-", label=name)
    axes.set(xlabel="lmax", ylabel="µs", xticks=sizes, xticklabels=[f"T{n}" for n in sizes])
    axes.minorticks_off()
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def report(machine: str, rows: dict[int, dict[str, Any]], drawing: Path | None) -> None:
    print(machine)
    show(rows)
    sys.stdout.flush()
    if drawing:
        plot(rows, drawing)


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[31, 63, 127, 255, 511, 1023])
    parser.add_argument("--rounds", type=int, default=9, help="turns of each contender")
    parser.add_argument("--save", type=Path, metavar="FILE", help="write all of it as JSON")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the stages")
    parser.add_argument("--load", type=Path, metavar="FILE", help="a run that --save wrote, again")
    options = parser.parse_args(arguments)
    if options.load:
        old = json.loads(options.load.read_text())
        report(old["machine"], {int(n): row for n, row in old["results"].items()}, options.plot)
        return
    about = describe(1, options.rounds, [])
    rows: dict[int, dict[str, Any]] = {}
    for lmax in options.sizes:
        calls, steps = contenders(lmax)
        times = {
            name: 1e6 * statistics.median(seconds)
            for name, seconds in time_in_turns(calls, options.rounds).items()
        }
        counted = steps * RINGS * LANES * PER_STEP / 1e3
        rates = {name: counted / times[name] for name in ("Legendre", "Legendre, back")}
        rates["peak"] = LOOPS * 6 * BLOCK / 1e3 / times["peak"]
        rows[lmax] = {"times": times, "rates": rates}
    report(about["machine"], rows, options.plot)
    if options.save:
        options.save.write_text(json.dumps(about | {"results": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
