"""Linear algebra as functions with rules, on which ``numpy.linalg`` in ``@njit`` code stands.

They call BLAS and LAPACK through Numba, hence SciPy's. Each writes its results into its first
arguments, transposed where LAPACK has it so, and says in an integer array, last, what went wrong:
0, or one of `NOT_FINITE`, `SINGULAR`, `NOT_POSITIVE`, `NOT_CONVERGED`.
"""

from __future__ import annotations

from ._linalg_arrays import NOT_CONVERGED as NOT_CONVERGED
from ._linalg_arrays import NOT_FINITE as NOT_FINITE
from ._linalg_arrays import NOT_POSITIVE as NOT_POSITIVE
from ._linalg_arrays import SINGULAR as SINGULAR
from ._linalg_cholesky import cholesky_into as cholesky_into
from ._linalg_eigh import eigh_into as eigh_into
from ._linalg_inverse import inverse_factored_into as inverse_factored_into
from ._linalg_inverse import inverse_into as inverse_into
from ._linalg_inverse import slogdet_factored_into as slogdet_factored_into
from ._linalg_pinv import pinv_into as pinv_into
from ._linalg_products import matmul_into as matmul_into
from ._linalg_qr import qr_into as qr_into
from ._linalg_solve import factor_into as factor_into
from ._linalg_solve import solve_factored_into as solve_factored_into
from ._linalg_solve import solve_into as solve_into
from ._linalg_svd import svd_into as svd_into
from ._linalg_triangular import triangular_solve_into as triangular_solve_into
