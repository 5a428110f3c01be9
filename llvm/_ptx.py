"""From what Enzyme returns to PTX: a kernel around it, NVIDIA's mathematics, its target."""

from __future__ import annotations

import re

import llvmlite.binding as llvm

from ._cuda_files import libdevice, target
from ._device_memory import OPEN, RUNTIME, with_scratch
from ._differentiate import ERROR_COUNTER, Differentiated
from ._entry import ERRORS, KERNEL, Slots, is_fine, number_type, thread
from ._errors import NoDerivativeError
from ._lower import linked_texts
from ._memory_types import without_types
from ._prepare import bodies
from ._request import Mode
from ._rounding import contracted, loosened
from ._target_machine import run_passes

llvm.initialize_all_targets()
llvm.initialize_all_asmprinters()


_TRIPLE = "nvptx64-nvidia-cuda"
# Functions of C, and intrinsics of LLVM that NVPTX cannot select, by their names in libdevice.
_SAME = {
    *("sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh", "tanh", "asinh"),
    *("acosh", "atanh", "exp", "exp2", "exp10", "expm1", "log", "log2", "log10", "log1p", "pow"),
    *("hypot", "cbrt", "erf", "erfc", "tgamma", "lgamma", "fmod", "remainder", "ldexp", "round"),
    *("fdim", "nextafter", "rint", "nearbyint", "ceil", "floor", "trunc", "sqrt", "fabs", "fma"),
    *("powi", "copysign", "fmin", "fmax"),
}
_SELECTED = {  # as instructions of their own
    *("sqrt", "fabs", "fma", "floor", "ceil", "trunc", "rint", "nearbyint", "copysign"),
}
_INTRINSIC = re.compile(r"@llvm\.([a-z0-9]+)\.f(32|64)(?:\.i32)?(?=\()")
_C_FUNCTION = re.compile(r"(?<=[ (])@([a-z][a-z0-9]*)(?=\()")
_ATOMIC = re.compile(r"(atomicrmw fadd .*?) (monotonic)")
_TARGET = re.compile(r"^target .*\n", re.M)


def emit_ptx(differentiated: Differentiated, architecture: str) -> str:
    """PTX of ``kernel(slots by value, values, tangents, raised, scratch, scratch_bytes)``.

    The words are those of a `Frame`. What thread i returns goes into ``values[i]``, its tangent
    into ``tangents[i]``; ``raised[0]`` becomes the number, from 1, of a thread that raised an
    exception, ``raised[1]`` is set where a thread needed more than its part of `scratch`.

    Parameters
    ----------
    differentiated : Differentiated
    architecture : str
        ``"sm_70"`` or later.

    Raises
    ------
    NoDerivativeError
        The kernel calls something that a GPU does not have.
    """
    architecture, version = target(architecture)
    machine = llvm.Target.from_triple(_TRIPLE).create_target_machine(
        cpu=architecture, features=f"+ptx{version}", opt=3
    )
    text = device_ir(differentiated)
    module = llvm.parse_assembly(text)
    module.triple, module.data_layout = _TRIPLE, str(machine.target_data)
    if "@__nv_" in text:
        library = llvm.parse_bitcode(libdevice().read_bytes())
        library.triple, library.data_layout = _TRIPLE, str(machine.target_data)
        module.link_in(library)
    for item in (*module.functions, *module.global_variables):
        if not item.is_declaration and item.name not in (KERNEL, ERRORS):
            item.linkage = "internal"
    module.verify()
    run_passes(module, machine, speed_level=3, vectorise=False)
    _refuse_what_is_missing(module, differentiated)
    return machine.emit_assembly(module)


def device_ir(differentiated: Differentiated) -> str:
    """The kernel and all that it calls but NVIDIA's functions, before it is optimised."""
    text = contracted(differentiated.ir)
    if differentiated.request.mode is not Mode.PRIMAL:
        text = loosened(text)
    texts = bodies([text, *differentiated.prepared.unseen], lambda call: True)
    texts = [_TARGET.sub("", _for_device(without_types(text))) for text in texts]
    return str(linked_texts([*texts, _kernel(differentiated), ERROR_COUNTER, RUNTIME]))


