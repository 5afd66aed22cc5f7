"""Train the shipped densify model, try it on held-out simulated fields, and write its folder.

    python -m benchmarks.annapalm_model -o DIR [--steps N] [--decay-steps N] [--resume] [--fields 20] [--only-write]

The recipe is that of `make train-annapalm` (learning/recipes/annapalm-first.yaml, then annapalm.yaml); this command
also fits the intervals and scores the model on `--fields` simulated fields of each structure. One thread of a
laptop-class core needs about a second for three steps. `--resume` goes on from the last checkpoint of DIR/training,
also with another number of steps; `--only-write` makes the model from that checkpoint as it is. `--training` names
another folder of checkpoints, for example that of `make train-annapalm`.
"""

import argparse
import dataclasses
import time
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch

import stormcell.learning
from stormcell.io.documents import read_yaml
from stormcell.learning.annapalm_inference import DensifyInferenceSettings, densify_image
from stormcell.learning.annapalm_model import DensifyModel, load_densify_model, save_densify_model
from stormcell.learning.annapalm_training import (
    DensifyTrainingSettings,
    build_network,
    seen_range,
    train_densify,
)
from stormcell.learning.annapalm_trial import (
    FEWEST_FIELDS,
    fit_dispersion_factor,
    fit_tails,
    measured_on,
    trial_field,
    try_model,
)
from stormcell.learning.training import LAST_CHECKPOINT
from stormcell.networks.annapalm import DensifyNet
from stormcell.networks.annapalm_published import PublishedGenerator

STRUCTURES = ("microtubules", "nuclear_pores", "mitochondria", "actin", "other")
TRIAL_SEED = 4242
RECIPES = Path(stormcell.learning.__file__).parent / "recipes"
NOTES = (
    "trained on simulation alone",
    "microtubules with 200 to 600 localizations per um in the whole acquisition, bursts of 2 to 3 frames linked to "
    "one event; 35 % of the training fields are other structures or scattered points",
    "a structure that is finer than the spacing of the events is drawn as the data allow, not sharper",
)


def recipe(
    name: str = "annapalm", steps: int | None = None, decay_steps: int | None = None
) -> DensifyTrainingSettings:
    """Read a committed recipe; other numbers of steps may stand in for its own."""
    settings = DensifyTrainingSettings.create(**read_yaml(RECIPES / f"{name}.yaml"))
    told = {"steps": steps, "decay_steps": decay_steps}
    changes = {key: value for key, value in told.items() if value is not None}
    return settings.replace(trainer=settings.trainer.replace(**changes))


def begin(folder: Path) -> DensifyNet | PublishedGenerator:
    """First steps, on fields whose fluorophores come back more often: events that stand for themselves are easier."""
    settings = recipe("annapalm-first")
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
    parser.add_argument("--steps", type=int, help="default: the recipe's")
    parser.add_argument("--decay-steps", type=int, help="default: the recipe's")
    parser.add_argument("--fields", type=int, default=20, help="of each structure, for the scores of the card")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--only-write", action="store_true")
    parser.add_argument("--training", type=Path, help="folder of the checkpoints; default OUT/training")
    options = parser.parse_args()
    if options.fields < FEWEST_FIELDS:
        parser.error(
            f"expected --fields of at least {FEWEST_FIELDS}, so that a card has scores, got {options.fields}"
        )
    settings = recipe("annapalm", options.steps, options.decay_steps)
    steps = settings.trainer.steps
    folder = options.training or options.out / "training"
    start = time.process_time()
    if options.only_write:
        network, step = from_checkpoint(folder / LAST_CHECKPOINT, settings)
    else:
        initial = (
            None if (folder / LAST_CHECKPOINT).exists() and options.resume else begin(folder / "start").state_dict()
        )
        network, step = train_densify(folder, settings, initial=initial, resume=options.resume), steps
    training = {
        "steps": step,
        "start": f"{recipe('annapalm-first').trainer.steps} steps before, on fluorophores with 0.5 to 10 events",
        "decayed": step >= steps,
        "processor_seconds": None if options.only_write else round(time.process_time() - start),
        "command": f"python -m benchmarks.annapalm_model -o DIR --steps {steps} "
        f"--decay-steps {settings.trainer.decay_steps}",
    }
    about: dict[str, Any] = {"training": training, "seen": seen_range(settings), "notes": NOTES, "overwrite": True}
    save_densify_model(options.out, "annapalm", network, settings, scores={}, **about)
    model = load_densify_model(str(options.out))
    factor = fit_dispersion_factor(model, STRUCTURES, (0.03, 0.1), max(1, options.fields // 4), TRIAL_SEED + 1)
    model = dataclasses.replace(model, dispersion_factor=factor)
    tails = fit_tails(model, STRUCTURES, (0.03, 0.1), max(1, options.fields // 2), TRIAL_SEED + 2)
    model = dataclasses.replace(model, tails=tails)
    trial = try_model(model, STRUCTURES, (0.01, 0.03, 0.1), options.fields, TRIAL_SEED)
    scores = {"measured": measured_on(options.fields, TRIAL_SEED), **trial}
    save_densify_model(
        options.out,
        "annapalm",
        network,
        settings,
        scores=scores,
        dispersion_factor=factor,
        tails=tails,
        **about,
    )
    draw_preview(model, options.out / "preview.png")
    for structure, rows in trial.items():
        for name, row in rows.items():
            print(f"{structure:16s} {name:20s} {row}")


if __name__ == "__main__":
    main()
