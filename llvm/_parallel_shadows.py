"""Shadows of the parts of a parallel loop: each has its own of what several may add to.

They are added up in the order of the parts, so that the result is the same from run to run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit
from numba.core import types

from ._abi import I8, I64, pack
from ._lower import compile_raw
from ._parallel_lowering import Region
from ._rule_shims import Shims


@dataclass(frozen=True)
class Copies:
    """Shadows of the parts for one array or number.

    Part 0 finds its own at `first`, another part k at ``start + k * apart``.
    """

    memory: Any
    first: Any
    start: Any
    apart: Any
    finish: Callable[[Any], None]


class PartShadows:
    """Writes what makes the shadows of the parts of one region, and what adds them up."""

    def __init__(self, shims: Shims, region: Region) -> None:
        self.shims, self.region = shims, region
        self.context = region.kernel.target_context
        self.compiled: list[Any] = []

    def copies(
        self,
        builder: Any,
        n: Any,
        argument: int,
        ty: Any,
        leaf: int,
        primal: list[Any],
        shadow: list[Any],
    ) -> Copies:
        """Shadows of the parts for one array or number."""
        own, read = argument in self.region.own, argument in self.region.read
        constant = builder.icmp_unsigned("==", primal[leaf], shadow[leaf])
        many = builder.icmp_signed(">", n, I64(1))
        apart = ir.IntType(1)(0) if own else many
        wanted = builder.or_(constant, apart)
        merged = builder.and_(apart, builder.not_(constant))
        # What is only read has its shadow added to: part 0 may do that at once.
        direct = builder.zext(merged, I64) if read else I64(0)
        n = builder.sub(n, direct)
        count = builder.select(apart, n, builder.zext(constant, I64))
        memory, start, size = self.shims.zeros_like(builder, self.context, ty, primal[leaf:], count)

        def call(builder: Any, function: Any) -> None:
            with builder.if_then(merged):
                self.call(builder, function, ty, primal[leaf:], shadow[leaf], n, start, size)

        if not own and not read:
            call(builder, spread)

        def finish(builder: Any) -> None:
            if not own:
                call(builder, _add_up if read else _merge)

        back = builder.gep(start, [builder.mul(direct, builder.neg(size))], source_etype=I8)
        where = builder.select(wanted, back, shadow[leaf])
        first = builder.select(merged, shadow[leaf], where) if read else where
        return Copies(memory, first, where, builder.select(apart, size, I64(0)), finish)

    def call(
        self,
        builder: Any,
        function: Any,
        ty: Any,
        values: list[Any],
        shadow: Any,
        n: Any,
        start: Any,
        size: Any,
    ) -> None:
        """Call one of the functions below: with the shadow, and an array of those of the parts."""
        strided = isinstance(ty, types.Array) and ty.layout not in "CF"
        if strided:
            shape, strides = values[1 : 1 + ty.ndim], values[1 + ty.ndim : 1 + 2 * ty.ndim]
            types_ = (types.Array(ty.dtype, ty.ndim, "A"), types.Array(ty.dtype, ty.ndim + 1, "A"))
            flat = [shadow, *shape, *strides, start, n, *shape, size, *strides]
        else:
            dtype = getattr(ty, "dtype", ty)
            itemsize = I64(self.context.get_abi_sizeof(self.context.get_data_type(dtype)))
            length: Any = I64(1)
            for extent in values[1 : 1 + getattr(ty, "ndim", 0)]:
                length = builder.mul(length, extent)
            types_ = (types.Array(dtype, 1, "C"), types.Array(dtype, 2, "C"))
            flat = [shadow, length, start, n, builder.sdiv(size, itemsize)]
        compiled = compile_raw(function, types_)
        if compiled not in self.compiled:
            self.compiled.append(compiled)
        leaves_ = iter(flat)
        self.context.call_conv.call_function(
            builder,
            self.context.declare_function(self.shims.module, compiled.fndesc),
            compiled.signature.return_type,
            compiled.signature.args,
            [pack(self.context, builder, own, leaves_) for own in types_],
        )


@njit(error_model="numpy")
def _add_up(total: Any, copies: Any) -> None:
    """What was only read: the parts began with zeros."""
    for k in range(copies.shape[0]):
        total += copies[k][: total.shape[0]]  # rows of a flat array end in padding


@njit(error_model="numpy")
def spread(total: Any, copies: Any) -> None:
    for k in range(copies.shape[0]):
        copies[k][: total.shape[0]] = total


@njit(error_model="numpy")
def _merge(total: Any, copies: Any) -> None:
    """What was written: the parts began with what is in `total`.

    Where one part alone has changed an item, the result is what that has made of it, to the bit.
    """
    for index in np.ndindex(total.shape):
        before = total[index]
        found = before
        changes = before - before
        count = 0
        for k in range(copies.shape[0]):
            item = copies[k][index]
            if item != before:
                found = item
                changes += item - before
                count += 1
        total[index] = found if count < 2 else before + changes
