"""Decorrelation analysis: it follows the blur of an image, whatever its shape and units."""

import numpy as np
import pytest

from stormcell.assessment.decorrelation import DecorrelationSettings, decorrelation
from stormcell.data import PixelGrid, SRImage
from stormcell.errors import InputError


@pytest.fixture(scope="module")
def image_of(make_filaments, make_image):
    def make(sigma_nm, size_nm=20.0, shape=(256, 256), peak=500, seed=0):
        points = make_filaments(n=14, field_nm=max(shape) * size_nm, seed=seed)
        clean = make_image(points, size_nm, shape, sigma_nm)
        noisy = np.random.default_rng(seed).poisson(clean / clean.max() * peak + 0.02 * peak)
        return SRImage(noisy.astype(np.float32), PixelGrid(size_nm, shape))

    return make


def test_resolution_follows_the_blur(image_of):
    numbers = [decorrelation(image_of(sigma)).resolution_nm for sigma in (30.0, 45.0, 67.5)]
    assert numbers[0] < numbers[1] < numbers[2]
    # With the same signal to noise the cut-off scales with the blur.
    assert numbers[2] / numbers[0] == pytest.approx(2.25, rel=0.25)


def test_number_is_in_nm_and_blind_to_scale_and_shape(image_of):
    square = image_of(45.0)
    number = decorrelation(square).resolution_nm
    scaled = SRImage(square.pixels * 7 + 100, square.grid)
    assert decorrelation(scaled).resolution_nm == pytest.approx(number)
    relabelled = SRImage(square.pixels, PixelGrid(2.0, square.pixels.shape))
    assert decorrelation(relabelled).resolution_nm == pytest.approx(number / 10)
    for shape in ((256, 200), (255, 251)):
        cut = SRImage(
            square.pixels[: shape[0], : shape[1]], PixelGrid(20.0, (min(256, shape[0]), min(256, shape[1])))
        )
        assert decorrelation(cut).resolution_nm == pytest.approx(number, rel=0.1)


def test_curve_is_the_definition_written_out(image_of):
    """Cross-correlation with the phase-only image within a radius, with full transforms."""
    from stormcell.assessment.decorrelation import _faded

    image = image_of(45.0, shape=(64, 64))
    found = decorrelation(image, DecorrelationSettings(n_radii=12))
    spectrum = np.fft.fft2(_faded(image.pixels))
    spectrum[0, 0] = 0
    radius = 2 * np.hypot(np.fft.fftfreq(64)[:, None], np.fft.fftfreq(64)[None, :])
    # Rings are a quarter of a Fourier pixel wide.
    radius = np.floor(radius * 128 + 0.5) / 128
    total = np.sum(np.abs(spectrum[radius <= 1]) ** 2)
    for index, limit in enumerate(np.linspace(0, 1, 12)):
        inside = (radius <= limit + 1 / 22) & (radius <= 1)
        expected = np.abs(spectrum[inside]).sum() / np.sqrt(total * inside.sum())
        assert found.curve[index] == pytest.approx(expected, rel=1e-4)


def test_refusals():
    grid = PixelGrid(10.0, (64, 64))
    with pytest.raises(InputError, match="same value in every pixel"):
        decorrelation(SRImage(np.ones((64, 64), np.float32), grid))
    bad = np.eye(64, dtype=np.float32)
    bad[bad == 1] = np.nan
    with pytest.raises(InputError, match="64 that are not"):
        decorrelation(SRImage(bad, grid))
    with pytest.raises(InputError, match="at least 32 x 32"):
        decorrelation(SRImage(np.eye(16, dtype=np.float32), PixelGrid(10.0, (16, 16))))
