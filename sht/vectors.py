r"""Tangential vectors on a grid inside ``@njit`` code: winds, gradients, vorticity, divergence.

A vector field is a pair (u, v), towards the east and the north; φ is latitude, λ longitude, R the
radius of the sphere. With stream function ψ and velocity potential χ (Helmholtz),

.. math::

    u = \frac{1}{R\cos\varphi}\partial_\lambda\chi - \frac{1}{R}\partial_\varphi\psi, \quad
    v = \frac{1}{R}\partial_\varphi\chi + \frac{1}{R\cos\varphi}\partial_\lambda\psi, \quad
    \zeta = \nabla^2\psi, \quad \delta = \nabla^2\chi.

These are transforms of spin 1, since :math:`u + i v = -\sum (E + i B)\, {}_1Y` with
:math:`E = \sqrt{l(l+1)}\,\psi / R` and :math:`B = -\sqrt{l(l+1)}\,\chi / R`: nothing is divided by
cos φ, and no degree is lost. How they are made is in `_vector`. `sht.operators` has what can be
said of coefficients alone.

Each function takes its output first, and is differentiated by its input and by `radius`.
`VectorTransform` has the same as methods.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ._kernels import analysis_into, synthesis_into


@njit(error_model="numpy", nogil=True)
def winds_into(uv, vordiv, radius, t, scratch):
    """(u, v) from coefficients of (vorticity, divergence), as `VectorTransform.winds`.

    Parameters
    ----------
    uv : (2, *grid.shape) float
        Overwritten. C-contiguous.
    vordiv : (2, ncoef) complex
        C-contiguous.
    radius : float
    t : VectorTransform
    scratch : Scratch
        ``t.scratch()``; each thread needs its own.

    Raises
    ------
    TypeError
        When it is compiled: another dtype or layout.
    ValueError
        Another shape, or the scratch of another transform.
    """
    eb = np.empty_like(vordiv)
    _scale_into(eb, vordiv, t, radius, False, 1.0)
    synthesis_into(uv, eb, t, scratch)


@njit(error_model="numpy", nogil=True)
def potential_winds_into(uv, potentials, radius, t, scratch):
    """(u, v) from coefficients of (stream function, velocity potential); see `winds_into`."""
    eb = np.empty_like(potentials)
    _scale_into(eb, potentials, t, radius, True, -1.0)
    synthesis_into(uv, eb, t, scratch)


@njit(error_model="numpy", nogil=True)
def gradient_into(uv, a, radius, t, scratch):
    """The gradient of a scalar with coefficients `a`, (ncoef,) complex; see `winds_into`."""
    pair = np.zeros((2, a.size), a.dtype)
    pair[1] = a
    potential_winds_into(uv, pair, radius, t, scratch)


@njit(error_model="numpy", nogil=True)
def vorticity_divergence_into(vordiv, uv, radius, t, scratch):
    """Coefficients of (vorticity, divergence) from (u, v); arguments as for `winds_into`."""
    eb = np.empty_like(vordiv)
    analysis_into(eb, uv, t, scratch)
    _scale_into(vordiv, eb, t, radius, True, 1.0)


@njit(error_model="numpy", nogil=True)
def potentials_into(potentials, uv, radius, t, scratch):
    """Coefficients of (stream function, velocity potential) from (u, v); see `winds_into`."""
    eb = np.empty_like(potentials)
    analysis_into(eb, uv, t, scratch)
    _scale_into(potentials, eb, t, radius, False, -1.0)


@njit(error_model="numpy", nogil=True)
def curl_into(a, uv, radius, t, scratch):
    """Coefficients (ncoef,) of the vorticity of (u, v); see `winds_into`."""
    pair = np.empty((2, a.size), a.dtype)
    vorticity_divergence_into(pair, uv, radius, t, scratch)
    a[:] = pair[0]


@njit(error_model="numpy", nogil=True)
def divergence_into(a, uv, radius, t, scratch):
    """Coefficients (ncoef,) of the divergence of (u, v); see `winds_into`."""
    pair = np.empty((2, a.size), a.dtype)
    vorticity_divergence_into(pair, uv, radius, t, scratch)
    a[:] = pair[1]


_WRONG_PAIR = (
    "Kernels of `sht.vectors` need pairs of shape `t.coefficients.shape` and a VectorTransform. "
    "Got others. Make them with `np.zeros(t.coefficients.shape, complex)`."
)


@njit(error_model="numpy")
def _scale_into(scaled, pair, t, radius, up, sign):
    """Times ∓ sqrt(l(l+1))/R, or its inverse if not `up`; degree 0 becomes 0."""
    tables = t.legendre
    size = tables.ncoef
    if tables.columns != 2 or scaled.shape != (2, size) or pair.shape != (2, size):
        raise ValueError(_WRONG_PAIR)
    scaled[:] = 0.0
    for m in range(tables.mmax + 1):
        for i in range(tables.counts[m]):
            k = tables.begins[m] + i
            l = m + i  # noqa: E741
            if l == 0:
                continue
            root = np.sqrt(l * (l + 1.0))
            factor = sign * (root / radius if up else radius / root)
            scaled[0, k] = complex(-factor * pair[0, k].real, -factor * pair[0, k].imag)
            scaled[1, k] = complex(factor * pair[1, k].real, factor * pair[1, k].imag)
