"""Equality of named tuples that hold arrays."""

from __future__ import annotations


class ByIdentity:
    """Equal to itself only. A tuple compares by its items; arrays have no single truth value.

    For the classes that ``@njit`` code takes as named tuples: comes before these among the bases.
    """

    __eq__ = object.__eq__
    __ne__ = object.__ne__
    __hash__ = object.__hash__
