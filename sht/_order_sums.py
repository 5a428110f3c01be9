"""Sums over the degrees of one order at any colatitudes, and their transpose.

Polynomials are made on the fly, for `LANES` points at a time, and everything here differentiates
with respect to x = cos θ and s = sin θ, too. The recurrence is that of `_legendre_tables`,
``q_{i+1} = A_i x q_i - q_{i-1}`` with P_l = κ_i q_i at step i = l - m.

For large m and small s, sin^m θ is smaller than any float64. Each point therefore has an exponent:
its polynomials are ``q * 2**(800 * exponent)``, exponent <= 0, and nothing is added while it is
below 0, where they are smaller than 1e-90 (as in M. Reinecke, D. S. Seljebotn, A&A 554 (2013) A112,
section 3.1). A power of two changes no digit, and has no derivative.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numba.core import types

from ._simd import LANES, intrinsic, load_vector, store_vector, vector

STRIDE = 4
"""Degrees that are taken at once: what is loaded and stored for each point serves them all."""

RESCALE = 16  # degrees between two looks at the exponents; polynomials grow 1e25-fold at most
_BIG, SMALL = 2.0**800, 2.0**-800
_HIGH, _LOW = 2.0**400, 2.0**-400


class OrderTables(NamedTuple):
    """Recurrence and scaling of all orders: O(lmax²) numbers, two for each coefficient.

    Attributes
    ----------
    lmax, mmax : int
    recurrence : (nsteps,) float64
        A_i, one order after the other: see `first_step`. Zero beyond the last degree.
    scale : (nsteps,) float64
        κ_i; zero beyond the last degree.
    ratio : (mmax + 1,) float64
        λ_00, then λ_mm / (λ_{m-1,m-1} sin θ).
    """

    lmax: int
    mmax: int
    recurrence: np.ndarray
    scale: np.ndarray
    ratio: np.ndarray


@njit(error_model="numpy")
def first_step(lmax, m):
    """Where order m begins; ``first_step(lmax, mmax + 1)`` is the number of all steps.

    An order has its degrees, and on to a multiple of `STRIDE`. Not by a sum over the orders before:
    what a loop carries along, Enzyme keeps.
    """
    return _sum_of_multiples(lmax + STRIDE) - _sum_of_multiples(lmax + STRIDE - m)


@njit(error_model="numpy")
def _sum_of_multiples(n):
    """Of i // STRIDE * STRIDE for i = 0 … n."""
    q, r = n // STRIDE, n % STRIDE
    return STRIDE * q * (STRIDE * (q - 1) // 2 + r + 1)


@njit(error_model="numpy")
def make_order_tables(lmax, mmax):
    """`OrderTables`, inside or outside of ``@njit`` code."""
    total = first_step(lmax, mmax + 1)
    recurrence, scale, ratio = np.zeros(total), np.zeros(total), np.zeros(mmax + 1)
    for m in range(mmax + 1):
        begin = first_step(lmax, m)
        ratio[m] = -np.sqrt((2.0 * m + 1.0) / (2.0 * m)) if m > 0 else np.sqrt(0.25 / np.pi)
        before, now = 1.0, 1.0  # κ at steps i and i + 1
        for i in range(lmax - m + 1):
            here, above = _epsilon(m + i + 1.0, m), _epsilon(m + i + 2.0, m)
            scale[begin + i] = before
            recurrence[begin + i] = before / (here * now)
            before, now = now, before * here / above
    return OrderTables(lmax, mmax, recurrence, scale, ratio)


@njit(error_model="numpy")
def _epsilon(l, m):  # noqa: E741
    return np.sqrt((l - m) * (l + m) / (4.0 * l * l - 1.0))


@njit(error_model="numpy")
def scaled_into(c, a, t, factor):
    """Packed coefficients in the order of the steps, times κ, and times a factor if m > 0.

    c is (2 * nsteps,) float64: real and imaginary parts. What lies beyond the last degree of an
    order is left as it is.
    """
    k = 0
    for m in range(t.mmax + 1):
        begin = first_step(t.lmax, m)
        for i in range(t.lmax - m + 1):
            scale = t.scale[begin + i] * (factor if m > 0 else 1.0)
            c[2 * (begin + i)] = scale * a[k].real
            c[2 * (begin + i) + 1] = scale * a[k].imag
            k += 1


@njit(error_model="numpy")
def unscaled_into(a, c, t, factor):
    """The transpose of `scaled_into`; the imaginary parts of order 0 are 0."""
    k = 0
    for m in range(t.mmax + 1):
        begin = first_step(t.lmax, m)
        for i in range(t.lmax - m + 1):
            scale = t.scale[begin + i] * (factor if m > 0 else 1.0)
            imag = c[2 * (begin + i) + 1] if m > 0 else 0.0
            a[k] = complex(scale * c[2 * (begin + i)], scale * imag)
            k += 1


@njit(error_model="numpy")
def sectoral_into(sectoral, exponent, s, ratio):
    """λ_mm = sectoral 2^(800 exponent) for all orders, one after the other.

    Parameters
    ----------
    sectoral, exponent : ((mmax + 1) * n,) float64
        Overwritten.
    s : (n,) float64
        sin θ.
    ratio : (mmax + 1,) float64
    """
    n = len(s)
    for j in range(n):
        sectoral[j] = ratio[0]
        exponent[j] = 0.0
    for m in range(1, len(ratio)):
        for j in range(n):
            k = (m - 1) * n + j
            value, power = next_sectoral(sectoral[k], exponent[k], ratio[m], s[j], m)
            sectoral[m * n + j] = value
            exponent[m * n + j] = power


@njit(error_model="numpy")
def next_sectoral(before, exponent, ratio, s, m):
    """λ_mm and its exponent, from those of the order before."""
    value = ratio * s * before
    # Not sin θ itself, which may vanish where its derivative does not, nor zeros.
    small = m > 1 and 0.0 < abs(value) < _LOW
    return value * _BIG if small else value, exponent - (1.0 if small else 0.0)


class Polynomials(NamedTuple):
    """The state of the recurrence at n points: work space of one thread.

    Attributes
    ----------
    now, before : (n,) float64
        q_i and q_{i-1} times 2^(-800 exponent).
    exponent : (n,) float64
    weight : (n,) float64
        1 where the exponent is 0, else 0.
    """

    now: np.ndarray
    before: np.ndarray
    exponent: np.ndarray
    weight: np.ndarray


@njit(error_model="numpy")
def make_polynomials(n):
    """`Polynomials` at n points, a multiple of `LANES`."""
    return Polynomials(np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n))


