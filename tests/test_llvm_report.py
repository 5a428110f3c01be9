"""The report: what is kept and why, who varies, what each stage costs, and the IR to file."""

import ctypes
import inspect
import math
import re
from collections import namedtuple
from dataclasses import replace

import llvmlite.binding as binding
import numba
import numpy as np
import pytest
from numba import typeof, types

import llvm._target
from enzyme_rules import LinearRule, register, unregister
from llvm import AutodiffError, grad, jvp
from llvm.__main__ import main
from llvm._arena_runtime import provide_arena
from llvm._call import call
from llvm._compile import assemble, load
from llvm._line_info import lowered_anew
from llvm._lower import lower
from llvm._options import Options
from llvm._program import find_program
from llvm._report import report
from llvm._request import DEFAULT_FLAGS, Mode, Question
from llvm._shadows import with_copies
from llvm._stages import run_stages


@numba.njit
def logistic(x, rate, n):
    for _ in range(n):
        x = rate * x * (1.0 - x)  # carried
    return x


@numba.njit
def overwrites(x, y):
    for i in range(x.size):
        y[i] = np.exp(x[i])  # read
        x[i] = y[i] * x[i]  # written
    total = 0.0
    for i in range(x.size):
        total += x[i] * y[i]
    return total


@numba.njit
def reads(x, y):
    total = 0.0
    for i in range(x.size):
        total += x[i] ** 2 * y[i]
    return total


@numba.njit
def newton(x, tolerance):
    y = x
    while abs(y * y - x) > tolerance:
        y = 0.5 * (y + x / y)  # iteration
    return y


@numba.njit
def inner_loops(x, n):
    total = 0.0
    for i in range(n):
        y = x[i]
        while y > 1.0:
            y = np.sqrt(y) * np.sin(y)
        total += y * y
    return total


@numba.njit
def makes_arrays(x, n):
    made = np.zeros(2 * x.size)  # made
    for i in range(x.size):
        made[i] = np.sin(x[i])
        made[i + x.size] = x[i] * n
    total = 0.0
    for i in range(made.size):
        total += made[i] * made[i]
    return total


@numba.njit
def once_more(x):
    return x * x  # callee


@numba.njit
def calls(x, n):
    made = x.copy()
    for _ in range(n):
        for i in range(x.size):
            made[i] = once_more(made[i])
    return made[0] + made[-1]


X = np.array([0.3, 1.7, 0.2])


def question(*arguments, varying=None, mode=Mode.REVERSE, **options):
    argument_types = tuple(map(typeof, arguments))
    if varying is None:
        varying = tuple(not isinstance(a, int) for a in arguments)
    return Question(mode, argument_types, varying, options=Options(**options))


def reported(function, *arguments, **choices):
    return report(function, question(*arguments, **choices))


def line_of(function, comment):
    lines, first = inspect.getsourcelines(function.py_func)
    return next(first + i for i, line in enumerate(lines) if line.rstrip().endswith(f"# {comment}"))


def of_kind(found, kind):
    return [item for item in found.kept if item.kind == kind]


# What is kept


def test_a_number_carried_through_a_loop():
    (kept,) = reported(logistic, 0.3, 3.2, 10).kept
    assert (kept.kind, kept.what, str(kept.size), kept.per) == ("tape", "`x`", "8 × n", "")
    assert kept.size.at({"n": 1000}) == 8000
    assert kept.bytes is None  # not the same in each call
    assert kept.why == "each iteration replaces it"
    assert kept.source is not None
    assert kept.source.file == __file__
    assert kept.source.function == "logistic"
    assert kept.source.line in (line_of(logistic, "carried") - 1, line_of(logistic, "carried"))
    assert str(kept).startswith("tape: `x`, test_llvm_report.py:")
    assert str(kept).endswith(" in logistic: 8 × n bytes; each iteration replaces it")


