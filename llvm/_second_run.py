"""Forwards over reverse in two runs of Enzyme, where one alone does not know what it has kept."""

from __future__ import annotations

import re

from ._ir_text import Function, with_functions
from ._kept_integers import with_types_of_integers
from ._rule_calls import PREFIX

_TO_DO = re.compile(r"@__enzyme_(fwddiff_derivative|register_derivative_)")
_LATER = re.compile(r"@__later_")
# Called by what the first run makes, not by what it derives.
_NOT_DERIVED = re.compile(rf"gradient|{PREFIX}\w+_(?:augmented|reverse)")
_STATED = re.compile(r"@__enzyme_(double|float|integer)\(")
# What LLVM has found out about the pointer contradicts what Enzyme then says of such a call.
_SAID_OF_PLACE = re.compile(r'(call void @__enzyme_(?:double|float|integer)\(ptr )[^"%\n]*(?=")')
# As LLVM must see them, or it takes out calls without an effect.
_DECLARED = (
    "declare void @__later_{}(ptr captures(none), i64) nofree nosync nounwind willreturn "
    "memory(inaccessiblemem: readwrite)\n"
)


def runs_twice(ir: str) -> bool:
    """Whether the module asks for a second derivative and no array in it changes its type.

    Then integers could be the bits of numbers that vary.
    """
    return "@__enzyme_fwddiff_derivative(" in ir and "_change_dtype" not in ir


def backwards_alone(ir: str) -> str:
    """The module with the derivative of the gradient left for later, and all that it needs."""
    ir = _TO_DO.sub(r"@__later_\1", ir)
    ir = with_functions(ir, _with_types_left)
    kinds = [kind for kind in ("double", "float", "integer") if f"@__later_{kind}(" in ir]
    return "\n".join([ir, *map(_DECLARED.format, kinds)])


def _with_types_left(function: Function) -> str:
    text = function.text
    return _STATED.sub(r"@__later_\1(", text) if _NOT_DERIVED.fullmatch(function.name) else text


def then_forwards(ir: str) -> str:
    """What has become of it, the types of all that the reverse pass keeps stated."""
    return with_types_of_integers(_SAID_OF_PLACE.sub(r"\1", _LATER.sub("@__enzyme_", ir)))
