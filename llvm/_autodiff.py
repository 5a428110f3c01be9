"""The in-place level, with Enzyme's names: the caller owns the shadows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._arguments import bind, name_of, number, require_njit
from ._call import call
from ._device_arrays import headers
from ._flat import Item, flatten, flatten_like
from ._kernel_call import HOST, call_launch, place_of
from ._launch import Launch
from ._overlap import overlaps_itself
from ._program import program_for
from ._request import Mode, Threads

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

    Reverse mode **adds** to the shadow of what is read, and takes the cotangent of what is written
    from its shadow, which it leaves at zero. Forward mode reads tangents and writes tangents.
    """

    value: Any
    shadow: Any


def autodiff(mode: Mode, function: Any, *activities: Const | Active | Duplicated) -> Any:
    """Differentiate in place: derivatives go into the shadows that the caller passes.

    Parameters
    ----------
    mode : Forward or Reverse
    function : njit function, or kernel(f)[n]
    *activities : Const, Active or Duplicated
        One for each argument; of a kernel, for each but the index.

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
    return _autodiff(
        "autodiff(mode, f, *activities)", mode, function, activities, skip_primal=False
    )


def linear_transpose(function: Any, *activities: Const | Duplicated) -> None:
    """The reverse pass alone, of a function that is linear in all that is Duplicated.

    As ``autodiff(Reverse, ...)``, but functions with a `LinearRule` are not run forwards, so that
    it costs what the transposed map costs. What the function would write is left undefined, and so
    are the shadows after an exception.

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
    if mode not in (Forward, Reverse):
        raise TypeError(f"`{name}` needs `mode` to be Forward or Reverse. Got {mode!r}.")
    launch = function if isinstance(function, Launch) else None
    if launch is not None:
        function, activities = launch.body, (Const(launch.n), *activities)
    function = require_njit(name, function)
    for position, activity in enumerate(activities):
        if not isinstance(activity, (Const, Active, Duplicated)):
            raise TypeError(
                f"`{name}` needs each argument wrapped. Got a bare {type(activity).__name__} as "
                f"argument {position}. Say what it is: `Const(x)`, `Active(x)` or "
                f"`Duplicated(x, dx)`."
            )
    place = HOST
    if launch is not None:
        place, activities = _placed(name, activities)
    arguments = tuple(activity.value for activity in activities)
    bound = bind(name, function, arguments)
    activities += tuple(Const(default) for default in bound[len(arguments) :])
    varying = tuple(not isinstance(activity, Const) for activity in activities)
    threads = launch.threads if launch is not None else Threads.ONE
    program = program_for(
        name,
        function,
        mode,
        bound,
        varying,
        skip_primal=skip_primal,
        threads=threads,
        architecture=place.architecture,
    )
    items, starts = program.frame.items, program.starts
    shadows: list[Any] = [None] * len(items)
    for position, activity in enumerate(activities):
        if not isinstance(activity, Const):
            own = slice(starts[position], starts[position + 1])
            what = f"the shadow of `{name_of(function, position)}`"
            shadows[own] = _shadows(what, mode, items[own], activity)
    # The derivative by a number in a tuple is added to the place that was given for it.
    places = {
        k: shadow
        for k, shadow in enumerate(shadows)
        if shadow is not None and items[k].kind != "array" and isinstance(shadow, np.ndarray)
    }
    if places and place is not HOST:
        raise TypeError(
            f"`{name}` on a device has no place for the derivative by a number in a tuple. Pass "
            f"the number as an argument of its own, `Active(x)`, or as an array of one item."
        )
    for k in places:
        shadows[k] = None
    seed = 1.0 if mode is Reverse else 0.0
    if launch is None:
        _, tangent = call(program, function, bound, shadows, seed=seed, restore=not skip_primal)
    else:
        _, tangent = call_launch(
            place, launch, program, bound, shadows, seed=seed, restore=not skip_primal
        )
    if mode is Forward:
        return tangent if program.returns_value else None
    for k, derivative in places.items():
        derivative[...] += shadows[k]
    return tuple(
        shadows[start]
        for activity, start in zip(activities, starts, strict=False)
        if isinstance(activity, Active)
    )


def _placed(name: str, activities: Sequence[Any]) -> tuple[Any, tuple[Any, ...]]:
    """Where the arrays of a launch are, and the activities with headers for those on a device."""
    pairs = [(a.value, a.shadow) if isinstance(a, Duplicated) else (a.value,) for a in activities]
    place = place_of(name, pairs)
    if place is HOST:
        return place, tuple(activities)
    made = zip(activities, map(headers, pairs), strict=True)
    return place, tuple(type(a)(*pair) for a, pair in made)


def _shadows(what: str, mode: Mode, items: Sequence[Item], activity: Any) -> list[Any]:
    """The caller's shadows for the items of one argument, checked."""
    value = activity.value
    if isinstance(activity, Active):
        if mode is Forward or isinstance(value, (np.ndarray, tuple)):
            kind = "a tangent" if mode is Forward else "an array like it"
            raise TypeError(
                f"`autodiff` needs {what}, {kind}. Got `Active`. Write `Duplicated(x, dx)`."
            )
        return [None]
    if mode is Reverse and not isinstance(value, (np.ndarray, tuple)):
        raise TypeError(
            f"`autodiff` has no use for {what}: the derivative by a number is returned. Got "
            f"`Duplicated`. Write `Active(x)`."
        )
    found: list[Any] = []
    for item, own, shadow in zip(
        items, flatten([value]), flatten_like(what, value, activity.shadow), strict=True
    ):
        if not item.can_vary or (shadow is None and own is not value):
            found.append(None)  # integers, and what the caller leaves out of a tuple
        elif item.kind == "array":
            found.append(_checked(what, own, shadow))
        else:
            found.append(_number(what, mode, item, shadow))
    return found


def _number(what: str, mode: Mode, item: Item, shadow: Any) -> Any:
    """The tangent of a number in a tuple, or in reverse mode the place for its derivative."""
    if shadow is None:
        return None
    if mode is Forward:
        return number(what, shadow, is_complex=item.kind == "complex")
    if isinstance(shadow, np.ndarray) and shadow.ndim == 0 and shadow.dtype.kind in "fc":
        return shadow
    raise TypeError(
        f"`autodiff` needs {what}, a number in a tuple, to be a place: an array without "
        f"dimensions, `np.zeros(())`, or None to do without. Got {type(shadow).__name__}."
    )


def _checked(what: str, value: np.ndarray, shadow: Any) -> np.ndarray:
    """A shadow that is like its array."""
    if not isinstance(shadow, np.ndarray):
        raise TypeError(
            f"`autodiff` needs {what} to be an array. Got {type(shadow).__name__}. "
            f"Make it with `np.zeros_like`."
        )
    if (
        shadow.shape != value.shape
        or shadow.dtype != value.dtype
        or (shadow.strides != value.strides and value.size > 1)
    ):
        raise ValueError(
            f"`autodiff` needs {what} to have shape {value.shape}, dtype {value.dtype} and strides "
            f"{value.strides}, like the array. Got {shadow.shape}, {shadow.dtype} and "
            f"{shadow.strides}. Make it with `np.zeros_like`, or as the same view of another array."
        )
    if not shadow.flags.writeable:
        raise ValueError(f"`autodiff` writes {what}. Got a read-only array. Pass a copy.")
    if overlaps_itself(shadow):
        raise ValueError(
            f"`autodiff` needs {what} to have a place for each item. Got an array whose items "
            f"share memory. Pass copies of the argument and its shadow."
        )
    return shadow
