"""The processor that code is compiled for, and LLVM's default pipelines."""

from __future__ import annotations

from pathlib import Path

import llvmlite.binding as llvm

from ._errors import EnzymeNotFoundError, ToolchainError
from ._options import level_of
from ._process import run_tool
from ._toolfiles import find_opt

llvm.initialize_native_target()
llvm.initialize_native_asmprinter()


def target_machine() -> llvm.TargetMachine:
    """The processor that this process runs on, with all that it has."""
    target = llvm.Target.from_default_triple()
    return target.create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=3,
        # On x86 LLVM's loader gives a second object file with a table of addresses wrong ones.
        reloc="static" if target.name.startswith("x86") else "pic",
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


def remove_unused(module: llvm.ModuleRef) -> None:
    """Remove what nothing visible from outside leads to, so that no pass looks at it."""
    passes = llvm.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    passes.add_strip_dead_prototype_pass()
    passes.run(
        module, llvm.create_pass_builder(target_machine(), llvm.create_pipeline_tuning_options())
    )


def run_pipeline(
    module: llvm.ModuleRef, machine: llvm.TargetMachine, passes: str, *, vectorise: bool
) -> llvm.ModuleRef:
    """Run a level or a pipeline, as `Options` has them, for this processor.

    Parameters
    ----------
    module : ModuleRef
        May be changed in place.
    machine : TargetMachine
    passes : str
    vectorise : bool
        Whether levels 2 and 3 vectorise. A pipeline does what it says.

    Raises
    ------
    ToolchainError
        Not a pipeline, or one that fails; or there is no `opt` of llvmlite's LLVM, which pipelines
        need: llvmlite itself runs levels only.
    """
    module.triple = llvm.get_process_triple()
    module.data_layout = str(machine.target_data)
    module.verify()
    level = level_of(passes)
    if level is not None:
        run_passes(module, machine, speed_level=level, vectorise=vectorise and level >= 2)
        return module
    if not passes:
        return module
    processor = llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
    text = run_tool(
        [
            _opt(passes)[0],
            f"-passes={passes}",
            f"-mcpu={processor[0]}",
            f"-mattr={processor[1]}",
            *("-S", "-", "-o", "-"),
        ],
        what=f"opt with the passes {passes!r}",
        timeout=300,
        stdin=str(module),
    )
    return llvm.parse_assembly(text)


def passed(text: str, passes: str) -> str:
    """IR text after a level or a pipeline, as scalar code: for what Enzyme sees, or has made."""
    module = llvm.parse_assembly(text)
    return str(run_pipeline(module, target_machine(), passes, vectorise=False))


def tool_for(passes: str) -> str:
    """What runs a level or a pipeline besides llvmlite, for cache keys."""
    if not passes or level_of(passes) is not None:
        return ""
    return f"opt {_opt(passes)[1]}"


def _opt(passes: str) -> tuple[Path, str]:
    major = llvm.llvm_version_info[0]
    try:
        return find_opt(major)
    except EnzymeNotFoundError as error:
        raise ToolchainError(
            f"The passes {passes!r} need `opt` of LLVM {major} (`apt-get install llvm-{major}`, "
            f"`brew install llvm@{major}`, or ENZYME_OPT=path). Got none. A level, such as 'O1', "
            f"needs none."
        ) from error
