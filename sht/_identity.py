"""Named tuples that hold arrays, always the same ones."""

from __future__ import annotations


class ByIdentity:
    """Equal to itself only. A tuple compares by its items; arrays have no single truth value.

    Its arrays are never given other memory, another shape or dtype: `llvm` looks at them once.

    For the classes that ``@njit`` code takes as named tuples: comes before these among the bases.
    """

    __eq__ = object.__eq__
    __ne__ = object.__ne__
    __hash__ = object.__hash__
    _keeps_arrays_ = True
