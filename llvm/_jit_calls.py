"""Compiled code that other ``@njit`` code calls: for the types of a call, a function for Numba.

It does what the call from Python does. An array that is neither C nor Fortran contiguous is copied
first; so is one that the function writes, if the derivative is by it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numba import njit
from numba.core import errors, types
from numba.core.target_extension import current_target
from numba.extending import overload

from ._abi import TUPLE
from ._arguments import require_varying, signature_of
from ._flat import Item, named_items
from ._jit_entry import SHARED, entry_intrinsic
from ._options import DEFAULT, Options
from ._program import find_program
from ._request import Mode, Question
from ._target import TARGET_NAME, refuse_derivative

_INNER: Any = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""Of what is never called from Python."""


def callable_in_njit(function: Any, write: Callable[[tuple[Any, ...]], Any]) -> Any:
    """An ``@njit`` function with the signature of `function`, written for the types of each call.

    Parameters
    ----------
    function : njit function
    write : callable
        Gets the Numba types of the arguments; returns a Python function for Numba.
    """
    known = signature_of(function)
    name = function.py_func.__name__

    if known.rest is not None:
        # Numba compares signatures: one name for the rest is not the same as many.
        raise TypeError(
            f"Inside @njit code there is no derivative of `{name}`, which takes "
            f"*{known.names[known.rest]}. Have it take a tuple."
        )
    own = ", ".join(f"a{i}" for i in range(len(known.names)))
    stub = compiled_source("stub", own, ["raise NotImplementedError"], {})
    unliteral = types.unliteral
    namespace = {"write": lambda *given: write(tuple(map(unliteral, given)))}
    implement = compiled_source("implement", own, [f"return write({own})"], namespace)
    overload(stub, jit_options=_INNER)(implement)
    names = ", ".join(known.names)
    return compiled_source(name, names, [f"return stub({names})"], {"stub": stub}, function)


def compiled_source(
    name: str, parameters: str, lines: Sequence[str], namespace: dict[str, Any], like: Any = None
) -> Any:
    """A Python function of these lines; if `like` is given, with its defaults, and compiled."""
    source = "\n    ".join([f"def {name}({parameters}):", *lines])
    exec(compile(source, f"<derivative of {name}>", "exec"), namespace)  # noqa: S102
    made = namespace[name]
    if like is None:
        return made
    made.__defaults__ = like.py_func.__defaults__
    return njit(**_INNER)(made)


class JitCall:
    """One call of a derivative, or of a function, in ``@njit`` code, as lines of Python.

    Parameters
    ----------
    function : njit function
    mode : Mode
    given : sequence of numba types
        Of the arguments.
    varying : sequence of bool
        One for each.
    first : sequence of str
        Names of the first arguments in the lines; the others are ``a0``, ``a1``, ….
    options : Options

    Attributes
    ----------
    program : Program
    namespace : dict
        What the lines refer to.
    """

    def __init__(
        self,
        function: Any,
        mode: Mode,
        given: Sequence[Any],
        varying: Sequence[bool],
        first: Sequence[str] = (),
        options: Options = DEFAULT,
    ) -> None:
        if current_target() == TARGET_NAME:
            refuse_derivative(function)
        self.given, self.varying = tuple(given), tuple(varying)
        self.names = [*first, *(f"a{i}" for i in range(len(given) - len(first)))]
        wanted = tuple(map(_contiguous, given))
        try:
            require_varying("a derivative", function, self.varying, wanted)
            self.program = find_program(
                function, Question(mode, wanted, self.varying, options=options)
            )
        except TypeError as error:
            raise errors.TypingError(str(error)) from error
        self.function = function
        self.namespace: dict[str, Any] = {
            **{"np": np, "has_failed": _has_failed, "differentiated": function},
        }

    def items(self) -> Iterator[tuple[int, Item, str, Any, bool]]:
        """Position, item, expression, type in the call, and whether its argument varies."""
        paths = [
            (path, ty, varies)
            for name, ty, varies in zip(self.names, self.given, self.varying, strict=True)
            for path, ty in named_items(name, ty)
        ]
        for k, (item, path) in enumerate(zip(self.program.frame.items, paths, strict=True)):
            yield k, item, *path

    def prepare(self) -> list[str]:
        """Lines that name what is passed ``x0``, ``x1``, …."""
        lines = self._refuse_shared()
        for k, item, path, ty, varies in self.items():
            if item.kind == "nothing":
                continue
            expression = path
            if item.kind == "array":
                if ty != item.type:
                    expression = f"np.ascontiguousarray({path})"
                if item.written and varies:
                    expression += ".copy()"
                elif item.written and ty != item.type:
                    raise errors.TypingError(
                        f"inside @njit code compiled functions and derivatives need contiguous "
                        f"arrays where the function writes. Got a `{ty}`"
                    )
            lines.append(f"x{k} = {expression}")
            if self._is_written_there(item, varies) and self.program.raises_after_writing:
                lines.append(f"b{k} = x{k}.copy()")
        return lines

    def _refuse_shared(self) -> list[str]:
        """Lines that raise where an array that is written shares memory with another.

        Those that are passed as they are `run` looks at. A copy shares no memory, and what the
        function computes would be something else.
        """
        arrays = [
            (k, item.written, (item.written and varies) or ty != item.type, path, ty)
            for k, item, path, ty, varies in self.items()
            if item.kind == "array"
        ]
        pairs = [
            (one, other)
            for one, other in combinations(arrays, 2)
            if (one[1] or other[1]) and (one[2] or other[2])
        ]
        lines = {
            k: f"low{k}, high{k} = {'ends' if ty.layout in 'CF' else 'ends_of_view'}({path})"
            for pair in pairs
            for k, *_, path, ty in pair
        }
        if pairs:
            self.namespace |= {"ends": _ends, "ends_of_view": _ends_of_view}
        raising = f"    raise ValueError('{_shared(self.function)}')"
        tests = [
            line
            for (k, *_), (j, *_) in pairs
            for line in (f"if low{k} < high{j} and low{j} < high{k}:", raising)
        ]
        return [*lines.values(), *tests]

    @staticmethod
    def _is_written_there(item: Item, varies: bool) -> bool:
        """Whether the array that the caller has is written, and not a copy of it."""
        return item.kind == "array" and item.written and not varies

    def _written_there(self) -> list[int]:
        """Positions, among the items that are passed, of arrays of the caller that are written."""
        own = [(item, varies) for _, item, _, _, varies in self.items() if item.kind != "nothing"]
        return [k for k, (item, varies) in enumerate(own) if self._is_written_there(item, varies)]

    def run(self, shadows: Sequence[str]) -> list[str]:
        """Lines that call it, with one expression for each shadow, and raise what it raises."""
        values = [f"x{k}" for k, item, *_ in self.items() if item.kind != "nothing"]
        given = [f"({''.join(f'{name}, ' for name in names)})" for names in (values, shadows)]
        self.namespace["run"] = entry_intrinsic(self.program, self._written_there())
        lines = [
            f"r = run({', '.join(given)})",
            f"if r[0] == {SHARED}:",
            f"    raise ValueError('{_shared(self.function)}')",
            f"if has_failed(r[0], {self.program.returns_value}):",
        ]
        if self.program.may_raise:
            # Numba's own version raises: message and type are then its own.
            before = {
                path: f"b{k}" for k, item, path, _, varies in self.items()
                if self.program.raises_after_writing and self._is_written_there(item, varies)
            }  # fmt: skip
            given = [
                _rebuilt(name, ty, before) for name, ty in zip(self.names, self.given, strict=True)
            ]
            lines.append(f"    differentiated({', '.join(given)})")
        name = self.function.py_func.__name__
        lines.append(f"    raise RuntimeError('the derivative of `{name}` failed: a rule did, or "
                     f"the function returned None')")  # fmt: skip
        return lines

    def in_form_of(self, i: int, parts: dict[str, str]) -> str:
        """An expression like argument `i`, of one for each path; None for what has none."""
        return _rebuilt(self.names[i], self.given[i], parts, "None")

    def compile(self, lines: Sequence[str], parameters: Sequence[str]) -> Any:
        """The Python function of these lines."""
        name = self.function.py_func.__name__
        # Named tuples are made by their classes.
        for ty in self.given:
            self.namespace.update(_classes(ty))
        return compiled_source(name, ", ".join(parameters), lines, self.namespace)


