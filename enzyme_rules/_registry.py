"""The one table of rules, and what a compiled result has to remember of it."""

from __future__ import annotations

import threading
from typing import Any

from ._rules import AllocationRule, Inactive, Rule

_lock = threading.RLock()
_rules: dict[Any, Rule] = {}
_symbols: dict[str, Inactive | AllocationRule] = {}
_generation = 0


def register(rule: Rule | Inactive | AllocationRule) -> Any:
    """Make a rule known to every gradient compiled from now on. Replaces an earlier rule.

    Parameters
    ----------
    rule : LinearRule, CustomRule, RecomputedRule, Inactive or AllocationRule

    Returns
    -------
    njit function or str
        What the rule is for, so that a module can end with ``f = register(LinearRule(f, ...))``.

    Raises
    ------
    TypeError
        Not a rule.

    Examples
    --------
    >>> import numba
    >>> from enzyme_rules import LinearRule, find_rule
    >>> @numba.njit
    ... def negate_into(y, x):
    ...     y[:] = -x
    >>> rule = LinearRule(negate_into)
    >>> negate_into is register(rule)
    True
    >>> find_rule(negate_into) is rule
    True
    """
    global _generation
    with _lock:
        _generation += 1
        if isinstance(rule, Rule):
            _rules[rule.function] = rule
            return rule.function
        if isinstance(rule, (Inactive, AllocationRule)):
            _symbols[rule.symbol] = rule
            return rule.symbol
    raise TypeError(
        f"`enzyme_rules.register(rule)` needs a LinearRule, CustomRule, RecomputedRule, "
        f"Inactive or AllocationRule. Got {type(rule).__name__}."
    )


def unregister(rule: Rule | Inactive | AllocationRule) -> None:
    """Forget a rule. Gradients that were compiled with it keep it."""
    global _generation
    with _lock:
        _generation += 1
        if isinstance(rule, Rule):
            _rules.pop(rule.function, None)
        else:
            _symbols.pop(rule.symbol, None)


def find_rule(function: Any) -> Rule | None:
    """The rule of an ``@njit`` function, or None."""
    return _rules.get(function)


def symbol_rules() -> tuple[Inactive | AllocationRule, ...]:
    """The rules for C functions, in the order of their names."""
    with _lock:
        return tuple(_symbols[name] for name in sorted(_symbols))


def generation() -> int:
    """A number that changes with every change of the registry."""
    return _generation
