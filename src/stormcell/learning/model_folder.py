"""A model is a folder: model.yaml (the card), weights.safetensors, preview.png. Code is never loaded from it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load, save

from stormcell.errors import ModelError
from stormcell.io.documents import read_yaml, write_yaml
from stormcell.io.writing import write_bytes
from stormcell.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor

CARD_FILE = "model.yaml"
WEIGHTS_FILE = "weights.safetensors"
SHIPPED = Path(__file__).parent / "models"


class ValidRange(Settings):
    """Conditions a model was trained for; every verb compares its input with them."""

    psf_sigma_px: tuple[float, float] | None = None
    """PSF standard deviation in camera pixels."""
    camera_pixel_size_nm: tuple[float, float] | None = None
    """Camera pixel in the sample plane, in nm."""
    electrons: tuple[float, float] | None = None
    """Electrons per emitter and frame."""
    background_e: tuple[float, float] | None = None
    """Background electrons per pixel."""
    emitters_per_psf_area: tuple[float, float] | None = None
    """Emitters per 4 pi sigma^2, the number that decides how dense a frame is for a given PSF."""
    density_per_um2: tuple[float, float] | None = None
    """Emitters per square micrometre and frame, at 100 nm pixels."""
    structures: tuple[str, ...] | None = None
    """Structures it has seen; none where it has no prior on structure."""
    sr_pixel_size_nm: float | None = None
    """Super-resolution pixel in nm, where the model has a fixed one."""
    events_per_um2: tuple[float, float] | None = None
    """Linked events per um2 of the whole field in the input of densify."""
    share: tuple[float, float] | None = None
    """Share of the long acquisition's frames in the input of densify."""


class ModelCard(Settings):
    """What model.yaml says."""

    name: str
    """Name by which verbs call the model."""
    task: str
    """dense, deepstorm or annapalm."""
    architecture: str
    """Network by name, as in the registry."""
    architecture_version: int = Field(ge=1)
    """Version of the network's code the weights belong to."""
    sizes: dict[str, Any] = Field(default_factory=dict)
    """Sizes of the network."""
    preprocessing: str
    """What the network is given, in physical units."""
    valid_range: ValidRange
    """Conditions it was trained for."""
    training: dict[str, Any]
    """Recipe, seed, data, steps, time, hardware: enough to repeat it."""
    scores: dict[str, Any]
    """Held-out scores and how they were measured."""
    calibration: dict[str, float] = Field(default_factory=dict)
    """Factors on what the network says, measured on held-out simulated frames; what is absent is 1. For dense:
    sigma_isolated, sigma_crowded (standard deviations of the position), photons, sigma_photons."""
    notes: tuple[str, ...] = ()
    """What it was tried on, where it fails, what longer training would bring."""
    weights_sha256: str
    """Checksum of weights.safetensors, verified at every load."""


def save_model(folder: Path, state: dict[str, Tensor], card: dict[str, Any], *, overwrite: bool = False) -> ModelCard:
    """Write a model folder.

    Parameters
    ----------
    folder : Path
        Made where it does not exist.
    state : dict
        The network's weights.
    card : dict
        Fields of `ModelCard` but the checksum.
    overwrite : bool
        Replace an existing model.

    Returns
    -------
    ModelCard
        The card as written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    payload = save({name: value.detach().cpu().contiguous() for name, value in state.items()})
    checked = ModelCard.create(**card, weights_sha256=hashlib.sha256(payload).hexdigest())
    write_bytes(folder / WEIGHTS_FILE, payload, overwrite=overwrite)
    write_yaml(folder / CARD_FILE, checked.model_dump(mode="json"), overwrite=overwrite)
    return checked


def find_model(name: str) -> Path:
    """Look a model up by path or by the name of a shipped one.

    Parameters
    ----------
    name : str
        Folder, or name of a shipped model.

    Returns
    -------
    Path
        Its folder.

    Raises
    ------
    ModelError
        There is no such model.
    """
    for folder in (Path(name), SHIPPED / name):
        if (folder / CARD_FILE).is_file():
            return folder
    shipped = ", ".join(sorted(path.parent.name for path in SHIPPED.glob(f"*/{CARD_FILE}"))) or "none"
    msg = f"expected a model folder with {CARD_FILE} or the name of a shipped model ({shipped}), got {name}"
    raise ModelError(msg)


def load_card(folder: Path) -> ModelCard:
    """Read a model's card.

    Parameters
    ----------
    folder : Path
        The model folder.

    Returns
    -------
    ModelCard
        The card.
    """
    return ModelCard.create(**read_yaml(folder / CARD_FILE))


def load_weights(folder: Path) -> tuple[ModelCard, dict[str, Tensor]]:
    """Read a model after checking that its weights are the ones the card names.

    Parameters
    ----------
    folder : Path
        The model folder.

    Returns
    -------
    tuple
        The card, and the weights by name on the CPU.

    Raises
    ------
    ModelError
        The weights are missing, damaged, or not those of the card.
    """
    card = load_card(folder)
    path = folder / WEIGHTS_FILE
    if not path.is_file():
        msg = f"expected {WEIGHTS_FILE} in the model folder {folder}; it is missing, copy the whole folder again"
        raise ModelError(msg)
    payload = path.read_bytes()
    if hashlib.sha256(payload).hexdigest() != card.weights_sha256:
        msg = f"the weights in {folder} do not match their card's checksum; copy the model folder again"
        raise ModelError(msg)
    try:
        return card, load(payload)
    except SafetensorError as error:
        msg = f"expected safetensors weights in {folder}, got a damaged file ({error})"
        raise ModelError(msg) from error
