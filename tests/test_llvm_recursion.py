"""Functions that call themselves with arrays: right, or refused."""

import numba
import numpy as np
import pytest

from enzyme_rules import RecomputedRule, register, unregister
from llvm import AutodiffError, grad, hvp, jvp
from llvm._enzyme import Enzyme
from llvm._lower import lower
from llvm._recursion import calling_themselves, is_recursive
from tests.own_cache import use_own_cache

RNG = np.random.default_rng(8)
X, V = RNG.standard_normal((2, 8))
C = RNG.standard_normal(8)


@numba.njit
def minors(a):
    n = a.shape[0]
    if n == 1:
        return a[0, 0]
    total = 0.0
    for j in range(n):
        rest = np.empty((n - 1, n - 1))
        for r in range(1, n):
            k = 0
            for q in range(n):
                if q != j:
                    rest[r - 1, k] = a[r, q]
                    k += 1
        total += (-1) ** j * a[0, j] * minors(rest)
    return total


@numba.njit
def determinant(a):
    """Its gradient was zero in reverse mode."""
    return minors(a)


@numba.njit(parallel=True)
def product_of_determinants(x):
    """The parallel loop is derived by itself."""
    out = np.empty(x.shape[0])
    for i in numba.prange(x.shape[0]):
        out[i] = minors(x[i])
    return out[0] * out[1] + out[2] ** 2


