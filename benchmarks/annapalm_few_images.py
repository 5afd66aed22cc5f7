"""Quality against the number of training images: 1, 2, 4, 8 and 16 tables, equal updates, several seeds.

    python -m benchmarks.annapalm_few_images [--images 1 2 4 8 16] [--seeds 3] [--steps 400] [--fields 8]
        [--json FILE]

An image is a table of a whole acquisition of microtubules, 6.4 um wide (as `learning.annapalm_trial` simulates them),
with its wide-field image. A small network (a quarter of the shipped one's operations) starts from nothing and learns
from blocks of frames of these tables, with 30 % simulated other structures, as `stormcell train annapalm` does it.
Gain: correlation with the truth on held-out fields at 3 % of the frames, from events and wide-field, less that of the
best plain smoothing. A seed decides images, weights and order; its set of 2 images holds its set of 1, and so on.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from stormcell.learning.annapalm_data import DensifyDataSettings
from stormcell.learning.annapalm_inference import DensifyInferenceSettings, densify_image
from stormcell.learning.annapalm_model import DensifyModel, save_densify_model
from stormcell.learning.annapalm_pairs import EventField
from stormcell.learning.annapalm_training import DensifyTrainingSettings, train_densify
from stormcell.learning.annapalm_trial import SIDE_PX, TrialField, trial_field
from stormcell.learning.training import TrainerSettings
from stormcell.networks.annapalm import SR_PIXEL_SIZE_NM, STRUCTURE_LABELS

SHARE, N_FRAMES, STRUCTURE = 0.03, 10_000, "microtubules"
LABEL = STRUCTURE_LABELS.index(STRUCTURE)
TRAINING_SEED, TRIAL_SEED = 5100, 5200


def table_of(one: TrialField, rng: np.random.Generator, label: int = LABEL) -> EventField:
    """Linked events of a whole acquisition of a simulated field, with 2 % false ones."""
    side = SIDE_PX * SR_PIXEL_SIZE_NM
    first = (one.field.side_nm - side) / 2
    n = rng.poisson(one.field.events)
    places = np.stack([np.repeat(one.field.x_nm, n), np.repeat(one.field.y_nm, n)], axis=1) - first
    places = places + one.precision_nm * rng.normal(size=places.shape)
    places = np.concatenate([places, rng.uniform(0, side, (rng.poisson(0.02 * len(places)), 2))])
    places = places[np.all((places >= 0) & (places < side), axis=1)].astype(np.float32)
    return EventField(
        np.ascontiguousarray(places[:, 0]),
        np.ascontiguousarray(places[:, 1]),
        rng.integers(0, N_FRAMES, len(places)),
        N_FRAMES,
        (side, side),
        label=label,
        widefield=one.widefield,
    )


def recipe(steps: int, seed: int) -> DensifyTrainingSettings:
    trainer = TrainerSettings(
        steps=steps,
        decay_steps=steps // 3,
        warmup_steps=20,
        learning_rate=2e-3,
        matrix_learning_rate=4e-3,
        ema_decay=0.98,
        validation_every=steps,
    )
    data = DensifyDataSettings(batch_size=4, n_fields=60)
    return DensifyTrainingSettings(
        seed=seed, widths=(16, 32, 48, 64), blocks=(1, 1, 1, 1), trainer=trainer, data=data
    )


def gain_of(model: DensifyModel, trials: list[TrialField]) -> float:
    """Mean gain over the best plain smoothing."""
    gains = []
    for index, one in enumerate(trials):
        counts = one.counts(SHARE, np.random.default_rng([TRIAL_SEED, index, 1])).astype(np.float32)
        how = DensifyInferenceSettings(structure=STRUCTURE, share=SHARE)
        drawn = densify_image(model, counts, one.widefield, how).rate
        gains.append(one.score(drawn) - one.best_smoothed(counts))
    return float(np.mean(gains))


def trained(images: list[EventField], held_out: list[EventField], steps: int, seed: int) -> DensifyModel:
    settings = recipe(steps, seed)
    with tempfile.TemporaryDirectory() as folder:
        network = train_densify(
            Path(folder) / "training", settings, measured=images, measured_validation=held_out[:1]
        )
        card = save_densify_model(Path(folder) / "m", "few", network, settings, training={"steps": steps}, scores={})
    return DensifyModel(card, network, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=(1, 2, 4, 8, 16))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--fields", type=int, default=8)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    trials = [trial_field(STRUCTURE, TRIAL_SEED, index) for index in range(options.fields)]
    held_out = [table_of(trial_field(STRUCTURE, TRIAL_SEED, 900), np.random.default_rng(TRIAL_SEED))]
    gains: dict[int, list[float]] = {n: [] for n in options.images}
    for seed in range(options.seeds):
        rng = np.random.default_rng([TRAINING_SEED, seed])
        tables = [
            table_of(trial_field(STRUCTURE, TRAINING_SEED + seed, index), rng) for index in range(max(options.images))
        ]
        for n in options.images:
            start = time.process_time()
            gains[n].append(round(gain_of(trained(tables[:n], held_out, options.steps, seed), trials), 4))
            print(f"seed {seed}, {n} images: gain {gains[n][-1]} ({time.process_time() - start:.0f} s)", flush=True)
    most = float(np.mean(gains[max(options.images)]))
    for n, values in gains.items():
        print(f"{n:3d} images: {np.mean(values):.4f} +- {np.std(values):.4f}, {np.mean(values) / most:.0%} of all")
    if options.json is not None:
        options.json.write_text(json.dumps({"steps": options.steps, "gains": gains}, indent=1) + "\n")


if __name__ == "__main__":
    main()
