"""The registry, and what each kind of rule asks of its functions."""

import resource
import sys

import numba
import numpy as np
import pytest

from enzyme_rules import (
    AllocationRule,
    CustomRule,
    Inactive,
    LinearRule,
    find_rule,
    generation,
    register,
    symbol_rules,
    unregister,
)
from enzyme_rules.testing import test_rule
from llvm import (
    AutodiffError,
    Duplicated,
    Forward,
    NoDerivativeError,
    autodiff,
    grad,
)

X = np.array([0.5, -1.25, 2.0])


def scaling(factor):
    """A function ``y = factor x``, and its adjoint."""

    @numba.njit
    def scale_into(y, x):
        for i in range(len(x)):
            y[i] = factor * x[i]

    @numba.njit
    def scale_back(dy, dx):
        for i in range(len(dx)):
            dx[i] += factor * dy[i]

    return scale_into, scale_back


def total_of(scale_into):
    """A function that returns a number and calls another, new each time."""

    @numba.njit
    def total(x):
        y = np.empty_like(x)
        scale_into(y, x)
        return y.sum()

    return total


# --- the table ---------------------------------------------------------------------------------


def test_register_and_unregister():
    function, adjoint = scaling(2.0)
    assert find_rule(function) is None
    rule = LinearRule(function, adjoint=adjoint)
    before = generation()
    assert register(rule) is function
    assert find_rule(function) is rule
    assert generation() > before
    before = generation()
    unregister(rule)
    assert find_rule(function) is None
    assert generation() > before
    unregister(rule)  # once more is no error


def test_symbols_are_in_the_order_of_their_names():
    before = symbol_rules()
    rules = [Inactive("test_zeta"), AllocationRule("test_alpha", free="test_free")]
    assert [register(rule) for rule in rules] == ["test_zeta", "test_alpha"]
    try:
        names = [rule.symbol for rule in symbol_rules()]
        assert names == sorted(names)
        assert {"test_zeta", "test_alpha"} <= set(names)
    finally:
        for rule in rules:
            unregister(rule)
    assert symbol_rules() == before


@pytest.mark.parametrize("names", [("malloc", "test_free"), ("test_alpha", "free")])
def test_names_of_the_c_library_are_refused(names):
    """Derivatives put allocation of their own in the place of C's, by name: a crash."""
    with pytest.raises(ValueError, match=r"none of C's own allocation functions.*c_function\('my_"):
        AllocationRule(names[0], free=names[1])


def test_register_takes_rules_only():
    with pytest.raises(TypeError, match=r"`enzyme_rules.register\(rule\)` needs.*Got function"):
        register(lambda: None)  # type: ignore[arg-type]


def test_replacing_a_rule_changes_what_is_compiled_afterwards():
    function, right = scaling(2.0)
    _, wrong = scaling(5.0)
    register(LinearRule(function, adjoint=wrong))
    first = total_of(function)
    assert grad(first)(X).tolist() == [5.0] * 3
    register(LinearRule(function, adjoint=right))
    assert grad(total_of(function))(X).tolist() == [2.0] * 3
    # Without any rule Enzyme looks into the function itself.
    unregister(LinearRule(function))
    assert grad(total_of(function))(X).tolist() == [2.0] * 3
    assert grad(first)(X).tolist() in ([5.0] * 3, [2.0] * 3)


def test_functions_of_one_factory_have_rules_of_their_own():
    """They share their qualified name, by which the IR once called them."""
    two, three = scaling(2.0), scaling(3.0)
    for function, adjoint in (two, three):
        register(LinearRule(function, adjoint=adjoint))
    first, second = two[0], three[0]

    @numba.njit
    def both(x):
        y, z = np.empty_like(x), np.empty_like(x)
        first(y, x)
        second(z, x)
        return y.sum() + 10 * z.sum()

    assert grad(both)(X).tolist() == [32.0] * 3
    assert grad(total_of(first))(X).tolist() == [2.0] * 3
    assert grad(total_of(second))(X).tolist() == [3.0] * 3
    y, dy = np.zeros(3), np.zeros(3)
    autodiff(Forward, first, Duplicated(y, dy), Duplicated(X, np.ones(3)))
    assert dy.tolist() == [2.0] * 3


# --- mistakes ----------------------------------------------------------------------------------


def test_rules_need_njit_functions():
    function, adjoint = scaling(2.0)
    with pytest.raises(TypeError, match=r"`LinearRule\(...\)` needs `function` to be an @njit"):
        LinearRule(function.py_func)
    with pytest.raises(TypeError, match=r"`LinearRule\(...\)` needs `adjoint`.*Decorate it"):
        LinearRule(function, adjoint=adjoint.py_func)
    with pytest.raises(TypeError, match=r"`CustomRule\(...\)` needs `augmented_primal`.*Got None"):
        CustomRule(function)
    with pytest.raises(TypeError, match="`reverse`.*Got 3"):
        CustomRule(function, augmented_primal=function, reverse=3)
    with pytest.raises(TypeError, match="`forward`"):
        CustomRule(function, augmented_primal=function, reverse=adjoint, forward="no")
    with pytest.raises(ValueError, match="Got position 1 for both. Split the function's in-out"):
        LinearRule(function, output=1, input=1)


