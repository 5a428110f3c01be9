r"""What lies around the Legendre stage for tangential vectors: each component is a sum of scalars.

With E and B as in `_spin` for spin 1, and L = sqrt(l(l+1)), the components Q and U are

    Q = Σ (λ' E - i m λ / sin θ B) / L,  U = Σ (λ' B + i m λ / sin θ E) / L,

where ``sin θ λ_l' = l ε_{l+1} λ_{l+1} - (l+1) ε_l λ_{l-1}``, the derivative by θ. Sorted by the
functions λ_l / sin θ, which have the recurrence of λ_l, that is

    Q_l = α_l E_{l-1} - β_l E_{l+1} - i μ_l B_l,  U_l = α_l B_{l-1} - β_l B_{l+1} + i μ_l E_l,
    α_l = ε_l sqrt((l-1) / l),  β_l = ε_{l+1} sqrt((l+2) / (l+1)),  μ_l = m / L,  l <= lmax + 1.

Of order 0, ``λ_l' = L λ_l1``: function k of that lane is λ_{k+1,1}, with α = μ = 0 and β = -1.

A step has of these what it has of scalars, e Q_k + f Q_{k+2} and o Q_{k+1}, where k = 2i counts
from degree m on, and e, f, o are the factors of scalars. In terms of E and B,

    a0 E_{k-1} + a1 E_{k+1} + a2 E_{k+3} - i (b0 B_k + b1 B_{k+2})  and
    c0 E_k + c1 E_{k+2} - i d B_{k+1},

and of U with B and -E in their places. The eight rows of ``factors`` are a0, a1, a2, b0, b1, c0,
c1 and d. Both components then pass both stages as scalars.

The functions are compiled as overloads of those in `_kinds`.
"""

from __future__ import annotations

from numba import njit

from ._legendre import WIDTH
from ._scalar import put_degrees, put_vector, two_degrees, whole_steps
from ._simd import LANES, load_vector, splat

# The formulas: for vectors, and for single numbers on a device.
# Degrees are pairs (real, imaginary), steps four numbers: two of them.


@njit(error_model="numpy")
def steps_of_degrees(f, e, b):
    """What a step has of Q and of U. `f` are its factors, e and b have degrees k - 1 … k + 3."""
    q, u = _straight(f, e), _straight(f, b)
    v, w = _turned(f, b), _turned(f, e)
    return (
        (q[0] + v[0], q[1] - v[1], q[2] + v[2], q[3] - v[3]),
        (u[0] - w[0], u[1] + w[1], u[2] - w[2], u[3] + w[3]),
    )


@njit(error_model="numpy")
def _straight(f, x):
    return (
        f[0] * x[0][0] + f[1] * x[2][0] + f[2] * x[4][0],
        f[0] * x[0][1] + f[1] * x[2][1] + f[2] * x[4][1],
        f[5] * x[1][0] + f[6] * x[3][0],
        f[5] * x[1][1] + f[6] * x[3][1],
    )


@njit(error_model="numpy")
def _turned(f, x):
    return (
        f[3] * x[1][1] + f[4] * x[3][1],
        f[3] * x[1][0] + f[4] * x[3][0],
        f[7] * x[2][1],
        f[7] * x[2][0],
    )


@njit(error_model="numpy")
def degrees_of_steps(f, q, u, before, following):
    """E and B of degrees k and k + 1: the transpose.

    `f`, q, u are of this step; `before` is what `carried` says of the step before, `following` the
    a0 of the step after and what that has of Q and U.
    """
    a0, q_after, u_after = following
    e, b = (
        _straight_back(f, q, before[0], a0, q_after),
        _straight_back(f, u, before[1], a0, u_after),
    )
    v, w = _turned_back(f, q, before[0]), _turned_back(f, u, before[1])
    return (
        (e[0] + w[1], e[1] - w[0], e[2] + w[3], e[3] - w[2]),
        (b[0] - v[1], b[1] + v[0], b[2] - v[3], b[3] + v[2]),
    )


@njit(error_model="numpy")
def carried(f, q, u):
    """What a step has of degrees k + 2 and k + 3, for Q and for U."""
    return _carried(f, q), _carried(f, u)


@njit(error_model="numpy")
def _carried(f, s):
    return f[6] * s[2], f[6] * s[3], f[2] * s[0], f[2] * s[1], f[4] * s[0], f[4] * s[1]


@njit(error_model="numpy")
def _straight_back(f, s, before, a0, after):
    return (
        f[5] * s[2] + before[0],
        f[5] * s[3] + before[1],
        f[1] * s[0] + a0 * after[0] + before[2],
        f[1] * s[1] + a0 * after[1] + before[3],
    )