def test_what_is_overwritten():
    (kept,) = reported(overwrites, X, X.copy(), varying=(True, False)).kept
    assert (kept.what, str(kept.size)) == ("an element of `x`", "8 × x.shape[0]")
    assert kept.source is not None
    assert kept.source.line == line_of(overwrites, "read")
    written = line_of(overwrites, "written")
    assert kept.why == f"it is overwritten at test_llvm_report.py:{written} in overwrites"


def test_what_is_only_read_is_not_kept():
    found = reported(reads, X, X.copy())
    assert found.kept == ()
    assert found.bytes_kept == 0
    assert "Kept for the reverse pass\n  nothing\n" in str(found)
    assert found.gradient.allocations == 0


@numba.njit
def ravelled(x):
    total = 0.0
    for v in x.ravel():
        total += v * v * v
    return total


@numba.njit
def reshaped(x):
    total, y = 0.0, x.reshape((2, -1))
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            total += y[i, j] ** 3
    return total


@numba.njit
def columns_reshaped(x):
    y = x.T.reshape((3, 2, 2))
    return y[0, 0, 1] ** 3 * y[1, 1, 0] ** 2 + y[2, 1, 1] ** 3


@pytest.mark.parametrize(
    "function", [ravelled, reshaped, columns_reshaped], ids=lambda f: f.__name__
)
def test_what_is_reshaped_and_only_read_is_not_kept(function):
    x = np.linspace(0.3, 2.5, 12).reshape(4, 3)
    assert reported(function, x).kept == ()
    tangent = np.cos(x)
    exact = jvp(function, (x,), (tangent,))[1]
    np.testing.assert_allclose((grad(function)(x) * tangent).sum(), exact, rtol=1e-14)


@numba.njit
def of_shape(x, n, m):
    return (x.reshape((n, m)) ** 2).sum()


def test_shapes_that_fit_and_that_do_not():
    for shape, n, m in (((2, 3), 3, 2), ((6,), -1, 1), ((1, 6), 6, 1), ((0, 3), 3, 0)):
        x = np.linspace(1.0, 2.0, int(np.prod(shape))).reshape(shape)
        np.testing.assert_array_equal(grad(of_shape)(x, n, m), 2.0 * x)
    for x in (np.ones((2, 3)), np.asfortranarray(np.ones((2, 3)))):
        with pytest.raises(ValueError, match="total size of new array"):
            grad(of_shape)(x, 4, 2)


def test_without_noalias_it_is():
    """For all that Enzyme knows, the number that is returned may lie in the array."""
    found = reported(reads, X, X.copy(), noalias=False)
    assert {item.kind for item in found.kept} == {"tape"}
    sizes = {"x.shape[0]": 5, "y.shape[0]": 5}
    assert sum(item.size.at(sizes) or 0 for item in found.kept) >= 5 * 8
    assert "noalias=False" in str(found)


def test_a_loop_whose_end_is_not_known():
    (kept,) = reported(newton, 2.0, 1e-9, varying=(True, False)).kept
    assert (kept.kind, kept.what, str(kept.size)) == ("tape", "`y`", "8")
    line = line_of(newton, "iteration")
    around = re.fullmatch(r"iteration of the loop around .*:(\d+) in newton", kept.per)
    assert around
    assert int(around[1]) in (line - 1, line)
    assert kept.bytes is None
    assert reported(newton, 2.0, 1e-9, varying=(True, False)).bytes_kept is None


def test_loops_in_loops():
    kept = reported(inner_loops, 4.0 * X, 3).kept
    assert [item.kind for item in kept] == ["tape", "tape", "pointers", "trip count"]
    last, inner, pointers, counts = kept
    assert (last.what, str(last.size), last.per) == ("`y`", "8 × n", "")
    assert (inner.what, str(inner.size)) == ("`y`", "8")
    assert inner.per.startswith("iteration of the loop around")
    assert pointers.what == "where `y` is"
    assert (str(pointers.size), str(counts.size)) == ("8 × n", "8 × n")


