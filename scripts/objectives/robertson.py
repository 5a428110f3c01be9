r"""Misfit of a stiff chemical reaction to measurements, by its rates and its initial state.

Robertson's reaction

.. math:: \dot y_1 = -k_1 y_1 + k_3 y_2 y_3,\quad \dot y_3 = k_2 y_2^2,\quad
          \dot y_2 = -\dot y_1 - \dot y_3

is integrated over steps of growing length by a Rosenbrock method of second order, with
γ = 1 + 1/√2 and J the Jacobian matrix:

.. math:: (1 - γ h J) a = f(y),\quad (1 - γ h J) b = f(y + h a) - 2 a,\quad
          y' = y + \tfrac32 h a + \tfrac12 h b
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from ._objective import Objective

GAMMA = 1.0 + 1.0 / math.sqrt(2.0)


@njit(error_model="numpy")
def rates_into(out, y, k):
    out[0] = -k[0] * y[0] + k[2] * y[1] * y[2]
    out[2] = k[1] * y[1] ** 2
    out[1] = -out[0] - out[2]


@njit(error_model="numpy")
def matrix_into(out, y, k, step):
    """1 - step J."""
    out[0, 0], out[0, 1], out[0, 2] = -k[0], k[2] * y[2], k[2] * y[1]
    out[2, 0], out[2, 1], out[2, 2] = 0.0, 2.0 * k[1] * y[1], 0.0
    for j in range(3):
        out[1, j] = -out[0, j] - out[2, j]
    for i in range(3):
        for j in range(3):
            out[i, j] *= -step
        out[i, i] += 1.0


@njit(error_model="numpy")
def factorise(a):
    """L and U in place. There is no need for pivots: 1 - step J is near to a diagonal, or large."""
    n = a.shape[0]
    for k in range(n):
        for i in range(k + 1, n):
            a[i, k] /= a[k, k]
            for j in range(k + 1, n):
                a[i, j] -= a[i, k] * a[k, j]


@njit(error_model="numpy")
def solve(lu, b):
    """In place."""
    n = b.size
    for i in range(n):
        for j in range(i):
            b[i] -= lu[i, j] * b[j]
    for i in range(n - 1, -1, -1):
        for j in range(i + 1, n):
            b[i] -= lu[i, j] * b[j]
        b[i] /= lu[i, i]


@njit(error_model="numpy")
def misfit(k, start, steps, measured, sigma):
    y = start.copy()
    matrix = np.empty((3, 3))
    a = np.empty(3)
    b = np.empty(3)
    between = np.empty(3)
    total = 0.0
    for t in range(steps.size):
        h = steps[t]
        matrix_into(matrix, y, k, GAMMA * h)
        factorise(matrix)
        rates_into(a, y, k)
        solve(matrix, a)
        for i in range(3):
            between[i] = y[i] + h * a[i]
        rates_into(b, between, k)
        for i in range(3):
            b[i] -= 2.0 * a[i]
        solve(matrix, b)
        for i in range(3):
            y[i] += 1.5 * h * a[i] + 0.5 * h * b[i]
            total += ((y[i] - measured[t, i]) / sigma[i]) ** 2
    return total / steps.size


def make(steps: int) -> tuple[Any, ...]:
    rng = np.random.default_rng(steps)
    ends = np.concatenate([[0.0], np.geomspace(1e-5, 1e3, steps)])
    measured = rng.uniform(0.0, 1.0, (steps, 3)) * [1.0, 4e-5, 1.0]
    return (
        np.array([0.04, 3e7, 1e4]),
        np.array([1.0, 1e-5, 0.1]),
        np.diff(ends),
        measured,
        np.array([1.0, 4e-5, 1.0]),
    )


def in_jax(jax: Any) -> Callable[..., Any]:
    np_ = jax.numpy

    def rates(y, k):
        first, last = -k[0] * y[0] + k[2] * y[1] * y[2], k[1] * y[1] ** 2
        return np_.array([first, -first - last, last])

    def function(k, start, steps, measured, sigma):
        def advance(y, h):
            matrix = np_.eye(3) - GAMMA * h * jax.jacfwd(rates)(y, k)
            factors = jax.scipy.linalg.lu_factor(matrix)
            a = jax.scipy.linalg.lu_solve(factors, rates(y, k))
            b = jax.scipy.linalg.lu_solve(factors, rates(y + h * a, k) - 2.0 * a)
            y = y + 1.5 * h * a + 0.5 * h * b
            return y, y

        _, states = jax.lax.scan(advance, start, steps)
        return (((states - measured) / sigma) ** 2).sum() / steps.size

    return function


def in_torch(torch: Any) -> Callable[..., Any]:
    def rates(y, k):
        first, last = -k[0] * y[0] + k[2] * y[1] * y[2], k[1] * y[1] ** 2
        return torch.stack([first, -first - last, last])

    def jacobian(y, k):
        zero = torch.zeros((), dtype=torch.float64)
        first = torch.stack([-k[0], k[2] * y[2], k[2] * y[1]])
        last = torch.stack([zero, 2.0 * k[1] * y[1], zero])
        return torch.stack([first, -first - last, last])

    def function(k, start, steps, measured, sigma):
        y, states, one = start, [], torch.eye(3, dtype=torch.float64)
        for h in steps:
            lu, pivots = torch.linalg.lu_factor(one - GAMMA * h * jacobian(y, k))
            a = torch.linalg.lu_solve(lu, pivots, rates(y, k)[:, None])[:, 0]
            right = rates(y + h * a, k) - 2.0 * a
            b = torch.linalg.lu_solve(lu, pivots, right[:, None])[:, 0]
            y = y + 1.5 * h * a + 0.5 * h * b
            states.append(y)
        return (((torch.stack(states) - measured) / sigma) ** 2).sum() / steps.numel()

    return function


ROBERTSON = Objective(
    name="stiff-ode",
    function=misfit,
    argnums=(0, 1),
    make=make,
    sizes={"small": {"steps": 200}, "large": {"steps": 2000}},
    in_jax=in_jax,
    in_torch=in_torch,
    unrolled=True,
)
