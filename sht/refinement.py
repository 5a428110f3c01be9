r"""Analysis on grids whose quadrature is not exact: HEALPix, octaminimal, any rings, missing data.

Quadrature A is not the inverse of synthesis S there: the coefficients of a field that S has made
come back with errors, of 1e-3 to 1e-2 on HEALPix grids. Two ways to do better:

- `jacobi_analysis` repeats quadrature on what is left, as healpy's ``iter`` does. Two transforms
  each time, the error falls by the same factor each time, for degrees well below what the grid can
  tell apart. It needs quadrature weights.
- `least_squares_analysis` finds the coefficients that fit best, by conjugate gradients: of all
  fields of these degrees the one closest to the data. It needs fewer transforms for the same error,
  and converges on any rings, for any degrees, with points that are weighted or missing.

Both are linear in the field, have their transposes here, and differentiate, alone and inside
``@njit`` code (`jacobi_analysis_into`, `least_squares_analysis_into`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from ._apply import place_of
from ._arguments import array_in_place, as_batch, check_out
from ._kernels import analysis_into, synthesis_into
from ._least_squares import Solver as Solver
from ._least_squares import SolverScratch as SolverScratch
from ._least_squares import least_squares_analysis_into as least_squares_analysis_into
from ._least_squares_batch import BatchSolver, check_count, make_solver
from ._ring_transform import RingTransform


def jacobi_analysis(
    field: ArrayLike, t: RingTransform, iterations: int = 3, *, out: NDArray | None = None
) -> NDArray:
    r"""Coefficients of a field by quadrature, repeated on what it has missed.

    .. math:: a_0 = A f, \qquad a_{k+1} = a_k + A (f - S a_k)

    Parameters
    ----------
    field : (..., *t.fields.shape) float
    t : Transform, SpinTransform or VectorTransform
    iterations : int
        k, at least 0, which is plain quadrature.
    out : (..., *t.coefficients.shape) complex, optional
        Where to write the result.

    Returns
    -------
    (..., *t.coefficients.shape) complex

    Raises
    ------
    TypeError, ValueError
        Wrong dtype, shape, `out` or number of iterations; a grid without weights.

    Notes
    -----
    This is ``healpy.map2alm(field, lmax, iter=iterations)``, for a transform with
    ``aliasing="fold"``. It costs 2 k + 1 transforms. The error is (1 - A S)ᵏ times that of
    quadrature. Where an eigenvalue of A S is 2 or more it grows: see that residuals fall, or take
    `least_squares_analysis`.

    Examples
    --------
    >>> import sht
    >>> t = sht.Transform(12, sht.grids.HEALPix(8))
    >>> a = sht.reference.random_coefficients(np.random.default_rng(0), 12)
    >>> field = t.synthesis(a)
    >>> for k in range(4):
    ...     error = np.linalg.norm(jacobi_analysis(field, t, k) - a) / np.linalg.norm(a)
    ...     print(k, f"{error:.0e}")
    0 9e-03
    1 7e-04
    2 6e-05
    3 5e-06
    """
    call = "sht.jacobi_analysis(field, t, iterations)"
    check_count(call, "iterations", iterations)
    library, _, there = place_of(call, field, out)
    with there:
        fields, leading = _prepared(call, field, t, "fields", out, library)
        a = t.analysis(fields)
        for _ in range(iterations):
            a += t.analysis(fields - t.synthesis(a))
        return _returned(a, leading, out)


def adjoint_jacobi_analysis(
    a: ArrayLike, t: RingTransform, iterations: int = 3, *, out: NDArray | None = None
) -> NDArray:
    """The transpose of `jacobi_analysis`: from a cotangent of the coefficients to one of the field.

    Parameters
    ----------
    a : (..., *t.coefficients.shape) complex
        ∂L/∂Re a + i ∂L/∂Im a.
    t, iterations
        As for `jacobi_analysis`.
    out : (..., *t.fields.shape) float, optional
        Where to write the result.

    Returns
    -------
    (..., *t.fields.shape) float
        ∂L/∂f.

    Raises
    ------
    EnzymeNotFoundError
        There is no Enzyme, and the transposes are not in the cache.
    TypeError, ValueError
        As for `jacobi_analysis`.
    """
    call = "sht.adjoint_jacobi_analysis(a, t, iterations)"
    check_count(call, "iterations", iterations)
    library, _, there = place_of(call, a, out)
    with there:
        cotangent, leading = _prepared(call, a, t, "coefficients", out, library)
        field = t.adjoint_analysis(cotangent)
        last = field
        for _ in range(iterations):
            cotangent = cotangent - t.adjoint_synthesis(last)
            last = t.adjoint_analysis(cotangent)
            field = field + last
        return _returned(field, leading, out)


@njit(error_model="numpy", nogil=True)
def jacobi_analysis_into(a, field, iterations, t, scratch):
    """`jacobi_analysis` of one field, for use inside ``@njit`` code.

    Parameters
    ----------
    a : t.coefficients.shape complex
        Overwritten. C-contiguous.
    field : t.fields.shape float
        C-contiguous.
    iterations : int
    t : Transform, SpinTransform or VectorTransform
        On a grid with quadrature weights.
    scratch : Scratch
        ``t.scratch()``; each thread needs its own.

    Raises
    ------
    TypeError
        When it is compiled: another dtype or layout.
    ValueError
        Another shape, or the scratch of another transform.
    """
    analysis_into(a, field, t, scratch)
    left, more = np.empty_like(field), np.empty_like(a)
    f, flat_left = field.ravel(), left.ravel()
    flat_a, flat_more = a.ravel(), more.ravel()
    for _ in range(iterations):
        synthesis_into(left, a, t, scratch)
        for i in range(len(f)):
            flat_left[i] = f[i] - flat_left[i]
        analysis_into(more, left, t, scratch)
        for k in range(len(flat_a)):
            flat_a[k] += flat_more[k]


class Refined(NamedTuple):
    """Coefficients, and how well the iterations have converged.

    Attributes
    ----------
    a : (..., *t.coefficients.shape) complex
    iterations : (...) int
        For each field of the batch.
    residual : (...) float
        |A (f - S a)| / |A f|, with |a|² = Σ M |a_lm|², the integral of the field's square.
    """

    a: NDArray
    iterations: Any
    residual: Any


def least_squares_analysis(
    field: ArrayLike,
    t: RingTransform,
    weights: ArrayLike | None = None,
    *,
    tolerance: float | None = None,
    max_iterations: int = 100,
    out: NDArray | None = None,
) -> Refined:
    r"""Coefficients of the field that is closest to the data: minimises Σ_i w_i |f_i - (S a)_i|².

    Parameters
    ----------
    field : (..., *t.fields.shape) float
        Where the weight is 0 it may be anything, NaN too.
    t : Transform, SpinTransform or VectorTransform
    weights : (*t.fields.shape) real, optional
        At least 0, for all fields of the batch; the scale is of no consequence: inverse variances
        of the points, 0 for missing ones. For spins, ``t.grid.shape`` is enough where both
        components have the same. If not given, the areas of the points, or 1 for each where the
        grid has none.
    tolerance : float, optional
        When to stop: the residual relative to that of no field at all. 1e-10 if not given, 1e-5 for
        float32.
    max_iterations : int
        Each is two transforms.
    out : (..., *t.coefficients.shape) complex, optional
        Where to write the coefficients.

    Returns
    -------
    Refined
        ``(a, iterations, residual)``.

    Warns
    -----
    RuntimeWarning
        The tolerance has not been reached for some field.

    Raises
    ------
    TypeError, ValueError
        Wrong dtype, shape, `out`; weights or field that are not finite, or negative weights.

    Notes
    -----
    Conjugate gradients on A S a = A f, which is self-adjoint in the inner product Re Σ M conj(a) b
    with A = M⁻¹ SᵀW, M = 1 for m = 0 and 2 for other orders. Starting from 0 they find, where many
    coefficients fit equally well (more of them than points, large gaps), those of the smallest
    field: the least mean square over the sphere. Convergence is slow where some fields are nearly
    invisible to the data, as inside of a gap wider than a wavelength of the highest degree;
    `tolerance` then decides how much noise is taken up to fit them.

    Examples
    --------
    A field is recovered although the polar cap is missing:

    >>> import sht
    >>> t = sht.Transform(12, sht.grids.HEALPix(8))
    >>> a = sht.reference.random_coefficients(np.random.default_rng(0), 12)
    >>> seen = t.grid.latitudes < 80
    >>> field = np.where(seen, t.synthesis(a), np.nan)
    >>> found = least_squares_analysis(field, t, weights=seen)
    >>> int(found.iterations), bool(np.allclose(found.a, a, rtol=0, atol=1e-9))
    (7, True)
    """
    call = "sht.least_squares_analysis(field, t, weights)"
    fields, leading = _prepared(call, field, t, "fields", out)
    solver = make_solver(call, t, weights, tolerance, max_iterations)
    fields = np.where(solver.weights > 0, fields, t.dtype.type(0))
    if not np.all(np.isfinite(fields)):
        raise ValueError(
            f"`{call}` needs finite values. Got NaN or infinities. Give missing points weight 0."
        )
    a, iterations, residual = BatchSolver(call, solver).fit_coefficients(fields)
    iterations, residual = iterations.reshape(leading)[()], residual.reshape(leading)[()]
    return Refined(_returned(a, leading, out), iterations, residual)


def adjoint_least_squares_analysis(
    a: ArrayLike,
    t: RingTransform,
    weights: ArrayLike | None = None,
    *,
    tolerance: float | None = None,
    max_iterations: int = 100,
    out: NDArray | None = None,
) -> NDArray:
    """The transpose of `least_squares_analysis`: of the solution, not of the iterations.

    Parameters
    ----------
    a : (..., *t.coefficients.shape) complex
        ∂L/∂Re a + i ∂L/∂Im a.
    t, weights, tolerance, max_iterations
        As for `least_squares_analysis`.
    out : (..., *t.fields.shape) float, optional
        Where to write the result.

    Returns
    -------
    (..., *t.fields.shape) float
        ∂L/∂f, 0 at points with weight 0.

    Warns
    -----
    RuntimeWarning
        The tolerance has not been reached.

    Raises
    ------
    TypeError, ValueError
        As for `least_squares_analysis`.

    Notes
    -----
    f̄ = W A⁺ M⁻¹ ā: of all fields that analysis takes to M⁻¹ ā the one of the least Σ w_i f_i²,
    times the weights. It takes as many iterations. Enzyme is not needed.
    """
    call = "sht.adjoint_least_squares_analysis(a, t, weights)"
    cotangent, leading = _prepared(call, a, t, "coefficients", out)
    solver = make_solver(call, t, weights, tolerance, max_iterations)
    batch = BatchSolver(call, solver)
    field, _, _ = batch.fit_fields(cotangent / batch.multiplicity)
    field *= solver.weights
    return _returned(field, leading, out)


def least_squares_solver(
    t: RingTransform,
    weights: ArrayLike | None = None,
    *,
    tolerance: float | None = None,
    max_iterations: int = 100,
) -> Solver:
    """What `least_squares_analysis_into` needs to know, and ``scratch()`` for its work space.

    Parameters and errors are those of `least_squares_analysis`.

    Returns
    -------
    Solver
    """
    call = "sht.least_squares_solver(t, weights)"
    _check_transform(call, t)
    return make_solver(call, t, weights, tolerance, max_iterations)


def _prepared(
    call: str, given: ArrayLike, t: Any, kind: str, out: NDArray | None, library: Any = np
) -> tuple[NDArray, tuple[int, ...]]:
    """What is given as a batch with one leading axis, and its leading axes; checks `out` too."""
    _check_transform(call, t)
    source, target = t.fields, t.coefficients
    if kind == "coefficients":
        source, target = target, source
    batch, leading = as_batch(call, given, source.shape, source.dtype, library)
    if out is not None:
        array = array_in_place(call, given, library)
        check_out(call, out, leading + target.shape, target.dtype, array, library)
    return batch, leading


def _returned(result: NDArray, leading: tuple[int, ...], out: NDArray | None) -> NDArray:
    result = result.reshape(*leading, *result.shape[1:])
    if out is None:
        return result
    out[...] = result
    return out


def _check_transform(call: str, t: Any) -> None:
    if not isinstance(t, RingTransform):
        raise TypeError(
            f"`{call}` needs a transform. Got {type(t).__name__}. Make one: "
            f"`sht.Transform(lmax, grid)`."
        )
