"""Drift against known curves injected into simulated structures, and against split halves of real pores."""

from itertools import pairwise

import numpy as np
import pytest

from stormcell.data import Localizations
from stormcell.errors import InputError
from stormcell.localization.drift import (
    DriftSettings,
    TooLittleStructureError,
    correct_drift,
    estimate_drift,
)
from stormcell.localization.segment_shifts import Segments, cut_segments, pair_shifts
from stormcell.localization.smooth_path import smooth_path

FIELD_NM = 8000.0
N_FRAMES = 20_000


def structure(kind, n_rows, rng):
    if kind == "filaments":
        start, angle = rng.uniform(0, FIELD_NM, (12, 2)), rng.uniform(0, np.pi, 12)
        which, along = rng.integers(0, 12, 4 * n_rows), rng.uniform(-FIELD_NM, FIELD_NM, 4 * n_rows)
        places = start[which] + np.stack([np.cos(angle[which]), np.sin(angle[which])], axis=1) * along[:, None]
        places = places[((places > 0) & (places < FIELD_NM)).all(axis=1)][:n_rows]
        assert len(places) == n_rows
        return places
    if kind == "pores":
        corner = rng.integers(0, 8, n_rows) * np.pi / 4
        centre = rng.uniform(0, FIELD_NM, (200, 2))[rng.integers(0, 200, n_rows)]
        return centre + 50 * np.stack([np.cos(corner), np.sin(corner)], axis=1)
    if kind == "blob":
        return FIELD_NM / 2 + rng.normal(0, FIELD_NM / 6, (n_rows, 2))
    return rng.uniform(0, FIELD_NM, (n_rows, 2))


def scene(kind, n_rows, drift_nm, seed=0, precision_nm=12.0):
    rng = np.random.default_rng(seed)
    frame = np.sort(rng.integers(0, len(drift_nm), n_rows))
    places = structure(kind, n_rows, rng) + drift_nm[frame] + rng.normal(0, precision_nm, (n_rows, 2))
    return Localizations({"frame": frame, "x_nm": places[:, 0], "y_nm": places[:, 1]}, n_frames=len(drift_nm))


def residual_nm(curve, drift_nm):
    """Standard deviation per axis of what is left: the mean position is nobody's drift."""
    left = np.stack([curve.x_nm, curve.y_nm], axis=1) - drift_nm
    return left.std(axis=0)


def slow_drift(n_frames=N_FRAMES):
    t = np.arange(n_frames) / n_frames
    return np.stack([150 * t, 40 * np.sin(3 * t)], axis=1)


