"""`grad` and `value_and_grad` inside ``@njit`` code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ._arguments import positions
from ._jit_calls import JitCall
from ._options import Options
from ._request import Mode
from ._results import first_of_two


def gradient_in_njit(
    function: Any,
    argnums: int | Sequence[int],
    with_value: bool,
    has_aux: bool,
    options: Options,
    given: tuple[Any, ...],
) -> Any:
    """What Numba compiles for a call of a `Gradient` with arguments of the given types."""
    chosen = positions("grad(f)", argnums, len(given))
    call = JitCall(
        first_of_two(function) if has_aux else function,
        Mode.REVERSE,
        given,
        [i in chosen for i in range(len(given))],
        options=options,
    )
    lines, shadows = call.prepare(), []
    parts: dict[str, str] = {}
    numbers = 0
    for k, item, path, _, varies in call.items():
        if not item.varies:
            continue
        if item.kind == "array":
            lines.append(f"s{k} = np.zeros_like(x{k})")
            shadows.append(f"s{k}")
        else:
            shadows.append("0.0" if item.kind == "real" else "0j")
        if varies:
            parts[path] = f"s{k}" if item.kind == "array" else f"r[{3 + numbers}]"
        numbers += item.kind != "array"
    lines += call.run(shadows)
    found = [call.in_form_of(i, parts) for i in chosen]
    one = isinstance(argnums, (int, np.integer))
    gradient = found[0] if one else f"({''.join(f'{part}, ' for part in found)})"
    value = "r[1]"
    if has_aux:
        call.namespace["whole"] = function
        own = ", ".join(f"a{i}" for i in range(len(given)))
        lines.append(f"aux = whole({own})[1]")
        value = "(r[1], aux)"
        gradient = gradient if with_value else f"({gradient}, aux)"
    lines.append(f"return ({value}, {gradient})" if with_value else f"return {gradient}")
    return call.compile(lines, [f"a{i}" for i in range(len(given))])
