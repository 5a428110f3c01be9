"""Hessian-vector products where one run of Enzyme does not know what it has kept."""

import math
import re

import numba
import numpy as np
import pytest

import llvm._ordered_runs
from enzyme_rules import LinearRule, register, unregister
from llvm import AutodiffError, grad, hvp
from llvm._kept_integers import with_types_of_integers
from tests.gradient_checks import flat
from tests.own_cache import use_own_cache

X = np.array([0.3, -1.2, 0.7, 2.1, 1.4, -0.5])
M = np.random.default_rng(0).standard_normal((4, 5))
GRID = np.linspace(-2.03, 3.0, 6)


@numba.njit
def interpolated(x):
    return (np.interp(x, GRID, np.sin(GRID)) ** 3).sum()


@numba.njit
def chosen(m):
    return (np.where(m > 0.1, m**3, m * m) * m).sum()


@numba.njit
def unique(x):
    return (np.unique(x) ** 3).sum() * x[1]


@numba.njit
def median(x):
    return np.median(x) ** 3 + (x**4).sum()


@numba.njit
def triangle(m):
    a = m * m
    np.fill_diagonal(a, 3.0)
    return (np.tril(a) * m).sum()


@numba.njit
def rebound(u):
    for _ in range(3):
        new = u.copy()
        new[1:-1] += 0.1 * (u[:-2] + u[2:] - 2.0 * u[1:-1]) * u[1:-1]
        u = new
    return (u**3).sum() + np.diff(u).sum() ** 2


@numba.njit
def copied_singly(u):
    """Single items move as integers of their size, which are not counted with."""
    total = 0.0
    for k in range(3):
        new = u.copy()
        new[1:-1] += 0.1 * (u[:-2] + u[2:] - 2.0 * u[1:-1]) * u[1:-1]
        one = u[k : k + 1].copy()
        kept = one if k else new[2:3].copy()
        total += one[0] ** 3 * u[k + 1] * kept[0]
        u = new
    return total + (u**3).sum()


@numba.njit
def signs_and_powers_of_two(u):
    """Parts of the bits of a number, in code whose types are lost."""
    total = 0.0
    for k in range(3):
        new = u.copy()
        new[1:-1] += 0.1 * (u[:-2] + u[2:] - 2.0 * u[1:-1]) * u[1:-1]
        u = new
        m, e = math.frexp(u[k])
        total += m**3 * e + np.copysign(u[k] ** 2, u[k + 1]) + np.abs(u[k]) ** 3
        total += u[k] ** 3 if np.signbit(u[k + 2]) else u[k] ** 4
    return total


@numba.njit
def mix_into(y, x):
    for i in range(x.size):
        y[i] = 2.0 * x[i] + x[i - 1]


@numba.njit
def through_a_rule(x):
    y = np.empty_like(x)
    mix_into(y, np.interp(x, GRID, np.sin(GRID)) ** 2)
    return (y**3).sum()


@pytest.fixture(scope="module", autouse=True)
def _rule():
    rule = LinearRule(mix_into)
    register(rule)
    yield
    unregister(rule)


@numba.njit
def halves(x, start, end):
    if end - start == 1:
        return x[start] ** 3
    middle = (start + end) // 2
    return 0.5 * halves(x, start, middle) * x[0] + 1.5 * halves(x, middle, end)


@numba.njit
def recursive_twice(x):
    """It took Enzyme minutes and gigabytes."""
    return halves(x, 0, x.size)


FUNCTIONS = [
    (interpolated, X),
    (chosen, M),
    (unique, X),
    (median, X),
    (triangle, M),
    (rebound, X),
    (copied_singly, X),
    (signs_and_powers_of_two, X),
    (through_a_rule, X),
    pytest.param(recursive_twice, X, marks=pytest.mark.slow),  # half a minute to compile
]


@pytest.fixture
def second_runs(monkeypatch, tmp_path):
    """How often Enzyme was run a second time, with nothing in the cache."""
    use_own_cache(monkeypatch, tmp_path)
    runs = []

    def counted(text):
        runs.append(text)
        return then_forwards(text)

    then_forwards = llvm._ordered_runs.then_forwards
    monkeypatch.setattr(llvm._ordered_runs, "then_forwards", counted)
    return runs


