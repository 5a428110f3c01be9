"""What the checks of `test_rule` work on: a function with a rule, arrays, ways to run it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NoReturn

import numpy as np

Arrays = list[np.ndarray]
Shadows = Sequence[Any]
"""One for each array: its shadow; None where it does not vary and so is its own shadow."""


class RuleError(AssertionError):
    """A rule that does not say what its function does.

    Parameters
    ----------
    function : str
    check : str
        One of those in the table of `test_rule`, or "raises".
    argument : str
        Name of the argument at fault, or "".
    detail : str
        What was expected, what was got, and the likely cause.
    """

    def __init__(self, function: str, check: str, argument: str, detail: str) -> None:
        at = f" for argument `{argument}`" if argument else ""
        super().__init__(f"`test_rule({function}, ...)`: check `{check}` failed{at}. {detail}")
        self.check = check
        self.argument = argument


@dataclass(frozen=True)
class Ways:
    """Three ways to run a function.

    Attributes
    ----------
    plain : callable
        Takes arrays, and returns what they hold afterwards.
    reverse, forward : callable
        Take arrays and shadows, and return what both hold afterwards. `forward` is None where the
        rule has none.
    """

    plain: Callable[[Arrays], Arrays]
    reverse: Callable[[Arrays, Shadows], tuple[Arrays, Shadows]]
    forward: Callable[[Arrays, Shadows], tuple[Arrays, Shadows]] | None


@dataclass
class Trial:
    """A function with a rule, example arrays, and the ways to run it.

    Attributes
    ----------
    name : str
    values, labels, varies : list
        One for each array in the arguments. `varies` says whether it has a shadow.
    scratch, own : set of int
        Arrays whose values are of no consequence; these and others that a linear rule's function
        may write besides its output.
    output, input : int or None
        Which arrays these are, for a linear rule.
    accumulates : bool
        Whether a linear rule's function adds to its output.
    eps, tolerance : float
        Of the coarsest dtype that varies; of relative errors.
    random : numpy Generator
    once, loop : Ways
        The function, called once; and twice, with every array smaller after each call.
    after : list
        What the arrays hold after the function itself has run.
    """

    name: str
    labels: list[str]
    values: Arrays
    varies: list[bool]
    scratch: set[int]
    own: set[int]
    output: int | None
    input: int | None
    accumulates: bool
    eps: float
    tolerance: float
    random: np.random.Generator
    once: Ways
    loop: Ways
    after: Arrays = field(default_factory=list)

    @cached_property
    def varying(self) -> list[int]:
        return [k for k, varies in enumerate(self.varies) if varies]

    @cached_property
    def written(self) -> list[int]:
        """Arrays that vary and that the function changes."""
        return [k for k in self.varying if not same(self.values[k], self.after[k])]

    @cached_property
    def read_only(self) -> list[int]:
        """Arrays that vary and that the function leaves as they are."""
        return [k for k in self.varying if k not in self.written]

    def random_like(self, array: np.ndarray) -> np.ndarray:
        made = self.random.standard_normal(array.shape)
        if array.dtype.kind == "c":
            made = made + 1j * self.random.standard_normal(array.shape)
        return made.astype(array.dtype)

    def random_shadows(self) -> Shadows:
        pairs = zip(self.values, self.varies, strict=True)
        return [self.random_like(value) if varies else None for value, varies in pairs]

    def zeroed(self, shadows: Shadows, which: Sequence[int]) -> Shadows:
        """The shadows, with zeros for some arrays."""
        return [np.zeros_like(s) if k in which else s for k, s in enumerate(shadows)]

    def require_finite(self, arrays: Arrays) -> None:
        """Check that results are of use.

        Raises
        ------
        ValueError
            They are not.
        """
        for k, array in enumerate(arrays):
            if k in self.scratch or array.dtype.kind not in "fc" or np.isfinite(array).all():
                continue
            raise ValueError(
                f"`test_rule({self.name}, ...)` needs examples with finite results, also a few "
                f"percent away from them. Got NaN or infinity in `{self.labels[k]}`. Choose others."
            )

    def fail(self, check: str, k: int | None, detail: str) -> NoReturn:
        raise RuleError(self.name, check, "" if k is None else self.labels[k], detail)


def same(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays are equal to the bit."""
    return a.tobytes() == b.tobytes()


def close(a: np.ndarray, b: np.ndarray, limit: float) -> bool:
    return bool((np.abs(a - b) <= limit).all())


def largest(array: np.ndarray) -> float:
    return float(np.abs(array).max(initial=0))


def where(mask: np.ndarray) -> str:
    """In words: how many elements of a mask are set, and which is the first."""
    first = tuple(int(i) for i in np.argwhere(mask)[0])
    return f"at {int(mask.sum())} of {mask.size} elements, the first at {first}"


def compare(got: np.ndarray, expected: np.ndarray) -> str:
    """In words: where two arrays differ most."""
    index = np.unravel_index(np.argmax(np.abs(got - expected)), got.shape)
    place = tuple(int(i) for i in index)
    return f"{got[index]:.9g} instead of {expected[index]:.9g} at {place}"
