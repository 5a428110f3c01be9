"""Hessian-vector products: exact Hessians, symmetry, the gradient's differences, all through rules.

Every row of the table is a function with its gradient's tangent written down by hand.
"""

import ctypes
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numba
import numpy as np
import pytest
from numba import carray  # pyright: ignore[reportPrivateImportUsage]

import sht
from enzyme_rules import (
    AllocationRule,
    CustomRule,
    Inactive,
    LinearRule,
    c_function,
    register,
    unregister,
)
from enzyme_rules.fftw import brfft_into, fft_scratch, plan_real_fft, rfft_into
from llvm import AutodiffError, NoDerivativeError, grad, hvp
from sht import reference
from tests.gradient_checks import copied, flat, like, moved
from tests.sht_cases import random_pair, transform

RNG = np.random.default_rng(5)
EPS = np.finfo(np.float64).eps


@dataclass(frozen=True)
class Case:
    """A function, its arguments, which of them vary, and the product by hand.

    `product` takes the arguments and one tangent for each that varies; it gives one result for
    each of these, or the only one. `scratch` may be written by the function.
    """

    function: Any
    arguments: tuple[Any, ...]
    product: Callable[..., Any]
    argnums: tuple[int, ...] = (0,)
    scratch: tuple[int, ...] = ()
    growth: float = 64.0
    eps: float = EPS
    name: str = ""

    def __str__(self):
        return self.name or self.function.py_func.__name__

    def fresh(self):
        """The arguments, with copies of those that are not constant."""
        own = (*self.argnums, *self.scratch)
        return tuple(copied(a) if i in own else a for i, a in enumerate(self.arguments))

    def tangents(self, seed):
        rng = np.random.default_rng(seed)
        return tuple(like(self.arguments[i], rng) for i in self.argnums)

    def hvp(self, vectors, arguments=None):
        """Gradient and product, a tuple each."""
        given = dict(zip(self.argnums, vectors, strict=True))
        arguments = self.fresh() if arguments is None else arguments
        found = hvp(self.function, arguments, [given.get(i) for i in range(len(arguments))])
        return found if len(self.argnums) > 1 else tuple((x,) for x in found)

    def gradient(self, arguments):
        return grad(self.function, self.argnums)(*arguments)


X = np.array([0.8, -0.3, 1.4, 0.6])
W = np.array([0.5, 2.0, -1.0, 1.5])
Z = np.array([0.8 + 0.1j, -0.3 - 0.7j, 1.4j])
MATRIX = RNG.standard_normal((4, 4))


# Plain functions


@numba.njit
def cubic(x, scale):
    return scale * (x**3).sum()


def cubic_product(x, scale, v, s):
    return 3 * s * x**2 + 6 * scale * x * v, 3 * (x**2 * v).sum()


@numba.njit
def quadratic_form(x, a):
    total = 0.0
    for i in range(x.size):
        for j in range(x.size):
            total += x[i] * a[i, j] * x[j]
    return total


@numba.njit
def squared_while_small(x):
    """x⁴ where |x|² < 1/2, else x²; by a loop that ends by itself."""
    total = 0.0
    for value in x:
        power = value * value
        while power < 0.5 and power > 0.0:
            power = power * power
            if power < 0.25:
                break
        total += power
    return total


def squared_while_small_product(x, v):
    return np.where(x**2 < 0.5, 12 * x**2, 2.0) * v


@numba.njit
def branches(x):
    total = 0.0
    for value in x:
        total += value**3 if value > 0 else value**2
    return total


@numba.njit
def neighbours(x):
    """Squares of products of neighbours, by way of temporaries."""
    y = np.zeros_like(x)
    y[1:] = x[:-1] * x[1:]
    copies = np.concatenate((y, y))
    return 0.5 * (copies**2).sum()


def neighbours_product(x, v):
    dy = 2 * (v[:-1] * x[1:] + x[:-1] * v[1:])
    y = 2 * x[:-1] * x[1:]
    out = np.zeros_like(x)
    out[:-1] += dy * x[1:] + y * v[1:]
    out[1:] += dy * x[:-1] + y * v[:-1]
    return out


