"""Which functions may raise when they have written already, and what a call then keeps."""

import numba
import numpy as np
import pytest

from llvm import grad
from llvm._lower import lower
from llvm._prepare import prepare
from llvm._untouched import raises_after_writing

X = np.array([1.0, 2.0])


@numba.njit
def checks_first(x, y):
    if len(x) != len(y):
        raise ValueError("lengths")
    y[0] = x[0]
    return y[0] * x[1]


@numba.njit
def checks_afterwards(x, y):
    y[0] += x[0]
    if y[0] > 10.0:
        raise ValueError("too much")
    return y[0] * x[1]


@numba.njit
def checks_in_a_loop(x, y):
    for i in range(len(x)):
        if x[i] > 10.0:
            raise ValueError("too much")
        y[i] = x[i]
    return y[0] * x[1]


@numba.njit
def callee_writes(x, y):
    y[:] = 2.0 * x
    return 0.0


@numba.njit
def checks_after_a_call(x, y):
    total = callee_writes(x, y)
    if y[1] > 10.0:
        raise ValueError("too much")
    return total + y[0]


@numba.njit
def writes_to_its_own(x, y):
    t = np.empty(2)
    t[0] = x[0]
    if t[0] > 10.0:
        raise ValueError("too much")
    return t[0] * y[0]


@numba.njit(error_model="numpy")
def never_raises(x, y):
    y[0] = x[0]
    return y[0] / x[1]


FUNCTIONS = {
    checks_first: False,
    checks_afterwards: True,
    checks_in_a_loop: True,
    checks_after_a_call: True,
    writes_to_its_own: False,
    never_raises: False,
}


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.py_func.__name__)
def test_of_functions(function):
    effects = prepare(lower(function, (numba.typeof(X),) * 2)).effects
    assert effects.raises_after_writing == FUNCTIONS[function]


MODULE = """
declare noalias ptr @malloc(i64)
declare void @unknown(ptr)
declare double @reads(ptr) #0
define void @f(ptr %status, ptr %x, i1 %c, ptr %g) {{
entry:
  %own = alloca [2 x double]
  %part = getelementptr double, ptr %own, i64 1
  {before}
  br i1 %c, label %bad, label %good
bad:
  br label %out
good:
  {after}
  br label %out
out:
  %code = phi i32 [ 1, %bad ], [ 0, %good ]
  store i32 %code, ptr %status, align 4
  ret void
}}
attributes #0 = {{ nounwind memory(read) }}
"""
NOTHING = "%z = add i64 0, 0"
LINES = {
    "store double 1.0, ptr %x": True,
    "store double 1.0, ptr %part, align 8": False,
    "call void @unknown(ptr %x)": True,
    "call void %g(ptr @malloc)": True,
    "%d = call double @reads(ptr %x)": False,
    "%m = call ptr @malloc(i64 8)\n  store double 1.0, ptr %m": False,
    "call void @llvm.memset.p0.i64(ptr align 8 %x, i8 0, i64 16, i1 false)": True,
    "call void @llvm.memset.p0.i64(ptr align 8 %own, i8 0, i64 16, i1 false)": False,
    "call void @llvm.assume(i1 %c)": False,
    "%o = atomicrmw add ptr %x, i64 1 monotonic": True,
}


def reported(before, after):
    text = MODULE.format(before=before, after=after)
    body = text[text.index("entry:") : text.index("\n}")]
    return raises_after_writing(text, body, "%status")


@pytest.mark.parametrize("line", LINES)
def test_of_instructions(line):
    assert reported(line, NOTHING) == LINES[line]
    assert not reported(NOTHING, line), "what is written on the way to a result does not count"


@pytest.mark.parametrize("function", [checks_first, checks_afterwards])
def test_the_same_exception(function):
    """Called again to raise, the function sees what it was called with."""
    x, y = np.array([1.0, 2.0]), np.array([9.5, 3.0, 4.0][: 3 if function is checks_first else 2])
    with pytest.raises(ValueError, match="lengths|too much"):
        grad(function)(x, y.copy())
    assert grad(function)(x, np.zeros(2)).tolist() == [2.0, 1.0]
