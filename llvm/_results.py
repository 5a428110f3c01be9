"""Functions that return arrays, complex numbers or tuples, as functions that write into arrays.

What Enzyme differentiates returns a real number or nothing. Of any other function a *writer* is
made: an ``@njit`` function of one more array for each floating-point array or number in the result,
in front of the arguments, which calls the function and copies its result there.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from ._arguments import number, signature_of
from ._flat import flatten, flatten_like, rebuild


@dataclass(frozen=True)
class Returned:
    """Where the parts of a result stand.

    Attributes
    ----------
    value : object
        An example, as the function has returned it.
    writer : njit function
        ``writer(*outputs, *arguments)``.
    """

    value: Any
    writer: Any

    @property
    def count(self) -> int:
        """How many outputs there are."""
        return len(_parts(self.value))

    def outputs(self) -> tuple[np.ndarray, ...]:
        """Arrays for the writer to write into: one of one item for a number."""
        return tuple(_array_like(part) for _, part in _parts(self.value))

    def cotangents(self, what: str, given: Any) -> list[Any]:
        """What is given for the result, for each of the outputs: None for nothing."""
        pairs = zip(flatten([self.value]), flatten_like(what, self.value, given), strict=True)
        return [_given(what, part, own) for part, own in pairs if _varies(part)]

    def is_number(self, output: int) -> bool:
        """Whether an output stands for a number: it is an array of one item."""
        return not isinstance(_parts(self.value)[output][1], np.ndarray)

    def in_form(self, parts: Sequence[Any]) -> Any:
        """Something like the value, of one part for each output; None for what cannot vary."""
        given = iter(parts)
        flat = flatten([self.value])
        return rebuild(self.value, iter([next(given) if _varies(part) else None for part in flat]))


def returned(name: str, function: Any, value: Any, *, has_aux: bool = False) -> Returned:
    """The writer for a function that has returned `value`; of the first of two with `has_aux`.

    Raises
    ------
    TypeError
        Nothing in the value can vary.
    """
    if not _parts(value):
        raise TypeError(
            f"`{name}` needs a function that returns a floating-point or complex number, an array "
            f"of these, or a tuple with one among its items. Got `{function.py_func.__qualname__}`,"
            f" which returns a {type(value).__name__}."
        )
    first = "[0]" if has_aux else ""
    key = first, tuple((path, np.ndim(part)) for path, part in _parts(value))
    table = _writers.setdefault(function, {})
    if key not in table:
        table[key] = _write(function, value, first)
    return Returned(value, table[key])


def value_and_aux(name: str, function: Any, value: Any) -> tuple[Any, Any]:
    """The two things that a function with `has_aux` returns.

    Raises
    ------
    TypeError
        It returns something else.
    """
    if isinstance(value, tuple) and len(value) == 2:
        return value[0], value[1]
    raise TypeError(
        f"`{name}` with `has_aux=True` needs a function that returns two things, the value and "
        f"what goes with it. Got `{function.py_func.__qualname__}`, which returns a "
        f"{type(value).__name__}."
    )


def first_of_two(function: Any) -> Any:
    """An @njit function that returns the first of the two things that `function` returns."""
    table = _writers.setdefault(function, {})
    if "first" not in table:
        names, call = _call(function)
        lines = [f"def writer({names}):", f"    return {call}[0]"]
        table["first"] = _compiled(function, lines)
    return table["first"]


_writers: weakref.WeakKeyDictionary[Any, dict[Any, Any]] = weakref.WeakKeyDictionary()


def _write(function: Any, value: Any, first: str) -> Any:
    names, call = _call(function)
    lines = []
    outputs = []
    for k, (path, part) in enumerate(_parts(value)):
        outputs.append(f"output_{k}")
        source = "result" + "".join(f"[{i}]" for i in path)
        if not isinstance(part, np.ndarray):
            lines.append(f"    output_{k}[0] = {source}")
        elif part.ndim:
            lines.append(f"    output_{k}[:] = {source}")
        else:
            lines.append(f"    output_{k}[()] = {source}[()]")
    head = f"def writer({', '.join([*outputs, *([names] if names else [])])}):"
    return _compiled(function, [head, f"    result = {call}{first}", *lines])


def _call(function: Any) -> tuple[str, str]:
    known = signature_of(function)
    names = list(known.names)
    if known.rest is not None:
        names[known.rest] = f"*{names[known.rest]}"
    text = ", ".join(names)
    return text, f"function({text})"


def _compiled(function: Any, lines: list[str]) -> Any:
    python = function.py_func
    namespace = {"function": function, "__name__": python.__module__}
    exec(compile("\n".join(lines), f"<result of {python.__name__}>", "exec"), namespace)  # noqa: S102
    writer: Any = namespace["writer"]
    # What messages call it.
    writer.__name__, writer.__qualname__ = python.__name__, python.__qualname__
    return njit(writer)


def _parts(value: Any) -> list[tuple[tuple[int, ...], Any]]:
    """All that can vary in a result, and the indices that lead there."""
    return [(path, part) for path, part in _paths(value, ()) if _varies(part)]


def _paths(value: Any, path: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], Any]]:
    if isinstance(value, tuple):
        for k, item in enumerate(value):
            yield from _paths(item, (*path, k))
    else:
        yield path, value


def _varies(part: Any) -> bool:
    return np.asarray(part).dtype.kind in "fc"


def _array_like(part: Any) -> np.ndarray:
    if isinstance(part, np.ndarray):
        return np.zeros(part.shape, part.dtype)
    return np.zeros(1, np.result_type(part))


def _given(what: str, part: Any, own: Any) -> Any:
    if own is None or isinstance(part, np.ndarray):
        return own
    return np.array([number(what, own, is_complex=np.iscomplexobj(part))])
