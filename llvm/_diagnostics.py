"""What Enzyme prints when it gives up, in words for the person who asked for a gradient."""

from __future__ import annotations

import re

from ._errors import AutodiffError, NoDerivativeError, ToolchainError, ToolTimeoutError
from ._prepare import Prepared
from ._recursion import calling_themselves
from ._rule_calls import PREFIX

_NO_DERIVATIVE = re.compile(
    r"No (?:augmented forward pass|reverse pass|forward(?: mode)? derivative|derivative)s? found "
    r"for ([\w.$]+)"
)
_IN_FUNCTION = re.compile(r"in function (\S+)")
_ERROR_IN = re.compile(r"error: [^\n]*in function (\S+)")  # there may be warnings before it
_IN_RULE = re.compile(rf"{PREFIX}(\w+)_[0-9a-f]{{12}}_(augmented|reverse)")
_CRASH = re.compile(r"UNREACHABLE|Assertion|Stack dump")
_UNKNOWN_INTEGER = "cannot handle unknown binary operator"
_UNKNOWN_MEMORY = re.compile("Cannot deduce type|Illegal updateAnalysis")
_NO_MEMORY = "LLVM ERROR: out of memory"
_REASON = re.compile(r"error: .*?Enzyme: (.*)")
# What comes after the first of these in a message is a dump of LLVM values.
_DUMP = re.compile(r"\s*(?:%[\w.\"]|<analysis>|\bphi\b|at context|[{;]).*", re.DOTALL)

# What a user wrote that ends in these calls, by the beginning of their names.
_WRITTEN_AS = {
    "numba_xxdot": "np.dot, np.vdot and @ of vectors",
    "numba_xxgem": "np.dot and @ of matrices",
    "numba_xx": "np.linalg",
    "numba_ez": "np.linalg",
}
# Enzyme dies of these, instead of saying so.
_DEADLY = ("lgamma",)


def has_crashed(error: ToolchainError) -> bool:
    """Whether Enzyme has died of a function, instead of saying what is the matter with it."""
    return "error:" not in error.stderr and bool(_CRASH.search(error.stderr))


def has_lost_types(error: AutodiffError) -> bool:
    """Whether Enzyme could not tell what some memory holds, or took integers for numbers."""
    said = error.stderr if isinstance(error, ToolchainError) else ""
    return _UNKNOWN_INTEGER in said or bool(_UNKNOWN_MEMORY.search(said))


def has_run_out_of_memory(error: AutodiffError) -> bool:
    """Whether Enzyme wanted more memory than it may have."""
    return isinstance(error, ToolchainError) and _NO_MEMORY in error.stderr


