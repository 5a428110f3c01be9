"""Loops that add to several places in each turn, in strips: the same sums, only where proved."""

import ctypes
import re

import llvmlite.binding as binding
import numba
import numpy as np
import pytest

from llvm import grad
from llvm._compile import assemble_module, load
from llvm._loop_fission import with_sums_apart
from llvm._rounding import loosened
from llvm._target_machine import run_pipeline, target_machine
from tests.gradient_checks import CHECKS, Case

RNG = np.random.default_rng(3)
# One strip, its end, some of the next ones, and fewer turns than are worth one.
TURNS = [1, 5, 30, 127, 128, 129, 300, 391]


# Loops as Enzyme leaves them, run as they are and in strips, on whole numbers: all sums are exact.

LOOP = """
define i64 @entry(ptr %slots) {{
  {addresses}
  %size = getelementptr i64, ptr %slots, i64 4
  %n = load i64, ptr %size
  call void @f(ptr %a0, ptr %a1, ptr %a2, ptr %a3, i64 %n)
  ret i64 0
}}
define internal double @twice(double %v) alwaysinline {{
  %w = fmul double %v, 2.0
  ret double %w
}}
@table = internal global [4 x {kind}] [{kind} 1.0, {kind} 2.0, {kind} 3.0, {kind} 4.0]
declare void @unknown()
declare {kind} @source()
declare {kind} @llvm.fabs.{bits}({kind}) #0

define void @f(ptr noalias %a, ptr noalias %b, ptr noalias %x, ptr %maybe, i64 %n) {{
start:
  %last = add i64 %n, -1
  %other.row = getelementptr {kind}, ptr %a, i64 700
  br label %loop
loop:
  %i = phi i64 [ {first}, %start ], [ %i.next, %loop ]
  %carried = phi {kind} [ 3.0, %start ], [ %v, %loop ]
  %sum = phi {kind} [ 0.0, %start ], [ %sum.next, %loop ]
  %jump = phi i64 [ 0, %start ], [ %jump.next, %loop ]
  %seventh = urem i64 %i, 7
  %jump.next = add i64 %seventh, 1
  %place = getelementptr {kind}, ptr %x, i64 %i
  %v = load {kind}, ptr %place, align 4
  %w = fmul {kind} %v, 3.0
  %g = fptrunc double 1.0 to float
  {statements}
  %sum.next = fadd reassoc nsz contract {kind} %sum, %w
  %i.next = add i64 %i, {step}
  %ends = icmp {ends}
  br i1 %ends, label %{one}, label %{two}
end:
  %all = phi {kind} [ %sum.next, %loop ]
  %where = getelementptr {kind}, ptr %b, i64 1500
  store {kind} %all, ptr %where
  %also = getelementptr {kind}, ptr %b, i64 1501
  store {kind} %v, ptr %also
  ret void
}}
attributes #0 = {{ memory(none) }}
"""
ITEMS = 1600


def loop(statements, *, back=False, kind="double", ends_unless=False):
    text = [s for i, s in enumerate(statements) for s in s.format(i=i, kind=kind).split("\n")]
    addresses = [f"%a{k} = load ptr, ptr %slot{k}" for k in range(4)]
    slots = [f"%slot{k} = getelementptr ptr, ptr %slots, i64 {k}" for k in range(4)]
    test = "eq" if not ends_unless else "ne"
    return LOOP.format(
        addresses="\n  ".join([*slots, *addresses]),
        kind=kind,
        bits="f64" if kind == "double" else "f32",
        statements="\n  ".join(text),
        first="%last" if back else "0",
        step=-1 if back else 1,
        ends=f"{test} i64 %i, 0" if back else f"{test} i64 %i.next, %n",
        one="loop" if ends_unless else "end",
        two="end" if ends_unless else "loop",
    )


