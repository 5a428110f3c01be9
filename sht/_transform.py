"""`Transform`: a prepared spherical harmonic transform, and its four maps as methods."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from enzyme_rules.fftw import RealFFT, fft_scratch, plan_real_fft

from ._kernels import Scratch, analysis_into, synthesis_into
from ._legendre import PHASES, LegendreTables, make_tables
from ._simd import LANES, RINGS, aligned_zeros
from ._spectrum import check_truncation, ncoef
from .grids import RingGrid


class _Plan(NamedTuple):
    legendre: LegendreTables
    fft: RealFFT
    areas: np.ndarray
    block: int


class Transform(_Plan):
    def __new__(cls, lmax, grid, mmax=None, dtype="float64", threads=None):
        call = "sht.Transform(lmax, grid)"
        lmax, mmax = check_truncation(call, lmax, mmax)
        nlat, nlon = grid.shape
        half = (nlat + 1) // 2
        tables = make_tables(lmax, mmax, grid.cos_theta[:half], grid.sin_theta[:half])
        size = (len(tables.starts) - 1) * PHASES * 8
        block = max(1, (1 << 19) // size)
        plan = super().__new__(cls, tables, plan_real_fft(nlon), grid.areas, block)
        plan.grid = grid
        plan.lmax, plan.mmax = lmax, mmax
        return plan

    def scratch(self):
        ngroups = len(self.legendre.starts) - 1
        ntiles = self.legendre.first.shape[1]
        row = max(ngroups * LANES, self.fft.n // 2 + 1)
        return Scratch(
            aligned_zeros(2 * LANES * self.legendre.starts[-1]),
            aligned_zeros(min(self.block, ntiles) * ngroups * PHASES),
            aligned_zeros(row, np.complex128),
            fft_scratch(self.fft),
        )
