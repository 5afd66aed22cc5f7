"""Fine-tuning the dense network for one microscope: what it gains there, against a specialist, and loses elsewhere.

    python -m benchmarks.dense_fine_tuning [--psf "strehl 0.65 a"] [--steps 3000] [--specialist-steps 12000]
        [--emitters 1200] [-o DIR] [--json FILE]

The microscope is one of the fixed test PSFs, of which there is a movie (2 emitters per um2, 100 frames). Fine-tuning
is what `stormcell train dense --like MOVIE --from dense` does: conditions estimated from the movie, PSFs of the
family that are as wide. The specialist starts from the same weights and sees frames of that very PSF alone, in the
same conditions. All are then used as users do: the PSF is found in the movie. Processor time is told. With -o
trainings go on from their checkpoints.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from benchmarks.dense_scenes import PIXEL_NM, Movie, Scene, make_movie
from benchmarks.dense_test_psfs import make_test_psf

from stormcell.calibration.acquisition import estimate_acquisition
from stormcell.calibration.training_range import training_range
from stormcell.learning.dense_data import DenseData
from stormcell.learning.dense_localizing import DenseLocalizationSettings, localize_dense
from stormcell.learning.dense_model import load_dense_model
from stormcell.learning.dense_training import DenseTrainingSettings, score_batch, train_dense
from stormcell.learning.training import Task, TrainerSettings, train
from stormcell.metrics.evaluation import evaluate_localizations
from stormcell.networks.dense import DenseNet
from stormcell.physics.psf.bank import PSFBank
from stormcell.simulation.training_frames import TrainingFrames

DENSITIES = (1.0, 2.0, 4.0)
ELSEWHERE = ("mild 0.98", "halo 15 %", "defocus -250")


def trainer(steps: int) -> TrainerSettings:
    return TrainerSettings(
        steps=steps,
        decay_steps=steps // 2,
        warmup_steps=100,
        learning_rate=5e-4,
        matrix_learning_rate=7e-4,
        ema_decay=0.998,
        validation_every=steps,
    )


def specialist(folder: Path, recipe: DenseTrainingSettings, bank: PSFBank, network: DenseNet) -> DenseNet:
    data = DenseData(TrainingFrames(recipe.frames, bank, seed=recipe.seed), network, recipe.data)
    held_out = DenseData(TrainingFrames(recipe.frames, bank, seed=recipe.seed + 1), network, recipe.data)
    task = Task(network.train(), score_batch, data.batch, held_out.batch, recipe.trainer)
    train(task, recipe.trainer, folder, n_validation_batches=4, resume=True)
    return network


def judged(network: DenseNet, calibration: dict[str, float], movies: list[Movie]) -> float:
    """Mean efficiency (alpha 1/nm) over movies."""
    settings = DenseLocalizationSettings(precision="float32")
    scores = []
    for movie in movies:
        found = localize_dense(
            movie.stack, movie.camera, PIXEL_NM, network, calibration=calibration, settings=settings
        )
        scores.append(evaluate_localizations(found.table, movie.truth, field=movie.grid, rim_nm=500.0).efficiency)
    return float(np.mean(scores))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="dense")
    parser.add_argument("--psf", default="strehl 0.65 a")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--specialist-steps", type=int, default=12_000)
    parser.add_argument("--emitters", type=int, default=1200)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    folder = options.output or Path(tempfile.mkdtemp())
    shipped = load_dense_model(options.model)
    calibration = dict(shipped.card.calibration)
    bank = make_test_psf(options.psf)

    def movies(psf: str) -> list[Movie]:
        n_frames = {density: int(np.ceil(options.emitters / (density * 5.4**2))) for density in DENSITIES}
        return [make_movie(make_test_psf(psf), Scene(d, n_frames=n, seed=701)) for d, n in n_frames.items()]

    here, elsewhere = movies(options.psf), [movies(psf) for psf in ELSEWHERE if psf != options.psf]
    like = make_movie(bank, Scene(2.0, n_frames=100, seed=702))
    acquisition = estimate_acquisition(like.stack, like.camera, PIXEL_NM).settings()
    plain = DenseTrainingSettings.model_validate(shipped.card.training["recipe"])
    found = training_range(acquisition, plain.frames, plain.psfs)
    recipe = plain.replace(seed=31, frames=found.frames, psfs=found.psfs, n_psfs=256, neighbour_steps=0)
    print("sigma", found.psfs.sigma_px, "electrons", found.frames.photons_e, "background", found.frames.background_e,
          "density", found.frames.density_per_um2, flush=True)  # fmt: skip

    report: dict[str, object] = {"psf": options.psf}

    def tell(name: str, network: DenseNet, seconds: float = 0.0) -> float:
        score = judged(network, calibration, here)
        others = [judged(network, calibration, other) for other in elsewhere]
        report[name] = {"here": score, "elsewhere": others, "processor_s": seconds}
        print(name, json.dumps(report[name]), flush=True)
        return score

    before = tell("shipped", shipped.network)
    start = time.process_time()
    tuned = train_dense(
        folder / "tuned",
        recipe.replace(trainer=trainer(options.steps)),
        initial=shipped.network.state_dict(),
        resume=True,
    )
    after = tell("fine-tuned", tuned.eval(), time.process_time() - start)
    start = time.process_time()
    special = specialist(
        folder / "specialist",
        recipe.replace(trainer=trainer(options.specialist_steps)),
        bank,
        load_dense_model(options.model).network,
    )
    best = tell("specialist", special.eval(), time.process_time() - start)
    report["gap"], report["gap_closed"] = best - before, (after - before) / (best - before)
    print(f"gap {best - before:.1f} points, closed {100 * (after - before) / (best - before):.0f} %")
    if options.json is not None:
        options.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
