"""What is reported about a table, on scenes whose scores can be counted by hand."""

import json

import numpy as np
import pytest

from stormcell.data import Localizations, PixelGrid
from stormcell.errors import MissingColumnError, MissingQuantityError, SettingsError
from stormcell.metrics import EvaluationSettings, evaluate_localizations

FIELD = PixelGrid(100.0, (20, 40), (1000.0, 0.0))


def table_of(rows, grid=FIELD, **columns):
    frame, x, y = np.asarray(rows, dtype=float).reshape(-1, 3).T
    return Localizations({"frame": frame, "x_nm": x, "y_nm": y, **columns}, grid=grid)


def counts(score):
    return score.tp, score.fp, score.fn


def test_scores_counted_by_hand():
    truth = table_of([[0, 500, 2000], [0, 1500, 2000], [1, 500, 2000], [2, 900, 2000]])
    table = table_of([[0, 530, 2040], [0, 3000, 2000], [1, 620, 2000], [5, 500, 2000]])
    score = evaluate_localizations(table, truth)
    assert counts(score) == (2, 2, 2)
    assert score.jaccard == pytest.approx(1 / 3)
    assert score.precision == score.recall == 0.5
    assert score.rmse_nm == pytest.approx(np.sqrt((50**2 + 120**2) / 2))
    assert (score.bias_x_nm, score.bias_y_nm) == pytest.approx((75, 20))
    assert score.efficiency == pytest.approx(100 - np.hypot(100 - 100 / 3, score.rmse_nm))
    assert [counts(further) for further in score.further] == [(1, 3, 3), (1, 3, 3)]
    assert [further.tolerance_nm for further in score.further] == [100, 50]
    assert score.frames.frame.tolist() == [0, 1, 2, 5]
    assert score.frames.to_dict() == {
        "n_frames": 4,
        "n_frames_without_localizations": 1,
        "n_frames_without_emitters": 1,
        "emitters_per_frame": 1.0,
        "localizations_per_frame": 1.0,
    }


def test_the_truth_scores_full_marks():
    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.integers(0, 9, 300), rng.uniform(0, 4000, 300), rng.uniform(1000, 3000, 300)])
    truth = table_of(rows, photons=rng.gamma(3, 300, 300), z_nm=rng.uniform(-500, 500, 300))
    score = evaluate_localizations(truth, truth)
    assert counts(score) == (300, 0, 0)
    assert (score.jaccard, score.rmse_nm, score.rmse_z_nm, score.rmsmd_nm) == (1, 0, 0, 0)
    assert (score.efficiency, score.efficiency_z, score.efficiency_3d) == (100, 100, 100)
    assert score.quality["all"].photon_error_median == 0


def test_pairs_are_formed_before_the_rim_is_dropped():
    # the rim is 300 nm: an emitter inside it at x 290, its localization outside it at x 310, and the reverse;
    # dropping the rim first would leave a false positive and a missed emitter
    truth = table_of([[0, 290, 2000], [1, 310, 2000], [2, 50, 2000], [3, 2000, 2710]])
    table = table_of([[0, 310, 2000], [1, 290, 2000], [4, 3800, 2000], [5, 2000, 2000]])
    assert counts(evaluate_localizations(table, truth)) == (2, 2, 2)
    score = evaluate_localizations(table, truth, rim_nm=300)
    assert counts(score) == (1, 1, 0)
    assert score.bias_x_nm == -20


def test_a_rim_needs_a_field():
    truth = table_of([[0, 500, 2000]], grid=None)
    with pytest.raises(MissingQuantityError, match="a rim needs a field of view"):
        evaluate_localizations(truth, truth, rim_nm=100)
    assert counts(evaluate_localizations(truth, truth, rim_nm=100, field=FIELD)) == (1, 0, 0)
    assert counts(evaluate_localizations(truth, truth.with_context(grid=FIELD), rim_nm=600)) == (0, 0, 0)


def test_insignificant_emitters_absorb_without_counting():
    truth = table_of([[0, 500, 2000], [0, 1500, 2000], [0, 2500, 2000]], on_fraction=[1.0, 0.1, 0.2])
    table = table_of([[0, 500, 2000], [0, 1500, 2000], [0, 3500, 2000]])
    assert counts(evaluate_localizations(table, truth)) == (2, 1, 1)
    assert counts(evaluate_localizations(table, truth, insignificant_share=0.25)) == (1, 1, 0)


def test_insignificance_from_the_brightest_frame_of_an_emitter():
    truth = table_of(
        [[0, 500, 2000], [1, 500, 2000], [1, 1500, 2000]], emitter_id=[4, 4, 9], photons=[1000, 200, 100]
    )
    table = table_of([[1, 500, 2000], [1, 1500, 2000]])
    score = evaluate_localizations(table, truth, insignificant_share=0.25)
    assert counts(score) == (1, 0, 1)
    with pytest.raises(MissingColumnError, match="insignificant_share needs on_fraction"):
        evaluate_localizations(table, truth.without_columns("emitter_id"), insignificant_share=0.25)
    nobody = truth.take(slice(0, 0))
    assert counts(evaluate_localizations(table, nobody, insignificant_share=0.25)) == (0, 2, 0)


