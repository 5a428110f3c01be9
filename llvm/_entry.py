"""How a compiled derivative is entered: words in, words out, once or for many threads."""

from __future__ import annotations

from ._prepare import Prepared
from ._request import Mode, Request, Threads

ENTRY = "entry"
KERNEL = "kernel"
ERRORS = "rule_errors"
_COTANGENTS = {Mode.REVERSE: 1, Mode.FORWARD_OVER_REVERSE: 2}
"""Which of a value's shadows, counted from 1, is the cotangent; those behind it are its own."""
RETURNED_NONE = -2
"""Numba's status of a function that returned None."""


def entry(prepared: Prepared, request: Request) -> str:
    """``i64 @entry(ptr slots)``: reads what `Frame` wrote, and writes numbers back into it.

    The low half of the result is Numba's status, the high half says whether a rule failed. For many
    threads they run one after the other, and the first exception ends it.
    """
    slots = Slots(prepared, request)
    many = request.threads is not Threads.ONE
    run = _each_thread(prepared, request, slots) if many else [_call("%status", slots.arguments)]
    return "\n".join(
        [
            f"@{ERRORS} = external global i64",
            f"define i64 @{ENTRY}(ptr %slots) {{",
            "entry:",
            "  %status = alloca i32",
            "  store i32 0, ptr %status",
            *slots.lines,
            f"  %before = load atomic i64, ptr @{ERRORS} monotonic, align 8",
            *run,
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


class Slots:
    """Lines of IR that read the words of a `Frame`.

    Parameters
    ----------
    prepared : Prepared
    request : Request
    device : bool
        Whether the words are a kernel's parameter, which cannot be written: the places of
        derivatives by numbers are then addresses.

    Attributes
    ----------
    lines : list of str
    values : list of str
        Places of the returned number and its shadows.
    arguments : list of str
        What `@derivative` takes after the status.
    words : int
    """

    def __init__(self, prepared: Prepared, request: Request, *, device: bool = False) -> None:
        self.lines: list[str] = []
        self.words = 0
        shadows = request.shadows
        own = range(1 + shadows) if prepared.lowered.returns_value else ()
        self.values = [self._place(f"value{k}", 1) for k in own]
        self.arguments = list(self.values)
        leaves = zip(prepared.lowered.leaves, request.varying, strict=True)
        for i, (leaf, varies) in enumerate(leaves):
            for k in range(1 + shadows * varies):
                name = f"a{i}.{k}"
                if leaf.kind == "scalar":
                    words = scalar_slots(leaf.dtype.bitwidth)
                    if device and k and is_cotangent(request.mode, k - 1):
                        argument = self._load("ptr", name, words)
                    else:
                        argument = self._place(name, words)
                else:
                    argument = self._load("ptr" if leaf.is_pointer else "i64", name, 1)
                self.arguments.append(argument)

    def _load(self, kind: str, name: str, words: int) -> str:
        self.lines += [
            f"  %p{self.words} = getelementptr i64, ptr %slots, i64 {self.words}",
            f"  %{name} = load {kind}, ptr %p{self.words}",
        ]
        self.words += words
        return f"{kind} %{name}"

    def _place(self, name: str, words: int) -> str:
        self.lines.append(f"  %{name} = getelementptr i64, ptr %slots, i64 {self.words}")
        self.words += words
        return f"ptr %{name}"


def is_cotangent(mode: Mode, shadow: int) -> bool:
    """Whether a shadow, counted from 0 on through all items, is added to by a derivative."""
    return mode in _COTANGENTS and shadow % mode.shadows >= _COTANGENTS[mode] - 1


def scalar_slots(bitwidth: int) -> int:
    """Machine words that hold a scalar of so many bits."""
    return max(1, bitwidth // 64)


def _call(status: str, arguments: list[str]) -> str:
    return f"  call void @derivative({', '.join([f'ptr {status}', *arguments])})"


def thread(
    prepared: Prepared, request: Request, slots: Slots
) -> tuple[list[str], list[str], list[int]]:
    """Lines that prepare for threads, lines that run thread %i, and what there is to sum up.

    What thread %i returned is then in ``%own0``, and its tangent in ``%own1``; the last list says
    which of them the launch returns, summed over the threads.
    """
    ty = number_type(prepared)
    before = [f"  %own{k} = alloca {ty}" for k in range(len(slots.values))]
    own = [f"ptr %own{k}" for k in range(len(slots.values))]
    each = [f"  store {ty} 0.0, ptr %own{k}" for k in range(len(own))]
    cotangent = _COTANGENTS.get(request.mode)
    if own and cotangent:
        each += [
            f"  %seed = load {ty}, ptr %value{cotangent}",
            f"  store {ty} %seed, ptr %own{cotangent}",
        ]
    # The first leaf is the index: what the caller gave for it is how many there are.
    rest = slots.arguments[len(own) + 1 :]
    each += ["  store i32 0, ptr %status", _call("%status", [*own, "i64 %i", *rest])]
    summed = 2 if request.mode is Mode.FORWARD else 1
    return before, each, list(range(len(own)))[:summed]


def number_type(prepared: Prepared) -> str:
    """LLVM's name of the type that the function returns."""
    return "float" if str(prepared.lowered.return_type) == "float32" else "double"


def _each_thread(prepared: Prepared, request: Request, slots: Slots) -> list[str]:
    ty = number_type(prepared)
    before, each, summed = thread(prepared, request, slots)
    add: list[str] = []
    for k in summed:
        add += [
            f"  %mine{k} = load {ty}, ptr %own{k}",
            f"  %sum{k} = load {ty}, ptr %value{k}",
            f"  %more{k} = fadd {ty} %sum{k}, %mine{k}",
            f"  store {ty} %more{k}, ptr %value{k}",
        ]
    return [
        *before,
        "  br label %next",
        "next:",
        "  %i = phi i64 [ 0, %entry ], [ %following, %ended ]",
        "  %more = icmp slt i64 %i, %a0.0",
        "  br i1 %more, label %run, label %done",
        "run:",
        *each,
        *is_fine(),
        "  br i1 %fine, label %ended, label %done",
        "ended:",
        *add,
        "  %following = add i64 %i, 1",
        "  br label %next",
        "done:",
    ]


def is_fine() -> list[str]:
    """Lines that find out, into ``%fine``, whether ``%status`` says that nothing was raised."""
    return [
        "  %said = load i32, ptr %status",
        "  %is_zero = icmp eq i32 %said, 0",
        f"  %is_none = icmp eq i32 %said, {RETURNED_NONE}",
        "  %fine = or i1 %is_zero, %is_none",
    ]
