"""Constant arrays, global or of a closure, that Numba has the addresses of in its code.

Enzyme can make nothing of an address, and it is another in the next process, which takes the code
from the cache. So what has gaps is packed, and large arrays get their numbers after Enzyme: as
text, they take each stage seconds.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.np.arrayobj import populate_array

_LARGE = 1 << 14  # bytes
_DECLARED = re.compile(
    r"^(@(const_array_[0-9a-f]{32})[.\d]* = .* (?:constant|global) .*)zeroinitializer", re.M
)
# Two passes of LLVM's in Enzyme die of loads from the fixed address of an item: "cannot get
# DomTreeNode of block with different parent". So addresses have this added to them.
_ZERO = "zero_of_arrays"
_I8, _I64 = ir.IntType(8), ir.IntType(64)
_numbers: dict[str, bytes] = {}


def has_address(kind: types.Array, array: np.ndarray) -> bool:
    """Whether a constant array is to be made here: one that is large or has gaps."""
    return array.nbytes > _LARGE or kind.layout not in "CF"


def constant_array(context: Any, builder: Any, kind: types.Array, array: np.ndarray) -> Any:
    """Such an array as a value of code, as `make_constant_array` makes others."""
    if kind.layout not in "CF":
        array = np.ascontiguousarray(array)
    numbers = array.tobytes("F" if kind.layout == "F" else "C")
    if len(numbers) > _LARGE:
        data = _declared(builder, numbers)
    else:
        constant = cgutils.create_constant_array(_I8, bytearray(numbers))
        data = cgutils.global_constant(builder, ".const.array.data", constant)
        data.align = context.get_abi_alignment(context.get_data_type(kind.dtype))
    made = context.make_array(kind)(context, builder)
    shape, strides = (
        cgutils.create_constant_array(_I64, [_I64(n) for n in counts])
        for counts in (array.shape, array.strides)
    )
    populate_array(
        made,
        data=builder.bitcast(data, made.data.type),
        shape=shape,
        strides=strides,
        itemsize=_I64(array.itemsize),
        meminfo=None,
    )
    return made._getvalue()


def _declared(builder: Any, numbers: bytes) -> Any:
    """The address of a constant whose numbers come later; LLVM takes them to be any."""
    name = f"const_array_{hashlib.sha256(numbers).hexdigest()[:32]}"
    _numbers[name] = numbers
    data = _constant(builder.module, name, ir.ArrayType(_I8, len(numbers)))
    zero = builder.load(_constant(builder.module, _ZERO, _I64))
    return builder.gep(data, [_I64(0), zero])


def _constant(module: ir.Module, name: str, kind: ir.Type) -> Any:
    if name in module.globals:
        return module.globals[name]
    made: Any = ir.GlobalVariable(module, kind, name)
    made.linkage, made.storage_class = "internal", "externally_initialized"
    made.global_constant, made.align = True, 64
    made.initializer = ir.Constant(kind, 0 if kind == _I64 else None)
    return made


def with_numbers(text: str) -> str:
    """A module, after Enzyme, with what large arrays hold."""
    text = text.replace("externally_initialized constant i64 0", "constant i64 0")
    return _DECLARED.sub(lambda found: f"{found[1]}{_quoted(_numbers[found[2]])}", text)


def _quoted(numbers: bytes) -> str:
    return 'c"' + "".join(f"\\{byte:02x}" for byte in numbers) + '"'
