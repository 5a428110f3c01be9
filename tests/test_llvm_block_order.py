"""Arrays that several loops read and that are then overwritten, differentiated backwards.

With blocks in the order in which they run, Enzyme serves later loops from what it kept of the
first, at an index that belongs to the first: most of the cases below were wrong without a word.
"""

import llvmlite.binding
import numba
import numpy as np
import pytest

import llvm._ordered_runs
from llvm import AutodiffError, grad
from llvm._block_order import optimised, reordered
from llvm._undefined import undefined_use
from tests.gradient_checks import CHECKS, Case

DTYPES = (np.complex128, np.complex64, np.float64, np.float32)


def numbers(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    made = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    return (made if np.dtype(dtype).kind == "c" else made.real).astype(dtype)


@numba.njit
def root_of_squares(a):
    total = 0.0
    for i in range(a.size):
        total += a[i].real ** 2
    return np.sqrt(total)


@numba.njit
def cubes(a):
    total = 0.0
    for i in range(a.size):
        total += a[i].real ** 3
    return total


@numba.njit
def square_in_place(a):
    for i in range(a.size):
        a[i] = a[i] * a[i]


@numba.njit
def called_twice(a):
    r = root_of_squares(a) + 2 * root_of_squares(a)
    square_in_place(a)
    return r + a[0].real


def of_called_twice(a):
    gradient = 3 * a.real / np.sqrt((a.real**2).sum()) + 0 * a
    gradient[0] += 2 * np.conj(a[0])
    return gradient


@numba.njit
def three_loops(a):
    squares = 0.0
    for i in range(a.size):
        squares += a[i].real ** 2
    powers = 0.0
    for i in range(a.size):
        powers += np.exp(a[i].real)
    products = 0.0
    for i in range(a.size):
        products += a[i].real * (2 * a[i].real + a[i].imag)
    a[:] = 0
    return squares * powers * products


def of_three_loops(a):
    x, y, powers = a.real, a.imag, np.exp(a.real)
    squares, products = (x**2).sum(), (x * (2 * x + y)).sum()
    by_x = (2 * x * products + squares * (4 * x + y)) * powers.sum() + squares * products * powers
    return by_x + 1j * x * squares * powers.sum() if a.dtype.kind == "c" else by_x


@numba.njit
def row_by_row(m):
    """The loops that read are both in a third: the index was a number, though the wrong one."""
    total = 0.0
    for k in range(m.shape[0]):
        squares = 0.0
        for i in range(m.shape[1]):
            squares += m[k, i].real ** 2
        others = 0.0
        for i in range(m.shape[1]):
            others += m[k, i].real ** 3
        total += squares * others
    for k in range(m.shape[0]):
        for i in range(m.shape[1]):
            m[k, i] = 0
    return total


def of_row_by_row(m):
    x = m.real
    squares, others = (x**2).sum(axis=1, keepdims=True), (x**3).sum(axis=1, keepdims=True)
    return 2 * x * others + 3 * x**2 * squares + 0 * m


@numba.njit
def first_column(m):
    squares = 0.0
    for i in range(m.shape[0]):
        squares += m[i, 0].real ** 2
    others = 0.0
    for i in range(m.shape[0]):
        others += m[i, 0].real ** 3
    m[:] = 0
    return squares * others


def of_first_column(m):
    gradient = np.zeros_like(m)
    x = m[:, 0].real
    gradient[:, 0] = 2 * x * (x**3).sum() + 3 * x**2 * (x**2).sum()
    return gradient


@numba.njit
def every_second(a):
    b = a[::2]
    squares = 0.0
    for i in range(b.size):
        squares += b[i].real ** 2
    others = cubes(b)
    a[:] = a * a
    return squares * others + a[1].real


def of_every_second(a):
    gradient = np.zeros_like(a)
    x = a[::2].real
    gradient[::2] = 2 * x * (x**3).sum() + 3 * x**2 * (x**2).sum()
    gradient[1] = 2 * np.conj(a[1])
    return gradient


@numba.njit
def local(a):
    b = a * a
    r = root_of_squares(b) * cubes(b)
    square_in_place(b)
    return r + b.real.sum()


@numba.njit
def unrolled_steps(a):
    """LLVM unrolls the steps, and sets the copies of their loops in the order in which they run."""
    total = 0.0
    for _ in range(3):
        squares = 0.0
        for i in range(a.size):
            squares += a[i].real ** 2
        others = cubes(a)
        for i in range(a.size):
            a[i] = a[i] * (1 + 1e-2 * squares)
        total += np.sqrt(squares) * others
    return total + a[0].imag + a[1].real


@numba.njit
def unrolled_powers(a):
    total = 1.0
    for power in range(2, 5):
        powers = 0.0
        for i in range(a.size):
            powers += a[i].real ** power
        total *= powers
    a[:] = 0
    return total


def of_unrolled_powers(a):
    x = a.real
    sums = {p: (x**p).sum() for p in (2, 3, 4)}
    whole = sums[2] * sums[3] * sums[4]
    return sum(p * x ** (p - 1) * whole / sums[p] for p in sums) + 0 * a


@numba.njit
def normalised(a):
    """In turns, as models of waves do it: norm, moment, division, two more moments, squares."""
    power = 0.0
    for i in range(a.size):
        power += a[i].real ** 2 + a[i].imag ** 2
    fourth = 0.0
    for i in range(a.size):
        fourth += (a[i].real ** 2 + a[i].imag ** 2) ** 2
    for i in range(a.size):
        a[i] /= np.sqrt(power)
    product = 0.0
    for i in range(a.size):
        product += a[i].real * (a[i].imag + 1)
    third = cubes(a)
    square_in_place(a)
    return fourth + product * third + a[1].imag


CASES = [
    Case(
        function=function,
        arguments=(numbers((3, 4) if matrix else 6, dtype),),
        scratch=(0,),
        exact=exact,
        eps=float(np.finfo(dtype).eps),
    )
    for function, matrix, exact in (
        (called_twice, False, of_called_twice),
        (three_loops, False, of_three_loops),
        (row_by_row, True, of_row_by_row),
        (first_column, True, of_first_column),
        (every_second, False, of_every_second),
        (local, False, None),
        (unrolled_steps, False, None),
        (unrolled_powers, False, of_unrolled_powers),
        (normalised, False, None),
    )
    for dtype in DTYPES
]


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.name}-{c.arguments[0].dtype}")
def test_overwritten(case, check):
    check(case)


