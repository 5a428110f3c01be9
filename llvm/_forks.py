"""Atomic additions to shadows, for functions that many threads run at once.

Enzyme adds to shadows atomically on a GPU, which it knows by the triple of the module, and in the
threads of OpenMP. The prebuilt driver forces the host's triple. So each of our threads passes its
work to a team of OpenMP with one member: Enzyme makes a forward and a reverse pass of what the team
runs, with a tape between them that the thread itself allocates, and then the call of the team is
replaced by a call of its member.
"""

from __future__ import annotations

import re

from ._errors import AutodiffError
from ._ir_text import functions
from ._lower import PRIMAL
from ._prepare import Prepared
from ._target_machine import passed

_FORK = "__kmpc_fork_call"
_MEMBER = "thread_body"
_PRIMAL = re.compile(rf"^define (?:internal )?void @{PRIMAL}\((.*?)\)(.*)$", re.M)
_PARAMETER = re.compile(r"(?P<type>ptr|i64)\b[^,]*")
_CALL = re.compile(
    rf"call void \(ptr, i32, ptr, \.\.\.\) @{_FORK}\(ptr [^,]*, i32 \d+, "
    r"ptr (?:nonnull )?(?P<member>@[\w.\"]+), (?P<rest>.*)\)"
)


def forked(seen: str, prepared: Prepared) -> str:
    """The module with `@primal` as a team of one member.

    Raises
    ------
    AutodiffError
        It calls a function with a rule, which Enzyme cannot take in two passes.
    """
    if prepared.rules:
        raise AutodiffError(
            f"`{prepared.lowered.name}` calls {', '.join(f'`{name}`' for name in prepared.rules)}, "
            f"with a rule: shadows that threads share can then not be added to. Say that no two "
            f"threads add to one item, `kernel(f, atomics=False)`, where that is so.",
            stage="differentiate",
            function=prepared.lowered.name,
        )
    found = next(_PRIMAL.finditer(seen))
    kinds = [parameter["type"] for parameter in _PARAMETER.finditer(found[1])]
    member = (
        f"define internal void @{_MEMBER}(ptr noalias %global_id, ptr noalias %id, {found[1]}) "
        f"noinline{found[2].replace('alwaysinline', '')}"
    )
    declared = [f"{k} noalias %v{i}" if k == "ptr" else f"{k} %v{i}" for i, k in enumerate(kinds)]
    passed = [f"{k} %v{i}" for i, k in enumerate(kinds)]
    return seen.replace(found[0], member) + (
        f"\n@fork_place = private constant [3 x i64] [i64 8589934592, i64 0, i64 0]\n"
        f"declare void @{_FORK}(ptr, i32, ptr, ...)\n"
        f"define void @{PRIMAL}({', '.join(declared)}) {{\n"
        f"  call void (ptr, i32, ptr, ...) @{_FORK}(ptr @fork_place, i32 {len(kinds)}, "
        f"ptr @{_MEMBER}, {', '.join(passed)})\n"
        f"  ret void\n}}\n"
    )


def crashed_on_team(prepared: Prepared) -> AutodiffError:
    """The error for a function that Enzyme differentiates for one thread, if at all."""
    name = prepared.lowered.name
    return AutodiffError(
        f"Enzyme cannot differentiate `{name}`, reverse mode, for threads that share arrays: it "
        f"crashed on it. It does where a loop ends at a time that only its values tell. Give the "
        f"loop a number of rounds, or, where no two threads read one item that varies, say so: "
        f"`kernel({name}, atomics=False)`.",
        stage="differentiate",
        function=name,
    )


def joined(result: str) -> str:
    """The module after Enzyme, with each team's member called by the thread itself."""
    result = _CALL.sub(r"call void \g<member>(ptr null, ptr null, \g<rest>)", result)
    result = _QUESTION.sub(_answered, result)
    # The size of a tape is then a number.
    return _tapes_on_stack(passed(result, "O1"))


def in_one(result: str) -> str:
    """What `joined` returned, for Enzyme once more: to be inlined, for the reasons of `inlined`."""
    return _INTERNAL.sub(r"\1 alwaysinline", re.sub(r"\bnoinline\b", "", result))


def _answered(found: re.Match[str]) -> str:
    value = 1 if found[2] == "omp_get_max_threads" else 0
    return f"define internal {found[1]} @{found[2]}() {{\n  ret {found[1]} {value}\n}}"


def _tapes_on_stack(text: str) -> str:
    """What the derivative allocates at its beginning, of known size, without an allocation.

    These are tapes of values of a thread, eight bytes most of them: registers, in the end.
    """
    whole = next(f.text for f in functions(text) if f.name in ("derivative", "gradient"))
    body = whole
    for found in _ALLOCATION.finditer(_FIRST_BLOCK.split(whole, maxsplit=1)[0]):
        released = rf"^.*call void @free\(ptr (?:[\w()]+ )*%{re.escape(found[1])}\).*\n"
        shorter, count = re.subn(released, "", body, flags=re.M)
        if count and int(found[2]) <= _MOST_ON_STACK:
            place = f"%{found[1]} = alloca [{found[2]} x i8], align 16\n"
            body = shorter.replace(found[0], place)
    return text.replace(whole, body)


_MOST_ON_STACK = 1024
_INTERNAL = re.compile(r"^(define internal .*\)(?: (?:local_)?unnamed_addr)?)(?= )", re.M)
_FIRST_BLOCK = re.compile(r"^\S+:.*\n", re.M)
_ALLOCATION = re.compile(r"%([\w.]+) = [^\n]*call [^\n]*@malloc\(i64 (?:\w+ )*(\d+)\).*\n")
_QUESTION = re.compile(
    r"^declare [^\n]*(i32|i64) @(omp_get_thread_num|omp_get_max_threads)\(\).*$", re.M
)
