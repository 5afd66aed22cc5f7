"""Localization of dense frames: the network, Deep-STORM 2018, joint and single-emitter fits, on the fixed test PSFs.

    python -m benchmarks.dense_accuracy [--model dense] [--densities 0.5 1 2] [--electrons 1800]
        [--methods dense network deepstorm multi mle picasso multi+psf map] [--psfs "mild 0.98" ...]
        [--structures uniform] [--emitters 1500] [--least-frames 8] [--picasso-python PYTHON] [--json FILE]

`network` is dense without the joint fits that follow it. The model is the name of a shipped one, a model folder, a
trainer's checkpoint (.ckpt) or a .safetensors file.
Sums over PSFs are never given alone: the mildest and the worst PSF are printed. Efficiency and Jaccard at 250 nm
(challenge rules, RMSE as the full 2-D distance, rim of 500 nm left out after matching), beside it the score of as
many random points. What multi+psf and map are told, and how Picasso's threshold is chosen, is said in
`benchmarks.dense_rivals`. `--real` adds the frames of Deep-STORM's published example (made by another simulator).
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from benchmarks.dense_rivals import Picasso, fit_from_truth, fit_with_true_psf
from benchmarks.dense_scenes import PIXEL_NM, Movie, Scene, make_movie
from benchmarks.dense_test_psfs import TEST_PSFS, make_test_psf

from stormcell.metrics.evaluation import Evaluation, evaluate_localizations
from stormcell.metrics.scores import efficiency
from stormcell.physics.cameras import Camera

if TYPE_CHECKING:
    from collections.abc import Callable

    from stormcell.data import FrameStack, Localizations
    from stormcell.networks.dense import DenseNet

DENSITIES = (0.5, 1.0, 2.0, 4.0, 6.0)
WARM_UP = 1
# Efficiency is defined with alpha 1/nm and stays that. The stated ceiling of blind joint fits in these conditions
# (93 / 90 / 87 / 79 / 68 at 0.5 / 1 / 2 / 4 / 6 per um^2) lies above what the Cramer-Rao bound leaves at 1/nm
# (14.6 nm rms in 2-D on the mildest PSF, so 85 with every emitter listed) and fits 0.5/nm: that one is given beside
# it under a name of its own. Neither replaces the other.
HALF_ALPHA_PER_NM = 0.5
RIM_NM = 500.0
REAL = Path(__file__).parents[2] / "shared" / "data" / "deepstorm_training"


@dataclass(frozen=True)
class Row:
    method: str
    psf: str
    structure: str
    density: float
    electrons: float
    score: Evaluation
    frames_per_s: float

    def numbers(self) -> dict[str, Any]:
        further = {int(score.tolerance_nm): score.jaccard for score in self.score.further}
        return {
            "method": self.method,
            "psf": self.psf,
            "structure": self.structure,
            "density": self.density,
            "electrons": self.electrons,
            "n_truth": self.score.tp + self.score.fn,
            "efficiency": self.score.efficiency,
            "efficiency_alpha_half": efficiency(self.score.jaccard, self.score.rmse_nm, HALF_ALPHA_PER_NM),
            "jaccard_250": self.score.jaccard,
            "jaccard_100": further[100],
            "jaccard_50": further[50],
            "rmse_nm": self.score.rmse_nm,
            "precision": self.score.precision,
            "recall": self.score.recall,
            "random_jaccard": self.score.random[0].jaccard,
            "frames_per_s": self.frames_per_s,
        }


def load_any(model: str) -> DenseNet:
    """A shipped model or model folder; or bare weights: a .safetensors file, a trainer's checkpoint (its average)."""
    import torch
    from safetensors.torch import load_file

    from stormcell.learning.dense_model import load_dense_model, network_from_weights

    path = Path(model)
    if not path.is_file():
        return load_dense_model(model).network
    if path.suffix == ".safetensors":
        return network_from_weights(load_file(path))
    state = torch.load(path, map_location="cpu", weights_only=True)
    state = state.get("state_dict", state)
    return network_from_weights({name.removeprefix("network."): value for name, value in state.items()})


