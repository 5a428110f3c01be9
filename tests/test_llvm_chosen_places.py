"""Arrays that are read under a chosen name and overwritten under another."""

import re

import numba
import numpy as np
import pytest

from llvm import grad
from llvm._chosen_places import with_chosen_places_kept
from tests.gradient_checks import CHECKS, Case
from tests.own_cache import use_own_cache

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


@numba.njit
def rebound_and_replaced(x):
    """What is written by the name `a` was read by the name `b`, one turn before."""
    a, b = x[:4].copy(), x[4:].copy()
    for i in range(3):
        a, b = b, a + b[1] ** 2
        if i % 2:
            a = a * 0.5
        a[1] = 2.0
    return (a * b).sum()


@numba.njit
def transposed_and_overwritten(x):
    """Whether the source is copied first is found out when it runs: a choice in each load."""
    a = x.reshape((2, 3, 2, 2)).copy()
    b = np.zeros((2, 2, 3, 2))
    b[:] = np.transpose(a, (3, 0, 1, 2))
    b *= b
    a *= 1.5
    return b.sum()


WEIGHTS = np.arange(1.0, 19.0).reshape(3, 6)


@numba.njit
def written_by_way_of_a_list(x, indices):
    """What is read as b[0] may be written as row: the list has it by another address."""
    b = x.copy().reshape(3, 6)
    q = np.sin(x[:6])
    rows = [b[0], b[1], q]
    t, p = 0.5, 3
    row = b[0]
    for i in range(6):
        for j in range(5, -1, -1):
            p = (p + 4) % 6
            t = t * row[(j // 2 - 1) % 6] * 0.5 + q[p] * 0.3
            row = rows[j % 3]
            row[indices[i] % 6] = t * row[3] * 0.5 + b[0, p] * 0.3
    return (b * WEIGHTS).sum()


@numba.njit
def chosen_by_llvm(x, indices):
    """Unrolled, with no loop left: what stands on two branches becomes one load."""
    b = x.copy().reshape(3, 6)
    q = np.sin(x[:6])
    rows = [b[0], b[1], q]
    t = 0.5
    for i in range(6):
        row = rows[i % 3]
        t = t * row[indices[i] % 6] * 0.5 + b[0, i // 2 + 1] * 0.3
        b[1, (i // 2 - 1) % 6] = b[2, indices[i] % 6] * b[1, i // 2 + 1] * 0.7
    return t


@numba.njit
def columns_and_rows(x, indices):
    """Where the function itself came out wrong: loads declared to find the same were merged."""
    b = x.copy().reshape(3, 6)
    q = np.sin(x[:6])
    t, p = 0.5, 3
    row, column = b[0], b[:, 1]
    for i in range(5, -1, -1):
        if b[0, -1 - i % 3] > 0.1:
            column[0] = np.cos(q[1]) * row[p]
            row = q if i % 2 else b[1]
        for j in range(6):
            for k in range(5, -1, -1):
                column[2] = t * row[k // 2 + 1] * 0.5 + q[1] * 0.3
                row = b[1]
            b[2, p] += np.cos(b[1, -1 - j % 3]) * b[1, j - 6] * 0.2
        for j in range(6):
            t = np.cos(row[(i // 2 - 1) % 6]) * row[-1 - j % 3]
            for _ in range(5, -1, -1):
                row[p] = np.cos(b[2, 0]) * row[-1 - i % 3]
                b[2, -1 - i % 3] = np.tanh(q[-1 - i % 3] + t)
                if row[(j + 2) % 6] > 0.1:
                    q[(j - 2) % 6] = t * b[2, indices[j] % 6] * 0.5 + row[(i // 2 - 1) % 6] * 0.3
                    column = b[:, -1 - i % 3]
                p = (p + 3) % 6
            for _ in range(5, -1, -1):
                if b[0, p] > 0.1:
                    row[i % 6] = t * b[0, 2] * 0.5 + row[i - 6] * 0.3
                    row = b[0] if b[1, -1 - i % 3] > 0.0 else b[1]
                row[3] += np.cos(q[3]) * row[indices[i] % 6] * 0.2
    return (b * WEIGHTS).sum() + (q * q).sum() + t + row[2] * row[3]


INDICES = np.array([3, 0, 7, 5, 5, 1, 9, 2, 8, 11, 4, 6, 10, 0, 3, 7])


def rows(seed):
    return np.random.default_rng(seed).normal(size=18) * 0.5


CASES = [
    Case(function=written_by_way_of_a_list, arguments=(rows(60), INDICES)),
    Case(function=chosen_by_llvm, arguments=(rows(1009), INDICES)),
    Case(function=columns_and_rows, arguments=(rows(30), INDICES)),
    Case(function=scaled_rows, arguments=(X,)),
    Case(function=normalised_rows, arguments=(X,)),
    *(Case(function=one_of_two, arguments=(X, first)) for first in (True, False)),
    *(Case(function=replaced_by_another, arguments=(X, second)) for second in (True, False)),
    *(Case(function=from_a_list, arguments=(X, k)) for k in (0, 1)),
    Case(function=in_turns, arguments=(X, 3)),
    Case(function=rebound_and_replaced, arguments=(X.ravel()[:8],)),
    Case(function=transposed_and_overwritten, arguments=(np.concatenate((X, -X)).ravel(),)),
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__)
@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.name}{c.arguments[1:]}"[:40])
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
  %open4 = load double, ptr %read
  %unknown = load ptr, ptr %a
  %open3 = load double, ptr %unknown, !noalias !3
  call void @use(double %plain, double %open, double %open2)
  call void @use(double %constant, double %open4, double %open3)
  ret double %open
}
!3 = !{}
"""


def test_which_numbers_are_kept():
    kept = with_chosen_places_kept(TEXT)
    calls = re.findall(r"%(\w+) = call double @kept_double\(double %\"read (\w+)\"\)", kept)
    assert calls == [(name, name) for name in ("open", "open2", "open4", "open3")]
    assert kept.count("define internal double @kept_double(") == 1


def test_what_a_chosen_pointer_overwrites_is_kept():
    """Also where it is read by its own name; not what nothing else is written to."""
    text = """
define void @f(ptr noalias %a, ptr noalias %b, i1 %c) {
start:
  %read = load double, ptr %a
  %other = load double, ptr %b
  %where = select i1 %c, ptr %a, ptr null
  store double 0.0, ptr %where
  store double 0.0, ptr %b
  call void @use(double %read, double %other, double 0.0)
  ret void
}
"""
    kept = with_chosen_places_kept(text)
    assert re.findall(r"%(\w+) = call double @kept_double", kept) == ["read"]


@pytest.mark.parametrize(
    ("use", "kept"),
    [
        ("store double %open, ptr %b", False),
        ("%sum = fadd double %open, 1.0\n  store double %sum, ptr %b", False),
        ("%twice = fmul contract double 2.0, %open\n  store double %twice, ptr %b", False),
        ("%square = fmul double %open, %open\n  store double %square, ptr %b", True),
        ("%sum = fsub double 1.0, %open\n  call void @use(double %sum)", True),
        ("%larger = fcmp ogt double %open, 0.0", True),
    ],
)
def test_what_is_only_copied_and_added_up_is_not_kept(use, kept):
    """No derivative depends on it."""
    text = f"""
define void @f(ptr %a, ptr noalias %b, i1 %c) {{
start:
  %chosen = select i1 %c, ptr %a, ptr null
  %open = load double, ptr %chosen
  {use}
  ret void
}}
"""
    assert ("@kept_double" in with_chosen_places_kept(text)) == kept


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
        kept = with_chosen_places_kept(text)
        assert re.findall(r"%(\w+) = call double @kept_double", kept) == ["open"]


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
    """Such integers are not kept by us: Enzyme keeps the places that they lead to."""
    x, table = np.array([1.0, 2.0, 3.0]), np.array([[0, 1, 2], [2, 1, 0]])
    factors = np.array([1.0, 2.0, 3.0] if first else [3.0, 2.0, 1.0])
    np.testing.assert_array_equal(grad(chosen_indices)(x, first, table), 2.0 * factors * x)


def test_loads_that_llvm_goes_on_merging(monkeypatch, tmp_path):
    """Should there be no end of it, the module goes to Enzyme as it is, with all loads kept."""
    expected = grad(one_of_two)(X, True)
    use_own_cache(monkeypatch, tmp_path)
    monkeypatch.setattr("llvm._ordered_runs._MOST_GOES", 0)
    # Not the very function, whose gradient is in memory.
    function = numba.njit(lambda x, first: one_of_two(x, first))
    np.testing.assert_allclose(grad(function)(X, True), expected, rtol=1e-14)
