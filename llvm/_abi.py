"""How a Numba type becomes flat LLVM parameters (leaves), and how values are rebuilt from them.

An array is its data pointer, its shape and, when its layout is neither C nor Fortran, its strides.
A floating-point or complex scalar is a pointer to it, so that its derivative has a place:
everything that can carry a derivative is then a pointer with a shadow pointer, in every mode.
Integers and booleans are one ``i64``. Tuples are the leaves of their items, in order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.np.arrayobj import populate_array

from ._errors import UnsupportedTypeError

I64 = ir.IntType(64)
I8 = ir.IntType(8)
POINTER = I8.as_pointer()

FLOATING = (types.Float, types.Complex)
# Any, because pyright finds no attributes in the classes of Numba.
TUPLE: Any = types.BaseTuple
INTEGER: Any = types.Integer
_NUMBERS = (types.float32, types.float64, types.complex64, types.complex128)


@dataclass(frozen=True)
class Leaf:
    """One flat parameter.

    Attributes
    ----------
    kind : str
        ``"array"``: pointer to an array's data; ``"scalar"``: pointer to a floating-point or
        complex number; ``"integer"``: an ``i64``.
    dtype : numba.core.types.Type
        Of what the pointer points to, or of the integer.
    """

    kind: str
    dtype: Any

    @property
    def is_pointer(self) -> bool:
        return self.kind != "integer"

    @property
    def can_vary(self) -> bool:
        """Whether a derivative with respect to it exists."""
        return self.is_pointer and isinstance(self.dtype, FLOATING)

    @property
    def llvm_type(self) -> ir.Type:
        return POINTER if self.is_pointer else I64

    @property
    def enzyme_hint(self) -> tuple[str, int] | None:
        """Name and size of the ``__enzyme_<name>(ptr, size)`` that states the memory's type."""
        if not self.is_pointer:
            return None
        size = self.dtype.bitwidth // 8 if hasattr(self.dtype, "bitwidth") else 1
        if isinstance(self.dtype, types.Complex):
            return ("double" if self.dtype.bitwidth == 128 else "float"), size
        if isinstance(self.dtype, types.Float):
            return ("double" if self.dtype.bitwidth == 64 else "float"), size
        return "integer", size


def leaves(ty: Any) -> tuple[Leaf, ...]:
    """The flat parameters of a Numba type.

    Raises
    ------
    UnsupportedTypeError
        The type cannot be passed to a compiled gradient.
    """
    if isinstance(ty, types.Array):
        scalar = ty.dtype in _NUMBERS or isinstance(ty.dtype, (types.Integer, types.Boolean))
        if scalar and ty.aligned:
            strided = 0 if ty.layout in "CF" else ty.ndim
            integer = Leaf("integer", types.intp)
            return (Leaf("array", ty.dtype), *[integer] * (ty.ndim + strided))
    elif ty in _NUMBERS:
        return (Leaf("scalar", ty),)
    elif isinstance(ty, (types.Integer, types.Boolean)):
        return (Leaf("integer", ty),)
    elif isinstance(ty, TUPLE):
        return tuple(leaf for item in ty.types for leaf in leaves(item))
    elif is_instance(ty):
        return tuple(leaf for item in fields(ty).values() for leaf in leaves(item))
    elif isinstance(ty, (types.NoneType, types.Dispatcher)):
        return ()
    raise UnsupportedTypeError(
        f"A compiled gradient takes numbers, arrays of numbers, and tuples of these; as constants "
        f"instances of jitclasses and StructRefs. Got the Numba type `{ty}`. Pass its arrays and "
        f"numbers as separate arguments, or as a (named) tuple."
    )


def is_instance(ty: Any) -> bool:
    """Whether a type is that of instances of a jitclass or of a StructRef."""
    return isinstance(ty, (types.ClassInstanceType, types.StructRef))


def fields(ty: Any) -> dict[str, Any]:
    """The fields of a jitclass or StructRef and their types."""
    return dict(ty.struct if isinstance(ty, types.ClassInstanceType) else ty.field_dict)


