"""A launch at its arguments, compiled, with what it takes to differentiate it where they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from enzyme_rules._cupy import as_cupy, cupy, is_on_device, on_device

from ._arguments import bind, own_items
from ._device_arrays import headers
from ._flat import Item, flatten, flatten_like, rebuild
from ._kernel_call import HOST, call_launch, place_of
from ._launch import Launch
from ._marshal import copy_like, zeros_like
from ._program import program_for
from ._request import Mode
from ._shadows import in_form_of, refuse_unlike, shadow_of_number


class LaunchPoint:
    """The arguments of a launch, the number of threads in front, and the program for them.

    Parameters
    ----------
    call : str
        The user's, for messages.
    launch : Launch
    mode : Mode
    primals : sequence
    varying : sequence of bool
        One for each of the body's arguments but the index; those missing are defaults, which do not
        vary.
    others : iterable
        Arrays that must be in the same place: tangents.
    packed : bool
        Whether all arrays on a device are made contiguous, and not only those that vary: so are
        then the results.

    Attributes
    ----------
    arguments : tuple
    varying : tuple of bool
        One for each argument, the number of threads among them.
    program : Program
    there : context manager
        In which work is done where the arrays are.
    """

    def __init__(
        self,
        call: str,
        launch: Launch,
        mode: Mode,
        primals: Sequence[Any],
        varying: Sequence[bool],
        *,
        others: Iterable[Any] = (),
        packed: bool = False,
    ) -> None:
        bound = bind(call, launch.body, (launch.n, *primals))
        missing = len(bound) - 1 - len(varying)
        self.varying = (False, *varying, *[False] * missing)
        self.place = place_of(call, [*bound, *others])
        self.launch = launch
        if self.place is HOST:
            self.arguments = own_items(bound)
        else:
            which = [packed or varies for varies in self.varying]
            with self.there:
                self.arguments = _contiguous(bound, which)
        self.program = program_for(
            call,
            launch.body,
            mode,
            headers(self.arguments),
            self.varying,
            threads=launch.threads,
            architecture=self.place.architecture,
        )

    @property
    def there(self) -> AbstractContextManager[Any]:
        return on_device(self.place.device)

    def copied(self, which: Sequence[bool] | None = None) -> tuple[Any, ...]:
        """The arguments, with copies of the arrays that are written; of some, or of all."""
        program, made = self.program, list(self.arguments)
        for k in range(len(made)) if which is None else np.flatnonzero(which):
            own = program.frame.items[program.starts[k] : program.starts[k + 1]]
            pairs = zip(own, flatten([made[k]]), strict=True)
            flat = [_copy(value) if item.written else value for item, value in pairs]
            made[k] = rebuild(made[k], iter(flat))
        return tuple(made)

    def shadows_like(self, what: str, position: int, given: Any) -> list[Any]:
        """Shadows of one argument's items, filled with a tangent or cotangent that is like it."""
        argument, program = self.arguments[position], self.program
        items = program.frame.items[program.starts[position] : program.starts[position + 1]]
        each = zip(items, flatten([argument]), flatten_like(what, argument, given), strict=True)
        return [_shadow(what, item, value, own) for item, value, own in each]

    def run(
        self, arguments: tuple[Any, ...], shadows: list[Any], seed: float
    ) -> tuple[float, float]:
        """Run the threads: value and tangent. `shadows` then holds the derivatives."""
        program, count = self.program, self.program.frame.shadows
        if self.place is HOST:
            return call_launch(self.place, self.launch, program, arguments, shadows, seed=seed)
        found: dict[int, Any] = {}
        for k, (item, value) in enumerate(
            zip(program.frame.items, flatten(arguments), strict=True)
        ):
            for s in range(count * k, count * (k + 1)):
                own = shadows[s]
                # Where it is not contiguous, one that nobody looks at is made further on.
                if item.kind == "array" and item.varies and own is None:
                    own = cupy().zeros_like(value) if value.flags.c_contiguous else None
                if is_on_device(own):
                    found[s] = own
                    (shadows[s],) = headers([own])
        result = call_launch(
            self.place, self.launch, program, headers(arguments), shadows, seed=seed
        )
        for s, own in found.items():
            shadows[s] = own
        return result

    def in_form_of(self, shadows: Sequence[Any], chosen: Sequence[int]) -> tuple[Any, ...]:
        """The shadows of the chosen arguments, in the form of these."""
        return in_form_of(self.program, self.arguments, shadows, chosen)


def copies_of(arguments: Iterable[Any]) -> tuple[Any, ...]:
    """Arguments with a copy of every array, where it is."""
    return tuple(rebuild(a, iter(map(_copy, flatten([a])))) for a in arguments)


def _copy(value: Any) -> Any:
    if is_on_device(value):
        return as_cupy(value).copy()
    return copy_like(value) if isinstance(value, np.ndarray) else value


def _contiguous(bound: tuple[Any, ...], which: Sequence[bool]) -> tuple[Any, ...]:
    """Arguments with CuPy's arrays, some of them contiguous: so will be their derivatives."""
    library = cupy()
    made: list[Any] = []
    for argument, contiguous in zip(bound, which, strict=True):
        flat = [as_cupy(v) if is_on_device(v) else v for v in flatten([argument])]
        if contiguous:
            flat = [library.ascontiguousarray(v) if is_on_device(v) else v for v in flat]
        made.append(rebuild(argument, iter(flat)))
    return tuple(made)


def _shadow(what: str, item: Item, value: Any, given: Any) -> Any:
    if given is None or not item.can_vary:
        return None
    if item.kind != "array":
        return shadow_of_number(what, item, given)
    if is_on_device(value):
        given = as_cupy(given)
        made = cupy().zeros_like(value)
    else:
        given = np.asarray(given)
        made = zeros_like(value)
    refuse_unlike(what, made, given)
    made[...] = given
    return made
