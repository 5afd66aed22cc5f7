"""Joint fits beside fits of single emitters, on two of the fixed test PSFs.

    python -m benchmarks.multi_accuracy [--densities 0.5 1 2 4 6] [--psfs "mild 0.98" "strehl 0.65 a"] [--frames 20]

mle: single emitters. multi: what a user has, neither PSF width nor background being told. multi+psf: the true PSF.
Scenes and scores are those of `benchmarks.dense_accuracy`. Frames/s include the search for the width of the PSF,
which is done once for a movie. The last column is the efficiency with alpha 0.5/nm in place of 1/nm.
"""

from __future__ import annotations

import argparse
import math
import time

from benchmarks.dense_accuracy import RIM_NM
from benchmarks.dense_scenes import PIXEL_NM, Movie, Scene, make_movie
from benchmarks.dense_test_psfs import make_test_psf

from stormcell.localization.pipeline import LocalizationSettings, localize_stack
from stormcell.metrics.evaluation import evaluate_localizations
from stormcell.physics.psf.model import PSF


def show(method: str, name: str, density: float, movie: Movie, psf: PSF | None) -> None:
    settings = LocalizationSettings(method="mle" if method == "mle" else "multi")
    start = time.perf_counter()
    found = localize_stack(movie.stack, movie.camera, PIXEL_NM, settings, psf=psf)
    seconds = time.perf_counter() - start
    score = evaluate_localizations(found.table, movie.truth, field=movie.grid, rim_nm=RIM_NM)
    half = 100 - math.hypot(100 - 100 * score.jaccard, 0.5 * score.rmse_nm)
    print(f"{method:10}{name:15}{density:5.3g}{score.tp + score.fn:6d}{score.efficiency:7.1f}{score.jaccard:7.3f}"
          f"{score.rmse_nm:6.1f}{score.precision:7.3f}{score.recall:7.3f}{found.psf_sigma_px:7.3f}"
          f"{movie.stack.n_frames / seconds:8.1f}{half:8.1f}", flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--psfs", nargs="+", default=["mild 0.98", "strehl 0.65 a"])
    parser.add_argument("--densities", nargs="+", type=float, default=[0.5, 1.0, 2.0, 4.0, 6.0])
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--seed", type=int, default=501)
    arguments = parser.parse_args()
    methods = ("mle", "multi", "multi+psf")
    warm = make_movie(make_test_psf("mild 0.98"), Scene(n_frames=2))
    for method in methods:
        psf = PSF(make_test_psf("mild 0.98")) if method == "multi+psf" else None
        settings = LocalizationSettings(method="mle" if method == "mle" else "multi")
        localize_stack(warm.stack, warm.camera, PIXEL_NM, settings, psf=psf)
    print(f"{'method':10}{'PSF':15}{'dens':>5}{'n':>6}{'eff':>7}{'J250':>7}{'RMSE':>6}{'prec':>7}{'rec':>7}{'sigma':>7}"
          f"{'f/s':>8}{'eff 1/2':>8}")  # fmt: skip
    for name in arguments.psfs:
        bank = make_test_psf(name)
        for density in arguments.densities:
            movie = make_movie(bank, Scene(density, n_frames=arguments.frames, seed=arguments.seed))
            for method in methods:
                show(method, name, density, movie, PSF(bank) if method == "multi+psf" else None)


if __name__ == "__main__":
    main()
