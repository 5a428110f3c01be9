"""What a study of compiler-level differentiation varies: Enzyme's flags, passes, noalias."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_LEVEL = re.compile(r"O[0-3]")
_PIPELINE = re.compile(r"[\w<>(),;=.\- ]*")
_FLAG = re.compile(r"--(enzyme-[\w-]+)(?:=[\w.,-]*)?")
_NAME = re.compile(r"--[\w-]+")


@dataclass(frozen=True)
class Options:
    """How a derivative is compiled, where the default is not what is wanted.

    Parameters
    ----------
    enzyme_flags : sequence of str
        ``--enzyme-…`` options. They come after the ones that are passed anyway, and take the place
        of those of the same name.
    passes_before : str
        What is run on the module before Enzyme gets it: a level "O0" … "O3", without vectorisation,
        or a pipeline as LLVM's `opt` takes it, "function(sroa,early-cse)", which needs an `opt`.
    passes_after : str
        The same for what comes from Enzyme. Levels 2 and 3 vectorise.
    noalias : bool
        Whether LLVM and Enzyme are told that no array overlaps another, shadows included.

    Raises
    ------
    TypeError, ValueError
        A flag that is not Enzyme's, or one that makes gradients wrong; something else than a level
        or a pipeline.

    Notes
    -----
    Enzyme itself optimises at O2 before it differentiates, and again after: `passes_before` comes
    in front of that. What LLVM does there can hide the types of memory from Enzyme, which then
    refuses the function. Some flags are there because of bugs: with ``--enzyme-rematerialize=1``
    gradients can be wrong. Check a study's gradients.
    """

    enzyme_flags: tuple[str, ...] = ()
    passes_before: str = ""
    passes_after: str = "O3"
    noalias: bool = True

    def __post_init__(self) -> None:
        flags: Iterable[str] = self.enzyme_flags
        if isinstance(flags, str) or not all(isinstance(flag, str) for flag in flags):
            raise TypeError(f"`Options(enzyme_flags=...)` takes a tuple of strings. Got {flags!r}.")
        object.__setattr__(self, "enzyme_flags", tuple(flags))
        for flag in self.enzyme_flags:
            _check_flag(flag)
        for name in ("passes_before", "passes_after"):
            passes = getattr(self, name)
            if not isinstance(passes, str):
                raise TypeError(f"`Options({name}=...)` takes a string. Got {passes!r}.")
            if not _PIPELINE.fullmatch(passes):
                raise ValueError(
                    f"`Options({name}=...)` takes a level, such as 'O1', or an LLVM pipeline, such "
                    f"as 'function(sroa,early-cse)'. Got {passes!r}."
                )

    def flags(self, defaults: Iterable[str]) -> tuple[str, ...]:
        """Every flag for Enzyme, given the ones that are passed anyway."""
        replaced = {_name(flag) for flag in self.enzyme_flags}
        return (*(f for f in defaults if _name(f) not in replaced), *self.enzyme_flags)


DEFAULT = Options()


def level_of(passes: str) -> int | None:
    """2 for "O2"; None for a pipeline."""
    return int(passes[1]) if _LEVEL.fullmatch(passes) else None


def _check_flag(flag: str) -> None:
    named = _FLAG.fullmatch(flag)
    if named is None:
        raise ValueError(
            f"`Options(enzyme_flags=...)` takes Enzyme's own options, such as "
            f"'--enzyme-max-cache=1'. Got {flag!r}."
        )
    if named[1] == "enzyme-loose-types":
        raise ValueError(
            "`Options(enzyme_flags=...)` does not take '--enzyme-loose-types': Enzyme then guesses "
            "what memory holds, and gradients are wrong without a word (that of a copy is zero). "
            "Give the function whose types it cannot tell a rule instead: "
            "`enzyme_rules.register(...)`."
        )


def _name(flag: str) -> str:
    found = _NAME.match(flag)
    return found[0] if found else flag
