"""Loops that add to several places of a shadow in each turn, as loops that each add to one row.

The reverse pass of a stencil, ``y[i] = f(x[i - 1], x[i], x[i + 1])``, adds to three neighbours in
each turn: ``dx[i - 1] += a; dx[i] += b; dx[i + 1] += c``. The next turn adds to some of them again,
so that LLVM does not vectorise the loop. Here it goes through strips of turns: what is to be added,
``a``, ``b`` and ``c``, is written to small arrays on the stack, and then another loop adds it to
the row, ``dx[j] += a[j + 1] + b[j] + c[j - 1]``. Nothing is promised to LLVM, which vectorises
these loops where it sees that it may: every place gets the same numbers as before, in another
order, which what Enzyme adds may be summed in (`_rounding.py`). Compilers know it as strip mining
and loop fission, or distribution.

It takes that nothing else in the loop reads or writes that memory: `_shadow_sums.py`. And that LLVM
has not carried sums from one turn to the next in registers before, which its loop load elimination
does after Enzyme unless it is told to look at no dependences (`_request.DEFAULT_FLAGS`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache

from ._ir_text import LOCAL, Function, allocators, with_functions
from ._shadow_sums import BYTES, Increment, Memory, increments, without_effects
from ._strips import FEW, MARGIN, Run, Strips, array_type, width
from ._turns import Turn

_NAMES = re.compile(LOCAL)


def with_sums_apart(ir: str) -> str:
    """The module with all such loops in strips."""
    known = allocators(ir)
    harmless = cache(lambda: without_effects(ir))
    return with_functions(ir, lambda function: _split(function, known, harmless))


def _split(function: Function, known: set[str], harmless: Callable[[], set[str]]) -> str:
    if function.body.count(" reassoc ") < 2:
        return function.text
    blocks = function.blocks.copy()
    memory = Memory(function, known)
    used = Counter[str]()
    arrays: dict[str, str] = {}
    loops = 0
    for name in function.blocks:
        if blocks[name].count(" reassoc ") < 2:
            continue
        turn = Turn(name, blocks[name], memory.made)
        if not turn.is_loop:
            continue
        used = used or Counter(_NAMES.findall(function.body))
        found = increments(turn, memory, lambda called: called in harmless(), used)
        inside = Counter(_NAMES.findall(blocks[name])) if found else {}
        taken = [value for value in turn.made if found and used[value] > inside[value]]
        if found and turn.counter and all(map(turn.type_of, taken)):
            strips = Strips(turn, _together(_runs(found), memory), taken, f"apart {loops}")
            blocks[name], blocks[turn.after] = strips.text, strips.followed_by(blocks[turn.after])
            arrays |= strips.arrays
            loops += 1
    if not loops:
        return function.text
    first = next(iter(blocks))
    label, rest = blocks[first].split("\n", 1)
    made = [f"  {array} = alloca {array_type(kind)}, align 64" for array, kind in arrays.items()]
    blocks[first] = "\n".join([label, *made, rest])
    return f"{function.head}{''.join(blocks.values())}}}"


def _runs(found: Sequence[Increment]) -> list[Run]:
    """Each row in runs, with gaps that as many turns fill as there are in a strip at least.

    Else a place would be written that was not written before.
    """
    runs: list[Run] = []
    for one in sorted(found, key=lambda one: (one.row, one.kind, one.offset)):
        run = runs[-1] if runs else []
        size = BYTES[one.kind]
        fits = run and (run[0].row, run[0].kind, run[0].step) == (one.row, one.kind, one.step)
        gap = one.offset - run[-1].offset if fits else 1
        whole = gap % size == 0 and gap <= FEW * size
        if whole and one.offset - run[0].offset <= size * MARGIN:
            run.append(one)
        else:
            runs.append([one])
    return runs


def _together(runs: Sequence[Run], memory: Memory) -> list[list[Run]]:
    """One loop for all runs of the same width in memory that is known to be different."""
    loops: list[list[Run]] = []
    for run in runs:
        for loop in loops:
            meet = any(memory.may_meet(run[0].place, other[0].place) for other in loop)
            if width(loop[0]) == width(run) and not meet:
                loop.append(run)
                break
        else:
            loops.append([run])
    return loops
