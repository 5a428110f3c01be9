"""The objectives of the benchmark: what they compute, their gradients in both modes, the table."""

import json
from typing import Any

import numpy as np
import pytest
import scipy.special
from scipy.integrate import solve_ivp
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation
from scipy.stats import multivariate_normal

from llvm import jvp, value_and_grad
from scripts.objectives import OBJECTIVES
from scripts.objectives.bundle import rotate
from scripts.objectives.hand import rotation_into, turn_into
from tests.gradient_checks import identical
from tests.script_runs import run

EPS = np.finfo(np.float64).eps
# Steps of the differences, relative to each argument: the reaction rates are steep functions.
STEP = EPS**0.2 / 4


@pytest.fixture(params=list(OBJECTIVES), scope="module")
def at(request):
    """An objective at its small size: arguments, gradients, and a direction of the same scale."""
    objective = OBJECTIVES[request.param]
    arguments = objective.make(**objective.sizes["small"])
    found = value_and_grad(objective.function, objective.argnums)(*arguments)
    rng = np.random.default_rng(1)
    tangents = [None] * len(arguments)
    for i in objective.argnums:
        scale = np.abs(arguments[i]) + (objective.name != "stiff-ode") * 0.1
        tangents[i] = scale * rng.standard_normal(arguments[i].shape)
    return objective, arguments, found, tangents


def products(objective, gradients, tangents):
    """Each partial derivative times its tangent: their sum is the derivative along these."""
    pairs = zip(gradients, objective.argnums, strict=True)
    return np.concatenate([(g * tangents[i]).ravel() for g, i in pairs])


def test_value_is_that_of_the_function(at):
    objective, arguments, (value, gradients), _ = at
    assert value == pytest.approx(objective.function(*arguments), rel=16 * EPS)
    for i, gradient in zip(objective.argnums, gradients, strict=True):
        assert gradient.shape == arguments[i].shape
        assert np.isfinite(gradient).all()
        assert gradient.any()
    for one, same in zip(arguments, objective.make(**objective.sizes["small"]), strict=True):
        identical(one, same)  # nothing was written, and data are the same each time


def test_reverse_is_forward(at):
    objective, arguments, (value, gradients), tangents = at
    also, derivative = jvp(objective.function, arguments, tangents)
    assert also == pytest.approx(value, rel=16 * EPS)
    terms = products(objective, gradients, tangents)
    assert abs(derivative - terms.sum()) <= 256 * EPS * np.abs(terms).sum()


def test_gradient_is_what_differences_give(at):
    objective, arguments, (value, gradients), tangents = at
    step = STEP * (1e-2 if objective.name == "k-means" else 1.0)  # the nearest stays the nearest

    def moved(k):
        pairs = zip(arguments, tangents, strict=True)
        return objective.function(*[a if t is None else a + k * step * t for a, t in pairs])

    estimate = (8 * (moved(1) - moved(-1)) - (moved(2) - moved(-2))) / (12 * step)
    terms = products(objective, gradients, tangents)
    rounding = 32 * EPS * abs(value) / step
    assert abs(estimate - terms.sum()) <= 20 * EPS**0.7 * np.abs(terms).sum() + rounding


def test_mixture_is_scipys():
    """Its log likelihood, and the logarithm of Wishart's density up to what is independent of Q."""
    objective = OBJECTIVES["gmm"]
    alphas, means, diagonals, triangles, points, gamma, m = objective.make(n=20, d=3, count=4)
    n, d = points.shape
    columns, rows = np.triu_indices(d, 1)
    special: Any = scipy.special
    terms: list[Any] = []
    prior = 0.0
    for k in range(alphas.size):
        lower = np.diag(np.exp(diagonals[k]))
        lower[rows, columns] = triangles[k]
        inverse: Any = np.linalg.inv(lower.T @ lower)
        density = multivariate_normal.logpdf(points, means[k], (inverse + inverse.T) / 2)
        terms.append(alphas[k] + density)
        degrees = d + m + 1
        prior += 0.5 * gamma**2 * (lower**2).sum() - m * diagonals[k].sum()
        prior += degrees * d * (np.log(gamma) - 0.5 * np.log(2)) - special.multigammaln(
            degrees / 2, d
        )
    want = special.logsumexp(terms, axis=0).sum() - n * special.logsumexp(alphas) + prior
    got = objective.function(alphas, means, diagonals, triangles, points, gamma, m)
    assert got == pytest.approx(want, rel=1e3 * EPS)


