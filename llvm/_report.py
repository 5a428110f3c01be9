"""The cost of a derivative, stage by stage, and what it keeps: `Gradient.report()`."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm

from ._compile import assemble
from ._errors import AutodiffError
from ._line_info import lowered_anew
from ._options import DEFAULT, Options
from ._report_arguments import Activity, activity, parameter_names
from ._report_ir import KINDS, Counts, Module, count, shortened
from ._report_kept import Kept, Remark, kept_values, merged, remarks_of
from ._report_sizes import UNKNOWN
from ._request import Mode, Question
from ._stages import Stages, derive, run_stages
from ._target_machine import target_machine

# As --enzyme-print-perf, and each remark with the line that it is about.
_REMARKS = ("--pass-remarks=enzyme",)


@dataclass(frozen=True)
class StageCost:
    """What one stage took, and the size of what came out of it.

    Attributes
    ----------
    name : str
    seconds : float
        With all of Numba that the function needs compiled before.
    bytes : int
        Of IR text, or of machine code. From "optimised" on, some 30 kB of text and 4 kB of code are
        for the memory that a call allocates.
    instructions, functions : int
        Without these; zero for machine code.
    """

    name: str
    seconds: float
    bytes: int
    instructions: int = 0
    functions: int = 0


@dataclass(frozen=True)
class Report:
    """What the compilation of one derivative costs and gives. `print` it.

    Attributes
    ----------
    function, mode : str
    options : Options
    flags : tuple of str
        All that Enzyme was given.
    stages : tuple of StageCost
    enzyme_seconds : float
        Enzyme itself, as a program of its own: part of "differentiated".
    activity : tuple of Activity
    kept : tuple of Kept
        Memory that lives from the forward pass to the reverse pass.
    primal, gradient : Counts
        Instructions of the function alone and of its derivative, both optimised.
    remarks : tuple of Remark
        All that Enzyme said of its work.
    notes : tuple of str
        What may make the above inexact.
    """

    function: str
    mode: str
    options: Options
    flags: tuple[str, ...]
    stages: tuple[StageCost, ...]
    enzyme_seconds: float
    activity: tuple[Activity, ...]
    kept: tuple[Kept, ...]
    primal: Counts
    gradient: Counts
    remarks: tuple[Remark, ...] = field(repr=False)
    notes: tuple[str, ...]
    texts: tuple[tuple[str, str], ...] = field(repr=False)

    @property
    def bytes_kept(self) -> int | None:
        """Bytes of all that is kept, if every call keeps as many."""
        total = 0
        for item in self.kept:
            if item.bytes is None:
                return None
            total += item.bytes
        return total

    def __str__(self) -> str:
        return "\n".join(_lines(self))

    def save(self, folder: str | Path) -> tuple[Path, ...]:
        """Write the report, Enzyme's remarks and the IR of each stage, with readable names.

        Parameters
        ----------
        folder : str or Path
            Made if it is not there.

        Returns
        -------
        tuple of Path
            The files.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        remarks = "".join(f"{r.place or '?'}: {r.text}\n" for r in self.remarks)
        files = [("report.txt", f"{self}\n"), ("remarks.txt", remarks)]
        for k, (stage, text) in enumerate(self.texts, 1):
            files.append((f"{k}-{stage}.{'s' if stage == 'compiled' else 'll'}", text))
        for name, text in files:
            (folder / name).write_text(text, encoding="utf-8")
        return tuple(folder / name for name, _ in files)


def report(function: Any, question: Question | None) -> Report:
    """Compile once more, without any cache, and report on it.

    Parameters
    ----------
    function : njit function
    question : Question or None
        None if the gradient has not been called yet.

    Raises
    ------
    ValueError
        There is no question.
    AutodiffError
        The function cannot be differentiated.
    """
    if question is None:
        raise ValueError(
            "`report()` is about what was compiled for the last call. Got a function that has not "
            "been called yet. Call it once."
        )
    alone = replace(question.options, enzyme_flags=(), passes_before="")
    primal = run_stages(
        function,
        Question(
            Mode.PRIMAL,
            question.argument_types,
            (False,) * len(question.argument_types),
            options=alone,
        ),
    )
    with lowered_anew(lines=False) as functions:
        stages = run_stages(function, question)
    started = time.perf_counter()
    code = assemble(stages.optimised)
    seconds = time.perf_counter() - started
    modules = {name: Module(getattr(stages, name).ir) for name in _STAGES}
    costs = [
        StageCost(
            name,
            took,
            len(m.ir.encode()),
            len(m.instructions),
            len(m.functions),
        )
        for (name, m), took in zip(modules.items(), stages.seconds, strict=True)
    ]
    kept, remarks, notes = _kept(function, question, stages, modules["differentiated"], functions)
    machine = target_machine()
    assembly = machine.emit_assembly(llvm.parse_assembly(stages.optimised.ir))
    texts = [(name, shortened(m.ir)) for name, m in modules.items()]
    request = stages.differentiated.request
    return Report(
        function=function.py_func.__qualname__,
        mode=question.mode.value,
        options=question.options,
        flags=() if question.mode is Mode.PRIMAL else request.flags,
        stages=(*costs, StageCost("compiled", seconds, len(code.code))),
        enzyme_seconds=stages.differentiated.seconds,
        activity=tuple(activity(function, question, stages)),
        kept=kept,
        primal=count(Module(primal.optimised.ir)),
        gradient=count(modules["optimised"]),
        remarks=remarks,
        notes=notes,
        texts=(*texts, ("compiled", assembly)),
    )


