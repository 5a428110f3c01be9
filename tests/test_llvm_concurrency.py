"""Gradients from many threads at once, without the GIL, and memory that does not grow."""

import gc
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numba
import numpy as np
import pytest

from llvm import Const, Duplicated, Reverse, autodiff, grad, jvp, value_and_grad

S = np.linspace(0.1, 1.0, 200)


@numba.njit
def allocating(x):
    t = np.zeros(x.size)
    for i in range(10):
        u = x * (1.0 + i % 3)
        t[i] = (u * u).sum()
    return np.cumsum(t * x).sum() + np.concatenate((t, x)).sum()


@numba.njit
def halving(x):
    t = x.copy()
    while t.sum() > 1.0:
        t = t * 0.5
    return (t * t).sum()


@numba.njit
def swapping(x):
    a, b = x.copy(), np.zeros_like(x)
    for _ in range(5):
        for i in range(1, a.size - 1):
            b[i] = a[i - 1] * a[i + 1]
        a, b = b, a
    return a.sum()


@numba.njit
def raising(x):
    t = x * 2.0
    if t[0] > 0.0:
        raise ValueError("no")
    return t.sum()


@numba.njit
def growing(x, n):
    """The number of steps is not known before: Enzyme's tape is resized while it runs."""
    total, k = x[0], 0
    while k < n:
        total = np.sin(total) + x[k % x.size]
        k += 1 if total < 100.0 else 2
    return total


@numba.njit
def long_loop(x, n):
    total = 0.0
    for k in range(n):
        total += np.sin(x[k % x.size] + total)
    return total


def resident():
    """Bytes of memory that this process holds."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        pytest.skip("no /proc on this machine")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def expect_value_error():
    with pytest.raises(ValueError, match="no"):
        grad(raising)(S)


CALLS = {
    "reverse": lambda: grad(allocating)(S),
    "forward": lambda: jvp(allocating, (S,), (S,)),
    "loop": lambda: grad(halving)(S),
    "swap": lambda: grad(swapping)(S),
    "swap forward": lambda: jvp(swapping, (S,), (S,)),
    "tape": lambda: grad(growing)(S, 500),
    "exception": expect_value_error,
}


@pytest.mark.parametrize("name", CALLS)
def test_memory_does_not_grow(name):
    """1,000 calls; each of them allocates between 2 and 60 kB, so that a leak of any would show."""
    call = CALLS[name]
    for _ in range(100):
        call()
    gc.collect()
    before = resident()
    for _ in range(1000):
        call()
    gc.collect()
    assert resident() - before < 1e6


def test_blocks_are_aligned_and_whole():
    """Tapes of many sizes, resized on the way: what is read back is what was written."""
    for n in (1, 7, 64, 1000, 20_000):
        value, gradient = value_and_grad(growing)(S, n)
        _, tangent = jvp(growing, (S, n), (S, None))
        assert value == growing(S, n)
        np.testing.assert_allclose(gradient @ S, tangent, rtol=1e-10)


def test_same_gradient_from_many_threads():
    arrays = [np.random.default_rng(k).uniform(0.1, 1.0, 200) for k in range(32)]
    want = [grad(allocating)(x) for x in arrays]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            got = list(pool.map(grad(allocating), arrays))
            for g, w in zip(got, want, strict=True):
                np.testing.assert_array_equal(g, w)


def test_exceptions_stay_in_their_thread():
    @numba.njit
    def checked(x):
        t = x * x
        if x[0] < 0.0:
            raise ValueError("negative", x[1])
        return t.sum()

    def run(k):
        x = np.full(50, float(k + 1))
        if k % 2:
            x[0] = -1.0
            with pytest.raises(ValueError, match="negative") as caught:
                grad(checked)(x)
            return caught.value.args[1] == k + 1
        return bool(np.all(grad(checked)(x) == 2.0 * x))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(run, range(64)))


def test_compiling_from_many_threads():
    """Each asks first for the same, then for one of its own."""

    @numba.njit
    def shared(x):
        return (x * x).sum()

    def made(k):
        @numba.njit
        def own(x):
            return k * (x * x).sum()

        return own

    barrier = threading.Barrier(4)

    def run(k):
        barrier.wait()
        return grad(shared)(S), grad(made(k + 1.0))(S)

    with ThreadPoolExecutor(4) as pool:
        for k, (first, second) in enumerate(pool.map(run, range(4))):
            np.testing.assert_allclose(first, 2 * S, rtol=1e-15)
            np.testing.assert_allclose(second, 2 * (k + 1) * S, rtol=1e-15)


def test_the_gil_is_released():
    """Python goes on while a gradient runs.

    The gradient's thread sets an event right before its call and one right after it. If the call
    held the GIL, this thread could not see the first without the second.
    """
    shadow = np.zeros(8)
    x = np.linspace(0.1, 1.0, 8)
    autodiff(Reverse, long_loop, Duplicated(x, shadow), Const(10))
    began, ended = threading.Event(), threading.Event()

    def run():
        began.set()
        autodiff(Reverse, long_loop, Duplicated(x, shadow), Const(3_000_000))
        ended.set()

    seen = 0
    for _ in range(5):  # the scheduler may leave this thread waiting once, but not each time
        began.clear()
        ended.clear()
        thread = threading.Thread(target=run)
        thread.start()
        began.wait()
        while not ended.is_set():
            seen += 1
        thread.join()
    assert seen > 1000
