r"""Time the four maps and two gradients through them, beside the peers that are installed.

How is said in `timing`. Everybody gets the same number of threads; ours share the fields of a
batch, of which there is one here. Outputs are allocated beforehand where an interface allows it.

Run it with ``make bench``.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import json
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from timing import REGROUPED, compare, describe, installed, ratio, time_in_turns

import sht
from llvm import value_and_grad

# What is timed


@njit(fastmath=REGROUPED)
def quartic(a, t, field, scratch):
    sht.synthesis_into(field, a, t, scratch)
    total = 0.0
    for j in range(field.shape[0]):
        for i in range(field.shape[1]):
            total += field[j, i] ** 4
    return total


@njit(fastmath=REGROUPED)
def misfit(a, data, weight, t, field, scratch):
    sht.synthesis_into(field, a, t, scratch)
    total = 0.0
    for j in range(field.shape[0]):
        for i in range(field.shape[1]):
            total += weight[j, i] * (field[j, i] - data[j, i]) ** 2
    return 0.5 * total


def ours(t: sht.Transform, a: np.ndarray, f: np.ndarray) -> dict[str, Callable[[], Any]]:
    field, spectrum, scratch = np.empty_like(f), np.empty_like(a), t.scratch()
    weight = np.where(f > 0.0, 1.0, 0.0)
    quartic_gradient, misfit_gradient = value_and_grad(quartic), value_and_grad(misfit)
    return {
        "synthesis": lambda: t.synthesis(a, out=field),
        "analysis": lambda: t.analysis(f, out=spectrum),
        "adjoint_synthesis": lambda: t.adjoint_synthesis(f, out=spectrum),
        "adjoint_analysis": lambda: t.adjoint_analysis(a, out=field),
        "sum of f^4": lambda: quartic(a, t, field, scratch),
        "sum of f^4, gradient": lambda: quartic_gradient(a, t, field, scratch),
        "misfit": lambda: misfit(a, f, weight, t, field, scratch),
        "misfit, gradient": lambda: misfit_gradient(a, f, weight, t, field, scratch),
    }


def ducc0_maps(
    lmax: int, a: np.ndarray, f: np.ndarray, threads: int
) -> dict[str, Callable[[], Any]]:
    peer = importlib.import_module("ducc0").sht
    nlat, nlon = f.shape
    options = {"spin": 0, "lmax": lmax, "geometry": "GL", "nthreads": threads}
    shape = {"ntheta": nlat, "nphi": nlon}
    a, f = a[None], f[None]
    field, spectrum = np.empty_like(f), np.empty_like(a)
    return {
        "synthesis": lambda: peer.synthesis_2d(alm=a, map=field, **shape, **options),
        "analysis": lambda: peer.analysis_2d(map=f, alm=spectrum, **options),
        "adjoint_synthesis": lambda: peer.adjoint_synthesis_2d(map=f, alm=spectrum, **options),
        "adjoint_analysis": lambda: peer.adjoint_analysis_2d(alm=a, map=field, **shape, **options),
    }


@functools.lru_cache(maxsize=1)
def shtns_plan(lmax: int, nlat: int, nlon: int, threads: int) -> Any:
    """One for all fields of a batch."""
    peer = importlib.import_module("shtns")
    plan = peer.sht(lmax, lmax, nthreads=threads)
    options = peer.sht_gauss | peer.SHT_PHI_CONTIGUOUS | peer.SHT_SCALAR_ONLY
    plan.set_grid(nlat, nlon, flags=options)
    return plan


def shtns_maps(
    lmax: int, a: np.ndarray, f: np.ndarray, threads: int
) -> dict[str, Callable[[], Any]]:
    plan = shtns_plan(lmax, *f.shape, threads)
    field, spectrum, used_up = np.empty_like(f), np.empty_like(a), f.copy()
    return {
        "synthesis": lambda: plan.SH_to_spat(a, field),
        # It destroys its input; what it then gets is of no consequence for the time.
        "analysis": lambda: plan.spat_to_SH(used_up, spectrum),
    }


BATCHES = {"8 fields": 8, "8 fields, float32": 8, "32 fields": 32}
LARGEST_FOR_32 = 255  # beyond, they take gigabytes
PEERS = {"ducc0": ducc0_maps, "shtns": shtns_maps}


def contenders(lmax: int, threads: int, peers: list[str]) -> dict[str, Callable[[], Any]]:
    """All that is timed at one size, by names such as "ducc0 synthesis"."""
    nlat = 3 * (lmax + 1) // 2
    t = sht.Transform(lmax, sht.grids.FullGaussian(nlat, 2 * nlat), threads=threads)
    rng = np.random.default_rng(lmax)
    a = rng.standard_normal(t.ncoef) + 1j * rng.standard_normal(t.ncoef)
    a.imag[: lmax + 1] = 0.0
    f = rng.standard_normal(t.grid.shape)
    calls = ours(t, a, f)
    for name in peers:
        maps = PEERS[name](lmax, a, f, threads)
        calls |= {f"{name} {what}": call for what, call in maps.items()}
    check(calls, t, a, f)
    return calls


def others(lmax: int, threads: int, peers: list[str]) -> dict[str, Callable[[], Any]]:
    """Other grids, precisions, spins and batches: synthesis and analysis, beside the peers."""
    rng = np.random.default_rng(lmax)
    full = sht.grids.FullGaussian(3 * (lmax + 1) // 2, 3 * (lmax + 1))
    octahedral = sht.grids.OctahedralGaussian.for_lmax(lmax)
    made = {
        "full": sht.Transform(lmax, full, threads=threads),
        "float32": sht.Transform(lmax, full, dtype="float32", threads=threads),
        "octahedral": sht.Transform(lmax, octahedral, threads=threads, aliasing="fold"),
        "spin 2": sht.SpinTransform(2, lmax, full, threads=threads),
        "8 fields": sht.Transform(lmax, full, threads=threads),
        "8 fields, float32": sht.Transform(lmax, full, dtype="float32", threads=threads),
    }
    if lmax <= LARGEST_FOR_32:
        made["32 fields"] = made["8 fields"]
    calls: dict[str, Callable[[], Any]] = {}
    for name, t in made.items():
        batch = (BATCHES[name],) if name in BATCHES else ()
        a = rng.standard_normal((*batch, *t.coefficients.shape)).astype(t.coefficients.dtype)
        f = rng.standard_normal((*batch, *t.fields.shape)).astype(t.dtype)
        field, spectrum = np.empty_like(f), np.empty_like(a)
        calls[f"{name} synthesis"] = functools.partial(t.synthesis, a, field)
        calls[f"{name} analysis"] = functools.partial(t.analysis, f, spectrum)
        if "ducc0" in peers and name in ("octahedral", "spin 2"):
            calls[f"ducc0 {name} synthesis"] = ducc0_on_rings(t, a, threads)
        if name in ("8 fields", "32 fields"):
            for peer in peers:
                each = [PEERS[peer](lmax, x, g, threads) for x, g in zip(a, f, strict=True)]
                for what in ("synthesis", "analysis"):
                    one_by_one = [maps[what] for maps in each]
                    calls[f"{peer} {name} {what}"] = functools.partial(call_all, one_by_one)
    return calls | vectors(lmax, full, threads, peers)


def call_all(calls: list[Callable[[], Any]]) -> None:
    for call in calls:
        call()


def vectors(lmax: int, grid: Any, threads: int, peers: list[str]) -> dict[str, Callable[[], Any]]:
    """Winds of a stream function and a velocity potential, and back."""
    t = sht.VectorTransform(lmax, grid, threads=threads)
    rng = np.random.default_rng(lmax)
    a = rng.standard_normal(t.coefficients.shape) + 0j
    a[:, 0] = 0.0
    uv, spectrum = np.empty(t.fields.shape), np.empty_like(a)
    calls: dict[str, Callable[[], Any]] = {
        "vector synthesis": functools.partial(t.potential_winds, a, uv),
        "vector analysis": lambda: t.potentials(uv, spectrum),
    }
    if "shtns" in peers:
        peer = importlib.import_module("shtns")
        plan = peer.sht(lmax, lmax, nthreads=threads)
        plan.set_grid(*grid.shape, flags=peer.sht_gauss | peer.SHT_PHI_CONTIGUOUS)
        south, east = np.empty(grid.shape), np.empty(grid.shape)
        poloidal, toroidal = a[1].copy(), -a[0]
        plan.SHsphtor_to_spat(poloidal, toroidal, south, east)
        want = t.potential_winds(a)
        for got, ours in ((east, want[0]), (-south, want[1])):
            if np.max(np.abs(got - ours)) > 1e-9 * np.max(np.abs(ours)):
                raise SystemExit("SHTns' winds differ from ours: nothing to compare.")
        calls["shtns vector synthesis"] = lambda: plan.SHsphtor_to_spat(
            poloidal, toroidal, south, east
        )
        calls["shtns vector analysis"] = lambda: plan.spat_to_SHsphtor(
            south, east, spectrum[0], spectrum[1]
        )
    return calls


def ducc0_on_rings(t: Any, a: np.ndarray, threads: int) -> Callable[[], Any]:
    """ducc0's synthesis on any rings; refused if it gives something else."""
    peer, grid = importlib.import_module("ducc0").sht, t.grid
    options = {
        "spin": t.legendre.spin,
        "lmax": t.lmax,
        "theta": grid.theta,
        "nphi": grid.nlon.astype(np.uint64),
        "phi0": grid.phi0,
        "ringstart": grid.offsets[:-1].astype(np.uint64),
        "nthreads": threads,
    }
    a = a.reshape(-1, t.ncoef)
    field = np.empty((len(a), grid.npoints))
    want = t.synthesis(a.reshape(t.coefficients.shape)).reshape(field.shape)
    call = functools.partial(peer.synthesis, alm=a, map=field, **options)
    if np.max(np.abs(call() - want)) > 1e-10 * np.max(np.abs(want)):
        raise SystemExit("ducc0 differs from ours: nothing to compare.")
    return call


