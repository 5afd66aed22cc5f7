"""How many frames densify saves, and how honest it is: simulated fields of unseen seeds, every control, intervals.

    python -m benchmarks.densify_saving [--model annapalm] [--structures microtubules mitochondria nuclear_pores]
        [--shares 0.01 0.03 0.1] [--fields 20] [--seed 9001] [--json FILE] [--sheet FILE]

Truth is the noise-free rate; both images on 20 nm, blurred to 20 nm, Pearson's correlation within the structure grown
by 200 nm. Saving: share of the frames that the best-smoothed rendering needs for the same score, over the share used;
it cannot exceed 1 / share, nor fall below 0.0025 / share. Fields hold 200 to 600 localizations per um of microtubule
(the others as in `FieldSettings`), bursts linked, 2 % false localizations, 8 to 16 nm error. Intervals are 95 % by
resampling of fields. The network is told the true structure; one that it has no label for counts as unknown.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter

from stormcell.learning.annapalm_inference import DensifyInferenceSettings, DensifyResult, densify_image, sum_cells
from stormcell.learning.annapalm_model import DensifyModel, load_densify_model
from stormcell.learning.annapalm_trial import GRID, TrialField, trial_field
from stormcell.metrics.densification import (
    bootstrap_interval,
    invented_length,
    ranking_area,
    share_needed,
    share_outside,
    structure_of,
)
from stormcell.networks.annapalm import SR_PIXEL_SIZE_NM, STRUCTURE_LABELS
from stormcell.rendering.contact_sheets import contact_sheet
from stormcell.rendering.pictures import to_rgb

PX = SR_PIXEL_SIZE_NM
STRUCTURES = ("microtubules", "mitochondria", "nuclear_pores", "actin")
MODES = ("both", "sparse", "widefield")
NEAR_NM = 60.0


def label_of(structure: str) -> str:
    return structure if structure in STRUCTURE_LABELS else STRUCTURE_LABELS[-1]


def drawn(model: DensifyModel, one: TrialField, counts: np.ndarray, mode: str, share: float) -> DensifyResult:
    given = (None if mode == "widefield" else counts, None if mode == "sparse" else one.widefield)
    return densify_image(
        model, *given, DensifyInferenceSettings(structure=label_of(one.field.structure), share=share)
    )


def honesty(result: DensifyResult, one: TrialField, share: float, rng: np.random.Generator) -> dict[str, float]:
    """Coverage of 90 % intervals in the foreground, and whether uncertainty ranks wrong cells above right ones."""
    low, high = result.interval(1 / share)
    shown = sum_cells(one.counts(1.0, rng, 0.0).astype(np.float32))
    truth = sum_cells(one.truth.astype(np.float32))
    found = sum_cells(result.rate) / share
    foreground = truth > 0.3
    judged = (truth > 0.1 * truth.max()) | (found > 0.1 * found.max())
    error = np.abs(found - truth)[judged]
    # wrong: off by more than half of the larger of both
    wrong = error > 0.5 * np.maximum(found, truth)[judged]
    spread = np.sqrt(result.dispersion)[judged]
    return {
        "coverage": float(np.mean(((shown >= low) & (shown <= high))[foreground])),
        "area_uncertainty": ranking_area(wrong, spread),
        "area_intensity": ranking_area(wrong, found[judged]),
        "area_low_intensity": ranking_area(wrong, -found[judged]),
    }


def one_field(model: DensifyModel, structure: str, index: int, options: argparse.Namespace) -> dict[str, dict]:
    one = trial_field(structure, options.seed, index)
    rng = np.random.default_rng([options.seed, index, 61])
    near = np.asarray(distance_transform_edt(~structure_of(one.truth, PX, 0.0)) * PX <= NEAR_NM)

    curve = [one.best_smoothed(one.counts(share, rng)) for share in GRID]
    other = trial_field(structure, options.seed, index + 1000)
    rows: dict[str, dict] = {
        "blank": {"score": one.score(np.zeros_like(one.truth))},
        "another cell": {"score": one.score(other.truth)},
        "all frames, plain": {"score": one.score(one.counts(1.0, rng))},
        "perfect": {"score": one.score(one.truth)},
    }
    for share in options.shares:
        counts = one.counts(share, rng).astype(np.float32)
        smoothed = one.best_smoothed(counts)
        rows[f"{share:g} plain"] = {"score": one.score(counts), "outside": share_outside(counts, near)}
        rows[f"{share:g} best-smoothed"] = {
            "score": smoothed,
            "saving": share_needed(smoothed, GRID, curve) / share,
        }
        for mode in options.modes:
            result = drawn(model, one, counts, mode, share)
            found = one.score(result.rate)
            invented, true = invented_length(result.rate, one.truth, PX)
            row = {
                "score": found,
                "saving": share_needed(found, GRID, curve) / share,
                "invented": invented / max(true, 1e-9),
                "outside": share_outside(result.rate, near),
            }
            if mode != "widefield":
                row |= honesty(result, one, share, rng)
            rows[f"{share:g} {mode}"] = row
    return rows


def summary(fields: list[dict[str, dict]]) -> dict[str, dict]:
    table: dict[str, dict] = {}
    for name in fields[0]:
        row: dict[str, object] = {}
        for key in fields[0][name]:
            values = np.array([field[name][key] for field in fields], np.float64)
            good = values[np.isfinite(values)]
            row[key] = round(float(np.median(good) if key == "saving" else good.mean()), 3) if good.size else None
            if key == "saving":
                row["saving_95"] = tuple(round(end, 2) for end in bootstrap_interval(good))
        table[name] = row
    return table


def sheet(model: DensifyModel, options: argparse.Namespace) -> np.ndarray:
    """Input, wide-field, what is drawn from the events and from both, and the truth, for every structure."""
    pictures, share = [], 0.03
    for structure in (*STRUCTURES, "other"):
        one = trial_field(structure, options.seed, 1)
        share = 0.1 if structure == "nuclear_pores" else 0.03
        counts = one.counts(share, np.random.default_rng(1)).astype(np.float32)
        cut = np.s_[60:260, 60:260]
        top = float(np.percentile(gaussian_filter(one.truth, 0.7)[cut], 99.7))
        images = {
            f"{structure}: {100 * share:g} % of the frames": gaussian_filter(counts, 0.7) / share,
            "wide-field": one.widefield * top,
            "from the events": drawn(model, one, counts, "sparse", share).rate / share,
            "from both": drawn(model, one, counts, "both", share).rate / share,
            "truth": gaussian_filter(one.truth, 0.7),
        }
        pictures += [(title, to_rgb(image[cut], "inferno", limits=(0.0, top))) for title, image in images.items()]
    return contact_sheet(pictures, columns=5, cell_px=300)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="annapalm")
    parser.add_argument("--structures", nargs="+", default=STRUCTURES[:3])
    parser.add_argument("--shares", nargs="+", type=float, default=(0.01, 0.03, 0.1))
    parser.add_argument("--modes", nargs="+", default=MODES)
    parser.add_argument("--fields", type=int, default=20)
    parser.add_argument("--seed", type=int, default=9001)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--sheet", type=Path)
    options = parser.parse_args()
    model = load_densify_model(options.model)
    if options.sheet:
        from stormcell.io.images import write_png

        write_png(options.sheet, sheet(model, options), overwrite=True)
    report = {}
    for structure in options.structures if options.fields else ():
        fields = [one_field(model, structure, index, options) for index in range(options.fields)]
        report[structure] = summary(fields)
        print(f"\n{structure}, {options.fields} fields")
        for name, row in report[structure].items():
            print(f"  {name:22s} " + "  ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    if options.json:
        options.json.write_text(json.dumps({"model": options.model, "seed": options.seed, **report}, indent=1))


if __name__ == "__main__":
    main()
