"""The vectors of Gaussian rendering against the normal distribution, lane by lane."""

import numpy as np
import pytest
from numba import njit
from scipy.special import ndtr

from stormcell.rendering import gaussian_lanes as lanes

ADD = {8: lanes.add_line_8, 16: lanes.add_line_16, 24: lanes.add_line_24, 32: lanes.add_line_32}
FILL = {8: lanes.fill_shares_8, 16: lanes.fill_shares_16, 24: lanes.fill_shares_24, 32: lanes.fill_shares_32}


@pytest.mark.parametrize("length", lanes.LANES)
def test_shares_are_the_integral_over_each_pixel(length):
    fill = FILL[length]

    @njit
    def shares_of(offset, per_sigma):
        shares = np.empty(length, np.float32)
        fill(shares, offset, per_sigma)
        return shares

    rng = np.random.default_rng(0)
    for sigma in (0.02, 0.3, 0.8, (length - 1.01) / 8):
        offset = np.float32(4 * sigma + rng.uniform(0, 1))
        shares = shares_of(offset, np.float32(1 / sigma))
        z = np.clip((np.arange(length + 1) - offset) / sigma, -4, 4)
        np.testing.assert_allclose(shares, np.diff(ndtr(z)), atol=2e-6)
        assert shares.min() >= 0
        assert shares.sum(dtype=float) == pytest.approx(lanes.WHOLE, abs=1e-6)


@pytest.mark.parametrize("length", lanes.LANES)
def test_a_line_is_added_where_it_belongs(length):
    add = ADD[length]

    @njit
    def added(image, at, shares, height):
        add(image, at, shares, height)

    rng = np.random.default_rng(1)
    image, shares = rng.uniform(0, 1, 50).astype(np.float32), rng.uniform(0, 1, length).astype(np.float32)
    expected = image.copy()
    expected[11 : 11 + length] += np.float32(0.3) * shares
    added(image, 11, shares, np.float32(0.3))
    np.testing.assert_allclose(image, expected, rtol=1e-6)
    np.testing.assert_array_equal(image[:11], expected[:11])
    np.testing.assert_array_equal(image[11 + length :], expected[11 + length :])
