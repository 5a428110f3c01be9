"""One field on several threads: the same bits, whoever does which part."""

import threading

import numpy as np
import pytest

import sht
from sht import _execute
from tests.sht_cases import random_pair, transform

MAPS = ("synthesis", "analysis", "adjoint_synthesis", "adjoint_analysis")
# (lmax, mmax, nlat, nlon): fewer tiles than threads, one group, odd sizes, many of both
SIZES = [(0, 0, 1, 1), (5, 5, 7, 12), (31, 17, 33, 64), (63, 63, 97, 192)]


def given_to(name, t):
    a, f = random_pair(t, 3)
    return a if name in ("synthesis", "adjoint_analysis") else f


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_divided_fields_are_the_same_bits(monkeypatch, size, name):
    want = getattr(transform(*size, threads=1), name)(given_to(name, transform(*size)))
    monkeypatch.setattr(_execute, "_WORTH_DIVIDING", 0)
    for threads in (2, 3, 8):
        t = transform(*size, threads=threads)
        given = given_to(name, t)
        kept = given.copy()
        assert np.array_equal(getattr(t, name)(given), want)
        assert given.tobytes() == kept.tobytes()


@pytest.mark.parametrize("name", MAPS)
def test_large_fields_are_divided(monkeypatch, name):
    """From the size on where it pays; two fields for three threads too."""
    lmax = 255
    monkeypatch.setattr(_execute, "_WORTH_DIVIDING", 1 << 23)
    grid = sht.grids.FullGaussian.for_lmax(lmax)
    alone, shared = (sht.Transform(lmax, grid, threads=n) for n in (1, 3))
    used = []
    divided = _execute._DIVIDED[name]
    monkeypatch.setitem(_execute._DIVIDED, name, lambda *x: (used.append(name), divided(*x)))
    batch = np.stack([given_to(name, alone)] * 2)
    batch[1] *= 2
    assert np.array_equal(getattr(shared, name)(batch), getattr(alone, name)(batch))
    assert used == [name, name]


def test_parts_cover_everything_once():
    for costs in ([5], [1, 1, 1, 1], [0, 0, 9, 0, 0], list(range(40))):
        for count in (1, 2, 3, 8):
            parts = _execute._equal_parts(np.array(costs), count)
            assert len(parts) <= count
            assert [k for a, b in parts for k in range(a, b)] == list(range(len(costs)))


def test_an_exception_comes_through():
    def fail_in_the_second(worker):
        if worker == 1:
            raise KeyError("second")

    with pytest.raises(KeyError, match="second"):
        _execute.in_threads(fail_in_the_second, 3)


def test_one_transform_in_many_threads_at_once(monkeypatch):
    monkeypatch.setattr(_execute, "_WORTH_DIVIDING", 0)
    t = transform(31, 31, 48, 96, threads=2)
    wants = {name: getattr(t, name)(given_to(name, t)) for name in MAPS}
    wrong = []

    def work(name):
        for _ in range(20):
            if not np.array_equal(getattr(t, name)(given_to(name, t)), wants[name]):
                wrong.append(name)

    threads = [threading.Thread(target=work, args=(name,)) for name in MAPS * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
