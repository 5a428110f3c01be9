"""Which numbers that a loop reads may be overwritten in it, in a later turn: another fault of Enzyme.

It asks LLVM whether a store overwrites what was read, and LLVM answers for one turn of a loop:
``s[t + 1]`` and ``s[t]`` are not the same place in one turn, nor are ``d[k]`` and ``d[1 - k]``.
One turn later they are, and ``s[t] = f(s[t + 1])`` had a gradient of what stood there at the end.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable

_NAME = r'(?:"[^"]*"|[\w.$-]+)'
_LABEL = re.compile(rf"^({_NAME}):")
_TARGET = re.compile(rf"\blabel %({_NAME})")
_STORE = re.compile(rf"^  store (?!ptr)[^\n]*?, ptr (%{_NAME})")
_CALL = re.compile(rf"^  (?:%{_NAME} = )?(?:tail )?call [^@\n]*@({_NAME})\((.*)")
_POINTER = re.compile(rf"\bptr (?:[^%,]* )?(%{_NAME})")
# They write to nothing that is read as a number.
_HARMLESS = re.compile(
    r"free$|__enzyme_|numba_attempt_nocopy_reshape$|llvm\.(?!mem(?:cpy|move|set))"
)


class LaterTurns:
    """The outermost loops of a function, and what is written in them.

    Parameters
    ----------
    lines : iterable of str
        Of its definition in LLVM IR.
    roots : callable
        The allocations and arguments that a pointer, by name, may lead to.
    """

    def __init__(self, lines: Iterable[str], roots: Callable[[str], set[str]]) -> None:
        self._roots = roots
        leads_to: dict[str, list[str]] = {}
        places: defaultdict[str, set[str]] = defaultdict(set)
        block = ""
        for line in lines:
            if label := _LABEL.match(line):
                block = label[1]
                leads_to.setdefault(block, [])
            elif targets := _TARGET.findall(line):
                leads_to.setdefault(block, []).extend(targets)
            else:
                places[block].update(written(line))
        self._loop = _loops(leads_to)
        self._written: defaultdict[int, set[str]] = defaultdict(set)
        for name, found in places.items():
            if name in self._loop:
                for place in found:
                    self._written[self._loop[name]] |= roots(place)

    def may_overwrite(self, place: str, block: str) -> bool:
        """Whether what is read in a block may be overwritten in a later turn of a loop."""
        written_there = self._written.get(self._loop.get(block, -1), set())
        return bool(written_there) and not self._roots(place).isdisjoint(written_there)


def written(line: str) -> list[str]:
    """The pointers that an instruction may write numbers to, but for those in memory."""
    if store := _STORE.match(line):
        return [store[1]]
    call = _CALL.match(line)
    if call is None or _HARMLESS.match(call[1]):
        return []
    places = _POINTER.findall(call[2])
    return places[:1] if call[1].startswith("llvm.mem") else places


def _loops(leads_to: dict[str, list[str]]) -> dict[str, int]:
    """The outermost loop of each block that is in one, by Tarjan's algorithm."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    waiting: dict[str, None] = {}
    found: dict[str, int] = {}
    for first in leads_to:
        path = [] if first in number else [(first, iter(leads_to[first]))]
        while path:
            block, rest = path[-1]
            if block not in number:
                number[block] = lowest[block] = len(number)
                waiting[block] = None
            for successor in rest:
                if successor not in number:
                    path.append((successor, iter(leads_to.get(successor, ()))))
                    break
                if successor in waiting:
                    lowest[block] = min(lowest[block], number[successor])
            else:
                path.pop()
                if path:
                    outer = path[-1][0]
                    lowest[outer] = min(lowest[outer], lowest[block])
                if lowest[block] == number[block]:
                    part: list[str] = []
                    while not part or part[-1] != block:
                        part.append(waiting.popitem()[0])
                    if len(part) > 1 or block in leads_to[block]:
                        found.update(dict.fromkeys(part, number[block]))
    return found
