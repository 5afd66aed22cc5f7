"""Deep-STORM networks as model folders."""

from __future__ import annotations

from dataclasses import dataclass

from stormcell.errors import ModelError
from stormcell.learning.deepstorm_frames import Normalisation
from stormcell.learning.model_folder import ModelCard, ValidRange, find_model, load_weights
from stormcell.networks.deepstorm import DeepStormNet


@dataclass(frozen=True)
class DeepStormModel:
    """A Deep-STORM network with its card.

    Parameters
    ----------
    card : ModelCard
        What it was trained on.
    network : DeepStormNet
        With its weights.
    normalisation : Normalisation
        Of the frames it is given.
    """

    card: ModelCard
    network: DeepStormNet
    normalisation: Normalisation


def draft_card() -> ModelCard:
    """Make the card of a network in training, which is used before it has one.

    Returns
    -------
    ModelCard
        With the architecture alone.
    """
    return ModelCard(
        name="in training",
        task="deepstorm",
        architecture=DeepStormNet.name,
        architecture_version=DeepStormNet.version,
        preprocessing="",
        valid_range=ValidRange(),
        training={},
        scores={},
        weights_sha256="",
    )


def load_deepstorm_model(name: str) -> DeepStormModel:
    """Load a Deep-STORM network.

    Parameters
    ----------
    name : str
        Name of a shipped model, or a model folder.

    Returns
    -------
    DeepStormModel
        Checked and ready.

    Raises
    ------
    ModelError
        There is no such model, it is damaged, or it is for another task.
    """
    card, weights = load_weights(find_model(name))
    if (card.architecture, card.architecture_version) != (DeepStormNet.name, DeepStormNet.version):
        msg = (
            f"expected a model of architecture {DeepStormNet.name} version {DeepStormNet.version}, got "
            f"{card.architecture} version {card.architecture_version} in {name}; choose another model"
        )
        raise ModelError(msg)
    network = DeepStormNet()
    try:
        network.load_state_dict(weights)
        normalisation = Normalisation(card.calibration["mean"], card.calibration["std"])
    except (RuntimeError, KeyError) as error:
        msg = f"the weights of the model {name} do not fit its card; copy the model folder again"
        raise ModelError(msg) from error
    return DeepStormModel(card, network.eval(), normalisation)
