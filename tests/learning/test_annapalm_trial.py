"""The held-out trial: perfect pictures score 1, blank ones 0, and more frames score more."""

import numpy as np
import pytest

from stormcell.learning.annapalm_inference import DensifyResult, sum_cells
from stormcell.learning.annapalm_trial import GRID, best_smoothed, coverage, saving, score, trial_field


@pytest.fixture(scope="module")
def one():
    return trial_field("microtubules", 99, 0)


def test_controls(one):
    rng = np.random.default_rng(1)
    other = trial_field("microtubules", 99, 1)
    assert score(one.truth, one) == pytest.approx(1.0)
    assert score(3 * one.truth + 7, one) == pytest.approx(1.0)
    assert score(np.ones_like(one.truth), one) == 0.0
    assert abs(score(other.truth, one)) < 0.4
    plain = [score(one.counts(share, rng), one) for share in (0.01, 0.1, 1.0)]
    assert plain[0] < plain[1] < plain[2]
    assert best_smoothed(one.counts(0.01, rng), one) > plain[0]


def test_counts_have_the_mean_of_the_truth(one):
    rng = np.random.default_rng(2)
    drawn = sum(one.counts(1.0, rng, 0.0).sum() for _ in range(5)) / 5
    assert drawn == pytest.approx(one.truth.sum(), rel=0.05)
    assert one.counts(1.0, rng, 0.5).sum() > 1.3 * drawn


def test_plain_smoothing_saves_nothing_and_the_truth_everything():
    curve = np.linspace(0.2, 0.9, len(GRID))
    assert saving(curve[5], curve) == pytest.approx(GRID[5])
    assert saving(0.1, curve) == pytest.approx(GRID[0])
    assert saving(0.99, curve) == pytest.approx(1.0)


def test_the_truth_with_little_spread_covers_what_it_should(one):
    # nothing but Poisson noise is left once the rate is known
    rng, share = np.random.default_rng(3), 0.03
    rate = (one.truth * share).astype(np.float32)
    known = DensifyResult(rate, np.full_like(sum_cells(rate), 1e-4))
    assert 0.88 < coverage(known, one, share, rng) < 0.99
    sure_of_too_little = DensifyResult(rate / 5, known.dispersion)
    assert coverage(sure_of_too_little, one, share, rng) < 0.7
