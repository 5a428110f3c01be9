"""The processor that code is compiled for, and LLVM's default pipelines."""

from __future__ import annotations

import llvmlite.binding as llvm

llvm.initialize_native_target()
llvm.initialize_native_asmprinter()


def target_machine() -> llvm.TargetMachine:
    """The processor that this process runs on, with all that it has."""
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=3,
        reloc="pic",
        codemodel="jitdefault",
        jit=True,
    )


def target_description() -> str:
    """What machine code depends on, for cache keys."""
    features = llvm.get_host_cpu_features().flatten()
    return f"{llvm.get_process_triple()} {llvm.get_host_cpu_name()} {features}"


def run_passes(
    module: llvm.ModuleRef, machine: llvm.TargetMachine, *, speed_level: int, vectorise: bool
) -> None:
    """LLVM's default pipeline at a level, in place."""
    options = llvm.create_pipeline_tuning_options(speed_level=speed_level)
    options.loop_vectorization = vectorise
    options.slp_vectorization = vectorise
    options.loop_interleaving = vectorise
    options.loop_unrolling = vectorise
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
