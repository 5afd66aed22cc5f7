"""What the dense network says of its own certainty: coverage, isolated precision against the bound, pixel grid.

    python -m benchmarks.dense_uncertainty [--model dense] [--parts coverage isolated flatness] [--emitters 3000]

coverage: share of the errors within the 68 % and 95 % intervals and the spread of the z-scores, isolated (no other
emitter within 400 nm) and crowded apart, densities up to 2 per um^2, pairs within 100 nm. isolated: RMSE per axis of
lone emitters from 300 to 10,000 electrons against the Cramer-Rao bound of the PSF that made them; the aim is
sqrt((1.15 bound)^2 + (0.02 px)^2). flatness: Kolmogorov-Smirnov distance of fractional positions, x and y.
"""

from __future__ import annotations

import argparse

import numpy as np
from benchmarks.dense_robustness import Subject
from benchmarks.dense_scenes import PIXEL_NM, SCMOS, Scene, make_movie
from benchmarks.dense_test_psfs import TEST_PSFS, make_test_psf
from scipy.stats import kstest

from stormcell.metrics.evaluation import evaluate_localizations
from stormcell.metrics.matching import match_localizations
from stormcell.physics.gaussian import CameraNoise
from stormcell.physics.psf.crlb import crlb_psf
from stormcell.physics.psf.model import PSF

ELECTRONS = (300.0, 1000.0, 3000.0, 10_000.0)
BACKGROUND_E = 25.0


def coverage(subject: Subject, psfs: list[str], emitters: int) -> None:
    print(
        f"\n{'PSF':20}{'density':>8}{'group':>10}{'n':>7}{'68 %':>7}{'95 %':>7}{'z std':>7}{'photons':>9}{'68 %':>7}"
    )
    for psf in psfs:
        bank = make_test_psf(psf)
        for density in (0.3, 1.0, 2.0):
            n_frames = int(np.clip(emitters / (density * 41), 10, 250))
            movie = make_movie(bank, Scene(density, 1800, BACKGROUND_E, n_frames, seed=91))
            table = subject.localize(movie.stack, movie.camera)
            score = evaluate_localizations(table, movie.truth, field=movie.grid, rim_nm=500)
            for group in ("isolated", "crowded"):
                quality = score.quality[group]
                x, y, light = (quality.calibration[name] for name in ("x", "y", "photons"))
                print(f"{psf:20}{density:8g}{group:>10}{quality.n:7d}{(x.coverage_68 + y.coverage_68) / 2:7.3f}"
                      f"{(x.coverage_95 + y.coverage_95) / 2:7.3f}{(x.z_std + y.z_std) / 2:7.2f}"
                      f"{quality.photon_error_median:+9.3f}{light.coverage_68:7.3f}", flush=True)  # fmt: skip


def lone_emitters(subject: Subject, bank, electrons: float, n_wanted: int, seed: int):
    """Errors (n, 2) in px of emitters without neighbours, and their fractional positions."""
    scene = Scene(0.15, electrons, BACKGROUND_E, max(20, int(n_wanted / 5)), spread=0.0, partial=False, seed=seed)
    movie = make_movie(bank, scene)
    table = subject.localize(movie.stack, movie.camera)
    pairs = match_localizations(table, movie.truth, 150.0)
    found, true = table.take(pairs.table_row), movie.truth.take(pairs.truth_row)
    nearest = np.full(len(pairs), np.inf)
    for frame in np.unique(true["frame"]):
        mine = np.flatnonzero(true["frame"] == frame)
        others = movie.truth.take(movie.truth["frame"] == frame)
        d = np.hypot(true["x_nm"][mine, None] - others["x_nm"], true["y_nm"][mine, None] - others["y_nm"])
        d[d == 0] = np.inf
        nearest[mine] = d.min(axis=1)
    side = scene.side_px * PIXEL_NM
    x, y = true["x_nm"], true["y_nm"]
    alone = (nearest > 800) & (np.minimum(x, y) > 500) & (np.maximum(x, y) < side - 500)
    errors = np.stack([found[f"{a}_nm"] - true[f"{a}_nm"] for a in "xy"], axis=1)[alone] / PIXEL_NM
    fractions = np.stack([np.mod(found[f"{a}_nm"] / PIXEL_NM, 1) for a in "xy"], axis=1)[alone]
    return errors, fractions


def isolated(subject: Subject, psfs: list[str], n_wanted: int) -> None:
    print(
        f"\n{'PSF':20}{'electrons':>10}{'n':>6}{'bound px':>10}{'aim px':>8}{'RMSE px':>9}{'ratio':>7}{'bias px':>16}"
    )
    for psf in psfs:
        bank = make_test_psf(psf)
        for electrons in ELECTRONS:
            errors, _ = lone_emitters(subject, bank, electrons, n_wanted, 93)
            variance = BACKGROUND_E, SCMOS.read_noise_e**2 + SCMOS.quantization_variance_e2
            bound = bound_px(bank, electrons, *variance)
            aim = np.hypot(1.15 * bound, 0.02)
            rmse = np.sqrt((errors**2).mean())
            bias = errors.mean(axis=0)
            print(f"{psf:20}{electrons:10g}{len(errors):6d}{bound:10.4f}{aim:8.4f}{rmse:9.4f}{rmse / bound:7.2f}"
                  f"{bias[0]:+8.4f}{bias[1]:+8.4f}{'' if rmse <= aim else '  missed'}", flush=True)  # fmt: skip


def bound_px(bank, electrons: float, background_e: float, read_variance_e2: float) -> float:
    """Root mean square bound over sub-pixel positions and axes; position, light and background unknown."""
    steps = 6 + (np.arange(6) + 0.5) / 6
    place = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    noise = CameraNoise(read_variance_e2, 1.0)
    bounds = crlb_psf(
        PSF(bank), np.full(len(place), electrons), background_e, roi_px=13, position_px=place, noise=noise
    )
    return float(np.sqrt((bounds[:, :2] ** 2).mean()))


def flatness(subject: Subject, psfs: list[str], n_wanted: int) -> None:
    print(f"\n{'PSF':20}{'electrons':>10}{'n':>6}{'KS x':>8}{'KS y':>8}")
    for psf in psfs:
        bank = make_test_psf(psf)
        for electrons in ELECTRONS:
            _, fractions = lone_emitters(subject, bank, electrons, n_wanted, 94)
            x, y = (kstest(fractions[:, axis], "uniform").statistic for axis in (0, 1))
            print(f"{psf:20}{electrons:10g}{len(fractions):6d}{x:8.4f}{y:8.4f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="dense")
    parser.add_argument("--parts", nargs="+", default=["coverage", "isolated", "flatness"])
    usual = ["mild 0.98", "strehl 0.65 a", "halo 15 %"]
    parser.add_argument("--psfs", nargs="+", default=usual, choices=list(TEST_PSFS))
    parser.add_argument("--emitters", type=int, default=3000)
    parser.add_argument("--threshold", type=float, default=0.5)
    arguments = parser.parse_args()
    subject = Subject(arguments.model, arguments.threshold)
    if "coverage" in arguments.parts:
        coverage(subject, arguments.psfs, arguments.emitters)
    if "isolated" in arguments.parts:
        isolated(subject, arguments.psfs, arguments.emitters // 3)
    if "flatness" in arguments.parts:
        flatness(subject, arguments.psfs[:1], arguments.emitters)


if __name__ == "__main__":
    main()
