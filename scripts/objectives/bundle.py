r"""Bundle adjustment: squared reprojection errors by cameras, points and weights.

A camera has a rotation vector r, a centre C, a focal length f, a principal point p and two
coefficients κ of radial distortion. With R the rotation about r by the angle \|r\|, and
q = (y₁/y₃, y₂/y₃) for y = R (X - C), it sees the point X at

.. math:: f (1 + κ_1 |q|² + κ_2 |q|⁴) q + p

The sum is over all observations of w² times the squared distance from what was measured, and of
(1 - w²)², which keeps the weights w near one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from ._objective import Objective


@njit(error_model="numpy")
def rotate(r, x, y, z):
    """Rodrigues' formula: cos φ x + sin φ / φ (r × x) + (1 - cos φ) / φ² (r · x) r."""
    square = r[0] ** 2 + r[1] ** 2 + r[2] ** 2
    cosine, across, along = 1.0, 1.0, 0.5
    if square > 0.0:
        angle = math.sqrt(square)
        cosine = math.cos(angle)
        across = math.sin(angle) / angle
        along = (1.0 - cosine) / square
    along *= r[0] * x + r[1] * y + r[2] * z
    return (
        cosine * x + across * (r[1] * z - r[2] * y) + along * r[0],
        cosine * y + across * (r[2] * x - r[0] * z) + along * r[1],
        cosine * z + across * (r[0] * y - r[1] * x) + along * r[2],
    )


@njit(error_model="numpy")
def project(camera, point):
    r, centre, focal, principal, radial = (
        camera[:3],
        camera[3:6],
        camera[6],
        camera[7:9],
        camera[9:],
    )
    x, y, z = rotate(r, point[0] - centre[0], point[1] - centre[1], point[2] - centre[2])
    u, v = x / z, y / z
    square = u * u + v * v
    scale = focal * (1.0 + radial[0] * square + radial[1] * square * square)
    return scale * u + principal[0], scale * v + principal[1]


@njit(error_model="numpy")
def reprojection(cameras, points, weights, seen, measured):
    total = 0.0
    for i in range(seen.shape[0]):
        u, v = project(cameras[seen[i, 0]], points[seen[i, 1]])
        w = weights[i]
        total += w * w * ((u - measured[i, 0]) ** 2 + (v - measured[i, 1]) ** 2)
        total += (1.0 - w * w) ** 2
    return total


def make(cameras: int, points: int, observations: int) -> tuple[Any, ...]:
    rng = np.random.default_rng(observations)
    parameters = np.empty((cameras, 11))
    parameters[:, :3] = 0.2 * rng.standard_normal((cameras, 3))
    parameters[:, 3:6] = rng.standard_normal((cameras, 3)) - [0.0, 0.0, 10.0]
    parameters[:, 6] = 500.0 + 50.0 * rng.standard_normal(cameras)
    parameters[:, 7:9] = 5.0 * rng.standard_normal((cameras, 2))
    parameters[:, 9:] = [-0.1, 0.01] * rng.uniform(0.5, 1.5, (cameras, 2))
    places = rng.standard_normal((points, 3))
    seen = np.stack(
        [rng.integers(cameras, size=observations), rng.integers(points, size=observations)], 1
    )
    measured = np.array([project(parameters[c], places[p]) for c, p in seen])
    measured += rng.standard_normal(measured.shape)
    return parameters, places, rng.uniform(0.8, 1.2, observations), seen, measured


def in_jax(jax: Any) -> Callable[..., Any]:
    np_ = jax.numpy

    def project(camera, point):
        r, centre, focal, principal, radial = (
            camera[:3],
            camera[3:6],
            camera[6],
            camera[7:9],
            camera[9:],
        )
        square = (r**2).sum()
        angle = np_.sqrt(np_.where(square > 0.0, square, 1.0))
        axis = r / angle
        x = point - centre
        rotated = np_.where(
            square > 0.0,
            np_.cos(angle) * x
            + np_.sin(angle) * np_.cross(axis, x)
            + (1.0 - np_.cos(angle)) * np_.dot(axis, x) * axis,
            x + np_.cross(r, x),
        )
        q = rotated[:2] / rotated[2]
        square = (q**2).sum()
        return focal * (1.0 + radial[0] * square + radial[1] * square**2) * q + principal

    def function(cameras, points, weights, seen, measured):
        projected = jax.vmap(project)(cameras[seen[:, 0]], points[seen[:, 1]])
        errors = weights[:, None] * (projected - measured)
        return (errors**2).sum() + ((1.0 - weights**2) ** 2).sum()

    return function


def in_torch(torch: Any) -> Callable[..., Any]:
    def function(cameras, points, weights, seen, measured):
        camera, point = cameras[seen[:, 0]], points[seen[:, 1]]
        r, centre, focal, principal, radial = torch.split(camera, [3, 3, 1, 2, 2], 1)
        square = (r**2).sum(1, keepdim=True)
        angle = torch.sqrt(torch.where(square > 0.0, square, 1.0))
        axis = r / angle
        x = point - centre
        rotated = torch.where(
            square > 0.0,
            torch.cos(angle) * x
            + torch.sin(angle) * torch.linalg.cross(axis, x)
            + (1.0 - torch.cos(angle)) * (axis * x).sum(1, keepdim=True) * axis,
            x + torch.linalg.cross(r, x),
        )
        q = rotated[:, :2] / rotated[:, 2:]
        square = (q**2).sum(1, keepdim=True)
        scale = focal * (1.0 + radial[:, :1] * square + radial[:, 1:] * square**2)
        errors = weights[:, None] * (scale * q + principal - measured)
        return (errors**2).sum() + ((1.0 - weights**2) ** 2).sum()

    return function


BUNDLE = Objective(
    name="bundle",
    function=reprojection,
    argnums=(0, 1, 2),
    make=make,
    sizes={
        "small": {"cameras": 10, "points": 300, "observations": 2000},
        "large": {"cameras": 49, "points": 7776, "observations": 31843},
    },
    in_jax=in_jax,
    in_torch=in_torch,
)
