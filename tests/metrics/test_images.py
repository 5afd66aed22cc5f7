import numpy as np
import pytest

from stormcell.data import PixelGrid, SRImage
from stormcell.errors import InputError
from stormcell.metrics import IMAGE_METRICS, nmse, pearson


def random_images(seed=0):
    rng = np.random.default_rng(seed)
    reference = rng.gamma(2, 50, (9, 14))
    return reference + rng.normal(0, 20, reference.shape), reference


@pytest.mark.parametrize("name", sorted(IMAGE_METRICS))
def test_metrics_take_images_with_a_place(name):
    image, reference = (one.astype(np.float32) for one in random_images())
    grid = PixelGrid(10, (9, 14))
    placed = IMAGE_METRICS[name](SRImage(image, grid), SRImage(reference, grid))
    assert placed == IMAGE_METRICS[name](image, reference)
    with pytest.raises(InputError, match="expected images on the same pixels"):
        IMAGE_METRICS[name](SRImage(image, grid), SRImage(reference, PixelGrid(20, (9, 14))))
    with pytest.raises(InputError, match=r"same shape, got \(9, 14\) and \(14, 9\)"):
        IMAGE_METRICS[name](image, reference.T)


@pytest.mark.parametrize("name", sorted(IMAGE_METRICS))
def test_pixels_that_are_not_numbers_are_left_out(name):
    image, reference = random_images()
    kept = IMAGE_METRICS[name](image[1:], reference[1:])
    image[0, :7], reference[0, 7:] = np.nan, np.inf
    assert IMAGE_METRICS[name](image, reference) == pytest.approx(kept, rel=1e-12)
    assert np.isnan(IMAGE_METRICS[name](image * np.nan, reference))


def test_pearson_agrees_with_numpy_and_ignores_scale_and_offset():
    image, reference = random_images()
    expected = np.corrcoef(image.ravel(), reference.ravel())[0, 1]
    assert pearson(image, reference) == pytest.approx(expected, rel=1e-12)
    assert pearson(3 * image + 7, reference) == pytest.approx(expected, rel=1e-12)
    assert pearson(-image, reference) == pytest.approx(-expected, rel=1e-12)
    assert pearson(reference, reference) == pytest.approx(1)


def test_a_constant_image_has_no_correlation():
    image, _ = random_images()
    assert np.isnan(pearson(image, np.full(image.shape, 0.1)))
    assert np.isnan(pearson(np.zeros(image.shape), image))


def test_nmse_is_what_its_formula_says():
    image, reference = random_images()
    expected = ((image - reference) ** 2).sum() / (reference**2).sum()
    assert nmse(image, reference) == pytest.approx(expected, rel=1e-12)
    assert nmse(reference, reference) == 0
    assert nmse(np.zeros(image.shape), reference) == 1
    assert np.isnan(nmse(image, np.zeros(image.shape)))


def test_a_fitted_scale_is_the_best_one():
    image, reference = random_images()
    scales = np.linspace(0.2, 2, 2001)
    best = min(nmse(scale * image, reference) for scale in scales)
    assert nmse(image, reference, fit_scale=True) == pytest.approx(best, rel=1e-4)
    assert nmse(image, reference, fit_scale=True) <= best
    assert nmse(1000 * image, reference, fit_scale=True) == pytest.approx(nmse(image, reference, fit_scale=True))
    assert nmse(np.zeros(image.shape), reference, fit_scale=True) == 1
