"""Arguments as a flat list of arrays and numbers, whatever tuples they come in, and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from numba import njit
from numba.core import types

from ._abi import TUPLE, Leaf, fields, is_instance, leaves
from ._fixed import once


@dataclass(frozen=True)
class Item:
    """One array or number of the arguments, or something that compiled code does not get.

    Attributes
    ----------
    type : numba.core.types.Type
    kind : {"array", "real", "complex", "integer", "nothing"}
    can_vary : bool
        Whether a derivative with respect to it exists.
    varies : bool
        Whether it has a shadow.
    written : bool
        Whether the function may write into it.
    """

    type: types.Type
    kind: str
    can_vary: bool
    varies: bool = False
    written: bool = False


def items(argument_types: Iterable[Any], varying: Any = None, writes: Any = None) -> list[Item]:
    """The items of arguments of these types.

    Parameters
    ----------
    argument_types : iterable of numba types
    varying, writes : sequence of bool, optional
        One for each leaf, as in `Program`.
    """
    found: list[Item] = []
    first = 0
    for ty in (own for whole in argument_types for _, own in named_items("", whole)):
        own = leaves(ty)
        flags = (bool(varying and varying[first]), bool(writes and writes[first])) if own else ()
        found.append(Item(ty, _kind(own), any(leaf.can_vary for leaf in own), *flags))
        first += len(own)
    return found


def named_items(name: str, ty: Any, *, by_field: bool = False) -> Iterator[tuple[str, Any]]:
    """An expression and the type for each item of something of this type, in order.

    Parameters
    ----------
    name : str
        An expression for the whole.
    ty : numba type
    by_field : bool
        Whether items of named tuples go by their names instead of their positions.
    """
    if isinstance(ty, TUPLE):
        names = getattr(ty, "fields", None) if by_field else None
        for k, item in enumerate(ty.types):
            part = f"{name}.{names[k]}" if names else f"{name}[{k}]"
            yield from named_items(part, item, by_field=by_field)
    elif is_instance(ty):
        for field, item in fields(ty).items():
            yield from named_items(f"{name}.{field}", item, by_field=by_field)
    else:
        yield name, ty


def _kind(own: tuple[Leaf, ...]) -> str:
    if not own:
        return "nothing"
    if own[0].kind == "scalar":
        return "complex" if isinstance(own[0].dtype, types.Complex) else "real"
    return own[0].kind


def flatten(values: Iterable[Any]) -> list[Any]:
    """What is in the values and in the tuples among them, in order."""
    flat: list[Any] = []
    for value in values:
        if isinstance(value, tuple):
            flat += once(value, "items", flatten)
        elif hasattr(value, "_numba_type_") and is_instance(value._numba_type_):
            flat += flatten(_values(value))
        else:
            flat.append(value)
    return flat


def _values(instance: Any) -> tuple[Any, ...]:
    """The fields of an instance of a jitclass or StructRef."""
    ty = instance._numba_type_
    if ty not in _getters:
        namespace: dict[str, Any] = {}
        names = ", ".join(f"instance.{name}" for name in fields(ty))
        source = f"def get(instance):\n    return ({names},)\n"
        exec(compile(source, f"<fields of {ty}>", "exec"), namespace)  # noqa: S102
        _getters[ty] = njit(namespace["get"])
    return _getters[ty](instance)


_getters: dict[Any, Any] = {}


def rebuild(value: Any, flat: Iterator[Any], *, instances: bool = True) -> Any:
    """Something like `value`, of what comes next in `flat`. Named tuples keep their names.

    An instance, of which only its fields are in `flat`, stays what it is; or None takes its place.
    """
    if hasattr(value, "_numba_type_") and is_instance(value._numba_type_):
        for _ in flatten([value]):
            next(flat)
        return value if instances else None
    if not isinstance(value, tuple):
        return next(flat)
    made = [rebuild(item, flat, instances=instances) for item in value]
    # Not by calling the class: a subclass may take other arguments than its fields.
    kind: Any = type(value)
    return kind._make(made) if hasattr(value, "_fields") else tuple(made)


def flatten_like(what: str, value: Any, given: Any) -> list[Any]:
    """What is given for the items of `value`; None for items, or whole tuples, without any.

    Raises
    ------
    ValueError
        A tuple is given for something else, or one of another length.
    """
    if hasattr(value, "_numba_type_") and is_instance(value._numba_type_):
        return [None] * len(flatten([value]))
    if not isinstance(value, tuple):
        return [given]
    if given is None:
        return [None] * len(flatten(value))
    if not isinstance(given, tuple) or len(given) != len(value):
        got = f"a tuple of {len(given)}" if isinstance(given, tuple) else type(given).__name__
        raise ValueError(
            f"A derivative needs {what} to be a tuple of {len(value)}, like what it belongs to. "
            f"Got {got}."
        )
    pairs = enumerate(zip(value, given, strict=True))
    return [x for k, (v, g) in pairs for x in flatten_like(f"{what}[{k}]", v, g)]
