"""Kernels of the transform as PTX: NVIDIA's assembler takes them; each thread writes its own."""

import re

import numpy as np
import pytest

from llvm import Const, Duplicated, Reverse, kernel, ptx
from llvm._cuda_files import assemble
from sht._device_blocks import analysis_of_block, synthesis_of_block
from sht._device_fourier import points_of_values, spectra_of_sums, sums_of_spectra, values_of_points
from sht._device_legendre import STEPS, Window
from sht._device_orders import _kernel_of
from sht._device_pack import pack_of, unpack_of
from sht._device_points import functions_of_point, order_at_points, values_of_orders
from sht._device_tables import make_device_tables
from sht._device_tiles import analysis_of_tile, functions_of, synthesis_of_tile
from sht._order_sums import make_order_tables
from sht._simd import RINGS
from sht._wigner import quarter_turn_of
from sht.filters import filter_order
from sht.grids import FullGaussian
from sht.layouts._truncate import truncate_order
from sht.rotation import turn_order
from sht.spectra import spectrum_of_degree
from tests.sht_cases import Case
from tests.sht_operator_cases import ORDERS, each_operator, given_to, radius_of, wanted_of

TABLES = make_device_tables(Case(FullGaussian(6, 11), 5).transform())
F8, F4, C16, C8 = (np.zeros(1, dtype) for dtype in ("f8", "f4", "c16", "c8"))
WINDOW = Window(0, 1)
# Kernels with their arguments; transposed ones without the first two, the output and the input.
PLAIN = {
    "pack": (pack_of, F8, C16, TABLES.packing, 1),
    "pack-float32": (pack_of, F8, C8, TABLES.packing, 1),
    "unpack": (unpack_of, C16, F8, TABLES.packing, 1),
    "unpack-float32": (unpack_of, C8, F8, TABLES.packing, 1),
    "spectra": (spectra_of_sums, C16, F8, TABLES.fourier, 1, 0),
    "spectra-float32": (spectra_of_sums, C8, F8, TABLES.fourier, 1, 0),
    "sums": (sums_of_spectra, F8, C16, TABLES.fourier, 1, 0),
    "sums-float32": (sums_of_spectra, F8, C8, TABLES.fourier, 1, 0),
    "points": (points_of_values, F8, F8, TABLES.fourier, 1),
    "points-float32": (points_of_values, F4, F4, TABLES.fourier, 1),
    "values": (values_of_points, F8, F8, TABLES.fourier, 1),
    "values-float32": (values_of_points, F4, F4, TABLES.fourier, 1),
    "synthesis": (synthesis_of_tile, F8, F8, TABLES.legendre, 1),
    "functions": (functions_of, F8, TABLES.legendre, WINDOW),
    "analysis": (analysis_of_block, F8, F8, F8, TABLES.legendre, 1, WINDOW),
}
TRANSPOSED = {
    "adjoint-analysis": (analysis_of_tile, F8, TABLES.legendre, 1),
    "adjoint-synthesis": (synthesis_of_block, F8, F8, TABLES.legendre, 1, WINDOW),
}


def compiled(name, architecture):
    """PTX of one of the kernels."""
    if name in PLAIN:
        body, *arguments = PLAIN[name]
        return ptx(kernel(body, atomics=False)[1], *arguments, architecture=architecture)
    body, *rest = TRANSPOSED[name]
    activities = Duplicated(F8, None), Duplicated(F8, None), *map(Const, rest)
    launch = kernel(body, atomics=False)[1]
    return ptx(launch, *activities, mode=Reverse, linear=True, architecture=architecture)


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90", "sm_100"])
@pytest.mark.parametrize("name", [*PLAIN, *TRANSPOSED])
def test_assembles(name, architecture):
    code, said = assemble(compiled(name, architecture), architecture)
    assert code.startswith(b"\x7fELF")
    assert set(re.findall(r"(\d+) bytes (?:stack frame|spill \w+)", said)) == {"0"}


@pytest.mark.parametrize("name", [*PLAIN, *TRANSPOSED])
def test_nothing_is_atomic_allocated_or_raised(name):
    """What raises an exception says so atomically, and a launch then waits for the device."""
    text = compiled(name, "sm_90")
    assert not re.search(r"\b(?:atom|red)\.", text)
    assert "device_next" not in text


# Steps are 4 sums for each ring, and the recurrence two operations: all of them fused. What a
# thread writes, it owns: no store in a loop but that of its own sums, coefficients and state, so
# that a transposed map never writes the shadow that all threads read.


