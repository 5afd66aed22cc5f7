"""Densify on real tables that no network here has seen: score against the rest of the acquisition, and ring radii.

    python -m benchmarks.annapalm_real [--model annapalm] [--data ../shared/data] [--windows 4] [--json FILE]

Bacteria: tables are drift-corrected and linked; of every table the busiest windows of 8 um without overlap. Input:
one block of frames with 5 % of the events of its window, at a random place in time; target: the other frames but a
guard gap of ten on-times. Score: correlation at 20 nm blur within the target's structure and 200 nm round it; the
target is noisy. Beside it the smoothing of the same input that scores best against that very target. The interval is
95 % of the mean difference over windows, by resampling of tables.

Pores: drift-corrected; radius of the rings round centres of places with at least 15 events, from the pooled radial
density, in all events and in what is drawn from 20 % of the frames.
"""

import argparse
import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np

import stormcell as sc
from stormcell.data import Localizations
from stormcell.learning.annapalm_inference import DensifyInferenceSettings, densify_image
from stormcell.learning.annapalm_measured import histogram_of, score_measured, split_field
from stormcell.learning.annapalm_model import DensifyModel, load_densify_model
from stormcell.learning.annapalm_pairs import EventField
from stormcell.localization.linking import LinkSettings
from stormcell.metrics.densification import compact_centres
from stormcell.workflows.densify_input import independent_events
from stormcell.workflows.opening import open_table
from stormcell.workflows.train_tables import TablesRequest, field_of_events

WINDOW_NM, PX = 8000.0, 20.0
FEWEST = 300


def windows(field: EventField, n: int) -> list[EventField]:
    """Cut the busiest windows out of a field, none over another."""
    x, y, found = field.x_nm.copy(), field.y_nm.copy(), []
    for _ in range(n):
        best, place = 0, (0.0, 0.0)
        for left in np.arange(0, field.extent_nm[1], WINDOW_NM / 4):
            for top in np.arange(0, field.extent_nm[0], WINDOW_NM / 4):
                inside = (x >= left) & (x < left + WINDOW_NM) & (y >= top) & (y < top + WINDOW_NM)
                if inside.sum() > best:
                    best, place = int(inside.sum()), (left, top)
        if best < FEWEST:
            break
        left, top = place
        rows = (x >= left) & (x < left + WINDOW_NM) & (y >= top) & (y < top + WINDOW_NM)
        found.append(
            replace(
                field,
                x_nm=(x[rows] - left).astype(np.float32),
                y_nm=(y[rows] - top).astype(np.float32),
                frame=field.frame[rows],
                extent_nm=(WINDOW_NM, WINDOW_NM),
            )
        )
        x[rows] = np.nan
    return found


def corrected(table: Localizations) -> Localizations:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return sc.drift(table).table


def bacteria(model: DensifyModel, options: argparse.Namespace) -> dict[str, object]:
    tables = []
    for k, path in enumerate(sorted((options.data / "bacteria_tables").glob("*.csv"))):
        events, _ = independent_events(corrected(open_table(path, None)), link=True, linking=LinkSettings())
        field = field_of_events(path, TablesRequest(path.parent), events, 4)
        rows = [
            score_measured(model, one, 0.05, 1000 * k + j)[0] for j, one in enumerate(windows(field, options.windows))
        ]
        tables.append(np.array([(row.score, row.best_smoothed, row.coverage_90) for row in rows]))
        print(path.name, tables[-1].round(3).tolist(), flush=True)
    rng = np.random.default_rng(0)
    gains = [each[:, 0] - each[:, 1] for each in tables]
    means = [np.concatenate([gains[k] for k in rng.integers(0, len(gains), len(gains))]).mean() for _ in range(2000)]
    whole = np.concatenate(tables)
    return {
        "windows": len(whole),
        "score": round(float(whole[:, 0].mean()), 3),
        "best_smoothed": round(float(whole[:, 1].mean()), 3),
        "gain": round(float(np.concatenate(gains).mean()), 4),
        "interval_95": [round(float(value), 4) for value in np.quantile(means, [0.025, 0.975])],
        "coverage_90": round(float(np.nanmean(whole[:, 2])), 3),
    }


def pores(model: DensifyModel, options: argparse.Namespace) -> dict[str, object]:
    columns = ("x_nm", "y_nm", "frame")
    table = corrected(open_table(options.data / "npc" / "npc_table.csv", None, columns))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        events, _ = independent_events(table, link=True, linking=LinkSettings())
        field = field_of_events(options.data, TablesRequest(options.data), events, 1)
    everything = histogram_of(field, np.ones(len(field.x_nm), bool))
    split = split_field(field, 0.2, 1)
    how = DensifyInferenceSettings(structure="nuclear_pores", share=0.2)
    drawn = densify_image(model, split.counts, None, how).rate
    centres = compact_centres(everything, PX)
    near = [np.hypot(field.x_nm - x, field.y_nm - y) < 90 for y, x in centres]
    centres = centres[[rows.sum() >= 15 for rows in near]]
    radii = {name: ring_radius(image, centres) for name, image in (("all", everything), ("20_percent", drawn))}
    return {"pores": len(centres), **{k: round(v, 1) for k, v in radii.items()}}


def ring_radius(image: np.ndarray, centres: np.ndarray) -> float:
    """Radius at which the pooled radial density, per area, is highest; a parabola through the three highest bins."""
    rows, columns = np.indices(image.shape)
    sums, areas, edges = np.zeros(12), np.zeros(12), np.arange(0, 130, 10.0)
    for y, x in centres:
        cut = np.s_[
            max(0, int((y - 150) / PX)) : int((y + 150) / PX), max(0, int((x - 150) / PX)) : int((x + 150) / PX)
        ]
        distance = np.hypot((rows[cut] + 0.5) * PX - y, (columns[cut] + 0.5) * PX - x)
        sums += np.histogram(distance, edges, weights=image[cut])[0]
        areas += np.histogram(distance, edges)[0]
    density = sums / np.maximum(areas, 1)
    k = int(np.clip(density[1:-1].argmax() + 1, 1, 10))
    low, middle, high = density[k - 1 : k + 2]
    bend = low - 2 * middle + high
    return float(edges[k] + 5 + (5 * (low - high) / bend if bend < 0 else 0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="annapalm")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--windows", type=int, default=4)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    model = load_densify_model(options.model)
    report = {"pores": pores(model, options), "bacteria": bacteria(model, options)}
    print(json.dumps(report, indent=1))
    if options.json is not None:
        options.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
