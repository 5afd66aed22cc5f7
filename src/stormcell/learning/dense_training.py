"""Training of the dense network: the recipe as settings, from nothing, from a model, or from a checkpoint."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any

import torch
from pydantic import Field

from stormcell.learning.dense_data import DenseBatch, DenseData, DenseDataSettings, fit_descriptor
from stormcell.learning.dense_loss import dense_loss
from stormcell.learning.dense_scoring import score_dense
from stormcell.learning.model_folder import save_model
from stormcell.learning.training import Task, TrainerSettings, train
from stormcell.learning.training_callbacks import ListScore
from stormcell.networks.dense import DenseArchitecture, DenseNet
from stormcell.physics.psf.random_bank import RandomBankSettings, random_psf_bank
from stormcell.settings import Settings
from stormcell.simulation.training_frames import TrainingFrames, TrainingFrameSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from stormcell.learning.model_folder import ModelCard
    from stormcell.learning.own_frames import OwnFrames

N_VALIDATION_BATCHES = 8
_LISTED_BATCHES = 2
# a movie's pixel is known to a few per cent, and what it changes in a frame is told by the PSF
_NARROWER, _WIDER = 0.9, 1.1


class DenseTrainingSettings(Settings):
    """The whole recipe of a dense network."""

    seed: int = Field(1, ge=0)
    """Seed of weights, PSFs and data; validation takes the next one."""
    n_psfs: int = Field(512, ge=1)
    """PSFs in the training bank."""
    n_validation_psfs: int = Field(32, ge=1)
    """PSFs in the validation bank, of another seed."""
    widths: tuple[int, int, int] = (48, 96, 160)
    """Channels of the network at full, half and quarter resolution."""
    n_condition: int = Field(8, ge=1)
    """Length of the PSF descriptor."""
    neighbour_steps: int = Field(0, ge=0)
    """Steps at the end that may look at the frames before and after; the steps before them see single frames."""
    neighbour_share: float = Field(1.0, gt=0, le=1)
    """Share of those steps that do, evenly spread."""
    trainer: TrainerSettings = TrainerSettings()
    """How long and how fast."""
    data: DenseDataSettings = DenseDataSettings()
    """What the network is told."""
    frames: TrainingFrameSettings = TrainingFrameSettings()
    """Conditions of the simulated frames."""
    psfs: RandomBankSettings = RandomBankSettings()
    """The PSF family."""


def score_batch(network: torch.nn.Module, batch: DenseBatch) -> dict[str, Tensor]:
    """Run the network on a batch and score it.

    Parameters
    ----------
    network : torch.nn.Module
        A `DenseNet`.
    batch : DenseBatch
        In network units.

    Returns
    -------
    dict
        Total loss under "loss", and its parts.
    """
    output, descriptor = network(batch.frames, batch.read_variance_e2, batch.condition)
    parts = dense_loss(output, batch.emitters, batch.background_vst, descriptor, batch.descriptor)
    return {
        "loss": parts.total,
        "number": parts.number,
        "position": parts.position,
        "background": parts.background,
        "descriptor": parts.descriptor,
    }


def train_dense(
    folder: Path,
    settings: DenseTrainingSettings,
    *,
    initial: dict[str, Any] | None = None,
    own: OwnFrames | None = None,
    resume: bool = False,
    stop_at: int | None = None,
) -> DenseNet:
    """Train a dense network.

    Parameters
    ----------
    folder : Path
        Where checkpoints and curves go.
    settings : DenseTrainingSettings
        The recipe.
    initial : dict, optional
        Weights to start from (fine-tuning); None starts from nothing.
    own : OwnFrames, optional
        The user's own frames with true positions, seen in turn with simulated ones.
    resume : bool
        Go on from the folder's last checkpoint.
    stop_at : int, optional
        Stop after this step, to go on later; None trains to the end.

    Returns
    -------
    DenseNet
        With the averaged weights.
    """
    torch.manual_seed(settings.seed)
    network = DenseNet(DenseArchitecture(widths=settings.widths, n_condition=settings.n_condition))
    simulated = _Simulated(settings)
    if initial is None or len(initial["psf_basis"]) < settings.n_condition:
        fit_descriptor(network, simulated.bank)
    if initial is not None:
        network.load_state_dict(widen_descriptor(initial, network))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    simulated.follow(network)
    if own is None:
        task = Task(network, score_batch, simulated.training_batch, simulated.validation_batch, settings.trainer)
    else:
        from stormcell.learning.dense_own_data import OwnFramesData, alternating, score_either

        mine = OwnFramesData(
            own, crop_px=settings.frames.field_px, batch_size=settings.data.batch_size, seed=settings.seed
        )
        seen = alternating(mine.training_batch, simulated.training_batch)
        held_out = alternating(mine.validation_batch, simulated.validation_batch)
        task = Task(network, score_either, seen, held_out, settings.trainer)
    simulated.n_processes = lambda: task.trainer.world_size
    train(
        task,
        settings.trainer,
        folder,
        n_validation_batches=N_VALIDATION_BATCHES,
        resume=resume,
        stop_at=stop_at,
        callbacks=[ListScore(simulated.jaccard)],
    )
    return network


class _Simulated:
    """Simulated batches, made on the device where the network is when the first is asked for."""

    def __init__(self, settings: DenseTrainingSettings) -> None:
        self._settings = settings
        self.bank = random_psf_bank(settings.n_psfs, settings.seed, settings.psfs)
        self._held_out = random_psf_bank(settings.n_validation_psfs, settings.seed + 1, settings.psfs)
        self._made: dict[str, DenseData] = {}
        self.n_processes: Callable[[], int] = lambda: 1

    def __deepcopy__(self, _: Any) -> _Simulated:
        # the trainer copies the task for its averaged weights, which need no data of their own
        return self

    def follow(self, network: DenseNet) -> None:
        """Compute where this network is; what it tells of a PSF stays as it is now."""
        self._network, self._teller = network, copy.deepcopy(network)

    def training_batch(self, index: int) -> DenseBatch:
        settings = self._settings
        step, share = index // self.n_processes(), settings.neighbour_share
        is_last = step >= settings.trainer.steps - settings.neighbour_steps
        sees_neighbours = is_last and int((step + 1) * share) > int(step * share)
        return self._data("neighbours" if sees_neighbours else "training").batch(index)

    def validation_batch(self, index: int) -> DenseBatch:
        return self._data("validation").batch(index)

    def jaccard(self, _: torch.nn.Module) -> float:
        found: float = score_dense(self._network, self._data("validation"), _LISTED_BATCHES)["jaccard_250_nm"]
        return found

    def _data(self, part: str) -> DenseData:
        if part not in self._made:
            settings = self._settings
            place = next(self._network.parameters()).device
            psfs, seed = self.bank, settings.seed
            if part == "validation":
                psfs, seed = self._held_out, settings.seed + 1
            frames = settings.frames.replace(n_frames=3) if part == "neighbours" else settings.frames
            device = place if place.type == "cuda" else "cpu"
            source = TrainingFrames(frames, psfs, seed=seed, device=device)
            self._made[part] = DenseData(source, self._teller, settings.data)
        return self._made[part]


def widen_descriptor(weights: Mapping[str, Tensor], network: DenseNet) -> dict[str, Tensor]:
    """Fit the weights of a network that is told less of the PSF into one that is told more.

    Parameters
    ----------
    weights : mapping of str to Tensor
        Of a `DenseNet` of the same widths, with a descriptor as long or shorter.
    network : DenseNet
        The longer one; its basis must be set. It is not changed.

    Returns
    -------
    dict of str to Tensor
        Weights for `network`: the same answers whatever the further components say, until it is trained.
    """
    n, n_new = len(weights["psf_basis"]), network.architecture.n_condition
    wide = dict(weights)
    if n == n_new:
        return wide
    wide["psf_basis"] = torch.cat([weights["psf_basis"], network.psf_basis[n:]])
    first = weights["embed.0.weight"]
    # the last column is for "known"
    wide["embed.0.weight"] = torch.cat([first[:, :n], first.new_zeros(len(first), n_new - n), first[:, n:]], dim=1)
    for name in ("describe.2.weight", "describe.2.bias"):
        mean, log_sd = weights[name].chunk(2)
        unknown = mean.new_zeros(n_new - n, *mean.shape[1:])
        wide[name] = torch.cat([mean, unknown, log_sd, unknown])
    return wide


def save_dense_model(
    folder: Path,
    network: DenseNet,
    settings: DenseTrainingSettings,
    *,
    name: str,
    scores: Mapping[str, Any],
    calibration: Mapping[str, float],
    notes: Sequence[str] = (),
    training: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> ModelCard:
    """Write a trained dense network as a model folder; what it was trained for follows from its recipe.

    Parameters
    ----------
    folder : Path
        Made where it does not exist.
    network : DenseNet
        With the weights to keep.
    settings : DenseTrainingSettings
        The recipe.
    name : str
        Name of the model.
    scores : mapping
        Held-out scores.
    calibration : mapping of str to float
        Factors on what the network says (`ModelCard.calibration`).
    notes : sequence of str
        Where it fails, what would make it better.
    training : mapping, optional
        What the recipe does not say: hardware, time, data.
    overwrite : bool
        Whether an existing model may be replaced.

    Returns
    -------
    ModelCard
        The card as written.
    """
    sigma = settings.psfs.sigma_px
    frames, pixel_nm = settings.frames, settings.psfs.camera_pixel_size_nm
    # at 100 nm pixels; the narrowest PSF with the lowest density and the widest with the highest
    areas = (0.0, frames.density_per_um2[1] * 4 * math.pi * (sigma[0] * sigma[1]) * 0.01)
    card = {
        "name": name,
        "task": "dense",
        "architecture": DenseNet.name,
        "architecture_version": DenseNet.version,
        "sizes": {"widths": list(network.architecture.widths), "n_condition": network.architecture.n_condition},
        "preprocessing": "electrons divided by the variance per electron of the movie; read variance alike",
        "valid_range": {
            "psf_sigma_px": sigma,
            "camera_pixel_size_nm": (_NARROWER * pixel_nm[0], _WIDER * pixel_nm[1]),
            "electrons": frames.photons_e,
            "background_e": frames.background_e,
            "density_per_um2": frames.density_per_um2,
            "emitters_per_psf_area": areas,
        },
        "training": {**(training or {}), "recipe": settings.model_dump(mode="json")},
        "scores": dict(scores),
        "calibration": dict(calibration),
        "notes": tuple(notes),
    }
    return save_model(folder, network.state_dict(), card, overwrite=overwrite)
