"""What the last turns of nested loops leave behind, kept: a way around a fault of Enzyme.

A number that a loop hands from one turn to the next, ``y = t; t = cos(b[j])``, and that is used
behind that loop and the one around it: Enzyme computes it again from what it has kept of the turn
before the last one, and looks that up as if the outer loop were in its first turn. The gradient is
wrong, and nothing is said; where the inner loop may end early, it looks up something that nothing
has set. What adds up, and is not used for anything else meanwhile, it keeps.

So it is with arrays, ``p, q = q * x[j], p``: the derivative went to another one's shadow.

So what an inner loop leaves behind of an earlier turn goes through a function that Enzyme does not
compute again, in the loop that makes it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

from ._ir_text import (
    LOCAL,
    MADE,
    PHI,
    WAY,
    Function,
    Loop,
    label_of,
    leads_to,
    loops,
    type_made,
    with_functions,
)
from ._opaque import FLOATS, KEPT, KINDS, LEFT, call, with_definitions
from ._uses import SUM, Uses

# Anything but what is kept.
_ANY = re.compile(rf"(?!  {LOCAL} = (?:tail )?call [^@]*@(?:{KEPT}|{LEFT})_)")
# Sums, counters, and what goes along an array.
_ADDED = re.compile(
    rf"{SUM.pattern}|^  {LOCAL} = (?:getelementptr |(?:add|sub) (?:\w+ )*i\d+ {LOCAL}, -?\d+$)"
)


def with_last_turns_kept(ir: str) -> str:
    """The module with every such number behind a call.

    Parameters
    ----------
    ir : str
        As Enzyme gets it: optimised, and all in one function.
    """
    return with_definitions(with_functions(ir, _kept))


def _kept(function: Function) -> str:
    blocks = function.blocks
    inner = _inner_loops({name: leads_to(text) for name, text in blocks.items()})
    if not inner:
        return function.text
    uses = Uses(blocks)
    turns = _Turns(blocks, inner, uses)
    calls: defaultdict[str, list[str]] = defaultdict(list)
    outside: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for name, (block, operation) in turns.made.items():
        behind, kind = uses.blocks(name) - inner[block].blocks, _kind(operation)
        if not behind or not kind or (kind in FLOATS and not uses.is_needed(name)):
            continue
        if turns.is_of_an_earlier_one(name):
            left = f'%"{LEFT} {name[1:].strip(chr(34))}"'
            calls[name].append(call(LEFT, kind, left, name))
            for other in behind:
                outside[other][name] = left
    changed = [
        _with_calls(uses.renamed(text, outside[block]), calls) for block, text in blocks.items()
    ]
    return f"{function.head}{''.join(changed)}}}"


class _Turns:
    """What is made in inner loops, and of what.

    Parameters
    ----------
    blocks : mapping
        The text of each block of a function.
    inner : mapping
        The innermost loop of each block that is in one within another.
    uses : Uses
    """

    def __init__(self, blocks: Mapping[str, str], inner: Mapping[str, Loop], uses: Uses) -> None:
        self._uses = uses
        self.made: dict[str, tuple[str, str]] = {}
        for block in inner:
            for line in blocks[block].splitlines():
                if made := MADE.match(line):
                    self.made[made[1]] = block, made[2]
        self._loop = {loop.head: loop for loop in inner.values()}

    def is_of_an_earlier_one(self, name: str) -> bool:
        """Whether a number is made of what an earlier turn has made of anything but a sum."""
        return any(not self._adds_up(one) for one in self._made_of([name]) & self._handed_on)

    @cached_property
    def _handed_on(self) -> set[str]:
        """What is chosen on entry to a turn."""
        return {
            name
            for name, (block, operation) in self.made.items()
            if block in self._loop and operation.startswith("phi ") and _kind(operation)
        }

    def _adds_up(self, name: str) -> bool:
        """Whether a turn hands on what was handed to it and more, and uses it for nothing else."""
        block, operation = self.made[name]
        inside = self._loop[block].blocks
        ways = WAY.findall(operation)
        handed_on = [value for value, source in ways if source in inside]
        if name not in self._made_of(handed_on, _ADDED):
            return False
        return _kind(operation) not in FLOATS or not self._uses.is_needed(name, inside)

    def _made_of(self, names: Iterable[str], by: re.Pattern[str] = _ANY) -> set[str]:
        """All that numbers are made of in inner loops by some operations, themselves among them."""
        found, waiting = set[str](), list(names)
        while waiting:
            name = waiting.pop()
            if name in found or name not in self.made:
                continue
            found.add(name)
            operation = self.made[name][1]
            if by.match(f"  {name} = {operation}"):
                waiting += Uses.names(f" {operation}")
        return found


def _inner_loops(successors: Mapping[str, Sequence[str]]) -> dict[str, Loop]:
    """The innermost loop of each block that is in one within another."""
    found: dict[str, Loop] = {}
    nested = set[str]()
    for loop in sorted(loops(successors), key=lambda loop: -len(loop.blocks)):
        nested |= loop.blocks & found.keys()
        found.update(dict.fromkeys(loop.blocks, loop))
    return {block: loop for block, loop in found.items() if block in nested}


def _kind(operation: str) -> str:
    """The type of a number or a pointer that is made, if such can be kept."""
    kind = type_made(operation)
    return kind if kind in KINDS else ""


def _with_calls(text: str, calls: dict[str, list[str]]) -> str:
    """A block with the calls behind what they take, and behind all that is chosen on entry."""
    lines, waiting = list[str](), list[str]()
    for line in text.splitlines():
        if not PHI.match(line) and not label_of(line):
            lines += waiting
            waiting = []
        lines.append(line)
        if made := MADE.match(line):
            waiting += calls.get(made[1], [])
    return "\n".join([*lines, *waiting, ""])