def test_arrays_that_the_function_makes():
    found = reported(makes_arrays, X, 3)
    (made,), (shadow,) = of_kind(found, "temporary"), of_kind(found, "shadow")
    assert str(made.size) == str(shadow.size) == "16 × x.shape[0]"
    for item in (made, shadow):
        assert item.source is not None
        assert item.source.line == line_of(makes_arrays, "made")


def test_lines_of_callees():
    found = reported(calls, X, 2)
    assert "8 × n × x.shape[0]" in [str(item.size) for item in of_kind(found, "tape")]
    assert {item.source.function for item in found.kept if item.source} <= {"calls", "once_more"}


SIZED = {
    logistic: (0.3, 3.2, 7),
    overwrites: (X, X.copy()),
    reads: (X, X.copy()),
    makes_arrays: (X, 3),
    calls: (X, 2),
}


@pytest.mark.parametrize("noalias", [True, False])
@pytest.mark.parametrize("function", SIZED, ids=lambda f: f.py_func.__name__)
def test_sizes_are_what_is_allocated(function, noalias):
    """Every byte: the sizes that a call asks for, in code that counts them."""
    arguments = SIZED[function]
    asked = question(*arguments, noalias=noalias)
    values = {"n": arguments[-1] if isinstance(arguments[-1], int) else 0}
    values |= {"x.shape[0]": 3, "y.shape[0]": 3}
    sizes = [item.size.at(values) for item in report(function, asked).kept if not item.per]
    counted = []

    def counting(name, parameters):
        kind = ctypes.CFUNCTYPE(ctypes.c_void_p, *[ctypes.c_size_t] * parameters)
        allocated = kind(binding.address_of_symbol(name))

        def count(*sizes):
            counted.append(math.prod(sizes))
            return allocated(*sizes)

        made = kind(count)
        binding.add_symbol(f"{name}_counted", ctypes.cast(made, ctypes.c_void_p).value)
        return made

    provide_arena()
    alive = [counting("arena_allocate", 1), counting("arena_zeros", 2)]
    optimised = run_stages(function, asked).optimised
    text = re.sub(r"@(arena_(?:allocate|zeros))\b", r"@\1_counted", optimised.ir)
    loaded = load(assemble(replace(optimised, ir=text)), function="test")
    program = replace(find_program(function, asked), loaded=loaded)
    shadows = [None] * len(program.frame.items)
    call(
        program, function, with_copies(program, function, arguments), shadows, hidden=program.hidden
    )
    assert alive
    assert sum(counted) == sum(size or 0 for size in sizes)
    assert len(counted) >= len(sizes) > (0 if function is not reads or not noalias else -1)


# Who varies

Weights = namedtuple("Weights", "w pairs")


@numba.njit
def layered(weights, x, out, n):
    out[0] = 0.0
    for i in range(x.size):
        out[0] += weights.w[i] * x[i] + weights.pairs[1] * n
    return out[0]


def test_activity():
    arguments = Weights(X, (1, 2.0)), X, np.zeros(1), 3
    found = reported(layered, *arguments, varying=(True, False, False, False))
    assert [(a.name, a.type, str(a)) for a in found.activity] == [
        ("weights.w", "array(float64, 1d, C)", "varies"),
        ("weights.pairs[0]", "int64", "constant"),
        ("weights.pairs[1]", "float64", "varies"),
        ("x", "array(float64, 1d, C)", "constant"),
        ("out", "array(float64, 1d, C)", "constant, written, hidden shadow"),
        ("n", "int64", "constant"),
    ]
    found = reported(overwrites, X, X.copy())
    assert [str(a) for a in found.activity] == ["varies, written", "varies, written"]


def test_activity_of_the_rest():
    @numba.njit
    def summed(x, *rest):
        return x[0] * rest[0] * rest[1][0]

    found = reported(summed, X, 2.0, X, varying=(False, True, False))
    assert [(a.name, str(a)) for a in found.activity] == [
        ("x", "constant"),
        ("rest[0]", "varies"),
        ("rest[1]", "constant"),
    ]


# What it costs


