"""Loops that may end early in a long body: Enzyme's search for a way back from there is short."""

import re

import llvmlite.binding
import numba
import numpy as np
import pytest

from llvm import grad, hvp, jvp
from llvm._early_exits import may_search_long, with_short_ways_back, without_ways_back
from llvm._target_machine import passed

RNG = np.random.default_rng(5)


# Gray and Scott's reaction and diffusion, as written by who knows NumPy. With exceptions for shapes
# that do not fit, and 500 branches, the search had 10¹² paths: it took all memory it was given.
@numba.njit
def gray_scott(u, v, feed, steps):
    u, v = u.copy(), v.copy()
    for _ in range(steps):
        uvv = u[1:-1, 1:-1] * v[1:-1, 1:-1] ** 2
        u[1:-1, 1:-1] += 0.5 * (
            0.16 * (u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:] - 4 * u[1:-1, 1:-1])
            - uvv
            + feed * (1 - u[1:-1, 1:-1])
        )
        v[1:-1, 1:-1] += 0.5 * (
            0.08 * (v[:-2, 1:-1] + v[2:, 1:-1] + v[1:-1, :-2] + v[1:-1, 2:] - 4 * v[1:-1, 1:-1])
            + uvv
            - (feed + 0.06) * v[1:-1, 1:-1]
        )
    return (v**2).sum()


@numba.njit
def gray_scott_in_loops(u, v, feed, steps):
    u, v = u.copy(), v.copy()
    n, m = u.shape
    for _ in range(steps):
        du, dv = np.zeros((n, m)), np.zeros((n, m))
        for i in range(1, n - 1):
            for j in range(1, m - 1):
                uvv = u[i, j] * v[i, j] ** 2
                lu = u[i - 1, j] + u[i + 1, j] + u[i, j - 1] + u[i, j + 1] - 4 * u[i, j]
                lv = v[i - 1, j] + v[i + 1, j] + v[i, j - 1] + v[i, j + 1] - 4 * v[i, j]
                du[i, j] = 0.16 * lu - uvv + feed * (1 - u[i, j])
                dv[i, j] = 0.08 * lv + uvv - (feed + 0.06) * v[i, j]
        for i in range(n):
            for j in range(m):
                u[i, j] += 0.5 * du[i, j]
                v[i, j] += 0.5 * dv[i, j]
    return (v**2).sum()


U, V, DU, DV = RNG.random((4, 6, 7))
POINT = (U, V, 0.035, 5)
LABEL = re.compile(r'label %"?([\w.]+)')


def close(found, want):
    """Some hundred operations for each number."""
    np.testing.assert_allclose(found, want, rtol=1e-13, atol=1e-14)


def test_gradient():
    found = grad(gray_scott, argnums=(0, 1, 2))(*POINT)
    want = grad(gray_scott_in_loops, argnums=(0, 1, 2))(*POINT)
    for one, other in zip(found, want, strict=True):
        close(one, other)


def test_forward():
    tangents = (DU, DV, 1.0, None)
    found = jvp(gray_scott, POINT, tangents)
    close(found, jvp(gray_scott_in_loops, POINT, tangents))


@pytest.mark.slow
def test_second():
    found = hvp(gray_scott, POINT, (DU, None, None, None))
    want = hvp(gray_scott_in_loops, POINT, (DU, None, None, None))
    for one, other in zip(found, want, strict=True):
        close(one, other)


