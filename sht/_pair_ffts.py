"""FFTs of two rings at once, for numbers of points that have a large prime factor.

Rings of reduced grids have all lengths, of which most have a prime factor p > 13. FFTW then takes
two to four times as long as what is here. A ring north and its mirror in the south are the real
and the imaginary part of one complex sequence of n = p q points, and with k = a q + b, j = c + p d
(Cooley and Tukey, 1965)

    z_j = Σ_b exp(2πi b d / q) exp(2πi b c / n) Σ_a exp(2πi a c / p) Z_k.

The sums over b are FFTW's, of length q. Those over a, of prime length, are made as they stand:
cosines times even sums and sines times odd ones, Z_a ± Z_(p-a), for q values of b side by side.
They need p/8 multiplications a point with vectors of 8: fewer than Rader's way up to p = 300.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from enzyme_rules.fftw_split import Strides, execute_split, plan_split

from ._simd import (
    LANES,
    RINGS,
    load_vector,
    splat_strided,
    store_block,
    store_vector,
    zero_block,
)

_SMALLEST, _LARGEST = 17, 300
"""Primes p for which this is faster than FFTW, by measurement: n = 4 p, one thread, AVX-512.

p = 13: 1.4 times slower; 17 … 131: 1.5 to 4 times faster; 239: 1.5; 293: 1.2; 311: 0.8.
"""


class PairFFTs(NamedTuple):
    """Plans for pairs of rings, one for each different length.

    Attributes
    ----------
    work : int
        How many float64 a transform needs for itself.
    prime : (nlengths,) int64
        p; 0 for lengths that are FFTW's alone.
    row : (nlengths,) int64
        float64 that q complex numbers take, filled up to whole vectors.
    handles : (nlengths, 2) int64
        FFTW's plans to points, and from points.
    starts : (nlengths + 1, 2) int64
        Where `roots` and `turns` of each length begin.
    roots : (2, ...) float64
        cos and sin of 2π k / p, three times over.
    turns : (...) float64
        exp(2πi b c / n), row by row as the sums.
    """

    work: int
    prime: np.ndarray
    row: np.ndarray
    handles: np.ndarray
    starts: np.ndarray
    roots: np.ndarray
    turns: np.ndarray


def make_pair_ffts(lengths: np.ndarray) -> PairFFTs:
    """Plans for rings of these lengths, those of them that it is worth while for."""
    primes = [_prime_of(int(n)) for n in lengths]
    rows, handles, roots, turns = [], [], [np.zeros((2, 0))], [np.zeros(0)]
    starts, work = [(0, 0)], 0
    for n, p in zip(map(int, lengths), primes, strict=True):
        q = n // p if p else 0
        row = -(-2 * q // LANES) * LANES
        rows.append(row)
        handles.append((0, 0))
        if p:
            apart, together = Strides(p, 1, n), Strides(2, row, 1)
            handles[-1] = (
                plan_split(q, p, together, apart),
                plan_split(q, p, apart, together),
            )
            angle = 2.0 * np.pi / p * np.arange(p)
            roots.append(np.tile([np.cos(angle), np.sin(angle)], 3))
            turn = np.zeros((p, row // 2), complex)
            turn[:, :q] = np.exp(2j * np.pi / n * np.outer(np.arange(p), np.arange(q)))
            turns.append(turn.ravel().view(float))
            work = max(work, _work(p, row))
        starts.append((starts[-1][0] + 3 * p, starts[-1][1] + p * row))
    made = PairFFTs(
        work,
        np.array(primes, np.int64),
        np.array(rows, np.int64),
        np.array(handles, np.int64),
        np.array(starts, np.int64),
        np.concatenate(roots, axis=1),
        np.concatenate(turns),
    )
    for array in made[1:]:
        array.setflags(write=False)
    return made


def _prime_of(n: int) -> int:
    """The largest prime factor, where it is worth while, or 0."""
    left, factor = n, 2
    while left > 1:
        while left % factor == 0 and left > factor:
            left //= factor
        if left == factor:
            break
        factor += 1
    fits = _SMALLEST <= factor <= _LARGEST and 2 * (n // factor) >= LANES
    return factor if fits else 0


def _work(p: int, row: int) -> int:
    return 2 * p * row + 2 * (p // 2) * row + 2 * RINGS * LANES


@njit(error_model="numpy")
def points_of_pair_into(values, north, south, k, ffts, work):
    """Two half spectra to points, as `brfft_into` does each.

    Parameters
    ----------
    values : (2 n,) float64
        Points of the ring north, and of that south. Overwritten.
    north, south : (n // 2 + 1,) complex
    k : int
        Which of the lengths; one with a prime.
    ffts : PairFFTs
    work : (ffts.work,) float64
    """
    p, row = ffts.prime[k], ffts.row[k]
    n = len(values) // 2
    q = n // p
    z, y = work[: p * row], work[p * row : 2 * p * row]
    # Z_k = N_k + i S_k; both are real, hence Z_(n-k) = conj(N_k) + i conj(S_k).
    for a in range((p + 1) // 2):
        for b in range(q):
            k_here = a * q + b
            mirrored = (p - a) * row if b == 0 else (p - 1 - a) * row + 2 * (q - b)
            if 2 * k_here <= n:
                one, other = north[k_here], south[k_here]
                ends = k_here == 0 or 2 * k_here == n
                one_im, other_im = (0.0, 0.0) if ends else (one.imag, other.imag)
                if not ends:
                    z[mirrored] = one.real + other_im
                    z[mirrored + 1] = other.real - one_im
                z[a * row + 2 * b] = one.real - other_im
                z[a * row + 2 * b + 1] = one_im + other.real
    _prime_sums(y, z, p, row, k, ffts, work, 1.0)
    turns = ffts.turns[ffts.starts[k, 1] : ffts.starts[k, 1] + p * row]
    for i in range(0, p * row, 2):
        re, im = y[i], y[i + 1]
        y[i] = re * turns[i] - im * turns[i + 1]
        y[i + 1] = re * turns[i + 1] + im * turns[i]
    start, end = y.ctypes.data, values.ctypes.data
    execute_split(ffts.handles[k, 0], start + 8, start, end + 8 * n, end)


@njit(error_model="numpy")
def pair_of_points_into(north, south, values, k, ffts, work):
    """Points of two rings to half spectra, as `rfft_into` does each; see `points_of_pair_into`."""
    p, row = ffts.prime[k], ffts.row[k]
    n = len(values) // 2
    q = n // p
    z, y = work[: p * row], work[p * row : 2 * p * row]
    start, end = values.ctypes.data, y.ctypes.data
    execute_split(ffts.handles[k, 1], start, start + 8 * n, end, end + 8)
    turns = ffts.turns[ffts.starts[k, 1] : ffts.starts[k, 1] + p * row]
    for i in range(0, p * row, 2):
        re, im = y[i], y[i + 1]
        y[i] = re * turns[i] + im * turns[i + 1]
        y[i + 1] = im * turns[i] - re * turns[i + 1]
    _prime_sums(z, y, p, row, k, ffts, work, -1.0)
    # N_k = (Z_k + conj(Z_(n-k))) / 2, S_k = (Z_k - conj(Z_(n-k))) / 2i.
    for a in range((p + 1) // 2):
        for b in range(q):
            k_here = a * q + b
            if 2 * k_here <= n:
                here = a * row + 2 * b
                mirrored = (p - a) * row if b == 0 else (p - 1 - a) * row + 2 * (q - b)
                mirrored = here if k_here == 0 else mirrored
                re, im, other_re, other_im = z[here], z[here + 1], z[mirrored], z[mirrored + 1]
                north[k_here] = 0.5 * complex(re + other_re, im - other_im)
                south[k_here] = 0.5 * complex(im + other_im, other_re - re)


@njit(error_model="numpy")
def _prime_sums(y, z, p, row, k, ffts, work, sign):
    """``y[c] = Σ_a z[a] exp(sign 2πi a c / p)`` for rows of complex numbers."""
    half = p // 2
    begin = 2 * p * row
    even, odd = work[begin : begin + half * row], work[begin + half * row : begin + 2 * half * row]
    sums = work[begin + 2 * half * row :]
    cosines = ffts.roots[0, ffts.starts[k, 0] : ffts.starts[k, 0] + 3 * p]
    sines = ffts.roots[1, ffts.starts[k, 0] : ffts.starts[k, 0] + 3 * p]
    for a in range(1, half + 1):
        one, other, to = a * row, (p - a) * row, (a - 1) * row
        for i in range(0, row, 2):
            even[to + i] = z[one + i] + z[other + i]
            even[to + i + 1] = z[one + i + 1] + z[other + i + 1]
            odd[to + i] = sign * (z[other + i + 1] - z[one + i + 1])
            odd[to + i + 1] = sign * (z[one + i] - z[other + i])
    for i in range(0, row, LANES):
        first = load_vector(z, i)
        total = first
        for a in range(half):
            total = total + load_vector(even, a * row + i)
        store_vector(y, i, total)
        for begin in range(1, half + 1, RINGS):
            c = min(begin, half - RINGS + 1)  # some twice, rather than fewer at a time
            with_cosines, with_sines = zero_block(), zero_block()
            root = 0
            for a in range(half):
                root += c
                root -= p if root >= p else 0
                # Of c + 1, …: root + a + 1, …, which the tables are long enough for.
                with_cosines = with_cosines + splat_strided(cosines, root, a + 1) * load_vector(
                    even, a * row + i
                )
                with_sines = with_sines + splat_strided(sines, root, a + 1) * load_vector(
                    odd, a * row + i
                )
            store_block(sums, 0, with_cosines + first)
            store_block(sums, RINGS * LANES, with_sines)
            for r in range(RINGS):
                cosine, sine = load_vector(sums, r * LANES), load_vector(sums, (RINGS + r) * LANES)
                store_vector(y, (c + r) * row + i, cosine + sine)
                store_vector(y, (p - c - r) * row + i, cosine - sine)
