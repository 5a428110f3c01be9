"""C functions that ``@njit`` code calls by name, so that compiled code can be kept on disk."""

from __future__ import annotations

import ctypes
import inspect
import threading
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from ._rules import refuse_allocation_name

_TYPES: dict[str, tuple[types.Type, ir.Type]] = {
    "c_double": (types.float64, ir.DoubleType()),
    "c_float": (types.float32, ir.FloatType()),
    "c_int64": (types.int64, ir.IntType(64)),
    "c_int32": (types.int32, ir.IntType(32)),
    "c_void_p": (types.voidptr, ir.IntType(8).as_pointer()),
}
# c_int64 is another name of c_long, or of c_longlong: what it calls itself would confuse.
_NAMES = {getattr(ctypes, name): name for name in _TYPES}

# Address and owner of every function named so far. A callback that ctypes made from a Python
# function is gone with the object, so the object is kept.
_named: dict[str, tuple[int, Any]] = {}
_lock = threading.Lock()


def c_function(symbol: str, address: Any, *parameters: Any, returns: Any = None) -> Any:
    """Make a C function callable from ``@njit`` code, under a fixed name.

    Numba can call a ctypes function too, but writes its address into the code: such code is of no
    use to another process, and Enzyme can say nothing better of it than a number.

    Parameters
    ----------
    symbol : str
        Name in the IR. Unique in the process; also what error messages say. Enzyme differentiates
        some C functions that it knows by name, ``"sin"`` or ``"j0"``; any other name needs a rule.
    address : int or ctypes function
        Where it is. A ctypes callback (``CFUNCTYPE(...)(python_function)``) is kept alive.
    *parameters : ctypes types
        ``c_double``, ``c_float``, ``c_int64``, ``c_int32``, or ``c_void_p`` for any pointer. Arrays
        are passed for pointers as they are; the C function sees the address of their first item.
    returns : ctypes type, optional
        One of the same, or None for a function that returns nothing.

    Returns
    -------
    callable
        For ``@njit`` code only. Arrays must be contiguous.

    Raises
    ------
    TypeError
        A parameter has a type that is not in the list.
    ValueError
        The name belongs to a function at another address, or to C's own allocation.

    Examples
    --------
    >>> import ctypes, numba
    >>> libm = ctypes.CDLL(None)
    >>> ceiling = c_function("libm_ceil", libm.ceil, ctypes.c_double, returns=ctypes.c_double)
    >>> @numba.njit
    ... def f(x):
    ...     return ceiling(x)
    >>> f(1.5)
    2.0
    """
    call = f"c_function({symbol!r}, ...)"
    refuse_allocation_name(call, symbol)
    for given in (*parameters, *([] if returns is None else [returns])):
        if given not in _NAMES:
            known = ", ".join(_TYPES)
            raise TypeError(f"`{call}` takes and returns ctypes' {known}. Got {given!r}.")
    place = address if isinstance(address, int) else ctypes.cast(address, ctypes.c_void_p).value
    if not place:
        raise ValueError(f"`{call}` needs the address of a function. Got {address!r}.")
    with _lock:
        if symbol in _named and _named[symbol][0] != place:
            raise ValueError(
                f"`{call}` needs a name of its own: compiled code finds the function by it. Got "
                f"the name of the function at {_named[symbol][0]:#x} for the one at {place:#x}."
            )
        _named[symbol] = place, address
        llvm.add_symbol(symbol, place)
    return intrinsic(
        _definition(symbol, tuple(_NAMES[p] for p in parameters), returns and _NAMES[returns])
    )


def _definition(symbol: str, parameters: tuple[str, ...], returns: str | None) -> Any:
    # All that tells one function from another is in the closure, as text: part of a cache key.
    def define(typing_context: Any, *given: types.Type) -> Any:
        if len(given) != len(parameters):
            raise TypeError(
                f"`{symbol}` takes {len(parameters)} arguments ({', '.join(parameters)}). "
                f"Got {len(given)}: ({', '.join(map(str, given))})."
            )
        return _lower_call(symbol, parameters, returns, given)

    # Numba reads off the signature how many values the code generator gets: a fixed number.
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    names = ["typing_context", *(f"a{i}" for i in range(len(parameters)))]
    fixed = inspect.Signature([inspect.Parameter(name, kind) for name in names])
    setattr(define, "__signature__", fixed)  # noqa: B010
    return define


def _lower_call(
    symbol: str, parameters: tuple[str, ...], returns: str | None, given: tuple[types.Type, ...]
) -> Any:
    wanted = [_TYPES[p] for p in parameters]
    for position, (ty, (numba_type, _)) in enumerate(zip(given, wanted, strict=True)):
        _check_argument(symbol, position, parameters[position], numba_type, ty)
    numba_result, llvm_result = _TYPES[returns] if returns else (types.void, ir.VoidType())

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        function = builder.module.globals.get(symbol)
        if function is None:
            function_type = ir.FunctionType(llvm_result, [llvm_type for _, llvm_type in wanted])
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
        result = builder.call(function, converted)
        return result if returns else context.get_dummy_value()

    return numba_result(*given), codegen


def _check_argument(
    symbol: str, position: int, parameter: str, numba_type: types.Type, ty: types.Type
) -> None:
    """What Numba would not refuse by itself, or only in words about LLVM types."""
    if numba_type is types.voidptr:
        fits = ty == types.voidptr or isinstance(ty, (types.Integer, types.CPointer))
        if isinstance(ty, types.Array):
            fits = ty.layout in "CF"
        needs = "a contiguous array, a pointer or an address"
    elif isinstance(numba_type, types.Float):
        fits, needs = isinstance(ty, (types.Float, types.Integer, types.Boolean)), "a real number"
    else:
        fits, needs = isinstance(ty, (types.Integer, types.Boolean)), "an integer"
    if not fits:
        raise TypeError(
            f"`{symbol}` takes a `{parameter}`, {needs}, as argument {position}. Got a `{ty}`."
        )
