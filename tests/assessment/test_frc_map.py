"""The rolling map against two halves of a field with different, known precision."""

import numpy as np
import pytest

from stormcell.assessment.frc_map import FrcMapSettings, frc_map
from stormcell.data import PixelGrid, SRImage
from stormcell.errors import InputError

SIDE_PX, SIZE_NM = 384, 10.0


@pytest.fixture(scope="module")
def images():
    """Random emitters, 3 events each per image: 8 nm precision left, 20 nm right, none at the bottom."""
    rng = np.random.default_rng(0)
    emitters = rng.uniform(0, SIDE_PX * SIZE_NM, (12_000, 2))
    emitters = emitters[emitters[:, 1] < 280 * SIZE_NM]
    spread = np.where(emitters[:, 0] < SIDE_PX * SIZE_NM / 2, 8.0, 20.0)
    images = []
    for _ in range(2):
        emitter = np.repeat(np.arange(len(emitters)), rng.poisson(3, len(emitters)))
        places = emitters[emitter] + rng.normal(0, 1, (len(emitter), 2)) * spread[emitter, None]
        edges = np.arange(SIDE_PX + 1) * SIZE_NM
        counts = np.histogram2d(places[:, 1], places[:, 0], bins=(edges, edges))[0]
        images.append(SRImage(counts.astype(np.float32), PixelGrid(SIZE_NM, counts.shape, (500.0, 0.0))))
    return images


def test_each_side_shows_its_resolution(images):
    found = frc_map(*images, FrcMapSettings(window_px=64, step_px=16))
    x = found.resolution.grid.x_nm(np.arange(found.resolution.pixels.shape[1]) + 0.5)
    y = found.resolution.grid.y_nm(np.arange(found.resolution.pixels.shape[0]) + 0.5) - 500.0
    upper = y < 240 * SIZE_NM
    for side, precision in ((x < 150 * SIZE_NM, 8.0), (x > 234 * SIZE_NM, 20.0)):
        expected = 2 * np.pi * np.hypot(precision, SIZE_NM / np.sqrt(12)) / np.sqrt(np.log(18))
        measured = np.nanmedian(found.resolution.pixels[np.ix_(upper, side)])
        assert measured == pytest.approx(expected, rel=0.12)
    empty = y > 320 * SIZE_NM
    assert np.isnan(found.resolution.pixels[empty]).mean() > 0.8
    # Of the windows that hold anything nearly all have a number: the empty quarter does not count.
    assert found.share > 0.95


def test_windows_are_centred(images):
    found = frc_map(*images, FrcMapSettings(window_px=64, step_px=32))
    assert found.resolution.grid.x_nm(0.5) == pytest.approx(32 * SIZE_NM)
    assert found.resolution.grid.y_nm(0.5) == pytest.approx(500 + 32 * SIZE_NM)
    assert found.resolution.pixels.shape == (11, 11)


def test_progress_and_refusal(images):
    seen = []
    frc_map(*images, FrcMapSettings(step_px=64), progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (36, 36)
    with pytest.raises(InputError, match="at least one window"):
        frc_map(*images, FrcMapSettings(window_px=512))