def pack(context: Any, builder: Any, ty: Any, values: Iterator[Any]) -> Any:
    """Rebuild a Numba value of type `ty`, taking its leaves from `values`."""
    if isinstance(ty, types.Array):
        item = context.get_data_type(ty.dtype)
        itemsize = context.get_abi_sizeof(item)
        data = builder.bitcast(next(values), item.as_pointer())
        shape = [next(values) for _ in range(ty.ndim)]
        if ty.layout in "CF":
            strides = _contiguous_strides(builder, shape, itemsize, ty.layout)
        else:
            strides = [next(values) for _ in range(ty.ndim)]
        array = context.make_array(ty)(context, builder)
        populate_array(array, data, shape, strides, itemsize, meminfo=None)
        return array._getvalue()
    if isinstance(ty, FLOATING):
        pointer = builder.bitcast(next(values), context.get_value_type(ty).as_pointer())
        return builder.load(pointer)
    if isinstance(ty, types.Boolean):
        return builder.icmp_unsigned("!=", next(values), I64(0))
    if isinstance(ty, INTEGER):
        value, width = next(values), context.get_value_type(ty)
        return builder.trunc(value, width) if width.width < 64 else value
    if isinstance(ty, TUPLE):
        items = [pack(context, builder, item, values) for item in ty.types]
        return context.make_tuple(builder, ty, items)
    if is_instance(ty):
        return _pack_instance(context, builder, ty, values)
    return context.get_dummy_value()


def _pack_instance(context: Any, builder: Any, ty: Any, values: Iterator[Any]) -> Any:
    """An instance whose fields are on the stack. Nothing counts references to it."""
    kind = context.data_model_manager[ty.get_data_type()].get_value_type()
    place = cgutils.alloca_once(builder, kind, zfill=True)
    payload = cgutils.create_struct_proxy(ty.get_data_type())(context, builder, ref=place)
    mangled = context.data_model_manager[ty.get_data_type()]._fields
    for name, item in zip(mangled, fields(ty).values(), strict=True):
        setattr(payload, name, pack(context, builder, item, values))
    instance = context.make_helper(builder, ty)
    instance.meminfo = builder.bitcast(place, POINTER)
    if isinstance(ty, types.ClassInstanceType):
        instance.data = place
    return instance._getvalue()


def unpack(context: Any, builder: Any, ty: Any, value: Any) -> list[Any]:
    """The leaves of a Numba value; the inverse of `pack`."""
    if isinstance(ty, types.Array):
        array = context.make_array(ty)(context, builder, value)
        sizes = cgutils.unpack_tuple(builder, array.shape, ty.ndim)
        if ty.layout not in "CF":
            sizes += cgutils.unpack_tuple(builder, array.strides, ty.ndim)
        return [builder.bitcast(array.data, POINTER), *sizes]
    if isinstance(ty, types.Boolean):
        return [builder.zext(value, I64)]
    if isinstance(ty, INTEGER):
        if value.type.width == 64:
            return [value]
        return [builder.sext(value, I64) if ty.signed else builder.zext(value, I64)]
    if isinstance(ty, TUPLE):
        items = cgutils.unpack_tuple(builder, value, len(ty.types))
        return [
            leaf
            for item_type, item in zip(ty.types, items, strict=True)
            for leaf in unpack(context, builder, item_type, item)
        ]
    if isinstance(ty, FLOATING):
        raise UnsupportedTypeError(
            f"A function with a rule takes arrays, integers and tuples of these. Got a `{ty}`. "
            "Pass it as an array with one element."
        )
    return []


def _contiguous_strides(
    builder: Any, shape: Sequence[Any], itemsize: int, layout: str
) -> list[Any]:
    strides: list[Any] = [None] * len(shape)
    axes = range(len(shape))
    step = I64(itemsize)
    for axis in reversed(axes) if layout == "C" else axes:
        strides[axis] = step
        step = builder.mul(step, shape[axis], flags=("nsw",))
    return strides
