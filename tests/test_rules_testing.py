"""`test_rule` passes what is right, and says what is wrong with what is not."""

from typing import Any

import numba
import numpy as np
import pytest

from enzyme_rules import CustomRule, LinearRule, register
from enzyme_rules.testing import RuleError, test_rule

X = np.array([0.5, -1.25, 2.0, 0.75, -0.5])
W = np.array([1.5, 0.25, -2.0, 0.5, 3.0])


def arrays(dtype: Any = np.float64):
    return np.zeros(5, dtype), X.astype(dtype)


# --- functions ---------------------------------------------------------------------------------


def weigh():
    """A new function each time: a rule belongs to one function."""

    @numba.njit
    def weigh_into(y, x, w):
        for i in range(len(x)):
            y[i] = w[i] * x[i] + w[0] * x[i - 1]

    return weigh_into


@numba.njit
def weigh_back(dy, dx, w):
    for i in range(len(dx)):
        dx[i] += np.conj(w[i]) * dy[i]
        dx[i - 1] += np.conj(w[0]) * dy[i]


def square():
    @numba.njit
    def square_into(y, x):
        for i in range(len(x)):
            y[i] = x[i] ** 2

    return square_into


@numba.njit
def square_augmented(y, dy, x, dx):
    for i in range(len(x)):
        y[i] = x[i] ** 2
    return x.copy()


@numba.njit
def square_reverse(y, dy, x, dx, tape):
    if dy is not y:
        if dx is not x:
            for i in range(len(x)):
                dx[i] += 2 * tape[i] * dy[i]
        dy[:] = 0


@numba.njit
def square_forward(y, dy, x, dx):
    for i in range(len(x)):
        y[i] = x[i] ** 2
        if dy is not y:
            dy[i] = 2 * x[i] * dx[i] if dx is not x else 0.0


def square_rule(**changed):
    parts = {
        "augmented_primal": square_augmented,
        "reverse": square_reverse,
        "forward": square_forward,
    }
    return register(CustomRule(square(), **(parts | changed)))


# --- rules that are right ----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.complex128])
def test_linear_with_adjoint(dtype):
    test_rule(register(LinearRule(weigh(), adjoint=weigh_back)), *arrays(dtype), W.astype(dtype))


def test_linear_that_enzyme_derives():
    test_rule(register(LinearRule(weigh())), *arrays(), W)


def test_linear_that_accumulates():
    @numba.njit
    def add_into(y, x, w):
        for i in range(len(x)):
            y[i] += w[i] * x[i]

    @numba.njit
    def add_back(dy, dx, w):
        for i in range(len(dx)):
            dx[i] += w[i] * dy[i]

    test_rule(register(LinearRule(add_into, adjoint=add_back, accumulates=True)), X + 1, X, W)


def test_arguments_in_any_order_strided_and_with_scratch():
    @numba.njit
    def through(scratch, x, n, y):
        for i in range(n):
            scratch[i] = i + 1.0
        for i in range(n):
            y[i] = scratch[i] * x[i]

    rule = LinearRule(through, output=3, input=1, scratch=(0,))
    x = np.arange(10.0).reshape(5, 2)[:, 1]
    test_rule(register(rule), np.full(5, np.nan), x, 5, np.zeros(20)[::4])


def test_custom_with_tape():
    test_rule(square_rule(), *arrays())


def test_custom_without_forward_mode():
    test_rule(square_rule(forward=None), *arrays())


def test_custom_with_tuples_two_inputs_and_part_of_the_output():
    @numba.njit
    def multiply(out, pair):
        a, b = pair
        for i in range(len(a)):
            out[1, i] = a[i] * b[i]

    @numba.njit
    def augmented(out, dout, pair, dpair):
        multiply(out, pair)
        return np.concatenate(pair)

    @numba.njit
    def reverse(out, dout, pair, dpair, tape):
        if dout is out:
            return
        n = len(pair[0])
        for i in range(n):
            if dpair[0] is not pair[0]:
                dpair[0][i] += tape[n + i] * dout[1, i]
            if dpair[1] is not pair[1]:
                dpair[1][i] += tape[i] * dout[1, i]
        dout[1] = 0

    @numba.njit
    def forward(out, dout, pair, dpair):
        a, b = pair
        multiply(out, pair)
        if dout is out:
            return
        dout[1] = 0
        if dpair[0] is not a:
            dout[1] += dpair[0] * b
        if dpair[1] is not b:
            dout[1] += a * dpair[1]

    rule = CustomRule(multiply, augmented_primal=augmented, reverse=reverse, forward=forward)
    test_rule(register(rule), np.ones((3, 5)), (X, W))


