"""Linear maps of coefficients, order by order, on a device: one thread a coefficient.

Such a map is a function ``order(output, input, m, some, lmax, *rest)`` of some rows of one order,
of which row i is made of the rows i - 1, i and i + 1 of the input (`operators._one_order`). The
host calls it with all rows. Here each row is a thread of its own, which gathers. So the transpose
that Enzyme makes scatters, to three rows: it runs in three turns, of every third row each, in which
no two threads add to one item. Nothing is atomic, and results are the same bits in each run.
"""

from __future__ import annotations

import functools
from typing import Any

from numba import njit
from numpy.typing import NDArray

_TURNS = 3


def run_by_orders(
    library: Any,
    order: Any,
    truncation: tuple[int, int],
    rest: tuple[Any, ...],
    transposed: bool,
    results: NDArray,
    batch: NDArray,
) -> None:
    """Apply a map of one order, or its transpose, to each field of a batch.

    Parameters
    ----------
    library : module
        CuPy, and all arrays are on the current device; or NumPy, which tests pass.
    order : njit function
    truncation : (int, int)
        lmax and mmax of the scalars.
    rest : tuple
        The function's other arguments.
    transposed : bool
    results, batch : (count, ...) arrays
        C-contiguous. `results` is overwritten.
    """
    from llvm import Const, Duplicated, linear_transpose

    lmax, mmax = truncation
    run = _kernel_of(order)
    threads = len(batch) * (mmax + 1)
    if not transposed:
        run[threads * _rows(lmax, 1)](results, batch, lmax, mmax, 0, 1, rest)
        return
    results[...] = 0
    used_up = batch.copy()
    for turn in range(_TURNS):
        linear_transpose(
            run[threads * _rows(lmax, _TURNS)],
            Duplicated(library.empty_like(batch), used_up),
            Duplicated(library.empty_like(results), results),
            *map(Const, (lmax, mmax, turn, _TURNS, rest)),
        )


@functools.cache
def _kernel_of(order: Any) -> Any:
    # Imported here, so that `import sht` stays light.
    from llvm import kernel

    return kernel(by_rows(order), atomics=False)  # in each of the turns no two add to one item


def by_rows(order: Any) -> Any:
    """The body of the kernel: thread i has one row of one order of one field."""

    @njit(error_model="numpy")
    def one_row(i, output, given, lmax, mmax, turn, turns, rest):
        rows, orders = _rows(lmax, turns), mmax + 1
        row = i % rows * turns + turn
        m, field = i // rows % orders, i // rows // orders
        order(output[field], given[field], m, (row, row + 1), lmax, *rest)

    return one_row


@njit(error_model="numpy")
def _rows(lmax, turns):
    """Of the longest order, in one turn; what has a degree more than the scalars has lmax + 2."""
    return (lmax + 1 + turns) // turns
