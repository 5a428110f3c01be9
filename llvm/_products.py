"""Products with the Jacobian and with its transpose, with JAX's names: jvp and vjp."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ._arguments import (
    bind,
    can_vary,
    kind_of,
    name_of,
    number,
    own_items,
    positions,
    require_njit,
    types_of,
)
from ._call import call
from ._errors import UnsupportedResultError
from ._kernel_gradient import launch_jvp, launch_vjp
from ._launch import Launch
from ._program import Program, program_for
from ._request import Mode
from ._results import Returned, returned, value_and_aux
from ._shadows import copies, in_form_of, refuse_shared, shadows_like, with_copies


@dataclass(frozen=True)
class Point:
    """A function at arguments, as something that returns a number or writes into arrays.

    Attributes
    ----------
    function : njit function
        What is differentiated: the user's, or a writer of its results.
    arguments : tuple
        Those of `function`: outputs of the writer in front of the user's.
    program : Program
    result : Returned or None
        None for a function that returns a real number or nothing: it has no writer.
    aux : object
        The second of two results, with `has_aux`.
    """

    function: Any
    arguments: tuple[Any, ...]
    program: Program
    result: Returned | None = None
    aux: Any = None

    @property
    def shift(self) -> int:
        """The position of the user's first argument."""
        return self.result.count if self.result else 0

    def outputs(self) -> tuple[int, ...]:
        """Positions of the arguments that hold results."""
        if self.result:
            return tuple(range(self.result.count))
        return () if self.program.returns_value else self.program.written_arguments


def point_at(
    name: str,
    function: Any,
    mode: Mode,
    arguments: tuple[Any, ...],
    varying: tuple[bool, ...],
    *,
    has_aux: bool = False,
    writer: bool = False,
    width: int = 1,
) -> Point:
    """The function at these arguments, compiled.

    What it returns besides a real number has a shape that only a call tells: it is then called.

    Parameters
    ----------
    name : str
        The user's call, for messages.
    function, mode, arguments, varying
        As for `program_for`.
    has_aux : bool
        Whether the function returns two things, the second without derivative.
    writer : bool
        Whether a real number, too, is to be written into an array.
    width : int
        Of vector mode.
    """
    kind = tuple(map(kind_of, arguments))
    others = _return_others.setdefault(function, set())
    if not (has_aux or writer or kind in others):
        try:
            return Point(function, arguments, program_for(name, function, mode, arguments, varying))
        except UnsupportedResultError:
            others.add(kind)
    value = function(*copies(arguments))
    value, aux = value_and_aux(name, function, value) if has_aux else (value, None)
    if value is None:  # it writes into its arguments
        program = program_for(name, function, mode, arguments, varying, width=width)
        return Point(function, arguments, program)
    result = returned(name, function, value, has_aux=has_aux)
    arguments = (*result.outputs(), *arguments)
    varying = (*[True] * result.count, *varying)
    program = program_for(name, result.writer, mode, arguments, varying, width=width)
    return Point(result.writer, arguments, program, result, aux)


# Of each function the kinds of arguments for which it returns something else than a real number.
_return_others: weakref.WeakKeyDictionary[Any, set[Any]] = weakref.WeakKeyDictionary()


