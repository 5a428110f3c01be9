"""C functions that ``@njit`` code calls by name, so that compiled code can be kept on disk."""

from __future__ import annotations

import ctypes
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

_TYPES: dict[Any, tuple[types.Type, ir.Type]] = {
    ctypes.c_double: (types.float64, ir.DoubleType()),
    ctypes.c_float: (types.float32, ir.FloatType()),
    ctypes.c_int64: (types.int64, ir.IntType(64)),
    ctypes.c_int32: (types.int32, ir.IntType(32)),
    ctypes.c_void_p: (types.voidptr, ir.IntType(8).as_pointer()),
}


def c_function(symbol: str, address: Any, *parameters: Any) -> Any:
    """Make a C function that returns nothing callable from ``@njit`` code, under a fixed name.

    Numba can call a ctypes function too, but writes its address into the code: such code is of no use
    to another process, and Enzyme can say nothing better of it than a number.

    Parameters
    ----------
    symbol : str
        Name in the IR. Unique in the process; also what error messages say.
    address : int or ctypes function
        Where it is.
    *parameters : ctypes types
        ``c_double``, ``c_float``, ``c_int64``, ``c_int32``, or ``c_void_p`` for any pointer. Arrays
        are passed for pointers as they are; the C function sees the address of their first item.

    Returns
    -------
    callable
        For ``@njit`` code only. Arrays must be contiguous.

    Raises
    ------
    TypeError
        A parameter has a type that is not in the list.
    """
    unknown = [p for p in parameters if p not in _TYPES]
    if unknown:
        known = ", ".join(t.__name__ for t in _TYPES)
        raise TypeError(
            f"`c_function({symbol!r}, ...)` takes parameters of ctypes' {known}. Got {unknown[0]!r}."
        )
    if not isinstance(address, int):
        address = ctypes.cast(address, ctypes.c_void_p).value
    llvm.add_symbol(symbol, address)
    # An intrinsic has as many parameters as its definition, so the definition is written for each.
    names = ", ".join(f"a{i}" for i in range(len(parameters)))
    source = f"def call(typing_context, {names}):\n    return lower(symbol, parameters, ({names},))\n"
    namespace = {"lower": _lower_call, "symbol": symbol, "parameters": parameters}
    exec(compile(source, f"<call of {symbol}>", "exec"), namespace)  # noqa: S102
    return intrinsic(namespace["call"])


def _lower_call(symbol: str, parameters: tuple[Any, ...], given: tuple[types.Type, ...]) -> Any:
    wanted = [_TYPES[p] for p in parameters]
    for i, (ty, (numba_type, _)) in enumerate(zip(given, wanted, strict=True)):
        if isinstance(ty, types.Array) and (numba_type is not types.voidptr or ty.layout not in "CF"):
            raise TypeError(f"`{symbol}` takes a contiguous array for a pointer. Got {ty} at {i}.")

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        function = builder.module.globals.get(symbol)
        if function is None:
            function_type = ir.FunctionType(ir.VoidType(), [llvm_type for _, llvm_type in wanted])
            function = ir.Function(builder.module, function_type, symbol)
        converted = []
        for ty, value, (numba_type, llvm_type) in zip(given, values, wanted, strict=True):
            if isinstance(ty, types.Array):
                data = context.make_array(ty)(context, builder, value).data
                converted.append(builder.bitcast(data, llvm_type))
            elif numba_type is types.voidptr and isinstance(ty, types.Integer):
                converted.append(builder.inttoptr(value, llvm_type))
            else:
                converted.append(context.cast(builder, value, ty, numba_type))
        builder.call(function, converted)
        return context.get_dummy_value()

    return types.void(*given), codegen
