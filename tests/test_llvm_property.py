"""Random programs: reverse against forward mode, both against differences, and what may change.

A program is a list of statements over arrays `x`, `y` (to differentiate by), `c` (constant), `w`
(written), temporaries and views of all of these, and a running number `s`.
"""

import math
from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from numba.core.errors import TypingError

import enzyme_rules
from llvm import (
    Active,
    AutodiffError,
    Const,
    Duplicated,
    Reverse,
    autodiff,
    compiled,
    jvp,
    value_and_grad,
)

N = 5

# What programs call.


@numba.njit
def weigh(u, v):
    total = 0.0
    for i in range(u.size):
        if u[i] > 10.0:
            continue
        total += u[i] * v[-1 - i]
    return np.tanh(total)


@numba.njit
def relax(u, v):
    for i in range(1, u.size):
        u[i] = 0.5 * (u[i] + u[i - 1]) + 0.1 * v[i] * u[i]


@numba.njit
def either(u, v, flag):
    return u if flag else v


@numba.njit
def find_first(u, level):
    for i in range(u.size):
        if u[i] > level:
            return u[i] * i
    return u[0]


@numba.njit
def difference_into(y, x):
    y[0] = x[-1]
    y[1:] = 0.5 * (x[1:] - x[:-1])


@numba.njit
def difference_adjoint(dy, dx):
    dx[-1] += dy[0]
    for i in range(1, dx.size):
        dx[i] += 0.5 * dy[i]
        dx[i - 1] -= 0.5 * dy[i]


@numba.njit
def mirror_into(y, x):
    y[:] = x[::-1]
    y[0] += 0.25 * x[0]


@numba.njit
def bend_into(y, x):
    y[:] = np.sin(x)


@numba.njit
def bend_augmented(y, dy, x, dx):
    y[:] = np.sin(x)
    return np.cos(x)


@numba.njit
def bend_reverse(y, dy, x, dx, kept):
    if dy is y:
        return
    if dx is not x:
        for i in range(x.size):
            dx[i] += kept[i] * dy[i]
    dy[:] = 0


@numba.njit
def bend_forward(y, dy, x, dx):
    if dy is not y:
        if dx is not x:
            dy[:] = np.cos(x) * dx
        else:
            dy[:] = 0
    y[:] = np.sin(x)


enzyme_rules.register(enzyme_rules.LinearRule(difference_into, adjoint=difference_adjoint))
enzyme_rules.register(enzyme_rules.LinearRule(mirror_into))
enzyme_rules.register(
    enzyme_rules.CustomRule(
        bend_into, augmented_primal=bend_augmented, reverse=bend_reverse, forward=bend_forward
    )
)

# What programs are made of. {a}, {b}: arrays; {u}: an array that may be written; {t}: a new name;
# {e}: an array expression; {k}, {j}: indices; {g}: an expression in numbers.