@numba.njit
def reductions(x):
    return x.var() * np.sum(x) + np.max(x) ** 2 + np.prod(x[:2]) + np.mean(x) ** 2


def reductions_product(x, v):
    n, centred = x.size, x - x.mean()
    out = 2 / n * ((v - v.mean()) * x.sum() + centred * v.sum() + centred @ v)
    out[np.argmax(x)] += 2 * v[np.argmax(x)]
    out[:2] += v[1], v[0]
    return out + 2 * v.mean() / n


@numba.njit
def quartic_modulus(z):
    total = 0.0
    for value in z:
        total += (value.real**2 + value.imag**2) ** 2
    return total


def quartic_modulus_product(z, v):
    return 8 * (np.conj(z) * v).real * z + 4 * np.abs(z) ** 2 * v


@numba.njit
def of_one_complex(z, x):
    return (z * z * z).real * x


def of_one_complex_product(z, x, v, w):
    # The gradient by z is conj(3 z²) x, that by x is Re z³.
    return np.conj(6 * z * v) * x + np.conj(3 * z * z) * w, (3 * z * z * v).real


class Pair(NamedTuple):
    a: np.ndarray
    rest: tuple[float, Any]


@numba.njit
def of_tuples(p, q):
    return (p.a**2).sum() * p.rest[0] ** 2 * p.rest[1] * q[0]


def of_tuples_product(p, q, v, w):
    square, b, n, c = (p.a**2).sum(), p.rest[0], p.rest[1], q[0]
    ds, db, dc = 2 * (p.a @ v.a), v.rest[0], w[0]
    by_a = 2 * n * (v.a * b**2 * c + p.a * (2 * b * db * c + b**2 * dc))
    by_b = 2 * n * (ds * b * c + square * (db * c + b * dc))
    by_c = n * (ds * b**2 + 2 * square * b * db)
    return Pair(by_a, (by_b, None)), (by_c,)


@numba.njit
def chosen(x, c, which):
    """A name that stands for what varies or for a constant."""
    other = x if which else c
    return (other**3).sum() + (x**2).sum() * other[0]


def chosen_product(x, c, which, v):
    out = 2 * v * (x[0] if which else c[0])
    if which:
        out += 6 * x * v + 2 * x * v[0]
        out[0] += 2 * x @ v
    return out


@numba.njit
def in_place(x, scratch):
    """Overwrites what varies, and uses its work space twice."""
    for _ in range(2):
        for i in range(x.size):
            scratch[i] = x[i] * x[i]
        x[:] = scratch
    return (x**2).sum()


@numba.njit
def square_of(x):
    return x * x


@numba.njit
def nested(x):
    total = 0.0
    for value in x:
        total += square_of(math.sin(value))
    return total


@numba.njit
def no_derivative_of_integers(x, counts, flag):
    return (x**2 * counts).sum() if flag else 0.0


PLAIN = [
    Case(cubic, (X, 2.0), cubic_product, (0, 1)),
    Case(cubic, (X, 2.0), lambda x, s, v: 6 * s * x * v, name="cubic in x alone"),
    Case(cubic, (X, 2.0), lambda x, s, v: 0.0, (1,), name="linear in the scale"),
    Case(cubic, (X[::-2], 2.0), lambda x, s, v: 6 * s * x * v, name="strided"),
    Case(
        cubic,
        (X.astype(np.float32), np.float32(2.0)),
        cubic_product,
        (0, 1),
        eps=float(np.finfo(np.float32).eps),
        name="float32",
    ),
    Case(quadratic_form, (X, MATRIX), lambda x, a, v: (a + a.T) @ v),
    Case(squared_while_small, (X,), squared_while_small_product),
    Case(branches, (X,), lambda x, v: np.where(x > 0, 6 * x, 2) * v),
    Case(neighbours, (X,), neighbours_product),
    Case(reductions, (X,), reductions_product),
    Case(quartic_modulus, (Z,), quartic_modulus_product),
    Case(of_one_complex, (0.6 - 0.4j, 1.5), of_one_complex_product, (0, 1)),
    Case(of_tuples, (Pair(X, (1.5, 3)), (0.7,)), of_tuples_product, (0, 1)),
    Case(chosen, (X, W, True), chosen_product, name="chosen: x"),
    Case(chosen, (X, W, False), chosen_product, name="chosen: the constant"),
    Case(in_place, (X, np.zeros(4)), lambda x, _, v: 56 * x**6 * v, scratch=(1,)),
    Case(nested, (X,), lambda x, v: 2 * np.cos(2 * x) * v),
    Case(no_derivative_of_integers, (X, np.arange(4), True), lambda x, n, _, v: 2 * n * v),
]


