"""Training of Deep-STORM as published in 2018 (Nehme et al., Optica 5, 458, doi 10.1364/OPTICA.5.000458).

What differs: labels lie at floor(position / recovery pixel) and not half a recovery pixel off; frames come from our
simulator (Gaussian spots, as published) or from the user; patches of a step are drawn with replacement instead of
epoch by epoch; and the best weights and the plateaus of the rate go by the loss of at most 8 validation batches (128
patches) and not by that of the whole validation part, which is held out all the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch.nn import functional as F

from stormcell.learning.deepstorm_frames import (
    LOSS_KERNEL_SUM,
    LabelledFrames,
    Normalisation,
    Patches,
    choose_patches,
    enlarge,
    gaussian_kernel,
)
from stormcell.learning.training import Task, TrainerSettings
from stormcell.physics.cameras import Camera
from stormcell.physics.psf.bank import BankRow, bank_from_densities
from stormcell.physics.psf.densities import gaussian_density
from stormcell.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor

_MARGIN_PX = 6
_N_SIGMAS = 8
_STEPS_PER_EPOCH = 400


class DeepStormTrainingSettings(Settings):
    """The published recipe: frames, patches, optimizer."""

    seed: int = Field(42, ge=0)
    """Seed of weights, frames and patches."""
    n_frames: int = Field(20, ge=1)
    """Simulated frames; more where they are sparse."""
    field_px: int = Field(64, ge=26, le=512)
    """Side of the simulated frames, camera px."""
    camera_pixel_size_nm: float = Field(100.0, gt=0)
    """Camera pixel, nm."""
    density_per_um2: tuple[float, float] = (6.05, 6.05)
    """Emitters per um2, uniform over frames."""
    psf_sigma_nm: tuple[float, float] = (106.2, 114.7)
    """Sigma of the Gaussian spots, uniform."""
    electrons: tuple[float, float] = (2000.0, 2500.0)
    """Electrons of an emitter, uniform."""
    background_e: tuple[float, float] = (15.0, 15.0)
    """Background electrons per pixel, uniform over frames."""
    is_emccd: bool = True
    """Whether the frames have the noise of an EMCCD, or that of an sCMOS with 1.5 e read noise."""
    patch_px: int = Field(26, ge=8)
    """Side of a patch, camera px."""
    patches_per_frame: int = Field(500, ge=1)
    """Patches tried per frame."""
    most_patches: int = Field(10_000, ge=2)
    """Largest number of patches."""
    fewest_emitters: int = Field(7, ge=0)
    """Patches with fewer emitters are rejected."""
    validation_share: float = Field(0.3, gt=0, lt=1)
    """Share of the patches held out."""
    batch_size: int = Field(16, ge=1)
    """Patches in a step."""
    example_frames: int = Field(40, ge=1)
    """Frames of the example that is reconstructed and scored after training."""
    trainer: TrainerSettings = TrainerSettings(
        steps=100 * _STEPS_PER_EPOCH,
        decay_steps=0,
        warmup_steps=0,
        learning_rate=1e-3,
        weight_decay=0.0,
        ema_decay=0.0,
        gradient_clip=1e6,
        validation_every=_STEPS_PER_EPOCH,
    )
    """Adam, 100 epochs of 400 steps; the rate falls by plateaus of the validation loss."""
    plateau_factor: float = Field(0.1, gt=0, lt=1)
    """Factor on the learning rate when the validation loss stops falling."""
    plateau_patience: int = Field(5, ge=1)
    """Validations without a better loss before that."""
    least_learning_rate: float = Field(5e-5, gt=0)
    """The learning rate falls no further."""


class DeepStormBatch(NamedTuple):
    """One batch."""

    frames: Tensor
    """(B, 1, Y, X) normalised, at camera resolution."""
    target: Tensor
    """(B, 1, 8 Y, 8 X)."""


class DeepStormData:
    """Patches of labelled frames, split for training and validation.

    Parameters
    ----------
    labelled : LabelledFrames
        The frames.
    settings : DeepStormTrainingSettings
        The recipe.
    """

    def __init__(self, labelled: LabelledFrames, settings: DeepStormTrainingSettings) -> None:
        rng = np.random.default_rng([settings.seed, 1])
        patches = choose_patches(
            labelled,
            rng,
            side_px=settings.patch_px,
            per_frame=settings.patches_per_frame,
            most=settings.most_patches,
            fewest_emitters=settings.fewest_emitters,
        )
        order = rng.permutation(len(patches))
        n_held_out = min(max(1, round(settings.validation_share * len(patches))), len(patches) - 1)
        self.validation = patches.take(order[:n_held_out])
        self.training = patches.take(order[n_held_out:])
        self._settings = settings
        self._own = {id(part): Normalisation.of(part.images()) for part in (self.training, self.validation)}

    @property
    def normalisation(self) -> Normalisation:
        """What inference uses: as published, that of the validation part."""
        return self._own[id(self.validation)]

    @property
    def n_validation_batches(self) -> int:
        """Batches that hold the validation part, at most 8."""
        return min(8, -(-len(self.validation) // self._settings.batch_size))

    def training_batch(self, step: int) -> DeepStormBatch:
        """Make the batch of a step.

        Parameters
        ----------
        step : int
            With the seed it decides which patches.

        Returns
        -------
        DeepStormBatch
            Without any augmentation, as published.
        """
        rng = np.random.default_rng([self._settings.seed, 2, step])
        return self._batch(self.training, rng.integers(0, len(self.training), self._settings.batch_size))

    def validation_batch(self, index: int) -> DeepStormBatch:
        """Make a held-out batch.

        Parameters
        ----------
        index : int
            Which.

        Returns
        -------
        DeepStormBatch
            The same every time.
        """
        size = self._settings.batch_size
        return self._batch(self.validation, np.arange(index * size, min((index + 1) * size, len(self.validation))))

    def _batch(self, patches: Patches, chosen: Any) -> DeepStormBatch:
        images = self._own[id(patches)].apply(patches.images(chosen))
        return DeepStormBatch(torch.from_numpy(images)[:, None], patches.targets(chosen))


def deepstorm_loss(network: torch.nn.Module, batch: DeepStormBatch) -> dict[str, Tensor]:
    """Score the network on a batch: squared error behind a blur, plus the mean absolute prediction.

    Parameters
    ----------
    network : torch.nn.Module
        A `DeepStormNet`.
    batch : DeepStormBatch
        The batch.

    Returns
    -------
    dict
        "loss", and its parts "squared" and "absolute".
    """
    painted = network(enlarge(batch.frames))
    kernel = gaussian_kernel(LOSS_KERNEL_SUM).to(painted.device)
    blurred = F.conv2d(painted, kernel, padding="same")
    squared = F.mse_loss(blurred, batch.target)
    absolute = painted.abs().mean()
    return {"loss": squared + absolute, "squared": squared, "absolute": absolute}


class DeepStormLearning(Task):
    """Training with the published schedule of the learning rate.

    Parameters
    ----------
    network : torch.nn.Module
        A `DeepStormNet`.
    data : DeepStormData
        Patches.
    settings : DeepStormTrainingSettings
        The recipe.
    """

    def __init__(self, network: torch.nn.Module, data: DeepStormData, settings: DeepStormTrainingSettings) -> None:
        super().__init__(network, deepstorm_loss, data.training_batch, data.validation_batch, settings.trainer)
        self._recipe = settings

    def configure_optimizers(self) -> dict[str, Any]:  # type: ignore[override]
        """Set up Adam and its plateaus.

        Returns
        -------
        dict
            What Lightning wants.
        """
        recipe = self._recipe
        optimizer = torch.optim.Adam(self.network.parameters(), lr=recipe.trainer.learning_rate)
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer,
            factor=recipe.plateau_factor,
            patience=recipe.plateau_patience,
            min_lr=recipe.least_learning_rate,
        )
        schedule = {
            "scheduler": plateau,
            "monitor": "validation/loss",
            "interval": "step",
            "frequency": recipe.trainer.validation_every,
            "strict": False,
        }
        return {"optimizer": optimizer, "lr_scheduler": schedule}


def simulate_labelled(settings: DeepStormTrainingSettings, seed: int | None = None) -> LabelledFrames:
    """Simulate the frames of the recipe.

    Parameters
    ----------
    settings : DeepStormTrainingSettings
        The recipe.
    seed : int, optional
        None takes the recipe's.

    Returns
    -------
    LabelledFrames
        In camera units.
    """
    rng = np.random.default_rng([settings.seed if seed is None else seed, 3])
    size_um = settings.camera_pixel_size_nm / 1000
    side = settings.field_px + 2 * _MARGIN_PX
    density = rng.uniform(*settings.density_per_um2, settings.n_frames)
    counts = rng.poisson(density * (side * size_um) ** 2)
    n = int(counts.sum())
    x, y = rng.uniform(-_MARGIN_PX, side - _MARGIN_PX, (2, n))
    sigmas = np.linspace(*settings.psf_sigma_nm, _N_SIGMAS) / settings.camera_pixel_size_nm
    bank = bank_from_densities(
        torch.stack([gaussian_density(s, s, 0.0) for s in sigmas])[:, None].float(),
        [BankRow("gaussian", settings.camera_pixel_size_nm)] * _N_SIGMAS,
        np.zeros(1),
    )
    background = rng.uniform(*settings.background_e, settings.n_frames).astype(np.float32)
    field = (settings.field_px, settings.field_px)
    expected = torch.from_numpy(background)[:, None, None, None].expand(-1, 1, *field).contiguous()
    bank.add_to_frames(
        expected,
        torch.from_numpy(np.concatenate([[0], np.cumsum(counts)])),
        torch.from_numpy(rng.integers(0, _N_SIGMAS, n)),
        torch.from_numpy(x),
        torch.from_numpy(y),
        torch.from_numpy(rng.uniform(*settings.electrons, (n, 1)).astype(np.float32)),
    )
    frames = _camera(is_emccd=settings.is_emccd).to_adu(expected[:, 0].numpy(), rng).astype(np.float32)
    frame = np.repeat(np.arange(settings.n_frames), counts)
    return LabelledFrames(frames, frame, x, y)


def _camera(*, is_emccd: bool) -> Camera:
    if is_emccd:
        return Camera("emccd", offset_adu=100.0, gain_e_per_adu=0.5)
    return Camera("cmos", offset_adu=100.0, gain_e_per_adu=0.5, read_noise_e=1.5)
