"""`test_rule`: one call checks a rule completely.

It is the one file here that reaches for the toolchain, `llvm`, and does so only when it is called: a
rule cannot be tested without being used.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
from numba import njit

from ._guarded import Guarded
from ._registry import find_rule
from ._rule_checks import SHRINK, Result, RuleError, Trial, check_all
from ._rules import CustomRule, LinearRule

__all__ = ["RuleError", "test_rule"]


def test_rule(
    function: Any,
    *arguments: Any,
    constants: Collection[int] = (),
    tolerance: float | None = None,
    seed: int = 0,
) -> None:
    """Check the rule of a function at example arguments.

    In this order, exact checks before approximate ones:

    ===================  ============================================================================
    memory               nothing is written beside the arrays and their shadows
    overwrites           a linear function writes the whole of its output, and nothing else
    linearity            a linear function is linear in its input
    primal               differentiated, the function writes what it writes by itself
    cleared              the shadow of what is overwritten is zero afterwards, all else as it was
    accumulation         reverse adds to the shadows of what is read
    tangent              forward sets tangents of what is written; a linear function maps them
    dot test             ⟨ȳ, J ẋ⟩ by forward mode is ⟨Jᵀ ȳ, ẋ⟩ by reverse mode
    activity             the same where the shadow of any of the arrays is that array
    loop                 the same in a loop that changes every array between two calls
    central differences  forward mode against the function itself
    ===================  ============================================================================

    Parameters
    ----------
    function : njit function
        With a registered `LinearRule` or `CustomRule`.
    *arguments
        Example arguments: finite results, nothing near the edge of a domain. They are copied.
    constants : collection of int
        Positions of arrays and tuples that never vary. Those that a `LinearRule` calls constant, and
        integers, need not be named.
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
            f"`test_rule(function, ...)` needs a function with a rule. Got `{name}`, which has none. "
            f"Register one first: `enzyme_rules.register(...)`."
        )
    check_all(_trial(rule, arguments, constants, tolerance, seed))


test_rule.__test__ = False  # type: ignore[attr-defined]  # it is no test of ours for pytest to collect


def _trial(
    rule: Any,
    arguments: tuple[Any, ...],
    constants: Collection[int],
    tolerance: float | None,
    seed: int,
) -> Trial:
    from llvm._abi import can_vary
    from llvm._autodiff import Forward, Reverse

    name = rule.name
    parameters = list(inspect.signature(rule.function.py_func).parameters)
    if len(arguments) != len(parameters):
        raise TypeError(
            f"`test_rule({name}, ...)` needs an example of each of {', '.join(parameters)}. "
            f"Got {len(arguments)} arguments."
        )
    varying = [can_vary(ty) and i not in constants for i, ty in enumerate(_types(rule, arguments))]
    linear = isinstance(rule, LinearRule)
    if linear:
        varying = [i in (rule.output, rule.input) for i in range(len(arguments))]
    found = list(_arrays(parameters, arguments))
    positions = [position for position, _, _ in found]
    values = [array for _, _, array in found]
    varies = [varying[p] and v.dtype.kind in "fc" for p, v in zip(positions, values, strict=True)]
    if not any(varies):
        raise ValueError(
            f"`test_rule({name}, ...)` needs a floating-point or complex array that varies. Got "
            f"{', '.join(map(str, _types(rule, arguments)))}, constants {tuple(constants)}."
        )
    eps = max(np.finfo(v.dtype).eps for v, ok in zip(values, varies, strict=True) if ok)
    once = _Runs(rule, arguments, varying, _wrapper(rule, parameters, varying, values, loop=False))
    twice = _Runs(rule, arguments, varying, _wrapper(rule, parameters, varying, values, loop=True))
    has_forward = not isinstance(rule, CustomRule) or rule.forward is not None
    return Trial(
        name=name,
        labels=[label for _, label, _ in found],
        values=values,
        varies=varies,
        scratch={k for k, p in enumerate(positions) if linear and p in rule.scratch},
        output=positions.index(rule.output) if linear else None,
        input=positions.index(rule.input) if linear else None,
        accumulates=linear and rule.accumulates,
        tolerance=64 * float(eps) if tolerance is None else tolerance,
        eps=float(eps),
        random=np.random.default_rng(seed),
        plain=once.plain,
        reverse=once.derivative(Reverse),
        forward=once.derivative(Forward) if has_forward else None,
        plain_loop=twice.plain_loop,
        reverse_loop=twice.derivative(Reverse),
        forward_loop=twice.derivative(Forward) if has_forward else None,
    )
