"""Which of `_scalar` and `_spin` the stages use: known by the type of the tables when compiled."""

from __future__ import annotations

from typing import Any

from numba.core import types
from numba.extending import overload

from . import _scalar, _spin
from ._legendre import PHASES
from ._legendre_tables import LegendreTables, SpinTables
from ._spin_legendre import SPIN_PHASES


def components(tables: LegendreTables | SpinTables) -> int:
    """How many fields, and sets of coefficients, belong together."""
    return 2 if isinstance(tables, SpinTables) else 1


def phases_per_group(tables: LegendreTables | SpinTables) -> int:
    """Numbers for each group and tile that lie between the stages."""
    return SPIN_PHASES if isinstance(tables, SpinTables) else PHASES


def numbers_per_step(tables: LegendreTables | SpinTables) -> int:
    """Numbers for each step of the Legendre stage's coefficients."""
    return _spin.SPIN_WIDTH if isinstance(tables, SpinTables) else _scalar.WIDTH


def with_spin(tables: Any) -> bool:
    """Of a Numba type: whether it is that of `SpinTables`."""
    return isinstance(tables, types.NamedTuple) and tables.instance_class is SpinTables


def tile_to_phases(phases, coef, state, tables, g, tile): ...


def phases_to_tile(coef, phases, state, tables, g, tile): ...


def order_sums_into(orders, phases, r, south, component, groups, tables): ...


def add_order_sums(phases, orders, r, south, component, groups, area, tables): ...


def pack_into(coef, a, tables): ...


def unpack_into(a, coef, tables): ...


@overload(components)
def _components(tables):
    count = 2 if with_spin(tables) else 1
    return lambda tables: count


@overload(phases_per_group)
def _phases_per_group(tables):
    count = SPIN_PHASES if with_spin(tables) else PHASES
    return lambda tables: count


@overload(numbers_per_step)
def _numbers_per_step(tables):
    width = _spin.SPIN_WIDTH if with_spin(tables) else _scalar.WIDTH
    return lambda tables: width


@overload(tile_to_phases)
def _tile_to_phases(phases, coef, state, tables, g, tile):
    kind = (_spin if with_spin(tables) else _scalar).tile_to_phases
    return lambda phases, coef, state, tables, g, tile: kind(phases, coef, state, tables, g, tile)


@overload(phases_to_tile)
def _phases_to_tile(coef, phases, state, tables, g, tile):
    kind = (_spin if with_spin(tables) else _scalar).phases_to_tile
    return lambda coef, phases, state, tables, g, tile: kind(coef, phases, state, tables, g, tile)


@overload(order_sums_into)
def _order_sums_into(orders, phases, r, south, component, groups, tables):
    kind = (_spin if with_spin(tables) else _scalar).order_sums_into
    return lambda orders, phases, r, south, component, groups, tables: kind(
        orders, phases, r, south, component, groups
    )


@overload(add_order_sums)
def _add_order_sums(phases, orders, r, south, component, groups, area, tables):
    kind = (_spin if with_spin(tables) else _scalar).add_order_sums
    return lambda phases, orders, r, south, component, groups, area, tables: kind(
        phases, orders, r, south, component, groups, area
    )


@overload(pack_into)
def _pack_into(coef, a, tables):
    kind = (_spin if with_spin(tables) else _scalar).pack_into
    return lambda coef, a, tables: kind(coef, a, tables)


@overload(unpack_into)
def _unpack_into(a, coef, tables):
    kind = (_spin if with_spin(tables) else _scalar).unpack_into
    return lambda a, coef, tables: kind(a, coef, tables)
