"""Coefficients between the order of the user and that of the Legendre stage, one to a thread.

What `pack_into` and `unpack_into` of `_scalar`, `_spin` and `_vector` do, gathered: each thread
writes what is its own, so that a map and its transpose are the two functions here.
"""

from __future__ import annotations

from numba import njit

from ._lane_rings import get, put
from ._legendre import WIDTH
from ._simd import LANES
from ._spin import spin_sign
from ._vector import carried, degrees_of_steps, steps_of_degrees


@njit(error_model="numpy")
def pack_of(i, coef, a, t, fields):
    """Thread i: one lane of one step of one field, as the Legendre stage takes it.

    Parameters
    ----------
    coef : (nsteps * fields * WIDTH,) float64
    a : (fields * components * ncoef,) complex
    t : PackingTables
    fields : int
    """
    nsteps = len(t.groups)
    lane, rest = i % LANES, i // LANES
    step, field = rest % nsteps, rest // nsteps
    g = t.groups[step]
    start, steps = t.starts[g], t.starts[g + 1] - t.starts[g]
    m, k = g * LANES + lane, step - start
    begin, count = t.begins[m], t.counts[m]
    if t.columns == 2:
        values = _vector_step(a, field, m, k, t)
    elif t.spin == 0:
        values = _scalar_step(a, field * t.ncoef + begin, count, step, k, lane, t)
    else:
        values = _spin_step(a, 2 * field * t.ncoef + begin, count, step, k, m, t)
    at = (start * fields + field * steps + k) * WIDTH + lane
    put(coef, at, values[0])
    put(coef, at + LANES, values[1])
    put(coef, at + 2 * LANES, values[2])
    put(coef, at + 3 * LANES, values[3])


@njit(error_model="numpy")
def _scalar_step(a, n, count, step, k, lane, t):
    c = step * 3 * LANES + lane
    even, odd = 0.0j, 0.0j
    if 2 * k < count:
        even += get(t.factors, c) * get(a, n + 2 * k)
    if 2 * k + 2 < count:
        even += get(t.factors, c + LANES) * get(a, n + 2 * k + 2)
    if 2 * k + 1 < count:
        odd += get(t.factors, c + 2 * LANES) * get(a, n + 2 * k + 1)
    return even.real, even.imag, odd.real, odd.imag


@njit(error_model="numpy")
def _spin_step(a, n, count, step, k, m, t):
    if k >= count:
        return 0.0, 0.0, 0.0, 0.0
    sign, real = spin_sign(t, m, k), get(t.factors, step * LANES + m % LANES)
    imag = real if m > 0 else 0.0
    e, b = get(a, n + k), get(a, t.ncoef + n + k)
    e_re, e_im, b_re, b_im = real * e.real, imag * e.imag, real * b.real, imag * b.imag
    return b_im - e_re, -e_im - b_re, sign * (e_re + b_im), sign * (e_im - b_re)


@njit(error_model="numpy")
def _vector_step(a, field, m, i, t):
    """One step of Q, or of U if the number of the field is odd."""
    e = (field - field % 2) * t.ncoef + t.begins[m]
    b = e + t.ncoef
    of_e, of_b = _five_degrees(a, e, m, 2 * i, 0, t), _five_degrees(a, b, m, 2 * i, 1, t)
    q, u = steps_of_degrees(_factors_of(t, m, i), of_e, of_b)
    return q if field % 2 == 0 else u


@njit(error_model="numpy")
def _five_degrees(a, begin, m, k, which, t):
    """Degrees k - 1 … k + 3 of an order, scaled; 0 where there is none."""
    return (
        _degree_of(a, begin, m, k - 1, which, t),
        _degree_of(a, begin, m, k, which, t),
        _degree_of(a, begin, m, k + 1, which, t),
        _degree_of(a, begin, m, k + 2, which, t),
        _degree_of(a, begin, m, k + 3, which, t),
    )


@njit(error_model="numpy")
def _degree_of(a, begin, m, k, which, t):
    if k < 0 or k >= t.counts[m]:
        return 0.0, 0.0
    scale, value = t.scale[which, m + k], get(a, begin + k)
    return scale * value.real, scale * value.imag


