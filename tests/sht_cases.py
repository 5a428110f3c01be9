"""The table of transforms that the tests run over, each built once, and how errors grow with it."""

import dataclasses
import functools
import itertools

import numpy as np

import sht
from sht import reference
from sht.grids import (
    FullClenshaw,
    FullGaussian,
    HEALPix,
    OctaHEALPix,
    OctahedralClenshaw,
    OctahedralGaussian,
    OctaminimalGaussian,
    RingGrid,
    Rings,
)
from tests.sht_grid_cases import ANY, GRIDS, grid_name

EPS = np.finfo(np.float64).eps
MAPS = ("synthesis", "analysis", "adjoint_synthesis", "adjoint_analysis")
BATCHES = [(), (1,), (3,), (2, 4)]


@dataclasses.dataclass(frozen=True)
class Case:
    """What a transform is made of, and the reference's maps for the same."""

    grid: RingGrid
    lmax: int
    mmax: int | None = None
    spin: int = 0
    dtype: str = "float64"
    truncation: str = "triangular"
    orders: str | tuple[int, ...] = "all"
    aliasing: str = "drop"
    # Round trips from the spectrum end where they began. Not so by `grid.exact_lmax` alone: with
    # mmax < lmax a product of two functions has no more orders than 2 mmax.
    exact: bool = False
    vectors: bool = False  # the maps of a VectorTransform, those of spin 1

    def __str__(self):
        kind = f"T{self.lmax}" + (f"-m{self.mmax}" if self.mmax is not None else "")
        said = [kind, grid_name(self.grid)]
        said += ["vectors" if self.vectors else f"spin{self.spin}"] if self.spin else []
        said += [self.dtype] if self.dtype != "float64" else []
        said += [self.truncation] if self.truncation != "triangular" else []
        said += [str(self.orders).replace(" ", "")] if self.orders != "all" else []
        said += [self.aliasing] if self.aliasing != "drop" else []
        return "-".join(said)

    @property
    def highest_order(self):
        return self.lmax if self.mmax is None else self.mmax

    @functools.cached_property
    def degrees_orders(self):
        """Of the packed coefficients, by counting."""
        lmax, mmax = self.lmax, self.highest_order
        rhomboidal = self.truncation == "rhomboidal"
        pairs = [
            (l, m)
            for m in range(mmax + 1)
            for l in range(m, (m + lmax - mmax if rhomboidal else lmax) + 1)  # noqa: E741
        ]
        return np.array(pairs).T

    @functools.cached_property
    def kept(self):
        """Highest order of each ring."""
        most = {
            "all": lambda n, theta: 10**6,
            "linear": lambda n, theta: n / 2,
            "quadratic": lambda n, theta: n / 3,
            "cubic": lambda n, theta: n / 4,
            "linquad_coslat2": lambda n, theta: n / (2 + np.sin(theta) ** 2),
            "lincub_coslat": lambda n, theta: n / (2 + 2 * np.sin(theta)),
        }
        kept = self.orders
        if isinstance(kept, str):
            rule = most[kept]
            kept = [
                int(rule(n, theta))
                for n, theta in zip(self.grid.nlon, self.grid.theta, strict=True)
            ]
        kept = np.minimum(kept, self.highest_order)
        below_nyquist = [max(k for k in range(n) if k == 0 or 2 * k < n) for n in self.grid.nlon]
        return np.minimum(kept, below_nyquist) if self.aliasing == "drop" else kept

    @property
    def in_triangle(self):
        """Where the coefficients are in the triangle of the same lmax and mmax."""
        degrees, orders = self.degrees_orders
        return orders * (2 * self.lmax + 1 - orders) // 2 + degrees

    def padded(self, a):
        """Coefficients among those of the triangle, the others 0."""
        triangle = np.zeros((*a.shape[:-1], sht.ncoef(self.lmax, self.mmax)), a.dtype)
        triangle[..., self.in_triangle] = a
        return triangle

    def reference(self, name, given):
        """One of the four maps, by the reference in float64; the result in the case's dtype."""
        from_spectrum = name in ("synthesis", "adjoint_analysis")
        want = getattr(reference, name)(
            self.padded(given) if from_spectrum else given,
            self.grid,
            self.lmax,
            self.mmax,
            spin=self.spin,
            orders=self.kept,
        )
        dtype = np.dtype(self.dtype) if from_spectrum else np.result_type(self.dtype, np.complex64)
        return (want if from_spectrum else want[..., self.in_triangle]).astype(dtype)

    def transform(self, threads=1):
        return _made(self, threads)

    @property
    def tolerance(self):
        return tolerance(self.lmax) if self.dtype == "float64" else 1e-6


@functools.cache
def _made(case, threads):
    orders = case.orders if isinstance(case.orders, str) else np.array(case.orders)
    options = {"truncation": case.truncation, "orders": orders, "aliasing": case.aliasing}
    given = case.lmax, case.grid, case.mmax, case.dtype, threads
    if case.vectors:
        return sht.VectorTransform(*given, **options)
    if case.spin:
        return sht.SpinTransform(case.spin, *given, **options)
    return sht.Transform(*given, **options)


