"""What happens beside the steps of a training: lists are scored, and whoever waits is told how far it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lightning.pytorch.callbacks import Callback

if TYPE_CHECKING:
    from collections.abc import Callable

    import lightning as L
    import torch


class ListScore(Callback):
    """Score the list of emitters that the averaged weights make, at every validation, as validation/jaccard.

    Parameters
    ----------
    score : callable
        `score(network)` returns the Jaccard index on held-out frames.
    """

    def __init__(self, score: Callable[[torch.nn.Module], float]) -> None:
        self._score = score

    def on_validation_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Score before the first batch, when the averaged weights are in place.

        Parameters
        ----------
        trainer : Trainer
            Knows how many processes there are.
        pl_module : LightningModule
            Holds the network.
        batch : object
            Unused.
        batch_idx : int
            Number of the batch.
        dataloader_idx : int
            Unused.
        """
        if batch_idx == 0:
            network: Any = pl_module.network
            value = self._score(network)
            pl_module.log("validation/jaccard", value, batch_size=1, sync_dist=trainer.world_size > 1)


class Shown(Callback):
    """Tell whoever waits how far the training is.

    Parameters
    ----------
    progress : callable, optional
        Called as progress(steps done, steps in all).
    steps : int
        In all.
    """

    def __init__(self, progress: Callable[[int, int], None] | None, steps: int) -> None:
        self._progress, self._steps = progress, steps

    def on_train_batch_end(self, trainer: L.Trainer, *arguments: Any, **named: Any) -> None:
        """Tell it after a step.

        Parameters
        ----------
        trainer : Trainer
            Counts the steps.
        *arguments, **named : object
            Unused.
        """
        if self._progress is not None and trainer.is_global_zero:
            self._progress(trainer.global_step, self._steps)
