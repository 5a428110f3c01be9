"""Sizes as they depend on arguments: ``8 × x.shape[0] × n`` bytes, read off LLVM's arithmetic."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ._report_ir import Instruction, Module

_OPERATIONS: dict[str, Callable[..., int]] = {
    "max": max,
    "min": min,
    "//": lambda a, b: a // b,
    "one of": max,
}
UNKNOWN = "?"


@dataclass(frozen=True)
class Operation:
    """What is no sum and no product. "one of" several: which, is known at run time only."""

    name: str
    operands: tuple[Size, ...]

    def __str__(self) -> str:
        if self.name == "//":
            return "({} // {})".format(*self.operands)
        return f"{self.name}({', '.join(map(str, self.operands))})"


@dataclass(frozen=True)
class Size:
    """A sum of products of names.

    Attributes
    ----------
    terms : tuple of (tuple of (str or Operation), int)
        Factors and the number in front. The name "?" stands for what is known at run time only.
    """

    terms: tuple[tuple[tuple[Any, ...], int], ...]

    @property
    def constant(self) -> int | None:
        """The size, if it is the same in every call."""
        return None if "one of" in str(self) else self.at({})

    def at(self, values: Mapping[str, int]) -> int | None:
        """The size for values of the names in it; None if one is missing.

        Where it is one of several, the largest: an upper bound.
        """
        total = 0
        for factors, number in self.terms:
            for factor in factors:
                if isinstance(factor, Operation):
                    operands = [operand.at(values) for operand in factor.operands]
                    if None in operands:
                        return None
                    number *= _OPERATIONS[factor.name](*operands)
                elif factor in values:
                    number *= values[factor]
                else:
                    return None
            total += number
        return total

    def __str__(self) -> str:
        if not self.terms:
            return "0"
        shown = []
        for factors, number in self.terms:
            words = [str(f) for f in factors]
            if abs(number) != 1 or not words:
                words.insert(0, str(abs(number)))
            shown.append(("- " if number < 0 else "+ ") + " × ".join(words))
        return " ".join(shown).removeprefix("+ ")

    def __add__(self, other: Size) -> Size:
        return _size([*self.terms, *other.terms])

    def __mul__(self, other: Size) -> Size:
        return _size(
            (tuple(sorted((*f, *g), key=str)), a * b) for f, a in self.terms for g, b in other.terms
        )


def number(value: int) -> Size:
    """A size that is the same in every call."""
    return _size([((), value)])


def name(word: str | Operation) -> Size:
    """The size that a name stands for."""
    return _size([((word,), 1)])


def _size(terms: Any) -> Size:
    collected: dict[tuple[Any, ...], int] = {}
    for factors, value in terms:
        collected[factors] = collected.get(factors, 0) + value
    kept = ((f, v) for f, v in collected.items() if v)
    return Size(tuple(sorted(kept, key=lambda term: (-len(term[0]), str(term[0])))))


_OPERAND = r"(%(?:[-\w.$]+|\"[^\"]*\")|-?\d+)"
_BINARY = re.compile(rf"= \w+ (?:nuw |nsw |exact |disjoint )*i\d+ {_OPERAND}, {_OPERAND}")
_EXTREME = re.compile(rf"@llvm\.[su](max|min)\.i\d+\(i\d+ {_OPERAND}, i\d+ {_OPERAND}\)")
_INCOMING = re.compile(r"\[ ([^,]+), %")
_SELECT = re.compile(r"= select i1 [^,]+, i\d+ ([^,]+), i\d+ ([^,\s]+)")
_CAST = re.compile(rf"= \w+ (?:nneg |nuw |nsw )*i\d+ {_OPERAND}")


def size_of(module: Module, operand: str, function: str, names: Mapping[str, str]) -> Size:
    """What an integer operand stands for.

    Parameters
    ----------
    module : Module
    operand : str
        Such as ``%mallocsize`` or ``8``.
    function : str
        Where it stands.
    names : mapping
        What the parameters of ``@derivative`` are called.
    """
    return _Sizes(module, function, names).of(operand, frozenset())


class _Sizes:
    def __init__(self, module: Module, function: str, names: Mapping[str, str]) -> None:
        self.module, self.function = module, function
        self.names = names if function == "derivative" else {}
        self.steps = 0

    def of(self, operand: str, inside: frozenset[str]) -> Size:
        """As `size_of`, on the way to what depends on the values `inside`."""
        if not operand.startswith("%"):
            return number(int(operand)) if operand.lstrip("-").isdigit() else name(UNKNOWN)
        word = operand[1:].strip('"')
        made_by = self.module.by_name.get((self.function, word))
        if made_by is None:
            return name(self.names.get(word, UNKNOWN))
        self.steps += 1
        if word in inside or self.steps > 1000:  # a loop, or much of a program
            return name(UNKNOWN)
        return self._made_by(made_by, inside | {word})

    def _made_by(self, made_by: Instruction, inside: frozenset[str]) -> Size:
        text, opcode = made_by.text, made_by.opcode
        if found := _EXTREME.search(text):
            operands = self._sorted([found[2], found[3]], inside)
            return operands[0] if len(operands) == 1 else name(Operation(found[1], operands))
        if opcode == "phi":
            return self._one_of(_INCOMING.findall(text), inside)
        if opcode == "select" and (found := _SELECT.search(text)):
            return self._one_of([found[1], found[2]], inside)
        if opcode in ("zext", "sext", "trunc", "freeze") and (found := _CAST.search(text)):
            return self.of(found[1], inside)
        found = _BINARY.search(text)
        if found is None:
            return name(UNKNOWN)
        left, right = (self.of(operand, inside) for operand in found.groups())
        shift = right.constant
        match opcode:
            case "add":
                return left + right
            case "or" if "disjoint" in text:
                return left + right
            case "sub":
                return left + number(-1) * right
            case "mul":
                return left * right
            case "shl" if shift is not None:
                return left * number(1 << shift)
            case "lshr" | "ashr" if shift is not None:
                return name(Operation("//", (left, number(1 << shift))))
            case "udiv" | "sdiv":
                return name(Operation("//", (left, right)))
            case "and" if shift is not None and shift < 0 and -shift & (-shift - 1) == 0:
                return name(Operation("//", (left, number(-shift)))) * number(-shift)
        return name(UNKNOWN)

    def _sorted(self, operands: Iterable[str], inside: frozenset[str]) -> tuple[Size, ...]:
        return tuple(sorted({self.of(operand, inside) for operand in operands}, key=str))

    def _one_of(self, operands: Iterable[str], inside: frozenset[str]) -> Size:
        """One of some operands, and of what these are one of."""
        found: set[Size] = set()
        for size in self._sorted((o for o in operands if o not in ("undef", "poison")), inside):
            inner: Any = size.terms[0][0] if len(size.terms) == 1 and size.terms[0][1] == 1 else ()
            nested = (
                len(inner) == 1 and isinstance(inner[0], Operation) and inner[0].name == "one of"
            )
            found |= set(inner[0].operands) if nested else {size}
        if not found or any(UNKNOWN in str(size) for size in found):
            return name(UNKNOWN)
        sizes = tuple(sorted(found, key=str))
        return sizes[0] if len(sizes) == 1 else name(Operation("one of", sizes))
