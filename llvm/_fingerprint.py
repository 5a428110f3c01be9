"""A key for a compiled derivative that is known without lowering the function.

Lowering costs about a second in a new process, most of it Numba's own start. The key is therefore
made of what the IR is made of: the byte code of the function and of all it calls, the values it
closes over, the rules in force, and the versions of everything on the way. Where one of these
cannot be told, there is no key, and nothing is kept on disk.
"""

from __future__ import annotations

import builtins
import dis
import hashlib
import sys
import types as python_types
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import llvmlite
import numba
import numpy as np
from numba.core import types
from numba.core.extending import _Intrinsic
from numba.core.registry import CPUDispatcher
from numba.stencils.stencil import StencilFunc

from enzyme_rules import Rule, find_rule, symbol_rules

from ._counterparts import KINDS
from ._cuda_files import libdevice_digest
from ._options import DEFAULT
from ._stamps import OUR_PACKAGES, folder_stamp, package_of, stamp
from ._target_machine import target_description, tool_for

# What Numba implements itself: their version tells what they do.
_KNOWN_PACKAGES = {"builtins", "cmath", "math", "numba", "numpy", "operator"}


# What has a name that says what it is. Not instances: two dicts, or two generators, look the same.
_NAMED = (
    type,
    np.ufunc,
    type(np.sum),
    python_types.FunctionType,
    python_types.BuiltinFunctionType,
)
_PLAIN = (int, float, complex, str, bytes, type(None), type(...), np.generic)


class _Unknown(Exception):
    """Something whose meaning cannot be told from here."""


ANY_ENZYME = "any"
"""In place of a version, in keys of kernels to be found where there is no Enzyme."""


def fingerprint(function: Any, question: Any, enzyme_version: str) -> str | None:
    """A hexadecimal key, or None if the function depends on something that has no fingerprint."""
    walk = _Walk()
    try:
        walk.visit(function)
        walk.add(repr((question.mode, question.varying, question.skip_primal, question.width)))
        walk.add(question.threads.value, question.architecture)
        if question.options != DEFAULT:  # what is usual is not in the key, nor in older ones
            options = question.options
            walk.add(repr(options), tool_for(options.passes_before), tool_for(options.passes_after))
        for ty in question.argument_types:
            walk.visit(ty)
        for rule in symbol_rules():
            walk.add(repr(rule))
    except _Unknown:
        return None
    return _with_versions(walk, enzyme_version, question.architecture)


def part_fingerprint(call: Any, part: str, enzyme_version: str) -> str | None:
    """As `fingerprint`, for a part of a rule that is compiled separately."""
    walk = _Walk()
    try:
        walk.add("part", call.symbol, part)
        walk.visit(call.rule.function)
        for ty in call.argument_types:
            walk.visit(ty)
        for rule in symbol_rules():
            walk.add(repr(rule))
    except _Unknown:
        return None
    return _with_versions(walk, enzyme_version)


def _with_versions(walk: _Walk, enzyme_version: str, architecture: str = "") -> str:
    if architecture:  # whatever machine compiles for it
        machine = f"{sys.version_info[:2]} libdevice {libdevice_digest()}"
    else:
        machine = f"{sys.version} {target_description()}"
    walk.add(
        numba.__version__,
        llvmlite.__version__,
        np.__version__,
        enzyme_version,
        machine,
        folder_stamp("llvm"),
        folder_stamp("enzyme_rules"),
    )
    return walk.digest.hexdigest()


