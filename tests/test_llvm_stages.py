"""Each stage alone, from one frozen dataclass to the next, and what is read off the IR."""

import ctypes
import dataclasses
import re
from typing import Any

import llvmlite.binding as binding
import numba
import numpy as np
import pytest
from numba import typeof

import llvm._pointers as pointers
from llvm import grad
from llvm._arena import with_arena
from llvm._compile import assemble, assemble_module, load
from llvm._differentiate import differentiate
from llvm._inspect import STAGES
from llvm._lower import linked_texts, lower
from llvm._optimise import optimise
from llvm._prepare import prepare
from llvm._request import Mode, Request
from llvm._target_machine import run_passes, target_machine

X = np.array([1.0, 2.0])


@numba.njit
def square_sum(x, scale):
    total = 0.0
    for v in x:
        total += v * v
    return total * scale


def lowered(function, *arguments):
    return lower(function, tuple(map(typeof, arguments)))


def test_one_after_the_other():
    first = lowered(square_sum, X, 2.0)
    assert first.name == "square_sum"
    assert [leaf.kind for leaf in first.leaves] == ["array", "integer", "scalar"]
    assert first.returns_value
    assert "define void @primal(" in first.ir

    second = prepare(first)
    assert second.lowered is first
    assert second.rules == ()

    request = Request(Mode.REVERSE, (True, False, True))
    third = differentiate(second, request)
    assert (third.prepared, third.request) == (second, request)
    assert not re.search(r"call .*__enzyme_", third.ir)

    fourth = optimise(third)
    assert fourth.differentiated is third
    code = assemble(fourth)
    assert code.code[1:4] == b"ELF" or code.code
    assert load(code, function="square_sum").entry is not None
    stages: tuple[Any, ...] = (first, second, third, fourth, code)
    for stage in stages:
        assert dataclasses.is_dataclass(stage)
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(stage, "ir", "")  # noqa: B010
        hash(stage)  # a value: all the way down nothing can change


def test_a_stage_does_not_touch_what_it_gets():
    first = lowered(square_sum, X, 2.0)
    before = first.ir
    prepare(first)
    assert first.ir == before
    assert prepare(first) == prepare(first)


def test_the_users_function_is_left_alone():
    @numba.njit
    def f(x):
        return x * x

    lower(f, (numba.float64,))
    assert f.signatures == []
    f(2.0)
    compiled = dict(f.overloads)
    grad(f)(2.0)
    assert dict(f.overloads) == compiled


@pytest.mark.parametrize("stage", STAGES)
def test_inspect(stage):
    g = grad(square_sum)
    g(X, 2.0)
    text = g.inspect_llvm(stage)
    if stage == "compiled":
        assert re.search(r"^entry:", text, re.M)
    else:
        assert re.search(r"^define [^\n]*@(entry|primal)\(", text, re.M)
        binding.parse_assembly(text).verify()


def test_inspect_shows_the_last_call():
    g = grad(square_sum)
    g(X, 2.0)
    assert "float" not in re.sub(r"\w*float\w+", "", g.inspect_llvm("lowered"))
    g(X.astype(np.float32), 2.0)
    assert "fmul float" in g.inspect_llvm("lowered")


# Effects.


@numba.njit
def reads(x, y):
    return x[0] * y[0]


@numba.njit
def writes_second(x, y):
    y[0] = x[0]
    return x[0]


@numba.njit
def writes_in_callee(x, y):
    return writes_second(y, x)


@numba.njit(error_model="numpy")
def never_raises(x, y):
    return x[0] / y[0]


@numba.njit
def may_divide_by_zero(x, y):
    return x[0] / y[0]


@numba.njit
def raises_in_callee(x, y):
    return may_divide_by_zero(x, y) * 2.0


@numba.njit
def either(x, y):
    t = x if x[0] > 0.0 else y
    return t[0] * t[1]


@numba.njit
def either_or_new(x, y):
    t = x if x[0] > 0.0 else np.ones(2)
    return (t * y).sum()


@numba.njit
def walks(x, y):
    total = 0.0
    for v in x[::-1]:
        total += v
    t = x * y + 1.0
    return total + t.sum() + np.max(t)


@numba.njit
def branches_alone(x, y):
    return x[0] if x[1] > 0.0 else y[0]


# writes x, writes y, may raise, mixes pointers
EFFECTS = {
    reads: (False, False, False, False),
    writes_second: (False, True, False, False),
    writes_in_callee: (True, False, False, False),
    never_raises: (False, False, False, False),
    may_divide_by_zero: (False, False, True, False),
    raises_in_callee: (False, False, True, False),
    either: (False, False, False, True),
    either_or_new: (False, False, True, True),
    walks: (False, False, True, False),
    branches_alone: (False, False, False, True),  # LLVM makes it one load of either pointer
}


