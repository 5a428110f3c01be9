"""What a loop adds to memory that it does not use otherwise: found in LLVM's text, and proved.

Memory is told apart by where pointers come from alone: arguments that do not alias, allocations,
variables, globals. A pointer from elsewhere may lead anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ._ir_text import MADE, NAME, WAY, Function, functions
from ._turns import Row, Turn

BYTES = {"double": 8, "float": 4}
"""Types of numbers that are added."""
_POINTER = rf"([%@]{NAME})"
_LOAD = re.compile(rf"^load ([^,]+), ptr {_POINTER}(, .*)?$")
_STORE = re.compile(rf"^  store (\S+) (\S+), ptr {_POINTER}(, .*)?$")
_ORDERED = re.compile(r"\b(?:volatile|atomic)\b")
_SUM = re.compile(r"^f(add|sub) ((?:\w+ )*)(?:double|float) (\S+), (\S+)$")
# Without any effect, and the same whenever they are computed.
_PURE = re.compile(
    r"^(?:f?(?:add|sub|mul|neg|cmp|ptrunc|pext)|[fsu](?:div|rem)|[su]itofp|fpto[su]i|shl|[al]shr"
    r"|and|or|xor|icmp|select|getelementptr|[sz]ext|trunc|(?:extract|insert)(?:value|element)"
    r"|shufflevector|bitcast|freeze) "
)
_CALL = re.compile(rf"^(?:tail |notail )?call [^@]*@({NAME})\(")
_ATTRIBUTES = re.compile(r"^attributes (#\d+) = \{([^}]*)\}", re.M)
_DECLARED = re.compile(rf"^declare [^@\n]*@({NAME})\([^\n]*\)[^)\n]*?(#\d+)?$", re.M)
_RETURN = re.compile(r"^  ret ")
_ANYTHING = "anything"


@dataclass(frozen=True)
class Increment:
    """``load``, ``fadd`` and ``store`` of one place.

    Attributes
    ----------
    load, store : int
        Which lines of the block they are.
    kind : {"double", "float"}
    operation : str
        ``fadd`` or ``fsub``, with its flags.
    total, value, place : str
        The sum, what is added, and the pointer to what it is added to.
    after : str
        The alignment of both, and their metadata if that is the same.
    step : int
        By how many bytes the place moves from one turn to the next.
    row : tuple
        Places that are a fixed number of bytes apart are in one row.
    offset : int
        How many bytes the place is from the start of its row.
    """

    load: int
    store: int
    kind: str
    operation: str
    total: str
    value: str
    place: str
    after: str
    step: int
    row: Row
    offset: int


class Memory:
    """Where the pointers of a function come from, which `made` says of all its values."""

    def __init__(self, function: Function, known: set[str]) -> None:
        self.made = dict(MADE.findall(function.body))
        self._known = known
        self._apart = {p.split()[-1] for p in function.parameters if "noalias" in p.split()}
        self._found: dict[str, set[str]] = {}

    def may_meet(self, one: str, other: str) -> bool:
        """Whether two pointers may lead to the same memory."""
        first, second = self._roots(one), self._roots(other)
        known = first and second and _ANYTHING not in first | second
        return not known or not first.isdisjoint(second)

    def _roots(self, pointer: str) -> set[str]:
        """What a pointer may lead to."""
        if pointer not in self._found:
            self._found[pointer] = set(self._follow(pointer))
        return self._found[pointer]

    def _follow(self, pointer: str) -> Iterator[str]:
        seen, waiting = set[str](), [pointer]
        while waiting:
            name = waiting.pop()
            if name in seen or name in ("undef", "poison"):
                continue
            seen.add(name)
            made = self.made.get(name, "")
            called = _CALL.match(made)
            if made.startswith("getelementptr "):
                waiting += re.findall(r"\bptr (\S+),", made)[:1] or [_ANYTHING]
            elif made.startswith("phi ptr "):
                waiting += [value for value, _ in WAY.findall(made)]
            elif made.startswith("select "):
                waiting += re.findall(r", ptr ([^\s,]+)", made)
            elif (called and called[1] in self._known) or made.startswith("alloca "):
                yield name
            else:
                is_own = name in self._apart or name.startswith("@")
                yield name if is_own else _ANYTHING


def without_effects(ir: str) -> set[str]:
    """The functions of a module that do nothing but compute."""
    groups = {name for name, said in _ATTRIBUTES.findall(ir) if "memory(none)" in said}
    found = {name for name, group in _DECLARED.findall(ir) if group in groups}
    for function in functions(ir):
        lines = (line for line in function.body.splitlines() if line.startswith("  "))
        if all(_RETURN.match(line) or _PURE.match(line.split(" = ")[-1]) for line in lines):
            found.add(function.name)
    return found


def increments(
    turn: Turn, memory: Memory, harmless: Callable[[str], bool], used: Mapping[str, int]
) -> list[Increment]:
    """What a loop may add to memory after some of its turns, one increment after the other.

    Parameters
    ----------
    turn : Turn
    memory : Memory
    harmless : callable
        Whether a function, by name, does nothing but compute.
    used : mapping
        How often each name stands in the function.

    Returns
    -------
    list of Increment
        Nothing else in the loop reads or writes these places, which move by one number in each
        turn, and each may meet others of them.
    """
    accesses: dict[int, str] = {}
    stores: dict[int, Sequence[str]] = {}
    for i, line in enumerate(turn.lines):
        made = MADE.match(line)
        if store := _STORE.match(line):
            stores[i], accesses[i] = store.groups(), store[3]
        elif made and (load := _LOAD.match(made[2])):
            accesses[i] = load[2]
        elif not (made and _is_harmless(made[2], harmless)):
            return []
        if i in accesses and _ORDERED.search(line):
            return []
    candidates = [_increment(turn, i, store, used) for i, store in stores.items()]
    found = [one for one in candidates if one and _is_item_by_item(one)]
    return _worth_it(_alone(found, accesses, memory), memory)


def _alone(
    found: Sequence[Increment], accesses: Mapping[int, str], memory: Memory
) -> list[Increment]:
    """Those whose places nothing else in the loop, which is all that is not among them, uses."""
    found = list(found)
    while True:
        own = {line for one in found for line in (one.load, one.store)}
        others = [place for line, place in accesses.items() if line not in own]
        left = [
            one
            for one in found
            if not any(memory.may_meet(one.place, place) for place in others)
            # Nor may another one add, in between, to what may be the same number, or to half of it.
            and not any(
                (one.load < two.store < one.store or one.kind != two.kind)
                and memory.may_meet(one.place, two.place)
                for two in found
            )
        ]
        if len(left) == len(found):
            return left
        found = left


def _worth_it(found: Sequence[Increment], memory: Memory) -> list[Increment]:
    """Those that LLVM would not vectorise as they are, with all that may be in the same memory.

    Where there are two in different rows, it compares where these end, and does.
    """
    left, chosen = list(found), list[Increment]()
    while left:
        together, more = list[Increment](), [left[0]]
        while more:
            together += more
            left = [one for one in left if one not in more]
            more = [one for one in left if any(memory.may_meet(one.place, m.place) for m in more)]
        if len(together) > 2 or len({one.row for one in together}) < len(together):
            chosen += together
    return chosen


def _is_item_by_item(one: Increment) -> bool:
    size = BYTES[one.kind]
    return abs(one.step) == size and alignment(one.after) % size == 0


def _is_harmless(made: str, harmless: Callable[[str], bool]) -> bool:
    if called := _CALL.match(made):
        return harmless(called[1])
    return bool(_PURE.match(made)) or made.startswith("phi ")


def _increment(
    turn: Turn, line: int, store: Sequence[str], used: Mapping[str, int]
) -> Increment | None:
    """The one that ends with a store, if it is the end of one that derivatives may regroup."""
    kind, total, place, after = store
    found = _SUM.match(turn.made.get(total, ""))
    if kind not in BYTES or not found or "reassoc" not in found[2].split():
        return None
    operation, flags, *operands = found.groups()
    for old, value in (operands, operands[::-1])[: 1 + (operation == "add")]:
        load = _LOAD.match(turn.made.get(old, ""))
        if load and load.groups()[:2] == (kind, place) and used[old] == used[total] == 2:
            return Increment(
                load=turn.line_of[old],
                store=line,
                kind=kind,
                operation=f"f{operation} {flags}".strip(),
                total=total,
                value=value,
                place=place,
                after=in_common(load[3], after),
                step=turn.step(place) or 0,
                row=turn.row(place)[0],
                offset=turn.row(place)[1],
            )
    return None


def in_common(after: str, other: str) -> str:
    """What two accesses, of the same type, both have behind the pointer: or the alignment alone."""
    return after if after == other else f", align {min(alignment(after), alignment(other))}"


def alignment(after: str) -> int:
    """The alignment of an access: 1 where nothing is said of it, as one cannot be sure."""
    found = re.search(r"\balign (\d+)", after or "")
    return int(found[1]) if found else 1