class _Walk:
    """Feeds everything reachable from a function into one digest."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()
        self.seen: dict[int, int] = {}
        self.alive: list[Any] = []

    def add(self, *texts: str) -> None:
        for text in texts:
            data = text.encode()
            self.digest.update(len(data).to_bytes(8, "little") + data)

    def visit(self, value: Any) -> None:
        value = getattr(value, "compiled_from", value)
        if id(value) in self.seen:
            self.add(f"again {self.seen[id(value)]}")
            return
        if isinstance(value, _PLAIN):
            self.add(type(value).__name__, repr(value))
            return
        self.seen[id(value)] = len(self.seen)
        self.alive.append(value)
        if isinstance(value, (tuple, frozenset)):
            items = sorted(value, key=repr) if isinstance(value, frozenset) else value
            self.add(type(value).__name__, str(len(items)))
            for item in items:
                self.visit(item)
        elif isinstance(value, np.ndarray) and not value.dtype.hasobject:
            self.add(f"array {value.dtype.str} {value.shape} {value.flags.f_contiguous}")
            self.digest.update(value.tobytes())
        elif isinstance(value, CPUDispatcher):
            self._visit_dispatcher(value)
        elif isinstance(value, _Intrinsic):
            self._visit_intrinsic(value._defn)
        elif isinstance(value, KINDS):
            self._visit_kernel(value)
        elif isinstance(value, python_types.ModuleType):
            self.add("module", value.__name__)
        elif isinstance(value, types.Dispatcher):
            self.visit(value.dispatcher)
        elif isinstance(value, types.BaseTuple):
            # Two classes of named tuples may share a name, and differ in the order of their fields.
            self.add(type(value).__name__, str(value), repr(getattr(value, "fields", ())))
            for item in _types_in(value):
                self.visit(item)
        elif isinstance(value, (types.ClassInstanceType, types.StructRef)):
            raise _Unknown(repr(value))  # its methods are somewhere else
        elif isinstance(value, (types.Type, np.dtype)):
            self.add("type", str(value))
        elif isinstance(value, list):
            self.add("list", str(len(value)))
            for item in value:
                self.visit(item)
        elif isinstance(value, _NAMED) and package_of(value) in _KNOWN_PACKAGES:
            self.add("known", str(getattr(value, "__module__", "")))
            self.add(getattr(value, "__qualname__", repr(value)))
        elif isinstance(value, type) and issubclass(value, (BaseException, tuple)):
            # Exceptions to raise, and named tuples.
            self.add("class", value.__module__, value.__qualname__)
            self.add(repr(getattr(value, "_fields", ())))
        elif isinstance(value, python_types.FunctionType) and package_of(value) in OUR_PACKAGES:
            # Names for overloads, whose files tell what they do.
            if value.__closure__:
                raise _Unknown(repr(value))
            self.add("ours", value.__module__, value.__qualname__, stamp(package_of(value)))
        else:
            raise _Unknown(repr(value))

    def _visit_dispatcher(self, dispatcher: Any) -> None:
        self.add("njit", repr(sorted(dispatcher.targetoptions.items())), repr(dispatcher.locals))
        self._visit_function(dispatcher.py_func)
        rule = find_rule(dispatcher)
        if rule is not None:
            self._visit_rule(rule)

    def _visit_kernel(self, kernel: Any) -> None:
        """A function of `@vectorize`, `@guvectorize` or `@stencil`."""
        self.add(type(kernel).__name__)
        if isinstance(kernel, StencilFunc):
            self.add(kernel.mode)
            self.visit(tuple(sorted(kernel.options.items())))
            self._visit_function(kernel.kernel_ir.func_id.func)
            return
        dispatcher = kernel._dispatcher
        self.add(repr(sorted(dispatcher.targetoptions.items())), repr(kernel.identity))
        if kernel._frozen:
            self.add(repr([str(signature) for signature in dispatcher.overloads]))
        builder = getattr(kernel, "gufunc_builder", None)
        self.add(str(builder.signature if builder else ""))
        self._visit_function(dispatcher.py_func)

    def _visit_intrinsic(self, definition: Any) -> None:
        # Its code runs when Numba compiles, with whatever its module holds: the files of its
        # package and what it was made with say what it does.
        self.add("intrinsic", definition.__qualname__, stamp(package_of(definition)))
        self._visit_code(definition.__code__)
        for cell in definition.__closure__ or ():
            self.visit(cell.cell_contents)

    def _visit_rule(self, rule: Rule) -> None:
        self.add("rule", type(rule).__name__)
        for item in fields(rule):
            self.add(item.name)
            self.visit(getattr(rule, item.name))

    def _visit_function(self, function: Any) -> None:
        # Types and operators that a package defines for Numba leave no trace in the byte code of
        # what uses them, so a function also depends on the files of its package.
        self.add("function", function.__qualname__, stamp(package_of(function)))
        self._visit_code(function.__code__)
        self.visit(tuple(function.__defaults__ or ()))
        for cell in function.__closure__ or ():
            try:
                self.visit(cell.cell_contents)
            except ValueError:  # an empty cell
                self.add("empty")
        names = set(_names(function.__code__))
        for name in sorted(names):
            if name not in function.__globals__:
                self.add("builtin" if hasattr(builtins, name) else "attribute", name)
                continue
            value = function.__globals__[name]
            self.add("global", name)
            before = dict(self.seen)
            try:
                self.visit(value)
            except _Unknown:
                if name in _loaded_globals(function.__code__):
                    raise
                self.add("attribute")  # of something else, that is called the same
                self.seen = before  # what is unknown may still be asked for in earnest
                continue
            if isinstance(value, python_types.ModuleType):
                self._visit_members(value, names)

    def _visit_members(self, module: Any, names: set[str]) -> None:
        """``helpers.f(x)`` in byte code is a module and a name: follow every name it might mean."""
        if package_of(module) in _KNOWN_PACKAGES:
            return
        for name in sorted(names & vars(module).keys()):
            value = vars(module)[name]
            self.add("member", name)
            again = id(value) in self.seen
            self.visit(value)
            if isinstance(value, python_types.ModuleType) and not again:
                self._visit_members(value, names)

    def _visit_code(self, code: Any) -> None:
        self.add(
            code.co_code.hex(),
            repr((code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)),
            repr((code.co_argcount, code.co_kwonlyargcount, code.co_flags)),
        )
        for constant in code.co_consts:
            if isinstance(constant, python_types.CodeType):
                self._visit_code(constant)
            else:
                self.visit(constant)


def _types_in(ty: Any) -> tuple[types.Type, ...]:
    return tuple(ty.types)


def _names(code: Any) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, python_types.CodeType):
            yield from _names(constant)


def _loaded_globals(code: Any) -> Iterator[str]:
    """Those of `_names` that are no attributes."""
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield instruction.argval
    for constant in code.co_consts:
        if isinstance(constant, python_types.CodeType):
            yield from _loaded_globals(constant)
