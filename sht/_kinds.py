"""Which of `_scalar`, `_spin`, `_vector` the stages use: the type of the tables says it."""

from __future__ import annotations

import functools
from typing import Any

from numba.core import types
from numba.extending import overload

from . import _scalar, _spin, _vector
from ._legendre_tables import SpinTables, VectorTables


def with_spin(tables: Any) -> bool:
    """Of a Numba type: whether it is that of `SpinTables`."""
    return isinstance(tables, types.NamedTuple) and tables.instance_class is SpinTables


def of_vectors(tables: Any) -> bool:
    """Of a Numba type: whether it is that of `VectorTables`."""
    return isinstance(tables, types.NamedTuple) and tables.instance_class is VectorTables


def of_pairs(tables: Any) -> bool:
    """Of a Numba type: whether fields have two components."""
    return with_spin(tables) or of_vectors(tables)


def order_sums_into(orders, phases, place, groups, tables): ...


def add_order_sums(phases, orders, place, groups, area, tables): ...


def order_blocks(phases, g, place, tables) -> Any: ...


def add_order_blocks(phases, g, place, north_re, north_im, south_re, south_im, tables): ...


def pack_into(coef, a, field, fields, groups, add, tables): ...


def unpack_into(a, coef, field, fields, groups, add, tables): ...


# An overload is the function of one kind itself, not a call of it: that halves what Numba compiles.
_kind = functools.partial(overload, jit_options={"error_model": "numpy"})


@_kind(order_sums_into)
def _order_sums_into(orders, phases, place, groups, tables):
    return (_spin if with_spin(tables) else _scalar).order_sums_into


@_kind(add_order_sums)
def _add_order_sums(phases, orders, place, groups, area, tables):
    return (_spin if with_spin(tables) else _scalar).add_order_sums


@_kind(order_blocks)
def _order_blocks(phases, g, place, tables):
    return (_spin if with_spin(tables) else _scalar).order_blocks


@_kind(add_order_blocks)
def _add_order_blocks(phases, g, place, north_re, north_im, south_re, south_im, tables):
    return (_spin if with_spin(tables) else _scalar).add_order_blocks


@_kind(pack_into)
def _pack_into(coef, a, field, fields, groups, add, tables):
    return _packing(tables).pack_into


@_kind(unpack_into)
def _unpack_into(a, coef, field, fields, groups, add, tables):
    return _packing(tables).unpack_into


def _packing(tables):
    return _vector if of_vectors(tables) else _spin if with_spin(tables) else _scalar
