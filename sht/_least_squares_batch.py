"""Least squares for batches of fields, on as many threads as the transform has."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._execute import apply_to_batch
from ._least_squares import Solver


def make_solver(
    call: str, t: Any, weights: ArrayLike | None, tolerance: float | None, max_iterations: int
) -> Solver:
    """Check what a solver is made of, and make it.

    Raises
    ------
    ValueError
        Weights that do not fit, or are not finite and at least 0; a tolerance outside (0, 1); a
        negative number of iterations.
    """
    if tolerance is None:
        tolerance = 1e-10 if t.dtype == np.float64 else 1e-5
    if not 0.0 < tolerance < 1.0:
        raise ValueError(f"`{call}` needs `tolerance` to be in (0, 1). Got {tolerance!r}.")
    check_count(call, "max_iterations", max_iterations)
    arrays = _checked_weights(call, t, weights), np.array([tolerance], np.float64)
    for array in arrays:
        array.setflags(write=False)
    return Solver(_unweighted(t), *arrays, int(max_iterations), int(np.sum(t.orders == 0)))


def check_count(call: str, name: str, count: Any) -> None:
    """Check that `count` is a number of iterations."""
    if not isinstance(count, (int, np.integer)) or count < 0:
        raise ValueError(f"`{call}` needs `{name}` to be an int >= 0. Got {count!r}.")


class BatchSolver:
    """A solver for all fields of a batch, which converge each by itself; see `_least_squares`."""

    def __init__(self, call: str, solver: Solver) -> None:
        self._call, self._solver = call, solver
        t = solver.transform
        self._t, self._weights = t, solver.weights
        self.multiplicity = np.where(t.orders == 0, 1, 2).astype(t.dtype)

    def fit_coefficients(self, fields: NDArray) -> tuple[NDArray, NDArray, NDArray]:
        """S⁺ for each of a batch; returns what `_fit` does."""
        return self._fit(
            self._to_fields,
            self._to_coefficients,
            self._sizes_of_coefficients,
            self._sizes_of_fields,
            fields.copy(),
        )

    def fit_fields(self, a: NDArray) -> tuple[NDArray, NDArray, NDArray]:
        """A⁺ for each of a batch; returns what `_fit` does."""
        return self._fit(
            self._to_coefficients,
            self._to_fields,
            self._sizes_of_fields,
            self._sizes_of_coefficients,
            a.copy(),
        )

    def _to_fields(self, a: NDArray) -> NDArray:
        fields = np.empty((len(a), *self._t.fields.shape), self._t.fields.dtype)
        apply_to_batch("synthesis", self._t, fields, a)
        return fields

    def _to_coefficients(self, fields: NDArray) -> NDArray:
        a = np.empty((len(fields), *self._t.coefficients.shape), self._t.coefficients.dtype)
        apply_to_batch("analysis", self._t, a, self._weights * fields)
        return a

    def _sizes_of_fields(self, fields: NDArray) -> NDArray:
        return _sums(self._weights * np.square(fields, dtype=np.float64))

    def _sizes_of_coefficients(self, a: NDArray) -> NDArray:
        wide = a.astype(np.complex128)
        return _sums(self.multiplicity * (wide.real**2 + wide.imag**2))

    def _fit(
        self,
        apply: Callable[[NDArray], NDArray],
        transpose: Callable[[NDArray], NDArray],
        sizes: Callable[[NDArray], NDArray],
        sizes_of_images: Callable[[NDArray], NDArray],
        r: NDArray,
    ) -> tuple[NDArray, NDArray, NDArray]:
        """Minimises |r - K x| for each r of a batch, and overwrites them by what is left.

        Returns
        -------
        x : (count, ...) array
        iterations : (count,) int
        residual : (count,) float
            Relative.
        """
        tolerance = self._solver.tolerance[0]
        s = transpose(r)
        x, p = np.zeros_like(s), s.copy()
        first = sizes(s)
        left, iterations = first.copy(), np.zeros(len(r), np.int64)
        for _ in range(self._solver.max_iterations):
            now = np.flatnonzero(left > tolerance**2 * first)
            if now.size == 0:
                break
            q = apply(p[now])
            step = left[now] / sizes_of_images(q)
            x[now] += _each(step, x) * p[now]
            r[now] -= _each(step, r) * q
            s = transpose(r[now])
            before, left[now] = left[now], sizes(s)
            p[now] = s + _each(left[now] / before, p) * p[now]
            iterations[now] += 1
        residual = np.sqrt(left / np.where(first > 0.0, first, 1.0))
        self._warn(residual)
        return x, iterations, residual

    def _warn(self, residual: NDArray) -> None:
        tolerance = self._solver.tolerance[0]
        failed = np.count_nonzero(residual > tolerance)
        if failed:
            warnings.warn(
                f"`{self._call}` has not reached the tolerance {tolerance:.1e} within "
                f"{self._solver.max_iterations} iterations, for {failed} of {len(residual)} "
                f"fields: residuals up to {residual.max():.1e}. Allow more iterations, or a higher "
                f"tolerance; a lower lmax converges faster.",
                RuntimeWarning,
                stacklevel=5,  # the caller of the public function
            )


def _each(numbers: NDArray, batch: NDArray) -> NDArray:
    """One number for each of a batch, to multiply it by, in its precision."""
    return numbers.reshape(-1, *[1] * (batch.ndim - 1)).astype(np.finfo(batch.dtype).dtype)


def _sums(values: NDArray) -> NDArray:
    return np.sum(values, axis=tuple(range(1, values.ndim)))


def _checked_weights(call: str, t: Any, weights: ArrayLike | None) -> NDArray:
    """One for each point of a field, in the field's dtype."""
    if weights is None:
        areas = t.grid.areas if t.grid.has_weights else np.ones(t.grid.nlat)
        points = np.repeat(areas, t.grid.nlon).reshape(t.grid.shape)
        fix = "The quadrature of this grid has negative ones: pass others."
    else:
        points = np.asarray(weights)
        fix = "A mask is 1 where there are data, 0 elsewhere."
        if points.shape not in (t.grid.shape, t.fields.shape) or points.dtype.kind not in "buif":
            raise ValueError(
                f"`{call}` needs real weights of shape {t.fields.shape}, for all fields the same. "
                f"Got {points.dtype} of shape {points.shape}."
            )
    if not np.all(np.isfinite(points)) or np.any(points < 0):
        raise ValueError(f"`{call}` needs finite weights >= 0. Got others. {fix}")
    return np.broadcast_to(points, t.fields.shape).astype(t.dtype, order="C")


def _unweighted(t: Any) -> Any:
    """The same transform with 1 for the area of each point. Made once."""
    if "_unweighted" not in vars(t):
        vars(t)["_unweighted"] = t.with_areas(np.ones(t.grid.nlat))
    return vars(t)["_unweighted"]
