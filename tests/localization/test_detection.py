"""Detection: its filter, its stated false-positive rate, its sub-pixel positions."""

import numpy as np
import pytest
from scipy.ndimage import correlate

from stormcell.localization.background import BackgroundChoice
from stormcell.localization.block_models import BlockModels, DetectionPlan
from stormcell.localization.detection import (
    DetectionFilter,
    NoiseModel,
    Spots,
    detect_spots,
    noise_level,
    threshold_map,
)
from stormcell.localization.frame_blocks import FrameBlock
from stormcell.physics.gaussian import gaussian_images

SIDE = 64


def block_of(frames):
    return FrameBlock(0, np.ascontiguousarray(frames, np.float32), 0, 0, 0, None)


def detect(frames, *, variance=0.0, excess=1.0, sigma=1.3, rate=0.1, choice: BackgroundChoice = "auto"):
    shape = frames.shape[1:]
    plan = DetectionPlan.of(np.full(shape, variance, np.float32), excess, sigma, rate)
    models = BlockModels(plan, choice, len(frames))
    block = block_of(frames)
    return models.detect(block, models.of(block), None, None)


def flat_model(detection_filter, shape, threshold):
    flat = np.ones(shape, np.float32)
    return NoiseModel(0 * flat, threshold * flat, flat)


def test_the_compiled_filter_is_the_kernel():
    """Maxima and their heights agree with a plain two-dimensional correlation."""
    rng = np.random.default_rng(0)
    frame = rng.normal(50, 10, (37, 41)).astype(np.float32)
    detection_filter = DetectionFilter.for_sigma(1.3)
    response = correlate(frame.astype(float), detection_filter.kernel, mode="nearest")
    np.testing.assert_allclose(detection_filter.response(frame), response, atol=1e-3)
    model = flat_model(detection_filter, frame.shape, 1.5)
    spots = detect_spots(frame[None], detection_filter, (model, model))
    padded = np.pad(response, 1, constant_values=-np.inf)
    around = [padded[1 + a : 38 + a, 1 + b : 42 + b] for a in (-1, 0, 1) for b in (-1, 0, 1) if a or b]
    expected = np.argwhere((response > 1.5) & (response > np.max(around, axis=0)))
    assert len(expected) > 20
    np.testing.assert_array_equal(np.stack([spots.row, spots.column], axis=1), expected)
    np.testing.assert_allclose(spots.snr, response[spots.row, spots.column], atol=1e-3)


def test_noise_of_the_response_up_to_the_border():
    rng = np.random.default_rng(1)
    variance = np.full((24, 24), 4.0)
    variance[:, 12:] = 16.0
    detection_filter = DetectionFilter.for_sigma(1.3)
    frames = rng.normal(size=(4000, 24, 24)) * np.sqrt(variance)
    measured = np.std([detection_filter.response(f) for f in frames], axis=0)
    predicted = detection_filter.noise_std(variance)
    inside = np.s_[:, 2:10], np.s_[:, 15:22]
    for part in inside:
        np.testing.assert_allclose(predicted[part], measured[part], rtol=0.08)
    assert abs(predicted[0, 0] / measured[0, 0] - 1) < 0.15


@pytest.mark.parametrize(
    ("mean", "variance", "excess", "n_frames"),
    [
        (0.5, 0.0, 1.0, 1500),
        (2.0, 2.5, 1.0, 1500),
        (50.0, 0.0, 1.0, 1500),
        (2.0, 0.0, 2.0, 1500),
        (40.0, 0.1, 2.0, 1500),
    ],
)
@pytest.mark.parametrize("choice", ["temporal", "spatial"])
def test_pure_noise_gives_the_stated_rate(mean, variance, excess, n_frames, choice):
    """Within a factor of 1.5, with the background estimated from the same noise."""
    rng = np.random.default_rng(6)
    frames = rng.poisson(mean, (n_frames, SIDE, SIDE)).astype(np.float32)
    if excess > 1:
        frames = rng.standard_gamma(frames)
    frames = frames + rng.normal(0, np.sqrt(variance), frames.shape)
    spots = detect(frames, variance=variance, excess=excess, rate=0.25, choice=choice)
    assert 1 / 1.5 < len(spots) / (0.25 * n_frames) < 1.5


