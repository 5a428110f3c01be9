"""First stage: an ``@njit`` function at given types, as unoptimised LLVM IR with a flat entry."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import compiler_lock, errors, types

from ._abi import POINTER, Leaf, leaves, pack
from ._arguments import signature_of
from ._errors import AutodiffError, NoDerivativeError, UnsupportedResultError
from ._memory_types import of_all_items, state_memory_types
from ._refusals import refusal
from ._rule_calls import HIDDEN
from ._target import dispatcher_for, libraries

PRIMAL = "primal"
I32 = ir.IntType(32)


@dataclass(frozen=True)
class Lowered:
    """A function in the form that Enzyme differentiates.

    The module defines ``void @primal(ptr status, [ptr value,] leaves…)``: it stores Numba's status
    (0: no exception) and the returned number, if there is one.

    Attributes
    ----------
    name : str
        The function, for messages.
    argument_types : tuple of numba types
    return_type : numba.core.types.Type
        A real floating-point type or ``types.none``.
    leaves : tuple of Leaf
        Flat parameters of all arguments, in order.
    ir : str
        The whole call tree.
    """

    name: str
    argument_types: tuple[types.Type, ...]
    return_type: types.Type
    leaves: tuple[Leaf, ...]
    ir: str

    @property
    def returns_value(self) -> bool:
        return self.return_type != types.none


@compiler_lock.global_compiler_lock
def lower(function: Any, argument_types: Sequence[types.Type], *, noalias: bool = True) -> Lowered:
    """Lower an ``@njit`` function and all that it calls, before any optimisation.

    Parameters
    ----------
    function : njit function
    argument_types : sequence of numba types
    noalias : bool
        Whether to say that no argument's memory overlaps another's.

    Raises
    ------
    AutodiffError
        Numba cannot compile the function for these types.
    UnsupportedTypeError, UnsupportedResultError
        An argument or the result has a type that cannot be differentiated.
    """
    name = function.py_func.__qualname__
    argument_types = _as_numba_wants(function, argument_types)
    flat = tuple(leaf for ty in argument_types for leaf in leaves(ty))
    compiled = compile_raw(function, argument_types)
    return_type = compiled.signature.return_type
    if isinstance(return_type, types.Optional):
        return_type = return_type.type
    if isinstance(return_type, types.Omitted | types.NoneType):
        return_type = types.none
    elif not isinstance(return_type, types.Float):
        raise UnsupportedResultError(
            f"`{name}` must return a real floating-point number, or nothing and write its results "
            f"into its arguments. Got a `{return_type}`. For arrays, complex numbers and tuples "
            f"there are `vjp`, `jvp`, `jacrev` and `jacfwd`, and for a number with something else "
            f"`has_aux=True`.",
            stage="lower",
            function=name,
        )
    entry = flat_function(compiled, PRIMAL, argument_types, keep_value=True, noalias=noalias)
    return Lowered(name, argument_types, return_type, flat, link([compiled], [entry]))


def _as_numba_wants(function: Any, argument_types: Sequence[types.Type]) -> tuple[types.Type, ...]:
    """What comes for ``*rest`` as one tuple, and functions as functions of our target."""
    found: list[Any] = [
        types.Dispatcher(dispatcher_for(ty.dispatcher)) if isinstance(ty, types.Dispatcher) else ty
        for ty in argument_types
    ]
    rest = signature_of(function).rest
    if rest is not None:
        found[rest:] = [types.StarArgTuple.from_types(found[rest:])]
    return tuple(found)


def compile_raw(
    function: Any, argument_types: Sequence[types.Type], *, follow_rule: bool = True
) -> Any:
    """Numba's result of compiling `function` for our target; errors become ours."""
    # Half a second of imports, which what is found in the cache does without.
    from . import _substitutes as _substitutes

    dispatcher = dispatcher_for(function, follow_rule=follow_rule)
    argument_types = tuple(argument_types)
    try:
        dispatcher.compile(argument_types)
    except (
        errors.NumbaError,
        errors.UnsupportedBytecodeError,
        NotImplementedError,
        TypeError,
    ) as error:
        name = function.py_func.__qualname__
        if refused := refusal(error):
            what, place = refused
            raise NoDerivativeError(
                f"`{name}` cannot be differentiated{place and f' ({place})'}: {what}",
                stage="lower",
                function=name,
            ) from error
        shown = ", ".join(map(str, argument_types))
        raise AutodiffError(
            f"Numba cannot compile `{name}({shown})`: {error}", stage="lower", function=name
        ) from error
    return dispatcher.overloads[argument_types]


