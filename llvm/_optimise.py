"""Fourth stage: LLVM's O3 with both vectorisers, for the processor at hand."""

from __future__ import annotations

import re
from dataclasses import dataclass

import llvmlite.binding as llvm

from ._differentiate import ENTRY, ERROR_COUNTER, Differentiated
from ._prepare import private
from ._target_machine import run_passes, target_machine


@dataclass(frozen=True)
class Optimised:
    """The module as it will be run."""

    differentiated: Differentiated
    ir: str


def optimise(differentiated: Differentiated) -> Optimised:
    """Optimise for this processor. Enzyme's own clean-up does not vectorise."""
    module = llvm.parse_assembly(_align_allocations(_contract_vectors(differentiated.ir)))
    for late in (ERROR_COUNTER, differentiated.prepared.bodies):
        if late:
            module.link_in(llvm.parse_assembly(late))
    module = llvm.parse_assembly(private(str(module), keep=(ENTRY,)))
    machine = target_machine()
    module.triple = llvm.get_process_triple()
    module.data_layout = str(machine.target_data)
    module.verify()
    run_passes(module, machine, speed_level=3, vectorise=True)
    return Optimised(differentiated, str(module))


_VECTOR_OPERATION = re.compile(r"= (fadd|fsub|fmul) (?=<\d+ x )")


def _contract_vectors(ir: str) -> str:
    """Let a product and a sum of vectors be one fused operation, in derivatives as in primals.

    Vectors at this stage come only from code that asked for them, and for contraction. Enzyme does not
    carry the flag over to the derivative, which then takes twice the operations. Scalar code keeps
    its rounding.
    """
    return _VECTOR_OPERATION.sub(r"= \1 contract ", ir)


_MALLOC = re.compile(r"(call [^\n]*)@malloc\(")
_ALIGNED = """
declare noalias ptr @aligned_alloc(i64 allocalign, i64)
define internal noalias ptr @allocate(i64 %size) alwaysinline {
  %more = add i64 %size, 63
  %rounded = and i64 %more, -64
  %pointer = call ptr @aligned_alloc(i64 64, i64 %rounded)
  ret ptr %pointer
}
"""


def _align_allocations(ir: str) -> str:
    """Temporaries and Enzyme's tapes begin on a cache line.

    malloc aligns to 16 bytes, so that every second vector of a tape would lie across two lines.
    """
    return _MALLOC.sub(r"\1@allocate(", ir) + _ALIGNED
