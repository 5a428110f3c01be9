"""LLVM IR as text, read for the report: instructions, source lines, counts, short names."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numba

from ._diagnostics import readable
from ._ir_text import NAME, label_of, leads_to

_FUNCTION = re.compile(rf"^define [^\n]*?@({NAME})\(")
_INSTRUCTION = re.compile(rf"^  (?:%({NAME}) = )?(?:(?:tail|musttail|notail) )?([a-z]\w*)\b")
_CALLEE = re.compile(rf" @({NAME})\(")
_LOCATION = re.compile(
    r"^!(\d+) = (?:distinct )?!DILocation\(line: (\d+)[^\n]*?scope: !(\d+)(?:, inlinedAt: !(\d+))?",
    re.M,
)
_SCOPE = re.compile(r"^!(\d+) = (?:distinct )?!DI(?:Subprogram|LexicalBlock)\(([^\n]*)", re.M)
_FILE = re.compile(
    r"^!(\d+) = (?:distinct )?!DIFile\(filename: \"([^\"]*)\", directory: \"([^\"]*)\"", re.M
)
_NOT_THE_USERS = (Path(numba.__file__).parent, Path(__file__).parent)


@dataclass(frozen=True)
class Source:
    """A line of Python."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        place = f"{Path(self.file).name}:{self.line}"
        return f"{place} in {self.function}" if self.function else place


@dataclass(frozen=True)
class Instruction:
    """One instruction.

    Attributes
    ----------
    name : str
        Of its value, without ``%``; empty if there is none.
    opcode : str
    text : str
        The whole line.
    function, block : str
    """

    name: str
    opcode: str
    text: str
    function: str
    block: str

    @cached_property
    def operands(self) -> tuple[str, ...]:
        """The values that it takes, without ``%``."""
        right = self.text.split(" = ", 1)[-1] if self.name else self.text
        return tuple(v.strip('"') for v in re.findall(rf"(?<!label )%({NAME})", right))

    @property
    def targets(self) -> list[str]:
        """The blocks that may come next."""
        return [t.strip('"') for t in leads_to(self.text)]

    @property
    def callee(self) -> str:
        """The function that a call names, or nothing."""
        found = _CALLEE.search(self.text) if self.opcode in ("call", "invoke") else None
        return found[1].strip('"') if found else ""


class Module:
    """A module's text, and what is in it."""

    def __init__(self, ir: str) -> None:
        self.ir = ir

    @cached_property
    def instructions(self) -> tuple[Instruction, ...]:
        return tuple(_instructions(self.ir))

    @cached_property
    def functions(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(i.function for i in self.instructions))

    @cached_property
    def by_name(self) -> dict[tuple[str, str], Instruction]:
        """Instructions by function and name."""
        return {(i.function, i.name): i for i in self.instructions if i.name}

    @cached_property
    def users(self) -> dict[tuple[str, str], list[Instruction]]:
        """By function and name: the instructions that a value goes into."""
        found: dict[tuple[str, str], list[Instruction]] = {}
        for i in self.instructions:
            for value in dict.fromkeys(i.operands):
                found.setdefault((i.function, value), []).append(i)
        return found

    @cached_property
    def blocks(self) -> dict[tuple[str, str], list[Instruction]]:
        """The instructions of each block, by function and label."""
        found: dict[tuple[str, str], list[Instruction]] = {}
        for i in self.instructions:
            found.setdefault((i.function, i.block), []).append(i)
        return found

    @cached_property
    def blocks_in_loops(self) -> set[tuple[str, str]]:
        """Blocks that can be reached from themselves."""
        found = set()
        for function, start in self.blocks:
            todo, seen = list(self._after(function, start)), set()
            while todo:
                block = todo.pop()
                if block not in seen:
                    seen.add(block)
                    todo += self._after(function, block)
            if start in seen:
                found.add((function, start))
        return found

    def _after(self, function: str, block: str) -> list[str]:
        return self.blocks[function, block][-1].targets

    @cached_property
    def _lines(self) -> dict[str, tuple[int, str, str]]:
        return {m[1]: (int(m[2]), m[3], m[4] or "") for m in _LOCATION.finditer(self.ir)}

    @cached_property
    def _scopes(self) -> dict[str, str]:
        return {m[1]: m[2] for m in _SCOPE.finditer(self.ir)}

    @cached_property
    def _files(self) -> dict[str, str]:
        return {m[1]: str(Path(m[3], m[2])) for m in _FILE.finditer(self.ir)}

    def source(self, instruction: Instruction) -> Source | None:
        """The line of the user's that an instruction comes from, if that is known.

        Of the calls that lead to it, the innermost one that is in none of Numba's files.
        """
        attached = re.search(r"!dbg !(\d+)", instruction.text)
        at = attached[1] if attached else ""
        chain: list[Source] = []
        while at in self._lines:
            line, scope, at = self._lines[at]
            fields = self._scopes.get(scope, "")
            name = re.search(r'name: "([^"]*)"', fields)
            file = re.search(r"file: !(\d+)", fields)
            path = self._files.get(file[1], "") if file else ""
            if line:
                chain.append(Source(path, line, _short(name[1]) if name else ""))
        own = (s for s in chain if not any(Path(s.file).is_relative_to(p) for p in _NOT_THE_USERS))
        return next(own, chain[0] if chain else None)


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def _instructions(ir: str) -> Iterator[Instruction]:
    function = block = ""
    lines = iter(ir.splitlines())
    for line in lines:
        if function and (found := _INSTRUCTION.match(line)):
            if line.endswith("["):  # a switch
                line += "".join(iter(lambda: next(lines), "  ]"))
            yield Instruction((found[1] or "").strip('"'), found[2], line, function, block)
        elif found := _FUNCTION.match(line):
            function, block = found[1].strip('"'), ""
        elif function and (label := label_of(line)):
            block = label.strip('"')
        elif line == "}":
            function = ""


