"""Arrays that nested loops hand from turn to turn, and that are used behind both."""

import numba
import numpy as np
import pytest

from llvm import hvp
from llvm._last_turns import with_last_turns_kept
from llvm._uses import Uses
from tests.gradient_checks import CHECKS, Case

X = np.random.default_rng(17).standard_normal(16) * 0.4 + 0.9
TABLE = np.array([3, 0, 2, 1])


@numba.njit
def pair(x, steps):
    """LLVM unrolls what is done to four items: to know that it is four takes `reshape`."""
    a = x.reshape(4, 4)
    p, q = x[:4] * 1.0, x[4:8] * 1.0
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            p, q = q * a[i, steps[j] % 4], p
    return (p * q).sum() + (q**3).sum()


@numba.njit
def three_names(x, steps):
    x = x.reshape(4, 4)
    p, q, r = x[0] * 1.0, np.sin(x[1]), np.cos(x[2])
    for i in range(4):
        for j in range(4):
            p, q, r = q * x[i, steps[j] % 4], r + 0.1 * p, p
    return (p * q).sum() + (q * r**2).sum()


@numba.njit
def tuple_of_arrays(x, steps):
    a = x.reshape(4, 4).copy()
    both = (a[1] * 1.0, a[2] * 1.0)
    for i in range(1, 6):
        for j in range(3, -1, -1):
            both = (both[1] * a[steps[j] % 4, i % 4], both[0])
    for k in range(4):
        a[k] = both[1] * both[1]
    return (a * np.arange(16.0).reshape(4, 4)).sum() + (both[0] * both[1]).sum()


@numba.njit
def row_of_a_loop(x, steps):
    """The name of a row that an inner loop has chosen."""
    a = x.reshape(4, 4).copy()
    row, before = a[0], a[1]
    for i in range(4):
        for j in range(4):
            before = row
            row = a[(steps[j] + i) % 4]
            row *= np.sin(before) * 0.5 + 0.7
    return (row * before**2).sum() + (a**2).sum()


@numba.njit
def ended_early(x, steps):
    a = x.reshape(4, 4)
    p, q = a[0] * 1.0, a[1] * 1.0
    for i in range(4):
        for j in range(4):
            p, q = q * a[i, steps[j] % 4], p
            if p[0] > 1.6:
                break
    return (p * q).sum() + (p**2 * q).sum()


FUNCTIONS = [pair, three_names, tuple_of_arrays, row_of_a_loop, ended_early]
CASES = [Case(function=function, arguments=(X, TABLE)) for function in FUNCTIONS]


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__)
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_gradient(case, check):
    check(case)


def test_second_derivative():
    """Of what is linear in each of two arrays: the product is the gradient of the derivative."""
    v = np.cos(np.arange(16.0))
    product = hvp(pair, (X, TABLE), (v, None))[1]
    other = hvp(pair, (X, TABLE), (X, None))[1]
    np.testing.assert_allclose(product @ X, other @ v, rtol=1e-12)


NESTED = """
define double @f(ptr %a, ptr %b, i64 %n) {
start:
  br label %outer
outer:
  %i = phi i64 [ 0, %start ], [ %i.next, %after ]
  %8 = phi ptr [ %a, %start ], [ %88, %after ]
  br label %inner
inner:
  %j = phi i64 [ 0, %outer ], [ %j.next, %inner ]
  %p = phi ptr [ %8, %outer ], [ %made, %inner ]
  %made = call ptr @malloc(i64 32)
  %88 = getelementptr i8, ptr %made, i64 8
  %j.next = add i64 %j, 1
  %again = icmp ult i64 %j.next, %n
  br i1 %again, label %inner, label %after
after:
  %i.next = add i64 %i, 1
  %more = icmp ult i64 %i.next, %n
  br i1 %more, label %outer, label %end
end:
  %x = load double, ptr %p
  ret double %x
}
declare ptr @malloc(i64)
"""


def test_pointers_that_are_kept():
    kept = with_last_turns_kept(NESTED)
    assert '%"left p" = call ptr @left_ptr(ptr %p)' in kept
    assert '%x = load double, ptr %"left p"' in kept


def test_a_name_that_begins_as_another_does_is_not_used():
    assert Uses.names("  %88 = getelementptr i8, ptr %made, i64 8") == {"%made"}