@pytest.mark.parametrize("function", EFFECTS, ids=lambda f: f.py_func.__name__)
def test_effects(function):
    effects = prepare(lowered(function, X, X)).effects
    arrays = effects.writes[0], effects.writes[2]
    assert (*arrays, effects.may_raise, effects.mixes_pointers) == EFFECTS[function]


IR = """
declare noalias ptr @malloc(i64)
declare void @unknown(ptr)
declare ptr @gives()
@table = global [4 x double] zeroinitializer
define void @f(ptr %a, ptr %b, i1 %c, i64 %n) {{
entry:
  %m = call ptr @malloc(i64 8)
  %s = alloca [2 x ptr]
  br i1 %c, label %one, label %two
one:
  %a1 = getelementptr double, ptr %a, i64 %n
  br label %two
two:
{body}
  ret void
}}
"""
BODIES = {
    "  %p = phi ptr [ %a1, %one ], [ %a, %entry ]": False,
    "  %p = phi ptr [ %b, %one ], [ %a, %entry ]": True,
    "  %p = phi ptr [ null, %one ], [ %a, %entry ]": False,
    "  %p = phi ptr [ %m, %one ], [ %a, %entry ]": True,
    "  %p = select i1 %c, ptr %a, ptr @table": True,
    "  %p = select i1 %c, ptr %a, ptr %a": False,
    "  store ptr %a, ptr %s\n  %p = load ptr, ptr %s": False,
    "  store ptr %a, ptr %s\n  store ptr %b, ptr %s\n  %p = load ptr, ptr %s": True,
    "  store ptr %a, ptr %s\n  call void @unknown(ptr %s)\n  %p = load ptr, ptr %s": True,
    "  %p = load ptr, ptr %a": True,
    "  %i = ptrtoint ptr %a to i64\n  %q = inttoptr i64 %i to ptr": True,
    "  %q = call ptr @gives()\n  %p = phi ptr [ %q, %two ]": True,
}


@pytest.mark.parametrize("body", BODIES)
def test_mixes_pointers(body):
    text = IR.format(body=body)
    if "%two ]" not in body:  # that one is no valid phi, and says what it has to all the same
        binding.parse_assembly(text).verify()
    assert pointers.mixes_pointers(text) == BODIES[body]


# The arena.


def test_arena_only_where_something_is_allocated():
    text = "define i64 @entry(ptr %slots) {\n  ret i64 0\n}\n"
    assert with_arena([text]) == [text]
    more = "declare noalias ptr @malloc(i64)\n" + text.replace(
        "  ret", "  %p = call ptr @malloc(i64 8)\n  ret"
    )
    arena = linked_texts(with_arena([more]))
    arena.verify()
    assert re.search(r"%p = call ptr @arena_allocate\(i64 8\)", str(arena))


ALLOCATES = """
declare noalias ptr @malloc(i64)
declare noalias ptr @calloc(i64, i64)
declare ptr @realloc(ptr, i64)
declare void @free(ptr)
define i64 @entry(ptr %slots) {
  %size = load i64, ptr %slots
  %a = call ptr @malloc(i64 %size)
  %b = call ptr @calloc(i64 1, i64 %size)
  %c = call ptr @malloc(i64 %size)
  %last = getelementptr i8, ptr %a, i64 7
  store i8 42, ptr %last
  %more = mul i64 %size, 50
  %bigger = call ptr @realloc(ptr %a, i64 %more)
  %end = getelementptr i8, ptr %bigger, i64 %more
  %before = getelementptr i8, ptr %end, i64 -1
  store i8 1, ptr %before
  call void @free(ptr %b)
  call void @free(ptr null)
  %d = call ptr @realloc(ptr null, i64 %size)
  %place1 = getelementptr ptr, ptr %slots, i64 1
  %place2 = getelementptr ptr, ptr %slots, i64 2
  %place3 = getelementptr ptr, ptr %slots, i64 3
  store ptr %bigger, ptr %place1
  store ptr %c, ptr %place2
  store ptr %d, ptr %place3
  %kept = getelementptr i8, ptr %bigger, i64 7
  %value = load i8, ptr %kept
  %zero = load i8, ptr %c
  %result = zext i8 %value to i64
  ret i64 %result
}
"""


def test_blocks_are_aligned_and_keep_their_content():
    module = linked_texts(with_arena([ALLOCATES]))
    run_passes(module, target_machine(), speed_level=3, vectorise=True)
    loaded = load(assemble_module(module), function="test")
    slots = np.zeros(4, np.int64)
    for size in (8, 24, 100, 5000, 1_000_000):
        slots[0] = size
        assert loaded.entry(slots.ctypes.data_as(ctypes.c_char_p)) == 42
        assert list(slots[1:] % 64) == [0, 0, 0]
        assert len(set(slots[1:])) == 3
