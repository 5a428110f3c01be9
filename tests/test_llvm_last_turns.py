"""What the last turns of nested loops leave behind, and what is made of it behind them."""

import numba
import numpy as np
import pytest

from llvm._last_turns import with_last_turns_kept
from tests.gradient_checks import CHECKS, Case

X = np.linspace(0.2, 0.9, 18)


@numba.njit
def before_the_last(x):
    b = x.copy()
    t, y = 0.5, 0.0
    for _ in range(20):
        for j in range(18):
            y = t
            b[j] += x[1] * b[1] * 0.02
            t = np.cos(b[j])
    return np.tanh(y)


@numba.njit
def made_of_the_one_before(x):
    b = x.copy()
    t, y = 0.5, 0.0
    for i in range(20):
        for j in range(18):
            y = t * x[i % 3] + 1
            b[j] += x[1] * b[1] * 0.02
            t = np.cos(b[j])
    return np.tanh(y) * t


@numba.njit
def two_before(x):
    b = x.copy()
    t, y, z = 0.5, 0.1, 0.2
    for _ in range(20):
        for j in range(18):
            z, y = y * t, t
            b[j] += x[1] * b[1] * 0.02
            t = b[j] * b[j]
    return z * y * t


@numba.njit
def in_a_third(x):
    b = x.copy()
    t, y, total = 0.5, 0.0, 0.0
    for _ in range(15):
        for _ in range(20):
            for j in range(18):
                y = t
                b[j] += x[1] * b[1] * 0.002
                t = np.cos(b[j])
        total += y * y * t
    return total


@numba.njit
def ended_early(x):
    """How often the inner loop runs is known only when it has run. This was refused."""
    b = x.copy()
    t, y, total = 0.5, 0.0, 0.0
    for _ in range(20):
        for j in range(18):
            y = t
            b[j] += x[1] * b[1] * 0.02
            t = np.cos(b[j])
            if b[j] > 1.0:
                break
        total += y * y
    return total + y * t


@numba.njit
def carried_through_memory(x):
    """What is kept inside of the loop cuts what goes from turn to turn."""
    b = x.copy().reshape(3, 6)
    q = np.sin(x[:6])
    t = 0.5
    row, column = b[0], b[:, 1]
    for _ in range(5, -1, -1):
        for j in range(5, -1, -1):
            for k in range(5, -1, -1):
                column[1] += t * row[0] * 0.05 + b[1, 3] * 0.06
                b[0, j - 6] += np.cos(q[1]) * row[k // 2 + 1] * 0.02
                column = b[:, 0]
                row = b[k % 3]
            q[k - 6] = np.tanh(row[2] + t)
            t = np.cos(b[0, j - 6]) * b[2, j // 2 + 1]
    return (q * q).sum()


@numba.njit
def index_before_the_last(x):
    b = x.copy()
    p, q = 3, 0
    indices = np.arange(18)
    for i in range(20):
        for j in range(18):
            q = p
            p = indices[(i * j) % 18]
            indices[j] = (p * 5 + 3) % 18
    return np.sin(b[q]) ** 2 * b[p]


@numba.njit
def index_of_what_varies(x):
    b = x.copy()
    p, q, total = 3, 0, 0.0
    for _ in range(20):
        for j in range(18):
            q = p
            total += b[j]
            b[j] = 0.5 + 0.5 * np.sin(total) ** 2
            p = int(b[j] * 9)
    return b[q] * b[p] + x[q] ** 2


@numba.njit
def largest(x):
    """What adds up, or is chosen, over all turns."""
    total = 0.0
    for i in range(6):
        most, product = x[i], 1.0
        for j in range(18):
            most = max(most, x[j] * x[i])
            product *= x[j] + 0.5
        for j in range(18):
            total += np.exp(x[j] * x[i] - most) * product
    return np.log(total)


FUNCTIONS = [
    before_the_last,
    made_of_the_one_before,
    two_before,
    in_a_third,
    ended_early,
    carried_through_memory,
    index_before_the_last,
    largest,
]
CASES = [
    *(Case(function=function, arguments=(X,)) for function in FUNCTIONS),
    # The sum goes through the sine three hundred times.
    Case(function=index_of_what_varies, arguments=(X,), eps=1e6 * np.finfo(np.float64).eps),
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__)
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_gradient(case, check):
    check(case)


TEXT = """
define double @f(ptr %a, double %x) {{
start:
  br label %outer
outer:
  %i = phi i64 [ 0, %start ], [ %i.next, %behind ]
  br label %inner
inner:
  %j = phi i64 [ 0, %outer ], [ %j.next, %inner ]
  %before = phi double [ 1.0, %outer ], [ %made, %inner ]
  %sum = phi double [ 0.0, %outer ], [ %sum.next, %inner ]
  %place = getelementptr double, ptr %a, i64 %j
  %read = load double, ptr %place
  %made = fmul double %read, %x
  %sum.next = fadd double %sum, %read
  %j.next = add i64 %j, 1
  %more = icmp ult i64 %j.next, 9
  br i1 %more, label %inner, label %behind
behind:
  %i.next = add i64 %i, 1
  %again = icmp ult i64 %i.next, 9
  br i1 %again, label %outer, label %end
end:
  %result = {used}
  %squared = fmul double %result, %result
  ret double %squared
}}
"""


@pytest.mark.parametrize(
    ("used", "kept"),
    [
        ("fadd double %before, %x", "before"),
        ("fadd double %x, %sum.next", ""),
        ("fadd double %x, %read", ""),
        ("sitofp i64 %j to double", ""),
    ],
)
def test_what_is_kept(used, kept):
    text = with_last_turns_kept(TEXT.format(used=used))
    assert ("@left_double(double %before)" in text) == bool(kept)
    assert text.count("call double @left_double(") == bool(kept)
    if kept:
        # In the loop that makes it, and used behind it in its place.
        inner, behind = text.split("behind:")
        assert '%"left before" = call' in inner
        assert 'fadd double %"left before", %x' in behind
        assert with_last_turns_kept(text) == text
