"""Whether some pointer of a program may lead to one object or to another, read off its LLVM IR."""

from __future__ import annotations

import re

from ._ir_text import LOCAL, NAME, allocators, bracketed, functions

_NAME = rf"[%@]{NAME}"
_DEFINITION = re.compile(rf"^  ({LOCAL}) = (.*)$")
_STORE = re.compile(rf"^  store ptr (\S+), ptr ({_NAME})")
_POINTER = re.compile(rf"\bptr (?:\w+(?:\([^)]*\))? )*({_NAME})")
_GEP = re.compile(r"^getelementptr [^%@]*")
_PHI = re.compile(rf"\[ ({_NAME}|null|undef|poison|[^,\]]*), ")
_NOTHING = ("null", "undef", "poison", "zeroinitializer")
# Calls that keep nothing of the pointers they get, and put no pointer anywhere.
_HARMLESS = re.compile(r"@(?:llvm\.(?:lifetime|memset|assume|dbg)|numba_attempt_nocopy_reshape)")
# Shapes and indices: no derivative passes through them.
_INTEGERS = re.compile(r"alloca (?:\[\d+ x )?i64\b")
_CHOICE = re.compile(r"(?:phi|load) ptr|select i1 [^,]+, ptr|inttoptr|extractelement .*\bptr\b")
_RETURNED = re.compile(r"extractvalue [^%]*\bptr\b")
# Allocated: `objects` follows pointers to these, and to calls that it knows to allocate.
_MADE_HERE = ("alloca", "call", "tail call")
_AGGREGATE = re.compile(r"^(?:phi|load|select i1 [^,]+,) (?=[\[{<])")


def mixes_pointers(text: str, apart: str = "") -> bool:
    """Whether a pointer in the module may lead to more than one argument, global or allocation.

    Parameters
    ----------
    text : str
        Optimised LLVM IR. Where it cannot be told, the answer is True.
    apart : str
        Beginning of the names of functions that do not count.
    """
    known = allocators(text)
    return any(
        _Pointers(function.body, known).mixes()
        for function in functions(text)
        if not (apart and function.name.startswith(apart))
    )


def chooses_pointers(text: str) -> bool:
    """Whether a pointer in the module is chosen or read, and may lead to what is not made there.

    Enzyme keeps the shadow of such a pointer from its forward pass for its reverse pass.

    Parameters
    ----------
    text : str
        Optimised LLVM IR. Where it cannot be told, the answer is True.
    """
    known = allocators(text)
    return any(_Pointers(function.body, known).chooses() for function in functions(text))


class _Pointers:
    """The definitions of one function, by name."""

    def __init__(self, text: str, allocators: set[str]) -> None:
        self.allocators = {f"@{name}" for name in allocators}
        self.made: dict[str, str] = {}
        self.stored: list[tuple[str, str]] = []
        self.loading: set[str] = set()
        self.escaped: set[str] = set()
        for line in text.splitlines():
            if found := _DEFINITION.match(line):
                self.made[found[1]] = found[2]
            elif found := _STORE.match(line):
                self.stored.append((found[1], found[2]))
            called = re.search(rf"\b(?:call|invoke)\b.*?({_NAME})\((.*)", line)
            if called and not _HARMLESS.match(called[1]):
                self.escaped |= set(_POINTER.findall(called[2]))

    def mixes(self) -> bool:
        return self._holds_pointers() or any(
            len(self.objects(name, set())) > 1
            for name, operation in self.made.items()
            if _CHOICE.match(operation)
        )

    def chooses(self) -> bool:
        return self._holds_pointers() or any(
            not self.made.get(found, "").startswith(_MADE_HERE)
            for name, operation in self.made.items()
            if _CHOICE.match(operation) or _RETURNED.match(operation)
            for found in self.objects(name, set())
        )

    def _holds_pointers(self) -> bool:
        """Whether an aggregate or a vector that is chosen or read has pointers in its type."""
        found = [(op, match.end()) for op in self.made.values() if (match := _AGGREGATE.match(op))]
        return any(re.search(r"\bptr\b", bracketed(op[end:])) for op, end in found)

    def objects(self, name: str, seen: set[str]) -> set[str]:
        """What a pointer may lead to. Two entries where it could be anything."""
        # Pickled exceptions are chosen between wherever two things can be wrong.
        if name in seen or name in _NOTHING or name.startswith("@.const.picklebuf"):
            return set()
        seen.add(name)
        operation = self.made.get(name)
        if operation is None:  # a parameter, a global, a constant expression
            return {name}
        if operation.startswith("getelementptr"):
            base = _POINTER.search(operation)
            return self.objects(base[1], seen) if base else {name, "anything"}
        if operation.startswith("phi ptr"):
            return self._all(_PHI.findall(operation), seen)
        if operation.startswith("select"):
            return self._all(re.findall(r", ptr ([^\s,]+)", operation), seen)
        if operation.startswith("load ptr"):
            return self._loaded(operation, seen)
        if operation.startswith(("freeze ptr", "bitcast ptr", "addrspacecast ptr")):
            return self.objects(operation.split()[2].rstrip(","), seen)
        called = re.match(rf"(?:\w+ )?call [^@]*?({_NAME})\(", operation)
        if _INTEGERS.match(operation):
            return set()
        if operation.startswith("alloca") or (called and called[1] in self.allocators):
            return {name}
        return {name, "anything"}

    def _all(self, names: list[str], seen: set[str]) -> set[str]:
        return set().union(*(self.objects(name, seen) for name in names))

    def _loaded(self, operation: str, seen: set[str]) -> set[str]:
        """What was stored in the local variable that a pointer is loaded from."""
        if operation in self.loading:
            return set()
        self.loading.add(operation)
        try:
            places = self.objects(_POINTER.findall(operation)[-1], set())
            place = next(iter(places), "")
            local = len(places) == 1 and self.made.get(place, "").startswith("alloca")
            if not local or any(place in self.objects(name, set()) for name in self.escaped):
                return {operation, "anything"}
            stored = [v for v, into in self.stored if place in self.objects(into, set())]
            return self._all(stored, seen)
        finally:
            self.loading.discard(operation)
