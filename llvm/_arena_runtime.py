"""What compiled code calls for its memory, see `_arena`: compiled once, for all of a process.

It is half of the machine code of a small gradient and a third of the time that one compiles.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import re
from typing import Any

import llvmlite
import llvmlite.binding as llvm

from . import _cache
from ._parallel_runtime import KEY
from ._target_machine import run_pipeline, target_description, target_machine

_KEPT = "enzyme_sht_kept_blocks"
_SLOTS = 512
_WORDS = 2 * _SLOTS + 2  # blocks, bytes in them, whose turn it is to go, what they were last
_LARGE, _TOO_LARGE = 1 << 16, 1 << 26  # bytes; smaller ones malloc keeps itself
_MOST = 1 << 29  # bytes kept in all

RUNTIME = f"""
@{KEY} = external global i64
@{_KEPT} = external global [{_WORDS} x i64]
declare ptr @malloc(i64)
declare ptr @realloc(ptr, i64)
declare void @free(ptr)
declare ptr @pthread_getspecific(i64)
declare i32 @pthread_setspecific(i64, ptr)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
declare void @llvm.memmove.p0.p0.i64(ptr, ptr, i64, i1)

define ptr @arena_begin(ptr %ring) noinline {{
  %previous = getelementptr ptr, ptr %ring, i64 1
  store ptr %ring, ptr %ring
  store ptr %ring, ptr %previous
  %key = load i64, ptr @{KEY}
  %outer = call ptr @pthread_getspecific(i64 %key)
  %status = call i32 @pthread_setspecific(i64 %key, ptr %ring)
  ret ptr %outer
}}

define void @arena_end(ptr %ring, ptr %outer) noinline {{
  br label %check
check:
  %header = load volatile ptr, ptr %ring
  %done = icmp eq ptr %header, %ring
  br i1 %done, label %end, label %more
more:
  %block = getelementptr i8, ptr %header, i64 32
  %length = getelementptr i64, ptr %header, i64 3
  %size = load i64, ptr %length
  %holds_rings = icmp slt i64 %size, 0
  br i1 %holds_rings, label %rings, label %plain
rings:
  call void @arena_free_rings(ptr %block)
  br label %check
plain:
  call void @arena_release(ptr %block)
  br label %check
end:
  %key = load i64, ptr @{KEY}
  %status = call i32 @pthread_setspecific(i64 %key, ptr %outer)
  ret void
}}

; Rings for the parts of a parallel loop, in a block whose size is marked: what they hold goes
; with it.
define ptr @arena_rings(i64 %n) noinline {{
  %bytes = mul i64 %n, 24
  %size = add i64 %bytes, 8
  %block = call ptr @arena_allocate(i64 %size)
  store i64 %n, ptr %block
  br label %loop
loop:
  %k = phi i64 [0, %0], [%after, %loop]
  %ring = call ptr @arena_ring(ptr %block, i64 %k)
  %previous = getelementptr ptr, ptr %ring, i64 1
  store ptr %ring, ptr %ring
  store ptr %ring, ptr %previous
  %after = add i64 %k, 1
  %more = icmp slt i64 %after, %n
  br i1 %more, label %loop, label %end
end:
  %length = getelementptr i64, ptr %block, i64 -1
  %marked = or i64 %size, -9223372036854775808
  store i64 %marked, ptr %length
  ret ptr %block
}}

define ptr @arena_ring(ptr %block, i64 %k) {{
  %offset = mul i64 %k, 24
  %behind = add i64 %offset, 8
  %ring = getelementptr i8, ptr %block, i64 %behind
  ret ptr %ring
}}

define void @arena_free_rings(ptr %block) noinline {{
  %n = load i64, ptr %block
  br label %each
each:
  %k = phi i64 [0, %0], [%after, %empty]
  %ring = call ptr @arena_ring(ptr %block, i64 %k)
  br label %check
check:
  %header = load volatile ptr, ptr %ring
  %done = icmp eq ptr %header, %ring
  br i1 %done, label %empty, label %release
release:
  %inner = getelementptr i8, ptr %header, i64 32
  call void @arena_release(ptr %inner)
  br label %check
empty:
  %after = add i64 %k, 1
  %more = icmp slt i64 %after, %n
  br i1 %more, label %each, label %end
end:
  %length = getelementptr i64, ptr %block, i64 -1
  %marked = load i64, ptr %length
  %size = and i64 %marked, 9223372036854775807
  store i64 %size, ptr %length
  call void @arena_release(ptr %block)
  ret void
}}

