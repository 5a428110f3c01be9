"""Lowering apart from what was lowered before, with or without the source line of each instruction.

Nothing else about the IR changes: the lines are metadata, and the flags by which Numba debugs
(checks of bounds, functions that are not inlined, variables that stay in memory) are left alone.
NumPy functions that Numba has compiled before have no lines: LLVM gives their instructions the line
of the call.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from numba.core import compiler_lock, debuginfo

from . import _target


class _LinesOnly(debuginfo.DIBuilder):
    """Lines, but no variables: those would be kept in memory."""

    def mark_variable(self, *args: Any, **options: Any) -> None:
        pass


@contextmanager
def lowered_anew(*, lines: bool) -> Iterator[list[Any]]:
    """Within it, functions are lowered again, and with `lines`, as said above.

    Other threads that want to compile something wait. After it, the list holds the ``@njit``
    functions of the user's that were lowered.
    """
    functions: list[Any] = []
    context = _target.EnzymeDispatcher.targetdescr.target_context
    with compiler_lock.global_compiler_lock, _target._table_lock:
        tables = dict(_target._tables)
        _target._tables.clear()
        if lines:
            context.enable_debuginfo, context.DIBuilder = True, _LinesOnly
        try:
            with warnings.catch_warnings():
                # A function without a file, such as a rule's, has no lines, and that is all.
                warnings.simplefilter("ignore")
                yield functions
        finally:
            functions += [function for table in _target._tables.values() for function, _ in table]
            if lines:
                del context.enable_debuginfo, context.DIBuilder
            _target._tables.clear()
            _target._tables.update(tables)
