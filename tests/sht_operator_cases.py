"""The table of operators that tests run over, with examples of what they take and give."""

from typing import Any

import numpy as np
import pytest

import sht
from sht.operators import _divergence, _gradient, _scalars
from sht.operators._call import Operator
from sht.reference import random_coefficients

SIZES = [(0, 0), (1, 0), (1, 1), (2, 1), (5, 5), (9, 4), (31, 31), (31, 17), (127, 127)]
every = pytest.mark.parametrize(("lmax", "mmax"), SIZES, ids=lambda n: str(n))
small = pytest.mark.parametrize(("lmax", "mmax"), SIZES[:-3], ids=lambda n: str(n))

# name: leading axes and further degrees of what it takes and gives, the power of the radius in it
OPERATORS = {
    "laplacian": ((), 0, (), 0, -2),
    "inverse_laplacian": ((), 0, (), 0, 2),
    "longitude_derivative": ((), 0, (), 0, None),
    "coslat_latitude_derivative": ((), 0, (), 1, None),
    "times_sinlat": ((), 0, (), 1, None),
    "coslat_gradient": ((), 0, (2,), 1, -1),
    "coslat_wind": ((2,), 0, (2,), 1, 1),
    "divergence": ((2,), 1, (), 0, -1),
    "curl": ((2,), 1, (), 0, -1),
    "vorticity_divergence": ((2,), 1, (2,), 0, -1),
}
# Of one order each, as a device runs them.
ORDERS = {
    item.order.py_func.__name__.removesuffix("_order"): item.order
    for module in (_scalars, _gradient, _divergence)
    for item in vars(module).values()
    if isinstance(item, Operator)
}
each_operator = pytest.mark.parametrize("name", OPERATORS)
R = 2.5


def coefficients(seed, lmax, mmax, axes=()) -> Any:
    return random_coefficients(np.random.default_rng(seed), lmax, mmax, axes)


def scalar(seed, lmax, mmax) -> Any:
    """Without a mean."""
    a = coefficients(seed, lmax, mmax)
    a[0] = 0
    return a


def given_to(name, lmax, mmax, batch=(), seed=1) -> Any:
    axes, more, *_ = OPERATORS[name]
    return coefficients(seed, lmax + more, mmax, (*batch, *axes))


def wanted_of(name, lmax, mmax, batch=(), seed=2) -> Any:
    _, _, axes, more, _ = OPERATORS[name]
    return coefficients(seed, lmax + more, mmax, (*batch, *axes))


def radius_of(name, radius=R):
    return () if OPERATORS[name][4] is None else (radius,)


def raised(a, lmax, mmax) -> Any:
    """The same coefficients, packed for one more degree."""
    return sht.pack(np.pad(sht.unpack(a, lmax, mmax), ((0, 1), (0, 0))))
