import numpy as np
import pytest

from stormcell.data import Localizations
from stormcell.metrics import Matches
from stormcell.metrics.pair_quality import judge_pairs


def paired(n, error, sigma, **columns):
    frame = np.arange(n)
    truth = Localizations({"frame": frame, "x_nm": np.zeros(n), "y_nm": np.zeros(n), "photons": np.full(n, 500.0)})
    table = Localizations({"frame": frame, "x_nm": error, "y_nm": error, "uncertainty_x_nm": sigma, **columns})
    return table, truth, Matches(frame, frame, np.abs(error) * np.sqrt(2))


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_coverage_tells_true_uncertainties_from_false(scale):
    from math import erf, sqrt

    rng = np.random.default_rng(0)
    sigma = rng.uniform(5, 20, 20000)
    quality = judge_pairs(*paired(20000, scale * sigma * rng.normal(size=20000), sigma))
    x = quality.calibration["x"]
    for coverage, z in ((x.coverage_50, 0.67449), (x.coverage_68, 0.99446), (x.coverage_95, 1.95996)):
        assert coverage == pytest.approx(erf(z / scale / sqrt(2)), abs=0.011)
    assert (x.z_mean, x.z_std, x.z_robust_std) == pytest.approx((0, scale, scale), abs=0.05)
    assert list(quality.calibration) == ["x"]


def test_outliers_move_the_std_but_not_the_robust_one():
    rng = np.random.default_rng(1)
    error = rng.normal(0, 10, 2000)
    error[:20] = 1000
    x = judge_pairs(*paired(2000, error, np.full(2000, 10.0))).calibration["x"]
    assert x.z_std > 5
    assert x.z_robust_std == pytest.approx(1, abs=0.1)


def test_unstated_uncertainties_are_left_out():
    sigma = np.array([10.0, 0.0, np.nan, -1.0, np.inf, 10.0])
    x = judge_pairs(*paired(6, np.full(6, 10.0), sigma)).calibration["x"]
    assert (x.n, x.z_mean, x.z_std) == (2, 1, 0)
    none = judge_pairs(*paired(2, np.ones(2), np.zeros(2))).calibration["x"]
    assert none.n == 0
    assert np.isnan(none.z_std)


def test_photon_errors_are_relative_to_the_truth():
    photons = np.array([550.0, 500.0, 400.0, np.nan])
    quality = judge_pairs(*paired(4, np.zeros(4), np.ones(4), photons=photons))
    assert quality.photon_error_median == pytest.approx(0.0)
    assert quality.photon_error_mad == pytest.approx(0.1)
    assert np.isnan(judge_pairs(*paired(4, np.zeros(4), np.ones(4))).photon_error_median)


def test_no_pairs_no_numbers():
    quality = judge_pairs(*paired(0, np.zeros(0), np.zeros(0), photons=np.zeros(0)))
    assert quality.n == 0
    assert quality.to_dict()["rmse_nm"] is None
    assert quality.to_dict()["photon_error_mad"] is None