def _for_device(text: str) -> str:
    """The module with names that libdevice has, and shadows added to within one device."""
    text = _INTRINSIC.sub(_of_intrinsic, text)
    text = _C_FUNCTION.sub(_of_c_function, text)
    text = _ATOMIC.sub(r'\1 syncscope("device") \2', text)
    # What was kept out of line for Enzyme; a call costs more than anything else on a GPU.
    text = re.sub(r"\bnoinline\b", "nounwind", text)
    return with_scratch(text)


def _of_intrinsic(found: re.Match[str]) -> str:
    name, bits = found[1], found[2]
    if name in _SELECTED or name not in _SAME:
        return found[0]
    return f"@__nv_{name}{'f' if bits == '32' else ''}"


def _of_c_function(found: re.Match[str]) -> str:
    name = found[1]
    single = name[:-1] if name.endswith("f") and name not in _SAME else name
    return f"@__nv_{name}" if single in _SAME else found[0]


def _kernel(differentiated: Differentiated) -> str:
    prepared, request = differentiated.prepared, differentiated.request
    slots = Slots(prepared, request, device=True)
    before, each, summed = thread(prepared, request, slots)
    ty = number_type(prepared)
    keep: list[str] = []
    for k, array in zip(summed, ("values", "tangents"), strict=False):
        keep += [
            f"  %mine{k} = load {ty}, ptr %own{k}",
            f"  %to{k} = getelementptr {ty}, ptr %{array}, i64 %i",
            f"  store {ty} %mine{k}, ptr %to{k}",
        ]
    registers = ("tid", "ctaid", "ntid", "nctaid")
    kinds = ["ptr", *[argument.split()[0] for argument in slots.arguments]]
    words = f"[{max(1, slots.words)} x i64]"
    parameters = (
        f"ptr byval({words}) align 8 %slots, ptr %values, ptr %tangents, ptr %raised, "
        "ptr %scratch, i64 %scratch_bytes"
    )
    return "\n".join(
        [
            "",
            *[f"declare i32 @llvm.nvvm.read.ptx.sreg.{r}.x()" for r in registers],
            f"declare void @{OPEN}(ptr, ptr, ptr)",
            f"declare void @derivative({', '.join(kinds)})",
            f"define ptx_kernel void @{KERNEL}({parameters}) {{",
            "entry:",
            "  %status = alloca i32",
            *slots.lines,
            *before,
            *[f"  %{r}32 = call i32 @llvm.nvvm.read.ptx.sreg.{r}.x()" for r in registers],
            *[f"  %{r} = zext i32 %{r}32 to i64" for r in registers],
            "  %begin = mul nuw nsw i64 %ctaid, %ntid",
            "  %first = add nuw nsw i64 %begin, %tid",
            "  %stride = mul nuw nsw i64 %nctaid, %ntid",
            "  %before_mine = mul i64 %first, %scratch_bytes",
            "  %mine = getelementptr i8, ptr %scratch, i64 %before_mine",
            "  %end = getelementptr i8, ptr %mine, i64 %scratch_bytes",
            "  br label %next",
            "next:",
            "  %i = phi i64 [ %first, %entry ], [ %following, %ended ]",
            "  %more = icmp slt i64 %i, %a0.0",
            "  br i1 %more, label %run, label %done",
            "run:",
            f"  call void @{OPEN}(ptr %mine, ptr %end, ptr %raised)",
            *each,
            *is_fine(),
            "  br i1 %fine, label %ended, label %failed",
            "failed:",
            "  %number = add nuw nsw i64 %i, 1",
            "  %was = cmpxchg ptr %raised, i64 0, i64 %number monotonic monotonic",
            "  br label %ended",
            "ended:",
            *keep,
            "  %following = add nuw nsw i64 %i, %stride",
            "  br label %next",
            "done:",
            "  ret void",
            "}",
            "",
        ]
    )


def _refuse_what_is_missing(module: llvm.ModuleRef, differentiated: Differentiated) -> None:
    for function in module.functions:
        name = function.name
        if function.is_declaration and not name.startswith("llvm."):
            own = differentiated.prepared.lowered.name
            raise NoDerivativeError(
                f"The kernel `{own}` calls `{name}`, which a GPU does not have. Compute what it is "
                f"for before the launch, and pass it as an array.",
                stage="compile",
                function=own,
                symbol=name,
            )
