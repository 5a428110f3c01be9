"""Constant arrays of a program: global ones, those of closures; small, large, with gaps."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest

from llvm import hvp
from llvm._constants import with_numbers
from llvm._lower import lower
from tests.gradient_checks import CHECKS, Case
from tests.own_cache import use_own_cache

X = np.random.default_rng(7).standard_normal(5)

LARGE = np.linspace(1.0, 2.0, 130_000)
LARGE_COLUMNS = np.asfortranarray(np.linspace(-1.0, 1.0, 2800).reshape(70, 40))
GAPS = np.arange(40.0).reshape(5, 8)[:, ::-2].T
LARGE_GAPS = np.linspace(0.0, 3.0, 5000).reshape(50, 100)[::-1, ::3]
STEPS = (np.arange(9000) % 5)[::3]
IMAGINARY: Any = np.exp(1j * np.arange(3000.0))
CLOSED = np.linspace(-1.0, 1.0, 3000)


@numba.njit
def large(x):
    """Items at fixed places too, of which LLVM, in Enzyme, died."""
    total = (LARGE[: x.size] * x).sum() + LARGE[7] * x[0] + LARGE[0] * x[1]
    for i in range(x.size):
        total += LARGE[1000 * i] * x[i] ** 2
    return total


@numba.njit
def columns(x):
    return (LARGE_COLUMNS[3:8, 2] * x**2).sum() + LARGE_COLUMNS[1, 30] * x[0]


@numba.njit
def gaps(x):
    total = (GAPS[3] * x**2).sum() + GAPS[2, 1] * x[0]
    for i in range(x.size):
        total += LARGE_GAPS[i, i + 2] * x[i] ** 2 + LARGE_GAPS[1, 2] * x[0]
    return total


@numba.njit
def indices(x):
    total = 0.0
    for i in range(8):
        total += x[STEPS[i]] ** 2 * (i + 1)
    return total


@numba.njit
def imaginary(x):
    return np.real((IMAGINARY[: x.size] * x**2).sum()) + IMAGINARY[1000].imag * x[0]


@numba.njit
def one_or_the_other(x):
    """A name stands for what varies or for a constant."""
    total = 0.0
    for k in range(2):
        row = x if k else LARGE
        for i in range(x.size):
            total += row[i] * x[i] ** 2
    return total


def of_a_closure():
    large, small = CLOSED, GAPS

    @numba.njit
    def closed(x):
        return (large[10:15] * x**2).sum() + small[1, 2] * x[0]

    return closed


EXACT = {
    large: lambda x: LARGE[:5] + 2 * LARGE[:5000:1000] * x + [LARGE[7], LARGE[0], 0, 0, 0],
    columns: lambda x: 2 * LARGE_COLUMNS[3:8, 2] * x + [LARGE_COLUMNS[1, 30], 0, 0, 0, 0],
    gaps: lambda x: (
        2 * (GAPS[3] + LARGE_GAPS[range(5), range(2, 7)]) * x
        + [GAPS[2, 1] + 5 * LARGE_GAPS[1, 2], 0, 0, 0, 0]
    ),
    indices: lambda x: 2 * x * np.bincount(STEPS[:8], np.arange(1.0, 9.0), 5),
    imaginary: lambda x: 2 * IMAGINARY[:5].real * x + [IMAGINARY[1000].imag, 0, 0, 0, 0],
    one_or_the_other: lambda x: 2 * LARGE[:5] * x + 3 * x**2,
    of_a_closure(): lambda x: 2 * CLOSED[10:15] * x + [GAPS[1, 2], 0, 0, 0, 0],
}
CASES = [Case(function=f, arguments=(X,), exact=exact) for f, exact in EXACT.items()]


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__)
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_gradient(case, check):
    check(case)


def test_second_derivative():
    want = 2 * LARGE[:5000:1000] * X
    np.testing.assert_allclose(hvp(large, (X,), (X,))[1], want, rtol=1e-14)


def test_large_numbers_come_after_enzyme():
    text = lower(large, (numba.typeof(X),)).ir
    assert len(text) < LARGE.nbytes
    assert len(with_numbers(text)) > 3 * LARGE.nbytes


PROGRAM = """
import sys
import numba, numpy as np
from llvm import compiled
padding = [np.zeros(200_000) for _ in range(int(sys.argv[1]))]
TABLE = np.linspace(1.0, 2.0, 130_000)
@numba.njit
def last(x):
    return TABLE[-1] * x[0] + TABLE[::1000].sum()
print(compiled(last)(np.array([3.0])), last(np.array([3.0])))
"""


def test_another_process_has_them_elsewhere(tmp_path, monkeypatch):
    """With addresses in code that is kept, the second process ended with a segmentation fault."""
    use_own_cache(monkeypatch, tmp_path)
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    for padding in "05":
        made = subprocess.run(
            [sys.executable, program, padding],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
            capture_output=True,
            text=True,
            check=True,
        )
        found, want = made.stdout.split()
        assert found == want