def test_a_constant_of_a_linear_rule_that_varies():
    @numba.njit
    def weigh_into(y, x, w):
        for i in range(len(x)):
            y[i] = w[i] * x[i]

    register(LinearRule(weigh_into))

    @numba.njit
    def total(x, w):
        y = np.empty_like(x)
        weigh_into(y, x, w)
        return y.sum()

    assert grad(total)(X, X + 1).tolist() == (X + 1).tolist()
    match = "an array that a linear rule takes for a constant varies"
    with pytest.raises(AutodiffError, match=match):
        grad(total, argnums=(0, 1))(X, X + 1)
    with pytest.raises(AutodiffError, match=match):
        grad(total, argnums=1)(X, X + 1)
    y, ones = np.zeros(3), np.ones(3)
    arguments = Duplicated(y, ones.copy()), Duplicated(X, ones.copy())
    with pytest.raises(AutodiffError, match=match):
        autodiff(Forward, weigh_into, *arguments, Duplicated(X + 1, ones.copy()))


def test_a_rule_that_raises():
    function, _ = scaling(2.0)

    @numba.njit
    def back(dy, dx):
        if dx[0] == 0:
            raise ValueError("never seen")
        dx[0] += 1.0

    register(LinearRule(function, adjoint=back))
    with pytest.raises(
        AutodiffError, match="A rule used by `.*total` failed: one of its functions"
    ):
        grad(total_of(function))(X)


def test_numbers_are_no_arguments_of_a_function_with_a_rule():
    @numba.njit
    def scale_into(y, x, factor):
        y[:] = factor * x

    register(LinearRule(scale_into))

    @numba.njit
    def total(x):
        y = np.empty_like(x)
        scale_into(y, x, 2.0)
        return y.sum()

    with pytest.raises(
        AutodiffError, match="Got a `float64`. Pass it as an array with one element"
    ):
        grad(total)(X)


def test_a_custom_rule_without_forward_mode():
    function, back = scaling(2.0)

    @numba.njit
    def augmented(y, dy, x, dx):
        for i in range(len(x)):
            y[i] = 2.0 * x[i]

    @numba.njit
    def reverse(y, dy, x, dx):
        if dy is not y:
            if dx is not x:
                back(dy, dx)
            dy[:] = 0

    register(CustomRule(function, augmented_primal=augmented, reverse=reverse))
    assert grad(total_of(function))(X).tolist() == [2.0] * 3
    with pytest.raises(NoDerivativeError, match="scale_into.*forward mode"):
        autodiff(Forward, function, *(Duplicated(X.copy(), X.copy()) for _ in range(2)))


@numba.njit
def square_reverse(y, dy, x, dx, kept):
    if dy is not y:
        if dx is not x:
            for i in range(len(x)):
                dx[i] += 2 * kept[i] * dy[i]
        dy[:] = 0


def squares(augmented, reverse=square_reverse):
    """A rule for y = x² that keeps what `augmented` returns."""

    @numba.njit
    def square_into(y, x):
        for i in range(len(x)):
            y[i] = x[i] ** 2

    return register(CustomRule(square_into, augmented_primal=augmented, reverse=reverse))


def test_a_tape_that_is_an_argument_is_copied():
    @numba.njit
    def augmented(y, dy, x, dx):
        for i in range(len(x)):
            y[i] = x[i] ** 2
        return x

    test_rule(squares(augmented), np.zeros(3), X)


def test_a_tape_that_is_part_of_an_array_is_freed_whole():
    @numba.njit
    def augmented(y, dy, x, dx):
        wide = np.zeros(2 * len(x))
        for i in range(len(x)):
            y[i] = x[i] ** 2
            wide[len(x) + i] = x[i]
        return wide[len(x) :]

    test_rule(squares(augmented), np.zeros(3), X)


def test_what_a_rule_allocates_is_freed():
    @numba.njit
    def flip_into(y, x):
        work = np.empty(x.size)
        for i in range(x.size):
            work[x.size - 1 - i] = x[i]
        y[:] = work

    register(LinearRule(flip_into))

    @numba.njit
    def augmented(y, dy, x, dx):
        y[:] = x**2
        return x.copy()

    square_into = squares(augmented)

    @numba.njit
    def total(x):
        y, z = np.empty_like(x), np.empty_like(x)
        flip_into(y, x)
        square_into(z, y)
        return z.sum()

    gradient = grad(total)
    x = np.ones(10_000)
    assert (gradient(x) == 2).all()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(1000):
        gradient(x)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    kilobyte = 1024 if sys.platform == "darwin" else 1  # macOS counts in bytes
    assert grown < 20_000 * kilobyte  # every array that leaks makes 80,000


def test_an_augmented_primal_that_raises():
    """There is no tape then, and `reverse` is not run on one."""

    @numba.njit
    def augmented(y, dy, x, dx):
        if x[0] > 0:
            raise ValueError("never seen")
        return x.copy()

    with pytest.raises(AutodiffError, match="A rule used by"):
        grad(total_of(squares(augmented)))(X)


@pytest.mark.parametrize("kind", ["number", "matrix", "tuple"])
def test_tapes_that_cannot_be(kind):
    what = {"number": 1.0, "matrix": np.zeros((2, 2)), "tuple": (1.0, 2.0)}[kind]

    @numba.njit
    def augmented(y, dy, x, dx):
        return what

    match = "`augmented_primal` of `square_into` must return a contiguous one-dim.*Got a"
    with pytest.raises(AutodiffError, match=match):
        grad(total_of(squares(augmented)))(X)
