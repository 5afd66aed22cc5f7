"""FRC against its analytic value for emitters of known precision and number of events.

Structure: emitters scattered uniformly at random, each seen Poisson(m) times in each half, every event displaced by
a Gaussian of standard deviation s. The expected ring correlation is m e / (1 + m e), e = exp(-(2 pi s q)^2), so that
the cut at 1/7 lies at q = sqrt(ln(6 m)) / (2 pi s).
"""

import numpy as np
import pytest

from stormcell.assessment.frc import FrcSettings, frc_of_images, frc_of_table
from stormcell.data import Localizations, PixelGrid, SRImage
from stormcell.errors import InputError


def random_emitters(n_emitters, m, precision_nm, field_nm=5000.0, seed=0):
    rng = np.random.default_rng(seed)
    n_events = rng.poisson(2 * m, n_emitters)
    emitter = np.repeat(np.arange(n_emitters), n_events)
    places = rng.uniform(0, field_nm, (n_emitters, 2))[emitter] + rng.normal(0, precision_nm, (len(emitter), 2))
    return Localizations(
        {
            "frame": rng.integers(0, 5000, len(emitter)),
            "x_nm": places[:, 0],
            "y_nm": places[:, 1],
            "n_detections": np.ones(len(emitter), int),
        }
    )


def analytic_nm(m, precision_nm):
    return 2 * np.pi * precision_nm / np.sqrt(np.log(6 * m))


@pytest.mark.parametrize(("n", "m", "precision"), [(15_000, 2.0, 10.0), (4000, 5.0, 8.0), (15_000, 1.0, 15.0)])
def test_table_of_known_precision_and_density(n, m, precision):
    settings = FrcSettings(sr_pixel_size_nm=6.0, n_repeats=3)
    found = frc_of_table(random_emitters(n, m, precision), settings)
    assert found.frc_resolution_nm == pytest.approx(analytic_nm(m, precision), rel=0.10)
    low, high = found.interval_nm
    assert low < analytic_nm(m, precision) < high
    assert found.note == ""


def halves(shape, m=3.0, precision_px=1.6, n=6000, seed=0):
    rng = np.random.default_rng(seed)
    emitters = rng.uniform(0, 1, (n, 2)) * shape
    images = []
    for _ in range(2):
        emitter = np.repeat(np.arange(n), rng.poisson(m, n))
        places = emitters[emitter] + rng.normal(0, precision_px, (len(emitter), 2))
        counts = np.histogram2d(places[:, 0], places[:, 1], bins=shape, range=[(0, shape[0]), (0, shape[1])])[0]
        images.append(SRImage(counts.astype(np.float32), PixelGrid(10.0, shape)))
    return images


@pytest.mark.parametrize("shape", [(256, 256), (257, 255), (300, 300), (200, 380)])
def test_size_and_shape_do_not_move_the_number(shape):
    """Padding to a power of two would move it by the ratio of the sizes."""
    # The pixel adds its own width once.
    sigma = np.hypot(16.0, 10 / np.sqrt(12))
    assert frc_of_images(*halves(shape)).frc_resolution_nm == pytest.approx(analytic_nm(3.0, sigma), rel=0.08)


def test_thresholds_are_ordered_and_drawn():
    first, second = halves((256, 256))
    numbers = {
        kind: frc_of_images(first, second, FrcSettings(threshold=kind))
        for kind in ("one-seventh", "half-bit", "three-sigma")
    }
    assert numbers["half-bit"].frc_resolution_nm > numbers["one-seventh"].frc_resolution_nm
    assert all(np.ptp(found.threshold) > 0 for kind, found in numbers.items() if kind != "one-seventh")


def test_same_image_twice_never_crosses_and_unrelated_images_share_nothing():
    first, _ = halves((128, 128))
    same = frc_of_images(first, first)
    assert same.frc_resolution_nm is None
    assert "finer than two pixels" in same.note
    noise = [
        SRImage(np.random.default_rng(seed).random((128, 128)).astype(np.float32), first.grid) for seed in (0, 1)
    ]
    nothing = frc_of_images(*noise)
    assert nothing.frc_resolution_nm is None
    assert "share nothing" in nothing.note


def test_interval_covers_the_spread():
    numbers, widths = [], []
    for seed in range(8):
        found = frc_of_images(*halves((160, 160), seed=seed))
        numbers.append(found.frc_resolution_nm)
        widths.append(found.interval_nm[1] - found.interval_nm[0])
    assert 0.4 < np.mean(widths) / (2 * 1.645 * np.std(numbers)) < 3


def test_refusals():
    table = random_emitters(500, 2.0, 10.0)
    with pytest.raises(InputError, match="expected a linked table"):
        frc_of_table(table.without_columns("n_detections"))
    with pytest.raises(InputError, match="at least 100 localizations"):
        frc_of_table(table.take(slice(0, 10)))
    first, _ = halves((64, 64))
    with pytest.raises(InputError, match="on one grid"):
        frc_of_images(first, SRImage(first.pixels, PixelGrid(9.0, (64, 64))))
    with pytest.raises(InputError, match="same value in every pixel"):
        frc_of_images(first, SRImage(np.ones((64, 64), np.float32), first.grid))
    small = SRImage(np.eye(8, dtype=np.float32), PixelGrid(10.0, (8, 8)))
    with pytest.raises(InputError, match="at least 16 x 16"):
        frc_of_images(small, small)
