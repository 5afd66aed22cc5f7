"""Train the shipped densify model, try it on held-out simulated fields, and write its folder.

    python -m benchmarks.annapalm_model -o DIR [--steps 6000] [--resume] [--fields 20] [--only-write]

One thread of a laptop-class core needs about a second for three steps. `--resume` goes on from the last checkpoint of
DIR/training, also with another number of steps; `--only-write` makes the model from that checkpoint as it is.
"""

import argparse
import dataclasses
import time
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch

from stormcell.learning.annapalm_data import DensifyDataSettings
from stormcell.learning.annapalm_fields import FieldSettings
from stormcell.learning.annapalm_inference import DensifyInferenceSettings, densify_image
from stormcell.learning.annapalm_model import DensifyModel, load_densify_model, save_densify_model
from stormcell.learning.annapalm_training import DensifyTrainingSettings, build_network, train_densify
from stormcell.learning.annapalm_trial import fit_dispersion_factor, fit_tails, trial_field, try_model
from stormcell.learning.training import LAST_CHECKPOINT, TrainerSettings
from stormcell.networks.annapalm import DensifyNet
from stormcell.networks.annapalm_published import PublishedGenerator

STRUCTURES = ("microtubules", "nuclear_pores", "mitochondria", "actin", "other")
TRIAL_SEED = 4242
START_STEPS = 1250
NOTES = (
    "trained on simulation alone",
    "microtubules with 200 to 600 localizations per um in the whole acquisition, bursts of 2 to 3 frames linked to "
    "one event; 35 % of the training fields are other structures or scattered points",
    "a structure that is finer than the spacing of the events is drawn as the data allow, not sharper",
)


def recipe(steps: int, decay_steps: int) -> DensifyTrainingSettings:
    trainer = TrainerSettings(
        steps=steps,
        decay_steps=decay_steps,
        warmup_steps=100,
        learning_rate=2e-3,
        matrix_learning_rate=4e-3,
        ema_decay=0.998,
        validation_every=400,
    )
    return DensifyTrainingSettings(trainer=trainer, data=DensifyDataSettings(n_fields=2000))


def begin(folder: Path) -> DensifyNet | PublishedGenerator:
    """First steps, on fields whose fluorophores come back more often: events that stand for themselves are easier."""
    settings = recipe(START_STEPS, 0).replace(
        fields=FieldSettings(events_per_emitter=(0.5, 10.0), events_per_pore_emitter=(0.75, 15.0))
    )
    if (folder / LAST_CHECKPOINT).exists():
        network, _ = from_checkpoint(folder / LAST_CHECKPOINT, settings)
        return network
    return train_densify(folder, settings)


def from_checkpoint(path: Path, settings: DensifyTrainingSettings) -> tuple[DensifyNet | PublishedGenerator, int]:
    """Take the averaged weights out of a checkpoint."""
    saved = torch.load(path, map_location="cpu", weights_only=False)
    network = build_network(settings)
    start = "network."
    network.load_state_dict({k.removeprefix(start): v for k, v in saved["state_dict"].items() if k.startswith(start)})
    return network.eval(), int(saved["global_step"])


def draw_preview(model: DensifyModel, path: Path, share: float = 0.03) -> None:
    """Input, wide-field, what the network draws from both, and the truth, for every structure."""
    mpl.use("Agg")
    import matplotlib.pyplot as plt
    from scipy.ndimage import gaussian_filter

    figure, axes = plt.subplots(len(STRUCTURES), 5, figsize=(10, 2.05 * len(STRUCTURES)), squeeze=False)
    for row, structure in zip(axes, STRUCTURES, strict=True):
        one = trial_field(structure, TRIAL_SEED, 1)
        counts = one.counts(share, np.random.default_rng(1)).astype(np.float32)
        label = structure if structure != "other" else "unknown"
        settings = DensifyInferenceSettings(structure=label, share=share)
        drawn = {
            f"{100 * share:g} % of the frames": gaussian_filter(counts, 1.0) / share,
            "wide-field": one.widefield,
            "from the events": densify_image(model, counts, None, settings).rate / share,
            "from both": densify_image(model, counts, one.widefield, settings).rate / share,
            "truth": one.truth,
        }
        top = np.percentile(gaussian_filter(one.truth, 1.0), 99.7)
        for axis, (title, image) in zip(row, drawn.items(), strict=True):
            limit = np.percentile(image, 99.7) if title == "wide-field" else top
            axis.imshow(image, cmap="magma", vmin=0, vmax=limit, interpolation="nearest")
            axis.set_title(title if axis.get_subplotspec().is_first_row() else "", fontsize=8)
            axis.axis("off")
        row[0].text(-8, 160, structure, rotation=90, va="center", ha="right", fontsize=8)
    figure.tight_layout(pad=0.3)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--decay-steps", type=int, default=2000)
    parser.add_argument("--fields", type=int, default=20)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--only-write", action="store_true")
    parser.add_argument("--training", type=Path, help="folder of the checkpoints; default OUT/training")
    options = parser.parse_args()
    settings = recipe(options.steps, options.decay_steps)
    folder = options.training or options.out / "training"
    start = time.process_time()
    if options.only_write:
        network, step = from_checkpoint(folder / LAST_CHECKPOINT, settings)
    else:
        initial = (
            None if (folder / LAST_CHECKPOINT).exists() and options.resume else begin(folder / "start").state_dict()
        )
        network, step = train_densify(folder, settings, initial=initial, resume=options.resume), options.steps
    training = {
        "steps": step,
        "start": f"{START_STEPS} steps before, on fluorophores with 0.5 to 10 events",
        "decayed": step >= options.steps,
        "processor_seconds": None if options.only_write else round(time.process_time() - start),
        "command": f"python -m benchmarks.annapalm_model -o DIR --steps {options.steps} "
        f"--decay-steps {options.decay_steps}",
    }
    save_densify_model(
        options.out, "annapalm", network, settings, training=training, scores={}, notes=NOTES, overwrite=True
    )
    model = load_densify_model(str(options.out))
    factor = fit_dispersion_factor(model, STRUCTURES, (0.03, 0.1), max(1, options.fields // 4), TRIAL_SEED + 1)
    model = dataclasses.replace(model, dispersion_factor=factor)
    tails = fit_tails(model, STRUCTURES, (0.03, 0.1), max(1, options.fields // 2), TRIAL_SEED + 2)
    model = dataclasses.replace(model, tails=tails)
    trial = try_model(model, STRUCTURES, (0.01, 0.03, 0.1), options.fields, TRIAL_SEED)
    scores = {"measured": f"{options.fields} simulated fields of seed {TRIAL_SEED} each, see annapalm_trial", **trial}
    save_densify_model(
        options.out,
        "annapalm",
        network,
        settings,
        training=training,
        scores=scores,
        notes=NOTES,
        dispersion_factor=factor,
        tails=tails,
        overwrite=True,
    )
    draw_preview(model, options.out / "preview.png")
    for structure, rows in trial.items():
        for name, row in rows.items():
            print(f"{structure:16s} {name:20s} {row}")


if __name__ == "__main__":
    main()
