"""Whole matrices of derivatives, with JAX's names: jacfwd, jacrev and hessian."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numba import typeof
from numba.core import types

from ._arguments import bind, name_of, own_items, positions, require_njit
from ._call import call
from ._flat import flatten, rebuild
from ._hvp import SecondDerivative
from ._jit_calls import callable_in_njit
from ._jit_products import hessian_in_njit, jacobian_in_njit
from ._marshal import zeros_like
from ._products import Point, point_at
from ._request import Mode
from ._shadows import with_copies

# Tangents at once, where Enzyme has a vector mode. More need registers that are not there.
_WIDTH = 8


class Jacobian:
    """What `jacfwd`, `jacrev` and `hessian` return: call it like the function itself."""

    def __init__(
        self,
        name: str,
        compute: Callable[..., Any],
        in_njit: Callable[..., Any],
        function: Any,
        argnums: Any,
        has_aux: bool,
    ) -> None:
        self._name = name
        self._call = f"{name}(f)"
        self._compute, self._in_njit = compute, in_njit
        self.function = require_njit(self._call, function)
        self.argnums = argnums
        self._has_aux = has_aux
        functools.update_wrapper(self, function.py_func)

    @property
    def derivative_of(self) -> Any:
        """The function, for those who compile what calls this."""
        return self.function

    @functools.cached_property
    def _numba_type_(self) -> types.Type:
        """What Numba takes it for: a function, written by `_jit_products`."""
        if self._has_aux:
            raise TypeError(f"`{self._call}` with `has_aux=True` has no form inside @njit code.")
        write = functools.partial(self._in_njit, self.function, self.argnums)
        self._jitted = callable_in_njit(self.function, write)  # the type does not keep it alive
        return typeof(self._jitted)

    def __repr__(self) -> str:
        return f"{self._name}({self.function.py_func.__qualname__}, argnums={self.argnums})"

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        arguments = own_items(bind(self._call, self.function, arguments, keywords))
        chosen = positions(self._call, self.argnums, len(arguments))
        for i in chosen:
            if any(np.iscomplexobj(item) for item in flatten([arguments[i]])):
                raise TypeError(
                    f"`{self._call}` differentiates by real arguments. Got "
                    f"`{name_of(self.function, i)}`, which is complex. Products with complex "
                    f"tangents and cotangents: `jvp`, `vjp`."
                )
        lists, aux = self._compute(self._call, self.function, arguments, chosen)
        one = isinstance(self.argnums, (int, np.integer))
        matrix = _without_lists(lists, one)
        return (matrix, aux) if self._has_aux else matrix


def _without_lists(made: Any, one: bool) -> Any:
    """With each list of what belongs to the chosen arguments a tuple, or its only item."""
    if isinstance(made, list):
        return _without_lists(made[0], one) if one else tuple(_without_lists(x, one) for x in made)
    if isinstance(made, tuple):
        return rebuild(made, iter([_without_lists(x, one) for x in flatten([made])]))
    return made


def jacfwd(function: Any, argnums: int | Sequence[int] = 0, *, has_aux: bool = False) -> Jacobian:
    """The Jacobian, column by column, by forward mode: for few unknowns.

    Parameters
    ----------
    function : njit function
        Of real arguments; returns numbers, arrays, or tuples of these, or writes into arguments.
    argnums : int or sequence of int
        Which arguments to differentiate by.
    has_aux : bool
        Whether the function returns two things, the second of which is only passed on.

    Returns
    -------
    Jacobian
        Takes the function's arguments. Returns, in the form of what the function returns (a tuple
        of the arrays that it may write, if it returns nothing), the derivative of each number or
        array by the argument, or a tuple of those by each: the shape of the result, then that of
        the argument.

    Raises
    ------
    TypeError
        When called: an argument to differentiate by is complex, or an integer.

    Notes
    -----
    Eight columns are computed at once in Enzyme's vector mode, unless the function calls one with a
    rule: there one by one.

    Examples
    --------
    >>> import numba, numpy as np
    >>> @numba.njit
    ... def f(x):
    ...     return x * x[0]
    >>> jacfwd(f)(np.array([1.0, 2.0]))
    array([[2., 0.],
           [2., 1.]])
    """
    compute = functools.partial(_jacobian, Mode.FORWARD, has_aux)
    in_njit = functools.partial(jacobian_in_njit, "jacfwd(f)", Mode.FORWARD)
    return Jacobian("jacfwd", compute, in_njit, function, argnums, has_aux)


def jacrev(function: Any, argnums: int | Sequence[int] = 0, *, has_aux: bool = False) -> Jacobian:
    """The Jacobian, row by row, by reverse mode: for few results. As `jacfwd` else.

    Examples
    --------
    >>> import numba, numpy as np
    >>> @numba.njit
    ... def f(x):
    ...     return x * x[0]
    >>> jacrev(f)(np.array([1.0, 2.0]))
    array([[2., 0.],
           [2., 1.]])
    """
    compute = functools.partial(_jacobian, Mode.REVERSE, has_aux)
    in_njit = functools.partial(jacobian_in_njit, "jacrev(f)", Mode.REVERSE)
    return Jacobian("jacrev", compute, in_njit, function, argnums, has_aux)


def hessian(function: Any, argnums: int | Sequence[int] = 0) -> Jacobian:
    """The matrix of second derivatives of a function that returns a real number.

    One Hessian-vector product a column, see `hvp`.

    Parameters
    ----------
    function : njit function
    argnums : int or sequence of int

    Returns
    -------
    Jacobian
        Takes the function's arguments. Returns the shape of the argument twice; for several, a
        tuple of tuples: first by which the gradient is, then by which that is differentiated.

    Examples
    --------
    >>> import numba, numpy as np
    >>> @numba.njit
    ... def f(x):
    ...     return x[0] ** 2 * x[1]
    >>> hessian(f)(np.array([1.0, 3.0]))
    array([[6., 2.],
           [2., 0.]])
    """
    return Jacobian("hessian", _hessian, hessian_in_njit, function, argnums, False)


def _jacobian(
    mode: Mode,
    has_aux: bool,
    name: str,
    function: Any,
    arguments: tuple[Any, ...],
    chosen: tuple[int, ...],
) -> tuple[Any, Any]:
    """For each result a list of its derivatives by each chosen argument, in the form of these."""
    varying = tuple(i in chosen for i in range(len(arguments)))
    point = point_at(
        name, function, mode, arguments, varying, has_aux=has_aux, writer=True, width=_WIDTH
    )
    program, starts = point.program, point.program.starts
    inputs = tuple(i + point.shift for i in chosen)
    blocks = _blocks(mode, point, _items(point, point.outputs()), _items(point, inputs))

    def derivatives(k: int) -> Any:
        """Of the item at position k of all items."""
        if not program.frame.items[k].can_vary:
            return None
        parts = []
        for i in inputs:
            own = [blocks.get((k, item)) for item in range(starts[i], starts[i + 1])]
            if point.result and point.result.is_number(k):
                own = [None if block is None else block[0] for block in own]
            parts.append(rebuild(point.arguments[i], map(_plain, own)))
        return parts

    if point.result:
        found = [derivatives(k) for k in range(point.result.count)]
        return point.result.in_form(found), point.aux
    return tuple(
        rebuild(point.arguments[i], map(derivatives, range(starts[i], starts[i + 1])))
        for i in point.outputs()
    ), None


def _items(point: Point, arguments: Sequence[int]) -> list[int]:
    """Positions of what can vary in some arguments, among all items."""
    items, starts = point.program.frame.items, point.program.starts
    return [k for i in arguments for k in range(starts[i], starts[i + 1]) if items[k].can_vary]


def _blocks(
    mode: Mode, point: Point, outputs: Sequence[int], inputs: Sequence[int]
) -> dict[tuple[int, int], np.ndarray]:
    """The derivative of each output by each input, positions among all items."""
    program, width = point.program, point.program.width
    flat = flatten(point.arguments)
    blocks = {
        (o, i): np.zeros((*np.shape(flat[o]), *np.shape(flat[i])), np.result_type(flat[o]))
        for o in outputs
        for i in inputs
    }
    forward = mode is Mode.FORWARD
    given, wanted = (inputs, outputs) if forward else (outputs, inputs)
    # Of a complex result, the gradients of its two parts make a row.
    basis = [
        (k, index, part)
        for k in given
        for index in np.ndindex(np.shape(flat[k]))
        for part in ((1.0, 1.0j) if np.iscomplexobj(flat[k]) else (1.0,))
    ]
    for start in range(0, len(basis), width):
        group = basis[start : start + width]
        shadows: list[Any] = [None] * (width * len(flat))
        for lane, (k, index, part) in enumerate(group):
            shadows[width * k + lane] = _unit(flat[k], index, part)
        arguments = with_copies(program, point.function, point.arguments)
        call(program, point.function, arguments, shadows, seed=0.0)
        for lane, (k, index, part) in enumerate(group):
            for other in wanted:
                found = shadows[width * other + lane]
                if forward:
                    blocks[other, k][(..., *index)] = found
                else:
                    blocks[k, other][index] += part * found
    return blocks


def _unit(value: Any, index: tuple[int, ...], part: complex = 1.0) -> Any:
    if not isinstance(value, np.ndarray):
        return part
    made = zeros_like(value)
    made[index] = part
    return made


def _plain(block: Any) -> Any:
    return block.item() if block is not None and np.ndim(block) == 0 else block


def _hessian(
    name: str, function: Any, arguments: tuple[Any, ...], chosen: tuple[int, ...]
) -> tuple[Any, None]:
    """For each chosen argument a list of lists, in the forms of first and second argument."""
    varying = tuple(i in chosen for i in range(len(arguments)))
    second = SecondDerivative(name, function, arguments, varying)
    starts = second.program.starts
    flat = flatten(arguments)
    items = [k for i in chosen for k in range(starts[i], starts[i + 1])]
    items = [k for k in items if second.program.frame.items[k].can_vary]
    shapes = {k: np.shape(flat[k]) for k in items}
    blocks = {
        (a, b): np.zeros(shapes[a] + shapes[b], np.result_type(flat[a]))
        for a in items
        for b in items
    }
    for b in items:
        for index in np.ndindex(shapes[b]):
            tangents = [_unit(flat[b], index) if k == b else None for k in range(len(flat))]
            _, products = second(tangents)
            for a in items:
                blocks[a, b][(..., *index)] = products[a]

    def row(a: int) -> Any:
        return (
            [
                rebuild(
                    arguments[j],
                    iter([_plain(blocks.get((a, b))) for b in range(starts[j], starts[j + 1])]),
                )
                for j in chosen
            ]
            if a in shapes
            else None
        )

    return [rebuild(arguments[i], map(row, range(starts[i], starts[i + 1]))) for i in chosen], None
