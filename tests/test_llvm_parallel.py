"""`parallel=True`: gradients as of the serial function, in threads, the same in each run."""

import os
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import numba
import numpy as np
import pytest
from numba import prange
from numba.np.ufunc.parallel import get_thread_id

from llvm import AutodiffError, compiled, grad, hvp, jvp, value_and_grad, vjp

RNG = np.random.default_rng(8)
X = RNG.standard_normal(101)
M = RNG.standard_normal((37, 11))
EPS = np.finfo(float).eps
ROOT = Path(__file__).resolve().parent.parent


def neighbours_and_sum(x, a):
    """Reads that overlap between parts, a parameter of all, a sum."""
    y = np.empty_like(x)
    for i in prange(x.size):
        y[i] = np.sin(a * x[i]) * x[(i + 1) % x.size]
    total = 0.0
    for i in prange(x.size):
        total += y[i] ** 2
    return total


def array_expressions(m, a):
    """No loop to be seen: Numba makes parallel loops of these."""
    y = np.exp(-a * m) * (m + 1.0)
    return (y * y).sum() + y.mean() + np.sqrt(np.abs(m)).sum() + np.max(y)


def product_and_extrema(x, a):
    p = 1.0
    for i in prange(x.size):
        p *= 1.0 + 0.01 * a * x[i]
    largest = -1e300
    for i in prange(x.size):
        largest = max(largest, x[i] * a)
    return p + largest


def nested_loops(m, a):
    out = np.zeros_like(m)
    for i in prange(m.shape[0]):
        row = m[i]
        for j in range(m.shape[1]):
            s = 0.0
            for k in range(j + 1):
                s += row[k] * a
            out[i, j] = s * s
    return out.sum()


def array_reduction(m, a):
    """Each part adds to an array of its own."""
    total = np.zeros(m.shape[1])
    for i in prange(m.shape[0]):
        total += m[i] * a
    return (total**3).sum()


def steps_in_time(x, a):
    """What was read is overwritten before the reverse pass comes to it."""
    u = x.copy()
    v = np.empty_like(u)
    for _ in range(4):
        for i in prange(u.size):
            bend = u[i - 1] - 2.0 * u[i] + u[(i + 1) % u.size]
            v[i] = u[i] + 0.1 * a * np.sin(bend * u[i])
        for i in prange(u.size):
            u[i] = v[i]
    return (u * u).sum()


def in_place(x, a):
    u = x.copy()
    for _ in range(3):
        for i in prange(u.size):
            u[i] = np.sin(u[i]) * a
    return u.sum()


def scattered(x, a):
    """Written at places that only the run tells, which never meet."""
    y = np.zeros(x.size)
    for i in prange(x.size):
        y[(7 * i) % x.size] = x[i] * x[i] * a
    return (y[1:] * y[:-1]).sum()


