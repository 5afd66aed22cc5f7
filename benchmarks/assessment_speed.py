"""Error map, FRC and decorrelation beside NanoPyx: same arrays, one after the other, several rounds.

    python -m benchmarks.assessment_speed --nanopyx /path/to/python [--inputs FOLDER] [--rounds 3] [--only NAME]
        [--out FILE.json]

FOLDER holds sr.tif, widefield.tif, half0.tif and half1.tif; without it they are made here with a fixed seed. Each
round times NanoPyx once and us several times, so that both meet the same load; the figure is the median ratio, of
wall-clock seconds and of processor seconds, of which the second does not depend on what else the machine does.
NanoPyx's threads are told to wait passively: on a busy machine their spinning makes it hundreds of times slower.
The memory figure is the peak over what the process holds before the call, in units of the float32 image.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tifffile
from scipy import ndimage

from stormcell.assessment.decorrelation import decorrelation
from stormcell.assessment.frc import frc_of_images
from stormcell.assessment.squirrel import SquirrelSettings, error_map
from stormcell.data import PixelGrid, SRImage

WORKER = """
import sys, time, warnings
warnings.filterwarnings("ignore")
import numpy as np, tifffile
from pathlib import Path
from nanopyx.core.transform.error_map import ErrorMap
from nanopyx.methods.squirrel import calculate_decorr_analysis, calculate_frc
folder = Path(sys.argv[1])
full = [tifffile.imread(folder / (n + ".tif")) for n in ("sr", "widefield", "half0", "half1")]
corner = [np.ascontiguousarray(x[: len(x) // 8, : len(x) // 8]) for x in full]

def error_map(sr, wide, a, b):
    match = ErrorMap()
    match.optimise(wide, sr)
    return match.getRSP()

jobs = {
    "error_map": error_map,
    "frc": lambda sr, wide, a, b: calculate_frc(a, b, pixel_size=10, units="nm"),
    "decorrelation": lambda sr, wide, a, b: calculate_decorr_analysis(a, pixel_size=10, units="nm"),
}
for line in sys.stdin:
    name, part = line.split()
    start, used = time.perf_counter(), time.process_time()
    value = float(jobs[name](*(corner if part == "corner" else full)))
    print("ANSWER", time.perf_counter() - start, time.process_time() - used, value, flush=True)
"""


def make_inputs(folder: Path, side: int = 2048) -> None:
    """The inputs of the shared timing of the peers."""
    rng = np.random.default_rng(0)
    sr = np.zeros((side, side), np.float32)
    sr[rng.integers(0, side, 200_000), rng.integers(0, side, 200_000)] = rng.random(200_000)
    sr = ndimage.gaussian_filter(sr, 1)
    wide = ndimage.gaussian_filter(sr, 12)[::8, ::8] * 50 + 3
    wide = rng.poisson(wide * 100 / wide.max()).astype(np.float32)
    tifffile.imwrite(folder / "sr.tif", sr)
    tifffile.imwrite(folder / "widefield.tif", wide)
    for index in range(2):
        half = rng.poisson(ndimage.gaussian_filter(sr, 1) * 10 + 0.01).astype(np.float32)
        tifffile.imwrite(folder / f"half{index}.tif", half)


class Timing(NamedTuple):
    """Wall-clock seconds, processor seconds of all threads, and what came out."""

    wall_s: float
    cpu_s: float
    value: float


class Nanopyx:
    """NanoPyx in a process that stays, so that imports and compilation are not timed."""

    def __init__(self, interpreter: str, folder: Path) -> None:
        self._process = subprocess.Popen(
            [interpreter, "-c", WORKER, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"OMP_WAIT_POLICY": "passive"},
            text=True,
        )

    def __call__(self, job: str, part: str = "full") -> Timing:
        """Time one job, on the whole images or on their corners."""
        self._process.stdin.write(f"{job} {part}\n")
        self._process.stdin.flush()
        while True:
            line = self._process.stdout.readline()
            if not line:
                msg = f"NanoPyx stopped during {job}"
                raise RuntimeError(msg)
            if line.startswith("ANSWER"):
                return Timing(*(float(word) for word in line.split()[1:]))

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(timeout=60)


def timed(job, repeats: int = 5) -> Timing:
    wall, cpu = [], []
    for _ in range(repeats):
        start, used = time.perf_counter(), time.process_time()
        value = job()
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - used)
    return Timing(float(np.median(wall)), float(np.median(cpu)), float("nan") if value is None else float(value))


def our_jobs(folder: Path) -> dict:
    sr, wide, a, b = (tifffile.imread(folder / f"{n}.tif") for n in ("sr", "widefield", "half0", "half1"))
    fine = SRImage(sr, PixelGrid(10.0, sr.shape))
    coarse = SRImage(wide, PixelGrid(10.0 * sr.shape[0] / wide.shape[0], wide.shape))
    halves = [SRImage(x, PixelGrid(10.0, x.shape)) for x in (a, b)]
    plain = SquirrelSettings(n_bootstrap=0)
    return {
        # NanoPyx gives no intervals; its RSP is the one in its own convention, which our call computes on the way.
        "error_map": lambda: error_map(fine, coarse, plain).nanopyx.rsp,
        "frc": lambda: frc_of_images(*halves).frc_resolution_nm,
        "decorrelation": lambda: decorrelation(halves[0]).resolution_nm,
        "error_map_with_intervals": lambda: error_map(fine, coarse, SquirrelSettings()).rsp,
    }


def peak_over_idle(job, image_bytes: int) -> float:
    """Largest resident size during the call over that before it, sampled every millisecond, in images."""
    page = resource.getpagesize()

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * page

    stop, peak = threading.Event(), [0]

    def watch() -> None:
        while not stop.wait(0.001):
            peak[0] = max(peak[0], resident())

    before = resident()
    watcher = threading.Thread(target=watch)
    watcher.start()
    job()
    stop.set()
    watcher.join()
    return (peak[0] - before) / image_bytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nanopyx", help="Python of an environment with NanoPyx; without it only we are timed")
    parser.add_argument("--inputs", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", action="append", help="time this one only; may be given again")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.inputs or Path(scratch)
        if options.inputs is None:
            make_inputs(folder)
        report = measure(folder, options.nanopyx, options.rounds, options.only)
    text = json.dumps(report, indent=1)
    print(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")


def measure(folder: Path, interpreter: str | None, rounds: int, only: list[str] | None = None) -> dict:
    jobs = our_jobs(folder)
    report: dict = {}
    if sys.platform == "linux":
        image_bytes = tifffile.imread(folder / "sr.tif").nbytes
        report["error_map_peak_over_idle_in_images"] = round(peak_over_idle(jobs["error_map"], image_bytes), 2)
    jobs = {name: job for name, job in jobs.items() if not only or name in only}
    for job in jobs.values():
        job()
    theirs = Nanopyx(interpreter, folder) if interpreter else None
    for name, job in jobs.items():
        peer = theirs if theirs and name in ("error_map", "frc", "decorrelation") else None
        if peer:
            peer(name, "corner")  # whatever the first call alone pays for
        rows = []
        for _ in range(rounds):
            rows.append((timed(job), peer(name) if peer else None))
            print(name, rows[-1], file=sys.stderr, flush=True)
        report[name] = summary([mine for mine, _ in rows], [other for _, other in rows if other])
    if theirs:
        theirs.close()
    return report


def summary(mine: list[Timing], other: list[Timing]) -> dict:
    told = {
        "ours_s": [round(t.wall_s, 4) for t in mine],
        "ours_cpu_s": [round(t.cpu_s, 4) for t in mine],
        "our_value": mine[-1].value,
    }
    if not other:
        return told
    pairs = list(zip(other, mine, strict=True))
    return told | {
        "nanopyx_s": [round(t.wall_s, 3) for t in other],
        "nanopyx_cpu_s": [round(t.cpu_s, 3) for t in other],
        "nanopyx_value": other[-1].value,
        "median_ratio": round(float(np.median([b.wall_s / a.wall_s for b, a in pairs])), 1),
        "median_cpu_ratio": round(float(np.median([b.cpu_s / a.cpu_s for b, a in pairs])), 1),
    }


if __name__ == "__main__":
    main()
