"""The held-out trial: perfect pictures score 1, blank ones 0, and more frames score more."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from stormcell.learning.annapalm_inference import DensifyResult, sum_cells
from stormcell.learning.annapalm_model import DensifyModel
from stormcell.learning.annapalm_trial import FEWEST_FIELDS, GRID, coverage, trial_field, try_model
from stormcell.networks.annapalm import DensifyOutput


@pytest.fixture(scope="module")
def one():
    return trial_field("microtubules", 99, 0)


def test_controls(one):
    rng = np.random.default_rng(1)
    other = trial_field("microtubules", 99, 1)
    assert one.score(one.truth) == pytest.approx(1.0)
    assert one.score(3 * one.truth + 7) == pytest.approx(1.0)
    assert one.score(np.ones_like(one.truth)) == 0.0
    assert abs(one.score(other.truth)) < 0.4
    plain = [one.score(one.counts(share, rng)) for share in (0.01, 0.1, 1.0)]
    assert plain[0] < plain[1] < plain[2]
    assert one.best_smoothed(one.counts(0.01, rng)) > plain[0]


def test_counts_have_the_mean_of_the_truth(one):
    rng = np.random.default_rng(2)
    drawn = sum(one.counts(1.0, rng, 0.0).sum() for _ in range(5)) / 5
    assert drawn == pytest.approx(one.truth.sum(), rel=0.05)
    assert one.counts(1.0, rng, 0.5).sum() > 1.3 * drawn


class Smoothing(torch.nn.Module):
    """Draws the counts blurred by two pixels, or a flat picture of a wide-field image."""

    multiple_px = 16

    def __init__(self):
        super().__init__()
        self.nothing = torch.nn.Parameter(torch.zeros(1))

    def forward(self, given):
        blurred = torch.from_numpy(gaussian_filter(given.counts.numpy(), (0, 0, 2, 2)))
        rate = torch.log(blurred + 1e-6)
        return DensifyOutput(rate, torch.zeros_like(rate)[:, :, ::2, ::2])


def test_plain_smoothing_saves_nothing_and_the_interval_is_told():
    model = DensifyModel(card=None, network=Smoothing())
    report = try_model(model, ("nuclear_pores",), (0.1,), 2, 41)["nuclear_pores"]
    smoothed, drawn, blank = report["0.1 best smoothed"], report["0.1 sparse"], report["0.1 widefield"]
    # of the same shares, the best smoothing needs as many frames as it was given
    assert smoothed["saving_median"] == pytest.approx(1.0, abs=0.25)
    # a smoothing among those tried is not better than the best of them
    assert drawn["score"] <= smoothed["score"] + 1e-3
    assert drawn["saving_median"] <= smoothed["saving_median"] + 0.01
    assert drawn["saving_95"][0] <= drawn["saving_median"] <= drawn["saving_95"][1]
    # what shows nothing saves least, as far as the shares tell
    assert blank["score"] == 0.0
    assert blank["saving_median"] == pytest.approx(GRID[0] / 0.1, abs=0.01)
    assert FEWEST_FIELDS >= 10


def test_the_truth_with_little_spread_covers_what_it_should(one):
    # nothing but Poisson noise is left once the rate is known
    rng, share = np.random.default_rng(3), 0.03
    rate = (one.truth * share).astype(np.float32)
    known = DensifyResult(rate, np.full_like(sum_cells(rate), 1e-4))
    assert 0.88 < coverage(known, one, share, rng) < 0.99
    sure_of_too_little = DensifyResult(rate / 5, known.dispersion)
    assert coverage(sure_of_too_little, one, share, rng) < 0.7


def test_a_card_of_simulation_is_scored_on_ten_fields_of_every_structure(monkeypatch):
    from stormcell.learning import annapalm_task

    asked = []

    def noted(model, structures, shares, n_fields, seed):
        asked.append((set(structures), n_fields))
        return {"actin": {}}

    monkeypatch.setattr(annapalm_task, "try_model", noted)
    scores = annapalm_task.simulated_scores(None, 41)
    assert asked == [({"microtubules", "nuclear_pores", "mitochondria", "actin"}, FEWEST_FIELDS)]
    assert scores["measured"].startswith("10 simulated fields of each structure, seed 41")
