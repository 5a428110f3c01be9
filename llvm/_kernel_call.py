"""A launch of a kernel: on the device where its arrays are, or on the CPU."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from enzyme_rules._cupy import cupy, device_of

from ._arguments import bind
from ._call import call
from ._device_arrays import headers
from ._device_call import call_on_device
from ._flat import flatten
from ._launch import EachThread, Launch
from ._program import Program, program_for
from ._request import Mode


@dataclass(frozen=True)
class Place:
    """Where the arrays of a call are.

    Attributes
    ----------
    device : int or None
        None for the host.
    architecture : str
        Of that device; empty for the host.
    """

    device: int | None = None
    architecture: str = ""


HOST = Place()


def place_of(name: str, values: Iterable[Any]) -> Place:
    """Where arrays are, those in tuples among them.

    Raises
    ------
    DeviceError
        They are in different places, or the device cannot be used.
    """
    device = device_of(name, flatten(values))
    if device is None:
        return HOST
    return Place(device, f"sm_{cupy().cuda.Device(device).compute_capability}")


def call_launch(
    place: Place,
    launch: Launch,
    program: Program,
    arguments: tuple[Any, ...],
    shadows: list[Any],
    *,
    seed: float = 0.0,
    restore: bool = False,
) -> tuple[float, float]:
    """As `call`, for the threads of a launch. On a device arrays are headers."""
    if place.device is None:
        return call(
            program, EachThread(launch.body), arguments, shadows, seed=seed, restore=restore
        )
    return call_on_device(
        program, launch.body, arguments, shadows, place.device, seed=seed, scratch=launch.scratch
    )


def run(launch: Launch, arguments: tuple[Any, ...]) -> float | None:
    """Run the threads."""
    name = f"{launch!r}(*args)"
    bound = bind(name, launch.body, (launch.n, *arguments))
    place = place_of(name, bound)
    if place is not HOST:
        bound = headers(bound)
    program = program_for(
        name,
        launch.body,
        Mode.PRIMAL,
        bound,
        (False,) * len(bound),
        threads=launch.threads,
        architecture=place.architecture,
    )
    shadows: list[Any] = [None] * len(program.frame.items)
    value, _ = call_launch(place, launch, program, bound, shadows)
    return value if program.returns_value else None
