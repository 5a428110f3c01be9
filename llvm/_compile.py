"""Fifth stage: machine code, loaded into this process."""

from __future__ import annotations

import ctypes
import re
from dataclasses import dataclass
from typing import Any

import llvmlite.binding as llvm

from ._arena_runtime import provide_arena
from ._entry import ENTRY
from ._errors import NoDerivativeError
from ._optimise import Optimised
from ._parallel_runtime import KEY, provide_threads
from ._target_machine import target_machine


@dataclass(frozen=True)
class ObjectCode:
    """Machine code that is not loaded yet: what the cache keeps.

    Attributes
    ----------
    code : bytes
        An object file that defines ``i64 entry(ptr slots)``.
    undefined : tuple of str
        The functions it expects from the process.
    parts : tuple of bytes
        More object files, which define what it calls.
    """

    code: bytes
    undefined: tuple[str, ...]
    parts: tuple[bytes, ...] = ()


def assemble(optimised: Optimised) -> ObjectCode:
    """Translate to machine code."""
    return assemble_module(llvm.parse_assembly(optimised.ir))


def assemble_module(module: llvm.ModuleRef) -> ObjectCode:
    """As `assemble`, for any module."""
    undefined = tuple(
        sorted(
            f.name
            for f in (*module.functions, *module.global_variables)
            if f.is_declaration and not f.name.startswith("llvm.")
        )
    )
    return ObjectCode(target_machine().emit_object(module), undefined)


@dataclass(frozen=True)
class Loaded:
    """Machine code in this process, kept alive by this object.

    Attributes
    ----------
    entry : ctypes function
        ``entry(slots: bytes) -> int``. Releases the GIL, and may be called from many threads.
    address : int
        Where it is, for compiled code.
    """

    entry: Any
    address: int
    engine: Any


def load(code: ObjectCode, *, function: str) -> Loaded:
    """Load machine code.

    Raises
    ------
    NoDerivativeError
        It needs a C function that this process does not have.
    """
    for symbol in code.undefined:
        # Asked for before linking, because LLVM ends the process over a symbol it cannot find.
        if not _is_known(symbol):
            raise NoDerivativeError(
                f"`{function}` calls `{symbol}`, which is in none of the libraries of this "
                f"process. Load its library first, or name it: `enzyme_rules.c_function(...)`.",
                stage="compile",
                function=function,
                symbol=symbol,
            )
    machine = target_machine()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    for part in (code.code, *code.parts):
        engine.add_object_file(llvm.ObjectFileRef.from_data(part))
    engine.finalize_object()
    prototype = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_char_p)
    address = engine.get_function_address(ENTRY)
    return Loaded(prototype(address), address, engine)


def _is_known(symbol: str) -> bool:
    if llvm.address_of_symbol(symbol) is not None:
        return True
    if symbol == KEY or symbol.startswith("arena_"):
        provide_arena()
        return llvm.address_of_symbol(symbol) is not None
    if symbol in ("numba_parallel_for", "get_num_threads"):
        provide_threads()
        return llvm.address_of_symbol(symbol) is not None
    if not re.match(r"numba_|NRT_|Py|_Py|\.numba", symbol):
        return False
    # Numba's helpers are announced to LLVM when its CPU target is first used, which costs most of a
    # second and is seldom needed by a gradient.
    from numba.core.registry import cpu_target

    _ = cpu_target.target_context
    return llvm.address_of_symbol(symbol) is not None
