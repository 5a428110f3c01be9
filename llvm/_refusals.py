"""What Numba compiles and Enzyme cannot derive, refused where it is compiled, with its place."""

from __future__ import annotations

import re
from pathlib import Path

from numba.core import errors

_MARK = "no derivative through"
_PLACES = (
    re.compile(r'File "([^"\n]+)", line (\d+)'),
    re.compile(r"(?:at|of) ([^\s()]+\.py) \((\d+)\)"),
)


def refuse(what: str, instead: str) -> errors.NumbaError:
    """The error to raise in the middle of compiling; Numba adds the place to its text."""
    return errors.UnsupportedError(f"{_MARK} {what}. {instead}.")


def refusal(error: BaseException) -> tuple[str, str] | None:
    """What such an error says and where (``"file.py:12"``, or nothing), if it is one."""
    text = str(error)
    found = re.search(rf"{_MARK} ([^\n]*)", text)
    if found is None:
        return None
    places = [p for pattern in _PLACES for p in pattern.finditer(text, found.end())]
    places = [p for p in places if not re.search(r"\bnumba/(?:core|cpython|np|typed)/", p[1])]
    if not places:
        return found[0], ""
    nearest = min(places, key=lambda place: place.start())
    return found[0], f"{Path(nearest[1]).name}:{nearest[2]}"
