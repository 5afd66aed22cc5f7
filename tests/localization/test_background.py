"""Background models on scenes whose background is known."""

import numpy as np
import pytest

from stormcell.localization.background import is_dense, spatial_background, temporal_background
from stormcell.physics.gaussian import gaussian_images

SIDE = 48
ZERO = np.zeros((SIDE, SIDE), np.float32)


def structured(mean):
    y, x = np.mgrid[:SIDE, :SIDE]
    return mean * (1.0 + 0.5 * np.sin(x / 6.0) * np.cos(y / 9.0))


def emitters(rng, n, n_frames, electrons=1000.0):
    light = np.zeros((n_frames, SIDE, SIDE))
    for frame in light:
        theta = np.zeros((n, 6))
        theta[:, :2] = rng.uniform(0, SIDE, (n, 2))
        theta[:, 2], theta[:, 4:] = electrons, 1.3
        frame += gaussian_images(theta, (SIDE, SIDE)).sum(axis=0)
    return light


@pytest.mark.parametrize("mean", [0.3, 1.0, 5.0, 100.0])
@pytest.mark.parametrize("excess", [1.0, 2.0])
def test_temporal_model_is_unbiased_without_emitters(mean, excess):
    rng = np.random.default_rng(1)
    frames = rng.poisson(mean, (54, SIDE, SIDE)).astype(float)
    if excess > 1:
        frames = rng.standard_gamma(frames)
    background, lit = temporal_background(frames.astype(np.float32), ZERO, excess)
    assert background.mean() == pytest.approx(mean, rel=0.05, abs=0.03)
    # as little noise as a mean of that many frames
    assert background.std() < 1.15 * np.sqrt(excess * mean / 54)
    assert lit.mean() < 0.05
    assert not is_dense(lit)


def test_temporal_model_follows_structure_under_blinking():
    rng = np.random.default_rng(2)
    truth = structured(20.0)
    frames = rng.poisson(truth + emitters(rng, 10, 200)).astype(np.float32)
    background, lit = temporal_background(frames, ZERO)
    assert np.corrcoef(background.ravel(), truth.ravel())[0, 1] > 0.98
    assert abs(background - truth).mean() < 1.0
    assert 0.02 < lit.mean() < 0.3


def test_few_frames_are_used_more_than_once():
    frames = np.random.default_rng(0).poisson(10.0, (20, SIDE, SIDE)).astype(np.float32)
    background, _ = temporal_background(frames, ZERO)
    assert background.mean() == pytest.approx(10.0, rel=0.03)


def test_density_is_noticed():
    rng = np.random.default_rng(3)
    sparse = rng.poisson(10.0 + emitters(rng, 5, 54)).astype(np.float32)
    dense = rng.poisson(10.0 + emitters(rng, 150, 54)).astype(np.float32)
    assert not is_dense(temporal_background(sparse, ZERO)[1])
    assert is_dense(temporal_background(dense, ZERO)[1])


def test_a_pixel_that_is_always_lit_belongs_to_the_background():
    rng = np.random.default_rng(4)
    steady = gaussian_images([20.0, 20.0, 2000.0, 10.0, 1.3, 1.3], (SIDE, SIDE))[0]
    background, _ = temporal_background(rng.poisson(steady, (60, SIDE, SIDE)).astype(np.float32), ZERO)
    assert background[20, 20] == pytest.approx(steady[20, 20], rel=0.05)


@pytest.mark.parametrize("n_frames", [1, 8])
def test_spatial_model_leaves_spots_out(n_frames):
    rng = np.random.default_rng(5)
    slope = np.linspace(10.0, 30.0, SIDE)[None, :] * np.ones((SIDE, 1))
    frames = rng.poisson(slope + emitters(rng, 8, 1)[0], (n_frames, SIDE, SIDE)).astype(np.float32)
    background = spatial_background(frames, ZERO, 1.3)
    assert abs(background - slope).max() < 5.0
    assert abs(background.mean() - slope.mean()) < 1.0