; Put a block at the place of a malloc of its size plus at least 95 bytes, into the ring. Whether it
; grows is the lowest bit of what it says of its place.
define ptr @arena_link(ptr %raw, i64 %size, i64 %grows) noinline {{
  %address = ptrtoint ptr %raw to i64
  %past = add i64 %address, 95
  %start = and i64 %past, -64
  %offset = sub i64 %start, %address
  %block = getelementptr i8, ptr %raw, i64 %offset
  %header = getelementptr i8, ptr %block, i64 -32
  %previous = getelementptr ptr, ptr %header, i64 1
  %place = getelementptr ptr, ptr %header, i64 2
  %length = getelementptr i64, ptr %header, i64 3
  %marked = or i64 %address, %grows
  store i64 %marked, ptr %place
  store i64 %size, ptr %length
  %key = load i64, ptr @{KEY}
  %mine = call ptr @pthread_getspecific(i64 %key)
  ; A thread that the function started itself has none: such a block is a ring of its own.
  store ptr %header, ptr %header
  store ptr %header, ptr %previous
  %alone = icmp eq ptr %mine, null
  br i1 %alone, label %end, label %insert
insert:
  %next = load ptr, ptr %mine
  %back = getelementptr ptr, ptr %next, i64 1
  store ptr %next, ptr %header
  store ptr %mine, ptr %previous
  store ptr %header, ptr %back
  store ptr %header, ptr %mine
  br label %end
end:
  ret ptr %block
}}

define void @arena_unlink(ptr %header) {{
  %next = load ptr, ptr %header
  %place = getelementptr ptr, ptr %header, i64 1
  %previous = load ptr, ptr %place
  %back = getelementptr ptr, ptr %next, i64 1
  store ptr %next, ptr %previous
  store ptr %previous, ptr %back
  ret void
}}

; What is asked of malloc for a block: large sizes in steps of an eighth, so that spare ones fit.
define i64 @arena_total(i64 %size) {{
  %total = add i64 %size, 95
  %leading = call i64 @llvm.ctlz.i64(i64 %total, i1 false)
  %shift = sub i64 60, %leading
  %large = icmp uge i64 %total, {_LARGE}
  %bits = select i1 %large, i64 %shift, i64 0
  %step = shl i64 1, %bits
  %mask = sub i64 %step, 1
  %up = add i64 %total, %mask
  %inverse = xor i64 %mask, -1
  %rounded = and i64 %up, %inverse
  ret i64 %rounded
}}

; A spare block of some size from `least` to `most`, or null. A spare block holds its size, and
; whether it grew: of those that grow and those that do not, each would take what the other needs.
; Only what was so when the slot was last filled is taken to be looked at.
define ptr @arena_spare(i64 %least, i64 %most, i64 %grows) noinline {{
  %large = icmp uge i64 %least, {_LARGE}
  br i1 %large, label %look, label %none
look:
  %k = phi i64 [0, %0], [%after, %next]
  %hint = add i64 %k, {_SLOTS + 2}
  %said = getelementptr i64, ptr @{_KEPT}, i64 %hint
  %last = load atomic i64, ptr %said monotonic, align 8
  %was = call i1 @arena_fits(i64 %last, i64 %least, i64 %most, i64 %grows)
  br i1 %was, label %see, label %next
see:
  %slot = getelementptr ptr, ptr @{_KEPT}, i64 %k
  %seen = load atomic ptr, ptr %slot monotonic, align 8
  %nothing = icmp eq ptr %seen, null
  br i1 %nothing, label %next, label %take
take:
  %spare = atomicrmw xchg ptr %slot, ptr null acq_rel
  %empty = icmp eq ptr %spare, null
  br i1 %empty, label %next, label %compare
compare:
  %kind = load i64, ptr %spare
  %fits = call i1 @arena_fits(i64 %kind, i64 %least, i64 %most, i64 %grows)
  br i1 %fits, label %found, label %put_back
put_back:
  %displaced = atomicrmw xchg ptr %slot, ptr %spare acq_rel
  call void @arena_give_back(ptr %displaced)
  br label %next
next:
  %after = add i64 %k, 1
  %end = icmp eq i64 %after, {_SLOTS}
  br i1 %end, label %none, label %look
found:
  %size = and i64 %kind, -2
  %bytes = getelementptr i64, ptr @{_KEPT}, i64 {_SLOTS}
  %before = atomicrmw sub ptr %bytes, i64 %size monotonic
  ret ptr %spare
none:
  ret ptr null
}}

