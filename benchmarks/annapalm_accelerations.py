"""Both accelerations: quality of the picture against the length of the acquisition.

    python -m benchmarks.annapalm_accelerations [--frames 25 50 100 200 400] [--fields 2] [--density 2.0]
        [--sparse-density 0.2] [--model annapalm] [--json FILE]

Microtubules on 64 x 64 camera pixels of 100 nm, imaged sparse (0.2 lit molecules per um2) and dense (2 per um2), the
same molecules in both. Four pictures of the first frames of each movie: (a) sparse, every spot fitted, best plain
smoothing; (b) dense movie through the dense network, best plain smoothing; (c) as a, then densify; (d) as b, then
densify, as `stormcell run --densify` does it. Densify is given the wide-field image and the label. Score: correlation
with all molecules at 10 nm error, within the structure grown by 200 nm. A molecule may give many events; the truth
counts each of them once.
"""

import argparse
import json
import warnings
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

import stormcell as sc
from stormcell.data import Localizations, SRImage
from stormcell.metrics.densification import best_smoothed_score, structure_of, truth_score
from stormcell.simulation.acquisition import Acquisition
from stormcell.simulation.movies import simulate_movie
from stormcell.simulation.presets import SIMULATION_PRESETS
from stormcell.simulation.settings import SimulationSettings
from stormcell.simulation.structures.microtubules import Microtubules

PX, SIDE = 20.0, 320


def settings_of(density: float, n_frames: int, seed: int) -> SimulationSettings:
    base = SIMULATION_PRESETS["microtubules-sparse"]
    return base.replace(
        structure=Microtubules(length_per_um2=1.5, sites_per_um=150),
        blinking=base.blinking.replace(density_per_um2=density, bleach_probability=0.0),
        n_frames=n_frames,
        seed=seed,
    )


def histogram(x_nm: np.ndarray, y_nm: np.ndarray) -> np.ndarray:
    image, _, _ = np.histogram2d(y_nm, x_nm, bins=SIDE, range=[[0, PX * SIDE]] * 2)
    return image


def pictures(table: Localizations, wide: SRImage, model: str) -> tuple[np.ndarray, np.ndarray]:
    """Linked events on the grid, and what densify makes of them."""
    linked = sc.link(table)
    done = sc.densify(linked, widefield=wide, structure="microtubules", model=model, classify=False)
    drawn = np.zeros((SIDE, SIDE))
    part = done.image.pixels[:SIDE, :SIDE]
    drawn[: part.shape[0], : part.shape[1]] = part
    return histogram(linked["x_nm"], linked["y_nm"]), drawn


def one_field(seed: int, options: argparse.Namespace) -> dict[str, dict[int, float]]:
    scores: dict[str, dict[int, float]] = {}
    longest = max(options.frames)
    for names, density, method in (("ac", options.sparse_density, "mle"), ("bd", options.density, "dense")):
        settings = settings_of(density, longest, seed)
        movie = simulate_movie(settings)
        places = Acquisition(settings).fluorophores_nm
        truth = gaussian_filter(histogram(places[:, 0], places[:, 1]), 10 / PX)
        inside = structure_of(truth, PX)
        table = sc.localize(movie.frames, method=method)
        for n in options.frames:
            counts, drawn = pictures(table.take(table["frame"] < n), movie.widefield, options.model)
            plain = best_smoothed_score(counts, truth, inside, PX)
            for name, found in zip(names, (plain, truth_score(drawn, truth, inside, PX)), strict=True):
                scores.setdefault(name, {})[n] = round(float(found), 3)
                print(seed, name, n, "frames:", scores[name][n], f"({int(counts.sum())} events)", flush=True)
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, nargs="+", default=(25, 50, 100, 200, 400))
    parser.add_argument("--fields", type=int, default=2)
    parser.add_argument("--density", type=float, default=2.0)
    parser.add_argument("--sparse-density", type=float, default=0.2)
    parser.add_argument("--model", default="annapalm")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    fields = [one_field(8100 + index, options) for index in range(options.fields)]
    means = {
        name: {n: round(float(np.mean([field[name][n] for field in fields])), 3) for n in options.frames}
        for name in "abcd"
    }
    for name, row in means.items():
        print(name, row)
    if options.json is not None:
        options.json.write_text(json.dumps(means, indent=1) + "\n")


if __name__ == "__main__":
    main()
