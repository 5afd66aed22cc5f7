"""A plate of fields through batch --verb densify, each with wide-field image, uncertainty and error map.

    python -m benchmarks.densify_plate [--fields 50] [--workers 2] [--side 2048] [--verb-options classify=false]

Every field is a table of bent filaments on 2048 x 2048 super-resolution pixels, drawn sparsely, and a simulated
wide-field image on camera pixels, laid some 100 nm beside the events. Told are the processor time of a field (all
workers with their starts, shared out) and what 1,000 fields would take.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter, shift

import stormcell as sc
from stormcell.data import Localizations, PixelGrid, SRImage
from stormcell.io.tables import write_table
from stormcell.workflows.write import write

CAMERA_PX_NM = 80.0
OPTICAL_SIGMA_NM = 130.0
N_FRAMES = 2000
SEEN_SHARE = 0.05
PHOTONS, BACKGROUND = 400.0, 60.0
MAPS = ("uncertainty", "error_map")
PLATE = 1000


def filaments(rng: np.random.Generator, side_nm: float, n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions (y, x) on 60 bent filaments, 10 nm off: those of the table, and the many more that give light."""
    start, angle, bend = rng.uniform(0, side_nm, (60, 2)), rng.uniform(0, 2 * np.pi, 60), rng.uniform(-0.5, 0.5, 60)

    def drawn(n: int) -> np.ndarray:
        which, along = rng.integers(0, 60, n), rng.uniform(0, 1, n) * 0.8 * side_nm
        turn = angle[which] + bend[which] * along / side_nm
        places = start[which].T + along * np.stack([np.sin(turn), np.cos(turn)])
        return np.mod(places + rng.normal(0, 10, (2, n)), side_nm)

    return drawn(n_rows), drawn(round(n_rows / SEEN_SHARE))


def widefield_of(rng: np.random.Generator, light: np.ndarray, n_px: int) -> np.ndarray:
    """What a camera sees of all fluorophores: blurred, noisy, and up to 120 nm beside the events."""
    limits = [[0, n_px * CAMERA_PX_NM]] * 2
    counts, _, _ = np.histogram2d(light[0], light[1], bins=n_px, range=limits)
    blurred = gaussian_filter(counts, OPTICAL_SIGMA_NM / CAMERA_PX_NM)
    blurred = np.clip(shift(blurred, rng.uniform(-1.5, 1.5, 2), order=1, mode="nearest"), 0, None)
    bright = float(np.percentile(blurred, 99.5))
    return rng.poisson(PHOTONS * blurred / bright + BACKGROUND).astype(np.float32)


def make_field(folder: Path, index: int, side_px: int, pixel_nm: float, n_rows: int) -> tuple[str, str]:
    """Table and wide-field image of a field, as files."""
    rng = np.random.default_rng(index)
    side_nm = side_px * pixel_nm
    n_px = round(side_nm / CAMERA_PX_NM)
    grid = PixelGrid(CAMERA_PX_NM, (n_px, n_px))
    seen, light = filaments(rng, side_nm, n_rows)
    sigma = np.full(n_rows, 10.0)
    columns = {
        "frame": np.sort(rng.integers(0, N_FRAMES, n_rows)),
        "y_nm": seen[0],
        "x_nm": seen[1],
        "photons": rng.gamma(4, 500, n_rows),
        "uncertainty_x_nm": sigma,
        "uncertainty_y_nm": sigma,
    }
    table, image = folder / f"field{index:04}.parquet", folder / f"field{index:04}_widefield.ome.tif"
    write_table(Localizations(columns, grid=grid, n_frames=N_FRAMES), table)
    write(SRImage(widefield_of(rng, light, n_px), grid, "photons"), image)
    return table.name, str(image)


def make_plate(folder: Path, out: Path, given: argparse.Namespace) -> Path:
    """Fields, and the manifest that names for each its image and the maps wanted."""
    folder.mkdir()
    manifest = folder / "plate.csv"
    with manifest.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["input", "widefield", "maps"])
        for index in range(given.fields):
            table, image = make_field(folder, index, given.side, given.pixel_nm, given.rows)
            maps = {name: str(out / f"field{index:04}_{name}.ome.tif") for name in MAPS}
            writer.writerow([table, image, json.dumps(maps)])
    return manifest


def processor_seconds() -> float:
    """Of this process and of those it has started and seen end."""
    told = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in told)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fields", type=int, default=50)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--side", type=int, default=2048)
    parser.add_argument("--pixel-nm", type=float, default=20)
    parser.add_argument("--rows", type=int, default=40_000)
    parser.add_argument("--verb-options", help="of densify, like classify=false")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as temporary:
        place, out, maps = (Path(temporary) / name for name in ("plate", "out", "maps"))
        maps.mkdir()
        manifest = make_plate(place, maps, given)
        begin, used = time.perf_counter(), processor_seconds()
        done = sc.batch(manifest, output=out, verb="densify", workers=given.workers, verb_options=given.verb_options)
        whole, used = time.perf_counter() - begin, processor_seconds() - used
        ends = sorted(path.stat().st_mtime for path in out.glob("*/outcome.json"))
        n_maps = {name: len(list(maps.glob(f"*_{name}.ome.tif"))) for name in MAPS}
    late = ends[given.workers :]
    each = (late[-1] - ends[given.workers - 1]) / len(late) if late else whole / given.fields
    written = ", ".join(f"{n} {name}" for name, n in n_maps.items())
    print(f"{given.fields} fields of {given.side} x {given.side}, {done.n_failed} failed, maps: {written}")
    print(f"processor time {used / given.fields:.2f} s per field, {used:.0f} s in all with the start of the workers")
    print(f"that is {used / given.fields * PLATE / 3600:.2f} h of one core for {PLATE:,} fields")
    print(f"{whole:.0f} s by the clock; warm {each:.2f} s per field on {given.workers} workers, ", end="")
    print(f"{each * PLATE / 3600:.2f} h for {PLATE:,}")
    seconds = [outcome.get("seconds", np.nan) for outcome in done.outcomes]
    print(f"seconds of one field in its worker: median {np.nanmedian(seconds):.1f}")
    for outcome in done.outcomes:
        if "error" in outcome:
            print(outcome["name"], outcome["error"])


if __name__ == "__main__":
    main()
