"""Functions compiled by this toolchain as they are: no derivative, and no Enzyme needed."""

from __future__ import annotations

import functools
from typing import Any

from numba import typeof
from numba.core import types

from ._arguments import bind, require_njit
from ._call import call
from ._jit_calls import JitCall, callable_in_njit
from ._program import program_for
from ._request import Mode


class Compiled:
    """What `compiled` returns: call it like the function itself."""

    def __init__(self, function: Any) -> None:
        self._call = "compiled(f)"
        self.function = require_njit(self._call, function)
        functools.update_wrapper(self, function.py_func)

    @property
    def compiled_from(self) -> Any:
        """The function, for those who differentiate what calls this."""
        return self.function

    @functools.cached_property
    def _numba_type_(self) -> types.Type:
        """What Numba takes it for: a function that calls the compiled code."""
        write = functools.partial(_call_in_njit, self.function)
        self._in_njit = callable_in_njit(self.function, write)  # the type does not keep it alive
        return typeof(self._in_njit)

    def __repr__(self) -> str:
        return f"compiled({self.function.py_func.__qualname__})"

    def __call__(self, *arguments: Any, **keywords: Any) -> float | None:
        arguments = bind(self._call, self.function, arguments, keywords)
        nothing = (False,) * len(arguments)
        program = program_for(self._call, self.function, Mode.PRIMAL, arguments, nothing)
        shadows: list[Any] = [None] * len(program.frame.items)
        value, _ = call(program, self.function, arguments, shadows)
        return value if program.returns_value else None


def _call_in_njit(function: Any, given: tuple[Any, ...]) -> Any:
    """What Numba compiles for a call of a `Compiled` with arguments of the given types."""
    call = JitCall(function, Mode.PRIMAL, given, [False] * len(given))
    lines = [*call.prepare(), *call.run([])]
    lines.append("return r[1]" if call.program.returns_value else "return None")
    return call.compile(lines, [f"a{i}" for i in range(len(given))])


def compiled(function: Any) -> Compiled:
    """An ``@njit`` function, compiled by the stages of this package and kept on disk.

    In a new process its first call takes milliseconds, where Numba takes the better part of a
    second to start and then compiles again. Its arrays are known not to overlap, which is checked,
    so that it may also run faster. It releases the GIL.

    Inside other ``@njit`` functions it is a call of the compiled code, which Numba neither compiles
    again nor counts the references of: it costs some 0.1 µs, and what it calls nothing. In what is
    differentiated it is the function itself.

    Parameters
    ----------
    function : njit function
        That returns a real number, or nothing and writes into its arguments.

    Returns
    -------
    Compiled
        Takes the function's arguments.

    Examples
    --------
    >>> import numba, numpy as np
    >>> @numba.njit
    ... def total(x):
    ...     return x.sum()
    >>> compiled(total)(np.array([1.0, 2.0]))
    3.0
    """
    return Compiled(function)