@njit(error_model="numpy")
def _turned_back(f, s, before):
    return f[3] * s[0] + before[4], f[3] * s[1] + before[5], f[7] * s[2], f[7] * s[3]


def pack_into(coef, a, field, fields, groups, add, tables):
    """Packed E and B as two fields of scalars, `field` and the next, or `add` them to it."""
    e, b = a[: tables.ncoef], a[tables.ncoef :]
    of_e, of_b, zero = tables.scale[0], tables.scale[1], splat(0.0)
    for g in range(groups[0], groups[1]):
        start, steps = tables.starts[g], tables.starts[g + 1] - tables.starts[g]
        of_q = (start * fields + field * steps) * WIDTH
        of_u, whole = of_q + steps * WIDTH, whole_steps(g, tables)
        e0, b0 = (zero, zero), (zero, zero)
        e1, e2 = _two_degrees(e, g, 0, of_e, whole > 0, tables)
        b1, b2 = _two_degrees(b, g, 0, of_b, whole > 0, tables)
        for i in range(steps):
            e3, e4 = _two_degrees(e, g, 2 * i + 2, of_e, i < whole, tables)
            b3, b4 = _two_degrees(b, g, 2 * i + 2, of_b, i < whole, tables)
            f = _factors_of(tables.factors, start + i)
            q, u = steps_of_degrees(f, (e0, e1, e2, e3, e4), (b0, b1, b2, b3, b4))
            _put_step(coef, of_q + i * WIDTH, q, add)
            _put_step(coef, of_u + i * WIDTH, u, add)
            e0, e1, e2, b0, b1, b2 = e2, e3, e4, b2, b3, b4


def unpack_into(a, coef, field, fields, groups, add, tables):
    """The transpose of `pack_into`."""
    e, b = a[: tables.ncoef], a[tables.ncoef :]
    zero = splat(0.0)
    none = (zero, zero, zero, zero, zero, zero)
    for g in range(groups[0], groups[1]):
        start, steps = tables.starts[g], tables.starts[g + 1] - tables.starts[g]
        of_q = (start * fields + field * steps) * WIDTH
        of_u, whole = of_q + steps * WIDTH, whole_steps(g, tables)
        before = none, none
        q, u = _load_step(coef, of_q), _load_step(coef, of_u)
        for i in range(steps):
            # Behind the last step is none; what stands for it is not used, its a0 is 0.
            after = min(i + 1, steps - 1)
            q_after, u_after = (
                _load_step(coef, of_q + after * WIDTH),
                _load_step(coef, of_u + after * WIDTH),
            )
            a0 = load_vector(tables.factors, (start + i + 1) * 8 * LANES) if i + 1 < steps else zero
            f = _factors_of(tables.factors, start + i)
            of_e, of_b = degrees_of_steps(f, q, u, before, (a0, q_after, u_after))
            _put_scaled(e, of_e, g, 2 * i, tables.scale[0], i < whole, add, tables)
            _put_scaled(b, of_b, g, 2 * i, tables.scale[1], i < whole, add, tables)
            before = carried(f, q, u)
            q, u = q_after, u_after


@njit(error_model="numpy")
def _factors_of(factors, step):
    k = step * 8 * LANES
    return (
        load_vector(factors, k),
        load_vector(factors, k + LANES),
        load_vector(factors, k + 2 * LANES),
        load_vector(factors, k + 3 * LANES),
        load_vector(factors, k + 4 * LANES),
        load_vector(factors, k + 5 * LANES),
        load_vector(factors, k + 6 * LANES),
        load_vector(factors, k + 7 * LANES),
    )


@njit(error_model="numpy")
def _two_degrees(a, g, k, scale, whole, tables):
    here, above = _scales(g, k, scale)
    values = two_degrees(a, g, k, whole, tables)
    return (here * values[0], here * values[1]), (above * values[2], above * values[3])


@njit(error_model="numpy")
def _put_scaled(a, values, g, k, scale, whole, add, tables):
    here, above = _scales(g, k, scale)
    scaled = here * values[0], here * values[1], above * values[2], above * values[3]
    put_degrees(a, g, k, scaled, whole, add, tables)


@njit(error_model="numpy")
def _scales(g, k, scale):
    return load_vector(scale, g * LANES + k), load_vector(scale, g * LANES + k + 1)


@njit(error_model="numpy")
def _load_step(coef, k):
    return (
        load_vector(coef, k),
        load_vector(coef, k + LANES),
        load_vector(coef, k + 2 * LANES),
        load_vector(coef, k + 3 * LANES),
    )


@njit(error_model="numpy")
def _put_step(coef, k, s, add):
    put_vector(coef, k, s[0], add)
    put_vector(coef, k + LANES, s[1], add)
    put_vector(coef, k + 2 * LANES, s[2], add)
    put_vector(coef, k + 3 * LANES, s[3], add)
