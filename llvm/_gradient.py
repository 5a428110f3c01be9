"""Gradients of functions that return a real number, with JAX's names: grad and value_and_grad."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numba import typeof
from numba.core import types

from enzyme_rules import generation

from ._arguments import bind, own_items, positions, require_njit
from ._call import call, call_again
from ._inspect import stage_text
from ._jit_calls import callable_in_njit
from ._jit_gradient import gradient_in_njit
from ._kernel_gradient import LaunchGradient
from ._launch import Launch
from ._options import DEFAULT, Options
from ._program import Program, program_for
from ._report import Report, report
from ._request import Mode, Question
from ._results import first_of_two, value_and_aux
from ._shadows import copies, in_form_of, with_copies


class _Recent(NamedTuple):
    """What the last call came to: while rules are the same, where the items of `argnums` are."""

    generation: int
    program: Program
    places: tuple[int, ...]


class Gradient:
    """What `grad` and `value_and_grad` return: call it like the function itself.

    It is compiled for the types of the arguments when it is first called with them, as an ``@njit``
    function is. It may be called from several threads, and inside other ``@njit`` functions.
    """

    def __init__(
        self,
        function: Any,
        argnums: int | Sequence[int],
        with_value: bool,
        has_aux: bool,
        options: Options,
    ) -> None:
        self._call = "value_and_grad(f)" if with_value else "grad(f)"
        self.function = require_njit(self._call, function)
        self.argnums = argnums
        self._with_value = with_value
        self._has_aux = has_aux
        self.options = options
        self._differentiated = first_of_two(function) if has_aux else function
        self._last: Question | None = None
        self._choices: dict[int, Any] = {}
        self._is_tuple = not isinstance(argnums, (int, np.integer))
        self._recent: _Recent | None = None
        functools.update_wrapper(self, function.py_func)

    def __repr__(self) -> str:
        name = "value_and_grad" if self._with_value else "grad"
        return f"{name}({self.function.py_func.__qualname__}, argnums={self.argnums})"

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        recent = self._recent
        if recent is not None and not keywords and recent.generation == generation():
            program = recent.program
            known = call_again(program, self._differentiated, arguments, program.hidden)
            if known is not None:
                value, shadows = known
                found = [shadows[k] for k in recent.places]
                gradient = tuple(found) if self._is_tuple else found[0]
                return (value, gradient) if self._with_value else gradient
        arguments = own_items(bind(self._call, self.function, arguments, keywords))
        chosen, varying = self._choose(len(arguments))
        aux = None
        if self._has_aux:
            result = self.function(*copies(arguments))
            _, aux = value_and_aux(self._call, self.function, result)
        function = self._differentiated
        program = program_for(
            self._call, function, Mode.REVERSE, arguments, varying, options=self.options
        )
        self._last = program.question
        if not program.returns_value:
            raise TypeError(
                f"`{self._call}` needs a function that returns a real number. Got "
                f"`{self.function.py_func.__qualname__}`, which returns nothing. For results "
                f"written into arrays use `vjp`, or `autodiff` with their cotangents."
            )
        if program.writes_varying:
            arguments = with_copies(program, function, arguments, varying)
        shadows: list[Any] = [None] * len(program.frame.items)
        again = self._may_come_again(program, arguments, chosen)
        hidden = program.hidden
        value, _ = call(program, function, arguments, shadows, hidden=hidden, remember=again)
        self._recent = None
        if again:
            places = tuple(program.starts[i] for i in chosen)
            self._recent = _Recent(generation(), program, places)
        found = in_form_of(program, arguments, shadows, chosen)
        gradient = found if self._is_tuple else found[0]
        if self._has_aux:
            return ((value, aux), gradient) if self._with_value else (gradient, aux)
        return (value, gradient) if self._with_value else gradient

    def _may_come_again(
        self, program: Program, arguments: Sequence[Any], chosen: Sequence[int]
    ) -> bool:
        """Whether a call such as this one may go the short way: nothing is copied or unpacked."""
        return not (
            self._has_aux
            or program.writes_varying
            or any(isinstance(arguments[i], tuple) for i in chosen)
        )

    @property
    def derivative_of(self) -> Any:
        """The function, for those who compile what calls this."""
        return self.function

    @functools.cached_property
    def _numba_type_(self) -> types.Type:
        """What Numba takes it for: a function, written by `_jit_gradient`."""
        write = functools.partial(
            gradient_in_njit,
            self.function,
            self.argnums,
            self._with_value,
            self._has_aux,
            self.options,
        )
        self._in_njit = callable_in_njit(self.function, write)  # the type does not keep it alive
        return typeof(self._in_njit)

    def _choose(self, count: int) -> tuple[tuple[int, ...], tuple[bool, ...]]:
        """`argnums` for so many arguments, and for each argument whether it varies."""
        known = self._choices.get(count)
        if known is None:
            chosen = positions(self._call, self.argnums, count)
            known = self._choices[count] = chosen, tuple(i in chosen for i in range(count))
        return known

    def inspect_llvm(self, stage: str = "optimised") -> str:
        """LLVM IR of one stage, for the types of the last call.

        Parameters
        ----------
        stage : {"lowered", "prepared", "differentiated", "optimised", "compiled"}
            "compiled" gives assembly.

        Raises
        ------
        ValueError
            No such stage, or the gradient has not been called yet.
        """
        return stage_text(self._differentiated, self._last, stage)

    def report(self) -> Report:
        """What the compilation for the types of the last call did, and what the result costs.

        Per stage the time and the size; the activity of every argument; which values are kept for
        the reverse pass, of how many bytes, why, and from which line of the source; instructions.
        The stages are run again, so that this takes as long as compiling.

        Raises
        ------
        ValueError
            The gradient has not been called yet.
        """
        return report(self._differentiated, self._last)


def grad(
    function: Any,
    argnums: int | Sequence[int] = 0,
    *,
    has_aux: bool = False,
    options: Options = DEFAULT,
) -> Gradient:
    """The gradient of an ``@njit`` function that returns a real number.

    Parameters
    ----------
    function : njit function, or kernel(f)[n]
        Of numbers, arrays and tuples of these. Of a launch, what its threads return is summed.
    argnums : int or sequence of int
        Which arguments to differentiate by.
    has_aux : bool
        Whether the function returns two things: the number, and something that is only passed on.
        The function is then called once more, to get it.
    options : Options
        How it is compiled, for studies.

    Returns
    -------
    Gradient
        Or `LaunchGradient`. Takes the function's arguments; returns the gradient for one position,
        a tuple of them for several; with `has_aux`, ``(gradient, aux)``. The gradient of an array
        is an array of its shape, dtype and layout; of a tuple, a tuple. With respect to a complex
        number it is
        ∂L/∂Re + i ∂L/∂Im (as in PyTorch; JAX returns the conjugate).

    Raises
    ------
    TypeError
        Not an @njit function; when called: `argnums` points at an integer, the function returns
        nothing, or with `has_aux` not two things.
    ValueError
        When called: a function that may return None did.

    Examples
    --------
    >>> import numba, numpy as np
    >>> @numba.njit
    ... def f(x):
    ...     return (x**3).sum()
    >>> grad(f)(np.array([1.0, 2.0]))
    array([ 3., 12.])
    """
    return _gradient(function, argnums, False, has_aux, options)


def value_and_grad(
    function: Any,
    argnums: int | Sequence[int] = 0,
    *,
    has_aux: bool = False,
    options: Options = DEFAULT,
) -> Gradient:
    """As `grad`, but the result is ``(value, gradient)``, from one run.

    With `has_aux` it is ``((value, aux), gradient)``.

    Examples
    --------
    >>> import numba, numpy as np
    >>> @numba.njit
    ... def f(x, scale):
    ...     return scale * (x**2).sum()
    >>> value_and_grad(f, argnums=(0, 1))(np.array([1.0, 2.0]), 3.0)
    (15.0, (array([ 6., 12.]), 5.0))
    """
    return _gradient(function, argnums, True, has_aux, options)


def _gradient(
    function: Any, argnums: Any, with_value: bool, has_aux: bool, options: Options
) -> Any:
    if not isinstance(function, Launch):
        return Gradient(function, argnums, with_value, has_aux, options)
    if has_aux or options != DEFAULT:
        name = "value_and_grad" if with_value else "grad"
        raise TypeError(f"`{name}({function!r})` takes `argnums` alone. Got something else.")
    return LaunchGradient(function, argnums, with_value)
