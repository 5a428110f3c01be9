"""What is found out once about a tuple whose arrays stay where they are: a plan, a work space.

To look at two dozen arrays takes longer than a small transform. A class of tuples says with
``_keeps_arrays_ = True`` that none of its arrays is ever given other memory, another shape or
another dtype; it needs a ``__dict__``, where the findings are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

Found = TypeVar("Found")

_PLACE = "_found_once"


class Findings(dict[str, Any]):
    """What is known about one tuple, by name."""

    def __init__(self, owner: Any) -> None:
        super().__init__()
        self.owner = id(owner)  # who copies its attributes has other arrays

    def __reduce__(self) -> tuple[Any, ...]:
        return type(None), ()  # a copy of the tuple has arrays of its own


def findings_of(value: Any) -> Findings | None:
    """Where findings about a tuple that keeps its arrays are; None for all else."""
    if not getattr(type(value), "_keeps_arrays_", False):
        return None
    found = value.__dict__.get(_PLACE)
    if found is None or found.owner != id(value):
        found = value.__dict__[_PLACE] = Findings(value)
    return found


def once(value: Any, what: str, find: Callable[[Any], Found]) -> Found:
    """``find(value)``, done once for a tuple that keeps its arrays."""
    known = findings_of(value)
    if known is None:
        return find(value)
    if what not in known:
        known[what] = find(value)
    return known[what]


class _Kind:
    """Stands for something that is slow to hash and to compare."""


_kinds: dict[Hashable, _Kind] = {}


def same_kind(kind: Hashable) -> Hashable:
    """The same object for all that are equal."""
    return _kinds.setdefault(kind, _Kind())
