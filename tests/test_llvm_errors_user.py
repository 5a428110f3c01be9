"""What a user gets who asks for what cannot be: the function's own exception, or words."""

import ctypes
import inspect
import math
import re
from typing import Any, NamedTuple

import numba
import numpy as np
import pytest
from numba.experimental.jitclass.decorators import jitclass

import enzyme_rules
import llvm._enzyme
from llvm import (
    Active,
    AutodiffError,
    Const,
    Duplicated,
    EnzymeNotFoundError,
    Forward,
    NoDerivativeError,
    Reverse,
    UnsupportedTypeError,
    autodiff,
    grad,
    jvp,
    value_and_grad,
    vjp,
)

X = np.array([0.5, 1.5, 2.5])


# An exception inside the function is the function's own, and leaves no half result.


class Unphysical(Exception):
    pass


@numba.njit
def static_raise(x):
    if x[0] < 0.0:
        raise ValueError("negative")
    return x.sum()


@numba.njit
def dynamic_raise(x):
    for i in range(x.size):
        if x[i] < 0.0:
            raise Unphysical("negative", i, x[i])
    return x.sum()


@numba.njit
def nested_raise(x):
    doubled = x * 2.0
    return dynamic_raise(doubled) + doubled[0]


@numba.njit
def quotient(x):
    return 1.0 / (x[0] + x[1])


@numba.njit(boundscheck=True)
def out_of_bounds(x):
    total = 0.0
    for i in range(3 if x[0] > 0.0 else 4):
        total += x[i]
    return total


@numba.njit
def half_done(y, x):
    for i in range(x.size):
        y[i] = 2.0 * x[i]
        x[i] = 0.0
        if y[i] < 0.0:
            raise Unphysical("at", i)


RAISING = {
    static_raise: (ValueError, ("negative",)),
    dynamic_raise: (Unphysical, ("negative", 1, -2.5)),
    nested_raise: (Unphysical, ("negative", 1, -5.0)),
    quotient: (ZeroDivisionError, ("division by zero",)),
    out_of_bounds: (IndexError, ("index is out of bounds",)),
}
BAD = {static_raise: -X, out_of_bounds: -X, quotient: np.array([1.0, -1.0])}


@pytest.mark.parametrize("function", RAISING, ids=lambda f: f.py_func.__name__)
def test_exception_of_the_function(function):
    kind, arguments = RAISING[function]
    good = np.array([0.5, 1.5, 2.5])
    bad = BAD.get(function, np.array([0.5, -2.5, 1.0]))
    before = value_and_grad(function)(good)
    shadow = np.array([7.0, 8.0, 9.0])[: bad.size]
    kept = shadow.copy(), bad.copy()
    for run in (
        lambda: grad(function)(bad),
        lambda: jvp(function, (bad,), (bad,)),
        lambda: autodiff(Reverse, function, Duplicated(bad, shadow)),
        lambda: autodiff(Forward, function, Duplicated(bad, shadow)),
    ):
        with pytest.raises(kind) as caught:
            run()
        assert type(caught.value) is kind
        assert caught.value.args == arguments
    np.testing.assert_array_equal(shadow, kept[0])
    np.testing.assert_array_equal(bad, kept[1])
    after = value_and_grad(function)(good)
    assert after[0] == before[0]
    np.testing.assert_array_equal(after[1], before[1])


@numba.njit
def failing_into(y, x):
    y[:] = x


@numba.njit
def failing_augmented(y, dy, x, dx):
    y[:] = x


@numba.njit
def failing_reverse(y, dy, x, dx):
    for i in range(x.size):
        dx[i] += dy[i]
        dy[i] = 0.0
        if x[i] < 0.0:
            raise ValueError("in the middle")


@numba.njit
def failing_forward(y, dy, x, dx):
    y[:] = x
    for i in range(x.size):
        dy[i] = dx[i]
        if x[i] < 0.0:
            raise ValueError("in the middle")


@numba.njit
def weighted_into(y, x, weight):
    y[:] = weight * x


@numba.njit
def weighted_adjoint(dy, dx, weight):
    dx += weight * dy


enzyme_rules.register(
    enzyme_rules.CustomRule(
        failing_into,
        augmented_primal=failing_augmented,
        reverse=failing_reverse,
        forward=failing_forward,
    )
)
enzyme_rules.register(enzyme_rules.LinearRule(weighted_into, adjoint=weighted_adjoint))


