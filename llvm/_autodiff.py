"""The in-place level, with Enzyme's names: the caller owns the shadows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba.core import types

from ._abi import FLOATING
from ._arguments import require_njit, require_varying, types_of
from ._call import call, read_shadow, scalar_shadow
from ._differentiate import Mode
from ._marshal import zeros_like
from ._program import Question, find_program

Forward = Mode.FORWARD
Reverse = Mode.REVERSE


@dataclass(frozen=True)
class Const:
    """An argument that does not vary. Arrays that the function writes may be constant too."""

    value: Any


@dataclass(frozen=True)
class Active:
    """A number to differentiate by, in reverse mode. `autodiff` returns its derivative."""

    value: Any


@dataclass(frozen=True)
class Duplicated:
    """An array, or a tuple of arrays, with its shadow; in forward mode a number with its tangent.

    Reverse mode **adds** to the shadow of what is read, and takes the cotangent of what is written from
    its shadow, which it leaves at zero. Forward mode reads tangents and writes tangents.
    """

    value: Any
    shadow: Any


def autodiff(mode: Mode, function: Any, *activities: Const | Active | Duplicated) -> Any:
    """Differentiate in place: derivatives go into the shadows that the caller passes.

    Parameters
    ----------
    mode : Forward or Reverse
    function : njit function
    *activities : Const, Active or Duplicated
        One for each argument.

    Returns
    -------
    tuple of float or complex, or float
        Reverse: derivatives by the Active arguments, in order. Forward: the tangent of the returned
        number, or None if the function returns nothing.

    Raises
    ------
    TypeError
        An argument is not wrapped, or cannot vary.
    ValueError
        A shadow is not like its array; arrays overlap.

    Examples
    --------
    >>> import numba, numpy as np
    >>> @numba.njit
    ... def square(y, x):
    ...     y[:] = x**2
    >>> x, dx = np.array([1.0, 2.0]), np.zeros(2)
    >>> y, dy = np.zeros(2), np.ones(2)
    >>> autodiff(Reverse, square, Duplicated(y, dy), Duplicated(x, dx))
    ()
    >>> dx, dy
    (array([2., 4.]), array([0., 0.]))
    """
    return _autodiff("autodiff(mode, f, *activities)", mode, function, activities, skip_primal=False)


def linear_transpose(function: Any, *activities: Const | Duplicated) -> None:
    """The reverse pass alone, of a function that is linear in all that is Duplicated.

    As ``autodiff(Reverse, ...)``, but functions with a `LinearRule` are not run forwards, so that it
    costs what the transposed map costs. What the function would write is left undefined.

    Parameters
    ----------
    function : njit function
        Linear in the arguments that are Duplicated. This is not checked: a function that is not
        gives the derivative at an undefined point.
    *activities : Const or Duplicated
    """
    name = "linear_transpose(f, *activities)"
    _autodiff(name, Reverse, function, activities, skip_primal=True)


def _autodiff(
    name: str, mode: Mode, function: Any, activities: tuple[Any, ...], *, skip_primal: bool
) -> Any:
    if not isinstance(mode, Mode):
        raise TypeError(f"`{name}` needs `mode` to be Forward or Reverse. Got {mode!r}.")
    function = require_njit(name, function)
    for position, activity in enumerate(activities):
        if not isinstance(activity, (Const, Active, Duplicated)):
            raise TypeError(
                f"`{name}` needs each argument wrapped. Got a bare {type(activity).__name__} as "
                f"argument {position}. Say what it is: `Const(x)`, `Active(x)`, `Duplicated(x, dx)`."
            )
    arguments = tuple(activity.value for activity in activities)
    argument_types = types_of(name, function, arguments)
    varying = tuple(not isinstance(activity, Const) for activity in activities)
    chosen = [i for i, varies in enumerate(varying) if varies]
    require_varying(name, function, chosen, argument_types)
    shadows = [
        _shadow(name, mode, i, ty, activity)
        for i, (ty, activity) in enumerate(zip(argument_types, activities, strict=True))
    ]
    question = Question(mode, argument_types, varying, skip_primal)
    program = find_program(function, question)
    seed = 1.0 if mode is Reverse else 0.0
    _, tangent = call(program, function, arguments, shadows, seed=seed)
    if mode is Forward:
        return tangent if program.returns_value else None
    return tuple(
        read_shadow(ty, activity.value, shadow)
        for ty, activity, shadow in zip(argument_types, activities, shadows, strict=True)
        if isinstance(activity, Active)
    )


def _shadow(name: str, mode: Mode, position: int, ty: types.Type, activity: Any) -> Any:
    if isinstance(activity, Const):
        return None
    if isinstance(ty, FLOATING):
        if mode is Reverse and isinstance(activity, Duplicated):
            raise TypeError(
                f"`{name}` returns the derivative by a number. Got `Duplicated` for argument "
                f"{position}. Write `Active(x)`."
            )
        if mode is Forward and isinstance(activity, Active):
            raise TypeError(
                f"`{name}` in forward mode needs the tangent of a number. Got `Active` for argument "
                f"{position}. Write `Duplicated(x, dx)`."
            )
        return zeros_like(ty, activity.value) if mode is Reverse else scalar_shadow(ty, activity.shadow)
    if isinstance(activity, Active):
        raise TypeError(
            f"`{name}` needs a shadow for an array. Got `Active` for argument {position}. "
            f"Write `Duplicated(x, dx)`."
        )
    _check_like(f"{name}: shadow of argument {position}", ty, activity.value, activity.shadow)
    return activity.shadow


def _check_like(what: str, ty: types.Type, value: Any, shadow: Any) -> None:
    if isinstance(ty, types.BaseTuple):
        if not isinstance(shadow, tuple) or len(shadow) != len(ty.types):
            raise ValueError(f"`{what}` needs a tuple of {len(ty.types)}. Got {type(shadow).__name__}.")
        for k, (t, v, s) in enumerate(zip(ty.types, value, shadow, strict=True)):
            if isinstance(t, (types.Array, types.BaseTuple)):
                _check_like(f"{what}[{k}]", t, v, s)
        return
    same = (
        isinstance(shadow, np.ndarray)
        and shadow.shape == value.shape
        and shadow.dtype == value.dtype
        and (shadow.strides == value.strides or value.size <= 1)
    )
    if not same:
        got = (
            f"shape {shadow.shape}, dtype {shadow.dtype}, strides {shadow.strides}"
            if isinstance(shadow, np.ndarray)
            else type(shadow).__name__
        )
        raise ValueError(
            f"`{what}` needs shape {value.shape}, dtype {value.dtype} and strides {value.strides}, like "
            f"the array. Got {got}. Make it with `np.zeros_like`."
        )
    if not shadow.flags.writeable:
        raise ValueError(f"`{what}` is written. Got a read-only array. Pass a copy.")