def alternating(x, a):
    """Even items are written, odd ones read by two parts: one array."""
    u = x.copy()
    for i in prange(x.size // 2 - 1):
        u[2 * i + 1] = u[2 * i] * u[2 * i + 2] * a
    return (u * u).sum()


def views(x, a):
    """Two names for one array."""
    u = x.copy()
    left, right = u[:-1], u[1:]
    y = np.empty(x.size - 1)
    for i in prange(y.size):
        y[i] = left[i] * right[i] * a
    return y.sum()


def temporaries(m, a):
    total = 0.0
    for i in prange(m.shape[0]):
        t = np.empty(m.shape[1])
        for j in range(m.shape[1]):
            t[j] = np.exp(m[i, j] * a)
        total += (t * t).sum() / t.sum()
    return total


def branches(x, a):
    total = 0.0
    count = 0
    for i in prange(x.size):
        if x[i] > 0.0:
            total += x[i] ** 2 * a
            count += 1
        elif x[i] < -1.0:
            total += -np.exp(x[i])
    return total / count


@numba.njit
def smooth(y, x, i):
    y[i] = 0.5 * (x[i] + x[i - 1])


@numba.njit(parallel=True)
def norm(x):
    s = 0.0
    for i in prange(x.size):
        s += x[i] * x[i]
    return s


def calls(x, a):
    """Functions that are given whole arrays, and one that is parallel itself."""
    y = np.empty_like(x)
    for i in prange(x.size):
        smooth(y, x, i)
    total = 0.0
    for i in prange(3):
        total += norm(y[i:]) * a
    return total + norm(x * y)


def strided(m, a):
    t = m.T[::-1, ::2]
    out = np.empty(t.shape)
    for i in prange(t.shape[0]):
        for j in range(t.shape[1]):
            out[i, j] = t[i, j] * t[0, j] * a
    return out.sum()


def complex_numbers(x, a):
    total = 0.0
    for i in prange(x.size):
        z = np.exp(1j * x[i] * a) * (x[i] + 2.0j)
        total += z.real * z.imag
    return total


def start_and_nothing(x, a):
    """A loop that does not begin at zero, and one that does not begin at all."""
    y = np.zeros(x.size)
    for i in prange(3, x.size - 2):
        y[i] = x[i] ** 2 * a
    for i in prange(5, 5):
        y[i] = 1e9 * x[i]
    return y.sum()


def reshaped(x, a):
    """Enzyme kept the shadow of what it read the array's place from; the sign was wrong then."""
    out = np.zeros(6)
    for i in prange(6):
        block = x[16 * i : 16 * i + 16].reshape((4, 4))
        out[i] = block[0, 1] * block[3, i % 4] * a
    return out[0] * out[5] + out.sum()


def chosen(x, a):
    y = x * a
    total = 0.0
    for i in prange(x.size - 8):
        z = x if x[i] > 0.0 else y
        window = z[i : i + 8]
        shorter = window[1:] if window[0] < window[7] else window[:-1]
        total += shorter[0] ** 2 * z[i + 8] * a
    return total


CASES = [
    *((f, X) for f in (neighbours_and_sum, product_and_extrema, steps_in_time, in_place)),
    *((f, X) for f in (scattered, alternating, views, branches, calls, complex_numbers)),
    *((f, M) for f in (array_expressions, nested_loops, array_reduction, temporaries, strided)),
    *((f, X) for f in (start_and_nothing, reshaped, chosen)),
]
IDS = [f.__name__ for f, _ in CASES]


LAUNCHED = numba.get_num_threads()


def threads(n):
    return min(n, LAUNCHED)


@pytest.fixture(autouse=True)
def _two_threads():
    before = numba.get_num_threads()
    numba.set_num_threads(threads(2))
    yield
    numba.set_num_threads(before)


def in_both(function):
    return numba.njit(parallel=True)(function), numba.njit(function)


def close(got, want, growth=512.0):
    scale = np.max(np.abs(want))
    np.testing.assert_allclose(got, want, rtol=0, atol=growth * EPS * scale)


@pytest.mark.parametrize(("function", "x"), CASES, ids=IDS)
def test_gradient_is_that_of_the_serial_function(function, x):
    parallel, serial = in_both(function)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        value, (by_x, by_a) = value_and_grad(parallel, argnums=(0, 1))(x, 0.7)
    wanted, (x_wanted, a_wanted) = value_and_grad(serial, argnums=(0, 1))(x, 0.7)
    close(value, wanted)
    close(by_x, x_wanted)
    close(by_a, a_wanted)
    # Forward mode, one argument constant.
    t = RNG.standard_normal(x.shape)
    _, tangent = jvp(parallel, (x, 0.7), (t, None))
    assert abs(tangent - np.vdot(x_wanted, t)) <= 512 * EPS * np.linalg.norm(x_wanted) * 1e2
    _, tangent = jvp(parallel, (x, 0.7), (None, 1.0))
    close(tangent, a_wanted)


def test_by_some_arguments_only():
    """Constant arrays stay as they are, to the bit."""
    parallel, serial = in_both(alternating)
    x = X.copy()
    close(grad(parallel, argnums=1)(x, 0.7), grad(serial, argnums=1)(x, 0.7))
    np.testing.assert_array_equal(x, X)


def test_single_precision():
    parallel, serial = in_both(array_reduction)
    m = M.astype(np.float32)
    got = grad(parallel)(m, np.float32(0.7))
    assert got.dtype == np.float32
    want = grad(serial)(M, 0.7)
    np.testing.assert_allclose(got, want, atol=64 * np.finfo(np.float32).eps * np.abs(want).max())


def test_hessian_vector_product():
    for function, x in ((neighbours_and_sum, X), (array_reduction, M)):
        parallel, serial = in_both(function)
        t = RNG.standard_normal(x.shape)
        close(hvp(parallel, (x, 0.7), (t, None))[1], hvp(serial, (x, 0.7), (t, None))[1])


def fill(y, x):
    for i in prange(x.size):
        y[i] = x[i] * x[i - 1]


def test_outputs_and_returned_arrays():
    parallel, serial = in_both(fill)
    y, dy = np.zeros_like(X), RNG.standard_normal(X.size)
    (value,), pullback = vjp(parallel, y, X, argnums=1)
    (wanted,), other = vjp(serial, y, X, argnums=1)
    np.testing.assert_array_equal(value, wanted)
    close(pullback(dy)[0], other(dy)[0])
    compiled(parallel)(y, X)
    np.testing.assert_array_equal(y, wanted)


def test_same_bits_in_every_run():
    gradient = value_and_grad(numba.njit(parallel=True)(neighbours_and_sum), argnums=(0, 1))
    x = RNG.standard_normal(10_000)
    first = gradient(x, 0.7)
    for _ in range(20):
        again = gradient(x, 0.7)
        assert again[0] == first[0]
        assert again[1][1] == first[1][1]
        np.testing.assert_array_equal(again[1][0], first[1][0])


def which_thread(x, seen):
    total = 0.0
    for i in prange(x.size):
        seen[i] = get_thread_id()
        total += x[i] ** 2
    return total


def test_threads_are_used():
    """The parts of a loop have the numbers 0, 1, …, one for each of Numba's threads."""
    seen = np.full(X.size, -1)
    gradient = grad(numba.njit(parallel=True)(which_thread))
    close(gradient(X, seen), 2 * X)
    assert sorted(set(seen)) == list(range(threads(2)))
    numba.set_num_threads(1)
    close(gradient(X, seen), 2 * X)
    assert set(seen) == {0}


def test_more_threads_than_here():
    """Seven parts, some of them empty; again in a process that takes the result from the cache."""
    code = """
        import numba, numpy as np
        from llvm import value_and_grad
        from tests.test_llvm_parallel import CASES, in_both
        for function, x in CASES[:1] + CASES[10:13]:
            for part in (x, x[:3]):
                parallel, serial = in_both(function)
                got = value_and_grad(parallel)(part.copy(), 0.7)
                want = value_and_grad(serial)(part.copy(), 0.7)
                assert np.allclose(got[0], want[0], rtol=1e-13, atol=0)
                assert np.allclose(got[1], want[1], rtol=1e-12, atol=1e-13 * abs(want[1]).max())
        print(numba.get_num_threads())
    """
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)],
            cwd=ROOT,
            env={**os.environ, "NUMBA_NUM_THREADS": "7"},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == "7"


