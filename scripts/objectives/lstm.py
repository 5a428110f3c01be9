r"""Loss of a recurrent network of LSTM cells whose gates have elementwise weights.

With σ(x) = 1/(1 + exp(-x)), each layer takes x, and its own c and h from the step before, to

.. math:: c' = σ(w_1 x + b_1) c + σ(w_2 h + b_2) \tanh(w_4 h + b_4),\quad
          h' = σ(w_3 x + b_3) \tanh c'

and h' is the x of the next layer. What goes in is a symbol times a vector, what comes out a times
the last h' plus b, compared with the symbol that follows: cross entropy, with 2 added to the sum of
exponentials.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from ._objective import Objective


@njit(error_model="numpy")
def sigmoid(x):
    return 1.0 / (1.0 + math.exp(-x))


@njit(error_model="numpy")
def cell_step(weight, bias, hidden, cell, x):
    """Moves the state of a layer on; `x` goes in and comes out."""
    for i in range(x.size):
        forget = sigmoid(x[i] * weight[0, i] + bias[0, i])
        take = sigmoid(hidden[i] * weight[1, i] + bias[1, i])
        give = sigmoid(x[i] * weight[2, i] + bias[2, i])
        change = math.tanh(hidden[i] * weight[3, i] + bias[3, i])
        cell[i] = cell[i] * forget + take * change
        hidden[i] = give * math.tanh(cell[i])
        x[i] = hidden[i]


@njit(error_model="numpy")
def cross_entropy(weights, biases, ends, state, sequence):
    layers, _, width = weights.shape
    hidden = state[0].copy()
    cell = state[1].copy()
    x = np.empty(width)
    total = 0.0
    for t in range(sequence.shape[0] - 1):
        for i in range(width):
            x[i] = sequence[t, i] * ends[0, i]
        for layer in range(layers):
            cell_step(weights[layer], biases[layer], hidden[layer], cell[layer], x)
        exponentials = 2.0
        for i in range(width):
            exponentials += math.exp(x[i] * ends[1, i] + ends[2, i])
        normaliser = math.log(exponentials)
        for i in range(width):
            output = x[i] * ends[1, i] + ends[2, i]
            total -= sequence[t + 1, i] * (output - normaliser)
    return total / ((sequence.shape[0] - 1) * width)


def make(layers: int, width: int, length: int) -> tuple[Any, ...]:
    rng = np.random.default_rng(length)
    symbols = rng.integers(width, size=length)
    return (
        rng.standard_normal((layers, 4, width)),
        rng.standard_normal((layers, 4, width)),
        rng.standard_normal((3, width)),
        rng.standard_normal((2, layers, width)),
        np.eye(width)[symbols],
    )


def in_jax(jax: Any) -> Callable[..., Any]:
    np_ = jax.numpy

    def layer(x, given):
        weight, bias, hidden, cell = given
        forget, give = (jax.nn.sigmoid(x * weight[k] + bias[k]) for k in (0, 2))
        take = jax.nn.sigmoid(hidden * weight[1] + bias[1])
        change = np_.tanh(hidden * weight[3] + bias[3])
        cell = cell * forget + take * change
        hidden = give * np_.tanh(cell)
        return hidden, (hidden, cell)

    def function(weights, biases, ends, state, sequence):
        def step(state, pair):
            symbol, following = pair
            x, state = symbol * ends[0], list(state)
            for k in range(weights.shape[0]):
                x, state[k] = layer(x, (weights[k], biases[k], *state[k]))
            output = x * ends[1] + ends[2]
            normaliser = np_.log(2.0 + np_.exp(output).sum())
            return tuple(state), (following * (output - normaliser)).sum()

        start = tuple((state[0, k], state[1, k]) for k in range(weights.shape[0]))
        _, terms = jax.lax.scan(step, start, (sequence[:-1], sequence[1:]))
        return -terms.sum() / sequence[1:].size

    return function


def in_torch(torch: Any) -> Callable[..., Any]:
    def function(weights, biases, ends, state, sequence):
        layers = range(weights.shape[0])
        hidden, cell = list(state[0]), list(state[1])
        weights, biases = [w.unbind() for w in weights], [b.unbind() for b in biases]
        outputs = []
        for x in sequence[:-1] * ends[0]:
            for k in layers:
                weight, bias = weights[k], biases[k]
                forget = torch.sigmoid(x * weight[0] + bias[0])
                take = torch.sigmoid(hidden[k] * weight[1] + bias[1])
                give = torch.sigmoid(x * weight[2] + bias[2])
                change = torch.tanh(hidden[k] * weight[3] + bias[3])
                cell[k] = cell[k] * forget + take * change
                x = hidden[k] = give * torch.tanh(cell[k])
            outputs.append(x)
        output = torch.stack(outputs) * ends[1] + ends[2]
        normalisers = torch.log(2.0 + torch.exp(output).sum(1, keepdim=True))
        return -(sequence[1:] * (output - normalisers)).sum() / sequence[1:].numel()

    return function


LSTM = Objective(
    name="lstm",
    function=cross_entropy,
    argnums=(0, 1, 2, 3),
    make=make,
    sizes={
        "small": {"layers": 2, "width": 14, "length": 32},
        "large": {"layers": 2, "width": 14, "length": 1024},
    },
    in_jax=in_jax,
    in_torch=in_torch,
    unrolled=True,
)
