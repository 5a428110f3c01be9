"""The errors of differentiation: caught by class, never by text."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class AutodiffError(Exception):
    """Something went wrong between a Numba function and its compiled gradient.

    Parameters
    ----------
    message : str
        What happened, in words for the person who made the call.
    stage : str, optional
        The stage that failed: "lower", "prepare", "differentiate", "optimise" or "compile".
    function : str, optional
        The function being differentiated.
    symbol : str, optional
        The LLVM symbol at fault, such as a C function without a derivative.

    Notes
    -----
    Instances survive pickling with their attributes and notes, so that an error raised in a worker
    process reaches its parent whole.
    """

    def __init__(
        self,
        message: str = "",
        *,
        stage: str | None = None,
        function: str | None = None,
        symbol: str | None = None,
    ) -> None:
        super().__init__(message)
        self.stage = stage
        self.function = function
        self.symbol = symbol

    # The default would call `type(self)(message)`, which no subclass with a signature of its own
    # could answer, and which would lose nothing only by luck.
    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(
    kind: type[AutodiffError], args: tuple[Any, ...], attributes: dict[str, Any]
) -> AutodiffError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(attributes)
    return error


class UnsupportedTypeError(AutodiffError, NotImplementedError):
    """An argument or a result has a type that a compiled gradient cannot take."""


class UnsupportedResultError(UnsupportedTypeError):
    """The function returns something else than a real number, where one is needed."""


class NoDerivativeError(AutodiffError):
    """Enzyme has no derivative for something that the function calls or does."""


class EnzymeNotFoundError(AutodiffError):
    """There is no Enzyme on this machine, or not where an environment variable says.

    Parameters
    ----------
    detail : str, optional
        What was looked for; the two commands that get an Enzyme are added to it.
    **place
        `stage`, `function` and `symbol`, as for `AutodiffError`.
    """

    def __init__(self, detail: str = "", **place: str | None) -> None:
        super().__init__(
            (detail or "Gradients need Enzyme. Got none on this machine.")
            + " Get one with `python -m llvm install-enzyme` (a prebuilt driver, no compiler"
            " needed), or build the plugin from source with `make enzyme`.",
            **place,
        )


class EnzymeVersionError(AutodiffError):
    """An Enzyme built for another LLVM than the one in llvmlite.

    Parameters
    ----------
    path : Path
        The plugin, driver or `opt` in question.
    found, needed : int
        LLVM majors: its own, and llvmlite's.
    **place
        `stage`, `function` and `symbol`, as for `AutodiffError`.
    """

    def __init__(self, path: Path, found: int, needed: int, **place: str | None) -> None:
        super().__init__(
            f"`{path}` must be of LLVM {needed}, the LLVM inside llvmlite, since both read the same"
            f" IR. Got LLVM {found}. Build one for LLVM {needed} with `make enzyme`, or get the"
            " prebuilt driver with `python -m llvm install-enzyme`.",
            **place,
        )
        self.found = found
        self.needed = needed


class ToolchainError(AutodiffError):
    """A program that we started failed, did not finish in time, or left its work undone.

    Parameters
    ----------
    message : str
        What was run and what came of it.
    stderr : str
        All that the program wrote to its standard error.
    **place
        `stage`, `function` and `symbol`, as for `AutodiffError`.
    """

    def __init__(self, message: str = "", *, stderr: str = "", **place: str | None) -> None:
        super().__init__(message, **place)
        self.stderr = stderr


class ToolTimeoutError(ToolchainError):
    """A program that we started did not finish in time.

    Parameters
    ----------
    message, stderr, **place
        As for `ToolchainError`.
    seconds : float
        The time that it had.
    """

    def __init__(
        self, message: str = "", *, seconds: float, stderr: str = "", **place: str | None
    ) -> None:
        super().__init__(message, stderr=stderr, **place)
        self.seconds = seconds