def jvp(
    function: Any, primals: Sequence[Any], tangents: Sequence[Any], *, has_aux: bool = False
) -> tuple[Any, ...]:
    """Value and directional derivative, by forward mode.

    Parameters
    ----------
    function : njit function, or kernel(f)[n]
    primals : sequence
        All arguments of the function; of a kernel, all but the index.
    tangents : sequence
        One for each: like the argument, or None for an argument that does not vary.
    has_aux : bool
        Whether the function returns two things, the second of which is only passed on.

    Returns
    -------
    value, tangent
        Of the form of what the function returns: numbers, arrays, tuples of these; None stands for
        the tangent of an integer. For a function that returns nothing: a tuple of the arrays that
        it may write, and a tuple of their tangents. These are fresh arrays; the arrays passed in
        are left as they were.
    aux
        With `has_aux`.

    Notes
    -----
    A function that returns something else than a real number, or nothing, is called once more
    before, to learn the shape of its result.

    Examples
    --------
    >>> import numba, numpy as np
    >>> @numba.njit
    ... def f(x):
    ...     return x**2, x.sum()
    >>> jvp(f, (np.array([1.0, 2.0]),), (np.array([1.0, 0.0]),))
    ((array([1., 4.]), 3.0), (array([2., 0.]), 1.0))
    """
    if isinstance(function, Launch):
        _refuse_aux("jvp", function, has_aux)
        return launch_jvp(function, primals, tangents)
    name = "jvp(f, primals, tangents)"
    function, arguments, tangents = with_tangents(name, function, primals, tangents)
    varying = tuple(t is not None for t in tangents)
    point = point_at(name, function, Mode.FORWARD, arguments, varying, has_aux=has_aux)
    program = point.program
    shadows: list[Any] = []
    for i, (argument, tangent) in enumerate(
        zip(point.arguments, [*[None] * point.shift, *tangents], strict=True)
    ):
        what = f"the tangent of `{name_of(point.function, i)}`"
        shadows += shadows_like(what, program.frame.items[len(shadows) :], argument, tangent)
    arguments = with_copies(program, point.function, point.arguments)
    value, tangent = call(program, point.function, arguments, shadows, seed=0.0)
    if program.returns_value:
        return value, tangent
    found = in_form_of(program, arguments, shadows, point.outputs())
    if point.result is None:
        return tuple(arguments[i] for i in point.outputs()), found
    parts = [own[0].item() if point.result.is_number(k) else own for k, own in enumerate(found)]
    both = point.result.value, point.result.in_form(parts)
    return (*both, point.aux) if has_aux else both


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
    function: Any,
    *primals: Any,
    argnums: int | Sequence[int] | None = None,
    has_aux: bool = False,
) -> tuple[Any, ...]:
    """Value, and a function from its cotangent to those of the arguments, by reverse mode.

    Parameters
    ----------
    function : njit function, or kernel(f)[n]
    *primals
        All arguments of the function; of a kernel, all but the index.
    argnums : int or sequence of int, optional
        Which arguments to differentiate by. All that can vary, if not given.
    has_aux : bool
        Whether the function returns two things, the second of which is only passed on.

    Returns
    -------
    value
        What the function returns: a number, an array, a tuple of these. For one that returns
        nothing, a tuple of the arrays that it may write, after the call. These are fresh arrays;
        the ones passed in are left as they were.
    pullback : callable
        Takes one cotangent, of the form of the value, where None stands for zero; or one for each
        of the written arrays. Returns a tuple with one for each of `argnums`. May be called many
        times.
    aux
        With `has_aux`.

    Examples
    --------
    >>> import numba, numpy as np
    >>> @numba.njit
    ... def f(x, y):
    ...     return x * y, x.sum()
    >>> value, pullback = vjp(f, np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    >>> pullback((np.array([1.0, 0.0]), 10.0))
    (array([13., 10.]), array([1., 0.]))
    """
    if isinstance(function, Launch):
        _refuse_aux("vjp", function, has_aux)
        return launch_vjp(function, primals, argnums)
    name = "vjp(f, *primals)"
    function = require_njit(name, function)
    # The point of the pullback stays as it is now, whatever becomes of the arrays that came in.
    given = own_items(bind(name, function, primals))
    arguments = copies(given)
    if argnums is None:
        argument_types = types_of(name, function, arguments)
        chosen = tuple(i for i, ty in enumerate(argument_types) if can_vary(ty))
    else:
        chosen = positions(name, argnums, len(arguments))
    varying = tuple(i in chosen for i in range(len(arguments)))
    point = point_at(name, function, Mode.REVERSE, arguments, varying, has_aux=has_aux)
    refuse_shared(point.program, point.function, (*point.arguments[: point.shift], *given))
    pullback = _pullback(point, tuple(i + point.shift for i in chosen))
    if point.result:
        value = point.result.value
    else:
        results = with_copies(point.program, function, arguments)
        value = function(*results)
        if not point.program.returns_value:
            value = tuple(results[i] for i in point.outputs())
    return (value, pullback, point.aux) if has_aux else (value, pullback)


def _refuse_aux(name: str, launch: Launch, has_aux: bool) -> None:
    if has_aux:
        raise TypeError(
            f"`{name}({launch!r}, ...)` has nothing to pass on: threads return numbers, which are "
            f"summed, or nothing. Got `has_aux=True`."
        )


def _pullback(point: Point, chosen: tuple[int, ...]) -> Callable[..., tuple[Any, ...]]:
    program, function, result = point.program, point.function, point.result
    written = () if result else point.outputs()

    def pullback(*cotangents: Any) -> tuple[Any, ...]:
        expected = len(written) or 1
        if len(cotangents) != expected:
            raise ValueError(
                f"The pullback of `{function.py_func.__qualname__}` takes one cotangent for "
                f"each of its {expected} results. Got {len(cotangents)}."
            )
        seed, given = 1.0, dict(zip(written, cotangents, strict=False))
        if result:
            given = dict(enumerate(result.cotangents("the cotangent", cotangents[0])))
        elif program.returns_value:
            seed = number("the cotangent", cotangents[0])
        shadows: list[Any] = []
        for i, argument in enumerate(point.arguments):
            what = f"the cotangent of `{name_of(function, i)}`"
            items = program.frame.items[len(shadows) :]
            shadows += shadows_like(what, items, argument, given.get(i))
        arguments = with_copies(program, point.function, point.arguments)
        call(program, function, arguments, shadows, seed=seed)
        return in_form_of(program, arguments, shadows, chosen)

    return pullback