# lmax, mmax, nlat, nlon: odd and even, barely enough and more than enough, mmax < lmax, and sizes
# on both sides of the numbers of lanes and rings that a SIMD kernel works in.
SIZES = [
    (0, 0, 1, 1),
    (0, 0, 4, 3),
    (1, 1, 2, 3),
    (1, 1, 3, 4),
    (1, 0, 2, 1),
    (5, 5, 6, 11),
    (5, 5, 7, 12),
    (5, 2, 6, 5),
    (9, 8, 17, 19),
    (31, 31, 32, 63),
    (31, 31, 33, 64),
    (31, 17, 48, 96),
    (127, 127, 128, 255),
    (127, 127, 192, 384),
    (127, 40, 129, 90),
]
TINY = [size for size in SIZES if size[0] <= 5]
RULES = ["linear", "quadratic", "cubic", "linquad_coslat2", "lincub_coslat"]
_BUMPY = (3, 9, 0, 5, 9, 1, 0, 9, 2, 4, 9, 9)  # up and down from pole to pole
_GAUSS = FullGaussian(10, 1)
_ODD_RINGS = Rings(  # of one point to more than any order needs, each turned in its own way
    _GAUSS.theta, [1, 2, 4, 5, 17, 16, 20, 7, 3, 2], np.linspace(0.0, 2.0, 10), _GAUSS.weights
)


