"""The ways to a wrong gradient without a word: each was seen, each is a test.

1. A scratch array marked constant.            2. Constant and varying pointers mixed by a branch.
3. The same memory passed twice.               4. A rule that adds to what does not vary.
5. Forward mode alone: Enzyme does not start.  6. Arguments that a visible body does not use.
7. Shadows of what a loop allocates, not cleared. 8. Kept values that are moved as a loop goes on.
"""

import numba
import numpy as np
import pytest

import enzyme_rules
from llvm import (
    AutodiffError,
    Const,
    Duplicated,
    Forward,
    Reverse,
    autodiff,
    grad,
    hvp,
    jacfwd,
    jacrev,
    jvp,
    value_and_grad,
    vjp,
)

X = np.array([0.3, -1.2, 0.7, 2.1])
C = np.array([1.0, 2.0, 3.0, 4.0])


def unchanged(array, before):
    assert array.tobytes() == before.tobytes()


# 1. Derivatives pass through scratch: Enzyme, told that it is constant, drops them.


@numba.njit
def through_scratch(x, scratch):
    for i in range(x.size):
        scratch[i] = x[i] * x[i]
    total = 0.0
    for i in range(x.size):
        total += scratch[i] * x[i]
    return total


def test_scratch_outside_argnums():
    np.testing.assert_allclose(grad(through_scratch)(X, np.zeros(4)), 3 * X**2, rtol=1e-15)


def test_scratch_marked_const():
    dx = np.zeros(4)
    assert autodiff(Reverse, through_scratch, Duplicated(X, dx), Const(np.full(4, 7.0))) == ()
    np.testing.assert_allclose(dx, 3 * X**2, rtol=1e-15)


def test_scratch_marked_const_forward():
    tangent = autodiff(Forward, through_scratch, Duplicated(X, C), Const(np.zeros(4)))
    np.testing.assert_allclose(tangent, 3 * X**2 @ C, rtol=1e-15)


# 2. Where a pointer may lead to an array that varies or to one that does not, Enzyme's static
#    analysis takes one side: the constant array was overwritten, or the derivative lost.


@numba.njit
def read_either(x, c, flag):
    t = x if flag else c
    total = 0.0
    for i in range(x.size):
        total += t[i] * t[i] * x[i]
    return total


def read_either_exact(flag):
    return 3 * X**2 if flag else C**2


@numba.njit
def write_either(x, c, flag):
    t = x.copy() if flag else c
    for i in range(x.size):
        t[i] = 2.0 * x[i]
    total = 0.0
    for i in range(x.size):
        total += t[i] * t[i]
    return total


def write_either_exact(flag):
    return 8 * X


@numba.njit
def alternating(x, c, flag):
    a, b = x, c
    total = 0.0
    for i in range(x.size):
        total += a[i] * a[i]
        a, b = b, a
    return total if flag else -total


def alternating_exact(flag):
    return (2 * X * [1, 0, 1, 0]) * (1 if flag else -1)


@numba.njit
def from_tuple(x, c, flag):
    pair = (x, c)
    t = pair[0 if flag else 1]
    return (t * t).sum() + x[0]


def from_tuple_exact(flag):
    return 2 * X * flag + [1, 0, 0, 0]


@numba.njit
def views(x, c, flag):
    t = x[1:] if flag else c[:3]
    total = 0.0
    for i in range(3):
        total += t[i] ** 3 + x[i]
    return total


def views_exact(flag):
    return 3 * X**2 * [0, 1, 1, 1] * flag + np.array([1, 1, 1, 0])


@numba.njit
def choose(x, c, flag):
    if flag:
        return x
    return c


@numba.njit
def from_callee(x, c, flag):
    t = choose(x, c, flag)
    return (t * t * x).sum()


@numba.njit
def either_temporary(x, c, flag):
    t = x if flag else np.ones(x.size)
    u = c if flag else t
    total = 0.0
    for i in range(x.size):
        total += t[i] * x[i] * u[i]
    return total + t[0] * t[1]


def either_temporary_exact(flag):
    if flag:
        return 2 * X * C + [X[1], X[0], 0, 0]
    return np.ones(4)


TABLE = np.array([5.0, 6.0, 7.0, 8.0])


@numba.njit
def either_global(x, c, flag):
    t = x if flag else TABLE
    total = 0.0
    for i in range(x.size):
        total += t[i] * t[i] * x[i]
    return total


def either_global_exact(flag):
    return 3 * X**2 if flag else TABLE**2