def check(
    calls: dict[str, Callable[[], Any]], t: sht.Transform, a: np.ndarray, f: np.ndarray
) -> None:
    """Refuse to time a contender that computes something else."""
    # ducc0's coefficients of orders m > 0 stand for those of -m as well.
    both = np.where(sht.degrees_orders(t.lmax)[1] > 0, 2.0, 1.0)
    want = {
        "synthesis": t.synthesis(a),
        "analysis": t.analysis(f),
        "adjoint_synthesis": t.adjoint_synthesis(f) / both,
        "adjoint_analysis": t.adjoint_analysis(a * both),
    }
    for name, call in calls.items():
        peer, _, what = name.partition(" ")
        if peer == "ducc0":
            error = np.max(np.abs(call()[0] - want[what])) / np.max(np.abs(want[what]))
            if error > 1e-10:
                raise SystemExit(f"{name} differs from ours by {error:.1e}: nothing to compare.")


# Report


def show(title: str, times: dict[str, list[float]], peers: list[str]) -> None:
    print(f"\n{title:30}{'median':>12} {'min':>12} … {'max (µs)':12} ratio")
    for name, seconds in times.items():
        notes = [
            f"{ratio(times, name, f'{peer} {name}'):.2f} x {peer}"
            for peer in peers
            if f"{peer} {name}" in times
        ]
        if name.startswith("adjoint_"):
            other = "analysis" if name == "adjoint_synthesis" else "synthesis"
            notes.append(f"{ratio(times, name, other):.2f} x {other}")
        if name.endswith(", gradient"):
            primal = name.removesuffix(", gradient")
            notes = [f"{ratio(times, name, primal):.2f} x primal"]
            notes.append(f"{ratio(times, name, 'synthesis'):.2f} x synthesis")
        kind, _, what = name.partition(" ")
        if f"full {what}" in times and kind in ("float32", "octahedral"):
            notes.append(f"{ratio(times, name, f'full {what}'):.2f} x full, float64")
        count = BATCHES.get(name.rpartition(" ")[0])
        if count:
            one = ratio(times, name, f"full {name.split()[-1]}") / count
            notes.append(f"{one:.2f} x full, each field")
        low, middle, high = (
            1e6 * x for x in (min(seconds), statistics.median(seconds), max(seconds))
        )
        line = f"  {name:28}{middle:12.1f} {low:12.1f} … {high:<12.1f}"
        print(f"{line} {', '.join(notes)}".rstrip())


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[31, 63, 127, 255, 511])
    parser.add_argument("--rounds", type=int, default=9, help="turns of each contender")
    parser.add_argument("--threads", type=int, default=1, help="for everybody")
    parser.add_argument("--save", type=Path, metavar="FILE", help="write all times as JSON")
    parser.add_argument("--compare", type=Path, metavar="FILE", help="a run that --save wrote")
    options = parser.parse_args(arguments)
    if options.rounds < 1 or options.threads < 1 or min(options.sizes) < 1:
        parser.error("--sizes, --rounds and --threads must be at least 1")
    old = json.loads(options.compare.read_text()) if options.compare else None

    peers = [peer for peer in PEERS if installed(peer)]
    about = describe(options.threads, options.rounds, peers)
    print(about["machine"])
    print(", ".join(f"{name} {version}" for name, version in about["versions"].items()))
    print(f"threads={options.threads} for everybody, {options.rounds} rounds in turns")
    results = {}
    for lmax in options.sizes:
        times = time_in_turns(contenders(lmax, options.threads, peers), options.rounds)
        results[f"T{lmax}"] = times
        nlat = 3 * (lmax + 1) // 2
        show(f"T{lmax}, {nlat} x {2 * nlat}", times, peers)
        times = time_in_turns(others(lmax, options.threads, peers), options.rounds)
        results[f"T{lmax}, others"] = times
        show(f"T{lmax}, others", times, peers)
        sys.stdout.flush()
    if options.save:
        options.save.write_text(json.dumps(about | {"results": results}, indent=1) + "\n")
        print(f"\nsaved {options.save}")
    if old:
        compare(old, results)


if __name__ == "__main__":
    main()
