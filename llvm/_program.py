"""From a function and a question to a program: known, from disk, or made by the stages now."""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any

from numba.core import compiler_lock

from enzyme_rules import generation

from . import _cache
from ._abi import Leaf, leaves
from ._arguments import NO_TYPE, kind_of, require_varying, types_of
from ._compile import ObjectCode, assemble, load
from ._device_code import DeviceCode
from ._entry import ERRORS
from ._enzyme import find_enzyme
from ._errors import EnzymeNotFoundError
from ._fingerprint import ANY_ENZYME, fingerprint
from ._flat import items
from ._garbage import seldom_collected
from ._lower import COUNT_ERROR
from ._marshal import Frame
from ._options import DEFAULT, Options
from ._request import Mode, Question, Threads
from ._separate import with_parts
from ._stages import derive, run_stages


@dataclass(frozen=True)
class Program:
    """A compiled derivative, and what its caller must know.

    Attributes
    ----------
    question : Question
    leaves : tuple of Leaf
    varying : tuple of bool
        One for each leaf: whether it has a shadow. Arrays that the function may write have one even
        where their argument does not vary: derivatives pass through them.
    writes : tuple of bool
        One for each leaf: whether the function may write it.
    returned_bits : int
        32 or 64 for a function that returns a number, 0 for one that does not.
    may_raise, raises_after_writing : bool
    rules_may_fail : bool
        Whether something is left in the code by which a rule can fail.
    width : int
        How many tangents, or cotangents, at once: one where a rule is on the way, of which Enzyme
        has no vector mode.
    loaded : Loaded or DeviceCode
    """

    question: Question
    leaves: tuple[Leaf, ...]
    varying: tuple[bool, ...]
    writes: tuple[bool, ...]
    returned_bits: int
    may_raise: bool
    raises_after_writing: bool
    rules_may_fail: bool
    width: int
    loaded: Any = field(repr=False)
    spaces: tuple[deque[Any], deque[Any]] = field(
        default_factory=lambda: (deque(maxlen=4), deque(maxlen=4)), repr=False, compare=False
    )
    """Each `Workspace` that a call has left to later ones: without hidden shadows, and with."""

    @property
    def returns_value(self) -> bool:
        return self.returned_bits > 0

    @property
    def address(self) -> int:
        """Of ``i64 entry(ptr slots)``, for compiled code."""
        return self.loaded.address

    @cached_property
    def frame(self) -> Frame:
        """Where everything goes in a call."""
        flat = items(self.question.argument_types, self.varying, self.writes)
        return Frame(flat, self.returned_bits, self.question.mode.shadows * self.width)

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """Where the items of each argument begin among all items, and where the last ones end."""
        counts = [len(items([ty])) for ty in self.question.argument_types]
        return tuple(accumulate(counts, initial=0))

    @cached_property
    def written_arguments(self) -> tuple[int, ...]:
        """Positions of the arguments with floating-point arrays that the function may write."""
        flat = self.frame.items
        own = [flat[a:b] for a, b in pairwise(self.starts)]
        return tuple(
            i for i, group in enumerate(own) if any(x.written and x.can_vary for x in group)
        )

    @cached_property
    def hidden(self) -> tuple[int, ...]:
        """Items of arguments that do not vary, whose arrays have shadows all the same."""
        flat, varying = self.frame.items, self.question.varying
        return tuple(
            k
            for varies, (a, b) in zip(varying, pairwise(self.starts), strict=True)
            for k in range(a, b)
            if not varies and flat[k].varies and flat[k].kind == "array"
        )

    @cached_property
    def writes_varying(self) -> bool:
        """Whether the function may write an argument that varies."""
        varying = self.question.varying
        return any(varying[i] for i in self.written_arguments)


_programs: weakref.WeakKeyDictionary[Any, dict[Any, Program]] = weakref.WeakKeyDictionary()
_by_kind: weakref.WeakKeyDictionary[Any, dict[Any, Program]] = weakref.WeakKeyDictionary()
_lock = threading.RLock()


def program_for(
    call: str,
    function: Any,
    mode: Mode,
    arguments: Sequence[Any],
    varying: tuple[bool, ...],
    *,
    skip_primal: bool = False,
    width: int = 1,
    options: Options = DEFAULT,
    threads: Threads = Threads.ONE,
    architecture: str = "",
) -> Program:
    """The compiled derivative for a call with these arguments, their types checked.

    Raises
    ------
    TypeError
        An argument has no place in a derivative, or is to vary and cannot.
    """
    # Numba's types are slow to find and to hash; where it has no type at all, `types_of` says so.
    try:
        how = mode, varying, skip_primal, width, options, threads, architecture
        key = generation(), how, *map(kind_of, arguments)
        known = _by_kind.get(function, {}).get(key)
        if known is not None:
            return known
    except NO_TYPE:
        key = None
    argument_types = types_of(call, function, arguments)
    require_varying(call, function, varying, argument_types)
    question = Question(
        mode, argument_types, varying, skip_primal, width, options, threads, architecture
    )
    program = find_program(function, question)
    if key is not None:
        with _lock:
            _by_kind.setdefault(function, {})[key] = program
    return program


