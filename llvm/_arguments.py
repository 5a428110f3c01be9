"""What all transforms of functions do with the arguments of a call, before any compiling."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import typeof
from numba.core import types
from numba.core.errors import NumbaError
from numba.core.registry import CPUDispatcher

from enzyme_rules._cupy import is_on_device

from ._abi import TUPLE, is_instance, leaves
from ._fixed import findings_of, once, same_kind
from ._flat import flatten, rebuild
from ._overlap import overlaps_itself


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


@dataclass(frozen=True)
class Signature:
    """What a function is called with.

    Attributes
    ----------
    full : inspect.Signature
    names : tuple of str
    rest : int or None
        The position of ``*rest``.
    """

    full: inspect.Signature
    names: tuple[str, ...]
    rest: int | None


_signatures: weakref.WeakKeyDictionary[Any, Signature] = weakref.WeakKeyDictionary()


def signature_of(function: Any) -> Signature:
    """The signature of a function; asking `inspect` takes longer than a small gradient."""
    known = _signatures.get(function)
    if known is None:
        full = inspect.signature(function.py_func)
        last = list(full.parameters.values())[-1:]
        rest = len(full.parameters) - 1 if last and last[0].kind is last[0].VAR_POSITIONAL else None
        known = _signatures[function] = Signature(full, tuple(full.parameters), rest)
    return known


def bind(
    call: str, function: Any, arguments: Sequence[Any], keywords: dict[str, Any] | None = None
) -> tuple[Any, ...]:
    """All arguments in order, defaults included, those of ``*rest`` one by one.

    Raises
    ------
    TypeError
        The function does not take these.
    """
    known = signature_of(function)
    if not keywords and len(arguments) == len(known.names) and known.rest is None:
        return tuple(arguments)
    signature = known.full
    try:
        bound = signature.bind(*arguments, **(keywords or {}))
    except TypeError as error:
        raise TypeError(
            f"`{call}` needs the arguments of `{function.py_func.__qualname__}{signature}`. "
            f"Got something else: {error}."
        ) from None
    bound.apply_defaults()
    given: list[Any] = []
    for name, value in bound.arguments.items():
        kind = signature.parameters[name].kind
        given += value if kind is inspect.Parameter.VAR_POSITIONAL else (value,)
    return tuple(given)


def name_of(function: Any, position: int) -> str:
    """What the function calls an argument."""
    known = signature_of(function)
    if known.rest is not None and position >= known.rest:
        return f"{known.names[known.rest]}[{position - known.rest}]"
    return known.names[position]


def own_items(arguments: Sequence[Any]) -> tuple[Any, ...]:
    """Arrays whose elements share memory, such as broadcast ones, become plain arrays.

    Their shadows would share memory too, and count derivatives many times.
    """
    return tuple([_own(argument) if _shares(argument) else argument for argument in arguments])


def _shares(value: Any) -> bool:
    if isinstance(value, tuple):
        return once(value, "shares", lambda items: any(map(_shares, items)))
    return isinstance(value, np.ndarray) and overlaps_itself(value)


def _own(argument: Any) -> Any:
    return rebuild(argument, iter([_plain(a) if _shares(a) else a for a in flatten([argument])]))


def _plain(array: np.ndarray) -> np.ndarray:
    """A copy, read-only: a function that writes one element of `array` would change others too."""
    made = np.ascontiguousarray(array)
    made.flags.writeable = False
    return made


_TYPE_OF_CLASS = {
    *(bool, float, complex, type(None), np.bool_, np.float32, np.float64, np.complex64),
    *(np.complex128, np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32),
    np.uint64,
}
# C and Fortran contiguous, aligned, writeable: the flags that a Numba type depends on.
_FLAGS = 0x1 | 0x2 | 0x100 | 0x400


def flags_of(array: np.ndarray) -> int:
    """Those of the flags of an array that its Numba type depends on."""
    return array.flags.num & _FLAGS


def class_decides(value: Any) -> bool:
    """Whether the class alone says the Numba type: of numbers and None."""
    cls = type(value)
    return cls in _TYPE_OF_CLASS or (cls is int and -(1 << 63) <= value < 1 << 63)


def kind_of(value: Any) -> Hashable:
    """What decides the Numba type of an argument, or that type itself.

    Numba takes 6 µs to find the type of an array, and 150 µs for a tuple of 25; this takes 0.2 and
    6.
    """
    cls = type(value)
    if cls is np.ndarray:
        return value.dtype, value.ndim, flags_of(value)
    if class_decides(value):
        return cls
    if isinstance(value, tuple):
        return once(value, "kind", _kind_of_tuple)
    return typeof(value)


def _kind_of_tuple(value: tuple[Any, ...]) -> Hashable:
    kind = type(value), *map(kind_of, value)
    return kind if findings_of(value) is None else same_kind(kind)


NO_TYPE = (ValueError, TypeError, NotImplementedError, NumbaError)
"""What Numba, or `leaves`, raises for a value that has no place in compiled code."""

_types: dict[Hashable, types.Type] = {}


def types_of(call: str, function: Any, arguments: Sequence[Any]) -> tuple[types.Type, ...]:
    """Numba's types of the arguments.

    Raises
    ------
    TypeError
        An argument is nothing that Numba knows, or nothing that a derivative can take.
    """
    found = []
    for position, argument in enumerate(arguments):
        try:
            kind = kind_of(argument)
            ty = _types.get(kind)
            if ty is None:
                ty = typeof(argument)
                leaves(ty)
                if not isinstance(kind, types.Type):
                    _types[kind] = ty
        except NO_TYPE as error:
            name, culprit = _culprit(name_of(function, position), argument)
            raise TypeError(
                f"`{call}` takes numbers, NumPy arrays of numbers, and (named) tuples of these. "
                f"Got a {type(culprit).__name__} for `{name}`. {_advice(culprit)}"
            ) from error
        found.append(ty)
    return tuple(found)


def _culprit(name: str, argument: Any) -> tuple[str, Any]:
    """What it is, in a tuple in a tuple, that has no type."""
    for k, item in enumerate(argument if isinstance(argument, tuple) else ()):
        try:
            leaves(typeof(item))
        except NO_TYPE:
            return _culprit(f"{name}[{k}]", item)
    return name, argument


def _advice(argument: Any) -> str:
    if is_on_device(argument):
        return (
            "It is on a GPU, where kernels run: see `kernel`. Copy it to the host, "
            "`cupy.asnumpy(x)`, to use it in a function."
        )
    if isinstance(argument, np.ma.MaskedArray):
        return "Pass its `data` and its `mask`."
    if isinstance(argument, np.ndarray):
        if not argument.dtype.isnative or not argument.flags.aligned:
            return f"Its dtype is {argument.dtype!r}: copy it to an aligned array in native order."
        if argument.dtype.names:
            return f"Its fields are {argument.dtype.names}: pass them as arrays of their own."
        return (
            f"Its dtype is {argument.dtype}: convert it to float64, float32, complex128, "
            f"complex64, bool or an integer dtype."
        )
    if isinstance(argument, (list, set, frozenset)):
        return "Pass an array, `np.array(...)`, or a tuple."
    return "Pass its arrays and numbers as separate arguments, or as a (named) tuple."


def can_vary(ty: Any) -> bool:
    """Whether an argument of this type has a derivative."""
    if isinstance(ty, TUPLE):
        return any(map(can_vary, ty.types))
    return not is_instance(ty) and any(leaf.can_vary for leaf in leaves(ty))


def require_varying(
    call: str, function: Any, varying: Sequence[bool], argument_types: Sequence[types.Type]
) -> None:
    """Check that there is a derivative with respect to each argument that is to vary.

    Raises
    ------
    TypeError
        One of them is an integer, say.
    """
    for position, (ty, varies) in enumerate(zip(argument_types, varying, strict=True)):
        if varies and not can_vary(ty):
            kind = "an array" if isinstance(ty, types.Array) else "a value"
            hint = ""
            if isinstance(ty, types.Integer):
                hint = " Pass a float: `2.0` instead of `2`."
            elif isinstance(ty, types.Array):
                hint = " Convert it: `x.astype(float)`."
            elif is_instance(ty):
                hint = " An instance is a constant: pass what is to vary as an argument of its own."
            raise TypeError(
                f"`{call}` differentiates by floating-point and complex arguments. Got "
                f"`{name_of(function, position)}`, {kind} of type {ty}, among those to vary.{hint}"
            )


def positions(call: str, argnums: Any, count: int) -> tuple[int, ...]:
    """`argnums` as a tuple of positions from the left.

    Raises
    ------
    TypeError, ValueError
        Not integers; beyond the arguments; one of them twice.
    """
    is_one = isinstance(argnums, (int, np.integer))
    given: Any = (argnums,) if is_one or not isinstance(argnums, Sequence) else tuple(argnums)
    if not all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) for n in given):
        raise TypeError(
            f"`{call}` needs `argnums` to be an int or a tuple of ints. Got {argnums!r}."
        )
    if any(not -count <= n < count for n in given):
        raise ValueError(
            f"`{call}` needs `argnums` between 0 and {count - 1}, for a function of {count} "
            f"arguments. Got {argnums!r}."
        )
    found = tuple(int(n) % count for n in given)
    if len(set(found)) < len(found):
        raise ValueError(f"`{call}` needs each of `argnums` once. Got {argnums!r}.")
    return found


def number(what: str, given: Any, *, is_complex: bool = False) -> Any:
    """A tangent or cotangent of a number.

    Raises
    ------
    ValueError
        It is none.
    """
    try:
        return complex(given) if is_complex else float(given)
    except (TypeError, ValueError):
        kind = "complex" if is_complex else "real"
        raise ValueError(
            f"A derivative needs {what} to be a {kind} number. Got {given!r}."
        ) from None
