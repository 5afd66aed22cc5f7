"""The correlation map against sums of products written out, and the peak against a known Gaussian."""

import numpy as np
import pytest

from stormcell.registration.correlation import correlation_map, fit_peak, padded_shape, spectrum


def test_map_is_the_sum_of_products():
    rng = np.random.default_rng(0)
    a, b = rng.random((13, 17)), rng.random((13, 17))
    shape = padded_shape(a.shape, 4)
    found = correlation_map(spectrum(a, shape), spectrum(b, shape), shape, 4)
    for dy in range(-4, 5):
        for dx in range(-4, 5):
            rows_a, rows_b = slice(max(-dy, 0), 13 - max(dy, 0)), slice(max(dy, 0), 13 + min(dy, 0))
            columns_a, columns_b = slice(max(-dx, 0), 17 - max(dx, 0)), slice(max(dx, 0), 17 + min(dx, 0))
            expected = (a[rows_a, columns_a] * b[rows_b, columns_b]).sum()
            assert found[dy + 4, dx + 4] == pytest.approx(expected)


@pytest.mark.parametrize(("y", "x", "sigma"), [(0.2, -0.4, 1.5), (3.45, -2.5, 2.2), (0.0, 0.0, 1.2)])
def test_peak_of_a_gaussian(y, x, sigma):
    yy, xx = np.mgrid[-12:13, -12:13]
    peak = fit_peak(50 + 9 * np.exp(-((yy - y) ** 2 + (xx - x) ** 2) / 2 / sigma**2))
    assert (peak.y_px, peak.x_px) == pytest.approx((y, x), abs=1e-3)
    assert peak.sigma_px == pytest.approx(sigma, rel=1e-2)
    assert peak.background == pytest.approx(50, rel=1e-3)
    assert not peak.at_edge


def test_peak_on_the_rim_and_flat_maps_are_told():
    ramp = np.tile(np.arange(9.0), (9, 1))
    assert fit_peak(ramp).at_edge
    flat = fit_peak(np.zeros((9, 9)))
    assert flat.height == 0
    assert flat.sigma_px == np.inf
