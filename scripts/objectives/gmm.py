r"""Log posterior of a Gaussian mixture with a Wishart prior, by weights, means and covariances.

The inverse covariance of component k is Qᵀ Q, with a lower triangular Q whose diagonal is exp(q)
and whose other entries are stored by columns. With α the logarithms of the weights up to a
constant, n points x in d dimensions:

.. math:: \sum_p \log \sum_k \exp(α_k + \sum_i q_{ki} - |Q_k (x_p - μ_k)|²/2)
          - n \log \sum_k e^{α_k} + \sum_k (γ²/2 |Q_k|² - m \sum_i q_{ki}) + \mathrm{const}
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from ._objective import Objective


@njit(error_model="numpy")
def log_sum_exp(x):
    largest = x[0]
    for i in range(1, x.size):
        largest = max(largest, x[i])
    total = 0.0
    for i in range(x.size):
        total += math.exp(x[i] - largest)
    return largest + math.log(total)


@njit(error_model="numpy")
def lower_triangles(diagonals, triangles):
    count, d = diagonals.shape
    lower = np.zeros((count, d, d))
    for k in range(count):
        entry = 0
        for j in range(d):
            lower[k, j, j] = math.exp(diagonals[k, j])
            for i in range(j + 1, d):
                lower[k, i, j] = triangles[k, entry]
                entry += 1
    return lower


@njit(error_model="numpy")
def log_posterior(alphas, means, diagonals, triangles, points, gamma, m):
    n, d = points.shape
    count = alphas.size
    lower = lower_triangles(diagonals, triangles)
    coordinates = points.T.copy()  # the loops over all points are then along rows
    product = np.empty(n)
    squares = np.empty(n)
    terms = np.empty((n, count))
    for k in range(count):
        squares[:] = 0.0
        for i in range(d):
            product[:] = 0.0
            for j in range(i + 1):
                for p in range(n):
                    product[p] += lower[k, i, j] * (coordinates[j, p] - means[k, j])
            for p in range(n):
                squares[p] += product[p] ** 2
        weight = alphas[k] + diagonals[k].sum()
        for p in range(n):
            terms[p, k] = weight - 0.5 * squares[p]
    total = -n * log_sum_exp(alphas)
    for p in range(n):
        total += log_sum_exp(terms[p])

    for k in range(count):
        for i in range(d):
            total -= m * diagonals[k, i]
            for j in range(i + 1):
                total += 0.5 * gamma**2 * lower[k, i, j] ** 2
    return total - constant(n, d, count, gamma, m)


@njit(error_model="numpy")
def constant(n, d, count, gamma, m):
    degrees = d + m + 1
    log_gamma = 0.25 * d * (d - 1) * math.log(math.pi)
    for j in range(d):
        log_gamma += math.lgamma(0.5 * (degrees - j))
    one = degrees * d * (math.log(gamma) - 0.5 * math.log(2.0)) - log_gamma
    return 0.5 * n * d * math.log(2.0 * math.pi) - count * one


def make(n: int, d: int, count: int) -> tuple[Any, ...]:
    rng = np.random.default_rng(n + d + count)
    return (
        rng.standard_normal(count),
        rng.standard_normal((count, d)),
        0.2 * rng.standard_normal((count, d)),
        rng.standard_normal((count, d * (d - 1) // 2)) / d,
        rng.standard_normal((n, d)),
        1.0,
        0,
    )


def in_jax(jax: Any) -> Callable[..., Any]:
    np_, logsumexp = jax.numpy, jax.scipy.special.logsumexp

    def function(alphas, means, diagonals, triangles, points, gamma, m):
        n, d = points.shape
        columns, rows = np.triu_indices(d, 1)
        scales, sums = np_.exp(diagonals), diagonals.sum(1)
        lower = np_.zeros((alphas.size, d, d)).at[:, rows, columns].set(triangles)
        lower += scales[:, :, None] * np_.eye(d)
        centred = points[:, None] - means
        product = np_.einsum("kij,pkj->pki", lower, centred)
        terms = alphas + sums - 0.5 * (product**2).sum(-1)
        total = logsumexp(terms, axis=1).sum() - n * logsumexp(alphas)
        squares = (scales**2).sum() + (triangles**2).sum()
        total += 0.5 * gamma**2 * squares - m * sums.sum()
        return total - constant(n, d, alphas.size, gamma, m)

    return function


def in_torch(torch: Any) -> Callable[..., Any]:
    def function(alphas, means, diagonals, triangles, points, gamma, m):
        n, d = points.shape
        columns, rows = np.triu_indices(d, 1)
        scales, sums = torch.exp(diagonals), diagonals.sum(1)
        lower = torch.zeros((alphas.numel(), d, d), dtype=torch.float64)
        lower[:, rows, columns] = triangles
        lower = lower + torch.diag_embed(scales)
        centred = points[:, None] - means
        product = torch.einsum("kij,pkj->pki", lower, centred)
        terms = alphas + sums - 0.5 * (product**2).sum(-1)
        total = torch.logsumexp(terms, 1).sum() - n * torch.logsumexp(alphas, 0)
        squares = (scales**2).sum() + (triangles**2).sum()
        total = total + 0.5 * gamma**2 * squares - m * sums.sum()
        return total - constant(n, d, alphas.numel(), gamma, m)

    return function


GMM = Objective(
    name="gmm",
    function=log_posterior,
    argnums=(0, 1, 2, 3),
    make=make,
    sizes={"small": {"n": 1000, "d": 2, "count": 5}, "large": {"n": 1000, "d": 20, "count": 25}},
    in_jax=in_jax,
    in_torch=in_torch,
)