; Whether a spare block is of such a size and kind: the lowest bit says whether it grew.
define i1 @arena_fits(i64 %kind, i64 %least, i64 %most, i64 %grows) {{
  %size = and i64 %kind, -2
  %grew = and i64 %kind, 1
  %enough = icmp uge i64 %size, %least
  %not_too_much = icmp ule i64 %size, %most
  %alike = icmp eq i64 %grew, %grows
  %in_size = and i1 %enough, %not_too_much
  %fits = and i1 %in_size, %alike
  ret i1 %fits
}}

; Blocks of the system's, or spare ones of just that size.
define ptr @arena_malloc(i64 %total) noinline {{
  %spare = call ptr @arena_spare(i64 %total, i64 %total, i64 0)
  %none = icmp eq ptr %spare, null
  br i1 %none, label %fresh, label %found
found:
  ret ptr %spare
fresh:
  %raw = call ptr @malloc(i64 %total)
  ret ptr %raw
}}

; For what grows, a spare block of up to sixteen times that size: it will have grown as much in the
; call before. Null if there is none. Its size in front is what it has room for.
define ptr @arena_roomy(i64 %total) noinline {{
  %most = shl i64 %total, 4
  %raw = call ptr @arena_spare(i64 %total, i64 %most, i64 1)
  %none = icmp eq ptr %raw, null
  br i1 %none, label %end, label %link
link:
  %kind = load i64, ptr %raw
  %whole = and i64 %kind, -2
  %room = sub i64 %whole, 95
  %block = call ptr @arena_link(ptr %raw, i64 %room, i64 1)
  ret ptr %block
end:
  ret ptr null
}}

; A spare block, or null, goes back to the system.
define void @arena_give_back(ptr %spare) noinline {{
  %none = icmp eq ptr %spare, null
  br i1 %none, label %end, label %some
some:
  %kind = load i64, ptr %spare
  %size = and i64 %kind, -2
  %bytes = getelementptr i64, ptr @{_KEPT}, i64 {_SLOTS}
  %before = atomicrmw sub ptr %bytes, i64 %size monotonic
  call void @free(ptr %spare)
  br label %end
end:
  ret void
}}

define void @arena_say(i64 %k, i64 %kind) {{
  %hint = add i64 %k, {_SLOTS + 2}
  %said = getelementptr i64, ptr @{_KEPT}, i64 %hint
  store atomic i64 %kind, ptr %said monotonic, align 8
  ret void
}}