def test_stages():
    found = reported(overwrites, X, X.copy())
    names = ["lowered", "prepared", "differentiated", "optimised", "compiled"]
    assert [stage.name for stage in found.stages] == names
    assert all(stage.seconds > 0 and stage.bytes > 1000 for stage in found.stages)
    assert 0 < found.enzyme_seconds < found.stages[2].seconds
    stages = run_stages(overwrites, question(X, X.copy()))
    for stage, name in zip(found.stages[:2], names[:2], strict=True):
        text = getattr(stages, name).ir
        assert stage.functions == len(re.findall(r"^define ", text, re.M))
        module = binding.parse_assembly(text)
        blocks = [block for f in module.functions for block in f.blocks]
        assert stage.instructions == sum(len(list(block.instructions)) for block in blocks)


def test_instructions_of_primal_and_gradient():
    found = reported(logistic, 0.3, 3.2, 10)
    assert (found.primal.allocations, found.gradient.allocations) == (0, 1)
    assert found.gradient.floating_point > found.primal.floating_point > 0
    assert reported(reads, X, X.copy(), passes_after="O1").gradient.vector_share == 0


def test_flags_are_named():
    found = reported(logistic, 0.3, 3.2, 10, enzyme_flags=("--enzyme-max-cache=1",))
    assert found.flags == (*DEFAULT_FLAGS, "--enzyme-max-cache=1")
    assert str(found).endswith(f"Flags: {' '.join(found.flags)}")


def test_flags_change_what_is_kept():
    """Without its minimal cut, Enzyme keeps each operand instead of what they are made of."""
    plain = reported(logistic, 0.3, 3.2, 10)
    more = reported(logistic, 0.3, 3.2, 10, enzyme_flags=("--enzyme-mincut-cache=0",))
    kept = [sum(item.size.at({"n": 1}) or 0 for item in r.kept) for r in (plain, more)]
    assert kept == [8, 24]


# What Enzyme says


def test_remarks():
    found = reported(overwrites, X, X.copy())
    line = line_of(overwrites, "read")
    places = {remark.place for remark in found.remarks if "Caching instruction" in remark.text}
    assert f"test_llvm_report.py:{line}" in places


def canonical(ir):
    """Without lines, numbers of metadata, and what numbers Numba gives to functions."""
    ir = re.sub(r",? !dbg !\d+", "", ir)
    ir = re.sub(r"^!.*\n", "", ir, flags=re.M)
    ir = re.sub(r" !\d+", " !", ir)
    ir = re.sub(r"__numba_array_expr_0x[0-9a-f]+", "__numba_array_expr", ir)
    ir = re.sub(r"\n+", "\n", ir)
    return re.sub(r"(_ZN\w*?)B\d*v\d+", r"\1", ir)


@numba.njit
def expression(x, n):
    return np.tanh(x * n + 1.0).sum() + calls(x, n)


@pytest.mark.parametrize("function", [calls, inner_loops, expression], ids=lambda f: f.__name__)
def test_lines_change_nothing_else(function):
    argument_types = typeof(X), types.int64
    lower(function, argument_types)  # Numba's own functions, which have no lines
    found = {}
    for lines in (False, True):
        with lowered_anew(lines=lines):
            found[lines] = lower(function, argument_types).ir
    assert found[True].count("!dbg") > 10
    assert "!dbg" not in found[False]
    assert canonical(found[True]) == canonical(found[False])


def test_lowering_is_as_before_afterwards():
    asked = question(X, 3)
    before = run_stages(calls, asked).lowered.ir
    tables = dict(llvm._target._tables)
    report(calls, asked)
    assert llvm._target._tables == tables
    assert run_stages(calls, asked).lowered.ir == before
    with pytest.raises(KeyError), lowered_anew(lines=True):
        raise KeyError
    assert llvm._target._tables == tables
    context = llvm._target.EnzymeDispatcher.targetdescr.target_context
    assert not context.enable_debuginfo
    assert run_stages(calls, asked).lowered.ir == before