# Rules of each kind


@numba.njit
def mix_into(y, x, c):
    """y_i = c_i x_i + x_{i+1}: its adjoint is left to Enzyme."""
    for i in range(x.size):
        y[i] = c[i] * x[i] + x[(i + 1) % x.size]


@numba.njit
def delay_into(y, x):
    y[0] = 0
    y[1:] = x[:-1]


@numba.njit
def delay_adjoint(dy, dx):
    for i in range(dx.size - 1):
        dx[i] += dy[i + 1]


@numba.njit
def powers_into(y, x, c, work):
    """y_j = Σ_i c_j^i x_i, by steps that carry c^i along; complex."""
    y[:] = 0
    add_powers(y, x, c, work)


@numba.njit
def add_powers(y, x, c, work):
    work[:] = 1
    for i in range(x.size):
        add_power(y, x[i : i + 1], work)
        for j in range(c.size):
            work[j] = work[j] * c[j]


@numba.njit
def add_power(y, x, power):
    for j in range(y.size):
        y[j] += power[j] * x[0]


def powers_matrix(c, n):
    return c[:, None] ** np.arange(n)


@numba.njit
def cube_into(y, x):
    y[:] = x**3


@numba.njit
def cube_augmented(y, dy, x, dx):
    cube_into(y, x)
    return x.copy()


@numba.njit
def cube_reverse(y, dy, x, dx, kept):
    if dy is y:
        return
    if dx is not x:
        for i in range(x.size):
            dx[i] += 3 * kept[i] ** 2 * dy[i]
    dy[:] = 0


@numba.njit
def cube_forward(y, dy, x, dx):
    cube_into(y, x)
    if dy is y:
        return
    for i in range(x.size):
        dy[i] = 3 * x[i] ** 2 * dx[i] if dx is not x else 0.0


@numba.njit
def product_into(y, x, c):
    y[:] = x * c


@numba.njit
def product_augmented(y, dy, x, dx, c, dc):
    y[:] = x * c


@numba.njit
def product_reverse(y, dy, x, dx, c, dc):
    """Chooses between arrays, keeps nothing, and calls a function that has a rule."""
    if dy is y:
        return
    nothing, delayed = np.zeros_like(x), np.zeros_like(x)
    by_x = dx if dx is not x else nothing
    by_c = dc if dc is not c else nothing
    for i in range(x.size):
        by_x[i] += c[i] * dy[i]
        by_c[i] += x[i] * dy[i]
    delay_into(delayed, by_c)  # of no consequence
    dy[:] = 0 * delayed


RULES = [
    LinearRule(mix_into),
    LinearRule(delay_into, adjoint=delay_adjoint),
    LinearRule(powers_into, terms=add_powers, scratch=(3,)),
    LinearRule(add_power, accumulates=True),
    CustomRule(
        cube_into, augmented_primal=cube_augmented, reverse=cube_reverse, forward=cube_forward
    ),
    CustomRule(product_into, augmented_primal=product_augmented, reverse=product_reverse),
]


