"""The derivative of a parallel loop: Enzyme derives one part of it, and threads run the parts.

A part runs the kernel over some of the outermost indices. The forward pass keeps a tape for each
part, as Enzyme lays it out. In the reverse pass parts may add to the same place of a shadow, so
that each has a shadow of its own, and these are added up in the order of the parts: the result is
the same from run to run. Only where an array is touched at the iteration's own index do all parts
share its shadow.

Where there is one thread, or the loop runs inside another one, there is one part.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from ._abi import I8, I64, POINTER, leaves, pack
from ._effects import body_chooses_pointers, body_mixes_pointers
from ._lower import count_error, link
from ._memory_types import state_memory_types
from ._parallel_lowering import Region, call_kernel, make_schedule
from ._parallel_shadows import PartShadows, spread
from ._parallel_tasks import Tasks, slot
from ._recomputed_rule import in_one, registered
from ._recursion import needs_all_shadows, with_shadows_of_constants
from ._rule_calls import RuledCall, opaque_calls
from ._rule_shims import VOID, Passes, Shims


def region_rule(call: RuledCall, passes: Passes) -> str:
    """The module that registers a region's rule."""
    context = call.rule.kernel.target_context
    part = f"{call.symbol}_part"
    copy = in_one(_part(call, part), part)
    mixes = body_mixes_pointers(copy, part)
    if mixes and needs_all_shadows(copy, call.rule.name):
        copy, mixes = with_shadows_of_constants(copy), False
    # Enzyme dies of a call with a rule in what it splits in two passes ("DUP_NONEED"). And it keeps
    # shadows of pointers that are chosen, from a pass in which the parts have none of their own.
    again = bool(opaque_calls(copy)) or body_chooses_pointers(copy, part)
    builder = _Builder(call, context, mixes, runs_again=again)
    return registered(builder, copy, part, passes)


def region_body(call: RuledCall, *, seen_by_enzyme: bool = False) -> str:
    """A module that defines the region: with threads, or without for Enzyme to look into."""
    part = f"{call.symbol}_run"
    context = call.rule.kernel.target_context
    builder = _Builder(call, context)
    if seen_by_enzyme:
        builder.serial(part)
    else:
        builder.parallel(part)
    return link([], [_part(call, part, seen_by_enzyme=seen_by_enzyme), builder.module])


def _part(call: RuledCall, name: str, *, seen_by_enzyme: bool = True) -> str:
    """``void name(k, n, leaves…)``: part k of n."""
    region: Region = call.rule
    context = region.kernel.target_context
    module = context.create_module(f"part of {call.symbol}")
    flat_leaves = [leaf for ty in call.argument_types for leaf in leaves(ty)]
    parameters = [I64, I64, *(leaf.llvm_type for leaf in flat_leaves)]
    function = ir.Function(module, ir.FunctionType(VOID, parameters), name)
    if not region.aliases:
        for argument in function.args:
            if isinstance(argument.type, ir.PointerType):
                argument.add_attribute("noalias")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    k, n, *flat = function.args
    if seen_by_enzyme:
        state_memory_types(module, builder, flat_leaves, flat)
    values = iter(flat)
    given = [pack(context, builder, ty, values) for ty in call.argument_types]
    count = 2 * region.dimensions
    start, stop = given[:2]
    length = builder.sub(stop, start)
    empty = builder.icmp_signed("<", length, I64(0))
    length = builder.select(empty, I64(0), length)

    def bound(position: Any) -> Any:
        return builder.add(start, builder.sdiv(builder.mul(length, position), n))

    bounds = [bound(k), bound(builder.add(k, I64(1))), *given[2:count]]
    schedule = make_schedule(builder, bounds)
    types_ = call.argument_types[count:]
    status = call_kernel(context, builder, region, schedule, types_, given[count:])
    count_error(module, builder, status.is_error)
    builder.ret_void()
    return link([region.kernel], [module])