_FLOATING = {"fadd", "fsub", "fmul", "fdiv", "frem", "fneg", "fcmp", "fptrunc", "fpext"}
_FLOATING_CALL = re.compile(
    r"llvm\.(?:fma|fmuladd|sqrt|fabs|copysign|floor|ceil|trunc|rint|nearbyint|round|minnum|maxnum"
    r"|minimum|maximum|vector\.reduce\.f\w+)\."
)
_CONTROL = {"br", "switch", "ret", "unreachable", "invoke", "indirectbr", "phi", "select"}
_NO_CODE = re.compile(r"llvm\.(?:lifetime|assume|experimental\.noalias|dbg|invariant)\b")
_MEMORY_CALL = re.compile(r"llvm\.(?:mem\w+|masked\.\w+)\.")
_ALLOCATES = re.compile(r"arena_(?:allocate|zeros|resize)|malloc|calloc|realloc")
_VECTOR = re.compile(r"<(?:vscale x )?\d+ x ")


@dataclass(frozen=True)
class Counts:
    """How many instructions of each kind there are in some code; not how often they run.

    Attributes
    ----------
    floating_point, memory, calls, allocations, control, other : int
        Memory is loads, stores and copies; calls are of functions that stay functions, exp among
        them; control is branches, and what chooses between values.
    vectors : int
        How many of the first two kinds work on vectors.
    """

    floating_point: int
    memory: int
    calls: int
    allocations: int
    control: int
    other: int
    vectors: int

    @property
    def total(self) -> int:
        return sum(getattr(self, kind) for kind in KINDS)

    @property
    def vector_share(self) -> float:
        """Of floating-point and memory instructions, from 0 to 1."""
        return self.vectors / max(1, self.floating_point + self.memory)


KINDS = ("floating_point", "memory", "calls", "allocations", "control", "other")


def count(module: Module) -> Counts:
    """Count the instructions of a module."""
    kinds = [_kind(i) for i in module.instructions]
    vectors = sum(
        kind in ("floating_point", "memory") and bool(_VECTOR.search(i.text))
        for i, kind in zip(module.instructions, kinds, strict=True)
    )
    return Counts(*(kinds.count(kind) for kind in KINDS), vectors=vectors)


def _kind(instruction: Instruction) -> str | None:
    opcode, callee = instruction.opcode, instruction.callee
    if opcode in _FLOATING or _FLOATING_CALL.match(callee):
        return "floating_point"
    if opcode in ("load", "store", "atomicrmw", "cmpxchg") or _MEMORY_CALL.match(callee):
        return "memory"
    if _NO_CODE.match(callee):
        return None
    if _ALLOCATES.fullmatch(callee):
        return "allocations"
    if opcode == "call":
        integer = re.match(r"llvm\.(?:[su](?:max|min)|ct\w+|abs|bswap|fsh\w)\b", callee)
        return "other" if integer else "calls"
    return "control" if opcode in _CONTROL else "other"


def shortened(ir: str) -> str:
    """The module with readable names of functions: ``model.step`` for what Numba made of it."""
    short: dict[str, str] = {}
    taken: set[tuple[str, int]] = set()

    def replace(found: re.Match[str]) -> str:
        name = found[0]
        if name not in short:
            words = re.sub(r"_3[ce]", "", readable(name)) or name
            words = re.sub(r"^NumbaEnv\.", "env.", words)
            same = next(k for k in itertools.count(1) if (words, k) not in taken)
            taken.add((words, same))
            short[name] = words if same == 1 else f"{words}-{same}"
        return short[name]

    lines = []
    for line in ir.splitlines():
        before, mark, constant = line.partition(' c"')  # whose length is stated
        lines.append(re.sub(r"_ZN\w+", replace, before) + mark + constant)
    return "\n".join([*lines, ""])
