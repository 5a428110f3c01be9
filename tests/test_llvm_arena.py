"""Memory of compiled derivatives: blocks that grow, that are spare, and that are given back."""

import ctypes
import threading
from typing import Any

import llvmlite.binding as llvm
import numpy as np
import pytest

from llvm._arena_runtime import provide_arena

PLACE, WORD = ctypes.c_void_p, ctypes.c_int64
MEGABYTE = 1 << 20


def function(name, result, *arguments):
    provide_arena()
    return ctypes.CFUNCTYPE(result, *arguments)(llvm.address_of_symbol(name))


@pytest.fixture
def call():
    """What runs something between the begin and the end of a call of a derivative."""
    begin, end = function("arena_begin", PLACE, PLACE), function("arena_end", None, PLACE, PLACE)

    def run(body):
        ring = (ctypes.c_int64 * 3)(0, 0, -1)
        outer = begin(ring)
        try:
            return body()
        finally:
            end(ring, outer)

    return run


def numbers(place, count):
    return np.ctypeslib.as_array(ctypes.cast(place, ctypes.POINTER(ctypes.c_double)), (count,))


def grown(sizes, salt=0.0):
    """Places of one block of all these sizes: it keeps what is in it, numbers that `salt` sets."""
    resize = function("arena_resize", PLACE, PLACE, WORD)
    places: list[Any] = [None]
    filled = 0
    for size in sizes:
        place = resize(places[-1], size)
        assert place % 64 == 0
        values = numbers(place, size // 8)
        there = min(filled, len(values))
        np.testing.assert_array_equal(values[:there], salt + np.arange(there))
        filled = len(values)
        values[:] = salt + np.arange(filled)
        places.append(place)
    return places[1:]


DOUBLED = [64, 4096, 40_000, *(MEGABYTE << k for k in range(5))]


@pytest.mark.parametrize("sizes", [DOUBLED, DOUBLED[3:], [MEGABYTE, 100, 2 * MEGABYTE]])
def test_a_block_that_grows_keeps_what_it_has(call, sizes):
    for k in range(3):
        call(lambda k=k: grown(sizes, 0.5 * k))


def test_what_grew_before_has_room_at_once(call):
    """The second time no page is fresh and nothing is copied, but from small to large."""
    sizes = [3 * MEGABYTE << k for k in range(4)]
    call(lambda: grown(sizes))
    places = call(lambda: grown(sizes))
    assert len(set(places)) == 1
    assert set(call(lambda: grown(sizes))) == set(places)


def test_two_blocks_that_grow_have_room_each(call):
    sizes = [5 * MEGABYTE, 10 * MEGABYTE, 20 * MEGABYTE]

    def both():
        resize = function("arena_resize", PLACE, PLACE, WORD)
        places = [None, None]
        for size in sizes:
            for k in range(2):
                places[k] = resize(places[k], size)
                numbers(places[k], size // 8)[:] = k
        for k in range(2):
            assert (numbers(places[k], sizes[-1] // 8) == k).all()
        return places

    for _ in range(3):
        first, second = call(both)
        assert abs(first - second) >= sizes[-1]


def test_a_large_spare_block_is_not_taken_for_a_small_one(call):
    allocate = function("arena_allocate", PLACE, WORD)
    large = call(lambda: allocate(48 * MEGABYTE))
    assert call(lambda: allocate(48 * MEGABYTE)) == large
    (small,) = call(lambda: grown([MEGABYTE]))
    assert not large <= small < large + 48 * MEGABYTE
    assert call(lambda: allocate(48 * MEGABYTE)) == large


def test_many_spare_blocks(call):
    """More than half of the places: none of them is fresh the second time."""
    allocate = function("arena_allocate", PLACE, WORD)
    sizes = [150_000 + 10_000 * (k % 7) for k in range(300)]

    def all_of_them():
        return {allocate(size) for size in sizes}

    first = call(all_of_them)
    assert call(all_of_them) == first


def test_from_many_threads(call):
    """Each block belongs to one thread at a time."""
    allocate = function("arena_allocate", PLACE, WORD)
    wrong = []

    def work(number):
        def body():
            values = [numbers(allocate(100_000 + 50_000 * (k % 3)), 12_500) for k in range(20)]
            for each in values:
                each[:] = number
            grown([70_000 << k for k in range(4)], number)
            wrong.extend(number for each in values if not (each == number).all())

        for _ in range(20):
            call(body)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
