"""Fourth stage: LLVM's O3 with both vectorisers, or other passes, for the processor at hand."""

from __future__ import annotations

from dataclasses import dataclass

import llvmlite.binding as llvm

from ._arena import with_arena
from ._differentiate import ERROR_COUNTER, Differentiated
from ._entry import ENTRY
from ._lower import private
from ._memory_types import without_types
from ._prepare import with_bodies
from ._request import Mode
from ._rounding import contracted, loosened
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
    text = contracted(differentiated.ir)
    if differentiated.request.mode is not Mode.PRIMAL:
        text = loosened(text)
    text = without_types(with_bodies(text, differentiated.prepared.unseen))
    module = llvm.parse_assembly(text)
    module.link_in(llvm.parse_assembly(ERROR_COUNTER))
    module = llvm.parse_assembly(private(with_arena(str(module)), keep=(ENTRY,)))
    module = run_pipeline(module, target_machine(), passes, vectorise=True)
    return Optimised(differentiated, str(module))
