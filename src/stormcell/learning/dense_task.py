"""train dense: from a request to a model folder with card, weights, curves and pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from stormcell.calibration.training_range import training_range
from stormcell.errors import InputError
from stormcell.io.writing import write_bytes
from stormcell.learning.curves import METRICS_FILE, draw_curves
from stormcell.learning.dense_data import DenseData
from stormcell.learning.dense_localizing import DenseLocalizationSettings, localize_dense
from stormcell.learning.dense_model import load_dense_model
from stormcell.learning.dense_own_data import score_held_out
from stormcell.learning.dense_scoring import measure_calibration, score_dense
from stormcell.learning.dense_training import DenseTrainingSettings, save_dense_model, train_dense
from stormcell.learning.previews import draw_example, draw_patches, simulate_example
from stormcell.learning.training_run import is_first_process, training_facts
from stormcell.physics.psf.random_bank import random_psf_bank
from stormcell.simulation.training_frames import TrainingFrames

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.learning.model_folder import ModelCard
    from stormcell.learning.training_request import TrainingRequest
    from stormcell.networks.dense import DenseNet

_SCORING_PSFS = 24
_SCORING_BATCHES = 12
_N_PATCHES = 5
_PATCH_PX = 40
_SEED_OF_SCORES = 2
_EXAMPLE_DENSITY = 2.0


def train_dense_model(request: TrainingRequest[DenseTrainingSettings]) -> ModelCard:
    """Train a dense network as asked, score it on held-out frames, and write its folder.

    Parameters
    ----------
    request : TrainingRequest
        What to train.

    Returns
    -------
    ModelCard
        As written.
    """
    recipe = request.recipe
    if request.like is not None:
        found = training_range(request.like, recipe.frames, recipe.psfs)
        recipe = recipe.replace(frames=found.frames, psfs=found.psfs)
    initial: dict[str, Any] | None = None
    if request.start is not None:
        start = load_dense_model(request.start)
        architecture = start.network.architecture
        initial = start.network.state_dict()
        n_condition = max(architecture.n_condition, recipe.n_condition)
        recipe = recipe.replace(widths=architecture.widths, n_condition=n_condition)
    if request.movie is not None and request.camera is not None and is_first_process():
        write_bytes(request.folder / "like.png", _compare_patches(request, recipe), overwrite=True)
    network = train_dense(request.curves, recipe, initial=initial, own=request.own, resume=request.resume)
    network = network.cpu().eval()
    scores, calibration = judge(network, recipe)
    if request.own is not None:
        scores |= score_held_out(network, request.own, recipe.seed, calibration)
    card = save_dense_model(
        request.folder,
        network,
        recipe,
        name=request.name,
        scores=scores,
        calibration=calibration,
        training=training_facts(request),
        overwrite=True,
    )
    draw_curves(request.curves / METRICS_FILE, request.folder / "curves.png")
    write_bytes(request.folder / "preview.png", preview(network, recipe, calibration), overwrite=True)
    return card


def judge(
    network: DenseNet, recipe: DenseTrainingSettings, n_batches: int = _SCORING_BATCHES
) -> tuple[dict[str, Any], dict[str, float]]:
    """Score and calibrate a network on frames of its recipe with PSFs and a seed of their own.

    Parameters
    ----------
    network : DenseNet
        Trained.
    recipe : DenseTrainingSettings
        Its recipe; training uses its seed, validation the next, this the one after.
    n_batches : int
        Batches to score.

    Returns
    -------
    tuple
        Scores, and the factors of `ModelCard.calibration`.
    """
    seed = recipe.seed + _SEED_OF_SCORES
    bank = random_psf_bank(min(_SCORING_PSFS, recipe.n_psfs), seed, recipe.psfs)
    data = DenseData(TrainingFrames(recipe.frames, bank, seed=seed), network, recipe.data)
    return score_dense(network, data, n_batches), measure_calibration(network, bank, recipe.frames, seed)


def preview(network: DenseNet, recipe: DenseTrainingSettings, calibration: dict[str, float]) -> bytes:
    """Draw what a network makes of a dense movie of microtubules.

    Parameters
    ----------
    network : DenseNet
        Trained.
    recipe : DenseTrainingSettings
        Its recipe.
    calibration : dict of str to float
        Its factors.

    Returns
    -------
    bytes
        PNG.
    """
    seed = recipe.seed + _SEED_OF_SCORES
    frames = recipe.frames
    middle = float(np.sqrt(frames.photons_e[0] * frames.photons_e[1]))
    background = float(np.sqrt(frames.background_e[0] * frames.background_e[1]))
    density = min(_EXAMPLE_DENSITY, frames.density_per_um2[1])
    bank = random_psf_bank(1, seed, recipe.psfs)
    example = simulate_example(bank, density_per_um2=density, electrons=middle, seed=seed, background_e=background)
    found = localize_dense(
        example.stack,
        example.camera,
        example.camera_pixel_size_nm,
        network,
        calibration=calibration,
        sr_pixel_size_nm=example.camera_pixel_size_nm / 8,
        settings=DenseLocalizationSettings(precision="float32"),
    )
    if found.image is None:
        msg = "expected an image where a pixel size was asked for"
        raise InputError(msg)
    return draw_example(example, found.image, "network (root of expected counts)")


def _compare_patches(request: TrainingRequest[DenseTrainingSettings], recipe: DenseTrainingSettings) -> bytes:
    """Patches of the movie above patches as training will see them."""
    rng = np.random.default_rng([recipe.seed, 21])
    source = TrainingFrames(
        recipe.frames.replace(empty_share=0.0, field_px=_PATCH_PX),
        random_psf_bank(_N_PATCHES, recipe.seed, recipe.psfs),
        seed=recipe.seed,
    )
    simulated = source.batch(0, _N_PATCHES).frames_e.numpy()
    return draw_patches(_real_patches(request, rng), simulated[:, simulated.shape[1] // 2])


def _real_patches(request: TrainingRequest[Any], rng: np.random.Generator) -> NDArray[np.float32]:
    movie, camera = request.movie, request.camera
    if movie is None or camera is None:
        msg = "expected a movie to cut patches from"
        raise InputError(msg)
    height, width = movie.frame_shape
    side = min(_PATCH_PX, height, width)
    patches = []
    for index in rng.integers(0, movie.n_frames, _N_PATCHES):
        row, column = int(rng.integers(0, height - side + 1)), int(rng.integers(0, width - side + 1))
        electrons = camera.electrons(movie.read(int(index), int(index) + 1), movie.origin_px)[0]
        patches.append(np.nan_to_num(electrons[row : row + side, column : column + side]))
    return np.stack(patches)
