"""Functions of functions, with JAX's names and argument order: grad, value_and_grad, vjp, jvp."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numba.core import types

from ._abi import FLOATING
from ._arguments import (
    bind,
    can_vary,
    positions,
    prepare_arrays,
    require_njit,
    require_varying,
    types_of,
)
from ._call import call, read_shadow
from ._differentiate import Mode
from ._inspect import stage_text
from ._marshal import items, rebuild_tuple, zeros_like
from ._program import Program, Question, find_program


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
        functools.update_wrapper(self, function.py_func)

    def __repr__(self) -> str:
        name = "value_and_grad" if self._with_value else "grad"
        return f"{name}({self.function.py_func.__qualname__}, argnums={self.argnums})"

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        arguments = prepare_arrays(bind(self.function, arguments, keywords))
        argument_types = types_of(self._call, self.function, arguments)
        chosen = positions(self._call, self.argnums, len(arguments))
        require_varying(self._call, self.function, chosen, argument_types)
        varying = tuple(i in chosen for i in range(len(arguments)))
        question = Question(Mode.REVERSE, argument_types, varying)
        program = find_program(self.function, question)
        self._last = question
        if not program.returns_value:
            raise TypeError(
                f"`{self._call}` needs a function that returns a real number. Got "
                f"`{self.function.py_func.__qualname__}`, which returns nothing. For results written "
                f"into arrays use `vjp`, or `autodiff` with their cotangents."
            )
        shadows = [
            zeros_like(ty, a) if v else None
            for ty, a, v in zip(argument_types, arguments, varying, strict=True)
        ]
        value, _ = call(program, self.function, arguments, shadows)
        found = tuple(read_shadow(argument_types[i], arguments[i], shadows[i]) for i in chosen)
        gradient = found[0] if isinstance(self.argnums, (int, np.integer)) else found
        return (value, gradient) if self._with_value else gradient

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
        Numbers, for a function that returns one. For a function that writes its results into arrays:
        a tuple of those that it may write, and a tuple of their tangents. These are fresh arrays; the
        arrays passed in are left as they were.
    """
    name = "jvp(f, primals, tangents)"
    function = require_njit(name, function)
    arguments = prepare_arrays(primals)
    argument_types = types_of(name, function, arguments)
    if len(tangents) != len(arguments):
        raise ValueError(
            f"`{name}` needs one tangent, or None, for each of the {len(arguments)} arguments. "
            f"Got {len(tangents)}."
        )
    varying = tuple(t is not None for t in tangents)
    chosen = [i for i, varies in enumerate(varying) if varies]
    require_varying(name, function, chosen, argument_types)
    program = find_program(function, Question(Mode.FORWARD, argument_types, varying))
    shadows = [
        zeros_like(ty, a) if can_vary(ty) else None
        for ty, a in zip(argument_types, arguments, strict=True)
    ]
    for i in chosen:
        _fill(f"{name}: tangent {i}", argument_types[i], shadows[i], tangents[i])
    arguments = _own_outputs(program, arguments)
    value, tangent = call(program, function, arguments, shadows, seed=0.0)
    if program.returns_value:
        return value, tangent
    outputs = written_arguments(program)
    return tuple(arguments[i] for i in outputs), tuple(shadows[i] for i in outputs)


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
        A number; or, for a function that writes its results into arrays, a tuple of those that it may
        write, after the call. These are fresh arrays; the ones passed in are left as they were.
    pullback : callable
        Takes one cotangent for the number, or one (or None, for zero) for each of the written arrays;
        returns a tuple with one for each of `argnums`. May be called many times.
    """
    name = "vjp(f, *primals)"
    function = require_njit(name, function)
    arguments = prepare_arrays(primals)
    argument_types = types_of(name, function, arguments)
    if argnums is None:
        chosen = tuple(i for i, ty in enumerate(argument_types) if can_vary(ty))
    else:
        chosen = positions(name, argnums, len(arguments))
        require_varying(name, function, chosen, argument_types)
    varying = tuple(i in chosen for i in range(len(arguments)))
    program = find_program(function, Question(Mode.REVERSE, argument_types, varying))
    outputs = () if program.returns_value else written_arguments(program)
    kept = _own_outputs(program, arguments)
    results = _own_outputs(program, kept)
    value = function(*results)

    def pullback(*cotangents: Any) -> tuple[Any, ...]:
        expected = len(outputs) if outputs else 1
        if len(cotangents) != expected:
            raise ValueError(
                f"The pullback of `{function.py_func.__qualname__}` needs {expected} cotangents, one "
                f"for each result. Got {len(cotangents)}."
            )
        shadows = [
            zeros_like(ty, a) if varies or i in outputs else None
            for i, (ty, a, varies) in enumerate(zip(argument_types, kept, varying, strict=True))
        ]
        for position, cotangent in zip(outputs, cotangents, strict=False):
            if cotangent is not None:
                what = f"cotangent of argument {position}"
                _fill(what, argument_types[position], shadows[position], cotangent)
        seed = 1.0 if outputs else float(cotangents[0])
        call(program, function, _own_outputs(program, kept), shadows, seed=seed)
        return tuple(read_shadow(argument_types[i], kept[i], shadows[i]) for i in chosen)

    return (value if program.returns_value else tuple(results[i] for i in outputs)), pullback


def written_arguments(program: Program) -> tuple[int, ...]:
    """Positions of the arguments with floating-point arrays that the function may write."""
    flags = iter(program.item_flags)
    found = []
    for position, ty in enumerate(program.question.argument_types):
        written = [next(flags)[1] for _ in _item_types(ty)]
        if any(written) and can_vary(ty):
            found.append(position)
    return tuple(found)


def _item_types(ty: types.Type) -> list[types.Type]:
    if isinstance(ty, types.BaseTuple):
        return [t for item in ty.types for t in _item_types(item)]
    return [ty] if can_vary(ty) or isinstance(ty, (types.Array, types.Integer, types.Boolean)) else []


def _own_outputs(program: Program, arguments: Sequence[Any]) -> tuple[Any, ...]:
    """The arguments, with copies of those that the function may write."""
    flags = iter(program.item_flags)

    def own(ty: types.Type, value: Any) -> Any:
        if isinstance(ty, types.BaseTuple):
            made = [own(t, v) for t, v in zip(ty.types, value, strict=True)]
            return rebuild_tuple(value, made)
        if not _item_types(ty):
            return value
        written = next(flags)[1]
        return _copy(ty, value) if written and isinstance(ty, types.Array) else value

    types_ = program.question.argument_types
    return tuple(own(ty, a) for ty, a in zip(types_, arguments, strict=True))


def _copy(ty: types.Type, array: np.ndarray) -> np.ndarray:
    """A copy with the same strides, so that its Numba type is the same."""
    made = zeros_like(ty, array)
    made[...] = array
    return made


def _fill(what: str, ty: types.Type, shadow: Any, given: Any) -> None:
    """Put a tangent or cotangent into a shadow, checking that it is like the argument."""
    if isinstance(ty, types.BaseTuple):
        for k, (t, s, g) in enumerate(zip(ty.types, shadow, given, strict=True)):
            if s is not None and g is not None:
                _fill(f"{what}[{k}]", t, s, g)
        return
    given = np.asarray(given)
    if given.shape != shadow.shape or not np.can_cast(given.dtype, shadow.dtype, "same_kind"):
        raise ValueError(
            f"`{what}` needs shape {shadow.shape} and dtype {shadow.dtype}, like what it belongs to. "
            f"Got {given.shape} and {given.dtype}."
        )
    shadow[...] = given
