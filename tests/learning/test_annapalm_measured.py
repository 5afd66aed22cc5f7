"""Measured fields of densify: cut in time and space without leaks, scored, and described by their density."""

import numpy as np
import pytest

from stormcell.learning.annapalm_density import typical_density
from stormcell.learning.annapalm_measured import cut_field, histogram_of, split_field
from stormcell.learning.annapalm_pairs import EventField, PairSettings, measured_pair


def field(n=4000, n_frames=2000, extent=(2000.0, 3000.0), guard=40):
    rng = np.random.default_rng(5)
    # uneven in time: half of the events in the first tenth of the frames
    frame = np.where(rng.random(n) < 0.5, rng.integers(0, n_frames // 10, n), rng.integers(0, n_frames, n))
    x, y = rng.uniform(0, extent[1], n), rng.uniform(0, extent[0], n)
    wide = np.arange(100 * 150, dtype=np.float32).reshape(100, 150)
    return EventField(x.astype(np.float32), y.astype(np.float32), frame, n_frames, extent, guard, widefield=wide)


@pytest.mark.parametrize("seed", range(6))
def test_input_and_target_hold_their_share_and_keep_the_guard_gap(seed):
    split = split_field(field(), 0.05, seed)
    assert split.counts.shape == split.target.shape == (100, 150)
    assert split.share == pytest.approx(0.05, abs=0.01)
    lost = 1 - split.share - split.target.sum() / 4000
    # at most two gaps of 40 frames, where the rate is at most 5.5 times the mean
    assert 0 < lost <= 2 * 40 / 2000 * 5.5 + 0.02


def test_no_frame_is_in_both():
    marked = EventField(
        np.full(2000, 10.0, np.float32), np.full(2000, 10.0, np.float32), np.arange(2000), 2000, (20.0, 20.0), 40
    )
    split = split_field(marked, 0.1, 3)
    assert split.counts.sum() == 200
    assert 1800 - 80 <= split.target.sum() <= 1800 - 40


def test_a_cut_field_loses_only_the_gap_and_takes_its_widefield_along():
    whole = field()
    left, right = cut_field(whole, 0.75, 100.0)
    assert len(left.x_nm) == pytest.approx(3000, abs=30)
    assert len(left.x_nm) + len(right.x_nm) == pytest.approx(4000 * (1 - 110 / 3000), abs=80)
    assert left.x_nm.max() < left.extent_nm[1]
    assert right.x_nm.min() >= 0
    assert right.x_nm.max() < right.extent_nm[1]
    for part in (left, right):
        assert part.widefield.shape == histogram_of(part, np.ones(len(part.x_nm), bool)).shape
    assert right.widefield[0, -1] == whole.widefield[0, -1]
    assert left.widefield[0, 0] == whole.widefield[0, 0]


@pytest.mark.parametrize("shape", [(320, 320), (401, 401), (1000, 1500), (10, 130)])
def test_an_evenly_filled_field_has_its_mean_density(shape):
    counts = np.full(shape, 0.02)
    assert typical_density(counts, 20.0) == pytest.approx(0.02 / 4e-4, rel=1e-9)


def test_empty_glass_does_not_dilute_the_density():
    counts = np.zeros((1600, 2000))
    counts[200:600, 400:800] = 0.02
    assert typical_density(counts, 20.0) > 0.5 * 0.02 / 4e-4
    assert counts.mean() / 4e-4 < 0.06 * 0.02 / 4e-4
    assert typical_density(np.zeros((50, 50)), 20.0) == 0


def test_pairs_are_cut_round_the_events_of_a_mostly_empty_field():
    rng = np.random.default_rng(2)
    x, y = rng.normal(30_000, 300, (2, 3000))
    lonely = EventField(
        x.astype(np.float32), y.astype(np.float32), rng.integers(0, 1000, 3000), 1000, (40_000.0, 40_000.0)
    )
    settings = PairSettings(crop_px=64)
    pairs = [measured_pair(lonely, settings, rng, share=0.1) for _ in range(20)]
    assert np.mean([pair.target.sum() > 100 for pair in pairs]) > 0.6
    # 300 events, of which the windows of 8 um hold all
    assert np.median([pair.events_per_um2 for pair in pairs]) == pytest.approx(300 / 64, rel=0.35)
