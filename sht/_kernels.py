"""The transform as ``@njit`` functions: what methods call, what users call, what Enzyme sees."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
from numba import njit
from numba.core import types
from numba.extending import overload

from enzyme_rules import LinearRule, register

from ._arguments import BORROWS, INNER, check_kernel_arrays
from ._flat_view import flat_view
from ._fourier import RingScratch
from ._identity import ByIdentity
from ._kinds import of_pairs
from ._legendre import WIDTH
from ._stages import (
    coef_to_sums,
    pack_coefficients_into,
    rings_to_sums,
    sums_to_coef,
    sums_to_rings,
    unpack_coefficients_into,
)


class _Scratch(NamedTuple):
    fields: int
    block: int
    coef: np.ndarray
    sums: np.ndarray
    state: np.ndarray
    ring: RingScratch


class Scratch(ByIdentity, _Scratch):
    """Work space of one transform in one thread. What it holds is of no consequence between calls.

    Attributes
    ----------
    fields : int
        How many are transformed at once.
    block : int
        How many tiles are taken through both stages at a time.
    coef : (nsteps * fields * columns * WIDTH,) float64
        Scaled coefficients in the order of the Legendre stage.
    sums : (block * ngroups * passes * fields * columns * PHASES,) float64
        What lies between the stages.
    state : (STATE,) float64
        Polynomials of one tile.
    ring : RingScratch
    """


@njit(nogil=True, **BORROWS)
def synthesis_into(field, a, t, scratch):
    """Coefficients to grid points, for use inside ``@njit`` code; see `Transform.synthesis`.

    Parameters
    ----------
    field : (..., *t.fields.shape) float
        One field of the transform's dtype, or several along a first axis. Overwritten.
        C-contiguous.
    a : (..., *t.coefficients.shape) complex
        As many. Contiguous.
    t : Transform or SpinTransform
    scratch : Scratch
        ``t.scratch()``, or for several fields ``t.scratch(fields)``; each thread needs its own.

    Raises
    ------
    TypeError
        When it is compiled: another dtype or layout.
    ValueError
        Another shape, or the scratch of another Transform; nothing has been written then.

    Notes
    -----
    Real-linear in `a`; a rule makes its derivative the transposed map, without a tape.
    """
    check_kernel_arrays(field, a, t, scratch)
    _in_turn(field, a, t, scratch)


@njit(nogil=True, **BORROWS)
def analysis_into(a, field, t, scratch):
    """Grid points to coefficients, for use inside ``@njit`` code; see `Transform.analysis`.

    Parameters
    ----------
    a : (..., *t.coefficients.shape) complex
        Overwritten. Contiguous.
    field : (..., *t.fields.shape) float
        One field of the transform's dtype, or several along a first axis. C-contiguous.
    t : Transform or SpinTransform
    scratch : Scratch
        ``t.scratch()``, or for several fields ``t.scratch(fields)``; each thread needs its own.

    Raises
    ------
    TypeError
        When it is compiled: another dtype or layout.
    ValueError
        Another shape, or the scratch of another Transform; nothing has been written then.

    Notes
    -----
    Real-linear in `field`; a rule makes its derivative the transposed map, without a tape.
    """
    check_kernel_arrays(field, a, t, scratch)
    _in_turn(a, field, t, scratch)


def _in_turn(output, given, t, scratch): ...


@overload(_in_turn, jit_options=INNER)
def _in_turn_of(output, given, t, scratch):
    # One field has no loop around it: in the derivative of a derivative, Enzyme takes what reverse
    # mode keeps of such a loop inside another for numbers that vary.
    backwards = isinstance(output.dtype, types.Complex)
    coefficients = output if backwards else given
    single = coefficients.ndim == (2 if of_pairs(t.types[t.fields.index("legendre")]) else 1)
    kernel = _compiled(coefficients_of_points_into if backwards else points_of_coefficients_into)

    def one(output, given, t, scratch):
        kernel(flat_view(output), flat_view(given), t, scratch)

    def several(output, given, t, scratch):
        outputs, inputs = flat_view(output), flat_view(given)
        n, m = outputs.size // len(output), inputs.size // len(given)
        for begin in range(0, len(output), scratch.fields):
            end = min(begin + scratch.fields, len(output))
            kernel(outputs[begin * n : end * n], inputs[begin * m : end * m], t, scratch)

    return one if single else several


@functools.cache
def _compiled(kernel):
    """A kernel as compiled by `llvm`: in Numba's own hands it takes twice to four times as long.

    It counts references of every array of the Transform, in each function that gets it.
    """
    from llvm import compiled  # when it is needed: `import sht` stays light

    return compiled(kernel)


@njit(error_model="numpy", nogil=True)
def points_of_coefficients_into(points, a, t, scratch):
    """Synthesis of fields one after the other, not more than `scratch` is for. Nothing is checked.

    Parameters
    ----------
    points : (fields * components * npoints,) float
        Overwritten.
    a : (fields * components * ncoef,) complex
    t : Transform or SpinTransform
    scratch : Scratch
    """
    fields = len(a) // (len(t.legendre.first) * t.legendre.ncoef)  # a vector counts as two
    coef = scratch.coef[: t.legendre.starts[-1] * fields * WIDTH]
    _, ngroups, ntiles = t.legendre.first.shape
    pack_coefficients_into(coef, a, t, fields, (0, ngroups), scratch.ring.alone)
    for begin in range(0, ntiles, scratch.block):
        tiles = begin, min(begin + scratch.block, ntiles)
        coef_to_sums(scratch.sums, coef, scratch.state, t, fields, (0, ngroups), tiles)
        sums_to_rings(points, scratch.sums, t, scratch.ring, fields, tiles)


@njit(error_model="numpy", nogil=True)
def coefficients_of_points_into(a, points, t, scratch):
    """Analysis of fields one after the other; see `points_of_coefficients_into`."""
    fields = len(a) // (len(t.legendre.first) * t.legendre.ncoef)  # a vector counts as two
    coef = scratch.coef[: t.legendre.starts[-1] * fields * WIDTH]
    coef[:] = 0.0
    _, ngroups, ntiles = t.legendre.first.shape
    for begin in range(0, ntiles, scratch.block):
        tiles = begin, min(begin + scratch.block, ntiles)
        rings_to_sums(scratch.sums, points, t, scratch.ring, fields, tiles)
        sums_to_coef(coef, scratch.sums, scratch.state, t, fields, (0, ngroups), tiles)
    unpack_coefficients_into(a, coef, t, fields, (0, ngroups), scratch.ring.alone)


register(LinearRule(points_of_coefficients_into, scratch=(3,), separate=True))
register(LinearRule(coefficients_of_points_into, scratch=(3,), separate=True))
