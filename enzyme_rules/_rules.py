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
    ``dx is not x`` before using it.
    """

    # Whether its functions are compiled once for all gradients that call them, and not inlined.
    separate = False

    function: Any

    def __post_init__(self) -> None:
        _require_njit(self, "function", self.function)

    @property
    def name(self) -> str:
        return self.function.py_func.__name__

    def access(self, argument: int) -> str:
        """What the function may do to an array: "readonly", "writeonly", or "" for both."""
        del argument
        return ""


@dataclass(frozen=True)
class LinearRule(Rule):
    """The function computes ``output = A(input)`` (or ``output += A(input)``), A real-linear.

    A may depend on the other arguments, which are constants. The reverse rule is
    ``input_shadow += Aᵀ(output_shadow)`` and then, unless the function accumulates, clears exactly
    the array that was passed as output. Nothing is kept from the forward pass.

    Parameters
    ----------
    function : njit function
        Called with arrays and integers; returns nothing; overwrites the whole of its output.
    adjoint : njit function, optional
        ``adjoint(*arguments)``, with the output's and the input's shadow in the place of output and
        input: **adds** Aᵀ(output) to the input. Without it Enzyme differentiates `function`, alone:
        it then recomputes what depends on the constants, instead of keeping it.
    terms : njit function, optional
        ``terms(*arguments)`` adds to the output what `function` computes, by calls of functions
        with a LinearRule that accumulates, and nothing else that writes to output or input. The
        order of a sum is of no consequence, so the adjoint is the same calls in the same order,
        each transposed: what the terms derive from constants on the way (a recurrence) is derived
        again, not kept.
    output, input : int
        Which arguments these are. By our naming convention a kernel takes its output first.
    scratch : tuple of int
        Arguments that the function uses as work space. What they hold between calls is of no
        consequence. Without `adjoint` nothing that depends on the input may go through them.
    state : tuple of int
        Arguments that the function reads and advances, and that depend on constants alone.
    accumulates : bool
        Whether the function adds to its output instead of overwriting it.
    separate : bool
        Whether function and adjoint are compiled by themselves, once for all gradients that call
        them. Gradients then compile sooner; a long function costs nothing by it, a short one in a
        loop is not inlined.

    Notes
    -----
    The inner product is the real one, Re Σ conj(x) y, for complex arrays too.

    A gradient that varies one of the constants is an error when it is called: its share of the
    derivative would be missing. Integer arrays among them must stay as they are until the gradient
    is computed.

    Examples
    --------
    >>> import numba, numpy as np
    >>> from enzyme_rules import register
    >>> @numba.njit
    ... def mean_into(y, x):
    ...     y[0] = x.mean()
    >>> @numba.njit
    ... def mean_adjoint(dy, dx):
    ...     dx += dy[0] / dx.size
    >>> _ = register(LinearRule(mean_into, adjoint=mean_adjoint))
    """

    adjoint: Any = None
    terms: Any = None
    output: int = 0
    input: int = 1
    scratch: tuple[int, ...] = ()
    state: tuple[int, ...] = ()
    accumulates: bool = False
    separate: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.adjoint is not None:
            _require_njit(self, "adjoint", self.adjoint)
        if self.terms is not None:
            _require_njit(self, "terms", self.terms)
        if self.output == self.input:
            raise ValueError(
                f"`LinearRule({self.name})` needs two arguments, the output and the input. "
                f"Got position {self.output} for both. Split the function's in-out array in two."
            )

    def access(self, argument: int) -> str:
        if argument == self.output:
            return "" if self.accumulates else "writeonly"
        return "" if argument in (*self.scratch, *self.state) else "readonly"


@dataclass(frozen=True)
class CustomRule(Rule):
    """A rule in the verbs of EnzymeRules: any function, each mode written by hand.

    Parameters
    ----------
    function : njit function
        Called with arrays, integers and tuples of these; returns nothing.
    augmented_primal : njit function
        Takes the arguments with shadows; does what `function` does, and returns what `reverse` is
        to remember: a contiguous one-dimensional array, or nothing.
    reverse : njit function
        Takes the arguments with shadows and, if `augmented_primal` returns an array, that array.
        Adds to the shadows of what was read, then clears the shadows of what was overwritten. The
        arrays themselves may hold anything by then.
    forward : njit function, optional
        Takes the arguments with shadows; does what `function` does and writes tangents of what it
        writes. Without it forward mode is refused.

    Notes
    -----
    ``scripts/example_rule.py`` writes one, step by step.

    Examples
    --------
    >>> import numba, numpy as np
    >>> from enzyme_rules import register
    >>> @numba.njit
    ... def square_into(y, x):
    ...     y[:] = x**2
    >>> @numba.njit
    ... def augmented(y, dy, x, dx):
    ...     y[:] = x**2
    ...     return x.copy()
    >>> @numba.njit
    ... def reverse(y, dy, x, dx, kept):
    ...     if dy is y:
    ...         return
    ...     if dx is not x:
    ...         for i in range(x.size):
    ...             dx[i] += 2 * kept[i] * dy[i]
    ...     dy[:] = 0
    >>> rule = CustomRule(square_into, augmented_primal=augmented, reverse=reverse)
    >>> rule.name
    'square_into'
    >>> _ = register(rule)
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
class RecomputedRule(Rule):
    """Enzyme derives the function alone, and nothing is kept of it: a checkpoint.

    The forward pass only runs it. The reverse pass runs it again, from its inputs, and then
    backwards: what that must remember lives no longer than this one call. For the body of a long
    loop, whose tape would not fit into memory; `jax.checkpoint` does the same.

    Parameters
    ----------
    function : njit function
        Called with arrays, integers and tuples of these; returns nothing.
    outputs : tuple of int
        The arrays that it overwrites, or adds to. Its other results must not depend on what they
        hold before. By our naming convention a kernel takes its output first.
    scratch : tuple of int
        Arguments that it uses as work space: what they hold between calls is of no consequence.
    constants : tuple of int
        Arguments that never vary: no derivative by them is computed. A gradient that varies one is
        an error when it is called.

    Notes
    -----
    All other arguments are inputs. They, and the constants, must hold the same in the reverse pass
    as in the forward pass. A checksum of each call sees to it: inputs that have been overwritten
    are an error, not a wrong gradient. Pass views of what is read, since all that is passed is
    summed.

    The derivative by every input is computed, even by one that does not vary.

    Examples
    --------
    >>> import numba, numpy as np
    >>> from enzyme_rules import register
    >>> @numba.njit
    ... def orbit_into(y, x, n):
    ...     for i in range(x.size):
    ...         value = x[i]
    ...         for _ in range(n):
    ...             value = 3.7 * value * (1.0 - value)
    ...         y[i] = value
    >>> _ = register(RecomputedRule(orbit_into))
    """

    outputs: tuple[int, ...] = (0,)
    scratch: tuple[int, ...] = ()
    constants: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        named = (*self.outputs, *self.scratch, *self.constants)
        if not self.outputs or len(set(named)) < len(named):
            raise ValueError(
                f"`RecomputedRule({self.name}, outputs, scratch, constants)` needs at least one "
                f"output, and each argument in one of the three at most. Got {self.outputs}, "
                f"{self.scratch}, {self.constants}. What is in none of them is an input."
            )

    def access(self, argument: int) -> str:
        return "" if argument in (*self.outputs, *self.scratch) else "readonly"