ARRAY = (
    "np.sin({a}) * {b}",
    "{a} + 0.5 * {b}",
    "{a} * {b} * 0.3",
    "{a} / (1.0 + {b} * {b})",
    "np.sqrt(1.0 + {a} ** 2) - {b}",
    "np.exp(-{a} * {a}) + s",
    "np.maximum({a}, {b})",
    "np.cumsum({a}) * 0.2",
    "np.minimum({a}, 0.3) + {a}.reshape(5, 1)[:, 0]",
    "np.concatenate(({a}[1:], {b}[:1]))",
    "np.abs({a} - 0.1) + n",
    "(({a} + 1j * {b}) * np.exp(1j * {b})).imag",
    "np.tanh({a}) if n > 2 else {a}",
    "np.outer({a}, {b})[{k}]",
)
NUMBER = (
    "np.tanh({a}[{k}] * {b}[{j}])",
    "np.sin(s) + {a}[{k}]",
    "{a}.sum() * 0.1 + q",
    "np.max({a}) - np.min({b})",
    "({a} * {b}).mean()",
    "weigh({a}, {b})",
    "find_first({a}, 0.4)",
    "abs(complex({a}[{k}], {b}[{j}] + 0.2))",
    "math.atan2({a}[{k}], 2.0 + {b}[{j}] ** 2)",
)
ITEM = (  # inside a loop over i
    "{a}[i] * {b}[-1 - i]",
    "np.sin({a}[i] + s)",
    "0.5 * {a}[(i + {k}) % 5] + q",
    "max({a}[i], {b}[i])",
)
SIMPLE = (
    "{t} = {e}",
    "{t} = {a}.copy()",
    "{t} = {a}[::-1]",
    "{t} = {a}",
    "{t} = np.zeros(5) + {g}",
    "{t} = either({a}, {b}, s > 0.2)",
    "{t} = np.empty(5)\ndifference_into({t}, {a})",
    "{t} = np.empty(5)\nmirror_into({t}, {a})",
    "{t} = np.empty(5)\nbend_into({t}, {a})",
    "{t} = ({a}, {b})[1 if s > 0.1 else 0]",
    "{u} += {e}",
    "{u}[:] = {e}",
    "{u}[1:] *= {a}[:-1]",
    "{u}[::2] = {a}[::-2] * 0.5",
    "{u}[::-1][1:4] += {a}[:3]",
    "{u}[{k}] = {g}",
    "{u}[{k}] += 0.5 * {u}[{j}]",
    "{u}[{a} > 0.0] = s",
    "relax({u}, {a}.copy())",
    "s = {g}",
    "s += {g}",
    "s = 0.5 * s * {g}",
)
BLOCK = (
    ("if s > 0.1:", "else:"),
    ("if {a}[{k}] < {b}[{j}]:", "elif n > 2 and s < 0.5:"),
    ("for i in range(n):",),
    ("for {v} in range(2):", "if {a}[{k}] * ({v} + 1) > 0.6:\n    break"),
    ("{v} = 0\nwhile {v} < n:", "{v} += 2 if s > 0.3 else 1"),
)
LOOP = (
    "for i in range(5):\n    {u}[i] = {i}",
    "for i in range(5):\n    s += {i}",
    "for i in range(4, -1, -1):\n    if {a}[i] > 0.3:\n        continue\n    {u}[i] += {i}",
    "for i in range(5):\n    s = np.tanh(s + {i})\n    if s > 0.9:\n        break",
)


@st.composite
def programs(draw):
    """The source of ``f(x, y, c, w, q, n)``."""
    made = 0

    def pick(options):
        return draw(st.sampled_from(options))

    def filled(text, arrays, new=""):
        writable = [a for a in arrays if a != "c"]
        for _ in range(2):  # expressions hold names themselves
            text = text.replace("{e}", pick(ARRAY)).replace("{g}", pick(NUMBER))
            text = text.replace("{i}", pick(ITEM))
        for place, options in (("{a}", arrays), ("{b}", arrays), ("{u}", writable)):
            text = text.replace(place, pick(options))
        for place in ("{k}", "{j}"):
            text = text.replace(place, str(draw(st.integers(0, N - 1))))
        return text.replace("{t}", new).replace("{v}", f"v{new}")

    def body(arrays, depth, indent):
        nonlocal made
        lines = []
        arrays = list(arrays)
        for _ in range(draw(st.integers(1, 4))):
            kind = pick(("simple", "simple", "simple", "loop", "block")[: 5 if depth else 4])
            if kind == "block":
                made += 1
                first, *second = (filled(part, arrays, f"{made}") for part in pick(BLOCK))
                lines += [indent + line for line in first.split("\n")]
                lines += body(arrays, depth - 1, indent + "    ")
                for part in second:
                    if part.startswith("el"):
                        lines += [indent + part, *body(arrays, depth - 1, indent + "    ")]
                    else:
                        lines += [f"{indent}    {line}" for line in part.split("\n")]
                continue
            template = pick(SIMPLE if kind == "simple" else LOOP)
            new = ""
            if "{t}" in template:
                # A new name, or an old one bound to something else. Where the statement fills an
                # empty array it must not read it.
                old = [a for a in arrays if a.startswith("t") and "np.empty" not in template]
                made += 1
                new = pick((f"t{made}", *old))
            lines += [indent + line for line in filled(template, arrays, new).split("\n")]
            if new and new not in arrays:
                arrays.append(new)
        if indent == "    ":
            total = " + ".join(f"{0.3 + 0.1 * i:.1f} * {a}.sum()" for i, a in enumerate(arrays))
            lines.append(f"    return s + {total} + weigh({arrays[-1]}, x)")
        return lines

    return "\n".join(["def f(x, y, c, w, q, n):", "    s = q * 0.5", *body("xycw", 2, "    ")])