def test_custom_in_place():
    @numba.njit
    def cube(x):
        for i in range(len(x)):
            x[i] = x[i] ** 3

    @numba.njit
    def augmented(x, dx):
        tape = x.copy()
        for i in range(len(x)):
            x[i] = x[i] ** 3
        return tape

    @numba.njit
    def reverse(x, dx, tape):
        if dx is not x:
            for i in range(len(x)):
                dx[i] *= 3 * tape[i] ** 2

    @numba.njit
    def forward(x, dx):
        for i in range(len(x)):
            if dx is not x:
                dx[i] *= 3 * x[i] ** 2
            x[i] = x[i] ** 3

    rule = CustomRule(cube, augmented_primal=augmented, reverse=reverse, forward=forward)
    test_rule(register(rule), X)


def test_is_no_test_for_pytest():
    assert test_rule.__test__ is False


# --- rules that are wrong ----------------------------------------------------------------------


def fails(check, argument, match, function, *arguments, **options):
    with pytest.raises(RuleError, match=match) as caught:
        test_rule(function, *arguments, **options)
    assert (caught.value.check, caught.value.argument) == (check, argument)


def test_wrong_factor():
    @numba.njit
    def reverse(y, dy, x, dx, tape):
        if dy is not y:
            if dx is not x:
                for i in range(len(x)):
                    dx[i] += (1 if i > 1 else 2) * tape[i] * dy[i]
            dy[:] = 0

    match = r"A factor 2 is missing at 3 of 5 elements, the first at \(2,\).*reverse mode is wrong"
    fails("dot test", "x", match, square_rule(reverse=reverse), *arrays())


def test_wrong_factor_in_a_linear_rule():
    @numba.njit
    def back(dy, dx, w):
        for i in range(len(dx)):
            dx[i] += 0.5 * w[i] * dy[i]

    @numba.njit
    def scale_into(y, x, w):
        for i in range(len(x)):
            y[i] = w[i] * x[i]

    rule = register(LinearRule(scale_into, adjoint=back))
    fails("dot test", "x", "A factor 2 is missing at 5 of 5 elements", rule, *arrays(), W)


def test_adjoint_without_conjugate():
    @numba.njit
    def back(dy, dx, w):
        for i in range(len(dx)):
            dx[i] += w[i] * dy[i]
            dx[i - 1] += w[0] * dy[i]

    y, x = arrays(np.complex128)
    rule = register(LinearRule(weigh(), adjoint=back))
    fails("dot test", "x", "reverse mode is wrong", rule, y, x, W * (1 + 0.5j))


def test_shadow_of_the_output_not_cleared():
    @numba.njit
    def reverse(y, dy, x, dx, tape):
        if dx is not x and dy is not y:
            for i in range(len(x)):
                dx[i] += 2 * tape[i] * dy[i]

    match = "zero in the shadow.*It was left as it was: clear it"
    fails("cleared", "y", match, square_rule(reverse=reverse), *arrays())


def inner_square():
    """Writes all but the ends of its output."""

    @numba.njit
    def square_inside(y, x):
        for i in range(1, len(x) - 1):
            y[i] = x[i] ** 2

    return square_inside


def test_shadow_of_the_output_cleared_too_far():
    @numba.njit
    def augmented(y, dy, x, dx):
        for i in range(1, len(x) - 1):
            y[i] = x[i] ** 2
        return x.copy()

    @numba.njit
    def reverse(y, dy, x, dx, tape):
        if dy is not y:
            if dx is not x:
                for i in range(1, len(x) - 1):
                    dx[i] += 2 * tape[i] * dy[i]
            dy[:] = 0

    rule = register(CustomRule(inner_square(), augmented_primal=augmented, reverse=reverse))
    match = r"where the function does not write.*at 2 of 5 elements.*Clear exactly"
    fails("cleared", "y", match, rule, *arrays())


def test_shadow_cleared_beyond_the_array():
    @numba.njit
    def reverse(y, dy, x, dx, tape):
        if dy is not y:
            if dx is not x:
                for i in range(len(x)):
                    dx[i] += 2 * tape[i] * dy[i]
            for i in range(len(y) + 1):
                dy[i] = 0

    match = "In reverse mode something was written beside the shadow of `y`"
    fails("memory", "y", match, square_rule(reverse=reverse), *arrays())


def test_shadow_of_the_input_overwritten():
    @numba.njit
    def reverse(y, dy, x, dx, tape):
        if dy is not y:
            if dx is not x:
                for i in range(len(x)):
                    dx[i] = 2 * tape[i] * dy[i]
            dy[:] = 0

    fails(
        "accumulation", "x", "It was overwritten.*`\\+=`", square_rule(reverse=reverse), *arrays()
    )


def test_input_that_is_its_own_shadow():
    @numba.njit
    def reverse(y, dy, x, dx, tape):
        if dy is not y:
            for i in range(len(x)):
                dx[i] += 2 * tape[i] * dy[i]
            dy[:] = 0

    fails("activity", "x", "ask `dx is not x`", square_rule(reverse=reverse), *arrays())


