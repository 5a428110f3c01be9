"""The maps as a device runs them, on the host thread by thread: they are those of the CPU."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import sht
from enzyme_rules._cupy import DeviceError
from sht import _device
from sht._device import device_maps, run_map
from sht._device_legendre import STEPS
from sht._legendre_tables import BLOCK
from sht.grids import (
    FullClenshaw,
    FullGaussian,
    HEALPix,
    OctaHEALPix,
    OctahedralGaussian,
    OctaminimalGaussian,
    Rings,
)
from tests.sht_cases import MAPS, RULES, Case, cases_and_maps, difference, given_to
from tests.sht_grid_cases import ANY

# All float64 cases share their kernels, those with spin too: Legendre has eight, with their
# transposes, and float32 has four of its own.
CASES = [
    Case(FullGaussian(1, 1), 0),
    Case(FullGaussian(32, 64), 31),
    Case(FullGaussian(33, 63), 31, 9),
    Case(FullClenshaw(9, 20), 5, aliasing="fold"),
    Case(FullGaussian(9, 2), 8, aliasing="fold"),
    Case(OctahedralGaussian.for_lmax(127), 127),
    # Large enough for functions that begin to matter at a step in between.
    Case(OctahedralGaussian.for_lmax(255), 255),
    Case(HEALPix(64), 191, spin=2, aliasing="fold"),
    Case(OctahedralGaussian(12), 20, orders=RULES[1], aliasing="fold"),
    Case(OctaminimalGaussian(6), 9, aliasing="fold", truncation="rhomboidal"),
    Case(HEALPix(8), 23, aliasing="fold"),
    Case(OctaHEALPix(5), 8),
    *(Case(grid, 5, aliasing="fold") for grid in ANY),
    Case(FullGaussian(8, 15), 7, spin=1),
    Case(HEALPix(8), 20, spin=2, aliasing="fold"),
    Case(OctahedralGaussian(12), 15, 12, spin=6, truncation="rhomboidal"),
    Case(OctahedralGaussian(6), 10, spin=11),  # no degree as high as the spin
    *(Case(grid, 5, 4, spin=2, aliasing="fold") for grid in ANY),
    Case(FullGaussian(8, 15), 7, spin=1, vectors=True),
    Case(OctahedralGaussian.for_lmax(127), 127, spin=1, vectors=True),
    Case(OctahedralGaussian(12), 15, 12, spin=1, vectors=True, truncation="rhomboidal"),
    Case(FullGaussian(5, 6), 4, 0, spin=1, vectors=True),
    *(Case(grid, 5, 4, spin=1, vectors=True, aliasing="fold") for grid in ANY),
    Case(FullGaussian(33, 64), 31, dtype="float32"),
    Case(HEALPix(8), 20, dtype="float32", aliasing="fold"),
]
SOME = [
    Case(FullGaussian(33, 64), 31),
    Case(OctahedralGaussian(12), 20),
    Case(HEALPix(4), 12, spin=2, aliasing="fold"),
    Case(OctahedralGaussian.for_lmax(255), 255),
    Case(HEALPix(4), 12, spin=1, vectors=True, aliasing="fold"),
]
BOTH_WAYS = ("synthesis", "analysis")


@pytest.mark.parametrize(("case", "name"), cases_and_maps(CASES), ids=str)
def test_equals_the_cpu(case, name):
    t = case.transform()
    given = given_to(name, t, 1, (3,))
    kept = given.copy()
    got, want = run_map(name, t, given), getattr(t, name)(given)
    assert difference(got, want) <= case.tolerance
    assert np.array_equal(given, kept)


@pytest.mark.parametrize(("case", "name"), cases_and_maps(CASES, BOTH_WAYS), ids=str)
def test_dot(case, name):
    t, adjoint = case.transform(), "adjoint_" + name
    x, y = given_to(name, t, 2, (2,)), given_to(adjoint, t, 3, (2,))
    forth, back = run_map(name, t, x), run_map(adjoint, t, y)
    scale = np.linalg.norm(forth) * np.linalg.norm(y)
    eps = 1e-15 if case.dtype == "float64" else 1e-6
    assert abs(dot(forth, y) - dot(x, back)) <= eps * scale


def dot(x, y):
    """Re Σ conj(x) y in float64."""
    return float(np.vdot(np.asarray(x, complex), np.asarray(y, complex)).real)


@pytest.mark.parametrize("name", MAPS)
def test_spin_in_single_precision(name):
    """Beside double precision, since the CPU's maps take long to compile."""
    grid = HEALPix(4)
    t, double = (
        sht.SpinTransform(2, 12, grid, dtype=dtype, aliasing="fold")
        for dtype in ("float32", "float64")
    )
    given = given_to(name, t, 11, (2,))
    source = double.coefficients if np.iscomplexobj(given) else double.fields
    want = run_map(name, double, given.astype(source.dtype))
    got = run_map(name, t, given)
    assert difference(got, want.astype(got.dtype)) <= 1e-6