define void @arena_free(ptr %raw, i64 %total, i64 %grew) noinline {{
  %above = icmp uge i64 %total, {_LARGE}
  %below = icmp ule i64 %total, {_TOO_LARGE}
  %keep = and i1 %above, %below
  br i1 %keep, label %start, label %give_back
start:
  %kind = or i64 %total, %grew
  store i64 %kind, ptr %raw
  %bytes = getelementptr i64, ptr @{_KEPT}, i64 {_SLOTS}
  %turn = getelementptr i64, ptr @{_KEPT}, i64 {_SLOTS + 1}
  %before = atomicrmw add ptr %bytes, i64 %total monotonic
  br label %look
look:
  %k = phi i64 [0, %start], [%after, %next]
  %slot = getelementptr ptr, ptr @{_KEPT}, i64 %k
  %seen = load atomic ptr, ptr %slot monotonic, align 8
  %free = icmp eq ptr %seen, null
  br i1 %free, label %put, label %next
put:
  %pair = cmpxchg ptr %slot, ptr null, ptr %raw acq_rel monotonic
  %done = extractvalue {{ptr, i1}} %pair, 1
  br i1 %done, label %say, label %next
say:
  call void @arena_say(i64 %k, i64 %kind)
  br label %limit
next:
  %after = add i64 %k, 1
  %full = icmp eq i64 %after, {_SLOTS}
  br i1 %full, label %replace, label %look
replace:
  ; In turn: sizes that nobody asks for any more make room.
  %whose = atomicrmw add ptr %turn, i64 1 monotonic
  %any = urem i64 %whose, {_SLOTS}
  %place = getelementptr ptr, ptr @{_KEPT}, i64 %any
  %old = atomicrmw xchg ptr %place, ptr %raw acq_rel
  call void @arena_say(i64 %any, i64 %kind)
  call void @arena_give_back(ptr %old)
  br label %limit
limit:
  %tries = phi i64 [0, %say], [0, %replace], [%more, %evict]
  %held = load atomic i64, ptr %bytes monotonic, align 8
  %over = icmp ugt i64 %held, {_MOST}
  %again = icmp ult i64 %tries, {_SLOTS}
  %too_much = and i1 %over, %again
  br i1 %too_much, label %evict, label %kept
evict:
  %more = add i64 %tries, 1
  %next_turn = atomicrmw add ptr %turn, i64 1 monotonic
  %victim = urem i64 %next_turn, {_SLOTS}
  %its_place = getelementptr ptr, ptr @{_KEPT}, i64 %victim
  %evicted = atomicrmw xchg ptr %its_place, ptr null acq_rel
  call void @arena_give_back(ptr %evicted)
  br label %limit
give_back:
  call void @free(ptr %raw)
  ret void
kept:
  ret void
}}

define noalias ptr @arena_allocate(i64 %size) noinline nounwind willreturn allocsize(0)
allockind("alloc,uninitialized") "alloc-family"="arena" memory(inaccessiblemem: readwrite) {{
  %total = call i64 @arena_total(i64 %size)
  %raw = call ptr @arena_malloc(i64 %total)
  %failed = icmp eq ptr %raw, null
  br i1 %failed, label %none, label %link
link:
  %block = call ptr @arena_link(ptr %raw, i64 %size, i64 0)
  ret ptr %block
none:
  ret ptr null
}}

define noalias ptr @arena_zeros(i64 %count, i64 %each) noinline nounwind willreturn
allocsize(0, 1) allockind("alloc,zeroed") "alloc-family"="arena" memory(inaccessiblemem: readwrite)
{{
  %size = mul i64 %count, %each
  %block = call ptr @arena_allocate(i64 %size)
  %failed = icmp eq ptr %block, null
  br i1 %failed, label %end, label %clear
clear:
  call void @llvm.memset.p0.i64(ptr %block, i8 0, i64 %size, i1 false)
  br label %end
end:
  ret ptr %block
}}

