"""Allocation as Enzyme understands it: plain malloc, and reference counts that do nothing.

Enzyme frees the buffers of primal and shadow itself, at the end of the reverse pass. Numba's
reference counting would free them after the forward pass, and hides from Enzyme that they are
allocations.

Numba's lists and sets keep their items behind the numbers that describe them, in one block that
moves when it grows, and find it through their "meminfo". Here that is a block of five words which
stays where it is: a list keeps its numbers there, and its items in a block of their own, so that
memory holds one type of item and nothing else. A set keeps there the address of its block.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.datamodel import models
from numba.core.datamodel.manager import DataModelManager
from numba.core.datamodel.registry import default_manager
from numba.core.runtime.context import NRTContext
from numba.cpython import listobj

from ._refusals import refuse

_WORD = ir.IntType(64)
_CELL = ir.LiteralStructType([_WORD, _WORD, _WORD, cgutils.voidptr_t, _WORD])
_BLOCK = 3  # where the address of the items, or of a set's block, is


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

    def meminfo_alloc_dtor_unchecked(self, builder: Any, size: Any, dtor: Any) -> Any:
        # For instances of classes.
        return self._malloc(builder, size)

    def meminfo_data(self, builder: Any, meminfo: Any) -> Any:
        if meminfo.type.pointee == _CELL:
            return builder.load(cgutils.gep_inbounds(builder, meminfo, 0, _BLOCK))
        return builder.bitcast(meminfo, cgutils.voidptr_t)

    def meminfo_new_varsize_dtor_unchecked(self, builder: Any, size: Any, dtor: Any) -> Any:
        cell = self._malloc(builder, ir.Constant(_WORD, 8 * len(_CELL.elements)))
        place = cgutils.gep_inbounds(builder, builder.bitcast(cell, _CELL.as_pointer()), 0, _BLOCK)
        builder.store(self._malloc(builder, size), place)
        return cell

    def meminfo_varsize_alloc_unchecked(self, builder: Any, meminfo: Any, size: Any) -> Any:
        """A new block for a set, which then copies its keys and gives the old one back."""
        block = self._malloc(builder, size)
        builder.store(block, cgutils.gep_inbounds(builder, meminfo, 0, _BLOCK))
        return block

    def meminfo_varsize_free(self, builder: Any, meminfo: Any, ptr: Any) -> None:
        pass

    def meminfo_varsize_realloc_unchecked(self, builder: Any, meminfo: Any, size: Any) -> Any:
        """A new block for the items of a list, which are copied one by one, by their type."""
        header = meminfo.type.pointee
        item = header.elements[-1]
        place = cgutils.gep_inbounds(builder, meminfo, 0, _BLOCK)
        old = builder.load(place)
        new = builder.bitcast(self._malloc(builder, size), item.as_pointer())
        length = builder.load(cgutils.gep_inbounds(builder, meminfo, 0, 0))
        room = builder.udiv(size, ir.Constant(_WORD, self._context.get_abi_sizeof(item)))
        fewer = builder.icmp_signed("<", room, length)
        with cgutils.for_range(builder, builder.select(fewer, room, length)) as loop:
            value = builder.load(cgutils.gep(builder, old, loop.index))
            builder.store(value, cgutils.gep(builder, new, loop.index))
        builder.store(new, place)
        return builder.bitcast(new, cgutils.voidptr_t)

    def incref(self, builder: Any, typ: Any, value: Any) -> None:
        pass

    def decref(self, builder: Any, typ: Any, value: Any) -> None:
        pass


class _ListPayload(models.StructModel):
    """As Numba's, with the address of the items. The last member is for its size."""

    def __init__(self, manager: Any, ty: Any) -> None:
        item = ty.container.dtype
        # Numba allocates what all members take, less one item, and the items. With an item more
        # than it knows of, and the address, this is too much, but never too little.
        super().__init__(
            manager,
            ty,
            [
                ("size", types.intp),
                ("allocated", types.intp),
                ("dirty", types.boolean),
                ("data", types.CPointer(item)),
                ("item", item),
            ],
        )


class _Refused(models.OpaqueModel):
    """What Numba keeps where Enzyme cannot see."""

    def __init__(self, manager: Any, ty: Any) -> None:
        if isinstance(ty, types.DictType):
            raise refuse("a dict", "Use an array, indexed by numbers that stand for the keys")
        raise refuse("a typed List", "Use a plain list, `[]`")


class _Set(models.SetModel):
    def __init__(self, manager: Any, ty: Any) -> None:
        if isinstance(ty.dtype, (types.Float, types.Complex)):
            raise refuse("a set of numbers that may vary", "Use `np.unique` or a sorted list")
        super().__init__(manager, ty)


class _MemInfo(models.MemInfoModel):
    """A pointer whose LLVM type tells a list and a set from an array, and what is in a list."""

    def get_value_type(self) -> Any:
        inner = self._fe_type.dtype
        if isinstance(inner, types.ListPayload):
            return self._dmm.lookup(inner).get_data_type().as_pointer()
        if isinstance(inner, types.SetPayload):
            return _CELL.as_pointer()
        return super().get_value_type()


def data_models() -> DataModelManager:
    """Numba's data models, with lists and sets as described above."""
    manager = DataModelManager().chain(default_manager)
    manager.register(types.ListPayload, _ListPayload)
    manager.register(types.MemInfoPointer, _MemInfo)
    manager.register(types.Set, _Set)
    manager.register(types.DictType, _Refused)
    manager.register(types.ListType, _Refused)
    return manager


def with_outside_items(proxy: Any) -> Any:
    """Numba's accessor of a list's payload, where the items are elsewhere."""

    class Accessor(type(proxy)):
        def _get_ptr_by_name(self, attrname: str) -> Any:
            place = super()._get_ptr_by_name(attrname)
            return self._builder.load(place) if attrname == "data" else place

    proxy.__class__ = Accessor
    return proxy


def with_any_pointer(proxy: Any) -> Any:
    """Numba's accessor of a list or a set, that takes any pointer for its meminfo."""

    class Accessor(type(proxy)):
        def __setitem__(self, index: int, value: Any) -> None:
            wanted = self._get_ptr_by_index(index).type.pointee
            if isinstance(wanted, ir.PointerType):
                value = self._builder.bitcast(value, wanted)
            super().__setitem__(index, value)

    proxy.__class__ = Accessor
    return proxy


_move_bytes, _clear = listobj.ListInstance.move, listobj.ListInstance.zfill


def _move(self: Any, dest_idx: Any, src_idx: Any, count: Any) -> None:
    """Move the items of a list, one by one where it is for Enzyme.

    The derivative of a ``memmove`` is wrong, without a word, where the two places overlap.
    """
    builder = self._builder
    if not isinstance(self._context.nrt, MallocContext):
        _move_bytes(self, dest_idx, src_idx, count)
        return
    data = self.data
    last = builder.sub(count, count.type(1))
    down = builder.icmp_signed("<", dest_idx, src_idx)
    with cgutils.for_range(builder, count) as loop:
        offset = builder.select(down, loop.index, builder.sub(last, loop.index))
        item = builder.load(cgutils.gep(builder, data, builder.add(src_idx, offset)))
        builder.store(item, cgutils.gep(builder, data, builder.add(dest_idx, offset)))
    self.set_dirty(True)


def _zfill(self: Any, start: Any, stop: Any) -> None:
    """Clear items that are not in use, for reference counts, where there are such."""
    if not isinstance(self._context.nrt, MallocContext):
        _clear(self, start, stop)


# Numba has no way to have them otherwise for one target.
listobj.ListInstance.move = _move
listobj.ListInstance.zfill = _zfill
