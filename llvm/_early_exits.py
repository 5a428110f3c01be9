"""Short ways from the exits of a loop back to its start: a way around a search of Enzyme's.

For each branch that leaves a loop, Enzyme asks whether it can come back to the loop's head, and
looks for it along all paths, without noting where it has been. Behind an exception, raised early
in a loop whose body is long, there are as many as there are ways through the rest of the body:
10¹² for a time loop of array expressions, which took all memory. So a block stands on such a way
out from which the head is one step away. The step is never taken, which Enzyme does not know; when
it has run there is nothing left of it.
"""

from __future__ import annotations

import re
from collections import Counter

from ._ir_text import NAME, Function, Loop, leads_to, loops, with_functions

# Steps of that search, 50 ns each, for each way out of a loop.
_TOO_MANY = 100_000
# As many paths need as many branches.
_BLOCKS = 2 * _TOO_MANY.bit_length()

# Half of a module's branches, before it is optimised, check what is known not to happen.
_MANY_BRANCHES = 4 * _BLOCKS

_PHI = re.compile(rf"^  %{NAME} = phi .*$", re.M)
_NEVER = "never_taken"
_DECLARED = (
    f'\ndeclare i1 @{_NEVER}() nounwind willreturn nosync nofree memory(none) "enzyme_inactive"\n'
)
_DECLARATION = re.compile(rf"^declare [^\n]*@{_NEVER}\([^\n]*", re.M)
_DEFINED = f"define internal i1 @{_NEVER}() alwaysinline {{\n  ret i1 false\n}}"


def may_search_long(ir: str) -> bool:
    """Whether a module that is not optimised yet has so many branches that it is worth a look."""
    return ir.count("br i1 ") > _MANY_BRANCHES


def with_short_ways_back(ir: str) -> str:
    """The module with such a block behind each branch from which the search would be too long."""
    changed = with_functions(ir, _with_ways_back)
    return changed if changed == ir or _DECLARATION.search(ir) else changed + _DECLARED


def without_ways_back(ir: str) -> str:
    """What Enzyme has made of it, for LLVM to see that they are never taken."""
    return _DECLARATION.sub(_DEFINED, ir)


def _with_ways_back(function: Function) -> str:
    if function.body.count("label %") < _BLOCKS:
        return function.text
    blocks = dict(function.blocks)
    successors = {name: leads_to(part) for name, part in blocks.items()}
    last: dict[tuple[str, str], str] = {}  # of the blocks on an edge, the one that leaves
    # Inner loops first: an edge that leaves several is cut in the order in which it leaves them.
    for loop in sorted(loops(successors), key=lambda loop: len(loop.blocks)):
        for edge in _ways_out(loop, successors):
            if _search_is_short(loop, edge[0], successors):
                continue
            name = f"back.{loop.head.strip(chr(34))}.{len(blocks)}"
            before, target = last.get(edge, edge[0]), edge[1]
            blocks[before] = _replaced(blocks[before], f"label %{target}", f'label %"{name}"')
            phi_from = f", %{before} ]"
            blocks[target] = _PHI.sub(
                lambda phi, old=phi_from, new=f', %"{name}" ]': phi[0].replace(old, new),
                blocks[target],
            )
            blocks[loop.head] = _PHI.sub(
                lambda phi, way=f', [ zeroinitializer, %"{name}" ]': _longer(phi[0], way),
                blocks[loop.head],
            )
            blocks[f'"{name}"'] = (
                f'"{name}":\n  %"{name}.taken" = call i1 @{_NEVER}()\n'
                f'  br i1 %"{name}.taken", label %{loop.head}, label %{target}\n\n'
            )
            last[edge] = f'"{name}"'
    return f"{function.head}{''.join(blocks.values())}}}" if last else function.text


def _replaced(text: str, old: str, new: str) -> str:
    """The text without one label, and not without those that begin as it does."""
    return re.sub(rf"{re.escape(old)}(?![\w.$-])", lambda _: new, text)


def _longer(phi: str, way: str) -> str:
    end = phi.rindex("]") + 1
    return f"{phi[:end]}{way}{phi[end:]}"


def _ways_out(loop: Loop, successors: dict[str, list[str]]) -> list[tuple[str, str]]:
    """Edges that leave a loop, but for those that a switch has several of."""
    return [
        (block, target)
        for block in sorted(loop.blocks)
        for target, edges in Counter(successors[block]).items()
        if target not in loop.blocks and edges == 1
    ]


def _search_is_short(loop: Loop, start: str, successors: dict[str, list[str]]) -> bool:
    """Whether the head is found, breadth first, on one of not too many paths."""
    steps, paths = 0, Counter({start: 1})
    while paths and loop.head not in paths and steps <= _TOO_MANY:
        steps += paths.total()
        further: Counter[str] = Counter()
        for block, count in paths.items():
            if block in loop.blocks:
                for successor in successors[block]:
                    further[successor] += count
        paths = further
    return steps <= _TOO_MANY
