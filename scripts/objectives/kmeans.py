r"""Cost of k-means, Σᵢ minₖ \|xᵢ - cₖ\|², by the centres c."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from ._objective import Objective


@njit()
def square_distance(x, c):
    total = 0.0
    for j in range(x.size):
        total += (x[j] - c[j]) ** 2
    return total


@njit()
def cost(centres, points):
    total = 0.0
    for i in range(points.shape[0]):
        nearest = square_distance(points[i], centres[0])
        for k in range(1, centres.shape[0]):
            nearest = min(nearest, square_distance(points[i], centres[k]))
        total += nearest
    return total


def make(n: int, d: int, count: int) -> tuple[Any, ...]:
    rng = np.random.default_rng(n + d + count)
    middles = 3.0 * rng.standard_normal((count, d))
    points = middles[rng.integers(count, size=n)] + rng.standard_normal((n, d))
    return middles + rng.standard_normal((count, d)), points


def in_jax(jax: Any) -> Callable[..., Any]:
    def function(centres, points):
        squares = ((points[:, None] - centres) ** 2).sum(-1)
        return squares.min(1).sum()

    return function


def in_torch(torch: Any) -> Callable[..., Any]:
    def function(centres, points):
        squares = ((points[:, None] - centres) ** 2).sum(-1)
        return squares.min(1).values.sum()

    return function


KMEANS = Objective(
    name="k-means",
    function=cost,
    argnums=(0,),
    make=make,
    sizes={
        "small": {"n": 2000, "d": 4, "count": 5},
        "large": {"n": 20000, "d": 16, "count": 20},
    },
    in_jax=in_jax,
    in_torch=in_torch,
)
