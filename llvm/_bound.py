"""A function, or its transpose, with its last arguments fixed: for calls that must cost little.

Checking and flattening a plan of two dozen arrays takes longer than a small transform. Here it is
done once; a call then writes the addresses of its own arrays in front of what is fixed.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from enzyme_rules import generation

from ._arguments import require_njit
from ._call import call
from ._flat import flatten
from ._marshal import address
from ._overlap import Ranges, first_overlap
from ._program import program_for
from ._request import Mode
from ._steps import Step

_CALL = "Bound(f, fixed)"


class Bound:
    """A kernel whose last arguments are fixed. Called with its first ones: C-contiguous arrays.

    Parameters
    ----------
    function : njit function
        That returns nothing and writes into its first arguments.
    fixed : tuple
        The last arguments. They, and the arrays in them, must not be resized.
    transposed : bool
        False: the function itself. True: as `linear_transpose`; each of the first arguments is then
        given as a placeholder for the primal and its shadow.

    Notes
    -----
    Arrays among the fixed arguments that the function writes have shadows of zeros that are made
    once. A transposed function leaves them at zero, since all that it reads there it has
    overwritten before. One thread at a time.
    """

    def __init__(self, function: Any, fixed: tuple[Any, ...], *, transposed: bool = False) -> None:
        self.function = require_njit(_CALL, function)
        self.fixed = fixed
        self.transposed = transposed
        self._known: dict[Any, Alike] = {}

    def __call__(self, *arrays: np.ndarray, shadows: Sequence[np.ndarray] = ()) -> None:
        """Run it.

        Parameters
        ----------
        *arrays : C-contiguous arrays
        shadows : sequence of arrays
            One for each array, of its shape and dtype, if transposed; else none.

        Raises
        ------
        ValueError
            Arrays overlap, or are not C-contiguous.
        """
        key = tuple([(a.dtype, a.shape, a.flags.num) for a in (*arrays, *shadows)])
        alike = self._known.get(key)
        if alike is None:
            alike = self._known[key] = Alike(self, arrays, shadows, keep_arrays=False)
        alike(*arrays, *shadows)

    def like(self, *arrays: np.ndarray, shadows: Sequence[np.ndarray] = ()) -> Alike:
        """What calls it with arrays such as these: of their dtypes, shapes and flags.

        Parameters
        ----------
        *arrays : C-contiguous arrays
        shadows : sequence of arrays
            One for each array, of its shape and dtype, if transposed; else none.

        Returns
        -------
        callable
            Takes the arrays; if transposed their shadows, and those given here stay the primals.
            They may have other shapes, of as many items. Checks nothing but overlaps.
        """
        return Alike(self, arrays, shadows, keep_arrays=self.transposed)


class Alike:
    """Calls with arrays of one kind: all that can be found out about them is found out once.

    Parameters
    ----------
    bound : Bound
    arrays, shadows : sequence of arrays
        As for a call of it.
    keep_arrays : bool
        Whether calls are given the shadows alone, and the arrays are these in all of them.
    """

    def __init__(
        self,
        bound: Bound,
        arrays: Sequence[np.ndarray],
        shadows: Sequence[np.ndarray],
        *,
        keep_arrays: bool,
    ) -> None:
        self._bound = bound
        self._count = len(arrays)
        self._kept = tuple(arrays) if keep_arrays else None
        self._prepare(arrays, shadows)

    def __call__(self, *moving: np.ndarray) -> None:
        """Run it.

        Raises
        ------
        ValueError
            Arrays overlap.
        """
        if generation() != self._generation:  # a rule has been registered since
            self._prepare(*self._split(moving))
        if not self._are_apart(moving) or self._entry(self._block):
            self._long_way(moving)

    def step(self, *moving: np.ndarray) -> Step | None:
        """A call with these arrays, to be run by threads: see `_steps`. None if arrays overlap.

        It holds until the next one. What a failed rule has to say, a call says.
        """
        if generation() != self._generation:
            self._prepare(*self._split(moving))
        if not self._are_apart(moving):
            return None
        return self._program.address, self._place_of_words

    def _are_apart(self, moving: Sequence[np.ndarray]) -> bool:
        """Put the addresses of arrays in their places, as long as nothing overlaps."""
        starts = [address(array) for array in moving]
        if starts == self._starts:  # as in the last call
            return True
        self._starts = []
        before: list[tuple[int, int]] = []
        for start, place in zip(starts, self._places, strict=True):
            end = start + place.size
            if not (place.low <= start <= place.high or self._finds_room(place, start)):
                return False
            if any(start < high and low < end for low, high in before):
                return False
            before.append((start, end))
            self._words[place.word] = start
        self._starts = starts
        return True

    def _prepare(self, arrays: Sequence[np.ndarray], shadows: Sequence[np.ndarray]) -> None:
        if not all(isinstance(a, np.ndarray) and a.flags.c_contiguous for a in (*arrays, *shadows)):
            raise ValueError(f"`{_CALL}(*arrays)` needs C-contiguous arrays. Got others.")
        bound = self._bound
        arguments = (*arrays, *bound.fixed)
        varying = (bound.transposed,) * len(arrays) + (False,) * len(bound.fixed)
        mode = Mode.REVERSE if bound.transposed else Mode.PRIMAL
        self._program = program_for(
            _CALL, bound.function, mode, arguments, varying, skip_primal=bound.transposed
        )
        self._generation = generation()  # compiling may have brought rules
        frame = self._program.frame
        everything: list[Any] = [None] * len(frame.items)
        everything[: len(shadows)] = shadows
        self._block, spans = frame.fill(flatten(arguments), everything, 0.0)
        self._words = memoryview(self._block).cast("B").cast("q")
        self._place_of_words = ctypes.addressof(self._block)
        self._starts: list[int] = []  # of the arrays of the last call
        self._entry = self._program.loaded.entry
        # Not the shadows of this call, which would be kept alive.
        self._fixed_shadows = everything[len(arrays) :]
        moving = {id(a) for a in (shadows if self._kept else (*arrays, *shadows))}
        fixed = [span for span in spans if id(span[3]) not in moving]
        self._occupied = (
            Ranges([span[:2] for span in fixed]) if first_overlap(fixed) is None else None
        )
        # A word for the address of each array, one for its shadow, and its shape.
        counts = [1 + bool(shadows) + array.ndim for array in arrays]
        firsts = list(accumulate(counts, initial=0))
        self._places = [
            _Place(first + which, own.nbytes, own.shape)
            for which, group in enumerate((arrays, shadows))
            for first, own in zip(firsts, group, strict=False)
            if id(own) in moving
        ]

    def _finds_room(self, place: _Place, start: int) -> bool:
        """Whether an array that begins there overlaps nothing fixed; keeps how far that holds."""
        room = self._occupied and self._occupied.room(start, start + place.size)
        if room is None:
            return False
        place.low, place.high = room[0], room[1] - place.size
        return True

    def _long_way(self, moving: Sequence[np.ndarray]) -> None:
        """As a call that knows nothing: it says what is wrong."""
        arrays, shadows = self._split(moving)
        everything = [*(shadows or (None,) * len(arrays)), *self._fixed_shadows]
        call(self._program, self._bound.function, (*arrays, *self._bound.fixed), everything)

    def _split(self, moving: Sequence[np.ndarray]) -> tuple[Sequence[np.ndarray], ...]:
        """Arrays, and shadows, in the shapes of those that were prepared for."""
        places = self._places
        moving = [array.reshape(p.shape) for array, p in zip(moving, places, strict=True)]
        if self._kept:
            return self._kept, moving
        return moving[: self._count], moving[self._count :]


@dataclass
class _Place:
    """Where the address of an array goes; and where the array may begin, as found so far."""

    word: int
    size: int
    shape: tuple[int, ...]
    low: int = 1
    high: int = 0
