"""Classes and suppression on planted inventions, many scenes.

    python -m benchmarks.planted_inventions [--scenes 50] [--peak-photons 300] [--events-per-um 40] [--out FILE.json]

A scene: filaments of uneven labelling with two real gaps; the image under judgement shows them at their noise-free
rate, and besides invented filaments of 0.7-2 um, bridges over the gaps and specks; linked events (3 % of them false)
and a wide-field image of the truth alone are the evidence.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from tests.assessment.scenes import judged_share, make_scene

from stormcell.assessment.artefacts import Support, find_artefacts, suppress
from stormcell.assessment.camera_noise import CameraNoise
from stormcell.assessment.squirrel import SquirrelSettings, error_map


def judge(seed: int, peak_photons: float, events_per_um: float) -> dict[str, float]:
    scene = make_scene(seed, peak_photons=peak_photons, events_per_um=events_per_um)
    comparison = error_map(scene.image, scene.widefield, SquirrelSettings(n_bootstrap=0))
    support = Support(comparison=comparison, noise=CameraNoise(gain_e_per_adu=1), events=scene.events)
    artefacts = find_artefacts(scene.image, support)
    return judged_share(scene, artefacts, suppress(scene.image, artefacts))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=50)
    parser.add_argument("--peak-photons", type=float, default=300)
    parser.add_argument("--events-per-um", type=float, default=40)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows = [judge(seed, options.peak_photons, options.events_per_um) for seed in range(options.scenes)]
    report = {
        name: {
            "mean": round(float(np.nanmean([row[name] for row in rows])), 4),
            "worst": round(
                float((np.nanmax if name == "true_intensity_lost" else np.nanmin)([r[name] for r in rows])), 4
            ),
        }
        for name in rows[0]
    }
    text = json.dumps(report, indent=1)
    print(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
