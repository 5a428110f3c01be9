"""What a function may do, read off its optimised IR: write into arguments, raise, mix pointers."""

from __future__ import annotations

import re
from dataclasses import dataclass

import llvmlite.binding as llvm

from ._ir_text import find_function
from ._lower import PRIMAL, Lowered
from ._memory_types import without_types
from ._pointers import chooses_pointers, mixes_pointers
from ._rule_calls import PREFIX
from ._target_machine import remove_unused, run_passes, target_machine
from ._untouched import raises_after_writing

REGISTRATION = re.compile(r"^@__enzyme_register_.*\n", re.M)


@dataclass(frozen=True)
class Effects:
    """What must be assumed of a function.

    Attributes
    ----------
    writes : tuple of bool
        One for each leaf: whether the memory behind it may be written.
    may_raise : bool
    raises_after_writing : bool
        Whether it may raise when it has written already: to be called again it then needs copies.
    mixes_pointers : bool
        Whether one pointer may lead to different arguments or allocations. Enzyme's static activity
        analysis is then not enough: it would write derivatives into constant arrays.
    """

    writes: tuple[bool, ...]
    may_raise: bool
    raises_after_writing: bool
    mixes_pointers: bool


def analyse(lowered: Lowered, ir: str) -> Effects:
    """Let LLVM infer what `ir`, the prepared form of `lowered`, does.

    Only a copy is optimised: Enzyme gets the IR without any of this.
    """
    # Rules are reached from their registrations alone, and none of this is about them.
    text = _optimised(REGISTRATION.sub("", ir), PRIMAL)
    primal = find_function(text, PRIMAL)
    parameters, body = primal.parameters, primal.body
    status = parameters[0].split()[-1]
    first = 2 if lowered.returns_value else 1
    writes = tuple(
        leaf.is_pointer and not re.search(r"\breadonly\b|\breadnone\b", parameter)
        for leaf, parameter in zip(lowered.leaves, parameters[first:], strict=True)
    )
    stored = re.findall(rf"store i32 (\S+), ptr {re.escape(status)}[,\s]", body)
    may_raise = any(value != "0" for value in stored) or not stored
    dirty = may_raise and raises_after_writing(text, body, status)
    return Effects(writes, may_raise, dirty, mixes_pointers(text, apart=PREFIX))


def body_chooses_pointers(ir: str, name: str) -> bool:
    """Whether pointers of such a function are chosen or read: see `chooses_pointers`."""
    return chooses_pointers(_optimised(ir, name))


def body_mixes_pointers(ir: str, name: str) -> bool:
    """`Effects.mixes_pointers` for a function that a rule has Enzyme differentiate by itself."""
    return mixes_pointers(_optimised(ir, name))


def _optimised(ir: str, name: str) -> str:
    module = llvm.parse_assembly(without_types(ir))
    module.get_function(name).linkage = "external"
    remove_unused(module)
    run_passes(module, target_machine(), speed_level=2, vectorise=False)
    return str(module)
