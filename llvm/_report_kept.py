"""What a derivative keeps in memory for its reverse pass: how much, which values, why."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ._report_ir import Instruction, Module, Source
from ._report_sizes import UNKNOWN, Size, name, number, size_of


@dataclass(frozen=True)
class Remark:
    """What Enzyme said of its work, and of which line."""

    place: str
    text: str


@dataclass(frozen=True)
class Kept:
    """One block of memory that lives from the forward pass to the reverse pass.

    Attributes
    ----------
    kind : {"tape", "pointers", "trip count", "temporary", "shadow"}
        A value that the reverse pass needs; where such blocks are that a loop makes; how often a
        loop ran; an array that the function itself makes; the derivative of one.
    what : str
        The value, in words.
    size : Size
        Bytes for one call, or one pass where `per` says so.
    per : str
        Empty, or what the size is for: the iteration of a loop whose end is not known beforehand,
        or every pass through a line inside a loop.
    why : str
    source : Source or None
        The line that the value comes from.
    """

    kind: str
    what: str
    size: Size
    per: str
    why: str
    source: Source | None

    @property
    def bytes(self) -> int | None:
        """Bytes for each call, if they are always the same."""
        return None if self.per else self.size.constant

    def __str__(self) -> str:
        unit = "byte" if str(self.size) == "1" else "bytes"
        amount = f"{self.size} {unit}{f' per {self.per}' if self.per else ''}"
        place = f", {self.source}" if self.source else ""
        return f"{self.kind}: {self.what}{place}: {amount}; {self.why}"


_REMARK = re.compile(r"^remark: (\S+?):(\d+):\d+: (.*)$", re.M)
_VALUE = r"(%(?:[-\w.$]+|\"[^\"]*\"))"
_CACHING = re.compile(rf"Caching instruction +{_VALUE} = .*legalRecompute: (\d)")
_OVERWRITTEN = re.compile(
    rf"Load (?:may need caching|must be recomputed) +{_VALUE} = .*? due to +(.*)"
)
_KINDS = ("tape", "pointers", "trip count", "temporary", "shadow")
_ALLOCATORS = ("malloc", "calloc", "realloc")


def remarks_of(said: str) -> tuple[Remark, ...]:
    """Enzyme's remarks, each once."""
    found = []
    for file, line, text in _REMARK.findall(said):
        known = file != "<unknown>" and line != "0"
        found.append(Remark(f"{file}:{line}" if known else "", " ".join(text.split())))
    return tuple(dict.fromkeys(found))


def kept_values(
    module: Module, remarks: Sequence[Remark], names: Mapping[str, str], variables: set[str]
) -> tuple[Kept, ...]:
    """All that the module after Enzyme allocates.

    Parameters
    ----------
    module : Module
        With source lines, or without.
    remarks : sequence of Remark
    names : mapping
        What the parameters of ``@derivative`` are called.
    variables : set of str
        Names of Python variables, to tell them from LLVM's own.
    """
    reader = _Reader(module, remarks, names, variables)
    calls = [i for i in module.instructions if i.callee in _ALLOCATORS]
    found = [reader.kept(i) for i in calls if not _backward(i)]
    return tuple(sorted(found, key=lambda kept: _KINDS.index(kept.kind)))


