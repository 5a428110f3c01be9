"""Parts of a parallel loop in threads: the tasks that they run, and the rings of their memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils

from ._abi import I64, POINTER
from ._rule_shims import VOID

Run = Callable[[Any, Any, Any, list[Any]], None]
"""Writes what a part does: ``run(builder, k, n, values)`` for part k of n."""


class Tasks:
    """Writes into a module what has threads run the parts of one region.

    Parameters
    ----------
    module : llvmlite module
    named : callable
        The name in the module of something of the region's.
    """

    def __init__(self, module: Any, named: Callable[[str], str]) -> None:
        self.module = module
        self.named = named

    def in_threads(
        self,
        builder: Any,
        name: str,
        n: Any,
        values: list[Any],
        run: Run,
        *,
        rings: Any = None,
        begins: bool = False,
    ) -> None:
        """Have threads call ``run(builder, k, n, values)`` for each part k of n.

        What a part allocates belongs to its ring: one of `rings`, which begins here or goes on; or
        one of its own, which ends with it.
        """
        given = [n, rings if rings is not None else ir.Constant(POINTER, None), *values]
        block = cgutils.alloca_once(builder, I64, size=len(given))
        block = builder.bitcast(block, POINTER)
        for position, value in enumerate(given):
            builder.store(value, slot(builder, block, value.type, I64(position)))
        task = self._task(name, [value.type for value in given], run, rings is not None, begins)
        kind = ir.FunctionType(VOID, [POINTER, I64, POINTER])
        start = self.module.globals.get("parallel_run")
        start = start or ir.Function(self.module, kind, "parallel_run")
        builder.call(start, [builder.bitcast(task, POINTER), n, block])

    def _task(
        self, name: str, types_: list[ir.Type], run: Run, has_rings: bool, begins: bool
    ) -> Any:
        """A function ``void task(k, block)``."""
        task = ir.Function(self.module, ir.FunctionType(VOID, [I64, POINTER]), self.named(name))
        task.attributes.add("noinline")
        builder = ir.IRBuilder(task.append_basic_block("entry"))
        k, block = task.args
        n, rings, *values = (
            builder.load(slot(builder, block, ty, I64(position)))
            for position, ty in enumerate(types_)
        )
        if has_rings:
            ring = builder.call(self.outside("arena_ring", POINTER, [POINTER, I64]), [rings, k])
        else:
            ring = builder.bitcast(cgutils.alloca_once(builder, I64, size=3), POINTER)
        enter = "parallel_begin" if begins or not has_rings else "parallel_resume"
        outer = builder.call(self.outside(enter, POINTER, [POINTER, I64, I64]), [ring, k, n])
        run(builder, k, n, values)
        if begins:
            builder.call(self.outside("parallel_leave", VOID, [POINTER]), [outer])
        else:
            builder.call(self.outside("arena_end", VOID, [POINTER, POINTER]), [ring, outer])
        builder.ret_void()
        return task

    def count(self, builder: Any) -> Any:
        """How many parts there are."""
        return builder.call(self.outside("parallel_parts", I64, []), [])

    def free(self, builder: Any, memory: Any) -> None:
        """Give back what `malloc` gave."""
        builder.call(self.outside("free", VOID, [POINTER]), [memory])

    def outside(self, name: str, returned: ir.Type, parameters: list[ir.Type]) -> Any:
        """A function that is defined elsewhere."""
        kind = ir.FunctionType(returned, parameters)
        return cgutils.get_or_insert_function(self.module, kind, name)


def slot(builder: Any, block: Any, kind: ir.Type, position: Any) -> Any:
    """The place of a word in a block of words."""
    return builder.gep(builder.bitcast(block, kind.as_pointer()), [position])
