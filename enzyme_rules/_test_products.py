"""Checks of `test_rule` that set modes against each other, and against the function."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from ._test_exact import check_primal
from ._test_trial import Shadows, Trial, Ways, close, compare, largest, where

_MOST_COLUMNS = 512  # of a Jacobian that is built to say what is wrong with it


def check_dot(
    trial: Trial,
    ways: Ways,
    check: str,
    cotangents: Shadows,
    gradients: Shadows,
    tangents: Shadows,
    hint: str = "",
) -> None:
    """⟨ȳ, J ẋ⟩ by forward mode, or else by differences, is ⟨Jᵀ ȳ, ẋ⟩ by reverse mode."""
    tolerance = trial.tolerance
    if ways.forward is not None:
        _, pushed = ways.forward(trial.values, tangents)
    else:
        tangents = _directions(trial, tangents)
        pushed, error = _differences(trial, ways, tangents)
        tolerance = max(tolerance, error)
    left, right = _inner(trial, cotangents, pushed), _inner(trial, gradients, tangents)
    scale = _norms(trial, cotangents, pushed) + _norms(trial, gradients, tangents)
    if abs(left - right) <= tolerance * scale:
        return
    k, detail, way = None, "", "central differences"
    if ways.forward is not None:
        way = "forward mode"
        k, detail = _first_wrong(trial, ways, cotangents, gradients)
        detail += _verdict(trial, ways, cotangents, gradients, tangents)
    trial.fail(
        check,
        k,
        f"⟨Jᵀ ȳ, ẋ⟩ by reverse mode must be ⟨ȳ, J ẋ⟩ = {left:.15g} by {way}. "
        f"Got {right:.15g}.{detail}{hint}",
    )


def _first_wrong(
    trial: Trial, ways: Ways, cotangents: Shadows, gradients: Shadows
) -> tuple[int | None, str]:
    """Compare reverse mode with columns of forward mode: which array differs, and in words, how."""
    forward: Any = ways.forward
    nothing = trial.zeroed(gradients, trial.varying)
    for k in trial.varying:
        if trial.values[k].size > _MOST_COLUMNS:
            continue
        expected = np.zeros_like(trial.values[k])
        for index in np.ndindex(expected.shape):
            for unit in (1, 1j) if expected.dtype.kind == "c" else (1,):
                column = trial.zeroed(nothing, [k])
                column[k][index] = unit
                _, pushed = forward(trial.values, column)
                expected[index] += unit * _inner(trial, cotangents, pushed)
        limit = 16 * trial.tolerance * (largest(expected) + largest(gradients[k]))
        wrong = np.abs(expected - gradients[k]) > limit
        if not wrong.any():
            continue
        text = f" The gradient is {compare(gradients[k], expected)}."
        got = gradients[k][wrong]
        ratio = expected[wrong] / np.where(got == 0, np.nan, got)
        if np.allclose(ratio, ratio[0], rtol=1e-3):
            factor = ratio[0].real if abs(ratio[0].imag) < 1e-3 else ratio[0]
            text += f" A factor {factor:.6g} is missing {where(wrong)}."
        return k, text
    return None, ""


def _verdict(
    trial: Trial, ways: Ways, cotangents: Shadows, gradients: Shadows, tangents: Shadows
) -> str:
    """Which of the two modes is wrong."""
    run: Any = ways.forward
    direction = _directions(trial, tangents)
    truth = _inner(trial, cotangents, _differences(trial, ways, direction)[0])
    forward = _inner(trial, cotangents, run(trial.values, direction)[1])
    reverse = _inner(trial, gradients, direction)
    near = 0.01 * abs(forward - reverse)
    if abs(truth - forward) <= near:
        return " Central differences agree with forward mode: reverse mode is wrong."
    if abs(truth - reverse) <= near:
        return " Central differences agree with reverse mode: forward mode is wrong."
    return " Central differences agree with neither mode."


def check_activity(trial: Trial, cotangents: Shadows, tangents: Shadows) -> None:
    """All is the same where the shadow of any of the arrays is that array."""
    modes = (
        ("reverse", trial.once.reverse, cotangents),
        ("forward", trial.once.forward, tangents),
    )
    for inactive in _choices(trial.varying):
        names = ", ".join(f"`{trial.labels[k]}`" for k in inactive)
        hint = (
            f"Where {names} does not vary, its shadow is the array itself: ask `dx is not x` "
            f"before using a shadow."
        )
        for mode, run, shadows in modes:
            if run is None:
                continue
            _, expected = run(trial.values, trial.zeroed(shadows, inactive))
            chosen = [None if k in inactive else s for k, s in enumerate(shadows)]
            values, got = run(trial.values, chosen)
            check_primal(trial, mode, values, "activity", hint)
            for k in trial.varying:
                if k in inactive:
                    continue
                scale = largest(expected[k]) + largest(shadows[k])
                if not close(got[k], expected[k], trial.tolerance * scale):
                    trial.fail(
                        "activity",
                        k,
                        f"Its shadow after {mode} mode, where {names} does not vary, is "
                        f"{compare(got[k], expected[k])}. {hint}",
                    )


def _choices(varying: list[int]) -> list[tuple[int, ...]]:
    """Arrays not to vary: every choice; each alone and all but one where that would be too many."""
    if len(varying) <= 5:
        counts = range(1, len(varying))
    else:
        counts = (1, len(varying) - 1)
    return [choice for n in counts for choice in itertools.combinations(varying, n)]


def check_loop(trial: Trial) -> None:
    """All is the same in a loop that changes every array between two calls."""
    after = trial.loop.plain(trial.values)
    trial.require_finite(after)
    cotangents, tangents = trial.random_shadows(), trial.random_shadows()
    values, gradients = trial.loop.reverse(trial.values, cotangents)
    for k, (got, expected) in enumerate(zip(values, after, strict=True)):
        if k not in trial.scratch and not close(got, expected, trial.tolerance * largest(expected)):
            trial.fail(
                "loop",
                k,
                f"In reverse mode it must hold what the function itself writes. Got "
                f"{compare(got, expected)}.",
            )
    hint = (
        " In this loop arrays are overwritten after the call: what reverse mode needs of them must "
        "be in what `augmented_primal` returns, as a copy."
    )
    check_dot(trial, trial.loop, "loop", cotangents, gradients, tangents, hint)


def check_differences(trial: Trial) -> None:
    """Forward mode says what the function does."""
    if trial.once.forward is None:
        return  # the dot test was made with them
    direction = _directions(trial, trial.random_shadows())
    _, got = trial.once.forward(trial.values, direction)
    expected, error = _differences(trial, trial.once, direction)
    scale = max(largest(expected[k]) for k in trial.varying)
    for k in trial.written:
        if not close(got[k], expected[k], error * scale):
            trial.fail(
                "central differences",
                k,
                f"Forward and reverse mode agree with each other, but not with the function. Got "
                f"the tangent {compare(got[k], expected[k])}.",
            )


def _directions(trial: Trial, shadows: Shadows) -> Shadows:
    """Directions in proportion to the values, so that small positive ones stay positive."""
    return [
        None if s is None else np.where(v == 0, s, s * np.abs(v)).astype(v.dtype)
        for v, s in zip(trial.values, shadows, strict=True)
    ]


def _differences(trial: Trial, ways: Ways, direction: Shadows) -> tuple[Shadows, float]:
    """Central differences of every array after the call, and their error relative to the largest.

    The step is the one, of several, at which the next smaller changes least.
    """
    best, least = direction, np.inf
    wider = _five_points(trial, ways, direction, trial.eps**0.2)
    for k in range(1, 6):
        narrower = _five_points(trial, ways, direction, trial.eps**0.2 / 4**k)
        scale = max(largest(narrower[j]) for j in trial.varying)
        change = max(largest(narrower[j] - wider[j]) for j in trial.varying)
        relative = change / scale if scale else 0.0
        if relative < least:
            best, least = narrower, relative
        wider = narrower
    return best, min(10 * least + 100 * trial.eps, 1e-2)


def _five_points(trial: Trial, ways: Ways, direction: Shadows, h: float) -> Shadows:
    total = [np.zeros(v.shape, np.result_type(v.dtype, np.float64)) for v in trial.values]
    for n, weight in ((-2, 1), (-1, -8), (1, 8), (2, -1)):
        moved = [
            v if d is None else (v + n * h * d).astype(v.dtype)
            for v, d in zip(trial.values, direction, strict=True)
        ]
        for t, result in zip(total, ways.plain(moved), strict=True):
            t += weight * result / (12 * h)
    return [None if d is None else t for t, d in zip(total, direction, strict=True)]


def _inner(trial: Trial, a: Shadows, b: Shadows) -> float:
    """Re Σ conj(a) b over all arrays that vary."""
    return sum(float(np.vdot(_wide(a[k]), _wide(b[k])).real) for k in trial.varying)


def _norms(trial: Trial, a: Shadows, b: Shadows) -> float:
    """The largest that `_inner` could be: what its error is relative to."""
    norm = np.linalg.norm
    return sum(float(norm(_wide(a[k])) * norm(_wide(b[k]))) for k in trial.varying)


def _wide(array: np.ndarray) -> np.ndarray:
    return array.ravel().astype(np.result_type(array.dtype, np.float64))
