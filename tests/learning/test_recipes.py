"""The committed recipes are recipes, and the shipped networks are those their recipes describe."""

from pathlib import Path

import pytest

import stormcell.learning
from stormcell.io.documents import read_yaml
from stormcell.learning.annapalm_training import FINE_TUNING, DensifyTrainingSettings
from stormcell.learning.deepstorm_training import DeepStormTrainingSettings
from stormcell.learning.dense_training import DenseTrainingSettings
from stormcell.learning.model_folder import CARD_FILE, SHIPPED

RECIPES = Path(stormcell.learning.__file__).parent / "recipes"


def test_deepstorm_recipe_is_the_published_one():
    recipe = DeepStormTrainingSettings.create(**read_yaml(RECIPES / "deepstorm-2018.yaml"))
    assert recipe == DeepStormTrainingSettings()
    assert recipe.trainer.steps == 100 * 400


def test_deepstorm_recipes_are_those_of_the_shipped_network():
    files = [RECIPES / f"deepstorm-{part}.yaml" for part in ("first", "last")]
    first, last = (DeepStormTrainingSettings.create(**read_yaml(file)) for file in files)
    card = read_yaml(SHIPPED / "deepstorm-2018" / CARD_FILE)
    assert card["training"]["recipe"] == last.model_dump(mode="json")
    # the same frames and patches, so that what is held out stays so
    assert first.replace(trainer=last.trainer) == last
    assert f"{first.trainer.steps:,} steps" in card["training"]["started_from"]


def agrees(written, stated, left_out):
    """Compare what a recipe says, and not what it leaves to defaults that may grow, with the recipe in a card."""
    for name, value in written.items():
        if name in left_out:
            continue
        if isinstance(value, dict):
            agrees(value, stated[name], left_out)
        else:
            assert stated[name] == value, name


def test_annapalm_recipes_are_those_of_the_shipped_network():
    first, last = (
        DensifyTrainingSettings.create(**read_yaml(RECIPES / f"{name}.yaml"))
        for name in ("annapalm-first", "annapalm")
    )
    card = read_yaml(SHIPPED / "annapalm" / CARD_FILE)
    # the shipped weights had several starts, so that lengths and numbers of fields differ between its parts
    written = read_yaml(RECIPES / "annapalm.yaml")
    agrees(written, card["training"]["recipe"], {"steps", "decay_steps", "n_fields"})
    assert (first.widths, first.blocks, first.fine) == (last.widths, last.blocks, last.fine)
    assert last.fine == card["sizes"]["fine"]
    # it starts from weights, but at the rates of training from nothing, which must be written out
    assert written["trainer"]["learning_rate"] > FINE_TUNING.learning_rate
    assert {"matrix_learning_rate", "decay_steps", "ema_decay", "warmup_steps"} <= set(written["trainer"])
    assert first.fields.events_per_emitter[1] > last.fields.events_per_emitter[1]


@pytest.mark.skipif(not (SHIPPED / "dense" / CARD_FILE).is_file(), reason="no dense network is shipped yet")
def test_dense_recipe_makes_the_shipped_network():
    recipe = DenseTrainingSettings.create(**read_yaml(RECIPES / "dense.yaml"))
    card = read_yaml(SHIPPED / "dense" / CARD_FILE)
    assert card["training"]["recipe"] == recipe.model_dump(mode="json")
    files = [RECIPES / f"dense-{part}.yaml" for part in ("first", "second")]
    earlier = [DenseTrainingSettings.create(**read_yaml(file)) for file in files]
    assert {part.widths for part in earlier} == {recipe.widths}
    assert len({recipe.seed, *(part.seed for part in earlier)}) == 3
