"""C functions under a name: called, with rules, as allocators, and from kept code."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
from numba import carray  # pyright: ignore[reportPrivateImportUsage]

from enzyme_rules import (
    AllocationRule,
    Inactive,
    LinearRule,
    c_function,
    register,
    unregister,
)
from enzyme_rules.testing import test_rule
from llvm import (
    NoDerivativeError,
    grad,
    jvp,
    value_and_grad,
)
from llvm._enzyme import find_enzyme
from llvm._fingerprint import fingerprint
from llvm._request import Mode, Question

ROOT = Path(__file__).resolve().parent.parent
LIBC = ctypes.CDLL(None)
DOUBLE, INT, POINTER = ctypes.c_double, ctypes.c_int64, ctypes.c_void_p
X = np.array([0.5, -1.25, 2.0])


# --- calls -------------------------------------------------------------------------------------


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
    with pytest.raises(ValueError, match=r"c_function\('free', ...\)` needs a name that is"):
        c_function("free", LIBC.free, POINTER)
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
        return fingerprint(f, question, "version")

    key = make("test_key_ceil", LIBC.ceil)
    assert key is not None
    assert key == make("test_key_ceil", LIBC.ceil)
    assert key != make("test_key_floor", LIBC.floor)
