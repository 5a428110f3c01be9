"""Third stage: Enzyme adds the derivative, and its diagnostics become our errors."""

from __future__ import annotations

import enum
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import llvmlite.binding as llvm

from ._block_order import needs_order, reordered, with_later_loops_first
from ._diagnostics import has_crashed, refused, translate
from ._enzyme import Enzyme, find_enzyme
from ._errors import AutodiffError, ToolchainError
from ._lower import COUNT_ERROR, PRIMAL, RECURSIVE
from ._prepare import Prepared
from ._rounding import marked
from ._rule_calls import PREFIX, always_shadowed, integers_marked, revealed
from ._target_machine import run_pipeline, target_machine
from ._undefined import undefined_use

ENTRY = "entry"
ERRORS = "rule_errors"
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


class Mode(enum.Enum):
    """Which derivative: tangents forwards, or cotangents backwards; or the function itself."""

    PRIMAL = "primal"
    FORWARD = "forward"
    REVERSE = "reverse"
    FORWARD_OVER_REVERSE = "forward-over-reverse"

    @property
    def shadows(self) -> int:
        """How many shadows what varies has.

        Forwards over reverse these are three: the tangent, the cotangent, the cotangent's tangent.
        """
        return {Mode.PRIMAL: 0, Mode.FORWARD_OVER_REVERSE: 3}.get(self, 1)


DEFAULT_FLAGS = (
    # Without it derivative operations are `fast`: NaN may then give any number at all.
    "--enzyme-fast-math=0",
    "--disable-loop-idiom-all",
    # With it the shadow of what is allocated in a loop is not cleared where only a rule, or a
    # copy that happens on a branch, uses it: gradients then hold what the memory held before.
    "--enzyme-rematerialize=0",
    # With them LLVM makes `if p > 0: h -= p * log(p)` a choice between two results. Both are then
    # differentiated, and where the one that is not chosen has an infinite derivative, 0 · ∞ is NaN.
    "--phi-node-folding-threshold=0",
    "--two-entry-phi-node-folding-threshold=0",
    "--speculate-one-expensive-inst=0",
)


@dataclass(frozen=True)
class Request:
    """What to differentiate.

    Attributes
    ----------
    mode : Mode
    varying : tuple of bool
        One for each leaf: whether it has a shadow.
    runtime_activity : bool
        Have Enzyme ask at run time whether a pointer varies. Needed where pointers to varying and
        to constant memory can mix.
    flags : tuple of str
        ``--enzyme-*`` options.
    width : int
        How many tangents, or cotangents, at once: vector mode.
    passes_before : str
        `Options.passes_before`.
    noalias : bool
        Whether Enzyme is told that no pointer leads to what another leads to.
    """

    mode: Mode
    varying: tuple[bool, ...]
    runtime_activity: bool = False
    flags: tuple[str, ...] = DEFAULT_FLAGS
    width: int = 1
    passes_before: str = ""
    noalias: bool = True

    @property
    def shadows(self) -> int:
        """How many shadows what varies has."""
        return self.mode.shadows * self.width


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
        ir = prepared.ir + _function_itself(prepared, request) + _entry(prepared, request)
        return Differentiated(prepared, request, ir)
    seen = prepared.ir
    if request.mode is Mode.FORWARD:
        seen = always_shadowed(seen)
    elif request.mode is Mode.FORWARD_OVER_REVERSE:
        seen = integers_marked(seen)
    if request.runtime_activity:
        _refuse_recursion(prepared)
    rest = _derivative(prepared, request) + _entry(prepared, request)
    enzyme = find_enzyme()
    failures: list[AutodiffError] = []
    for module, order, last in _attempts(seen, rest, request):
        try:
            started = time.perf_counter()
            result, said = enzyme.run_and_listen(
                _ordered(module, order, enzyme, request), request.flags
            )
            seconds = time.perf_counter() - started
            if wrong := undefined_use(result):
                failures.append(refused(*wrong, prepared, request.mode.value))
                continue
            return Differentiated(prepared, request, revealed(result), said, seconds)
        except ToolchainError as error:
            failure = translate(error, prepared, request.mode.value)
            if failure is not error:
                failure.__cause__ = error
            failures.append(failure)
            if last and not has_crashed(error):
                break
    raise failures[0]


