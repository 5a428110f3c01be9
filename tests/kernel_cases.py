"""Kernels that the tests run: on the CPU, on the stand-in for a GPU, through ptxas."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numba
import numpy as np

from llvm import Active, Const, Duplicated, Forward


class Model(NamedTuple):
    weights: np.ndarray
    rate: float


@dataclass(frozen=True)
class Case:
    """A body, its arguments, and which of them vary.

    Attributes
    ----------
    apart : bool
        Whether no two threads read the same varying item.
    eps : float
        Of the precision that it computes in.
    """

    body: Any
    arguments: tuple[Any, ...]
    varying: tuple[bool, ...]
    apart: bool = False
    eps: float = 2.2e-16

    @property
    def name(self):
        return self.body.py_func.__name__

    def in_mode(self, mode):
        """The case, with what can vary in a mode: `Active` numbers have no tangent."""
        if mode is Forward and any(isinstance(value, float) for value in self.arguments):
            return Case(self.body, self.arguments, (True, False, False), eps=self.eps)
        return self

    def activities(self, wrap, shadow):
        """Each argument wrapped; `wrap` makes an array what it must be, `shadow` its shadow."""
        found = []
        for value, varies in zip(self.arguments, self.varying, strict=True):
            if not varies:
                found.append(Const(mapped(wrap, value)))
            elif isinstance(value, float):
                found.append(Active(value))
            else:
                found.append(Duplicated(mapped(wrap, value), mapped(shadow, value)))
        return found


def mapped(change, value):
    if isinstance(value, np.ndarray):
        return change(value)
    if isinstance(value, tuple):
        items = [mapped(change, item) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    return value


@numba.njit
def waves(i, y, x, w):
    y[i] = math.sin(x[i] * w[0]) * math.exp(-x[i])


@numba.njit
def iterate(i, y, x, steps):
    s = x[i]
    for _ in range(steps):
        s = math.sin(s) + x[i]
    y[i] = s


@numba.njit
def until(i, y, x):
    s = x[i]
    while s < 10.0:
        s = s * s + 1.0
    y[i] = s


@numba.njit
def matvec(i, y, matrix, x):
    s = 0.0
    for k in range(matrix.shape[1]):
        s += matrix[i, k] * x[k]
    y[i] = math.tanh(s)


@numba.njit
def misfit(i, field, data, sigma):
    return ((field[i] - data[i]) / sigma) ** 4


@numba.njit
def complex_square(i, y, x):
    y[i] = x[i] * x[i].conjugate() * np.exp(x[i])


@numba.njit
def single(i, y, x):
    y[i] = x[i] ** np.float32(1.5) * math.log(x[i])


@numba.njit
def temporary(i, y, x, n):
    powers = np.empty(n)
    powers[0] = 1.0
    for k in range(1, n):
        powers[k] = powers[k - 1] * x[i]
    y[i] = powers.sum()


@numba.njit
def tuples(i, y, model, x):
    y[i] = model.rate * model.weights[i % 2] * x[i, 1] ** 2


@numba.njit
def in_place(i, x):
    x[i] = x[i] * x[i] + math.cos(x[i])


@numba.njit
def overwrites(i, x):
    x[i] = x[i] * x[i]
    return x[i] * x[i]


_random = np.random.default_rng(3)
N = 150  # more than a block

CASES = [
    Case(waves, (np.zeros(N), _random.random(N), np.array([1.3])), (True, True, True)),
    Case(iterate, (np.zeros(N), _random.random(N), 7), (True, True, False), apart=True),
    Case(until, (np.zeros(N), _random.random(N)), (True, True), apart=True, eps=1e-11),
    Case(
        matvec,
        (np.zeros(N), _random.standard_normal((N, 5)), _random.standard_normal(5)),
        (True, True, True),
    ),
    Case(misfit, (_random.random(N), _random.random(N), 0.7), (True, False, True)),
    Case(
        complex_square,
        (np.zeros(N, complex), _random.random(N) + 1j * _random.random(N)),
        (True, True),
        apart=True,
    ),
    Case(
        single,
        (np.zeros(N, "f4"), 1 + _random.random(N).astype("f4")),
        (True, True),
        apart=True,
        eps=1.2e-7,
    ),
    Case(temporary, (np.zeros(N), _random.random(N), 6), (True, True, False), apart=True),
    Case(
        tuples,
        (np.zeros(N), Model(np.array([1.0, 2.0]), 3.0), _random.random((2 * N, 3))[::2]),
        (True, False, True),
        apart=True,
    ),
    Case(in_place, (_random.random(N),), (True,), apart=True),
]
