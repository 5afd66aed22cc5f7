"""The cosine representation against blurs and samples written out."""

import numpy as np
import pytest
from scipy import ndimage

from stormcell.assessment.cosine_field import CosineField, EvenSampler, FreeSampler, SampledBlur, _sampler


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).random((60, 84)).astype(np.float32)


def test_blur_on_own_grid_is_a_gaussian_filter_with_mirrored_edges(image):
    found = CosineField(image, 2.0).on_own_grid((2.0, 3.5), 0.0)
    expected = ndimage.gaussian_filter(image.astype(np.float64), (2.0, 3.5), mode="reflect", truncate=8)
    assert np.abs(found - expected).max() < 2e-4 * np.ptp(expected) + 1e-5


def test_sampling_is_the_mean_over_the_coarse_pixel(image):
    """Odd ratio: exact but for the width of the image's own pixel."""
    y, x = (np.arange(20) + 0.5) * 3, (np.arange(28) + 0.5) * 3
    found = SampledBlur(CosineField(image, 1.5), y, x, 3.0).values((1.5, 1.5))
    blurred = ndimage.gaussian_filter(image.astype(np.float64), 1.5, mode="reflect", truncate=8)
    expected = blurred.reshape(20, 3, 28, 3).mean(axis=(1, 3))
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.9999
    assert found.mean() == pytest.approx(image.mean(), rel=1e-5)


@pytest.mark.parametrize("n", [7, 12, 13, 20, 60, 90])
@pytest.mark.parametrize("shift", [0.0, 0.4, -2.2, 5.0])
def test_folding_equals_the_matrix_product(image, n, shift):
    field = CosineField(image, 0.0)
    places = (np.arange(n) + 0.5) * 60 / n + shift
    sampler = _sampler(field, 0, places)
    assert isinstance(sampler, EvenSampler)
    expected = FreeSampler(field.waves(0, places))(field.coefficients)
    assert np.abs(sampler(field.coefficients) - expected).max() < 1e-5


def test_margins_fold_and_uneven_places_do_not(image):
    field = CosineField(image, 0.0)
    places = ((np.arange(12) + 0.5) * 5 + 0.7)[2:-2]
    sampler = _sampler(field, 0, places)
    assert isinstance(sampler, EvenSampler)
    assert np.abs(sampler(field.coefficients) - field.waves(0, places) @ field.coefficients).max() < 1e-5
    assert isinstance(_sampler(field, 0, np.array([1.0, 2.0, 5.0])), FreeSampler)
    assert isinstance(_sampler(field, 0, np.arange(10) * 3.3), FreeSampler)
