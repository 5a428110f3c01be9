"""`VectorTransform`: winds and their derivatives as methods; the mathematics is in `vectors`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._apply import place_of
from ._arguments import array_in_place, as_batch, check_radius, give_back
from ._legendre_tables import VectorTables
from ._ring_transform import Recipe, RingTransform, prepare
from .grids import RingGrid


class VectorTransform(RingTransform):
    """Winds, gradients, divergence and vorticity on a grid of rings, and their adjoints.

    Parameters
    ----------
    lmax, grid, mmax, dtype, threads, truncation, orders, aliasing, planning
        As for `Transform`.
    radius : float
        Of the sphere, in metres or what is wanted: lengths in the results are in it.

    Raises
    ------
    TypeError, ValueError
        As for `Transform`, or a radius that is not positive.

    Notes
    -----
    Vectors are (..., 2, *grid.shape): u towards the east, then v towards the north. Pairs of
    coefficients are (..., 2, ncoef). Analysis is by the grid's quadrature, exact where that of
    scalars of the same truncation is. The four maps themselves, `synthesis` and the others, take
    (E, B) of spin 1 to (u, v).

    Examples
    --------
    Solid-body rotation, u = cos φ: its vorticity is 2 sin φ on a sphere of radius 1.

    >>> import numpy as np, sht
    >>> t = sht.VectorTransform(10, sht.grids.FullGaussian.for_lmax(10))
    >>> phi = np.deg2rad(t.grid.latitudes)
    >>> vor, div = t.vorticity_divergence(np.stack([np.cos(phi), 0 * phi]))
    >>> s = sht.Transform(10, t.grid)
    >>> bool(np.allclose(s.synthesis(vor), 2 * np.sin(phi))), bool(np.allclose(div, 0))
    (True, True)
    """

    radius: float

    def __new__(
        cls,
        lmax: int,
        grid: RingGrid,
        mmax: int | None = None,
        dtype: Any = "float64",
        threads: int | None = None,
        *,
        radius: float = 1.0,
        truncation: str = "triangular",
        orders: Any = "all",
        aliasing: str = "drop",
        planning: str = "auto",
    ) -> VectorTransform:
        call = "sht.VectorTransform(lmax, grid, mmax, dtype, threads, radius=...)"
        radius = check_radius(call, radius)
        recipe = Recipe(
            *(1, lmax, grid, mmax, dtype, threads),
            *(truncation, orders, aliasing, planning, VectorTables),
        )
        return _with_radius(cls, call, recipe, radius)

    def __reduce__(self) -> tuple[Any, ...]:
        return _with_radius, (type(self), *self._made_by, self.radius)

    # From coefficients to vectors

    def winds(self, vordiv: ArrayLike, out: NDArray | None = None) -> NDArray:
        """(u, v) from coefficients of (vorticity, divergence). Degree 0 has no effect.

        Parameters
        ----------
        vordiv : (..., 2, ncoef) complex
            In 1 / time.
        out : (..., 2, *grid.shape) float, optional
            Where to write the result.

        Returns
        -------
        (..., 2, *grid.shape) float
            In lengths / time.

        Raises
        ------
        TypeError, ValueError
            Wrong dtype, shape, or `out`; nothing has been written then.
        """
        return self._spread("winds(vordiv)", "synthesis", vordiv, self._by_root, out)

    def potential_winds(self, potentials: ArrayLike, out: NDArray | None = None) -> NDArray:
        """(u, v) from coefficients of (stream function, velocity potential); see `winds`."""
        call = "potential_winds(potentials)"
        return self._spread(call, "synthesis", potentials, self._minus_root, out)

    def gradient(self, a: ArrayLike, out: NDArray | None = None) -> NDArray:
        """The gradient, towards east and north, from coefficients (..., ncoef) of a scalar."""
        return self._spread("gradient(a)", "synthesis", a, self._minus_root, out, alone=1)

    # From vectors to coefficients

    def vorticity_divergence(self, uv: ArrayLike, out: NDArray | None = None) -> NDArray:
        """Coefficients (..., 2, ncoef) of (vorticity, divergence) from (u, v); undoes `winds`."""
        return self._gather("vorticity_divergence(uv)", "analysis", uv, self._root, out)

    def potentials(self, uv: ArrayLike, out: NDArray | None = None) -> NDArray:
        """Coefficients of (stream function, velocity potential) from (u, v), 0 for degree 0."""
        return self._gather("potentials(uv)", "analysis", uv, self._minus_by_root, out)

    def curl(self, uv: ArrayLike, out: NDArray | None = None) -> NDArray:
        """Coefficients (..., ncoef) of the vorticity of (u, v)."""
        return self._gather("curl(uv)", "analysis", uv, self._root, out, alone=0)

    def divergence(self, uv: ArrayLike, out: NDArray | None = None) -> NDArray:
        """Coefficients (..., ncoef) of the divergence of (u, v)."""
        return self._gather("divergence(uv)", "analysis", uv, self._root, out, alone=1)

    # The transposes, with respect to Re Σ conj(x) y: from a cotangent of what each returns

    def adjoint_winds(self, uv: ArrayLike, out: NDArray | None = None) -> NDArray:
        """The transpose of `winds`."""
        return self._gather("adjoint_winds(uv)", "adjoint_synthesis", uv, self._by_root, out)

    def adjoint_potential_winds(self, uv: ArrayLike, out: NDArray | None = None) -> NDArray:
        """The transpose of `potential_winds`."""
        call = "adjoint_potential_winds(uv)"
        return self._gather(call, "adjoint_synthesis", uv, self._minus_root, out)

    def adjoint_gradient(self, uv: ArrayLike, out: NDArray | None = None) -> NDArray:
        """The transpose of `gradient`."""
        call = "adjoint_gradient(uv)"
        return self._gather(call, "adjoint_synthesis", uv, self._minus_root, out, alone=1)

    def adjoint_vorticity_divergence(
        self, vordiv: ArrayLike, out: NDArray | None = None
    ) -> NDArray:
        """The transpose of `vorticity_divergence`."""
        call = "adjoint_vorticity_divergence(vordiv)"
        return self._spread(call, "adjoint_analysis", vordiv, self._root, out)

    def adjoint_potentials(self, potentials: ArrayLike, out: NDArray | None = None) -> NDArray:
        """The transpose of `potentials`."""
        call = "adjoint_potentials(potentials)"
        return self._spread(call, "adjoint_analysis", potentials, self._minus_by_root, out)

    def adjoint_curl(self, a: ArrayLike, out: NDArray | None = None) -> NDArray:
        """The transpose of `curl`."""
        return self._spread("adjoint_curl(a)", "adjoint_analysis", a, self._root, out, alone=0)

    def adjoint_divergence(self, a: ArrayLike, out: NDArray | None = None) -> NDArray:
        """The transpose of `divergence`."""
        return self._spread(
            "adjoint_divergence(a)", "adjoint_analysis", a, self._root, out, alone=1
        )

    # This transform, of coefficients that are scaled first, or afterwards

    @functools.cached_property
    def _root(self) -> Self:
        """sqrt(l(l+1))/R, with the signs of vorticity and divergence as functions of (E, B)."""
        return self._scaled(lambda root: root / self.radius)

    @functools.cached_property
    def _by_root(self) -> Self:
        """R/sqrt(l(l+1)), 0 for degree 0, with the signs of (E, B) as functions of those two."""
        return self._scaled(lambda root: _inverse(root) * self.radius)

    @functools.cached_property
    def _minus_root(self) -> Self:
        return self._scaled(lambda root: -root / self.radius)

    @functools.cached_property
    def _minus_by_root(self) -> Self:
        return self._scaled(lambda root: -_inverse(root) * self.radius)

    def _scaled(self, factor: Callable[[NDArray], NDArray]) -> Self:
        degrees = np.arange(float(self.legendre.scale.shape[1]))
        scale = _SIGNS * factor(np.sqrt(degrees * (degrees + 1.0)))
        scale.setflags(write=False)
        return self._with_tables(self.legendre._replace(scale=scale))

    def _spread(
        self,
        call: str,
        name: str,
        given: ArrayLike,
        scaled: RingTransform,
        out: NDArray | None,
        alone: int | None = None,
    ) -> NDArray:
        """From a pair of coefficients, or one `alone` with nothing beside it, to the grid."""
        if alone is None:
            return scaled._map(call, name, given, out)
        shape, dtype = self.coefficients
        whole = f"sht.VectorTransform.{call}"
        library, _, there = place_of(whole, given, out)
        with there:
            batch, leading = as_batch(whole, given, shape[1:], dtype, library)
            pair = library.zeros((len(batch), *shape), dtype)
            pair[:, alone] = batch
            return scaled._map(call, name, pair.reshape(*leading, *shape), out)

    def _gather(
        self,
        call: str,
        name: str,
        uv: ArrayLike,
        scaled: RingTransform,
        out: NDArray | None,
        alone: int | None = None,
    ) -> NDArray:
        """From the grid to a pair of coefficients, or one of the two `alone`."""
        if alone is None:
            return scaled._map(call, name, uv, out)
        whole = f"sht.VectorTransform.{call}"
        library, _, there = place_of(whole, uv, out)
        with there:
            result = scaled._map(call, name, uv, None)[..., alone, :].copy()
            return give_back(whole, result, array_in_place(whole, uv, library), out, library)


_SIGNS = np.array([[-1.0], [1.0]])


def _inverse(root: NDArray) -> NDArray:
    return np.where(root > 0.0, 1.0 / np.where(root > 0.0, root, 1.0), 0.0)


def _with_radius(cls: Any, call: str, recipe: Recipe, radius: float) -> Any:
    t = prepare(cls, call, recipe)
    t.radius = radius
    return t
