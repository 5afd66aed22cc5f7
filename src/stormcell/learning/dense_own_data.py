"""Training the dense network on the user's own frames with true positions, mixed with simulated ones.

Such frames tell neither their background nor their PSF, so those parts of the loss are left out; brightness is
learned only where the table has it. Simulated frames in between keep what the network knows.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from stormcell.learning.dense_localizing import DenseLocalizationSettings, localize_dense
from stormcell.learning.dense_loss import EmitterBatch, dense_loss
from stormcell.learning.dense_training import score_batch
from stormcell.learning.measured_noise import measure_noise
from stormcell.metrics.evaluation import evaluate_localizations

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from stormcell.learning.dense_data import DenseBatch
    from stormcell.learning.own_frames import OwnFrames
    from stormcell.networks.dense import DenseNet

_PAD = 16
_MULTIPLE_PX = 4
_HELD_OUT_OF = 5
_MOST_SCORED_FRAMES = 2000


class OwnBatch(NamedTuple):
    """One batch of own frames, network units."""

    frames: Tensor
    """(B, 1, Y, X)."""
    read_variance_e2: Tensor
    """(B, 1, Y, X)."""
    emitters: EmitterBatch
    has_photons: Tensor
    """() bool: whether the emitters' electrons are true."""


class OwnFramesData:
    """Random crops of own frames; a fifth of the frames is held out for validation.

    Parameters
    ----------
    own : OwnFrames
        The frames.
    crop_px : int
        Side of the crops, as far as the frames allow it.
    batch_size : int
        Crops in a step.
    seed : int
        With the step it decides everything.
    """

    def __init__(self, own: OwnFrames, *, crop_px: int, batch_size: int, seed: int) -> None:
        noise = measure_noise(own.stack, own.camera)
        labelled = own.labelled()
        electrons = own.camera.electrons(labelled.frames, own.stack.origin_px) / np.float32(noise.scale)
        self._frames = np.nan_to_num(electrons, copy=False)
        self._variance = noise.read_variance_e2 / np.float32(noise.scale) ** 2
        self._labelled = labelled
        self._has_photons = "photons" in own.truth
        order = np.argsort(own.truth["frame"], kind="stable")
        photons = own.truth["photons"][order] * own.camera.qe if self._has_photons else np.ones(len(order))
        self._log_electrons = np.log(np.maximum(photons / noise.scale, 1.0))
        height, width = labelled.frames.shape[1:]
        self._side = max(_MULTIPLE_PX, min(crop_px, height, width) // _MULTIPLE_PX * _MULTIPLE_PX)
        self._batch_size, self._seed = batch_size, seed
        held_out, self._used = split_frames(len(labelled.frames), seed)
        self._held_out = held_out if len(held_out) else self._used

    def training_batch(self, step: int) -> OwnBatch:
        """Make the batch of a step.

        Parameters
        ----------
        step : int
            With the seed it decides everything.

        Returns
        -------
        OwnBatch
            Crops with mirror images and transpositions.
        """
        return self._batch(np.random.default_rng([self._seed, 6, step]), self._used)

    def validation_batch(self, index: int) -> OwnBatch:
        """Make a held-out batch.

        Parameters
        ----------
        index : int
            Which.

        Returns
        -------
        OwnBatch
            The same every time.
        """
        return self._batch(np.random.default_rng([self._seed, 7, index]), self._held_out)

    def _batch(self, rng: np.random.Generator, usable: np.ndarray[tuple[int], np.dtype[np.int64]]) -> OwnBatch:
        height, width = self._frames.shape[1:]
        side = self._side
        frames, variances, lists = [], [], []
        for _ in range(self._batch_size):
            index = int(rng.choice(usable))
            row, column = int(rng.integers(0, height - side + 1)), int(rng.integers(0, width - side + 1))
            window = (slice(row, row + side), slice(column, column + side))
            first, last = np.searchsorted(self._labelled.frame, (index, index + 1))
            x, y = self._labelled.x_px[first:last] - column, self._labelled.y_px[first:last] - row
            inside = (x >= 0) & (x < side) & (y >= 0) & (y < side)
            pixels, noise = self._frames[index][window], self._variance[window]
            x, y = x[inside], y[inside]
            if rng.random() < 0.5:
                pixels, noise, x = pixels[:, ::-1], noise[:, ::-1], side - x
            if rng.random() < 0.5:
                pixels, noise, y = pixels[::-1], noise[::-1], side - y
            if rng.random() < 0.5:
                pixels, noise, x, y = pixels.T, noise.T, y, x
            frames.append(pixels)
            variances.append(noise)
            lists.append(np.stack([x, y, self._log_electrons[first:last][inside]]))
        stacked = [torch.from_numpy(np.stack(part).astype(np.float32))[:, None] for part in (frames, variances)]
        return OwnBatch(stacked[0], stacked[1], _padded(lists), torch.tensor(self._has_photons))


def split_frames(n_frames: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose the frames that are held out: a fifth, at least one; none of a single frame.

    Parameters
    ----------
    n_frames : int
        Frames in all.
    seed : int
        Of the training.

    Returns
    -------
    tuple of ndarray
        Numbers of the frames held out, and of those to learn from.
    """
    n_held_out = max(1, n_frames // _HELD_OUT_OF) if n_frames > 1 else 0
    shuffled = np.random.default_rng([seed, 5]).permutation(n_frames)
    return shuffled[:n_held_out], shuffled[n_held_out:]


def score_held_out(network: DenseNet, own: OwnFrames, seed: int, calibration: Mapping[str, float]) -> dict[str, Any]:
    """Score a network on the own frames that it has not learned from, used as `localize` uses it on a movie.

    Parameters
    ----------
    network : DenseNet
        Trained.
    own : OwnFrames
        All frames: PSF, noise and still light are read from the whole movie, only held-out frames are judged.
    seed : int
        Of the training: it decides which frames were held out.
    calibration : mapping of str to float
        The network's factors.

    Returns
    -------
    dict
        For the card, names beginning with own_; empty where no frame was held out or no true emitter lies in one.
    """
    held_out = split_frames(own.stack.n_frames, seed)[0] + own.stack.first_frame
    stack = own.stack.frames(0, min(own.stack.n_frames, _MOST_SCORED_FRAMES))
    held_out = held_out[held_out < stack.last_frame]
    grid = stack.grid(own.camera_pixel_size_nm)
    x, y = grid.x_px(own.truth["x_nm"]), grid.y_px(own.truth["y_nm"])
    inside = (x >= 0) & (x < stack.frame_shape[1]) & (y >= 0) & (y < stack.frame_shape[0])
    truth = own.truth.take(inside & np.isin(own.truth["frame"], held_out))
    if not truth.n_rows:
        return {}
    found = localize_dense(
        stack,
        own.camera,
        own.camera_pixel_size_nm,
        network,
        calibration=calibration,
        settings=DenseLocalizationSettings(precision="float32"),
    )
    table = found.table.take(np.isin(found.table["frame"], held_out))
    score = evaluate_localizations(table, truth, field=found.table.grid)
    values = {
        "efficiency": score.efficiency,
        "jaccard_250_nm": score.jaccard,
        "precision": score.precision,
        "recall": score.recall,
        "rmse_nm": score.rmse_nm,
    }
    return {
        **{f"own_{name}": round(float(value), 4) if math.isfinite(value) else None for name, value in values.items()},
        "own_n_emitters": score.tp + score.fn,
        "own_measured": f"{len(held_out)} own frames that were held out, by the whole pipeline of localize with "
        "single frames and a probability of 0.5",
    }


def _padded(lists: list[np.ndarray[tuple[int, int], np.dtype[np.float64]]]) -> EmitterBatch:
    width = max(1, -(-max(part.shape[1] for part in lists) // _PAD)) * _PAD
    values = torch.zeros(3, len(lists), width)
    mask = torch.zeros(len(lists), width, dtype=torch.bool)
    for index, part in enumerate(lists):
        values[:, index, : part.shape[1]] = torch.from_numpy(part)
        mask[index, : part.shape[1]] = True
    return EmitterBatch(values[0], values[1], values[2], mask)


def score_own(network: torch.nn.Module, batch: OwnBatch) -> dict[str, Tensor]:
    """Score the network on own frames: number and places of the emitters, and brightness where it is known.

    Parameters
    ----------
    network : torch.nn.Module
        A `DenseNet`.
    batch : OwnBatch
        In network units.

    Returns
    -------
    dict
        Total loss under "loss", and its parts.
    """
    output, descriptor = network(batch.frames, batch.read_variance_e2)
    unknown = {
        "background_vst": output.background_vst.detach(),
        "log_sigma_background": output.log_sigma_background.detach(),
    }
    emitters = batch.emitters
    if not bool(batch.has_photons):
        zero = torch.zeros_like(output.log_electrons)
        unknown |= {"log_electrons": zero, "log_sigma_electrons": zero}
        emitters = emitters._replace(log_electrons=torch.zeros_like(emitters.log_electrons))
    n_condition = descriptor.shape[1] // 2
    parts = dense_loss(
        output._replace(**unknown),
        emitters,
        output.background_vst.detach(),
        descriptor.detach(),
        descriptor.detach()[:, :n_condition],
    )
    return {"loss": parts.total, "number": parts.number, "position": parts.position}


def score_either(network: torch.nn.Module, batch: OwnBatch | DenseBatch) -> dict[str, Tensor]:
    """Score the network on a batch of either kind.

    Parameters
    ----------
    network : torch.nn.Module
        A `DenseNet`.
    batch : OwnBatch or DenseBatch
        In network units.

    Returns
    -------
    dict
        "loss", "number", "position".
    """
    if isinstance(batch, OwnBatch):
        return score_own(network, batch)
    parts = score_batch(network, batch)
    return {name: parts[name] for name in ("loss", "number", "position")}


def alternating(
    own: Callable[[int], OwnBatch], simulated: Callable[[int], DenseBatch]
) -> Callable[[int], OwnBatch | DenseBatch]:
    """Take own and simulated batches in turn.

    Parameters
    ----------
    own, simulated : callable
        Batch of an index: own ones count themselves, simulated ones know of the step.

    Returns
    -------
    callable
        Batch of a step: own ones on even steps.
    """
    return lambda step: own(step // 2) if step % 2 == 0 else simulated(step)
