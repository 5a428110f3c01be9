"""Functions of functions, with JAX's names and argument order: grad, value_and_grad, vjp, jvp."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ._arguments import (
    bind,
    can_vary,
    name_of,
    number,
    own_items,
    positions,
    require_njit,
    types_of,
)
from ._call import call
from ._differentiate import Mode
from ._flat import Item, flatten, flatten_like, rebuild
from ._inspect import stage_text
from ._marshal import copy_like, zeros_like
from ._program import Program, Question, program_for


class Gradient:
    """What `grad` and `value_and_grad` return: call it like the function itself.

    It is compiled for the types of the arguments when it is first called with them, as an ``@njit``
    function is, and may be called from several threads.
    """

    def __init__(self, function: Any, argnums: int | Sequence[int], with_value: bool) -> None:
        self._call = "value_and_grad(f)" if with_value else "grad(f)"
        self.function = require_njit(self._call, function)
        self.argnums = argnums
        self._with_value = with_value
        self._last: Question | None = None
        self._choices: dict[int, Any] = {}
        functools.update_wrapper(self, function.py_func)

    def __repr__(self) -> str:
        name = "value_and_grad" if self._with_value else "grad"
        return f"{name}({self.function.py_func.__qualname__}, argnums={self.argnums})"

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        arguments = own_items(bind(self._call, self.function, arguments, keywords))
        chosen, varying = self._choose(len(arguments))
        program = program_for(self._call, self.function, Mode.REVERSE, arguments, varying)
        self._last = program.question
        if not program.returns_value:
            raise TypeError(
                f"`{self._call}` needs a function that returns a real number. Got "
                f"`{self.function.py_func.__qualname__}`, which returns nothing. For results "
                f"written into arrays use `vjp`, or `autodiff` with their cotangents."
            )
        if program.writes_varying:
            arguments = with_copies(program, arguments, varying)
        shadows: list[Any] = [None] * len(program.frame.items)
        value, _ = call(program, self.function, arguments, shadows, hidden=program.hidden)
        found = gradients(program, arguments, shadows, chosen)
        gradient = found[0] if isinstance(self.argnums, (int, np.integer)) else found
        return (value, gradient) if self._with_value else gradient

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
        return stage_text(self.function, self._last, stage)


def grad(function: Any, argnums: int | Sequence[int] = 0) -> Gradient:
    """The gradient of an ``@njit`` function that returns a real number.

    Parameters
    ----------
    function : njit function
        Of numbers, arrays and tuples of these.
    argnums : int or sequence of int
        Which arguments to differentiate by.

    Returns
    -------
    Gradient
        Takes the function's arguments; returns the gradient for one position, a tuple of them for
        several. The gradient of an array is an array of its shape, dtype and layout; of a tuple, a
        tuple. With respect to a complex number it is ∂L/∂Re + i ∂L/∂Im (as in PyTorch; JAX returns
        the conjugate).

    Raises
    ------
    TypeError
        Not an @njit function; when called: `argnums` points at an integer, the function returns
        nothing.

    Examples
    --------
    >>> import numba, numpy as np
    >>> @numba.njit
    ... def f(x):
    ...     return (x**3).sum()
    >>> grad(f)(np.array([1.0, 2.0]))
    array([ 3., 12.])
    """
    return Gradient(function, argnums, with_value=False)


def value_and_grad(function: Any, argnums: int | Sequence[int] = 0) -> Gradient:
    """As `grad`, but the result is ``(value, gradient)``, from one run.

    Examples
    --------
    >>> import numba, numpy as np
    >>> @numba.njit
    ... def f(x, scale):
    ...     return scale * (x**2).sum()
    >>> value_and_grad(f, argnums=(0, 1))(np.array([1.0, 2.0]), 3.0)
    (15.0, (array([ 6., 12.]), 5.0))
    """
    return Gradient(function, argnums, with_value=True)


def jvp(function: Any, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """Value and directional derivative, by forward mode.

    Parameters
    ----------
    function : njit function
    primals : sequence
        All arguments of the function.
    tangents : sequence
        One for each: like the argument, or None for an argument that does not vary.

    Returns
    -------
    value, tangent
        Numbers, for a function that returns one. For a function that writes its results into
        arrays: a tuple of those that it may write, and a tuple of their tangents. These are fresh
        arrays; the arrays passed in are left as they were.
    """
    name = "jvp(f, primals, tangents)"
    function, arguments, tangents = with_tangents(name, function, primals, tangents)
    varying = tuple(t is not None for t in tangents)
    program = program_for(name, function, Mode.FORWARD, arguments, varying)
    shadows: list[Any] = []
    for i, (argument, tangent) in enumerate(zip(arguments, tangents, strict=True)):
        what = f"the tangent of `{name_of(function, i)}`"
        shadows += shadows_like(what, program.frame.items[len(shadows) :], argument, tangent)
    arguments = with_copies(program, arguments)
    value, tangent = call(program, function, arguments, shadows, seed=0.0)
    if program.returns_value:
        return value, tangent
    outputs = program.written_arguments
    return tuple(arguments[i] for i in outputs), gradients(program, arguments, shadows, outputs)


def with_tangents(
    name: str, function: Any, primals: Sequence[Any], tangents: Sequence[Any]
) -> tuple[Any, tuple[Any, ...], tuple[Any, ...]]:
    """The @njit function, all its arguments, and a tangent or None for each."""
    function = require_njit(name, function)
    if len(tangents) != len(primals):
        raise ValueError(
            f"`{name}` needs one tangent, or None, for each of the {len(primals)} primals. "
            f"Got {len(tangents)}."
        )
    arguments = own_items(bind(name, function, primals))
    # Defaults do not vary.
    return function, arguments, (*tangents, *[None] * (len(arguments) - len(tangents)))


def vjp(
    function: Any, *primals: Any, argnums: int | Sequence[int] | None = None
) -> tuple[Any, Callable[..., tuple[Any, ...]]]:
    """Value, and a function from its cotangent to those of the arguments, by reverse mode.

    Parameters
    ----------
    function : njit function
    *primals
        All arguments of the function.
    argnums : int or sequence of int, optional
        Which arguments to differentiate by. All that can vary, if not given.

    Returns
    -------
    value
        A number; or, for a function that writes its results into arrays, a tuple of those that it
        may write, after the call. These are fresh arrays; the ones passed in are left as they were.
    pullback : callable
        Takes one cotangent for the number, or one (or None, for zero) for each of the written
        arrays; returns a tuple with one for each of `argnums`. May be called many times.
    """
    name = "vjp(f, *primals)"
    function = require_njit(name, function)
    arguments = own_items(bind(name, function, primals))
    if argnums is None:
        argument_types = types_of(name, function, arguments)
        chosen = tuple(i for i, ty in enumerate(argument_types) if can_vary(ty))
    else:
        chosen = positions(name, argnums, len(arguments))
    varying = tuple(i in chosen for i in range(len(arguments)))
    program = program_for(name, function, Mode.REVERSE, arguments, varying)
    outputs = () if program.returns_value else program.written_arguments
    # The point of the pullback stays as it is now, whatever becomes of the arrays that came in.
    kept = tuple(rebuild(a, iter(map(_copy, flatten([a])))) for a in arguments)
    results = with_copies(program, kept)
    value = function(*results)

    def pullback(*cotangents: Any) -> tuple[Any, ...]:
        expected = len(outputs) if outputs else 1
        if len(cotangents) != expected:
            raise ValueError(
                f"The pullback of `{function.py_func.__qualname__}` takes one cotangent for "
                f"each of its {expected} results. Got {len(cotangents)}."
            )
        shadows: list[Any] = []
        for i, argument in enumerate(kept):
            given = cotangents[outputs.index(i)] if i in outputs else None
            what = f"the cotangent of `{name_of(function, i)}`"
            shadows += shadows_like(what, program.frame.items[len(shadows) :], argument, given)
        seed = 1.0 if outputs else number("the cotangent", cotangents[0])
        point = with_copies(program, kept)
        call(program, function, point, shadows, seed=seed)
        return gradients(program, point, shadows, chosen)

    return (value if program.returns_value else tuple(results[i] for i in outputs)), pullback


def gradients(
    program: Program, arguments: Sequence[Any], shadows: Sequence[Any], chosen: Sequence[int]
) -> tuple[Any, ...]:
    """The shadows of the chosen arguments, in the form of these: None for what cannot vary."""
    starts = program.starts
    return tuple(rebuild(arguments[i], iter(shadows[starts[i] : starts[i + 1]])) for i in chosen)


def with_copies(
    program: Program, arguments: tuple[Any, ...], which: Sequence[bool] | None = None
) -> tuple[Any, ...]:
    """The arguments, with copies of the arrays that the function may write; of some, or of all."""
    made = []
    for i, argument in enumerate(arguments):
        own = program.frame.items[program.starts[i] : program.starts[i + 1]]
        if (which is None or which[i]) and any(item.written for item in own):
            pairs = zip(own, flatten([argument]), strict=True)
            flat = iter([copy_like(value) if item.written else value for item, value in pairs])
            argument = rebuild(argument, flat)
        made.append(argument)
    return tuple(made)


def _copy(value: Any) -> Any:
    return copy_like(value) if isinstance(value, np.ndarray) else value


def shadows_like(what: str, items: Sequence[Item], argument: Any, given: Any) -> list[Any]:
    """Shadows for the items of one argument, filled with a tangent or cotangent that is like it."""
    flat = flatten([argument])
    found: list[Any] = []
    for item, value, own in zip(items, flat, flatten_like(what, argument, given), strict=False):
        if own is None or not item.can_vary:
            found.append(None)
        elif item.kind == "array":
            found.append(zeros_like(value))
            _fill(what, found[-1], own)
        else:
            found.append(number(what, own, is_complex=item.kind == "complex"))
    return found


def _fill(what: str, shadow: np.ndarray, given: Any) -> None:
    given = np.asarray(given)
    if given.shape != shadow.shape or not np.can_cast(given.dtype, shadow.dtype, "same_kind"):
        raise ValueError(
            f"A derivative needs {what} to have shape {shadow.shape} and dtype {shadow.dtype}, "
            f"like what it belongs to. Got {given.shape} and {given.dtype}."
        )
    shadow[...] = given
