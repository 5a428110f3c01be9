"""Which numbers that a loop reads a later turn of it may overwrite: another fault of Enzyme.

It asks LLVM whether a store overwrites what was read, and LLVM answers for one turn of a loop:
``s[t + 1]`` and ``s[t]`` are not the same place in one turn, nor are ``d[k]`` and ``d[1 - k]``.
One turn later they are, and ``s[t] = f(s[t + 1])`` had a gradient of what stood there at the end.

Here addresses are sums of names times numbers. Where those of a load and of a store in one loop
differ by what may be known not to be zero in one turn, the number is to be kept. Where they do not,
Enzyme gets the right answer, and may compute again what it would otherwise keep.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping

from ._ir_text import LOCAL, MADE, leads_to, walk

_WRITTEN = re.compile(
    rf"^  (?:store (?!ptr)(\w+|{{[^}}]*}}|<[^>]*>)[^\n]*?, ptr "
    rf"|(?:tail )?call void @llvm\.mem(?:cpy|move|set)\.[^(]*\(ptr (?:[^%,]* )?)({LOCAL})",
    re.M,
)
_VALUE = rf"({LOCAL}|-?\d+)"
_BYTES = {"i8": 1, "i16": 2, "i32": 4, "float": 4, "i64": 8, "double": 8, "ptr": 8}
_BYTES |= {"{ float, float }": 8, "{ double, double }": 16}  # complex numbers
_PLACE = re.compile(
    rf"getelementptr (?:\w+ )*?({'|'.join(_BYTES)}), ptr ({LOCAL}), i64 {_VALUE}(?:, i32 ([01]))?$"
)
_SUM = re.compile(rf"(add|sub|mul|shl|or disjoint) (?:\w+ )*?i\d+ {_VALUE}, {_VALUE}$")
_SAME = re.compile(rf"(?:[sz]ext|trunc|freeze) (?:\w+ )*?i\d+ {_VALUE}(?: to i\d+)?$")
_CHANGED = re.compile(rf"(?:xor|add|sub) (?:\w+ )*?i\d+ {_VALUE}, {_VALUE}$")
_MOST_TERMS = 8
_LARGEST = 8  # bytes of a number that is read

Form = dict[tuple[str, ...], int]
"""A sum: how often each product of names is in it, and under () the number."""


def places_written(blocks: Mapping[str, str]) -> Iterator[tuple[str, str, int]]:
    """The blocks and the pointers that numbers are written to, and how many bytes, 0 if unknown."""
    for block, text in blocks.items():
        for kind, place in _WRITTEN.findall(text):
            yield block, place, _BYTES.get(kind, 0)


class LaterTurns:
    """The outermost loops of a function, and what is written in them.

    Parameters
    ----------
    blocks : mapping
        The text of each of its blocks, by name.
    roots : callable
        The allocations and arguments that a pointer, by name, may lead to.
    """

    def __init__(self, blocks: Mapping[str, str], roots: Callable[[str], set[str]]) -> None:
        self._roots = roots
        self._made: dict[str, str] = {}
        self._block: dict[str, str] = {}
        self._forms: dict[str, Form] = {}
        for block, text in blocks.items():
            for name, operation in MADE.findall(text):
                self._made[name] = re.sub(r", (?:align|!).*", "", operation)
                self._block[name] = block
        self._loop = _loops({name: leads_to(text) for name, text in blocks.items()})
        # By loop and root: the addresses, those that differ by numbers alone under one key, and how
        # many bytes are written there, or 0 if that is not known.
        self._written: defaultdict[tuple[str, str], dict[Terms, set[tuple[int, int]]]]
        self._written = defaultdict(dict)
        for block, place, size in places_written(blocks):
            if (loop := self._loop.get(block)) is not None:
                terms, number = _split(self._form(place))
                for root in roots(place):
                    self._written[loop, root].setdefault(terms, set()).add((number, size))

    def may_overwrite(self, place: str, block: str, *, anywhere: bool = False) -> bool:
        """Whether a later turn may write where LLVM takes it not to, to what a block reads.

        With `anywhere`, whatever is read in a loop, but for variables on the stack.
        """
        loop = self._loop.get(block)
        if loop is None:
            return False
        terms, number = _split(self._form(place))
        if anywhere:
            return not all(map(self._is_on_stack, self._roots(place)))
        for root in self._roots(place):
            for others, written in self._written.get((loop, root), {}).items():
                step = self._step(terms | others, loop)
                apart = [n - number for n, size in written if _may_meet(n - number, size, step)]
                if apart and self._may_be_told_apart(terms, others, any(apart), loop):
                    return True
        return False

    def _step(self, terms: Terms, loop: str) -> int:
        """What all changes of an address in a loop are multiples of."""
        changing = [n for names, n in terms if any(self._is_in(name, loop) for name in names)]
        return math.gcd(*changing)

    def _is_in(self, name: str, loop: str) -> bool:
        return self._loop.get(self._block.get(name, "")) == loop

    def _is_on_stack(self, root: str) -> bool:
        return self._made.get(root, "").startswith("alloca")

    def _may_be_told_apart(self, terms: Terms, others: Terms, apart: bool, loop: str) -> bool:
        """Whether two places may be known not to be the same in one turn, and only there.

        That takes something that both depend on, or things that change together. Two counters of
        different loops may be equal at any time.
        """
        left = [name for names, _ in terms ^ others for name in names]
        blocks = [self._block.get(n, "") for n in left if self._made.get(n, "").startswith("phi")]
        related = any(self._is_made_of(a, b) for a in left for b in left)
        if related or len(set(blocks)) < len(blocks):
            return True
        shared = [name for names, _ in terms & others for name in names]
        if not any(self._is_in(name, loop) for name in shared):
            return False
        return apart or len(blocks) < len(left) or len(left) > 2

    def _is_made_of(self, one: str, other: str) -> bool:
        changed = _CHANGED.match(self._made.get(one, ""))
        return changed is not None and other in changed.groups()

    def _form(self, value: str) -> Form:
        if not value.startswith("%"):
            return {(): int(value)}
        if value not in self._forms:
            form = self._sum(self._made.get(value, ""))
            if form is None or len(form) > _MOST_TERMS:
                form = {(value,): 1}
            self._forms[value] = form
        return self._forms[value]

    def _sum(self, operation: str) -> Form | None:
        if place := _PLACE.match(operation):
            step = {(): _BYTES[place[1]]}
            field = {(): _BYTES[place[1]] // 2 * int(place[4] or 0)}
            start = _added(self._form(place[2]), field)
            return _added(start, _multiplied(self._form(place[3]), step))
        if same := _SAME.match(operation):
            return self._form(same[1])
        if not (found := _SUM.match(operation)):
            return None
        kind, one, other = found[1], self._form(found[2]), self._form(found[3])
        if kind == "mul":
            return _multiplied(one, other)
        if kind == "shl":
            return _multiplied(one, {(): 1 << other[()]}) if set(other) == {()} else None
        return _added(one, _multiplied(other, {(): -1}) if kind == "sub" else other)


def _may_meet(distance: int, size: int, step: int) -> bool:
    """Whether what is written so far from a number of up to eight bytes may be on it in any turn.

    The parts of complex numbers never are on each other.
    """
    if not size or not step:
        return True
    behind = distance % step
    return behind < _LARGEST or step - behind < size


Terms = frozenset[tuple[tuple[str, ...], int]]


def _split(form: Form) -> tuple[Terms, int]:
    return frozenset((term, n) for term, n in form.items() if term), form.get((), 0)


def _added(one: Form, other: Form) -> Form:
    found = {term: one.get(term, 0) + other.get(term, 0) for term in {**one, **other}}
    return {term: number for term, number in found.items() if number}


def _multiplied(one: Form, other: Form) -> Form:
    found: defaultdict[tuple[str, ...], int] = defaultdict(int)
    for a, m in one.items():
        for b, n in other.items():
            found[tuple(sorted(a + b))] += m * n
    return {term: number for term, number in found.items() if number}


def _loops(successors: dict[str, list[str]]) -> dict[str, str]:
    """The outermost loop of each block that is in one, by its head (Kosaraju's algorithm)."""
    predecessors: defaultdict[str, list[str]] = defaultdict(list)
    for name, found in successors.items():
        for successor in found:
            predecessors[successor].append(name)
    left, loop_of = dict.fromkeys(reversed(walk(successors)[0])), dict[str, str]()
    for head in list(left):
        loop, waiting = list[str](), [head]
        while waiting:
            if (block := waiting.pop()) in left:
                del left[block]
                loop.append(block)
                waiting += predecessors[block]
        if len(loop) > 1 or head in successors[head]:
            loop_of.update(dict.fromkeys(loop, head))
    return loop_of