def test_single_frames_keep_the_rate():
    rng = np.random.default_rng(2)
    n = sum(len(detect(rng.poisson(8.0, (1, SIDE, SIDE)), rate=1.0)) for _ in range(150))
    assert 1 / 1.5 < n / 150 < 1.5


@pytest.mark.parametrize("sigma", [0.8, 1.3, 2.5])
def test_level_grows_with_rarity(sigma):
    detection_filter = DetectionFilter.for_sigma(sigma)
    levels = [noise_level(rate, detection_filter) for rate in (1e-3, 1e-4, 1e-5, 1e-6)]
    assert np.all(np.diff(levels) > 0.3)
    assert 2.0 < levels[0] < 3.6


def test_spots_are_found_to_a_fraction_of_a_pixel():
    rng = np.random.default_rng(3)
    y, x = np.mgrid[8:60:13, 8:60:13]
    truth = np.stack([x.ravel(), y.ravel()], axis=1) + rng.uniform(0, 1, (x.size, 2))
    frames = []
    for _ in range(30):
        theta = np.column_stack(
            [truth, np.full(len(truth), 1500.0), np.zeros(len(truth)), np.full((len(truth), 2), 1.3)]
        )
        frames.append(rng.poisson(10 + gaussian_images(theta, (SIDE, SIDE)).sum(axis=0)))
    spots = detect(np.array(frames), rate=0.01, choice="spatial")
    assert len(spots) == pytest.approx(30 * len(truth), abs=2)
    found = np.stack([spots.column, spots.row], axis=1) + 0.5 + spots.offset_xy_px
    distance = np.linalg.norm(found[:, None] - truth[None], axis=2).min(axis=1)
    assert np.sqrt(np.mean(distance**2)) < 0.25
    assert (spots.snr > 10).mean() > 0.99
    assert np.all(np.diff(spots.frame) >= 0)


def test_background_is_interpolated_between_models():
    """A blob that fades from the first model to the second is seen in neither case."""
    blob = 40.0 * gaussian_images([16.0, 16.0, 60.0, 0.0, 1.5, 1.5], (32, 32))[0]
    detection_filter = DetectionFilter.for_sigma(1.3)
    models = []
    for height in (1.0, 0.0):
        background = (20.0 + height * blob).astype(np.float32)
        threshold, std = threshold_map(np.full((32, 32), 20.0), np.zeros((32, 32)), 1.0, 4.5, detection_filter)
        models.append(NoiseModel(detection_filter.response(background), threshold, std))
    weights = np.array([0.0, 0.25, 0.5, 1.0])
    frames = np.stack([20.0 + (1 - w) * blob for w in weights]).astype(np.float32)
    assert len(detect_spots(frames, detection_filter, (models[0], models[1]), weights)) == 0
    assert len(detect_spots(frames, detection_filter, (models[1], models[1]), weights)) == 3


def test_more_spots_than_the_first_guess_of_their_number():
    y, x = np.mgrid[2:128:4, 2:128:4]
    frame = np.zeros((128, 128), np.float32)
    frame[y, x] = 100.0
    detection_filter = DetectionFilter.for_sigma(0.8)
    model = flat_model(detection_filter, frame.shape, 5.0)
    spots = detect_spots(frame[None], detection_filter, (model, model))
    assert len(spots) == x.size == 1024
    assert np.all(np.diff(spots.row * 128 + spots.column) > 0)


def test_a_plateau_counts_once():
    frame = np.zeros((20, 20), np.float32)
    frame[9:11, 9:11] = 100.0
    detection_filter = DetectionFilter.for_sigma(1.3)
    model = flat_model(detection_filter, frame.shape, 5.0)
    assert len(detect_spots(frame[None], detection_filter, (model, model))) == 1


def test_lists_of_spots():
    frame = np.zeros((2, 20, 20), np.float32)
    frame[:, 5, 6] = 100.0
    detection_filter = DetectionFilter.for_sigma(1.3)
    model = flat_model(detection_filter, (20, 20), 5.0)
    spots = detect_spots(frame, detection_filter, (model, model))
    assert spots.shifted(10).frame.tolist() == [10, 11]
    assert spots.take(spots.frame == 1).row.tolist() == [5]
    assert len(Spots.concatenate([spots, Spots.none(), spots])) == 4
    assert len(Spots.concatenate([])) == 0
