"""The committed recipes are recipes, and the shipped dense network is the one its recipe describes."""

from pathlib import Path

import pytest

import stormcell.learning
from stormcell.io.documents import read_yaml
from stormcell.learning.deepstorm_training import DeepStormTrainingSettings
from stormcell.learning.dense_training import DenseTrainingSettings
from stormcell.learning.model_folder import CARD_FILE, SHIPPED

RECIPES = Path(stormcell.learning.__file__).parent / "recipes"


def test_deepstorm_recipe_is_the_published_one():
    recipe = DeepStormTrainingSettings.create(**read_yaml(RECIPES / "deepstorm-2018.yaml"))
    assert recipe == DeepStormTrainingSettings()
    assert recipe.trainer.steps == 100 * 400


@pytest.mark.skipif(not (SHIPPED / "dense" / CARD_FILE).is_file(), reason="no dense network is shipped yet")
def test_dense_recipe_makes_the_shipped_network():
    recipe = DenseTrainingSettings.create(**read_yaml(RECIPES / "dense.yaml"))
    card = read_yaml(SHIPPED / "dense" / CARD_FILE)
    assert card["training"]["recipe"] == recipe.model_dump(mode="json")
    files = [RECIPES / f"dense-{part}.yaml" for part in ("first", "second")]
    earlier = [DenseTrainingSettings.create(**read_yaml(file)) for file in files]
    assert {part.widths for part in earlier} == {recipe.widths}
    assert len({recipe.seed, *(part.seed for part in earlier)}) == 3
