"""Allocation as Enzyme understands it: plain malloc, and reference counts that do nothing.

Enzyme frees the buffers of primal and shadow itself, at the end of the reverse pass. Numba's
reference counting would free them after the forward pass, and hides from Enzyme that they are
allocations.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils
from numba.core.runtime.context import NRTContext


class MallocContext(NRTContext):
    """Numba's runtime interface with every allocation a ``malloc`` and no reference counts."""

    def _malloc(self, builder: Any, size: Any) -> Any:
        function_type = ir.FunctionType(cgutils.voidptr_t, [cgutils.intp_t])
        malloc = cgutils.get_or_insert_function(builder.module, function_type, "malloc")
        malloc.return_value.add_attribute("noalias")
        return builder.call(malloc, [size])

    def allocate_unchecked(self, builder: Any, size: Any) -> Any:
        return self._malloc(builder, size)

    def free(self, builder: Any, ptr: Any) -> Any:
        function_type = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t])
        free = cgutils.get_or_insert_function(builder.module, function_type, "free")
        return builder.call(free, [ptr])

    def meminfo_alloc_unchecked(self, builder: Any, size: Any) -> Any:
        return self._malloc(builder, size)

    def meminfo_alloc_aligned_unchecked(self, builder: Any, size: Any, align: Any) -> Any:
        # malloc aligns to 16 bytes; Numba's own code asks for no more than an item's alignment.
        return self._malloc(builder, size)

    def meminfo_data(self, builder: Any, meminfo: Any) -> Any:
        return meminfo

    def incref(self, builder: Any, typ: Any, value: Any) -> None:
        pass

    def decref(self, builder: Any, typ: Any, value: Any) -> None:
        pass
