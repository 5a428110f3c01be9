"""Vectors of degrees: two degrees of each of `LANES` orders, from and to packed coefficients.

The orders of a lane follow each other in the packed vector, so that what is next to each other in a
row of one order is transposed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types

from ._simd import (
    LANES,
    intrinsic,
    pairs_of,
    pointer_to,
    require_complex,
    shuffle_mask,
    vector,
)


def _index_of(context: Any, builder: Any, sig: Any, args: Any, which: int, lane: int) -> Any:
    """What one of the arrays ``(begins, counts)`` says of the order of a lane."""
    index = builder.add(args[3], ir.IntType(64)(lane))
    return builder.load(pointer_to(context, builder, sig.args[which], args[which], index))


def _degrees_at(context: Any, builder: Any, sig: Any, args: Any) -> Iterator[Any]:
    """Where the two degrees of each lane stand, as pointers to four real numbers."""
    number = pairs_of(sig.args[0])[0].element
    for lane in range(LANES):
        begin = _index_of(context, builder, sig, args, 1, lane)
        pointer = pointer_to(context, builder, sig.args[0], args[0], builder.add(begin, args[4]))
        yield builder.bitcast(pointer, ir.VectorType(number, 4).as_pointer())


def _degree_if_there(
    context: Any, builder: Any, sig: Any, args: Any, lane: int, k: int, otherwise: Any
) -> tuple[Any, Any]:
    """Where one of the two stands, as a pointer to it, or `otherwise`; whether it is there."""
    begin, count = (_index_of(context, builder, sig, args, which, lane) for which in (1, 2))
    degree = builder.add(args[4], ir.IntType(64)(k))
    there = builder.icmp_signed("<", degree, count)
    pointer = pointer_to(context, builder, sig.args[0], args[0], builder.add(begin, degree))
    pointer = builder.bitcast(pointer, otherwise.type)
    return builder.select(there, pointer, otherwise), there


def _load_degrees_of(what: str, typing_context: Any, array: Any, begins: Any, rows_of: Any) -> Any:
    require_complex(what, array)
    result = types.UniTuple(vector, 4)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        align = pairs_of(sig.args[0])[1]
        rows = rows_of(context, builder, sig, args, align)
        if align == 4:
            rows = [builder.fpext(row, ir.VectorType(ir.DoubleType(), 4)) for row in rows]
        # Transposed: [a0 b0 a1 b1 …] of two rows, [a0 b0 c0 d0 a1 …] of four, then each column.
        mask = shuffle_mask(4 * row + k for k in range(4) for row in range(2))
        pairs = [
            builder.shuffle_vector(a, b, mask) for a, b in zip(rows[::2], rows[1::2], strict=True)
        ]
        mask = shuffle_mask(
            8 * pair + 2 * k + i for k in range(4) for pair in (0, 1) for i in (0, 1)
        )
        fours = [
            builder.shuffle_vector(a, b, mask) for a, b in zip(pairs[::2], pairs[1::2], strict=True)
        ]
        columns = [
            builder.shuffle_vector(
                fours[0],
                fours[-1],
                shuffle_mask(16 * half + 4 * k + i for half in range(LANES // 4) for i in range(4)),
            )
            for k in range(4)
        ]
        return context.make_tuple(builder, result, columns)

    return result(array, begins, begins, types.intp, types.intp), codegen


@intrinsic
def load_degrees(
    typing_context: Any, array: Any, begins: Any, counts: Any, order: Any, offset: Any
) -> Any:
    """Two degrees of each of `LANES` orders: real and imaginary parts of one, and of the next.

    Lane k holds the complex numbers at ``begins[order + k] + offset`` and behind it. All of them
    must be there: offset + 1 < counts.
    """

    def rows(context: Any, builder: Any, sig: Any, args: Any, align: int) -> list[Any]:
        pointers = _degrees_at(context, builder, sig, args)
        return [builder.load(pointer, align=align) for pointer in pointers]

    what = "load_degrees(array, begins, counts, order, offset)"
    return _load_degrees_of(what, typing_context, array, begins, rows)


@intrinsic
def load_degrees_there(
    typing_context: Any, array: Any, begins: Any, counts: Any, order: Any, offset: Any
) -> Any:
    """As `load_degrees`, with 0 for those of ``counts[order + k]`` degrees and beyond."""

    def rows(context: Any, builder: Any, sig: Any, args: Any, align: int) -> list[Any]:
        two = ir.VectorType(pairs_of(sig.args[0])[0].element, 2)
        zero = ir.Constant(two, [0.0, 0.0])
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        first = builder.bitcast(data, two.as_pointer())  # is read where there is none
        found = []
        for lane in range(LANES):
            halves = []
            for k in (0, 1):
                pointer, there = _degree_if_there(context, builder, sig, args, lane, k, first)
                halves.append(builder.select(there, builder.load(pointer, align=align), zero))
            found.append(builder.shuffle_vector(*halves, shuffle_mask(range(4))))
        return found

    what = "load_degrees_there(array, begins, counts, order, offset)"
    return _load_degrees_of(what, typing_context, array, begins, rows)


def _rows_of(builder: Any, values: Any, align: int) -> list[Any]:
    """Four vectors as the four numbers of each lane."""
    columns = [builder.extract_value(values, k) for k in range(4)]
    mask = shuffle_mask(column * LANES + lane for lane in range(LANES) for column in (0, 1))
    first, second = (builder.shuffle_vector(columns[k], columns[k + 1], mask) for k in (0, 2))
    rows = []
    for lane in range(LANES):
        mask = shuffle_mask(2 * LANES * half + 2 * lane + i for half in (0, 1) for i in (0, 1))
        row = builder.shuffle_vector(first, second, mask)
        rows.append(builder.fptrunc(row, ir.VectorType(ir.FloatType(), 4)) if align == 4 else row)
    return rows


def _put_row(builder: Any, row: Any, pointer: Any, add: Any, align: int) -> None:
    before = builder.load(pointer, align=align)
    before = builder.select(add, before, ir.Constant(row.type, [0.0] * row.type.count))
    builder.store(builder.fadd(row, before), pointer, align=align)


@intrinsic
def store_degrees(
    typing_context: Any,
    array: Any,
    begins: Any,
    counts: Any,
    order: Any,
    offset: Any,
    values: Any,
    add: Any,
) -> Any:
    """Put what `load_degrees` gives where it takes it from, or `add` it there."""
    require_complex("store_degrees(array, begins, counts, order, offset, values, add)", array)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        align = pairs_of(sig.args[0])[1]
        pointers = list(_degrees_at(context, builder, sig, args))
        for row, pointer in zip(_rows_of(builder, args[5], align), pointers, strict=True):
            _put_row(builder, row, pointer, args[6], align)
        return context.get_dummy_value()

    fixed = array, begins, begins, types.intp, types.intp
    return types.void(*fixed, values, types.boolean), codegen


@intrinsic
def store_degrees_there(
    typing_context: Any,
    array: Any,
    begins: Any,
    counts: Any,
    order: Any,
    offset: Any,
    values: Any,
    add: Any,
) -> Any:
    """As `store_degrees`, but nothing at ``counts[order + k]`` degrees and beyond."""
    require_complex("store_degrees_there(array, begins, counts, order, …)", array)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pairs, align = pairs_of(sig.args[0])
        two = ir.VectorType(pairs.element, 2)
        nowhere = cgutils.alloca_once_value(builder, ir.Constant(two, [0.0, 0.0]))
        for lane, row in enumerate(_rows_of(builder, args[5], align)):
            for k in (0, 1):
                degree = builder.shuffle_vector(row, row, shuffle_mask((2 * k, 2 * k + 1)))
                pointer, _ = _degree_if_there(context, builder, sig, args, lane, k, nowhere)
                _put_row(builder, degree, pointer, args[6], align)
        return context.get_dummy_value()

    fixed = array, begins, begins, types.intp, types.intp
    return types.void(*fixed, values, types.boolean), codegen
