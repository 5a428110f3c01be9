"""A function, or its transpose, with its last arguments fixed: for calls that must cost little.

Checking and flattening a plan of two dozen arrays takes longer than a small transform. Here it is
done once; a call then writes the addresses of its own arrays in front of what is fixed.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from enzyme_rules import generation

from ._arguments import require_njit
from ._call import call
from ._flat import flatten
from ._marshal import address
from ._overlap import Ranges, first_overlap
from ._program import Program, program_for
from ._request import Mode


@dataclass(frozen=True)
class _Prepared:
    """What is the same in every call with arrays of the same types and sizes."""

    program: Program
    block: ctypes.Array
    front: struct.Struct
    fixed: Ranges | None
    fixed_shadows: list[Any]


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
        self._function = require_njit("Bound(f, fixed)", function)
        self._fixed = fixed
        self._transposed = transposed
        self._known: dict[Any, _Prepared] = {}
        self._generation = generation()

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
        if generation() != self._generation:  # a rule has been registered since
            self._known.clear()
            self._generation = generation()
        key = tuple([(a.dtype, a.shape, a.flags.num) for a in arrays])
        prepared = self._known.get(key)
        if prepared is None:
            prepared = self._known[key] = self._prepare(arrays, shadows)
        words: list[int] = []
        ranges: list[tuple[int, int]] = []
        for k, array in enumerate(arrays):
            start = address(array)
            words.append(start)
            size = array.nbytes
            if size:
                ranges.append((start, start + size))
            if shadows:
                start = address(shadows[k])
                words.append(start)
                if size:
                    ranges.append((start, start + size))
            words += array.shape
        ranges.sort()
        prepared.front.pack_into(prepared.block, 0, *words)
        apart = prepared.fixed is not None and prepared.fixed.are_apart_from(ranges)
        if not apart or prepared.program.loaded.entry(prepared.block):
            # The long way says what is wrong.
            everything = [*(shadows or (None,) * len(arrays)), *prepared.fixed_shadows]
            call(prepared.program, self._function, (*arrays, *self._fixed), everything)

    def _prepare(self, arrays: Sequence[np.ndarray], shadows: Sequence[np.ndarray]) -> _Prepared:
        if not all(isinstance(a, np.ndarray) and a.flags.c_contiguous for a in (*arrays, *shadows)):
            raise ValueError("`Bound(f, fixed)(*arrays)` needs C-contiguous arrays. Got others.")
        arguments = (*arrays, *self._fixed)
        varying = (self._transposed,) * len(arrays) + (False,) * len(self._fixed)
        mode = Mode.REVERSE if self._transposed else Mode.PRIMAL
        program = program_for(
            "Bound(f, fixed)",
            self._function,
            mode,
            arguments,
            varying,
            skip_primal=self._transposed,
        )
        all_shadows: list[Any] = [None] * len(program.frame.items)
        all_shadows[: len(shadows)] = shadows
        block, spans = program.frame.fill(flatten(arguments), all_shadows, 0.0)
        counts = [1 + self._transposed + a.ndim for a in arrays]
        mine = {id(a) for a in (*arrays, *shadows)}
        fixed = [span for span in spans if id(span[3]) not in mine]
        return _Prepared(
            program,
            block,
            struct.Struct(f"={sum(counts)}q"),
            Ranges(fixed) if first_overlap(fixed) is None else None,
            all_shadows[len(arrays) :],  # not those of this call, which would be kept alive
        )
