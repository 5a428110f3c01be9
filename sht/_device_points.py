"""Values at points on a device, and the transpose: kernels over points and orders.

    a ─ orders at points ─ sums (order, point) ─ values

The recurrence is that of `_order_sums`, for one point and one order in each thread. The other way,
coefficients of an order get something from each point: there a thread has many points, and adds to
a copy of the coefficients that is its own. It is the same kernel, which Enzyme transposes, for one
point a thread and one copy for all, or for many. Nothing is atomic, and results are the same bits
in each run.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from enzyme_rules import LinearRule, register
from enzyme_rules._cupy import uploaded

from ._lane_rings import get, put
from ._order_sums import (
    RESCALE,
    SMALL,
    OrderTables,
    first_step,
    has_grown,
    make_order_tables,
    next_sectoral,
)

_BYTES = 1 << 28
"""Of sums and functions at a time."""

_THREADS = 1 << 15
"""With copies of their own: at T255 these take 70 MB."""


def run_at_points(
    library: Any,
    device: int | None,
    points: tuple[NDArray, NDArray],
    truncation: tuple[int, int],
    transposed: bool,
    results: NDArray,
    batch: NDArray,
) -> None:
    """Evaluate each field of a batch at points, or apply the transpose.

    Parameters
    ----------
    library : module
        CuPy, and all arrays are on the current device; or NumPy, which tests pass.
    device : int or None
    points : (npoints,) float64, (npoints,) float64
        Colatitudes and longitudes.
    truncation : (int, int)
    transposed : bool
    results, batch : (count, ...) arrays
        C-contiguous. `results` is overwritten.
    """
    from llvm import Const, Duplicated, linear_transpose

    t, fields, orders = _tables(*truncation, device), len(batch), truncation[1] + 1
    empty, empty_like = library.empty, library.empty_like
    if fields == 0:
        return
    results[...] = 0
    for some in _parts(len(points[0]), orders, fields):
        theta, phi = points[0][some], points[1][some]
        n = len(theta)
        functions = empty((4, orders * n))
        _kernel(functions_of_point)[n](functions, theta, phi, t.ratio)
        sums, values = library.zeros((fields, orders * n, 2)), empty((fields, n))
        if not transposed:
            state = empty(orders * n * fields)
            _kernel(order_at_points)[len(state)](
                sums, library.asarray(batch, np.complex128), state, functions, theta, t, n, 1
            )
            _kernel(values_of_orders)[n * fields](values, sums, functions, orders)
            results[:, some] = values
            continue
        groups = max(1, min(n, _THREADS // (orders * fields)))
        values[...] = batch[:, some]
        linear_transpose(
            _kernel(values_of_orders)[n * fields],
            Duplicated(empty_like(values), values),
            Duplicated(empty_like(sums), sums),
            Const(functions),
            Const(orders),
        )
        copies = library.zeros((fields, results.shape[1] * groups), np.complex128)
        rest = empty(orders * groups * fields), functions, theta, t, groups, groups
        linear_transpose(
            _kernel(order_at_points)[len(rest[0])],
            Duplicated(empty_like(sums), sums),
            Duplicated(empty_like(copies), copies),
            *map(Const, rest),
        )
        results[...] = results + copies.reshape(fields, -1, groups).sum(axis=2)


def _parts(npoints: int, orders: int, fields: int) -> Iterator[slice]:
    """Points that are taken at once."""
    at_once = max(1, _BYTES // (8 * orders * (4 + 2 * fields)))
    for begin in range(0, npoints, at_once):
        yield slice(begin, min(begin + at_once, npoints))


@functools.lru_cache(maxsize=8)
def _tables(lmax: int, mmax: int, device: int | None) -> OrderTables:
    host = make_order_tables(lmax, mmax)
    return host if device is None else uploaded(host)


@functools.cache
def _kernel(body: Any) -> Any:
    # Imported here, so that `import sht` stays light.
    from llvm import kernel

    return kernel(body, atomics=False)  # a thread adds to what no other adds to


@njit(error_model="numpy")
def functions_of_point(i, functions, theta, phi, ratio):
    """Thread i: where the functions of all orders begin at one point, and its phases.

    Parameters
    ----------
    functions : (4, norders * npoints) float64
        λ_mm, its exponent (see `sectoral_into`), cos mφ, sin mφ.
    theta, phi : (npoints,) float64
    ratio : (norders,) float64
        Of `OrderTables`.
    """
    n, s = len(theta), np.sin(theta[i])
    cos_phi, sin_phi = np.cos(phi[i]), np.sin(phi[i])
    value, exponent, re, im = ratio[0], 0.0, 1.0, 0.0
    for m in range(len(ratio)):
        if m > 0:
            value, exponent = next_sectoral(value, exponent, ratio[m], s, m)
            re, im = re * cos_phi - im * sin_phi, re * sin_phi + im * cos_phi
        functions[0, m * n + i] = value
        functions[1, m * n + i] = exponent
        functions[2, m * n + i] = re
        functions[3, m * n + i] = im


@njit(error_model="numpy", fastmath={"contract"})
def _step_into(sums, a, state, place, k, own):
    """Adds to the sum at a place what one coefficient makes with the function that is the state."""
    function, value = get(state, own), get(a, k)
    sums[np.uint64(place), 0] += function * value.real
    sums[np.uint64(place), 1] += function * value.imag


register(LinearRule(_step_into, state=(2,), accumulates=True))


@njit(error_model="numpy")
def _order_of_thread(sums, a, state, functions, theta, t, groups, copies, i):
    n, orders = len(theta), t.mmax + 1
    group, rest = i % groups, i // groups
    m, field = rest % orders, rest // orders
    begin, first = first_step(t.lmax, m), m * (2 * t.lmax + 1 - m) // 2 + m
    stride = max(groups, 1)  # a range raises for a step of 0
    for j in range(group, n, stride):
        place = m * n + j
        x = np.cos(theta[j])
        before, now, exponent = 0.0, functions[0, place], functions[1, place]
        for l in range(t.lmax - m + 1):  # noqa: E741
            put(state, i, t.scale[begin + l] * (now if exponent == 0.0 else 0.0))
            _step_into(
                sums[field], a[field], state, place, (first + l) * copies + group % copies, i
            )
            before, now = now, t.recurrence[begin + l] * x * now - before
            if (l + 1) % RESCALE == 0 and has_grown(now, exponent):
                now, before, exponent = now * SMALL, before * SMALL, exponent + 1.0


@njit(error_model="numpy")
def _thread_of_order(sums, a, state, functions, theta, t, groups, copies, i):
    _order_of_thread(sums, a, state, functions, theta, t, groups, copies, i)


register(LinearRule(_thread_of_order, terms=_order_of_thread, state=(2,), accumulates=True))


@njit(error_model="numpy")
def order_at_points(i, sums, a, state, functions, theta, t, groups, copies):
    """Thread i: adds ``Σ_l λ_lm a_lm`` of one order and field, at every point of a group.

    Parameters
    ----------
    i : int
        [field][order][group].
    sums : (fields, norders * npoints, 2) float64
        Real and imaginary parts.
    a : (fields, ncoef * copies) complex128
        Each coefficient `copies` times: group g reads copy g modulo that.
    state : (fields * norders * groups,) float64
        Work space.
    functions, theta
        As for `functions_of_point`.
    t : OrderTables
    groups : int
        Group g has the points g, g + groups, …
    copies : int
    """
    _thread_of_order(sums, a, state, functions, theta, t, groups, copies, i)


@njit(error_model="numpy")
def values_of_orders(i, values, sums, functions, orders):
    """Thread i: one field at one point, ``Σ_m Re e^{imφ} sum_m``, orders m > 0 twice.

    values is (fields, npoints); the rest as for `order_at_points`.
    """
    n = values.shape[1]
    j, field = i % n, i // n
    total = 0.0
    for m in range(orders):
        place = m * n + j
        factor = 2.0 if m > 0 else 1.0
        re = functions[2, place] * sums[field, place, 0]
        im = functions[3, place] * sums[field, place, 1]
        total += factor * (re - im)
    values[field, j] = total
