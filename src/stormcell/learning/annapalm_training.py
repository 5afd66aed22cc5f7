"""Training of densify: the recipe as settings, on simulated or measured fields, from nothing or from a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import torch
from pydantic import Field

from stormcell.learning.annapalm_adversarial import Ensemble2018, adversarial_loss
from stormcell.learning.annapalm_data import DensifyBatch, DensifyData, DensifyDataSettings
from stormcell.learning.annapalm_density import typical_density
from stormcell.learning.annapalm_fields import FieldSettings
from stormcell.learning.annapalm_loss import likelihood_loss
from stormcell.learning.annapalm_measured import histogram_of
from stormcell.learning.annapalm_model import SeenRange
from stormcell.learning.annapalm_pairs import PairSettings
from stormcell.learning.training import Task, TrainerSettings, learning_rate_factor, train
from stormcell.networks.annapalm import SR_PIXEL_SIZE_NM, STRUCTURE_LABELS, UNKNOWN, DensifyArchitecture, DensifyNet
from stormcell.networks.annapalm_published import PublishedArchitecture, PublishedGenerator
from stormcell.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lightning.pytorch.callbacks import Callback
    from torch import Tensor

    from stormcell.learning.annapalm_pairs import EventField

N_VALIDATION_BATCHES = 8
FROM_NOTHING = TrainerSettings(
    steps=6000,
    decay_steps=3000,
    warmup_steps=100,
    learning_rate=2e-3,
    matrix_learning_rate=4e-3,
    ema_decay=0.998,
    validation_every=500,
)
FINE_TUNING = FROM_NOTHING.replace(learning_rate=5e-4, matrix_learning_rate=1e-3)
"""For a training that starts from a model: the rates of training from nothing would undo what it knows."""
_FIELDS_LOOKED_AT = 100


class DensifyTrainingSettings(Settings):
    """The whole recipe of a densify network."""

    seed: int = Field(1, ge=0)
    """Seed of weights and data; validation takes the next one."""
    architecture: Literal["annapalm", "annapalm-2018"] = "annapalm"
    """The lean rate network, or the U-Net generator of 2018."""
    objective: Literal["likelihood", "adversarial"] = "likelihood"
    """Likelihood of held-out counts, or the losses of 2018 (similarity, critic, wide-field consistency)."""
    widths: tuple[int, ...] = (32, 64, 96, 128)
    """Channels at 40, 80, 160 and 320 nm; for the network of 2018 those of its levels."""
    blocks: tuple[int, int, int, int] = (1, 1, 1, 2)
    """Residual blocks of the rate network at each level."""
    fine: int = Field(12, ge=1)
    """Channels of its last layers, at 20 nm."""
    discriminator_width: int = Field(64, ge=1)
    """Channels of the critic's first layer."""
    trainer: TrainerSettings = FROM_NOTHING
    """How long and how fast."""
    data: DensifyDataSettings = DensifyDataSettings()
    """What the network is told and shown."""
    pairs: PairSettings = PairSettings()
    """How pairs are drawn."""
    fields: FieldSettings = FieldSettings()
    """What is simulated."""


class MaskedData(DensifyData):
    """Batches in which the network is not shown wide-field pixels that no image covers, as in use."""

    def batch(self, step: int) -> DensifyBatch:
        """Make the batch of a step.

        Parameters
        ----------
        step : int
            Step number.

        Returns
        -------
        DensifyBatch
            With the mask of the wide-field 0 where a field's image is not a number.
        """
        batch = super().batch(step)
        known = torch.isfinite(batch.given.widefield)
        mask = torch.cat([batch.given.mask[:, :1], batch.given.mask[:, 1:] * known], dim=1)
        widefield = torch.where(known, batch.given.widefield, 0.0)
        return batch._replace(given=batch.given._replace(widefield=widefield, mask=mask))