@pytest.mark.parametrize("mode", [Reverse, Forward])
@pytest.mark.parametrize("function", [failing_into, weighted_into])
def test_shadows_after_a_rule_failed(function, mode):
    """They are as they were, whatever the rule had done to them by then."""
    shadows = [np.full(3, 5.0), np.full(3, 6.0), np.full(3, 7.0)]
    primals = [np.zeros(3), np.array([1.0, -2.0, 3.0]), np.ones(3)]
    count = len(inspect.signature(function.py_func).parameters)
    pairs = zip(primals[:count], shadows[:count], strict=True)
    with pytest.raises(AutodiffError, match="A rule used by"):
        autodiff(mode, function, *[Duplicated(a, s) for a, s in pairs])
    for shadow, value in zip(shadows, (5.0, 6.0, 7.0), strict=True):
        np.testing.assert_array_equal(shadow, value)


def test_exception_after_arguments_were_overwritten():
    """The exception is that of the arguments as they were, though the function destroys them."""
    x, y = np.array([1.0, -2.0, 3.0]), np.zeros(3)
    dx, dy = np.full(3, 5.0), np.ones(3)
    with pytest.raises(Unphysical) as caught:
        autodiff(Reverse, half_done, Duplicated(y, dy), Duplicated(x, dx))
    assert caught.value.args == ("at", 1)
    np.testing.assert_array_equal(dx, np.full(3, 5.0))
    np.testing.assert_array_equal(dy, np.ones(3))


# Questions that make no sense.


@numba.njit
def product(x, y):
    return x * y


@numba.njit
def doubled(x):
    return 2.0 * x


@numba.njit
def complex_result(x):
    return x * 1j


@numba.njit
def writes_only(x):
    x[0] = 1.0


@numba.njit
def first(x):
    return x[0]


@numba.njit
def no_such_attribute(x):
    return x.nonsense


class Pair(NamedTuple):
    a: np.ndarray
    b: object


@jitclass([("a", numba.float64)])
class Box:
    def __init__(self, a):
        self.a = a


