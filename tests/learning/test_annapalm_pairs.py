"""Training pairs: independent, complete, thinned as Poisson counts are, and exactly placed."""

import math

import numpy as np
import pytest
import torch

from stormcell.errors import InputError
from stormcell.learning.annapalm_data import DensifyData, DensifyDataSettings
from stormcell.learning.annapalm_fields import FieldSettings, simulate_field
from stormcell.learning.annapalm_kernels import draw_events, look_up
from stormcell.learning.annapalm_other import OTHER
from stormcell.learning.annapalm_pairs import (
    EventField,
    PairSettings,
    measured_pair,
    simulated_pair,
    split_frames,
)
from stormcell.learning.annapalm_widefield import normalise_widefield, overlap_shares, resample_by_edges
from stormcell.networks.annapalm import STRUCTURE_LABELS, UNKNOWN

PLAIN = PairSettings(
    crop_px=128,
    false_share=(0.0, 0.0),
    scale=(1.0, 1.0),
    bend_nm=0.0,
    phantom_share=0.0,
    cluster_share=0.0,
    jitter_nm=0.0,
)
# the middle of the crop lies at (0, 0); one pixel per 20 nm; no bend
IDENTITY = np.array([0.0, 0.0, 0.05, 0.0, 0.0, 0.05, 16.0, 0.001, 0.0, 0.001, 0.0, 0.0, 0.0])


def events_of(n_events=4000, n_frames=2000, extent_nm=(900.0, 1100.0), seed=1, **more):
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(0, extent_nm[1], n_events), rng.uniform(0, extent_nm[0], n_events)
    frame = np.sort(rng.integers(0, n_frames, n_events))
    return EventField(x.astype(np.float32), y.astype(np.float32), frame, n_frames, extent_nm, **more)


def totals(events, exposures, repeats=3000):
    rng = np.random.default_rng(5)
    x, found = np.zeros(len(events), np.float32), []
    for _ in range(repeats):
        grids = [np.zeros((32, 32), np.float32) for _ in range(3)]
        wide = np.zeros((32 + 48, 32 + 48), np.float32)
        precision = np.array([[0.5, 0.2], [0.5, 0.2]])
        draw_events(x, x, events, IDENTITY, np.array(exposures), precision, 24, rng, *grids, wide)
        found.append([grid.sum() for grid in grids[:2]])
    return np.array(found)


def test_thinned_events_are_poisson_counts_and_input_and_target_independent():
    events = np.array([3.0, 0.5, 8.0], np.float32)
    found = totals(events, (0.2, 1.0))
    for column, mean in zip(found.T, (0.2 * 11.5, 11.5), strict=True):
        error = math.sqrt(mean / len(found))
        assert column.mean() == pytest.approx(mean, abs=4 * error)
        assert column.var() / column.mean() == pytest.approx(1.0, abs=0.12)
    assert abs(np.corrcoef(found.T)[0, 1]) < 4 / math.sqrt(len(found))


def test_expected_counts_are_the_mean_of_the_target():
    field = simulate_field(FieldSettings(shares={"microtubules": 1.0}), 3, 1)
    pairs = [simulated_pair(field, PLAIN, np.random.default_rng(7), 0.1)]
    pairs += [simulated_pair(field, PLAIN, np.random.default_rng(k), 0.1) for k in range(20)]
    drawn, expected = (sum(float(getattr(pair, name).sum()) for pair in pairs) for name in ("target", "expected"))
    assert drawn == pytest.approx(expected, abs=4 * math.sqrt(expected))
    # the same place and spread: coarse sums agree within counting noise
    first = pairs[0]
    sums = [image.reshape(8, 16, 8, 16).sum(axis=(1, 3)) for image in (first.target, first.expected)]
    assert np.all(np.abs(sums[0] - sums[1]) < 5 * np.sqrt(sums[1] + 4))
    assert np.var(first.expected - first.target) > 0


def test_lists_of_the_dense_network_hold_fewer_events_where_emitters_crowd():
    field = simulate_field(FieldSettings(shares={"microtubules": 1.0}), 3, 1)

    def counted(dense_share: float) -> float:
        settings = PLAIN.replace(dense_share=dense_share)
        rngs = (np.random.default_rng(k) for k in range(30))
        pairs = [simulated_pair(field, settings, rng, 0.2) for rng in rngs]
        return sum(float(pair.counts.sum()) for pair in pairs) / sum(float(pair.expected.sum()) for pair in pairs)

    assert counted(0.0) == pytest.approx(0.2, rel=0.05)
    assert 0.6 * 0.2 < counted(1.0) < 0.96 * counted(0.0)


