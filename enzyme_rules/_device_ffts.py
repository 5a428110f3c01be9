"""FFTs of many lengths on a device: cuFFT's plans, and all calls of one transform as one graph.

A reduced grid has a ring length for every second ring, and each is a call of cuFFT. What is done
again on the same memory is therefore captured, and launched as one: a CUDA graph. CuPy's memory
pool hands out the same addresses when the same is computed again, so that graphs are found by
address; no buffers are kept for them. Where there is no graph yet, or cannot be, the calls are made
one by one: the first time; inside of a capture of the user's own; where CUDA refuses.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ._cupy import cufft, cupy

_MOST_PLANS = 4096  # T1023 on an octahedral grid has 512 lengths, each both ways
_MOST_GRAPHS = 32
_WORTH_A_GRAPH = 4
"""Calls. To launch a graph costs as much as some calls, to make one as much as some hundred."""

Batches = Iterable[tuple[int, Any, Any]]


@dataclass
class _Work:
    """What was done once: its graph once there is one, and what that uses."""

    owner: Any
    tried: bool = False
    graph: Any = None
    plans: list[Any] = field(default_factory=list)


class _SharedWork:
    """An allocator for the work space of plans that never run at the same time: one for all."""

    def __init__(self) -> None:
        self._memory: Any = None

    def __call__(self, size: int) -> Any:
        if self._memory is None or self._memory.mem.size < size:
            self._memory = cupy().get_default_memory_pool().malloc(size)
        return self._memory


@dataclass
class _Place:
    """What one thread has for one stream of one device, in which one thing follows the other.

    So plans can share their work space, and graphs theirs with them. Plans of one thread are no
    other's, since a plan is bound to its stream each time it runs.
    """

    plans: dict[Any, Any] = field(default_factory=dict)
    work: _SharedWork = field(default_factory=_SharedWork)
    graphs: dict[Any, _Work] = field(default_factory=dict)


class _Places(threading.local):
    def __init__(self) -> None:
        self.all: dict[tuple[int, int], _Place] = {}


_places = _Places()


def real_ffts(
    output: Any, given: Any, owner: Any, fields: int, batches: Callable[[], Batches]
) -> None:
    """Unnormalised FFTs by cuFFT: r2c or c2r, as the dtypes say. A c2r destroys what is given.

    Parameters
    ----------
    output, given : CuPy arrays
        All values and all half spectra, on the current device, in whose current stream it happens.
    owner : object
        Says, with `fields` and the dtypes, how both are divided. Compared by identity.
    fields : int
    batches : callable
        Gives each length n with its part of `given` and of `output`, one row a ring, C-contiguous.
    """
    if given.size == 0:
        return
    cuda = cupy().cuda
    stream = cuda.get_current_stream()
    place = _places.all.setdefault((cuda.runtime.getDevice(), stream.ptr), _Place())
    if stream.ptr > 1 and stream.is_capturing():  # the legacy stream cannot, and must not be asked
        _run(_calls(place, batches()))
        return
    key = output.data.ptr, given.data.ptr, id(owner), fields, given.dtype.char
    work = place.graphs.pop(key, None)
    seen = work is not None
    place.graphs[key] = work = work or _Work(owner)  # the latest comes last
    if work.graph is None:
        calls = _calls(place, batches())
        if seen and not work.tried and len(calls) >= _WORTH_A_GRAPH:
            work.graph, work.plans = _captured(cuda, calls), [plan for plan, *_ in calls]
            work.tried = True
        if work.graph is None:
            _run(calls)
    if work.graph is not None:
        work.graph.launch(stream)
    if len(place.graphs) > _MOST_GRAPHS:
        oldest = place.graphs.pop(next(iter(place.graphs)))
        if oldest.graph is not None:
            stream.synchronize()  # it may still be running


def _run(calls: list[tuple[Any, Any, Any]]) -> None:
    for plan, given, output in calls:
        plan.fft(given, output, None)


def _captured(cuda: Any, calls: list[tuple[Any, Any, Any]]) -> Any:
    """The calls as a graph, which none of them has been for now; None where CUDA refuses."""
    try:
        # The stream that is current may be the legacy one, in which nothing can be captured.
        with cuda.Stream(non_blocking=True) as apart:
            apart.begin_capture()
            try:
                _run(calls)
            finally:
                graph = apart.end_capture()
        return graph
    except RuntimeError:  # CUDA's and cuFFT's. If it was not the capture, the calls will say so.
        return None


def _calls(place: _Place, batches: Batches) -> list[tuple[Any, Any, Any]]:
    return [(_plan(place, n, given, output), given, output) for n, given, output in batches]


def _plan(place: _Place, n: int, given: Any, output: Any) -> Any:
    library = cufft()
    forwards = given.dtype.kind == "f"
    double = (given if forwards else output).dtype == np.float64
    kinds = ("CUFFT_D2Z", "CUFFT_Z2D") if double else ("CUFFT_R2C", "CUFFT_C2R")
    kind, batch = getattr(library, kinds[0 if forwards else 1]), given.shape[0]
    key = kind, n, batch
    if key not in place.plans:
        while len(place.plans) >= _MOST_PLANS:
            place.plans.pop(next(iter(place.plans)))
        with cupy().cuda.using_allocator(place.work):
            place.plans[key] = library.Plan1d(n, kind, batch)
    return place.plans[key]
