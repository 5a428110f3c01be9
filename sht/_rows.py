"""Packed coefficients order by order, for kernels that Enzyme differentiates."""

from __future__ import annotations

from numba import njit


@njit(error_model="numpy")
def row_of(a, m, lmax):
    """The coefficients of order m, from degree m on, as a view.

    A loop over a view counts from 0. Where the address of a coefficient depends on the counters of
    two nested loops, Enzyme's comparison of it with addresses in a later nest ends in an assertion
    of LLVM 22 ("No dominance between recurrences used by one SCEV"), and the process dies.
    """
    first = m * (2 * lmax + 3 - m) // 2
    return a[first : first + lmax + 1 - m]