class AdversarialTask(Task):
    """A task whose optimizer is the one of 2018: Adam with little momentum, as critics need."""

    seed = 0

    def training_step(self, _: Tensor, index: int) -> Tensor:
        """Score the batch of the current step; what drops out depends on seed and step alone.

        Parameters
        ----------
        _ : Tensor
            Unused.
        index : int
            Unused.

        Returns
        -------
        Tensor
            The loss.
        """
        torch.manual_seed((self.seed * 1_000_003 + self.global_step) % 2**63)
        return super().training_step(_, index)

    def configure_optimizers(self) -> dict[str, Any]:  # type: ignore[override]
        """Set up Adam (beta1 0.5) and its schedule.

        Returns
        -------
        dict
            What Lightning wants.
        """
        settings = self._settings
        optimizer = torch.optim.Adam(self.network.parameters(), lr=settings.learning_rate, betas=(0.5, 0.999))
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate_factor(step, settings))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def build_network(settings: DensifyTrainingSettings) -> DensifyNet | PublishedGenerator:
    """Make an untrained network.

    Parameters
    ----------
    settings : DensifyTrainingSettings
        Its sizes and seed.

    Returns
    -------
    DensifyNet or PublishedGenerator
        With random weights that the seed decides.
    """
    torch.manual_seed(settings.seed)
    if settings.architecture == "annapalm-2018":
        return PublishedGenerator(PublishedArchitecture(widths=settings.widths))
    a, b, c, d = settings.widths
    network = DensifyNet(DensifyArchitecture((a, b, c, d), settings.blocks, settings.fine))
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def seen_range(settings: DensifyTrainingSettings, measured: Sequence[EventField] = ()) -> SeenRange:
    """Work out which structures and densities a training shows the network.

    Parameters
    ----------
    settings : DensifyTrainingSettings
        The recipe.
    measured : sequence of EventField
        Real fields it learns from.

    Returns
    -------
    SeenRange
        Labels of measured and simulated fields; densities where there is structure, times the share of the frames in
        an input: of every measured field, and of simulated ones from percentile 5 to 95.
    """
    labels = {field.label for field in measured}
    densities = [
        typical_density(histogram_of(field, np.ones(len(field.x_nm), np.bool_)), SR_PIXEL_SIZE_NM)
        for field in measured
    ]
    if not measured or settings.data.simulated_share > 0:
        data = DensifyData(settings.data, settings.pairs, settings.fields, settings.seed, measured)
        drawn = [data.field(index) for index in range(min(settings.data.n_fields, _FIELDS_LOOKED_AT))]
        labels |= {field.label for field in drawn}
        densities += list(np.percentile([field.events_per_um2 for field in drawn], [5, 95]))
    low, high = settings.pairs.share
    return SeenRange(
        tuple(name for index, name in enumerate(STRUCTURE_LABELS) if index in labels - {UNKNOWN}),
        (float(f"{low * min(densities):.2g}"), float(f"{high * max(densities):.2g}")),
    )


def score_likelihood(network: torch.nn.Module, batch: DensifyBatch) -> dict[str, Tensor]:
    """Run a network on a batch and score it by the likelihood of held-out counts.

    Parameters
    ----------
    network : torch.nn.Module
        With the interface of `DensifyNet`.
    batch : DensifyBatch
        Pairs.

    Returns
    -------
    dict
        See `likelihood_loss`.
    """
    return likelihood_loss(network(batch.given), batch)


def score_adversarial(network: torch.nn.Module, batch: DensifyBatch) -> dict[str, Tensor]:
    """Run the networks of 2018 on a batch and score them.

    Parameters
    ----------
    network : torch.nn.Module
        An `Ensemble2018`.
    batch : DensifyBatch
        Pairs.

    Returns
    -------
    dict
        See `adversarial_loss`.
    """
    return adversarial_loss(cast("Ensemble2018", network), batch)


def train_densify(
    folder: Path,
    settings: DensifyTrainingSettings,
    *,
    measured: Sequence[EventField] = (),
    measured_validation: Sequence[EventField] = (),
    initial: dict[str, Any] | None = None,
    resume: bool = False,
    stop_at: int | None = None,
    callbacks: Sequence[Callback] = (),
) -> DensifyNet | PublishedGenerator:
    """Train a densify network.

    Parameters
    ----------
    folder : Path
        Where checkpoints and curves go.
    settings : DensifyTrainingSettings
        The recipe.
    measured : sequence of EventField
        Real fields to learn from; none learns from simulated structures alone.
    measured_validation : sequence of EventField
        Real fields held out; none validates on simulated structures.
    initial : dict, optional
        Weights to start from (fine-tuning); None starts from nothing.
    resume : bool
        Go on from the folder's last checkpoint.
    stop_at : int, optional
        Stop after this step, to go on later; None trains to the end.
    callbacks : sequence of Callback
        Further Lightning callbacks.

    Returns
    -------
    DensifyNet or PublishedGenerator
        With the averaged weights, ready for use.
    """
    network = build_network(settings)
    if initial is not None:
        network.load_state_dict(initial)
    training, validation = (
        MaskedData(settings.data, settings.pairs, settings.fields, seed, fields)
        for seed, fields in ((settings.seed, measured), (settings.seed + 1, measured_validation))
    )
    task: Task
    if settings.objective == "likelihood":
        task = Task(network, score_likelihood, training.batch, validation.batch, settings.trainer)
    else:
        together = Ensemble2018(network, settings.discriminator_width)
        task = AdversarialTask(together, score_adversarial, training.batch, validation.batch, settings.trainer)
        task.seed = settings.seed
    train(
        task,
        settings.trainer,
        folder,
        n_validation_batches=N_VALIDATION_BATCHES,
        resume=resume,
        stop_at=stop_at,
        callbacks=callbacks,
    )
    return network.eval()
