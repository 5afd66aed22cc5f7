"""Fine-tuning the shipped densify network on tables of a structure it has never seen: share of the gap it closes.

    python -m benchmarks.annapalm_fine_tuning [--model annapalm] [--tables 4] [--steps 300] [--specialist-steps 3000]
        [--fields 8] [--json FILE]

The structure: rings round axons, seen as stripes 190 nm apart across bands 300 to 600 nm wide. Tables are simulated
whole acquisitions with their wide-field image, split into blocks of frames as `stormcell train annapalm` does it, and
30 % simulated other structures. Fine-tuning starts from the shipped weights; the specialist does so too, and learns
for --specialist-steps from four times as many tables. Score: correlation with the truth on held-out fields, from 3 %
of the frames and the wide-field image. Processor time is told. Crops of 64 pixels, 4 in a step.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from benchmarks.annapalm_few_images import table_of

from stormcell.learning.annapalm_data import DensifyDataSettings
from stormcell.learning.annapalm_fields import EmitterField
from stormcell.learning.annapalm_inference import DensifyInferenceSettings, densify_image
from stormcell.learning.annapalm_model import DensifyModel, load_densify_model
from stormcell.learning.annapalm_pairs import EventField, PairSettings
from stormcell.learning.annapalm_training import DensifyTrainingSettings, train_densify
from stormcell.learning.annapalm_trial import TrialField, trial_of
from stormcell.learning.training import TrainerSettings
from stormcell.networks.annapalm import UNKNOWN

SIDE, SHARE, PERIOD_NM = 8000.0, 0.03, 190.0


def axons(seed: int, index: int) -> TrialField:
    """Straight axons at any angle, stripes across them; 60 to 160 emitters on a um of stripe."""
    rng = np.random.default_rng([seed, index, 21])
    places = []
    for _ in range(int(rng.integers(4, 9))):
        middle, angle, width = rng.uniform(0, SIDE, 2), rng.uniform(0, np.pi), rng.uniform(300, 600)
        along = np.array([np.cos(angle), np.sin(angle)])
        n = rng.poisson(rng.uniform(60, 160) * width / 1000, int(2 * SIDE / PERIOD_NM))
        stripe = np.repeat(np.arange(len(n)) - len(n) / 2, n) * PERIOD_NM
        across = width / 2 * np.sin(rng.uniform(-np.pi / 2, np.pi / 2, len(stripe)))
        places.append(middle + stripe[:, None] * along + across[:, None] * np.array([-along[1], along[0]]))
    points = np.concatenate(places)
    points = points[np.all((points >= 0) & (points < SIDE), axis=1)]
    points = (points + rng.normal(0, 8, points.shape)).astype(np.float32)
    events = (rng.uniform(0.5, 2) * rng.gamma(2, 0.5, len(points))).astype(np.float32)
    x, y = (np.ascontiguousarray(points[:, k]) for k in (0, 1))
    grid, _, _ = np.histogram2d(y, x, bins=80, range=[[0, SIDE], [0, SIDE]])
    levels = (float(np.percentile(grid, 1)) * 100, float(np.percentile(grid, 98)) * 60 + 1)
    return trial_of(EmitterField(x, y, events, SIDE, "other", levels), rng)


def trained(tables: list[EventField], steps: int, initial: DensifyModel) -> tuple[DensifyModel, float]:
    trainer = TrainerSettings(
        steps=steps,
        decay_steps=steps // 2,
        warmup_steps=20,
        learning_rate=5e-4,
        matrix_learning_rate=1e-3,
        ema_decay=0.98,
        validation_every=steps,
    )
    data = DensifyDataSettings(batch_size=4, n_fields=40)
    recipe = DensifyTrainingSettings(trainer=trainer, data=data, pairs=PairSettings(crop_px=64))
    start = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        network = train_densify(
            Path(folder),
            recipe,
            measured=tables,
            measured_validation=tables[:1],
            initial=initial.network.state_dict(),
        )
    return DensifyModel(initial.card, network), time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="annapalm")
    parser.add_argument("--tables", type=int, default=4)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--specialist-steps", type=int, default=3000)
    parser.add_argument("--fields", type=int, default=8)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    shipped = load_densify_model(options.model)
    rng = np.random.default_rng(1)
    tables = [table_of(axons(7001, index), rng, UNKNOWN) for index in range(4 * options.tables)]
    trials = [axons(7002, index) for index in range(options.fields)]
    counts = [one.counts(SHARE, np.random.default_rng([7002, k])).astype(np.float32) for k, one in enumerate(trials)]

    def judged(model: DensifyModel) -> float:
        how = DensifyInferenceSettings(share=SHARE)
        drawn = [densify_image(model, c, one.widefield, how).rate for c, one in zip(counts, trials, strict=True)]
        return float(np.mean([one.score(image) for image, one in zip(drawn, trials, strict=True)]))

    smoothed = float(np.mean([one.best_smoothed(c) for c, one in zip(counts, trials, strict=True)]))
    report = {"best_smoothed": smoothed, "shipped": judged(shipped)}
    for name, n, steps in (("fine_tuned", 1, options.steps), ("specialist", 4, options.specialist_steps)):
        model, seconds = trained(tables[: n * options.tables], steps, shipped)
        report |= {name: judged(model), f"{name}_seconds": seconds}
        print(json.dumps(report), flush=True)
    gap = report["specialist"] - report["shipped"]
    report["gap_closed"] = (report["fine_tuned"] - report["shipped"]) / gap
    print(json.dumps({key: round(value, 3) for key, value in report.items()}, indent=1))
    if options.json is not None:
        options.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
