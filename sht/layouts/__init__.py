"""The coefficients of other libraries: where they put (l, m), and how they normalise it.

==================  =============================================================================
healpy, ducc0       the same as ours; `ducc0` for other starts and strides than the default
SpeedyTransforms    the same numbers in the same order: the data of its ``LowerTriangularMatrix``.
                    With one more degree, as it keeps for vectors: ``truncate(a, lmax, lmax + 1,
                    lmax, lmax)``
SHTns               `shtns`: the same order, other normalisations
pyshtools           `pyshtools`: cosine and sine coefficients
Gauss coefficients  g and h of geomagnetism: ``pyshtools(lmax, normalization="schmidt")``
torch-harmonics     `torch_harmonics`: a dense triangle
real vectors        `orthonormal`: real, with the norm of the field
==================  =============================================================================

Each function returns a layout, which is prepared once: ``layout.unpack(a)`` gives what the other
library wants, ``layout.pack(theirs)`` takes what it gave, and both have adjoints. In ``@njit`` code
pass the layout as an argument and call `unpack_real_into`, `pack_real_into` or, where the other
side is complex, `unpack_complex_into`, `pack_complex_into`.
"""

from ._ducc0 import ducc0 as ducc0
from ._layout import ComplexLayout as ComplexLayout
from ._layout import RealLayout as RealLayout
from ._layout import pack_complex_into as pack_complex_into
from ._layout import pack_real_into as pack_real_into
from ._layout import unpack_complex_into as unpack_complex_into
from ._layout import unpack_real_into as unpack_real_into
from ._normalisation import normalisation as normalisation
from ._orthonormal import orthonormal as orthonormal
from ._pyshtools import pyshtools as pyshtools
from ._shtns import shtns as shtns
from ._torch_harmonics import torch_harmonics as torch_harmonics
from ._truncate import truncate as truncate
from ._truncate import truncate_into as truncate_into