class _Reader:
    """Reads the module after Enzyme together with what Enzyme said."""

    def __init__(
        self,
        module: Module,
        remarks: Sequence[Remark],
        names: Mapping[str, str],
        variables: set[str],
    ) -> None:
        self.module, self.names, self.variables = module, names, variables
        self.legal: dict[str, bool] = {}
        self.overwritten: dict[str, str] = {}
        for remark in remarks:
            if found := _CACHING.search(remark.text):
                self.legal[_bare(found[1])] = found[2] == "1"
            elif found := _OVERWRITTEN.search(remark.text):
                self.overwritten.setdefault(_bare(found[1]), found[2])

    def kept(self, made: Instruction) -> Kept:
        if made.callee == "realloc":
            return self._tape(made, "")
        per = ""
        if (made.function, made.block) in self.module.blocks_in_loops:
            per = f"pass through {self.module.source(made) or 'a line in a loop'}"
        if any(mark in made.text for mark in ("malloccache", "enzyme_cache", "%mallocsize")):
            return self._tape(made, per)
        size = number(1)
        for operand in _integers(made):
            size = size * self._size(operand, made)
        source = self.module.source(made)
        # LLVM makes a calloc of what is allocated and cleared: a shadow by Enzyme, or an array by
        # the function. Only the reverse pass uses a shadow.
        cleared = re.fullmatch(r"calloc\d*", made.name)
        if "'mi" in made.name or (cleared and not self._used_forwards(made)):
            return Kept("shadow", f"the derivative of {_OWN}", size, per, _SHADOW, source)
        return Kept("temporary", _OWN, size, per, _TEMPORARY, source)

    def _tape(self, made: Instruction, per: str) -> Kept:
        places = self._places(made)
        value = self._stored(places, made.function)
        key = re.split(r"_(?:malloc)?cache", made.name)[0]
        counts = key.startswith("loopLimit")
        if key not in self.legal and value is not None:
            key = re.sub(r"\.i\d*$", "", value.name)
        source = value and self.module.source(value)
        source = source or self.module.source(made) or self._nearby(made)
        if made.callee == "realloc":
            size = self._each(places, made.function)
            loop = self._nearby(made) or source
            per = f"iteration of the loop around {loop}" if loop else "iteration of a loop"
        else:
            size = self._size(_integers(made)[-1], made)
        if counts:
            return Kept("trip count", "how often an inner loop ran", size, per, _TRIPS, source)
        what = self._what(key, value, self._each(places, made.function).constant)
        if any(" phi ptr " in v.text or v.callee in _ALLOCATORS for v in [value] if v):
            return Kept("pointers", f"where {what} is", size, per, _POINTERS, source)
        return Kept("tape", what, size, per, self._why(key, value), source)

    def _places(self, made: Instruction) -> set[str]:
        """Names of the pointers into a block that the forward pass computes."""
        places, todo = {made.name}, [made.name]
        while todo:
            for user in self.module.users.get((made.function, todo.pop()), ()):
                steps = user.opcode == "getelementptr" and user.operands[0] in places
                again = user.opcode == "phi" and " phi ptr " in user.text
                if (steps or again) and user.name not in places | {""} and not _backward(user):
                    places.add(user.name)
                    todo.append(user.name)
        return places

    def _used_forwards(self, made: Instruction) -> bool:
        """Whether the forward pass reads or writes a block."""
        return any(
            user.opcode in ("load", "store") and not _backward(user)
            for place in self._places(made)
            for user in self.module.users.get((made.function, place), ())
        )

    def _stored(self, places: set[str], function: str) -> Instruction | None:
        """What is stored through such a pointer."""
        for place in sorted(places):
            for user in self.module.users.get((function, place), ()):
                if user.opcode == "store" and user.operands[1:] and user.operands[1] == place:
                    return self.module.by_name.get((function, user.operands[0]))
        return None

    def _each(self, places: set[str], function: str) -> Size:
        for place in sorted(places):
            made = self.module.by_name[function, place].text
            if kind := re.search(r"= getelementptr (?:inbounds |nuw |nusw )*([^,]+),", made):
                width = _width(kind[1])
                if width:
                    return number(width)
        return name(UNKNOWN)

    def _size(self, operand: str, made: Instruction) -> Size:
        return size_of(self.module, operand, made.function, self.names)

    def _nearby(self, made: Instruction) -> Source | None:
        """The first line known in the blocks that come next, or in its own."""
        own = self.module.blocks[made.function, made.block]
        for block in (*own[-1].targets, made.block):
            for i in self.module.blocks[made.function, block]:
                if source := self.module.source(i):
                    return source
        return None

    def _what(self, key: str, value: Instruction | None, each: int | None) -> str:
        variable = key.split(".")[0]
        if variable in self.variables:
            return f"`{variable}`"
        if value is None:
            return "which way a branch went" if each == 1 else "a value"
        if value.callee in _ALLOCATORS:
            return _OWN
        if value.opcode == "load":
            return self._element(value)
        if value.callee:
            return f"the result of `{value.callee.removeprefix('llvm.').split('.')[0]}`"
        if value.opcode in ("icmp", "fcmp"):
            return "which way a branch went"
        if value.opcode == "phi":
            return "a number that a loop or a branch sets"
        return f"the result of `{value.opcode}`"

    def _element(self, load: Instruction) -> str:
        """The array that a number is read from."""
        at = load.operands[0] if load.operands else ""
        while step := self.module.by_name.get((load.function, at)):
            if step.opcode != "getelementptr" or not step.operands:
                made = step.callee in _ALLOCATORS
                return f"an element of {_OWN}" if made else "an element"
            at = step.operands[0]
        array = self.names.get(at, "") if load.function == "derivative" else ""
        return f"an element of `{array}`" if array else "an element"

    def _why(self, key: str, value: Instruction | None) -> str:
        if key in self.overwritten:
            return f"it is overwritten{self._by(self.overwritten[key])}"
        if value is not None and value.opcode == "phi":
            return "each iteration replaces it"
        if self.legal.get(key):
            return "it could be computed again, which Enzyme takes for dearer"
        return "the reverse pass cannot compute it again"

    def _by(self, writer: str) -> str:
        """Where a store is that Enzyme names: by the value that it stores."""
        stored = re.match(rf"store \S+ {_VALUE}, ptr", writer)
        if stored is None:
            called = re.search(r"call .*@([\w.$]+)\(", writer)
            return f" by a call of `{called[1]}`" if called else ""
        wanted = re.compile(rf"{re.escape(_bare(stored[1]))}(?:\.i\d*)?")
        for i in self.module.instructions:
            if i.opcode == "store" and i.operands and wanted.fullmatch(i.operands[0]):
                source = self.module.source(i)
                return f" at {source}" if source else ""
        return ""


_OWN = "an array that the function makes"
_SHADOW = "the reverse pass adds to it"
_TEMPORARY = "it lives until the call ends"
_POINTERS = "an inner loop fills a block in each iteration"
_TRIPS = "the reverse pass has to run the loop as often"


def _bare(value: str) -> str:
    return value.lstrip("%").strip('"')


def _integers(call: Instruction) -> list[str]:
    """The sizes that an allocation is given."""
    found = re.findall(rf"i64 (?:noundef )?({_VALUE}|-?\d+)", call.text)
    return [operand[0] for operand in found]


def _backward(instruction: Instruction) -> bool:
    return re.match(r"(?:inc)?invert", instruction.block) is not None


def _width(kind: str) -> int | None:
    """Bytes of an LLVM type."""
    kind = kind.strip()
    if found := re.fullmatch(r"[\[<](\d+) x (.+)[\]>]", kind):
        inner = _width(found[2])
        return int(found[1]) * inner if inner else None
    if found := re.fullmatch(r"i(\d+)", kind):
        return max(1, int(found[1]) // 8)
    return {"double": 8, "float": 4, "ptr": 8}.get(kind)


def merged(kept: Sequence[Kept]) -> tuple[Kept, ...]:
    """Alike ones as one, with the sum of their sizes."""
    found: dict[Kept, Size] = {}
    for item in kept:
        alike = replace(item, size=number(0))
        found[alike] = found.get(alike, number(0)) + item.size
    return tuple(replace(item, size=size) for item, size in found.items())
