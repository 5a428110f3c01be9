"""Memory that a derivative allocates: on cache lines, and given back when the call ends.

Enzyme frees the tapes and shadows that it makes. What the function itself allocates it leaves
alone, since Numba's reference counts are hidden from it; a gradient leaked every temporary of its
primal. So each call of a derivative keeps a ring of all that was allocated in it, by which its end
frees what is left: after an exception too.

A block begins on 64 bytes, because vectors that lie across two cache lines cost twice. In front of
it are four words: its neighbours in the ring, the address that malloc gave, and its size. A thread
finds its ring by a key of pthreads.

Large blocks are not given back to the system at once: a few stay for the next call, which will want
the same sizes. Fresh pages cost more than what is computed in them (a gradient at T255 took 14 ms
instead of 5; one of forty tapes of a hundred kB each 14 ms instead of 5, with 16 places for them).
Of two hundred of 150 kB, with 64 places, most did not stay: 11 ms instead of 3 where malloc did not
keep them either. There are 512 places.

A block that grows, the tape of a loop without a known end, begins in a spare one that has grown
before (ten steps of array expressions of 2 MB: 4.9 ms instead of 12).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ._arena_runtime import DECLARATIONS
from ._entry import ENTRY
from ._parallel_runtime import RUNTIME
from ._rule_calls import PREFIX

_OURS = {
    "malloc": "arena_allocate",
    "calloc": "arena_zeros",
    "realloc": "arena_resize",
    "free": "arena_release",
}
_NAMES = re.compile(rf"@({'|'.join(_OURS)})\b")


def with_arena(modules: Sequence[str]) -> list[str]:
    """Modules whose entry gives back all that was allocated in it."""
    parallel = any("@parallel_" in ir for ir in modules)
    # Functions with a rule may be compiled separately, and allocate there.
    elsewhere = any(f"@{PREFIX}" in ir for ir in modules)
    if not (parallel or elsewhere or any(map(_NAMES.search, modules))):
        return list(modules)
    entry = re.compile(rf"^(define [^\n]*)@{ENTRY}\(", re.M)
    ours = [_NAMES.sub(lambda found: f"@{_OURS[found[1]]}", ir) for ir in modules]
    ours = [entry.sub(r"\1@arena_entry(", ir) for ir in ours]
    # First, since the first declaration of a function counts.
    return [DECLARATIONS, *ours, _ENTRY, *[RUNTIME] * parallel]


_ENTRY = f"""
declare ptr @arena_begin(ptr)
declare void @arena_end(ptr, ptr)
declare i64 @arena_entry(ptr)

define i64 @{ENTRY}(ptr %slots) {{
  %ring = alloca [3 x i64]
  %part = getelementptr i64, ptr %ring, i64 2
  store i64 -1, ptr %part
  %outer = call ptr @arena_begin(ptr %ring)
  %result = call i64 @arena_entry(ptr %slots)
  call void @arena_end(ptr %ring, ptr %outer)
  ret i64 %result
}}
"""