def adds(
    array, offset, value="%w", operation="fadd", flags="reassoc nsz contract ", index="%i", align=8
):
    """Statements that add to ``array[index + offset]``."""
    return (
        f"%k{{i}} = add i64 {index}, {offset}\n"
        f"%p{{i}} = getelementptr {{kind}}, ptr {array}, i64 %k{{i}}\n"
        f"%l{{i}} = load {{kind}}, ptr %p{{i}}, align {align}\n"
        f"%s{{i}} = {operation} {flags}{{kind}} %l{{i}}, {value}\n"
        f"store {{kind}} %s{{i}}, ptr %p{{i}}, align {align}"
    )


def compiled(text, kind):
    """The module as a function of the number of turns, which gives the arrays afterwards."""
    module = run_pipeline(binding.parse_assembly(text), target_machine(), "O3", vectorise=True)
    loaded = load(assemble_module(module), function="test")
    dtype = {"double": np.float64, "float": np.float32}[kind]

    def run(turns):
        arrays = [np.random.default_rng(k).integers(-9, 9, ITEMS).astype(dtype) for k in range(4)]
        loaded.entry(bytes((ctypes.c_int64 * 5)(*(a.ctypes.data for a in arrays), turns)))
        return arrays

    return run


def same_sums(text, kind="double", turns=TURNS):
    made = with_sums_apart(text)
    assert made != text
    in_strips, as_it_was = compiled(made, kind), compiled(text, kind)
    for n in turns:
        for got, want in zip(in_strips(n), as_it_was(n), strict=True):
            np.testing.assert_array_equal(got, want)


STENCILS = {
    "three neighbours": [adds("%a", 2), adds("%a", 3, "%v"), adds("%a", 4, "%carried")],
    "a gap": [adds("%a", 0), adds("%a", 2, "%v")],
    "far": [adds("%a", 0), adds("%a", 13, "%v"), adds("%a", 1)],
    "the other way": [
        "%rest = sub i64 %n, %i",
        *(adds("%a", k, "%v", index="%rest") for k in range(3)),
    ],
    "subtracted": [adds("%a", 5, operation="fsub"), adds("%a", 4), adds("%a", 6, "2.0")],
    "two arrays": [adds("%a", 1), adds("%b", 1, "%v"), adds("%a", 2), adds("%b", 2)],
    "three rows": [adds("%a", 1), adds("%other.row", 1, "%v"), adds("%a", 0), adds("%a", 720)],
    "one place twice": [adds("%a", 1), adds("%a", 2), adds("%a", 1, "%v")],
    "seventeen": [adds("%a", k, "%v" if k % 3 else "%w") for k in range(19)],
    "the other's shadow cleared": [
        "%pb = getelementptr {kind}, ptr %b, i64 %i\n"
        "%lb = load {kind}, ptr %pb\nstore {kind} 0.0, ptr %pb",
        adds("%a", 1, "%lb"),
        adds("%a", 2, "%lb"),
    ],
    "a table": [
        "%pt = getelementptr [4 x {kind}], ptr @table, i64 0, i64 1\n%t = load {kind}, ptr %pt",
        adds("%a", 1, "%t"),
        adds("%a", 2),
    ],
    "calls that compute": [
        "%c = call {kind} @llvm.fabs.f64({kind} %v)\n%d = call {kind} @twice({kind} %c)",
        adds("%a", 1, "%d"),
        adds("%a", 2, "%c"),
    ],
}


@pytest.mark.parametrize("ends_unless", [False, True], ids=["ends if", "ends unless"])
@pytest.mark.parametrize("back", [False, True], ids=["forth", "back"])
@pytest.mark.parametrize("statements", STENCILS.values(), ids=STENCILS.keys())
def test_sums_are_the_same(statements, back, ends_unless):
    same_sums(loop(statements, back=back, ends_unless=ends_unless))