def test_cost_of_clusters_is_scipys():
    objective = OBJECTIVES["k-means"]
    centres, points = objective.make(n=50, d=3, count=4)
    squares = cdist(points, centres) ** 2
    value, (gradient,) = value_and_grad(objective.function, (0,))(centres, points)
    assert value == pytest.approx(squares.min(1).sum(), rel=64 * EPS)
    own = [points[squares.argmin(1) == k] for k in range(len(centres))]
    exact = [2.0 * (c - x).sum(0) for c, x in zip(centres, own, strict=True)]
    np.testing.assert_allclose(gradient, exact, rtol=0, atol=1e3 * EPS)


def test_rotations_are_scipys():
    rng = np.random.default_rng(2)
    r, x = rng.standard_normal((2, 3))
    want = Rotation.from_rotvec(r)
    np.testing.assert_allclose(rotate(r, *x), want.apply(x), rtol=0, atol=16 * EPS)
    np.testing.assert_allclose(rotate(np.zeros(3), *x), x, rtol=0, atol=0)
    matrix = np.empty((3, 3))
    rotation_into(matrix, r)
    np.testing.assert_allclose(matrix, want.as_matrix(), rtol=0, atol=16 * EPS)
    turn_into(matrix, r)
    want = Rotation.from_euler("xyz", r).as_matrix()
    np.testing.assert_allclose(matrix, want, rtol=0, atol=16 * EPS)


def test_hand_at_rest_fits():
    """With no turns each bone is where it was when the vertices were attached to it."""
    objective = OBJECTIVES["hand"]
    whole, angles, *rest = objective.make(vertices=60, points=30)
    vertices, nearest = rest[3], rest[5]
    whole[0], whole[1] = [0.0, 0.0, 1e-9], 0.0
    angles[...] = 0.0
    rest[6] = vertices[nearest]
    assert objective.function(whole, angles, *rest) < 1e-15


def test_stiff_steps_converge_to_scipys():
    """Second order: twice the steps, a quarter of the error."""
    objective = OBJECTIVES["stiff-ode"]
    k, start, *_ = objective.make(steps=1)

    def rates(_, y):
        first, last = -k[0] * y[0] + k[2] * y[1] * y[2], k[1] * y[1] ** 2
        return [first, -first - last, last]

    exact = solve_ivp(rates, (0.0, 1.0), start, method="Radau", rtol=1e-12, atol=1e-16).y[:, -1]
    errors = []
    for count in (200, 400, 800):
        steps = np.diff(np.concatenate([[0.0], np.geomspace(1e-6, 1.0, count)]))
        # Only the last step counts: elsewhere the measured values are as good as infinitely vague.
        sigma = np.array([1.0, 1e30, 1e30])
        measured = np.full((count, 3), exact)
        far = objective.function(k, start, steps[:-1], measured[:-1], sigma) * (count - 1)
        errors.append((objective.function(k, start, steps, measured, sigma) * count - far) ** 0.5)
    rates_of_convergence = np.log2(np.array(errors[:-1]) / errors[1:])
    assert errors[-1] < 1e-6
    assert (np.abs(rates_of_convergence - 2.0) < 0.2).all()


def test_benchmark(tmp_path):
    """It runs from anywhere, with the peers or without; no time is judged."""
    saved = tmp_path / "run.json"
    options = ["--only", "k-means", "--sizes", "small", "--rounds", "2", "--threads", "1"]
    done = run("bench_objectives.py", tmp_path, *options, "--save", saved)
    assert done.returncode == 0, done.stderr
    for words in ("threads=1 for everybody", "gradient ÷ primal: median", "compiling s"):
        assert words in done.stdout
    (times,) = json.loads(saved.read_text(encoding="utf-8"))["results"].values()
    assert {"primal", "ours"} <= set(times)
    assert all(len(rounds) == 2 and min(rounds) > 0 for rounds in times.values())
