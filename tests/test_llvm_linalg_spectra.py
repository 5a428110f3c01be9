"""Gradients through eigenvalues, singular values and norms of np.linalg."""

import numba
import numpy as np
import pytest

from llvm import grad, jvp, value_and_grad
from tests.linalg_cases import check_all, matrices, pair, weights

EPS = np.finfo(np.float64).eps


@numba.njit
def spectra(a, b, k):
    """What depends on vectors does not depend on their phases."""
    total = 0.0
    if k[0] != 0:
        total += k[0] * pair(np.linalg.eigvalsh(a))
    if k[1] != 0:
        w, v = np.linalg.eigh(a)
        total += k[1] * (
            pair((v * np.sin(w)) @ np.conj(v.T)) + pair(np.real(v) ** 2 + np.imag(v) ** 2)
        )
    if k[2] != 0:
        u, s, vh = np.linalg.svd(b, False)
        total += k[2] * (pair((u * (s * s)) @ vh) + pair(np.real(u) ** 2 + np.imag(u) ** 2))
    return total


@numba.njit
def whole_svd(a):
    """All singular vectors, by the projection on those that belong to no value."""
    u, s, vh = np.linalg.svd(a)
    n = s.size
    left, right = np.ascontiguousarray(u[:, n:]), np.ascontiguousarray(vh[n:])
    return pair(left @ np.conj(left.T)) + pair(np.conj(right.T) @ right) + pair(s)


@numba.njit
def norms(a, b, k):
    total = 0.0
    v = b[:, 0]
    if k[0] != 0:
        total += k[0] * (np.linalg.norm(v) + np.linalg.norm(b))
    if k[1] != 0:
        total += k[1] * (np.linalg.norm(v, 1) + np.linalg.norm(v, 3))
    if k[2] != 0:
        total += k[2] * (np.linalg.norm(v, np.inf) + np.linalg.norm(v, -np.inf))
    if k[3] != 0:
        total += k[3] * (np.linalg.norm(b, 1) + np.linalg.norm(b, -1))
    if k[4] != 0:
        total += k[4] * (np.linalg.norm(b, np.inf) + np.linalg.norm(b, -np.inf))
    if k[5] != 0:
        total += k[5] * (np.linalg.norm(a, 2) - np.linalg.norm(a, -2) + np.linalg.cond(a))
    return total


@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 5)])
@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_spectra(dtype, shape):
    a, _ = matrices(dtype)
    _, b = matrices(dtype, *shape, seed=2)
    check_all(spectra, (a, b), (0, 1), 3, growth=1e4, second=dtype == np.float64)


def test_norms():
    check_all(norms, matrices(np.float64), (0, 1), 6)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4)])
def test_complements_of_singular_vectors(shape):
    a = matrices(np.complex128, *shape)[1]
    rng = np.random.default_rng(1)
    t = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    backward = (np.conj(grad(whole_svd)(a)) * t).sum().real
    _, forward = jvp(whole_svd, (a,), (t,))
    h = 1e-3
    near, far = (whole_svd(a + k * h * t) - whole_svd(a - k * h * t) for k in (1, 2))
    assert abs(backward - forward) <= 1e4 * EPS * max(1.0, abs(forward))
    assert abs((8 * near - far) / (12 * h) - forward) <= 1e-8 * max(1.0, abs(forward))


@numba.njit
def nuclear(a):
    return np.linalg.svd(a, False)[1].sum()


@numba.njit
def values_alone(a):
    return pair(np.linalg.eigvalsh(a))


def test_exact_formulas():
    """∂Σσ = U Vᴴ, and with eigenvectors vₖ: ∂λₖ = vₖ vₖᴴ."""
    a = matrices(np.complex128, 60, 50)[1]
    u, _, vh = np.linalg.svd(a, full_matrices=False)
    assert np.abs(grad(nuclear)(a) - u @ vh).max() <= 1e4 * EPS
    h = matrices(np.complex128)[0]
    h = h + h.conj().T
    _, v = np.linalg.eigh(h)
    full = (v * weights((5,), float)) @ v.conj().T
    want = 2 * np.tril(full, -1) + np.diag(np.diag(full))
    assert np.abs(grad(values_alone)(h) - want).max() <= 1e4 * EPS


def test_equal_values_have_sums_but_no_vectors():
    @numba.njit
    def total(a):
        return np.linalg.eigvalsh(a).sum()

    @numba.njit
    def vectors(a):
        return pair(np.linalg.eigh(a)[1])

    assert (grad(total)(np.eye(4)) == np.eye(4)).all()
    assert (grad(nuclear)(np.eye(4)) == np.eye(4)).all()
    assert not np.isfinite(grad(vectors)(np.eye(4))).all()


def test_what_depends_on_phases_is_no_gradient():
    @numba.njit
    def phases(a):
        return np.real(np.linalg.eigh(a)[1]).sum()

    a = matrices(np.complex128)[0]
    assert np.isnan(grad(phases)(a + a.conj().T)).any()


@numba.njit
def length(x):
    return np.linalg.norm(x)


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_norms_of_any_size(scale, dtype):
    x = scale * matrices(dtype)[1]
    value, gradient = value_and_grad(length)(x)
    want = np.linalg.norm(x / scale)
    assert abs(value / scale - want) <= 8 * EPS * want
    assert np.abs(gradient - x / scale / want).max() <= 8 * EPS


def test_the_norm_of_nothing_and_of_zeros():
    for shape in ((0,), (3,), (0, 2), (2, 2)):
        value, gradient = value_and_grad(length)(np.zeros(shape))
        assert value == 0.0
        assert (gradient == 0.0).all()
        assert gradient.shape == shape