def translate(error: ToolchainError, prepared: Prepared, mode: str) -> AutodiffError:
    """The error for the user that a failed run of Enzyme stands for.

    Parameters
    ----------
    error : ToolchainError
        Becomes the cause of the new one, with all that Enzyme said in its `stderr`.
    prepared : Prepared
    mode : {"forward", "reverse", "forward-over-reverse"}
    """
    name = prepared.lowered.name
    text = error.stderr
    place = _ERROR_IN.search(text) or _IN_FUNCTION.search(text)
    where = f"`{name}`"
    if place and (inner := readable(place[1])) and not inner.endswith(f".{name}"):
        where += f" (in `{inner}`)"
    deadly = next((s for s in _DEADLY if f"@{s}(" in prepared.ir and "error:" not in text), None)
    found = _NO_DERIVATIVE.search(text)
    if found or deadly:
        symbol = found[1] if found else str(deadly)
        if place and (rule := _IN_RULE.search(place[1])) and mode == "forward-over-reverse":
            part = {"augmented": "augmented_primal"}.get(rule[2], rule[2])
            return NoDerivativeError(
                f"Enzyme has no derivative for `{symbol}`, called from `{part}` in the rule of "
                f"`{rule[1]}`, on the way to `{name}`: a Hessian-vector product differentiates "
                f"this function of the rule once more, forwards. Call an @njit function there "
                f"that has a rule with `forward`.",
                stage="differentiate",
                function=name,
                symbol=symbol,
            )
        return NoDerivativeError(
            f"Enzyme has no derivative for `{symbol}`{_written_as(symbol)}, called from {where}, "
            f"{mode} mode. Register one for the @njit function that calls it: "
            f"`enzyme_rules.register(...)`; see enzyme_rules/README.md.",
            stage="differentiate",
            function=name,
            symbol=symbol,
        )
    if isinstance(error, ToolTimeoutError):
        recursive = sorted(filter(None, map(readable, calling_themselves(prepared.ir))))
        advice = "Move its largest part into an @njit function and give that a rule."
        if recursive:
            advice = (
                f"`{recursive[0]}` calls itself: write that as a loop, or give the function a rule."
            )
        return AutodiffError(
            f"Enzyme cannot differentiate {where}, {mode} mode: it came to no end in "
            f"{error.seconds:g} s. {advice}",
            stage="differentiate",
            function=name,
        )
    reason = _REASON.search(text)
    if reason is None and not _CRASH.search(text):
        # Not about the function: the program is missing.
        error.function, error.stage = name, "differentiate"
        return error
    if "marked shadow global" in text:
        why = (
            "it reads a global variable that holds an address, as a call of a ctypes function "
            "does. Name that function, `enzyme_rules.c_function(...)`, and give its caller a rule"
        )
    elif _UNKNOWN_INTEGER in text and mode == "forward-over-reverse":
        why = (
            "it takes an integer that the reverse pass keeps for a number that may vary, as with "
            "slices that have a step, `x[::2]`, in a loop. Write a loop over their indices"
        )
    elif _UNKNOWN_MEMORY.search(text):
        why = (
            "its type analysis cannot tell what some memory holds, as in code that sorts or "
            "partitions. Move that part into an @njit function and give it a rule"
        )
    elif has_run_out_of_memory(error):
        why = (
            "it takes more memory than it is allowed. Move the largest part into an @njit function "
            "with a rule"
        )
    elif reason is None:
        why = "it crashed on it. Move the part that it dies of into an @njit function with a rule"
    elif not (why := _DUMP.sub("", reason[1]).rstrip(" :.")[:200]):
        why = "for a reason that it gives in terms of LLVM only"
    return AutodiffError(
        f"Enzyme cannot differentiate {where}, {mode} mode: {why}. All that it said is in the "
        f"`stderr` of this error's cause.",
        stage="differentiate",
        function=name,
    )


def refused(symbol: str, instruction: str, name: str, mode: str) -> AutodiffError:
    """The error for the user of a derivative that takes what has no value: it would be wrong.

    `symbol` and `instruction` are what `undefined_use` found; `name` is the function's.
    """
    inner = readable(symbol)
    where = f"`{name}`" + (f" (in `{inner}`)" if inner and not inner.endswith(f".{name}") else "")
    return AutodiffError(
        f"Enzyme's derivative of {where}, {mode} mode, takes values that nothing has set, and "
        f"would be wrong. Got `{instruction[:200]}`. Enzyme can lose what it keeps of arrays that "
        f"are read in several loops and then overwritten: write results into another array than "
        f"those that were read, or copy what is read first.",
        stage="differentiate",
        function=name,
        symbol=symbol,
    )


def _written_as(symbol: str) -> str:
    for beginning, words in _WRITTEN_AS.items():
        if symbol.startswith(beginning):
            return f" (which comes from {words})"
    return ""


def readable(symbol: str) -> str:
    """The Python name in a symbol of Numba's, or "" if it is not one.

    >>> readable("preprocess__ZN3pkg4mod_5outer12_3clocals_3e5innerB3v12B52c8tJTIeFEd")
    'pkg.mod_.outer.inner'
    """
    start = symbol.find("_ZN")
    names: list[str] = []
    rest = symbol[start + 3 :] if start >= 0 else ""
    while digits := re.match(r"\d+", rest):
        end = digits.end() + int(digits[0])
        names.append(rest[digits.end() : end])
        rest = rest[end:]
    return ".".join(name for name in names if name != "_3clocals_3e")
