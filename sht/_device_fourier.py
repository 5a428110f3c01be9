"""The Fourier stage on a device, but for the FFTs: sums, half spectra of rings, points of rings.

The mathematics is that of `_fourier`: both ways and their transposes are two functions, with
factors. Each thread gathers what it writes, so that no two write one item. Half spectra and
values are in batches of rings of one length: see `enzyme_rules.cufft`.
"""

from __future__ import annotations

from numba import njit

from enzyme_rules.cufft import spectrum_of, values_of

from ._lane_rings import get, put
from ._legendre import PHASES
from ._legendre_tables import BLOCK
from ._simd import LANES, RINGS


@njit(error_model="numpy")
def spectra_of_sums(i, spectra, sums, t, fields, transposed):
    """Thread i: one wavenumber of one ring of one component, of a synthesis.

    The sum over all orders that look like it on n points: m = k + j n, and -m. If `transposed`, as
    the transpose of an analysis needs it: times half the area of a point, orders m > 0 once.

    Parameters
    ----------
    spectra : (fields * components * Σ (n // 2 + 1),) complex
    sums : (ntiles * ngroups * passes * fields * PHASES,) float64
    t : FourierTables
    fields : int
    transposed : int
        0 or 1.
    """
    width, nlat, components = t.longest // 2 + 1, len(t.places), t.passes
    k, rest = i % width, i // width
    ring, row = rest % nlat, rest // nlat
    n = t.batches.n[ring]
    if 2 * k > n:
        return
    field, part = row // components, row % components
    kept, alone = t.orders[ring], k == 0 or 2 * k == n
    re, im = 0.0, 0.0
    m = k
    while m <= kept:  # not a range, which raises for a step of 0
        value = _order_of_sums(sums, ring, part, field, m, t, fields)
        # Orders m > 0 stand for -m as well, which look the same here.
        weight = 2.0 if (alone and m > 0) or (transposed and m == 0) else 1.0
        re += weight * value.real
        im += weight * value.imag
        m += n
    m = n - k
    while m <= kept and not alone:
        value = _order_of_sums(sums, ring, part, field, m, t, fields)
        re += value.real
        im -= value.imag
        m += n
    im = 0.0 if alone else im
    factor = 0.5 * t.areas[ring] if transposed else 1.0
    at = spectrum_of(t.batches, ring, row, fields * components) + k
    put(spectra, at, complex(factor * re, factor * im))


@njit(error_model="numpy")
def _order_of_sums(sums, ring, part, field, m, t, fields):
    """One order of one component on one ring, turned by the ring's first longitude."""
    passes, ngroups = t.passes, t.ngroups
    pair, south = t.places[ring] // 2, t.places[ring] % 2
    at = (pair // RINGS * ngroups + m // LANES) * passes * fields + field
    at = at * PHASES + pair % RINGS * LANES + m % LANES
    if passes == 1:
        x = -t.x[pair] if south else t.x[pair]
        re = get(sums, at) + x * get(sums, at + 2 * BLOCK)
        im = get(sums, at + BLOCK) + x * get(sums, at + 3 * BLOCK)
    else:
        opposite = at + fields * PHASES
        plus = opposite if south else at
        minus = (at if south else opposite) + 2 * BLOCK
        plus_re, plus_im = get(sums, plus), get(sums, plus + BLOCK)
        minus_re, minus_im = get(sums, minus), get(sums, minus + BLOCK)
        if part == 0:
            re, im = plus_re + minus_re, plus_im + minus_im
        else:
            re, im = plus_im - minus_im, minus_re - plus_re
    return _turned(complex(re, im), ring, m, t, 1.0)


@njit(error_model="numpy")
def _turned(value, ring, m, t, sign):
    """Times exp(± i m φ0)."""
    row = t.rotation[ring]
    if row < 0:
        return value
    phase = t.phases[row, m]
    return value * complex(phase.real, sign * phase.imag)


@njit(error_model="numpy")
def sums_of_spectra(i, sums, spectra, t, fields, transposed):
    """Thread i: what one lane and pair of rings gives to the four sums of one pass, of an analysis.

    c_m Σ_i f_i exp(-i m φ_i), times the area of a point and with c_m = 1; if `transposed`, as the
    transpose of a synthesis needs it: without the area, c_m = 2 for m > 0. Arguments as for
    `spectra_of_sums`.
    """
    passes, ngroups = t.passes, t.ngroups
    lane, rest = i % LANES, i // LANES
    r, place = rest % RINGS, rest // RINGS
    field, rest = place % fields, place // fields
    mirror, rest = rest % passes, rest // passes
    m, pair = rest % ngroups * LANES + lane, rest // ngroups * RINGS + r
    one, other = t.pairs[pair, mirror], t.pairs[pair, 1 - mirror]
    first = _order_of_ring(spectra, one, 0, field, m, t, fields, transposed)
    second = _order_of_ring(spectra, other, 0, field, m, t, fields, transposed)
    if passes == 1:
        x = t.x[pair]
        values = (
            first.real + second.real,
            first.imag + second.imag,
            x * (first.real - second.real),
            x * (first.imag - second.imag),
        )
    else:
        # Of spin +s on one ring, and of -s on its mirror.
        u = _order_of_ring(spectra, one, 1, field, m, t, fields, transposed)
        v = _order_of_ring(spectra, other, 1, field, m, t, fields, transposed)
        values = (
            first.real - u.imag,
            first.imag + u.real,
            second.real + v.imag,
            second.imag - v.real,
        )
    at = place * PHASES + r * LANES + lane
    put(sums, at, values[0])
    put(sums, at + BLOCK, values[1])
    put(sums, at + 2 * BLOCK, values[2])
    put(sums, at + 3 * BLOCK, values[3])


@njit(error_model="numpy")
def _order_of_ring(spectra, ring, part, field, m, t, fields, transposed):
    """One order of one component on one ring, turned back; 0 where there is none."""
    if ring < 0 or m > t.orders[ring]:
        return 0.0j
    components, n = t.passes, t.batches.n[ring]
    begin = spectrum_of(t.batches, ring, field * components + part, fields * components)
    k = m % n
    beyond = 2 * k > n
    k = n - k if beyond else k
    value = get(spectra, begin + k)
    imag = 0.0 if k == 0 or 2 * k == n else (-value.imag if beyond else value.imag)
    factor = (2.0 if m > 0 else 1.0) if transposed else t.areas[ring]
    return factor * _turned(complex(value.real, imag), ring, m, t, -1.0)


@njit(error_model="numpy")
def points_of_values(i, points, values, t, rows):
    """Thread i: one point, from its batch into the field.

    Parameters
    ----------
    points : (rows * npoints,) float
        Ring after ring.
    values : (rows * npoints,) float
        In batches.
    t : FourierTables
    rows : int
        Components of all fields.
    """
    at, value = _point(i, t, rows)
    if at >= 0:
        put(points, at, get(values, value))


@njit(error_model="numpy")
def values_of_points(i, values, points, t, rows):
    """The inverse of `points_of_values`, which is its transpose."""
    at, value = _point(i, t, rows)
    if at >= 0:
        put(values, value, get(points, at))


@njit(error_model="numpy")
def _point(i, t, rows):
    """Where point i, counted as if all rings were as long as the longest, is in both; or -1."""
    j, rest = i % t.longest, i // t.longest
    ring, row = rest % len(t.places), rest // len(t.places)
    if j >= t.batches.n[ring]:
        return -1, -1
    at = row * t.npoints + t.offsets[ring] + j
    return at, values_of(t.batches, ring, row, rows) + j
