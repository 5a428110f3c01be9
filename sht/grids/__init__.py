"""Grids on the sphere: geometry only, one file each. A field is data on a grid."""

from ._full_clenshaw import FullClenshaw as FullClenshaw
from ._full_gaussian import FullGaussian as FullGaussian
from ._general import Rings as Rings
from ._healpix import HEALPix as HEALPix
from ._lookup import Neighbours as Neighbours
from ._named import Resolution as Resolution
from ._named import named as named
from ._named import resolution as resolution
from ._octahealpix import OctaHEALPix as OctaHEALPix
from ._octahedral_clenshaw import OctahedralClenshaw as OctahedralClenshaw
from ._octahedral_gaussian import OctahedralGaussian as OctahedralGaussian
from ._octaminimal_gaussian import OctaminimalGaussian as OctaminimalGaussian
from ._rings import RingGrid as RingGrid
