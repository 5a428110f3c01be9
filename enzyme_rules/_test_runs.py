"""How `test_rule` runs a function and its derivatives: on fresh copies in guarded memory."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import numpy as np
from numba import njit

from ._rules import RecomputedRule
from ._test_memory import Guarded
from ._test_trial import Arrays, RuleError, Shadows

_SHRINK = 0.96875  # after each call in the loop; exact in every dtype


class Runs:
    """The ways to run a function with a rule.

    Parameters
    ----------
    rule : LinearRule, CustomRule or RecomputedRule
    arguments : tuple
        Models of the arguments.
    varying : collection of int
        Positions of those that vary.
    in_loop : bool
        Whether the function is called twice, each time followed by a change of what may change.
    derive : callable
        Compiles a derivative: see `testing`.
    """

    def __init__(
        self,
        rule: Any,
        arguments: tuple[Any, ...],
        varying: Collection[int],
        in_loop: bool,
        derive: Callable[..., Any],
    ) -> None:
        self._rule = rule
        self._arguments = arguments
        self._varying = varying
        self._times = 2 if in_loop else 1
        # The inputs of a recomputed function must stay as they are.
        free = rule.outputs if isinstance(rule, RecomputedRule) else varying
        self._shrunk = [p for p in free if in_loop and isinstance(arguments[p], np.ndarray)]
        self._derive = derive
        self._derivatives: dict[str, Any] = {}
        found = arrays_in(list(inspect.signature(rule.function.py_func).parameters), arguments)
        self._labels = [label for _, label, _ in found]
        self._models = [array for _, _, array in found]

    def plain(self, values: Arrays) -> Arrays:
        """What the arrays hold after the function itself has run."""
        memory, arguments = self._copies(values)
        for _ in range(self._times):
            self._rule.function(*arguments)
            for position in self._shrunk:
                arguments[position] *= _SHRINK
        return self._read("When the function itself runs,", memory)

    def reverse(self, values: Arrays, shadows: Shadows) -> tuple[Arrays, Shadows]:
        """What arrays and shadows hold after reverse mode."""
        return self._run("reverse", values, shadows)

    def forward(self, values: Arrays, shadows: Shadows) -> tuple[Arrays, Shadows]:
        """What arrays and shadows hold after forward mode."""
        return self._run("forward", values, shadows)

    def _run(self, mode: str, values: Arrays, shadows: Shadows) -> tuple[Arrays, Shadows]:
        if mode not in self._derivatives:
            self._derivatives[mode] = self._derive(
                mode, self._caller(), self._arguments, self._varying
            )
        memory, arguments = self._copies(values)
        guarded = [
            None if shadow is None else Guarded(model, shadow)
            for model, shadow in zip(self._models, shadows, strict=True)
        ]
        # An array that does not vary is its own shadow, as in what Enzyme passes to a rule.
        given = [(s or m).array for m, s in zip(memory, guarded, strict=True)]
        if not self._derivatives[mode](arguments, given):
            detail = f"In {mode} mode one of the rule's functions raised an exception."
            raise RuleError(self._rule.name, "raises", "", detail)
        way = f"In {mode} mode"
        return self._read(way, memory), self._read(way, guarded, "the shadow of ")

    def _copies(self, values: Arrays) -> tuple[list[Guarded], list[Any]]:
        memory = [Guarded(model, value) for model, value in zip(self._models, values, strict=True)]
        arrays = iter([guarded.array for guarded in memory])
        return memory, [_replaced(argument, arrays) for argument in self._arguments]

    def _read(self, way: str, memory: Sequence[Guarded | None], what: str = "") -> list[Any]:
        for label, guarded in zip(self._labels, memory, strict=True):
            if guarded is not None and not guarded.is_intact():
                detail = (
                    f"{way} something was written beside {what}`{label}`. Stay within the array "
                    f"that is passed: it may be a view of a larger one."
                )
                raise RuleError(self._rule.name, "memory", label, detail)
        return [None if guarded is None else guarded.array.copy() for guarded in memory]

    def _caller(self) -> Any:
        """An ``@njit`` function that calls ours, once or in the loop."""
        names = ", ".join(f"a{i}" for i in range(len(self._arguments)))
        name = f"call_{self._rule.name}"
        body = [f"function({names})", *(f"shrink(a{i})" for i in self._shrunk)]
        lines = "".join(f"        {line}\n" for line in body)
        source = f"def {name}({names}):\n    for _ in range({self._times}):\n{lines}"
        namespace = {"function": self._rule.function, "shrink": _shrink, "__name__": __name__}
        exec(compile(source, f"<call of {self._rule.name}>", "exec"), namespace)  # noqa: S102
        return njit(namespace[name])


@njit(error_model="numpy")
def _shrink(array):
    array *= array.dtype.type(_SHRINK)


def arrays_in(
    parameters: Sequence[str], arguments: Sequence[Any]
) -> list[tuple[int, str, np.ndarray]]:
    """Each array in the arguments: the argument's position, a name for messages, the array."""
    return [
        (position, label, array)
        for position, (name, argument) in enumerate(zip(parameters, arguments, strict=True))
        for label, array in _labelled(name, argument)
    ]


def _labelled(label: str, value: Any) -> Iterator[tuple[str, np.ndarray]]:
    if isinstance(value, np.ndarray):
        yield label, value
    elif isinstance(value, tuple):
        fields = getattr(value, "_fields", None)
        for k, item in enumerate(value):
            yield from _labelled(f"{label}.{fields[k]}" if fields else f"{label}[{k}]", item)


def _replaced(value: Any, arrays: Iterator[np.ndarray]) -> Any:
    """The argument with other arrays in the place of its own."""
    if isinstance(value, np.ndarray):
        return next(arrays)
    if isinstance(value, tuple):
        made = [_replaced(item, arrays) for item in value]
        kind: Any = type(value)
        return kind._make(made) if hasattr(value, "_fields") else tuple(made)
    return value
