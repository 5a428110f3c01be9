"""Lists of compiled calls that several threads run at once, with barriers, and without Python.

A thread that sleeps takes 40 µs to wake, as long as a tenth of a transform at T255, and one that
waits for the interpreter's lock sleeps. So a thread is given a list of calls at a time, enters it
without the lock, and stays awake for a while when it is done: what comes next often comes soon.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence
from typing import Any

import llvmlite.binding as llvm
import numpy as np

from ._target_machine import target_machine

Step = tuple[int, int]
"""The address of ``i64 f(ptr words)``, which returns 0 if all is well, and that of its words."""

BARRIER: Step = (0, 0)
"""Here a thread waits until all have come."""

_AWAKE = 8_000
"""How often a thread looks before it sleeps. That takes 0.1 to 0.4 ms."""

_PAUSES = {
    "x86_64": "call void @llvm.x86.sse2.pause()",
    "aarch64": "call void @llvm.aarch64.hint(i32 1)",
    "arm64": "call void @llvm.aarch64.hint(i32 1)",
}

# A team: how many threads have arrived at barriers since it was made; 64 bytes on, whether a call
# has failed, and whether steps have been given out that nobody has led yet. A box: its state (0
# waits awake, 1 has steps to do, 2 sleeps); 64 bytes on, what is to be done: steps, their number,
# the team, and how many threads it has.
_RUNTIME = """
declare i32 @sched_yield()
declare i32 @usleep(i32)
declare void @llvm.x86.sse2.pause()
declare void @llvm.aarch64.hint(i32)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)

; A look that was in vain, after k others: whoever waits long leaves the processor to others, which
; may be those that are waited for.
define internal void @pause(i64 %k) {
  PAUSE
  %low = and i64 %k, 63
  %now = icmp eq i64 %low, 63
  br i1 %now, label %leave, label %end
leave:
  %long = icmp uge i64 %k, PATIENCE
  br i1 %long, label %sleep, label %yield
yield:
  %yielded = call i32 @sched_yield()
  br label %end
sleep:
  %slept = call i32 @usleep(i32 50)
  br label %end
end:
  ret void
}

; Arrive; wait until the threads that take part have arrived as often.
define internal void @barrier(ptr %team, i64 %size) {
  %before = atomicrmw add ptr %team, i64 1 acq_rel
  %round = udiv i64 %before, %size
  %next = add i64 %round, 1
  %all = mul i64 %next, %size
  br label %look
look:
  %k = phi i64 [0, %0], [%more, %wait]
  %here = load atomic i64, ptr %team acquire, align 8
  %done = icmp uge i64 %here, %all
  br i1 %done, label %end, label %wait
wait:
  call void @pause(i64 %k)
  %more = add i64 %k, 1
  br label %look
end:
  ret void
}

define internal void @run(ptr %steps, i64 %count, ptr %team, i64 %size) {
  br label %check
check:
  %i = phi i64 [0, %0], [%next, %done]
  %more = icmp ult i64 %i, %count
  br i1 %more, label %step, label %end
step:
  %place = getelementptr [2 x ptr], ptr %steps, i64 %i
  %function = load ptr, ptr %place
  %second = getelementptr ptr, ptr %place, i64 1
  %words = load ptr, ptr %second
  %none = icmp eq ptr %function, null
  br i1 %none, label %wait, label %call
wait:
  call void @barrier(ptr %team, i64 %size)
  br label %done
call:
  %status = call i64 %function(ptr %words)
  %well = icmp eq i64 %status, 0
  br i1 %well, label %done, label %fail
fail:
  %failed = getelementptr i64, ptr %team, i64 8
  store atomic i64 1, ptr %failed monotonic, align 8
  br label %done
done:
  %next = add i64 %i, 1
  br label %check
end:
  ret void
}

define i64 @lead(ptr %steps, i64 %count, ptr %team, i64 %size) {
  call void @run(ptr %steps, i64 %count, ptr %team, i64 %size)
  call void @barrier(ptr %team, i64 %size)
  %place = getelementptr i64, ptr %team, i64 8
  %failed = load i64, ptr %place
  store i64 0, ptr %place
  %second = getelementptr i64, ptr %team, i64 9
  store i64 0, ptr %second
  ret i64 %failed
}

; Each thread but the first its steps, of a table of places and numbers. Where its box was then
; stands whether it sleeps: who does must be woken.
define void @give(ptr %boxes, ptr %table, ptr %team, i64 %size) {
  br label %check
check:
  %k = phi i64 [1, %0], [%next, %thread]
  %more = icmp ult i64 %k, %size
  br i1 %more, label %thread, label %end
thread:
  %before = sub i64 %k, 1
  %own = getelementptr i64, ptr %boxes, i64 %before
  %box = load ptr, ptr %own
  %row = getelementptr [2 x i64], ptr %table, i64 %k
  %steps = load i64, ptr %row
  %second = getelementptr i64, ptr %row, i64 1
  %count = load i64, ptr %second
  %p0 = getelementptr i64, ptr %box, i64 8
  %p1 = getelementptr i64, ptr %box, i64 9
  %p2 = getelementptr i64, ptr %box, i64 10
  %p3 = getelementptr i64, ptr %box, i64 11
  store i64 %steps, ptr %p0
  store i64 %count, ptr %p1
  store ptr %team, ptr %p2
  store i64 %size, ptr %p3
  %old = atomicrmw xchg ptr %box, i64 1 acq_rel
  %slept = lshr i64 %old, 1
  store i64 %slept, ptr %own
  %next = add i64 %k, 1
  br label %check
end:
  %given = getelementptr i64, ptr %team, i64 9
  store i64 1, ptr %given
  ret void
}