@pytest.fixture(scope="module")
def real_drift_nm(shared_data):
    drift = np.load(shared_data / "drift" / "drift_curve_2x50000.npy").T[:: 50_000 // N_FRAMES][:N_FRAMES] * 100.0
    return drift - drift[0]


@pytest.mark.parametrize("kind", ["filaments", "pores"])
def test_realistic_drift_is_followed_to_a_few_nm(real_drift_nm, kind):
    table = scene(kind, 30_000, real_drift_nm)
    curve = estimate_drift(table)
    left = residual_nm(curve, real_drift_nm)
    assert real_drift_nm.std(axis=0).min() > 40
    assert left.max() < 4
    # What is stated must be what is there, within a factor of two.
    assert 0.5 < curve.uncertainty_x_nm.mean() / left.mean() < 2
    corrected = correct_drift(table, curve)
    assert np.array_equal(corrected["frame"], table["frame"])
    assert np.allclose(corrected["x_nm"] + curve.at(table["frame"])[:, 0], table["x_nm"])


def test_the_published_method_alone_follows_slow_drift():
    drift = slow_drift()
    curve = estimate_drift(scene("filaments", 20_000, drift), DriftSettings(n_refinements=0, max_segments=10))
    assert residual_nm(curve, drift).max() < 3
    assert curve.n_pairs == 45
    assert curve.n_pairs_used > 40


def test_no_drift_gives_a_flat_curve():
    curve = estimate_drift(scene("pores", 10_000, np.zeros((5000, 2))))
    assert max(curve.x_nm.std(), curve.y_nm.std()) < 2


def test_long_gaps_in_time_are_bridged():
    drift = slow_drift()
    full = scene("pores", 60_000, drift)
    table = full.take((full["frame"] < 2000) | (full["frame"] >= 18_000))
    curve = estimate_drift(table)
    occupied = np.unique(table["frame"])
    assert (curve.at(occupied) - drift[occupied]).std(axis=0).max() < 3
    assert len(curve.frame) == N_FRAMES


@pytest.mark.parametrize("kind", ["random", "blob"])
def test_without_structure_it_is_refused(kind):
    with pytest.raises(TooLittleStructureError, match="expected structure that recurs") as caught:
        estimate_drift(scene(kind, 10_000, slow_drift(2000)), DriftSettings(max_segments=12))
    assert "\n" not in str(caught.value)


def test_a_structure_that_is_never_the_same_is_refused():
    frames = [scene("filaments", 2000, np.zeros((100, 2)), seed=seed) for seed in range(6)]
    parts = [part.with_columns(frame=part["frame"] + 100 * i) for i, part in enumerate(frames)]
    with pytest.raises(TooLittleStructureError):
        estimate_drift(Localizations.concatenate(parts).with_context(n_frames=600), DriftSettings(max_segments=12))


def test_refusals_in_plain_words():
    few = scene("pores", 300, slow_drift(1000))
    with pytest.raises(TooLittleStructureError, match=r"at least 1000 localizations .* got 300"):
        estimate_drift(few)
    with pytest.raises(TooLittleStructureError):
        estimate_drift(Localizations.empty())
    one_frame = scene("pores", 3000, np.zeros((1, 2)))
    with pytest.raises(TooLittleStructureError, match="too few frames"):
        estimate_drift(one_frame)
    table = scene("pores", 2000, np.zeros((100, 2)))
    with pytest.raises(InputError, match="finite x_nm"):
        estimate_drift(table.with_columns(x_nm=np.where(table["frame"] == 3, np.nan, table["x_nm"])))
    curve = estimate_drift(scene("pores", 5000, np.zeros((1000, 2))))
    with pytest.raises(InputError, match="within the drift curve"):
        correct_drift(few.with_columns(frame=few["frame"] + 900), curve)


def test_halves_of_real_pores_agree(shared_data):
    columns = np.loadtxt(shared_data / "npc" / "npc_table.csv", delimiter=",")
    table = Localizations({"frame": columns[:, 2] - 1, "x_nm": columns[:, 0], "y_nm": columns[:, 1]})
    half = np.random.default_rng(0).random(len(table)) < 0.5
    first, second = (estimate_drift(table.take(rows), DriftSettings(max_segments=20)) for rows in (half, ~half))
    occupied = np.unique(table["frame"])
    difference = first.at(occupied) - second.at(occupied)
    # The sample moves by about 190 nm; the error of the curve from all rows is half the difference of the halves.
    assert np.ptp(first.at(occupied)[:, 1]) > 150
    assert (difference.std(axis=0) / 2).max() < 8


def test_segments_cut_every_row_once_and_hold_enough():
    frame = np.random.default_rng(0).permutation(np.repeat(np.arange(1000), 7))
    frame = np.concatenate([frame, np.repeat(np.arange(5000, 5100), 30)])
    segments = cut_segments(frame, 20, 300)
    assert np.array_equal(np.sort(np.concatenate(segments.rows)), np.arange(len(frame)))
    assert min(len(rows) for rows in segments.rows) >= 300
    assert (np.diff(segments.frame) > 0).all()
    assert len(set(segments.run)) == 2
    spans = [(frame[rows].min(), frame[rows].max()) for rows in segments.rows]
    assert all(a[1] < b[0] for a, b in pairwise(spans))


def test_pair_shift_is_the_displacement_with_its_uncertainty():
    rng = np.random.default_rng(0)
    shifts, stated = [], []
    for _ in range(30):
        true = rng.uniform(-200, 200, 2)
        places = structure("filaments", 4000, rng) + rng.normal(0, 12, (4000, 2))
        places[2000:] += true
        rows = [np.arange(2000), np.arange(2000, 4000)]
        pairs = pair_shifts(places, Segments(rows, np.arange(2.0), np.zeros(2, int)), 20.0, (500.0, 6.0))
        assert len(pairs.first) == 1
        shifts.append(pairs.shift_nm[0] - true)
        stated.append(pairs.uncertainty_nm[0])
    assert np.abs(np.mean(shifts, axis=0)).max() < 1.0
    assert np.std(shifts) < 3
    assert 0.3 < np.std(shifts) / np.mean(stated) < 2


def test_smooth_path_keeps_lines_and_averages_noise():
    segments = Segments([], np.arange(5.0, 200.0, 10.0), np.zeros(20, int))
    frame = np.arange(200)
    line = smooth_path(frame, segments, 3 * segments.frame + 1, np.full(20, 1.0))
    assert np.allclose(line, 3 * frame + 1, atol=1e-6)
    noisy = 100 * np.sin(segments.frame / 60) + np.random.default_rng(1).normal(0, 3, 20)
    smooth = smooth_path(frame, segments, noisy, np.full(20, 3.0))
    truth = 100 * np.sin(frame / 60)
    assert np.std(smooth - truth) < 2.5
    two = Segments([], np.array([5.0, 95.0]), np.array([0, 1]))
    assert smooth_path(np.arange(101), two, np.array([0.0, 90.0]), np.ones(2))[50] == pytest.approx(45)
