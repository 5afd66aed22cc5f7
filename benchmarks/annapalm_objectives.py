"""Compare objectives and networks of densify by the held-out score, after equal steps on equal data.

    python -m benchmarks.annapalm_objectives -o DIR [--steps 500] [--fields 6]

likelihood: rate network, held-out counts; similarity: the same network with the losses of 2018; 2018: the generator
of 2018, smaller than published, with its losses.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from stormcell.learning.annapalm_data import DensifyDataSettings
from stormcell.learning.annapalm_model import load_densify_model, save_densify_model
from stormcell.learning.annapalm_pairs import PairSettings
from stormcell.learning.annapalm_training import DensifyTrainingSettings, train_densify
from stormcell.learning.annapalm_trial import try_model
from stormcell.learning.training import TrainerSettings

CASES: dict[str, dict[str, Any]] = {
    "likelihood": {"learning_rate": 2e-3},
    "similarity": {"learning_rate": 1e-3, "objective": "adversarial"},
    "2018": {
        "learning_rate": 2e-4,
        "objective": "adversarial",
        "architecture": "annapalm-2018",
        "widths": (32, 64, 128, 256),
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--fields", type=int, default=6)
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    options = parser.parse_args()
    for name in options.cases:
        changes = dict(CASES[name])
        trainer = TrainerSettings(
            steps=options.steps,
            decay_steps=options.steps // 2,
            warmup_steps=50,
            learning_rate=changes.pop("learning_rate"),
            ema_decay=0.99,
            validation_every=options.steps,
        )
        settings = DensifyTrainingSettings.create(
            seed=7,
            trainer=trainer,
            data=DensifyDataSettings(batch_size=4, n_fields=150),
            pairs=PairSettings(crop_px=96),
            discriminator_width=24,
            **changes,
        )
        start = time.process_time()
        network = train_densify(options.out / f"{name}_training", settings)
        seconds = time.process_time() - start
        save_densify_model(options.out / name, name, network, settings, training={}, scores={}, overwrite=True)
        model = load_densify_model(str(options.out / name))
        trial = try_model(model, ("microtubules", "nuclear_pores", "mitochondria"), (0.03,), options.fields, 4243)
        print(json.dumps({"case": name, "processor_seconds": round(seconds), "trial": trial}), flush=True)


if __name__ == "__main__":
    main()