define void @send_to_sleep(ptr %box) {
  %pair = cmpxchg ptr %box, i64 0, i64 2 acq_rel acquire
  ret void
}

define void @serve(ptr %box, i64 %tries) {
  br label %look
look:
  %k = phi i64 [0, %0], [%more, %wait], [0, %tired], [0, %work]
  %state = load atomic i64, ptr %box acquire, align 8
  switch i64 %state, label %idle [i64 1, label %work  i64 2, label %sleep]
idle:
  %patient = icmp ult i64 %k, %tries
  br i1 %patient, label %wait, label %tired
wait:
  call void @pause(i64 %k)
  %more = add i64 %k, 1
  br label %look
tired:
  call void @send_to_sleep(ptr %box)
  br label %look
work:
  %p0 = getelementptr i64, ptr %box, i64 8
  %p1 = getelementptr i64, ptr %box, i64 9
  %p2 = getelementptr i64, ptr %box, i64 10
  %p3 = getelementptr i64, ptr %box, i64 11
  %steps = load ptr, ptr %p0
  %count = load i64, ptr %p1
  %team = load ptr, ptr %p2
  %size = load i64, ptr %p3
  call void @run(ptr %steps, i64 %count, ptr %team, i64 %size)
  ; From its arrival on, the box may be given the next steps, and the team may be gone.
  store atomic i64 0, ptr %box release, align 8
  %before = atomicrmw add ptr %team, i64 1 acq_rel
  br label %look
sleep:
  ret void
}

define i64 @clear(ptr %words) {
  %place = load ptr, ptr %words
  %second = getelementptr i64, ptr %words, i64 1
  %bytes = load i64, ptr %second
  call void @llvm.memset.p0.i64(ptr %place, i8 0, i64 %bytes, i1 false)
  ret i64 0
}
"""


@functools.cache
def _library() -> dict[str, Any]:
    """The functions of `_RUNTIME`, and what keeps them. None takes the interpreter's lock."""
    pause = _PAUSES.get(llvm.get_process_triple().split("-")[0], "")
    text = _RUNTIME.replace("PAUSE", pause).replace("PATIENCE", str(_AWAKE))
    module = llvm.parse_assembly(text)
    engine = llvm.create_mcjit_compiler(module, target_machine())
    engine.finalize_object()

    def function(name: str, result: Any, *arguments: Any) -> Any:
        return ctypes.CFUNCTYPE(result, *arguments)(engine.get_function_address(name))

    word, place = ctypes.c_int64, ctypes.c_void_p
    return {
        "lead": function("lead", word, place, word, place, word),
        "give": function("give", None, place, place, place, word),
        "send_to_sleep": function("send_to_sleep", None, place),
        "serve": function("serve", None, place, word),
        "clear": engine.get_function_address("clear"),
        "engine": engine,
    }


class Box:
    """Where one thread finds what it has to do."""

    def __init__(self) -> None:
        self._words = np.zeros(16, np.int64)
        self._words[0] = 2
        self.place = self._words.ctypes.data
        self._library = _library()

    def serve(self) -> None:
        """Run what is given, until there has been nothing for a while."""
        self._library["serve"](self.place, _AWAKE)

    def send_to_sleep(self) -> None:
        """Let `serve` return, of a thread that has nothing to do."""
        self._library["send_to_sleep"](self.place)


class Shares:
    """Lists of steps, one for each of some threads, that run at the same time.

    Parameters
    ----------
    lists : sequence of sequences of Step
        With as many barriers in each. What the steps use is the caller's to keep.
    """

    def __init__(self, lists: Sequence[Sequence[Step]]) -> None:
        if len({sum(step == BARRIER for step in steps) for steps in lists}) != 1:
            raise ValueError("Threads need as many barriers each. Got lists that differ in that.")
        self._library = _library()
        self._lists = [np.array(steps, np.int64).reshape(-1, 2) for steps in lists]
        self._team = np.zeros(16, np.int64)
        self._table = np.array([[x.ctypes.data, len(x)] for x in self._lists])
        self._boxes = (ctypes.c_int64 * (len(lists) - 1))()
        own, team = self._table[0].tolist(), self._team.ctypes.data
        self._leading = *own, team, len(lists)
        self._giving = ctypes.addressof(self._boxes), self._table.ctypes.data, team, len(lists)

    def __len__(self) -> int:
        return len(self._lists)

    def put(self, thread: int, position: int, step: Step) -> None:
        """Have another call in place of one: only while nobody runs them."""
        self._lists[thread][position] = step

    def give(self, boxes: Sequence[Box]) -> list[bool]:
        """Have other threads run all lists but the first.

        Returns
        -------
        list of bool
            Which of them sleep: they must be sent to `Box.serve`.
        """
        self._boxes[:] = [box.place for box in boxes]
        self._library["give"](*self._giving)
        return list(map(bool, self._boxes))

    @property
    def are_given(self) -> bool:
        """Whether they wait to be led."""
        return bool(self._team[9])

    def lead(self) -> bool:
        """Run the first list, while the others run theirs, to the end; whether all went well."""
        return not self._library["lead"](*self._leading)


class Clearing:
    """A step that clears an array.

    Parameters
    ----------
    array : C-contiguous array
    """

    def __init__(self, array: np.ndarray) -> None:
        self._words = np.array([array.ctypes.data, array.nbytes], np.int64)
        self._array = array

    def step(self) -> Step:
        return _library()["clear"], self._words.ctypes.data
