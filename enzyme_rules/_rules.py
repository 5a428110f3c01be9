"""The kinds of rule that tell Enzyme the derivative of what it cannot, or should not, look into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numba.core.registry import CPUDispatcher


@dataclass(frozen=True)
class Rule:
    """A derivative for an ``@njit`` function that writes into its arguments and returns nothing.

    Everywhere below the *arguments with shadows* are the function's own arguments in order, each
    floating-point or complex array followed by its shadow: ``(y, x, n)`` becomes
    ``(y, dy, x, dx, n)``. The shadow of an array that does not vary **is** that array: ask
    ``dx is not x`` before writing into it.
    """

    function: Any

    def __post_init__(self) -> None:
        _require_njit(self, "function", self.function)

    @property
    def name(self) -> str:
        return self.function.py_func.__name__

    def access(self, argument: int) -> str:
        """What the function may do to an array argument: "readonly", "writeonly", or "" for both."""
        del argument
        return ""


@dataclass(frozen=True)
class LinearRule(Rule):
    """The function computes ``output = A(input)`` (or ``output += A(input)``), A real-linear.

    A may depend on the other arguments, which are constants. The reverse rule is
    ``input_shadow += Aᵀ(output_shadow)`` and then, unless the function accumulates, clears exactly the
    array that was passed as output. Nothing is kept from the forward pass.

    Parameters
    ----------
    function : njit function
        Called with arrays and integers; returns nothing; overwrites the whole of its output.
    adjoint : njit function, optional
        ``adjoint(*arguments)``, with the output's and the input's shadow in the place of output and
        input: **adds** Aᵀ(output) to the input. Without it Enzyme differentiates `function`, alone:
        it then recomputes what depends on the constants, instead of keeping it.
    output, input : int
        Which arguments these are. By our naming convention a kernel takes its output first.
    scratch : tuple of int
        Arguments that the function uses as work space. What they hold is of no consequence.
    accumulates : bool
        Whether the function adds to its output instead of overwriting it.

    Notes
    -----
    The inner product is the real one, Re Σ conj(x) y, for complex arrays too.

    A gradient that varies one of the constants is an error when it is called: its share of the
    derivative would be missing.
    """

    adjoint: Any = None
    output: int = 0
    input: int = 1
    scratch: tuple[int, ...] = ()
    accumulates: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.adjoint is not None:
            _require_njit(self, "adjoint", self.adjoint)
        if self.output == self.input:
            raise ValueError(
                f"`LinearRule({self.name})` needs two arguments, the output and the input. "
                f"Got position {self.output} for both. Split the function's in-out array in two."
            )

    def access(self, argument: int) -> str:
        if argument == self.output:
            return "" if self.accumulates else "writeonly"
        return "" if argument in self.scratch else "readonly"


@dataclass(frozen=True)
class CustomRule(Rule):
    """A rule in the verbs of EnzymeRules: any function, each mode written by hand.

    Parameters
    ----------
    function : njit function
        Called with arrays, integers and tuples of these; returns nothing.
    augmented_primal : njit function
        Takes the arguments with shadows; does what `function` does, and returns what `reverse` needs
        to be remembered: a one-dimensional array of its own, or nothing.
    reverse : njit function
        Takes the arguments with shadows and, if `augmented_primal` returns an array, that array.
        Adds to the shadows of what was read, then clears the shadows of what was overwritten.
    forward : njit function, optional
        Takes the arguments with shadows; does what `function` does and writes tangents of what it
        writes. Without it forward mode is refused.
    """

    augmented_primal: Any = None
    reverse: Any = None
    forward: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_njit(self, "augmented_primal", self.augmented_primal)
        _require_njit(self, "reverse", self.reverse)
        if self.forward is not None:
            _require_njit(self, "forward", self.forward)


@dataclass(frozen=True)
class Inactive:
    """The C function `symbol` neither reads nor writes anything that a derivative could pass through."""

    symbol: str


@dataclass(frozen=True)
class AllocationRule:
    """The C function `symbol` returns fresh memory, so its shadow is another call of it.

    Parameters
    ----------
    symbol : str
        The allocator's name.
    free : str
        The name of the C function that releases what it returned.
    size_argument : int
        Position of the argument that is the number of bytes.
    """

    symbol: str
    free: str
    size_argument: int = 0


def _require_njit(rule: Rule, what: str, value: Any) -> None:
    if not isinstance(value, CPUDispatcher):
        raise TypeError(
            f"`{type(rule).__name__}(...)` needs `{what}` to be an @njit function. "
            f"Got {value!r}. Decorate it: `@numba.njit`."
        )
