"""The registry, the kinds of rule, and C functions under a name."""

import ctypes
import os
import resource
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
from numba import carray  # pyright: ignore[reportPrivateImportUsage]

from enzyme_rules import (
    AllocationRule,
    CustomRule,
    Inactive,
    LinearRule,
    c_function,
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
    jvp,
    value_and_grad,
)
from llvm._differentiate import Mode
from llvm._enzyme import find_enzyme
from llvm._fingerprint import fingerprint
from llvm._program import Question

ROOT = Path(__file__).resolve().parent.parent
LIBC = ctypes.CDLL(None)
DOUBLE, INT, POINTER = ctypes.c_double, ctypes.c_int64, ctypes.c_void_p
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


# --- C functions -------------------------------------------------------------------------------


def test_a_c_function_that_returns_a_number():
    for name, ctype, value in (("ceil", ctypes.c_double, 2.0), ("ceilf", ctypes.c_float, 2.0)):
        ceiling = c_function(f"test_{name}", getattr(LIBC, name), ctype, returns=ctype)

        @numba.njit
        def f(x, ceiling=ceiling):
            return ceiling(x)

        assert f(1.5) == value


def test_a_c_function_that_returns_an_integer():
    absolute = c_function("test_llabs", LIBC.llabs, INT, returns=INT)

    @numba.njit
    def f(n):
        return absolute(n)

    assert f(-(2**40)) == 2**40


def test_enzyme_knows_some_c_functions_by_name():
    """And only by name: under another it asks for a rule."""
    known = c_function("j0", LIBC.j0, DOUBLE, returns=DOUBLE)
    unknown = c_function("test_j0", LIBC.j0, DOUBLE, returns=DOUBLE)

    @numba.njit
    def f(x):
        return known(x)

    @numba.njit
    def g(x):
        return unknown(x)

    assert f(1.0) == g(1.0)
    assert grad(f)(1.0) == pytest.approx(-0.44005058574493355, rel=1e-14)
    with pytest.raises(NoDerivativeError, match="no derivative for `test_j0`, called from"):
        grad(g)(1.0)


def test_wrong_arguments_of_a_c_function():
    ceiling = c_function("test_ceil", LIBC.ceil, DOUBLE, returns=DOUBLE)
    copy = c_function("test_memmove", LIBC.memmove, POINTER, POINTER, INT)

    @numba.njit
    def one(x):
        return ceiling(x)

    @numba.njit
    def two(x):
        return ceiling(x, x)

    @numba.njit
    def move(y, x, n):
        copy(y, x, n)

    with pytest.raises(TypeError, match=r"`test_ceil` takes 1 arguments \(c_double\). Got 2"):
        two(1.0)
    with pytest.raises(
        TypeError, match="`test_ceil` takes a `c_double`, a real number, as argument 0"
    ):
        one(1j)
    with pytest.raises(
        TypeError, match="`test_memmove`.*a contiguous array.*as argument 1. Got a `arr"
    ):
        move(np.zeros(3), np.zeros(6)[::2], 24)
    with pytest.raises(TypeError, match="`c_int64`, an integer, as argument 2. Got a `float64`"):
        move(np.zeros(3), np.zeros(3), 24.0)
    y = np.zeros(3)
    move(y, X, 24)
    assert y.tolist() == X.tolist()


def test_c_functions_that_cannot_be():
    with pytest.raises(TypeError, match="takes and returns ctypes' c_double.*Got <class 'int'>"):
        c_function("test_bad", LIBC.ceil, int)
    with pytest.raises(TypeError, match="Got <class 'ctypes.c_char'>"):
        c_function("test_bad", LIBC.ceil, DOUBLE, returns=ctypes.c_char)
    with pytest.raises(ValueError, match="needs the address of a function. Got 0"):
        c_function("test_bad", 0)
    c_function("test_taken", LIBC.ceil, DOUBLE, returns=DOUBLE)
    c_function("test_taken", LIBC.ceil, DOUBLE, returns=DOUBLE)
    with pytest.raises(ValueError, match="needs a name of its own"):
        c_function("test_taken", LIBC.floor, DOUBLE, returns=DOUBLE)


CALLBACK = ctypes.CFUNCTYPE(None, POINTER, POINTER, INT)


def doubles(address, count):
    return np.ctypeslib.as_array(ctypes.cast(address, ctypes.POINTER(DOUBLE)), (count,))


def test_a_rule_for_a_callback():
    """Python as the C function."""

    def reverse_c(y, x, n):
        doubles(y, n)[:] = doubles(x, n)[::-1]

    # Nothing but the name keeps the callback: c_function holds on to it.
    flip = c_function("test_flip", CALLBACK(reverse_c), POINTER, POINTER, INT)

    @numba.njit
    def flip_into(y, x):
        flip(y, x, len(x))

    @numba.njit
    def flip_back(dy, dx):
        for i in range(len(dx)):
            dx[len(dx) - 1 - i] += dy[i]

    test_rule(register(LinearRule(flip_into, adjoint=flip_back)), np.zeros(3), X)

    @numba.njit
    def f(x, w):
        y = np.empty_like(x)
        flip_into(y, x)
        return (w * y).sum()

    value, gradient = value_and_grad(f)(X, np.array([1.0, 10.0, 100.0]))
    assert value == 2.0 - 12.5 + 50.0
    assert gradient.tolist() == [100.0, 10.0, 1.0]


