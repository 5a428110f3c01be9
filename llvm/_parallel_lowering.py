"""Parallel loops as our target lowers them: each one call of an opaque function, its *region*.

Numba turns ``prange`` and array expressions of a ``parallel=True`` function into *parfors*, and the
body of each into a function of a schedule (where to start, where to stop) and of what it uses. On
the CPU it then calls its scheduler. Here it calls a function with a rule of ours, see
`_parallel_rule`, which divides the outermost loop into as many parts as Numba has threads.
"""

from __future__ import annotations

import hashlib
import itertools
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from llvmlite import ir
from numba.core import cgutils, types
from numba.core import ir as numba_ir
from numba.parfors.parfor import Parfor

from ._abi import FLOATING, I64, POINTER, leaves, pack, unpack
from ._errors import UnsupportedTypeError
from ._rule_calls import PREFIX, RuledCall, ruled_calls


@dataclass(frozen=True)
class Region:
    """The body of a parallel loop, in the place of a rule.

    Attributes
    ----------
    function_name : str
        Of the function that the loop is in.
    kernel : numba compile result
        ``kernel(schedule, *arguments)``.
    dimensions : int
        Of the loop. The first arguments of the region are its starts and stops, in pairs.
    own : frozenset of int
        Arguments of the region that an iteration touches only at its own index.
    read : frozenset of int
        Arguments that are only read.
    aliases : bool
        Whether some of the arguments may overlap.
    """

    function_name: str
    kernel: Any
    dimensions: int
    own: frozenset[int]
    read: frozenset[int]
    aliases: bool
    separate: ClassVar[bool] = False  # as of a `Rule`

    @property
    def name(self) -> str:
        return f"a parallel loop in {self.function_name}"

    def access(self, argument: int) -> str:
        """As of a `Rule`."""
        return "readonly" if argument in self.read else ""


def lower_parfor(lowerer: Any, parfor: Any, standard: Callable[[Any, Any], None]) -> None:
    """Numba's lowering, but for the call at its end."""
    uses = _Uses(parfor, lowerer.fndesc.typemap)
    previous, lowerer.parfor_uses = getattr(lowerer, "parfor_uses", None), uses
    try:
        standard(lowerer, parfor)
    finally:
        lowerer.parfor_uses = previous


def call_region(
    lowerer: Any,
    kernel: Any,
    _signature: Any,
    _outer: Any,
    names: list[str],
    argument_types: Sequence[Any],
    ranges: Sequence[tuple[Any, Any, Any]],
    reductions: Sequence[str],
    _operators: Any,
    reduction_arrays: dict[str, Any],
    _init: Any,
    _index_type: Any,
    races: set[str],
    parts_of_tuples: dict[str, tuple[str, int]],
) -> None:
    """In the place of Numba's `call_parallel_gufunc`, whose parameters these are."""
    context, builder = lowerer.context, lowerer.builder
    context.active_code_library.add_linking_library(kernel.library)
    names = names[1:]  # without the schedule

    def load(bound: Any) -> Any:
        if not isinstance(bound, numba_ir.Var):
            return I64(bound)
        value = lowerer.loadvar(bound.name)
        return builder.sext(value, I64) if value.type.width < 64 else value

    values: list[Any] = []
    for start, stop, _ in ranges:
        values += load(start), load(stop)
    own, read = set(), set()
    cells: dict[str, Any] = {}
    count = len(names) - len(reductions)
    given: list[Any] = [types.intp] * len(values)
    for name, ty in zip(names[:count], argument_types, strict=False):
        if name in parts_of_tuples:
            whole, position = parts_of_tuples[name]
            value = builder.extract_value(lowerer.loadvar(whole), position)
        else:
            value = lowerer.loadvar(name)
        if name in races:
            cells[name] = cgutils.alloca_once_value(builder, value)
            cell = builder.bitcast(cells[name], POINTER)
            value = pack(context, builder, ty, iter([cell, I64(1)]))
        if isinstance(ty, types.Optional):
            value, ty = context.cast(builder, value, ty, ty.type), ty.type
        if lowerer.parfor_uses.only_own_index(name):
            own.add(len(given))
        if lowerer.parfor_uses.only_read(name):
            read.add(len(given))
        given.append(ty)
        values.append(value)
    for name, ty in zip(reductions, argument_types[count:], strict=True):
        own.add(len(given))
        given.append(ty)
        values.append(lowerer.loadvar(reduction_arrays[name].name))
    function_name = lowerer.func_ir.func_id.func_qualname
    region = Region(
        function_name,
        kernel,
        len(ranges),
        frozenset(own),
        frozenset(read),
        not kernel.fndesc.noalias,
    )
    if why := _why_serial(given, races):
        _warn(function_name, lowerer.loc, why)
        _call_serially(lowerer, region, given, values)
        for name, cell in cells.items():
            lowerer.storevar(builder.load(cell), name)
        return
    call = RuledCall(_symbol(kernel), region, tuple(given))
    ruled_calls[call.symbol] = call
    flat: list[Any] = []
    for ty, value in zip(given, values, strict=True):
        if isinstance(ty, FLOATING):
            place = cgutils.alloca_once_value(builder, value)
            flat.append(builder.bitcast(place, POINTER))
        else:
            flat += unpack(context, builder, ty, value)
    function_type = ir.FunctionType(ir.VoidType(), [value.type for value in flat])
    function = cgutils.get_or_insert_function(builder.module, function_type, call.symbol)
    builder.call(function, flat)


def _symbol(kernel: Any) -> str:
    digest = hashlib.sha256(f"{kernel.fndesc.mangled_name}{next(_count)}".encode()).hexdigest()
    return f"{PREFIX}region_{digest[:12]}"


_count = itertools.count()


