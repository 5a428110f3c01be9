"""Functions that return arrays and tuples: products with their Jacobians, and Jacobians whole."""

from typing import Any, NamedTuple

import numba
import numpy as np
import pytest

from enzyme_rules import LinearRule, register, unregister
from llvm import (
    UnsupportedResultError,
    grad,
    hessian,
    hvp,
    jacfwd,
    jacrev,
    jvp,
    value_and_grad,
    vjp,
)

RNG = np.random.default_rng(5)
X = RNG.standard_normal(3)
M = RNG.standard_normal((2, 3))
EPS = np.finfo(float).eps


class Pair(NamedTuple):
    first: Any
    second: Any


@numba.njit
def mixed(x, m, a):
    """A nested result: array, number, integer, named tuple with a view of an argument and None."""
    return np.sin(x) * a, Pair((m * x).sum(), (m.T, x.size)), None


def mixed_jacobians(x, m, a):
    """By hand, for each varying part of the result: by x, m and a."""
    transposed = np.zeros((3, 2, 2, 3))
    for i in range(2):
        for j in range(3):
            transposed[j, i, i, j] = 1
    return (
        (np.diag(np.cos(x) * a), np.zeros((3, 2, 3)), np.sin(x)),
        (m.sum(axis=0), np.broadcast_to(x, m.shape), 0.0),
        (np.zeros((3, 2, 3)), transposed, np.zeros((3, 2))),
    )


def parts(value):
    """The varying parts of what `mixed` returns, or of something like it."""
    first, (second, (third, count)), none = value
    return (first, second, third), (count, none)


ARGUMENTS = (X, M, 1.5)


def test_jvp_and_vjp_of_a_nested_result():
    tangents = (RNG.standard_normal(3), RNG.standard_normal((2, 3)), 0.7)
    value, tangent = jvp(mixed, ARGUMENTS, tangents)
    want = mixed(*ARGUMENTS)
    assert type(value[1]) is type(tangent[1]) is Pair
    for got, expected in zip(parts(value)[0], parts(want)[0], strict=True):
        np.testing.assert_array_equal(got, expected)
    assert parts(value)[1] == (3, None)
    assert parts(tangent)[1] == (None, None)
    jacobians = mixed_jacobians(*ARGUMENTS)
    for got, rows in zip(parts(tangent)[0], jacobians, strict=True):
        expected = sum(np.tensordot(J, t, np.ndim(t)) for J, t in zip(rows, tangents, strict=True))
        np.testing.assert_allclose(got, expected, rtol=0, atol=16 * EPS)
    cotangent = (RNG.standard_normal(3), Pair(0.3, (RNG.standard_normal((3, 2)), None)), None)
    value, pullback = vjp(mixed, *ARGUMENTS)
    np.testing.assert_array_equal(value[0], want[0])
    seeds = parts(cotangent)[0]
    for k, got in enumerate(pullback(cotangent)):
        expected = sum(
            np.tensordot(seed, rows[k], np.ndim(seed))
            for seed, rows in zip(seeds, jacobians, strict=True)
        )
        np.testing.assert_allclose(got, expected, rtol=0, atol=16 * EPS)
    # None stands for zero, in a part or as a whole tuple.
    by_x, by_m, by_a = pullback((None, Pair(1.0, None), None))
    np.testing.assert_allclose(by_x, M.sum(axis=0), rtol=0, atol=8 * EPS)
    np.testing.assert_array_equal(by_m, np.broadcast_to(X, M.shape))
    assert by_a == 0.0


@pytest.mark.parametrize("transform", [jacfwd, jacrev])
def test_jacobians_of_a_nested_result(transform):
    found = transform(mixed, argnums=(0, 1, 2))(*ARGUMENTS)
    assert type(found[1]) is Pair
    assert parts(found)[1] == (None, None)
    for rows, wanted in zip(parts(found)[0], mixed_jacobians(*ARGUMENTS), strict=True):
        for got, want in zip(rows, wanted, strict=True):
            assert np.shape(got) == np.shape(want)
            np.testing.assert_allclose(got, want, rtol=0, atol=16 * EPS)
    assert isinstance(parts(found)[0][1][2], float)
    one = transform(mixed, argnums=2)(*ARGUMENTS)
    np.testing.assert_array_equal(one[0], parts(found)[0][0][2])


