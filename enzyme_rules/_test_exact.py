"""Checks of `test_rule` that look at single runs: what is written, cleared, added to."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._test_trial import Arrays, Shadows, Trial, close, compare, largest, same, where


def check_overwrites(trial: Trial, y: int) -> None:
    """A linear rule's function writes the whole of its output, and nothing else."""
    for k, (before, after) in enumerate(zip(trial.values, trial.after, strict=True)):
        if k != y and k not in trial.own and not same(before, after):
            trial.fail(
                "overwrites",
                k,
                f"A linear rule's function writes its output, scratch and state. Got "
                f"`{trial.labels[k]}` changed. Name it in `scratch`, or write a CustomRule.",
            )
    if trial.accumulates:
        return
    other = list(trial.values)
    other[y] = trial.random_like(other[y])
    again = trial.once.plain(other)[y]
    if not same(again, trial.after[y]):
        trial.fail(
            "overwrites",
            y,
            f"The function must write the whole of its output. Got what was there before "
            f"{where(again != trial.after[y])}. The rule says that its derivative is zero: write "
            f"zero there, or pass a view of what is written.",
        )


def check_linearity(trial: Trial, y: int, x: int) -> None:
    """A linear rule's function is linear in its input."""

    def apply(value: np.ndarray) -> np.ndarray:
        values = list(trial.values)
        values[x], values[y] = value, np.zeros_like(values[y])
        return trial.once.plain(values)[y]

    a, b = trial.random_like(trial.values[x]), trial.random_like(trial.values[x])
    of_a, of_b = apply(a), apply(b)
    got, expected = apply(a - 2 * b), of_a - 2 * of_b
    if not close(got, expected, trial.tolerance * (largest(of_a) + 2 * largest(of_b))):
        trial.fail(
            "linearity",
            x,
            f"A(a − 2 b) must be A(a) − 2 A(b). Got {compare(got, expected)}. A function with a "
            f"constant term, or a nonlinear one, needs a CustomRule.",
        )


def check_primal(
    trial: Trial, mode: str, values: Arrays, check: str = "primal", hint: str = ""
) -> None:
    """Differentiated, the function writes what it writes by itself, and nothing else."""
    for k, (got, expected) in enumerate(zip(values, trial.after, strict=True)):
        if k in trial.scratch:
            continue
        if same(trial.values[k], expected):
            if not same(got, expected):
                trial.fail(
                    check,
                    k,
                    f"The function leaves it as it is, so {mode} mode must. Got it changed "
                    f"{where(got != expected)}. {hint or 'The rule wrote to it.'}",
                )
        elif not close(got, expected, trial.tolerance * largest(expected)):
            source = "augmented_primal" if mode == "reverse" else "forward"
            wrong = f"`{source}` does not do what the function does."
            trial.fail(
                check,
                k,
                f"In {mode} mode it must hold what the function itself writes. Got "
                f"{compare(got, expected)}. {hint or wrong}",
            )


def check_cleared(trial: Trial, before: Shadows, after: Shadows) -> None:
    """After reverse mode the shadow of what is overwritten is zero, and all else as it was."""
    for k in trial.written:
        overwritten, kept = _fate(trial, k)
        left = overwritten & (after[k] != 0)
        if left.any():
            forgot = same(after[k][left], before[k][left])
            trial.fail(
                "cleared",
                k,
                f"Reverse mode must leave zero in the shadow of what the function overwrites. Got "
                f"{after[k][left][0]:.6g} {where(left)}. "
                f"{'It was left as it was: clear' if forgot else 'Clear'} it after use, or a loop "
                f"counts it again.",
            )
        touched = kept & (after[k] != before[k])
        if touched.any():
            trial.fail(
                "cleared",
                k,
                f"Reverse mode must leave the shadow alone where the function does not write. Got "
                f"{after[k][touched][0]:.6g} instead of {before[k][touched][0]:.6g} "
                f"{where(touched)}. Clear exactly what the function overwrites: what is beside it "
                f"belongs to other results.",
            )


def _fate(trial: Trial, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Masks: elements that do not depend on what was there; elements that are left as they are."""
    nothing = np.zeros(trial.values[k].shape, bool)
    if k == trial.output:
        return (nothing if trial.accumulates else ~nothing), nothing
    values = list(trial.values)
    step = (1 + trial.random.random(values[k].shape)) * 2.0**-10
    values[k] = (values[k] * (1 + step) + step).astype(values[k].dtype)
    after = trial.once.plain(values)
    overwritten = (values[k] != trial.values[k]) & (after[k] == trial.after[k])
    others = [j for j in range(len(after)) if j != k]
    only_written = all(same(after[j], trial.after[j]) for j in others) and np.array_equal(
        after[k][~overwritten], values[k][~overwritten]
    )
    return overwritten, (~overwritten if only_written else nothing)


def check_accumulation(trial: Trial, before: Shadows, after: Shadows, alone: Shadows) -> None:
    """Reverse mode adds to the shadows of what is read; `alone` is what it adds to zero."""
    for k in trial.read_only:
        added = after[k] - before[k]
        if close(added, alone[k], trial.tolerance * (largest(alone[k]) + largest(before[k]))):
            continue
        overwritten = close(after[k], alone[k], trial.tolerance * largest(alone[k]))
        cause = (
            "It was overwritten, and what other uses of the array had put there is lost: write `+=`"
            if overwritten
            else "What the rule adds must not depend on what the shadow holds"
        )
        trial.fail(
            "accumulation",
            k,
            f"Reverse mode adds to the shadow of what is read. To one that was not zero it added "
            f"{compare(added, alone[k])}. {cause}.",
        )


def check_tangent(trial: Trial, before: Shadows, after: Shadows) -> None:
    """Forward mode sets tangents of what is written; a linear function maps them."""
    for k in trial.read_only:
        if not same(before[k], after[k]):
            trial.fail(
                "tangent",
                k,
                f"Forward mode must leave the tangent of what is only read. Got it changed "
                f"{where(before[k] != after[k])}.",
            )
    forward: Any = trial.once.forward
    _, from_zero = forward(trial.values, trial.zeroed(before, trial.written))
    for k in trial.written:
        overwritten, _ = _fate(trial, k)
        limit = trial.tolerance * largest(from_zero[k])
        differs = overwritten & (np.abs(after[k] - from_zero[k]) > limit)
        if differs.any():
            trial.fail(
                "tangent",
                k,
                f"Forward mode must overwrite the tangent of what the function overwrites. Got one "
                f"that depends on what was there {where(differs)}. Write `=` instead of `+=`.",
            )
    x, y = trial.input, trial.output
    if x is not None and y is not None:
        values = list(trial.values)
        values[y], values[x] = before[y], before[x]
        expected = trial.once.plain(values)[y]
        if not close(after[y], expected, trial.tolerance * largest(expected)):
            trial.fail(
                "tangent",
                y,
                f"The tangent must be what the function makes of the input's tangent. Got "
                f"{compare(after[y], expected)}.",
            )
