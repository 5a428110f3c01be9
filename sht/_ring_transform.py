"""What all transforms on rings have in common: tables, checks, and the four maps as methods."""

from __future__ import annotations

import collections
import functools
import os
from collections.abc import Callable
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from enzyme_rules.fftw import RealFFTs, fft_scratch

from ._apply import Space, apply_run, place_of
from ._division import Division
from ._execute import apply_to_batch, apply_to_one
from ._fourier import RingScratch
from ._identity import ByIdentity
from ._kernels import Scratch
from ._legendre import PHASES, STATE, WIDTH
from ._legendre_tables import LegendreTables, make_tables
from ._orders import check_carries, orders_kept
from ._planning import PLANNING, plan_rings
from ._ring_tables import RingTables, make_ring_tables
from ._simd import LANES, RINGS, aligned_zeros
from ._spectrum import Truncation, check_truncation
from ._tile_tables import ONE_BY_ONE, WAY, TileFFTs, make_tile_ffts, shares_of
from ._workers import Worker
from .grids import RingGrid

_BLOCK_BYTES = 1 << 19
"""Of sums, so that they and a group's coefficients share the L2 cache."""
_LARGEST_BLOCK_BYTES = 1 << 23
"""Where coefficients do not fit in there: each block of sums takes a pass over all of them.

At T2047 blocks of 512 KB, 2 MB, 8 MB and 32 MB take 243, 182, 161 and 155 ms; up to T1023 they
make no difference.
"""


class Recipe(NamedTuple):
    """What a transform is made of, as the user gave it."""

    spin: int
    lmax: int
    grid: RingGrid
    mmax: int | None
    dtype: Any
    threads: int | None
    truncation: str
    orders: Any
    aliasing: str
    planning: str
    kind: type[LegendreTables]


class _Plan(NamedTuple):
    """What compiled code sees of a transform. Numba passes it by its arrays and numbers."""

    lmax: int
    mmax: int
    legendre: LegendreTables
    rings: RingTables
    ffts: RealFFTs
    tile_ffts: TileFFTs


