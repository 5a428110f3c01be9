"""Whether a derivative computes with what has no value, as it does where Enzyme has lost one."""

from __future__ import annotations

import re

from ._ir_text import functions

# Nothing is wrong with what is joined, put together or passed on, but not used: a cache of a loop
# that does not run, for one.
_USED = re.compile(
    r"^  (?:%(?:\"[^\"]*\"|\S+) = )?(?:getelementptr|load|store|br|switch|select|[fi]cmp|fneg"
    r"|[fsu]?(?:add|sub|mul|div|rem))\b[^\n!]* (?:undef|poison)\b[^\n]*",
    re.M,
)


def undefined_use(ir: str) -> tuple[str, str] | None:
    """A function of the module, and an instruction in it, that takes an undefined value.

    LLVM may then do as it likes, and says nothing. In IR that is optimised, as Enzyme's is, there
    is no such instruction unless something went wrong.
    """
    for function in functions(ir):
        if used := _USED.search(function.body):
            return function.name.strip('"'), used[0].strip()
    return None