@numba.njit
def of_mixed(x, c):
    """With a constant made on the way, and a buffer that is used three times."""
    y, z = np.empty_like(x), np.empty_like(x)
    shift = np.full(x.size, 0.5)
    mix_into(y, x, c)
    mix_into(z, y, shift)
    for i in range(x.size):
        y[i] = z[i] * z[i]
    mix_into(z, y, c)
    mix_into(y, c, c)
    return (z**2).sum() + y.sum()


def mix_matrix(c):
    return np.diag(c) + np.roll(np.eye(c.size), 1, axis=1)


def of_mixed_product(x, c, v):
    b, m = mix_matrix(np.full(4, 0.5)) @ mix_matrix(c), mix_matrix(c)
    # L = |M (Bx)²|²: the gradient is Bᵀ (2 Bx · Mᵀ 2 M (Bx)²).
    u, du = b @ x, b @ v
    back, dback = 2 * m.T @ m @ u**2, 2 * m.T @ m @ (2 * u * du)
    return b.T @ (2 * du * back + 2 * u * dback)


@numba.njit
def of_delayed(x):
    y = np.zeros_like(x)
    total = 0.0
    for _ in range(3):
        delay_into(y, x)
        total += (x * y).sum() ** 2
    return total


def of_delayed_product(x, v):
    d = np.eye(4, k=-1)
    s, ds = x @ d @ x, v @ (d + d.T) @ x
    return 6 * ((d + d.T) @ v * s + (d + d.T) @ x * ds)


@numba.njit
def of_powers(x, c, work):
    y = np.empty_like(c)
    powers_into(y, x, c, work)
    total = 0.0
    for value in y:
        total += (value.real**2 + value.imag**2) ** 2
    return total


def of_powers_product(x, c, work, v):
    p = powers_matrix(c, x.size)
    return np.conj(p.T) @ quartic_modulus_product(p @ x, p @ v)


@numba.njit
def of_cubes(x, c):
    """(x³)³ and a constant's cube, all through one buffer."""
    y, z = np.empty_like(x), np.empty_like(x)
    total = 0.0
    cube_into(y, x)
    cube_into(z, y)
    cube_into(y, c)
    for i in range(x.size):
        total += z[i] * y[i]
    return total


@numba.njit
def of_products(x, c):
    y, z = np.empty_like(x), np.empty_like(x)
    product_into(y, x, c)
    product_into(z, y, x)  # x² c
    return (z**2).sum()


def of_products_product(x, c, v, w):
    dx = 12 * x**2 * c**2 * v + 8 * x**3 * c * w
    return dx, 8 * x**3 * c * v + 2 * x**4 * w


C_LIBRARY = ctypes.CDLL(None)
SIZE, ADDRESS = ctypes.c_int64, ctypes.c_void_p
magnitude = c_function("hvp_magnitude", C_LIBRARY.llabs, SIZE, returns=SIZE)
allocate = c_function("hvp_allocate", C_LIBRARY.malloc, SIZE, returns=ADDRESS)
release = c_function("hvp_release", C_LIBRARY.free, ADDRESS)


@numba.njit
def with_c_functions(x):
    n = magnitude(-len(x))
    memory = allocate(8 * n)
    y = carray(memory, (n,), np.float64)
    for i in range(n):
        y[i] = x[i] * x[i]
    total = 0.0
    for i in range(n):
        total += y[i] * y[n - 1 - i]
    release(memory)
    return total


RULES += [Inactive("hvp_magnitude"), AllocationRule("hvp_allocate", free="hvp_release")]


@pytest.fixture(scope="module", autouse=True)
def _rules():
    for rule in RULES:
        register(rule)
    yield
    for rule in RULES:
        unregister(rule)


WITH_RULES = [
    Case(of_mixed, (X, W), of_mixed_product),
    Case(of_delayed, (X,), of_delayed_product),
    Case(of_powers, (X + 1j * W, Z, np.zeros_like(Z)), of_powers_product, scratch=(2,)),
    Case(of_cubes, (X, W), lambda x, c, v: 72 * x**7 * v * c**3),
    Case(of_products, (X, W), of_products_product, (0, 1)),
    Case(of_products, (X, W), lambda x, c, v: 12 * x**2 * c**2 * v, name="of products in x"),
    Case(
        with_c_functions,
        (X,),
        lambda x, v: 4 * v * x[::-1] ** 2 + 8 * x * x[::-1] * v[::-1],
    ),
]