def find_program(function: Any, question: Question) -> Program:
    """The compiled derivative: from this process, from disk, or made now."""
    # One at a time: two threads that ask for the same derivative should get the same one. Numba's
    # lock comes first, since code that it compiles may ask for a derivative.
    with compiler_lock.global_compiler_lock, _lock:
        table = _programs.setdefault(function, {})
        # A rule that was registered since may be for something that the function calls.
        known = table.get((generation(), question))
        if known is None:
            known = _make(function, question)
            table[generation(), question] = known  # compiling may have brought rules of our own
        return known


_FACTS = {
    *(
        "varying",
        "writes",
        "may_raise",
        "raises_after_writing",
        "returned_bits",
        "undefined",
        "rules_may_fail",
        "width",
        "sizes",
    ),
}


def _make(function: Any, question: Question) -> Program:
    name = function.py_func.__qualname__
    keys = _keys(function, question)
    kept = next(filter(None, map(_cache.read, keys)), None)
    if kept is None or kept.facts.keys() != _FACTS:
        with seldom_collected():
            kept = _entry(function, question)
        for key in keys:
            _cache.write(key, kept)
    facts = kept.facts
    if question.architecture:
        loaded: Any = DeviceCode(kept.code.decode(), name)
    else:
        ends = list(accumulate(facts["sizes"], initial=0))
        code, *parts = (kept.code[a:b] for a, b in pairwise(ends))
        loaded = load(ObjectCode(code, tuple(facts["undefined"]), tuple(parts)), function=name)
    return Program(
        question=question,
        leaves=tuple(leaf for ty in question.argument_types for leaf in leaves(ty)),
        varying=tuple(facts["varying"]),
        writes=tuple(facts["writes"]),
        returned_bits=facts["returned_bits"],
        may_raise=facts["may_raise"],
        raises_after_writing=facts["raises_after_writing"],
        rules_may_fail=facts["rules_may_fail"],
        width=facts["width"],
        loaded=loaded,
    )


def _keys(function: Any, question: Question) -> list[str]:
    """Keys in the cache, the first one to look for first; none if what is made cannot be told.

    Kernels for a GPU can be carried, in the cache, to a machine that has one and no Enzyme. They
    are kept under a second key for that, which does not name the Enzyme that made them.
    """
    enzymes = [""]
    if question.mode is not Mode.PRIMAL:
        try:
            enzymes = [find_enzyme().version, ANY_ENZYME][: 1 + bool(question.architecture)]
        except EnzymeNotFoundError:
            if not question.architecture:
                raise
            enzymes = [ANY_ENZYME]
    return [key for e in enzymes if (key := fingerprint(function, question, e)) is not None]


def _entry(function: Any, question: Question) -> _cache.Entry:
    """What the cache keeps, made now."""
    objects: list[bytes]
    undefined: tuple[str, ...] = ()
    if question.architecture:
        from ._ptx import emit_ptx  # it starts all of LLVM's targets

        differentiated, _ = derive(function, question)
        text = emit_ptx(differentiated, question.architecture)
        may_fail = text.count(ERRORS) > 1  # besides its definition
        objects = [text.encode()]
    else:
        stages = run_stages(function, question)
        differentiated = stages.differentiated
        code, parts_may_fail = with_parts(assemble(stages.optimised))
        undefined = code.undefined
        may_fail = parts_may_fail or f"@{COUNT_ERROR}(" in stages.optimised.ir
        objects = [code.code, *code.parts]
    prepared = differentiated.prepared
    facts = {
        "varying": list(differentiated.request.varying),
        "writes": list(prepared.effects.writes),
        "may_raise": prepared.effects.may_raise,
        "raises_after_writing": prepared.effects.raises_after_writing,
        "rules_may_fail": may_fail,
        "returned_bits": getattr(prepared.lowered.return_type, "bitwidth", 0),
        "undefined": list(undefined),
        "sizes": list(map(len, objects)),
        "width": differentiated.request.width,
    }
    return _cache.Entry(facts, b"".join(objects))
