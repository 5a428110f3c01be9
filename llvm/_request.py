"""What is asked: of this package for a function, and then of Enzyme for what it has become."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from numba.core import types

from ._options import DEFAULT, Options


class Mode(enum.Enum):
    """Which derivative: tangents forwards, or cotangents backwards; or the function itself."""

    PRIMAL = "primal"
    FORWARD = "forward"
    REVERSE = "reverse"
    FORWARD_OVER_REVERSE = "forward-over-reverse"

    @property
    def shadows(self) -> int:
        """How many shadows what varies has.

        Forwards over reverse these are three: the tangent, the cotangent, the cotangent's tangent.
        """
        return {Mode.PRIMAL: 0, Mode.FORWARD_OVER_REVERSE: 3}.get(self, 1)


class Threads(enum.Enum):
    """Who runs the function."""

    ONE = "one"
    """The caller."""
    APART = "apart"
    """Many threads, each with an index. No two of them add to the same item of a shadow."""
    SHARED = "shared"
    """The same, where several may read an item, and then add to its shadow: atomically."""


DEFAULT_FLAGS = (
    # Without it derivative operations are `fast`: NaN may then give any number at all.
    "--enzyme-fast-math=0",
    "--disable-loop-idiom-all",
    # With it the shadow of what is allocated in a loop is not cleared where only a rule, or a
    # copy that happens on a branch, uses it: gradients then hold what the memory held before.
    "--enzyme-rematerialize=0",
    # With them LLVM makes `if p > 0: h -= p * log(p)` a choice between two results. Both are then
    # differentiated, and where the one that is not chosen has an infinite derivative, 0 · ∞ is NaN.
    "--phi-node-folding-threshold=0",
    "--two-entry-phi-node-folding-threshold=0",
    "--speculate-one-expensive-inst=0",
    # With it LLVM, which has another go just before Enzyme, makes one load by a chosen pointer of
    # two loads on two branches, after `_chosen_places` has looked for such pointers.
    "--sink-common-insts=0",
    # With any, LLVM's loop load elimination hands sums that a reverse pass adds to on to the next
    # turn in registers, and `_loop_fission.py` can do nothing for the loop.
    "--max-dependences=0",
)


@dataclass(frozen=True)
class Question:
    """Which derivative of a function is wanted.

    Attributes
    ----------
    mode : Mode
    argument_types : tuple of numba types
    varying : tuple of bool
        One for each argument.
    skip_primal : bool
        See `prepare`.
    width : int
        How many tangents, or cotangents, at once.
    options : Options
        How it is compiled.
    threads : Threads
        Who runs it. With many of them, the first argument is the index of one.
    architecture : str
        Of the GPU to compile for, ``"sm_90"``; empty for this machine.
    """

    mode: Mode
    argument_types: tuple[types.Type, ...]
    varying: tuple[bool, ...]
    skip_primal: bool = False
    width: int = 1
    options: Options = DEFAULT
    threads: Threads = Threads.ONE
    architecture: str = ""


@dataclass(frozen=True)
class Request:
    """What to differentiate.

    Attributes
    ----------
    mode : Mode
    varying : tuple of bool
        One for each leaf: whether it has a shadow.
    runtime_activity : bool
        Have Enzyme ask at run time whether a pointer varies. Needed where pointers to varying and
        to constant memory can mix.
    flags : tuple of str
        ``--enzyme-*`` options.
    width : int
        How many tangents, or cotangents, at once: vector mode.
    passes_before : str
        `Options.passes_before`.
    noalias : bool
        Whether Enzyme is told that no pointer leads to what another leads to.
    threads : Threads
        With many of them, the first leaf is the index of one.
    """

    mode: Mode
    varying: tuple[bool, ...]
    runtime_activity: bool = False
    flags: tuple[str, ...] = DEFAULT_FLAGS
    width: int = 1
    passes_before: str = ""
    noalias: bool = True
    threads: Threads = Threads.ONE

    @property
    def shadows(self) -> int:
        """How many shadows what varies has."""
        return self.mode.shadows * self.width
