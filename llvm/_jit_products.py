"""`hessian`, `jacfwd`, `jacrev`, `hvp` and `jvp` inside ``@njit`` code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numba import njit
from numba.core import errors, types
from numba.extending import overload

from ._abi import TUPLE
from ._arguments import positions
from ._jit_calls import JitCall
from ._request import Mode
from ._results import returned

_OUTPUT = "output"


def hessian_in_njit(function: Any, argnums: Any, given: tuple[Any, ...]) -> Any:
    """What Numba compiles for a call of `hessian(function)` with arguments of these types."""
    k = _array("hessian(f)", argnums, given)
    call = JitCall(function, Mode.FORWARD_OVER_REVERSE, given, [i == k for i in range(len(given))])
    x = _name(call, k)
    return call.compile(
        [
            *call.prepare(),
            f"flat = np.empty(({x}.size, {x}.size), {x}.dtype)",
            f"for i in range({x}.size):",
            f"    unit = np.zeros_like({x})",
            "    unit.flat[i] = 1",
            f"    product = np.zeros_like({x})",
            *_indented(_run(call, {x: ("unit", f"np.zeros_like({x})", "product")})),
            "    flat[:, i] = product.ravel()",
            f"return flat.reshape({x}.shape + {x}.shape)",
        ],
        [f"a{i}" for i in range(len(given))],
    )


def jacobian_in_njit(
    name: str, mode: Mode, function: Any, argnums: Any, given: tuple[Any, ...]
) -> Any:
    """What Numba compiles for a call of `jacfwd(function)` or `jacrev(function)`."""
    k = _array(name, argnums, given)
    call, lines, is_array = _writing(name, mode, function, given, [k])
    x = _name(call, k)
    forward = mode is Mode.FORWARD
    # Of a complex result, the gradients of its two parts make a row.
    items = _returned_type(function, given)
    items = items.dtype if is_array else items
    parts = ["1", "1j"] if isinstance(items, types.Complex) and not forward else ["1"]
    column = "flat[:, i] = dy.ravel()"
    rows = [f"flat[i] += {part} * dx.ravel()" for part in parts]
    return call.compile(
        [
            *lines,
            f"flat = np.zeros((x0.size, {x}.size), x0.dtype)",
            f"for i in range({x if forward else 'x0'}.size):",
            *_indented(
                line
                for part, use in zip(parts, [column] if forward else rows, strict=True)
                for line in (
                    "dy = np.zeros_like(x0)",
                    f"dx = np.zeros_like({x})",
                    f"{'dx' if forward else 'dy'}.flat[i] = {part}",
                    *_run(call, {"x0": ("dy",), x: ("dx",)}),
                    use,
                )
            ),
            f"return flat.reshape({'x0.shape + ' if is_array else ''}{x}.shape)",
        ],
        [f"a{i}" for i in range(len(given))],
    )


def provide(jvp: Any, hvp: Any) -> None:
    """Make the public functions known to Numba, which compares annotations too: hence none."""

    @overload(jvp)
    def _jvp(function, primals, tangents):
        own, given, chosen = _unpacked("jvp(f, primals, tangents)", function, primals, tangents)
        if isinstance(_returned_type(own, given), types.Float):
            call = JitCall(own, Mode.FORWARD, given, [i in chosen for i in range(len(given))])
            lines = call.prepare()
            result = "return r[1], r[2]"
        else:
            name = "jvp(f, primals, tangents)"
            call, lines, is_array = _writing(name, Mode.FORWARD, own, given, chosen)
            result = "return y, dy" if is_array else "return y, dy[0]"
            lines.append("dy = np.zeros_like(x0)")
        more, shadows = _tangents(call, lambda tangent, _: (tangent,))
        if call.names[0] == _OUTPUT:
            shadows["x0"] = ("dy",)
        return _compiled(call, given, [*lines, *more, *_run(call, shadows), result])

    @overload(hvp)
    def _hvp(function, primals, tangents):
        own, given, chosen = _unpacked("hvp(f, primals, tangents)", function, primals, tangents)
        mode = Mode.FORWARD_OVER_REVERSE
        call = JitCall(own, mode, given, [i in chosen for i in range(len(given))])
        lines, shadows = _tangents(call, lambda tangent, k: (tangent, f"g{k}", f"p{k}"))
        parts: tuple[dict[str, str], dict[str, str]] = {}, {}
        numbers = 0
        for k, item, path, _, varies in call.items():
            if not item.varies:
                continue
            if item.kind != "array":
                zero = "0.0" if item.kind == "real" else "0j"
                shadows[f"x{k}"] = (shadows.get(f"x{k}", (zero,))[0], zero, zero)
            elif varies:
                lines += [f"g{k} = np.zeros_like(x{k})", f"p{k} = np.zeros_like(x{k})"]
            for s, part in enumerate(parts):
                place = 3 + 3 * numbers + 1 + s
                part[path] = f"{'gp'[s]}{k}" if item.kind == "array" else f"r[{place}]"
            numbers += item.kind != "array"
        both = [[call.in_form_of(i, part) for i in chosen] for part in parts]
        shown = [own[0] if len(chosen) == 1 else f"({', '.join(own)})" for own in both]
        lines = [*call.prepare(), *lines, *_run(call, shadows), f"return {', '.join(shown)}"]
        return _compiled(call, given, lines)


def _unpacked(
    name: str, function: Any, primals: Any, tangents: Any
) -> tuple[Any, tuple[Any, ...], list[int]]:
    """The function, the types of its arguments, and which of them have tangents."""
    if not isinstance(function, types.Dispatcher):
        raise errors.TypingError(f"`{name}` needs an @njit function. Got a `{function}`")
    tuples = isinstance(primals, TUPLE) and isinstance(tangents, TUPLE)
    if not tuples or len(primals) != len(tangents):
        raise errors.TypingError(
            f"`{name}` inside @njit code needs a tuple of all arguments and one of as many "
            f"tangents. Got `{primals}` and `{tangents}`"
        )
    given = tuple(types.unliteral(ty) for ty in primals.types)
    chosen = [i for i, ty in enumerate(tangents.types) if not isinstance(ty, types.NoneType)]
    return function.dispatcher, given, chosen


def _compiled(call: JitCall, given: Sequence[Any], lines: Sequence[str]) -> Any:
    own = [f"a{i} = primals[{i}]" for i in range(len(given))]
    call.namespace["like"] = _like
    return call.compile([*own, *lines], ["function", "primals", "tangents"])


def _tangents(call: JitCall, shadows_of: Any) -> tuple[list[str], dict[str, Any]]:
    """Lines that make the tangents, and the shadows of what varies: `shadows_of(tangent, k)`."""
    lines, shadows = [], {}
    for k, item, path, _, varies in call.items():
        if not (varies and item.varies) or path == _OUTPUT:
            continue
        i, bracket, rest = path[1:].partition("[")
        source = f"tangents[{i}]{bracket}{rest}"
        if item.kind == "array":
            lines.append(f"t{k} = like({source}, x{k})")
            source = f"t{k}"
        shadows[f"x{k}"] = shadows_of(source, k)
    return lines, shadows


def _writing(
    name: str, mode: Mode, function: Any, given: tuple[Any, ...], chosen: Sequence[int]
) -> tuple[JitCall, list[str], bool]:
    """A call of the writer of results: lines up to its ``x0``, the output, shaped as the result."""
    result = _returned_type(function, given)
    is_array = isinstance(result, types.Array)
    if not is_array and not isinstance(result, types.Float):
        raise errors.TypingError(
            f"`{name}` inside @njit code needs a function that returns an array or a real "
            f"number. Got a `{result}`"
        )
    dtype, ndim = (result.dtype, result.ndim) if is_array else (result, 1)
    example = np.zeros((1,) * ndim) if is_array else 0.0
    writer = returned(name, function, example).writer
    varying = [True, *(i in chosen for i in range(len(given)))]
    call = JitCall(writer, mode, (types.Array(dtype, ndim, "C"), *given), varying, [_OUTPUT])
    call.namespace["whole"] = function
    arguments = ", ".join(f"a{i}" for i in range(len(given)))
    shape = "y.shape" if is_array else "1"
    lines = [
        f"y = whole({arguments})",
        f"{_OUTPUT} = np.zeros({shape}, np.{dtype})",
        *call.prepare(),
    ]
    return call, lines, is_array


def _returned_type(function: Any, given: tuple[Any, ...]) -> Any:
    function.compile(given)
    return function.overloads[given].signature.return_type


def _run(call: JitCall, own: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Lines of the call, with these shadows of some names, and zeros for all else that has any."""
    shadows: list[str] = []
    for k, item, *_ in call.items():
        if item.varies:
            zero = {"array": f"np.zeros_like(x{k})", "real": "0.0"}.get(item.kind, "0j")
            shadows += own.get(f"x{k}", (zero,) * call.program.frame.shadows)
    return call.run(shadows)


def _array(name: str, argnums: Any, given: Sequence[Any]) -> int:
    """The position of the one array to differentiate by."""
    (k, *rest) = positions(name, argnums, len(given))
    ty = given[k]
    one = not rest and isinstance(argnums, (int, np.integer))
    if not one or not (isinstance(ty, types.Array) and isinstance(ty.dtype, types.Float)):
        raise errors.TypingError(
            f"`{name}` inside @njit code differentiates by one array of real numbers, `argnums` an "
            f"int. Got argnums={argnums} and `{ty}`"
        )
    return k


def _name(call: JitCall, k: int) -> str:
    return next(f"x{item}" for item, _, path, _, _ in call.items() if path == f"a{k}")


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"    {line}" for line in lines]


@njit
def _like(tangent: Any, x: Any) -> Any:
    if tangent.shape != x.shape:
        raise ValueError("a derivative needs tangents of the shape of what they belong to")
    made = np.zeros_like(x)
    made[:] = tangent
    return made