def test_output_that_is_its_own_shadow():
    @numba.njit
    def reverse(y, dy, x, dx, tape):
        if dx is not x:
            for i in range(len(x)):
                dx[i] += 2 * tape[i] * dy[i]
        dy[:] = 0

    fails(
        "activity",
        "y",
        "Where `y` does not vary.*ask `dx is not x`",
        square_rule(reverse=reverse),
        *arrays(),
    )


def test_wrong_forward_mode():
    @numba.njit
    def forward(y, dy, x, dx):
        for i in range(len(x)):
            y[i] = x[i] ** 2
            if dy is not y:
                dy[i] = x[i] * dx[i] if dx is not x else 0.0

    match = "A factor 0.5 is missing.*reverse mode: forward mode is wrong"
    fails("dot test", "x", match, square_rule(forward=forward), *arrays())


def test_forward_mode_that_adds_to_the_tangent():
    @numba.njit
    def forward(y, dy, x, dx):
        for i in range(len(x)):
            y[i] = x[i] ** 2
            if dy is not y and dx is not x:
                dy[i] += 2 * x[i] * dx[i]

    fails("tangent", "y", "Write `=` instead of `\\+=`", square_rule(forward=forward), *arrays())


def test_both_modes_wrong_alike():
    @numba.njit
    def reverse(y, dy, x, dx, tape):
        if dy is not y:
            if dx is not x:
                for i in range(len(x)):
                    dx[i] += tape[i] * dy[i]
            dy[:] = 0

    @numba.njit
    def forward(y, dy, x, dx):
        for i in range(len(x)):
            y[i] = x[i] ** 2
            if dy is not y:
                dy[i] = x[i] * dx[i] if dx is not x else 0.0

    rule = square_rule(reverse=reverse, forward=forward)
    fails("central differences", "y", "agree with each other, but not with", rule, *arrays())


def test_augmented_primal_that_differs():
    @numba.njit
    def augmented(y, dy, x, dx):
        for i in range(len(x)):
            y[i] = abs(x[i]) * x[i]
        return x.copy()

    match = "In reverse mode it must hold.*`augmented_primal` does not do what the function does"
    fails("primal", "y", match, square_rule(augmented_primal=augmented), *arrays())


def test_tape_that_is_no_copy():
    @numba.njit
    def augmented(y, dy, x, dx):
        for i in range(len(x)):
            y[i] = x[i] ** 2

    @numba.njit
    def reverse(y, dy, x, dx):
        if dy is not y:
            if dx is not x:
                for i in range(len(x)):
                    dx[i] += 2 * x[i] * dy[i]
            dy[:] = 0

    match = "In this loop arrays are overwritten after the call"
    rule = square_rule(augmented_primal=augmented, reverse=reverse)
    fails("loop", "x", match, rule, *arrays())
    rule = square_rule(augmented_primal=augmented, reverse=reverse, forward=None)
    fails("loop", "", match, rule, *arrays())


def test_linear_rule_that_leaves_some_of_its_output():
    rule = register(LinearRule(inner_square()))
    match = r"must write the whole of its output.*at 2 of 5 elements, the first at \(0,\)"
    fails("overwrites", "y", match, rule, *arrays())


def test_linear_rule_of_a_function_that_is_not():
    fails("linearity", "x", "needs a CustomRule", register(LinearRule(square())), *arrays())


def test_linear_rule_whose_scratch_carries_the_derivative():
    @numba.njit
    def through(y, x, scratch):
        for i in range(len(x)):
            scratch[i] = 2 * x[i]
        for i in range(len(x)):
            y[i] = scratch[i]

    rule = register(LinearRule(through, scratch=(2,)))
    fails("dot test", "x", "reverse mode is wrong", rule, *arrays(), np.zeros(5))


def test_linear_rule_that_writes_to_a_constant():
    @numba.njit
    def through(y, x, work):
        work[:] = 2 * x
        y[:] = work

    rule = register(LinearRule(through))
    fails("overwrites", "work", "Name it in `scratch`", rule, *arrays(), np.zeros(5))


def test_rule_that_raises():
    @numba.njit
    def reverse(y, dy, x, dx, tape):
        raise ValueError("no")

    fails(
        "raises", "", "In reverse mode one of the rule's", square_rule(reverse=reverse), *arrays()
    )


# --- examples that are no use ------------------------------------------------------------------


def test_bad_examples():
    with pytest.raises(TypeError, match="Got `square_into`, which has none. Register one first"):
        test_rule(square(), *arrays())
    rule = square_rule()
    with pytest.raises(TypeError, match="an example of each of y, x. Got 1 arguments"):
        test_rule(rule, X)
    with pytest.raises(ValueError, match="array that varies. Got ndarray, ndarray, with constants"):
        test_rule(rule, *arrays(), constants=(0, 1))
    with pytest.raises(ValueError, match="Got NaN or infinity in `y`"):
        test_rule(rule, np.zeros(5), np.full(5, np.inf))
