"""Powers of complex numbers, which Numba has from a C function without a derivative."""

from __future__ import annotations

import re
from typing import Any

import llvmlite.binding as llvm
import numba
import numpy as np
from llvmlite import ir
from numba.core import types

from ._inactive import constant, inactive
from ._lower import compile_raw, link, private

_TYPES = {"numba_cpow": types.complex128, "numba_cpowf": types.complex64}


@numba.njit()
def _value(z: Any, w: Any) -> Any:
    return z**w


_power = inactive(_value)


@numba.njit()
def power(z: Any, w: Any) -> Any:
    """z**w as Numba computes it, with the derivatives of exp(w log z)."""
    value = _power((z, w))
    if z == 0:
        # dz^w/dz is 0 there for Re w > 1; where it is infinite it is 0 too, as for the square root.
        return value + z - constant((z,)) if w == 1 else value
    change = w * np.log(z)
    return value * np.exp(change - constant((change,)))


def with_powers(text: str) -> str:
    """The module with `power` in the place of Numba's C function."""
    for symbol, ty in _TYPES.items():
        if f"@{symbol}(" in text:
            name = f"differentiable_{symbol}"
            module = llvm.parse_assembly(re.sub(rf"@{symbol}\b", f"@{name}", text))
            module.link_in(llvm.parse_assembly(private(_definition(name, ty), keep=(name,))))
            text = str(module)
    return text


def _definition(name: str, ty: Any) -> str:
    """``void name(z*, w*, result*)``."""
    compiled = compile_raw(power, (ty, ty))
    context = compiled.target_context
    module = context.create_module(name)
    pointer = context.get_value_type(ty).as_pointer()
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [pointer] * 3), name)
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    z, w, result = function.args
    callee = context.declare_function(module, compiled.fndesc)
    _, value = context.call_conv.call_function(
        builder, callee, ty, (ty, ty), [builder.load(z), builder.load(w)]
    )
    builder.store(value, result)
    builder.ret_void()
    return link([compiled], [module])
