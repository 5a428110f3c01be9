"""The table of transforms that the tests run over, each built once, and how errors grow with it."""

import functools

import numpy as np

import sht
from sht.grids import FullGaussian

EPS = np.finfo(np.float64).eps

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
BATCHES = [(), (1,), (3,), (2, 4)]


def name_of(size):
    lmax, mmax, nlat, nlon = size
    return f"T{lmax}-m{mmax}-{nlat}x{nlon}"


@functools.cache
def transform(lmax, mmax, nlat, nlon, threads=1):
    return sht.Transform(lmax, FullGaussian(nlat, nlon), mmax=mmax, threads=threads)


def random_pair(t, seed, batch=()):
    """Coefficients and a field, both random and unrelated."""
    rng = np.random.default_rng(seed)
    a = sht.reference.random_coefficients(rng, t.lmax, t.mmax, batch)
    return a, rng.standard_normal((*batch, *t.grid.shape))


def tolerance(lmax):
    """Relative to the largest value: 1e-13 at T127.

    The recurrence takes l steps, each of which rounds, hence the growth with lmax.
    """
    return 3.4 * EPS * (lmax + 4)


def difference(got, want):
    """Largest difference relative to the largest value that is expected."""
    assert got.shape == want.shape
    assert got.dtype == want.dtype
    return np.max(np.abs(got - want), initial=0.0) / max(np.max(np.abs(want), initial=0.0), 1e-300)
