"""Derivatives of launches, on the CPU or on a device: gradients and products, with JAX's names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ._arguments import bind, can_vary, name_of, number, positions, types_of
from ._device_arrays import headers
from ._launch import Launch
from ._launch_point import LaunchPoint, copies_of
from ._request import Mode


class LaunchGradient:
    """What `grad` and `value_and_grad` return of a launch: call it like the launch.

    The value is the sum of what the threads return. Arguments are left as they were. Gradients are
    where the arrays are.
    """

    def __init__(self, launch: Launch, argnums: int | Sequence[int], with_value: bool) -> None:
        self.launch = launch
        self.argnums = argnums
        self._with_value = with_value
        self._call = f"{'value_and_grad' if with_value else 'grad'}({launch!r})"

    def __repr__(self) -> str:
        return self._call

    def __call__(self, *arguments: Any) -> Any:
        chosen = tuple(1 + k for k in positions(self._call, self.argnums, self._count(arguments)))
        varying = tuple(1 + k in chosen for k in range(self._count(arguments)))
        point = LaunchPoint(self._call, self.launch, Mode.REVERSE, arguments, varying)
        if not point.program.returns_value:
            raise TypeError(
                f"`{self._call}` needs threads that return real numbers, to be summed. Got a "
                f"kernel that returns nothing. For results written into arrays use `vjp`, or "
                f"`autodiff` with their cotangents."
            )
        with point.there:
            shadows: list[Any] = [None] * len(point.program.frame.items)
            value, _ = point.run(point.copied(point.varying), shadows, 1.0)
        found = point.in_form_of(shadows, chosen)
        gradient = found[0] if isinstance(self.argnums, (int, np.integer)) else found
        return (value, gradient) if self._with_value else gradient

    def _count(self, arguments: Sequence[Any]) -> int:
        """How many arguments the body has besides its index, defaults included."""
        return len(bind(self._call, self.launch.body, (self.launch.n, *arguments))) - 1


def launch_jvp(launch: Launch, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """`jvp` of a launch."""
    name = f"jvp({launch!r}, primals, tangents)"
    point = _with_tangents(name, launch, Mode.FORWARD, primals, tangents)
    with point.there:
        shadows = _tangents(point, tangents)
        arguments = point.copied()
        value, tangent = point.run(arguments, shadows, 0.0)
    if point.program.returns_value:
        return value, tangent
    outputs = point.program.written_arguments
    return tuple(arguments[k] for k in outputs), point.in_form_of(shadows, outputs)


def launch_vjp(
    launch: Launch, primals: Sequence[Any], argnums: int | Sequence[int] | None
) -> tuple[Any, Callable[..., tuple[Any, ...]]]:
    """`vjp` of a launch."""
    name = f"vjp({launch!r}, *primals)"
    bound = bind(name, launch.body, (launch.n, *primals))[1:]
    if argnums is None:
        kinds = types_of(name, launch.body, headers((launch.n, *bound)))[1:]
        chosen = tuple(k for k, ty in enumerate(kinds) if can_vary(ty))
    else:
        chosen = positions(name, argnums, len(bound))
    varying = tuple(k in chosen for k in range(len(bound)))
    # The point of the pullback stays as it is now, whatever becomes of the arrays that came in.
    point = LaunchPoint(name, launch, Mode.REVERSE, copies_of(bound), varying, packed=True)
    with point.there:
        results = point.copied()
    value = launch(*results[1:])
    if not point.program.returns_value:
        value = tuple(results[k] for k in point.program.written_arguments)
    return value, _pullback(point, tuple(1 + k for k in chosen))


def _pullback(point: LaunchPoint, chosen: tuple[int, ...]) -> Callable[..., tuple[Any, ...]]:
    program, body = point.program, point.launch.body
    written = () if program.returns_value else program.written_arguments

    def pullback(*cotangents: Any) -> tuple[Any, ...]:
        expected = len(written) or 1
        if len(cotangents) != expected:
            raise ValueError(
                f"The pullback of `{point.launch!r}` takes one cotangent for each of its "
                f"{expected} results. Got {len(cotangents)}."
            )
        seed = number("the cotangent", cotangents[0]) if program.returns_value else 1.0
        given = dict(zip(written, cotangents, strict=False))
        with point.there:
            shadows: list[Any] = []
            for k in range(len(point.arguments)):
                what = f"the cotangent of `{name_of(body, k)}`"
                shadows += point.shadows_like(what, k, given.get(k))
            point.run(point.copied(), shadows, seed)
        return point.in_form_of(shadows, chosen)

    return pullback


def launch_hvp(launch: Launch, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """`hvp` of a launch."""
    name = f"hvp({launch!r}, primals, tangents)"
    mode = Mode.FORWARD_OVER_REVERSE
    point = _with_tangents(name, launch, mode, primals, tangents, packed=False)
    chosen = [k for k, varies in enumerate(point.varying) if varies]
    if not chosen:
        raise TypeError(
            f"`{name}` differentiates by the arguments that have a tangent. Got None for each. "
            f"Pass a vector for one of them."
        )
    if not point.program.returns_value:
        raise TypeError(
            f"`{name}` needs threads that return real numbers, to be summed. Got a kernel that "
            f"returns nothing."
        )
    with point.there:
        shadows: list[Any] = []
        for tangent in _tangents(point, tangents):
            shadows += tangent, None, None
        point.run(point.copied(point.varying), shadows, 1.0)
    gradient = point.in_form_of(shadows[1::3], chosen)
    product = point.in_form_of(shadows[2::3], chosen)
    return (gradient[0], product[0]) if len(chosen) == 1 else (gradient, product)


def _with_tangents(
    name: str,
    launch: Launch,
    mode: Mode,
    primals: Sequence[Any],
    tangents: Sequence[Any],
    *,
    packed: bool = True,
) -> LaunchPoint:
    if len(tangents) != len(primals):
        raise ValueError(
            f"`{name}` needs one tangent, or None, for each of the {len(primals)} primals. "
            f"Got {len(tangents)}."
        )
    varying = tuple(tangent is not None for tangent in tangents)
    return LaunchPoint(name, launch, mode, primals, varying, others=tangents, packed=packed)


def _tangents(point: LaunchPoint, tangents: Sequence[Any]) -> list[Any]:
    """The tangents of all items, the index and defaults among them."""
    found: list[Any] = []
    given = [None, *tangents, *[None] * (len(point.arguments) - 1 - len(tangents))]
    for k, tangent in enumerate(given):
        what = f"the tangent of `{name_of(point.launch.body, k)}`"
        found += point.shadows_like(what, k, tangent)
    return found
