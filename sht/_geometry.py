"""The transform on any rings, differentiable by where they are: colatitudes, offsets, weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from enzyme_rules.fftw import plan_real_ffts

from ._apply import Space, apply_map
from ._arguments import array_in_place, give_back
from ._geometry_kernels import Rings, rings_analysis_into, rings_synthesis_into
from ._identity import ByIdentity
from ._orders import check_grid
from ._spectrum import check_truncation, ncoef
from .grids import RingGrid


class GeometryTransform(ByIdentity, Rings):
    r"""A transform on rings that may move: of use where their places are what is looked for.

    Tuning the latitudes or weights of a quadrature, fitting the offsets of scans, or asking how a
    result depends on where a grid's rings are. `Transform` is faster on a grid that stays.

    Parameters
    ----------
    lmax : int
        Highest degree, inclusive.
    grid : RingGrid
        The numbers of points, and the places to start from: see `sht.grids`.
    mmax : int, optional
        Highest order, inclusive; ``lmax`` if not given.

    Raises
    ------
    TypeError, ValueError
        No grid, or an impossible truncation.

    Notes
    -----
    With o_mj = exp(i m φ0_j), FFTs unnormalised, and orders at and above the Nyquist order of a
    ring, m >= nlon_j / 2, left out,

    .. math::

        f_j = \mathrm{brfft}\Big(o_{mj} \sum_l \lambda_{lm}(\cos\theta_j) a_{lm}\Big), \qquad
        a_{lm} = \sum_j w_j \frac{2\pi}{n_j} \overline{o_{mj}} \lambda_{lm}(\cos\theta_j)\,
        \mathrm{rfft}(f_j)_m .

    Inside ``@njit`` code pass it to `rings_synthesis_into` and `rings_analysis_into`, which
    differentiate by all of their floating-point arguments. Enzyme differentiates the recurrence of
    the polynomials itself, order by order: gradients take O(nlat lmax) memory.

    Examples
    --------
    How the value at the first point of a ring changes with the ring's colatitude:

    >>> import numba, numpy as np, sht
    >>> from llvm import grad
    >>> grid = sht.grids.FullGaussian(4, 8)
    >>> rings = sht.GeometryTransform(2, grid)
    >>> a = np.zeros(6, complex)
    >>> a[1] = 1  # λ_10 = sqrt(3/4π) cos θ
    >>> @numba.njit
    ... def first_value(theta, a, phi0, rings, field):
    ...     sht.rings_synthesis_into(field, a, theta, phi0, rings)
    ...     return field[0]
    >>> slope = grad(first_value)(grid.theta, a, grid.phi0, rings, np.zeros(32))
    >>> bool(abs(slope[0] + np.sqrt(0.75 / np.pi) * np.sin(grid.theta[0])) < 1e-15)
    True
    """

    grid: RingGrid

    def __new__(cls, lmax: int, grid: RingGrid, mmax: int | None = None) -> GeometryTransform:
        call = "sht.GeometryTransform(lmax, grid, mmax)"
        lmax, mmax = check_truncation(call, lmax, mmax)
        check_grid(call, grid, lmax)
        longest = int(grid.nlon.max())
        made = super().__new__(cls, lmax, mmax, grid.nlon, longest, plan_real_ffts(grid.nlon))
        made.grid = grid
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return GeometryTransform, (self.lmax, self.grid, self.mmax)

    def __repr__(self) -> str:
        first_line = repr(self.grid).splitlines()[0]
        return (
            f"GeometryTransform(lmax={self.lmax}, mmax={self.mmax}): {self.ncoef} coefficients "
            f"(..., {self.ncoef}), complex128\n  on {first_line}"
        )

    @property
    def ncoef(self) -> int:
        """Number of coefficients of one field."""
        return ncoef(self.lmax, self.mmax)

    def synthesis(
        self,
        a: ArrayLike,
        theta: ArrayLike | None = None,
        phi0: ArrayLike | None = None,
        out: NDArray | None = None,
    ) -> NDArray[np.float64]:
        """Values on the rings of the field that has these coefficients.

        Parameters
        ----------
        a : (..., ncoef) complex128
            Packed coefficients.
        theta, phi0 : (nlat,) float64, optional
            Colatitudes and first longitudes in radians; the grid's, if not given.
        out : (..., *grid.shape) float64, optional
            Where to write the result. Must not overlap `a`.

        Returns
        -------
        (..., *grid.shape) float64

        Raises
        ------
        TypeError, ValueError
            Wrong dtype, shape, or `out`; nothing has been written then.
        """
        return self._synthesis("synthesis(a, theta, phi0)", a, theta, phi0, out)

    def adjoint_synthesis(
        self,
        field: ArrayLike,
        theta: ArrayLike | None = None,
        phi0: ArrayLike | None = None,
        out: NDArray | None = None,
    ) -> NDArray[np.complex128]:
        """The transpose of `synthesis`; see `Transform.adjoint_synthesis`."""
        call = "adjoint_synthesis(field, theta, phi0)"
        return self._synthesis(call, field, theta, phi0, out, transposed=True)

    def analysis(
        self,
        field: ArrayLike,
        theta: ArrayLike | None = None,
        phi0: ArrayLike | None = None,
        weights: ArrayLike | None = None,
        out: NDArray | None = None,
    ) -> NDArray[np.complex128]:
        """Coefficients of a field, by quadrature.

        Parameters
        ----------
        field : (..., *grid.shape) float64
        theta, phi0 : (nlat,) float64, optional
            Colatitudes and first longitudes in radians; the grid's, if not given.
        weights : (nlat,) float64, optional
            Quadrature weights in cos θ; the grid's, if not given.
        out : (..., ncoef) complex128, optional
            Where to write the result. Must not overlap `field`.

        Returns
        -------
        (..., ncoef) complex128
            The imaginary parts of order 0 are 0.

        Raises
        ------
        TypeError, ValueError
            Wrong dtype, shape, or `out`, or no weights; nothing has been written then.
        """
        call = "analysis(field, theta, phi0, weights)"
        return self._analysis(call, field, theta, phi0, weights, out)

    def adjoint_analysis(
        self,
        a: ArrayLike,
        theta: ArrayLike | None = None,
        phi0: ArrayLike | None = None,
        weights: ArrayLike | None = None,
        out: NDArray | None = None,
    ) -> NDArray[np.float64]:
        """The transpose of `analysis`; see `Transform.adjoint_analysis`."""
        call = "adjoint_analysis(a, theta, phi0, weights)"
        return self._analysis(call, a, theta, phi0, weights, out, transposed=True)

    def _synthesis(
        self, call: str, given: Any, theta: Any, phi0: Any, out: Any, *, transposed: bool = False
    ) -> NDArray:
        call = f"sht.GeometryTransform.{call}"
        places = self._per_ring(call, theta=(theta, self.grid.theta), phi0=(phi0, self.grid.phi0))
        constants = (*places, self)
        return self._map(call, rings_synthesis_into, given, constants, out, transposed, transposed)

    def _analysis(
        self,
        call: str,
        given: Any,
        theta: Any,
        phi0: Any,
        weights: Any,
        out: Any,
        *,
        transposed: bool = False,
    ) -> NDArray:
        call = f"sht.GeometryTransform.{call}"
        if weights is None and not self.grid.has_weights:
            raise ValueError(
                f"`{call}` needs quadrature weights. The grid has none. Pass `weights`, one number "
                f"for each ring, or make the grid with them."
            )
        places = self._per_ring(
            call,
            theta=(theta, self.grid.theta),
            phi0=(phi0, self.grid.phi0),
            weights=(weights, self.grid.weights),
        )
        constants = (*places, self)
        return self._map(
            call, rings_analysis_into, given, constants, out, transposed, not transposed
        )

    def _per_ring(self, call: str, **given: tuple[Any, NDArray]) -> list[NDArray]:
        """One number for each ring: what is given, or else the grid's."""
        found = []
        for name, (value, default) in given.items():
            array = np.array(default if value is None else value, np.float64)
            if array.shape != default.shape or not np.isfinite(array).all():
                raise ValueError(
                    f"`{call}` needs a finite `{name}` for each of the {len(default)} rings. "
                    f"Got {'NaN or infinity' if array.shape == default.shape else array.shape}."
                )
            found.append(array)
        return found

    def _map(
        self,
        call: str,
        kernel: Any,
        given: Any,
        constants: tuple[Any, ...],
        out: Any,
        transposed: bool,
        from_field: bool,
    ) -> NDArray:
        """Kernels take flat fields; users have them in the grid's shape."""
        given, rank = array_in_place(call, given, np), len(self.grid.shape)
        physical = Space((self.grid.npoints,), np.float64)
        spectral = Space((self.ncoef,), np.complex128)
        if from_field:
            leading = given.shape[: max(given.ndim - rank, 0)]
            if given.shape != leading + self.grid.shape:
                raise ValueError(
                    f"`{call}` needs shape (..., {', '.join(map(str, self.grid.shape))}) for this "
                    f"grid. Got {given.shape}. Longitude comes last."
                )
            flat = given.reshape(*leading, self.grid.npoints)
            result = apply_map(
                call, kernel, flat, physical, spectral, constants, transposed=transposed
            )
        else:
            result = apply_map(
                call, kernel, given, spectral, physical, constants, transposed=transposed
            )
            result = result.reshape(*result.shape[:-1], *self.grid.shape)
        return give_back(call, result, given, out)
