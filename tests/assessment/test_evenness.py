"""Evenness: chance is even whatever its slow density, and so are lumps of one molecule; lines and rings are not."""

import math

import numpy as np
import pytest

from stormcell.assessment.evenness import measure_evenness, slow_density

PX, SIDE = 20.0, 320
FIELD = PX * SIDE


def counted(points):
    image, _, _ = np.histogram2d(points[:, 1], points[:, 0], bins=SIDE, range=[[0, FIELD], [0, FIELD]])
    return image


def test_scores_of_chance_are_standard_normal():
    rng = np.random.default_rng(1)
    found = [measure_evenness(counted(rng.uniform(0, FIELD, (n, 2))), PX) for n in rng.integers(100, 900, 40)]
    scores = np.array([np.divide(one.excess, one.error) for one in found])
    assert np.all(np.abs(scores.mean(axis=0)) < 3.5 / math.sqrt(40))
    assert np.all((scores.std(axis=0) > 0.7) & (scores.std(axis=0) < 1.35))


def test_slowly_varying_density_and_blinking_molecules_are_even():
    rng = np.random.default_rng(3)
    points = rng.uniform(0, FIELD, (6000, 2))
    sloping = points[rng.random(6000) < 0.1 + 0.5 * points[:, 0] / FIELD]
    blinking = np.repeat(rng.uniform(0, FIELD, (500, 2)), rng.poisson(3, 500), axis=0)
    blinking = blinking + rng.normal(0, 10, blinking.shape)
    for one in (sloping, blinking):
        found = measure_evenness(counted(one), PX)
        assert not found.shows_structure
        assert found.is_even


def test_excess_on_lines_is_as_computed():
    # straight lines through the field, 2 um per um2: 2 (r1 - r0) / (pi L (r1^2 - r0^2)) = 0.88
    rng, parts = np.random.default_rng(3), []
    while len(parts) < 16:
        angle, offset = rng.uniform(0, np.pi), rng.uniform(-0.7, 0.7) * FIELD
        along = np.array([np.cos(angle), np.sin(angle)])
        t = rng.uniform(-FIELD, FIELD, (400, 1))
        parts.append(FIELD / 2 + t * along + offset * np.array([-along[1], along[0]]))
    points = np.concatenate(parts)
    inside = np.all((points >= 0) & (points < FIELD), axis=1)
    length_um_per_um2 = inside.sum() / 400 * 2 * FIELD / 1000 / (FIELD / 1000) ** 2
    found = measure_evenness(counted(points[inside] + rng.normal(0, 10, (inside.sum(), 2))), PX)
    assert found.shows_structure
    assert found.excess[0] == pytest.approx(2 / (np.pi * 0.36 * length_um_per_um2), rel=0.5)


def test_rings_are_seen_by_their_own_distances():
    rng = np.random.default_rng(4)
    centres = rng.uniform(0, FIELD, (300, 2))
    angle = rng.uniform(0, 2 * np.pi, (300, 3))
    points = centres[:, None] + 55 * np.stack([np.cos(angle), np.sin(angle)], axis=2)
    assert measure_evenness(counted(points.reshape(-1, 2)), PX).shows_structure


def test_widefield_tells_where_pairs_do_not():
    rng = np.random.default_rng(5)
    wave = lambda x: 1 + np.sin(2 * np.pi * x / 700)  # noqa: E731 # too slow for pairs, too fast for the density
    points = rng.uniform(0, FIELD, (400, 2))
    points = points[rng.random(400) < wave(points[:, 0]) / 2]
    light = np.broadcast_to(wave((np.arange(SIDE) + 0.5) * PX), (SIDE, SIDE))
    assert measure_evenness(counted(points), PX, light).widefield_score > 3
    assert abs(measure_evenness(counted(points), PX, light[:, ::-1].T).widefield_score) < 3


def test_blocks_do_not_matter(monkeypatch):
    counts = np.random.default_rng(6).poisson(0.01, (SIDE, SIDE))
    whole = measure_evenness(counts, PX)
    monkeypatch.setattr("stormcell.assessment.evenness._BLOCK_PX", 160)
    parts = measure_evenness(counts, PX)
    for excess, error, other, other_error in zip(whole.excess, whole.error, parts.excess, parts.error, strict=True):
        assert abs(excess - other) < 2.5 * max(error, other_error)
        assert error < other_error < 2.5 * error


@pytest.mark.parametrize("counts", [np.zeros((10, 10)), np.ones((10, 11)), np.full((50, 50), np.nan), np.eye(1)])
def test_nothing_to_tell_by(counts):
    found = measure_evenness(counts, PX)
    assert not found.is_even
    assert not found.shows_structure
    assert not np.isfinite(found.error).any()


def test_slow_density_keeps_the_events():
    counts = np.random.default_rng(7).poisson(0.02, (200, 300)).astype(float)
    drawn = slow_density(counts, PX)
    assert drawn.sum() == pytest.approx(counts.sum(), rel=0.03)
    assert drawn.std() < 0.15 * drawn.mean()