_STAGES = ("lowered", "prepared", "differentiated", "optimised")


def _kept(
    function: Any, question: Question, stages: Stages, plain: Module, functions: Sequence[Any]
) -> tuple[tuple[Kept, ...], tuple[Remark, ...], tuple[str, ...]]:
    """What is kept, read off a second compilation that knows the source lines."""
    if question.mode is Mode.PRIMAL:
        return (), (), ()
    variables = {name for f in functions for name in f.py_func.__code__.co_varnames}
    request = stages.differentiated.request
    names = parameter_names(function, question, stages.prepared, request)
    try:
        with lowered_anew(lines=True):
            second, _ = derive(function, question, _REMARKS)
    except AutodiffError as error:  # what differs is the lines: the function itself went through
        said = f"source lines unknown: with them, it does not compile ({error})"
        return merged(kept_values(plain, (), names, variables)), (), (said,)
    remarks = remarks_of(second.said)
    kept = kept_values(Module(second.ir), remarks, names, variables)
    without = kept_values(plain, (), names, variables)
    if _sizes(kept) == _sizes(without):
        return merged(kept), remarks, ()
    said = "without source lines Enzyme keeps something else: " + "; ".join(_sizes(without))
    return merged(kept), remarks, (said,)


def _sizes(kept: Iterable[Kept]) -> list[str]:
    return sorted(f"{item.size} bytes" for item in kept)


def _lines(r: Report) -> Iterator[str]:
    yield f"`{r.function}`, {r.mode} mode"
    if r.options != DEFAULT:
        yield f"{r.options}"
    yield ""
    yield f"{'Stage':16}{'ms':>9}{'kB':>9}{'instructions':>14}{'functions':>11}"
    for stage in r.stages:
        counts = f"{stage.instructions:14}{stage.functions:11}" if stage.instructions else ""
        enzyme = f"   Enzyme: {1e3 * r.enzyme_seconds:.1f} ms"
        more = enzyme if stage.name == "differentiated" and r.enzyme_seconds else ""
        size = f"{1e3 * stage.seconds:9.1f}{stage.bytes / 1e3:9.1f}"
        yield f"{stage.name:16}{size}{counts}{more}"
    yield ""
    yield from _table(
        ("Argument", "type", "activity"), [(a.name, a.type, str(a)) for a in r.activity]
    )
    yield ""
    yield "Kept for the reverse pass" if "reverse" in r.mode else "Memory that it allocates"
    yield from (f"  {item}" for item in r.kept)
    if not r.kept:
        yield "  nothing"
    if any(UNKNOWN in str(item.size) for item in r.kept):
        yield f"  ({UNKNOWN} is known at run time only)"
    yield from (f"  note: {note}" for note in r.notes)
    yield ""
    yield f"{'Instructions':16}{'primal':>9}{'gradient':>10}"
    for kind in KINDS:
        words = kind.replace("_", " ")
        yield f"{words:16}{getattr(r.primal, kind):9}{getattr(r.gradient, kind):10}"
    yield f"{'all':16}{r.primal.total:9}{r.gradient.total:10}"
    yield f"{'on vectors':16}{r.primal.vector_share:9.0%}{r.gradient.vector_share:10.0%}"
    if r.flags:
        yield ""
        yield f"Flags: {' '.join(r.flags)}"


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[k]) for row in (titles, *rows)) for k in range(len(titles))]
    for row in (titles, *rows):
        cells = (cell.ljust(width + 2) for cell, width in zip(row, widths, strict=True))
        yield "".join(cells).rstrip()
