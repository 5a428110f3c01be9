"""Innermost loops of one block, read: what changes by how much from one turn to the next."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property

from ._ir_text import LOCAL, MADE, NAME, WAY, type_made

Row = tuple[tuple[str, int], ...]

_PHI = re.compile(rf"^  ({LOCAL}) = phi (.*?) (\[ .*)$")
_BRANCH = re.compile(rf"^  br i1 ({LOCAL}), label %({NAME}), label %({NAME})")
_OPERAND = rf"({LOCAL}|-?\d+)"
_INTEGER = re.compile(rf"^(add|sub|mul|shl|or disjoint) (?:nuw |nsw )*i64 {_OPERAND}, {_OPERAND}$")
_PLACE = re.compile(
    rf"^getelementptr (?:inbounds |nusw |nuw )*(\w+), ptr ({LOCAL}), i64 {_OPERAND}$"
)
_SIZES = {"i8": 1, "i32": 4, "float": 4, "i64": 8, "double": 8}
_NUMBER = re.compile(r"-?\d+$")
_MOST_STEPS = 50  # since sums of sums can be as long as any power of two
_EQUAL = re.compile(rf"^icmp (?:samesign )?(eq|ne) i64 {_OPERAND}, {_OPERAND}$")
_CHOICE = re.compile(rf"^select i1 ({LOCAL}), i64 {_OPERAND}, i64 {_OPERAND}$")
_ORDER = re.compile(rf"^icmp (?:samesign )?([su][gl][te]) i64 ({LOCAL}), {_OPERAND}$")


class Turn:
    """A loop of one block.

    Parameters
    ----------
    name, text : str
    outside : mapping
        What each value of the function is made by.

    Attributes
    ----------
    lines : list of str
        Those of the block, without its label and its end.
    is_loop : bool
        Whether it is one at all; without that there is nothing below.
    condition, after : str
        The loop ends with ``condition``, or without it, and goes to the block ``after``.
    ends_if : bool
    expected : dict
        Conditions by which zero is chosen if they hold all the time, or never: Numba adds the
        length of an array to an index that is negative, and LLVM does not always see that none
        is. For each the comparison, its two sides, of which the first moves and the second does
        not, and whether it should hold. What is said of steps and rows is true only if all do.
    """

    def __init__(self, name: str, text: str, outside: Mapping[str, str]) -> None:
        self.name, self._outside = name, outside
        lines = [line for line in text.splitlines()[1:] if line.strip()]
        self.lines, end = lines[:-1], _BRANCH.match(lines[-1])
        self.is_loop = end is not None and end[2] != end[3] and name in end.groups()
        if end and self.is_loop:
            self.condition = end[1]
            self.ends_if = end[3] == name
            self.after = end[2] if self.ends_if else end[3]
            self.expected: dict[str, tuple[str, str, str, bool]] = {}
            self.expected = self._find_expected()

    @cached_property
    def made(self) -> dict[str, str]:
        """What each value of the block is made by."""
        return {found[1]: found[2] for line in self.lines if (found := MADE.match(line))}

    @cached_property
    def line_of(self) -> dict[str, int]:
        """Which line makes each value."""
        found = ((i, MADE.match(line)) for i, line in enumerate(self.lines))
        return {made[1]: i for i, made in found if made}

    @cached_property
    def phis(self) -> dict[str, tuple[str, dict[str, str]]]:
        """The type of what each is, and the value by the block that leads here."""
        found = filter(None, map(_PHI.match, self.lines))
        return {p[1]: (p[2], {block: value for value, block in WAY.findall(p[3])}) for p in found}

    @cached_property
    def counter(self) -> tuple[str, str, int] | None:
        """A value, what it is in the last turn, and its step, 1 or -1; nothing if there is none."""
        found = _EQUAL.match(self.made.get(self.condition, ""))
        if not found or (found[1] == "eq") != self.ends_if:
            return None
        for value, last in ((found[2], found[3]), (found[3], found[2])):
            steps = self.step(value), self.step(last)
            if steps[0] in (1, -1) and steps[1] == 0:
                return value, last, steps[0] or 0
        return None

    def _find_expected(self) -> dict[str, tuple[str, str, str, bool]]:
        found: dict[str, tuple[str, str, str, bool]] = {}
        for made in self.made.values():
            choice = _CHOICE.match(made)
            order = _ORDER.match(self.made.get(choice[1], "")) if choice else None
            if choice and order and "0" in choice.groups() and order[3] not in self.made:
                found[choice[1]] = order[1], order[2], order[3], choice[2] == "0"
        return {name: one for name, one in found.items() if self.step(one[1]) in (1, -1)}

    def type_of(self, value: str) -> str:
        """The type of a value, if it is a number or a pointer; nothing otherwise."""
        return self.phis[value][0] if value in self.phis else type_made(self.made[value])

    def step(self, value: str) -> int | None:
        """What is added to an integer or a pointer from one turn to the next, if that is known."""
        total = 0
        for name, factor in self.row(value)[0]:
            if name in self.phis:
                row, number = self.row(self.phis[name][1][self.name])
                if row != ((name, 1),):
                    return None
                total += factor * number
            elif name in self.made:
                return None
        return total

    def row(self, value: str) -> tuple[Row, int]:
        """An integer or a pointer as a sum: names, how often each is in it, and a number."""
        terms: dict[str, int] = {}
        number, waiting, steps = 0, [(value, 1)], 0
        while waiting:
            name, factor = waiting.pop()
            steps += 1
            name = self._chosen(name)
            made = self.made.get(name) or self._outside.get(name, "")
            integer = _INTEGER.match(made)
            if _NUMBER.match(name):
                number += factor * int(name)
            elif steps > _MOST_STEPS:
                return ((value, 1),), 0
            elif (place := _PLACE.match(made)) and place[1] in _SIZES:
                waiting += [(place[2], factor), (place[3], factor * _SIZES[place[1]])]
            elif integer and integer[1] in ("add", "or disjoint", "sub"):
                sign = -1 if integer[1] == "sub" else 1
                waiting += [(integer[2], factor), (integer[3], sign * factor)]
            elif integer and _NUMBER.match(integer[3]):
                by = int(integer[3])
                waiting.append((integer[2], factor * (by if integer[1] == "mul" else 1 << by)))
            else:
                terms[name] = terms.get(name, 0) + factor
        return tuple(sorted((n, factor) for n, factor in terms.items() if factor)), number

    def _chosen(self, value: str) -> str:
        """What is chosen, where that is as expected, or the value itself."""
        choice = _CHOICE.match(self.made.get(value, ""))
        if not choice or choice[1] not in self.expected:
            return value
        return choice[2] if self.expected[choice[1]][3] else choice[3]