# Transforms


@numba.njit
def of_spectrum(x, plan, scratch):
    spectrum = np.empty(plan.n // 2 + 1, np.complex128)
    rfft_into(spectrum, x, plan, scratch)
    return quartic_modulus(spectrum)


def of_spectrum_product(x, plan, scratch, v):
    f = np.fft.rfft(np.eye(plan.n), axis=0)
    return (np.conj(f.T) @ quartic_modulus_product(f @ x, f @ v)).real


@numba.njit
def burgers(x, plan, scratch):
    """Two steps of x ← x − (x² filtered), by way of the spectrum, in the same buffers."""
    spectrum, square = np.empty(plan.n // 2 + 1, np.complex128), np.empty_like(x)
    u = x.copy()
    for _ in range(2):
        for i in range(plan.n):
            square[i] = u[i] * u[i]
        rfft_into(spectrum, square, plan, scratch)
        for k in range(spectrum.size):
            spectrum[k] = spectrum[k] / (plan.n * (1.0 + k * k))
        brfft_into(square, spectrum, plan, scratch)
        for i in range(plan.n):
            u[i] = u[i] - square[i]
    return (u**2).sum()


def burgers_product(x, plan, scratch, v):
    eye = np.eye(plan.n)
    damping = 1.0 / (1.0 + np.arange(plan.n // 2 + 1.0) ** 2)
    filtered = np.fft.irfft(np.fft.rfft(eye, axis=0) * damping[:, None], plan.n, axis=0)
    states, tangents = [x], [v]
    for _ in range(2):
        u, du = states[-1], tangents[-1]
        states.append(u - filtered @ u**2)
        tangents.append(du - filtered @ (2 * u * du))
    bar, dbar = 2 * states[-1], 2 * tangents[-1]
    for u, du in zip(states[-2::-1], tangents[-2::-1], strict=True):
        back, dback = filtered.T @ bar, filtered.T @ dbar
        bar, dbar = bar - 2 * u * back, dbar - 2 * du * back - 2 * u * dback
    return dbar


@numba.njit
def quartic(a, t, field, scratch):
    sht.synthesis_into(field, a, t, scratch)
    return (field**4).sum()


def maps_of(t):
    return [
        lambda x, f=f: f(x, grid=t.grid, lmax=t.lmax, mmax=t.mmax)
        for f in (
            reference.synthesis,
            reference.analysis,
            reference.adjoint_synthesis,
            reference.adjoint_analysis,
        )
    ]


def quartic_product(a, t, field, scratch, v):
    s, _, st, _ = maps_of(t)
    return st(12 * s(a) ** 2 * s(v))


@numba.njit
def forecast(a, target, t, state, field, tendency, scratch):
    """Squared error of two steps a ← a + A(S(a)²) / 10, in buffers that hold the last one only."""
    state[:] = a
    for _ in range(2):
        sht.synthesis_into(field, state, t, scratch)
        for j in range(field.shape[0]):
            for i in range(field.shape[1]):
                field[j, i] = field[j, i] ** 2
        sht.analysis_into(tendency, field, t, scratch)
        for k in range(state.size):
            state[k] = state[k] + 0.1 * tendency[k]
    total = 0.0
    for k in range(state.size):
        miss = state[k] - target[k]
        total += miss.real**2 + miss.imag**2
    return total


def forecast_product(a, target, t, *rest):
    s, an, st, at = maps_of(t)
    states, tangents = [a], [rest[-1]]
    for _ in range(2):
        u, du = s(states[-1]), s(tangents[-1])
        states.append(states[-1] + 0.1 * an(u**2))
        tangents.append(tangents[-1] + 0.1 * an(2 * u * du))
    bar, dbar = 2 * (states[-1] - target), 2 * tangents[-1]
    for state, tangent in zip(states[-2::-1], tangents[-2::-1], strict=True):
        u, du, back, dback = s(state), s(tangent), at(0.1 * bar), at(0.1 * dbar)
        bar, dbar = bar + st(2 * u * back), dbar + st(2 * du * back + 2 * u * dback)
    return dbar


def transform_cases():
    for n in (7, 8):
        plan = plan_real_fft(n)
        x = RNG.standard_normal(n)
        yield Case(of_spectrum, (x, plan, fft_scratch(plan)), of_spectrum_product, scratch=(2,))
        yield Case(burgers, (x, plan, fft_scratch(plan)), burgers_product, scratch=(2,))
    for size in ((9, 8, 17, 19), (31, 31, 33, 64)):
        t = transform(*size)
        a, f = random_pair(t, 1)
        buffers = np.zeros_like(f), t.scratch()
        yield Case(quartic, (a, t, *buffers), quartic_product, scratch=(2, 3), growth=1e3)
    t = transform(9, 8, 17, 19)
    (a, f), (target, _) = random_pair(t, 2), random_pair(t, 3)
    buffers = np.zeros_like(a), np.zeros_like(f), np.zeros_like(a), t.scratch()
    yield Case(
        forecast, (a, target, t, *buffers), forecast_product, scratch=(3, 4, 5, 6), growth=1e3
    )


CASES = [*PLAIN, *WITH_RULES, *transform_cases()]


def bits(value):
    """All bytes of the arrays in it."""
    if isinstance(value, tuple):
        return b"".join(map(bits, value))
    return value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode()


def scale(value):
    return max(1.0, float(np.abs(flat(value)).max(initial=0.0)))


def marked(case):
    # Both transforms and their adjoints in one program: a dozen seconds to compile.
    return pytest.param(case, marks=[pytest.mark.slow] if case.function is forecast else [])


@pytest.mark.parametrize("case", [marked(case) for case in CASES], ids=list(map(str, CASES)))
def test_products(case):
    u, v = case.tangents(1), case.tangents(2)
    arguments = case.fresh()
    before = [bits(argument) for argument in arguments]
    gradient, product = case.hvp(v, arguments)
    for i, argument in enumerate(arguments):
        assert i in case.scratch or bits(argument) == before[i]
    # By hand.
    want = case.product(*case.fresh(), *v)
    want = want if len(case.argnums) > 1 else (want,)
    limit = case.growth * case.eps * scale(want)
    for got, expected in zip(product, want, strict=True):
        np.testing.assert_allclose(flat(got), flat(expected), rtol=0, atol=limit)
    # The gradient that comes with it.
    plain = case.gradient(case.fresh())
    for got, expected, i in zip(gradient, plain, case.argnums, strict=True):
        assert type(got) is type(expected)
        np.testing.assert_allclose(
            flat(got), flat(expected), rtol=0, atol=8 * case.eps * scale(plain)
        )
        if isinstance(got, np.ndarray):
            assert (got.dtype, got.shape) == (expected.dtype, case.arguments[i].shape)
    # Symmetric.
    _, other = case.hvp(u)
    left, right = flat(u) @ flat(product), flat(v) @ flat(other)
    size = np.linalg.norm(flat(u)) * np.linalg.norm(flat(product))
    assert abs(left - right) <= max(1e-12, 16 * case.eps) * max(1.0, size)
    # Linear in the vector.
    _, twice = case.hvp(tuple(moved(a, b, -2.0) for a, b in zip(u, v, strict=True)))
    np.testing.assert_allclose(
        flat(twice),
        flat(other) - 2 * flat(product),
        rtol=0,
        atol=4 * limit + 4 * case.eps * scale(other),
    )
    # Differences of gradients, of fourth order.
    given = dict(zip(case.argnums, v, strict=True))
    step = case.eps**0.2 / 8

    def at(k):
        point = case.fresh()
        changed = [moved(a, given[i], k * step) if i in given else a for i, a in enumerate(point)]
        return flat(case.gradient(tuple(changed)))

    estimate = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * step)
    np.testing.assert_allclose(
        flat(product), estimate, rtol=0, atol=50 * case.eps**0.7 * scale(estimate)
    )


def test_fresh_results_each_time():
    """No call leaves anything behind for the next, or in what an earlier one returned."""
    first = hvp(cubic, (X, 2.0), (W, None))
    kept = [a.copy() for a in first]
    second = hvp(cubic, (2 * X, 2.0), (W, None))
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(second[1], 2 * first[1])


def test_the_same_array_twice():
    """It may be read under two names; each of these has derivatives of its own."""
    got = hvp(of_products, (X, X), (W, W))
    want = hvp(of_products, (X, X.copy()), (W, W.copy()))
    np.testing.assert_array_equal(flat(got), flat(want))


def test_an_exception_is_the_functions_own():
    @numba.njit
    def of_positive(x):
        total = 0.0
        for value in x:
            if value < 0:
                raise ValueError("negative")
            total += value**3
        return total

    with pytest.raises(ValueError, match="negative"):
        hvp(of_positive, (X,), (W,))
    _, product = hvp(of_positive, (np.abs(X),), (W,))
    np.testing.assert_allclose(product, 6 * np.abs(X) * W, rtol=1e-14)


@numba.njit
def of_a_varying_constant(x, c):
    y = np.empty_like(x)
    mix_into(y, x, c)
    return (y**2).sum()


def test_a_constant_that_varies_is_an_error():
    with pytest.raises(AutodiffError, match="takes for a constant varies"):
        hvp(of_a_varying_constant, (X, W), (W, W))


@numba.njit
def writes_only(y, x):
    y[:] = x**2


WRONG = {
    "no vector": (lambda: hvp(cubic, (X, 2.0), (None, None)), TypeError, "have a tangent"),
    "too few": (lambda: hvp(cubic, (X, 2.0), (X,)), ValueError, "for each of the 2 primals"),
    "another shape": (lambda: hvp(cubic, (X, 2.0), (X[:3], None)), ValueError, "tangent of `x`"),
    "an integer": (lambda: hvp(cubic, (X, 2), (X, 1)), TypeError, r"Pass a float: `2\.0`"),
    "no number": (lambda: hvp(writes_only, (X * 0, X), (None, X)), TypeError, "returns nothing"),
    "not njit": (lambda: hvp(math.sin, (1.0,), (1.0,)), TypeError, "needs an @njit function"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_calls(name):
    call, error, words = WRONG[name]
    with pytest.raises(error, match=words):
        call()


@numba.njit
def opaque_into(y, x):
    y[:] = x


@numba.njit
def opaque_augmented(y, dy, x, dx):
    opaque_into(y, x)


@numba.njit
def opaque_reverse(y, dy, x, dx):
    dx += dy
    dy[:] = 0


@numba.njit
def of_opaque(x):
    y = np.empty_like(x)
    opaque_into(y, x)
    return (y**2).sum()


def test_rules_without_a_second_derivative_are_named():
    rule = CustomRule(opaque_into, augmented_primal=opaque_augmented, reverse=opaque_reverse)
    register(rule)
    try:
        with pytest.raises(NoDerivativeError, match="`augmented_primal` in the rule of `opaque_in"):
            hvp(of_opaque, (X,), (W,))
    finally:
        unregister(rule)


@numba.njit
def stepped_slices(x):
    total = 0.0
    for k in range(x.size - 1):
        x[::2] = x[::2] * x[1::2]
        total += total * x[0] * x[k]
        total += x[k]
    return total


def test_slices_with_a_step_in_a_loop():
    """Against differences of fourth order of the gradient."""
    step = 1e-4

    def at(k):
        return grad(stepped_slices)(X + k * step * W)

    _, product = hvp(stepped_slices, (X,), (W,))
    estimate = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * step)
    np.testing.assert_allclose(product, estimate, rtol=0, atol=1e-9 * np.abs(estimate).max())