# What has no value.


def module(line):
    return f"""
define double @sound(ptr %undef, i1 %c, i64 %poison) {{
entry:
  %whole = insertvalue {{ double, double }} poison, double 1.0, 0
  br i1 %c, label %more, label %done
more:
  %x = load double, ptr %undef, align 8, !tbaa !0
  call void @take(ptr undef, i64 %poison)
  br label %done
done:
  %kept = phi ptr [ undef, %entry ], [ %undef, %more ]
  ret double 0.0
}}

define void @pkg_unsound(ptr %p, double %x, i1 %c) {{
  {line}
  ret void
}}
"""


@pytest.mark.parametrize(
    "line",
    [
        "%q = getelementptr inbounds double, ptr %p, i64 undef",
        "%q = getelementptr { double, double }, ptr %p, i64 poison, i32 1",
        '%"iv\'ac q" = load double, ptr undef, align 8',
        "store double %x, ptr poison, align 8",
        "store double undef, ptr %p, align 8",
        "%y = fadd afn double %x, undef",
        "%y = fcmp olt double undef, %x",
        "br i1 undef, label %a, label %b",
        "%y = select i1 %c, double undef, double %x",
    ],
)
def test_undefined_use(line):
    assert undefined_use(module(line)) == ("pkg_unsound", line)


@pytest.mark.parametrize(
    "line", ["", "%y = fneg double %x, !undef !0", "call void @take(ptr undef, i64 undef)"]
)
def test_no_undefined_use(line):
    assert undefined_use(module(line)) is None


def test_a_derivative_with_undefined_uses_is_refused(monkeypatch):
    monkeypatch.setattr(llvm._ordered_runs, "needs_order", lambda ir: False)

    @numba.njit
    def unordered(a):
        r = root_of_squares(a) + 3 * root_of_squares(a)
        square_in_place(a)
        return r + a[0].real

    wanted = r"derivative of `.*unordered`, reverse mode, .*nothing has set.*Got `.*undef`.*another"
    with pytest.raises(AutodiffError, match=wanted) as caught:
        grad(unordered)(numbers(6, np.complex128))
    assert caught.value.stage == "differentiate"
    assert caught.value.symbol == "derivative"


# The order of blocks.

LOOPS = """
declare void @__enzyme_double(ptr, i64)

define double @f(ptr %0, i64 %1) {
  br label %3

3:                                                ; preds = %3, %2
  %4 = phi i64 [ 0, %2 ], [ %5, %3 ]
  %5 = add i64 %4, 1
  %6 = icmp eq i64 %5, %1
  br i1 %6, label %"in between", label %3

"in between":                                     ; preds = %3
  switch i64 %1, label %named [
    i64 7, label %named
    i64 9, label %7
  ]

7:                                                ; preds = %7, %"in between"
  %8 = phi i64 [ 0, %"in between" ], [ %9, %7 ]
  %9 = add i64 %8, 1
  %10 = icmp eq i64 %9, %1
  br i1 %10, label %named, label %7

named:                                            ; preds = %7, %"in between", %"in between"
  %11 = load double, ptr %0, align 8
  ret double %11

unreachable.1:
  br label %unreachable.1
}

define void @g() {
  ret void
}
"""


def test_blocks_come_behind_what_they_lead_to():
    made = llvmlite.binding.parse_assembly(reordered(LOOPS))
    made.verify()
    f, g = (made.get_function(name) for name in "fg")
    names = [block.name for block in f.blocks]
    assert names == ["-2", "named", "-7", "in between", "-3", "unreachable.1"]
    assert [str(i).split()[0] for block in g.blocks for i in block.instructions] == ["ret"]
    before = llvmlite.binding.parse_assembly(LOOPS).get_function("f")
    counts = [sum(1 for b in fn.blocks for _ in b.instructions) for fn in (before, f)]
    assert counts == [13, 13]
    # Done twice it is the same.
    assert str(llvmlite.binding.parse_assembly(reordered(str(made)))) == str(made)


def test_what_is_to_be_done_is_hidden_while_optimising():
    seen = []

    def optimise(ir):
        seen.append(ir)
        return f"{ir}\ndeclare void @__enzyme_autodiff_trigger(...)\n"

    made = optimised(LOOPS, optimise)
    assert "__enzyme_" not in seen[0]
    # Or LLVM would take it for a call that may change and keep what the pointer leads to.
    assert "double(ptr captures(none), i64) nofree nosync nounwind willreturn memory(" in seen[0]
    assert "@__enzyme_double(" in made
    assert "trigger" not in made
