"""Choices between a constant and a number that varies, kept apart from what is computed of them.

LLVM makes ``log(x > c ? x : c)`` a choice between ``log(x)`` and a constant, by branches that hold
nothing else as well as by `np.maximum`. Reverse mode then differentiates the logarithm of an x that
was not chosen, and adds 0 · ∞. Here the choice goes through a function that LLVM does not look
into.
"""

from __future__ import annotations

import re

import llvmlite.binding as llvm

from ._ir_text import PHI, WAY, Function, label_of, leads_to, walk, with_functions
from ._opaque import CHOSEN, call, with_definitions
from ._target_machine import target_machine

# Not what has a number: it must keep its place in the text. LLVM has looked at it before us.
_NAMED = r'(?:"[^"]*"|[\w.$-]*[A-Za-z._$-][\w.$-]*)'
_CHOICE = re.compile(
    rf"^  %(?P<name>{_NAMED}) = (?P<made>(?:phi (?P<joined>double|float) "
    r"|select (?:\w+ )*?i1 [^,]+, (?P<selected>double|float) )(?P<items>.*))"
)
_STATUS = re.compile(r"^  %\S+ = phi i32 (.*)")
_NUMBER = re.compile(r"[-+]?\d")


def with_choices_kept(ir: str) -> str:
    """The module with every such choice behind a call; as it was, if there is none."""
    module = llvm.parse_assembly(ir)
    passes = llvm.create_new_module_pass_manager()
    passes.add_always_inliner_pass()
    passes.add_sroa_pass()
    # Of a program with the arrays of a Transform, which are put together and taken apart in each
    # call, half is left. With variables before inlining as well, the gradient of reaction and
    # diffusion takes 1.14 times as long.
    passes.add_dead_code_elimination_pass()
    passes.run(
        module, llvm.create_pass_builder(target_machine(), llvm.create_pipeline_tuning_options())
    )
    text = str(module)
    kept = with_functions(text, _choices_kept)
    if kept == text:
        return ir
    return with_definitions(kept)


def _choices_kept(function: Function) -> str:
    lines = function.text.splitlines()
    _, heads = walk({name: leads_to(part) for name, part in function.blocks.items()})
    made: list[str] = []
    calls: list[str] = []
    head, failing = False, set[str]()
    for i, line in enumerate(lines):
        if label := label_of(line):
            head, failing = label in heads, _failing_ways(lines, i + 1)
        if calls and not PHI.match(line):
            made += calls
            calls = []
        choice = _CHOICE.match(line)
        # What a loop hands on is no choice, and would keep LLVM from seeing a sum.
        if choice and not (choice["joined"] and head) and _is_open(choice, failing):
            name, kind = choice["name"], choice["joined"] or choice["selected"]
            before = f'"{CHOSEN} {name.strip(chr(34))}"'
            line = f"  %{before} = {choice['made']}"
            calls.append(call(CHOSEN, kind, f"%{name}", f"%{before}"))
        made.append(line)
    return "\n".join(made)


def _failing_ways(lines: list[str], start: int) -> set[str]:
    """The blocks that lead here with an exception: Numba returns zero then, which is not used."""
    failing = set[str]()
    for line in lines[start:]:
        if not PHI.match(line):
            break
        if status := _STATUS.match(line):
            failing |= {block for code, block in WAY.findall(status[1]) if code not in ("0", "-2")}
    return failing


def _is_open(choice: re.Match[str], failing: set[str]) -> bool:
    """Whether some of the items are numbers, and some are not."""
    if choice["joined"]:
        items = [item for item, block in WAY.findall(choice["items"]) if block not in failing]
    else:
        one, other = choice["items"].split(", ")[:2]
        items = [one, other.split()[-1]]
    numbers = [bool(_NUMBER.match(item)) for item in items if item not in ("undef", "poison")]
    return any(numbers) and not all(numbers)
