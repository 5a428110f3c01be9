"""Operators in coefficient space: adjoints, gradients inside @njit code, bad input."""

import functools
from typing import Any

import numpy as np
import pytest
from numba import njit

import sht
from llvm import hvp, jvp, value_and_grad
from sht import operators as op
from tests.sht_cases import EPS, difference
from tests.sht_operator_cases import (
    R,
    coefficients,
    each_operator,
    given_to,
    radius_of,
    wanted_of,
)

# Adjoints


@each_operator
@pytest.mark.parametrize(("lmax", "mmax"), [(0, 0), (5, 5), (31, 17)], ids=lambda n: str(n))
def test_dot(lmax, mmax, name):
    """Imaginary parts of order 0 as well: the maps are linear over the complex numbers."""
    x, y = given_to(name, lmax, mmax, (3,)), wanted_of(name, lmax, mmax, (3,))
    x[..., : lmax + 1] *= 1 + 2j
    y[..., : lmax + 1] *= 1 - 3j
    forth = getattr(op, name)(x, lmax, mmax, *radius_of(name))
    back = getattr(op, "adjoint_" + name)(y, lmax, mmax, *radius_of(name))
    assert back.shape == x.shape
    scale = np.linalg.norm(forth) * np.linalg.norm(y)
    assert abs(np.vdot(forth, y).real - np.vdot(x, back).real) <= 1e-13 * scale


def test_single_precision():
    """Computed in double precision from the rounded input."""
    for name, given in [
        ("coslat_wind", given_to("coslat_wind", 9, 4)),
        ("adjoint_coslat_wind", wanted_of("coslat_wind", 9, 4)),
    ]:
        rounded = given.astype(np.complex64)
        got = getattr(op, name)(rounded, 9, 4, R)
        assert got.dtype == np.complex64
        want = getattr(op, name)(rounded.astype(complex), 9, 4, R)
        assert np.max(np.abs(got - want)) <= 2 * np.finfo(np.float32).eps * np.max(np.abs(want))


# In a user's own @njit function, differentiated whole


@njit()
def scalars(a, radius, lmax, mmax, n1):
    """A cubic in the gradient of sin φ ∇²a, without its highest degree, and in ∇⁻²a."""
    b, c = np.empty_like(a), np.empty(n1, a.dtype)
    gradient = np.empty((2, n1), a.dtype)
    op.laplacian_into(b, a, lmax, mmax, radius)
    op.times_sinlat_into(c, b, lmax, mmax)
    op.coslat_gradient_into(gradient, b, lmax, mmax, radius)
    op.inverse_laplacian_into(b, a, lmax, mmax, radius)
    total = 0.0
    for k in range(n1):
        total += c[k].real ** 3 + gradient[0, k].imag ** 2 * c[k].imag + gradient[1, k].real ** 2
    for k in range(len(b)):
        total += b[k].real * b[k].imag * radius
    return total


@njit()
def vectors(vordiv, radius, lmax, mmax, n1):
    """As if U, V were u / cos φ, so that no grid is needed."""
    wind, back = np.empty((2, n1), vordiv.dtype), np.empty_like(vordiv)
    op.coslat_wind_into(wind, vordiv, lmax, mmax, radius)
    op.vorticity_divergence_into(back, wind, lmax, mmax, radius**2)
    total = 0.0
    for c in range(2):
        for k in range(back.shape[1]):
            total += back[c, k].real ** 3 + back[c, k].imag ** 2
        for k in range(n1):
            total += wind[c, k].real * wind[c, k].imag
    return total


LMAX, MMAX = 5, 3
CALLS = {
    "scalars": (scalars, coefficients(10, LMAX, MMAX), 1.3, LMAX, MMAX, sht.ncoef(LMAX + 1, MMAX)),
    "vectors": (
        vectors,
        coefficients(11, LMAX, MMAX, (2,)),
        1.3,
        LMAX,
        MMAX,
        sht.ncoef(LMAX + 1, MMAX),
    ),
}
each_call = pytest.mark.parametrize("name", CALLS)


@functools.cache
def gradient_at(name):
    function, *arguments = CALLS[name]
    return value_and_grad(function, argnums=(0, 1))(*arguments)


def direction(name, seed=12):
    rng, a = np.random.default_rng(seed), CALLS[name][1]
    return rng.standard_normal(a.shape) + 1j * rng.standard_normal(a.shape), 0.7


def by_hand(name) -> Any:
    """The same gradients from the public operators and their adjoints."""
    _, a, r, lmax, mmax, _ = CALLS[name]
    at = {"lmax": lmax, "mmax": mmax}
    if name == "scalars":
        b, p = op.laplacian(a, **at, radius=r), op.inverse_laplacian(a, **at, radius=r)
        c, (east, north) = op.times_sinlat(b, **at), op.coslat_gradient(b, **at, radius=r)
        c_bar = 3 * c.real**2 + 1j * east.imag**2
        g_bar = np.stack([2j * east.imag * c.imag, 2 * north.real + 0j])
        p_bar = r * (p.imag + 1j * p.real)
        b_bar = op.adjoint_times_sinlat(c_bar, **at)
        b_bar += op.adjoint_coslat_gradient(g_bar, **at, radius=r)
        a_bar = op.adjoint_laplacian(b_bar, **at, radius=r)
        a_bar += op.adjoint_inverse_laplacian(p_bar, **at, radius=r)
        slope = 2 * np.vdot(p_bar, p) - 2 * np.vdot(b_bar, b)
        slope -= np.vdot(g_bar, np.stack([east, north]))
        return a_bar, slope.real / r + np.sum(p.real * p.imag)
    wind = op.coslat_wind(a, **at, radius=r)
    back = op.vorticity_divergence(wind, **at, radius=r**2)
    back_bar = 3 * back.real**2 + 2j * back.imag
    w_bar = wind.imag + 1j * wind.real
    w_bar += op.adjoint_vorticity_divergence(back_bar, **at, radius=r**2)
    slope = np.vdot(w_bar, wind) - 2 * np.vdot(back_bar, back)
    return op.adjoint_coslat_wind(w_bar, **at, radius=r), slope.real / r


