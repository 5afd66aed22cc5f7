import io

import numpy as np
import pytest
from matplotlib.image import imread

from stormcell.data import PixelGrid, SRImage
from stormcell.errors import InputError, SettingsError
from stormcell.rendering import contrast_limits, draw_image, overlay, to_png_bytes, to_rgb

GRID = PixelGrid(10.0, (30, 50), (100.0, 200.0))


def sr_image(pixels, grid=GRID):
    return SRImage(np.asarray(pixels, np.float32), grid)


def test_a_few_hot_pixels_do_not_hide_a_sparse_structure():
    pixels = np.zeros((1000, 100))
    pixels[::20, 1:] = 5.0
    pixels[0, 0] = 1e6
    low, high = contrast_limits(pixels)
    assert (low, high) == (0.0, 5.0)


def test_contrast_of_a_full_image_follows_the_percentiles():
    assert contrast_limits(np.arange(10001), (10, 90)) == (1000, 9000)


@pytest.mark.parametrize("value", [0.0, 7.0, -3.0, np.nan, np.inf])
@pytest.mark.parametrize("shape", [(0, 0), (1, 1), (4, 3)])
def test_empty_constant_and_unusable_images_can_be_shown(value, shape):
    low, high = contrast_limits(np.full(shape, value))
    assert np.isfinite([low, high]).all()
    assert high > low
    rgb = to_rgb(np.full(shape, value))
    assert rgb.shape == (*shape, 3)
    assert rgb.dtype == np.uint8


def test_large_images_are_sampled_for_their_contrast():
    pixels = np.tile(np.arange(1000.0), (5000, 1))
    assert contrast_limits(pixels, (0, 100)) == pytest.approx((0, 999), abs=2)


@pytest.mark.parametrize("percentiles", [(5, 5), (-1, 50), (50, 101), (90, 10)])
def test_impossible_percentiles_are_refused(percentiles):
    with pytest.raises(SettingsError, match="percentiles between 0 and 100"):
        contrast_limits(np.ones(4), percentiles)


def test_grey_levels_are_linear_between_the_limits():
    rgb = to_rgb(np.array([[-10.0, 0.0, 50.0, 100.0, 500.0, np.nan]]), "gray", limits=(0, 100))
    assert rgb[0, :, 0].tolist() == [0, 0, 128, 255, 255, 0]
    assert (rgb == rgb[..., :1]).all()


def test_gamma_below_one_lifts_faint_structure():
    assert to_rgb(np.array([[0.25]]), "gray", limits=(0, 1), gamma=0.5)[0, 0, 0] == 128


def test_what_cannot_be_coloured_is_refused():
    with pytest.raises(SettingsError, match="expected a Matplotlib colour map such as inferno"):
        to_rgb(np.ones((2, 2)), "rainbows")
    with pytest.raises(InputError, match=r"expected an image of shape \(Y, X\), got \(2, 2, 2\)"):
        to_rgb(np.ones((2, 2, 2)))
    with pytest.raises(InputError, match="limits in rising order"):
        to_rgb(np.ones((2, 2)), limits=(1, 1))


def test_an_overlay_puts_both_images_in_their_places():
    fine = np.zeros((30, 50))
    fine[12, 33] = 1
    coarse_grid = PixelGrid(100.0, (4, 6), (0.0, 100.0))
    coarse = np.zeros((4, 6))
    coarse[2, 1] = 1  # y 200..300, x 200..300 nm: rows 10..20, columns 0..10 of the fine image
    rgb = overlay(sr_image(coarse, coarse_grid), sr_image(fine), strength=1.0)
    assert rgb.shape == (30, 50, 3)
    assert rgb[12, 33].tolist() == [255, 255, 255]
    grey = rgb[..., 0].astype(float)
    grey[12, 33] = 0
    assert np.unravel_index(grey.argmax(), grey.shape)[0] in (14, 15)
    assert grey[15, 5] == 230  # 5 nm beside the centre of a pixel of 100 nm, along both axes: 0.95^2
    assert rgb[2, 45].tolist() == [0, 0, 0]
    assert (rgb[15, 5] == rgb[15, 5, 0]).all()


@pytest.mark.parametrize(
    ("shape", "drawn"), [((30, 50), (300, 500)), ((1500, 2000), (384, 512)), ((1, 1), (512, 512))]
)
def test_pictures_come_at_a_size_to_look_at(shape, drawn):
    image = sr_image(np.random.default_rng(0).random(shape), PixelGrid(10.0, shape))
    rgb = draw_image(image, side_px=512)
    assert rgb.shape[:2] == drawn
    without = draw_image(image, side_px=512, scale_bar=False)
    changed = np.flatnonzero((rgb != without).any(axis=(0, 2)))
    assert len(changed) > 0
    assert changed[0] > drawn[1] / 2


def test_single_localizations_survive_the_shrinking():
    pixels = np.zeros((2000, 2000))
    pixels[777, 1313] = 1
    assert draw_image(sr_image(pixels, PixelGrid(10, (2000, 2000))), side_px=200, scale_bar=False).max() > 150


def test_png_bytes_hold_the_picture_and_repeat():
    rgb = np.random.default_rng(0).integers(0, 256, (13, 7, 3), dtype=np.uint8)
    png = to_png_bytes(rgb)
    assert png == to_png_bytes(rgb.copy())
    decoded = imread(io.BytesIO(png))
    assert np.array_equal(np.round(decoded[..., :3] * 255), rgb)
    assert b"Matplotlib" not in png


@pytest.mark.parametrize(
    "wrong", [np.zeros((3, 3)), np.zeros((3, 3, 4), np.uint8), np.zeros((3, 3, 3)), np.zeros((0, 3, 3), np.uint8)]
)
def test_what_is_no_picture_is_not_encoded(wrong):
    with pytest.raises(InputError, match="expected a uint8 picture"):
        to_png_bytes(wrong)
