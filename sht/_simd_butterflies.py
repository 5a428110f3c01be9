"""Discrete Fourier transforms of few complex numbers, each of them a vector for every part.

``b_j = Σ_k a_k exp(2πi j k / n)``, written out as LLVM instructions, so that all numbers stay in
registers. Numba would take seconds over a thousand additions of vectors.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from llvmlite import ir
from numba.core import types

from ._simd import FLAGS, LANES, filled, intrinsic, pointer_to, vector

RADICES = 8, 7, 6, 5, 4, 3, 2


class _Complex(NamedTuple):
    """A complex number for each lane, and the builder that its operations go to."""

    builder: Any
    re: Any
    im: Any

    def plus(self, other: _Complex) -> _Complex:
        add = self.builder.fadd
        re, im = add(self.re, other.re, flags=FLAGS), add(self.im, other.im, flags=FLAGS)
        return _Complex(self.builder, re, im)

    def minus(self, other: _Complex) -> _Complex:
        subtract = self.builder.fsub
        re, im = subtract(self.re, other.re, flags=FLAGS), subtract(self.im, other.im, flags=FLAGS)
        return _Complex(self.builder, re, im)

    def plus_i(self, other: _Complex) -> _Complex:
        """``self + i other``."""
        re = self.builder.fsub(self.re, other.im, flags=FLAGS)
        return _Complex(self.builder, re, self.builder.fadd(self.im, other.re, flags=FLAGS))

    def minus_i(self, other: _Complex) -> _Complex:
        """``self - i other``."""
        re = self.builder.fadd(self.re, other.im, flags=FLAGS)
        return _Complex(self.builder, re, self.builder.fsub(self.im, other.re, flags=FLAGS))

    def times(self, factor: float) -> _Complex:
        constant = ir.Constant(self.re.type, [factor] * LANES)
        re = self.builder.fmul(self.re, constant, flags=FLAGS)
        return _Complex(self.builder, re, self.builder.fmul(self.im, constant, flags=FLAGS))

    def turned(self, cosine: Any, sine: Any) -> _Complex:
        """Times a complex number."""
        multiply = self.builder.fmul
        one, other = multiply(self.re, cosine, flags=FLAGS), multiply(self.im, sine, flags=FLAGS)
        re = self.builder.fsub(one, other, flags=FLAGS)
        one, other = multiply(self.re, sine, flags=FLAGS), multiply(self.im, cosine, flags=FLAGS)
        return _Complex(self.builder, re, self.builder.fadd(one, other, flags=FLAGS))


def _transformed(a: list[_Complex]) -> list[_Complex]:
    n = len(a)
    if n == 2:
        return [a[0].plus(a[1]), a[0].minus(a[1])]
    if n == 4:
        (p, q), (r, s) = _transformed(a[::2]), _transformed(a[1::2])
        return [p.plus(r), q.plus_i(s), p.minus(r), q.minus_i(s)]
    if n == 6:  # as two times three, which with numbers in this order needs no factors (Good, 1958)
        (p, q, r), (s, t, u) = _transformed(a[::2]), _transformed([a[3], a[5], a[1]])
        return [p.plus(s), q.minus(t), r.plus(u), p.minus(s), q.plus(t), r.minus(u)]
    if n == 8:
        (p, q, r, s), (t, u, v, w) = _transformed(a[::2]), _transformed(a[1::2])
        u, w = u.plus_i(u).times(math.sqrt(0.5)), w.minus_i(w).times(math.sqrt(0.5))
        low, high = [p.plus(t), q.plus(u)], [p.minus(t), q.minus(u)]
        return [*low, r.plus_i(v), s.minus(w), *high, r.minus_i(v), s.plus(w)]
    # An odd n, as cosines times even sums and sines times odd ones.
    even = [a[k].plus(a[n - k]) for k in range(1, n // 2 + 1)]
    odd = [a[k].minus(a[n - k]) for k in range(1, n // 2 + 1)]
    first, low, high = a[0], [], []
    for each in even:
        first = first.plus(each)
    for j in range(1, n // 2 + 1):
        angles = [2.0 * math.pi * (j * k % n) / n for k in range(1, n // 2 + 1)]
        cosines, sines = a[0], odd[0].times(math.sin(angles[0]))
        for angle, each in zip(angles, even, strict=True):
            cosines = cosines.plus(each.times(math.cos(angle)))
        for angle, each in zip(angles[1:], odd[1:], strict=True):
            sines = sines.plus(each.times(math.sin(angle)))
        low.append(cosines.plus_i(sines))
        high.append(cosines.minus_i(sines))
    return [first, *low, *reversed(high)]


@intrinsic(prefer_literal=True)
def butterfly(
    typing_context: Any,
    x: Any,
    first: Any,
    step: Any,
    roots: Any,
    k: Any,
    re: Any,
    radix: Any,
    before: Any,
) -> Any:
    """Transform `radix` complex numbers in place, and turn all but the first of them by roots.

    Parameters
    ----------
    x : (2 * LANES * n,) float64
        n complex numbers, real parts of all lanes before imaginary parts.
    first, step : int
        Which number is first, and how far it is to the next.
    roots : (...) float64
        Number j > 0 is multiplied by the complex one at ``k + 2 (j - 1)``.
    k : int
    re : int
        0, or `LANES`: then real and imaginary parts change their roles, and i its sign.
    radix : int
        A constant, one of `RADICES`.
    before : int
        A constant. 0: turn what comes out; 1: what goes in, which is the transpose.
    """

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        number, kind = ir.IntType(64), context.get_value_type(vector)

        def part(j: int, offset: Any) -> Any:
            index = builder.add(args[1], builder.mul(args[2], number(j)))
            index = builder.add(builder.mul(index, number(2 * LANES)), offset)
            pointer = pointer_to(context, builder, sig.args[0], args[0], index)
            return builder.bitcast(pointer, kind.as_pointer())

        def root(j: int) -> Any:
            index = builder.add(args[4], number(j))
            value = builder.load(pointer_to(context, builder, sig.args[3], args[3], index))
            return filled(builder, value)

        n = radix.literal_value
        im = builder.sub(number(LANES), args[5])
        places = [(part(j, args[5]), part(j, im)) for j in range(n)]
        values = [
            _Complex(builder, *(builder.load(place, align=8) for place in pair)) for pair in places
        ]

        def all_turned(values: list[_Complex]) -> list[_Complex]:
            factors = [(root(2 * j), root(2 * j + 1)) for j in range(n - 1)]
            others = [v.turned(*f) for v, f in zip(values[1:], factors, strict=True)]
            return [values[0], *others]

        if before.literal_value:
            values = _transformed(all_turned(values))
        else:
            values = all_turned(_transformed(values))
        for value, place in zip(values, places, strict=True):
            builder.store(value.re, place[0], align=8)
            builder.store(value.im, place[1], align=8)
        return context.get_dummy_value()

    constant = all(isinstance(each, types.IntegerLiteral) for each in (radix, before))
    if not constant or radix.literal_value not in RADICES:
        raise TypeError(f"`butterfly(..., radix, before)` takes constants. Got {radix}, {before}.")
    return types.void(x, *(types.intp,) * 2, roots, *(types.intp,) * 2, radix, before), codegen