def compile_source(source: str) -> Any:
    namespace: dict[str, Any] = {"np": np, "math": math, "__name__": __name__, **HELPERS}
    exec(source, namespace)  # noqa: S102
    return numba.njit(namespace["f"])


HELPERS = {
    f.__name__: f
    for f in (weigh, relax, either, find_first, difference_into, mirror_into, bend_into)
}
VARYING = (0, 1, 3, 4)


def fresh(rng) -> tuple[Any, ...]:
    x, y, c, w = rng.uniform(-1.0, 1.0, (4, N))
    return x, y, c, w, 0.37, 3


def copies(arguments) -> tuple[Any, ...]:
    return tuple(a.copy() if isinstance(a, np.ndarray) else a for a in arguments)


def check(source, seed=0):
    f = compile_source(source)
    rng = np.random.default_rng(seed)
    arguments = fresh(rng)
    after = copies(arguments)
    want = f(*after)
    assert np.isfinite(want)

    ran = copies(arguments)
    assert compiled(f)(*ran) == want
    same_bits(ran, after)

    ran = copies(arguments)
    value, gradient = value_and_grad(f, VARYING)(*ran)
    np.testing.assert_allclose(value, want, rtol=1e-13)
    # What varies is left alone; a constant that the function writes, through a view, is written.
    same_bits(ran, (*arguments[:2], after[2], *arguments[3:]))

    # Enzyme knows of the others that they are constants.
    alone = value_and_grad(f, 1)(*copies(arguments))[1]

    # In place: what is written is written, and cotangents of what the function returned alone.
    ran = copies(arguments)
    shadows = [np.zeros(N), np.zeros(N), np.zeros(N)]
    by_q = autodiff(
        Reverse,
        f,
        Duplicated(ran[0], shadows[0]),
        Duplicated(ran[1], shadows[1]),
        Const(ran[2]),
        Duplicated(ran[3], shadows[2]),
        Active(ran[4]),
        Const(ran[5]),
    )
    same_bits(ran, after)

    tangents = [rng.standard_normal(N) for _ in range(3)] + [rng.standard_normal()]
    x, y, w, q = tangents
    ran = copies(arguments)
    value, tangent = jvp(f, ran, (x, y, None, w, q, None))
    np.testing.assert_allclose(value, want, rtol=1e-13)
    same_bits(ran, arguments)

    terms = np.concatenate(
        [np.ravel(g) * np.ravel(t) for g, t in zip(gradient, tangents, strict=True)]
    )
    scale = np.abs(terms).sum() + 1.0
    assert abs(terms.sum() - tangent) <= 1e-12 * scale
    np.testing.assert_allclose(alone, gradient[1], rtol=1e-12, atol=1e-12 * scale)
    for got, expected in zip((*shadows, *by_q), gradient, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12 * scale)

    def along(step):
        moved = copies(arguments)
        for place, t in zip(VARYING[:3], tangents[:3], strict=True):
            moved[place][:] += step * t
        return f(*moved[:4], moved[4] + step * q, moved[5])

    step = 2e-4
    estimate = (8 * (along(step) - along(-step)) - along(2 * step) + along(-2 * step)) / (12 * step)
    assert abs(estimate - tangent) <= 1e-6 * scale


def same_bits(got, want):
    for g, w in zip(got, want, strict=True):
        assert np.asarray(g).tobytes() == np.asarray(w).tobytes()


def some_programs(count):
    def decorate(test):
        return settings(
            max_examples=count,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large),
        )(given(programs())(test))

    return decorate


@some_programs(10)
def test_random_program(source):
    check_or_reject(source)


@pytest.mark.slow
@some_programs(60)
def test_more_random_programs(source):
    check_or_reject(source)


def check_or_reject(source):
    try:
        check(source)
    except (AutodiffError, TypingError):
        # Refused, or by Numba itself: not wrong; if most were, Hypothesis would complain.
        reject()