@njit(error_model="numpy")
def order_sums_into(re, im, c, x, sectoral, exponent, recurrence, state):
    """``re + i im = Σ_l λ_lm(θ) a_lm`` at each point.

    Parameters
    ----------
    re, im : (n,) float64
        Overwritten. n is a multiple of `LANES`.
    c : (2 * nsteps,) float64
        Real and imaginary part of a_lm κ, for l = m … lmax, then zeros.
    x : (n,) float64
        cos θ.
    sectoral, exponent : (n,) float64
        λ_mm: see `sectoral_into`.
    recurrence : (nsteps,) float64
        Of this order: see `OrderTables`.
    state : Polynomials
    """
    for j in range(len(x)):
        re[j] = 0.0
        im[j] = 0.0
    small = _start(state, sectoral, exponent)
    for i in range(0, len(recurrence), STRIDE):
        a0, a1, a2, a3 = _four(recurrence, i)
        re0, im0, re1, im1 = _four(c, 2 * i)
        re2, im2, re3, im3 = _four(c, 2 * i + 4)
        for j in range(0, len(x), LANES):
            t, w = load_vector(x, j), load_vector(state.weight, j)
            q0 = load_vector(state.now, j)
            q1 = a0 * t * q0 - load_vector(state.before, j)
            q2 = a1 * t * q1 - q0
            q3 = a2 * t * q2 - q1
            store_vector(state.before, j, q3)
            store_vector(state.now, j, a3 * t * q3 - q2)
            real = q0 * re0 + q1 * re1 + q2 * re2 + q3 * re3
            imag = q0 * im0 + q1 * im1 + q2 * im2 + q3 * im3
            store_vector(re, j, load_vector(re, j) + w * real)
            store_vector(im, j, load_vector(im, j) + w * imag)
        if small and (i + STRIDE) % RESCALE == 0:
            small = _rescale(state, len(x))