@numba.njit
def checked(x, n):
    if n > 100:
        raise ValueError("too many")
    return x * x


def refused(x, n):
    total = 0.0
    for i in prange(x.size):
        total += checked(x[i], n)
    return total


def test_an_exception_in_a_loop():
    """A derivative of half a loop is not passed on."""
    gradient = grad(numba.njit(parallel=True)(refused))
    close(gradient(X, 3), 2 * X)
    with pytest.raises((ValueError, AutodiffError)):
        gradient(X, 1000)


def racing(x):
    last = 0.0
    for i in prange(x.size):
        last = x[i] * 2.0
    return last


@pytest.mark.filterwarnings("ignore::numba.core.errors.NumbaParallelSafetyWarning")
def test_what_runs_serially_says_so():
    with pytest.warns(RuntimeWarning, match=r"loop in `racing` \(.*runs serially .* same variable"):
        gradient = grad(numba.njit(parallel=True)(racing))(X)
    want = np.zeros_like(X)
    want[-1] = 2.0
    np.testing.assert_array_equal(gradient, want)


def allocating(m, a):
    total = 0.0
    for i in prange(m.shape[0]):
        t = np.exp(m[i] * a)
        u = t[::-1].copy()
        total += (t * u).sum()
    return total


def test_no_memory_is_lost():
    resource = pytest.importorskip("resource")
    gradient = value_and_grad(numba.njit(parallel=True)(allocating))
    m = RNG.standard_normal((64, 2_000))
    for _ in range(5):
        gradient(m, 0.5)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(200):
        gradient(m, 0.5)  # 2 MB and more each
    unit = 1 if sys.platform == "darwin" else 1024
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit < 100e6
