"""Lists of compiled calls in several threads: barriers, failures, threads that wait awake."""

import ctypes
import threading
import time

import numpy as np
import pytest

from llvm._steps import BARRIER, Box, Clearing, Shares

PROTOTYPE = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)


class Call:
    """A step that calls a Python function, which stands for compiled code here."""

    def __init__(self, run):
        self.function = PROTOTYPE(lambda words: run() or 0)

    @property
    def step(self):
        return ctypes.cast(self.function, ctypes.c_void_p).value or 0, 0


class Server:
    """A thread that serves whenever it is sent to."""

    def __init__(self):
        self.box, self.served = Box(), 0
        self._go = threading.Semaphore(0)
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            self._go.acquire()
            self.box.serve()
            self.served += 1

    def wake(self):
        self._go.release()


def run(shares, servers):
    for server, sleeps in zip(servers, shares.give([s.box for s in servers]), strict=True):
        if sleeps:
            server.wake()
    assert shares.are_given
    well = shares.lead()
    assert not shares.are_given
    return well


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_nobody_passes_a_barrier_before_all_have_come(threads):
    seen, kept, lists = [], [], []
    for k in range(threads):
        calls = [Call(lambda k=k, part=part: seen.append((part, k))) for part in range(4)]
        kept += calls
        # One thread has two calls before the first barrier, the others come to it at once.
        first = [calls[0].step] * (2 if k == threads - 1 else 0)
        lists.append([*first, BARRIER, calls[1].step, BARRIER, calls[2].step, calls[3].step])
    servers = [Server() for _ in range(threads - 1)]
    shares = Shares(lists)
    for _ in range(20):
        seen.clear()
        assert run(shares, servers)
        parts = [part for part, _ in seen]
        assert parts[:2] == [0, 0]
        assert parts[2 : 2 + threads] == [1] * threads
        assert sorted(parts[2 + threads :]) == [2] * threads + [3] * threads
        for k in range(threads):
            assert [part for part, who in seen if who == k and part > 0] == [1, 2, 3]


@pytest.mark.parametrize("failing", [0, 1])
def test_a_failure_is_told_once_and_stops_nobody(failing):
    done, fails = [], [True]
    calls = [
        Call(lambda k=k: done.append(k) or (5 if k == failing and fails[0] else 0))
        for k in range(2)
    ]
    shares, servers = Shares([[call.step, BARRIER, call.step] for call in calls]), [Server()]
    assert not run(shares, servers)
    assert sorted(done) == [0, 0, 1, 1]
    fails[0] = False
    assert run(shares, servers)


def test_a_thread_stays_awake_for_a_while():
    """What comes soon is run by the thread that is still there; later it must be woken."""
    call, server = Call(lambda: None), Server()
    shares = Shares([[], [call.step]])
    assert shares.give([server.box]) == [True]  # it sleeps at first
    server.wake()
    assert shares.lead()
    server.box.send_to_sleep()
    deadline = time.monotonic() + 10.0
    while server.served == 0 and time.monotonic() < deadline:
        time.sleep(0.001)
    assert server.served == 1
    assert shares.give([server.box]) == [True]
    # To wake it twice is of no consequence.
    server.wake()
    server.wake()
    assert shares.lead()
    assert run(shares, [server])


def test_it_goes_to_sleep_by_itself():
    box = Box()
    shares = Shares([[], []])
    assert shares.give([box]) == [True]
    waiting = threading.Thread(target=box.serve)
    waiting.start()
    assert shares.lead()
    waiting.join(timeout=10.0)
    assert not waiting.is_alive()
    assert shares.give([box]) == [True]
    again = threading.Thread(target=box.serve)
    again.start()
    assert shares.lead()
    again.join(timeout=10.0)


def test_clearing():
    array = np.arange(7.0)
    own = Clearing(array[2:5])
    assert Shares([[own.step()]]).lead()
    np.testing.assert_array_equal(array, [0.0, 1.0, 0.0, 0.0, 0.0, 5.0, 6.0])


def test_another_call_in_place_of_one():
    seen = []
    calls = [Call(lambda k=k: seen.append(k)) for k in range(3)]
    shares = Shares([[calls[0].step, calls[1].step]])
    shares.put(0, 1, calls[2].step)
    assert shares.lead()
    assert seen == [0, 2]


def test_barriers_that_differ_are_refused():
    with pytest.raises(ValueError, match="as many barriers"):
        Shares([[BARRIER], []])