def _of_every_grid():
    """The highest degree and order that each grid carries, and all orders on all rings."""
    for grid in GRIDS:
        lmax = 9 if grid.max_lmax is None else grid.max_lmax
        yield Case(grid, lmax, min(lmax, (int(max(grid.nlon)) - 1) // 2))
        if max(grid.nlon) < 2 * lmax + 1 or not grid.full:
            yield Case(grid, lmax, aliasing="fold")


SCALAR = [
    *(Case(FullGaussian(nlat, nlon), lmax, mmax, exact=True) for lmax, mmax, nlat, nlon in SIZES),
    *_of_every_grid(),
    # Larger than a block of lanes and rings, on each kind of grid.
    Case(OctahedralGaussian.for_lmax(63), 63, exact=True),
    Case(OctahedralGaussian.for_lmax(63), 63, aliasing="fold", exact=True),
    Case(OctaminimalGaussian(24), 31, aliasing="fold"),
    Case(FullClenshaw(80, 160), 39, exact=True),
    Case(OctahedralClenshaw(40), 31, 20),
    Case(HEALPix(16), 40, 31),
    Case(HEALPix(16), 40, aliasing="fold"),
    Case(OctaHEALPix(20), 31, aliasing="fold"),
    Case(_ODD_RINGS, 9, 9),
    Case(_ODD_RINGS, 30, 30, aliasing="fold"),
    Case(FullGaussian(1, 1), 0, aliasing="fold"),
    Case(FullGaussian(9, 2), 8, aliasing="fold"),
    Case(FullGaussian(9, 1), 8, aliasing="fold"),
    # Truncation: as many degrees for each order; one; all for the one order.
    Case(FullGaussian(24, 48), 22, 11, truncation="rhomboidal", exact=True),
    Case(OctahedralGaussian(12), 15, 12, truncation="rhomboidal"),
    Case(FullGaussian(10, 20), 9, 9, truncation="rhomboidal", exact=True),
    Case(FullGaussian(10, 20), 9, 0, truncation="rhomboidal", exact=True),
    # Orders per ring.
    *(Case(OctahedralGaussian(12), 20, orders=rule) for rule in RULES),
    *(Case(OctahedralGaussian(12), 20, orders=rule, aliasing="fold") for rule in RULES[:2]),
    *(Case(FullGaussian(12, 19), 9, orders=_BUMPY, aliasing=way) for way in ("drop", "fold")),
    Case(OctaminimalGaussian(6), 9, orders=_BUMPY, aliasing="fold", truncation="rhomboidal"),
]
SPIN = [
    *(Case(FullGaussian(8, 15), 7, spin=spin, exact=True) for spin in (1, 2, 3)),
    *(Case(grid, 5, 4, spin=2, aliasing="fold") for grid in (*ANY, HEALPix(2), OctaHEALPix(4))),
    Case(OctahedralGaussian.for_lmax(31), 31, spin=1, exact=True),
    Case(OctahedralGaussian.for_lmax(31), 31, spin=2, aliasing="fold", exact=True),
    Case(HEALPix(8), 20, spin=2, aliasing="fold"),
    Case(HEALPix(8), 20, 11, spin=1),
    Case(OctaminimalGaussian(8), 15, spin=3, aliasing="fold"),
    Case(FullGaussian(30, 63), 29, spin=5, exact=True),
    Case(_ODD_RINGS, 20, spin=3, aliasing="fold"),
    Case(OctahedralGaussian(6), 10, spin=10),  # one degree
    Case(OctahedralGaussian(6), 10, spin=11),  # none
    Case(FullGaussian(2, 3), 1, spin=2),
    Case(FullGaussian(1, 1), 0, spin=1),
    Case(OctahedralGaussian(6), 10, 0, spin=2),
    Case(OctahedralGaussian(6), 10, 2, spin=4),
    Case(OctahedralGaussian(12), 15, 12, spin=2, truncation="rhomboidal"),
    Case(OctahedralGaussian(12), 15, 12, spin=6, truncation="rhomboidal"),  # low orders have none
    Case(OctahedralGaussian(12), 20, spin=2, orders="quadratic"),
    Case(OctaminimalGaussian(6), 9, spin=1, orders=_BUMPY, aliasing="fold"),
]
VECTOR = [
    dataclasses.replace(case, spin=1, vectors=True)
    for case in (
        Case(FullGaussian(8, 15), 7, exact=True),
        *(Case(grid, 5, 4, aliasing="fold") for grid in (*ANY, OctaHEALPix(4))),
        Case(OctahedralGaussian.for_lmax(31), 31, exact=True),
        Case(OctahedralGaussian.for_lmax(31), 31, aliasing="fold", exact=True),
        Case(FullGaussian(128, 256), 127, exact=True),
        Case(HEALPix(8), 20, 11),
        Case(_ODD_RINGS, 20, aliasing="fold"),
        # One order, one degree, none that matters; the last one even and odd.
        Case(FullGaussian(1, 1), 0),
        Case(FullGaussian(2, 3), 1),
        Case(OctahedralGaussian(6), 10, 0),
        Case(OctahedralGaussian(6), 9, 0),
        Case(OctahedralGaussian(6), 10, 2),
        Case(OctahedralGaussian(12), 15, 12, truncation="rhomboidal"),
        Case(FullGaussian(10, 20), 9, 9, truncation="rhomboidal", exact=True),
        Case(OctahedralGaussian(12), 20, orders="quadratic"),
        Case(OctaminimalGaussian(6), 9, orders=_BUMPY, aliasing="fold"),
        Case(OctahedralGaussian.for_lmax(31), 31, dtype="float32", exact=True),
        Case(HEALPix(8), 20, dtype="float32", aliasing="fold"),
    )
]
SINGLE = [
    Case(FullGaussian(33, 64), 31, dtype="float32", exact=True),
    Case(OctahedralGaussian.for_lmax(63), 63, dtype="float32", exact=True),
    Case(HEALPix(8), 20, dtype="float32", aliasing="fold"),
    Case(_ODD_RINGS, 30, dtype="float32", aliasing="fold"),
    Case(OctahedralGaussian(12), 15, 12, dtype="float32", truncation="rhomboidal"),
    Case(FullGaussian(1, 1), 0, dtype="float32", exact=True),
    Case(HEALPix(8), 20, spin=2, dtype="float32", aliasing="fold"),
    Case(OctahedralGaussian.for_lmax(31), 31, spin=1, dtype="float32", exact=True),
]
CASES = SCALAR + SPIN + VECTOR + SINGLE


def name_of(size):
    lmax, mmax, nlat, nlon = size
    return f"T{lmax}-m{mmax}-{nlat}x{nlon}"


@functools.cache
def transform(lmax, mmax, nlat, nlon, threads=1):
    return sht.Transform(lmax, FullGaussian(nlat, nlon), mmax=mmax, threads=threads)


def random_pair(t, seed, batch=()):
    """Coefficients and a field of a transform, both random and unrelated."""
    rng = np.random.default_rng(seed)
    shape = (*batch, *t.coefficients.shape)
    a = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    a.imag[..., t.orders == 0] = 0.0
    f = rng.standard_normal((*batch, *t.fields.shape))
    return a.astype(t.coefficients.dtype), f.astype(t.dtype)


def given_to(name, t, seed, batch=()):
    """What one of the four maps takes: random coefficients, or a random field."""
    return random_pair(t, seed, batch)[0 if name in ("synthesis", "adjoint_analysis") else 1]


def maps_of(case):
    """Those of the four that the grid has: without weights there is no analysis."""
    return [name for name in MAPS if case.grid.has_weights or not name.endswith("analysis")]


def cases_and_maps(cases, names=MAPS):
    """Pairs of a case and a map's name, for `pytest.mark.parametrize`."""
    pairs = itertools.chain.from_iterable(((c, n) for n in maps_of(c)) for c in cases)
    return [(case, name) for case, name in pairs if name in names]


def tolerance(lmax):
    """Relative to the largest value: 2e-13 at T127.

    The recurrence takes l steps, each of which rounds, hence the growth with lmax. Next to the
    Equator even functions are differences of functions that are up to l times as large.
    """
    return 6.8 * EPS * (lmax + 4)


def difference(got, want):
    """Largest difference relative to the largest value that is expected."""
    assert got.shape == want.shape
    assert got.dtype == want.dtype
    return np.max(np.abs(got - want), initial=0.0) / max(np.max(np.abs(want), initial=0.0), 1e-300)
