"""How a derivative is compiled can be chosen in each call, and does not change its value."""

import re
from dataclasses import replace

import numba
import numpy as np
import pytest
from numba import typeof

import llvm._ordered_runs
import llvm._target_machine
from llvm import AutodiffError
from llvm._call import call
from llvm._errors import EnzymeNotFoundError, ToolchainError
from llvm._fingerprint import fingerprint
from llvm._options import Options, level_of
from llvm._program import find_program, program_for
from llvm._request import DEFAULT_FLAGS, Mode, Question
from llvm._shadows import in_form_of, with_copies
from llvm._stages import run_stages
from llvm._toolfiles import find_opt


def has_opt():
    try:
        find_opt(llvm._target_machine.llvm.llvm_version_info[0])
    except AutodiffError:
        return False
    return True


needs_opt = pytest.mark.skipif(not has_opt(), reason="no `opt` of llvmlite's LLVM here")

# What they take


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"enzyme_flags": ("--enzyme-loose-types",)}, ValueError, "gradients are wrong"),
        ({"enzyme_flags": ("--enzyme-loose-types=1",)}, ValueError, "gradients are wrong"),
        ({"enzyme_flags": ("--enzyme-loose-types=true",)}, ValueError, "gradients are wrong"),
        ({"enzyme_flags": ("-enzyme-loose-types",)}, ValueError, "Got '-enzyme-loose-types'"),
        ({"enzyme_flags": ("enzyme-max-cache=1",)}, ValueError, "Got 'enzyme-max-cache=1'"),
        ({"enzyme_flags": ("--load=x.so",)}, ValueError, "Enzyme's own options"),
        ({"enzyme_flags": ("--enzyme-print -o x",)}, ValueError, "Enzyme's own options"),
        ({"enzyme_flags": ("--disable-loop-idiom-all=0",)}, ValueError, "Enzyme's own options"),
        ({"enzyme_flags": "--enzyme-max-cache=1"}, TypeError, "a tuple of strings"),
        ({"enzyme_flags": (1,)}, TypeError, "a tuple of strings"),
        ({"passes_before": 1}, TypeError, "takes a string. Got 1"),
        ({"passes_after": None}, TypeError, "takes a string. Got None"),
        ({"passes_after": "O1\nO2"}, ValueError, "a level, such as 'O1'"),
    ],
)
def test_refused(given, error, words):
    with pytest.raises(error, match=re.escape(words)):
        Options(**given)


def test_flags_replace_those_of_the_same_name():
    options = Options(("--enzyme-fast-math=1", "--enzyme-max-cache=1"))
    assert options.flags(DEFAULT_FLAGS) == (
        *(flag for flag in DEFAULT_FLAGS if flag != "--enzyme-fast-math=0"),
        *("--enzyme-fast-math=1", "--enzyme-max-cache=1"),
    )
    assert Options().flags(DEFAULT_FLAGS) == DEFAULT_FLAGS
    # A longer name is another flag.
    assert Options(("--enzyme-fast-math-not=1",)).flags(DEFAULT_FLAGS)[:-1] == DEFAULT_FLAGS


def test_levels():
    given = ["O0", "O3", "O4", "", "default<O2>", "function(sroa)"]
    assert list(map(level_of, given)) == [0, 3, None, None, None, None]


# What they do


@numba.njit
def chain(x, y, n):
    total = 0.0
    for _ in range(n):
        for i in range(x.size):
            y[i] = np.sin(x[i]) * y[i]
    for i in range(x.size):
        total += y[i] * y[i] if x[i] > 0.5 else y[i] / x[i]
    return total


@numba.njit
def expression(x, y, n):
    t = np.exp(x) * y + n
    return np.sqrt((t * t).sum()) + t[1]


@numba.njit
def highest(x, y, n):
    return np.max(x) * y[0] + n


ARGUMENTS = np.array([0.7, 0.2, 1.3, -0.4, 0.9]), np.array([1.0, 2.0, -1.5, 0.5, 3.0]), 3
TYPES = tuple(map(typeof, ARGUMENTS))


def question(**options):
    return Question(Mode.REVERSE, TYPES, (True, True, False), options=Options(**options))


def gradient(function, **options):
    program = find_program(function, question(**options))
    arguments = with_copies(program, function, ARGUMENTS)
    shadows = [None] * len(program.frame.items)
    value, _ = call(program, function, arguments, shadows, hidden=program.hidden)
    return np.concatenate([[value], *in_form_of(program, arguments, shadows, (0, 1))])


