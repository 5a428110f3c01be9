"""Fourth stage: LLVM's O3 with both vectorisers, or other passes, for the processor at hand."""

from __future__ import annotations

import re
from dataclasses import dataclass

import llvmlite.binding as llvm

from ._arena import with_arena
from ._differentiate import ENTRY, ERROR_COUNTER, Differentiated
from ._lower import private
from ._prepare import with_bodies
from ._target_machine import run_pipeline, target_machine


@dataclass(frozen=True)
class Optimised:
    """The module as it will be run."""

    differentiated: Differentiated
    ir: str


def optimise(differentiated: Differentiated, passes: str = "O3") -> Optimised:
    """Optimise for this processor. Enzyme's own clean-up does not vectorise.

    Parameters
    ----------
    differentiated : Differentiated
    passes : str
        `Options.passes_after`.
    """
    text = with_bodies(_contract_vectors(differentiated.ir), differentiated.prepared.unseen)
    module = llvm.parse_assembly(text)
    module.link_in(llvm.parse_assembly(ERROR_COUNTER))
    module = llvm.parse_assembly(private(with_arena(str(module)), keep=(ENTRY,)))
    module = run_pipeline(module, target_machine(), passes, vectorise=True)
    return Optimised(differentiated, str(module))


_VECTOR_OPERATION = re.compile(r"= (fadd|fsub|fmul) (?=<\d+ x )")


def _contract_vectors(ir: str) -> str:
    """Let a product and a sum of vectors be one fused operation, in derivatives as in primals.

    Vectors at this stage come only from code that asked for them, and for contraction. Enzyme does
    not carry the flag over to the derivative, which then takes twice the operations. Scalar code
    keeps its rounding.
    """
    return _VECTOR_OPERATION.sub(r"= \1 contract ", ir)
