"""Least squares by conjugate gradients, as a kernel; `_least_squares_batch` does it for batches.

With weights W of the points, and the multiplicity M of an order (1 for m = 0, 2 for others, which
stand for -m too), synthesis S and analysis with these weights, A = M⁻¹ SᵀW, are adjoint to each
other with respect to Σ W f g and Re Σ M conj(a) b: the method needs no other transposes. It is
CGLS, which keeps what is left of the data, f - S a, and not the residual of A S a = A f: its errors
grow with the condition of S instead of the square of that [1]_.

The solution is S⁺ f. Its transpose is W A⁺ M⁻¹, least squares again, with the two transforms in
each other's place. Both converge, to the smallest solution, where there are many.

References
----------
.. [1] Å. Björck, T. Elfving, Z. Strakoš, "Stability of conjugate gradient and Lanczos methods for
   linear least squares problems", SIAM J. Matrix Anal. Appl. 19 (1998) 720: CGLS1.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from enzyme_rules import LinearRule, register

from ._kernels import Scratch, analysis_into, synthesis_into


class SolverScratch(NamedTuple):
    """Work space of one solver in one thread, and its report.

    Attributes
    ----------
    report : (2,) float64
        Of the last run: number of iterations, and the relative residual.
    weighted : t.fields.shape float
    transform : Scratch
    """

    report: np.ndarray
    weighted: np.ndarray
    transform: Scratch


class Solver(NamedTuple):
    """What `least_squares_analysis_into` needs to know; made by `least_squares_solver`.

    Attributes
    ----------
    transform : Transform, SpinTransform or VectorTransform
        With 1 for the area of each point: its analysis is M⁻¹ Sᵀ, on grids without weights too.
    weights : t.fields.shape float
    tolerance : (1,) float64
        Where to stop: the residual relative to that of a = 0.
    max_iterations : int
    zonal : int
        How many coefficients have order 0: they come first.
    """

    transform: Any
    weights: np.ndarray
    tolerance: np.ndarray
    max_iterations: int
    zonal: int

    def scratch(self) -> SolverScratch:
        """Work space for `least_squares_analysis_into`. Each thread needs its own."""
        weighted = np.empty_like(self.weights)
        return SolverScratch(np.zeros(2), weighted, self.transform.scratch())


@njit(error_model="numpy", nogil=True)
def least_squares_analysis_into(a, field, solver, scratch):
    """Least squares for use inside ``@njit`` code; see `least_squares_analysis`.

    Parameters
    ----------
    a : t.coefficients.shape complex
        Overwritten. C-contiguous.
    field : t.fields.shape float
        C-contiguous. Where the weight is 0 it may be anything, NaN too.
    solver : Solver
        ``least_squares_solver(t, weights)``
    scratch : SolverScratch
        ``solver.scratch()``; each thread needs its own. Afterwards ``scratch.report`` is (number of
        iterations, relative residual).

    Raises
    ------
    TypeError
        When it is compiled: another dtype or layout.
    ValueError
        Another shape, or the scratch of another solver; nothing has been written then.

    Notes
    -----
    Linear in `field`. A rule makes its derivative the transpose of the solution, by least squares
    again, and not that of the iterations: it is as exact as the tolerance. A gradient by the
    weights is an error.
    """
    weights = solver.weights
    if field.shape != weights.shape or scratch.weighted.shape != weights.shape:
        raise ValueError(_WRONG_SHAPE)
    residual = np.empty_like(field)
    given, left, w = field.ravel(), residual.ravel(), weights.ravel()
    for i in range(len(w)):
        left[i] = given[i] if w[i] > 0.0 else 0.0
    _fit_coefficients(a, residual, solver, scratch)


_WRONG_SHAPE = (
    "`least_squares_analysis_into(a, field, solver, scratch)` needs a field of the shape of "
    "`solver.weights`, and the scratch of this solver. Got others. Make them with "
    "`solver = least_squares_solver(t)` and `solver.scratch()`."
)


@njit(error_model="numpy", nogil=True)
def _adjoint_least_squares(da, dfield, solver, scratch):
    """Adds W A⁺ M⁻¹ da to dfield."""
    residual, fitted = np.empty_like(da), np.empty_like(dfield)
    count = da.shape[da.ndim - 1]
    cotangent, left = da.ravel(), residual.ravel()
    for i in range(len(left)):
        left[i] = cotangent[i] if i % count < solver.zonal else 0.5 * cotangent[i]
    _fit_field(fitted, residual, solver, scratch)
    y, dy, w = fitted.ravel(), dfield.ravel(), solver.weights.ravel()
    for i in range(len(w)):
        dy[i] += w[i] * y[i]


@njit(error_model="numpy", nogil=True)
def _to_field(field, a, solver, scratch):
    synthesis_into(field, a, solver.transform, scratch.transform)


@njit(error_model="numpy", nogil=True)
def _to_coefficients(a, field, solver, scratch):
    x, w, weighted = field.ravel(), solver.weights.ravel(), scratch.weighted.ravel()
    for i in range(len(w)):
        weighted[i] = w[i] * x[i]
    analysis_into(a, scratch.weighted, solver.transform, scratch.transform)


@njit(error_model="numpy", nogil=True)
def _size_of_field(field, solver):
    """Σ W f²."""
    total = 0.0
    x, w = field.ravel(), solver.weights.ravel()
    for i in range(len(w)):
        value = np.float64(x[i])
        total += w[i] * value * value
    return total


@njit(error_model="numpy", nogil=True)
def _size_of_coefficients(a, solver):
    """Σ M |a|²."""
    total = 0.0
    x, count = a.ravel(), a.shape[a.ndim - 1]
    for i in range(len(x)):
        re, im = np.float64(x[i].real), np.float64(x[i].imag)
        total += (1.0 if i % count < solver.zonal else 2.0) * (re * re + im * im)
    return total


def _make_fit(apply: Any, transpose: Any, size: Any, size_of_image: Any) -> Any:
    """The kernel that minimises |r - K x|, where `apply` is K and `transpose` its adjoint."""

    @njit(error_model="numpy", nogil=True)
    def fit(x, r, solver, scratch):
        """Overwrites x by the solution, r by what it leaves."""
        s, p, q = np.empty_like(x), np.empty_like(x), np.empty_like(r)
        flat_x, flat_s, flat_p = x.ravel(), s.ravel(), p.ravel()
        flat_r, flat_q = r.ravel(), q.ravel()
        transpose(s, r, solver, scratch)
        first = size(s, solver)
        left, growth, count = first, 0.0, 0
        flat_x[:] = 0.0 * first  # NaN if the data are
        flat_p[:] = 0.0
        while count < solver.max_iterations and left > solver.tolerance[0] ** 2 * first:
            for i in range(len(flat_p)):
                flat_p[i] = flat_s[i] + growth * flat_p[i]
            apply(q, p, solver, scratch)
            step = left / size_of_image(q, solver)
            for i in range(len(flat_x)):
                flat_x[i] += step * flat_p[i]
            for i in range(len(flat_r)):
                flat_r[i] -= step * flat_q[i]
            transpose(s, r, solver, scratch)
            before, left = left, size(s, solver)
            growth = left / before
            count += 1
        scratch.report[0] = count
        scratch.report[1] = 0.0 if first == 0.0 else np.sqrt(left / first)

    return fit


_fit_coefficients = _make_fit(_to_field, _to_coefficients, _size_of_coefficients, _size_of_field)
_fit_field = _make_fit(_to_coefficients, _to_field, _size_of_field, _size_of_coefficients)

register(
    LinearRule(
        least_squares_analysis_into,
        adjoint=_adjoint_least_squares,
        scratch=(3,),
        separate=True,
    )
)
