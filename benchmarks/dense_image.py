"""The summed picture of a dense movie against the truth: normalised mean squared error of the network and Deep-STORM.

    python -m benchmarks.dense_image [--model dense] [--deepstorm-model deepstorm-2018] [--frames 500] [--density 2]
        [--psf "mild 0.98"] [--sheet FILE] [--json FILE]

Microtubules, 64 x 64 px of 100 nm, 1,800 electrons. Pictures on 12.5 nm: the network's summed probability, its list
as a histogram, Deep-STORM's summed predictions and list, and single-emitter fits as a histogram. Picture and truth (a
histogram of all emitters) are blurred by 1.5 px; one factor is fitted, no shift.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from benchmarks.dense_scenes import PIXEL_NM, Movie, Scene, make_movie
from benchmarks.dense_test_psfs import make_test_psf
from scipy.ndimage import gaussian_filter

from stormcell.data import Localizations
from stormcell.io.images import write_png
from stormcell.learning.deepstorm_localizing import DeepStormSettings, localize_deepstorm
from stormcell.learning.deepstorm_model import load_deepstorm_model
from stormcell.learning.dense_localizing import localize_dense
from stormcell.learning.dense_model import load_dense_model
from stormcell.localization.pipeline import LocalizationSettings, localize_stack
from stormcell.metrics.images import nmse
from stormcell.rendering.contact_sheets import contact_sheet
from stormcell.rendering.pictures import to_rgb

FACTOR, BLUR_PX = 8, 1.5


def histogram(table: Localizations, side: int) -> np.ndarray:
    extent = [[0, side * PIXEL_NM / FACTOR]] * 2
    return np.histogram2d(table["y_nm"], table["x_nm"], bins=side, range=extent)[0]


def pictures(movie: Movie, options: argparse.Namespace) -> dict[str, np.ndarray]:
    side = FACTOR * movie.stack.frame_shape[0]
    model = load_dense_model(options.model)
    found = localize_dense(
        movie.stack,
        movie.camera,
        PIXEL_NM,
        model.network,
        calibration=model.card.calibration,
        sr_pixel_size_nm=PIXEL_NM / FACTOR,
    )
    deepstorm = load_deepstorm_model(options.deepstorm_model)
    painted = localize_deepstorm(movie.stack, PIXEL_NM, deepstorm, settings=DeepStormSettings())
    single = localize_stack(movie.stack, movie.camera, PIXEL_NM, LocalizationSettings(method="mle")).table
    return {
        "truth": histogram(movie.truth, side),
        "dense, probability": found.image.pixels,
        "dense, list": histogram(found.table, side),
        "deepstorm-2018": painted.image.pixels,
        "deepstorm-2018, list": histogram(painted.table, side),
        "mle, list": histogram(single, side),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="dense")
    parser.add_argument("--deepstorm-model", default="deepstorm-2018")
    parser.add_argument("--frames", type=int, default=500)
    parser.add_argument("--density", type=float, default=2.0)
    parser.add_argument("--psf", default="mild 0.98")
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    scene = Scene(options.density, n_frames=options.frames, structure="microtubules", seed=801)
    movie = make_movie(make_test_psf(options.psf), scene)
    drawn = {name: gaussian_filter(image.astype(float), BLUR_PX) for name, image in pictures(movie, options).items()}
    errors = {name: nmse(image, drawn["truth"], fit_scale=True) for name, image in drawn.items() if name != "truth"}
    for name, error in errors.items():
        print(f"{name:24s} {error:.3f}")
    if options.json is not None:
        options.json.write_text(json.dumps(errors, indent=1) + "\n")
    if options.sheet is not None:
        wide = np.kron(movie.stack.read().mean(axis=0), np.ones((FACTOR, FACTOR)))
        shown = {"mean frame": wide - wide.min(), **drawn}
        cells = [
            (name, to_rgb(image, "inferno", limits=(0.0, float(np.percentile(image, 99.5)))))
            for name, image in shown.items()
        ]
        write_png(options.sheet, contact_sheet(cells, columns=4, cell_px=400), overwrite=True)


if __name__ == "__main__":
    main()
