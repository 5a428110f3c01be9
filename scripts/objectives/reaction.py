r"""Misfit of a reaction and diffusion in two dimensions, by its initial fields and parameters.

Gray and Scott's equations

.. math:: \dot u = a Δu - u v^2 + F (1 - u),\quad \dot v = b Δv + u v^2 - (F + k) v

in an even number of explicit steps of unit length, on a grid of unit spacing whose edge stays as it
is. The loss is the mean square difference of the last fields from measured ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from ._objective import Objective


@njit()
def keep_edge(new, old):
    rows, columns = old.shape
    for j in range(columns):
        new[0, j] = old[0, j]
        new[rows - 1, j] = old[rows - 1, j]
    for i in range(rows):
        new[i, 0] = old[i, 0]
        new[i, columns - 1] = old[i, columns - 1]


@njit()
def advance_into(new_u, new_v, u, v, parameters):
    a, b, feed, kill = parameters[0], parameters[1], parameters[2], parameters[3]
    rows, columns = u.shape
    keep_edge(new_u, u)
    keep_edge(new_v, v)
    for i in range(1, rows - 1):
        for j in range(1, columns - 1):
            p, q = u[i, j], v[i, j]
            reaction = p * q * q
            around_u = u[i - 1, j] + u[i + 1, j] + u[i, j - 1] + u[i, j + 1]
            around_v = v[i - 1, j] + v[i + 1, j] + v[i, j - 1] + v[i, j + 1]
            new_u[i, j] = p + a * (around_u - 4.0 * p) - reaction + feed * (1.0 - p)
            new_v[i, j] = q + b * (around_v - 4.0 * q) + reaction - (feed + kill) * q


@njit()
def difference(u, v, parameters, measured_u, measured_v, steps):
    u, v = u.copy(), v.copy()
    next_u, next_v = np.empty_like(u), np.empty_like(v)
    for _ in range(steps // 2):
        advance_into(next_u, next_v, u, v, parameters)
        advance_into(u, v, next_u, next_v, parameters)
    total = 0.0
    for i in range(u.shape[0]):
        for j in range(u.shape[1]):
            total += (u[i, j] - measured_u[i, j]) ** 2 + (v[i, j] - measured_v[i, j]) ** 2
    return total / u.size


def make(size: int, steps: int) -> tuple[Any, ...]:
    rng = np.random.default_rng(size)
    u, v = np.ones((size, size)), np.zeros((size, size))
    middle = slice(3 * size // 8, 5 * size // 8)
    u[middle, middle], v[middle, middle] = 0.5, 0.25
    u += 0.02 * rng.standard_normal(u.shape)
    v += 0.02 * rng.standard_normal(v.shape)
    measured = rng.uniform(0.0, 1.0, (2, size, size))
    return u, v, np.array([0.16, 0.08, 0.035, 0.065]), *measured, steps


def in_jax(jax: Any) -> Callable[..., Any]:
    np_ = jax.numpy

    def inner(u):
        around = u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:]
        return around - 4.0 * u[1:-1, 1:-1]

    def function(u, v, parameters, measured_u, measured_v, steps):
        a, b, feed, kill = parameters

        def advance(fields, _):
            u, v = fields
            mid_u, mid_v = u[1:-1, 1:-1], v[1:-1, 1:-1]
            reaction = mid_u * mid_v**2
            change_u = a * inner(u) - reaction + feed * (1.0 - mid_u)
            change_v = b * inner(v) + reaction - (feed + kill) * mid_v
            return (u + np_.pad(change_u, 1), v + np_.pad(change_v, 1)), None

        (u, v), _ = jax.lax.scan(advance, (u, v), None, steps)
        return ((u - measured_u) ** 2 + (v - measured_v) ** 2).sum() / u.size

    return function


def in_torch(torch: Any) -> Callable[..., Any]:
    pad = torch.nn.functional.pad

    def inner(u):
        around = u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:]
        return around - 4.0 * u[1:-1, 1:-1]

    def function(u, v, parameters, measured_u, measured_v, steps):
        a, b, feed, kill = parameters
        for _ in range(steps):
            mid_u, mid_v = u[1:-1, 1:-1], v[1:-1, 1:-1]
            reaction = mid_u * mid_v**2
            change_u = a * inner(u) - reaction + feed * (1.0 - mid_u)
            change_v = b * inner(v) + reaction - (feed + kill) * mid_v
            u, v = u + pad(change_u, (1, 1, 1, 1)), v + pad(change_v, (1, 1, 1, 1))
        return ((u - measured_u) ** 2 + (v - measured_v) ** 2).sum() / u.numel()

    return function


REACTION = Objective(
    name="reaction",
    function=difference,
    argnums=(0, 1, 2),
    make=make,
    sizes={"small": {"size": 32, "steps": 20}, "large": {"size": 128, "steps": 50}},
    in_jax=in_jax,
    in_torch=in_torch,
    unrolled=True,
)