def test_every_measured_event_is_input_target_or_guard():
    field = events_of()
    rng = np.random.default_rng(3)
    for share in (0.005, 0.05, 0.3):
        block, n_input, n_target = split_frames(field, share, rng)
        assert n_input == round(share * field.n_frames)
        inputs, targets = field.frame[block == 0], field.frame[block == 1]
        assert inputs.max() - inputs.min() < n_input
        distance = np.abs(inputs[:, None] - targets[None]).min()
        assert distance > field.guard_frames
        left_out = field.frame[block == -1]
        assert len(inputs) + len(targets) + len(left_out) == len(field.frame)
        assert n_input + n_target + 2 * field.guard_frames >= field.n_frames
        assert len(left_out) <= 3 * 2 * field.guard_frames * len(field.frame) / field.n_frames


def test_a_crop_wider_than_the_field_holds_every_event():
    # 25.6 um wide: the field of about 1 um lies inside whatever the rotation
    field, share = events_of(), 0.1
    pair = measured_pair(field, PLAIN.replace(crop_px=256), np.random.default_rng(4), share)
    assert pair.share == pytest.approx(share)
    measured = pair.counts.sum() + pair.target.sum()
    shares = pair.counts.sum() / measured
    assert shares == pytest.approx(1 / (1 + pair.target_ratio), abs=0.02)
    covered = (1 + pair.target_ratio) * pair.share * len(field.frame)
    # rim pixels whose centre lies outside the field are left out
    assert measured == pytest.approx(covered, rel=0.08)
    assert pair.events_per_um2 == pytest.approx(0.1 * 4000 / 0.99, rel=0.1)
    assert pair.inside.sum() * 0.0004 == pytest.approx(0.99, rel=0.03)


def test_simulated_pairs_have_the_exposure_they_state():
    settings = FieldSettings(side_nm=4000.0, shares={"microtubules": 1.0}, hole_share=0.0)
    field = simulate_field(settings, 1, 0)
    rng = np.random.default_rng(1)
    pairs = [simulated_pair(field, PLAIN, rng, 0.1) for _ in range(40)]
    assert sum(p.counts.sum() for p in pairs) == pytest.approx(0.1 * sum(p.target.sum() for p in pairs), rel=0.05)
    assert all(p.target_ratio == pytest.approx(10.0) for p in pairs)
    assert pairs[0].label == STRUCTURE_LABELS.index("microtubules")
    # the wide-field shows the same structure as the target
    blurred = [_smooth(p.target) for p in pairs]
    likeness = [np.corrcoef(b.ravel(), p.widefield.ravel())[0, 1] for b, p in zip(blurred, pairs, strict=True)]
    assert np.median(likeness) > 0.6


def test_false_localizations_come_in_the_stated_number():
    field = simulate_field(FieldSettings(side_nm=4000.0, shares={"mitochondria": 1.0}, hole_share=0.0), 1, 3)
    base, extra = 0.0, 0.0
    for seed in range(60):
        # the same draws up to the false ones
        pairs = [
            simulated_pair(field, PLAIN.replace(false_share=(false, false)), np.random.default_rng(seed), 0.3)
            for false in (0.0, 0.05)
        ]
        # an empty part of the field gets as many as the others
        base += max(pairs[0].counts.sum(), pairs[0].events_per_um2 * 2.56**2)
        extra += (pairs[1].counts - pairs[0].counts).sum()
    assert extra / base == pytest.approx(0.05, abs=4 * math.sqrt(0.05 / base))


@pytest.mark.parametrize("name", [*STRUCTURE_LABELS[:-1], "other"])
def test_every_structure_can_be_drawn(name):
    settings = FieldSettings(side_nm=4000.0, shares={name: 1.0})
    fields = [simulate_field(settings, 2, index) for index in range(4)]
    assert {field.structure for field in fields} == {name}
    assert sum(len(field.events) for field in fields) > 100
    assert all(field.label == (UNKNOWN if name == "other" else STRUCTURE_LABELS.index(name)) for field in fields)


def test_microtubules_have_the_stated_localizations_per_length():
    settings = FieldSettings(side_nm=8000.0, shares={"microtubules": 1.0}, hole_share=0.0)
    for index in range(3):
        field = simulate_field(settings, 4, index)
        # at most 600 localizations in bursts of at least 2 frames, per um, and at most 4 um per um2 before overshoot
        assert 0 < field.events_per_um2 < 8 * 300


