"""Functions of C's mathematical library: its values, with derivatives from elsewhere."""

from __future__ import annotations

import math
from typing import Any

import numba
from numba.core import types
from numba.extending import overload, register_jitable

from ._inactive import constant, inactive
from ._target import TARGET_NAME


@numba.njit()
def _gamma_value(x: Any) -> Any:
    return math.gamma(x)


@numba.njit()
def _lgamma_value(x: Any) -> Any:
    return math.lgamma(x)


_gamma_of = inactive(_gamma_value)
_lgamma_of = inactive(_lgamma_value)
_FAR = 12.0  # from here on the series below is exact to double precision


@register_jitable
def _of_positive(x: float) -> float:
    """Log Γ(x) by Stirling's series (Abramowitz and Stegun 6.1.41), x moved to where it is good."""
    product = 1.0
    while x < _FAR:
        product *= x
        x += 1.0
    r = 1.0 / (x * x)
    series = 1 / 1188 - r * (691 / 360360 - r * (1 / 156 - r * 3617 / 122400))
    series = 1 / 12 - r * (1 / 360 - r * (1 / 1260 - r * (1 / 1680 - r * series)))
    return (x - 0.5) * math.log(x) - x + series / x - math.log(product)


@register_jitable
def _series(x: float) -> float:
    """Log |Γ(x)| up to a constant, for its derivatives."""
    if x > 0.0:
        return _of_positive(x)
    # Γ(x) Γ(1 - x) = π / sin πx
    part = x - constant((math.floor(x + 0.5),))
    return -math.log(abs(math.sin(math.pi * part))) - _of_positive(1.0 - x)


@register_jitable
def _at_the_edge(value: float, x: float) -> float:
    """An infinite value, or NaN, with a derivative that is not finite either."""
    return value * math.exp(x - constant((x,))) if math.isfinite(x) else value * abs(x)


@overload(math.lgamma, target=TARGET_NAME)
def _lgamma(x: Any) -> Any:
    if isinstance(x, (types.Integer, types.Boolean)):
        return lambda x: _lgamma_of((float(x),))
    if not isinstance(x, types.Float):
        return None

    def lgamma(x: Any) -> Any:
        value = _lgamma_of((x,))
        if not math.isfinite(value):
            return type(x)(_at_the_edge(value, x))
        change = _series(x)
        return type(x)(value + (change - constant((change,))))

    return lgamma


@overload(math.gamma, target=TARGET_NAME)
def _gamma(x: Any) -> Any:
    if isinstance(x, (types.Integer, types.Boolean)):
        return lambda x: _gamma_of((float(x),))
    if not isinstance(x, types.Float):
        return None

    def gamma(x: Any) -> Any:
        value = _gamma_of((x,))
        if not math.isfinite(value):
            return _at_the_edge(value, x)
        change = _series(x)
        return value * math.exp(change - constant((change,)))

    return gamma


@numba.njit()
def _ldexp_value(x: Any, exponent: Any) -> Any:
    return math.ldexp(x, exponent)


@numba.njit()
def _exponent(x: Any) -> Any:
    return math.frexp(x)[1]


_ldexp_of = inactive(_ldexp_value)
_exponent_of = inactive(_exponent)


@overload(math.ldexp, target=TARGET_NAME)
def _ldexp(x: Any, i: Any) -> Any:
    if not isinstance(x, types.Float):
        return None

    def ldexp(x: Any, i: Any) -> Any:
        half = i // 2  # 2^i may be too large where the result is not
        product = x * _ldexp_of((1.0, half)) * _ldexp_of((1.0, i - half))
        if not math.isfinite(product):
            return type(x)(product)
        return type(x)(_ldexp_of((x, i)) + (product - constant((product,))))

    return ldexp


@overload(math.frexp, target=TARGET_NAME)
def _frexp(x: Any) -> Any:
    if not isinstance(x, types.Float):
        return None

    def frexp(x: Any) -> Any:
        exponent = _exponent_of((x,))
        return math.ldexp(x, -exponent), exponent

    return frexp
