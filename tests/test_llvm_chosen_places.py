"""Arrays that are read under a chosen name and overwritten under another."""

import re

import numba
import numpy as np
import pytest

from llvm import grad
from llvm._chosen_places import with_chosen_places_kept
from tests.gradient_checks import CHECKS, Case

X = np.random.default_rng(3).standard_normal((3, 4)) + 1.5


@numba.njit
def scaled_rows(x):
    """A slice's start is a choice: it is the length where there is nothing."""
    b = x.copy()
    for i in range(b.shape[0]):
        b[i, :] = b[i, :] * np.sum(b[i, :])
    return (b**2).sum()


@numba.njit
def normalised_rows(x):
    b = np.exp(x)
    for i in range(b.shape[0]):
        b[i, :] = b[i, :] / np.sum(b[i, :])
    return (b**3 * np.arange(b.shape[1])).sum()


@numba.njit
def one_of_two(x, first):
    b = x.copy()
    row = b[0] if first else b[1]
    total = 0.0
    for v in row:
        total += v * v
    new = row * total
    for j in range(new.size):
        b[0, j] = new[j]
    return (b * b).sum()


@numba.njit
def replaced_by_another(x, second):
    b = x.copy()
    row = b[0]
    if second:
        row = b[1]
    total = 0.0
    for j in range(row.size):
        total += row[j] * row[j]
    for j in range(row.size):
        b[1, j] = row[j] * total
    return (b * b).sum()


@numba.njit
def from_a_list(x, k):
    b = x.copy()
    rows = [b[0], b[1]]
    row = rows[k]
    total = 0.0
    for j in range(row.size):
        total += row[j]
    new = row * total
    for j in range(new.size):
        b[0, j] = new[j]
    return (b * b).sum()


@numba.njit
def in_turns(x, steps):
    a, b = x[0].copy(), x[1].copy()
    for _ in range(steps):
        for j in range(a.size):
            b[j] = a[j] * a[j] * 0.5 + a[j - 1]
        a, b = b, a
    return (a * b).sum()


CASES = [
    Case(function=scaled_rows, arguments=(X,)),
    Case(function=normalised_rows, arguments=(X,)),
    *(Case(function=one_of_two, arguments=(X, first)) for first in (True, False)),
    *(Case(function=replaced_by_another, arguments=(X, second)) for second in (True, False)),
    *(Case(function=from_a_list, arguments=(X, k)) for k in (0, 1)),
    Case(function=in_turns, arguments=(X, 3)),
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__)
@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.name}{c.arguments[1:]}")
def test_gradient(case, check):
    check(case)


TEXT = """
define double @f(ptr noalias %a, ptr noalias readonly captures(none) %r, i1 %c, i64 %i) {
start:
  %slot = alloca ptr
  %other = getelementptr i8, ptr %a, i64 8
  br label %loop
loop:
  %along = phi ptr [ %a, %start ], [ %next, %loop ]
  %plain = load double, ptr %along
  %next = getelementptr i8, ptr %along, i64 8
  br i1 %c, label %loop, label %then
then:
  %either = phi ptr [ %a, %loop ], [ %other, %start ]
  %place = getelementptr double, ptr %either, i64 %i
  %open = load double, ptr %place, align 8
  %chosen = select i1 %c, ptr %a, ptr %r
  %open2 = load double, ptr %chosen
  %reads = select i1 %c, ptr %r, ptr %r
  %constant = load double, ptr %reads
  store ptr %r, ptr %slot
  %read = load ptr, ptr %slot
  %constant2 = load double, ptr %read
  %unknown = load ptr, ptr %a
  %open3 = load double, ptr %unknown, !noalias !3
  ret double %open
}
!3 = !{}
"""


def test_which_loads_are_marked():
    marked = with_chosen_places_kept(TEXT)
    assert re.findall(r"%(\w+) = load .*!enzyme_mustcache !4", marked) == [
        "open",
        "open2",
        "open3",
    ]
    assert marked.endswith("!4 = !{}\n")


def test_names_of_another_function_are_others():
    """There %row is one row of two, here it is memory of this function's own."""
    chosen = """define double @chosen(ptr %a, ptr %b, i1 %c) {
  %row = select i1 %c, ptr %a, ptr %b
  %open = load double, ptr %row
  ret double %open
}
"""
    own = """define double @own(ptr readonly %a, ptr readonly %b) {
  %row = alloca double
  %closed = load double, ptr %row
  ret double %closed
}
"""
    for text in (chosen + own, own + chosen):
        marked = with_chosen_places_kept(text)
        assert re.findall(r"%(\w+) = load .*!enzyme_mustcache", marked) == ["open"]


@numba.njit
def chosen_indices(x, first, table):
    row = table[0] if first else table[1]
    total = 0.0
    for j in range(3):
        total += x[row[j]] ** 2 * (j + 1)
    table[:] = 1
    return total


@pytest.mark.parametrize("first", [True, False])
def test_indices_that_are_overwritten(first):
    """Loads of integers are not marked: Enzyme keeps the places that they lead to."""
    x, table = np.array([1.0, 2.0, 3.0]), np.array([[0, 1, 2], [2, 1, 0]])
    factors = np.array([1.0, 2.0, 3.0] if first else [3.0, 2.0, 1.0])
    np.testing.assert_array_equal(grad(chosen_indices)(x, first, table), 2.0 * factors * x)
