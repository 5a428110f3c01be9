"""What all transforms of functions do with the arguments of a call, before any compiling."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import typeof
from numba.core import types
from numba.core.registry import CPUDispatcher

from ._abi import FLOATING, leaves
from ._marshal import overlaps_itself


def require_njit(call: str, function: Any) -> Any:
    """The function, if Numba has decorated it.

    Raises
    ------
    TypeError
        It has not.
    """
    if isinstance(function, CPUDispatcher):
        return function
    name = getattr(function, "__name__", repr(function))
    raise TypeError(
        f"`{call}` needs an @njit function. Got `{name}`, a {type(function).__name__}. "
        f"Decorate it: `@numba.njit`."
    )


def bind(function: Any, arguments: Sequence[Any], keywords: dict[str, Any]) -> tuple[Any, ...]:
    """All arguments in order, defaults included."""
    signature = inspect.signature(function.py_func)
    bound = signature.bind(*arguments, **keywords)
    bound.apply_defaults()
    return tuple(
        value
        for parameter in signature.parameters.values()
        for value in (
            bound.arguments[parameter.name]
            if parameter.kind is parameter.VAR_POSITIONAL
            else (bound.arguments[parameter.name],)
        )
    )


def prepare_arrays(arguments: Sequence[Any]) -> tuple[Any, ...]:
    """Arrays whose elements share memory, such as broadcast ones, become plain arrays.

    Their shadows would share memory too, and count derivatives many times.
    """
    return tuple(
        np.ascontiguousarray(a) if isinstance(a, np.ndarray) and overlaps_itself(a) else a
        for a in arguments
    )


def types_of(call: str, function: Any, arguments: Sequence[Any]) -> tuple[types.Type, ...]:
    """Numba's types of the arguments.

    Raises
    ------
    TypeError
        An argument is nothing that Numba knows.
    """
    found = []
    for position, argument in enumerate(arguments):
        try:
            ty = typeof(argument)
            leaves(ty)
        except (ValueError, TypeError, NotImplementedError) as error:
            name = list(inspect.signature(function.py_func).parameters)[position]
            raise TypeError(
                f"`{call}` takes numbers, NumPy arrays and tuples of these. Got a "
                f"{type(argument).__name__} for `{name}`: {error}"
            ) from error
        found.append(ty)
    return tuple(found)


def can_vary(ty: types.Type) -> bool:
    """Whether an argument of this type has a derivative."""
    return any(leaf.can_vary for leaf in leaves(ty))


def require_varying(
    call: str, function: Any, positions: Sequence[int], argument_types: Sequence[types.Type]
) -> None:
    """Check that there is a derivative with respect to each of these arguments.

    Raises
    ------
    TypeError
        One of them is an integer, say.
    """
    names = list(inspect.signature(function.py_func).parameters)
    for position in positions:
        if not can_vary(argument_types[position]):
            ty = argument_types[position]
            hint = "Pass a float: `2.0` instead of `2`." if isinstance(ty, types.Integer) else ""
            kind = "array" if isinstance(ty, types.Array) else "value"
            raise TypeError(
                f"`{call}` differentiates floating-point and complex arguments. Got `argnums` "
                f"pointing at `{names[position]}`, a {kind} of type {ty}. {hint}".rstrip()
            )


def positions(call: str, argnums: int | Sequence[int], count: int) -> tuple[int, ...]:
    """`argnums` as a tuple of positions from the left.

    Raises
    ------
    TypeError, ValueError
        Not integers; beyond the arguments; one of them twice.
    """
    given = (argnums,) if isinstance(argnums, (int, np.integer)) else tuple(argnums)
    if not all(isinstance(n, (int, np.integer)) for n in given):
        raise TypeError(f"`{call}` needs `argnums` to be an int or a tuple of ints. Got {argnums!r}.")
    if any(not -count <= n < count for n in given):
        raise ValueError(
            f"`{call}` needs `argnums` between 0 and {count - 1}, for a function of {count} "
            f"arguments. Got {argnums!r}."
        )
    found = tuple(int(n) % count for n in given)
    if len(set(found)) < len(found):
        raise ValueError(f"`{call}` needs each of `argnums` once. Got {argnums!r}.")
    return found


def shape_like(ty: types.Type, value: Any) -> str:
    """An argument in a message: dtype and shape of an array, else its type."""
    if isinstance(ty, types.Array):
        return f"{value.dtype} array of shape {value.shape}"
    return f"{'complex' if isinstance(ty, types.Complex) else 'float'}" if isinstance(ty, FLOATING) else str(ty)
