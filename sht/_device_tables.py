"""What the kernels see of a transform: for each stage no more than it reads.

The same types for scalars, spin and vectors, so that one compiled kernel serves all.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from enzyme_rules.cufft import RingBatches, batch_rings

from ._device_legendre import STEPS
from ._ring_transform import legendre_tables


class PackingTables(NamedTuple):
    """For `_device_pack`: see `LegendreTables`.

    Attributes
    ----------
    spin, ncoef, columns : int
    begins, counts, starts, factors, scale : arrays
    groups : (nsteps,) int64
        The group of orders of each step.
    orders : (ncoef,) int64
        The order of each coefficient.
    """

    spin: int
    ncoef: int
    columns: int
    begins: np.ndarray
    counts: np.ndarray
    starts: np.ndarray
    factors: np.ndarray
    scale: np.ndarray
    groups: np.ndarray
    orders: np.ndarray


class FunctionTables(NamedTuple):
    """For `_device_legendre`: see `LegendreTables`.

    Groups have multiples of STEPS, and functions begin at such.

    Attributes
    ----------
    starts, recurrence, row, z, first, seeds : arrays
    """

    starts: np.ndarray
    recurrence: np.ndarray
    row: np.ndarray
    z: np.ndarray
    first: np.ndarray
    seeds: np.ndarray


class FourierTables(NamedTuple):
    """For `_device_fourier`: see `RingTables` and `LegendreTables`.

    Attributes
    ----------
    passes, ngroups : int
        Of the Legendre stage. A field has as many components as passes; vectors are two fields.
    npoints, longest : int
    x, pairs, offsets, areas, orders, rotation, phases : arrays
    places : (nlat,) int64
        Twice the pair of each ring, and 1 if it is the second of that pair.
    batches : RingBatches
    """

    passes: int
    ngroups: int
    npoints: int
    longest: int
    x: np.ndarray
    pairs: np.ndarray
    offsets: np.ndarray
    areas: np.ndarray
    orders: np.ndarray
    rotation: np.ndarray
    phases: np.ndarray
    places: np.ndarray
    batches: RingBatches


class DeviceTables(NamedTuple):
    """Those of one transform."""

    packing: PackingTables
    legendre: FunctionTables
    fourier: FourierTables


def make_device_tables(t: Any) -> DeviceTables:
    """The tables of a transform, on the host."""
    rings, kind, spin = t.rings, type(t.legendre), t.legendre.spin
    made = legendre_tables(t.grid, rings, t.truncation, kind, spin, STEPS)
    passes, ngroups, _ = made.first.shape
    groups = np.repeat(np.arange(ngroups), np.diff(made.starts))
    orders = np.asarray(t.orders, np.int64)
    pairs = rings.pairs.ravel()
    places = np.empty(len(rings.orders), np.int64)
    places[pairs[pairs >= 0]] = np.flatnonzero(pairs >= 0)
    return DeviceTables(
        PackingTables(
            *(made.spin, made.ncoef, made.columns, made.begins, made.counts, made.starts),
            *(made.factors, t.legendre.scale, groups, orders),
        ),
        FunctionTables(made.starts, made.recurrence, made.row, made.z, made.first, made.seeds),
        FourierTables(
            *(passes, ngroups, rings.npoints, rings.longest, made.x, rings.pairs, rings.offsets),
            *(rings.areas, rings.orders, rings.rotation, rings.phases, places),
            batch_rings(t.grid.nlon),
        ),
    )