def _forms(seen: str, rest: str, request: Request) -> Iterator[str]:
    """The module as Enzyme gets it; then in other forms, should that one come to nothing.

    LLVM's scalar evolution, which Enzyme asks about pairs of loops, has an assertion that fails for
    some of them, "No dominance between recurrences". Remove the other forms when it does not.
    """
    seen = marked(seen)
    module = inlined(seen) + rest
    yield _after(module, request.passes_before) if request.passes_before else module
    if not request.runtime_activity:
        yield seen + rest
    yield _after(module, "O1")


class _Order(enum.Enum):
    """How the blocks of a module come to stand as `_block_order` says."""

    AS_THEY_ARE = enum.auto()
    OPTIMISED_FIRST = enum.auto()
    # Where Enzyme no longer sees the types of what LLVM has optimised twice. What LLVM unrolls
    # stands in the wrong order then.
    INLINED_FIRST = enum.auto()


def _attempts(seen: str, rest: str, request: Request) -> Iterator[tuple[str, _Order, bool]]:
    """Each form of the module, in each order, and whether it is the last order."""
    for module in _forms(seen, rest, request):
        if needs_order(module):
            yield module, _Order.OPTIMISED_FIRST, False
            yield module, _Order.INLINED_FIRST, True
        else:
            yield module, _Order.AS_THEY_ARE, True


def _ordered(module: str, order: _Order, enzyme: Enzyme, request: Request) -> str:
    if order is _Order.OPTIMISED_FIRST:
        return with_later_loops_first(
            module, lambda hidden: enzyme.run_and_listen(hidden, request.flags)[0]
        )
    return reordered(_after(module, "O0")) if order is _Order.INLINED_FIRST else module


def _after(module: str, passes: str) -> str:
    parsed = llvm.parse_assembly(module)
    return str(run_pipeline(parsed, target_machine(), passes, vectorise=False))


def _refuse_recursion(prepared: Prepared) -> None:
    """What `inlined` says of functions that are not inlined holds for recursive ones."""
    if RECURSIVE in prepared.ir:
        name = prepared.lowered.name
        raise AutodiffError(
            f"Enzyme cannot be trusted with `{name}`: it calls a recursive function, and in it a "
            f"name may stand for one array or another. Write the recursion as a loop, or choose "
            f"between numbers instead of arrays.",
            stage="differentiate",
            function=name,
        )


_DEFINITION = re.compile(
    r"^(define internal (?!.*\b(?:noinline|optnone|alwaysinline)\b).*\)) (.*\{)$", re.M
)


def inlined(ir: str) -> str:
    """The module with every function inlined where it is called.

    With runtime activity Enzyme compares a primal pointer with its shadow, to see whether it
    varies. To the derivative of a function that is not inlined it passes ``undef`` for primal
    pointers that it takes to be unneeded, LLVM decides that the two are equal, and the derivative
    is lost without a word. Without runtime activity such a call can end in a failed assertion of
    Enzyme's, where the function calls one with a rule.
    """
    groups = re.findall(r"^attributes (#\d+) = {[^\n]*\bnoinline\b", ir, re.M)

    def marked(found: re.Match[str]) -> str:
        # What our own rules keep out of line stays there.
        kept = f"@{PREFIX}" in found[1] and not set(groups).isdisjoint(found[2].split())
        return found[0] if kept else f"{found[1]} alwaysinline {found[2]}"

    return _DEFINITION.sub(marked, ir)


Parameter = tuple[str, bool]
"""The type of an LLVM parameter, ``ptr`` or ``i64``, and whether it varies."""


