"""Share of a training step of the dense network that goes into simulating its frames.

    python benchmarks/simulation_share.py [--threads 2] [--steps 8]

The steps are those of the shipped recipe (batch, field, widths), with single frames and with neighbours. A step is
simulation, description for the network, forward pass, loss and backward pass; the update of the weights is left out,
so that the share told is an upper bound. Wall time and processor time are both told: on a busy machine the second is
the one to trust.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch

import stormcell.learning
from stormcell.io.documents import read_yaml
from stormcell.learning.dense_data import DenseData, fit_descriptor
from stormcell.learning.dense_training import DenseTrainingSettings, score_batch
from stormcell.networks.dense import DenseArchitecture, DenseNet
from stormcell.physics.psf.random_bank import random_psf_bank
from stormcell.simulation.training_frames import TrainingFrames

if TYPE_CHECKING:
    from collections.abc import Callable

RECIPE = Path(stormcell.learning.__file__).parent / "recipes" / "dense.yaml"


def timed(work: Callable[[], object]) -> tuple[object, float, float]:
    """Result, wall seconds, processor seconds."""
    wall, processor = time.perf_counter(), time.process_time()
    made = work()
    return made, time.perf_counter() - wall, time.process_time() - processor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=8)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    recipe = DenseTrainingSettings.create(**read_yaml(RECIPE))
    network = DenseNet(DenseArchitecture(widths=recipe.widths, n_condition=recipe.n_condition))
    bank = random_psf_bank(48, recipe.seed, recipe.psfs)
    fit_descriptor(network, bank)
    network.to(memory_format=torch.channels_last)
    for n_frames in (1, 3):
        source = TrainingFrames(recipe.frames.replace(n_frames=n_frames), bank, seed=recipe.seed)
        data = DenseData(source, network, recipe.data)

        def learn(batch: object) -> None:
            network.zero_grad()
            score_batch(network, batch)["loss"].backward()

        learn(data.batch(0))
        shares, whole = [], []
        for step in range(1, options.steps + 1):
            batch, *simulating = timed(lambda step=step, data=data: data.batch(step))
            _, *learning = timed(lambda batch=batch: learn(batch))
            shares.append([made / (made + rest) for made, rest in zip(simulating, learning, strict=True)])
            whole.append(simulating[0] + learning[0])
        wall, processor = (statistics.median(column) for column in zip(*shares, strict=True))
        print(
            f"{n_frames} frame(s) of {recipe.frames.field_px} px, {recipe.data.batch_size} samples: "
            f"{statistics.median(whole):.2f} s a step, simulation {wall:.1%} of the wall time, "
            f"{processor:.1%} of the processor time"
        )


if __name__ == "__main__":
    main()
