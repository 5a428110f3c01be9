"""Third stage: Enzyme adds the derivative, and its diagnostics become our errors."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ._abi import Leaf
from ._diagnostics import has_crashed, translate
from ._early_exits import without_ways_back
from ._entry import ERRORS, entry
from ._errors import AutodiffError, ToolchainError
from ._forks import crashed_on_team, forked, in_one, joined
from ._ir_text import NAME
from ._lower import COUNT_ERROR, PRIMAL
from ._memory_types import declarations, stated
from ._opaque import opened
from ._ordered_runs import run_enzyme
from ._prepare import Prepared
from ._recursion import calling_themselves
from ._request import Mode, Request, Threads
from ._rounding import marked
from ._rule_calls import always_shadowed, integers_marked, revealed
from ._target_machine import passed

_DUP, _CONST = "enzyme_dup", "enzyme_const"
_RUNTIME_ACTIVITY, _WIDTH = "enzyme_runtime_activity", "enzyme_width"

# Exceptions inside rules. Linked in after Enzyme, which takes the function for inactive.
ERROR_COUNTER = f"""
@{ERRORS} = global i64 0
define void @{COUNT_ERROR}() noinline cold {{
  %old = atomicrmw add ptr @{ERRORS}, i64 1 monotonic
  ret void
}}
"""


@dataclass(frozen=True)
class Differentiated:
    """The module after Enzyme. ``i64 @entry(ptr slots)`` computes value and derivative.

    `said` is what Enzyme said on the way, which depends on the flags, and `seconds` how long it
    took.
    """

    prepared: Prepared
    request: Request
    ir: str
    said: str = field(default="", repr=False, compare=False)
    seconds: float = field(default=0.0, compare=False)


def differentiate(prepared: Prepared, request: Request) -> Differentiated:
    """Run Enzyme. It is neither run nor looked for where the function itself is wanted.

    Raises
    ------
    NoDerivativeError
        The function calls something without a derivative.
    AutodiffError
        Enzyme cannot differentiate the function for another reason.
    """
    if request.mode is Mode.PRIMAL:
        ir = prepared.ir + _function_itself(prepared, request) + entry(prepared, request)
        return Differentiated(prepared, request, ir)
    seen = prepared.ir
    if request.mode is Mode.FORWARD:
        seen = always_shadowed(seen)
    elif request.mode is Mode.FORWARD_OVER_REVERSE:
        seen = integers_marked(seen)
    shared = request.threads is Threads.SHARED and request.mode is not Mode.FORWARD
    if shared:
        seen = forked(seen, prepared)
    if not (shared and request.mode is Mode.FORWARD_OVER_REVERSE):
        rest = _derivative(prepared, request) + entry(prepared, request)
        forms = _forms(seen, _declared(seen, rest, request), request)
        result, said, seconds = _run(forms, prepared, request, shared)
        return Differentiated(prepared, request, revealed(result), said, seconds)
    # A team, in both modes at once, is too much for Enzyme: so backwards first, then forwards.
    forms = _forms(seen, _declared(seen, _gradient(prepared, request), request), request)
    found, said, seconds = _run(forms, prepared, request, shared)
    seen = in_one(found)
    rest = _tangent_of_gradient(prepared, request) + entry(prepared, request)
    result, more, further = _run(
        [seen + _declared(seen, rest, request)], prepared, request, shared=False
    )
    return Differentiated(prepared, request, revealed(result), said + more, seconds + further)


def _declared(seen: str, rest: str, request: Request) -> str:
    """The rest of a module, with what Enzyme knows arguments by.

    The module may declare them already, for rules that call Enzyme themselves.
    """
    missing = [m for m in _markers(request) if f"@{m} = external" not in seen]
    return "\n".join(["", *[f"@{m} = external global i32" for m in missing], rest])


def _run(
    forms: Iterable[str], prepared: Prepared, request: Request, shared: bool
) -> tuple[str, str, float]:
    """The module after Enzyme, what that said, and the seconds it took."""
    failures: list[AutodiffError] = []
    mode = request.mode.value
    for module in forms:
        try:
            started = time.perf_counter()
            result, said = run_enzyme(module, request.flags, prepared.lowered.name, mode)
            seconds = time.perf_counter() - started
            result = without_ways_back(opened(result))
            return joined(result) if shared else result, said, seconds
        except ToolchainError as error:
            if shared and has_crashed(error):
                failure = crashed_on_team(prepared)
            else:
                failure = translate(error, prepared, mode)
            if failure is not error:
                failure.__cause__ = error
            failures.append(failure)
            if not has_crashed(error):
                break
        except AutodiffError as error:  # refused, since it would be wrong
            failures.append(error)
    raise failures[0]


def _forms(seen: str, rest: str, request: Request) -> Iterator[str]:
    """The module as Enzyme gets it; then in other forms, should that one come to nothing.

    LLVM's scalar evolution, which Enzyme asks about pairs of loops, has an assertion that fails for
    some of them, "No dominance between recurrences". Remove the other forms when it does not.
    """
    seen = marked(seen)
    module = inlined(seen) + rest
    yield passed(module, request.passes_before) if request.passes_before else module
    if not request.runtime_activity:
        yield seen + rest
    yield passed(module, "O1")


_DEFINITION = re.compile(
    r"^(define internal (?!.*\b(?:noinline|optnone|alwaysinline)\b)"
    rf"[^@\n]*@({NAME})\(.*\)) (.*\{{)$",
    re.M,
)


def inlined(ir: str) -> str:
    """The module with every function inlined that does not call itself.

    Once more of what does, in what calls it, is twice as much for Enzyme to derive, and four times
    where it derives the gradient.

    With runtime activity Enzyme compares a primal pointer with its shadow, to see whether it
    varies. To the derivative of a function that is not inlined it passes ``undef`` for primal
    pointers that it takes to be unneeded, LLVM decides that the two are equal, and the derivative
    is lost without a word. Without runtime activity such a call can end in a failed assertion of
    Enzyme's, where the function calls one with a rule.
    """
    recursive = calling_themselves(ir)
    groups = re.findall(r"^attributes (#\d+) = {[^\n]*\bnoinline\b", ir, re.M)

    def marked(found: re.Match[str]) -> str:
        # What rules of ours, and what makes Numba's exceptions, keep out of line stays there.
        kept = not set(groups).isdisjoint(found[3].split()) or found[2] in recursive
        return found[0] if kept else f"{found[1]} alwaysinline {found[3]}"

    return _DEFINITION.sub(marked, ir)


Parameter = tuple[str, bool]
"""The type of an LLVM parameter, ``ptr`` or ``i64``, and whether it varies."""


def _derivative(prepared: Prepared, request: Request) -> str:
    """``void @derivative(ptr status, [ptr value, its shadows,] (leaf[, its shadows])…)``."""
    if request.mode is Mode.FORWARD_OVER_REVERSE:
        # What is said of memory in @primal is not there any more when the gradient is derived.
        said = _types_of_memory(prepared, request)
        gradient = _gradient(prepared, request, said)
        text = "\n".join([*declarations(said, prepared.ir), gradient])
        return text + _tangent_of_gradient(prepared, request)
    parameters = _parameters(prepared, request)
    return _asking("derivative", request.mode, PRIMAL, parameters, request)


def _gradient(prepared: Prepared, request: Request, said: Sequence[str] = ()) -> str:
    """``void @gradient``, with one shadow of each; `said` are lines of it."""
    parameters = _parameters(prepared, request)
    return _asking("gradient", Mode.REVERSE, PRIMAL, parameters, request, said)


def _tangent_of_gradient(prepared: Prepared, request: Request) -> str:
    """``@derivative``, the tangent of all that the gradient takes, its shadows among them."""
    parameters = _with_shadows(_parameters(prepared, request))
    return _asking("derivative", Mode.FORWARD, "gradient", parameters, request)


def _markers(request: Request) -> list[str]:
    """What Enzyme knows the arguments of its calls by."""
    markers = [_DUP, _CONST] + [_WIDTH] * (request.width > 1)
    return [*markers, _RUNTIME_ACTIVITY] if request.runtime_activity else markers


def _parameters(prepared: Prepared, request: Request) -> list[Parameter]:
    """Those of `@primal`."""
    found: list[Parameter] = [("ptr", False)]
    if prepared.lowered.returns_value:
        found.append(("ptr", True))
    for leaf, varies in zip(prepared.lowered.leaves, request.varying, strict=True):
        found.append(("ptr" if leaf.is_pointer else "i64", varies))
    return found


def _asking(
    name: str,
    mode: Mode,
    callee: str,
    parameters: Sequence[Parameter],
    request: Request,
    said: Sequence[str] = (),
) -> str:
    """The text of a function that Enzyme fills in."""
    markers = _markers(request)
    lines = _call_of_enzyme(name, mode, callee, parameters, markers, request.width, said)
    text = "\n".join(["", *lines, ""])
    return text if request.noalias else text.replace(" noalias ", " ")


def _types_of_memory(prepared: Prepared, request: Request) -> list[str]:
    """What the parameters of the gradient lead to, and their shadows."""
    described = list(prepared.lowered.leaves)
    if prepared.lowered.returns_value:
        described.insert(0, Leaf("scalar", prepared.lowered.return_type))
    lines: list[str] = []
    parameters = _parameters(prepared, request)[1:]
    for i, (leaf, (_, varies)) in enumerate(zip(described, parameters, strict=True), 1):
        lines += stated(leaf, [f"%p{i}", f"%s{i}.0"][: 1 + varies])
    return lines


def _with_shadows(parameters: Sequence[Parameter]) -> list[Parameter]:
    return [p for p in parameters for _ in range(1 + p[1])]


def _call_of_enzyme(
    name: str,
    mode: Mode,
    callee: str,
    parameters: Sequence[Parameter],
    markers: Sequence[str],
    width: int = 1,
    said: Sequence[str] = (),
) -> list[str]:
    """A function of the parameters, each followed by its shadows if it varies.

    `said` are lines of it that come before the call.
    """
    declared: list[str] = []
    arguments = [f"ptr @{callee}"]
    if width > 1:
        arguments.append(f"i32 %{_WIDTH}, i64 {width}")
    if _RUNTIME_ACTIVITY in markers:
        arguments.append(f"i32 %{_RUNTIME_ACTIVITY}")
    for i, (kind, varies) in enumerate(parameters):
        declared.append(f"{kind} noalias %p{i}" if kind == "ptr" else f"{kind} %p{i}")
        if varies:
            shadows = [f"%s{i}.{k}" for k in range(width)]
            declared += [f"{kind} noalias {shadow}" for shadow in shadows]
            arguments.append(f"i32 %{_DUP}, {kind} %p{i}")
            arguments += [f"{kind} {shadow}" for shadow in shadows]
        else:
            arguments.append(f"i32 %{_CONST}, {kind} %p{i}")
    enzyme = f"__enzyme_{'autodiff' if mode is Mode.REVERSE else 'fwddiff'}_{name}"
    return [
        f"declare void @{enzyme}(...)",
        f"define void @{name}({', '.join(declared)}) noinline {{",
        *[f"  %{m} = load i32, ptr @{m}" for m in markers],
        *said,
        f"  call void (...) @{enzyme}({', '.join(arguments)})",
        "  ret void",
        "}",
    ]


def _function_itself(prepared: Prepared, request: Request) -> str:
    """As `_derivative`, with nothing to derive."""
    parameters, arguments = ["ptr noalias %status"], ["ptr %status"]
    if prepared.lowered.returns_value:
        parameters.append("ptr noalias %value")
        arguments.append("ptr %value")
    for i, leaf in enumerate(prepared.lowered.leaves):
        parameters.append(f"ptr noalias %a{i}" if leaf.is_pointer else f"i64 %a{i}")
        arguments.append(f"ptr %a{i}" if leaf.is_pointer else f"i64 %a{i}")
    text = (
        f"\ndefine void @derivative({', '.join(parameters)}) {{\n"
        f"  call void @{PRIMAL}({', '.join(arguments)})\n  ret void\n}}\n"
    )
    return text if request.noalias else text.replace(" noalias ", " ")
