r"""Time the gradient of a loss through a synthesis beside the differentiable peers.

The loss is Σ f⁴ / 4 over all fields and points; value and gradient, from arrays to arrays. Ours is
an ``@njit`` function with `value_and_grad`; the peers' is what their users write: torch-harmonics
with PyTorch's backward, s2fft and dinosaur under ``jax.jit(jax.value_and_grad)``. Each has the grid
that it is made for, of the same number of points, and the same number of threads. Values are
compared with ours where the coefficients can be converted.

Run it with ``make bench``, in an environment that has the peers:
``pip install torch torch-harmonics s2fft dinosaur``.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from timing import REGROUPED, describe, installed, ratio, time_in_turns

import sht
from llvm import value_and_grad


@njit(fastmath=REGROUPED)
def quartic(a, t, fields, scratch):
    sht.synthesis_into(fields, a, t, scratch)
    total = 0.0
    for x in fields.ravel():
        total += x * x * x * x
    return 0.25 * total


class Problem:
    """Our side of a comparison: a transform, coefficients of `count` fields, and the loss."""

    def __init__(self, lmax: int, grid: Any, count: int, dtype: str, threads: int) -> None:
        self.t = sht.Transform(lmax, grid, dtype=dtype, threads=threads)
        rng = np.random.default_rng(lmax)
        shape = (count, self.t.ncoef)
        a = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
        a.imag[:, self.t.orders == 0] = 0.0
        self.a = (a / lmax).astype(self.t.coefficients.dtype)
        self._fields = np.empty((count, *self.t.fields.shape), self.t.dtype)
        self._scratch = self.t.scratch(min(count, self.t.fields_at_once))
        self._gradient = value_and_grad(quartic)

    def value_and_gradient(self) -> tuple[float, np.ndarray]:
        """Of the loss, with respect to all coefficients."""
        return self._gradient(self.a, self.t, self._fields, self._scratch)


def require_equal(peer: str, theirs: float, ours: float, tolerance: float) -> None:
    if not abs(theirs - ours) <= tolerance * abs(ours):
        raise SystemExit(f"{peer} has {theirs}, we have {ours}: nothing to compare.")


def torch_harmonics(lmax: int, count: int, threads: int) -> tuple[Problem, Callable[[], Any]]:
    torch = importlib.import_module("torch")
    peer = importlib.import_module("torch_harmonics")
    torch.set_num_threads(threads)
    nlat, nlon = lmax + 1, 2 * (lmax + 1)
    problem = Problem(lmax, sht.grids.FullGaussian(nlat, nlon), count, "float64", threads)
    synthesis = peer.InverseRealSHT(nlat, nlon, lmax + 1, lmax + 1, grid="legendre-gauss").double()
    coefficients = sht.layouts.torch_harmonics(lmax).unpack(problem.a)
    theirs = torch.tensor(coefficients, requires_grad=True)

    def call() -> float:
        theirs.grad = None
        loss = 0.25 * (synthesis(theirs) ** 4).sum()
        loss.backward()
        return loss.item()

    require_equal("torch-harmonics", call(), problem.value_and_gradient()[0], 1e-10)
    return problem, call


def s2fft(lmax: int, threads: int) -> tuple[Problem, Callable[[], Any]]:
    jax = importlib.import_module("jax")
    jax.config.update("jax_enable_x64", True)
    peer = importlib.import_module("s2fft")
    size = lmax + 1
    grid = sht.grids.FullGaussian(size, 2 * size - 1)
    problem = Problem(lmax, grid, 1, "float64", threads)
    t = problem.t
    flm = np.zeros((size, 2 * size - 1), complex)
    flm[t.degrees, lmax + t.orders] = problem.a[0]
    flm[t.degrees, lmax - t.orders] = (-1.0) ** t.orders * problem.a[0].conj()
    inverse = functools.partial(peer.inverse_jax, L=size, sampling="gl", reality=True)
    gradient = jax.jit(
        jax.value_and_grad(lambda x: 0.25 * (inverse(x).real ** 4).sum(), holomorphic=False)
    )
    theirs = jax.numpy.asarray(flm)

    def call() -> float:
        value, derivative = gradient(theirs)
        derivative.block_until_ready()
        return float(value)

    require_equal("s2fft", call(), problem.value_and_gradient()[0], 1e-8)
    return problem, call


def dinosaur(lmax: int, count: int, threads: int) -> tuple[Problem, Callable[[], Any]]:
    jax = importlib.import_module("jax")
    peer = importlib.import_module("dinosaur.spherical_harmonic")
    single = jax.numpy.float32
    grid = getattr(peer.Grid, f"T{lmax}")()
    nlon, nlat = grid.nodal_shape
    problem = Problem(lmax, sht.grids.FullGaussian(nlat, nlon), count, "float32", threads)
    gradient = jax.jit(jax.value_and_grad(lambda x: 0.25 * (grid.to_nodal(x) ** 4).sum()))
    rng = np.random.default_rng(lmax)
    modes = rng.standard_normal((count, *grid.modal_shape)) * grid.mask
    theirs = jax.numpy.asarray(modes, single)

    def call() -> float:
        value, derivative = gradient(theirs)
        derivative.block_until_ready()
        return float(value)

    return problem, call


# name, what the user would write, the least ratio that is aimed at
CASES: list[tuple[str, str, Callable[[int], tuple[Problem, Callable[[], Any]]], float]] = [
    ("torch_harmonics", "T255, 16 fields", lambda n: torch_harmonics(255, 16, n), 10.0),
    ("torch_harmonics", "T127, 1 field", lambda n: torch_harmonics(127, 1, n), 10.0),
    ("s2fft", "L = 128, 1 field", lambda n: s2fft(127, n), 50.0),
    ("dinosaur", "T85, 8 fields, float32", lambda n: dinosaur(85, 8, n), 1.0),
]


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="turns of each contender")
    parser.add_argument("--threads", type=int, default=1, help="for everybody")
    parser.add_argument("--save", type=Path, metavar="FILE", help="write all times as JSON")
    options = parser.parse_args(arguments)
    if hasattr(os, "sched_setaffinity"):  # XLA has no other way to be told
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])
    peers = [peer for peer in ("torch_harmonics", "s2fft", "dinosaur") if installed(peer)]
    about = describe(options.threads, options.rounds, peers)
    print(about["machine"])
    print(", ".join(f"{name} {version}" for name, version in about["versions"].items()))
    results = {}
    for peer, title, prepare, aim in CASES:
        if peer not in peers:
            continue
        problem, theirs = prepare(options.threads)
        times = time_in_turns({"ours": problem.value_and_gradient, peer: theirs}, options.rounds)
        results[f"{peer}, {title}"] = times
        low, high = min(times["ours"]), max(times["ours"])
        verdict = "yes" if ratio(times, peer, "ours") >= aim else "NO"
        print(
            f"{title:24}{ratio(times, peer, 'ours'):8.1f} x faster than {peer:16}"
            f"ours {1e6 * low:.0f} … {1e6 * high:.0f} µs; aim {aim:g}: {verdict}"
        )
        sys.stdout.flush()
    if options.save:
        options.save.write_text(json.dumps(about | {"results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
