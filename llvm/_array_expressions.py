"""Two things that Numba writes about arrays, in a form that Enzyme copes with better.

What an array holds is stated where it is made: else nothing may tell, as when one is copied to
another as bytes.

Indices of broadcast arrays: where an axis has length one, Numba leaves its index as it was in the
iteration before. The reverse pass has no way to compute that again, and would keep it for each item
of each operand. Here it is zero, as a choice that depends on the length alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.np import arrayobj, npyimpl

from ._abi import FLOATING, I64, POINTER, Leaf
from ._memory_types import state_memory_types


def write_arrays_ourselves(is_ours: Callable[[Any], bool]) -> None:
    """Have Numba write both in our form where ``is_ours(context)``."""
    make, indices = arrayobj._empty_nd_impl, npyimpl._ArrayIndexingHelper.update_indices

    def make_array(context: Any, builder: Any, ty: Any, shapes: Any) -> Any:
        array = make(context, builder, ty, shapes)
        if is_ours(context) and isinstance(ty.dtype, (*FLOATING, types.Integer, types.Boolean)):
            data = builder.bitcast(array.data, POINTER)
            state_memory_types(builder.module, builder, [Leaf("array", ty.dtype)], [data])
        return array

    def update_indices(self: Any, loop_indices: Any, name: str) -> None:
        if not is_ours(self.array.context):
            return indices(self, loop_indices, name)
        builder = self.array.builder
        own = loop_indices[len(loop_indices) - len(self.indices) :]
        for index, place, length in zip(own, self.indices, self.array.shape, strict=False):
            broadcast = builder.icmp_unsigned("==", length, I64(1))
            builder.store(builder.select(broadcast, ir.Constant(index.type, 0), index), place)
        return None

    arrayobj._empty_nd_impl = make_array
    npyimpl._ArrayIndexingHelper.update_indices = update_indices
