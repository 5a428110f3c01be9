"""Integers that a reverse pass keeps, said to Enzyme before it derives that pass once more.

What they are loaded from is reached through other memory, and nothing there says that they are
integers: Enzyme takes them for numbers that may vary, and refuses what is computed from them.
"""

from __future__ import annotations

import re
from collections import defaultdict

from ._ir_text import LOCAL, MADE, with_functions
from ._loads import type_tags

_NAMES = re.compile(LOCAL)
_LOAD = re.compile(r"load (i64|i32|i16|i8|i1|ptr), ptr (?!.*!tbaa)")
# Numbers that vary have as many bits; pointers and smaller integers can be nothing else.
_MAY_BE_BITS = ("i64", "i32")
# What is made of an integer and is one, and what is done to integers alone. Bits of a number that
# varies may be moved, and masked, but are not counted with.
_CALL = r"(?:tail )?call [^@]*@llvm\.[us](?:max|min|(?:add|sub|mul)\.with\.overflow)\."
_ARITHMETIC = rf"(?:add|sub|mul|[us]div|[us]rem)\b|{_CALL}"
_PASSED_ON = re.compile(
    rf"(?:phi|select|freeze|zext|sext|trunc|and|or|xor|shl|lshr|ashr)\b|{_ARITHMETIC}"
)
_COUNTED_WITH = re.compile(rf"(?:icmp|switch|getelementptr|[us]itofp)\b|{_ARITHMETIC}")
_MADE_A_NUMBER = re.compile(r"bitcast|inttoptr")


def with_types_of_integers(ir: str) -> str:
    """The module with the types of pointers and integers that are loaded.

    An integer is one only if it is counted with, and nothing that is made of it becomes a number
    that may vary by its bits. What is only copied may be the bits of anything.

    Parameters
    ----------
    ir : str
        What Enzyme and LLVM have made: no array is a view of one of another type.
    """
    tags, nodes = type_tags(ir)
    return with_functions(ir, lambda function: _with_tags(function.text, tags)) + nodes


def _with_tags(function: str, tags: dict[str, str]) -> str:
    uses: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for line in function.splitlines():
        made = MADE.match(line)
        name, operation = made.groups() if made else ("", line.strip())
        for used in set(_NAMES.findall(operation)):
            uses[used].append((name, operation))

    def described(found: re.Match[str]) -> str:
        load = _LOAD.match(found[2])
        if load is None or (load[1] in _MAY_BE_BITS and not _is_integer(found[1], uses)):
            return found[0]
        return f"{found[0]}, {tags[load[1]]}"

    return MADE.sub(described, function)


def _is_integer(name: str, uses: defaultdict[str, list[tuple[str, str]]]) -> bool:
    counted, seen, waiting = False, {name}, [name]
    while waiting:
        for made, operation in uses[waiting.pop()]:
            if _MADE_A_NUMBER.match(operation):
                return False
            counted = counted or bool(_COUNTED_WITH.match(operation))
            if made and made not in seen and _PASSED_ON.match(operation):
                seen.add(made)
                waiting.append(made)
    return counted
