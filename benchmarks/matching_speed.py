"""Seconds to match and to evaluate one million rows.

    python -m benchmarks.matching_speed [--rows 1000000] [--out FILE.json]

Scenes from sparse frames to one single frame with all rows. Also gives the score of random points at several
densities, the floor below which no Jaccard index means anything.
"""

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np

from stormcell.data import Localizations, PixelGrid
from stormcell.metrics import evaluate_localizations, match_localizations

# name: (emitters per um^2 and frame, side of the field in um)
SCENES = {
    "0.1 per um^2, 25.6 um": (0.1, 25.6),
    "6 per um^2, 6.4 um": (6.0, 6.4),
    "20 per um^2, 25.6 um": (20.0, 25.6),
    "all in one frame, 6 per um^2": (6.0, None),
}


def scene(n_rows: int, density: float, side_um: float | None) -> tuple[Localizations, Localizations]:
    """Truth, and a table that finds 90 % of it to 30 nm and invents 5 %."""
    rng = np.random.default_rng(0)
    side_um = side_um or (n_rows / density) ** 0.5
    n_frames = max(1, round(n_rows / (density * side_um**2)))
    frame = rng.integers(0, n_frames, n_rows)
    position = rng.uniform(0, 1000 * side_um, (n_rows, 2))
    found = position + rng.normal(0, 30, position.shape)
    invented = rng.random(n_rows) < 0.05
    found[invented] = rng.uniform(0, 1000 * side_um, (np.count_nonzero(invented), 2))
    seen = rng.random(n_rows) < 0.95
    n_px = int(np.ceil(10 * side_um))
    grid = PixelGrid(100.0, (n_px, n_px))
    tables = ((frame, position), (frame[seen], found[seen]))
    truth, table = (Localizations({"frame": f, "x_nm": p[:, 0], "y_nm": p[:, 1]}, grid=grid) for f, p in tables)
    return table, truth


def measure(n_rows: int) -> dict[str, dict[str, float]]:
    match_localizations(*scene(1000, 1.0, 10.0))  # compiles
    result = {}
    for name, (density, side_um) in SCENES.items():
        table, truth = scene(n_rows, density, side_um)
        start, cpu = time.perf_counter(), time.process_time()
        matches = match_localizations(table, truth)
        matched, cpu = time.perf_counter(), time.process_time() - cpu
        score = evaluate_localizations(table, truth)
        result[name] = {
            "match_s": matched - start,
            "match_cpu_s": cpu,
            "evaluate_s": time.perf_counter() - matched,
            "n_pairs": len(matches),
            "jaccard": score.jaccard,
            "random_jaccard_250nm": score.random[0].jaccard,
            "random_jaccard_100nm": score.random[1].jaccard,
            "random_jaccard_50nm": score.random[2].jaccard,
        }
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--out", help="also write the figures to this file")
    options = parser.parse_args()
    result = {"n_rows": options.rows, "cpus": os.cpu_count(), **measure(options.rows)}
    text = json.dumps(result, indent=1)
    print(text)
    if options.out:
        Path(options.out).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
