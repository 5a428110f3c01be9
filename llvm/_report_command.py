"""`python -m llvm report module:function --types "float64[::1], int64"`."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numba.core import types

from ._arguments import require_njit, require_varying, signature_of
from ._errors import AutodiffError
from ._options import DEFAULT, Options
from ._report import report
from ._request import Mode, Question

_SCALARS: dict[str, Any] = {
    **{
        f"{kind}{bits}": getattr(types, f"{kind}{bits}")
        for kind in ("int", "uint")
        for bits in (8, 16, 32, 64)
    },
    **{name: getattr(types, name) for name in ("float32", "float64", "complex64", "complex128")},
    **{"intp": types.intp, "bool": types.boolean, "boolean": types.boolean, "none": types.none},
}
_MODES = {"reverse": Mode.REVERSE, "forward": Mode.FORWARD}


def add_command(commands: Any) -> None:
    """Add the command to those of `python -m llvm`."""
    parser = commands.add_parser(
        "report",
        help="what a gradient costs, keeps and why: stages, activity, tape, instructions",
        description="Options that begin with --enzyme- go to Enzyme.",
    )
    parser.add_argument("function", metavar="module:function", help="an @njit function")
    parser.add_argument(
        "--types", required=True, metavar="TYPES", help='of its arguments: "float64[::1], int64"'
    )
    parser.add_argument("--mode", choices=_MODES, default="reverse")
    parser.add_argument(
        "--argnums", type=int, nargs="+", default=[0], metavar="N", help="what varies (default: 0)"
    )
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="write all of it there")
    parser.add_argument("--passes-before", default=DEFAULT.passes_before, metavar="PASSES")
    parser.add_argument("--passes-after", default=DEFAULT.passes_after, metavar="PASSES")
    parser.add_argument(
        "--no-noalias", action="store_true", help="do not say that arrays do not overlap"
    )


def run_command(options: argparse.Namespace, enzyme_flags: Sequence[str]) -> int:
    """Print the report; return the exit status."""
    try:
        function = find_function(options.function)
        argument_types = parse_types(options.types)
        question = Question(
            _MODES[options.mode],
            argument_types,
            _varying(function, argument_types, options.argnums),
            options=Options(
                tuple(enzyme_flags),
                options.passes_before,
                options.passes_after,
                not options.no_noalias,
            ),
        )
        found = report(function, question)
    except (ValueError, TypeError, ImportError) as error:
        if isinstance(error, AutodiffError):
            raise
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(found)
    if options.save:
        found.save(options.save)
        print(f"\nWritten to {options.save}")
    return 0


def _varying(
    function: Any, argument_types: Sequence[types.Type], argnums: Sequence[int]
) -> tuple[bool, ...]:
    expected = signature_of(function)
    count = len(argument_types)
    if expected.rest is None and count != len(expected.names):
        raise ValueError(
            f"`--types` must name one type for each of {', '.join(expected.names)}. Got {count}."
        )
    for position in argnums:
        if not 0 <= position < count:
            raise ValueError(f"`--argnums` must be from 0 to {count - 1}. Got {position}.")
    varying = tuple(position in argnums for position in range(count))
    require_varying("python -m llvm report", function, varying, tuple(argument_types))
    return varying


def find_function(name: str) -> Any:
    """The @njit function that ``module:function`` names."""
    module, colon, attribute = name.partition(":")
    if not (module and colon and attribute):
        raise ValueError(f"A function must be named `module:function`. Got {name!r}.")
    value: Any = importlib.import_module(module)
    for part in attribute.split("."):
        if not hasattr(value, part):
            raise ValueError(f"`{module}` must have a function `{attribute}`. Got no `{part}`.")
        value = getattr(value, part)
    return require_njit("python -m llvm report", value)


def parse_types(text: str) -> tuple[types.Type, ...]:
    """Numba types as Numba writes them: ``float64, float32[:, ::1], (int64, float64[:])``.

    Raises
    ------
    ValueError
        Something else. Nothing of the text is run.

    Examples
    --------
    >>> parse_types("float64[:, ::1], (int64, float32)")
    (Array(float64, 2, 'C', False, aligned=True), Tuple((int64, float32)))
    """
    return tuple(_parse(part) for part in _split(text))


def _split(text: str) -> list[str]:
    """The parts between the commas that are in no brackets."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "([") - (character in ")]")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    parts = [part.strip() for part in parts]
    if parts[-1] == "":  # nothing at all, or what a tuple of one ends in
        parts.pop()
    return parts


def _parse(text: str) -> types.Type:
    if text.startswith("(") and text.endswith(")"):
        made: Any = types.BaseTuple.from_types([_parse(part) for part in _split(text[1:-1])])
        return made
    word, bracket, rest = text.partition("[")
    if word not in _SCALARS or (bracket and not rest.endswith("]")):
        raise ValueError(_cannot(text))
    if not bracket:
        return _SCALARS[word]
    axes = _split(rest[:-1])
    layout = "A"
    if axes[-1:] == ["::1"]:
        layout, axes = "C", [*axes[:-1], ":"]
    elif axes[:1] == ["::1"]:
        layout, axes = "F", [":", *axes[1:]]
    if not axes or set(axes) != {":"}:
        raise ValueError(_cannot(text))
    return types.Array(_SCALARS[word], len(axes), layout)


def _cannot(text: str) -> str:
    return (
        f"`--types` takes numbers such as float64 and int64, arrays such as float64[::1] or "
        f"complex128[:, :], and tuples of these in parentheses. Got {text!r}."
    )