@numba.njit
def fourier(z):
    n = z.size
    if n == 1:
        return z.copy()
    even, odd = fourier(z[::2].copy()), fourier(z[1::2].copy())
    out = np.empty(n, np.complex128)
    for k in range(n // 2):
        w = np.exp(-2j * np.pi * k / n) * odd[k]
        out[k], out[k + n // 2] = even[k] + w, even[k] - w
    return out


@numba.njit
def spectrum(x, c):
    return (np.abs(fourier(x.astype(np.complex128))) ** 2 * c).sum()


@numba.njit
def merged(x):
    n = x.size
    if n < 2:
        return x.copy()
    a, b = merged(x[: n // 2]), merged(x[n // 2 :])
    out = np.empty(n)
    i = j = 0
    for k in range(n):
        if j >= b.size or (i < a.size and a[i] < b[j]):
            out[k] = a[i]
            i += 1
        else:
            out[k] = b[j]
            j += 1
    return out


@numba.njit
def ranked(x, c):
    return (merged(x) * c).sum()


@numba.njit
def quicksort(a, low, high):
    if low >= high:
        return
    pivot, i, j = a[(low + high) // 2], low, high
    while i <= j:
        while a[i] < pivot:
            i += 1
        while a[j] > pivot:
            j -= 1
        if i <= j:
            a[i], a[j] = a[j], a[i]
            i += 1
            j -= 1
    quicksort(a, low, j)
    quicksort(a, i, high)


@numba.njit
def ranked_in_place(x, c):
    """Numba compiles it for the literals 0 and 7, and that calls the one for any integers."""
    a = x.copy()
    quicksort(a, 0, 7)
    return (a * c).sum()


@numba.njit
def scaled(out, a, b, depth):
    """`which` is now what varies, now a constant; the names change sides from call to call."""
    which = out if depth > 1.5 else a
    for i in range(out.size):
        out[i] = out[i] * b[i] + which[i]
    if depth > 0.0:
        scaled(out, b, a, depth - 1.0)
        for i in range(out.size):
            out[i] += which[i] * depth


@numba.njit
def in_place(x, c):
    """Forward mode was silently wrong."""
    out = np.ones(x.size)
    scaled(out, x, c, 3.0)
    return (out**2).sum()


@numba.njit
def ones_below(x):
    if x.size < 2:
        return np.ones(2)
    if x.size > 5:
        return np.concatenate((ones_below(x[: x.size // 2]), x[:2]))
    below = ones_below(x[1:])
    out = np.zeros(below.size + 1)
    for i in range(below.size):
        out[i] += below[i] * x[0]
        out[i + 1] += x[1] * below[i]
    return out


@numba.njit
def starts_from_ones(x, c):
    """What does not vary is returned as what does."""
    return (ones_below(x) ** 2).sum() * c[0]


TABLE = np.arange(1.0, 9.0)


@numba.njit
def looked_up(out, x, depth):
    which = TABLE if depth > 1.5 else x
    for i in range(out.size):
        out[i] += which[i] * x[i]
    if depth > 0.0:
        looked_up(out, x, depth - 1.0)
        for i in range(out.size):
            out[i] *= which[i]


@numba.njit
def with_a_table(x, c):
    out = np.zeros(x.size)
    looked_up(out, x, 3.0)
    return out.sum() * c[0]


LARGE_TABLE = np.linspace(0.5, 2.0, 3000)


@numba.njit
def scaled_by(out, x, table, depth):
    which = table if depth > 1.5 else x
    for i in range(out.size):
        out[i] = out[i] * which[i] + x[i]
    if depth > 0.0:
        scaled_by(out, x, LARGE_TABLE, depth - 1.0)
        for i in range(out.size):
            out[i] *= which[i]


@numba.njit
def with_a_large_table(x, c):
    """Its numbers come after Enzyme, and the other table is handed over."""
    out = np.ones(x.size)
    scaled_by(out, x, TABLE, 3.0)
    return out.sum() * c[0]


@numba.njit(parallel=True)
def with_tables_in_prange(x, c):
    out = np.ones((3, x.size))
    for i in numba.prange(3):
        looked_up(out[i], x, 2.0)
    return (out[0] * out[1] + out[2]).sum() * c[0]


def test_determinant():
    a = RNG.standard_normal((4, 4))
    want = np.linalg.det(a) * np.linalg.inv(a).T
    np.testing.assert_allclose(grad(determinant)(a), want, rtol=1e-12)
    v = RNG.standard_normal((4, 4))
    np.testing.assert_allclose(jvp(determinant, (a,), (v,))[1], (want * v).sum(), rtol=1e-12)


def test_in_prange():
    a = RNG.standard_normal((3, 3, 3))
    d = np.linalg.det(a)
    adjugates = d[:, None, None] * np.linalg.inv(a).transpose(0, 2, 1)
    want = adjugates * np.array([d[1], d[0], 2 * d[2]])[:, None, None]
    np.testing.assert_allclose(grad(product_of_determinants)(a), want, rtol=1e-12)
    tangent = jvp(product_of_determinants, (a,), (a,))[1]
    np.testing.assert_allclose(tangent, (want * a).sum(), rtol=1e-12)


def test_in_a_rule_with_constants():
    """Of a `RecomputedRule`: what it takes for a constant has no shadow."""

    @numba.njit
    def into(out, a, c):
        out[0] = minors(a) * c[0]

    @numba.njit
    def calls(a, c):
        out = np.zeros(1)
        into(out, a, c)
        return out[0]

    a = RNG.standard_normal((3, 3))
    rule = RecomputedRule(into, outputs=(0,))
    register(rule)
    want = C[0] * np.linalg.det(a) * np.linalg.inv(a).T
    np.testing.assert_allclose(grad(calls)(a, C), want, rtol=1e-12)
    unregister(rule)
    rule = RecomputedRule(into, outputs=(0,), constants=(2,))
    register(rule)
    with pytest.raises(AutodiffError, match=r"calls itself.*Got a constant one"):
        grad(calls)(a, C)
    unregister(rule)


def test_fourier():
    want = 2 * (8 * np.fft.ifft(C * np.fft.fft(X))).real
    np.testing.assert_allclose(grad(spectrum)(X, C), want, rtol=1e-13, atol=1e-13)
    tangent = jvp(spectrum, (X, C), (V, None))[1]
    np.testing.assert_allclose(tangent, want @ V, rtol=1e-13)


@pytest.mark.parametrize("function", [ranked, ranked_in_place])
def test_sorting(function):
    want = np.empty(8)
    want[np.argsort(X)] = C
    np.testing.assert_array_equal(grad(function)(X, C), want)
    np.testing.assert_allclose(jvp(function, (X, C), (V, None))[1], want @ V, rtol=1e-14)


CONSTANTS = [with_a_table, with_a_large_table, with_tables_in_prange]


@pytest.mark.parametrize("function", [in_place, starts_from_ones, *CONSTANTS])
def test_varying_and_constant_arrays_under_one_name(function):
    x, c = X.copy(), C.copy()
    step = 1e-3
    f = [function(x + k * step * V, c) for k in (-2, -1, 1, 2)]
    estimate = (f[0] - f[3] + 8 * (f[2] - f[1])) / (12 * step)
    gradient = grad(function)(x, c)
    np.testing.assert_allclose(gradient @ V, estimate, rtol=1e-8)
    np.testing.assert_allclose(jvp(function, (x, c), (V, None))[1], gradient @ V, rtol=1e-12)
    np.testing.assert_array_equal(np.stack((x, c)), np.stack((X, C)))
    # Shadows of constants hold what has been added to them before.
    np.testing.assert_array_equal(grad(function)(x, c), gradient)
    np.testing.assert_allclose(jvp(function, (x, c), (V, None))[1], gradient @ V, rtol=1e-12)


@pytest.mark.parametrize("function", [with_a_table, with_a_large_table])
def test_second_derivatives_with_constants(function):
    product = hvp(function, (X, C), (V, None))[1]
    step = 1e-3
    g = [grad(function)(X + k * step * V, C) for k in (-2, -1, 1, 2)]
    estimate = (g[0] - g[3] + 8 * (g[2] - g[1])) / (12 * step)
    np.testing.assert_allclose(product, estimate, rtol=1e-7, atol=1e-7 * np.abs(estimate).max())


@numba.njit
def of_a_tree(left, right, values, i, work):
    if i < 0:
        return 0.0
    a = of_a_tree(left, right, values, left[i], work)
    b = of_a_tree(left, right, values, right[i], work)
    work[i] = a * 0.5 + b * values[i]
    return np.tanh(values[i] * (1 + a) - b * b)


@numba.njit
def tree(x, left, right):
    work = np.zeros(x.size)
    return of_a_tree(left, right, x * x, 0, work) + (work * x).sum()


@numba.njit
def steps_back(x, i):
    if i >= x.size:
        return 0.3
    return np.tanh(x[i] * (1 + steps_back(x, i + 1)) - steps_back(x, i + 2) ** 2)


@numba.njit
def sequence(x, left, right):
    return steps_back(x, 0)


@pytest.mark.parametrize("function", [tree, sequence])
def test_second_derivatives_of_two_calls(function):
    """Of the first, Enzyme came to no end: each call of itself was there once more, inlined."""
    nodes = np.array([1, 3, 5, 7, -1, -1, -1, -1]), np.array([2, 4, 6, -1, -1, -1, -1, -1])
    product = hvp(function, (X, *nodes), (V, None, None))[1]
    other = hvp(function, (X, *nodes), (C, None, None))[1]
    np.testing.assert_allclose(product @ C, other @ V, rtol=1e-11)
    step = 1e-3
    g = [grad(function)(X + k * step * V, *nodes) for k in (-2, -1, 1, 2)]
    estimate = (g[0] - g[3] + 8 * (g[2] - g[1])) / (12 * step)
    np.testing.assert_allclose(product, estimate, rtol=0, atol=1e-7 * np.abs(estimate).max())


def test_who_calls_themselves():
    kind = numba.typeof(X)
    for function, inner in ((spectrum, "fourier"), (ranked, "merged"), (in_place, "scaled")):
        types = (kind,) * len(function.py_func.__code__.co_varnames[:2])
        found = calling_themselves(lower(function, types).ir)
        assert len(found) == 1
        assert inner in found.pop()

    @numba.njit
    def by_number(n, x):
        return x[0] if n < 1 else by_number(n - 1, x) * x[1] + by_number(n - 2, x)

    @numba.njit
    def power(x):
        return by_number(4, x) * x[2]

    assert is_recursive(lower(power, (kind,)).ir)
    assert not is_recursive(lower(numba.njit(lambda x: (x * x).sum()), (kind,)).ir)


def test_no_end(monkeypatch, tmp_path):
    """One run that comes to no end is enough."""
    use_own_cache(monkeypatch, tmp_path)
    run = Enzyme.run_and_listen
    runs = []

    def hurried(self, ir, flags=()):
        runs.append(ir)
        return run(self, ir, flags, timeout=0.001)

    monkeypatch.setattr(Enzyme, "run_and_listen", hurried)
    monkeypatch.setattr(Enzyme, "run", lambda self, ir, flags=(): run(self, ir, flags)[0])
    with pytest.raises(AutodiffError, match=r"`spectrum`, .* no end in 0.001 s\. `\S*fourier` ca"):
        hvp(spectrum, (X, C), (V, None))
    assert len(runs) == 1