def with_dense(model: str, threshold: float, device: str, *, refines: bool) -> Callable[[Movie], Localizations]:
    from stormcell.learning.dense_localizing import DenseLocalizationSettings, localize_dense

    network = load_any(model)
    settings = DenseLocalizationSettings(probability_threshold=threshold, device=device, refines=refines)

    def localize(movie: Movie) -> Localizations:
        return localize_dense(movie.stack, movie.camera, PIXEL_NM, network, settings=settings).table

    return localize


def with_deepstorm(model: str, device: str) -> Callable[[Movie], Localizations]:
    from stormcell.learning.deepstorm_localizing import DeepStormSettings, localize_deepstorm
    from stormcell.learning.deepstorm_model import load_deepstorm_model

    loaded = load_deepstorm_model(model)

    def localize(movie: Movie) -> Localizations:
        return localize_deepstorm(movie.stack, PIXEL_NM, loaded, settings=DeepStormSettings(device=device)).table

    return localize


def with_fit(method: str) -> Callable[[Movie], Localizations]:
    from stormcell.localization.pipeline import LocalizationSettings, localize_stack

    settings = LocalizationSettings(method=method)  # type: ignore[arg-type] # checked by the settings

    def localize(movie: Movie) -> Localizations:
        return localize_stack(movie.stack, movie.camera, PIXEL_NM, settings).table

    return localize


def localizers(arguments: argparse.Namespace) -> dict[str, Callable[[Movie], Localizations]]:
    from stormcell.localization.fits import FitMethod
    from stormcell.localization.pipeline import LocalizationSettings

    bounds = {"multi+psf": fit_with_true_psf, "map": fit_from_truth}
    known = get_args(LocalizationSettings.model_fields["method"].annotation) or get_args(FitMethod)
    made: dict[str, Callable[[Movie], Localizations]] = {}
    for name in arguments.methods:
        if name in ("dense", "network"):
            refines = name == "dense"
            made[name] = with_dense(arguments.model, arguments.threshold, arguments.device, refines=refines)
        elif name == "deepstorm":
            made[name] = with_deepstorm(arguments.deepstorm_model, arguments.device)
        elif name == "picasso":
            made[name] = Picasso(arguments.picasso_python)
        elif name in bounds:
            made[name] = bounds[name]
        elif name in known:
            made[name] = with_fit(name)
        else:
            print(f"left out: {name} is not a method of this version")
    return made


def measure(name: str, localize: Callable[[Movie], Localizations], movie: Movie, about: tuple[Any, ...]) -> Row:
    if isinstance(localize, Picasso):
        localize.prepare(movie)
    start = time.perf_counter()
    table = localize(movie)
    seconds = time.perf_counter() - start
    score = evaluate_localizations(table, movie.truth, field=movie.grid, rim_nm=RIM_NM)
    return Row(name, *about, score, movie.stack.n_frames / seconds)


def real_movie() -> Movie | None:
    """Deep-STORM's training frames: EMCCD, 2.06 ADU per photon, base level about 100 ADU (regressed on the truth)."""
    if not REAL.is_dir():
        return None
    from stormcell.io.movies import open_movie
    from stormcell.io.tables import read_table

    stack: FrameStack = open_movie(REAL / "stack.tif")
    camera = Camera("emccd", offset_adu=100.0, gain_e_per_adu=1 / 2.06)
    truth = read_table(REAL / "truth_thunderstorm.csv", camera_pixel_size_nm=PIXEL_NM)
    return Movie(stack, camera, truth, np.zeros(0, np.float32))