CHANGES = [
    {"noalias": False},
    {"passes_before": "O1"},
    {"passes_before": "O3", "passes_after": "O0"},
    {"passes_after": "O0"},
    {"passes_after": "O2"},
    {"passes_after": ""},
    {"enzyme_flags": ("--enzyme-new-cache=0",)},
    {"noalias": False, "passes_before": "O2", "enzyme_flags": ("--enzyme-zero-cache=1",)},
    pytest.param({"passes_before": "function(sroa,early-cse)"}, marks=needs_opt),
    pytest.param({"passes_after": "default<O2>"}, marks=needs_opt),
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
@pytest.mark.parametrize("function", [chain, expression], ids=lambda f: f.py_func.__name__)
def test_gradient_is_the_same(function, change):
    np.testing.assert_allclose(gradient(function, **change), gradient(function), rtol=1e-14)


@pytest.mark.parametrize("passes", ["O1", "O2", "O3"])
def test_what_is_copied_as_bytes(passes):
    """LLVM makes a copy of bytes of what `np.max` copies: Enzyme is told what these are."""
    found = gradient(highest)
    assert found.any()
    np.testing.assert_array_equal(gradient(highest, passes_before=passes), found)


def head(ir, name):
    found = re.search(rf"^define [^\n]*@{name}\([^\n]*", ir, re.M)
    assert found
    return found[0]


def test_noalias_is_left_out_of_primal_and_derivative():
    with_it, without = (run_stages(chain, question(noalias=n)) for n in (True, False))
    for stage, name in (("lowered", "primal"), ("differentiated", "derivative")):
        assert head(getattr(with_it, stage).ir, name).count(" noalias ") >= 3
        assert " noalias " not in head(getattr(without, stage).ir, name)


def test_noalias_is_left_out_of_the_function_itself():
    for noalias in (True, False):
        asked = replace(question(noalias=noalias), mode=Mode.PRIMAL, varying=(False,) * 3)
        found = head(run_stages(chain, asked).differentiated.ir, "derivative")
        assert (" noalias " in found) == noalias


def seen_by_enzyme(monkeypatch, **options):
    enzyme, seen = llvm._ordered_runs.find_enzyme(), []

    class Listening:
        def run_and_listen(self, ir, flags):
            seen.append((ir, flags))
            return enzyme.run_and_listen(ir, flags)

        def run(self, ir, flags):
            return self.run_and_listen(ir, flags)[0]

    monkeypatch.setattr(llvm._ordered_runs, "find_enzyme", Listening)
    run_stages(chain, question(**options))
    monkeypatch.undo()
    return seen[0]


@pytest.mark.parametrize("passes", ["O1", pytest.param("function(sroa)", marks=needs_opt)])
def test_passes_before_are_run_on_what_enzyme_sees(monkeypatch, passes):
    plain, _ = seen_by_enzyme(monkeypatch)
    optimised, _ = seen_by_enzyme(monkeypatch, passes_before=passes)
    assert plain.count(" = alloca ") > 20 > optimised.count(" = alloca ")
    assert "autodiff_derivative" in optimised


def test_flags_reach_enzyme(monkeypatch):
    _, flags = seen_by_enzyme(monkeypatch, enzyme_flags=("--enzyme-max-cache=1",))
    assert flags == (*DEFAULT_FLAGS, "--enzyme-max-cache=1")
    with pytest.raises(ToolchainError, match="--enzyme-no-such-flag"):
        run_stages(chain, question(enzyme_flags=("--enzyme-no-such-flag",)))


@numba.njit
def scaled(x, y, n):
    total = 0.0
    for i in range(x.size):
        y[i] = x[i] * x[i] * n
        total += y[i]
    return total


def test_passes_after_decide_what_comes_out():
    vectors = {
        passes: len(
            re.findall(
                r"fmul (?:\w+ )*<\d+ x double>",
                run_stages(scaled, question(passes_after=passes)).optimised.ir,
            )
        )
        for passes in ("O1", "O3")
    }
    assert vectors["O1"] == 0 < vectors["O3"]
    # Nothing at all: what an O0 would inline is still called.
    untouched = run_stages(chain, question(passes_after="")).optimised.ir
    assert re.search(r"call i64 @arena_entry\(", untouched)


@needs_opt
def test_not_a_pipeline():
    with pytest.raises(ToolchainError, match="no-such-pass"):
        run_stages(chain, question(passes_after="no-such-pass"))


def test_a_pipeline_without_opt(monkeypatch):
    def none(major):
        raise EnzymeNotFoundError("none")

    monkeypatch.setattr(llvm._target_machine, "find_opt", none)
    with pytest.raises(ToolchainError, match=r"need `opt` of LLVM \d+ .* A level, such as 'O1'"):
        run_stages(chain, question(passes_before="function(sroa)"))


# What is kept of them


def test_key_has_what_is_not_usual():
    keys = {fingerprint(chain, question(), "enzyme")}
    assert keys == {fingerprint(chain, replace(question(), options=Options()), "enzyme")}
    for change in ({"noalias": False}, {"passes_after": "O2"}, {"enzyme_flags": ("--enzyme-x",)}):
        keys.add(fingerprint(chain, question(**change), "enzyme"))
    assert len(keys) == 4
    assert None not in keys


def test_programs_of_different_options_are_different():
    varying = (True, True, False)
    plain = program_for("test", chain, Mode.REVERSE, ARGUMENTS, varying)
    other = program_for(
        "test", chain, Mode.REVERSE, ARGUMENTS, varying, options=Options(("--enzyme-max-cache=1",))
    )
    assert plain is program_for("test", chain, Mode.REVERSE, ARGUMENTS, varying, options=Options())
    assert other.question.options.enzyme_flags == ("--enzyme-max-cache=1",)
    assert plain is not other
