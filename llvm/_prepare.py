"""Second stage: every opaque call in the module gets its body and its rule."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from numba.core import compiler_lock

from enzyme_rules import (
    AllocationRule,
    CustomRule,
    Inactive,
    LinearRule,
    RecomputedRule,
    symbol_rules,
)

from ._abi import leaves
from ._complex_powers import with_powers
from ._constants import with_numbers
from ._custom_rule import custom_rule
from ._effects import Effects, analyse
from ._inactive import declared_inactive, inactive_body, mark_inactive
from ._linear_rule import linear_rule
from ._loads import with_types_of_loads
from ._lower import (
    COUNT_ERROR,
    Lowered,
    compile_raw,
    flat_function,
    link,
    linked_texts,
    make_private,
)
from ._parallel_lowering import Region
from ._parallel_rule import region_body, region_rule
from ._recomputed_rule import recomputed_rule
from ._rule_calls import (
    SHADOWED_POINTER,
    SYMBOL_PATTERN,
    RuledCall,
    find_call,
    opaque_calls,
    without_primal,
)
from ._rule_shims import Passes


@dataclass(frozen=True)
class Prepared:
    """A lowered function together with the rules of all that it calls.

    Attributes
    ----------
    lowered : Lowered
    rules : tuple of str
        Names of the functions whose rules are attached.
    ir : str
        What Enzyme sees: functions with a rule are declarations here.
    unseen : tuple of str
        Modules that the rules call and that Enzyme need not see; linked in after it.
    effects : Effects
        What the function may do to its arguments.
    """

    lowered: Lowered
    rules: tuple[str, ...]
    ir: str
    unseen: tuple[str, ...]
    effects: Effects


BOTH = Passes(forward=True, reverse=True)

# What Numba's own code calls and no derivative passes through. It has no body for Enzyme to see.
_INACTIVE = (
    COUNT_ERROR,
    "PyErr_Occurred",
    "get_num_threads",
    "get_thread_id",
    "numba_attempt_nocopy_reshape",
    "numba_unpickle",
    # Random numbers: the state of the generators. What is made of it in IR are integers first.
    "numba_get_np_random_state",
    "numba_get_py_random_state",
    "numba_rnd_init",
    "numba_rnd_shuffle",
    # `print`: objects are made of numbers, but no numbers of objects.
    "numba_gil_ensure",
    "numba_gil_release",
    "PyBool_FromLong",
    "PyComplex_FromDoubles",
    "PyErr_WriteUnraisable",
    "PyFloat_FromDouble",
    "PyLong_FromLongLong",
    "PyLong_FromSsize_t",
    "PyLong_FromUnsignedLongLong",
    "PyObject_Str",
    "PySys_FormatStdout",
    "PySys_WriteStdout",
    "PyTuple_New",
    "PyTuple_SetItem",
    "PyUnicode_AsUTF8",
    "PyUnicode_AsUTF8AndSize",
    "PyUnicode_FromKindAndData",
    "PyUnicode_FromString",
    "PyUnicode_FromStringAndSize",
    "Py_DecRef",
    "Py_IncRef",
)


@compiler_lock.global_compiler_lock
def prepare(
    lowered: Lowered,
    *,
    skip_primal: bool = False,
    rules: bool = True,
    passes: Passes = BOTH,
) -> Prepared:
    """Attach rules.

    Parameters
    ----------
    lowered : Lowered
    skip_primal : bool
        True leaves out the forward pass of linear rules. Right only where the whole function is
        linear in what varies: its derivative then needs no value of the function.
    rules : bool
        False for a function that is not to be differentiated.
    passes : Passes
        Which passes of the rules are wanted.
    """
    text = without_primal(lowered.ir) if skip_primal else lowered.ir
    if rules:
        text = with_powers(text)
    text, unseen, attached = with_rules(text, passes if rules else None)
    names = tuple(sorted({call.rule.name for call in attached.values()}))
    effects = analyse(lowered, mark_inactive(text, for_enzyme=False))
    if passes.twice and any(isinstance(call.rule, CustomRule) for call in attached.values()):
        # Enzyme looks into the rule, where `dx if dx is not x else scratch` is to be expected.
        effects = replace(effects, mixes_pointers=True)
    return Prepared(lowered, names, text, unseen, effects)


def with_rules(
    text: str, passes: Passes | None, own: RuledCall | None = None, keep: Sequence[str] = ()
) -> tuple[str, tuple[str, ...], dict[str, RuledCall]]:
    """A module as Enzyme sees it, what it need not see, and all opaque functions by name.

    Parameters
    ----------
    text : str
    passes : Passes or None
        Which passes of the rules are wanted; None for no rules at all.
    own : RuledCall, optional
        One whose rule is there already.
    keep : sequence of str
        Functions that stay visible from outside.
    """
    seen, unseen = [text], []
    if passes and passes.twice:
        seen.append(SHADOWED_POINTER)
    found = _called(text)
    attached = {own.symbol: own} if own else {}
    # What a rule has Enzyme look into may call functions that have rules: repeat until no call is
    # without one.
    while missing := found - attached.keys():
        for symbol in sorted(missing):
            call = attached[symbol] = find_call(symbol)
            if passes:
                rule, more = _rule(call, passes)
                found |= _called(rule)
                seen.append(rule)
                unseen += [more] if more else []
    module = linked_texts(seen)
    make_private(module, keep)
    text = with_types_of_loads(_mark_symbols(_declare(str(module), attached)))
    return text, tuple(unseen), attached


@compiler_lock.global_compiler_lock
def bodies(
    modules: Sequence[str],
    brought: Callable[[RuledCall], bool] = lambda call: not call.rule.separate,
) -> list[str]:
    """The modules with the numbers of large arrays; those that define the functions they call.

    Only those that are `brought`: by default not those whose rules are compiled separately.

    Had Enzyme seen the bodies, LLVM would have looked into them first: it replaces arguments that a
    body does not use by ``poison``, and the rule, which may use them, would compute nonsense
    without a word.
    """
    found = list(modules)
    called = set().union(*map(_called, found))
    defined = set().union(*map(_DEFINED.findall, found))
    while missing := called - defined:
        for symbol in sorted(missing):
            defined.add(symbol)
            call = find_call(symbol)
            if brought(call):
                found.append(body_of(call, symbol))
                called |= _called(found[-1])
    inactive = set().union(*map(declared_inactive, found))
    found += [inactive_body(symbol) for symbol in sorted(inactive)]
    return [with_numbers(text) for text in found]


def _called(text: str) -> set[str]:
    return opaque_calls(_DECLARATION.sub("", text))


_DECLARATION = re.compile(r"^declare .*$", re.M)
_DEFINED = re.compile(rf"^define [^@\n]*@({SYMBOL_PATTERN})\(", re.M)


def body_of(call: RuledCall, symbol: str, *, seen_by_enzyme: bool = False) -> str:
    """A module that defines an opaque function."""
    if isinstance(call.rule, Region):
        return region_body(call, seen_by_enzyme=seen_by_enzyme)
    body = compile_raw(call.rule.function, call.argument_types, follow_rule=False)
    op = flat_function(
        body, symbol, call.argument_types, keep_value=False, seen_by_enzyme=seen_by_enzyme
    )
    return link([body], [op], keep=(symbol,))


def _rule(call: RuledCall, passes: Passes) -> tuple[str, str]:
    """A module that registers the rule of one opaque function with Enzyme, and what it calls."""
    if isinstance(call.rule, LinearRule):
        return linear_rule(call, passes)
    if isinstance(call.rule, CustomRule):
        return custom_rule(call, passes)
    if isinstance(call.rule, (RecomputedRule, Region)):
        if passes.twice:
            # Enzyme cannot derive once more what has it derive something: it looks into the
            # function, and keeps what it needs.
            return body_of(call, call.symbol, seen_by_enzyme=True), ""
        made = region_rule if isinstance(call.rule, Region) else recomputed_rule
        return made(call, passes), ""
    raise TypeError(f"no way to attach a {type(call.rule).__name__}")


def _declare(text: str, attached: dict[str, RuledCall]) -> str:
    """Say of each opaque function what it does to memory, or Enzyme must assume: anything.

    Read-only arguments then need not be kept for the reverse pass.
    """
    lines = {}
    for symbol, call in attached.items():
        parameters = []
        for argument, ty in enumerate(call.argument_types):
            access = call.rule.access(argument)
            for leaf in leaves(ty):
                parameters.append(f"ptr captures(none) {access}" if leaf.is_pointer else "i64")
        lines[symbol] = (
            f"declare void @{symbol}({', '.join(parameters)}) nounwind willreturn nofree "
            "memory(argmem: readwrite, inaccessiblemem: readwrite)"
        )
    return _DECLARED.sub(lambda found: lines.get(found[2], found[0]), text)


# Up to the end of the parameters, whose attributes may have parentheses; and the name.
_DECLARED = re.compile(r"^(declare [^@\n]*@([\w.$]+)\((?:\([^\n()]*\)|[^\n()])*\))[^\n]*$", re.M)


def _mark_symbols(text: str) -> str:
    inactive: set[str] = set(_INACTIVE)
    for rule in symbol_rules():
        if isinstance(rule, Inactive):
            inactive.add(rule.symbol)
        elif f"@{rule.symbol}(" in text:
            text += _allocation(rule)
            if f"@{rule.free}(" not in text:
                text += f"declare void @{rule.free}(ptr)\n"

    def declaration(found: re.Match[str]) -> str:
        if found[2] not in inactive:
            return found[0]
        # Enzyme finds no way past a call that is said to keep nothing of what it gets.
        return found[1].replace(" captures(none)", "") + ' nofree nounwind "enzyme_inactive"'

    text = mark_inactive(_DECLARED.sub(declaration, text))
    reshape = r"^(declare i32 @numba_attempt_nocopy_reshape\(.*\)) nofree"
    text = re.sub(reshape, r"\1 memory(argmem: readwrite) nofree", text, flags=re.M)
    # Shapes and strides, of which optimised code may leave Enzyme nothing else to go by.
    text = re.sub(
        r"\bcall i32 @numba_attempt_nocopy_reshape\([^\n]*",
        lambda found: re.sub(r"\bptr (?=%)", f"ptr {_INTEGERS} ", found[0]),
        text,
    )
    # Within a part of a parallel loop always the same. As a call that may depend on memory Enzyme
    # does not find it, inactive as it is, in the parts that regions have it derive.
    text = re.sub(r"^(declare i64 @get_thread_id\(\)).*$", rf"\1 {_PURE}", text, flags=re.M)
    return re.sub(r"\bcall i64 @get_thread_id\(", f"call {_INTEGER} i64 @get_thread_id(", text)


_INTEGER = '"enzyme_type"="{[-1]:Integer}"'
_INTEGERS = '"enzyme_type"="{[-1]:Pointer, [-1,-1]:Integer}"'
_PURE = 'nofree nounwind willreturn memory(none) "enzyme_inactive" "enzyme_no_escaping_allocation"'


def _allocation(rule: AllocationRule) -> str:
    name = hashlib.sha256(rule.symbol.encode()).hexdigest()[:12]
    return (
        f'\n@alloc_{name} = private constant [3 x i8] c"-1\\00"\n'
        f"@__enzyme_allocation_like_{name} = global [4 x ptr] [ptr @{rule.symbol}, "
        f"ptr inttoptr (i64 {rule.size_argument} to ptr), ptr @alloc_{name}, ptr @{rule.free}]\n"
        # Enzyme puts off the release of what reverse mode needs, if it knows it for one.
        f'@free_{name} = private constant [5 x i8] c"free\\00"\n'
        f"@__enzyme_function_like_{name} = global [2 x ptr] [ptr @{rule.free}, ptr @free_{name}]\n"
    )