define noalias ptr @arena_resize(ptr allocptr %block, i64 %size) noinline nounwind
willreturn allocsize(1) allockind("realloc") "alloc-family"="arena" memory(argmem: readwrite,
inaccessiblemem: readwrite) {{
  %fresh = icmp eq ptr %block, null
  br i1 %fresh, label %first, label %again
first:
  %first_total = call i64 @arena_total(i64 %size)
  %first_spare = call ptr @arena_roomy(i64 %first_total)
  %no_spare = icmp eq ptr %first_spare, null
  br i1 %no_spare, label %allocate, label %roomy
roomy:
  ret ptr %first_spare
allocate:
  %new = call ptr @arena_allocate(i64 %size)
  ret ptr %new
again:
  %header = getelementptr i8, ptr %block, i64 -32
  %length = getelementptr i64, ptr %header, i64 3
  %old_size = load i64, ptr %length
  %old_total = call i64 @arena_total(i64 %old_size)
  %total = call i64 @arena_total(i64 %size)
  %large = icmp uge i64 %old_total, {_LARGE}
  %has_room = icmp ule i64 %total, %old_total
  %stays = and i1 %large, %has_room
  br i1 %stays, label %stay, label %grow
stay:
  ret ptr %block
grow:
  %spare = call ptr @arena_roomy(i64 %total)
  %none = icmp eq ptr %spare, null
  br i1 %none, label %move, label %copy
copy:
  call void @llvm.memmove.p0.p0.i64(ptr %spare, ptr %block, i64 %old_size, i1 false)
  call void @arena_release(ptr %block)
  ret ptr %spare
move:
  call void @arena_unlink(ptr %header)
  %place = getelementptr ptr, ptr %header, i64 2
  %marked = load i64, ptr %place
  %where = and i64 %marked, -2
  %raw = inttoptr i64 %where to ptr
  %from = ptrtoint ptr %raw to i64
  %at = ptrtoint ptr %block to i64
  %offset = sub i64 %at, %from
  %moved = call ptr @realloc(ptr %raw, i64 %total)
  ; malloc aligns to 16 bytes only: the content may have to move up or down.
  %content = getelementptr i8, ptr %moved, i64 %offset
  %address = ptrtoint ptr %moved to i64
  %past = add i64 %address, 95
  %start = and i64 %past, -64
  %new_offset = sub i64 %start, %address
  %target = getelementptr i8, ptr %moved, i64 %new_offset
  %same = icmp eq i64 %offset, %new_offset
  br i1 %same, label %link, label %shift
shift:
  %smaller = icmp ult i64 %size, %old_size
  %count = select i1 %smaller, i64 %size, i64 %old_size
  call void @llvm.memmove.p0.p0.i64(ptr %target, ptr %content, i64 %count, i1 false)
  br label %link
link:
  %linked = call ptr @arena_link(ptr %moved, i64 %size, i64 1)
  ret ptr %linked
}}

define void @arena_release(ptr allocptr captures(none) %block) noinline nounwind willreturn
allockind("free") "alloc-family"="arena" memory(argmem: readwrite, inaccessiblemem: readwrite) {{
  %none = icmp eq ptr %block, null
  br i1 %none, label %end, label %some
some:
  %header = getelementptr i8, ptr %block, i64 -32
  call void @arena_unlink(ptr %header)
  %place = getelementptr ptr, ptr %header, i64 2
  %marked = load i64, ptr %place
  %grew = and i64 %marked, 1
  %where = and i64 %marked, -2
  %raw = inttoptr i64 %where to ptr
  %length = getelementptr i64, ptr %header, i64 3
  %size = load i64, ptr %length
  %total = call i64 @arena_total(i64 %size)
  call void @arena_free(ptr %raw, i64 %total, i64 %grew)
  br label %end
end:
  ret void
}}
"""

_HEADS = re.findall(r"^define ([^@]*@(\w+)[^{]*)\{", RUNTIME, re.M)

DECLARATIONS = "".join(f"declare {head.strip()}\n" for head, _ in _HEADS)
"""A module that declares all of it, with what LLVM may assume of each function."""


@functools.cache
def provide_arena() -> None:
    """Tell LLVM where all of it is, with the key of the rings and the slots for spare blocks."""
    process = ctypes.CDLL(None)
    key = ctypes.c_size_t(0)  # pthread_key_t is an unsigned int on Linux, a long on macOS
    if process.pthread_key_create(ctypes.byref(key), None) != 0:
        raise MemoryError("no key left for the memory of compiled derivatives")
    slots = (ctypes.c_int64 * _WORDS)()
    llvm.add_symbol(KEY, ctypes.addressof(key))
    llvm.add_symbol(_KEPT, ctypes.addressof(slots))
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target_machine())
    engine.add_object_file(llvm.ObjectFileRef.from_data(_machine_code()))
    engine.finalize_object()
    for _, name in _HEADS:
        llvm.add_symbol(name, engine.get_function_address(name))
    _alive.extend((key, slots, engine))


_alive: list[Any] = []


def _machine_code() -> bytes:
    """From disk, or made now."""
    made_of = "\n".join((RUNTIME, llvmlite.__version__, target_description()))
    key = hashlib.sha256(made_of.encode()).hexdigest()
    kept = _cache.read(key)
    if kept is None:
        machine = target_machine()
        module = run_pipeline(llvm.parse_assembly(RUNTIME), machine, "O3", vectorise=True)
        kept = _cache.Entry({}, machine.emit_object(module))
        _cache.write(key, kept)
    return kept.code
