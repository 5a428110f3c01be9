"""The text of a loop in strips of turns: `_loop_fission.py` says which, and why."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import reduce

from ._ir_text import LOCAL, PHI
from ._shadow_sums import BYTES, Increment, in_common
from ._turns import Turn

MARGIN = 16
"""Items of an array before and after those of a strip, of which a row reads some, as zeros."""
_TURNS = 128
"""Turns of a strip. What they add, one kB for each number, stays in the L1 cache."""
FEW = 8
"""Turns, for each of the loops that add, less than which are not worth a strip."""
_OPPOSITE = {
    f"{sign}{order}": f"{sign}{other}"
    for sign in "su"
    for order, other in (("lt", "ge"), ("ge", "lt"), ("gt", "le"), ("le", "gt"))
}
_NAMES = re.compile(LOCAL)

Run = list[Increment]
"""Increments of neighbouring places of a row, in their order, with small gaps."""
_Added = tuple[str, str, bool]


def _added(one: Increment) -> _Added:
    """What is added, its type, and whether places go back."""
    return one.value, one.kind, one.step < 0


def width(run: Run) -> int:
    """How many items the last place of a run is beyond the first."""
    return (run[-1].offset - run[0].offset) // BYTES[run[0].kind]


def array_type(kind: str) -> str:
    """The type of an array of what is added in a strip."""
    return f"[{_TURNS + 2 * MARGIN} x {kind}]"


class Strips:
    """The text of a loop in strips.

    Parameters
    ----------
    turn : Turn
    loops : sequence
        The runs that each of the loops adds to.
    taken : sequence of str
        The values of the loop that what follows uses.
    prefix : str
        What all new names begin with.

    Attributes
    ----------
    arrays : dict
        Its arrays on the stack and the types of their items.
    text : str
    """

    def __init__(
        self, turn: Turn, loops: Sequence[Sequence[Run]], taken: Sequence[str], prefix: str
    ) -> None:
        self._turn, self._loops, self._taken, self._prefix = turn, loops, taken, prefix
        self._found = [one for loop in loops for run in loop for one in run]
        self.arrays: dict[str, str] = {}
        # One for each number that is added, from its end where places go back from turn to turn.
        self._array_of: dict[_Added, str] = {}
        self._margins: dict[str, int] = {}
        for run in (run for loop in loops for run in loop):
            for one in run:
                new = f'%"apart {one.kind} {len(self._array_of)}"'
                array = self._array_of.setdefault(_added(one), new)
                self.arrays[array] = one.kind
                self._margins[array] = max(self._margins.get(array, 0), width(run))
        self._firsts: dict[str, str] = {}
        self._lines: list[str] = []
        self._begin()
        self._go_as_it_was()
        self._go_through_turns()
        self._place_arrays()
        for number, loop in enumerate(loops):
            self._add_up(number, loop)
        self._end()
        self.text = "\n".join([*self._lines, "", ""])

    def followed_by(self, text: str) -> str:
        """The block that follows the loop, told where one comes from now."""
        old, new = f", %{self._turn.name} ]", f", {self._name('out')} ]"
        lines = text.split("\n")
        return "\n".join(line.replace(old, new) if PHI.match(line) else line for line in lines)

    def _name(self, *what: object) -> str:
        return f'%"{self._prefix} {" ".join(map(str, what))}"'

    def _label(self, *what: object) -> None:
        self._lines.append(f"{self._name(*what)[1:]}:")

    def _do(self, *operations: str) -> None:
        self._lines += [f"  {operation}" for operation in operations]

    def _make(self, operation: str, *what: object) -> str:
        """Do an operation, whose result gets a name."""
        name = self._name(*what)
        self._do(f"{name} = {operation}")
        return name

    def _copied(self, text: str, copy: str) -> str:
        """Text of the loop with the names that its values have in a copy of it."""
        lines = self._turn.line_of
        return _NAMES.sub(lambda n: self._name(copy, lines[n[0]]) if n[0] in lines else n[0], text)

    def _begin(self) -> None:
        """The way into each strip: what values are in its first turn."""
        turn = self._turn
        self._lines.append(f"{turn.name}:")
        for value, (kind, ways) in turn.phis.items():
            outside = [f"[ {v}, %{block} ]" for block, v in ways.items() if block != turn.name]
            again = self._copied(ways[turn.name], "turn")
            every = ", ".join([*outside, f"[ {again}, {self._name('end')} ]"])
            self._firsts[value] = self._make(f"phi {kind} {every}", "first", len(self._firsts))
        for one in self._found:
            self._first(one.place)
        counter, last, step = turn.counter or ("0", "0", 1)
        ends = [self._first(last), self._first(counter)]
        left = self._make(f"sub i64 {', '.join(ends if step > 0 else ends[::-1])}", "left")
        plain = self._make(f"icmp ult i64 {left}, {FEW * len(self._loops) - 1}", "few")
        for k, expected in enumerate(turn.expected.values()):
            wrong = self._is_not_as_expected(k, left, *expected)
            plain = self._make(f"or i1 {plain}, {wrong}", "or", k)
        plain = self._make(f"freeze i1 {plain}", "plainly")  # else a branch by poison is new
        self._do(f"br i1 {plain}, label {self._name('plain')}, label {self._name('turn')}")

    def _is_not_as_expected(
        self, k: int, left: str, order: str, value: str, limit: str, holds: bool
    ) -> str:
        """What moves one way, and is on one side of a limit at both ends, stays there."""
        first, step = self._first(value), self._turn.step(value) or 0
        way = self._make(f"mul i64 {left}, {step}", "way", k)
        end = self._make(f"add i64 {first}, {way}", "end", k)
        wrong = _OPPOSITE[order] if holds else order
        turned = order[0] + ("gt" if step > 0 else "lt")
        tests = [f"{wrong} i64 {first}, {limit}", f"{wrong} i64 {end}, {limit}"]
        tests.append(f"{turned} i64 {first}, {end}")
        made = [self._make(f"icmp {test}", "test", k, j) for j, test in enumerate(tests)]
        either = self._make(f"or i1 {made[0]}, {made[1]}", "either", k)
        return self._make(f"or i1 {either}, {made[2]}", "wrong", k)

    def _first(self, value: str) -> str:
        if value not in self._turn.made:
            return value
        if value not in self._firsts:
            made = _NAMES.sub(lambda used: self._first(used[0]), self._turn.made[value])
            self._firsts[value] = self._make(made, "first", len(self._firsts))
        return self._firsts[value]

    def _copy(self, copy: str, *more: str, changed: Mapping[int, str]) -> None:
        """The turns of the loop, from these values on; some lines are changed, or left out."""
        turn = self._turn
        self._label(copy)
        for value, (kind, ways) in turn.phis.items():
            again = f"[ {self._copied(ways[turn.name], copy)}, {self._name(copy)} ]"
            first = f"[ {self._firsts[value]}, %{turn.name} ]"
            self._do(f"{self._copied(value, copy)} = phi {kind} {first}, {again}")
        self._do(*more)
        for i, line in enumerate(turn.lines):
            if not PHI.match(line) and (here := changed.get(i, line)):
                self._lines.append(self._copied(here, copy))

    def _go_as_it_was(self) -> None:
        self._copy("plain", changed={})
        ways = [f"label {self._name('out')}", f"label {self._name('plain')}"]
        ways = ways if self._turn.ends_if else ways[::-1]
        self._do(f"br i1 {self._copied(self._turn.condition, 'plain')}, {', '.join(ways)}")

    def _go_through_turns(self) -> None:
        """The loop as it was, but that it writes to the arrays what it added."""
        turn, turns, n, count = self._turn, *map(self._name, ("turn", "n", "count"))
        changed: dict[int, str] = {}
        for one in self._found:
            changed |= dict.fromkeys((one.load, turn.line_of[one.total], one.store), "")
        for value, expected in turn.expected.items():
            holds = str(expected[-1]).lower()
            changed[turn.line_of[value]] = f"  {value} = or i1 {holds}, {holds}"
        counting = f"{count} = phi i64 [ 0, %{turn.name} ], [ {n}, {turns} ]"
        self._copy("turn", counting, changed=changed)
        forth = self._make(f"add nuw nsw i64 {count}, {MARGIN}", "forth")
        back = self._make(f"sub nuw nsw i64 {MARGIN + _TURNS - 1}, {count}", "back")
        for k, ((value, kind, goes_back), array) in enumerate(self._array_of.items()):
            index = back if goes_back else forth
            item = self._make(f"getelementptr inbounds {kind}, ptr {array}, i64 {index}", "item", k)
            self._do(f"store {kind} {self._copied(value, 'turn')}, ptr {item}")
        self._make(f"add nuw nsw i64 {count}, 1", "n")
        ends = self._make(f"icmp eq i64 {n}, {_TURNS}", "full")
        done = self._copied(turn.condition, "turn")
        done = done if turn.ends_if else self._make(f"xor i1 {done}, true", "done")
        ends = self._make(f"or i1 {ends}, {done}", "ends")
        self._do(f"br i1 {ends}, label {self._name('arrays')}, label {turns}")

    def _place_arrays(self) -> None:
        """Zeros around what was written, and where each sum begins."""
        n = self._name("n")
        self._label("arrays")
        behind = self._make(f"sub nuw nsw i64 {MARGIN + _TURNS}, {n}", "behind")
        back = self._make(f"sub nsw i64 1, {n}", "shift")
        starts: dict[str, str] = {}
        for k, ((_, kind, goes_back), array) in enumerate(self._array_of.items()):
            item = f"getelementptr inbounds {kind}, ptr"
            index = behind if goes_back else MARGIN
            starts[array] = self._make(f"{item} {array}, i64 {index}", "start", k)
            stop = self._make(f"{item} {starts[array]}, i64 {n}", "stop", k)
            for j in range(self._margins[array]):
                for side, offset in ((starts[array], -1 - j), (stop, j)):
                    zero = self._make(f"{item} {side}, i64 {offset}", "zero", k, offset)
                    self._do(f"store {kind} 0.0, ptr {zero}")
        for run in (run for loop in self._loops for run in loop):
            first, item = run[0], f"getelementptr {run[0].kind}, ptr"
            shift = back if first.step < 0 else 0
            self._make(f"{item} {self._first(first.place)}, i64 {shift}", "to", first.store)
            for one in run:
                start, offset = starts[self._array_of[_added(one)]], first.offset - one.offset
                of_items = offset // BYTES[one.kind]
                self._make(f"{item} {start}, i64 {of_items}", "from", one.store)
        self._do(f"br label {self._name('sum', 0)}")

    def _add_up(self, number: int, loop: Sequence[Run]) -> None:
        """A loop that adds to as many rows as there are runs."""
        names = [self._name("sum", k) for k in range(len(self._loops))]
        before, name, after = [self._name("arrays"), *names, self._name("end")][number : number + 3]
        following = self._name("following", number)
        self._label("sum", number)
        i = self._make(f"phi i64 [ 0, {before} ], [ {following}, {name} ]", "i", number)
        for run in loop:
            kind, own = run[0].kind, run[0].store
            access = reduce(in_common, (one.after for one in run))
            item = f"getelementptr {kind}, ptr"
            place = self._make(f"{item} {self._name('to', own)}, i64 {i}", "place", own)
            total = self._make(f"load {kind}, ptr {place}{access}", "old", own)
            for one in run:
                k = one.store
                value = self._make(f"{item} {self._name('from', k)}, i64 {i}", "at", k)
                value = self._make(f"load {kind}, ptr {value}", "value", k)
                total = self._make(f"{one.operation} {kind} {total}, {value}", "total", k)
            self._do(f"store {kind} {total}, ptr {place}{access}")
        self._make(f"add nuw nsw i64 {i}, 1", "following", number)
        turns = self._make(f"add nuw nsw i64 {self._name('n')}, {width(loop[0])}", "turns", number)
        ends = self._make(f"icmp eq i64 {following}, {turns}", "ends", number)
        self._do(f"br i1 {ends}, label {after}, label {name}")

    def _end(self) -> None:
        """On to the next strip, or out of the loop."""
        turn = self._turn
        ways = [f"label {self._name('out')}", f"label %{turn.name}"]
        ways = ways if turn.ends_if else ways[::-1]
        self._label("end")
        self._do(f"br i1 {self._copied(turn.condition, 'turn')}, {', '.join(ways)}")
        self._label("out")
        for value in self._taken:
            strips, plain = (self._copied(value, copy) for copy in ("turn", "plain"))
            ways = [f"[ {strips}, {self._name('end')} ]", f"[ {plain}, {self._name('plain')} ]"]
            self._do(f"{value} = phi {turn.type_of(value)} {', '.join(ways)}")
        self._do(f"br label %{turn.after}")
