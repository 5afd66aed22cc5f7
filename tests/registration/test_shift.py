"""Registration against shifts that are known exactly."""

import numpy as np
import pytest

from stormcell.errors import InputError
from stormcell.registration import RegistrationError, estimate_shift, shift_image


def spots(shape=(72, 90), shift=(0.0, 0.0), seed=0, sigma=1.5, n=60):
    """Gaussian spots at known places, so that a shift is exact to machine precision; also beyond the edges."""
    rng = np.random.default_rng(seed)
    y, x = rng.uniform(-10, shape[0] + 10, n) + shift[0], rng.uniform(-10, shape[1] + 10, n) + shift[1]
    gy = np.exp(-((np.arange(shape[0])[:, None] - y) ** 2) / 2 / sigma**2)
    gx = np.exp(-((np.arange(shape[1])[:, None] - x) ** 2) / 2 / sigma**2)
    return gy @ (gx * rng.uniform(0.5, 2, n)).T


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.31, -0.47), (2.5, 1.25), (-3.99, 3.2)])
def test_known_shift_comes_back(shift):
    found = estimate_shift(spots(), 7 * spots(shift=shift) + 100, 5)
    assert (found.y_px, found.x_px) == pytest.approx(shift, abs=0.005)
    assert found.correlation > 0.999


def test_precision_under_photon_noise():
    rng = np.random.default_rng(1)
    errors = []
    for _ in range(20):
        shift = rng.uniform(-2, 2, 2)
        a, b = rng.poisson(50 * spots() + 5), rng.poisson(50 * spots(shift=shift) + 5)
        found = estimate_shift(a, b, 4)
        errors.append([found.y_px - shift[0], found.x_px - shift[1]])
    assert np.abs(np.mean(errors, axis=0)).max() < 0.015
    assert np.std(errors) < 0.03


def test_shift_image_undoes_the_estimate():
    reference, moving = spots(), spots(shift=(1.3, -0.6))
    found = estimate_shift(reference, moving, 3)
    back = shift_image(moving, -found.y_px, -found.x_px)
    inner = (slice(8, -8), slice(8, -8))
    assert np.corrcoef(back[inner].ravel(), reference[inner].ravel())[0, 1] > 0.9995
    assert np.allclose(shift_image(reference, 2, -3)[4:-4, 4:-4], reference[2:-6, 7:-1], atol=1e-6)


def test_unrelated_images_are_refused_nearly_always():
    refused = 0
    for seed in range(40):
        try:
            estimate_shift(spots(seed=seed), spots(seed=seed + 1000), 4)
        except RegistrationError:
            refused += 1
    assert refused >= 39
    with pytest.raises(RegistrationError, match="two images of the same field"):
        estimate_shift(spots(seed=1), spots(seed=2), 4)


def test_a_shift_beyond_the_limit_is_refused_not_clipped():
    with pytest.raises(RegistrationError):
        estimate_shift(spots(), spots(shift=(5.0, 0.0)), 3)


@pytest.mark.parametrize(
    ("reference", "moving", "limit", "message"),
    [
        (np.ones((20, 20)), spots((20, 20)), 2, "same value in every pixel"),
        (spots((20, 20)), np.full((20, 20), np.nan), 2, "finite pixels in the moving"),
        (spots((20, 20)), spots((20, 21)), 2, "same shape"),
        (spots((20, 20)), spots((20, 20)), 11, "at most half the image"),
        (spots((20, 20)), spots((20, 20)), 0, "above 0"),
        (np.ones(7), np.ones(7), 2, "at least 8 x 8"),
    ],
)
def test_bad_input_is_refused_in_words(reference, moving, limit, message):
    with pytest.raises(InputError, match=message):
        estimate_shift(reference, moving, limit)
