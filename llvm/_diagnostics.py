"""What Enzyme prints when it gives up, in words for the person who asked for a gradient."""

from __future__ import annotations

import re

from ._errors import AutodiffError, NoDerivativeError, ToolchainError
from ._prepare import Prepared

# "No augmented forward pass found for NAME", "No reverse pass found for NAME",
# "No forward derivative found for NAME", "No forward mode derivative found for NAME"
_NO_DERIVATIVE = re.compile(
    r"No (augmented forward pass|reverse pass|forward(?: mode)? derivative|derivative)s? found for "
    r"([\w.$]+)"
)
_FORWARD = "forward"


def translate(error: ToolchainError, prepared: Prepared) -> AutodiffError:
    """The error for the user that a failed run of Enzyme stands for."""
    name = prepared.lowered.name
    found = _NO_DERIVATIVE.search(error.stderr)
    if found:
        mode = "forward" if found[1].startswith(_FORWARD) else "reverse"
        return NoDerivativeError(
            f"Enzyme has no derivative for `{found[2]}`, called from `{name}`, {mode} mode. "
            f"Register one for the @njit function that calls it: `enzyme_rules.register(...)`; "
            f"see enzyme_rules/README.md.",
            stage="differentiate",
            function=name,
            symbol=found[2],
        )
    reasons = [
        line.split("Enzyme: ", 1)[1]
        for line in error.stderr.splitlines()
        if "error:" in line and "Enzyme: " in line
    ]
    if not reasons:
        error.function = name
        error.stage = "differentiate"
        return error
    return AutodiffError(
        f"Enzyme cannot differentiate `{name}`: {reasons[0][:300]}", stage="differentiate", function=name
    )
