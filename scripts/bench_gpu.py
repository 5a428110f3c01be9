r"""Time the transform and its gradient on a GPU, beside torch-harmonics on the same one.

Times are CUDA's, between two events around a call, the median of several after one that compiles.
The loss is Σ f⁴ / 4 over all fields and points, value and gradient. Without a GPU it says so and
ends. ``--write`` puts the table, with the device's name, into ``docs/performance.md``.

Run it with ``make bench-gpu``; for the peer ``pip install torch torch-harmonics``.
"""

from __future__ import annotations

import argparse
import importlib
import re
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from timing import installed

import sht
from enzyme_rules._cupy import DeviceError, cupy
from llvm import kernel

PAGE = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
PLACE = re.compile(r"(<!-- bench_gpu -->\n).*?(<!-- end -->)", re.S)


@kernel
@njit()
def quartic(i, field):
    square = field[i] * field[i]
    return 0.25 * square * square


def milliseconds(library: Any, call: Callable[[], Any], rounds: int) -> float:
    """The median of what one call takes, by the device's own clock."""
    call()
    times = []
    for _ in range(rounds):
        begin, end = library.cuda.Event(), library.cuda.Event()
        begin.record()
        call()
        end.record()
        end.synchronize()
        times.append(library.cuda.get_elapsed_time(begin, end))
    return statistics.median(times)


def row(
    library: Any, lmax: int, grid: str, fields: int, dtype: str, rounds: int
) -> dict[str, float]:
    """Milliseconds of the maps, of a gradient, and the memory that they took, in MB."""
    t = sht.Transform(lmax, sht.grids.named(grid), dtype=dtype)
    rng = np.random.default_rng(lmax)
    shape = (fields, t.ncoef)
    host = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    host.imag[:, t.orders == 0] = 0.0
    a = library.asarray((host / lmax).astype(t.coefficients.dtype))
    pool = library.get_default_memory_pool()
    pool.free_all_blocks()
    field = t.synthesis(a)
    gradient = sht.value_and_grad_through(t, quartic[field.size])
    times = {
        "synthesis": milliseconds(library, lambda: t.synthesis(a), rounds),
        "analysis": milliseconds(library, lambda: t.analysis(field), rounds),
        "adjoint": milliseconds(library, lambda: t.adjoint_synthesis(field), rounds),
        "gradient": milliseconds(library, lambda: gradient(a), rounds),
    }
    if installed("torch_harmonics") and grid.startswith("F"):
        times["torch-harmonics"] = milliseconds(
            library, torch_harmonics(lmax, t.grid, fields, dtype), rounds
        )
    return times | {"MB": pool.total_bytes() / 1e6}


def torch_harmonics(lmax: int, grid: Any, fields: int, dtype: str) -> Callable[[], Any]:
    """The same gradient, as its users write it, in the stream that our events are in."""
    torch = importlib.import_module("torch")
    peer = importlib.import_module("torch_harmonics")
    real = getattr(torch, dtype)
    nlat, nlon = grid.nlat, int(grid.nlon[0])
    synthesis = peer.InverseRealSHT(nlat, nlon, lmax + 1, lmax + 1, grid="legendre-gauss")
    synthesis = synthesis.to("cuda", real)
    shape = (fields, lmax + 1, lmax + 1)
    theirs = torch.randn(shape, dtype=real, device="cuda").to(torch.complex64)
    if dtype == "float64":
        theirs = theirs.to(torch.complex128)
    theirs.requires_grad_(True)
    stream = torch.cuda.ExternalStream(cupy().cuda.get_current_stream().ptr)

    def call() -> None:
        with torch.cuda.stream(stream):
            theirs.grad = None
            (0.25 * (synthesis(theirs) ** 4).sum()).backward()

    return call


CASES = [
    (lmax, grid, fields, dtype)
    for lmax, grids in ((255, ("F192", "O192")), (511, ("F384", "O384")), (1023, ("F768",)))
    for grid in grids
    for fields in ((1, 32) if lmax < 1023 else (8,))
    for dtype in ("float64", "float32")
]
COLUMNS = ("synthesis", "analysis", "adjoint", "gradient", "torch-harmonics", "MB")


def table(about: str, rows: list[tuple[str, dict[str, float]]]) -> str:
    """As Markdown: milliseconds, and the ratios that are aimed at."""
    lines = [about, "", f"| transform | {' | '.join(COLUMNS)} | gradient ÷ synthesis | × faster |"]
    lines.append("|---" * (len(COLUMNS) + 3) + "|")
    for name, times in rows:
        cells = [f"{times[c]:.3g}" if c in times else "–" for c in COLUMNS]
        cells.append(f"{times['gradient'] / times['synthesis']:.2f}")
        peer = times.get("torch-harmonics")
        cells.append(f"{peer / times['gradient']:.1f}" if peer else "–")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20, help="calls of each map")
    parser.add_argument("--write", action="store_true", help="put the table into the documentation")
    options = parser.parse_args(arguments)
    try:
        library = cupy()
    except DeviceError as error:
        raise SystemExit(str(error)) from None
    name = library.cuda.runtime.getDeviceProperties(library.cuda.Device().id)["name"].decode()
    version = library.cuda.runtime.runtimeGetVersion()
    about = (
        f"{name}, CUDA {version // 1000}.{version % 1000 // 10}, CuPy {library.__version__}; "
        f"milliseconds, medians of {options.rounds}."
    )
    rows = []
    for lmax, grid, fields, dtype in CASES:
        title = f"T{lmax} {grid}, {fields} × {dtype}"
        rows.append((title, row(library, lmax, grid, fields, dtype, options.rounds)))
        print(table(about, rows[-1:]), flush=True)
    text = table(about, rows)
    if options.write:
        page, count = PLACE.subn(rf"\g<1>{text}\g<2>", PAGE.read_text(encoding="utf-8"))
        if count != 1:
            raise SystemExit(f"{PAGE} has no place for the table of this benchmark.")
        PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
