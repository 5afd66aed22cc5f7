"""The trainer: one loop for every network, resumable at any step.

The data of step n depend on (seed, n) alone, and so does every random number of a step: a run that was killed
and resumed on a CPU ends in the same weights, bit for bit, as one that was not.
"""

from __future__ import annotations

import logging
import time
import warnings
from typing import TYPE_CHECKING, Any, Literal

import lightning as L
import torch
from lightning.pytorch.callbacks import EarlyStopping, EMAWeightAveraging
from lightning.pytorch.loggers import TensorBoardLogger
from pydantic import Field
from torch.utils.data import DataLoader, Dataset

from stormcell.learning.curves import METRICS_FILE, CurvesLogger
from stormcell.learning.muon import MuonAdamW
from stormcell.learning.training_callbacks import Shown
from stormcell.learning.training_run import LAST_CHECKPOINT, Spending, TrainingRun, current_run, read_checkpoint
from stormcell.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from lightning.pytorch.callbacks import Callback
    from torch import Tensor

__all__ = ["LAST_CHECKPOINT", "Task", "TrainerSettings", "batch_index", "learning_rate_factor", "train"]

_STOPPED = "stopped_early"
_ACCELERATORS = {"auto": "auto", "cpu": "cpu", "cuda": "gpu", "mps": "mps"}


class TrainerSettings(Settings):
    """How long and how fast to train."""

    steps: int = Field(20_000, ge=1)
    """Optimizer steps in all, also when resumed."""
    decay_steps: int = Field(5_000, ge=0)
    """Steps at the end over which the learning rate falls linearly to zero."""
    warmup_steps: int = Field(200, ge=0)
    """Steps at the start over which the learning rate rises."""
    learning_rate: float = Field(1e-3, gt=0)
    """Learning rate of the stable phase, of AdamW."""
    matrix_learning_rate: float | None = Field(None, gt=0)
    """Learning rate of Muon, which then trains the convolutions in place of AdamW (about twice AdamW's rate is
    right); none leaves all parameters to AdamW."""
    weight_decay: float = Field(1e-3, ge=0)
    """Decoupled weight decay."""
    ema_decay: float = Field(0.999, ge=0, lt=1)
    """Decay of the exponential moving average of the weights; the average is what the model gets. 0 turns it off."""
    gradient_clip: float = Field(1.0, gt=0)
    """Largest norm of a gradient."""
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    """Number format; bf16-mixed is faster on GPUs and on CPUs with AVX512-BF16 or AMX."""
    validation_every: int = Field(1_000, ge=1)
    """Steps between validations."""
    patience: int | None = Field(None, ge=1)
    """Stop after so many validations without a better score; none trains to the end."""
    checkpoint_minutes: float = Field(3.0, gt=0)
    """Minutes between checkpoints."""
    devices: int | str = "auto"
    """How many devices to use; auto is one, more are used on request alone. Each of several sees a batch of its own:
    a step then learns from as many times more samples."""
    strategy: str = "auto"
    """Lightning's strategy for several devices, for example ddp."""


def learning_rate_factor(step: int, settings: TrainerSettings) -> float:
    """Warm up, hold, decay to zero.

    Parameters
    ----------
    step : int
        Optimizer step, from 0.
    settings : TrainerSettings
        The schedule.

    Returns
    -------
    float
        Factor on the learning rate, 0 to 1.
    """
    up = (step + 1) / (settings.warmup_steps + 1)
    down = (settings.steps - step) / (settings.decay_steps + 1)
    return max(0.0, min(1.0, up, down))


def batch_index(step: int, rank: int, n_ranks: int) -> int:
    """Say which batch a process takes.

    Parameters
    ----------
    step : int
        Optimizer step, from 0.
    rank, n_ranks : int
        Number of this process, from 0, and how many there are.

    Returns
    -------
    int
        The step itself where there is one process; never the same for two steps or two processes.
    """
    return step * n_ranks + rank


