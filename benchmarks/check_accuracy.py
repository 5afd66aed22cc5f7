"""Sensitivity of the error maps, width of the RSF beside its bound, FRC and NeNA beside their truths.

    python -m benchmarks.check_accuracy [--seeds 20] [--only NAME] [--out FILE.json]

- sensitivity: area under the curve at a wide-field peak of 300 photons (`tests/assessment/test_local_error.py`);
- rsf: relative error of the fitted width for pairs of several sizes and peaks, beside the Cramér-Rao bound of
  a fit of scale, offset, width and shift to the same pixels;
- sharpening: strength of fine detail of honest and of sharpened drawings (`tests/assessment/test_sharpening.py`);
- frc: table of random emitters of known precision and density, against the analytic curve
  (`tests/assessment/test_frc.py`);
- nena: bursts of known precision (`tests/assessment/test_nena.py`).
"""

import argparse
import json
from pathlib import Path

import numpy as np
from tests.assessment import test_frc, test_local_error, test_nena, test_sharpening
from tests.assessment.scenes import filaments, integrate, pair

from stormcell.assessment.frc import FrcSettings, frc_of_table
from stormcell.assessment.nena import nena
from stormcell.assessment.sharpening import blur_level
from stormcell.assessment.squirrel import SquirrelSettings, error_map

RSF_NM, SR_PIXEL_NM, WIDE_NM = 130.0, 20.0, 100.0
QUICK = SquirrelSettings(n_bootstrap=0)


def sensitivity(seeds: int) -> dict:
    found = {}
    for damage in (test_local_error.delete, test_local_error.duplicate, test_local_error.shift):
        areas = np.array([test_local_error.judge(damage, filaments, integrate, seed) for seed in range(seeds)])
        found[damage.__name__] = {
            "local_error": round(float(areas[:, 0].mean()), 3),
            "worst": round(float(areas[:, 0].min()), 3),
            "intensity_bright_first": round(float(areas[:, 1].mean()), 3),
            "intensity_better_of_both_orders": round(float(np.maximum(areas[:, 1], 1 - areas[:, 1]).mean()), 3),
        }
    return found


def width_bound(seed: int, side: int, peak: float | None) -> float:
    """Cramér-Rao bound of the width, relative, with scale, offset and shift unknown."""
    points = filaments(field_nm=side * WIDE_NM, seed=seed)

    def image(sigma=RSF_NM, y=0.0, x=0.0):
        total = np.hypot(sigma, SR_PIXEL_NM)
        return integrate(points + np.array([x, y]), WIDE_NM, (side, side), total) * 4000

    plain = image()
    wide = 5 * plain + 30
    scale = peak / wide.max()
    slopes = [plain, np.ones_like(plain)]
    slopes += [5 * (image(RSF_NM + 1) - image(RSF_NM - 1)) / 2]
    slopes += [5 * (image(y=1) - image(y=-1)) / 2, 5 * (image(x=1) - image(x=-1)) / 2]
    margin = 3 if side >= 32 else 0
    inner = slice(margin, side - margin)
    rows = np.stack([slope[inner, inner].ravel() * scale for slope in slopes])
    information = (rows / (wide[inner, inner].ravel() * scale)) @ rows.T
    return float(np.sqrt(np.linalg.inv(information)[2, 2]) / RSF_NM)


def rsf(seeds: int) -> list[dict]:
    rows = []
    true_nm = np.sqrt(RSF_NM**2 - SR_PIXEL_NM**2 / 12)
    for side in (40, 64, 96):
        for peak in (300, 1000, 3000, None):
            errors = np.array(
                [
                    error_map(*pair(wide_shape=(side, side), peak_photons=peak, seed=s), QUICK).rsf_sigma_nm / true_nm
                    - 1
                    for s in range(seeds)
                ]
            )
            bounds = [0.0 if peak is None else width_bound(s, side, peak) for s in range(seeds)]
            rows.append(
                {
                    "wide_field_px": side,
                    "peak_photons": peak,
                    "rms_error": round(float(np.sqrt(np.mean(errors**2))), 5),
                    "mean_error": round(float(errors.mean()), 5),
                    "worst": round(float(np.abs(errors).max()), 5),
                    "within_2_percent": round(float(np.mean(np.abs(errors) <= 0.02)), 2),
                    "bound": round(float(np.sqrt(np.mean(np.square(bounds)))), 5),
                }
            )
    return rows


def sharpening(_: int) -> list[dict]:
    rows = []
    for precision in (8.0, 15.0, 25.0):
        for per_um in (20, 100, 400):
            row = {"precision_nm": precision, "events_per_um": per_um}
            scene = test_sharpening.draw_scene(precision, per_um, filaments)
            for name, draw in (
                ("honest", test_sharpening.honest_drawings),
                ("sharpened", test_sharpening.sharpened_drawings),
            ):
                drawn = draw(scene, integrate)
                row[name] = {
                    kind: round(blur_level(test_sharpening.image_of(pixels), scene[1]).gain, 2)
                    for kind, pixels in drawn.items()
                }
            rows.append(row)
    return rows


def frc(_: int) -> list[dict]:
    rows = []
    for n, m, precision in ((15_000, 2.0, 10.0), (4000, 5.0, 8.0), (15_000, 1.0, 15.0)):
        truth = test_frc.analytic_nm(m, precision)
        table = test_frc.random_emitters(n, m, precision)
        found = frc_of_table(table, FrcSettings(sr_pixel_size_nm=6.0, n_repeats=3)).frc_resolution_nm
        rows.append(
            {
                "emitters": n,
                "events_per_emitter": m,
                "precision_nm": precision,
                "analytic_nm": round(truth, 2),
                "frc_nm": round(found, 2),
                "error": round(found / truth - 1, 4),
            }
        )
    return rows


def nena_precision(_: int) -> list[dict]:
    rows = []
    for precision in (5.0, 12.0, 25.0):
        found = nena(test_nena.bursts(precision, field_nm=20_000.0)).precision_nm
        rows.append({"precision_nm": precision, "nena_nm": round(found, 3), "error": round(found / precision - 1, 4)})
    return rows


FIGURES = {"sensitivity": sensitivity, "rsf": rsf, "sharpening": sharpening, "frc": frc, "nena": nena_precision}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--only", choices=FIGURES, action="append")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    report = {name: FIGURES[name](options.seeds) for name in options.only or FIGURES}
    text = json.dumps(report, indent=1)
    print(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