def _why_serial(given: Sequence[Any], races: set[str]) -> str:
    """What stands against threads, if anything."""
    if races:
        return f"its iterations assign to the same variable, `{min(races)}`"
    for ty in given:
        if isinstance(ty, types.Array) and ty.ndim == 0:
            return "it uses an array without dimensions"
        try:
            leaves(ty)
        except UnsupportedTypeError:
            return f"it uses a `{ty}`"
    return ""


def _warn(name: str, loc: Any, why: str) -> None:
    warnings.warn(
        f"A parallel loop in `{name}` ({loc.filename}:{loc.line}) runs serially here, with the "
        f"same results: {why}.",
        RuntimeWarning,
        stacklevel=2,
    )


def _call_serially(
    lowerer: Any, region: Region, given: Sequence[Any], values: Sequence[Any]
) -> None:
    context, builder = lowerer.context, lowerer.builder
    count = 2 * region.dimensions
    schedule = make_schedule(builder, values[:count])
    call_kernel(context, builder, region, schedule, given[count:], values[count:])


def make_schedule(builder: Any, bounds: Sequence[Any]) -> Any:
    """Numba's schedule for one part: all starts, then all last indices."""
    dimensions = len(bounds) // 2
    block = cgutils.alloca_once(builder, I64, size=2 * dimensions)
    for k in range(dimensions):
        last = builder.sub(bounds[2 * k + 1], I64(1))
        for position, value in ((k, bounds[2 * k]), (dimensions + k, last)):
            builder.store(value, builder.gep(block, [I64(position)]))
    return block


def call_kernel(
    context: Any,
    builder: Any,
    region: Region,
    schedule: Any,
    given: Sequence[Any],
    values: Sequence[Any],
) -> Any:
    """Run the kernel; the result is its status."""
    signature = region.kernel.signature
    array_type = signature.args[0]
    schedule_array = context.make_array(array_type)(context, builder)
    context.populate_array(
        schedule_array,
        data=builder.bitcast(schedule, schedule_array.data.type),
        shape=[I64(2 * region.dimensions)],
        strides=[I64(8)],
        itemsize=I64(8),
        meminfo=None,
    )
    cast = [
        context.cast(builder, value, ty, wanted)
        for ty, wanted, value in zip(given, signature.args[1:], values, strict=True)
    ]
    callee = context.declare_function(builder.module, region.kernel.fndesc)
    status, _ = context.call_conv.call_function(
        builder, callee, types.none, signature.args, [schedule_array._getvalue(), *cast]
    )
    return status


class _Uses:
    """What the body of a parallel loop does with the arrays that it uses."""

    _HARMLESS = ("shape", "size", "ndim", "dtype", "itemsize")

    def __init__(self, parfor: Any, typemap: dict[str, Any]) -> None:
        self._typemap = typemap
        self._own: dict[str, bool] = {}
        self._read: dict[str, bool] = {}
        first = parfor.loop_nests[0].index_variable.name
        self._indices = {first}
        statements = list(_statements(parfor.loop_body))
        self._tuples: set[str] = set()
        assigned = Counter(s.target.name for s in statements if isinstance(s, numba_ir.Assign))
        for statement in statements:
            if isinstance(statement, numba_ir.Assign) and assigned[statement.target.name] == 1:
                self._note_index(statement)
        for statement in statements:
            self._note(statement)

    def only_own_index(self, name: str) -> bool:
        """Whether each access is at the outermost index of the iteration."""
        return self._own.get(name, True)

    def only_read(self, name: str) -> bool:
        return self._read.get(name, True)

    def _note_index(self, statement: Any) -> None:
        """What else the outermost index is called, and tuples that begin with it."""
        value, target = statement.value, statement.target.name
        if isinstance(value, numba_ir.Var) and value.name in self._indices:
            self._indices.add(target)
        if isinstance(value, numba_ir.Expr) and value.op == "build_tuple":
            if value.items and value.items[0].name in self._indices:
                self._tuples.add(target)

    def _note(self, statement: Any) -> None:
        if isinstance(statement, numba_ir.SetItem):
            name = statement.target.name
            self._access(name, statement.index.name, written=True)
            self._unknown([statement.value])
        elif isinstance(statement, numba_ir.StaticSetItem):
            self._access(statement.target.name, None, written=True)
            self._unknown([statement.value])
        elif isinstance(statement, numba_ir.Assign) and isinstance(statement.value, numba_ir.Expr):
            value = statement.value
            is_view = not isinstance(self._typemap.get(statement.target.name), types.Number)
            if value.op == "getitem":
                self._access(value.value.name, value.index.name, written=is_view)
            elif value.op == "static_getitem":
                self._access(value.value.name, None, written=is_view)
            elif not (value.op == "getattr" and value.attr in self._HARMLESS):
                self._unknown(value.list_vars())
        elif isinstance(statement, numba_ir.Assign) and isinstance(statement.value, numba_ir.Var):
            self._unknown([statement.value])
        elif not isinstance(statement, numba_ir.Assign | numba_ir.Del):
            self._unknown(statement.list_vars())

    def _access(self, name: str, index: str | None, *, written: bool) -> None:
        own = index in self._indices or index in self._tuples
        self._own[name] = self._own.get(name, True) and own
        self._read[name] = self._read.get(name, True) and not written

    def _unknown(self, variables: Sequence[Any]) -> None:
        for variable in variables:
            self._own[variable.name] = self._read[variable.name] = False


def _statements(blocks: dict[int, Any]) -> Iterator[Any]:
    for _, block in sorted(blocks.items()):
        for statement in block.body:
            yield statement
            if isinstance(statement, Parfor):
                yield from statement.init_block.body
                yield from _statements(statement.loop_body)
