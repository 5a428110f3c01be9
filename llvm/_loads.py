"""What is loaded, said to Enzyme: integers, which it would else ask a derivative of, and pointers.

Numba knows the type of all that it loads. Enzyme has to guess where memory is reached through other
memory, as with items of lists and counters of iterators.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ._ir_text import LOCAL, next_node, split, with_functions

# Names that Enzyme knows. To LLVM they say that integers and pointers are never in one place.
_TYPES = """
!{0} = !{{!{1}, !{1}, i64 0}}
!{1} = !{{!"long", !{4}, i64 0}}
!{2} = !{{!{3}, !{3}, i64 0}}
!{3} = !{{!"any pointer", !{4}, i64 0}}
!{4} = !{{!"what is loaded"}}
"""
_LOCAL = re.compile(r"^  (%\S+) = alloca ", re.M)
_SIMPLE = re.compile(
    r"^  %\S+ = load (?P<type>i64|i32|i16|i8|ptr), ptr (?!.*!tbaa)[^\n!]*?(?=, !|$)", re.M
)
_AGGREGATE = re.compile(rf"^  (%\S+) = load (\{{.*\}}), ptr ({LOCAL}), align \d+$", re.M)


def with_types_of_loads(ir: str) -> str:
    """The module with the types of integers and pointers that are loaded.

    Nothing is said where an array of something else was made a view of integers: then they may be
    the bits of numbers that vary.
    """
    if "_change_dtype" in ir:
        return ir
    tags, nodes = type_tags(ir)
    ir = with_functions(ir, lambda function: _with_members(function.text))
    return _SIMPLE.sub(lambda found: f"{found[0]}, {tags[found['type']]}", ir) + nodes


def type_tags(ir: str) -> tuple[dict[str, str], str]:
    """For each type of LLVM's the metadata of a load, and what must be added to the module."""
    free = next_node(ir)
    integers = dict.fromkeys(("i64", "i32", "i16", "i8", "i1"), f"!tbaa !{free}")
    tags = {"ptr": f"!tbaa !{free + 2}", **integers}
    return tags, _TYPES.format(*range(free, free + 5))


def _with_members(function: str) -> str:
    """The function with each member of a structure in memory loaded by itself."""
    local = set(_LOCAL.findall(function))  # LLVM takes these apart anyhow
    count = 0

    def split(found: re.Match[str]) -> str:
        nonlocal count
        name, ty, place = found.groups()
        if place in local:
            return found[0]
        lines, made = [], "poison"
        members = list(_members(ty))
        for i, (member, path) in enumerate(members):
            count += 1
            new = name if i + 1 == len(members) else f"%whole{count}"
            at = ", ".join(f"i32 {k}" for k in path)
            lines += [
                f"  %place{count} = getelementptr inbounds {ty}, ptr {place}, i32 0, {at}",
                f"  %member{count} = load {member}, ptr %place{count}",
                f"  {new} = insertvalue {ty} {made}, {member} %member{count}, "
                + ", ".join(map(str, path)),
            ]
            made = new
        return "\n".join(lines)

    return _AGGREGATE.sub(split, function)


def _members(ty: str, path: tuple[int, ...] = ()) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The types of all scalars in a structure or an array, and where they are."""
    if ty.startswith("{"):
        for i, item in enumerate(split(ty[1:-1])):
            yield from _members(item, (*path, i))
    elif array := re.fullmatch(r"\[(\d+) x (.*)\]", ty):
        for i in range(int(array[1])):
            yield from _members(array[2], (*path, i))
    else:
        yield ty, path
