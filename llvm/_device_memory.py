"""What a thread of a GPU allocates: from its own part of a buffer, all given back when it ends.

CUDA's own ``malloc`` is slow, takes a lock, and has a limit that cannot be changed later. A thread
keeps where it is in its part in memory that its block shares, since nothing else belongs to a
thread and is known to all functions. In front of what is allocated is its size, to copy it when it
grows.
"""

from __future__ import annotations

import re

BLOCK = 128
"""Threads of a block. Kernels that hold many float64 in registers do not fit in larger ones."""

OPEN = "device_open_scratch"
_OURS = {
    "malloc": "device_allocate",
    "calloc": "device_zeros",
    "realloc": "device_resize",
    "free": "device_release",
}
_NAMES = re.compile(rf"@({'|'.join(_OURS)})\b")
_HEADER = 16

RUNTIME = f"""
@device_next = internal addrspace(3) global [{BLOCK} x i64] undef
@device_end = internal addrspace(3) global [{BLOCK} x i64] undef
@device_raised = internal addrspace(3) global i64 undef
declare i32 @llvm.nvvm.read.ptx.sreg.tid.x()
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)

define internal ptr addrspace(3) @device_mine(ptr addrspace(3) %all) alwaysinline {{
  %id32 = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %id = zext i32 %id32 to i64
  %place = getelementptr i64, ptr addrspace(3) %all, i64 %id
  ret ptr addrspace(3) %place
}}

define void @{OPEN}(ptr %begin, ptr %end, ptr %raised) {{
  %next = call ptr addrspace(3) @device_mine(ptr addrspace(3) @device_next)
  %last = call ptr addrspace(3) @device_mine(ptr addrspace(3) @device_end)
  store ptr %begin, ptr addrspace(3) %next
  store ptr %end, ptr addrspace(3) %last
  store ptr %raised, ptr addrspace(3) @device_raised
  ret void
}}

define ptr @{_OURS["malloc"]}(i64 %size) {{
  %next = call ptr addrspace(3) @device_mine(ptr addrspace(3) @device_next)
  %last = call ptr addrspace(3) @device_mine(ptr addrspace(3) @device_end)
  %begin = load i64, ptr addrspace(3) %next
  %end = load i64, ptr addrspace(3) %last
  %padded = add i64 %size, {_HEADER + 15}
  %needed = and i64 %padded, -16
  %after = add i64 %begin, %needed
  %over = icmp ugt i64 %after, %end
  br i1 %over, label %exhausted, label %done
exhausted:
  %raised = load ptr, ptr addrspace(3) @device_raised
  %flag = getelementptr i64, ptr %raised, i64 1
  store i64 1, ptr %flag
  call void asm sideeffect "exit;", ""()
  unreachable
done:
  store i64 %after, ptr addrspace(3) %next
  %block = inttoptr i64 %begin to ptr
  store i64 %size, ptr %block
  %data = getelementptr i8, ptr %block, i64 {_HEADER}
  ret ptr %data
}}

define ptr @{_OURS["calloc"]}(i64 %count, i64 %each) {{
  %size = mul i64 %count, %each
  %data = call ptr @{_OURS["malloc"]}(i64 %size)
  call void @llvm.memset.p0.i64(ptr %data, i8 0, i64 %size, i1 false)
  ret ptr %data
}}

define ptr @{_OURS["realloc"]}(ptr %old, i64 %size) {{
  %data = call ptr @{_OURS["malloc"]}(i64 %size)
  %fresh = icmp eq ptr %old, null
  br i1 %fresh, label %done, label %copy
copy:
  %header = getelementptr i8, ptr %old, i64 -{_HEADER}
  %had = load i64, ptr %header
  %grows = icmp ult i64 %had, %size
  %kept = select i1 %grows, i64 %had, i64 %size
  call void @llvm.memcpy.p0.p0.i64(ptr %data, ptr %old, i64 %kept, i1 false)
  br label %done
done:
  ret ptr %data
}}

define void @{_OURS["free"]}(ptr %data) {{
  ret void
}}
"""


def with_scratch(text: str) -> str:
    """The module with every allocation one of ours."""
    return _NAMES.sub(lambda found: f"@{_OURS[found[1]]}", text)


def uses_scratch(ptx: str) -> bool:
    """Whether a kernel allocates at all."""
    return "device_next" in ptx
