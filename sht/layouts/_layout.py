"""A layout: where another library puts each packed coefficient, and times what."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from sht._apply import Space, apply_map
from sht._identity import ByIdentity
from sht._packed import precision_of

_WRONG_SIZE = (
    "`unpack_…_into(theirs, a, layout)` and `pack_…_into(a, theirs, layout)` need `theirs` of "
    "shape `layout.shape` and one coefficient for each entry of `layout.factor`. Got another "
    "number. Make the layout with the lmax and mmax of the coefficients."
)


@njit(error_model="numpy")
def _flat(theirs, a, layout):
    """The other library's coefficients as a flat view, once their number and ours are right."""
    if a.size != layout.factor.size or theirs.size != layout.size:
        raise ValueError(_WRONG_SIZE)
    return theirs.reshape(theirs.size)


@njit(error_model="numpy")
def unpack_complex_into(theirs, a, layout):
    """Write ``theirs[index[k]] = factor[k] * a[k]``, and 0 elsewhere, for a `ComplexLayout`.

    Parameters
    ----------
    theirs : layout.shape, complex, contiguous
    a : (ncoef,) complex
    layout : ComplexLayout
    """
    flat = _flat(theirs, a, layout)
    for k in range(flat.size):
        flat[k] = 0.0
    for k in range(a.size):
        flat[layout.index[k]] = layout.factor[k] * a[k]


@njit(error_model="numpy")
def pack_complex_into(a, theirs, layout):
    """Write ``a[k] = theirs[index[k]] / factor[k]``; undoes `unpack_complex_into`."""
    flat = _flat(theirs, a, layout)
    for k in range(a.size):
        value = flat[layout.index[k]]
        a[k] = complex(value.real / layout.factor[k], value.imag / layout.factor[k])


@njit(error_model="numpy")
def unpack_real_into(theirs, a, layout):
    """Write ``factor * Re a`` at `cosine` and ``-factor * Im a`` at `sine`, and 0 elsewhere.

    Parameters
    ----------
    theirs : layout.shape, real, contiguous
    a : (ncoef,) complex
    layout : RealLayout
    """
    flat = _flat(theirs, a, layout)
    for k in range(flat.size):
        flat[k] = 0.0
    for k in range(a.size):
        flat[layout.cosine[k]] = layout.factor[k] * a[k].real
    for k in range(layout.zonal, a.size):
        flat[layout.sine[k]] = -layout.factor[k] * a[k].imag


@njit(error_model="numpy")
def pack_real_into(a, theirs, layout):
    """Write the coefficients that these are, Im a_l0 = 0; undoes `unpack_real_into`."""
    flat = _flat(theirs, a, layout)
    # Two loops: where a branch chose between 0 and a sine, Enzyme could not tell what it holds.
    for k in range(layout.zonal):
        a[k] = flat[layout.cosine[k]] / layout.factor[k]
    for k in range(layout.zonal, a.size):
        cosine, sine = flat[layout.cosine[k]], flat[layout.sine[k]]
        a[k] = complex(cosine / layout.factor[k], -sine / layout.factor[k])


class _Complex(NamedTuple):
    shape: tuple[int, ...]
    size: int
    index: NDArray[np.int64]
    factor: NDArray[np.float64]


class _Real(NamedTuple):
    shape: tuple[int, ...]
    size: int
    zonal: int
    cosine: NDArray[np.int64]
    sine: NDArray[np.int64]
    factor: NDArray[np.float64]


