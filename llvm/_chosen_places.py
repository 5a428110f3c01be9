"""Numbers read where one of several pointers leads, kept: a way around a fault of Enzyme.

Of a number that the reverse pass needs, Enzyme asks whether its place is overwritten later; if not,
it is read again. Where the pointer was chosen, ``row = b[0] if up else b[1]``, or read from memory,
as from a list of arrays, it does not see that ``b[0, j] = ...`` overwrites the place. The gradient
is then made of what stands there at the end, and nothing is said. Slices are such choices too:
their start depends on whether the array has items at all.
"""

from __future__ import annotations

import re
from collections import defaultdict

from ._ir_text import LOCAL, Function, next_node, with_functions

_MADE = re.compile(rf"^  ({LOCAL}) = (getelementptr|select|phi ptr|load ptr|alloca)\b(.*)", re.M)
_POINTER = re.compile(rf"\bptr ({LOCAL})")
_WAY = re.compile(rf"\[ ({LOCAL}|\w+), ")
_STORED = re.compile(rf"^  store ptr ({LOCAL}), ptr ({LOCAL})", re.M)
_READ_ONLY = re.compile(rf"\bptr [^,]*\breadonly\b[^,]* ({LOCAL})(?=,|$)")
# Integers, marked so, end in a crash of Enzyme's.
_NUMBER = re.compile(rf"^  {LOCAL} = load (?:double|float), ptr ({LOCAL})[^\n]*", re.M)


def with_chosen_places_kept(ir: str) -> str:
    """The module with every such load marked; not those of arrays that are only read.

    Parameters
    ----------
    ir : str
        As Enzyme gets it: optimised, and all in one function.
    """
    node = next_node(ir)
    marked = with_functions(ir, lambda function: _Pointers(function).marked(node))
    return f"{marked}\n!{node} = !{{}}\n" if marked != ir else ir


class _Pointers:
    """Where the pointers of a function lead."""

    def __init__(self, function: Function) -> None:
        self._text = function.text
        self._made = {name: (kind, rest) for name, kind, rest in _MADE.findall(self._text)}
        self._read_only = set(_READ_ONLY.findall(", ".join(function.parameters)))
        self._stored: defaultdict[str, list[str]] = defaultdict(list)
        for value, place in _STORED.findall(self._text):
            self._stored[place].append(value)

    def marked(self, node: int) -> str:
        def mark(found: re.Match[str]) -> str:
            return f"{found[0]}, !enzyme_mustcache !{node}" if self._is_open(found[1]) else found[0]

        return _NUMBER.sub(mark, self._text)

    def _is_open(self, pointer: str) -> bool:
        """Whether it was chosen or read, and may lead to what is written."""
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
                chosen = chosen or len([way for way in ways if self._start(way) != name]) > 1
                waiting += ways
            elif kind == "load ptr":
                chosen = True
                values = [v for place in _POINTER.findall(rest) for v in self._stored[place]]
                waiting += values
                if not values:
                    roots.add(name)
            else:
                roots.add(name)
        return chosen and not roots <= self._read_only

    def _start(self, name: str) -> str:
        while self._made.get(name, ("",))[0] == "getelementptr":
            name = _POINTER.findall(self._made[name][1])[0]
        return name
