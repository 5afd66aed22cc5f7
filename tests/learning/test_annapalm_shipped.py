"""The shipped densify model does on held-out fields what its card says."""

import numpy as np
import pytest

from stormcell.learning.annapalm_inference import DensifyInferenceSettings, densify_image
from stormcell.learning.annapalm_model import load_densify_model
from stormcell.learning.annapalm_trial import coverage, trial_field
from stormcell.learning.model_folder import SHIPPED, WEIGHTS_FILE

SHARE = 0.03


@pytest.fixture(scope="module")
def model():
    return load_densify_model("annapalm")


@pytest.mark.parametrize("structure", ["microtubules", "nuclear_pores", "mitochondria", "actin"])
def test_it_beats_the_best_smoothing_of_unseen_fields(model, structure):
    gains, covered = [], []
    settings = DensifyInferenceSettings(structure=structure, share=SHARE)
    for index in range(2):
        one, rng = trial_field(structure, 777, index), np.random.default_rng(index)
        counts = one.counts(SHARE, rng).astype(np.float32)
        result = densify_image(model, counts, one.widefield, settings)
        gains.append(one.score(result.rate) - one.best_smoothed(counts))
        covered.append(coverage(result, one, SHARE, rng))
    assert np.mean(gains) > 0.02
    assert 0.75 < np.mean(covered) < 0.99


def test_a_wrong_label_is_a_hint_and_no_order(model):
    one, rng = trial_field("microtubules", 777, 3), np.random.default_rng(1)
    counts = one.counts(SHARE, rng).astype(np.float32)
    rates = [
        densify_image(model, counts, one.widefield, DensifyInferenceSettings(structure=name, share=SHARE)).rate
        for name in ("microtubules", "nuclear_pores")
    ]
    assert one.score(rates[1]) > one.score(rates[0]) - 0.1


def test_tiles_of_the_shipped_model_do_not_show(model):
    one, rng = trial_field("actin", 777, 1), np.random.default_rng(1)
    counts = one.counts(SHARE, rng).astype(np.float32)[:261, :303]
    light = one.widefield[:261, :303]
    whole, tiled = (
        densify_image(model, counts, light, DensifyInferenceSettings(tile_px=tile)).rate for tile in (512, 96)
    )
    assert np.abs(whole - tiled).max() < 0.01 * np.ptp(whole)


def test_it_is_small_and_says_where_it_comes_from(model):
    assert (SHIPPED / "annapalm" / WEIGHTS_FILE).stat().st_size < 5e6
    assert (SHIPPED / "annapalm" / "preview.png").exists()
    assert any("simulation" in note for note in model.card.notes)
    shares = model.card.training["recipe"]["fields"]["shares"]
    assert shares["other"] + shares["scattered"] >= 0.3
    assert set(model.card.scores) >= {"microtubules", "nuclear_pores", "mitochondria", "actin"}
