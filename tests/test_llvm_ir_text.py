"""LLVM's text as it is read: functions, blocks, names with quotes, brackets inside of brackets."""

import llvmlite.binding as llvm
import pytest

from llvm._ir_text import (
    allocators,
    bracketed,
    find_function,
    functions,
    label_of,
    leads_to,
    next_node,
    split,
    type_made,
    walk,
    with_functions,
)

# As LLVM prints it, which the first test makes sure of.
MODULE = """
declare noalias ptr @malloc(i64)

declare noalias ptr @"new.array<double>"(i64, ptr)

declare ptr @found(ptr)

define { i64, [2 x double] } @"f(x), too"(ptr noalias captures(none) %x, <2 x i64> %0, ptr \
"enzyme_type"="{[-1]:Pointer, [-1,-1]:Integer}" %"a b") #0 {
  %2 = call ptr @found(ptr %x)
  br label %loop

loop:                                             ; preds = %"loop, back", %1
  br i1 true, label %"loop, back", label %end

"loop, back":                                     ; preds = %loop
  %3 = tail call ptr @"new.array<double>"(i64 8, ptr null)
  br label %loop

end:                                              ; preds = %loop
  ret { i64, [2 x double] } zeroinitializer
}

define void @g() {
entry:
  %0 = alloca ptr, align 8
  switch i32 0, label %entry.2 [
    i32 1, label %entry.1
    i32 2, label %entry.1
  ]

entry.1:                                          ; preds = %entry, %entry
  ret void

entry.2:                                          ; preds = %entry
  ret void
}

attributes #0 = { noinline }

!0 = !{!3}
!3 = !{i32 7}
"""
F = '"f(x), too"'


def test_the_module_is_one_of_llvms():
    printed = str(llvm.parse_assembly(MODULE.replace("!0 = !{!3}", "!named = !{!0}\n!0 = !{!3}")))
    assert [f.body for f in functions(printed)] == [f.body for f in functions(MODULE)]
    assert [f.parameters for f in functions(printed)] == [f.parameters for f in functions(MODULE)]


def test_functions():
    f, g = functions(MODULE)
    assert (f.name, g.name) == (F, "g")
    assert f.head.startswith("define { i64, [2 x double] } @")
    assert f.head.endswith("#0 {\n")
    assert f.text in MODULE
    assert f.called == {"found", '"new.array<double>"'}
    assert g.called == set()
    assert find_function(MODULE, F) == f
    assert f.parameters == [
        "ptr noalias captures(none) %x",
        "<2 x i64> %0",
        'ptr "enzyme_type"="{[-1]:Pointer, [-1,-1]:Integer}" %"a b"',
    ]
    assert g.parameters == []


def test_functions_that_are_changed():
    assert with_functions(MODULE, lambda function: function.text) == MODULE
    changed = with_functions(MODULE, lambda f: f.text if f.name == "g" else "; gone")
    assert [f.name for f in functions(changed)] == ["g"]
    assert changed.endswith(MODULE[MODULE.index("define void @g") :])
    assert changed.startswith(MODULE[: MODULE.index("define")])


def test_blocks():
    f, g = functions(MODULE)
    # The parameter without a name is 0.
    assert list(f.blocks) == ["1", "loop", '"loop, back"', "end"]
    assert f.blocks["1"].startswith("1:\n  %2 = call")
    assert "".join(f.blocks.values()) == "1:\n" + f.body
    assert list(g.blocks) == ["entry", "entry.1", "entry.2"]
    assert "".join(g.blocks.values()) == g.body
    assert leads_to(f.blocks["loop"]) == ['"loop, back"', "end"]
    assert leads_to(g.blocks["entry"]) == ["entry.2", "entry.1", "entry.1"]
    assert label_of('"loop, back":        ; preds = %loop') == '"loop, back"'
    assert label_of("  %2 = call ptr @found(ptr %x)") == ""


def test_walk():
    f, g = functions(MODULE)
    ended, ends = walk({name: leads_to(text) for name, text in f.blocks.items()})
    assert ended == ['"loop, back"', "end", "loop", "1"]
    assert ends == {"loop": ['"loop, back"']}
    ended, ends = walk({name: leads_to(text) for name, text in g.blocks.items()})
    assert ended == ["entry.2", "entry.1", "entry"]
    assert ends == {}
    # Two loops with one head, one inside of a third, and a block that nothing leads to.
    ways = {"a": "b", "b": "cd", "c": "b", "d": "bde", "e": "a", "f": "a"}
    assert walk(ways) == (["c", "e", "d", "b", "a"], {"b": ["c", "d"], "d": ["d"], "a": ["e"]})


def test_the_rest_of_a_module():
    assert allocators(MODULE) == {"malloc", '"new.array<double>"'}
    assert next_node(MODULE) == 4
    assert next_node("define void @f() {\n  ret void\n}\n") == 0


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("i64, double", ["i64", "double"]),
        ("{ ptr, [2 x i64] }, <2 x float>", ["{ ptr, [2 x i64] }", "<2 x float>"]),
        ("ptr f(a, b) %x", ["ptr f(a, b) %x"]),
        ("", []),
    ],
)
def test_items(text, items):
    assert split(text) == items


def test_brackets():
    assert bracketed("(ptr captures(none) %x) #0 {") == "(ptr captures(none) %x)"
    assert bracketed("{ ptr, [2 x i64] } %a, 1") == "{ ptr, [2 x i64] }"
    assert bracketed("[unclosed") == "[unclosed"


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ("phi double [ 1.000000e+00, %a ], [ %x, %b ]", "double"),
        ("phi <2 x double> [ %x, %a ], [ %y, %b ]", ""),
        ("getelementptr inbounds [4 x double], ptr %p, i64 0, i64 %i", "ptr"),
        ("getelementptr double, ptr %p, <2 x i64> %i", ""),
        ("load volatile float, ptr %p, align 4, !tbaa !3", "float"),
        ("load { double, double }, ptr %p, align 8", ""),
        ("extractelement <2 x double> %x, i64 0", ""),
        ("fcmp fast olt double %x, %y", "i1"),
        ("select fast i1 %c, double %x, double 0.000000e+00", "double"),
        ("select i1 %c, ptr %p, ptr %q", "ptr"),
        ("icmp ult <8 x ptr> %p, %q", ""),
        ('call i32 @f(i64 2, ptr "enzyme_type"="{[-1]:Pointer}" %p)', "i32"),
        ("bitcast <8 x i1> %x to i8", "i8"),
        ("ptrtoint ptr %p to i64", "i64"),
        ("zext nneg i32 %i to i64", "i64"),
        ("tail call fastcc range(i64 0, 9) i64 @f(double %x), !range !{i64 0, i64 9}", "i64"),
        ("add nuw nsw i64 %i, 1", "i64"),
        ("fmul reassoc contract double %x, %y", "double"),
        ("freeze i1 %c", "i1"),
    ],
)
def test_types(operation, kind):
    assert type_made(operation) == kind
