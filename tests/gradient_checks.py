"""What every gradient must satisfy, whatever the function: the checks, and the cases' form."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from llvm import Active, Const, Duplicated, Reverse, autodiff, grad, jvp, value_and_grad, vjp


@dataclass(frozen=True, kw_only=True)
class Case:
    """A function at some arguments.

    `exact` takes the arguments and gives the gradient for each of `argnums`, of the returned number
    or of the sum of `outputs`, the positions of the arguments that hold the results.
    """

    function: Any
    arguments: tuple[Any, ...]
    argnums: tuple[int, ...] = (0,)
    outputs: tuple[int, ...] = ()
    scratch: tuple[int, ...] = ()  # written on the way, by the function itself
    exact: Callable[..., Any] | None = None
    eps: float = np.finfo(np.float64).eps

    @property
    def name(self):
        return self.function.py_func.__name__

    def fresh(self):
        return copied(self.arguments)


def copied(value: Any) -> Any:
    """A copy to the bit, with the same strides: `copy.deepcopy` packs arrays."""
    if isinstance(value, tuple):
        made = [copied(v) for v in value]
        return type(value)(*made) if hasattr(value, "_fields") else tuple(made)
    if not isinstance(value, np.ndarray) or value.flags.forc or 0 in value.strides:
        return copy.copy(value)
    # Arrays with gaps: the same steps through a buffer of their own.
    made = np.empty_like(value)
    steps = np.argsort([-abs(s) for s in value.strides])
    wide = np.zeros([2 * value.shape[k] for k in steps], value.dtype)
    view = wide[tuple(slice(None, None, 2 if value.strides[k] > 0 else -2) for k in steps)]
    made = view.transpose(np.argsort(steps))
    made[...] = value
    return made


def flat(value):
    """All numbers in it as one float64 vector; complex ones as their two parts."""
    if value is None or isinstance(value, (bool, int, np.integer)):
        return np.zeros(0)
    if isinstance(value, tuple):
        return np.concatenate([np.zeros(0), *map(flat, value)])
    array: Any = np.asarray(value)
    if array.dtype.kind == "c":
        return np.stack([array.real, array.imag], -1).ravel().astype(np.float64)
    return array.ravel().astype(np.float64) if array.dtype.kind == "f" else np.zeros(0)


def like(value, rng):
    """Random numbers in the form of a value: None for what has no derivative."""
    if isinstance(value, tuple):
        made = [like(v, rng) for v in value]
        return type(value)(*made) if hasattr(value, "_fields") else tuple(made)
    array = np.asarray(value)
    if array.dtype.kind not in "fc":
        return None
    made = rng.standard_normal(array.shape)
    if array.dtype.kind == "c":
        made = made + 1j * rng.standard_normal(array.shape)
    if isinstance(value, np.ndarray):
        shadow = copied(value)
        shadow[...] = made
        return shadow
    return array.dtype.type(made)


def moved(value, direction, step):
    """value + step * direction, in the form of the value."""
    if isinstance(value, tuple):
        made = [moved(v, d, step) for v, d in zip(value, direction, strict=True)]
        return type(value)(*made) if hasattr(value, "_fields") else tuple(made)
    if direction is None:
        return value
    if isinstance(value, np.ndarray):
        made = copied(value)
        made[...] = value + step * np.asarray(direction)
        return made
    return type(value)(value + step * direction)


def close(case, got, want, growth=64.0):
    got, want = flat(got), flat(want)
    assert got.shape == want.shape
    scale = max(1.0, float(np.abs(want).max(initial=0.0)))
    np.testing.assert_allclose(got, want, rtol=0, atol=growth * case.eps * scale)


def identical(got, want):
    assert type(got) is type(want)
    if isinstance(want, tuple):
        for g, w in zip(got, want, strict=True):
            identical(g, w)
    elif isinstance(want, np.ndarray):
        assert got.dtype == want.dtype
        assert got.tobytes() == want.tobytes()
    else:
        assert got == want


def untouched(case, arguments, apart_from=()):
    """Bit by bit, whatever a derivative was computed in between."""
    for i, argument in enumerate(arguments):
        if i not in apart_from:
            identical(argument, case.arguments[i])


def results(case, arguments):
    """What the function itself gives: the number, or the arrays it wrote."""
    value = case.function(*arguments)
    return tuple(arguments[i] for i in case.outputs) if case.outputs else value


def reverse(case, seed):
    """(result, gradients) by reverse mode."""
    value, pullback = vjp(case.function, *case.fresh(), argnums=case.argnums)
    return value, pullback(*seed) if case.outputs else pullback(seed)


def forward(case, tangents):
    given = dict(zip(case.argnums, tangents, strict=True))
    full = [given.get(i) for i in range(len(case.arguments))]
    return jvp(case.function, case.fresh(), full)


def check_value_and_exact(case):
    arguments = case.fresh()
    want = results(case, case.fresh())
    if case.outputs:
        seed = [np.ones_like(a) for a in want]
        value, gradient = reverse(case, seed)
    else:
        value, gradient = value_and_grad(case.function, case.argnums)(*arguments)
        untouched(case, arguments, case.scratch)
        if len(case.argnums) == 1:
            identical(grad(case.function, case.argnums[0])(*case.fresh()), gradient[0])
    close(case, value, want, growth=8.0)
    for position, found in zip(case.argnums, gradient, strict=True):
        same_form(found, case.arguments[position])
    if case.exact is not None:
        exact = case.exact(*case.fresh())
        close(case, gradient, exact if isinstance(exact, tuple) else (exact,))


def same_form(gradient, argument):
    """Arrays have the dtype and shape of the argument, tuples its type, numbers are numbers."""
    if isinstance(argument, tuple):
        assert type(gradient) is type(argument)
        for g, a in zip(gradient, argument, strict=True):
            same_form(g, a)
    elif isinstance(argument, np.ndarray):
        if argument.dtype.kind not in "fc":
            assert gradient is None
        else:
            assert isinstance(gradient, np.ndarray)
            assert gradient.dtype == argument.dtype
            assert gradient.shape == argument.shape
            if 0 not in argument.strides:  # the gradient of a broadcast array has all its items
                assert gradient.flags.f_contiguous == argument.flags.f_contiguous
    elif isinstance(argument, (bool, int, np.integer)):
        assert gradient is None
    else:
        assert type(gradient) is (complex if np.iscomplexobj(argument) else float)


def check_modes_agree(case):
    """⟨seed, J t⟩ = ⟨Jᵀ seed, t⟩: forward mode against reverse mode, without any approximation."""
    rng = np.random.default_rng(1)
    tangents = tuple(like(case.arguments[i], rng) for i in case.argnums)
    value, tangent = forward(case, tangents)
    close(case, value, results(case, case.fresh()), growth=8.0)
    seed = tuple(like(v, rng) for v in value) if case.outputs else 1.5
    _, gradients = reverse(case, seed)
    left = flat(seed) @ flat(tangent)
    close(case, left, flat(gradients) @ flat(tangents), growth=4e3)


def check_shadows_accumulate(case):
    """`autodiff` adds to shadows of what is read, and leaves constants as they were."""
    rng = np.random.default_rng(2)
    arguments = case.fresh()
    seed = tuple(like(case.arguments[i], rng) for i in case.outputs)
    _, gradients = reverse(case, seed if case.outputs else 1.0)
    before = {i: like(case.arguments[i], rng) for i in case.argnums}
    activities: list[Any] = [Const(a) for a in arguments]
    for i in case.argnums:
        if isinstance(arguments[i], (np.ndarray, tuple)):
            activities[i] = Duplicated(arguments[i], places(before[i]))
        else:
            activities[i] = Active(arguments[i])
    for i, own in zip(case.outputs, seed, strict=True):
        activities[i] = Duplicated(arguments[i], copied(own))
    returned = iter(autodiff(Reverse, case.function, *activities))
    for position, gradient in sorted(zip(case.argnums, gradients, strict=True), key=lambda p: p[0]):
        activity = activities[position]
        if isinstance(activity, Active):
            close(case, next(returned), gradient)
        elif position not in (*case.outputs, *case.scratch):
            close(case, activity.shadow, flat(before[position]) + flat(gradient))
    untouched(case, arguments, (*case.outputs, *case.scratch))


def places(value):
    """A shadow to add to: a number in a tuple becomes an array without dimensions."""
    if isinstance(value, tuple):
        made = [places(v) for v in value]
        return type(value)(*made) if hasattr(value, "_fields") else tuple(made)
    return None if value is None else copied(np.asarray(value))


def check_differences(case):
    """Central differences of fourth order in one random direction."""
    rng = np.random.default_rng(3)
    given = {i: like(case.arguments[i], rng) for i in case.argnums}
    direction = [given.get(i) for i in range(len(case.arguments))]
    step = case.eps**0.2 / 4

    def at(k):
        arguments = case.fresh()
        return flat(
            results(
                case,
                tuple(moved(a, d, k * step) for a, d in zip(arguments, direction, strict=True)),
            )
        )

    estimate = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * step)
    seed = tuple(like(case.arguments[i], rng) for i in case.outputs) if case.outputs else 1.0
    _, gradients = reverse(case, seed)
    chosen = tuple(direction[i] for i in case.argnums)
    got = flat(gradients) @ flat(chosen)
    want = estimate @ flat(seed)
    assert abs(got - want) <= 20 * case.eps**0.7 * max(1.0, abs(want))


CHECKS = (
    check_value_and_exact,
    check_modes_agree,
    check_shadows_accumulate,
    check_differences,
)