@numba.njit
def global_alone(x, flag):
    t = x if flag else TABLE
    total = 0.0
    for i in range(x.size):
        total += t[i] * t[i] * x[i]
    return total


@numba.njit
def temporary_alone(x, flag):
    t = np.full(x.size, 3.0)
    u = x if flag else t
    total = 0.0
    for i in range(x.size):
        total += u[i] * u[i] * x[i]
    for i in range(x.size):
        total += t[i] * x[i]
    return total


MIXING = {
    read_either: read_either_exact,
    write_either: write_either_exact,
    alternating: alternating_exact,
    from_tuple: from_tuple_exact,
    views: views_exact,
    from_callee: read_either_exact,
    either_temporary: either_temporary_exact,
    either_global: either_global_exact,
}


@pytest.mark.parametrize("function", MIXING, ids=lambda f: f.py_func.__name__)
@pytest.mark.parametrize("flag", [True, False])
def test_mixed_pointers(function, flag):
    x, c = X.copy(), C.copy()
    want = MIXING[function](flag)
    value, gradient = value_and_grad(function)(x, c, flag)
    np.testing.assert_allclose(gradient, want, rtol=1e-14)
    unchanged(x, X)
    if function is not write_either:
        unchanged(c, C)
    assert value == function(x, C.copy(), flag)
    unchanged(TABLE, np.array([5.0, 6.0, 7.0, 8.0]))
    _, tangent = jvp(function, (X, C.copy(), flag), (C, None, None))
    np.testing.assert_allclose(tangent, want @ C, rtol=1e-14)


@pytest.mark.parametrize("flag", [True, False])
def test_mixed_with_memory_that_is_no_argument(flag):
    np.testing.assert_allclose(grad(global_alone)(X, flag), either_global_exact(flag), rtol=1e-14)
    want = 3 * X**2 + 3 if flag else np.full(4, 12.0)
    np.testing.assert_allclose(grad(temporary_alone)(X, flag), want, rtol=1e-14)


# 3. Compiled code is told that no two arrays overlap: the same one twice lost half the gradient.


@numba.njit
def product(x, y):
    total = 0.0
    for i in range(x.size):
        total += x[i] * x[i] * y[i]
    return total


@numba.njit
def square_into(y, x):
    for i in range(x.size):
        y[i] = x[i] * x[i]


def test_same_array_twice():
    dx, dy = grad(product, argnums=(0, 1))(X, X)
    np.testing.assert_allclose(dx, 2 * X**2, rtol=1e-15)
    np.testing.assert_allclose(dy, X**2, rtol=1e-15)
    np.testing.assert_allclose(grad(product)(X, X[::-1]), 2 * X * X[::-1], rtol=1e-15)


def test_same_array_read_and_written():
    y = X.copy()
    for output, input_ in ((y, y), (y[:3], y[1:]), (y[::-1], y)):
        shadows = np.zeros(4), np.ones(4)
        dy, dx = (s[: y.size] for s, y in zip(shadows, (output, input_), strict=True))
        if output.strides != input_.strides:
            dy = dy[::-1]
        with pytest.raises(ValueError, match=r"`square_into` needs arrays.*overlap.*Got.*x\.copy"):
            autodiff(Forward, square_into, Duplicated(output, dy), Duplicated(input_, dx))
    unchanged(y, X)


@numba.njit
def product_in_place(x, y):
    y[:] = x * y
    x[0] = y[1]
    return (x * y).sum()


@numba.njit
def product_in_place_and_more(x, y):
    return product_in_place(x, y), y.copy()


DERIVATIVES = {
    "grad": lambda x, y: grad(product_in_place)(x, y),
    "by both": lambda x, y: grad(product_in_place, argnums=(0, 1))(x, y),
    "has_aux": lambda x, y: grad(product_in_place_and_more, has_aux=True)(x, y),
    "vjp": lambda x, y: vjp(product_in_place, x, y),
    "vjp of arrays": lambda x, y: vjp(product_in_place_and_more, x, y),
    "jvp": lambda x, y: jvp(product_in_place, (x, y), (np.ones(3), None)),
    "hvp": lambda x, y: hvp(product_in_place, (x, y), (np.ones(3), None)),
    "jacfwd": lambda x, y: jacfwd(product_in_place_and_more)(x, y),
    "jacrev": lambda x, y: jacrev(product_in_place_and_more)(x, y),
}


