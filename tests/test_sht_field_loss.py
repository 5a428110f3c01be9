"""Losses of fields through a synthesis: one call, for any number of fields."""

import numba
import numpy as np

import sht
from llvm import kernel, value_and_grad
from tests import kernel_cases


@numba.njit
def quartic(i, field):
    return 0.25 * field[i] ** 4


@numba.njit
def whole(a, t, field, scratch):
    sht.synthesis_into(field, a, t, scratch)
    total = 0.0
    for x in field.ravel():
        total += 0.25 * x**4
    return total


def test_as_the_compiled_whole():
    t = sht.Transform(12, sht.grids.named("O8"))
    generator = np.random.default_rng(4)
    a = generator.standard_normal((3, t.ncoef)) + 1j * generator.standard_normal((3, t.ncoef))
    before = a.copy()
    loss = kernel(quartic)[3 * t.grid.npoints]
    value, gradient = sht.value_and_grad_through(t, loss)(a)
    expected, exact = value_and_grad(whole)(a, t, np.empty((3, *t.fields.shape)), t.scratch(3))
    np.testing.assert_allclose(value, expected, rtol=1e-13)
    np.testing.assert_allclose(gradient, exact, atol=1e-13 * np.abs(exact).max())
    assert (a == before).all()


def test_data_are_constant_and_the_derivative_known():
    """At a perfect fit there is no gradient; beside it the one that theory says."""
    t = sht.Transform(5, sht.grids.named("F4"))
    a = np.zeros(t.ncoef, complex)
    a[0] = 1.0
    data = t.synthesis(a).ravel()
    run = sht.value_and_grad_through(t, kernel(kernel_cases.misfit)[data.size])
    value, gradient = run(a, data, 2.0)
    assert value == 0.0
    assert not gradient.any()
    # λ_00 = 1 / √(4π) everywhere: n points each give 4 (λ/2)^3 λ/2 for a_00 one more.
    value, gradient = run(2 * a, data, 2.0)
    scaled = (0.5 / np.sqrt(4 * np.pi)) ** 4
    np.testing.assert_allclose(value, data.size * scaled, rtol=1e-13)
    np.testing.assert_allclose(gradient[0], 4 * data.size * scaled, rtol=1e-13)