# What a type checker would refuse is to be refused at run time as well.
anything: Any = autodiff
argnums: Any = "x"
QUESTIONS = [
    (
        lambda: grad(lambda x: x),
        TypeError,
        r"`grad\(f\)` needs an @njit.*Got `<lambda>`.*@numba.njit",
    ),
    (lambda: jvp(math.sin, (1.0,), (1.0,)), TypeError, r"needs an @njit function. Got `sin`"),
    (lambda: grad(doubled)(X), UnsupportedTypeError, r"`doubled` must return a real.*Got a `array"),
    (lambda: grad(complex_result)(1.0), UnsupportedTypeError, r"Got a `complex128`"),
    (lambda: grad(writes_only)(X.copy()), TypeError, r"returns nothing.*use `vjp`, or `autodiff`"),
    (lambda: grad(product)(2, 3.0), TypeError, r"Got `x`, a value of type int64.*`2.0` instead"),
    (lambda: grad(first)(np.arange(3)), TypeError, r"an array of type array\(int64.*astype\(float"),
    (lambda: grad(product, argnums=2)(1.0, 2.0), ValueError, r"between 0 and 1.*Got 2\."),
    (lambda: grad(product, argnums=(0, -2))(1.0, 2.0), ValueError, r"once. Got \(0, -2\)"),
    (
        lambda: grad(product, argnums=argnums)(1.0, 2.0),
        TypeError,
        r"int or a tuple of ints. Got 'x'",
    ),
    (lambda: grad(product, argnums=True)(1.0, 2.0), TypeError, r"Got True"),
    (lambda: grad(product)(1.0), TypeError, r"arguments of `product\(x, y\)`.*missing.*'y'"),
    (lambda: grad(product)(1.0, 2.0, 3.0), TypeError, r"too many positional"),
    (lambda: grad(first)({"a": 1.0}), TypeError, r"takes numbers.*Got a dict for `x`.*tuple"),
    (lambda: grad(first)([1.0]), TypeError, r"Got a list for `x`.*np.array"),
    (lambda: grad(first)("text"), TypeError, r"Got a str for `x`"),
    (lambda: grad(first)((X, (1.0, [2.0]))), TypeError, r"Got a list for `x\[1\]\[1\]`"),
    (lambda: grad(first)(Pair(X, None)), AutodiffError, r"Numba cannot compile|must return"),
    (lambda: grad(first)(Box(1.0)), TypeError, r"`x`.*An instance is a constant: pass"),
    (lambda: grad(first)(np.array([None])), TypeError, r"dtype is object: convert"),
    (lambda: grad(first)(np.zeros(2, [("a", "f8")])), TypeError, r"fields are \('a',\)"),
    (lambda: grad(first)(np.zeros(2, "M8[D]")), TypeError, r"dtype is datetime64\[D\]: convert"),
    (lambda: grad(first)(np.zeros(2, np.float16)), TypeError, r"dtype is float16: convert"),
    (lambda: grad(first)(np.zeros(2, ">f8")), TypeError, r"native order"),
    (lambda: grad(first)(np.ma.array([1.0])), TypeError, r"`data` and its `mask`"),
    (lambda: jvp(first, (X,), (X[:2],)), ValueError, r"tangent of `x`.*\(3,\).*Got \(2,\)"),
    (lambda: jvp(product, (1.0, 2.0), (1j, None)), ValueError, r"`x` to be a real number. Got 1j"),
    (lambda: jvp(product, (1.0, 2.0), (1.0,)), ValueError, r"each of the 2 primals. Got 1"),
    (lambda: vjp(product, 1.0, 2.0)[1]("a"), ValueError, r"cotangent to be a real.*Got 'a'"),
    (lambda: vjp(product, 1.0, 2.0)[1](1.0, 2.0), ValueError, r"its 1 results. Got 2"),
    (lambda: anything("reverse", product), TypeError, r"`mode` to be Forward or Reverse. Got 'rev"),
    (lambda: anything(Reverse, first, X), TypeError, r"bare ndarray.*`Duplicated\(x, dx\)`"),
    (
        lambda: autodiff(Reverse, first, Active(X)),
        TypeError,
        r"Got `Active`.*`Duplicated\(x, dx\)`",
    ),
    (
        lambda: autodiff(Forward, product, Active(1.0), Const(1.0)),
        TypeError,
        r"a tangent. Got `Active`. Write `Duplicated",
    ),
    (
        lambda: autodiff(Reverse, product, Duplicated(1.0, 1.0), Const(1.0)),
        TypeError,
        r"is returned. Got `Duplicated`. Write `Active\(x\)`",
    ),
    (lambda: autodiff(Reverse, product, Active(1.0)), TypeError, r"missing.*'y'"),
    (lambda: in_place(X, X[:2]), ValueError, r"shape \(3,\).*Got \(2,\)"),
    (lambda: in_place(X, X.astype("f4")), ValueError, r"dtype float64.*float32"),
    (lambda: in_place(X, np.zeros(6)[::2]), ValueError, r"strides \(8,\).*\(16,\)"),
    (lambda: in_place(X, [0.0, 0.0, 0.0]), TypeError, r"to be an array. Got list"),
    (lambda: in_place((X, 1.0), (np.zeros(3),)), ValueError, r"tuple of 2.*Got a tuple of 1"),
    (lambda: in_place((X, 1.0), (np.zeros(3), 0.0)), TypeError, r"np.zeros\(\(\)\)"),
    (lambda: grad(product).inspect_llvm("optimized"), ValueError, r"optimised.*Got 'optimized'"),
    (lambda: grad(product).inspect_llvm(), ValueError, r"not been called yet. Call it once"),
]


@numba.njit
def of_tuple(t):
    return t[0].sum() * t[1]


def in_place(value, shadow):
    function = of_tuple if isinstance(value, tuple) else first
    return autodiff(Reverse, function, Duplicated(value, shadow))


@pytest.mark.parametrize(
    ("question", "kind", "words"), QUESTIONS, ids=[words[:30] for _, _, words in QUESTIONS]
)
def test_question_that_makes_no_sense(question, kind, words):
    with pytest.raises(kind, match=words):
        question()


def test_number_in_a_tuple_has_a_place():
    place = np.array(2.0)
    dx = np.zeros(3)
    autodiff(Reverse, of_tuple, Duplicated((X, 3.0), (dx, place)))
    assert place == 2.0 + X.sum()
    np.testing.assert_array_equal(dx, np.full(3, 3.0))
    autodiff(Reverse, of_tuple, Duplicated((X, 3.0), (None, place)))
    assert place == 2.0 + 2 * X.sum()


