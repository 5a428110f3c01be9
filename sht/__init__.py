"""Spherical harmonic transforms whose gradients are made by a compiler."""

from . import grids as grids
from . import reference as reference
from ._kernels import Scratch as Scratch
from ._kernels import analysis_into as analysis_into
from ._kernels import synthesis_into as synthesis_into
from ._spectrum import degrees_orders as degrees_orders
from ._spectrum import lm_index as lm_index
from ._spectrum import ncoef as ncoef
from ._spectrum import pack as pack
from ._spectrum import unpack as unpack
from ._transform import Transform as Transform
from ._spin_transform import SpinTransform as SpinTransform