@pytest.mark.parametrize(("function", "x"), FUNCTIONS, ids=lambda f: getattr(f, "__name__", ""))
def test_products(function, x, second_runs, monkeypatch):
    """Symmetry, and differences of fourth order of the gradient."""
    if function is through_a_rule:  # which one run would do for
        monkeypatch.setattr(llvm._ordered_runs, "is_recursive", lambda ir: True)
    rng = np.random.default_rng(1)
    u, v = rng.standard_normal((2, *x.shape))
    step = 1e-3

    def at(k):
        return grad(function)(x + k * step * v)

    gradient, product = hvp(function, (x,), (v,))
    estimate = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * step)
    size = np.abs(estimate).max()
    np.testing.assert_allclose(product, estimate, rtol=0, atol=1e-8 * size)
    np.testing.assert_allclose(gradient, grad(function)(x), rtol=1e-12, atol=1e-14)
    _, other = hvp(function, (x,), (u,))
    # For others one run may do, with what it is told of the arguments.
    assert second_runs or function not in (chosen, rebound, through_a_rule, recursive_twice)
    left, right = flat(u) @ flat(product), flat(v) @ flat(other)
    assert abs(left - right) <= 1e-12 * size


@numba.njit
def pairs(u):
    """complex64 as one integer of both parts: refused, if it is not right."""
    total = 0.0
    for k in range(3):
        new = u.copy()
        new[1:-1] += 0.1 * (u[:-2] + u[2:] - 2.0 * u[1:-1]) * u[1:-1]
        two = np.empty(1, np.complex64)
        two[0] = u[k] + 1j * u[k + 1]
        pair = two.copy()
        total += np.float64(pair[0].real) * np.float64(pair[0].imag)
        u = new
    return total


@numba.njit
def viewed(u):
    """Moved as integers that are counted with too, and back."""
    total = 0.0
    for k in range(3):
        new = u.copy()
        new[1:-1] += 0.1 * (u[:-2] + u[2:] - 2.0 * u[1:-1]) * u[1:-1]
        bits = new.view(np.int64).copy()
        total += 1.0 * (bits[k] // 3 + 1 > 0)
        u = bits.view(np.float64)
    return total + (u**3).sum()


@pytest.mark.parametrize("function", [pairs, viewed], ids=lambda f: f.__name__)
def test_bits_are_not_taken_for_integers(function):
    v = np.cos(X)
    try:
        _, product = hvp(function, (X,), (v,))
    except AutodiffError:
        return  # said so, at least
    h = 1e-2
    estimate = (grad(function)(X + h * v) - grad(function)(X - h * v)) / (2 * h)
    np.testing.assert_allclose(product, estimate, rtol=0, atol=1e-3 * np.abs(estimate).max())


TEXT = """
define i64 @f(ptr %p, ptr %q, i64 %n) {
  %counted = load i64, ptr %p
  %index = add i64 %counted, 1
  %place = getelementptr double, ptr %q, i64 %index
  %copied = load i64, ptr %place
  store i64 %copied, ptr %q
  %sign = load i64, ptr %place
  %masked = and i64 %sign, 9223372036854775807
  %larger = add i64 %masked, %n
  %absolute = bitcast i64 %larger to double
  store double %absolute, ptr %q
  %limit = load i32, ptr %p
  %moved = zext i32 %limit to i64
  %most = call i64 @llvm.smax.i64(i64 %moved, i64 %n)
  %half = load i32, ptr %place
  %other = select i1 true, i32 %half, i32 0
  store i32 %other, ptr %q
  %flag = load i1, ptr %p
  %pointer = load ptr, ptr %p
  %number = load double, ptr %q
  ret i64 %most
}
"""


def test_what_is_said_of_loads():
    said = with_types_of_integers(TEXT)
    tagged = dict(re.findall(r"%(\w+) = load .*, !tbaa (!\d+)", said))
    assert tagged.keys() == {"counted", "limit", "flag", "pointer"}
    assert tagged["counted"] == tagged["limit"] == tagged["flag"] != tagged["pointer"]
    for name, kind in (("counted", "long"), ("pointer", "any pointer")):
        own = re.search(rf"^{tagged[name]} = !{{(!\d+), ", said, re.M)
        assert own
        assert f'{own[1]} = !{{!"{kind}"' in said
