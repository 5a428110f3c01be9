"""Fourth stage: LLVM's O3 with both vectorisers, or other passes, for the processor at hand."""

from __future__ import annotations

from dataclasses import dataclass

from ._arena import with_arena
from ._differentiate import ERROR_COUNTER, Differentiated
from ._entry import ENTRY
from ._loop_fission import with_sums_apart
from ._lower import linked_texts, make_private
from ._memory_types import without_types
from ._prepare import bodies
from ._request import Mode
from ._rounding import contracted, loosened
from ._target_machine import remove_unused, run_pipeline, target_machine


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
        text = with_sums_apart(loosened(text))
    texts = bodies([text, *differentiated.prepared.unseen])
    module = linked_texts(with_arena([*map(without_types, texts), ERROR_COUNTER]))
    make_private(module, keep=(ENTRY,))
    remove_unused(module)
    module = run_pipeline(module, target_machine(), passes, vectorise=True)
    return Optimised(differentiated, str(module))
