"""Grids on the sphere: geometry only, one file each. A field is data on a grid."""

from ._full_gaussian import FullGaussian as FullGaussian
from ._rings import RingGrid as RingGrid