# Other modes, rules, refusals


def test_forward_mode_keeps_nothing():
    found = reported(logistic, 0.3, 3.2, 10, mode=Mode.FORWARD)
    assert found.mode == "forward"
    assert found.kept == ()
    assert "Memory that it allocates\n  nothing\n" in str(found)
    assert found.enzyme_seconds > 0


def test_forward_over_reverse():
    found = reported(logistic, 0.3, 3.2, 10, mode=Mode.FORWARD_OVER_REVERSE)
    assert {item.kind for item in found.kept} == {"tape"}
    assert found.gradient.allocations >= 2


def test_the_function_itself():
    found = reported(logistic, 0.3, 3.2, 10, varying=(False,) * 3, mode=Mode.PRIMAL)
    assert found.gradient == found.primal
    assert (found.kept, found.flags, found.enzyme_seconds) == ((), (), 0.0)


def test_a_function_with_a_rule():
    @numba.njit
    def delay_into(y, x):
        y[0] = 0.0
        y[1:] = x[:-1]

    @numba.njit
    def delay_adjoint(dy, dx):
        for i in range(dx.size - 1):
            dx[i] += dy[i + 1]

    @numba.njit
    def delayed(x, y):
        delay_into(y, x)
        return (y * x).sum()

    rule = LinearRule(delay_into, adjoint=delay_adjoint)
    register(rule)
    try:
        found = reported(delayed, X, X.copy(), varying=(True, False))
    finally:
        unregister(rule)
    assert [str(a) for a in found.activity] == ["varies", "constant, written, hidden shadow"]
    assert found.notes == ()


def test_before_the_first_call():
    with pytest.raises(ValueError, match="has not been called yet"):
        report(logistic, None)


def test_what_cannot_be_differentiated():
    library = ctypes.CDLL(None)
    library.cosh.restype, library.cosh.argtypes = ctypes.c_double, [ctypes.c_double]
    cosh = library.cosh

    @numba.njit
    def calls_c(x):
        return cosh(x[0])

    with pytest.raises(AutodiffError, match="calls_c"):
        reported(calls_c, X)


# To file


def test_saved(tmp_path):
    found = reported(calls, X, 2)
    files = found.save(tmp_path / "new" / "folder")
    names = ["report.txt", "remarks.txt", "1-lowered.ll", "2-prepared.ll"]
    names += ["3-differentiated.ll", "4-optimised.ll", "5-compiled.s"]
    assert [file.name for file in files] == names
    assert files[0].read_text() == f"{found}\n"
    assert "Caching instruction" in files[1].read_text()
    for file in files[2:6]:
        text = file.read_text()
        binding.parse_assembly(text).verify()
        assert "_ZN" not in text
    assert re.search(r"define [^\n]*@[\w.]*test_llvm_report\.once_more\(", files[2].read_text())
    assert "entry:" in files[6].read_text()


# The command


def test_command(tmp_path, monkeypatch, capsys):
    (tmp_path / "module_of_mine.py").write_text(
        "import numba\n\n\n@numba.njit\ndef f(x, rate, n):\n    for i in range(n):\n"
        "        x = rate * x * (1.0 - x)\n    return x\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    named = ["report", "module_of_mine:f", "--types", "float64, float64, int64"]
    more = ["--argnums", "0", "1", "--save", str(tmp_path / "saved"), "--enzyme-mincut-cache=0"]
    assert main([*named, *more]) == 0
    said = capsys.readouterr().out
    assert "`f`, reverse mode" in said
    assert "--enzyme-mincut-cache=0" in said
    assert re.search(r"tape: .*module_of_mine.py:\d in f: 8 × n bytes", said)
    assert (tmp_path / "saved" / "report.txt").read_text() in said
    assert main([*named, "--mode", "forward", "--no-noalias", "--passes-after", "O1"]) == 0
    said = capsys.readouterr().out
    assert "`f`, forward mode" in said
    assert "passes_after='O1', noalias=False" in said