def wrapped(offset, inverse=False):
    """An index as Numba makes it, from which 350 is taken away if it is 350 or more."""
    test = f"slt i64 %m{{i}}, {350}" if inverse else f"sgt i64 %m{{i}}, {349}"
    zero = "i64 0, i64 -350" if inverse else "i64 -350, i64 0"
    choice = (
        f"%m{{i}} = add i64 %i, {offset}\n%c{{i}} = icmp {test}\n"
        f"%z{{i}} = select i1 %c{{i}}, {zero}\n"
        f"%pz{{i}} = getelementptr {{kind}}, ptr %a, i64 %z{{i}}\n"
        f"%q{{i}} = getelementptr {{kind}}, ptr %pz{{i}}, i64 %m{{i}}\n"
    )
    return choice + "\n".join(
        line.replace("%p{i}", "%q{i}") for line in adds("%a", 0).split("\n")[2:]
    )


@pytest.mark.parametrize("back", [False, True], ids=["forth", "back"])
@pytest.mark.parametrize("inverse", [False, True])
def test_indices_that_are_chosen(inverse, back):
    """Up to 346 turns none is 350 or more. In 391 turns some are, in the last or the first ones."""
    statements = [wrapped(0, inverse), wrapped(1, inverse), wrapped(4, inverse)]
    same_sums(loop(statements, back=back), turns=[30, 129, 344, 345, 346, 347, 391, 700, 1100])


@pytest.mark.parametrize("back", [False, True], ids=["forth", "back"])
def test_indices_that_are_chosen_in_between(back):
    """Those from 0 to 4, as unsigned numbers, of -3 and so on: none at the first and last turn."""
    choice = (
        "%m{i} = add i64 %i, -3\n%c{i} = icmp ult i64 %m{i}, 5\n"
        "%z{i} = select i1 %c{i}, i64 60, i64 0\n"
        "%q{i} = getelementptr {kind}, ptr %a, i64 %z{i}"
    )
    statements = [
        choice + "\n" + adds("%q{i}", offset, value).replace("{{", "{").replace("}}", "}")
        for offset, value in ((0, "%v"), (1, "%w"), (2, "%v"))
    ]
    same_sums(loop(statements, back=back), turns=[30, 129])


@pytest.mark.parametrize(
    ("name", "count"),
    [("three neighbours", 1), ("a gap", 1), ("far", 2), ("three rows", 3), ("two arrays", 1)],
)
def test_loops_that_add(name, count):
    """One for neighbours in a row, and for arrays; none writes what is between two places."""
    made = with_sums_apart(loop(STENCILS[name]))
    assert len(re.findall(r'^"apart 0 sum \d+":', made, re.M)) == count


def test_single_precision():
    same_sums(loop(STENCILS["three neighbours"], kind="float", back=True), kind="float")


def test_random_stencils():
    for _ in range(20):
        arrays = RNG.choice(["%a", "%b", "%other.row"], RNG.integers(1, 4))
        statements = [
            adds(
                RNG.choice(arrays),
                RNG.integers(0, 12),
                RNG.choice(["%v", "%w", "%carried", "1.0", "%carried"]),
                RNG.choice(["fadd", "fsub"]),
            )
            for _ in range(RNG.integers(3, 9))
        ]
        text = loop(statements, back=bool(RNG.integers(2)))
        if with_sums_apart(text) != text:
            same_sums(text, turns=RNG.integers(1, 400, 2))


