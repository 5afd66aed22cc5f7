"""train deepstorm: from a request to a model folder; the weights with the best validation loss are kept."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from stormcell.data import FrameStack, Localizations
from stormcell.errors import InputError
from stormcell.io.writing import write_bytes
from stormcell.learning.curves import METRICS_FILE, draw_curves
from stormcell.learning.deepstorm_localizing import USUAL_THRESHOLD, DeepStormSettings, localize_deepstorm
from stormcell.learning.deepstorm_model import DeepStormModel, draft_card, load_deepstorm_model
from stormcell.learning.deepstorm_training import (
    DeepStormData,
    DeepStormLearning,
    DeepStormTrainingSettings,
    simulate_labelled,
)
from stormcell.learning.model_folder import ModelCard, save_model
from stormcell.learning.previews import Example, draw_example, simulate_example
from stormcell.learning.training import train
from stormcell.learning.training_callbacks import ListScore
from stormcell.learning.training_run import is_first_process, training_facts
from stormcell.metrics.evaluation import evaluate_localizations
from stormcell.networks.deepstorm import UPSAMPLING, DeepStormNet
from stormcell.physics.psf.bank import BankRow, bank_from_densities
from stormcell.physics.psf.densities import gaussian_density

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import lightning as L

    from stormcell.calibration.acquisition_settings import AcquisitionSettings
    from stormcell.learning.deepstorm_frames import Normalisation
    from stormcell.learning.training_request import TrainingRequest
    from stormcell.metrics.evaluation import Evaluation

_BEST = "best.safetensors"
_LOSS = "validation_loss"
_RIM_NM = 500.0
_THRESHOLDS = (0.02, 0.03, 0.045, 0.06, 0.08, 0.1, 0.13, 0.17)
_FOLLOWED = (0.045, 0.1)
"""Thresholds tried at every validation; the better one counts."""
_LISTED_FRAMES = 6
_MOST_ROWS_PER_EMITTER = 4


class KeepBest(Callback):
    """Keep the weights with the lowest validation loss, on disk, so that a resumed training remembers them.

    Parameters
    ----------
    path : Path
        File of the weights.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._best = math.inf
        if path.exists():
            with safe_open(path, "pt") as kept:
                self._best = float(kept.metadata()[_LOSS])

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Compare and keep.

        Parameters
        ----------
        trainer : Trainer
            Knows the validation loss.
        pl_module : LightningModule
            Holds the network.
        """
        loss = float(trainer.callback_metrics["validation/loss"])
        if trainer.is_global_zero and loss < self._best:
            self._best = loss
            network: Any = pl_module.network
            state = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
            unfinished = self._path.with_suffix(".part")
            save_file(state, unfinished, metadata={_LOSS: repr(loss)})
            unfinished.replace(self._path)


def train_deepstorm_model(request: TrainingRequest[DeepStormTrainingSettings]) -> ModelCard:
    """Train Deep-STORM as asked and write its folder.

    Parameters
    ----------
    request : TrainingRequest
        What to train: on simulated frames, or on own frames with true positions.

    Returns
    -------
    ModelCard
        As written.
    """
    recipe = request.recipe if request.like is None else like_conditions(request.recipe, request.like)
    torch.manual_seed(recipe.seed)
    network = DeepStormNet()
    if request.start is not None:
        network.load_state_dict(load_deepstorm_model(request.start).network.state_dict())
    labelled = simulate_labelled(recipe) if request.own is None else request.own.labelled()
    data = DeepStormData(labelled, recipe)
    request.curves.mkdir(parents=True, exist_ok=True)
    score = list_scorer(recipe, data.normalisation)
    best = request.curves / _BEST
    if not request.resume and is_first_process():
        best.unlink(missing_ok=True)
    train(
        DeepStormLearning(network, data, recipe),
        recipe.trainer,
        request.curves,
        n_validation_batches=data.n_validation_batches,
        resume=request.resume,
        callbacks=[
            KeepBest(best),
            ListScore(lambda module: max(float(score(module, threshold).jaccard) for threshold in _FOLLOWED)),
        ],
    )
    if best.exists():
        network.load_state_dict(load_file(best))
    network = network.cpu().eval()
    example = _example(recipe)
    card = _save(request, recipe, network, data, example, choose_threshold(network, score))
    draw_curves(request.curves / METRICS_FILE, request.folder / "curves.png")
    return card


def list_scorer(
    recipe: DeepStormTrainingSettings, normalisation: Normalisation
) -> Callable[[torch.nn.Module, float], Evaluation]:
    """Prepare a few held-out frames for the score that is followed during training, and for the threshold.

    Parameters
    ----------
    recipe : DeepStormTrainingSettings
        Conditions of the frames, which have a seed of their own.
    normalisation : Normalisation
        What inference uses.

    Returns
    -------
    callable
        From a `DeepStormNet` and a threshold to the score at 250 nm of the list that `localize_deepstorm` makes of
        these frames. Of a network that lists more than four rows for each true emitter the most confident are judged.
    """
    size = recipe.camera_pixel_size_nm
    labelled = simulate_labelled(recipe.replace(n_frames=_LISTED_FRAMES), seed=recipe.seed + 3)
    stack = FrameStack.from_array(labelled.frames)
    truth = Localizations({"frame": labelled.frame, "x_nm": size * labelled.x_px, "y_nm": size * labelled.y_px})
    field = stack.grid(size)
    rim_nm = min(_RIM_NM, recipe.field_px * size / 5)
    most = _MOST_ROWS_PER_EMITTER * truth.n_rows

    def score(network: torch.nn.Module, threshold: float) -> Evaluation:
        device = next(network.parameters()).device.type
        table = localize_deepstorm(
            stack,
            size,
            DeepStormModel(draft_card(), cast("DeepStormNet", network), normalisation),
            settings=DeepStormSettings(precision="float32", device=device, threshold=threshold),
        ).table
        if table.n_rows > most:
            table = table.take(np.sort(np.argsort(table["probability"], kind="stable")[-most:]))
        return evaluate_localizations(table, truth, field=field, rim_nm=rim_nm)

    return score


def choose_threshold(network: torch.nn.Module, score: Callable[[torch.nn.Module, float], Evaluation]) -> float:
    """Choose the threshold of the list: a network that is not trained to the end paints emitters fainter than ideal.

    Parameters
    ----------
    network : torch.nn.Module
        Trained.
    score : callable
        From `list_scorer`.

    Returns
    -------
    float
        The one of the best efficiency; 0.1 where nothing is found with any.
    """
    efficiencies = [score(network, threshold).efficiency for threshold in _THRESHOLDS]
    if not np.isfinite(efficiencies).any() or np.nanmax(efficiencies) <= 0:
        return USUAL_THRESHOLD
    return _THRESHOLDS[int(np.nanargmax(efficiencies))]


def like_conditions(recipe: DeepStormTrainingSettings, like: AcquisitionSettings) -> DeepStormTrainingSettings:
    """Take over the conditions of a movie; what it does not tell stays as in the recipe.

    Parameters
    ----------
    recipe : DeepStormTrainingSettings
        The recipe.
    like : AcquisitionSettings
        Conditions of the movie.

    Returns
    -------
    DeepStormTrainingSettings
        For that movie, as the published advice has it: the ranges are narrow.
    """
    changes: dict[str, Any] = {"camera_pixel_size_nm": like.camera_pixel_size_nm}
    # a movie tells photons, the recipe is in electrons
    qe = 1.0 if like.camera is None else like.camera.qe
    if like.psf_sigma_nm is not None:
        changes["psf_sigma_nm"] = (0.96 * like.psf_sigma_nm, 1.04 * like.psf_sigma_nm)
    if like.photons_mean is not None:
        changes["electrons"] = (0.5 * qe * like.photons_mean, 1.5 * qe * like.photons_mean)
    if like.background_photons is not None:
        # rather too dark than too bright: fewer inventions
        changes["background_e"] = (0.8 * qe * like.background_photons, qe * like.background_photons)
    if like.density_per_um2 is not None:
        changes["density_per_um2"] = (like.density_per_um2, max(2 * like.density_per_um2, 2.0))
    if like.camera is not None:
        changes["is_emccd"] = like.camera.camera_type == "emccd"
    return recipe.replace(**changes)


def _example(recipe: DeepStormTrainingSettings) -> Example:
    sigma = float(np.mean(recipe.psf_sigma_nm)) / recipe.camera_pixel_size_nm
    bank = bank_from_densities(
        gaussian_density(sigma, sigma, 0.0)[None, None].float(),
        [BankRow("gaussian", recipe.camera_pixel_size_nm)],
        np.zeros(1),
    )
    return simulate_example(
        bank,
        density_per_um2=min(2.0, recipe.density_per_um2[1]),
        electrons=float(np.mean(recipe.electrons)),
        seed=recipe.seed + 2,
        background_e=float(np.mean(recipe.background_e)),
        n_frames=recipe.example_frames,
    )


def _save(
    request: TrainingRequest[DeepStormTrainingSettings],
    recipe: DeepStormTrainingSettings,
    network: DeepStormNet,
    data: DeepStormData,
    example: Example,
    threshold: float,
) -> ModelCard:
    size = recipe.camera_pixel_size_nm
    normalisation = data.normalisation
    sigma = tuple(value / size for value in recipe.psf_sigma_nm)
    card: dict[str, Any] = {
        "name": request.name,
        "task": "deepstorm",
        "architecture": DeepStormNet.name,
        "architecture_version": DeepStormNet.version,
        "sizes": {"upsampling": UPSAMPLING},
        "preprocessing": "each frame stretched to 0..1 by its own range, then mean and std of the card taken out",
        "valid_range": {
            "psf_sigma_px": (0.95 * sigma[0], 1.05 * sigma[1]),
            "camera_pixel_size_nm": (0.9 * size, 1.1 * size),
            "electrons": (0.5 * recipe.electrons[0], 2 * recipe.electrons[1]),
            "density_per_um2": (0.5, 1.5 * recipe.density_per_um2[1]),
            "sr_pixel_size_nm": size / UPSAMPLING,
        },
        "training": {
            **training_facts(request),
            "n_patches": len(data.training) + len(data.validation),
            "recipe": recipe.model_dump(mode="json"),
        },
        "scores": {},
        "calibration": {"mean": normalisation.mean, "std": normalisation.std, "threshold": threshold},
    }
    found = localize_deepstorm(
        example.stack,
        size,
        DeepStormModel(ModelCard.create(**card, weights_sha256=""), network, normalisation),
        settings=DeepStormSettings(precision="float32"),
    )
    score = evaluate_localizations(found.table, example.truth, rim_nm=_RIM_NM)
    card["scores"] = {
        "efficiency": round(score.efficiency, 2),
        "jaccard_250_nm": round(score.jaccard, 4),
        "precision": round(score.precision, 4),
        "rmse_nm": round(score.rmse_nm, 2) if math.isfinite(score.rmse_nm) else None,
        "n_emitters": score.tp + score.fn,
        "measured": "a simulated movie of microtubules, frames of 64 x 64 px, Gaussian spots of the recipe",
    }
    picture = draw_example(example, found.image, "network (root of summed predictions)")
    write_bytes(request.folder / "preview.png", picture, overwrite=True)
    if not np.isfinite(found.image.pixels).all():
        msg = "the trained network paints values that are not finite; lower the learning rate"
        raise InputError(msg)
    return save_model(request.folder, network.state_dict(), card, overwrite=True)