@each_call
def test_gradient_is_the_one_derived_by_hand(name):
    _, (a_bar, r_bar) = gradient_at(name)
    want_a, want_r = by_hand(name)
    assert difference(a_bar, want_a) <= 64 * EPS
    assert abs(r_bar - want_r) <= 256 * EPS * max(abs(want_r), np.max(np.abs(want_a)))


@each_call
def test_forward_mode_is_the_slope_of_reverse_mode(name):
    function, *arguments = CALLS[name]
    value, (a_bar, r_bar) = gradient_at(name)
    da, dr = direction(name)
    other, slope = jvp(function, tuple(arguments), [da, dr, None, None, None])
    want = np.vdot(a_bar, da).real + r_bar * dr
    assert abs(slope - want) <= 1e-12 * np.linalg.norm(a_bar) * np.linalg.norm(da)
    assert abs(value - other) <= 64 * EPS * abs(value)
    assert abs(value - function(*arguments)) <= 64 * EPS * abs(value)


@each_call
def test_central_differences(name):
    function, a, radius, *rest = CALLS[name]
    _, (a_bar, r_bar) = gradient_at(name)
    da, dr = direction(name)
    h = 1e-3
    (f1, b1), (f2, b2) = (
        [function(a + s * k * h * da, radius + s * k * h * dr, *rest) for s in (1, -1)]
        for k in (1, 2)
    )
    estimate = (8 * (f1 - b1) - (f2 - b2)) / (12 * h)
    want = np.vdot(a_bar, da).real + r_bar * dr
    assert abs(estimate - want) <= 1e-7 * np.linalg.norm(a_bar) * np.linalg.norm(da)


@each_call
def test_second_derivatives(name):
    function, a, radius, *rest = CALLS[name]
    da, dr = direction(name)
    found, (product_a, product_r) = hvp(function, (a, radius, *rest), [da, dr, None, None, None])
    assert difference(found[0], gradient_at(name)[1][0]) <= 64 * EPS
    h = 1e-4
    (a1, r1), (a2, r2) = (
        value_and_grad(function, argnums=(0, 1))(a + s * h * da, radius + s * h * dr, *rest)[1]
        for s in (1, -1)
    )
    assert difference((a1 - a2) / (2 * h), product_a) <= 1e-6
    assert abs((r1 - r2) / (2 * h) - product_r) <= 1e-6 * abs(product_r)


# Bad input


@each_operator
def test_kernels_check_sizes(name):
    """Nothing is written then."""
    kernel = getattr(op, name + "_into")
    x, y = given_to(name, 9, 4), np.full_like(wanted_of(name, 9, 4), 7)
    rest = (9, 4, *radius_of(name))
    kernel(y.copy(), x, *rest)
    shorter = np.ascontiguousarray(x[..., :-1])
    bad = [
        (y, shorter, *rest),
        (np.ascontiguousarray(y[..., :-1]), x, *rest),
        (y, x, 9, 10, *radius_of(name)),
        (y, x, 9, -1, *radius_of(name)),
        (y, x, 8, 4, *radius_of(name)),
    ]
    bad += [(y, np.stack([*x, *x]), *rest)] if x.ndim == 2 else []
    bad += [(np.stack([*y, *y]), x, *rest)] if y.ndim == 2 else []
    for output, given, *others in bad:
        with pytest.raises(ValueError, match=r"0 <= mmax <= lmax|output first|shape \(2, ncoef\)"):
            kernel(output, given, *others)
        assert np.all(output == 7)


@pytest.mark.parametrize("prefix", ["", "adjoint_"])
@each_operator
def test_calls_check_their_arguments(name, prefix):
    call = getattr(op, prefix + name)
    given = (wanted_of if prefix else given_to)(name, 9, 4)
    needs = rf"`{prefix}{name}\(\w+, lmax, mmax(, radius)?\)` needs"
    for bad, message in [
        ((given[..., :-1], 9, 4), rf"{needs} shape \(\.\.\., .*Got"),
        ((given, 9, 5), rf"{needs} shape"),
        ((given, 9, 10), rf"{needs} mmax <= lmax"),
        ((given, -1), rf"{needs} lmax >= 0"),
    ]:
        with pytest.raises(ValueError, match=message):
            call(*bad)
    with pytest.raises(TypeError, match=rf"{needs} dtype complex128\. Got float64"):
        call(given.real, 9, 4)
    with pytest.raises(TypeError, match=rf"{needs} an integer lmax"):
        call(given, 9.0, 4)
    if radius_of(name):
        for radius in (0.0, -1.0, np.nan, np.inf):
            with pytest.raises(ValueError, match=rf"{needs} a radius > 0\. Got"):
                call(given, 9, 4, radius)
        with pytest.raises(TypeError, match=rf"{needs} a number `radius`\. Got 'big'"):
            call(given, 9, 4, "big")