class Task(L.LightningModule):
    """What to minimise: a network and a batch for every step.

    Parameters
    ----------
    network : torch.nn.Module
        What is trained.
    loss : callable
        `loss(network, batch)` returns a mapping with the entry "loss" (to be minimised) and others to be logged.
    training_batch : callable
        `training_batch(index)` returns the batch of that index: the step, with several devices `batch_index`.
    validation_batch : callable
        `validation_batch(index)` returns a held-out batch.
    settings : TrainerSettings
        The schedule.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        loss: Callable[[torch.nn.Module, Any], dict[str, Tensor]],
        training_batch: Callable[[int], Any],
        validation_batch: Callable[[int], Any],
        settings: TrainerSettings,
    ) -> None:
        super().__init__()
        self.network = network
        self._loss = loss
        self._training_batch = training_batch
        self._validation_batch = validation_batch
        self._settings = settings

    def training_step(self, _: Tensor, index: int) -> Tensor:
        """Score the batch of the current step.

        Parameters
        ----------
        _ : Tensor
            Unused: the step counter, not the loader, decides what is seen.
        index : int
            Unused.

        Returns
        -------
        Tensor
            The loss.
        """
        own = batch_index(self.global_step, self.global_rank, self.trainer.world_size)
        parts = self._loss(self.network, _to(self._training_batch(own), self.device))
        self.log_dict({f"training/{name}": value.detach() for name, value in parts.items()}, prog_bar=True)
        return parts["loss"]

    def validation_step(self, index_tensor: Tensor, index: int) -> None:
        """Score a held-out batch.

        Parameters
        ----------
        index_tensor : Tensor
            Which batch.
        index : int
            Unused: it counts the batches of this process.
        """
        parts = self._loss(self.network, _to(self._validation_batch(int(index_tensor)), self.device))
        scores = {f"validation/{name}": value for name, value in parts.items()}
        self.log_dict(scores, batch_size=1, sync_dist=self.trainer.world_size > 1)

    def configure_optimizers(self) -> dict[str, Any]:  # type: ignore[override]
        """Set up AdamW, or Muon with it, and the schedule.

        Returns
        -------
        dict
            What Lightning wants.
        """
        settings = self._settings
        optimizer: torch.optim.Optimizer
        if settings.matrix_learning_rate is None:
            optimizer = torch.optim.AdamW(
                self.network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
            )
        else:
            optimizer = MuonAdamW(
                self.network.parameters(),
                matrix_learning_rate=settings.matrix_learning_rate,
                learning_rate=settings.learning_rate,
                weight_decay=settings.weight_decay,
            )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate_factor(step, settings))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class _AveragedCheckpoints(EMAWeightAveraging):
    """Average the weights and save checkpoints, which must hold the trained and the averaged weights of one step."""

    def __init__(self, path: Path, settings: TrainerSettings) -> None:
        super().__init__(decay=settings.ema_decay)
        self._path = path
        self._seconds = 60 * settings.checkpoint_minutes
        self._validation_every = settings.validation_every
        self._saved_at = time.monotonic()
        self._spending = Spending()

    def on_train_batch_end(self, trainer: L.Trainer, *arguments: Any, **named: Any) -> None:
        super().on_train_batch_end(trainer, *arguments, **named)
        # what is saved between a step and its validation would be resumed without that validation
        is_before_validation = self._validation_every > 1 and trainer.global_step % self._validation_every == 0
        is_due = not is_before_validation and time.monotonic() - self._saved_at > self._seconds
        if trainer.world_size > 1:
            # clocks differ, but all processes must save at the same step
            is_due = trainer.strategy.reduce_boolean_decision(is_due, all=False)
        if is_due:
            self._save(trainer)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._save(trainer)
        super().on_train_end(trainer, pl_module)

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # a training resumed behind its last step has no loop whose end would bring the average
        self._copy_average_to_current(pl_module)

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        super().on_save_checkpoint(trainer, pl_module, checkpoint)
        self._spending.save(checkpoint, pl_module.device)
        checkpoint[_STOPPED] = trainer.should_stop

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        super().on_load_checkpoint(trainer, pl_module, checkpoint)
        self._spending.load(checkpoint)
        # patience that has run out does not come back
        trainer.should_stop = bool(checkpoint.get(_STOPPED, False))

    def _save(self, trainer: L.Trainer) -> None:
        unfinished = self._path.with_suffix(".part")
        trainer.save_checkpoint(unfinished)
        if trainer.is_global_zero:
            unfinished.replace(self._path)
        self._saved_at = time.monotonic()


class _Counter(Dataset[int]):
    """As many items as there are steps; their values are not used."""

    def __init__(self, length: int) -> None:
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> int:
        return index


def train(
    task: Task,
    settings: TrainerSettings,
    folder: Path,
    *,
    n_validation_batches: int,
    resume: bool = False,
    stop_at: int | None = None,
    callbacks: Sequence[Callback] = (),
) -> None:
    """Train to the last step, checkpointing on the way; the averaged weights end up in the task's network.

    Device and progress are those of the enclosing `training_run`. Of several processes only the first returns: the
    others were started to compute and end here.

    Parameters
    ----------
    task : Task
        What to train.
    settings : TrainerSettings
        How.
    folder : Path
        Where checkpoints, curves (metrics.csv) and TensorBoard files go.
    n_validation_batches : int
        Held-out batches of each validation.
    resume : bool
        Go on from the folder's last checkpoint.
    stop_at : int, optional
        Stop after this step, to go on later; None trains to the end.
    callbacks : sequence of Callback
        Further Lightning callbacks.
    """
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    run = current_run()
    run.tell_stage("Training")
    checkpoint = folder / LAST_CHECKPOINT
    goes_on = resume and checkpoint.exists()
    n_done = int(read_checkpoint(checkpoint)["global_step"]) if goes_on else 0
    trainer = _trainer(settings, folder, run, n_done, stop_at, callbacks)
    with warnings.catch_warnings():
        # Lightning advises workers for the loader; ours only counts
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*Checkpoint directory.*exists and is not empty.*")
        warnings.filterwarnings("ignore", message=".*resuming from a checkpoint.*")
        warnings.filterwarnings("ignore", category=FutureWarning, message=".*LeafSpec.*")
        trainer.fit(
            task,
            DataLoader(_Counter(10 * settings.steps), batch_size=1),
            DataLoader(_Counter(n_validation_batches), batch_size=1),
            ckpt_path=checkpoint if goes_on else None,
            weights_only=False,
        )
    if not trainer.is_global_zero:
        raise SystemExit(0)
    run.tell_stage("Scoring")


def _trainer(
    settings: TrainerSettings,
    folder: Path,
    run: TrainingRun,
    n_done: int,
    stop_at: int | None,
    callbacks: Sequence[Callback],
) -> L.Trainer:
    stopping = (
        [EarlyStopping("validation/loss", patience=settings.patience, check_finite=True)] if settings.patience else []
    )
    saving = _AveragedCheckpoints(folder / LAST_CHECKPOINT, settings)
    return L.Trainer(
        max_steps=settings.steps if stop_at is None else min(stop_at, settings.steps),
        accelerator=_ACCELERATORS[run.device],
        devices=_devices(settings),
        strategy=_strategy(settings),
        precision=settings.precision,
        gradient_clip_val=settings.gradient_clip,
        val_check_interval=settings.validation_every,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        log_every_n_steps=min(50, settings.steps),
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[saving, *stopping, *callbacks, Shown(run.progress, settings.steps)],
        enable_checkpointing=False,
        logger=[CurvesLogger(folder / METRICS_FILE, n_done), TensorBoardLogger(folder, name="", version="curves")],
        default_root_dir=folder,
    )


def _devices(settings: TrainerSettings) -> int | str:
    return 1 if settings.devices == "auto" else settings.devices


def _strategy(settings: TrainerSettings) -> str:
    # a network need not use all its weights in every batch: neighbouring frames may be absent
    is_parallel = settings.strategy == "auto" and str(_devices(settings)) != "1"
    return "ddp_find_unused_parameters_true" if is_parallel else settings.strategy


def _to(batch: Any, device: torch.device) -> Any:
    if isinstance(batch, torch.Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, tuple):
        return type(batch)(*(_to(item, device) for item in batch))
    return batch
