"""`test_rule`: one call checks a rule completely.

The one file here that imports the toolchain, `llvm`, and only on use: to test a rule is to use it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from ._registry import find_rule
from ._rules import LinearRule, RecomputedRule
from ._test_exact import (
    check_accumulation,
    check_cleared,
    check_linearity,
    check_overwrites,
    check_primal,
    check_tangent,
)
from ._test_products import check_activity, check_differences, check_dot, check_loop
from ._test_runs import Runs, arrays_in
from ._test_trial import RuleError, Shadows, Trial, Ways

__all__ = ["RuleError", "test_rule"]


def test_rule(
    function: Any,
    *arguments: Any,
    constants: Collection[int] = (),  # noqa: PT028  # no test of ours
    tolerance: float | None = None,  # noqa: PT028
    seed: int = 0,  # noqa: PT028
) -> None:
    """Check the rule of a function at example arguments.

    In this order, exact checks before approximate ones:

    ===================  ========================================================================
    memory               nothing is written beside the arrays and their shadows
    overwrites           a linear function writes the whole of its output, and nothing else
    linearity            a linear function is linear in its input
    primal               differentiated, the function writes what it writes by itself
    cleared              the shadow of what is overwritten is zero afterwards, all else as it was
    accumulation         reverse adds to the shadows of what is read
    tangent              forward sets tangents of what is written; a linear function maps them
    dot test             ⟨ȳ, J ẋ⟩ by forward mode is ⟨Jᵀ ȳ, ẋ⟩ by reverse mode
    activity             the same where the shadow of any of the arrays is that array
    loop                 the same in a loop that changes every array between two calls; for a
                         `RecomputedRule`, whose inputs must stay, its outputs only
    central differences  forward mode against the function itself
    ===================  ========================================================================

    Parameters
    ----------
    function : njit function
        With a registered `LinearRule`, `CustomRule` or `RecomputedRule`.
    *arguments
        Example arguments: finite results, nothing near the edge of a domain. They are copied.
    constants : collection of int
        Positions of arrays and tuples that never vary. Those that the rule calls constant or
        scratch, and integers, need not be named.
    tolerance : float, optional
        Of relative errors. 64 times the eps of the coarsest dtype that varies, if not given.
    seed : int
        Of the random shadows.

    Raises
    ------
    RuleError
        A check failed; its attributes `check` and `argument` say which, and the text why.
    TypeError, ValueError
        There is no rule, or the arguments are no use as examples.

    Notes
    -----
    Without `CustomRule.forward`, central differences take the place of forward mode in the dot test
    and in the loop, with their lower accuracy.

    Examples
    --------
    >>> import numba, numpy as np
    >>> from enzyme_rules import LinearRule, register
    >>> @numba.njit
    ... def shift_into(y, x):
    ...     for i in range(len(x)):
    ...         y[i] = x[i - 1]
    >>> @numba.njit
    ... def shift_back(dy, dx):
    ...     for i in range(len(dx)):
    ...         dx[i - 1] += dy[i]
    >>> _ = register(LinearRule(shift_into, adjoint=shift_back))
    >>> test_rule(shift_into, np.zeros(3), np.ones(3))
    """
    rule = find_rule(function)
    if rule is None:
        name = getattr(function, "__name__", repr(function))
        raise TypeError(
            f"`test_rule(function, ...)` needs a function with a rule. Got `{name}`, which has "
            f"none. Register one first: `enzyme_rules.register(...)`."
        )
    _check(_trial(rule, arguments, constants, tolerance, seed))


test_rule.__test__ = False  # pytest is not to collect it


def _check(trial: Trial) -> None:
    x, y = trial.input, trial.output
    # What these hold is of no consequence, and zeros would hide it if it were.
    for k in trial.scratch if y is None or trial.accumulates else {*trial.scratch, y}:
        trial.values[k] = trial.random_like(trial.values[k])
    trial.after = trial.once.plain(trial.values)
    trial.require_finite(trial.after)
    if x is not None and y is not None:
        check_overwrites(trial, y)
        check_linearity(trial, y, x)

    cotangents, tangents = trial.random_shadows(), trial.random_shadows()
    values, after_reverse = trial.once.reverse(trial.values, cotangents)
    check_primal(trial, "reverse", values)
    after_forward: Shadows = ()
    if trial.once.forward is not None:
        values, after_forward = trial.once.forward(trial.values, tangents)
        check_primal(trial, "forward", values)
    check_cleared(trial, cotangents, after_reverse)
    outputs_only = trial.zeroed(cotangents, trial.read_only)
    _, gradients = trial.once.reverse(trial.values, outputs_only)
    check_accumulation(trial, cotangents, after_reverse, gradients)
    if trial.once.forward is not None:
        check_tangent(trial, tangents, after_forward)
    check_dot(trial, trial.once, "dot test", outputs_only, gradients, tangents)
    check_activity(trial, cotangents, tangents)
    check_loop(trial)
    check_differences(trial)


def _trial(
    rule: Any,
    arguments: tuple[Any, ...],
    constants: Collection[int],
    tolerance: float | None,
    seed: int,
) -> Trial:
    name = rule.name
    parameters = list(inspect.signature(rule.function.py_func).parameters)
    if len(arguments) != len(parameters):
        raise TypeError(
            f"`test_rule({name}, ...)` needs an example of each of {', '.join(parameters)}. "
            f"Got {len(arguments)} arguments."
        )
    linear, recomputed = isinstance(rule, LinearRule), isinstance(rule, RecomputedRule)
    scratch = rule.scratch if linear or recomputed else ()
    if linear:
        constants = {i for i in range(len(arguments)) if i not in (rule.output, rule.input)}
    if recomputed:
        constants = {*constants, *rule.constants, *scratch}
    found = arrays_in(parameters, arguments)
    positions = [place for place, _, _ in found]
    varies = [place not in constants and array.dtype.kind in "fc" for place, _, array in found]
    if not any(varies):
        raise ValueError(
            f"`test_rule({name}, ...)` needs a floating-point or complex array that varies. Got "
            f"{', '.join(type(a).__name__ for a in arguments)}, with constants {sorted(constants)}."
        )
    values = [array for _, _, array in found]
    eps = max(float(np.finfo(v.dtype).eps) for v, ok in zip(values, varies, strict=True) if ok)
    varying = {place for place, ok in zip(positions, varies, strict=True) if ok}

    def ways(in_loop: bool) -> Ways:
        runs = Runs(rule, arguments, varying, in_loop, _derive)
        has_forward = linear or recomputed or rule.forward is not None
        return Ways(runs.plain, runs.reverse, runs.forward if has_forward else None)

    return Trial(
        name=name,
        labels=[label for _, label, _ in found],
        values=values,
        varies=varies,
        scratch={k for k, place in enumerate(positions) if place in scratch},
        own={
            k
            for k, place in enumerate(positions)
            if linear and place in (*rule.scratch, *rule.state)
        },
        output=positions.index(rule.output) if linear else None,
        input=positions.index(rule.input) if linear else None,
        accumulates=linear and rule.accumulates,
        eps=eps,
        tolerance=64 * eps if tolerance is None else tolerance,
        random=np.random.default_rng(seed),
        once=ways(in_loop=False),
        loop=ways(in_loop=True),
    )


def _derive(
    mode: str, function: Any, arguments: tuple[Any, ...], varying: Collection[int]
) -> Callable[[list[Any], list[np.ndarray]], bool]:
    """Compile a derivative.

    Returns
    -------
    callable
        Takes the arguments and a shadow for each of their arrays, the array itself where it does
        not vary; returns whether all went well. It checks nothing.
    """
    from llvm._arguments import types_of
    from llvm._differentiate import Mode
    from llvm._flat import flatten
    from llvm._program import Question, find_program

    argument_types = types_of("test_rule(function, *arguments)", function, arguments)
    flags = tuple(i in varying for i in range(len(arguments)))
    program = find_program(function, Question(Mode(mode), argument_types, flags))

    def run(arguments: list[Any], shadows: list[np.ndarray]) -> bool:
        given = iter(shadows)
        each = [next(given) if item.kind == "array" else None for item in program.frame.items]
        block, _ = program.frame.fill(flatten(arguments), each, 1.0)
        return program.loaded.entry(block) >> 32 == 0

    return run