@dataclass(frozen=True)
class Inactive:
    """No derivative passes through the C function `symbol`: it prints, counts, or takes the time.

    Parameters
    ----------
    symbol : str
        Its name in the IR, as given to `c_function`.

    Examples
    --------
    >>> from enzyme_rules import register, unregister
    >>> rule = Inactive("report_progress")
    >>> register(rule)
    'report_progress'
    >>> unregister(rule)
    """

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

    Examples
    --------
    >>> AllocationRule("arena_allocate", free="arena_release", size_argument=1).free
    'arena_release'
    """

    symbol: str
    free: str
    size_argument: int = 0

    def __post_init__(self) -> None:
        for what, name in (("symbol", self.symbol), ("free", self.free)):
            refuse_allocation_name(f"AllocationRule(..., {what}={name!r})", name)


def refuse_allocation_name(call: str, name: str) -> None:
    """Check that a C function has not the name of one of C's own allocation functions.

    Raises
    ------
    ValueError
        It has: compiled derivatives put functions of theirs into the place of these.
    """
    if name in ("malloc", "calloc", "realloc", "free"):
        raise ValueError(
            f"`{call}` needs a name that is none of C's own allocation functions: compiled code "
            f"has others in their place. Got {name!r}. Give the function another name, "
            f"`c_function('my_{name}', ...)`, and use that."
        )


def _require_njit(rule: Rule, what: str, value: Any) -> None:
    if not isinstance(value, CPUDispatcher):
        raise TypeError(
            f"`{type(rule).__name__}(...)` needs `{what}` to be an @njit function. "
            f"Got {value!r}. Decorate it: `@numba.njit`."
        )
