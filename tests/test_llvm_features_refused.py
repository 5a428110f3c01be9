"""What cannot be differentiated is refused before Enzyme runs, with its place and what to do."""

from pathlib import Path

import numba
import numpy as np
import pytest
from numba import types
from numba.typed import Dict, List

from llvm import NoDerivativeError, grad, jvp

X = np.array([0.5, 1.5, 2.5])


@numba.njit
def in_python(x):
    with numba.objmode(y="float64"):  # here
        y = float(x.sum())
    return y


@numba.njit
def with_dict(x):
    table = {"a": x[0], "b": x[1]}
    return table["a"] * table["b"]  # here


@numba.njit
def with_typed_dict(x):
    table = Dict.empty(types.int64, types.float64)  # here
    table[0] = x[0]
    return table[0]


@numba.njit
def with_typed_list(x):
    items = List()  # pyright: ignore[reportCallIssue]
    items.append(x[0])  # here
    return items[0]


@numba.njit
def with_set(x):
    return len(set(x)) * x[0]  # here


@numba.njit
def printing(x):
    print(x)  # here
    return x[0]


@numba.njit
def deeper(x):
    return 2.0 * printing(x)


REFUSED = {
    in_python: ("with objmode", "give the @njit function around it a rule"),
    with_dict: ("through a dict", "Use an array"),
    with_typed_dict: ("through a dict", "Use an array"),
    with_typed_list: ("through a typed List", "plain list"),
    with_set: ("a set of numbers", "np.unique"),
    printing: ("printing of an array", "one by one"),
    deeper: ("printing of an array", "one by one"),
}


def place(function):
    """``file.py:12``, the line that says so."""
    code = printing.py_func if function is deeper else function.py_func
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    first = code.__code__.co_firstlineno
    here = next(i for i in range(first, len(lines)) if "# here" in lines[i])
    return f"{Path(__file__).name}:{here + 1}"


@pytest.mark.parametrize("function", REFUSED, ids=lambda f: f.__name__)
def test_refused_with_its_place(function):
    what, instead = REFUSED[function]
    for ask in (lambda: grad(function)(X), lambda: jvp(function, (X,), (X,))):
        with pytest.raises(NoDerivativeError) as caught:
            ask()
        error = caught.value
        assert (error.stage, error.function) == ("lower", function.__name__)
        for words in (what, instead, f"({place(function)})"):
            assert words in str(error)
