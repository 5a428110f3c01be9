"""Compiler-made gradients of Numba functions: Numba's LLVM IR, differentiated by Enzyme."""

from ._ahead import ptx as ptx
from ._autodiff import Active as Active
from ._autodiff import Const as Const
from ._autodiff import Duplicated as Duplicated
from ._autodiff import Forward as Forward
from ._autodiff import Reverse as Reverse
from ._autodiff import autodiff as autodiff
from ._autodiff import linear_transpose as linear_transpose
from ._bound import Bound as Bound
from ._compiled import Compiled as Compiled
from ._compiled import compiled as compiled
from ._errors import AutodiffError as AutodiffError
from ._errors import EnzymeNotFoundError as EnzymeNotFoundError
from ._errors import EnzymeVersionError as EnzymeVersionError
from ._errors import NoDerivativeError as NoDerivativeError
from ._errors import ToolchainError as ToolchainError
from ._errors import UnsupportedResultError as UnsupportedResultError
from ._errors import UnsupportedTypeError as UnsupportedTypeError
from ._gradient import Gradient as Gradient
from ._gradient import grad as grad
from ._gradient import value_and_grad as value_and_grad
from ._hvp import hvp as hvp
from ._jacobians import Jacobian as Jacobian
from ._jacobians import hessian as hessian
from ._jacobians import jacfwd as jacfwd
from ._jacobians import jacrev as jacrev
from ._jit_products import provide as _provide
from ._launch import Kernel as Kernel
from ._launch import kernel as kernel
from ._options import Options as Options
from ._products import jvp as jvp
from ._products import vjp as vjp
from ._report import Report as Report

_provide(jvp, hvp)
