"""Functions that no derivative passes through, and that Enzyme need not see: their calls.

Such a function is compiled by Numba as for Python, with everything that Numba does there. Enzyme
sees a declaration that says what it reads and writes; the body is linked in afterwards.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba import njit
from numba.core import cgutils, types
from numba.core.target_extension import target_override
from numba.extending import intrinsic

from ._lower import count_error, link

_PREFIX = "inactive_"


@dataclass(frozen=True)
class _Call:
    """Such a function at one tuple of argument types.

    Attributes
    ----------
    compiled : numba compile result
    function_type : llvmlite function type
        Of the declaration: arguments as Numba passes them, the result by value.
    writes : tuple of bool
        One for each parameter.
    """

    compiled: Any
    function_type: ir.FunctionType
    writes: tuple[bool, ...]


_calls: dict[str, _Call] = {}
"""Every such function called so far, by the name of its declaration."""


def inactive(function: Any, writes: Sequence[int] = ()) -> Any:
    """An ``@njit`` function as one that has no derivative, for code of our target.

    Parameters
    ----------
    function : njit function
        Of numbers and arrays of numbers; returns a number or nothing. It reads and writes no other
        memory, and does not return what it is given.
    writes : sequence of int
        Positions of the arrays that it writes. The values it writes do not vary.

    Returns
    -------
    callable
        Takes a tuple of all arguments.
    """

    @intrinsic
    def call(typing_context: Any, arguments: Any) -> Any:
        wanted = tuple(map(types.unliteral, arguments.types))
        with target_override("cpu"):
            function.compile(wanted)
        compiled = function.overloads[wanted]

        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            given = cgutils.unpack_tuple(builder, values[0], len(wanted))
            flat: list[Any] = []
            written: list[bool] = []
            for i, (value, own, ty) in enumerate(zip(given, arguments.types, wanted, strict=True)):
                value = _without_owner(context, builder, ty, context.cast(builder, value, own, ty))
                parts = context.get_arg_packer([ty]).as_arguments(builder, [value])
                flat += parts
                written += [i in writes] * len(parts)
            declared = _declaration(context, builder.module, compiled, flat, written)
            value = builder.call(declared, flat)
            return value if signature.return_type != types.none else context.get_dummy_value()

        return compiled.signature.return_type(arguments), codegen

    return call


def _without_owner(context: Any, builder: Any, ty: Any, value: Any) -> Any:
    """An array that nobody owns: our meminfos are none of Numba's."""
    if not isinstance(ty, types.Array):
        return value
    array = context.make_array(ty)(context, builder, value)
    for member in ("meminfo", "parent"):
        place = array._get_ptr_by_name(member)
        builder.store(ir.Constant(place.type.pointee, None), place)
    return array._getvalue()


def _declaration(
    context: Any, module: Any, compiled: Any, flat: Sequence[Any], written: Sequence[bool]
) -> Any:
    """What stands for the function until Enzyme is done: numbers come back by value."""
    mangled = compiled.fndesc.mangled_name
    name = f"{_PREFIX}{compiled.fndesc.qualname.split('.')[-1]}_"
    name += hashlib.sha256(mangled.encode()).hexdigest()[:12]
    known = module.globals.get(name)
    if known is not None:
        return known
    ty = compiled.fndesc.restype
    result = ir.VoidType() if ty == types.none else context.get_value_type(ty)
    function_type = ir.FunctionType(result, [value.type for value in flat])
    _calls[name] = _Call(compiled, function_type, tuple(written))
    return ir.Function(module, function_type, name)


_DECLARED = re.compile(rf"^declare [^@\n]*@({_PREFIX}\w+_[0-9a-f]{{12}})\([^\n]*$", re.M)


def declared_inactive(text: str) -> set[str]:
    """The names of all such functions that a module declares."""
    return set(_DECLARED.findall(text))


def mark_inactive(text: str, *, for_enzyme: bool = True) -> str:
    """The module with what is known of them said in their declarations.

    Enzyme does not hear all of it: it takes a call that keeps nothing of what it gets for one that
    needs a derivative, whatever else is said.
    """

    def declaration(found: re.Match[str]) -> str:
        call = _calls[found[1]]
        parameters = ", ".join(
            f"{ty} captures(none) {'' if writes else 'readonly'}"
            if _is_pointer(ty) and not for_enzyme
            else str(ty)
            for ty, writes in zip(call.function_type.args, call.writes, strict=True)
        )
        return (
            f"declare {call.function_type.return_type} @{found[1]}({parameters}) nofree nounwind "
            f'willreturn memory(argmem: readwrite, inaccessiblemem: readwrite) "enzyme_inactive"'
        )

    return _DECLARED.sub(declaration, text)


def _is_pointer(ty: ir.Type) -> bool:
    return isinstance(ty, ir.PointerType)


def inactive_body(name: str) -> str:
    """A module that defines such a function."""
    call = _calls[name]
    context = call.compiled.target_context
    module = context.create_module(name)
    function = ir.Function(module, call.function_type, name)
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    callee = context.declare_function(module, call.compiled.fndesc)
    result, exception = (cgutils.alloca_once(builder, a.type.pointee) for a in callee.args[:2])
    given = [
        builder.bitcast(a, b.type) if _is_pointer(a.type) else a
        for a, b in zip(function.args, callee.args[2:], strict=True)
    ]
    status = builder.call(callee, [result, exception, *given])
    count_error(module, builder, builder.icmp_unsigned("!=", status, status.type(0)))
    if isinstance(call.function_type.return_type, ir.VoidType):
        builder.ret_void()
    else:
        builder.ret(builder.load(result))
    return link([call.compiled], [module])


@njit()
def _same(x: Any) -> Any:
    return x


constant = inactive(_same)
"""``constant((x,))`` is x, but does not vary: ``f - constant((f,))`` is 0, with f's derivatives."""