@numba.njit
def twenty(x, n):
    y = np.empty(n, x.dtype)
    for i in range(n):
        y[i] = np.exp(-x[i % x.size]) * x[(i + 1) % x.size]
    return y


@numba.njit
def complex_parts(x, c):
    z = x[:3] + 1j * x[3:]
    return z * np.conj(z[::-1]) * c, z[0] * z[1], x[0] * x[5]


def test_jacobian_of_complex_results():
    """By rows it was that of their real parts."""
    x, c = RNG.standard_normal(6), 0.3 - 0.8j
    z = x[:3] + 1j * x[3:]
    dz = np.concatenate((np.eye(3), 1j * np.eye(3)), axis=1)
    array = c * (dz * np.conj(z[::-1])[:, None] + z[:, None] * np.conj(dz[::-1]))
    number = dz[0] * z[1] + z[0] * dz[1]
    real = x[5] * np.eye(6)[0] + x[0] * np.eye(6)[5]
    for transform in (jacfwd, jacrev):
        found = transform(complex_parts)(x, c)
        for got, want in zip(found, (array, number, real), strict=True):
            assert got.dtype == want.dtype
            np.testing.assert_allclose(got, want, rtol=0, atol=16 * EPS)


@numba.njit
def written(y, x):
    x *= x
    y[1:] = x


def test_vector_mode_covers_more_than_one_group():
    """Eleven columns, seven rows beyond a multiple of the width; float32 keeps its type."""
    x = RNG.standard_normal(11)
    forward, reverse = jacfwd(twenty)(x, 15), jacrev(twenty)(x, 15)
    want = np.zeros((15, 11))
    for i in range(15):
        a, b = i % 11, (i + 1) % 11
        want[i, a] -= np.exp(-x[a]) * x[b]
        want[i, b] += np.exp(-x[a])
    np.testing.assert_allclose(forward, want, rtol=0, atol=8 * EPS)
    np.testing.assert_allclose(reverse, want, rtol=0, atol=8 * EPS)
    single = jacfwd(twenty)(x.astype(np.float32), 15)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, want, rtol=0, atol=16 * float(np.finfo(np.float32).eps))


@pytest.mark.parametrize("transform", [jacfwd, jacrev])
def test_jacobian_of_what_is_written(transform):
    y, x = np.zeros(4), X.copy()
    by_x = transform(written, argnums=1)(y, x)
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y, 0)
    assert len(by_x) == 2
    np.testing.assert_array_equal(by_x[0], np.vstack([np.zeros(3), np.diag(2 * X)]))
    np.testing.assert_array_equal(by_x[1], np.diag(2 * X))


@numba.njit
def reversed_into(y, x):
    y[:] = x[::-1]


@numba.njit
def reversed_adjoint(dy, dx):
    dx += dy[::-1]


@numba.njit
def through_rule(x):
    y = np.empty_like(x)
    reversed_into(y, x)
    return y * x


def test_jacobian_through_a_rule():
    """Enzyme has no vector mode for rules: one by one."""
    rule = LinearRule(reversed_into, adjoint=reversed_adjoint)
    register(rule)
    try:
        want = np.diag(X[::-1]) + np.diag(X)[:, ::-1]
        for transform in (jacfwd, jacrev):
            np.testing.assert_array_equal(transform(through_rule)(X), want)
    finally:
        unregister(rule)


@numba.njit
def potential(x, t, n):
    return (x**3).sum() * t[0] + (t[1] ** 2).sum() * x[0] + n