def test_random_points_score_what_their_density_gives():
    # 6 emitters per um^2: random points reach a Jaccard index of 0.37 at 250 nm
    rng = np.random.default_rng(0)
    grid = PixelGrid(100.0, (64, 64))
    n = 246 * 60
    rows = np.column_stack([np.repeat(np.arange(60), 246), rng.uniform(0, 6400, n), rng.uniform(0, 6400, n)])
    truth = table_of(rows, grid=grid)
    score = evaluate_localizations(truth, truth)
    assert [one.tolerance_nm for one in score.random] == [250, 100, 50]
    assert score.random[0].jaccard == pytest.approx(0.37, abs=0.01)
    # at 50 nm pairs are rare: a random point has an emitter in reach with probability 1 - exp(-6 pi 0.05^2)
    near = 1 - np.exp(-6 * np.pi * 0.05**2)
    assert score.random[2].recall == pytest.approx(near, rel=0.05)
    assert evaluate_localizations(truth, truth).random[0].to_dict() == score.random[0].to_dict()
    assert evaluate_localizations(truth, truth, seed=1).random[0].to_dict() != score.random[0].to_dict()


def test_isolated_and_crowded_emitters_are_judged_apart():
    # isolated emitters are found to 5 nm, crowded ones to 50 nm, all stated as 10 nm
    frame = np.arange(400)
    isolated = np.column_stack([frame, np.full(400, 500.0), np.full(400, 2000.0)])
    crowded = np.column_stack([frame + 1000, np.full(400, 500.0), np.full(400, 2000.0)])
    partner = crowded + np.array([0, 399, 0])
    truth = table_of(np.concatenate([isolated, crowded, partner]), photons=np.full(1200, 1000.0))
    rng = np.random.default_rng(0)
    noise = np.concatenate([rng.normal(0, 5, (400, 2)), rng.normal(0, 20, (800, 2))])
    rows = np.concatenate([isolated, crowded, partner])
    rows[:, 1:] += noise
    sigma = np.full(1200, 10.0)
    photons = np.concatenate([np.full(400, 1100.0), np.full(800, 900.0)])
    table = table_of(rows, uncertainty_x_nm=sigma, uncertainty_y_nm=sigma, photons=photons)
    quality = evaluate_localizations(table, truth).quality
    assert (quality["isolated"].n, quality["crowded"].n) == (400, pytest.approx(800, abs=2))
    assert quality["isolated"].calibration["x"].z_std == pytest.approx(0.5, rel=0.1)
    assert quality["crowded"].calibration["y"].z_robust_std == pytest.approx(2, rel=0.1)
    assert quality["isolated"].photon_error_median == pytest.approx(0.1)
    assert quality["crowded"].photon_error_median == pytest.approx(-0.1)
    further_apart = evaluate_localizations(table, truth, isolation_nm=398).quality
    assert further_apart["crowded"].n == 0


def test_rows_that_are_not_numbers_are_left_out_and_counted():
    truth = table_of([[0, 500, 2000]])
    score = evaluate_localizations(table_of([[0, 500, 2000], [0, np.nan, 2000]]), truth)
    assert counts(score) == (1, 0, 0)
    assert score.n_not_finite == 1


@pytest.mark.parametrize("with_depth", [False, True])
@pytest.mark.parametrize(("n_table", "n_truth"), [(0, 0), (0, 2), (2, 0)])
def test_empty_tables_can_be_judged(n_table, n_truth, with_depth):
    depth = (lambda n: {"z_nm": np.zeros(n)}) if with_depth else (lambda n: {})
    table = table_of(np.full((n_table, 3), 1500.0), **depth(n_table))
    truth = table_of(np.full((n_truth, 3), 1500.0), **depth(n_truth))
    score = evaluate_localizations(table, truth)
    assert counts(score) == (0, n_table, n_truth)
    assert np.isnan(score.rmse_nm)
    assert np.isnan(score.jaccard) == (n_table == n_truth == 0)
    assert score.efficiency == 0 or n_table == n_truth == 0
    assert json.loads(json.dumps(score.to_dict(), allow_nan=False))["rmse_nm"] is None


def test_the_report_is_json():
    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.integers(0, 9, 50), rng.uniform(0, 4000, 50), rng.uniform(1000, 3000, 50)])
    truth = table_of(rows, photons=np.ones(50), z_nm=np.zeros(50))
    table = truth.with_columns(uncertainty_x_nm=np.ones(50), uncertainty_z_nm=np.ones(50))
    report = json.loads(json.dumps(evaluate_localizations(table, truth, tolerance_nm=200).to_dict(), allow_nan=False))
    assert report["tolerance_nm"] == 200
    assert report["tp"] == 50
    assert sorted(report["quality"]["all"]["calibration"]) == ["x", "z"]
    assert report["settings"] == EvaluationSettings(tolerance_nm=200).model_dump(mode="json")


def test_unknown_options_are_refused():
    truth = table_of([[0, 500, 2000]])
    with pytest.raises(
        SettingsError, match="tolerance is not a setting of EvaluationSettings; did you mean tolerance_nm"
    ):
        evaluate_localizations(truth, truth, tolerance=100)
    with pytest.raises(SettingsError, match="tolerance_nm: input should be greater than 0"):
        evaluate_localizations(truth, truth, tolerance_nm=-1)
