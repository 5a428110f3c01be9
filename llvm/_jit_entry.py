"""A compiled derivative as an intrinsic: how other ``@njit`` code calls it, without Python."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from ._abi import I64, POINTER, unpack
from ._flat import Item
from ._program import Program

_called: list[Program] = []
"""Programs whose addresses stand in compiled code: they must outlive it."""


SHARED = 0xFFFFFFFC
"""In place of a status: nothing was run, since two arrays overlap."""


def entry_intrinsic(program: Program, written: Sequence[int]) -> Any:
    """``run(values, shadows)`` for ``@njit`` code.

    Parameters
    ----------
    program : Program
    written : sequence of int
        Positions of arrays among the values that must overlap no other. All are contiguous.

    Returns
    -------
    intrinsic
        Takes a tuple of one value for each item that is passed (see `passed`), and one of their
        shadows in turn, `Frame.shadows` for each that varies, numbers among them. Returns a tuple:
        the status (see `status_of`), the value, its first shadow, and the shadows of numbers.
    """
    _called.append(program)
    frame = program.frame
    items = passed(program)
    number = types.float32 if program.returned_bits == 32 else types.float64
    numbers = [
        item.type for item in items if item.varies and item.kind in ("real", "complex")
        for _ in range(frame.shadows)
    ]  # fmt: skip
    result = types.Tuple((types.int64, number, number, *numbers))

    def define(typing_context: Any, values: Any, shadows: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, given: Any) -> Any:
            slots = _Slots(context, builder, frame.words)
            own = cgutils.unpack_tuple(builder, given[0], len(items))
            others = iter(cgutils.unpack_tuple(builder, given[1], len(shadows.types)))
            if frame.returns_value:
                for k in range(1 + frame.shadows):
                    slots.put(number, context.get_constant(number, float(k == frame.seeded)))
            derivatives: list[tuple[int, Any]] = []
            for item, value in zip(items, own, strict=True):
                _put_item(slots, item, value, others, frame.shadows, derivatives)
            address = context.add_dynamic_addr(builder, program.address, "compiled derivative")
            kind = ir.FunctionType(I64, [POINTER]).as_pointer()
            entry = builder.bitcast(address, kind)
            status = cgutils.alloca_once_value(builder, I64(SHARED))
            with builder.if_then(_are_apart(context, builder, items, own, written), likely=True):
                builder.store(builder.call(entry, [slots.start]), status)
            found = [builder.load(status)]
            for k in (0, 1):
                has = frame.returns_value and k <= frame.shadows
                found.append(slots.get(k, number) if has else context.get_constant(number, 0.0))
            found += [slots.get(position, ty) for position, ty in derivatives]
            return context.make_tuple(builder, result, found)

        return result(values, shadows), codegen

    return intrinsic(define)


def _are_apart(
    context: Any, builder: Any, items: Sequence[Item], values: Any, written: Sequence[int]
) -> Any:
    """Whether those that are written share memory with no other array."""
    if not written:
        return ir.Constant(ir.IntType(1), 1)
    arrays = [k for k, item in enumerate(items) if item.kind == "array" and k not in written]
    table = cgutils.alloca_once(builder, I64, size=2 * (len(written) + len(arrays)))
    for position, k in enumerate([*written, *arrays]):
        ty: Any = items[k].type
        array = context.make_array(ty)(context, builder, values[k])
        start = builder.ptrtoint(array.data, I64)
        size = context.get_abi_sizeof(context.get_data_type(ty.dtype))
        end = builder.add(start, builder.mul(array.nitems, I64(size)))
        for word, bound in enumerate((start, end)):
            builder.store(bound, builder.gep(table, [I64(2 * position + word)]))
    count = I64(len(written) + len(arrays))
    return builder.call(_no_overlap(builder.module), [table, I64(len(written)), count])


def _no_overlap(module: Any) -> Any:
    """``i1 (ptr bounds, i64 written, i64 count)``: whether none of the first meets another.

    A loop: a line for each of the hundreds of pairs that a Transform and its work space have took
    Numba 0.2 s to optimise, once more in each function that calls what calls this.
    """
    bit = ir.IntType(1)
    kind = ir.FunctionType(bit, [I64.as_pointer(), I64, I64])
    function = cgutils.get_or_insert_function(module, kind, "enzyme_sht_no_overlap")
    if not function.is_declaration:
        return function
    function.linkage = "linkonce_odr"
    function.attributes.add("noinline")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    bounds, written, count = function.args

    def bounds_at(k: Any) -> list[Any]:
        first = builder.shl(k, I64(1))
        return [builder.load(builder.gep(bounds, [builder.add(first, I64(w))])) for w in (0, 1)]

    def choose(relation: str, a: Any, b: Any) -> Any:
        return builder.select(builder.icmp_unsigned(relation, a, b), a, b)

    with cgutils.for_range(builder, written) as outer:
        low, high = bounds_at(outer.index)
        others = builder.add(outer.index, I64(1)), count, I64(1)
        with cgutils.for_range_slice(builder, *others) as (k, _):
            other_low, other_high = bounds_at(k)
            begin, end = choose(">", low, other_low), choose("<", high, other_high)
            with builder.if_then(builder.icmp_unsigned("<", begin, end), likely=False):
                builder.ret(bit(0))
    builder.ret(bit(1))
    return function


def passed(program: Program) -> list[Item]:
    """The items that compiled code gets: all but functions and None."""
    return [item for item in program.frame.items if item.kind != "nothing"]


class _Slots:
    """The words of one call, on the stack."""

    def __init__(self, context: Any, builder: Any, words: int) -> None:
        self.context, self.builder = context, builder
        block = cgutils.alloca_once(builder, I64, size=max(1, words))
        self.start = builder.bitcast(block, POINTER)
        self.count = 0

    def _place(self, position: int, kind: ir.Type) -> Any:
        place = self.builder.gep(self.start, [I64(8 * position)], source_etype=ir.IntType(8))
        return self.builder.bitcast(place, kind.as_pointer())

    def put(self, ty: Any, value: Any) -> None:
        self.builder.store(value, self._place(self.count, value.type))
        self.count += 2 if ty == types.complex128 else 1

    def get(self, position: int, ty: Any) -> Any:
        return self.builder.load(self._place(position, self.context.get_value_type(ty)))


def _put_item(
    slots: _Slots,
    item: Item,
    value: Any,
    shadows: Iterator[Any],
    count: int,
    derivatives: list[tuple[int, Any]],
) -> None:
    context, builder = slots.context, slots.builder
    own = [next(shadows) for _ in range(count * item.varies)]
    if item.kind in ("array", "integer"):
        address, *sizes = unpack(context, builder, item.type, value)
        slots.put(None, address)
        for shadow in own:
            slots.put(None, unpack(context, builder, item.type, shadow)[0])
        for size in sizes:
            slots.put(None, size)
        return
    slots.put(item.type, value)
    for shadow in own:
        derivatives.append((slots.count, item.type))
        slots.put(item.type, shadow)
