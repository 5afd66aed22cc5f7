"""Linking against simulated bursts, a brute-force greedy search, and the statistics of merged rows."""

import numpy as np
import pytest

from stormcell.data import Localizations
from stormcell.errors import InputError, SettingsError
from stormcell.localization.linking import (
    LinkSettings,
    assign_tracks,
    link_localizations,
    merge_tracks,
    on_times,
)


def bursts(n_bursts=2000, on_frames=4.0, uncertainty=10.0, seed=0, spacing=400.0):
    """Well separated emitters (jittered lattice), one burst each at a random time, geometric lengths."""
    rng = np.random.default_rng(seed)
    side = int(np.ceil(np.sqrt(n_bursts)))
    lattice = np.stack(np.unravel_index(np.arange(n_bursts), (side, side)), axis=1) * spacing
    centre = lattice + rng.uniform(0, spacing / 4, lattice.shape) + 1e4
    length = rng.geometric(1 - np.exp(-1 / on_frames), n_bursts)
    start = rng.integers(0, 300, n_bursts)
    burst = np.repeat(np.arange(n_bursts), length)
    frame = start[burst] + np.arange(len(burst)) - np.repeat(np.cumsum(length) - length, length)
    sigma = rng.uniform(0.5, 2, len(burst)) * uncertainty
    table = Localizations(
        {
            "frame": frame,
            "x_nm": centre[burst, 0] + rng.normal(0, sigma),
            "y_nm": centre[burst, 1] + rng.normal(0, sigma),
            "photons": rng.gamma(4, 200, len(burst)),
            "background_photons": rng.uniform(1, 9, len(burst)),
            "uncertainty_x_nm": sigma,
            "uncertainty_y_nm": sigma,
            "emitter_id": burst,
        },
        n_frames=400,
    )
    return table, centre, length


def test_bursts_come_back_whole():
    table, _, length = bursts()
    linked = link_localizations(table)
    # 4 standard deviations lose exp(-8) = 0.03 % of the links.
    assert abs(len(linked) - len(length)) <= 0.002 * len(table)
    assert linked["photons"].sum() == pytest.approx(table["photons"].sum())
    assert linked["n_detections"].sum() == len(table)
    assert (np.diff(linked["frame"]) >= 0).all()
    assert linked.n_frames == 400


def test_merged_positions_are_as_precise_as_stated():
    table, centre, _ = bursts(n_bursts=4000)
    linked = link_localizations(table)
    z = (linked["x_nm"] - centre[linked["emitter_id"], 0]) / linked["uncertainty_x_nm"]
    assert abs(z.mean()) < 0.06
    assert z.std() == pytest.approx(1.0, abs=0.04)
    assert linked["uncertainty_x_nm"].mean() < table["uncertainty_x_nm"].mean()


def test_on_time_constant_is_recovered():
    table, _, length = bursts(n_bursts=4000, on_frames=3.0)
    times = on_times(link_localizations(table))
    assert times.time_constant_frames == pytest.approx(3.0, rel=0.06)
    assert times.mean_detections == pytest.approx(length.mean(), rel=0.01)
    assert (times.count * times.n_detections).sum() == len(table)
    assert np.isnan(on_times(link_localizations(Localizations.empty())).time_constant_frames)


def brute_force(table, settings):
    """The rule of the module docstring written out with plain loops (nm only)."""
    burst = np.full(len(table), -1)
    open_bursts = []
    for frame in np.unique(table["frame"]):
        rows = np.flatnonzero(table["frame"] == frame)
        open_bursts = [b for b in open_bursts if frame - b["last"] <= settings.max_gap_frames + 1]
        pairs = []
        for i, b in enumerate(open_bursts):
            for row in rows:
                d = np.hypot(*(table.positions_nm[row] - np.mean(b["positions"], axis=0)))
                if d <= settings.max_distance_nm:
                    pairs.append((d, i, row))
        used = set()
        for _, i, row in sorted(pairs):
            if i not in used and burst[row] < 0:
                used.add(i)
                burst[row] = open_bursts[i]["id"]
                open_bursts[i]["last"] = frame
                open_bursts[i]["positions"].append(table.positions_nm[row])
        for row in rows:
            if burst[row] < 0:
                burst[row] = burst.max() + 1
                open_bursts.append({"id": burst[row], "last": frame, "positions": [table.positions_nm[row]]})
    return burst


@pytest.mark.parametrize("gap", [0, 1, 3])
def test_agrees_with_brute_force_when_crowded(gap):
    rng = np.random.default_rng(gap)
    n = 400
    table = Localizations(
        {"frame": rng.integers(0, 30, n), "x_nm": rng.uniform(0, 500, n), "y_nm": rng.uniform(0, 500, n)}
    )
    settings = LinkSettings(max_distance_nm=60, max_gap_frames=gap)
    assert np.array_equal(assign_tracks(table, settings), brute_force(table, settings))


