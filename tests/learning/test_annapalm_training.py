"""Training of densify: resumed runs are the same runs, both objectives train, models come back from their folders."""

import numpy as np
import pytest
import torch

from stormcell.errors import ModelError
from stormcell.learning.annapalm_data import DensifyDataSettings
from stormcell.learning.annapalm_fields import FieldSettings
from stormcell.learning.annapalm_inference import densify_image
from stormcell.learning.annapalm_model import input_warnings, load_densify_model, save_densify_model
from stormcell.learning.annapalm_pairs import EventField, PairSettings
from stormcell.learning.annapalm_training import DensifyTrainingSettings, build_network, seen_range, train_densify
from stormcell.learning.training import LAST_CHECKPOINT, TrainerSettings

PUBLISHED = {"architecture": "annapalm-2018", "widths": (4, 8, 8, 8), "discriminator_width": 4}


def recipe(steps=6, **changes):
    values = {
        "seed": 3,
        "widths": (8, 8, 8, 8),
        "blocks": (1, 1, 1, 1),
        "trainer": TrainerSettings(steps=steps, decay_steps=2, warmup_steps=1, validation_every=100),
        "data": DensifyDataSettings(batch_size=2, n_fields=2),
        "pairs": PairSettings(crop_px=32),
        "fields": FieldSettings(side_nm=3000.0, shares={"nuclear_pores": 0.5, "other": 0.5}),
    }
    return DensifyTrainingSettings(**{**values, **changes})


@pytest.mark.parametrize("more", [{}, {**PUBLISHED, "objective": "adversarial"}], ids=["likelihood", "2018"])
def test_resumed_training_ends_in_the_same_weights_bit_for_bit(tmp_path, more):
    whole = train_densify(tmp_path / "whole", recipe(**more))
    train_densify(tmp_path / "halves", recipe(**more), stop_at=2)
    assert (tmp_path / "halves" / LAST_CHECKPOINT).exists()
    resumed = train_densify(tmp_path / "halves", recipe(**more), resume=True)
    start = build_network(recipe(**more)).state_dict()
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    assert any(not torch.equal(value, start[name]) for name, value in whole.state_dict().items())


def test_real_fields_train_and_fine_tune(tmp_path):
    rng = np.random.default_rng(1)
    x, y = (rng.normal(500, 100, 900).astype(np.float32) for _ in range(2))
    field = EventField(x, y, np.sort(rng.integers(0, 1000, 900)), 1000, (1000.0, 1000.0))
    initial = build_network(recipe()).state_dict()
    network = train_densify(tmp_path, recipe(steps=6), measured=[field], measured_validation=[field], initial=initial)
    assert all(torch.isfinite(value).all() for value in network.state_dict().values())


@pytest.mark.parametrize("more", [{}, PUBLISHED], ids=["lean", "2018"])
def test_a_saved_model_draws_what_it_drew(tmp_path, more):
    settings = recipe(**more)
    network = build_network(settings).eval()
    save_densify_model(tmp_path, "tiny", network, settings, training={"steps": 0}, scores={})
    model = load_densify_model(str(tmp_path))
    assert model.card.training["recipe"]["seed"] == 3
    again = load_densify_model(str(tmp_path))
    counts = np.random.default_rng(1).poisson(0.1, (40, 50)).astype(np.float32)
    np.testing.assert_array_equal(densify_image(model, counts, None).rate, densify_image(again, counts, None).rate)
    for name, value in network.state_dict().items():
        assert torch.equal(value, model.network.state_dict()[name])


def test_the_calibration_of_the_card_scales_the_dispersion(tmp_path):
    settings = recipe()
    network, counts = build_network(settings).eval(), np.ones((16, 16), np.float32)
    spreads = []
    for name, factor in (("plain", 1.0), ("wider", 2.0)):
        save_densify_model(tmp_path / name, name, network, settings, training={}, scores={}, dispersion_factor=factor)
        spreads.append(densify_image(load_densify_model(str(tmp_path / name)), counts, None).dispersion)
    np.testing.assert_allclose(spreads[1], 2 * spreads[0], rtol=1e-6)


def test_models_of_other_tasks_are_refused(tmp_path):
    settings = recipe()
    save_densify_model(tmp_path, "tiny", build_network(settings), settings, training={}, scores={})
    card = tmp_path / "model.yaml"
    card.write_text(card.read_text().replace("architecture: annapalm", "architecture: dense"))
    with pytest.raises(ModelError, match="expected a model of architecture annapalm"):
        load_densify_model(str(tmp_path))


def test_inputs_outside_the_range_are_named(tmp_path):
    settings = recipe(data=DensifyDataSettings(n_fields=12))
    seen, network = seen_range(settings), build_network(settings)
    card = save_densify_model(tmp_path, "tiny", network, settings, training={}, scores={}, seen=seen)
    low, high = card.valid_range.events_per_um2
    assert 0.005 < low < 1 < high < 1000
    assert not input_warnings(card, 0.5 * (low + high), 0.03, "nuclear_pores")
    assert not input_warnings(card, None)
    for words, arguments in (
        ("sparser", (0.9 * low,)),
        ("denser", (1.1 * high,)),
        ("% of the frames", (high, 0.9)),
        ("has not seen golgi (it knows nuclear_pores): it is told 'unknown'", (high, None, "golgi")),
        ("has not seen actin (it knows nuclear_pores): its name then says little", (high, None, "actin")),
    ):
        (sentence,) = input_warnings(card, *arguments)
        assert words in sentence


def test_a_model_of_one_measured_structure_knows_that_one_and_its_density():
    rng = np.random.default_rng(1)
    x, y = (rng.uniform(0, 4000, 1600).astype(np.float32) for _ in range(2))
    field = EventField(x, y, np.sort(rng.integers(0, 1000, 1600)), 1000, (4000.0, 4000.0), label=2)
    alone = recipe(data=DensifyDataSettings(simulated_share=0.0))
    seen = seen_range(alone, [field])
    assert seen.structures == ("mitochondria",)
    # 100 events per um2, of which an input holds 0.5 to 30 %
    assert seen.events_per_um2 == pytest.approx((0.5, 30.0), rel=0.05)
    # the simulated others have no name, but densities of their own
    wider = seen_range(recipe(data=DensifyDataSettings(n_fields=6)), [field])
    assert wider.structures == ("mitochondria",)
    assert wider.events_per_um2[0] <= 0.5
    assert wider.events_per_um2[1] >= 30.0
    assert wider.events_per_um2 != seen.events_per_um2


def test_the_last_layers_keep_their_width():
    network = build_network(recipe(fine=8))
    assert network.architecture.fine == 8
    assert build_network(recipe()).architecture.fine == 12
