"""A SIMD type for Numba: blocks of vectors, so that a kernel reads like the formula it computes.

A *vector* holds one number for each of `LANES` orders m; a *block* holds one vector for each of
`RINGS` rings. Block and vector multiply ring by ring. Each operation becomes LLVM vector
instructions with the flag ``contract`` (a product and a sum may be one fused operation), nothing
else: no reordering.

Numba finds vector code by itself in simple loops only; the recurrence over degrees is none of them.
"""

from __future__ import annotations

import operator
from typing import Any

import llvmlite.binding as llvm
import numba.extending
import numpy as np
from llvmlite import ir
from numba import njit
from numba.core import cgutils, types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import lower_builtin, models, register_model

# AVX-512 has 32 registers of 8 numbers. Elsewhere 16 of 4 (AVX2) or of 2 (SSE2, NEON has 32), which
# the four accumulators of two rings and what they are made of fit into.
_WIDE = bool(llvm.get_host_cpu_features().get("avx512f"))
LANES = 8 if _WIDE else 4
RINGS = 4 if _WIDE else 2

_VECTOR = ir.VectorType(ir.DoubleType(), LANES)
_BLOCK = ir.ArrayType(_VECTOR, RINGS)
FLAGS = ("contract",)

# Called without the typing context, which checkers of types do not know.
intrinsic: Any = numba.extending.intrinsic


def aligned_zeros(shape: Any, dtype: Any = np.float64) -> np.ndarray:
    """Zeros that begin on a cache line, so that no vector lies across two of them."""
    count = int(np.prod(shape))
    buffer = np.zeros(count * np.dtype(dtype).itemsize + 64, np.uint8)
    start = -buffer.ctypes.data % 64
    return buffer[start : start + count * np.dtype(dtype).itemsize].view(dtype).reshape(shape)


class Vector(types.Type):
    """`LANES` float64."""

    def __init__(self) -> None:
        super().__init__(name=f"float64x{LANES}")


class Block(types.Type):
    """`RINGS` vectors."""

    def __init__(self) -> None:
        super().__init__(name=f"float64x{LANES}x{RINGS}")


vector, block = Vector(), Block()


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, ty: types.Type) -> None:
        super().__init__(manager, ty, _VECTOR)


@register_model(Block)
class _BlockModel(models.PrimitiveModel):
    def __init__(self, manager: Any, ty: types.Type) -> None:
        super().__init__(manager, ty, _BLOCK)


def _define(operation: Any, instruction: str) -> None:
    @infer_global(operation)  # pyright: ignore[reportOptionalCall]
    class _Template(AbstractTemplate):
        def generic(self, args: Any, kws: Any) -> Any:
            if len(args) == 2 and args[0] in (vector, block) and args[1] in (vector, block):
                result = block if block in args else vector
                return signature(result, *args)
            return None

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        emit = getattr(builder, instruction)
        if sig.return_type == vector:
            return emit(*args, flags=FLAGS)
        result = ir.Constant(_BLOCK, ir.Undefined)
        for ring in range(RINGS):
            items = [
                builder.extract_value(value, ring) if ty == block else value
                for ty, value in zip(sig.args, args, strict=True)
            ]
            result = builder.insert_value(result, emit(*items, flags=FLAGS), ring)
        return result

    for left in (Vector, Block):
        for right in (Vector, Block):
            lower_builtin(operation, left, right)(lower)


_define(operator.add, "fadd")
_define(operator.sub, "fsub")
_define(operator.mul, "fmul")


def pointer_to(context: Any, builder: Any, ty: types.Array, array: Any, index: Any) -> Any:
    data = context.make_array(ty)(context, builder, array).data
    return builder.gep(data, [index])


def _require_float64(what: str, array: Any) -> None:
    if not (
        isinstance(array, types.Array) and array.dtype == types.float64 and array.layout == "C"
    ):
        raise TypeError(f"`{what}` takes a C-contiguous float64 array. Got {array}.")


@intrinsic
def load_vector(typing_context: Any, array: Any, index: Any) -> Any:
    """The `LANES` numbers from flat position `index` on."""
    _require_float64("load_vector(array, index)", array)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointer = pointer_to(context, builder, sig.args[0], *args)
        return builder.load(builder.bitcast(pointer, _VECTOR.as_pointer()), align=8)

    return vector(array, types.intp), codegen


@intrinsic
def store_vector(typing_context: Any, array: Any, index: Any, value: Any) -> Any:
    """Put a vector at flat position `index`."""
    _require_float64("store_vector(array, index, value)", array)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointer = pointer_to(context, builder, sig.args[0], *args[:2])
        builder.store(args[2], builder.bitcast(pointer, _VECTOR.as_pointer()), align=8)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), codegen


@njit(error_model="numpy")
def add_vector(array, index, value):
    """Add a vector to the numbers from flat position `index` on."""
    store_vector(array, index, load_vector(array, index) + value)


@intrinsic
def load_block(typing_context: Any, array: Any, index: Any) -> Any:
    """A block whose vectors follow each other from flat position `index` on."""
    _require_float64("load_block(array, index)", array)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointer = pointer_to(context, builder, sig.args[0], *args)
        pointer = builder.bitcast(pointer, _VECTOR.as_pointer())
        result = ir.Constant(_BLOCK, ir.Undefined)
        for ring in range(RINGS):
            item = builder.load(builder.gep(pointer, [ir.IntType(64)(ring)]), align=8)
            result = builder.insert_value(result, item, ring)
        return result

    return block(array, types.intp), codegen