def test_gaps_are_bridged_only_as_far_as_allowed():
    table = Localizations({"frame": [0, 2, 5], "x_nm": [0.0, 1, 2], "y_nm": [0.0, 0, 0]})
    for gap, expected in ((0, [0, 1, 2]), (1, [0, 0, 1]), (2, [0, 0, 0])):
        tracks = assign_tracks(table, LinkSettings(max_distance_nm=10, max_gap_frames=gap))
        assert tracks.tolist() == expected


def test_channels_and_depths_stay_apart():
    columns = {"frame": [0, 1], "x_nm": [5.0, 5.0], "y_nm": [5.0, 5.0]}
    settings = LinkSettings(max_distance_nm=10)
    assert len(link_localizations(Localizations(columns), settings)) == 1
    assert len(link_localizations(Localizations({**columns, "channel": [0, 1]}), settings)) == 2
    stated = {name: [10.0, 10.0] for name in ("uncertainty_x_nm", "uncertainty_y_nm", "uncertainty_z_nm")}
    assert len(link_localizations(Localizations({**columns, **stated, "z_nm": [0.0, 20.0]}))) == 1
    assert len(link_localizations(Localizations({**columns, **stated, "z_nm": [0.0, 200.0]}))) == 2


def test_columns_merge_by_their_meaning():
    table = Localizations(
        {
            "frame": [3, 4],
            "x_nm": [1e6, 1e6 + 10],
            "y_nm": [0.0, 0.0],
            "uncertainty_x_nm": [1.0, 3.0],
            "photons": [100.0, 300.0],
            "background_photons": [2.0, 4.0],
            "uncertainty_photons": [3.0, 4.0],
            "flags": [1, 4],
            "probability": [0.5, 0.9],
            "n_detections": [2, 3],
            "id": [7, 8],
            "track_id": [0, 1],
        }
    )
    merged = merge_tracks(table, np.array([0, 0]))
    assert "track_id" not in merged
    row = {name: merged[name][0] for name in merged.names}
    assert row["x_nm"] == pytest.approx(1e6 + 10 * (1 / 9) / (1 + 1 / 9), abs=1e-9)
    assert row["uncertainty_x_nm"] == pytest.approx(1 / np.sqrt(1 + 1 / 9))
    assert (row["frame"], row["photons"], row["background_photons"]) == (3, 400, 3)
    assert (row["uncertainty_photons"], row["flags"], row["probability"]) == (5, 5, 0.9)
    assert (row["n_detections"], row["id"]) == (5, 7)


def test_rows_without_usable_uncertainty_do_not_poison_the_merge():
    table = Localizations(
        {
            "frame": [0, 1, 0],
            "x_nm": [0.0, 10.0, 900.0],
            "y_nm": [0.0, 0.0, 0.0],
            "uncertainty_x_nm": [np.nan, 5.0, 0.0],
        }
    )
    merged = merge_tracks(table, np.array([0, 0, 1]))
    assert merged["x_nm"].tolist() == [10.0, 900.0]
    assert merged["uncertainty_x_nm"][0] == 5.0
    assert np.isnan(merged["uncertainty_x_nm"][1])


def test_one_wild_uncertainty_does_not_link_the_field():
    table, _, _ = bursts(n_bursts=400)
    uncertainty = table["uncertainty_x_nm"].copy()
    uncertainty[::50] = 1e7
    wild = table.with_columns(uncertainty_x_nm=uncertainty, uncertainty_y_nm=uncertainty)
    assert len(link_localizations(wild)) > 0.95 * len(link_localizations(table))


def test_refusals():
    bare = Localizations({"frame": [0], "x_nm": [1.0], "y_nm": [1.0]})
    with pytest.raises(InputError, match="pass --max-distance-nm"):
        link_localizations(bare)
    with pytest.raises(InputError, match="rows whose x_nm is not"):
        link_localizations(bare.with_columns(x_nm=[np.nan]), LinkSettings(max_distance_nm=3))
    with pytest.raises(SettingsError, match="max_gap_frames"):
        LinkSettings.create(max_gap_frames=-1)
    assert link_localizations(Localizations.empty()).names == ("frame", "x_nm", "y_nm", "n_detections")


def test_chance_meetings_of_many_rows_are_as_many_as_chance_says():
    rng = np.random.default_rng(0)
    n, n_frames, field_nm, limit_nm = 300_000, 3000, 25_000, 100
    columns = {"frame": rng.integers(0, n_frames, n), "x_nm": rng.uniform(0, field_nm, n)}
    table = Localizations({**columns, "y_nm": rng.uniform(0, field_nm, n)})
    linked = link_localizations(table, LinkSettings(max_distance_nm=limit_nm))
    # Rows without any structure in time: links are chance meetings in the next 2 frames.
    expected = n * 2 * (n / n_frames) * np.pi * limit_nm**2 / field_nm**2
    assert n - len(linked) == pytest.approx(expected, rel=0.06)
