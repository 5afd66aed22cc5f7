import numpy as np
import pytest

from stormcell.metrics.scores import efficiency, plain, score_pairs


def test_rmse_is_the_full_two_dimensional_distance():
    errors = np.array([[3.0, 4.0, 0.0], [-3.0, 4.0, 0.0]])
    score = score_pairs(250, errors, 2, 2, with_depth=False)
    assert score.rmse_nm == 5
    assert (score.bias_x_nm, score.bias_y_nm) == (0, 4)
    assert np.isnan([score.bias_z_nm, score.rmse_z_nm, score.efficiency_z, score.efficiency_3d]).all()


def test_depth_has_its_own_error_and_efficiency():
    score = score_pairs(250, np.array([[3.0, 4.0, 20.0]]), 2, 1, with_depth=True)
    assert (score.rmse_nm, score.rmse_z_nm, score.bias_z_nm) == (5, 20, 20)
    assert score.efficiency == pytest.approx(100 - np.hypot(50, 5))
    assert score.efficiency_z == pytest.approx(100 - np.hypot(50, 10))
    assert score.efficiency_3d == pytest.approx((score.efficiency + score.efficiency_z) / 2)


@pytest.mark.parametrize(
    ("jaccard", "rmse_nm", "expected"),
    [
        (1.0, 0.0, 100.0),
        (1.0, 30.0, 70.0),
        (0.7, 40.0, 50.0),
        (0.01, 200.0, 100 - np.hypot(99, 200)),
        (0.0, np.nan, 0.0),
    ],
)
def test_efficiency_is_the_challenges_number(jaccard, rmse_nm, expected):
    assert efficiency(jaccard, rmse_nm, 1.0) == pytest.approx(expected)


def test_plain_numbers_for_json():
    value = {
        "a": np.float64(1.5),
        "b": [np.int64(2), float("nan")],
        "c": np.array([np.inf, 1]),
        "d": (True, "x", None),
    }
    assert plain(value) == {"a": 1.5, "b": [2, None], "c": [None, 1.0], "d": [True, "x", None]}
