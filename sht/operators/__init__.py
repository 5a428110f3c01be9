"""Derivatives, winds and Laplacians in coefficient space.

Each is linear, has an adjoint with respect to Re Σ conj(x) y, made by Enzyme, and a kernel
``..._into`` for use inside ``@njit`` code, which takes the output first. φ is latitude, λ is
longitude, the last axis is packed coefficients. `lmax` and `mmax` are always those of the scalars;
what has one more degree holds ``ncoef(lmax + 1, mmax)``, packed for lmax + 1.

A vector is an array (2, ncoef): first the component towards the east, then that towards the north.
Neither is smooth at the poles. Times cos φ they are, and have one more degree than their scalars;
divided by cos φ they are what divergence and vorticity are computed from. On a grid ``u``,
``u cos φ`` and ``u / cos φ`` are a multiplication apart.
"""

from ._divergence import adjoint_curl as adjoint_curl
from ._divergence import adjoint_divergence as adjoint_divergence
from ._divergence import adjoint_vorticity_divergence as adjoint_vorticity_divergence
from ._divergence import curl as curl
from ._divergence import divergence as divergence
from ._divergence import vorticity_divergence as vorticity_divergence
from ._gradient import adjoint_coslat_gradient as adjoint_coslat_gradient
from ._gradient import adjoint_coslat_wind as adjoint_coslat_wind
from ._gradient import coslat_gradient as coslat_gradient
from ._gradient import coslat_wind as coslat_wind
from ._kernels import coslat_gradient_into as coslat_gradient_into
from ._kernels import coslat_latitude_derivative_into as coslat_latitude_derivative_into
from ._kernels import coslat_wind_into as coslat_wind_into
from ._kernels import curl_into as curl_into
from ._kernels import divergence_into as divergence_into
from ._kernels import inverse_laplacian_into as inverse_laplacian_into
from ._kernels import laplacian_into as laplacian_into
from ._kernels import longitude_derivative_into as longitude_derivative_into
from ._kernels import times_sinlat_into as times_sinlat_into
from ._kernels import vorticity_divergence_into as vorticity_divergence_into
from ._scalars import adjoint_coslat_latitude_derivative as adjoint_coslat_latitude_derivative
from ._scalars import adjoint_inverse_laplacian as adjoint_inverse_laplacian
from ._scalars import adjoint_laplacian as adjoint_laplacian
from ._scalars import adjoint_longitude_derivative as adjoint_longitude_derivative
from ._scalars import adjoint_times_sinlat as adjoint_times_sinlat
from ._scalars import coslat_latitude_derivative as coslat_latitude_derivative
from ._scalars import inverse_laplacian as inverse_laplacian
from ._scalars import laplacian as laplacian
from ._scalars import longitude_derivative as longitude_derivative
from ._scalars import times_sinlat as times_sinlat
