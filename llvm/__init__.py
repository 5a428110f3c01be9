"""Compiler-made gradients of Numba functions: Numba's LLVM IR, differentiated by Enzyme."""

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
from ._errors import UnsupportedTypeError as UnsupportedTypeError
from ._hvp import hvp as hvp
from ._transforms import Gradient as Gradient
from ._transforms import grad as grad
from ._transforms import jvp as jvp
from ._transforms import value_and_grad as value_and_grad
from ._transforms import vjp as vjp
