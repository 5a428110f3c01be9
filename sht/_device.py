"""The four maps on a device: kernels, one thread an item, and cuFFT between them.

What an array is decides where all of this runs. CuPy arrays: on their device, in its current
stream, with no copy to the host. NumPy arrays: the same code, the threads one after the other,
which is what tests do (`run_map`).

Both stages take a whole batch at once, or as much of it as memory is meant for:

    a ─ pack ─ coef ─ Legendre ─ sums ─ half spectra ─ c2r ─ values ─ points

and back. The transposes are the same: packing and the Fourier stage with other factors, Legendre
as Enzyme's transpose of the kernel for the opposite map.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enzyme_rules._cupy import cupy, on_device, uploaded
from enzyme_rules.cufft import brfft_rings_into, rfft_rings_into, sizes

from ._apply import apply_run
from ._device_blocks import analysis_of_block, synthesis_of_block
from ._device_fourier import points_of_values, spectra_of_sums, sums_of_spectra, values_of_points
from ._device_legendre import STEPS, Window
from ._device_pack import pack_of, unpack_of
from ._device_tables import make_device_tables
from ._device_tiles import analysis_of_tile, functions_of, synthesis_of_tile
from ._legendre import PHASES, WIDTH
from ._legendre_tables import BLOCK
from ._simd import LANES, RINGS

_BYTES = 1 << 30
"""Of sums and coefficients at a time."""

_FUNCTION_BYTES = 1 << 28
"""Of functions that blocks begin with, at a time: of scalars all of them, up to about T750."""


_MOST_KERNELS = 64
"""That are bound to tables and numbers of fields: a map has up to ten."""


def device_maps(t: Any, device: int | None) -> DeviceMaps:
    """The maps of a transform on one device, or with None on the host; made once."""
    if device not in t.devices:
        if t.unscaled is None:
            t.devices[device] = DeviceMaps(t, device)
        else:
            t.devices[device] = device_maps(t.unscaled, device).scaled(t.legendre.scale)
    return t.devices[device]


def run_map(name: str, t: Any, given: NDArray) -> NDArray:
    """One of the four maps as a device runs it, on the host; for tests."""
    source, target = t.coefficients, t.fields
    if name in ("analysis", "adjoint_synthesis"):
        source, target = target, source
    run = functools.partial(device_maps(t, None).run, name)
    return apply_run(f"run_map({name!r}, t, given)", run, given, source, target, None)


class DeviceMaps:
    """The maps of one transform on one device, or with None on the host."""

    def __init__(self, t: Any, device: int | None) -> None:
        host = make_device_tables(t)
        self._device, self._library = device, np if device is None else cupy()
        with on_device(device):
            self._tables = host if device is None else uploaded(host)
        self._batches = host.fourier.batches
        self._one_batch = bool(np.all(self._batches.n == self._batches.n[0]))
        self._spectra_size = sizes(self._batches)[1]
        self._complex = t.coefficients.dtype
        self._passes, self._ngroups, self._ntiles = host.legendre.first.shape
        self._columns = host.packing.columns  # fields that one vector is, below
        self._longest = host.fourier.longest
        self._nsteps = len(host.packing.groups)
        self._blocks = int(np.max(np.diff(host.legendre.starts))) // STEPS
        self._kernel = functools.lru_cache(maxsize=_MOST_KERNELS)(self._bound)

    def scaled(self, scale: NDArray) -> DeviceMaps:
        """The same, with the same memory, but for what scales coefficients of vectors."""
        maps = copy.copy(self)
        with on_device(self._device):
            packing = self._tables.packing._replace(
                scale=scale if self._device is None else uploaded(scale)
            )
        maps._tables = self._tables._replace(packing=packing)
        maps._kernel = functools.lru_cache(maxsize=_MOST_KERNELS)(maps._bound)
        return maps

    def run(self, name: str, results: Any, batch: Any) -> None:
        """Apply a map to each field of a batch: C-contiguous arrays, one leading axis each."""
        maps = {
            "synthesis": (self._to_points, False),
            "adjoint_analysis": (self._to_points, True),
            "analysis": (self._to_coefficients, False),
            "adjoint_synthesis": (self._to_coefficients, True),
        }
        apply, transposed = maps[name]
        fields = self._columns
        at_once = max(1, _BYTES // (8 * (self._sums_size(fields) + self._coef_size(fields))))
        try:
            for begin in range(0, len(batch), at_once):
                some = slice(begin, begin + at_once)
                fields = len(batch[some]) * self._columns
                apply(results[some].reshape(-1), batch[some].reshape(-1), fields, transposed)
        except MemoryError as error:
            error.add_note(
                f"It was needed for `{name}` of {min(at_once, len(batch))} fields at a time. "
                f"Pass fewer, or free what CuPy keeps: "
                f"`cupy.get_default_memory_pool().free_all_blocks()`."
            )
            raise

    def _bound(self, body: Any, part: str, *numbers: Any, transposed: bool = False) -> Any:
        """A kernel whose last arguments are some of the tables, and numbers."""
        from llvm import kernel  # imported here, so that `import sht` stays light

        # No two threads add to one item: see `_device_legendre`.
        fixed = getattr(self._tables, part), *numbers
        return kernel(body, atomics=False).bound(fixed, transposed=transposed)

    def _sums_size(self, fields: int) -> int:
        return self._ntiles * self._ngroups * self._passes * fields * PHASES

    def _coef_size(self, fields: int) -> int:
        return self._nsteps * fields * WIDTH

    def _to_points(self, points: Any, a: Any, fields: int, transposed: bool) -> None:
        """Synthesis, or the transposed analysis."""
        library, kernel = self._library, self._kernel
        coef = library.empty(self._coef_size(fields))
        kernel(pack_of, "packing", fields)(self._nsteps * LANES * fields, coef, a)
        threads = self._threads_by_tiles(fields)
        if transposed:
            sums = library.zeros(self._sums_size(fields))
            run = kernel(analysis_of_tile, "legendre", fields, transposed=True)
            self._transpose(run, threads, coef, sums)
        else:
            sums = library.empty(self._sums_size(fields))
            kernel(synthesis_of_tile, "legendre", fields)(threads, sums, coef)
        rows, nlat, longest = fields * self._passes, len(self._batches.n), self._longest
        spectra = library.empty(rows * self._spectra_size, self._complex)
        count = (longest // 2 + 1) * nlat * rows
        kernel(spectra_of_sums, "fourier", fields, int(transposed))(count, spectra, sums)
        if self._one_batch:
            brfft_rings_into(points, spectra, self._batches, rows)
            return
        values = library.empty_like(points)
        brfft_rings_into(values, spectra, self._batches, rows)
        kernel(points_of_values, "fourier", rows)(longest * nlat * rows, points, values)

    def _to_coefficients(self, a: Any, points: Any, fields: int, transposed: bool) -> None:
        """Analysis, or the transposed synthesis."""
        library, kernel = self._library, self._kernel
        rows, nlat, longest = fields * self._passes, len(self._batches.n), self._longest
        values = points
        if not self._one_batch:
            values = library.empty_like(points)
            kernel(values_of_points, "fourier", rows)(longest * nlat * rows, values, points)
        spectra = library.empty(rows * self._spectra_size, self._complex)
        rfft_rings_into(spectra, values, self._batches, rows)
        sums = library.empty(self._sums_size(fields))
        count = self._sums_size(fields) // 4
        kernel(sums_of_spectra, "fourier", fields, int(transposed))(count, sums, spectra)
        # Each block is overwritten, or added to where it is the transpose that does it.
        coef = (library.zeros if transposed else library.empty)(self._coef_size(fields))
        for window, functions in self._windows():
            threads = self._ngroups * fields * window.count * LANES
            if transposed:
                run = kernel(synthesis_of_block, "legendre", fields, window, transposed=True)
                self._transpose(run, threads, sums, coef, functions)
            else:
                run = kernel(analysis_of_block, "legendre", fields, window)
                run(threads, coef, sums, functions)
        count = self._tables.packing.ncoef * fields
        kernel(unpack_of, "packing", fields)(count, a, coef)

    def _windows(self) -> Iterator[tuple[Window, Any]]:
        """Windows of blocks, with the functions that these begin with."""
        size = self._passes * self._ngroups * self._ntiles * 2 * BLOCK
        count = max(1, min(_FUNCTION_BYTES // (8 * size) - 1, self._blocks))
        functions = self._library.empty((count + 1) * size)
        for begin in range(0, self._blocks, count):
            window = Window(begin, count)
            threads = self._threads_by_tiles(1)
            self._kernel(functions_of, "legendre", window)(threads, functions)
            yield window, functions

    def _transpose(self, run: Any, threads: int, output: Any, given: Any, *read: Any) -> None:
        """``given += Kᵀ(output)`` for a kernel ``K(output, given, state, *read, ...)``."""
        empty, empty_like = self._library.empty, self._library.empty_like
        # What the primals hold is of no consequence.
        primals = empty_like(output), empty_like(given), empty(threads * RINGS)
        shadows = output, given, None, *[None] * len(read)
        run(threads, *primals, *read, shadows=shadows)

    def _threads_by_tiles(self, fields: int) -> int:
        return self._ngroups * self._passes * fields * self._ntiles * LANES
