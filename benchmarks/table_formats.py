"""Seconds to write and read one million rows in every table format: python -m benchmarks.table_formats."""

import tempfile
import time
from pathlib import Path

import numpy as np

from stormcell.data import Localizations, PixelGrid
from stormcell.io.tables import FORMATS, read_table, write_table

N_ROWS = 1_000_000


def million_rows() -> Localizations:
    rng = np.random.default_rng(1)
    columns = {
        "frame": np.sort(rng.integers(0, 20_000, N_ROWS)),
        "x_nm": rng.uniform(100, 25_500, N_ROWS),
        "y_nm": rng.uniform(100, 25_500, N_ROWS),
        "photons": rng.gamma(3, 500, N_ROWS),
        "background_photons": rng.uniform(5, 50, N_ROWS),
        "psf_sigma_nm": rng.normal(120, 10, N_ROWS),
        "uncertainty_x_nm": rng.uniform(3, 20, N_ROWS),
        "uncertainty_y_nm": rng.uniform(3, 20, N_ROWS),
        "crlb_x_nm": rng.uniform(3, 20, N_ROWS),
        "chi2": rng.normal(1, 0.1, N_ROWS),
        "iterations": rng.integers(3, 9, N_ROWS),
        "flags": np.zeros(N_ROWS),
    }
    return Localizations(columns, grid=PixelGrid(100.0, (256, 256)), n_frames=20_000)


def main() -> None:
    table = million_rows()
    with tempfile.TemporaryDirectory() as folder:
        for entry in FORMATS.values():
            for ending in entry.endings:
                path = Path(folder) / f"table{ending}"
                start = time.perf_counter()
                write_table(table, path)
                written = time.perf_counter()
                read_table(path)
                read = time.perf_counter()
                size = path.stat().st_size / 1e6
                print(f"{entry.title}: write {written - start:.2f} s, read {read - written:.2f} s, {size:.0f} MB")


if __name__ == "__main__":
    main()