class _Builder:
    """Writes the functions of one region."""

    def __init__(
        self, call: RuledCall, context: Any, mixes_pointers: bool = False, runs_again: bool = False
    ) -> None:
        self.call, self.context, self.mixes_pointers = call, context, mixes_pointers
        self.runs_again = runs_again
        self.region: Region = call.rule
        self.module = context.create_module(f"rule of {call.symbol}")
        self.shims = Shims(call, self.module)
        self.tasks = Tasks(self.module, self.shims.name)
        self.shadows = PartShadows(self.shims, self.region)
        self.types = self.shims.types
        # Argument, type and pointer leaf of all that has a shadow.
        self.shadowed = [
            (argument, ty, self.shims.first_leaf[argument])
            for argument, ty in enumerate(call.argument_types)
            if self.shims.leaves[self.shims.first_leaf[argument]].can_vary
        ]
        # Type and pointer leaf of all in memory.
        self.arrays = [
            (ty, self.shims.first_leaf[argument])
            for argument, ty in enumerate(call.argument_types)
            if self.shims.leaves[self.shims.first_leaf[argument]].is_pointer
        ]

    @property
    def compiled(self) -> list[Any]:
        """Numba functions that the module calls."""
        return self.shadows.compiled

    def serial(self, part: str) -> None:
        """The region, as one part."""
        builder = ir.IRBuilder(self.shims.registered.append_basic_block("entry"))
        arguments = self.shims.registered.args
        builder.call(self._part(part), [I64(0), I64(1), *arguments])
        builder.ret_void()

    def parallel(self, part: str) -> None:
        """The region, its parts in threads."""
        builder = ir.IRBuilder(self.shims.registered.append_basic_block("entry"))

        def run(builder: Any, k: Any, n: Any, values: list[Any]) -> None:
            builder.call(self._part(part), [k, n, *values])

        n = self.tasks.count(builder)
        self.tasks.in_threads(builder, "task", n, list(self.shims.registered.args), run)
        builder.ret_void()

    def gradient(self) -> None:
        if self.runs_again:
            self.remembering()
            self.repeated()
        else:
            self.augmented()
            self.reverse()

    def augmented(self) -> None:
        """Run all parts, and return what the reverse pass needs: see `_Kept`."""
        builder, primal, shadow = self.shims.start("augmented", POINTER)
        n = self.tasks.count(builder)
        rings = builder.call(self.tasks.outside("arena_rings", POINTER, [I64]), [n])
        size = builder.mul(builder.add(n, I64(2)), I64(8))
        kept = builder.call(self.tasks.outside("malloc", POINTER, [I64]), [size])
        builder.store(n, slot(builder, kept, I64, I64(0)))
        builder.store(rings, slot(builder, kept, POINTER, I64(1)))
        count = len(primal)

        def run(builder: Any, k: Any, n: Any, values: list[Any]) -> None:
            primal, shadow, kept = values[:count], values[count : 2 * count], values[-1]
            tape = self._enzyme(builder, "augmentfwd", POINTER, k, n, primal, shadow)
            builder.store(tape, slot(builder, kept, POINTER, builder.add(k, I64(2))))

        given = [*primal, *shadow, kept]
        self.tasks.in_threads(builder, "augmented_task", n, given, run, rings=rings, begins=True)
        builder.ret(kept)

    def reverse(self) -> None:
        """Run all parts backwards, and add up their shadows."""
        builder, primal, shadow = self.shims.start("reverse", VOID, tape=True)
        kept = builder.function.args[-1]
        n = builder.load(slot(builder, kept, I64, I64(0)))
        rings = builder.load(slot(builder, kept, POINTER, I64(1)))
        self._backwards(builder, n, primal, shadow, primal, [kept], rings)
        builder.call(self.tasks.outside("arena_free_rings", VOID, [POINTER]), [rings])
        self.tasks.free(builder, kept)
        builder.ret_void()

    def remembering(self) -> None:
        """As `augmented`, where parts are run again: keep what all arrays hold before."""
        builder, primal, _ = self.shims.start("augmented", POINTER)
        size = I64(8 * max(1, len(self.arrays)))
        kept = builder.call(self.tasks.outside("malloc", POINTER, [I64]), [size])
        for position, (ty, leaf) in enumerate(self.arrays):
            memory, start, size = self.shims.zeros_like(
                builder, self.context, ty, primal[leaf:], I64(1)
            )
            self.shadows.call(builder, spread, ty, primal[leaf:], primal[leaf], I64(1), start, size)
            builder.store(memory, slot(builder, kept, POINTER, I64(position)))
        builder.call(self.shims.op, primal)
        builder.ret(kept)

    def repeated(self) -> None:
        """As `reverse`, where parts are run again, from what was kept, and then backwards."""
        builder, primal, shadow = self.shims.start("reverse", VOID, tape=True)
        kept = builder.function.args[-1]
        memories = []
        again = list(primal)
        for position, (ty, leaf) in enumerate(self.arrays):
            memory = builder.load(slot(builder, kept, POINTER, I64(position)))
            below = self.shims.bytes_below(builder, ty, primal[leaf:])
            again[leaf] = builder.gep(memory, [below], source_etype=I8)
            memories.append(memory)
        n = self.tasks.count(builder)
        self._backwards(builder, n, primal, shadow, again, [])
        for memory in (*memories, kept):
            self.tasks.free(builder, memory)
        builder.ret_void()

    def forward(self) -> None:
        """Run all parts with tangents. Only what varies has any: else zeros that nobody sees."""
        builder, primal, shadow = self.shims.start("forward", VOID)
        used, borrowed = list(shadow), []
        for _, ty, leaf in self.shadowed:
            constant = builder.icmp_unsigned("==", primal[leaf], shadow[leaf])
            count = builder.zext(constant, I64)
            memory, start, _ = self.shims.zeros_like(
                builder, self.context, ty, primal[leaf:], count
            )
            used[leaf] = builder.select(constant, start, shadow[leaf])
            borrowed.append(memory)
        count = len(primal)

        def run(builder: Any, k: Any, n: Any, values: list[Any]) -> None:
            self._enzyme(builder, "fwddiff", VOID, k, n, values[:count], values[count:])

        n = self.tasks.count(builder)
        self.tasks.in_threads(builder, "forward_task", n, [*primal, *used], run)
        for memory in borrowed:
            self.tasks.free(builder, memory)
        builder.ret_void()

    def _backwards(
        self,
        builder: Any,
        n: Any,
        primal: list[Any],
        shadow: list[Any],
        values: list[Any],
        kept: list[Any],
        rings: Any = None,
    ) -> None:
        """Run all parts backwards, at `values`, with tapes if they were kept; add up shadows."""
        copies = [
            self.shadows.copies(builder, n, argument, ty, leaf, primal, shadow)
            for argument, ty, leaf in self.shadowed
        ]
        count = len(primal)

        def run(builder: Any, k: Any, n: Any, given: list[Any]) -> None:
            primal, shadow = given[:count], given[count : 2 * count]
            rest = given[2 * count :]
            firsts, apart = rest[: len(self.shadowed)], rest[len(self.shadowed) :]
            leads = builder.icmp_signed("==", k, I64(0))
            for (_, _, leaf), first, size in zip(self.shadowed, firsts, apart, strict=False):
                other = builder.gep(shadow[leaf], [builder.mul(k, size)], source_etype=I8)
                shadow[leaf] = builder.select(leads, first, other)
            if kept:
                tape = builder.load(slot(builder, given[-1], POINTER, builder.add(k, I64(2))))
                self._enzyme(builder, "reverse", VOID, k, n, primal, shadow, tape)
            else:
                self._enzyme(builder, "autodiff", VOID, k, n, primal, shadow)

        used = list(shadow)
        for (_, _, leaf), own in zip(self.shadowed, copies, strict=True):
            used[leaf] = own.start
        firsts, apart = [own.first for own in copies], [own.apart for own in copies]
        given = [*values, *used, *firsts, *apart, *kept]
        self.tasks.in_threads(builder, "reverse_task", n, given, run, rings=rings)
        for own in copies:
            own.finish(builder)
            self.tasks.free(builder, own.memory)

    def _enzyme(
        self,
        builder: Any,
        mode: str,
        returned: ir.Type,
        k: Any,
        n: Any,
        primal: list[Any],
        shadow: list[Any],
        tape: Any = None,
    ) -> Any:
        """A call by which Enzyme derives part k of n."""
        kind = ir.FunctionType(returned, [], var_arg=True)
        name = f"__enzyme_{mode}_{self.call.symbol}"
        enzyme = self.module.globals.get(name) or ir.Function(self.module, kind, name)
        dup, const = (self.shims.marker(builder, f"enzyme_{word}") for word in ("dup", "const"))
        arguments = [self._part("tangent" if mode == "fwddiff" else "part", derived=True)]
        if self.mixes_pointers:
            arguments.append(self.shims.marker(builder, "enzyme_runtime_activity"))
        arguments += [const, k, const, n]
        for leaf, p, s in zip(self.shims.leaves, primal, shadow, strict=True):
            arguments += [dup, p, s] if leaf.can_vary else [const, p]
        return builder.call(enzyme, arguments + ([tape] if tape is not None else []))

    def _part(self, part: str, *, derived: bool = False) -> Any:
        name = self.shims.name(part) if derived else part
        known = self.module.globals.get(name)
        kind = ir.FunctionType(VOID, [I64, I64, *self.shims.types])
        return known or ir.Function(self.module, kind, name)
