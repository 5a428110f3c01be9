"""Numbers read where one of several pointers leads, kept: a way around a fault of Enzyme.

Of a number that the reverse pass needs, Enzyme asks whether its place is overwritten later; if not,
it is read again. Where the pointer was chosen, ``row = b[0] if up else b[1]``, or read from memory,
as from a list of arrays, it does not see that ``b[0, j] = ...`` overwrites the place. The gradient
is then made of what stands there at the end, and nothing is said. Slices are such choices too:
their start depends on whether the array has items at all. Nor does it always see that what is
written by a chosen pointer overwrites what was read from an array by its own name.

So such a number goes through a function that Enzyme does not compute again. A mark on the load was
lost where LLVM, which has another go before Enzyme, made one load of two: one by either of two
pointers. And the load is volatile while Enzyme runs: to hand it to the derivative of that function,
Enzyme reads it again, and declares that it always finds the same there. LLVM then made one load of
two that had a store between them, and the function itself came out wrong.
"""

from __future__ import annotations

import re
from functools import cached_property

from ._ir_text import LOCAL, Function, label_of, with_functions
from ._later_turns import LaterTurns, places_written
from ._opaque import FLOATS, KEPT, NUMBERS, call, with_definitions
from ._uses import Uses

_MADE = re.compile(rf"^  ({LOCAL}) = (getelementptr|select|phi ptr|load ptr|alloca)\b(.*)", re.M)
_POINTER = re.compile(rf"\bptr ({LOCAL})")
_WAY = re.compile(rf"\[ ({LOCAL}|\w+), ")
_STORED = re.compile(rf"^  store ptr ({LOCAL}), ", re.M)
_READ_ONLY = re.compile(rf"\bptr [^,]*\breadonly\b[^,]* ({LOCAL})(?=,|$)")
_NUMBER = re.compile(rf"^  ({LOCAL})( = load ({'|'.join(NUMBERS)}), ptr ({LOCAL})[^\n]*)", re.M)


def with_chosen_places_kept(ir: str, *, all_turns: bool = False) -> str:
    """The module with every such number kept; not those of arrays that are only read.

    Parameters
    ----------
    ir : str
        As Enzyme gets it: optimised, and all in one function.
    all_turns : bool
        Whether what a loop reads of an array that it writes to is kept wherever that is, as it must
        be in a module that is not optimised, where addresses do not tell.
    """
    return with_definitions(
        with_functions(ir, lambda function: _Pointers(function).kept(all_turns))
    )


class _Pointers:
    """Where the pointers of a function lead."""

    def __init__(self, function: Function) -> None:
        self._text, self._blocks = function.text, function.blocks
        self._made = {name: (kind, rest) for name, kind, rest in _MADE.findall(self._text)}
        self._read_only = set(_READ_ONLY.findall(", ".join(function.parameters)))
        self._stored = _STORED.findall(self._text)
        self._overwritten = set[str]()
        for place in {place for _, place, _ in places_written(self._blocks)}:
            roots, chosen = self._ways(place)
            self._overwritten |= roots if chosen else set()

    def kept(self, all_turns: bool) -> str:
        turns = LaterTurns(self._blocks, lambda place: self._ways(place)[0])
        block, lines = next(iter(self._blocks)), list[str]()
        for line in self._text.splitlines():
            block = label_of(line) or block
            read = _NUMBER.match(line)
            is_kept = read and self._may_change(read, block, turns, all_turns)
            if read and is_kept:
                name, load, kind, _ = read.groups()
                before = f'%"read {name[1:].strip(chr(34))}"'
                load = load.replace("load", "load volatile", 1)
                lines += [f"  {before}{load}", call(KEPT, kind, name, before)]
            else:
                lines.append(line)
        return "\n".join(lines)

    def _may_change(
        self, read: re.Match[str], block: str, turns: LaterTurns, all_turns: bool
    ) -> bool:
        """Whether what a load has read may be another number when the reverse pass needs it."""
        name, _, kind, place = read.groups()
        if self._ways(place)[0] <= self._read_only:
            return False
        is_float = kind in FLOATS
        # Of integers at chosen places Enzyme keeps what it needs.
        open_ = is_float and self._is_open(place)
        if not (open_ or turns.may_overwrite(place, block, anywhere=is_float and all_turns)):
            return False
        return not is_float or self._uses.is_needed(name)

    @cached_property
    def _uses(self) -> Uses:
        return Uses(self._blocks)

    def _is_open(self, pointer: str) -> bool:
        """Whether it or what writes there was chosen or read; not where nothing is written."""
        roots, chosen = self._ways(pointer)
        return not roots.isdisjoint(self._overwritten) or (chosen and not roots <= self._read_only)

    def _ways(self, pointer: str) -> tuple[set[str], bool]:
        """What it may lead to, and whether it was chosen or read."""
        roots, seen, waiting, chosen = set[str](), set[str](), [pointer], False
        while waiting:
            name = waiting.pop()
            if name in seen:
                continue
            seen.add(name)
            kind, rest = self._made.get(name, ("", ""))
            if kind == "getelementptr":
                waiting += _POINTER.findall(rest)
            elif kind == "select":
                chosen = True
                waiting += _POINTER.findall(rest)
            elif kind == "phi ptr":
                ways = _WAY.findall(rest)
                # What moves along an array leads back to itself.
                back = [way for way in ways if self._start(way) == name]
                chosen = chosen or rest.count("[ ") > 1 + len(back)
                waiting += ways
            elif kind == "load ptr":
                # One of those that are stored, wherever: places have many names. Or an argument's.
                chosen = True
                waiting += self._stored
                roots.add(name)
            else:
                roots.add(name)
        return roots, chosen

    def _start(self, name: str) -> str:
        while self._made.get(name, ("",))[0] == "getelementptr":
            # Nothing, where it is that of a constant of the module.
            name = next(iter(_POINTER.findall(self._made[name][1])), "")
        return name
