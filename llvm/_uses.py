"""Where the numbers of a function are used, and whether its derivative depends on them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping

from ._ir_text import LOCAL

_USED = re.compile(rf"(?<=[\[ (])({LOCAL})(?![\w.$-]| =)")
# Sums, and multiples.
_NUMERAL = r"-?(?:\d[\d.e+-]*|0x\w+)"
SUM = re.compile(
    rf"^  ({LOCAL}) = (?:(?:fadd|fsub|fneg|phi) "
    rf"|fmul [\w ]*(?:{LOCAL}, {_NUMERAL}|{_NUMERAL}, {LOCAL})$)"
)
_COPIED = re.compile(r"^  store (?:float|double) ")


class Uses:
    """Where each number of a function is used.

    Parameters
    ----------
    blocks : mapping
        The text of each block, by name.
    """

    def __init__(self, blocks: Mapping[str, str]) -> None:
        self._lines: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
        for block, text in blocks.items():
            for line in text.splitlines():
                for name in self.names(line):
                    self._lines[name].append((block, line))

    def blocks(self, name: str) -> set[str]:
        """The blocks that use a number."""
        return {block for block, _ in self._lines[name]}

    def is_needed(self, name: str, within: Collection[str] = ()) -> bool:
        """Whether derivatives depend on a number: not where it is only copied and added up.

        Parameters
        ----------
        name : str
        within : collection of str
            The blocks whose lines count; all of them, if there is none.
        """
        seen, waiting = set[str](), [name]
        while waiting:
            name = waiting.pop()
            for block, line in self._lines[name]:
                if within and block not in within:
                    continue
                if sums := SUM.match(line):
                    if sums[1] not in seen:
                        seen.add(sums[1])
                        waiting.append(sums[1])
                elif not _COPIED.match(line):
                    return True
        return False

    @staticmethod
    def names(text: str) -> set[str]:
        """What a text uses."""
        return set(_USED.findall(text))

    @staticmethod
    def renamed(text: str, names: Mapping[str, str]) -> str:
        """A text that uses one thing in place of another."""
        if not names:
            return text
        return _USED.sub(lambda used: names.get(used[1], used[1]), text)