def flat_function(
    compiled: Any,
    symbol: str,
    argument_types: Sequence[types.Type],
    *,
    keep_value: bool,
    seen_by_enzyme: bool = True,
    noalias: bool = True,
) -> Any:
    """A module that defines `symbol` as a call of a Numba function with flat parameters.

    Parameters
    ----------
    compiled : numba compile result
    symbol : str
    argument_types : sequence of numba types
        Of the Numba function.
    keep_value : bool
        True: ``void symbol(ptr status, [ptr value,] leaves…)``, for the function to differentiate.
        False: ``void symbol(leaves…)``; an exception calls ``@count_rule_error``.
    seen_by_enzyme : bool
        Whether to state the types of memory for Enzyme, in calls that it alone understands.
    noalias : bool
        Whether no pointer leads to what another leads to.
    """
    context = compiled.target_context
    module = context.create_module(f"entry of {symbol}")
    all_leaves = [leaf for ty in argument_types for leaf in leaves(ty)]
    types_ = [leaf.llvm_type for leaf in all_leaves]
    return_type = compiled.signature.return_type
    # Of an Optional, the status says whether there is a value.
    has_value = isinstance(getattr(return_type, "type", return_type), types.Float)
    extra = [POINTER] * (1 + has_value) if keep_value else []
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), extra + types_), symbol)
    for argument in function.args:
        if noalias and isinstance(argument.type, ir.PointerType):
            argument.add_attribute("noalias")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    flat = function.args[len(extra) :]
    if seen_by_enzyme:
        state_memory_types(module, builder, all_leaves, flat)
    values = iter(flat)
    arguments = [pack(context, builder, ty, values) for ty in argument_types]
    callee = context.declare_function(module, compiled.fndesc)
    status, value = context.call_conv.call_function(
        builder, callee, return_type, compiled.signature.args, arguments
    )
    if keep_value:
        builder.store(status.code, builder.bitcast(function.args[0], I32.as_pointer()))
        if has_value:
            builder.store(value, builder.bitcast(function.args[1], value.type.as_pointer()))
    else:
        count_error(module, builder, status.is_error)
    builder.ret_void()
    return module


def count_error(module: Any, builder: Any, is_error: Any) -> None:
    """If an ``i1`` is set, count an exception inside a rule, which has no status to return."""
    counter = module.globals.get(COUNT_ERROR)
    if counter is None:
        counter = ir.Function(module, ir.FunctionType(ir.VoidType(), []), COUNT_ERROR)
    with builder.if_then(is_error, likely=False):
        builder.call(counter, [])


COUNT_ERROR = "count_rule_error"
RECURSIVE = ".numba.unresolved$"


def link(
    compiled: Sequence[Any], modules: Sequence[Any], keep: Collection[str] | None = None
) -> str:
    """One module of everything: Numba functions with all that they call, and modules built here.

    `keep` as for `make_private`; without it functions stay as visible as they are.
    """
    linked = linked_texts([str(module) for module in modules])
    for result in compiled:
        result.library._ensure_finalized()
        linked.link_in(result.library._final_module.clone())
    recursive = _link_recursive_calls(linked)
    if keep is not None:
        make_private(linked, keep)
    text = _with_recursive_calls(str(linked), recursive)
    return of_all_items(_LONG_NAME.sub(_shortened, text))


def linked_texts(texts: Sequence[str]) -> Any:
    """One module of several."""
    linked = llvm.parse_assembly(texts[0] if texts else "")
    for text in texts[1:]:
        linked.link_in(llvm.parse_assembly(text))
    return linked


def private(text: str, keep: Collection[str]) -> str:
    """As `make_private`, from text to text."""
    module = llvm.parse_assembly(text)
    make_private(module, keep)
    return str(module)


def make_private(module: Any, keep: Collection[str]) -> None:
    """Let no function be visible from outside but those in `keep`, and hidden ones."""
    for function in module.functions:
        name = function.name
        if not (function.is_declaration or name in keep or name.endswith(HIDDEN)):
            function.linkage = "internal"


# LLVM refuses names of values beyond 1,024 characters, and names blocks after the function that was
# inlined there. Numba puts all types of a function into its symbol, and those of a plan are long.
_LONG_NAME = re.compile(r"(?<=[@$\"])_ZN[\w.$]{300,}")


def _shortened(found: re.Match[str]) -> str:
    name = found[0]
    return f"{name[:160]}_{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def _link_recursive_calls(linked: Any) -> set[str]:
    """Link in what is called through pointers ``.numba.unresolved$NAME``, and return the names."""
    found = set[str]()
    # What is linked in may call others, or itself with arguments of other types.
    while (
        names := {
            g.name.removeprefix(RECURSIVE)
            for g in linked.global_variables
            if g.name.startswith(RECURSIVE)
        }
        - found
    ):
        found |= names
        defined = {f.name for f in linked.functions if not f.is_declaration}
        for name in sorted(names - defined):
            callee = libraries[name]._get_module_for_linking().clone()
            callee.get_function(name).linkage = "external"
            linked.link_in(callee)
    return found


def _with_recursive_calls(text: str, names: set[str]) -> str:
    """The module with those pointers set, which Numba does on loading."""
    for name in names:
        quoted = f'@"{RECURSIVE}{name}"'
        start = text.index(f"{quoted} = ")
        end = text.index("\n", start)
        text = text[:start] + f'{quoted} = internal constant ptr @"{name}"' + text[end:]
    return text