@pytest.mark.parametrize(
    ("name", "steps", "stores"),
    [
        ("synthesis", 1, 4 * RINGS),
        ("adjoint-analysis", 1, 4 * RINGS + RINGS),
        ("analysis", STEPS, 4),
        ("adjoint-synthesis", STEPS, 4 * STEPS + RINGS),
    ],
)
def test_work_of_a_step(name, steps, stores):
    text = compiled(name, "sm_90")
    loop = innermost(text)
    last = 1 if steps == 1 else steps - 1  # a block ends without going on to the next step
    assert len(re.findall(r"\bfma\.rn\.f64", loop)) == 4 * RINGS * steps + 2 * RINGS * last
    assert not re.search(r"\b(?:add|sub|mul)(?:\.rn)?\.f64", loop)
    assert not re.search(r"\bst\.", loop)
    assert len(re.findall(r"\bst\.global", text)) == stores


def innermost(text):
    """The longest loop without a jump into or inside of it."""
    found = re.findall(r"^(\$\w+):((?:(?!^\$\w+:)[\s\S])*?bra[.\w]*\s+\1;)", text, re.M)
    return max((body for _, body in found), key=len)


@pytest.mark.parametrize("transposed", [False, True], ids=["plain", "transposed"])
@each_operator
def test_operators(name, transposed):
    """Nothing atomic, though transposed they scatter: they do so in turns."""
    output, given = wanted_of(name, 5, 4, (1,)), given_to(name, 5, 4, (1,))
    launch = _kernel_of(ORDERS[name])[1]
    rest = 5, 4, 0, 3 if transposed else 1, radius_of(name)
    for architecture in ("sm_80", "sm_90", "sm_100"):
        if transposed:
            arguments = Duplicated(output, None), Duplicated(given, None), *map(Const, rest)
            options = {"mode": Reverse, "linear": True}
        else:
            arguments, options = (output, given, *rest), {}
        text = ptx(launch, *arguments, architecture=architecture, **options)
        _assert_plain(text, architecture)


def _assert_plain(text, architecture, kept="(?:stack frame|spill \\w+)"):
    code, said = assemble(text, architecture)
    assert code.startswith(b"\x7fELF")
    assert set(re.findall(rf"(\d+) bytes {kept}", said)) == {"0"}
    assert not re.search(r"\b(?:atom|red)\.", text)
    assert "device_next" not in text


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90", "sm_100"])
def test_values_at_points(architecture):
    sums, values, functions = np.zeros((1, 5, 2)), np.zeros((1, 1)), np.zeros((4, 5))
    t, a = make_order_tables(5, 4), np.zeros((1, 20), complex)
    by_orders = a, F8, functions, F8, t, 1, 1
    by_points = functions, 5
    plain = {
        functions_of_point: (functions, F8, F8, t.ratio),
        order_at_points: (sums, *by_orders),
        values_of_orders: (values, sums, *by_points),
    }
    for body, arguments in plain.items():
        text = ptx(kernel(body, atomics=False)[1], *arguments, architecture=architecture)
        _assert_plain(text, architecture, r"spill \w+")  # cos and sin have a stack
    transposed = {
        order_at_points: (Duplicated(sums, None), Duplicated(a, None), *map(Const, by_orders[1:])),
        values_of_orders: (
            *(Duplicated(values, None), Duplicated(sums, None)),
            *map(Const, by_points),
        ),
    }
    for body, activities in transposed.items():
        launch, options = kernel(body, atomics=False)[1], {"mode": Reverse, "linear": True}
        text = ptx(launch, *activities, architecture=architecture, **options)
        _assert_plain(text, architecture, r"spill \w+")  # cos and sin have a stack


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90", "sm_100"])
def test_rotations(architecture):
    a = np.zeros((1, 21), complex)
    for transposed in (0, 1):
        launch = kernel(quarter_turn_of, atomics=False)[1]
        _assert_plain(ptx(launch, a, a, 5, transposed, architecture=architecture), architecture)
    rest = 5, 5, 0, 1, (0.1, 1)
    text = ptx(_kernel_of(turn_order)[1], a, a, *rest, architecture=architecture)
    _assert_plain(text, architecture, r"spill \w+")


@pytest.mark.parametrize("dtype", ["complex128", "complex64"])
def test_filters_spectra_and_truncation(dtype):
    a = np.zeros((1, 20), dtype)
    c = np.zeros((1, 6), a.real.dtype)
    for order, rest in ((filter_order, (np.zeros(6),)), (truncate_order, (5, 4))):
        text = ptx(_kernel_of(order)[1], a, a, 5, 4, 0, 1, rest, architecture="sm_90")
        _assert_plain(text, "sm_90")
    text = ptx(kernel(spectrum_of_degree)[1], c, a, a, 5, 4, architecture="sm_90")
    _assert_plain(text, "sm_90")