class _Maps(ByIdentity):
    """The four maps of a layout, over any leading axes."""

    shape: tuple[int, ...]
    factor: NDArray[np.float64]
    _kernels: tuple[Any, Any]
    _dtype: str

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}: {self.factor.size} packed coefficients as {self._dtype} "
            f"(..., {', '.join(map(str, self.shape))})"
        )

    def unpack(self, a: ArrayLike, out: NDArray | None = None) -> NDArray:
        """Coefficients as the other library has them.

        Parameters
        ----------
        a : (..., ncoef) complex128 or complex64
            Packed coefficients.
        out : (..., *shape) array, optional
            Where to write the result. Must not overlap `a`.

        Returns
        -------
        (..., *shape) array
            As precise as `a`, and 0 where no coefficient belongs.

        Raises
        ------
        TypeError, ValueError
            Wrong dtype, shape, or `out`; nothing has been written then.
        """
        return self._map("unpack(a)", a, out)

    def pack(self, theirs: ArrayLike, out: NDArray | None = None) -> NDArray:
        """Packed coefficients of what the other library has; undoes `unpack`.

        Parameters
        ----------
        theirs : (..., *shape) array
            What stands where no coefficient belongs is ignored.
        out : (..., ncoef) array, optional
            Where to write the result. Must not overlap `theirs`.

        Returns
        -------
        (..., ncoef) complex128 or complex64

        Raises
        ------
        TypeError, ValueError
            Wrong dtype, shape, or `out`; nothing has been written then.
        """
        return self._map("pack(theirs)", theirs, out)

    def adjoint_unpack(self, theirs: ArrayLike, out: NDArray | None = None) -> NDArray:
        """The transpose of `unpack`, by Enzyme: takes and gives cotangents, ∂L/∂Re + i ∂L/∂Im."""
        return self._map("adjoint_unpack(theirs)", theirs, out)

    def adjoint_pack(self, a: ArrayLike, out: NDArray | None = None) -> NDArray:
        """The transpose of `pack`, by Enzyme: takes and gives cotangents, ∂L/∂Re + i ∂L/∂Im."""
        return self._map("adjoint_pack(a)", a, out)

    def _map(self, call: str, given: ArrayLike, out: NDArray | None) -> NDArray:
        kernel = self._kernels["unpack" not in call]
        precision = precision_of(given)
        ours = Space(self.factor.shape, precision.complex)
        theirs = Space(self.shape, getattr(precision, self._dtype))
        source, target = (ours, theirs) if call.endswith("(a)") else (theirs, ours)
        call, transposed = f"layout.{call}", call.startswith("adjoint")
        return apply_map(call, kernel, given, source, target, (self,), out, transposed=transposed)


class ComplexLayout(_Maps, _Complex):
    """Where another library puts each complex coefficient, and times what.

    A named tuple of arrays, which `sht.layouts.shtns` and others make, and which ``@njit``
    functions take: see `unpack_complex_into` and `pack_complex_into`.

    Attributes
    ----------
    shape, size
        Of the other library's coefficients of one field.
    index : (ncoef,) int64
        Position of each packed coefficient in them, flattened.
    factor : (ncoef,) float64
        What it is multiplied by there.
    """

    _kernels = (unpack_complex_into, pack_complex_into)
    _dtype = "complex"


class RealLayout(_Maps, _Real):
    r"""Where another library puts the cosine and sine coefficients, and times what.

    A named tuple of arrays, which `sht.layouts.pyshtools` and others make, and which ``@njit``
    functions take: see `unpack_real_into` and `pack_real_into`.

    A field of order m > 0 is :math:`2 \lambda (\Re a \cos m\varphi - \Im a \sin m\varphi)`: hence
    the cosine coefficient is factor · Re a, the sine coefficient -factor · Im a.

    Attributes
    ----------
    shape, size
        Of the other library's coefficients of one field.
    zonal : int
        How many coefficients, the first, are of order 0 and have no sine.
    cosine, sine : (ncoef,) int64
        Positions in them, flattened.
    factor : (ncoef,) float64
    """

    _kernels = (unpack_real_into, pack_real_into)
    _dtype = "real"


def complex_layout(shape: tuple[int, ...], index: NDArray, factor: NDArray) -> ComplexLayout:
    """A layout from its tables."""
    return ComplexLayout(shape, int(np.prod(shape)), index.astype(np.int64), factor)


def real_layout(
    shape: tuple[int, ...], zonal: int, cosine: NDArray, sine: NDArray, factor: NDArray
) -> RealLayout:
    """A layout from its tables."""
    positions = cosine.astype(np.int64), sine.astype(np.int64)
    return RealLayout(shape, int(np.prod(shape)), zonal, *positions, factor)