@pytest.mark.parametrize("name", BOTH_WAYS)
@pytest.mark.parametrize(
    "case",
    [
        Case(FullGaussian(6, 11), 5),
        Case(Rings([0.5, 1.5, 2.5], [3, 8, 4], [0.0, 0.1, -0.2]), 5, aliasing="fold"),
        Case(OctahedralGaussian(4), 5, spin=1, aliasing="fold"),
    ],
    ids=str,
)
def test_adjoints_are_the_transposed_matrices(case, name):
    if not case.grid.has_weights and name == "analysis":
        name = "synthesis"
    t = case.transform()
    matrices = []
    for one in (name, "adjoint_" + name):
        source = t.coefficients if one in ("synthesis", "adjoint_analysis") else t.fields
        units = np.eye(int(np.prod(source.shape)))
        if source.dtype.kind == "c":
            units = np.concatenate([units, 1j * units])
        columns = run_map(one, t, units.reshape(-1, *source.shape).astype(source.dtype))
        columns = columns.reshape(len(units), -1)
        parts = [np.real(columns), np.imag(columns)]
        matrices.append(np.concatenate(parts[: 2 if np.iscomplexobj(columns) else 1], axis=1))
    forth, back = matrices
    assert np.max(np.abs(forth - back.T)) <= 1e-15 * np.max(np.abs(forth)) * (t.lmax + 4)


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("case", SOME, ids=str)
def test_the_same_bits_in_every_run(case, name):
    t = case.transform()
    given = given_to(name, t, 4, (5,))
    once = run_map(name, t, given)
    assert np.array_equal(run_map(name, t, given), once)
    function, arguments = t.__reduce__()[:2]
    another = function(*arguments)
    assert not another.devices
    assert np.array_equal(run_map(name, another, given), once)


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("case", SOME, ids=str)
def test_however_it_is_divided(case, name, monkeypatch):
    """Windows of one block, of some, or all at once; fields one by one, or all at once."""
    t = case.transform()
    given = given_to(name, t, 5, (3,))
    want = run_map(name, t, given)
    passes, ngroups, ntiles = t.legendre.first.shape
    each = passes * ngroups * ntiles * 2 * BLOCK * 8
    for count, size in ((1, 1 << 30), (2, 1 << 30), (1, 1)):
        monkeypatch.setattr(_device, "_FUNCTION_BYTES", (count + 1) * each)
        monkeypatch.setattr(_device, "_BYTES", size)
        assert next(device_maps(t, None)._windows())[0].count <= count
        assert np.array_equal(run_map(name, t, given), want)


@pytest.mark.parametrize("case", SOME, ids=str)
def test_imaginary_parts_of_order_zero(case):
    t = case.transform()
    zero = t.orders == 0
    for name in MAPS:
        given = given_to(name, t, 6)
        result = run_map(name, t, given)
        if np.iscomplexobj(result):
            assert not np.any(np.imag(result)[..., zero])
        else:
            other = given.copy()
            other[..., zero] += 1j
            assert np.array_equal(run_map(name, t, other), result)


def test_functions_begin_at_multiples_of_steps():
    t = SOME[3].transform()
    tables = device_maps(t, None)._tables.legendre
    first, aligned = t.legendre.first, tables.first
    matter = first < np.diff(t.legendre.starts)[:, None]
    assert np.any(first[matter] % STEPS)
    assert np.array_equal(aligned[matter], first[matter] // STEPS * STEPS)
    assert not np.any(aligned % STEPS)
    assert not np.any(tables.starts % STEPS)


def test_shapes_of_batches():
    t = SOME[1].transform()
    for name in MAPS:
        for batch in ((), (1,), (2, 2), (0,)):
            given = given_to(name, t, 7, batch)
            assert difference(run_map(name, t, given), getattr(t, name)(given)) <= 1e-13


def test_tables_stay_as_they_are():
    t = SOME[2].transform()
    for name in MAPS:
        run_map(name, t, given_to(name, t, 8))
    tables = device_maps(t, None)._tables
    arrays = [x for part in tables for x in (part if isinstance(part, tuple) else (part,))]
    before = [np.copy(x) for x in arrays]
    for name in MAPS:
        run_map(name, t, given_to(name, t, 9))
    assert all(np.array_equal(x, y) for x, y in zip(arrays, before, strict=True))


def test_too_little_memory_says_for_what(monkeypatch):
    t = SOME[0].transform()
    given = given_to("adjoint_analysis", t, 10, (2,))

    def none_left(*_):
        raise MemoryError("nothing left")

    monkeypatch.setattr(np, "zeros", none_left)
    with pytest.raises(MemoryError) as caught:
        run_map("adjoint_analysis", t, given)
    assert "`adjoint_analysis` of 2 fields at a time" in caught.value.__notes__[0]


# Arrays on a device, where there is none: what is said before one is needed


def on_device(device: int = 0) -> Any:
    """What DLPack says of an array on a CUDA device; nothing else of it is read."""
    return SimpleNamespace(__dlpack_device__=lambda: (2, device))


def test_arrays_in_two_places():
    t = sht.VectorTransform(5, FullGaussian(6, 12))
    field, a = np.empty(t.fields.shape), np.empty(*t.coefficients)
    with pytest.raises(DeviceError, match=r"`sht.VectorTransform.synthesis\(a\)` needs all arrays"):
        t.synthesis(on_device(), out=field)
    with pytest.raises(DeviceError, match="on device 0 and the host"):
        t.analysis(field, out=on_device())
    with pytest.raises(DeviceError, match="on device 0 and device 1"):
        t.adjoint_synthesis(on_device(0), out=on_device(1))
    with pytest.raises(DeviceError, match=r"`sht.VectorTransform.winds\(vordiv\)` needs all"):
        t.winds(on_device(), out=field)
    with pytest.raises(DeviceError, match=r"`sht.VectorTransform.divergence\(uv\)` needs all"):
        t.divergence(on_device(), out=a)


def test_what_runs_on_the_host_alone():
    grid = FullGaussian(6, 12)
    with pytest.raises(TypeError, match=r"`sht.Interpolator.interpolate\(.*\)` runs on the host"):
        sht.Interpolator(grid, 1.0, 1.0).interpolate(on_device())
    with pytest.raises(
        TypeError, match=r"`sht.GeometryTransform.synthesis\(.*\)` runs on the host"
    ):
        sht.GeometryTransform(5, grid).synthesis(on_device())
