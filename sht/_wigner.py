"""The rotation of coefficients by a quarter turn, from which `rotation` makes all others.

In degree l it is the matrix d(π/2) of Wigner, and depends on no argument that anybody could
differentiate by. Its elements come row by row from a recurrence of three terms, and are used as
they come: two rows of each degree are all that is ever stored.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from enzyme_rules import LinearRule, register

# Columns start at 2**-l or more. Those that would leave the range of float64 are kept multiplied by
# BIG; of the range above 1, what BIG leaves is for coefficients, up to 1e37.
BIG = 2.0**900
MAX_LMAX = 1900


@njit(error_model="numpy", nogil=True)
def quarter_turn_into(b, a, lmax):
    """Rotate by π/2 about the y axis, from z to x.

    Parameters
    ----------
    b : (ncoef,) complex128
        Overwritten. Contiguous, of ``mmax = lmax``, as `a`.
    a : (ncoef,) complex128
        The imaginary parts of order 0 are ignored.
    lmax : int
        At most MAX_LMAX.

    Notes
    -----
    With d = d(π/2) in degree l, real fields have b(k) = Σ_n d(k, n) a(n) over both signs of n, and
    a(-n) = (-1)ⁿ conj a(n), d(k, -n) = (-1)^(l+k) d(k, n) [1]_. Hence d(k, n) takes the real part
    of a(n) to that of b(k) where l + k + n is even, the imaginary part where it is odd, and counts
    twice for n > 0: one real product in place of two complex ones.

    Rows n, with columns k, follow downwards from d(k, l) > 0 and d(k, l+1) = 0 by the
    recurrence of [2]_::

        d(k, n-1) = (-2k d(k, n) - √((l-n) (l+n+1)) d(k, n+1)) / √((l+n) (l-n+1))

    which is stable: values grow until n² + k² = l² and oscillate from there on.

    References
    ----------
    .. [1] D. A. Varshalovich, A. N. Moskalev, V. K. Khersonskii, "Quantum Theory of Angular
       Momentum", 1988, chapter 4.
    .. [2] S. Trapani, J. Navaza, "Calculation of spherical harmonics and Wigner d functions by FFT.
       Applications to fast rotational matching in molecular replacement and implementation into
       AMoRe", Acta Cryst. A 62 (2006) 262.
    """
    _quarter_turn(b, a, lmax, False)


@njit(error_model="numpy", nogil=True)
def add_transposed_quarter_turn(db, da, lmax):
    """``da += Aᵀ(db)``: rows and columns of d change places, ``d(n, k) = (-1)^(n-k) d(k, n)``."""
    _quarter_turn(da, db, lmax, True)


register(LinearRule(quarter_turn_into, adjoint=add_transposed_quarter_turn))


@njit(error_model="numpy", nogil=True)
def _quarter_turn(b, a, lmax, transposed):
    upper, lower, re, im, column, scale = np.empty((6, lmax + 1))
    for l in range(lmax + 1):  # noqa: E741
        even = l // 2 + 1  # columns of even order come first, those of odd order behind them
        _first_row(upper, scale, column, l)
        lower[: l + 1] = 0.0
        re[: l + 1] = 0.0
        im[: l + 1] = 0.0
        for n in range(l, -1, -2):
            steps = _step(l, n), _step(l, n - 1)
            for_even, for_odd = _factors(a, l, n, lmax, transposed)
            _two_rows(
                re[:even],
                im[:even],
                upper[:even],
                lower[:even],
                column[:even],
                steps,
                for_even,
            )
            _two_rows(
                im[even : l + 1],
                re[even : l + 1],
                upper[even : l + 1],
                lower[even : l + 1],
                column[even : l + 1],
                steps,
                for_odd,
            )
        for p in range(l + 1):
            k = int(column[p])
            value = _element(re[p], im[p], scale[p], k, transposed)
            if transposed:
                b[_index(l, k, lmax)] += value
            else:
                b[_index(l, k, lmax)] = value


@njit(error_model="numpy")
def quarter_turn_of(i, b, a, lmax, transposed):
    """Thread i: one coefficient of one field, turned as by `quarter_turn_into` or its transpose.

    Parameters
    ----------
    i : int
        [field][degree][order], both from 0 to lmax.
    b, a : (fields, ncoef) complex128
        In `b` the coefficient is overwritten.
    lmax, transposed : int
    """
    k, rest = i % (lmax + 1), i // (lmax + 1)
    l, field = rest % (lmax + 1), rest // (lmax + 1)  # noqa: E741
    if k > l:
        return
    upper, unit = _middle(l), 1.0
    for j in range(k):
        upper, unit = _beside(upper, unit, l, j)
    lower, first, second = 0.0, 0.0, 0.0
    for n in range(l, -1, -2):
        steps = _step(l, n), _step(l, n - 1)
        for_even, for_odd = _factors(a[field], l, n, lmax, transposed)
        f1, f2 = for_even if k % 2 == 0 else for_odd
        row, following = _down(upper, lower, k, steps)
        first += f1 * upper
        second += f2 * row
        lower, upper = row, following
    re, im = (first, second) if k % 2 == 0 else (second, first)
    b[field, _index(l, k, lmax)] = _element(re, im, unit, k, transposed)


@njit(error_model="numpy")
def _factors(a, l, n, lmax, transposed):  # noqa: E741
    """What rows n and n - 1 are multiplied by: in even columns, in odd columns.

    In even columns, one of the rows takes real parts to real parts, the other imaginary parts to
    imaginary parts. In odd columns it is the other way round.
    """
    sign_re = -1.0 if transposed and l % 2 == 1 else 1.0
    sign_im = -sign_re if transposed else 1.0
    first = _weight(n, transposed) * a[_index(l, n, lmax)]
    second = _weight(n - 1, transposed) * a[_index(l, n - 1, lmax)] if n > 0 else 0.0j
    for_even = sign_re * first.real, sign_im * second.imag if n > 1 else 0.0
    return for_even, (sign_im * first.imag if n > 0 else 0.0, sign_re * second.real)


@njit(error_model="numpy")
def _element(re, im, scale, k, transposed):
    """The sums of a column as a coefficient."""
    factor = 2.0 * scale if transposed and k > 0 else scale
    return complex(factor * re, factor * im if k > 0 else 0.0)


@njit(error_model="numpy")
def _first_row(row, scale, column, l):  # noqa: E741
    """Row n = l: d(k, l), which is row / scale."""
    value, unit = _middle(l), 1.0
    for k in range(l + 1):
        p = k // 2 if k % 2 == 0 else l // 2 + 1 + k // 2
        row[p], scale[p], column[p] = value, unit, k
        value, unit = _beside(value, unit, l, k)


@njit(error_model="numpy")
def _middle(l):  # noqa: E741
    """d(0, l) = 2⁻ˡ √binomial(2l, l)."""
    value = 1.0
    for j in range(1, l + 1):
        value *= (2.0 * j - 1.0) / (2.0 * j)
    return math.sqrt(value)


@njit(error_model="numpy")
def _beside(value, unit, l, k):  # noqa: E741
    """d(k + 1, l) from d(k, l) = 2⁻ˡ √binomial(2l, l+k), as value and scale."""
    value *= math.sqrt((l - k) / (l + k + 1.0))
    if unit == 1.0 and value * BIG < 1.0:
        return value * BIG, 1.0 / BIG
    return value, unit


@njit(error_model="numpy", fastmath={"contract"})
def _two_rows(first_sums, second_sums, upper, lower, column, steps, factors):
    """Add rows n and n - 1, times two factors, and go on: n - 2 in `upper`, n - 1 in `lower`."""
    f1, f2 = factors
    for p in range(len(column)):
        row, following = _down(upper[p], lower[p], column[p], steps)
        first_sums[p] += f1 * upper[p]
        second_sums[p] += f2 * row
        lower[p] = row
        upper[p] = following


@njit(error_model="numpy", fastmath={"contract"})
def _down(upper, lower, k, steps):
    """Rows n - 1 and n - 2 of column k, from rows n and n + 1."""
    (c1, d1), (c2, d2) = steps
    row = c1 * k * upper - d1 * lower
    return row, c2 * k * row - d2 * upper


@njit(error_model="numpy")
def _step(l, n):  # noqa: E741
    """Factors of k d(k, n) and d(k, n+1) in d(k, n-1); nothing follows row 0."""
    if n <= 0:
        return 0.0, 0.0
    c = 1.0 / math.sqrt((l + n) * (l - n + 1.0))
    return -2.0 * c, c * math.sqrt((l - n) * (l + n + 1.0))


@njit(error_model="numpy")
def _weight(n, transposed):
    return 2.0 if n > 0 and not transposed else 1.0


@njit(error_model="numpy")
def _index(l, m, lmax):  # noqa: E741
    return m * (2 * lmax + 1 - m) // 2 + l
