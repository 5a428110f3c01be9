"""FFTs of `LANES` rings at once, a ring for each lane: rings of one length, or of any.

Of one length
-------------
The n points of a ring are h = n/2 complex numbers z_j = x_{2j} + i x_{2j+1}; with
Z_k = Σ_j z_j exp(-2πi j k / h) and the half spectrum X_k of the points

    Z_k = X_k + conj(X_{h-k}) + i exp(2πi k / n) (X_k - conj(X_{h-k})) = S + D,
    Z_{h-k} = conj(S - D)

(Cooley, Lewis and Welch, 1970), with h a product of small numbers.

Of any even length
------------------
With 2 j k = j² + k² - (j - k)², a transform is a convolution (Bluestein, 1970), whose size M may be
the same for all lanes, and of small factors:

    z_j = γ_j Σ_{k = -K}^{K} b_{j-k} a_k,  γ_j = exp(πi j² / h),  b_d = exp(-πi d² / h),
    a_k = α_k X_k,  a_{-k} = β_k conj(X_k),  M >= h + 2K,
    α_k = (1 + i exp(πi k / h)) γ_k,  β_k = (1 + i exp(-πi k / h)) γ_k,

and the way back is the same with conjugate factors: with C_k the sums over z_j,
X_k = (conj(α_k) C_k + β_k conj(C_{-k})) / 2. Orders beyond that of Nyquist are no exception.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ._lane_passes import PAIR, from_places, places_of, radices_of, to_places
from ._simd import LANES, RINGS, load_vector, splat, store_vector
from ._simd_rows import load_twice

HALF = 2 * RINGS
"""Numbers for each complex factor that rings in the north share with their mirrors."""


def turns_of(n: int) -> np.ndarray:
    """exp(2πi k / n) for k = 0 … n/4, as numbers."""
    return np.exp(2j * np.pi / n * np.arange(n // 4 + 1)).view(float)


def chirps_of(n: np.ndarray, kept: np.ndarray, phi0: np.ndarray, size: int) -> np.ndarray:
    """The factors α, β, γ and the transform of b for rings of any even length.

    Parameters
    ----------
    n, kept : (RINGS,) int
        Points, and highest order, of each ring.
    phi0 : (RINGS,) float
        First longitude, which α and β have a factor exp(i k φ0) for.
    size : int
        M.
    """
    highest, h = int(np.max(kept)), n // 2
    k, j = np.arange(highest + 1)[:, None], np.arange(np.max(h))[:, None]
    d = np.concatenate([np.arange(size - highest), np.arange(-highest, 0)])[:, None]

    def chirp(k):
        return np.exp(1j * np.pi / h * (k**2 % (2 * h)))  # of an exact number

    own = np.where(k <= kept, chirp(k) * np.exp(1j * k * phi0), 0.0)
    back = np.where(k <= kept, chirp(k) * np.exp(-1j * k * phi0), 0.0)
    alpha = (1 + 1j * np.exp(1j * np.pi * k / h)) * own
    beta = (1 + 1j * np.exp(-1j * np.pi * k / h)) * back
    kernel = np.empty((size, RINGS), complex)
    kernel[places_of(size)] = np.fft.fft(chirp(d).conj(), axis=0) / size
    rows = np.concatenate([alpha, beta, np.where(j < h, chirp(j), 0.0), kernel])
    return np.stack([np.real(rows), np.imag(rows)], axis=1).ravel()


def chirp_size(needed: int) -> int:
    """A size from `needed` on, of few passes."""
    sizes = [s for s in range(needed, needed + needed // 4 + 2 * LANES) if radices_of(s)]
    return min(sizes, key=lambda s: s * (1 + len(radices_of(s) or ())))


@njit(error_model="numpy")
def _load(x, k):
    return load_vector(x, k * PAIR), load_vector(x, k * PAIR + LANES)


@njit(error_model="numpy")
def _store(x, k, re, im):
    store_vector(x, k * PAIR, re)
    store_vector(x, k * PAIR + LANES, im)


@njit(error_model="numpy")
def points_of_spectra(x, spectra, kept, k, passes, turns):
    """Half spectra to points, as `brfft_into`, of rings of one length.

    Parameters
    ----------
    x : (h * PAIR,) float64
        Overwritten. The two points 2j and 2j + 1 of all rings are the `PAIR` numbers at place j.
    spectra : (h * PAIR,) float64
        Orders beyond `kept` count as 0, and the imaginary part of order 0.
    kept : int
        Below h.
    k : int
        Which of the sizes is h.
    passes : Passes
    turns : (...) float64
        From `turns_of`.
    """
    h = passes.sizes[k, 0]
    first, zero = load_vector(spectra, 0), splat(0.0)
    _store(x, 0, first, first)
    for i in range(1, h // 2 + 1):
        a_re, a_im = _load(spectra, i) if i <= kept else (zero, zero)
        b_re, b_im = _load(spectra, h - i) if h - i <= kept else (zero, zero)
        cosine, sine = splat(turns[2 * i]), splat(turns[2 * i + 1])
        s_re, s_im = a_re + b_re, a_im - b_im
        re, im = a_re - b_re, a_im + b_im
        d_re, d_im = zero - (re * sine + im * cosine), re * cosine - im * sine
        _store(x, i, s_re + d_re, s_im + d_im)
        _store(x, h - i, s_re - d_re, d_im - s_im)
    to_places(x, k, passes, 0)


@njit(error_model="numpy")
def spectra_of_points(spectra, x, kept, k, passes, turns):
    """Points to half spectra up to order `kept`, as `rfft_into`, of rings of one length.

    Parameters
    ----------
    spectra : (h * PAIR,) float64
        Overwritten up to order `kept`.
    x : (h * PAIR,) float64
        Point i of all rings are the `LANES` numbers from ``i * LANES`` on. Used up.
    kept, k, passes, turns
        As for `points_of_spectra`.
    """
    h, places = passes.sizes[k, 0], passes.places[passes.sizes[k, 2] :]
    to_places(x, k, passes, LANES)
    half, zero = splat(0.5), splat(0.0)
    re, im = _load(x, 0)
    _store(spectra, 0, re + im, zero)
    for i in range(1, h // 2 + 1):
        a_re, a_im = _load(x, places[i])
        b_re, b_im = _load(x, places[h - i])
        cosine, sine = splat(turns[2 * i]), splat(turns[2 * i + 1])
        s_re, s_im = half * (a_re + b_re), half * (a_im - b_im)
        re, im = half * (a_re - b_re), half * (a_im + b_im)
        d_re, d_im = im * cosine - re * sine, zero - (re * cosine + im * sine)
        if i <= kept:
            _store(spectra, i, s_re + d_re, s_im + d_im)
        if h - i <= kept:
            _store(spectra, h - i, s_re - d_re, d_im - s_im)


@njit(error_model="numpy")
def points_of_orders(x, spectra, kept, h, k, passes, chirps):
    """Orders to points, of rings of any even length.

    Parameters
    ----------
    x : (size * PAIR,) float64
        Overwritten. Point i of all rings are the `LANES` numbers from ``i * LANES`` on.
    spectra : ((kept + 1) * PAIR,) float64
    kept : int
        The highest order of any of the rings.
    h : int
        Half of the points of the longest ring.
    k : int
        Which of the sizes.
    passes : Passes
    chirps : (...) float64
        From `chirps_of`.
    """
    size = passes.sizes[k, 0]
    beta, gamma = (kept + 1) * HALF, 2 * (kept + 1) * HALF
    for i in range(kept + 1):
        re, im = _load(spectra, i)
        im = im if i > 0 else splat(0.0)
        c, s = _factor(chirps, i * HALF)
        _store(x, i, c * re - s * im, c * im + s * re)
        if i > 0:
            c, s = _factor(chirps, beta + i * HALF)
            _store(x, size - i, c * re + s * im, s * re - c * im)
    x[(kept + 1) * PAIR : (size - kept) * PAIR] = 0.0
    to_places(x, k, passes, LANES)
    for i in range(size):
        re, im = _load(x, i)
        c, s = _factor(chirps, gamma + (h + i) * HALF)
        _store(x, i, c * re - s * im, c * im + s * re)
    from_places(x, k, passes, 0)
    for i in range(h):
        re, im = _load(x, i)
        c, s = _factor(chirps, gamma + i * HALF)
        _store(x, i, c * re - s * im, c * im + s * re)


@njit(error_model="numpy")
def orders_of_points(spectra, x, kept, h, k, passes, chirps):
    """Points to orders, of rings of any even length; as `points_of_orders`.

    Points beyond those of a ring may be any numbers. Uses x up.
    """
    size = passes.sizes[k, 0]
    beta, gamma = (kept + 1) * HALF, 2 * (kept + 1) * HALF
    for i in range(h):
        re, im = _load(x, i)
        c, s = _factor(chirps, gamma + i * HALF)
        _store(x, i, c * re + s * im, c * im - s * re)
    x[h * PAIR : size * PAIR] = 0.0
    to_places(x, k, passes, LANES)
    for i in range(size):
        re, im = _load(x, i)
        c, s = _factor(chirps, gamma + (h + i) * HALF)
        _store(x, i, c * re + s * im, c * im - s * re)
    from_places(x, k, passes, 0)
    half = splat(0.5)
    for i in range(kept + 1):
        re, im = _load(x, i)
        other_re, other_im = _load(x, size - i if i > 0 else 0)
        c, s = _factor(chirps, i * HALF)
        d, t = _factor(chirps, beta + i * HALF)
        result_re = c * re + s * im + d * other_re + t * other_im
        result_im = c * im - s * re + t * other_re - d * other_im
        _store(spectra, i, half * result_re, half * result_im)
    store_vector(spectra, LANES, splat(0.0))  # of order 0, but for rounding


@njit(error_model="numpy")
def _factor(chirps, i):
    return load_twice(chirps, i), load_twice(chirps, i + RINGS)
