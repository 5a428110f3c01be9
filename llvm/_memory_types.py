"""What memory holds, told to Enzyme, so that its type analysis has nothing to guess."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from llvmlite import ir

from ._abi import I64, POINTER, Leaf


def state_memory_types(
    module: Any, builder: Any, all_leaves: Iterable[Leaf], flat: Iterable[Any]
) -> None:
    """Calls that Enzyme alone understands, for each pointer among `flat`."""
    for leaf, value in zip(all_leaves, flat, strict=True):
        if leaf.enzyme_hint is None:
            continue
        kind, size = leaf.enzyme_hint
        name = f"__enzyme_{kind}"
        hint = module.globals.get(name)
        if hint is None:
            hint = ir.Function(module, ir.FunctionType(ir.VoidType(), [POINTER, I64]), name)
        builder.call(hint, [value, I64(size)])


def stated(leaf: Leaf, names: Iterable[str]) -> list[str]:
    """The same calls as lines of text, for pointers to what `leaf` describes."""
    if leaf.enzyme_hint is None:
        return []
    kind, size = leaf.enzyme_hint
    call = f"  call void @__enzyme_{kind}(ptr"
    return [of_all_items(f"{call} {name}, i64 {size})") for name in names]


def declarations(lines: Iterable[str], module: str) -> list[str]:
    """Declarations of what these lines call, if the module has none."""
    text = "".join(lines)
    names = [f"@__enzyme_{kind}(" for kind in _TYPES]
    return [f"declare void {n}ptr, i64)" for n in names if n in text and n not in module]


def of_all_items(text: str) -> str:
    """The module with what these calls say of the first item said of all.

    As an attribute, which llvmlite cannot write: Enzyme then knows what it loads at an index that
    it cannot follow.
    """
    return _CALL.sub(_attributed, text)


def without_types(text: str) -> str:
    """The module without these calls, for all but Enzyme."""
    return _LINE.sub("", text)


_CALL = re.compile(r"call void @__enzyme_(double|float|integer)\(ptr (?!\")")
_LINE = re.compile(r"^ *(?:tail )?call void @__enzyme_(?:double|float|integer)\(.*\n", re.M)
_TYPES = {"double": "Float@double", "float": "Float@float", "integer": "Integer"}


def _attributed(found: re.Match[str]) -> str:
    kind = "{[-1]:Pointer, [-1,-1]:" + _TYPES[found[1]] + "}"
    return f'{found[0]}"enzyme_type"="{kind}" '