def test_read_only_arrays():
    x = X.copy()
    x.setflags(write=False)
    np.testing.assert_array_equal(grad(static_raise)(x), np.ones(3))
    assert grad(static_raise)(x).flags.writeable
    with pytest.raises(ValueError, match="writes the shadow of `x`. Got a read-only array"):
        autodiff(Reverse, static_raise, Duplicated(X, x))


# What has no derivative: which function, which symbol, what to do, and no compiler's babble.


def c_exp():
    library = ctypes.CDLL(None)
    function = library.exp
    function.restype, function.argtypes = ctypes.c_double, [ctypes.c_double]
    return function


opaque = enzyme_rules.c_function("opaque_of_the_error_test", c_exp(), ctypes.c_void_p)
raw_exp = c_exp()


@numba.njit
def calls_opaque(x):
    opaque(x)
    return x[0]


@numba.njit
def calls_opaque_deeper(x):
    return calls_opaque(x) * 2.0


@numba.njit
def calls_address(x):
    return raw_exp(x[0])


@numba.njit
def partitions(x):
    return np.nanmedian(x)


OPAQUE = {
    calls_opaque: ("opaque_of_the_error_test", "`calls_opaque`"),
    calls_opaque_deeper: ("opaque_of_the_error_test", "`calls_opaque_deeper`"),
}
OBSCURE = {
    calls_address: "enzyme_rules.c_function",
    partitions: "sorts or partitions",
}
_BABBLE = re.compile(r"_ZN|%\.|UNREACHABLE|Stack dump|Assertion|\[abi|0x[0-9a-f]+|<analysis>")


@pytest.mark.parametrize("mode", ["reverse", "forward"])
@pytest.mark.parametrize("function", OPAQUE, ids=lambda f: f.py_func.__name__)
def test_call_without_a_rule(function, mode):
    symbol, words = OPAQUE[function]
    with pytest.raises(NoDerivativeError, match=rf"{mode} mode.*enzyme_rules\.register") as caught:
        grad(function)(X) if mode == "reverse" else jvp(function, (X,), (X,))
    error = caught.value
    assert (error.symbol, error.stage) == (symbol, "differentiate")
    assert error.function == function.py_func.__qualname__
    assert f"`{symbol}`" in str(error)
    assert words in str(error)
    assert not _BABBLE.search(str(error)), str(error)


@pytest.mark.parametrize("function", OBSCURE, ids=lambda f: f.py_func.__name__)
def test_what_enzyme_cannot_see_through(function):
    with pytest.raises(AutodiffError, match=OBSCURE[function]) as caught:
        grad(function)(X)
    error: Any = caught.value
    assert (error.function, error.stage) == (function.py_func.__qualname__, "differentiate")
    assert not _BABBLE.search(str(error)), str(error)
    assert len(str(error)) < 500
    assert "Enzyme" in error.__cause__.stderr


def test_what_numba_cannot_compile():
    function = no_such_attribute
    with pytest.raises(
        AutodiffError, match=rf"Numba cannot compile `{function.py_func.__name__}\("
    ):
        grad(function)(1.0)
    with pytest.raises(AutodiffError) as caught:
        jvp(function, (1.0,), (1.0,))
    assert (caught.value.stage, caught.value.function) == ("lower", function.py_func.__qualname__)


def test_import_in_a_function():
    """Numba refuses it by an error that is none of its usual ones."""

    @numba.njit
    def imports(x):
        import math

        return math.sin(x)

    with pytest.raises(AutodiffError, match=r"Numba cannot compile `.*IMPORT_NAME"):
        grad(imports)(1.0)


def test_without_enzyme(tmp_path, monkeypatch):
    for name in ("ENZYME_PLUGIN", "ENZYME_DRIVER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ENZYME_SHT_CACHE", str(tmp_path))
    monkeypatch.setattr(llvm._enzyme, "HOMEBREW", ())

    @numba.njit
    def f(x):
        return x * x

    with pytest.raises(EnzymeNotFoundError, match="python -m llvm install-enzyme.*make enzyme"):
        grad(f)(1.0)
    assert f(2.0) == 4.0