NOT_PROVED = {
    "only one place": [adds("%a", 1), adds("%b", 2)],
    "the function's own sums": [adds("%a", 1, flags=""), adds("%a", 2, flags="afn ")],
    "one of them": [adds("%a", 1), adds("%a", 2, flags="")],
    "read as well": [
        adds("%a", 1),
        adds("%a", 2),
        "%pr = getelementptr {kind}, ptr %a, i64 %i\n%lr = load {kind}, ptr %pr\n"
        "store {kind} %lr, ptr %b",
    ],
    "written as well": [
        adds("%a", 1),
        adds("%a", 2),
        "%pw = getelementptr {kind}, ptr %a, i64 %i\nstore {kind} 0.0, ptr %pw",
    ],
    "sums used as well": [adds("%a", 1), adds("%a", 2), "store {kind} %s0, ptr %b"],
    "loads used as well": [adds("%a", 1), adds("%a", 2, "%l0")],
    "carried in a register": [
        adds("%a", 1),
        "%pc = getelementptr {kind}, ptr %a, i64 %i\n"
        "%sc = fadd reassoc nsz contract {kind} %carried, %w\nstore {kind} %sc, ptr %pc",
    ],
    "an argument that may alias": [
        adds("%a", 1),
        adds("%a", 2),
        "%pm = getelementptr {kind}, ptr %maybe, i64 %i\nstore {kind} %v, ptr %pm",
    ],
    "in an argument that may alias": [adds("%maybe", 1), adds("%maybe", 2)],
    "by a pointer that was read": [
        "%pp = load ptr, ptr %b",
        adds("%pp", 1),
        adds("%pp", 2),
    ],
    "indices that were read": [
        "%pi = getelementptr i64, ptr %x, i64 %i\n%j = load i64, ptr %pi",
        adds("%a", 1, index="%j"),
        adds("%a", 2, index="%j"),
    ],
    "every other number": [
        "%twice = shl i64 %i, 1",
        adds("%a", 1, index="%twice"),
        adds("%a", 2, index="%twice"),
    ],
    "indices modulo something": [
        "%m = urem i64 %i, 7",
        adds("%a", 1, index="%m"),
        adds("%a", 2, index="%m"),
    ],
    "an index that jumps": [adds("%a", 1, index="%jump"), adds("%a", 2, index="%jump")],
    "indices chosen by what moves": [
        "%z = urem i64 %i, 99\n%c = icmp slt i64 %i, %z\n%s = select i1 %c, i64 60, i64 0\n"
        "%q = getelementptr {kind}, ptr %a, i64 %s",
        *(adds("%q", k) for k in range(3)),
    ],
    "indices chosen in great steps": [  # past the limit and round to zero, in eight of them
        "%z = shl i64 %i, 61\n%c = icmp sgt i64 %z, 349\n%s = select i1 %c, i64 60, i64 0\n"
        "%q = getelementptr {kind}, ptr %a, i64 %s",
        *(adds("%q", k) for k in range(3)),
    ],
    "sums of sums": [
        "%f0 = add i64 %i, 0\n%f1 = add i64 %i, %n",
        *(f"%f{k} = add i64 %f{k - 1}, %f{k - 2}" for k in range(2, 80)),
        *(adds("%a", k, index="%f79") for k in range(3)),
    ],
    "calls of what is not known": ["call void @unknown()", adds("%a", 1), adds("%a", 2)],
    "values of what is not known": [
        "%u = call {kind} @source()",
        adds("%a", 1, "%u"),
        adds("%a", 2),
    ],
    "atomic": [
        "%old = atomicrmw fadd ptr %b, {kind} %v monotonic",
        adds("%a", 1),
        adds("%a", 2),
    ],
    "halves": [adds("%a", 1, align=4), adds("%a", 2, align=4)],
    "numbers of two sizes": [
        adds("%a", 1),
        adds("%a", 2),
        adds("%a", 3, "%g").replace("{kind}", "float"),
        adds("%a", 4, "%g").replace("{kind}", "float"),
    ],
    "volatile": ["%vol = load volatile {kind}, ptr %b", adds("%a", 1), adds("%a", 2)],
}


@pytest.mark.parametrize("statements", NOT_PROVED.values(), ids=NOT_PROVED.keys())
def test_what_is_not_proved_stays(statements):
    text = loop(statements)
    binding.parse_assembly(text)
    assert with_sums_apart(text) == text


