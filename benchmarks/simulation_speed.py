"""Speed of the training frames on the CPU, and of streaming a movie.

    python benchmarks/simulation_speed.py [--threads 2]

Prints frames per second for 40 x 40 px with 30 emitters in the field (and those of the margin besides): Gaussian PSF
on sCMOS, the diffraction family on sCMOS, and the full training mix with one and with three frames.
Wall time and processor time are both told: on a busy machine the second is the one to trust.
"""

from __future__ import annotations

import argparse
import json
import os
import time


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--psfs", type=int, default=32)
    return parser.parse_args()


def main() -> None:
    arguments = _parse()
    os.environ["NUMBA_NUM_THREADS"] = str(arguments.threads)
    import numpy as np
    import torch

    torch.set_num_threads(arguments.threads)
    from stormcell.physics.psf.random_bank import RandomBankSettings, random_psf_bank
    from stormcell.simulation.training_frames import TrainingFrames, TrainingFrameSettings

    start = time.process_time()
    # one pixel size, so that a density means a number of emitters
    sizes = {"camera_pixel_size_nm": (110.0, 110.0), "sigma_px": (0.6, 2.5)}
    gaussian = random_psf_bank(8, 1, RandomBankSettings(gaussian_share=1.0, **sizes))
    diffraction = random_psf_bank(arguments.psfs, 2, RandomBankSettings(gaussian_share=0.0, **sizes))
    made = time.process_time() - start
    print(f"bank of {8 + arguments.psfs} PSFs at 7 heights: {made:.1f} s of processor time")
    density = 30 / (40 * 0.11) ** 2
    thirty = TrainingFrameSettings(
        density_per_um2=(density, density), filament_share=0, empty_share=0, emccd_share=0, margin_px=8
    )
    cases = {
        "gaussian, sCMOS": (thirty, gaussian),
        "diffraction, sCMOS": (thirty, diffraction),
        "diffraction, training mix": (TrainingFrameSettings(), diffraction),
        "diffraction, training mix, 3 frames": (TrainingFrameSettings(n_frames=3), diffraction),
    }
    figures = {}
    for name, (settings, bank) in cases.items():
        source = TrainingFrames(settings, bank, seed=1)
        source.batch(0, 64)
        wall, processor = time.perf_counter(), time.process_time()
        emitters = [float(source.batch(step + 1, 64).mask.sum()) / 64 for step in range(20)]
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
        figures[name] = {
            "emitters_in_field": round(float(np.mean(emitters)), 1),
            "samples_per_s_wall": round(20 * 64 / wall),
            "samples_per_s_processor": round(20 * 64 / processor * arguments.threads),
        }
        print(f"{name}: {json.dumps(figures[name])}")


if __name__ == "__main__":
    main()
