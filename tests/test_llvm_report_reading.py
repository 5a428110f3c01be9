"""What the report reads off LLVM IR, what Enzyme says, and types as they are written."""

from pathlib import Path

import llvmlite.binding as binding
import numba
import pytest
from numba import types

from llvm._report_command import parse_types
from llvm._report_ir import Module, count, shortened
from llvm._report_kept import kept_values, remarks_of
from llvm._report_sizes import number, size_of

AFTER_ENZYME = """
define void @derivative(i64 %p3) {
  %size = mul i64 %p3, 8
  %forward = call ptr @malloc(i64 %size)
  br label %invertb
invertb:
  %backward = call ptr @malloc(i64 %size)
  ret void
}
"""


def test_what_the_reverse_pass_makes_is_not_kept():
    (kept,) = kept_values(Module(AFTER_ENZYME), (), {"p3": "n"}, set())
    assert (kept.kind, str(kept.size)) == ("temporary", "8 × n")


INLINED = f"""
define void @derivative(ptr %x) {{
  %a = load double, ptr %x, !dbg !1
  %b = load double, ptr %x, !dbg !3
  %c = load double, ptr %x
  %d = load double, ptr %x, !dbg !4
  ret void
}}
!1 = !DILocation(line: 90, column: 1, scope: !5, inlinedAt: !2)
!2 = !DILocation(line: 20, column: 1, scope: !6, inlinedAt: !3)
!3 = distinct !DILocation(line: 10, column: 1, scope: !7)
!4 = !DILocation(line: 0, scope: !6, inlinedAt: !3)
!5 = distinct !DISubprogram(name: "array_sum", scope: !8, file: !8, line: 80)
!6 = distinct !DISubprogram(name: "callee", scope: !9, file: !9, line: 19)
!7 = distinct !DISubprogram(name: "Model.caller", scope: !9, file: !9, line: 9)
!8 = !DIFile(filename: "arraymath.py", directory: "{Path(numba.__file__).parent / "np"}")
!9 = !DIFile(filename: "mine.py", directory: "/there")
"""


def test_lines_are_the_innermost_of_the_users():
    module = Module(INLINED)
    found = [module.source(i) for i in module.instructions]
    assert list(map(str, found)) == [
        *("mine.py:20 in callee", "mine.py:10 in caller", "None"),
        *("mine.py:10 in caller", "None"),
    ]
    assert found[0] is not None
    assert found[0].file == str(Path("/there/mine.py"))


IR = """
define void @derivative(i64 %p3, i64 %p4, i1 %c) {
entry:
  %a = shl nuw nsw i64 %p3, 3
  %b = mul i64 %a, %p4
  %d = add i64 %b, -16
  %e = sub i64 %d, %a
  %f = call i64 @llvm.smax.i64(i64 %p3, i64 1)
  %g = mul i64 %f, 8
  %h = lshr i64 %p3, 1
  %i = and i64 %p3, -4
  %j = zext i64 %p3 to i128
  %k = load i64, ptr null
  br i1 %c, label %two, label %three
two:
  %iv = phi i64 [ 0, %entry ], [ %next, %two ]
  %next = add i64 %iv, 1
  br i1 %c, label %two, label %three
three:
  %l = phi i64 [ %p3, %entry ], [ %p4, %two ]
  %m = phi i64 [ %l, %entry ], [ 1, %two ]
  %n = select i1 %c, i64 %p3, i64 undef
  %o = xor i64 %p3, 5
  %"q'uoted" = or disjoint i64 %a, 4
  ret void
}
"""


@pytest.mark.parametrize(
    ("operand", "text", "at"),
    [
        ("24", "24", 24),
        ("%b", "8 × n × x.shape[0]", 8 * 5 * 7),
        ("%e", "8 × n × x.shape[0] - 8 × n - 16", 8 * 5 * 7 - 8 * 5 - 16),
        ("%g", "8 × max(1, n)", 40),
        ("%h", "(n // 2)", 2),
        ("%i", "4 × (n // 4)", 4),
        ("%j", "n", 5),
        ("%k", "?", None),
        ("%iv", "?", None),
        ("%l", "one of(n, x.shape[0])", 7),
        ("%m", "one of(1, n, x.shape[0])", 7),
        ("%n", "n", 5),
        ("%o", "?", None),
        ('%"q\'uoted"', "8 × n + 4", 44),
    ],
)
def test_sizes_are_read_off_arithmetic(operand, text, at):
    names = {"p3": "n", "p4": "x.shape[0]"}
    found = size_of(Module(IR), operand, "derivative", names)
    assert str(found) == text
    assert found.at({"n": 5, "x.shape[0]": 7}) == at
    assert found.constant == (24 if text == "24" else None)
    # Parameters of other functions have no name.
    if "n" in text:
        other = IR.replace("@derivative", "@other")
        assert "?" in str(size_of(Module(other), operand, "other", names))


