"""Every type of argument that a gradient takes: dtypes, ranks, layouts, and what stays constant."""

import numba
import numpy as np
import pytest

from tests.gradient_checks import CHECKS, Case, copied

RNG = np.random.default_rng(0)
EPS = {"f": float(np.finfo(np.float32).eps), "d": float(np.finfo(np.float64).eps)}
EPS |= {"F": EPS["f"], "D": EPS["d"]}


def numbers(dtype, *shape):
    made = RNG.standard_normal(shape)
    if np.dtype(dtype).kind == "c":
        made = made + 1j * RNG.standard_normal(shape)
    return made.astype(dtype)


@numba.njit
def weighted(x, w):
    """Sum of w |x|², which is real for every dtype: the gradient is 2 w x."""
    total = w[0] * 0
    for k, v in enumerate(x.flat):
        total += w[k] * (v.real * v.real + v.imag * v.imag)
    return total


def weighted_gradient(x, w):
    return (2 * w.reshape(x.shape) * x).astype(x.dtype)


@numba.njit
def of_numbers(a, z):
    return (a * z * z).real + abs(z) ** 2


@numba.njit
def linear_into(y, x, m):
    for i in range(y.shape[0]):
        total = y[i] * 0
        for j in range(x.shape[0]):
            total += m[i, j] * x[j]
        y[i] = total


@numba.njit
def strided_into(y, x):
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            y[i, j] = x[i, j] ** 2 * x[0, 0]


@numba.njit
def scaled_count(x, n, flag, counts):
    total = x[0] * 0
    for i in range(x.size):
        total += x[i] * counts[i]
    return total * n if flag else -total


def layouts(dtype):
    """Arrays of rank 0 to 4, in every memory layout that differs."""
    yield "rank 0", numbers(dtype)
    yield "rank 1", numbers(dtype, 5)
    yield "empty", numbers(dtype, 0)
    yield "step", numbers(dtype, 12)[1::3]
    yield "reversed", numbers(dtype, 5)[::-1]
    yield "rank 2", numbers(dtype, 2, 3)
    yield "fortran", np.asfortranarray(numbers(dtype, 2, 3))
    yield "column steps", numbers(dtype, 4, 6)[::-2, 1::2]
    yield "broadcast", np.broadcast_to(numbers(dtype, 3), (2, 3))
    yield "rank 3", numbers(dtype, 2, 3, 2)
    yield "transposed", numbers(dtype, 2, 3, 2).transpose(1, 2, 0)
    yield "rank 4", numbers(dtype, 2, 1, 2, 3)


def cases():
    for dtype in "fdFD":
        for name, x in layouts(dtype):
            # All layouts for float64, the ones of every kind for the rest: each compiles anew.
            if dtype != "d" and name not in ("rank 1", "fortran", "column steps"):
                continue
            w = numbers(np.float32 if dtype in "fF" else np.float64, max(1, x.size))
            w = w[: x.size] if x.size else w
            exact = weighted_gradient if x.size else (lambda x, w: 0 * x)
            yield (
                f"{np.dtype(dtype)} {name}",
                Case(function=weighted, arguments=(x, w), exact=exact, eps=EPS[dtype]),
            )
    for real, kind in (("d", "D"), ("f", "F")):
        a, z = np.dtype(real).type(0.7), np.dtype(kind).type(0.3 - 1.1j)
        yield (
            f"{np.dtype(kind)} number",
            Case(
                function=of_numbers,
                arguments=(a, z),
                argnums=(0, 1),
                exact=lambda a, z: ((z * z).real, 2 * a * np.conj(z) + 2 * z),
                eps=EPS[real],
            ),
        )
    for dtype in "dF":
        y, x, m = numbers(dtype, 2), numbers(dtype, 3), numbers(dtype, 2, 3)
        yield (
            f"{np.dtype(dtype)} into",
            Case(
                function=linear_into,
                arguments=(y, x, m),
                argnums=(1, 2),
                outputs=(0,),
                exact=lambda y, x, m: (m.conj().T @ np.ones(2), np.outer(np.ones(2), x.conj())),
                eps=EPS[dtype],
            ),
        )
    yield (
        "strided into",
        Case(
            function=strided_into,
            arguments=(numbers("d", 6, 4)[::-2, ::2], np.asfortranarray(numbers("d", 3, 2))),
            argnums=(1,),
            outputs=(0,),
        ),
    )
    for integer in (np.int64, np.int8, np.uint32, np.bool_):
        counts = np.array([1, 0, 1], integer)
        n = 3 if integer is np.int64 else integer(1)
        yield (
            f"{np.dtype(integer)}",
            Case(
                function=scaled_count,
                arguments=(numbers("d", 3), n, True, counts),
                exact=lambda x, n, _, c: c * float(n),
            ),
        )


CASES = dict(cases())


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", CASES)
def test_type(name, check):
    check(CASES[name])


@pytest.mark.parametrize("name", [n for n in CASES if n.startswith("float64") and "broad" not in n])
def test_copies_are_to_the_bit(name):
    """The checks compare arrays with copies: those must have the arrays' own strides."""
    for argument in CASES[name].arguments:
        made = copied(argument)
        assert made.tobytes() == argument.tobytes()
        if argument.size > 1:
            assert list(np.sign(made.strides)) == list(np.sign(argument.strides))