def _derivative(prepared: Prepared, request: Request) -> str:
    """``void @derivative(ptr status, [ptr value, its shadows,] (leaf[, its shadows])…)``."""
    of_primal: list[Parameter] = [("ptr", False)]
    if prepared.lowered.returns_value:
        of_primal.append(("ptr", True))
    for leaf, varies in zip(prepared.lowered.leaves, request.varying, strict=True):
        of_primal.append(("ptr" if leaf.is_pointer else "i64", varies))
    markers = [_DUP, _CONST] + [_WIDTH] * (request.width > 1)
    if request.runtime_activity:
        markers.append(_RUNTIME_ACTIVITY)
    # The module may know them already, from rules that call Enzyme themselves.
    globals_ = [f"@{m} = external global i32" for m in markers]
    lines = ["", *[line for line in globals_ if line not in prepared.ir]]
    if request.mode is Mode.FORWARD_OVER_REVERSE:
        # A tangent of all that the gradient takes, its shadows among them.
        lines += _call_of_enzyme("gradient", Mode.REVERSE, PRIMAL, of_primal, markers)
        of_gradient = _with_shadows(of_primal)
        lines += _call_of_enzyme("derivative", Mode.FORWARD, "gradient", of_gradient, markers)
    else:
        lines += _call_of_enzyme(
            "derivative", request.mode, PRIMAL, of_primal, markers, request.width
        )
    text = "\n".join([*lines, ""])
    return text if request.noalias else text.replace(" noalias ", " ")


def _with_shadows(parameters: Sequence[Parameter]) -> list[Parameter]:
    return [p for p in parameters for _ in range(1 + p[1])]


def _call_of_enzyme(
    name: str,
    mode: Mode,
    callee: str,
    parameters: Sequence[Parameter],
    markers: Sequence[str],
    width: int = 1,
) -> list[str]:
    """A function of the parameters, each followed by its shadows if it varies."""
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


def _entry(prepared: Prepared, request: Request) -> str:
    """``i64 @entry(ptr slots)``: reads what `Frame` wrote, and writes numbers back into it.

    The low half of the result is Numba's status, the high half says whether a rule failed.
    """
    body: list[str] = []
    arguments = ["ptr %status"]
    position = 0

    def load(kind: str, name: str) -> None:
        nonlocal position
        body.append(f"  %p{position} = getelementptr i64, ptr %slots, i64 {position}")
        body.append(f"  %{name} = load {kind}, ptr %p{position}")
        arguments.append(f"{kind} %{name}")
        position += 1

    def place(name: str, words: int) -> None:
        nonlocal position
        body.append(f"  %{name} = getelementptr i64, ptr %slots, i64 {position}")
        arguments.append(f"ptr %{name}")
        position += words

    shadows = request.shadows
    if prepared.lowered.returns_value:
        for k in range(1 + shadows):
            place(f"value{k}", 1)
    for i, (leaf, varies) in enumerate(zip(prepared.lowered.leaves, request.varying, strict=True)):
        for k in range(1 + shadows * varies):
            if leaf.kind == "scalar":
                place(f"a{i}.{k}", scalar_slots(leaf.dtype.bitwidth))
            else:
                load("ptr" if leaf.is_pointer else "i64", f"a{i}.{k}")
    return "\n".join(
        [
            f"@{ERRORS} = external global i64",
            f"define i64 @{ENTRY}(ptr %slots) {{",
            "  %status = alloca i32",
            "  store i32 0, ptr %status",
            *body,
            f"  %before = load atomic i64, ptr @{ERRORS} monotonic, align 8",
            f"  call void @derivative({', '.join(arguments)})",
            f"  %after = load atomic i64, ptr @{ERRORS} monotonic, align 8",
            "  %count = sub i64 %after, %before",
            "  %failed = icmp ne i64 %count, 0",
            "  %high = select i1 %failed, i64 4294967296, i64 0",
            "  %code = load i32, ptr %status",
            "  %low = zext i32 %code to i64",
            "  %result = or i64 %high, %low",
            "  ret i64 %result",
            "}",
            "",
        ]
    )


def scalar_slots(bitwidth: int) -> int:
    """Machine words that hold a scalar of so many bits."""
    return max(1, bitwidth // 64)