@intrinsic
def store_block(typing_context: Any, array: Any, index: Any, value: Any) -> Any:
    """Put a block's vectors one after the other, from flat position `index` on."""
    _require_float64("store_block(array, index, value)", array)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointer = pointer_to(context, builder, sig.args[0], *args[:2])
        pointer = builder.bitcast(pointer, _VECTOR.as_pointer())
        for ring in range(RINGS):
            item = builder.extract_value(args[2], ring)
            builder.store(item, builder.gep(pointer, [ir.IntType(64)(ring)]), align=8)
        return context.get_dummy_value()

    return types.void(array, types.intp, block), codegen


@njit(error_model="numpy")
def add_block(array, index, value):
    """Add a block to the numbers from flat position `index` on."""
    store_block(array, index, load_block(array, index) + value)


@njit(error_model="numpy")
def subtract_block(array, index, value):
    """Subtract a block from the numbers from flat position `index` on."""
    store_block(array, index, load_block(array, index) - value)


def require_complex(what: str, array: Any) -> None:
    if not (
        isinstance(array, types.Array)
        and array.dtype in (types.complex64, types.complex128)
        and array.layout == "C"
    ):
        raise TypeError(f"`{what}` takes a C-contiguous complex array. Got {array}.")


def pairs_of(ty: types.Array) -> tuple[ir.VectorType, int]:
    """`LANES` complex numbers as one vector of real ones, and their alignment."""
    number = ir.FloatType() if ty.dtype == types.complex64 else ir.DoubleType()
    return ir.VectorType(number, 2 * LANES), 4 if ty.dtype == types.complex64 else 8


def shuffle_mask(positions: Any) -> ir.Constant:
    positions = list(positions)
    return ir.Constant(ir.VectorType(ir.IntType(32), len(positions)), positions)


@intrinsic
def load_complex(typing_context: Any, array: Any, index: Any) -> Any:
    """Real parts, and imaginary parts, of the `LANES` numbers from flat position `index` on."""
    require_complex("load_complex(array, index)", array)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pairs, align = pairs_of(sig.args[0])
        pointer = pointer_to(context, builder, sig.args[0], *args)
        value = builder.load(builder.bitcast(pointer, pairs.as_pointer()), align=align)
        if align == 4:
            value = builder.fpext(value, ir.VectorType(ir.DoubleType(), 2 * LANES))
        undefined = ir.Constant(value.type, ir.Undefined)
        parts = [
            builder.shuffle_vector(value, undefined, shuffle_mask(range(part, 2 * LANES, 2)))
            for part in (0, 1)
        ]
        return context.make_tuple(builder, sig.return_type, parts)

    return types.UniTuple(vector, 2)(array, types.intp), codegen


@intrinsic
def store_complex(typing_context: Any, array: Any, index: Any, re: Any, im: Any) -> Any:
    """Put `LANES` numbers, given as real and imaginary parts, from flat position `index` on."""
    require_complex("store_complex(array, index, re, im)", array)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pairs, align = pairs_of(sig.args[0])
        pointer = pointer_to(context, builder, sig.args[0], *args[:2])
        mask = shuffle_mask(lane + part * LANES for lane in range(LANES) for part in (0, 1))
        value = builder.shuffle_vector(args[2], args[3], mask)
        if align == 4:
            value = builder.fptrunc(value, pairs)
        builder.store(value, builder.bitcast(pointer, pairs.as_pointer()), align=align)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector, vector), codegen


def filled(builder: Any, number: Any) -> Any:
    """A vector with one number in all lanes."""
    undefined = ir.Constant(_VECTOR, ir.Undefined)
    single = builder.insert_element(undefined, number, ir.IntType(32)(0))
    return builder.shuffle_vector(single, undefined, shuffle_mask([0] * LANES))


@intrinsic
def splat(typing_context: Any, number: Any) -> Any:
    """A vector filled with one number."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return filled(builder, args[0])

    return vector(types.float64), codegen


@intrinsic
def dot_rings(typing_context: Any, left: Any, right: Any) -> Any:
    """The sum over rings of the products of two blocks, to the same bits wherever it stands.

    Of ``a b + c d``, "contract" lets LLVM choose the product that it rounds.
    """

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        fused = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(_VECTOR, [_VECTOR] * 3), f"llvm.fmuladd.v{LANES}f64"
        )
        rings = [[builder.extract_value(each, k) for each in args] for k in range(RINGS)]
        total = builder.fmul(*rings[0])
        for one, other in rings[1:]:
            total = builder.call(fused, [one, other, total])
        return total

    return vector(block, block), codegen


@intrinsic
def splat_rings(typing_context: Any, array: Any, index: Any) -> Any:
    """A block whose vector r is filled with the one number ``array[index + r]``."""
    _require_float64("splat_rings(array, index)", array)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointer = pointer_to(context, builder, sig.args[0], *args)
        result = ir.Constant(_BLOCK, ir.Undefined)
        for ring in range(RINGS):
            number = builder.load(builder.gep(pointer, [ir.IntType(64)(ring)]))
            result = builder.insert_value(result, filled(builder, number), ring)
        return result

    return block(array, types.intp), codegen


@intrinsic
def zero_block(typing_context: Any) -> Any:
    """A block of zeros."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return ir.Constant(_BLOCK, [ir.Constant(_VECTOR, [0.0] * LANES)] * RINGS)

    return block(), codegen