def test_hessian():
    t = (2.0, np.array([0.5, -1.0]))
    (xx, (xt0, xt1)), row = hessian(potential, argnums=(0, 1))(X, t, 3)
    np.testing.assert_allclose(xx, np.diag(12 * X), rtol=0, atol=32 * EPS)
    np.testing.assert_allclose(xt0, 3 * X**2, rtol=0, atol=32 * EPS)
    np.testing.assert_allclose(xt1, np.outer([1, 0, 0], 2 * t[1]), rtol=0, atol=32 * EPS)
    # Of the second argument, a tuple: each item by the first argument, and by the tuple.
    (first_by_x, (first_first, first_second)), (second_by_x, (second_first, second_second)) = row
    np.testing.assert_allclose(first_by_x, xt0, rtol=0, atol=32 * EPS)
    np.testing.assert_allclose(second_by_x, xt1.T, rtol=0, atol=32 * EPS)
    assert first_first == 0.0
    np.testing.assert_array_equal(first_second, np.zeros(2))
    np.testing.assert_array_equal(second_first, np.zeros(2))
    np.testing.assert_allclose(second_second, 2 * X[0] * np.eye(2), rtol=0, atol=32 * EPS)
    np.testing.assert_array_equal(hessian(potential)(X, t, 3), xx)
    v = RNG.standard_normal(3)
    _, product = hvp(potential, (X, t, 3), (v, None, None))
    np.testing.assert_allclose(xx @ v, product, rtol=0, atol=64 * EPS)


@numba.njit
def loss(x, a):
    return a * (x**2).sum(), (x + 1.0, x.size)


def test_has_aux():
    value, gradient, aux = 2.0 * (X**2).sum(), 4.0 * X, (X + 1.0, 3)

    def same(got, want):
        np.testing.assert_array_equal(got[0], want[0])
        assert got[1] == want[1]

    (found, other), slope = value_and_grad(loss, has_aux=True)(X, 2.0)
    np.testing.assert_allclose([found, *slope], [value, *gradient], rtol=8 * EPS)
    same(other, aux)
    slope, other = grad(loss, argnums=0, has_aux=True)(X, a=2.0)
    np.testing.assert_allclose(slope, gradient, rtol=8 * EPS)
    same(other, aux)
    found, tangent, other = jvp(loss, (X, 2.0), (None, 1.0), has_aux=True)
    np.testing.assert_allclose([found, tangent], [value, value / 2], rtol=8 * EPS)
    same(other, aux)
    found, pullback, other = vjp(loss, X, 2.0, has_aux=True)
    np.testing.assert_allclose(pullback(2.0)[0], 2 * gradient, rtol=8 * EPS)
    same(other, aux)
    matrix, other = jacrev(loss, has_aux=True)(X, 2.0)
    np.testing.assert_allclose(matrix, gradient, rtol=8 * EPS)
    same(other, aux)


@numba.njit
def maybe(x):
    if x < 0.0:
        return None
    return x * x


@numba.njit
def square(z):
    return z * z


@numba.njit
def count(x):
    return x.size


@numba.njit
def total(x):
    return x.sum()


def test_optional_result():
    assert grad(maybe)(3.0) == 6.0
    with pytest.raises(ValueError, match=r"`maybe` returned None .* Give it a number"):
        grad(maybe)(-3.0)


def test_complex_result():
    """Cotangent w of z²: conj(2z) w, in the convention ∂L/∂Re + i ∂L/∂Im."""
    z, w = 1.0 + 2.0j, 0.5 - 1.0j
    assert jvp(square, (z,), (w,)) == (z * z, 2 * z * w)
    assert vjp(square, z)[1](w) == (np.conj(2 * z) * w,)
    with pytest.raises(TypeError, match=r"`jacfwd\(f\)` differentiates by real arguments. Got `z`"):
        jacfwd(square)(z)


def test_results_without_derivative_are_refused():
    with pytest.raises(UnsupportedResultError, match="Got a `Tuple.*`jacfwd`, and for a number wi"):
        grad(loss)(X, 2.0)
    with pytest.raises(TypeError, match=r"`jvp\(f, primals, tangents\)` needs a function that ret"):
        jvp(count, (X,), (X,))
    with pytest.raises(TypeError, match="with `has_aux=True` needs a function that returns two"):
        jvp(total, (X,), (X,), has_aux=True)
    with pytest.raises(ValueError, match="takes one cotangent for each of its 1 results. Got 2"):
        vjp(loss, X, 2.0)[1](1.0, 2.0)
    with pytest.raises(ValueError, match="the cotangent to be a tuple of 2, like what"):
        vjp(loss, X, 2.0)[1](1.0)
    with pytest.raises(TypeError, match="`hessian.f.` needs a function that returns a real number"):
        hessian(written)(np.zeros(4), X)