@pytest.mark.parametrize("derivative", DERIVATIVES.values(), ids=DERIVATIVES)
def test_copies_do_not_hide_what_is_shared(derivative):
    """What is differentiated by and written is copied: the copies share nothing, silently."""
    both = np.concatenate((X, X))
    for x, y in ((both[:3], both[1:4]), (both[:3], both[:3]), (both[3:6], both[4:1:-1])):
        with pytest.raises(ValueError, match="do not overlap where one of them is written"):
            derivative(x, y)
    derivative(both[:3], both[3:6])
    derivative(both[:6:2], both[1:7:2])


def test_interleaved_is_not_overlapping():
    both = np.zeros(8)
    both[1::2] = X
    dx = np.zeros(8)
    seed = np.ones(8)
    autodiff(
        Reverse, square_into, Duplicated(both[::2], seed[::2]), Duplicated(both[1::2], dx[::2])
    )
    np.testing.assert_allclose(dx[::2], 2 * X, rtol=1e-15)
    np.testing.assert_array_equal(both[::2], X**2)


def test_same_shadow_twice():
    shadow = np.zeros(4)
    with pytest.raises(ValueError, match="overlap"):
        autodiff(Reverse, product, Duplicated(X, shadow), Duplicated(C, shadow))
    with pytest.raises(ValueError, match="overlap"):
        autodiff(Reverse, product, Duplicated(X, X), Const(C))
    x = X.copy()
    with pytest.raises(ValueError, match="overlap"):
        autodiff(Reverse, product, Duplicated(X, x), Const(x))
    unchanged(x, X)


def test_items_that_share_memory():
    """A broadcast array is copied by `grad`; in place it is refused, where it would count twice."""
    one = np.array([2.0])
    np.testing.assert_array_equal(grad(product)(np.broadcast_to(one, 4), C), 4 * C)
    pair = (np.broadcast_to(one, 4), C)
    (dx, dc) = grad(of_pair)(pair)
    np.testing.assert_array_equal(dx, 4 * C)
    np.testing.assert_array_equal(dc, np.full(4, 4.0))
    shared = np.lib.stride_tricks.as_strided(np.zeros(1), (4,), (0,))
    x = np.lib.stride_tricks.as_strided(one, (4,), (0,))
    with pytest.raises(ValueError, match="share memory"):
        autodiff(Reverse, product, Duplicated(x, shared), Const(C))


@numba.njit
def of_pair(pair):
    return (pair[0] * pair[0] * pair[1]).sum()


def test_items_that_share_memory_are_not_written():
    """They are copied, so that the function would see its own writes in one item only."""

    @numba.njit
    def write(x):
        x[0, 1] = 3.0
        return x.sum()

    shared = np.lib.stride_tricks.as_strided(X.copy(), (2, 3), (8, 8))
    with pytest.raises(AutodiffError, match="readonly"):
        grad(write)(shared)


# 4. The shadow that a rule gets for an array that does not vary is that array.


@numba.njit
def twice_into(y, x):
    for i in range(x.size):
        y[i] = 2.0 * x[i]


@numba.njit
def twice_adjoint(y, x):
    for i in range(x.size):
        x[i] += 2.0 * y[i]


enzyme_rules.register(enzyme_rules.LinearRule(twice_into, adjoint=twice_adjoint))


@numba.njit
def with_rule(x, c, y, z):
    twice_into(y, x)
    twice_into(z, c)
    total = 0.0
    for i in range(x.size):
        total += y[i] * z[i] * x[i]
    return total


def test_rule_with_an_input_that_does_not_vary():
    x, c = X.copy(), C.copy()
    got = grad(with_rule)(x, c, np.zeros(4), np.zeros(4))
    np.testing.assert_allclose(got, 8 * C * X, rtol=1e-15)
    got = grad(with_rule, argnums=1)(x, c, np.zeros(4), np.zeros(4))
    np.testing.assert_allclose(got, 4 * X * X, rtol=1e-15)
    unchanged(x, X)
    unchanged(c, C)


# 5. The driver starts Enzyme only where a name begins with `__enzyme_autodiff`.


@numba.njit
def cubed(x):
    return x * x * x


def test_forward_mode_alone():
    assert jvp(cubed, (2.0,), (1.0,)) == (8.0, 12.0)


# 6. LLVM replaces an argument that a visible body does not use by `poison`. The adjoint below uses
#    `factors`, the function itself only their first item... and `n` not at all.