def show(rows: list[Row]) -> None:
    print(f"{'method':10}{'PSF':20}{'structure':13}{'dens':>5}{'e':>6}{'n':>6}{'eff':>6}{'eff/2':>6}{'J250':>6}{'J100':>6}"
          f"{'J50':>6}{'RMSE':>6}{'prec':>6}{'rec':>6}{'rand':>6}{'f/s':>8}")  # fmt: skip
    for row in rows:
        n = row.numbers()
        print(f"{n['method']:10}{n['psf']:20}{n['structure']:13}{n['density']:5.3g}{n['electrons']:6.0f}"
              f"{n['n_truth']:6d}{n['efficiency']:6.1f}{n['efficiency_alpha_half']:6.1f}{n['jaccard_250']:6.3f}"
              f"{n['jaccard_100']:6.3f}{n['jaccard_50']:6.3f}{n['rmse_nm']:6.1f}{n['precision']:6.3f}{n['recall']:6.3f}"
              f"{n['random_jaccard']:6.3f}{n['frames_per_s']:8.1f}", flush=True)  # fmt: skip


def summarize(rows: list[Row]) -> None:
    """Mildest, median and worst PSF, and the lowest precision, for each method, density, level and structure."""
    groups: dict[tuple[str, str, float, float], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.method, row.structure, row.electrons, row.density), []).append(row)
    print(f"\n{'method':10}{'structure':13}{'e':>6}{'dens':>6}{'mildest':>9}{'median':>8}{'worst':>7}  "
          f"{'worst PSF':20}{'least precision':>16}")  # fmt: skip
    for (method, structure, electrons, density), members in groups.items():
        scores = [m.score.efficiency for m in members]
        worst = int(np.argmin(scores))
        mild = next((m.score.efficiency for m in members if m.psf == "mild 0.98"), float("nan"))
        print(f"{method:10}{structure:13}{electrons:6.0f}{density:6.3g}{mild:9.1f}{np.median(scores):8.1f}"
              f"{scores[worst]:7.1f}  {members[worst].psf:20}"
              f"{min(m.score.precision for m in members):16.3f}")  # fmt: skip


def frames_for(density: float, emitters: int, least: int = 8) -> int:
    """As many 64 x 64 frames as hold the emitters, 8 to 100."""
    return int(np.clip(np.ceil(emitters / (density * 5.4**2)), least, 100))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="dense")
    parser.add_argument("--deepstorm-model", default="deepstorm-2018")
    parser.add_argument("--picasso-python", help="interpreter with picassosr, for the method picasso")
    parser.add_argument("--methods", nargs="+", default=["dense"])
    parser.add_argument("--densities", nargs="+", type=float, default=list(DENSITIES))
    parser.add_argument("--electrons", nargs="+", type=float, default=[1800.0])
    parser.add_argument("--psfs", nargs="+", default=list(TEST_PSFS))
    parser.add_argument("--structures", nargs="+", default=["uniform"])
    parser.add_argument("--emitters", type=int, default=1500)
    parser.add_argument("--least-frames", type=int, default=8)
    parser.add_argument("--background", type=float, default=25.0)
    parser.add_argument("--threshold", type=float, default=0.5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--real", action="store_true")
    parser.add_argument("--seed", type=int, default=501)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    methods = localizers(arguments)
    rows: list[Row] = []
    banks = {name: make_test_psf(name) for name in arguments.psfs}
    if banks:
        warm = make_movie(next(iter(banks.values())), Scene(n_frames=WARM_UP))
        for localize in methods.values():
            localize(warm)  # compilation is not what is timed
    for structure in arguments.structures:
        for electrons in arguments.electrons:
            for density in arguments.densities:
                for psf, bank in banks.items():
                    n_frames = frames_for(density, arguments.emitters, arguments.least_frames)
                    scene = Scene(density, electrons, arguments.background, n_frames, structure=structure,
                                  seed=arguments.seed)  # fmt: skip
                    movie = make_movie(bank, scene)
                    rows += [measure(name, localize, movie, (psf, structure, density, electrons))
                             for name, localize in methods.items()]  # fmt: skip
    real = real_movie() if arguments.real else None
    if real is not None:
        rows += [measure(name, localize, real, ("-", "deepstorm demo", 6.05, 2250.0))
                 for name, localize in methods.items() if name not in ("map", "multi+psf")]  # fmt: skip
    show(rows)
    summarize(rows)
    if arguments.json:
        arguments.json.write_text(json.dumps([row.numbers() for row in rows], indent=1))


if __name__ == "__main__":
    main()
