"""`Transform`: a prepared spherical harmonic transform, and its four maps as methods."""

from __future__ import annotations

import os
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from enzyme_rules.fftw import RealFFT, fft_scratch, plan_real_fft

from ._arguments import as_batch, check_out
from ._execute import Division, Worker, apply_to_batch
from ._kernels import Scratch
from ._legendre import PHASES
from ._legendre_tables import BLOCK, LegendreTables, make_tables
from ._simd import LANES, aligned_zeros
from ._spectrum import check_truncation, ncoef
from .grids import FullGaussian

_BLOCK_BYTES = 1 << 19  # of phases, so that they and a group's coefficients share the L2 cache


_Kept = TypeVar("_Kept", Worker, Division)


class _Plan(NamedTuple):
    """What compiled code sees of a `Transform`. Numba passes it by its arrays and numbers."""

    lmax: int
    mmax: int
    legendre: LegendreTables
    fft: RealFFT
    areas: np.ndarray
    block: int


class Transform(_Plan):
    r"""Spherical harmonic transform of scalar fields on a full Gaussian grid, and its adjoints.

    Parameters
    ----------
    lmax : int
        Highest degree, inclusive (T42 is 42).
    grid : FullGaussian
        See `sht.grids`.
    mmax : int, optional
        Highest order, inclusive, at most ``lmax``, which is the default.
    dtype : "float64"
        Of fields; coefficients are complex of the same precision.
    threads : int, optional
        How many to use, for the fields of a batch or, from about T450 on, within one field; as
        many as there are cores, if not given. The results do not depend on it, to the bit.

    Raises
    ------
    TypeError, ValueError
        The grid is none, or cannot carry this truncation.
    NotImplementedError
        Another dtype.

    Notes
    -----
    With λ the orthonormal associated Legendre functions with Condon-Shortley phase,

    .. math::

        f(\theta_j, \varphi_i) = \sum_{m} \sum_{l \ge |m|} \lambda_{lm}(\cos\theta_j) a_{lm}
        e^{i m \varphi_i}, \qquad
        a_{lm} = \sum_j w_j \frac{2\pi}{n} \lambda_{lm}(\cos\theta_j)
        \sum_i f_{ji} e^{-i m \varphi_i}.

    Fields are real, so orders m >= 0 are enough: packed triangularly, m-major, as in healpy and
    ducc0 (see `lm_index`). The imaginary parts of a_{l0} have no effect. Polynomials are made on
    the fly; memory is O(lmax²).

    A Transform is a named tuple of arrays: pass it to your own ``@njit`` functions and call
    `synthesis_into` and `analysis_into` there.

    Examples
    --------
    >>> import numpy as np, sht
    >>> t = sht.Transform(2, sht.grids.FullGaussian.for_lmax(2))
    >>> t
    Transform(lmax=2, mmax=2): 6 coefficients (..., 6), complex128
      on FullGaussian(nlat=4, nlon=8): 4 rings of 8 points, 45 x 45 degrees
    >>> a = np.zeros(6, complex)
    >>> a[0] = 2 * np.sqrt(np.pi)
    >>> bool(np.allclose(t.synthesis(a), 1.0))
    True
    """

    grid: FullGaussian
    threads: int
    _spare: dict[type, list[Any]]

    def __new__(
        cls,
        lmax: int,
        grid: FullGaussian,
        mmax: int | None = None,
        dtype: Any = "float64",
        threads: int | None = None,
    ) -> Transform:
        call = "sht.Transform(lmax, grid, mmax, dtype, threads)"
        lmax, mmax = check_truncation(call, lmax, mmax)
        _check_grid(call, grid, lmax, mmax)
        if np.dtype(dtype) != np.float64:
            raise NotImplementedError(
                f"`{call}` has float64 transforms only. Got {np.dtype(dtype)}. Leave `dtype` out, "
                f"and convert fields with `field.astype(np.float64)`."
            )
        if threads is not None and (not isinstance(threads, (int, np.integer)) or threads < 1):
            raise ValueError(f"`{call}` needs `threads` to be a positive int. Got {threads!r}.")
        nlat, nlon = grid.shape
        half = (nlat + 1) // 2
        tables = make_tables(lmax, mmax, grid.cos_theta[:half], grid.sin_theta[:half])
        block = max(1, _BLOCK_BYTES // (tables.ngroups * PHASES * 8))
        plan = super().__new__(cls, lmax, mmax, tables, plan_real_fft(nlon), grid.areas, block)
        plan.grid = grid
        plan.threads = int(threads) if threads else _cores()
        plan._spare = {Worker: [], Division: []}
        return plan

    # A tuple of arrays compares by its arrays, which have no single truth value.
    __eq__ = object.__eq__  # pyright: ignore[reportAssignmentType]
    __hash__ = object.__hash__

    def __reduce__(self) -> tuple[Any, ...]:
        return Transform, (self.lmax, self.grid, self.mmax, "float64", self.threads)

    def __repr__(self) -> str:
        first_line = repr(self.grid).splitlines()[0]
        return (
            f"Transform(lmax={self.lmax}, mmax={self.mmax}): {self.ncoef} coefficients "
            f"(..., {self.ncoef}), complex128\n  on {first_line}"
        )

    @property
    def ncoef(self) -> int:
        """Number of coefficients of one field."""
        return ncoef(self.lmax, self.mmax)

    def scratch(self) -> Scratch:
        """Work space for `synthesis_into` and `analysis_into`. Each thread needs its own."""
        tables = self.legendre
        row = max(tables.ngroups * LANES, self.fft.n // 2 + 1)
        return Scratch(
            aligned_zeros(2 * LANES * int(tables.starts[-1])),
            aligned_zeros(min(self.block, tables.ntiles) * tables.ngroups * PHASES),
            aligned_zeros(2 * BLOCK),
            aligned_zeros(row, np.complex128),
            fft_scratch(self.fft),
        )

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
        return self._map("synthesis(a)", a, out)

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
        return self._map("analysis(field)", field, out)

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
        return self._map("adjoint_synthesis(field)", field, out)

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
        return self._map("adjoint_analysis(a)", a, out)

    def _map(self, call: str, given: ArrayLike, out: NDArray | None) -> NDArray:
        """Check the arguments, then apply a map to each field of the batch."""
        name = call.partition("(")[0]
        call = f"sht.Transform.{call}"
        spectral, physical = ((self.ncoef,), np.complex128), (self.grid.shape, np.float64)
        from_spectrum = call.endswith("(a)")
        source, target = (spectral, physical) if from_spectrum else (physical, spectral)
        batch, leading = as_batch(call, given, *source)
        shape = leading + target[0]
        if out is not None:
            check_out(call, out, shape, target[1], np.asarray(given))
        # A result goes directly into `out` where its fields are contiguous.
        direct = out if out is not None and out.flags.c_contiguous else None
        result = np.empty(shape, target[1]) if direct is None else direct
        apply_to_batch(name, self, result.reshape(-1, *target[0]), batch)
        if out is None or direct is not None:
            return result
        out[...] = result
        return out

    def borrow_worker(self) -> Worker:
        """What one thread needs, for nobody else until it is given back."""
        return self._borrow(Worker)

    def borrow_division(self) -> Division:
        """What several threads share for one field, for nobody else until it is given back."""
        return self._borrow(Division)

    def give_back(self, borrowed: Worker | Division) -> None:
        """Keep it for the next who borrows: making it takes longer than a small transform."""
        self._spare[type(borrowed)].append(borrowed)

    def _borrow(self, kind: type[_Kept]) -> _Kept:
        try:
            return self._spare[kind].pop()
        except IndexError:
            return kind(self)


def _check_grid(call: str, grid: Any, lmax: int, mmax: int) -> None:
    if not isinstance(grid, FullGaussian):
        raise TypeError(
            f"`{call}` needs a grid of `sht.grids`. Got {type(grid).__name__}. "
            f"Try `sht.grids.FullGaussian.for_lmax({lmax})`."
        )
    if lmax > grid.max_lmax or mmax > grid.max_mmax:
        raise ValueError(
            f"`{call}` needs lmax <= {grid.max_lmax} and mmax <= {grid.max_mmax} on this grid of "
            f"{grid.shape[0]} x {grid.shape[1]} points. Got lmax = {lmax}, mmax = {mmax}. "
            f"`sht.grids.FullGaussian.for_lmax({lmax})` carries it."
        )


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
