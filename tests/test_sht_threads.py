"""One field on several threads: the same bits, whoever does which part."""

import os
import threading

import numpy as np
import pytest

import sht
from sht import _division, _execute, _threads
from sht.grids import FullGaussian, HEALPix, OctahedralGaussian
from tests.sht_cases import MAPS, Case, given_to, transform

# Fewer tiles than threads, one group, odd sizes, many of both; rings of many lengths, two parts of
# one field, and single precision. Each part of a divided map is compiled for each kind of table.
CASES = [
    (Case(FullGaussian(1, 1), 0), MAPS),
    (Case(FullGaussian(7, 12), 5), MAPS),
    (Case(FullGaussian(33, 64), 31, 17), MAPS),
    (Case(FullGaussian(97, 192), 63), MAPS),
    (Case(OctahedralGaussian(24), 40, aliasing="fold"), MAPS),
    (Case(HEALPix(8), 20, spin=2, aliasing="fold"), ("synthesis", "adjoint_synthesis")),
    (Case(OctahedralGaussian(24), 40, dtype="float32"), ("analysis", "synthesis")),
]
every = pytest.mark.parametrize(
    ("case", "name"), [(case, name) for case, names in CASES for name in names], ids=str
)


@every
def test_divided_fields_are_the_same_bits(monkeypatch, case, name):
    given = given_to(name, case.transform(), 3)
    want = getattr(case.transform(), name)(given)
    monkeypatch.setattr(_execute, "_WORTH_DIVIDING", 0)
    for threads in (2, 3, 8):
        kept = given.copy()
        assert np.array_equal(getattr(case.transform(threads), name)(given), want)
        assert given.tobytes() == kept.tobytes()


@every
def test_batches_and_threads_change_no_bit(case, name):
    given = given_to(name, case.transform(), 4, (5,))
    alone = getattr(case.transform(), name)
    want = np.stack([alone(one) for one in given])
    for threads in (1, 2, 4):
        assert np.array_equal(getattr(case.transform(threads), name)(given), want)


@pytest.mark.parametrize("name", MAPS)
def test_large_fields_are_divided(monkeypatch, name):
    """From the size on where it pays; two fields for three threads too."""
    lmax = 255
    monkeypatch.setattr(_execute, "_WORTH_DIVIDING", 1 << 23)
    grid = sht.grids.FullGaussian.for_lmax(lmax)
    alone, shared = (sht.Transform(lmax, grid, threads=n) for n in (1, 3))
    used = []
    run = _division.run_at_once
    monkeypatch.setattr(_division, "run_at_once", lambda x: used.append(name) or run(x))
    batch = np.stack([given_to(name, alone, 3)] * 2)
    batch[1] *= 2
    assert np.array_equal(getattr(shared, name)(batch), getattr(alone, name)(batch))
    assert used == [name, name]


def test_parts_cover_everything_once():
    for costs in ([5], [1, 1, 1, 1], [0, 0, 9, 0, 0], list(range(40))):
        for count in (1, 2, 3, 8):
            parts = _division._equal_parts(np.array(costs), count)
            assert len(parts) <= count
            assert [k for a, b in parts for k in range(a, b)] == list(range(len(costs)))


def test_an_exception_comes_through():
    def fail_in_the_second(worker):
        if worker == 1:
            raise KeyError("second")

    with pytest.raises(KeyError, match="second"):
        _threads.in_threads(fail_in_the_second, 3)


def test_threads_are_used_again():
    first, second = set(), set()
    _threads.in_threads(lambda k: first.add(threading.get_ident()), 3)
    _threads.in_threads(lambda k: second.add(threading.get_ident()), 3)
    assert len(first) <= 3
    assert threading.get_ident() in first
    assert second <= first | {hand.ident for hand in _threads._idle}


def test_within_each_other():
    """A share may share again: nobody waits for a thread that waits."""
    done = []

    def outer(k):
        _threads.in_threads(lambda j: done.append((k, j)), 3)

    _threads.in_threads(outer, 3)
    assert sorted(done) == [(k, j) for k in range(3) for j in range(3)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_after_a_fork():
    """Threads do not survive one; the child starts its own."""
    _threads.in_threads(lambda k: None, 4)
    child = os.fork()
    if child == 0:
        done = []
        try:
            _threads.in_threads(done.append, 4)
        finally:
            os._exit(0 if sorted(done) == [0, 1, 2, 3] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_one_transform_in_many_threads_at_once(monkeypatch):
    monkeypatch.setattr(_execute, "_WORTH_DIVIDING", 0)
    t = transform(31, 31, 48, 96, threads=2)
    wants = {name: getattr(t, name)(given_to(name, t, 3)) for name in MAPS}
    wrong = []

    def work(name):
        for _ in range(20):
            if not np.array_equal(getattr(t, name)(given_to(name, t, 3)), wants[name]):
                wrong.append(name)

    threads = [threading.Thread(target=work, args=(name,)) for name in MAPS * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_an_interrupt_hangs_nobody(monkeypatch):
    """It comes while threads are woken that wait for each other."""
    monkeypatch.setattr(_execute, "_WORTH_DIVIDING", 0)
    monkeypatch.setattr(_threads, "_idle", [])  # those to come sleep at first
    t = transform(31, 31, 48, 96, threads=3)
    a = given_to("synthesis", t, 3)
    wake = _threads._Hand.wake

    def interrupt(hand):
        monkeypatch.setattr(_threads._Hand, "wake", wake)
        raise KeyboardInterrupt

    monkeypatch.setattr(_threads._Hand, "wake", interrupt)
    with pytest.raises(KeyboardInterrupt):
        t.synthesis(a)
    want = transform(31, 31, 48, 96).synthesis(a)
    for _ in range(3):
        assert np.array_equal(t.synthesis(a), want)


def test_what_fails_in_threads_is_done_alone(monkeypatch):
    monkeypatch.setattr(_execute, "_WORTH_DIVIDING", 0)
    monkeypatch.setattr(_division, "run_at_once", lambda shares: False)
    t = transform(31, 31, 48, 96, threads=2)
    for name in MAPS:
        given = given_to(name, t, 3)
        assert np.array_equal(
            getattr(t, name)(given), getattr(transform(31, 31, 48, 96), name)(given)
        )


def test_shares_of_python_after_those_of_compiled_code(monkeypatch):
    """The same threads, which may still be awake, do both."""
    monkeypatch.setattr(_execute, "_WORTH_DIVIDING", 0)
    t = transform(31, 31, 48, 96, threads=3)
    a = given_to("synthesis", t, 3)
    want = t.synthesis(a)
    for _ in range(20):
        assert np.array_equal(t.synthesis(a), want)
        done = []
        _threads.in_threads(done.append, 3)
        assert sorted(done) == [0, 1, 2]
