"""Loops that read what a later turn overwrites: stencils in place, rings of buffers."""

import re

import numba
import numpy as np
import pytest

from llvm._chosen_places import with_chosen_places_kept
from tests.gradient_checks import CHECKS, Case

X = np.random.default_rng(11).standard_normal(60) * 0.8


@numba.njit
def ahead(x):
    s = x.copy()
    for t in range(3, s.size - 6):
        s[t] = np.sin(s[t + 1])
    return (s**2).sum()


@numba.njit
def further_ahead(x):
    s = x.copy()
    for t in range(3, s.size - 6):
        s[t + 1] = s[t + 5] * s[t + 5] + s[t - 3]
    return (s**2).sum()


@numba.njit
def gauss_seidel(x):
    u = x.reshape(6, 10).copy()
    for _ in range(2):
        for i in range(1, u.shape[0] - 1):
            for j in range(1, u.shape[1] - 1):
                u[i, j] = np.sin(u[i - 1, j] * u[i + 1, j]) * u[i, j - 1] + u[i, j + 1] ** 2
    return (u**2).sum()


@numba.njit
def row_below_backwards(x):
    u = x.reshape(6, 10).copy()
    rows, columns = u.shape
    for i in range(rows - 1):
        for j in range(columns):
            u[i, j] = u[i + 1, j] * u[i + 1, columns - 1 - j]
    return (u**2).sum()


@numba.njit
def ring(x):
    s = x[:9].copy()
    i = 0
    for t in range(40):
        s[i] = np.sin(s[i + 1] * x[t])
        i = (i + 1) % 7
    return (s**2).sum()


@numba.njit
def two_rows_in_turns(x):
    d = np.zeros((2, 9))
    d[0] = x[:9]
    for t in range(5):
        read, write = d[t & 1], d[(t & 1) ^ 1]
        for j in range(1, 9):
            write[j] = read[j - 1] ** 2 * x[t]
    return d.sum()


@numba.njit
def alignment(x):
    """Dynamic programming that remembers two rows."""
    a, b = x[:20], x[20:40]
    d = np.zeros((2, 21))
    now = 1
    for i in range(1, 21):
        before = 1 - now
        d[now, 0] = x[0] ** 2 * i
        for j in range(1, 21):
            step = d[before, j - 1] * 0.9 + (a[i - 1] - b[j - 1]) ** 2
            d[now, j] = min(step, d[now, j - 1] ** 2 + 0.3)
        now = before
    return d.sum()


@numba.njit
def swapped_indices(x):
    s = x[:3].copy()
    i, j = 0, 1
    for t in range(12):
        s[i] = np.sin(s[j]) * x[t]
        i, j = j, i
    return s.sum()


@numba.njit
def complex_neighbours(x):
    """Enzyme dies of the first form of it that it is given."""
    z = 0.3 * x[:30] + 0.5j * x[30:]
    for t in range(1, z.size - 1):
        z[t] = z[t - 1] * z[t + 1] * 0.5 + z[t] ** 2
    return (np.abs(z) ** 2).sum()


@numba.njit
def indices_ahead(x):
    n = x.size
    q = np.arange(n) * 7 % n
    total = 1.0
    for t in range(3, n - 6):
        total = total * 0.9 + x[q[t + 1]] ** 2
        q[t] = (q[t + 1] + q[t]) % n
    return total


@numba.njit
def mask_ahead(x):
    m = x > 0
    total = 1.0
    for _ in range(3):
        for t in range(x.size - 1):
            if m[t + 1]:
                total = total * 0.9 + x[t] ** 2
            else:
                total -= x[t] ** 3 * 0.1
            m[t] = m[t + 1] != m[t]
    return total


@numba.njit
def unrolled_in_a_third(x):
    """Of two loads on two branches LLVM makes one, by a pointer that is chosen."""
    n = 12
    s = x[:12].copy()
    for i in range(9, 1, -1):
        for _ in range(2, n - 2):
            s[(i + 2) % n] = np.cos(s[3] + 0.5)
            for _ in range(n - 3, 1, -1):
                s[3] = np.sin(s[(i // 2 + 2) % n])
    return (s * np.arange(1.0, 13.0)).sum()


FUNCTIONS = [
    ahead,
    further_ahead,
    gauss_seidel,
    row_below_backwards,
    ring,
    two_rows_in_turns,
    alignment,
    swapped_indices,
    complex_neighbours,
    indices_ahead,
    mask_ahead,
    unrolled_in_a_third,
]
CASES = [Case(function=function, arguments=(X,)) for function in FUNCTIONS]


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__)
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_gradient(case, check):
    check(case)


LOOP = """
define void @f(ptr noalias %a, ptr noalias %b, i64 %m) {{
start:
  br label %loop
loop:
  %t = phi i64 [ 0, %start ], [ %next, %loop ]
  %k = phi i64 [ 1, %start ], [ %k.next, %loop ]
  %next = add nuw nsw i64 %t, 1
  %k.next = xor i64 %k, 1
  %row = mul i64 %t, %m
  %r = urem i64 %t, 7
  %place = getelementptr double, ptr %a, i64 %{read}
  %x = load double, ptr %place, align 8
  %y = fmul double %x, %x
  %target = getelementptr double, ptr %{array}, i64 %{write}
  store double %y, ptr %target, align 8
  %more = icmp ne i64 %next, 9
  br i1 %more, label %loop, label %end
end:
  ret void
}}
"""


@pytest.mark.parametrize(
    ("read", "array", "write", "kept"),
    [
        ("t", "a", "next", True),
        ("next", "a", "t", True),
        ("t", "a", "t", False),  # which Enzyme sees
        ("t", "b", "next", False),
        ("k", "a", "k.next", True),
        ("k", "a", "t", True),  # two that change together
        ("t", "a", "r", False),  # may be the same in any turn
        ("m", "a", "t", False),
    ],
)
def test_what_is_kept(read, array, write, kept):
    text = with_chosen_places_kept(LOOP.format(read=read, array=array, write=write))
    assert bool(re.search(r"%x = call double @kept_double", text)) == kept


PARTS = """
define void @f(ptr noalias %a, i64 %n) {{
start:
  br label %loop
loop:
  %t = phi i64 [ 0, %start ], [ %next, %loop ]
  %next = add nuw nsw i64 %t, 1
  %place = getelementptr {{ double, double }}, ptr %a, i64 %t
  %x = load double, ptr %place, align 8
  %y = fmul double %x, %x
  %target = getelementptr i8, ptr %place, i64 {distance}
  store {stored}, ptr %target, align 8
  %more = icmp ne i64 %next, %n
  br i1 %more, label %loop, label %end
end:
  ret void
}}
"""


@pytest.mark.parametrize(
    ("distance", "stored", "kept"),
    [
        (8, "double %y", False),  # the imaginary part, as in each turn
        (-8, "double %y", False),
        (16, "double %y", True),
        (-32, "double %y", True),
        (12, "double %y", True),  # no part of a number, but on it
        (8, "float 1.0", False),
        (8, "<2 x double> zeroinitializer", True),  # of which the size is not known here
    ],
)
def test_parts_of_complex_numbers(distance, stored, kept):
    text = with_chosen_places_kept(PARTS.format(distance=distance, stored=stored))
    assert ("@kept_double" in text) == kept
