r"""Hand tracking: squared distances between measured points and a skinned hand, by its pose.

The pose is a global rotation vector and a translation, a scale for each axis, and three angles for
each bone. Bone b turns relative to its parent p by R_b (about x, then y, then z), so that it stands
at A_b = A_p B_b R_b with a fixed B_b. What a bone does to a vertex is A_b C_b with C_b the inverse
of A_b at rest; a vertex follows a weighted mean of bones. The hand as a whole is then scaled,
rotated and moved. Transformations are 3 x 4: a matrix and a translation.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from ._objective import Objective


@njit(error_model="numpy")
def compose_into(out, a, b):
    """First b, then a."""
    for i in range(3):
        for j in range(4):
            total = 0.0
            for k in range(3):
                total += a[i, k] * b[k, j]
            out[i, j] = total
        out[i, 3] += a[i, 3]


@njit(error_model="numpy")
def turn_into(out, angles):
    ca, cb, cc = math.cos(angles[0]), math.cos(angles[1]), math.cos(angles[2])
    sa, sb, sc = math.sin(angles[0]), math.sin(angles[1]), math.sin(angles[2])
    out[0, 0], out[0, 1], out[0, 2] = cb * cc, sa * sb * cc - ca * sc, ca * sb * cc + sa * sc
    out[1, 0], out[1, 1], out[1, 2] = cb * sc, sa * sb * sc + ca * cc, ca * sb * sc - sa * cc
    out[2, 0], out[2, 1], out[2, 2] = -sb, sa * cb, ca * cb


@njit(error_model="numpy")
def rotation_into(out, r):
    square = r[0] ** 2 + r[1] ** 2 + r[2] ** 2
    angle = math.sqrt(square)
    cosine, sine = math.cos(angle), math.sin(angle)
    for i in range(3):
        for j in range(3):
            out[i, j] = (1.0 - cosine) * r[i] * r[j] / square
        out[i, i] += cosine
    for i in range(3):
        j, k = (i + 1) % 3, (i + 2) % 3
        out[k, j] += sine * r[i] / angle
        out[j, k] -= sine * r[i] / angle


@njit(error_model="numpy")
def bone_motions(angles, parents, relatives, inverses):
    """What each bone does to a point of the hand at rest."""
    count = parents.size
    stands = np.zeros((count, 3, 4))
    motions = np.zeros((count, 3, 4))
    turns = np.zeros((count, 3, 4))
    turned = np.zeros((count, 3, 4))
    for b in range(count):
        turn_into(turns[b], angles[b])
        compose_into(turned[b], relatives[b], turns[b])
        if parents[b] >= 0:
            compose_into(stands[b], stands[parents[b]], turned[b])
        else:
            for i in range(3):
                for j in range(4):
                    stands[b, i, j] = turned[b, i, j]
        compose_into(motions[b], stands[b], inverses[b])
    return motions


@njit(error_model="numpy")
def distances(whole, angles, parents, relatives, inverses, vertices, weights, nearest, measured):
    motions = bone_motions(angles, parents, relatives, inverses)
    rotation = np.zeros((3, 3))
    rotation_into(rotation, whole[0])
    for i in range(3):
        for j in range(3):
            rotation[i, j] *= whole[2, j]
    skinned = np.zeros((vertices.shape[0], 3))
    for v in range(vertices.shape[0]):
        for b in range(parents.size):
            if weights[v, b] != 0.0:
                for i in range(3):
                    moved = motions[b, i, 3]
                    for j in range(3):
                        moved += motions[b, i, j] * vertices[v, j]
                    skinned[v, i] += weights[v, b] * moved
    placed = np.zeros((vertices.shape[0], 3))
    for v in range(vertices.shape[0]):
        for i in range(3):
            placed[v, i] = whole[1, i]
            for j in range(3):
                placed[v, i] += rotation[i, j] * skinned[v, j]
    total = 0.0
    for p in range(nearest.size):
        for i in range(3):
            total += (measured[p, i] - placed[nearest[p], i]) ** 2
    return total


def make(vertices: int, points: int) -> tuple[Any, ...]:
    rng = np.random.default_rng(points)
    parents = np.array([-1, 0] + [k for f in range(5) for k in (1, *range(4 * f + 2, 4 * f + 5))])
    count = parents.size
    relatives = np.zeros((count, 3, 4))
    inverses = np.zeros((count, 3, 4))
    stands = np.zeros((count, 4, 4))
    for b in range(count):
        turn_into(relatives[b], 0.2 * rng.standard_normal(3))
        relatives[b, :, 3] = 0.3 * rng.standard_normal(3)
        own = np.vstack([relatives[b], [0.0, 0.0, 0.0, 1.0]])
        stands[b] = own if parents[b] < 0 else stands[parents[b]] @ own
        inverses[b] = np.linalg.inv(stands[b])[:3]
    bones = np.sort(rng.integers(count, size=vertices))
    weights = np.zeros((vertices, count))
    for v, b in enumerate(bones):
        share = rng.uniform(0.5, 1.0)
        weights[v, b] += share
        weights[v, max(parents[b], 0)] += 1.0 - share
    rest = stands[bones, :3, 3] + 0.1 * rng.standard_normal((vertices, 3))
    nearest = rng.integers(vertices, size=points)
    measured = rest[nearest] + 0.1 * rng.standard_normal((points, 3))
    whole = np.stack([0.1 * rng.standard_normal(3), 0.1 * rng.standard_normal(3), np.ones(3)])
    angles = 0.1 * rng.standard_normal((count, 3))
    return whole, angles, parents, relatives, inverses, rest, weights, nearest, measured


def in_jax(jax: Any) -> Callable[..., Any]:
    np_ = jax.numpy

    def turn(angles):
        (ca, cb, cc), (sa, sb, sc) = np_.cos(angles), np_.sin(angles)
        return np_.array(
            [
                [cb * cc, sa * sb * cc - ca * sc, ca * sb * cc + sa * sc],
                [cb * sc, sa * sb * sc + ca * cc, ca * sb * sc - sa * cc],
                [-sb, sa * cb, ca * cb],
            ]
        )

    def compose(a, b):
        product = a[..., :3] @ b
        return product.at[..., 3].add(a[..., 3])

    def function(whole, angles, parents, relatives, inverses, vertices, weights, nearest, measured):
        turns = np_.pad(jax.vmap(turn)(angles), ((0, 0), (0, 0), (0, 1)))
        turned = compose(relatives, turns)

        def stand(stands, given):
            b, parent, own = given
            placed = np_.where(parent < 0, own, compose(stands[parent], own))
            return stands.at[b].set(placed), None

        bones = np_.arange(parents.size)
        stands, _ = jax.lax.scan(stand, np_.zeros_like(turned), (bones, parents, turned))
        motions = compose(stands, inverses)
        blended = np_.einsum("vb,bij->vij", weights, motions)
        skinned = np_.einsum("vij,vj->vi", blended[..., :3], vertices) + blended[..., 3]
        r = whole[0]
        square = (r**2).sum()
        angle = np_.sqrt(square)
        cross = np_.array([[0.0, -r[2], r[1]], [r[2], 0.0, -r[0]], [-r[1], r[0], 0.0]])
        rotation = np_.cos(angle) * np_.eye(3) + np_.sin(angle) * cross / angle
        rotation += (1.0 - np_.cos(angle)) * np_.outer(r, r) / square
        placed = skinned @ (rotation * whole[2]).T + whole[1]
        return ((measured - placed[nearest]) ** 2).sum()

    return function


def in_torch(torch: Any) -> Callable[..., Any]:
    def compose(a, b):
        product = a[..., :3] @ b
        return torch.cat([product[..., :3], product[..., 3:] + a[..., 3:]], -1)

    def function(whole, angles, parents, relatives, inverses, vertices, weights, nearest, measured):
        (ca, cb, cc), (sa, sb, sc) = torch.cos(angles).unbind(1), torch.sin(angles).unbind(1)
        rows = [
            torch.stack([cb * cc, sa * sb * cc - ca * sc, ca * sb * cc + sa * sc], -1),
            torch.stack([cb * sc, sa * sb * sc + ca * cc, ca * sb * sc - sa * cc], -1),
            torch.stack([-sb, sa * cb, ca * cb], -1),
        ]
        turns = torch.nn.functional.pad(torch.stack(rows, 1), (0, 1))
        turned = compose(relatives, turns).unbind()
        stands = []
        for parent, own in zip(parents.tolist(), turned, strict=True):
            stands.append(own if parent < 0 else compose(stands[parent], own))
        motions = compose(torch.stack(stands), inverses)
        blended = torch.einsum("vb,bij->vij", weights, motions)
        skinned = torch.einsum("vij,vj->vi", blended[..., :3], vertices) + blended[..., 3]
        r = whole[0]
        square = (r**2).sum()
        angle = torch.sqrt(square)
        zero = torch.zeros((), dtype=torch.float64)
        entries = [zero, -r[2], r[1], r[2], zero, -r[0], -r[1], r[0], zero]
        cross = torch.stack(entries).reshape(3, 3)
        rotation = (
            torch.cos(angle) * torch.eye(3, dtype=torch.float64) + torch.sin(angle) * cross / angle
        )
        rotation = rotation + (1.0 - torch.cos(angle)) * torch.outer(r, r) / square
        placed = skinned @ (rotation * whole[2]).T + whole[1]
        return ((measured - placed[nearest]) ** 2).sum()

    return function


HAND = Objective(
    name="hand",
    function=distances,
    argnums=(0, 1),
    make=make,
    sizes={
        "small": {"vertices": 544, "points": 100},
        "large": {"vertices": 10000, "points": 100000},
    },
    in_jax=in_jax,
    in_torch=in_torch,
)
