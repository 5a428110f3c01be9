"""Whether a function that raises may have written before, read off its optimised LLVM IR.

Many only check their arguments and then work. They are called again to raise, and find what they
were called with, although nobody kept a copy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ._ir_text import LOCAL, NAME, allocators, label_of, leads_to

_PHI = re.compile(rf"^  ({LOCAL}) = phi i32 (.*)$")
_INCOMING = re.compile(rf"\[ ([^,]+), %({NAME}) \]")
_SAME_PLACE = re.compile(rf"^  ({LOCAL}) = getelementptr [^%@]*ptr ({LOCAL})")
_MADE = re.compile(rf"^  ({LOCAL}) = (alloca |[^@]*\bcall [^@]*(@[\w.$-]+)\()")
_CALL = re.compile(r"\b(?:call|invoke)\b[^@]*(?:@([\w.$-]+)\(|%)")
# They write to nothing, or, like the last one, to variables of their caller.
_HARMLESS = re.compile(r"llvm\.(?!mem(?:cpy|move|set))|numba_attempt_nocopy_reshape$")


def raises_after_writing(module: str, body: str, status: str) -> bool:
    """Whether an exception can leave a function after it wrote to memory that it did not make.

    Parameters
    ----------
    module : str
        Optimised LLVM IR.
    body : str
        Of the function in it.
    status : str
        The pointer through which it stores 0, or what says that it raised.
    """
    blocks = _blocks(body)
    known = allocators(module)
    own = _own_memory(body, known)
    harmless = known | _readers(module)
    dirty = [
        name for name, lines in blocks.items()
        if any(_writes(line, status, own, harmless) for line in lines)
    ]  # fmt: skip
    reached: set[str] = set()
    while dirty:
        name = dirty.pop()
        if name not in reached:
            reached.add(name)
            dirty += leads_to("\n".join(blocks[name]))
    return any(name in reached for name in _raising(blocks, body, status))


def _blocks(body: str) -> dict[str, list[str]]:
    """Lines of each block, by its name. The first one always has a label."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in body.splitlines():
        if label := label_of(line):
            lines = found[label] = []
        else:
            lines.append(line)
    return found


def _readers(module: str) -> set[str]:
    """Functions that write to no memory."""
    groups = re.findall(r"^attributes (#\d+) = \{([^}]*)", module, re.M)
    reading = {group for group, text in groups if re.search(r"\bmemory\((?:none|read)\)", text)}
    heads = re.findall(r"^(?:declare|define) [^@\n]*@([\w.$-]+)\([^\n]* (#\d+)", module, re.M)
    return {name for name, group in heads if group in reading}


def _own_memory(body: str, known: set[str]) -> set[str]:
    """Pointers to variables on the stack and to new arrays."""
    own: set[str] = set()
    for line in body.splitlines():
        if (made := _MADE.match(line)) and (made[3] is None or made[3][1:] in known):
            own.add(made[1])
        elif (same := _SAME_PLACE.match(line)) and same[2] in own:
            own.add(same[1])
    return own


def _writes(line: str, status: str, own: set[str], harmless: set[str]) -> bool:
    """Whether an instruction may write to memory that the function did not make."""
    if line.startswith("  store "):
        place = re.findall(r"ptr (?:\w+\([^)]*\) )?([@%]\S+?)(?:,|$)", line)[-1:]
        return place not in ([status], *([p] for p in own))
    called = _CALL.search(line)
    if called is None:
        return "atomicrmw" in line or "cmpxchg" in line
    name = called[1] or ""
    if name.startswith("llvm.mem"):
        place = re.findall(LOCAL, line[called.end() :])[:1]
        return not set(place) <= own or not place
    return not (name in harmless or _HARMLESS.match(name))


def _raising(blocks: dict[str, list[str]], body: str, status: str) -> Iterator[str]:
    """Blocks that end with an exception, or of which it is not known that they do not."""
    stores = re.compile(rf"^  store i32 (\S+), ptr {re.escape(status)}(?:,|$)")
    phis = {found[1]: found[2] for line in body.splitlines() if (found := _PHI.match(line))}
    for name, lines in blocks.items():
        for line in lines:
            if stored := stores.match(line):
                yield from _sources(stored[1], name, phis, set())


def _sources(value: str, block: str, phis: dict[str, str], seen: set[str]) -> Iterator[str]:
    """The ends of blocks from which a status other than 0 comes."""
    if value in phis:
        if value not in seen:
            seen.add(value)
            for own, source in _INCOMING.findall(phis[value]):
                yield from _sources(own, source, phis, seen)
    elif value != "0":
        yield block
