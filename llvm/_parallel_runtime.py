"""What compiled parallel loops call: Numba's threads, and the ring of memory of each part.

The parts of a loop run in Numba's own threads, as many as ``numba.get_num_threads()`` says. Each
part has a ring (see `_arena`) whose third word is its number, by which code inside tells that it
runs in a part: a loop in a loop has one part, with the number of the outer one.
"""

from __future__ import annotations

KEY = "enzyme_sht_arena"

RUNTIME = f"""
@{KEY} = external global i64
declare ptr @pthread_getspecific(i64)
declare i32 @pthread_setspecific(i64, ptr)
declare i64 @get_num_threads()
declare void @numba_parallel_for(ptr, ptr, ptr, ptr, ptr, i64, i64, i64)
declare ptr @arena_begin(ptr)

; The part that this thread runs, or -1.
define i64 @parallel_part() noinline {{
  %key = load i64, ptr @{KEY}
  %ring = call ptr @pthread_getspecific(i64 %key)
  %none = icmp eq ptr %ring, null
  br i1 %none, label %outside, label %inside
inside:
  %place = getelementptr i64, ptr %ring, i64 2
  %part = load i64, ptr %place
  ret i64 %part
outside:
  ret i64 -1
}}

define i64 @get_thread_id() {{
  %part = call i64 @parallel_part()
  %id = call i64 @llvm.smax.i64(i64 %part, i64 0)
  ret i64 %id
}}

define i64 @parallel_parts() {{
  %part = call i64 @parallel_part()
  %nested = icmp sge i64 %part, 0
  br i1 %nested, label %one, label %ask
one:
  ret i64 1
ask:
  %threads = call i64 @get_num_threads()
  %n = call i64 @llvm.smax.i64(i64 %threads, i64 1)
  ret i64 %n
}}

define ptr @parallel_begin(ptr %ring, i64 %k, i64 %n) noinline {{
  %outer_part = call i64 @parallel_part()
  %alone = icmp eq i64 %n, 1
  %nested = icmp sge i64 %outer_part, 0
  %inherits = and i1 %alone, %nested
  %part = select i1 %inherits, i64 %outer_part, i64 %k
  %outer = call ptr @arena_begin(ptr %ring)
  %place = getelementptr i64, ptr %ring, i64 2
  store i64 %part, ptr %place
  ret ptr %outer
}}

define ptr @parallel_resume(ptr %ring, i64 %k, i64 %n) noinline {{
  %key = load i64, ptr @{KEY}
  %outer = call ptr @pthread_getspecific(i64 %key)
  %status = call i32 @pthread_setspecific(i64 %key, ptr %ring)
  ret ptr %outer
}}

define void @parallel_leave(ptr %outer) noinline {{
  %key = load i64, ptr @{KEY}
  %status = call i32 @pthread_setspecific(i64 %key, ptr %outer)
  ret void
}}

; Parts from an address that counts them: Numba adds a step of one byte for each.
define internal void @parallel_several(ptr %arguments, ptr %counts, ptr %steps, ptr %block) {{
  %task = load ptr, ptr %block
  %words = getelementptr ptr, ptr %block, i64 1
  %given = load ptr, ptr %words
  %first = load ptr, ptr %arguments
  %begin = ptrtoint ptr %first to i64
  %count = load i64, ptr %counts
  %stop = add i64 %begin, %count
  br label %check
check:
  %k = phi i64 [%begin, %0], [%next, %run]
  %more = icmp slt i64 %k, %stop
  br i1 %more, label %run, label %end
run:
  call void %task(i64 %k, ptr %given)
  %next = add i64 %k, 1
  br label %check
end:
  ret void
}}

define void @parallel_run(ptr %task, i64 %n, ptr %block) noinline {{
  %one = icmp eq i64 %n, 1
  br i1 %one, label %here, label %threads
here:
  call void %task(i64 0, ptr %block)
  ret void
threads:
  %given = alloca [2 x ptr]
  %words = getelementptr ptr, ptr %given, i64 1
  store ptr %task, ptr %given
  store ptr %block, ptr %words
  %arguments = alloca [1 x ptr]
  store ptr null, ptr %arguments
  %counts = alloca [1 x i64]
  store i64 %n, ptr %counts
  %steps = alloca [1 x i64]
  store i64 1, ptr %steps
  call void @numba_parallel_for(ptr @parallel_several, ptr %arguments, ptr %counts, ptr %steps,
    ptr %given, i64 0, i64 1, i64 %n)
  ret void
}}
"""


def provide_threads() -> None:
    """Start Numba's threads and tell LLVM where their functions are."""
    from numba.np.ufunc.parallel import _launch_threads

    _launch_threads()
