"""One field as it stands takes a shorter way than all else: to the same bits, with all checks."""

import threading

import numpy as np
import pytest

from sht import _ring_transform
from tests.sht_cases import MAPS, SCALAR, SINGLE, SPIN, VECTOR, cases_and_maps, given_to, transform

SOME = cases_and_maps([SCALAR[0], SCALAR[-1], SPIN[0], VECTOR[0], SINGLE[0]])


@pytest.fixture
def short_way_only(monkeypatch):
    def refuse(*arguments):
        raise AssertionError("this is the long way")

    monkeypatch.setattr(_ring_transform, "apply_to_batch", refuse)


@pytest.mark.parametrize(("case", "name"), SOME, ids=str)
def test_takes_the_short_way(case, name, short_way_only):
    t = case.transform()
    given = given_to(name, t, 1)
    kept = given.copy()
    first = getattr(t, name)(given)
    assert (first.shape, first.dtype) == tuple(t.spaces[name][1])
    out = np.full_like(first, np.nan)
    assert getattr(t, name)(given, out=out) is out
    assert np.array_equal(out, first)
    assert np.array_equal(getattr(t, name)(2.0 * given), 2.0 * first)
    assert np.array_equal(given, kept)


@pytest.mark.parametrize(("case", "name"), SOME, ids=str)
def test_both_ways_give_the_same_bits(case, name, monkeypatch):
    t = case.transform()
    given = given_to(name, t, 1)
    short = getattr(t, name)(given)
    monkeypatch.setattr(_ring_transform, "apply_to_one", lambda *arguments: None)
    assert np.array_equal(getattr(t, name)(given), short)


@pytest.mark.parametrize("name", MAPS)
def test_what_needs_a_second_look_takes_the_long_way(name, short_way_only):
    t = transform(9, 8, 17, 19)
    given, run = given_to(name, t, 2), getattr(t, name)
    out = run(given)
    read_only = given.copy()
    read_only.setflags(write=False)
    for other in (given[None], given.tolist(), np.repeat(given, 2, -1)[..., ::2], read_only):
        with pytest.raises(AssertionError, match="long way"):
            run(other)
    with pytest.raises(AssertionError, match="long way"):
        run(given, out=np.repeat(out, 2, -1)[..., ::2])


@pytest.mark.parametrize("name", MAPS)
def test_results_become_inputs(name):
    """Memory that was an input is written, and the other way round, call after call."""
    t = transform(9, 8, 17, 19)
    back = {"synthesis": "adjoint_synthesis", "analysis": "adjoint_analysis"}
    back |= {there: here for here, there in back.items()}
    first, second = given_to(name, t, 3), given_to(back[name], t, 3)
    for _ in range(3):
        want = getattr(t, name)(first.copy())
        assert np.array_equal(getattr(t, name)(first, out=second), want)
        want = getattr(t, back[name])(second.copy())
        assert np.array_equal(getattr(t, back[name])(second, out=first), want)


def test_one_transform_in_many_threads():
    t = transform(31, 31, 48, 96)
    wants = {name: getattr(t, name)(given_to(name, t, 3)) for name in MAPS}
    wrong = []

    def work(name):
        given = given_to(name, t, 3)
        for _ in range(200):
            if not np.array_equal(getattr(t, name)(given), wants[name]):
                wrong.append(name)

    threads = [threading.Thread(target=work, args=(name,)) for name in MAPS * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