class RingTransform(ByIdentity, _Plan):
    """A prepared transform on the rings of a grid; see `Transform` and `SpinTransform`.

    Attributes
    ----------
    grid : RingGrid
    truncation : Truncation
    threads : int
    dtype : dtype
        Of fields.
    """

    grid: RingGrid
    truncation: Truncation
    threads: int
    dtype: np.dtype
    _made_by: tuple[str, Recipe]
    _spare: dict[int | str, list[Any]]
    devices: dict[int | None, Any]  # what `_device` keeps for each
    unscaled: Self | None  # the transform whose tables `_with_tables` has replaced

    def __reduce__(self) -> tuple[Any, ...]:
        return prepare, (type(self), *self._made_by)

    def __repr__(self) -> str:
        recipe = self._made_by[1]
        shape = ", ".join(map(str, self.coefficients.shape))
        said = [f"lmax={self.lmax}, mmax={self.mmax}"]
        said += [f"spin={recipe.spin}"] if recipe.spin else []
        said += [recipe.truncation] if recipe.truncation != "triangular" else []
        rule = recipe.orders if isinstance(recipe.orders, str) else "given"
        said += [f"orders={rule}"] if rule != "all" else []
        said += [f"aliasing={recipe.aliasing}"] if recipe.aliasing != "drop" else []
        return (
            f"{type(self).__name__}({', '.join(said)}): "
            f"{self.ncoef} coefficients (..., {shape}), {self.coefficients.dtype}\n"
            f"  on {repr(self.grid).splitlines()[0]}"
        )

    @functools.cached_property
    def ncoef(self) -> int:
        """Number of coefficients of one field."""
        return self.truncation.ncoef

    @property
    def degrees(self) -> NDArray[np.int64]:
        """(ncoef,) Degree of every packed coefficient."""
        return self.truncation.degrees_orders[0]

    @property
    def orders(self) -> NDArray[np.int64]:
        """(ncoef,) Order of every packed coefficient."""
        return self.truncation.degrees_orders[1]

    @functools.cached_property
    def coefficients(self) -> Space:
        """Shape, (ncoef,) or of pairs (2, ncoef), and dtype of coefficients."""
        shape = (*self._leading, self.ncoef)
        return Space(shape, np.result_type(self.dtype, np.complex64))

    @functools.cached_property
    def fields(self) -> Space:
        """Shape, that of the grid, of pairs after an axis of 2, and dtype of fields."""
        return Space(self._leading + self.grid.shape, self.dtype)

    @functools.cached_property
    def spaces(self) -> dict[str, tuple[Space, Space]]:
        """What each map takes, and what it gives. Without quadrature weights there are but two."""
        there, back = (self.coefficients, self.fields), (self.fields, self.coefficients)
        maps = {"synthesis": there, "adjoint_synthesis": back}
        if self.grid.has_weights:
            maps |= {"analysis": back, "adjoint_analysis": there}
        return maps

    @property
    def _leading(self) -> tuple[int, ...]:
        return (2,) if self.components == 2 else ()

    @property
    def components(self) -> int:
        """1, or 2 with spin and for vectors."""
        return len(self.legendre.first) * self.legendre.columns

    def scratch(self, fields: int = 1) -> Scratch:
        """Work space for `synthesis_into` and `analysis_into`. Each thread needs its own.

        Parameters
        ----------
        fields : int
            How many to transform at once. They share the Legendre polynomials; beyond
            `fields_at_once` nothing is gained.

        Raises
        ------
        ValueError
            No positive number.
        """
        if not isinstance(fields, (int, np.integer)) or fields < 1:
            raise ValueError(f"`t.scratch(fields)` needs a positive int. Got {fields!r}.")
        tables = self.legendre
        block = min(self.tiles_at_once(fields), tables.first.shape[2])
        return Scratch(
            fields,
            block,
            aligned_zeros(int(tables.starts[-1]) * fields * tables.columns * WIDTH),
            aligned_zeros(block * self.sums_of_a_tile(fields)),
            aligned_zeros(STATE),
            self.ring_scratch(),
        )

    def sums_of_a_tile(self, fields: int) -> int:
        """How many numbers lie between the stages for each tile."""
        passes, ngroups, _ = self.legendre.first.shape
        return ngroups * passes * fields * self.legendre.columns * PHASES

    def tiles_at_once(self, fields: int) -> int:
        """How many tiles are taken through both stages at a time: what the cache has room for."""
        coefficients = int(self.legendre.starts[-1]) * WIDTH * 8
        most = min(max(_BLOCK_BYTES, coefficients // 4), _LARGEST_BLOCK_BYTES)
        return max(1, most // (8 * self.sums_of_a_tile(fields)))

    def ring_scratch(self, *, alone: bool = False) -> RingScratch:
        """Work space of the Fourier stage; `alone` as `RingScratch` has it."""
        orders = self.legendre.first.shape[1] * LANES
        row = max(orders, self.rings.longest // 2 + 1)
        return RingScratch(
            aligned_zeros(row, self.coefficients.dtype),
            aligned_zeros(orders, np.complex128),
            fft_scratch(self.ffts),
            aligned_zeros(self.tile_ffts.work),
            int(alone),
        )

    @functools.cached_property
    def fields_at_once(self) -> int:
        """How many fields of a batch are transformed at once: what the cache has room for."""
        largest = int(np.max(np.diff(self.legendre.starts))) * WIDTH * 8
        largest *= self.legendre.columns
        return min(8, max(1, _BLOCK_BYTES // (2 * largest)))

    def synthesis(self, a: ArrayLike, out: NDArray | None = None) -> NDArray[np.float64]:
        """Values on the grid of the field that has these coefficients.

        Parameters
        ----------
        a : (..., ncoef) complex128
            Packed coefficients.
        out : (..., nlat, nlon) float64, optional
            Where to write the result. Must not overlap `a`.

        Returns
        -------
        (..., nlat, nlon) float64

        Raises
        ------
        TypeError, ValueError
            Wrong dtype, shape, or `out`; nothing has been written then.
        """
        return self._map("synthesis(a)", "synthesis", a, out)

    def analysis(self, field: ArrayLike, out: NDArray | None = None) -> NDArray[np.complex128]:
        """Coefficients of a field, by quadrature: exact if it has no degrees beyond ``lmax``.

        Parameters
        ----------
        field : (..., nlat, nlon) float64
        out : (..., ncoef) complex128, optional
            Where to write the result. Must not overlap `field`.

        Returns
        -------
        (..., ncoef) complex128
            The imaginary parts of a_{l0} are 0.

        Raises
        ------
        TypeError, ValueError
            Wrong dtype, shape, or `out`; nothing has been written then.
        """
        return self._map("analysis(field)", "analysis", field, out)

    def adjoint_synthesis(
        self, field: ArrayLike, out: NDArray | None = None
    ) -> NDArray[np.complex128]:
        """The transpose of `synthesis`: from a cotangent of the field to one of the coefficients.

        Parameters
        ----------
        field : (..., nlat, nlon) float64
            ∂L/∂f.
        out : (..., ncoef) complex128, optional
            Where to write the result. Must not overlap `field`.

        Returns
        -------
        (..., ncoef) complex128
            ∂L/∂Re a + i ∂L/∂Im a.

        Raises
        ------
        EnzymeNotFoundError
            There is no Enzyme, and the derivative is not in the cache.
        TypeError, ValueError
            Wrong dtype, shape, or `out`; nothing has been written then.

        Notes
        -----
        Adjoint to the inner products Σ f g and Re Σ conj(a) b. Enzyme derives it from the code of
        `synthesis`. No quadrature weights are in it, and orders m > 0 count twice: it is (2 - δ_m0)
        times what ducc0 calls adjoint_synthesis.
        """
        return self._map("adjoint_synthesis(field)", "adjoint_synthesis", field, out)

    def adjoint_analysis(self, a: ArrayLike, out: NDArray | None = None) -> NDArray[np.float64]:
        """The transpose of `analysis`: from a cotangent of the coefficients to one of the field.

        Parameters
        ----------
        a : (..., ncoef) complex128
            ∂L/∂Re a + i ∂L/∂Im a.
        out : (..., nlat, nlon) float64, optional
            Where to write the result. Must not overlap `a`.

        Returns
        -------
        (..., nlat, nlon) float64
            ∂L/∂f.

        Raises
        ------
        EnzymeNotFoundError
            There is no Enzyme, and the derivative is not in the cache.
        TypeError, ValueError
            Wrong dtype, shape, or `out`; nothing has been written then.
        """
        return self._map("adjoint_analysis(a)", "adjoint_analysis", a, out)

    def _map(self, call: str, name: str, given: ArrayLike, out: NDArray | None) -> NDArray:
        """Check the arguments of a call, then apply one of the four maps to each field."""
        if type(given) is np.ndarray and (out is None or type(out) is np.ndarray):
            result = apply_to_one(name, self, given, out)
            if result is not None:
                return result
        call = f"sht.{type(self).__name__}.{call}"
        if name not in self.spaces:
            raise ValueError(
                f"`{call}` needs a grid with quadrature weights. Got {type(self.grid).__name__} "
                f"without any. Give them when the grid is built."
            )
        source, target = self.spaces[name]
        library, device, there = place_of(call, given, out)
        if device is None:
            run = functools.partial(apply_to_batch, name, self)
        else:
            from ._device import device_maps

            run = functools.partial(device_maps(self, device).run, name)
        with there:
            return apply_run(call, run, given, source, target, out, library)

    def _with_tables(self, legendre: LegendreTables) -> Self:
        """This transform with another ``scale`` in its tables."""
        return self._like(self, legendre=legendre)

    def with_areas(self, areas: NDArray) -> Self:
        """This transform with other solid angles for the points of each ring: (nlat,) float64."""
        areas = areas.copy()
        areas.setflags(write=False)  # of the type that the grid's have: nothing is compiled anew
        rings = self.rings._replace(areas=areas)
        tile_ffts = self.tile_ffts._replace(shares=shares_of(rings))
        return self._like(None, rings=rings, tile_ffts=tile_ffts)

    def _like(self, unscaled: Self | None, **tables: Any) -> Self:
        """This transform with other tables, and nothing of what has been made for these."""
        t = self._replace(**tables)
        fresh = {"_spare": collections.defaultdict(list), "devices": {}, "unscaled": unscaled}
        vars(t).update(vars(self), **fresh)
        return t

    def borrow_worker(self, fields: int) -> Worker:
        """What one thread needs, for nobody else until it is given back."""
        return self._borrow(fields, lambda: Worker(self, fields))

    def borrow_division(self) -> Division:
        """What several threads share for one field, for nobody else until it is given back."""
        return self._borrow("division", lambda: Division(self))

    def give_back(self, borrowed: Worker | Division) -> None:
        """Keep it for the next who borrows: making it takes longer than a small transform."""
        key = borrowed.fields if isinstance(borrowed, Worker) else "division"
        self._spare[key].append(borrowed)

    def _borrow(self, key: int | str, make: Callable[[], Any]) -> Any:
        try:
            return self._spare[key].pop()
        except IndexError:
            return make()


def prepare(cls: Any, call: str, recipe: Recipe) -> Any:
    """Check what a transform is made of, and make it.

    Raises
    ------
    TypeError, ValueError
        The grid is none, or cannot carry this truncation; an option that there is not.
    """
    grid, dtype, threads = recipe.grid, recipe.dtype, recipe.threads
    lmax, mmax = check_truncation(call, recipe.lmax, recipe.mmax)
    check_carries(call, grid, lmax, mmax, recipe.aliasing)
    kept = orders_kept(call, grid, mmax, recipe.orders, recipe.aliasing)
    if recipe.truncation not in ("triangular", "rhomboidal"):
        raise ValueError(
            f'`{call}` needs `truncation` to be "triangular" (trapezoidal where mmax < lmax) or '
            f'"rhomboidal". Got {recipe.truncation!r}.'
        )
    if np.dtype(dtype) not in (np.float64, np.float32):
        raise TypeError(f"`{call}` needs `dtype` to be float64 or float32. Got {np.dtype(dtype)}.")
    if threads is not None and (not isinstance(threads, (int, np.integer)) or threads < 1):
        raise ValueError(f"`{call}` needs `threads` to be a positive int. Got {threads!r}.")
    if recipe.planning not in PLANNING:
        raise ValueError(
            f"`{call}` needs `planning` to be one of {', '.join(PLANNING)}. "
            f"Got {recipe.planning!r}."
        )
    truncation = Truncation(lmax, mmax, recipe.truncation == "rhomboidal")
    rings = make_ring_tables(grid, mmax, kept)
    tables = legendre_tables(grid, rings, truncation, recipe.kind, recipe.spin)
    tile_ffts = make_tile_ffts(rings, grid.phi0, tables)
    one_by_one = rings.pairs[np.repeat(tile_ffts.tiles[:, WAY] == ONE_BY_ONE, RINGS)]
    one_by_one = one_by_one[one_by_one >= 0]
    # To plan for the lengths of octahedral rings takes FFTW seconds: only for what goes to it.
    lengths = np.ones(grid.nlat, np.int64)
    lengths[one_by_one] = grid.nlon[one_by_one]
    ffts = plan_rings(lengths, dtype, recipe.planning)
    t = _Plan.__new__(cls, lmax, mmax, tables, rings, ffts, tile_ffts)
    t.grid = grid
    t.truncation = truncation
    t.threads = int(threads) if threads else _cores()
    t.dtype = np.dtype(dtype)
    t._made_by = call, recipe
    t._spare = collections.defaultdict(list)
    t.devices = {}
    t.unscaled = None
    return t


def legendre_tables(
    grid: RingGrid,
    rings: RingTables,
    truncation: Truncation,
    kind: type[LegendreTables],
    spin: int,
    multiple: int = 1,
) -> LegendreTables:
    """Tables of the Legendre stage for the rings of a grid; `multiple` as for `make_tables`."""
    pairs = rings.pairs[rings.pairs.max(axis=1) >= 0]
    one = pairs.max(axis=1)
    highest = np.where(pairs >= 0, rings.orders[pairs], -1).max(axis=1)
    x, sine = np.abs(grid.cos_theta[one]), grid.sin_theta[one]
    return make_tables(truncation, kind, spin, x, sine, highest, multiple)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
