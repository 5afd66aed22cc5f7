"""Pairing: exact against every possible pairing, frames apart, odd rows kept out."""

import numpy as np
import pytest

from stormcell.data import Localizations
from stormcell.errors import InputError, MissingColumnError, SettingsError
from stormcell.metrics import match_localizations
from stormcell.metrics import neighbours as neighbours_module


def table_of(frame, positions, **columns):
    positions = np.asarray(positions, dtype=float).reshape(-1, 2)
    return Localizations({"frame": frame, "x_nm": positions[:, 0], "y_nm": positions[:, 1], **columns})


def pairs_of(matches):
    return list(zip(matches.table_row.tolist(), matches.truth_row.tolist(), strict=True))


def best_total(cost, alone):
    """Least sum over every possible pairing of rows with columns, by trying them all."""
    if len(cost) == 0:
        return 0.0
    rest = np.delete(cost, 0, axis=0)
    totals = [alone + best_total(rest, alone)]
    totals += [
        cost[0, j] + best_total(np.delete(rest, j, axis=1), alone)
        for j in range(cost.shape[1])
        if cost[0, j] < np.inf
    ]
    return min(totals)


@pytest.mark.parametrize("unmatched_cost", [1.0, 2.5, 50.0])
@pytest.mark.parametrize("seed", range(15))
def test_the_pairing_is_the_best_of_all(seed, unmatched_cost):
    rng = np.random.default_rng(seed)
    n, m = rng.integers(0, 7, 2)
    side = rng.uniform(200, 900)
    found, true = rng.uniform(0, side, (n, 2)), rng.uniform(0, side, (m, 2))
    matches = match_localizations(
        table_of(np.zeros(n), found), table_of(np.zeros(m), true), 250, unmatched_cost=unmatched_cost
    )
    cost = ((found[:, None] - true[None]) ** 2).sum(axis=-1)
    cost[cost > 250**2] = np.inf
    alone = unmatched_cost * 250**2
    total = (matches.distance_nm**2).sum() + alone * (n - len(matches))
    assert total == pytest.approx(best_total(cost, alone), abs=1e-6)
    assert len(set(matches.table_row)) == len(set(matches.truth_row)) == len(matches)


def test_one_close_pair_is_not_given_up_for_two_far_ones_unless_asked():
    # localizations at 0 and 240 nm, emitters at 235 and 475 nm
    table, truth = table_of([0, 0], [[0, 0], [240, 0]]), table_of([0, 0], [[235, 0], [475, 0]])
    assert pairs_of(match_localizations(table, truth)) == [(1, 0)]
    assert pairs_of(match_localizations(table, truth, unmatched_cost=50)) == [(0, 0), (1, 1)]


def test_the_tolerance_is_inclusive():
    truth = table_of([0], [[0, 0]])
    assert len(match_localizations(table_of([0], [[150, 200]]), truth, 250)) == 1
    assert len(match_localizations(table_of([0], [[150, 200.001]]), truth, 250)) == 0


def test_frames_are_kept_apart_and_rows_keep_their_numbers():
    truth = table_of([7, -3, 100], [[0, 0], [10, 0], [20, 0]])
    table = table_of([100, 8, -3, 7], [[21, 0], [0, 0], [12, 0], [3, 4]])
    matches = match_localizations(table, truth)
    assert pairs_of(matches) == [(0, 2), (2, 1), (3, 0)]
    assert matches.distance_nm.tolist() == [1, 2, 5]


@pytest.mark.parametrize("n", [0, 3])
@pytest.mark.parametrize("m", [0, 3])
def test_nothing_in_common_gives_no_pairs(n, m):
    matches = match_localizations(table_of(np.zeros(n), np.zeros((n, 2))), table_of(np.ones(m), np.zeros((m, 2))))
    assert len(matches) == 0


def test_depth_counts_where_both_tables_have_it():
    truth = table_of([0, 0], [[0, 0], [0, 0]], z_nm=[0.0, 300.0])
    table = table_of([0, 0], [[30, 0], [0, 0]], z_nm=[310.0, -550.0])
    assert pairs_of(match_localizations(table, truth)) == [(0, 1)]
    assert match_localizations(table, truth).distance_nm.tolist() == [30]
    assert len(match_localizations(table, truth, axial_tolerance_nm=600)) == 2
    assert len(match_localizations(table.without_columns("z_nm"), truth)) == 2


def test_rows_that_are_not_numbers_stay_alone():
    table = table_of([0, 0, 0, 0], [[np.nan, 0], [0, np.inf], [1, 0], [0, 0]])
    assert pairs_of(match_localizations(table, table_of([0], [[1, 0]]))) == [(2, 0)]
    with pytest.raises(InputError, match="expected finite positions in the truth, got 2 rows"):
        match_localizations(table, table)


@pytest.mark.parametrize("origin", [0.0, 1e7, -1e7])
def test_far_outliers_do_not_break_the_search(origin):
    rng = np.random.default_rng(0)
    true = rng.uniform(0, 3000, (200, 2)) + origin
    found = true + rng.normal(0, 5, true.shape)
    frame = np.arange(200)
    true[0], found[0] = [1e15, -1e15], [1e15, -1e15]
    matches = match_localizations(table_of(frame, found), table_of(frame, true))
    assert pairs_of(matches) == [(i, i) for i in range(200)]


def test_same_pairs_for_every_number_of_threads(monkeypatch):
    rng = np.random.default_rng(1)
    frame = rng.integers(0, 50, 4000)
    truth = table_of(frame, rng.uniform(0, 1500, (4000, 2)))
    table = table_of(frame, rng.uniform(0, 1500, (4000, 2)))
    expected = pairs_of(match_localizations(table, truth))
    for n_threads in (1, 3, 64):
        monkeypatch.setattr("stormcell.metrics.assignment.get_num_threads", lambda n=n_threads: n)
        assert pairs_of(match_localizations(table, truth)) == expected


def test_far_too_many_pairs_are_refused(monkeypatch):
    monkeypatch.setattr(neighbours_module, "_MOST_PAIRS", 100)
    crowd = table_of(np.zeros(11), np.zeros((11, 2)))
    with pytest.raises(InputError, match="at most 100 pairs within 250 nm in the same frame, got 121"):
        match_localizations(crowd, crowd)


def test_what_cannot_be_paired_is_refused():
    truth = table_of([0], [[0, 0]])
    with pytest.raises(SettingsError, match="tolerances above 0 nm"):
        match_localizations(truth, truth, 0)
    with pytest.raises(SettingsError, match="unmatched cost of at least 1"):
        match_localizations(truth, truth, unmatched_cost=0.5)
    with pytest.raises(MissingColumnError, match="no column frame"):
        match_localizations(truth.without_columns("frame"), truth)
