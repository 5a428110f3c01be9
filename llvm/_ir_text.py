"""LLVM's text, read: the functions of a module, their blocks, and what these lead to."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

NAME = r'(?:"[^"]*"|[\w.$-]+)'
"""A pattern for names, without the sign that stands in front of them."""
LOCAL = rf"%{NAME}"
"""A pattern for a value or a block of a function."""

MADE = re.compile(rf"^  ({LOCAL}) = (.*)", re.M)
"""A line that makes a value: its name, and the operation."""
PHI = re.compile(rf"^  {LOCAL} = phi ")
"""The beginning of a line that makes a value of one from each block that leads to its own."""
WAY = re.compile(rf"\[ (.*?), %({NAME}) \]")
"""One of these, and that block."""

_KIND = r"(i\d+|float|double|ptr)"
_TYPES = (
    re.compile(rf"(?:\w+to\w+|[sz]ext|fpext|f?p?trunc|bitcast) .* to {_KIND}$"),
    re.compile(rf"select .*?\bi1 [^,]+, {_KIND} "),
    re.compile(rf"(?:tail |notail )?[a-z]+ (?:[a-z]\w*(?:\([^)]*\))? )*?{_KIND}\b"),
)
"""Of a conversion, of a choice, and of all else, in front of which are words alone."""
_FUNCTION = re.compile(
    rf"^(?P<head>define [^\n]*?@(?P<name>{NAME})\([^\n]*\{{\n)(?P<body>.*?)^\}}", re.M | re.S
)
_LABEL = re.compile(rf"^({NAME}):")
_BLOCK = re.compile(rf"^(?={NAME}:)", re.M)
_LEADS_TO = re.compile(rf"\blabel %({NAME})")
_CALLED = re.compile(rf"\bcall [^\n@]*@({NAME})\(")
_NUMBER = re.compile(r"%\d+\b")
_NODE = re.compile(r"^!(\d+) = ", re.M)
_ALLOCATOR = re.compile(rf"^declare [^@\n]*\bnoalias\b[^@\n]*@({NAME})\(", re.M)


@dataclass(frozen=True)
class Function:
    """A definition, as it stands in the text of a module.

    Attributes
    ----------
    name : str
        With its quotes, where it has some.
    head : str
        The first line, with the end of that line.
    body : str
        What is between the braces.
    """

    name: str
    head: str
    body: str

    @property
    def text(self) -> str:
        return f"{self.head}{self.body}}}"

    @cached_property
    def parameters(self) -> list[str]:
        """What stands between the parentheses of the head: types, attributes, names."""
        between = bracketed(self.head[self.head.index(f"@{self.name}(") + len(self.name) + 1 :])
        return split(between[1:-1])

    @cached_property
    def blocks(self) -> dict[str, str]:
        """The text of each block, its label first, by its name; all have one here."""
        body = self.body
        if not _LABEL.match(body):
            # The first block has the number that follows those of the parameters.
            body = f"{len(_NUMBER.findall(self.head))}:\n{body}"
        parts = _BLOCK.split(body)[1:]
        return {label: part for part in parts if (label := label_of(part))}

    @property
    def called(self) -> set[str]:
        """The functions that it calls by name."""
        return set(_CALLED.findall(self.body))


def functions(ir: str) -> Iterator[Function]:
    """The functions that a module defines."""
    for found in _FUNCTION.finditer(ir):
        yield Function(found["name"], found["head"], found["body"])


def with_functions(ir: str, change: Callable[[Function], str]) -> str:
    """The module with what `change` makes of each function in its place."""
    return _FUNCTION.sub(lambda f: change(Function(f["name"], f["head"], f["body"])), ir)


def find_function(ir: str, name: str) -> Function:
    """The function of that name, which the module defines."""
    return next(function for function in functions(ir) if function.name == name)


def label_of(text: str) -> str:
    """The name of the block that begins with this line; nothing if none does."""
    found = _LABEL.match(text)
    return found[1] if found else ""


def leads_to(text: str) -> list[str]:
    """The blocks that branches in the text may go to, as often as they stand there."""
    return _LEADS_TO.findall(text)


def walk(successors: Mapping[str, Sequence[str]]) -> tuple[list[str], dict[str, list[str]]]:
    """Go through the blocks of a function, depth first, from the first one.

    Parameters
    ----------
    successors : mapping
        What each block leads to.

    Returns
    -------
    ended : list of str
        All that can be reached, each block after all that is first reached by way of it.
    ends : dict
        For each block that something leads back to, the head of a loop, what does.
    """
    ended: list[str] = []
    ends: defaultdict[str, list[str]] = defaultdict(list)
    first = next(iter(successors))
    on_the_way = {first: True}
    path = [(first, iter(successors[first]))]
    while path:
        name, rest = path[-1]
        for successor in rest:
            if on_the_way.get(successor):
                ends[successor].append(name)
            elif successor not in on_the_way:
                on_the_way[successor] = True
                path.append((successor, iter(successors[successor])))
                break
        else:
            on_the_way[name] = False
            ended.append(name)
            path.pop()
    return ended, dict(ends)


@dataclass(frozen=True)
class Loop:
    """A natural loop: all its blocks are reached by way of its head."""

    head: str
    blocks: frozenset[str]


def loops(successors: Mapping[str, Sequence[str]]) -> Iterator[Loop]:
    """The loops of a function, those with the same head as one.

    Parameters
    ----------
    successors : mapping
        What each block leads to.
    """
    predecessors: defaultdict[str, list[str]] = defaultdict(list)
    for name, found in successors.items():
        for successor in found:
            predecessors[successor].append(name)
    for head, ends in walk(successors)[1].items():
        blocks, waiting = {head}, list(ends)
        while waiting:
            block = waiting.pop()
            if block not in blocks:
                blocks.add(block)
                waiting += predecessors[block]
        if all(blocks.issuperset(predecessors[block]) for block in blocks - {head}):
            yield Loop(head, frozenset(blocks))


def type_made(operation: str) -> str:
    """The type of the number or pointer that an operation makes; nothing for what has parts."""
    if operation.startswith(("icmp ", "fcmp ", "getelementptr ")):
        if "<" in operation:
            return ""
        return "ptr" if operation.startswith("getelementptr ") else "i1"
    operation = re.sub(r", (?:align|!).*", "", operation)
    return next((found[1] for pattern in _TYPES if (found := pattern.match(operation))), "")


def allocators(ir: str) -> set[str]:
    """The functions declared to return memory that nothing else leads to."""
    return set(_ALLOCATOR.findall(ir))


def next_node(ir: str) -> int:
    """The first number that no metadata of the module has."""
    return 1 + max(map(int, _NODE.findall(ir)), default=-1)


def bracketed(text: str) -> str:
    """What a text begins with, up to the bracket that closes its first one."""
    depth = 0
    for position, character in enumerate(text):
        depth += (character in "([{<") - (character in ")]}>")
        if depth == 0:
            return text[: position + 1]
    return text


def split(text: str) -> list[str]:
    """Its items, which have commas between them that are not inside of brackets."""
    found, depth, start = [], 0, 0
    for position, character in enumerate(text):
        depth += (character in "([{<") - (character in ")]}>")
        if character == "," and depth == 0:
            found.append(text[start:position].strip())
            start = position + 1
    last = text[start:].strip()
    return [*found, last] if last else found