@pytest.mark.parametrize("draw", OTHER, ids=lambda draw: draw.__name__)
def test_other_structures_lie_in_and_round_the_field(draw):
    points = np.concatenate([draw(np.random.default_rng(seed), 3000.0) for seed in range(10)])
    assert points.shape[1] == 2
    assert len(points) > 100
    assert np.isfinite(points).all()


def test_batches_depend_on_seed_and_step_alone():
    def data(seed):
        settings = DensifyDataSettings(batch_size=2, n_fields=3)
        return DensifyData(settings, PairSettings(crop_px=32), FieldSettings(side_nm=3000.0), seed)

    first, second = data(1), data(1)
    second.batch(0)
    assert torch.equal(first.batch(7).target, second.batch(7).target)
    assert torch.equal(first.batch(7).given.widefield, second.batch(7).given.widefield)
    assert not torch.equal(first.batch(7).target, data(2).batch(7).target)


def test_left_out_channels_are_empty_and_said_to_be():
    settings = DensifyDataSettings(batch_size=24, n_fields=2)
    batch = DensifyData(settings, PairSettings(crop_px=32), FieldSettings(side_nm=3000.0), 1).batch(0)
    present = batch.given.present
    assert {tuple(row) for row in present.tolist()} == {(1.0, 1.0), (1.0, 0.0), (0.0, 1.0)}
    for image, row in ((batch.given.counts, present[:, 0]), (batch.given.widefield, present[:, 1])):
        assert image[row == 0].abs().sum() == 0
    assert torch.equal(batch.given.mask.amax(dim=(2, 3)), present)


def test_real_fields_are_mixed_with_other_structures():
    settings = DensifyDataSettings(batch_size=40, n_fields=4)
    data = DensifyData(settings, PairSettings(crop_px=32), FieldSettings(side_nm=3000.0), 1, [events_of(label=1)])
    rng = np.random.default_rng(1)
    labels = [data.pair(rng).label for _ in range(60)]
    assert set(labels) == {1, UNKNOWN}
    assert 0.1 < labels.count(UNKNOWN) / 60 < 0.5


def test_short_acquisitions_are_refused():
    with pytest.raises(InputError, match="longer acquisition"):
        events_of(n_frames=200)


def test_edges_not_centres_define_the_wide_field():
    shares = overlap_shares(np.array([0.0, 20, 40, 60]), np.array([0.0, 50, 100]))
    np.testing.assert_allclose(shares, [[1, 0], [1, 0], [0.5, 0.5]])
    image = np.random.default_rng(1).random((7, 9)).astype(np.float32)
    # 7 x 9 pixels of 108.3 nm are no whole number of 20 nm pixels; what sticks out is marked
    values, covered = resample_by_edges(image, 108.3, (0.0, 0.0), 20.0, (38, 49))
    np.testing.assert_allclose((values * covered).sum() * 20**2, image.sum() * 108.3**2, rtol=1e-5)
    assert covered[0, 0] == 1
    assert 0 < covered[-1, 0] < 1


def test_a_shifted_origin_moves_the_wide_field():
    image = np.zeros((4, 4), np.float32)
    image[1, 2] = 1
    values, covered = resample_by_edges(image, 100.0, (40.0, -60.0), 20.0, (20, 20))
    rows, columns = np.nonzero(values)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (7, 11, 7, 11)
    assert covered[:2].sum() == 0


def test_wide_field_levels():
    image = np.random.default_rng(1).normal(100, 10, (100, 100)).astype(np.float32)
    scaled = normalise_widefield(image)
    np.testing.assert_allclose(np.percentile(scaled, [1, 99.5]), [0, 1], atol=1e-5)
    assert not normalise_widefield(np.ones((3, 3), np.float32)).any()
    assert not normalise_widefield(np.full((3, 3), np.nan, np.float32)).any()


def test_looking_up_without_rotation_copies():
    image = np.random.default_rng(1).random((32, 32)).astype(np.float32)
    view = IDENTITY.copy()
    view[:2] = 320.0
    values, inside = np.zeros((32, 32), np.float32), np.zeros((32, 32), np.float32)
    look_up(image, 20.0, view, values, inside)
    np.testing.assert_allclose(values, image, atol=1e-6)
    assert inside.all()


def _smooth(image):
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(image, 6)
