"""Runs of Enzyme with the loops of a module in an order that is safe, and a look at the result."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress

from ._block_order import needs_order, optimised, reordered
from ._choices import with_choices_kept
from ._chosen_places import with_chosen_places_kept
from ._diagnostics import has_crashed, has_lost_types, has_run_out_of_memory, refused
from ._early_exits import may_search_long, with_short_ways_back
from ._enzyme import find_enzyme
from ._errors import AutodiffError, ToolchainError, ToolTimeoutError
from ._last_turns import with_last_turns_kept
from ._recursion import is_recursive
from ._second_run import backwards_alone, runs_twice, then_forwards
from ._target_machine import passed
from ._undefined import undefined_use

# Bytes for both derivatives in one run. What takes more searches for ways back in the loops of the
# first, which `_early_exits` shortens in between two runs.
_MEMORY_OF_BOTH = 2 << 30

# Enzyme says that a place which holds the address of kept values always holds the same, although
# `realloc` moves them as a loop goes on: LLVM reads it once, and what is kept goes to freed memory.
_INVARIANT = re.compile(r", !invariant\.group !\d+")
# LLVM has another go at the module just before Enzyme, and may make loads by a chosen pointer of
# others: so numbers are marked until nothing new is to be marked after that.
_MOST_GOES = 5

# What `_chosen_places` has marked.
_VOLATILE = re.compile(r"(?<= = load )volatile ")


def run_enzyme(module: str, flags: Sequence[str], name: str, mode: str) -> tuple[str, str]:
    """The module after Enzyme, and what it said on the way.

    Parameters
    ----------
    module : str
    flags : sequence of str
    name, mode : str
        The function and how it is differentiated, for messages.

    Raises
    ------
    ToolTimeoutError
        Enzyme comes to no end.
    ToolchainError
        Enzyme fails; one of its crashes, if it crashed in any order.
    AutodiffError
        What it made takes values that nothing has set.
    """
    enzyme = find_enzyme()
    in_two = runs_twice(module)
    # In one run, Enzyme derives what calls itself twice without end.
    recursive = in_two and is_recursive(module)
    if needs_order(module):
        module = with_choices_kept(module)

    def as_enzyme_sees(text: str) -> str:
        return optimised(text, lambda hidden: enzyme.run(hidden, flags))

    def settled(text: str) -> str:
        for _ in range(_MOST_GOES):
            marked = _marked(reordered(text))
            text = as_enzyme_sees(marked)
            if _marked(text) == text:
                return with_short_ways_back(marked)
        raise AutodiffError(
            f"The derivative of `{name}`, {mode} mode, may be wrong: after {_MOST_GOES} goes LLVM "
            f"still makes one load of two, by a pointer that Enzyme cannot follow. Write what is "
            f"chosen in branches or from a list into an array of its own.",
            stage="differentiate",
            function=name,
        )

    def once(text: str, **limits: int) -> tuple[str, str]:
        result, said = enzyme.run_and_listen(text, flags, **limits)
        if wrong := undefined_use(result):
            raise refused(*wrong, name, mode)
        return _VOLATILE.sub("", _INVARIANT.sub("", result)), said

    def twice(text: str) -> tuple[str, str]:
        backwards, said = once(backwards_alone(text))
        result, more = once(with_short_ways_back(then_forwards(backwards)))
        return result, said + more

    orders: list[Callable[[], str]] = [lambda: module]
    if needs_order(module):
        orders = [
            lambda: settled(as_enzyme_sees(module)),
            # Where Enzyme does not see the types of what LLVM has optimised twice. What LLVM
            # unrolls stands in the wrong order then.
            lambda: with_short_ways_back(_marked(reordered(passed(module, "O0")), all_turns=True)),
        ]
    elif may_search_long(module):
        shortened = with_short_ways_back(before := as_enzyme_sees(module))
        if shortened != before:
            orders.insert(0, lambda: shortened)
    failures: list[AutodiffError] = []
    for ordered in orders:
        text = module
        try:
            text = ordered()
            if recursive:
                return twice(text)
            return once(text, memory=_MEMORY_OF_BOTH) if in_two else once(text)
        except ToolTimeoutError:  # another order would take as long
            raise
        except AutodiffError as error:
            failures.append(error)
        lost = has_lost_types(failures[-1]) or has_run_out_of_memory(failures[-1])
        if in_two and lost:
            with suppress(AutodiffError):
                return twice(text)
    crashes = [e for e in failures if isinstance(e, ToolchainError) and has_crashed(e)]
    raise (crashes or failures)[0]


def _marked(text: str, *, all_turns: bool = False) -> str:
    return with_last_turns_kept(with_chosen_places_kept(text, all_turns=all_turns))
