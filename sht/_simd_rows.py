"""Rows of vectors: `LANES` of them, which transposed have rings for lanes instead of orders."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types

from ._simd import (
    LANES,
    RINGS,
    block,
    intrinsic,
    pointer_to,
    shuffle_mask,
    vector,
)

# A vector has a lane for each ring of a tile, north and south: LANES = 2 RINGS.
rows_type = types.UniTuple(vector, LANES)
_NUMBERS = {types.float64: (ir.DoubleType(), 8), types.float32: (ir.FloatType(), 4)}


def _transposed(builder: Any, rows: list[Any]) -> list[Any]:
    """Squares of one, two, … numbers change places across the diagonal."""
    step = 1
    while step < LANES:
        lower = shuffle_mask(k if not k & step else k - step + LANES for k in range(LANES))
        upper = shuffle_mask(k + step if not k & step else k + LANES for k in range(LANES))
        for r in range(LANES):
            if not r & step:
                pair = rows[r], rows[r + step]
                rows[r] = builder.shuffle_vector(*pair, lower)
                rows[r + step] = builder.shuffle_vector(*pair, upper)
        step *= 2
    return rows


@intrinsic
def rows_of_blocks(typing_context: Any, north: Any, south: Any) -> Any:
    """Of two blocks, that of the rings in the north and that of the south: rings side by side.

    Lane r of row k is lane k of ring r, where the south follows the north.
    """

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        rows = [builder.extract_value(each, ring) for each in args for ring in range(RINGS)]
        return context.make_tuple(builder, rows_type, _transposed(builder, rows))

    return rows_type(block, block), codegen


@intrinsic
def blocks_of_rows(typing_context: Any, rows: Any) -> Any:
    """The two blocks that `rows_of_blocks` makes these rows of."""
    result = types.UniTuple(block, 2)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        rows = _transposed(builder, [builder.extract_value(args[0], r) for r in range(LANES)])
        blocks = []
        for half in range(2):
            value = ir.Constant(context.get_value_type(block), ir.Undefined)
            for ring in range(RINGS):
                value = builder.insert_value(value, rows[half * RINGS + ring], ring)
            blocks.append(value)
        return context.make_tuple(builder, result, blocks)

    return result(rows_type), codegen


def _numbers_of(what: str, array: Any) -> None:
    if not (isinstance(array, types.Array) and array.dtype in _NUMBERS and array.layout == "C"):
        raise TypeError(f"`{what}` takes a C-contiguous array of floats. Got {array}.")


def _places(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    """Pointers to `LANES` numbers of each ring: array, offsets, first, index as arguments."""
    number, _ = _NUMBERS[sig.args[0].dtype]
    for lane in range(LANES):
        at = builder.add(args[2], ir.IntType(64)(lane))
        offset = builder.load(pointer_to(context, builder, sig.args[1], args[1], at))
        index = builder.add(offset, args[3])
        pointer = pointer_to(context, builder, sig.args[0], args[0], index)
        yield builder.bitcast(pointer, ir.VectorType(number, LANES).as_pointer())


@intrinsic
def load_rings(typing_context: Any, array: Any, offsets: Any, first: Any, index: Any) -> Any:
    """`LANES` numbers of each of `LANES` rings, which become lanes.

    Lane r of row k is ``array[offsets[first + r] + index + k]``.
    """
    _numbers_of("load_rings(array, offsets, first, index)", array)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        _, align = _NUMBERS[sig.args[0].dtype]
        rows = [builder.load(p, align=align) for p in _places(context, builder, sig, args)]
        if align == 4:
            rows = [builder.fpext(row, context.get_value_type(vector)) for row in rows]
        return context.make_tuple(builder, rows_type, _transposed(builder, rows))

    return rows_type(array, offsets, types.intp, types.intp), codegen


@intrinsic
def store_rings(
    typing_context: Any, array: Any, offsets: Any, first: Any, index: Any, rows: Any, add: Any
) -> Any:
    """Put what `load_rings` gives where it takes it from, or `add` it there.

    The first ring is the last to be written: it wins over others that have its place.
    """
    _numbers_of("store_rings(array, offsets, first, index, rows, add)", array)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        number, align = _NUMBERS[sig.args[0].dtype]
        kind = ir.VectorType(number, LANES)
        rows = _transposed(builder, [builder.extract_value(args[4], r) for r in range(LANES)])
        if align == 4:
            rows = [builder.fptrunc(row, kind) for row in rows]
        places = list(_places(context, builder, sig, args))[::-1]
        rows = rows[::-1]
        with builder.if_else(args[5]) as (then, otherwise):
            with then:
                for row, place in zip(rows, places, strict=True):
                    sum_ = builder.fadd(builder.load(place, align=align), row)
                    builder.store(sum_, place, align=align)
            with otherwise:
                for row, place in zip(rows, places, strict=True):
                    builder.store(row, place, align=align)
        return context.get_dummy_value()

    return types.void(array, offsets, types.intp, types.intp, rows_type, types.boolean), codegen


@intrinsic
def load_rows(typing_context: Any, array: Any, index: Any, step: Any) -> Any:
    """`LANES` vectors of float64, from flat positions `index`, `index` + `step` and so on."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = context.get_value_type(vector).as_pointer()
        rows = []
        for r in range(LANES):
            at = builder.add(args[1], builder.mul(args[2], ir.IntType(64)(r)))
            pointer = pointer_to(context, builder, sig.args[0], args[0], at)
            rows.append(builder.load(builder.bitcast(pointer, kind), align=8))
        return context.make_tuple(builder, rows_type, rows)

    return rows_type(array, types.intp, types.intp), codegen


@intrinsic
def load_pairs(typing_context: Any, array: Any, places: Any, first: Any) -> Any:
    """`LANES` vectors of float64: two from ``places[first]``, two from the next place, and so on.

    Places count pairs of vectors.
    """

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = context.get_value_type(vector).as_pointer()
        number = ir.IntType(64)
        rows = []
        for k in range(LANES // 2):
            at = builder.add(args[2], number(k))
            place = builder.load(pointer_to(context, builder, sig.args[1], args[1], at))
            index = builder.mul(place, number(2 * LANES))
            for part in (index, builder.add(index, number(LANES))):
                pointer = pointer_to(context, builder, sig.args[0], args[0], part)
                rows.append(builder.load(builder.bitcast(pointer, kind), align=8))
        return context.make_tuple(builder, rows_type, rows)

    return rows_type(array, places, types.intp), codegen


@intrinsic
def store_rows(typing_context: Any, array: Any, index: Any, step: Any, rows: Any) -> Any:
    """Put `LANES` vectors where `load_rows` takes them from."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = context.get_value_type(vector).as_pointer()
        for r in range(LANES):
            at = builder.add(args[1], builder.mul(args[2], ir.IntType(64)(r)))
            pointer = pointer_to(context, builder, sig.args[0], args[0], at)
            row = builder.extract_value(args[3], r)
            builder.store(row, builder.bitcast(pointer, kind), align=8)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, rows_type), codegen


@intrinsic
def load_twice(typing_context: Any, array: Any, index: Any) -> Any:
    """`RINGS` float64 from flat position `index` on, for the north, and again for the south."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        half = ir.VectorType(ir.DoubleType(), RINGS)
        pointer = pointer_to(context, builder, sig.args[0], *args)
        value = builder.load(builder.bitcast(pointer, half.as_pointer()), align=8)
        return builder.shuffle_vector(value, value, shuffle_mask([*range(RINGS)] * 2))

    return vector(array, types.intp), codegen
