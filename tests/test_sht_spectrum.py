"""The packed layout: counting, indexing, packing, and the errors that teach it."""

import numpy as np
import pytest

from sht._spectrum import degrees_orders, lm_index, ncoef, pack, unpack

TRUNCATIONS = [(0, 0), (1, 0), (1, 1), (5, 5), (5, 2), (31, 31), (127, 40)]


@pytest.mark.parametrize(("lmax", "mmax"), TRUNCATIONS)
def test_index_degrees_and_count_agree(lmax, mmax):
    degrees, orders = degrees_orders(lmax, mmax)
    assert len(degrees) == ncoef(lmax, mmax)
    assert np.array_equal(lm_index(degrees, orders, lmax), np.arange(len(degrees)))
    assert orders.max() == mmax
    assert degrees.max() == lmax
    assert np.all(degrees >= orders)


def test_layout_is_that_of_healpy():
    # healpy.Alm.getidx(lmax, l, m) = m * (2 * lmax + 1 - m) // 2 + l
    lmax, expected = 3, [(0, 0), (1, 0), (2, 0), (3, 0), (1, 1), (2, 1), (3, 1), (2, 2), (3, 2)]
    degrees, orders = degrees_orders(lmax)
    assert list(zip(degrees.tolist(), orders.tolist(), strict=True)) == [*expected, (3, 3)]
    assert lm_index(3, 2, lmax) == 8
    assert isinstance(lm_index(np.int32(3), 2, lmax), int)


@pytest.mark.parametrize("dtype", [np.complex128, np.complex64, np.float64, np.int64])
@pytest.mark.parametrize("batch", [(), (3,), (2, 1)])
@pytest.mark.parametrize(("lmax", "mmax"), TRUNCATIONS)
def test_pack_undoes_unpack(lmax, mmax, batch, dtype):
    count = ncoef(lmax, mmax)
    packed = np.arange(count * np.prod(batch, dtype=int)).reshape(*batch, count).astype(dtype)
    dense = unpack(packed, lmax, mmax)
    assert dense.shape == (*batch, lmax + 1, mmax + 1)
    assert dense.dtype == dtype
    assert np.array_equal(pack(dense), packed)
    above = np.arange(lmax + 1)[:, None] < np.arange(mmax + 1)
    assert not np.any(dense[..., above])


def test_pack_takes_any_strides_and_ignores_what_is_above_the_diagonal():
    dense = np.arange(36.0).reshape(6, 6)
    filled = unpack(pack(dense.T), 5)
    assert np.array_equal(filled, np.tril(dense.T))


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: ncoef(-1), ValueError, r"`ncoef\(lmax, mmax\)` needs lmax >= 0. Got lmax = -1"),
        (lambda: ncoef(3, 4), ValueError, r"needs mmax <= lmax. Got lmax = 3, mmax = 4"),
        (lambda: ncoef(3.0), TypeError, r"needs an integer lmax. Got 3.0"),  # type: ignore
        (lambda: degrees_orders(2, -1), ValueError, r"mmax >= 0. Got mmax = -1"),
        (lambda: lm_index(1, 2, 3), ValueError, r"0 <= m <= l <= lmax = 3. Got l = 1, m = 2"),
        (lambda: lm_index(4, 0, 3), ValueError, r"Got l = 4"),
        (lambda: lm_index(2, -1, 3), ValueError, r"Only m >= 0 is stored"),
        (lambda: lm_index(1.5, 0, 3), TypeError, r"integer degrees and orders. Got l of float64"),
        (lambda: pack(np.zeros(6)), ValueError, r"`pack\(dense\)` needs shape .* Got \(6,\)"),
        (lambda: pack(np.zeros((2, 3))), ValueError, r"Degrees come before orders"),
        (lambda: unpack(np.zeros(5), 2), ValueError, r"needs shape \(\.\.\., 6\). Got \(5,\)"),
        (lambda: unpack(np.float64(1), 2), ValueError, r"Got \(\)"),
    ],
)
def test_bad_input_is_told(call, error, match):
    with pytest.raises(error, match=match):
        call()