@numba.njit
def sum_into(y, x, n, factors):
    for i in range(x.size):
        y[i] = 3.0 * x[i]


@numba.njit
def sum_adjoint(y, x, n, factors):
    for i in range(n):
        x[i] += factors[i] * y[i]


enzyme_rules.register(enzyme_rules.LinearRule(sum_into, adjoint=sum_adjoint))


@numba.njit
def overwrites(x, n, factors, y):
    total = 0.0
    for k in range(2):
        sum_into(y, x, n, factors)
        for i in range(x.size):
            total += y[i] * y[i] * (k + 1)
    return total


def test_arguments_that_only_the_rule_uses():
    factors = np.full(4, 3.0)
    got = grad(overwrites)(X, 4, factors, np.zeros(4))
    np.testing.assert_allclose(got, 54 * X, rtol=1e-14)
    # The rule is what decides: with other factors it gives another "gradient".
    got = grad(overwrites)(X, 3, C, np.zeros(4))
    np.testing.assert_allclose(got, 18 * X * C * [1, 1, 1, 0], rtol=1e-14)


def test_pullback_runs_twice():
    """Nothing of the first run is left in the second."""
    _, pullback = vjp(through_scratch, X, np.zeros(4), argnums=0)
    first, second = pullback(1.0), pullback(2.0)
    np.testing.assert_array_equal(2 * first[0], second[0])


# 7. Enzyme's rematerialisation does not clear the shadow of what is allocated in a loop, if only a
#    rule, or a copy on some branch, uses it. The gradient is made of what the heap held before.


@numba.njit
def allocates_for_a_rule(x, n):
    total = 0.0
    for _ in range(n):
        y = np.empty(x.size)
        squared_into(y, x)
        total += y[0]
    return total


@numba.njit
def adds_views(x, n):
    y = x * 0.5
    for _ in range(n):
        y[::-1][1:3] += x[:2]
    total = 0.0
    for i in range(x.size):
        if x[i] > 10.0:
            continue
        total += x[i] * y[-1 - i]
    return np.tanh(total) + y.sum()


@numba.njit
def squared_into(y, x):
    y[:] = x**2


@numba.njit
def squared_augmented(y, dy, x, dx):
    y[:] = x**2
    return x.copy()


@numba.njit
def squared_reverse(y, dy, x, dx, kept):
    if dy is y:
        return
    if dx is not x:
        for i in range(x.size):
            dx[i] += 2 * kept[i] * dy[i]
    dy[:] = 0


@numba.njit
def squared_forward(y, dy, x, dx):
    if dy is not y:
        for i in range(x.size):
            dy[i] = 2 * x[i] * dx[i] if dx is not x else 0.0
    y[:] = x**2


enzyme_rules.register(
    enzyme_rules.CustomRule(
        squared_into,
        augmented_primal=squared_augmented,
        reverse=squared_reverse,
        forward=squared_forward,
    )
)


@pytest.mark.parametrize("function", [allocates_for_a_rule, adds_views])
def test_memory_is_not_taken_for_a_shadow(function):
    for k in range(10):
        # What the heap is likely to give out next.
        dirt = [np.full(size, 1.0 + k) for size in (2, 3, 4, 5, 8, 12, 16, 24) for _ in range(4)]
        del dirt
        _, tangent = jvp(function, (X, 3), (C, None))
        got = grad(function)(X, 3)
        np.testing.assert_allclose(got @ C, tangent, rtol=1e-13)


# 8. A division may raise, so that nobody knows how many values the inner loop will keep, and they
# are moved as they become more. LLVM was told that their address does not change.


@numba.njit
def with_a_way_out(x):
    p = x.reshape(5, 5).copy()
    q = p.copy()
    for _ in range(2):
        for i in range(5):
            for j in range(5):
                a = p[i, j] - p[i - 1, j]
                s = p[i, j] / np.sqrt(p[i, j] ** 2 + 0.1)
                g = np.sqrt(a * a + 0.01) if s > 0 else 1.0
                q[i, j] = p[i, j] - 0.1 * s * (g - 1)
        p, q = q, p
    return (p**2).sum()


def test_kept_values_that_are_moved():
    rng = np.random.default_rng(101)
    x, v = rng.standard_normal((2, 25))
    _, expected = jvp(with_a_way_out, (x,), (v,))
    for _ in range(4):  # what was freed holds something else each time
        np.testing.assert_allclose(grad(with_a_way_out)(x) @ v, expected, rtol=1e-13)
