"""Rules that are compiled separately: once for all gradients, and with the same results."""

import resource
from pathlib import Path

import numba
import numpy as np
import pytest

from enzyme_rules import CustomRule, LinearRule, register, unregister
from llvm import (
    AutodiffError,
    Const,
    Duplicated,
    Reverse,
    _separate,
    autodiff,
    grad,
    hvp,
    jvp,
    linear_transpose,
    value_and_grad,
)
from llvm import compiled as run
from tests.own_cache import use_own_cache


class SeparateRule(CustomRule):
    separate = True


@numba.njit
def _square_into(y, x):
    if x[0] > 100.0:
        raise ValueError("too large")
    scratch = x * x
    y[:] = scratch


@numba.njit
def _augmented(y, dy, x, dx):
    _square_into(y, x)
    return x.copy()


@numba.njit
def _reverse(y, dy, x, dx, kept):
    if kept[0] == 7.0:
        raise ValueError("seven")
    if dx is not x:
        dx += 2.0 * kept * dy
    dy[:] = 0.0


@numba.njit
def _nothing(y, dy, x, dx, kept):
    dy[:] = 0.0


@numba.njit
def _forward(y, dy, x, dx):
    _square_into(y, x)
    if dy is y:
        return
    dy[:] = 2.0 * x * dx if dx is not x else 0.0 * x


@numba.njit
def total(x):
    y = np.empty_like(x)
    _square_into(y, x)
    return y.sum()


@numba.njit
def fourth(x):
    y = np.empty_like(x)
    _square_into(y, x)
    z = np.empty_like(x)
    _square_into(z, y)
    return z.sum()


@pytest.fixture(autouse=True)
def rule():
    made = SeparateRule(
        _square_into, augmented_primal=_augmented, reverse=_reverse, forward=_forward
    )
    register(made)
    yield
    unregister(made)


@pytest.fixture
def compiled(monkeypatch, tmp_path):
    """The parts that are compiled, in order; with a cache that is empty."""
    use_own_cache(monkeypatch, tmp_path)
    monkeypatch.setattr(_separate, "_parts", {})
    parts = []
    original = _separate._compile

    def compile_(call, part):
        parts.append(part)
        return original(call, part)

    monkeypatch.setattr(_separate, "_compile", compile_)
    return parts


X = np.array([1.0, 2.0, -3.0])


def test_compiled_once_for_all_gradients(compiled, monkeypatch):
    value, gradient = value_and_grad(total)(abs(X))
    assert value == 14.0
    assert (gradient == 2 * abs(X)).all()
    assert compiled == ["gradient"]
    assert (grad(fourth)(X) == 4 * X**3).all()
    assert compiled == ["gradient"]
    assert jvp(fourth, (X,), (np.ones(3),)) == (98.0, (4 * X**3).sum())
    assert compiled == ["gradient", "derivative"]
    # As in another process.
    monkeypatch.setattr(_separate, "_parts", {})
    assert jvp(total, (X,), (np.ones(3),)) == (14.0, (2 * X).sum())
    assert compiled == ["gradient", "derivative"]


def test_twice_and_not_at_all(compiled):
    """Derived once more, Enzyme looks into the rule; the function itself needs no derivative."""
    gradient, product = hvp(fourth, (X,), (np.ones(3),))
    assert (gradient == 4 * X**3).all()
    assert (product == 12 * X**2).all()
    assert run(fourth)(X) == 98.0
    assert set(compiled) == {"function"}


def test_a_failure_is_told(compiled):
    with pytest.raises(AutodiffError, match="A rule used by `total` failed"):
        grad(total)(200 * abs(X))
    with pytest.raises(AutodiffError, match="A rule used by `total` failed"):
        jvp(total, (200 * abs(X),), (X,))
    with pytest.raises(AutodiffError, match="A rule used by `total` failed"):
        grad(total)(7 * abs(X))


def test_another_rule_is_heeded(compiled):
    assert (grad(total)(abs(X)) == 2 * abs(X)).all()
    other = SeparateRule(_square_into, augmented_primal=_augmented, reverse=_nothing)
    register(other)
    try:
        assert (grad(total)(abs(X)) == 0.0).all()
    finally:
        unregister(other)
    assert compiled == ["gradient", "gradient"]


# Linear rules: given the adjoint, and derived from the function by Enzyme.


@numba.njit
def _blur_into(y, x, w):
    for i in range(x.size):
        y[i] = w[0] * x[i] + w[1] * x[i - 1]


@numba.njit
def _blur_adjoint(y, x, w):
    for i in range(x.size):
        x[i] += w[0] * y[i]
        x[i - 1] += w[1] * y[i]


@numba.njit
def blurred(x, w):
    y = np.empty_like(x)
    _blur_into(y, x, w)
    return (y**3).sum()


@numba.njit
def blur(y, x, w):
    _blur_into(y, x, w)


W = np.array([2.0, -0.5])
MATRIX = 2.0 * np.eye(3) - 0.5 * np.roll(np.eye(3), 1, axis=0)


@pytest.fixture(params=[None, _blur_adjoint], ids=["derived", "given"])
def linear(request):
    made = LinearRule(_blur_into, adjoint=request.param, separate=True)
    register(made)
    yield
    unregister(made)


@pytest.mark.usefixtures("linear")
def test_linear_rules(compiled):
    y = MATRIX @ X
    want = MATRIX.T @ (3 * y**2)
    # Linear all through, its derivative needs no values, nor what makes them.
    dx = np.zeros(3)
    linear_transpose(blur, Duplicated(np.empty(3), y.copy()), Duplicated(X, dx), Const(W))
    assert (dx == MATRIX.T @ y).all()
    assert compiled == ["gradient"]
    value, gradient = value_and_grad(blurred)(X, W)
    assert value == (y**3).sum()
    assert (gradient == want).all()
    assert compiled == ["gradient", "function"]
    assert jvp(blurred, (X, W), (np.ones(3), None)) == (value, want.sum())
    assert run(blurred)(X, W) == value
    assert compiled == ["gradient", "function", "derivative"]
    again, product = hvp(blurred, (X, W), (np.ones(3), None))
    assert (again == want).all()
    assert (product == MATRIX.T @ (6 * y * (MATRIX @ np.ones(3)))).all()


@pytest.mark.usefixtures("linear")
def test_a_constant_that_varies_is_told(compiled):
    with pytest.raises(AutodiffError, match="A rule used by `blurred` failed"):
        grad(blurred, 1)(X, W)
    with pytest.raises(AutodiffError, match="A rule used by `blurred` failed"):
        jvp(blurred, (X, W), (None, W))


def resident():
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_what_parts_allocate_is_given_back(compiled):
    """Also where the gradient itself allocates nothing."""

    @numba.njit
    def squares(y, x):
        _square_into(y, x)

    x, y = np.ones(50_000), np.empty(50_000)
    shadows = Duplicated(y, np.ones(50_000)), Duplicated(x, np.zeros(50_000))

    def run_often():
        for _ in range(200):
            autodiff(Reverse, squares, *shadows)

    run_often()
    before = resident()
    run_often()
    assert resident() - before < 20 << 20  # 200 temporaries are 80 MB
    assert compiled == ["gradient"]