def _shared(function: Any) -> str:
    name = function.py_func.__name__
    return (
        f"`{name}`, compiled or its derivative, needs arrays that do not overlap where one is "
        f"written. Got two that share memory. Pass a copy of one: `x.copy()`."
    )


def _contiguous(ty: Any) -> Any:
    if isinstance(ty, types.Array):
        return ty if ty.layout in "CF" else ty.copy(layout="C", readonly=False)
    if not isinstance(ty, TUPLE):
        return ty
    items = [_contiguous(item) for item in ty.types]
    cls = getattr(ty, "instance_class", None)
    return types.NamedTuple(items, cls) if cls else types.Tuple(items)


def _rebuilt(path: str, ty: Any, parts: dict[str, str], missing: str | None = None) -> str:
    if not isinstance(ty, TUPLE):
        return parts.get(path, path if missing is None else missing)
    own = [_rebuilt(f"{path}[{k}]", item, parts, missing) for k, item in enumerate(ty.types)]
    cls = getattr(ty, "instance_class", None)
    return f"{_class_name(cls) if cls else ''}({''.join(f'{item}, ' for item in own)})"


def _class_name(cls: type) -> str:
    return f"class_{cls.__name__}_{id(cls)}"


def _classes(ty: Any) -> dict[str, type]:
    if not isinstance(ty, TUPLE):
        return {}
    cls = getattr(ty, "instance_class", None)
    found = {_class_name(cls): cls} if cls else {}
    for item in ty.types:
        found |= _classes(item)
    return found


@njit
def _ends(array: Any) -> Any:
    """The address of a contiguous array's first byte, and of what comes after its last."""
    low = np.int64(array.ctypes.data)
    return low, low + array.nbytes


@njit
def _ends_of_view(array: Any) -> Any:
    """The same for any array, which need not fill the place."""
    low = np.int64(array.ctypes.data)
    high = low + array.itemsize
    if array.size == 0:
        return low, low
    for length, step in zip(array.shape, array.strides):  # noqa: B905 (Numba has no `strict`)
        if step < 0:
            low += (length - 1) * step
        else:
            high += (length - 1) * step
    return low, high


@njit
def _has_failed(result: Any, returns_value: Any) -> Any:
    """Whether `entry` reports an exception, a rule's failure, or None instead of a number."""
    status = result & 0xFFFFFFFF
    return result >> 32 != 0 or (status != 0 and (returns_value or status != 0xFFFFFFFE))
