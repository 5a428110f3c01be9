"""Constant arguments that are instances of jitclasses and StructRefs."""

import numba
import numpy as np
import pytest
from numba import types
from numba.experimental import structref
from numba.experimental.jitclass.decorators import jitclass
from numba.extending import overload_method

from llvm import compiled, grad, hessian, hvp, jacrev, jvp, vjp

X = np.array([0.5, -1.0, 2.0])
WEIGHTS = np.array([3.0, 1.0, -2.0])


@jitclass([("scale", types.float64), ("weights", types.float64[::1]), ("count", types.int64)])
class Model:
    def __init__(self, scale, weights):
        self.scale = scale
        self.weights = weights
        self.count = 3

    def apply(self, x):
        return (self.weights * x * x).sum() * self.scale + self.count


@structref.register
class RecordType(types.StructRef):
    def preprocess_fields(self, fields):
        return tuple((name, types.unliteral(ty)) for name, ty in fields)


class Record(structref.StructRefProxy):
    def __new__(cls, scale, weights):
        return structref.StructRefProxy.__new__(cls, scale, weights)


structref.define_proxy(Record, RecordType, ["scale", "weights"])


@overload_method(RecordType, "apply")
def _apply(self, x):
    return lambda self, x: (self.weights * x * x).sum() * self.scale + 3


@numba.njit
def by_fields(x, model):
    return (model.weights * x * x).sum() * model.scale


@numba.njit
def by_method(x, model):
    return model.apply(x)


@numba.njit
def in_a_tuple(pair):
    x, model = pair
    return model.apply(x)


@numba.njit
def scratch(x, model):
    """Writes into the instance what depends on x."""
    for i in range(x.size):
        model.weights[i] = x[i] ** 2
    return model.weights.sum() * model.scale


KINDS = {"jitclass": Model, "structref": Record}


@pytest.mark.parametrize("kind", KINDS)
def test_all_transforms(kind):
    weights = WEIGHTS.copy()
    model = KINDS[kind](0.5, weights)
    want = WEIGHTS * X
    for function in (by_fields, by_method):
        np.testing.assert_array_equal(grad(function)(X, model), want)
    assert jvp(by_method, (X, model), (np.ones(3), None))[1] == want.sum()
    np.testing.assert_array_equal(vjp(by_method, X, model)[1](2.0)[0], 2 * want)
    _, product = hvp(by_method, (X, model), (np.ones(3), None))
    np.testing.assert_array_equal(product, WEIGHTS)
    np.testing.assert_array_equal(hessian(by_fields)(X, model), np.diag(WEIGHTS))
    np.testing.assert_array_equal(jacrev(by_fields)(X, model), want)
    gradient, none = grad(in_a_tuple)((X, model))
    np.testing.assert_array_equal(gradient, want)
    assert none is None
    assert compiled(by_fields)(X, model) == by_fields(X, model)
    np.testing.assert_array_equal(weights, WEIGHTS)


@pytest.mark.parametrize("kind", KINDS)
def test_derivatives_pass_through_what_is_written(kind):
    weights = np.zeros(3)
    np.testing.assert_array_equal(grad(scratch)(X, KINDS[kind](0.5, weights)), X)
    np.testing.assert_array_equal(weights, X**2)


def test_inside_njit():
    gradient = grad(by_fields)

    @numba.njit
    def twice(x, model, record):
        return gradient(x, model) + gradient(x, record)

    got = twice(X, Model(0.5, WEIGHTS.copy()), Record(1.0, WEIGHTS.copy()))
    np.testing.assert_array_equal(got, 3 * WEIGHTS * X)


def test_an_instance_does_not_vary():
    with pytest.raises(TypeError, match="An instance is a constant: pass what is to vary as an ar"):
        grad(by_fields, argnums=1)(X, Model(0.5, WEIGHTS.copy()))


def test_report_names_the_fields():
    gradient = grad(by_fields)
    gradient(X, Model(0.5, WEIGHTS.copy()))
    found = {item.name: str(item) for item in gradient.report().activity}
    constant = dict.fromkeys(("model.scale", "model.weights", "model.count"), "constant")
    assert found == {"x": "varies", **constant}
