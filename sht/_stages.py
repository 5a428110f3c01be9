"""The two stages of the transform over ranges of tiles and groups, each way, for several fields.

What lies between the stages are the *sums*: for each tile, group and pass (x, and with spin -x),
for each field, `PHASES` numbers. A range of tiles ``begin … end`` has its sums one after the other
from the start of `sums` on. Coefficients are group by group; within a group, field by field. A
vector is two fields here, one for each component.
"""

from __future__ import annotations

from numba import njit

from enzyme_rules import LinearRule, register

from ._fourier import clear_rings, rings_to_tile, tile_to_rings
from ._kinds import pack_into, unpack_into
from ._legendre import PHASES, WIDTH, legendre_analysis_into, legendre_synthesis_into
from ._scalar import span_of_groups
from ._simd import LANES, RINGS


@njit(error_model="numpy")
def coef_to_sums(sums, coef, state, t, fields, groups, tiles):
    """Legendre stage of a synthesis.

    Parameters
    ----------
    sums : (tiles * ngroups * passes * fields * PHASES,) float64
        Overwritten for these groups.
    coef : (nsteps * fields * WIDTH,) float64
    state : (STATE,) float64
        Work space.
    t : Transform
    fields : int
    groups, tiles : (int, int)
        First, and one after the last.
    """
    tables = t.legendre
    passes, ngroups, _ = tables.first.shape
    each = fields * PHASES
    for g in range(groups[0], groups[1]):
        s, e = tables.starts[g], tables.starts[g + 1]
        for tile in range(tiles[0], tiles[1]):
            for mirror in range(passes):
                k = (((tile - tiles[0]) * ngroups + g) * passes + mirror) * each
                legendre_synthesis_into(
                    sums[k : k + each],
                    coef[s * fields * WIDTH : e * fields * WIDTH],
                    state,
                    tables.z[mirror, tile * RINGS : (tile + 1) * RINGS],
                    tables.recurrence[tables.row[mirror, tile], 2 * LANES * s : 2 * LANES * e],
                    tables.seeds[mirror, g, tile],
                    tables.first[mirror, g, tile],
                )


@njit(error_model="numpy")
def sums_to_coef(coef, sums, state, t, fields, groups, tiles):
    """Legendre stage of an analysis: adds to the coefficients. The transpose of `coef_to_sums`."""
    tables = t.legendre
    passes, ngroups, _ = tables.first.shape
    each = fields * PHASES
    for g in range(groups[0], groups[1]):
        s, e = tables.starts[g], tables.starts[g + 1]
        for tile in range(tiles[0], tiles[1]):
            for mirror in range(passes):
                k = (((tile - tiles[0]) * ngroups + g) * passes + mirror) * each
                legendre_analysis_into(
                    coef[s * fields * WIDTH : e * fields * WIDTH],
                    sums[k : k + each],
                    state,
                    tables.z[mirror, tile * RINGS : (tile + 1) * RINGS],
                    tables.recurrence[tables.row[mirror, tile], 2 * LANES * s : 2 * LANES * e],
                    tables.seeds[mirror, g, tile],
                    tables.first[mirror, g, tile],
                )


@njit(error_model="numpy")
def sums_to_rings(points, sums, t, scratch, fields, tiles):
    """Fourier stage of a synthesis: overwrites the rings of these tiles."""
    for tile in range(tiles[0], tiles[1]):
        own = _sums_of(sums, tile - tiles[0], t, fields)
        tile_to_rings(points, own, tile, t, scratch, fields, False)


@njit(error_model="numpy")
def rings_to_sums(sums, points, t, scratch, fields, tiles):
    """Fourier stage of an analysis: overwrites the sums of these tiles."""
    for tile in range(tiles[0], tiles[1]):
        own = _sums_of(sums, tile - tiles[0], t, fields)
        own[:] = 0.0
        rings_to_tile(own, points, tile, t, scratch, fields, False)


@njit(error_model="numpy")
def _adjoint_of_rings(dpoints, dsums, t, scratch, fields, tiles):
    for tile in range(tiles[0], tiles[1]):
        own = _sums_of(dsums, tile - tiles[0], t, fields)
        rings_to_tile(own, dpoints, tile, t, scratch, fields, True)
        if not scratch.alone:
            clear_rings(dpoints, tile, t, fields)


@njit(error_model="numpy")
def _adjoint_of_sums(dsums, dpoints, t, scratch, fields, tiles):
    for tile in range(tiles[0], tiles[1]):
        own = _sums_of(dsums, tile - tiles[0], t, fields)
        tile_to_rings(dpoints, own, tile, t, scratch, fields, True)
        own[:] = 0.0


@njit(error_model="numpy")
def _sums_of(sums, k, t, fields):
    passes, ngroups, _ = t.legendre.first.shape
    size = ngroups * passes * fields * PHASES
    return sums[k * size : (k + 1) * size]


# They overwrite what belongs to these tiles, not the whole of an array: their adjoints clear it.
register(LinearRule(sums_to_rings, adjoint=_adjoint_of_rings, scratch=(3,), accumulates=True))
register(LinearRule(rings_to_sums, adjoint=_adjoint_of_sums, scratch=(3,), accumulates=True))


@njit(error_model="numpy")
def _pack(coef, a, t, fields, groups, add):
    columns, size = t.legendre.columns, len(a) // fields
    for field in range(0, fields, columns):
        own = a[field * size : (field + columns) * size]
        pack_into(coef, own, field, fields, groups, add, t.legendre)


@njit(error_model="numpy")
def _unpack(a, coef, t, fields, groups, add):
    columns, size = t.legendre.columns, len(a) // fields
    for field in range(0, fields, columns):
        own = a[field * size : (field + columns) * size]
        unpack_into(own, coef, field, fields, groups, add, t.legendre)


@njit(error_model="numpy")
def pack_coefficients_into(coef, a, t, fields, groups, alone):
    """Coefficients as the Legendre stage takes them: scaled, orders side by side.

    Those of `groups`, as for `coef_to_sums`, are overwritten. `alone` as `RingScratch` has it.
    """
    _pack(coef, a, t, fields, groups, False)


@njit(error_model="numpy")
def unpack_coefficients_into(a, coef, t, fields, groups, alone):
    """The transpose of `pack_coefficients_into`."""
    _unpack(a, coef, t, fields, groups, False)


@njit(error_model="numpy")
def _add_unpacked(dcoef, da, t, fields, groups, alone):
    if alone:
        _unpack(da, dcoef, t, fields, groups, False)
    else:
        _unpack(da, dcoef, t, fields, groups, True)
    starts, each = t.legendre.starts, fields * WIDTH
    dcoef[starts[groups[0]] * each : starts[groups[1]] * each] = 0.0


@njit(error_model="numpy")
def _add_packed(da, dcoef, t, fields, groups, alone):
    if alone:
        _pack(dcoef, da, t, fields, groups, False)
    else:
        _pack(dcoef, da, t, fields, groups, True)
        begin, end = span_of_groups(groups, t.legendre)
        for k in range(0, len(da), t.legendre.ncoef):
            da[k + begin : k + end] = 0.0


# As of rings: they overwrite what belongs to these groups.
register(LinearRule(pack_coefficients_into, adjoint=_add_unpacked, accumulates=True))
register(LinearRule(unpack_coefficients_into, adjoint=_add_packed, accumulates=True))