def test_a_loop_without_a_count_stays():
    text = loop(STENCILS["three neighbours"]).replace("icmp eq i64 %i.next", "icmp ne i64 %i.next")
    assert with_sums_apart(text) == text


def test_a_sum_that_began_before_another_stays():
    """Where the places are one, the second sum overwrites the first."""
    loaded, stored = (part.replace("{i}", "9") for part in split_at(adds("%other.row", 1, "%v"), 3))
    text = loop([adds("%a", 0), loaded, adds("%a", 1), stored])
    binding.parse_assembly(text)
    assert with_sums_apart(text) == text


def split_at(statements, line):
    lines = statements.split("\n")
    return "\n".join(lines[:line]), "\n".join(lines[line:])


# Whole gradients.


@numba.njit
def heat(x):
    u = x.copy()
    w = x.copy()
    for _ in range(2):
        for i in range(1, u.size - 1):
            w[i] = u[i] + 0.1 * (u[i - 1] - 2 * u[i] + u[i + 1])
        for i in range(u.size - 2, 0, -1):
            u[i] = w[i] + 0.1 * (w[i - 1] - 2 * w[i] + w[i + 1])
    return (u * u).sum()


@numba.njit
def burgers(x):
    u = x.copy()
    w = x.copy()
    for _ in range(2):
        for i in range(1, u.size - 1):
            w[i] = u[i] - 0.1 * u[i] * (u[i + 1] - u[i - 1]) + 0.1 * np.sin(u[i - 1] * u[i])
        for i in range(1, u.size - 1):
            u[i] = w[i] - 0.1 * w[i] * (w[i + 1] - w[i - 1])
    return (u * u).sum()


@numba.njit
def five_points(x):
    u = x.reshape(5, -1).copy()
    w = u.copy()
    rows, columns = u.shape
    for _ in range(2):
        for i in range(1, rows - 1):
            for j in range(1, columns - 1):
                around = u[i - 1, j] + u[i + 1, j] + u[i, j - 1] + u[i, j + 1]
                w[i, j] = u[i, j] + 0.1 * (around - 4 * u[i, j])
        for i in range(1, rows - 1):
            for j in range(1, columns - 1):
                around = w[i - 1, j] * w[i + 1, j] + w[i, j - 1] * w[i, j + 1]
                u[i, j] = w[i, j] + 0.1 * (around - 4 * w[i, j])
    return (u * u).sum()


@numba.njit
def smoothed(x):
    total = 0.0
    for i in range(2, x.size - 2):
        total += np.sqrt(1.0 + (x[i - 2] - 3 * x[i - 1] + 3 * x[i] - x[i + 1] + x[i + 2]) ** 2)
    return total


@numba.njit
def at_indices_of_any_kind(x):
    """Where the places may be the same in one turn, or are some that were added to before."""
    u = x.copy()
    w = np.zeros_like(x)
    order = np.arange(u.size) * 7 % (u.size // 2)
    for i in range(2, u.size - 2):
        w[i] = u[order[i]] * u[order[i + 1]] + u[i] * u[2 * i % u.size]
    for i in range(2, u.size - 2):
        u[i] = u[i - 1] * w[i] + w[i + 1] * 0.5 + u[i + 2]
    return (u * w).sum()


X = RNG.standard_normal(700) * 0.5
IN_STRIPS = [heat, burgers, five_points, smoothed]
CASES = [Case(function=f, arguments=(X,)) for f in [*IN_STRIPS, at_indices_of_any_kind]]


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__)
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_gradient(case, check):
    check(case)


@pytest.mark.parametrize("function", IN_STRIPS, ids=lambda f: f.py_func.__name__)
def test_gradients_of_stencils_are_in_strips(function):
    """Or Enzyme's LLVM carries sums from one turn to the next again."""
    gradient = grad(function)
    gradient(X)
    text = loosened(gradient.inspect_llvm("differentiated"))
    assert re.search(r'^"apart \d+ turn":', with_sums_apart(text), re.M)
