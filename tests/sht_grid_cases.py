"""The table of grids that tests run over: every kind, its smallest size and an ordinary one."""

import numpy as np

from sht.grids import (
    FullClenshaw,
    FullGaussian,
    HEALPix,
    OctaHEALPix,
    OctahedralClenshaw,
    OctahedralGaussian,
    OctaminimalGaussian,
    Rings,
)

SMALLEST = [
    FullGaussian(1, 1),
    OctahedralGaussian(1),
    OctaminimalGaussian(1),
    FullClenshaw(1, 1),
    OctahedralClenshaw(1),
    HEALPix(1),
    OctaHEALPix(1),
    Rings([1.0], 1),
]
NAMED = [
    FullGaussian(5, 8),
    FullGaussian(8, 15),
    OctahedralGaussian(6),
    OctaminimalGaussian(6),
    FullClenshaw(9, 20),
    FullClenshaw(8, 17),
    OctahedralClenshaw(6),
    HEALPix(3),
    HEALPix(4),
    OctaHEALPix(5),
]
# Odd, single-point and four-point rings, offsets, mirrors of unequal lengths, and no symmetry.
ANY = [
    Rings([0.3, 1.1, np.pi / 2, np.pi - 1.1, np.pi - 0.3], [1, 7, 9, 4, 2], 0.3, [1, -1, 2, -1, 1]),
    Rings([0.5, 1.5, 2.5], [3, 8, 4], [0.0, 0.1, -0.2]),
    Rings([0.2, 0.21, 0.9], 5, 7.0),
    Rings.gaussian([18, 25, 25, 18]),
]
GRIDS = SMALLEST + NAMED + ANY


def grid_name(grid):
    """Identifier of a case, such as HEALPix-4."""
    sizes = grid.nlon if isinstance(grid, Rings) else grid._parameters
    return "-".join([type(grid).__name__, *map(str, sizes)])