@njit(error_model="numpy")
def _vector_degree(coef, base, steps, field, m, degree, t):
    """One degree of E, or of B if the number of the field is odd."""
    q = base - field % 2 * steps * WIDTH
    u, i = q + steps * WIDTH, degree // 2
    before = carried(
        _factors_of(t, m, i - 1),
        _step_at(coef, q, i - 1, steps),
        _step_at(coef, u, i - 1, steps),
    )
    a0 = _factors_of(t, m, i + 1)[0]
    following = a0, _step_at(coef, q, i + 1, steps), _step_at(coef, u, i + 1, steps)
    own = _step_at(coef, q, i, steps), _step_at(coef, u, i, steps)
    e, b = degrees_of_steps(_factors_of(t, m, i), *own, before, following)
    two = e if field % 2 == 0 else b
    scale = t.scale[field % 2, m + degree]
    if degree % 2:
        return complex(scale * two[2], scale * two[3])
    return complex(scale * two[0], scale * two[1])


@njit(error_model="numpy")
def _step_at(coef, begin, i, steps):
    """The four numbers of a step; 0 where there is none."""
    if i < 0 or i >= steps:
        return 0.0, 0.0, 0.0, 0.0
    k = begin + i * WIDTH
    return get(coef, k), get(coef, k + LANES), get(coef, k + 2 * LANES), get(coef, k + 3 * LANES)


@njit(error_model="numpy")
def _factors_of(t, m, i):
    """The eight factors of a step; 0 where there is none."""
    g, f = m // LANES, t.factors
    if i < 0 or i >= t.starts[g + 1] - t.starts[g]:
        return 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    k = (t.starts[g] + i) * 8 * LANES + m % LANES
    return (
        *(get(f, k), get(f, k + LANES), get(f, k + 2 * LANES), get(f, k + 3 * LANES)),
        *(get(f, k + 4 * LANES), get(f, k + 5 * LANES)),
        *(get(f, k + 6 * LANES), get(f, k + 7 * LANES)),
    )


@njit(error_model="numpy")
def unpack_of(i, a, coef, t, fields):
    """Thread i: one coefficient, with spin the E and the B of one field. The transpose of packing.

    Of vectors one coefficient, those of E first.

    Arguments as for `pack_of`.
    """
    n, field = i % t.ncoef, i // t.ncoef
    m = t.orders[n]
    degree = n - t.begins[m]
    g, lane = m // LANES, m % LANES
    start, steps = t.starts[g], t.starts[g + 1] - t.starts[g]
    base = (start * fields + field * steps) * WIDTH + lane
    if t.columns == 2:
        put(a, i, _vector_degree(coef, base, steps, field, m, degree, t))
        return
    if t.spin == 0:
        k = degree // 2
        c, at = (start + k) * 3 * LANES + lane, base + k * WIDTH
        if degree % 2:
            factor, at = get(t.factors, c + 2 * LANES), at + 2 * LANES
            re, im = factor * get(coef, at), factor * get(coef, at + LANES)
        else:
            factor = get(t.factors, c)
            re, im = factor * get(coef, at), factor * get(coef, at + LANES)
            if k > 0:
                factor, at = get(t.factors, c - 2 * LANES), at - WIDTH
                re += factor * get(coef, at)
                im += factor * get(coef, at + LANES)
        put(a, i, complex(re, im))
        return
    e, b = 0.0j, 0.0j
    if degree >= 0:  # those below the spin are 0
        sign, real = spin_sign(t, m, degree), get(t.factors, (start + degree) * LANES + lane)
        imag = real if m > 0 else 0.0
        at = base + degree * WIDTH
        plus_re, plus_im = get(coef, at), get(coef, at + LANES)
        minus_re, minus_im = sign * get(coef, at + 2 * LANES), sign * get(coef, at + 3 * LANES)
        e = complex(real * (minus_re - plus_re), imag * (minus_im - plus_im))
        b = complex(real * (-plus_im - minus_im), imag * (plus_re + minus_re))
    at = 2 * field * t.ncoef + n
    put(a, at, e)
    put(a, at + t.ncoef, b)
