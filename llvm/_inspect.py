"""The text of any stage of a compilation."""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm

from ._request import Question
from ._stages import run_stages
from ._target_machine import target_machine

STAGES = ("lowered", "prepared", "differentiated", "optimised", "compiled")


def stage_text(function: Any, question: Question | None, stage: str) -> str:
    """LLVM IR after a stage, or assembly for "compiled". The stages are run again to get it."""
    if stage not in STAGES:
        raise ValueError(
            f"`inspect_llvm(stage)` knows the stages {', '.join(STAGES)}. Got {stage!r}."
        )
    if question is None:
        raise ValueError(
            "`inspect_llvm(stage)` shows what was compiled for the last call. Got a function that "
            "has not been called yet. Call it once."
        )
    stages = run_stages(function, question)
    if stage == "compiled":
        return target_machine().emit_assembly(llvm.parse_assembly(stages.optimised.ir))
    return getattr(stages, stage).ir
