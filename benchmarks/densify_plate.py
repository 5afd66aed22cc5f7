"""Plate of cells through batch --verb densify: python -m benchmarks.densify_plate --cells 10 --workers 2.

Every cell is a table of filaments on a field of 2048 x 2048 super-resolution pixels, drawn sparsely.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

import stormcell as sc
from stormcell.data import Localizations, PixelGrid
from stormcell.io.tables import write_table


def make_cell(path: Path, seed: int, side_px: int, pixel_nm: float, n_rows: int) -> None:
    """Localizations on 60 bent filaments, 10 nm off, in 2,000 frames."""
    rng = np.random.default_rng(seed)
    side_nm = side_px * pixel_nm
    which = rng.integers(0, 60, n_rows)
    start, angle, bend = rng.uniform(0, side_nm, (60, 2)), rng.uniform(0, 2 * np.pi, 60), rng.uniform(-0.5, 0.5, 60)
    along = rng.uniform(0, 1, n_rows) * 0.8 * side_nm
    turn = angle[which] + bend[which] * along / side_nm
    y = start[which, 0] + along * np.sin(turn) + rng.normal(0, 10, n_rows)
    x = start[which, 1] + along * np.cos(turn) + rng.normal(0, 10, n_rows)
    sigma = np.full(n_rows, 10.0)
    columns = {
        "frame": np.sort(rng.integers(0, 2000, n_rows)),
        "y_nm": np.mod(y, side_nm),
        "x_nm": np.mod(x, side_nm),
        "photons": rng.gamma(4, 500, n_rows),
        "uncertainty_x_nm": sigma,
        "uncertainty_y_nm": sigma,
    }
    camera_px = 80.0
    grid = PixelGrid(camera_px, (round(side_nm / camera_px),) * 2)
    write_table(Localizations(columns, grid=grid, n_frames=2000), path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=10)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--side", type=int, default=2048)
    parser.add_argument("--pixel-nm", type=float, default=20)
    parser.add_argument("--rows", type=int, default=40_000)
    parser.add_argument("--verb-options", help="of densify, like classify=false")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as temporary:
        plate, out = Path(temporary) / "plate", Path(temporary) / "out"
        plate.mkdir()
        for index in range(given.cells):
            make_cell(plate / f"cell{index:04}.parquet", index, given.side, given.pixel_nm, given.rows)
        begin = time.perf_counter()
        done = sc.batch(plate, output=out, verb="densify", workers=given.workers, verb_options=given.verb_options)
        whole = time.perf_counter() - begin
        ends = sorted(path.stat().st_mtime for path in out.glob("*/outcome.json"))
    late = ends[given.workers :]
    each = (late[-1] - ends[given.workers - 1]) / len(late) if late else whole / given.cells
    print(f"{given.cells} cells, {done.n_failed} failed, {whole:.0f} s with the start of the workers")
    print(f"warm: {each:.2f} s per cell on {given.workers} workers, that is {each / 3.6:.2f} h for 1,000 cells")
    seconds = [outcome.get("seconds", np.nan) for outcome in done.outcomes]
    print(f"seconds of one cell in its worker: median {np.median(seconds):.1f}")
    print(done.outcomes[0].get("error", ""))


if __name__ == "__main__":
    main()
