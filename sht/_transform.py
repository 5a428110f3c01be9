"""`Transform`: the spherical harmonic transform of scalar fields."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike, NDArray

from ._legendre_tables import LegendreTables
from ._points import adjoint_evaluate, evaluate
from ._ring_transform import Recipe, RingTransform, prepare
from .grids import RingGrid


class Transform(RingTransform):
    r"""Spherical harmonic transform of scalar fields on a grid of rings, and its adjoints.

    Parameters
    ----------
    lmax : int
        Highest degree, inclusive (T42 is 42).
    grid : RingGrid
        See `sht.grids`.
    mmax : int, optional
        Highest order, inclusive, at most ``lmax``, which is the default.
    dtype : "float64" or "float32"
        Of fields; coefficients are complex of the same precision. Sums over degrees, and FFTs but
        for FFTW's, are taken in float64.
    threads : int, optional
        How many to use, for the fields of a batch or, from about T180 on, within one field; as
        many as there are cores, if not given. The results do not depend on it, to the bit.
    truncation : {"triangular", "rhomboidal"}
        Triangular, with ``mmax < lmax`` trapezoidal: degrees up to ``lmax``. Rhomboidal: as many
        degrees for each order, m to m + lmax - mmax; `degrees` and `orders` tell the packing.
    orders : str or (nlat,) array of int
        Highest order that each ring keeps, at most ``mmax``: "all"; a rule of the number n of
        points and the latitude ϑ, "linear" n/2, "quadratic" n/3, "cubic" n/4, "linquad_coslat2"
        n/(2 + cos²ϑ), "lincub_coslat" n/(2 + 2 cos ϑ), as in SpeedyTransforms; or numbers.
    aliasing : {"drop", "fold"}
        What becomes of orders at and beyond that of Nyquist, n/2, on short rings: left out, as in
        SpeedyTransforms, or taken for what they look like there, as in ducc0 and healpy.
        Synthesis then gives the field's values at the points, however few they are.
    planning : {"auto", "estimate", "measure"}
        How FFTW looks for its way, for the rings that go to it: those of odd length, and those
        whose mirror has another length. Measuring takes up to a second for each different length,
        once on a machine, since what it finds is kept in the cache folder; transforms are then 5
        to 20 % faster. "auto" measures where there are no more than two lengths.

    Raises
    ------
    TypeError, ValueError
        The grid is none, or cannot carry this truncation; an option that there is not.

    Notes
    -----
    With λ the orthonormal associated Legendre functions with Condon-Shortley phase,

    .. math::

        f(\theta_j, \varphi_i) = \sum_{m} \sum_{l \ge |m|} \lambda_{lm}(\cos\theta_j) a_{lm}
        e^{i m \varphi_i}, \qquad
        a_{lm} = \sum_j w_j \frac{2\pi}{n} \lambda_{lm}(\cos\theta_j)
        \sum_i f_{ji} e^{-i m \varphi_i}.

    Fields are real, so orders m >= 0 are enough: packed triangularly, m-major, as in healpy and
    ducc0 (see `lm_index`). The imaginary parts of a_{l0} have no effect. Polynomials are made on
    the fly; memory is O(lmax²).

    CuPy arrays are transformed on their device, and so are the results; `out` is then CuPy's, too.

    A Transform is a named tuple of arrays: pass it to your own ``@njit`` functions and call
    `synthesis_into` and `analysis_into` there.

    Examples
    --------
    >>> import numpy as np, sht
    >>> t = sht.Transform(2, sht.grids.FullGaussian.for_lmax(2))
    >>> t
    Transform(lmax=2, mmax=2): 6 coefficients (..., 6), complex128
      on FullGaussian(nlat=4, nlon=8): 4 rings of 8 points, 45 x 45 degrees
    >>> a = np.zeros(6, complex)
    >>> a[0] = 2 * np.sqrt(np.pi)
    >>> bool(np.allclose(t.synthesis(a), 1.0))
    True
    """

    def __new__(
        cls,
        lmax: int,
        grid: RingGrid,
        mmax: int | None = None,
        dtype: Any = "float64",
        threads: int | None = None,
        *,
        truncation: str = "triangular",
        orders: Any = "all",
        aliasing: str = "drop",
        planning: str = "auto",
    ) -> Transform:
        call = "sht.Transform(lmax, grid, mmax, dtype, threads)"
        recipe = Recipe(
            *(0, lmax, grid, mmax, dtype, threads),
            *(truncation, orders, aliasing, planning, LegendreTables),
        )
        return prepare(cls, call, recipe)

    def evaluate(
        self, a: ArrayLike, theta: ArrayLike, phi: ArrayLike, out: NDArray | None = None
    ) -> NDArray:
        """Values at any points of the field that has these coefficients; see `sht.evaluate`."""
        self._require_triangle("evaluate(a, theta, phi)")
        return evaluate(a, theta, phi, self.lmax, self.mmax, out=out)

    def adjoint_evaluate(
        self, values: ArrayLike, theta: ArrayLike, phi: ArrayLike, out: NDArray | None = None
    ) -> NDArray:
        """The transpose of `evaluate`; see `sht.adjoint_evaluate`."""
        self._require_triangle("adjoint_evaluate(values, theta, phi)")
        return adjoint_evaluate(values, theta, phi, self.lmax, self.mmax, out=out)

    def _require_triangle(self, call: str) -> None:
        if self.truncation.rhomboidal:
            raise NotImplementedError(
                f"`sht.Transform.{call}` takes triangular or trapezoidal truncation. Got "
                f"rhomboidal. Spread the coefficients over the triangle: `dense[l, m]`, `sht.pack`."
            )
