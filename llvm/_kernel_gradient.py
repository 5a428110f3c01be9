"""Gradients of launches whose threads return numbers, on the CPU or on a device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from enzyme_rules._cupy import as_cupy, cupy, is_on_device, on_device

from ._arguments import bind, own_items, positions
from ._device_arrays import headers
from ._flat import flatten, rebuild
from ._kernel_call import HOST, Place, call_launch, place_of
from ._launch import Launch
from ._program import Program, program_for
from ._request import Mode
from ._shadows import in_form_of, with_copies


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
        launch = self.launch
        bound = bind(self._call, launch.body, (launch.n, *arguments))
        chosen = tuple(1 + k for k in positions(self._call, self.argnums, len(bound) - 1))
        varying = tuple(k in chosen for k in range(len(bound)))
        place = place_of(self._call, bound)
        if place is HOST:
            bound = own_items(bound)
        else:
            bound = _packed(bound, varying)
        program = program_for(
            self._call,
            launch.body,
            Mode.REVERSE,
            headers(bound),
            varying,
            threads=launch.threads,
            architecture=place.architecture,
        )
        if not program.returns_value:
            raise TypeError(
                f"`{self._call}` needs threads that return real numbers, to be summed. Got a "
                f"kernel that returns nothing. For results written into arrays use `autodiff` "
                f"with their cotangents."
            )
        run = self._on_host if place is HOST else self._on_device
        value, found = run(place, program, bound, varying, chosen)
        gradient = found[0] if isinstance(self.argnums, (int, np.integer)) else found
        return (value, gradient) if self._with_value else gradient

    def _on_host(
        self, place: Place, program: Program, bound: Any, varying: Any, chosen: Any
    ) -> tuple[float, Any]:
        if program.writes_varying:
            bound = with_copies(program, bound, varying)
        shadows: list[Any] = [None] * len(program.frame.items)
        value, _ = call_launch(place, self.launch, program, bound, shadows, seed=1.0)
        return value, in_form_of(program, bound, shadows, chosen)

    def _on_device(
        self, place: Place, program: Program, bound: Any, varying: Any, chosen: Any
    ) -> tuple[float, Any]:
        with on_device(place.device):
            for k in program.written_arguments:
                if varying[k]:
                    copies = [v.copy() if is_on_device(v) else v for v in flatten([bound[k]])]
                    bound = (*bound[:k], rebuild(bound[k], iter(copies)), *bound[k + 1 :])
            shadows: list[Any] = [None] * len(program.frame.items)
            found: dict[int, Any] = {}
            values = flatten(bound)
            for k in chosen:
                for s in range(program.starts[k], program.starts[k + 1]):
                    if program.frame.items[s].kind == "array" and program.frame.items[s].varies:
                        found[s] = cupy().zeros_like(values[s])
                        shadows[s] = headers([found[s]])[0]
            value, _ = call_launch(place, self.launch, program, headers(bound), shadows, seed=1.0)
        everything = [found.get(s, shadow) for s, shadow in enumerate(shadows)]
        return value, in_form_of(program, bound, everything, chosen)


def _packed(bound: tuple[Any, ...], varying: tuple[bool, ...]) -> tuple[Any, ...]:
    """Arguments with CuPy's arrays, those that vary contiguous: so will be their gradients."""
    library = cupy()
    made: list[Any] = []
    for argument, varies in zip(bound, varying, strict=True):
        flat = [as_cupy(v) if is_on_device(v) else v for v in flatten([argument])]
        if varies:
            flat = [library.ascontiguousarray(v) if is_on_device(v) else v for v in flat]
        made.append(rebuild(argument, iter(flat)))
    return tuple(made)
