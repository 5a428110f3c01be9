"""What tests of linear algebra share: matrices, weights, and the checks of one function."""

import numba
import numpy as np

from llvm import Const, Duplicated, Reverse, autodiff, hvp, jvp, value_and_grad
from tests.gradient_checks import copied, flat, identical, like

EPS = np.finfo(np.float64).eps


def random(rng, shape, dtype):
    made = rng.standard_normal(shape)
    if np.dtype(dtype).kind == "c":
        made = made + 1j * rng.standard_normal(shape)
    return made.astype(dtype)


def matrices(dtype, n=5, m=3, seed=0):
    """A square matrix that is well conditioned, with distinct eigenvalues; and a tall one."""
    rng = np.random.default_rng(seed)
    a = 0.3 * random(rng, (n, n), dtype) + np.diag(1.0 + np.arange(n))
    return a.astype(dtype), random(rng, (n, m), dtype)


def strided(a):
    """The same numbers with gaps between them."""
    return np.repeat(np.repeat(a, 2, 0), 2, 1)[::2, ::2]


LAYOUTS = {"C": np.ascontiguousarray, "F": np.asfortranarray, "A": strided}


@numba.njit
def pair(z):
    """Re Σ conj(c) z, for the c of `weights`."""
    total = 0.0
    k = 0
    for x in z.flat:
        total += np.sin(k + 1.0) * x.real + np.cos(2.0 * k) * x.imag
        k += 1
    return total


def weights(shape, dtype):
    k = np.arange(np.prod(shape, dtype=int))
    c = np.sin(k + 1.0)
    if np.dtype(dtype).kind == "c":
        c = c + 1j * np.cos(2.0 * k)
    return c.reshape(shape)


def dot(a, b):
    return float(flat(a) @ flat(b))


def check_all(function, arguments, argnums, count, *, growth=1e3, second=True):
    """Each of the function's `count` terms, chosen by its last argument, in every mode.

    By default of double precision: value, reverse mode against forward mode, central differences,
    Hessian-vector product against differences of the gradient, and what happens to the arguments.
    """
    rng = np.random.default_rng(4)
    full = (*arguments, np.zeros(count))
    tangents = [random(rng, a.shape, a.dtype) if i in argnums else None
                for i, a in enumerate(full)]  # fmt: skip
    derive = value_and_grad(function, argnums)
    for term in range(count):
        full[-1][:] = np.arange(count) == term
        before = copied(full)
        value, gradient = derive(*full)
        identical(full, before)
        want = function(*copied(full))
        scale = max(1.0, abs(want))
        assert abs(value - want) <= growth * EPS * scale, (term, value, want)
        _, forward = jvp(function, full, tangents)
        backward = dot(gradient, tuple(tangents[i] for i in argnums))
        scale = max(1.0, abs(forward))
        assert abs(forward - backward) <= growth * EPS * scale, (term, forward, backward)

        def at(step, which):
            moved = [a if t is None else a + step * t for a, t in zip(full, tangents, strict=True)]
            return flat(which(*moved))

        def differences(which, step=1e-4):
            near, far = (at(k * step, which) - at(-k * step, which) for k in (1, 2))
            return (8 * near - far) / (12 * step)

        got = differences(function)[0]
        assert abs(got - forward) <= 1e-7 * scale, (term, got, forward)
        if second:
            one, product = hvp(function, full, tangents)
            assert np.abs(flat(one) - flat(gradient)).max() <= growth * EPS * scale, term
            got = differences(lambda *args: derive(*args)[1])
            scale = max(1.0, np.abs(got).max())
            assert np.abs(got - flat(product)).max() <= 1e-6 * scale, (term, got, flat(product))

    full[-1][:] = 1.0
    _, gradient = derive(*full)
    shadows = [like(a, rng) for a in arguments]
    given = [Duplicated(a, copied(s)) if i in argnums else Const(a)
             for i, (a, s) in enumerate(zip(arguments, shadows, strict=True))]  # fmt: skip
    autodiff(Reverse, function, *given, Const(full[-1]))
    for i, found in zip(argnums, gradient, strict=True):
        got, want = flat(given[i].shadow), flat(shadows[i]) + flat(found)
        assert np.abs(got - want).max() <= growth * EPS * max(1.0, np.abs(want).max())