def loop(diamonds):
    """A loop in a loop, which can end behind its head, and at its end."""
    lines = [
        "define i64 @f(i64 %0, ptr %p) {",
        "  br label %outer",
        "outer:",
        "  %o = phi i64 [ 0, %1 ], [ %o.next, %outer.end ]",
        "  br label %head",
        "head:",
        "  %i = phi i64 [ 0, %outer ], [ %next, %latch ]",
        '  %"a sum" = phi double [ 0.000000e+00, %outer ], [ %more, %latch ]',
        "  br label %body",
        "body:",
        "  %bad = icmp eq i64 %i, 77",
        "  br i1 %bad, label %out, label %d0",
    ]
    for k in range(diamonds):
        lines += [
            f"d{k}:",
            f"  %c{k} = load volatile i1, ptr %p",
            f"  br i1 %c{k}, label %a{k}, label %d{k + 1}",
            f"a{k}:",
            "  store volatile i64 %i, ptr %p",
            f"  br label %d{k + 1}",
        ]
    return "\n".join(
        [
            *lines,
            f"d{diamonds}:",
            "  br label %latch",
            "latch:",
            "  %next = add i64 %i, 1",
            '  %more = fadd double %"a sum", 1.0',
            "  %again = icmp slt i64 %next, %0",
            "  br i1 %again, label %head, label %outer.end",
            "outer.end:",
            "  %o.next = add i64 %o, 1",
            "  %o.again = icmp slt i64 %o.next, %0",
            "  br i1 %o.again, label %outer, label %out",
            "out:",
            "  %why = phi i64 [ %i, %body ], [ -1, %outer.end ]",
            "  ret i64 %why",
            "}",
            "",
        ]
    )


def test_short_searches_are_left_alone():
    for ir in (loop(8), "define void @g() {\n  ret void\n}\n"):
        assert with_short_ways_back(ir) == ir
        assert not may_search_long(ir)


def test_a_way_back_from_each_loop_that_is_left():
    """One for the inner loop, one for the outer, on the same edge; none behind the last branch."""
    made = with_short_ways_back(loop(40))
    module = llvmlite.binding.parse_assembly(made)
    module.verify()
    blocks = {block.name: str(block) for block in module.get_function("f").blocks}
    leads_to = {name: LABEL.findall(blocks[name]) for name in blocks if name.startswith("back.")}
    inner, outer = sorted(leads_to)
    assert leads_to == {inner: ["head", outer], outer: ["outer", "out"]}
    assert LABEL.findall(blocks["body"]) == [inner, "d0"]
    assert LABEL.findall(blocks["latch"]) == ["head", "outer.end"]
    assert may_search_long(made * 4)


def test_nothing_is_left_of_them():
    ir = loop(40)
    made = passed(without_ways_back(with_short_ways_back(ir)), "O2")
    assert "never_taken" not in made
    counts = [
        len(list(llvmlite.binding.parse_assembly(text).get_function("f").blocks))
        for text in (made, passed(ir, "O2"))
    ]
    assert counts[0] == counts[1]


@numba.njit
def adaptive(x):
    """Lorenz's equations by steps that halve and grow."""
    y, k, t, h = x[:3].copy(), np.empty((4, 3)), 0.0, 0.1
    while t < 1.0:
        for s in range(4):
            ahead = 0.5 * h if s in (1, 2) else h if s == 3 else 0.0
            z = y + ahead * (k[s - 1] if s else y * 0)
            k[s, 0] = x[3] * (z[1] - z[0])
            k[s, 1] = z[0] * (x[4] - z[2]) - z[1]
            k[s, 2] = z[0] * z[1] - x[5] * z[2]
        if np.abs(k[0] - k[3]).max() * h > 0.5:
            h *= 0.5
            continue
        y = y + h / 6 * (k[0] + 2 * k[1] + 2 * k[2] + k[3])
        t += h
        h *= 1.2
    return y.sum()


@pytest.mark.slow
def test_search_in_the_first_derivative():
    """Both derivatives in one run of Enzyme took it all memory; in two, there is a way back."""
    x, v, u = RNG.random((3, 6))
    step = 1e-4
    _, product = hvp(adaptive, (x,), (v,))
    g = [grad(adaptive)(x + k * step * v) for k in (-2, -1, 1, 2)]
    estimate = (g[0] - g[3] + 8 * (g[2] - g[1])) / (12 * step)
    np.testing.assert_allclose(product, estimate, rtol=1e-7, atol=1e-8)
    _, other = hvp(adaptive, (x,), (u,))
    np.testing.assert_allclose(product @ u, other @ v, rtol=1e-12)