def test_sizes_add_up():
    assert str(number(3) + number(-3)) == "0"
    assert (number(3) * number(5)).constant == 15


COUNTED = """
define double @entry(ptr %x, ptr %y) {
  %v = load <4 x double>, ptr %x
  %w = fmul <4 x double> %v, %v
  store <4 x double> %w, ptr %y
  %a = load double, ptr %x
  %b = call double @llvm.fma.f64(double %a, double %a, double %a)
  %c = call double @exp(double %b)
  %m = call ptr @arena_allocate(i64 8)
  %n = call i64 @llvm.smax.i64(i64 1, i64 2)
  call void @llvm.memcpy.p0.p0.i64(ptr %y, ptr %x, i64 8, i1 false)
  call void @llvm.assume(i1 true)
  switch i64 %n, label %end [
    i64 1, label %end
    i64 2, label %other
  ]
other:
  br label %end
end:
  ret double %c
}
declare ptr @arena_allocate(i64)
"""


def test_instructions_by_kind():
    found = count(Module(COUNTED))
    assert (found.floating_point, found.memory, found.calls) == (2, 4, 1)
    assert (found.allocations, found.control, found.other) == (1, 3, 1)
    assert found.total == 12
    assert found.vector_share == 3 / 6


def test_remarks_are_read_once_each():
    said = (
        "remark: a.py:3:1: Caching instruction   %x = load\n"
        "remark: a.py:3:1: Caching instruction   %x = load\n"
        "remark: <unknown>:0:0: something\nnoise\n"
    )
    assert [(r.place, r.text) for r in remarks_of(said)] == [
        ("a.py:3", "Caching instruction %x = load"),
        ("", "something"),
    ]


def test_short_names_are_as_many_as_long_ones():
    text = (
        "declare void @_ZN3abc1fB2v1Ex()\ndeclare void @_ZN3abc1fB2v2Ed()\n"
        "@_ZN08NumbaEnv3abc1fB2v1Ex = common global ptr null\n"
        '@s = constant [7 x i8] c"_ZN1fEx"\n'
        "define void @g() {\n  call void @_ZN3abc1fB2v2Ed()\n  ret void\n}\n"
    )
    short = shortened(text)
    binding.parse_assembly(short).verify()
    assert [line.split("(")[0] for line in short.splitlines()[:2]] == [
        "declare void @abc.f",
        "declare void @abc.f-2",
    ]
    assert "@env.abc.f = " in short
    assert 'c"_ZN1fEx"' in short
    assert "call void @abc.f-2()" in short


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("float64[::1], float64, int64", (types.float64[::1], types.float64, types.int64)),
        ("float32[:, ::1]", (types.float32[:, ::1],)),
        ("complex128[::1, :]", (types.complex128[::1, :],)),
        ("float64[:,:,:]", (types.float64[:, :, :],)),
        ("(int32, float64[:]), bool", (types.Tuple((types.int32, types.float64[:])), types.bool_)),
        ("(float64,)", (types.UniTuple(types.float64, 1),)),
        ("(float64, (float64, none))", None),
        ("", ()),
    ],
)
def test_types(text, expected):
    if expected is None:
        inner = types.Tuple((types.float64, types.none))
        expected = (types.Tuple((types.float64, inner)),)
    assert parse_types(text) == expected


@pytest.mark.parametrize(
    "text",
    ["float65", "float64[", "float64[::2]", "float64[]", "float64[::1, ::1]", "__import__('os')"],
)
def test_not_types(text):
    with pytest.raises(ValueError, match="takes numbers such as float64"):
        parse_types(text)