@njit(error_model="numpy")
def add_order_coefficients(c, re, im, x, sectoral, exponent, recurrence, state):
    """Adds ``κ Σ_j λ_lm(θ_j) (re_j + i im_j) / κ`` to each degree of c: the transpose.

    Arguments as for `order_sums_into`.
    """
    small = _start(state, sectoral, exponent)
    zero = zero_vector()
    for i in range(0, len(recurrence), STRIDE):
        a0, a1, a2, a3 = _four(recurrence, i)
        re0, im0, re1, im1 = zero, zero, zero, zero
        re2, im2, re3, im3 = zero, zero, zero, zero
        for j in range(0, len(x), LANES):
            t, w = load_vector(x, j), load_vector(state.weight, j)
            real, imag = w * load_vector(re, j), w * load_vector(im, j)
            q0 = load_vector(state.now, j)
            q1 = a0 * t * q0 - load_vector(state.before, j)
            q2 = a1 * t * q1 - q0
            q3 = a2 * t * q2 - q1
            store_vector(state.before, j, q3)
            store_vector(state.now, j, a3 * t * q3 - q2)
            re0, im0 = re0 + q0 * real, im0 + q0 * imag
            re1, im1 = re1 + q1 * real, im1 + q1 * imag
            re2, im2 = re2 + q2 * real, im2 + q2 * imag
            re3, im3 = re3 + q3 * real, im3 + q3 * imag
        k = 2 * i
        c[k] += sum_lanes(re0)
        c[k + 1] += sum_lanes(im0)
        c[k + 2] += sum_lanes(re1)
        c[k + 3] += sum_lanes(im1)
        c[k + 4] += sum_lanes(re2)
        c[k + 5] += sum_lanes(im2)
        c[k + 6] += sum_lanes(re3)
        c[k + 7] += sum_lanes(im3)
        if small and (i + STRIDE) % RESCALE == 0:
            small = _rescale(state, len(x))


@njit(error_model="numpy")
def _four(array, k):
    return splat(array, k), splat(array, k + 1), splat(array, k + 2), splat(array, k + 3)


@njit(error_model="numpy")
def _start(state, sectoral, exponent):
    """Sets the state to λ_mm; whether that is out of the range of float64 anywhere."""
    small = False
    for j in range(len(sectoral)):
        state.now[j] = sectoral[j]
        state.before[j] = 0.0
        state.exponent[j] = exponent[j]
        state.weight[j] = 1.0 if exponent[j] == 0.0 else 0.0
        small |= exponent[j] < 0.0
    return small


@njit(error_model="numpy")
def _rescale(state, n):
    """Brings polynomials that have become large back into range; as `_start`."""
    small = False
    for j in range(n):
        if has_grown(state.now[j], state.exponent[j]):
            state.now[j] *= SMALL
            state.before[j] *= SMALL
            state.exponent[j] += 1.0
            state.weight[j] = 1.0 if state.exponent[j] == 0.0 else 0.0
        small |= state.exponent[j] < 0.0
    return small


@njit(error_model="numpy")
def has_grown(now, exponent):
    """Whether a polynomial with an exponent is to be multiplied by `SMALL`, its exponent raised."""
    return exponent < 0.0 and abs(now) > _HIGH


@intrinsic
def splat(typing_context: Any, array: Any, index: Any) -> Any:
    """A vector filled with the one number ``array[index]``."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        number = builder.load(builder.gep(data, [args[1]]))
        filled = context.get_constant_undef(vector)
        for lane in range(LANES):
            filled = builder.insert_element(filled, number, _lane(context, lane))
        return filled

    return vector(array, types.intp), codegen


@intrinsic
def zero_vector(typing_context: Any) -> Any:
    """A vector of zeros."""
    return vector(), lambda context, builder, sig, args: context.get_constant_null(vector)


@intrinsic
def sum_lanes(typing_context: Any, value: Any) -> Any:
    """The sum of a vector's numbers."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        parts = [builder.extract_element(args[0], _lane(context, k)) for k in range(LANES)]
        while len(parts) > 1:
            half = len(parts) // 2
            parts = [builder.fadd(parts[k], parts[k + half]) for k in range(half)]
        return parts[0]

    return types.float64(value), codegen


def _lane(context: Any, k: int) -> Any:
    return context.get_constant(types.int32, k)