def test_an_inactive_function():
    """It has a body that Enzyme cannot see, and nothing to do with the derivative."""
    seen = []
    log = ctypes.CFUNCTYPE(None, POINTER, INT)(lambda x, n: seen.append(doubles(x, n).tolist()))
    note = c_function("test_note", log, POINTER, INT)

    def make():
        @numba.njit
        def f(x):
            note(x, len(x))
            return (x**2).sum()

        return f

    with pytest.raises(NoDerivativeError, match="`test_note`"):
        grad(make())(X)
    rule = Inactive("test_note")
    register(rule)
    try:
        assert grad(make())(X).tolist() == (2 * X).tolist()
    finally:
        unregister(rule)
    assert seen == [X.tolist()]


def test_an_allocator():
    """Its memory gets a shadow by another call, with the same sizes, that is released as well."""
    calls = []

    def allocate_c(alignment, size):
        calls.append(("allocate", alignment, size))
        LIBC.aligned_alloc.restype = POINTER
        return LIBC.aligned_alloc(ctypes.c_size_t(alignment), ctypes.c_size_t(size))

    def release_c(address):
        calls.append(("release", address))
        LIBC.free(ctypes.c_void_p(address))

    allocator = ctypes.CFUNCTYPE(POINTER, INT, INT)(allocate_c)
    allocate = c_function("test_allocate", allocator, INT, INT, returns=POINTER)
    release = c_function("test_release", ctypes.CFUNCTYPE(None, POINTER)(release_c), POINTER)

    def make():
        @numba.njit
        def f(x):
            memory = allocate(64, 64 * len(x))
            work = carray(memory, (len(x),), np.float64)
            for i in range(len(x)):
                work[i] = x[i] ** 2
            total = 0.0
            for i in range(len(x)):
                total += work[i] * work[i]
            release(memory)
            return total

        return f

    f = make()
    assert f(X) == pytest.approx((X**4).sum(), rel=1e-15)
    calls.clear()
    with pytest.raises(NoDerivativeError, match="test_allocate|test_release"):
        grad(make())(X)
    rule = AllocationRule("test_allocate", free="test_release", size_argument=1)
    register(rule)
    try:
        gradient = grad(make())(X)
        reverse_calls = calls.copy()
        calls.clear()
        value, tangent = jvp(make(), (X,), (X,))
    finally:
        unregister(rule)
    np.testing.assert_allclose(gradient, 4 * X**3, rtol=4e-16)
    assert value == pytest.approx((X**4).sum(), rel=1e-15)
    assert tangent == pytest.approx(4 * (X**4).sum(), rel=1e-15)
    for made in (reverse_calls, calls):
        assert made[:2] == [("allocate", 64, 64 * 3)] * 2
        assert [call[0] for call in made[2:]] == ["release"] * 2


# --- other processes ---------------------------------------------------------------------------

SCRIPT = """
import ctypes, sys
import numba, numpy as np
from enzyme_rules import c_function, register, LinearRule
import llvm._program
from llvm import grad

if sys.argv[1] == "cached":
    def refuse(*args):
        raise AssertionError("compiled again")
    llvm._program.run_stages = refuse

P, N = ctypes.c_void_p, ctypes.c_int64
move = c_function("script_memmove", ctypes.CDLL(None).memmove, P, P, N)

@numba.njit
def copy_into(y, x):
    move(y, x, 8 * len(x))

@numba.njit
def copy_back(dy, dx):
    for i in range(len(dx)):
        dx[i] += dy[i]

register(LinearRule(copy_into, adjoint=copy_back))

@numba.njit
def f(x):
    y = np.empty_like(x)
    copy_into(y, x)
    return (y**3).sum()

print(grad(f)(np.array([1.0, 2.0])).tolist())
"""


def test_kept_code_works_in_another_process(tmp_path):
    """The library may lie at another address there: code finds its functions by name."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    enzyme = find_enzyme()
    variable = "ENZYME_PLUGIN" if enzyme.kind == "plugin" else "ENZYME_DRIVER"
    own = {"ENZYME_SHT_CACHE": str(tmp_path / "cache"), variable: str(enzyme.path)}
    for word in ("fresh", "cached"):
        done = subprocess.run(
            [sys.executable, str(script), word],
            env={**os.environ, **own, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == "[3.0, 12.0]"


def test_all_that_tells_c_functions_apart_is_in_the_key():
    """Two functions whose byte code differs in nothing but what a name stands for."""

    def make(symbol, function):
        called = c_function(symbol, function, DOUBLE, returns=DOUBLE)

        @numba.njit
        def f(x):
            return called(x)

        question = Question(Mode.REVERSE, (numba.float64,), (True,))
        return fingerprint(f, question, lambda: "version")

    key = make("test_key_ceil", LIBC.ceil)
    assert key is not None
    assert key == make("test_key_ceil", LIBC.ceil)
    assert key != make("test_key_floor", LIBC.floor)
