"""Three things that Numba writes about arrays, in a form that Enzyme copes with better.

What an array holds is stated where it is made: else nothing may tell, as when one is copied to
another as bytes.

Indices of broadcast arrays: where an axis has length one, Numba leaves its index as it was in the
iteration before. The reverse pass has no way to compute that again, and would keep it for each item
of each operand. Here it is zero, as a choice that depends on the length alone.

Arrays that are reshaped: a function of Numba's gets the places of shape and strides, in the middle
of the array's own description, so that nobody knows any more where its data is. What is read
through it was kept for the reverse pass, item by item: 1.0 ms for x.ravel() of 131072 numbers
where 0.04 do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.np import arrayobj, npyimpl

from ._abi import FLOATING, I64, POINTER, Leaf
from ._memory_types import state_memory_types


def write_arrays_ourselves(is_ours: Callable[[Any], bool]) -> None:
    """Have Numba write them in our form where ``is_ours(context)``."""
    make, indices = arrayobj._empty_nd_impl, npyimpl._ArrayIndexingHelper.update_indices
    reshape = arrayobj._attempt_nocopy_reshape

    def state_type(builder: Any, ty: Any, array: Any) -> None:
        if isinstance(ty.dtype, (*FLOATING, types.Integer, types.Boolean)):
            data = builder.bitcast(array.data, POINTER)
            state_memory_types(builder.module, builder, [Leaf("array", ty.dtype)], [data])

    def make_array(context: Any, builder: Any, ty: Any, shapes: Any) -> Any:
        array = make(context, builder, ty, shapes)
        if is_ours(context):
            state_type(builder, ty, array)
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

    def reshape_array(
        context: Any, builder: Any, ty: Any, array: Any, count: int, shape: Any, strides: Any
    ) -> Any:
        if not is_ours(context):
            return reshape(context, builder, ty, array, count, shape, strides)
        state_type(builder, ty, array)
        if ty.layout == "C":
            return _contiguous_strides(builder, array, count, shape, strides)
        apart = _Description(builder, array)
        return reshape(context, builder, ty, apart, count, shape, strides)

    arrayobj._empty_nd_impl = make_array
    arrayobj._attempt_nocopy_reshape = reshape_array
    npyimpl._ArrayIndexingHelper.update_indices = update_indices


class _Description:
    """Shape and strides of an array as a copy, for a function that gets their places."""

    def __init__(self, builder: Any, array: Any) -> None:
        self.itemsize = array.itemsize
        self._places = {}
        for name in ("shape", "strides"):
            value = builder.load(array._get_ptr_by_name(name))
            self._places[name] = cgutils.alloca_once(builder, value.type)
            builder.store(value, self._places[name])

    def _get_ptr_by_name(self, name: str) -> Any:
        return self._places[name]


def _contiguous_strides(builder: Any, array: Any, count: int, shape: Any, strides: Any) -> Any:
    """What Numba's function does where an array is C-contiguous; it has as many items by now."""
    step = array.itemsize
    for axis in reversed(range(count)):
        builder.store(step, cgutils.gep_inbounds(builder, strides, 0, axis))
        step = builder.mul(step, builder.load(cgutils.gep_inbounds(builder, shape, 0, axis)))
    return ir.IntType(32)(1)
