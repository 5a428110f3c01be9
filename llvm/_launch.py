"""Kernels: an `@njit` function of a thread's index, run by many threads."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ._arguments import require_njit, signature_of
from ._request import Threads

if TYPE_CHECKING:
    from ._bound_launch import BoundLaunch


class Kernel:
    """What `kernel` returns: `k[n]` is a launch of n threads.

    Attributes
    ----------
    body : njit function
    threads : Threads
        Whether what they share has shadows that several of them may add to.
    scratch : int
    """

    def __init__(self, body: Any, *, atomics: bool = True, scratch: int = 4096) -> None:
        self.body = require_njit("kernel(f)", body)
        if not isinstance(scratch, (int, np.integer)) or scratch <= 0:
            raise ValueError(
                f"`kernel(f, scratch=...)` needs a positive number of bytes. Got {scratch!r}."
            )
        self.scratch = int(scratch)
        self.threads = Threads.SHARED if atomics else Threads.APART
        if not signature_of(self.body).names:
            raise TypeError(
                f"`kernel(f)` needs a function whose first parameter is the index of a thread. Got "
                f"`{self.body.py_func.__qualname__}()`, which has none: `def f(i, ...)`."
            )
        functools.update_wrapper(self, self.body.py_func)

    def __repr__(self) -> str:
        return f"kernel({self.body.py_func.__qualname__})"

    def __call__(self, *arguments: Any) -> Any:
        name = self.body.py_func.__qualname__
        raise TypeError(
            f"A kernel needs the number of its threads: `{name}[n](...)`. Got `{name}(...)`."
        )

    def bound(self, fixed: tuple[Any, ...], *, transposed: bool = False) -> BoundLaunch:
        """The kernel with its last arguments fixed, for launches that must cost little.

        ``kernel(f).bound(fixed)(n, *arrays)`` is ``kernel(f)[n](*arrays, *fixed)`` in a fraction of
        the time, for a kernel that returns nothing, writes into `arrays` alone, and takes no tuples
        among them.

        Parameters
        ----------
        fixed : tuple
            The last arguments. They, and the arrays in them, must not be resized.
        transposed : bool
            As `linear_transpose`. Each of the first arguments is then given as a placeholder for
            the primal, and in ``shadows=`` its shadow, or None where it does not vary.
        """
        from ._bound_launch import BoundLaunch

        return BoundLaunch(self, fixed, transposed)

    def __getitem__(self, n: Any) -> Launch:
        if not isinstance(n, (int, np.integer)) or isinstance(n, bool) or n < 0:
            raise TypeError(
                f"`{self.body.py_func.__qualname__}[n]` needs `n`, how many threads there are, to "
                f"be an integer that is not negative. Got {n!r}."
            )
        return Launch(self.body, int(n), self.threads, self.scratch)


def kernel(body: Any = None, *, atomics: bool = True, scratch: int = 4096) -> Any:
    """A function for many threads: on a GPU where its arrays are there, else one after the other.

    Parameters
    ----------
    body : njit function
        ``body(i, *args)``: what thread i does, ``0 <= i < n``. It returns nothing and writes into
        its arguments, or returns a real number, of which a launch returns the sum over all threads.
        Threads run in any order: none may read what another writes.
    atomics : bool
        Whether several threads may read the same floating-point item. In reverse mode they then add
        to one item of its shadow, atomically, in an order that differs from run to run. With False
        shadows are added to plainly, which is faster and gives the same bits in each run, and is
        wrong where two threads do read one item that varies.
    scratch : int
        Bytes that a thread on a GPU may allocate: for arrays that it makes, and for what its
        reverse pass keeps of loops. A launch that allocates takes at most 256 MB, with fewer
        threads at a time.

    Returns
    -------
    Kernel
        ``k[n](*args)`` runs n threads. `grad`, `value_and_grad`, `vjp`, `jvp` and `hvp` take
        ``k[n]`` for a function of ``args``. ``autodiff(mode, k[n], *activities)`` and
        ``linear_transpose(k[n], *activities)`` differentiate it, activities as for a function of
        ``args``.

    Examples
    --------
    >>> import numba, numpy as np
    >>> from llvm import Duplicated, Reverse, autodiff, kernel
    >>> @kernel
    ... @numba.njit
    ... def scale(i, y, x, factor):
    ...     y[i] = factor[0] * x[i] ** 2
    >>> x, factor, y = np.array([1.0, 2.0]), np.array([3.0]), np.zeros(2)
    >>> scale[2](y, x, factor)
    >>> y
    array([ 3., 12.])
    >>> dx, dfactor = np.zeros(2), np.zeros(1)
    >>> autodiff(Reverse, scale[2], Duplicated(y, np.ones(2)), Duplicated(x, dx),
    ...          Duplicated(factor, dfactor))
    ()
    >>> dx, dfactor
    (array([ 6., 12.]), array([5.]))
    """
    if body is None:
        return functools.partial(kernel, atomics=atomics, scratch=scratch)
    return Kernel(body, atomics=atomics, scratch=scratch)


@dataclass(frozen=True)
class Launch:
    """A kernel and how many threads run it: what `kernel(f)[n]` is."""

    body: Any
    n: int
    threads: Threads
    scratch: int

    def __repr__(self) -> str:
        return f"kernel({self.body.py_func.__qualname__})[{self.n}]"

    def __call__(self, *arguments: Any) -> float | None:
        """Run the threads; the sum of what they return, if they return numbers."""
        from ._kernel_call import run

        return run(self, arguments)


class EachThread:
    """A body as a function of the number of threads, run by Numba: to raise what it raised."""

    def __init__(self, body: Any) -> None:
        self.body = body
        self.py_func = body.py_func

    def __call__(self, n: int, *arguments: Any) -> None:
        for i in range(n):
            self.body(i, *arguments)
