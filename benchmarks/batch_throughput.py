"""Throughput of batch on small fields against one process: python -m benchmarks.batch_throughput --fields 200.

Wall time suffers from whatever else the machine does; processor time tells what batch itself adds.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

import stormcell as sc

OPTIONS = {"pixel_size_nm": 100, "offset_adu": 0, "gain_e_per_adu": 1}


def make_fields(folder: Path, count: int, frames: int, side: int, per_frame: int = 4) -> None:
    y, x = np.mgrid[:side, :side] + 0.5
    for index in range(count):
        rng = np.random.default_rng(index)
        movie = np.full((frames, side, side), 10.0)
        n_emitters = per_frame * frames
        for frame, a, b in zip(
            rng.integers(0, frames, n_emitters), *rng.uniform(4, side - 4, (2, n_emitters)), strict=True
        ):
            movie[frame] += 120 * np.exp(-((y - a) ** 2 + (x - b) ** 2) / 3.4)
        np.save(folder / f"field{index:05}.npy", rng.poisson(movie).astype(np.uint16))


def different(alone: Path, batch: Path) -> int:
    """Tables and pictures of one input that are not byte by byte those of a call of its own."""
    pairs = [(alone, batch / "localizations.parquet")] if alone.is_file() else []
    if alone.is_dir():
        pairs = [(path, batch / path.name) for path in alone.iterdir() if path.suffix in (".parquet", ".csv", ".tif")]
    return sum(first.read_bytes() != second.read_bytes() for first, second in pairs)


def processor_s() -> float:
    """Processor time of this process and of the workers that have ended."""
    told = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in told)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fields", type=int, default=200)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--verb", default="localize")
    parser.add_argument("--method", default="lsq")
    parser.add_argument("--per-frame", type=int, default=4, help="emitters; with auto 2 are sparse enough for fits")
    given = parser.parse_args()
    options = {**OPTIONS, "method": given.method}
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as temporary:
        plate = Path(temporary) / "plate"
        plate.mkdir()
        make_fields(plate, given.fields, given.frames, given.side, given.per_frame)
        alone, paths = Path(temporary) / "alone", sorted(plate.iterdir())
        alone.mkdir()
        name = "" if given.verb == "run" else ".parquet"
        from stormcell.workflows.threads import limit_threads

        limit_threads(1)
        act = getattr(sc, given.verb)
        for index in range(3):
            act(paths[-1 - index], output=alone / f"warm{index}{name}", **options)
        few = paths[: max(min(10, given.fields), given.fields // 10)]
        begin, busy_before = time.perf_counter(), processor_s()
        for index, path in enumerate(few):
            act(path, output=alone / f"{index}{name}", **options)
        single, single_cpu = (time.perf_counter() - begin) / len(few), (processor_s() - busy_before) / len(few)
        text = ",".join(f"{key}={value}" for key, value in options.items())
        out = Path(temporary) / "out"
        begin, busy_before = time.perf_counter(), processor_s()
        done = sc.batch(plate, output=out, verb=given.verb, verb_options=text, workers=given.workers)
        whole, whole_cpu = time.perf_counter() - begin, processor_s() - busy_before
        ends = sorted(path.stat().st_mtime for path in out.glob("*/outcome.json"))
        seconds = {outcome["name"]: outcome.get("seconds", 0.0) for outcome in done.outcomes}
        order = sorted(seconds, key=lambda name: (out / name / "outcome.json").stat().st_mtime)
        rows = len(pd.read_parquet(out / "summary.parquet"))
        changed = sum(different(alone / f"{index}{name}", out / path.name) for index, path in enumerate(few))
    busy = sum(outcome.get("seconds", 0) for outcome in done.outcomes) / given.workers
    print(f"one process: {single * 1e3:.0f} ms per field; batch: {whole:.1f} s for {given.fields} fields")
    print(f"share of {given.workers} x one process: {given.fields * single / whole / given.workers:.2f}")
    late = ends[2 * given.workers :]
    if len(late) > given.workers:
        steady = (len(late) - 1) / (late[-1] - late[0])
        print(f"once the workers are warm: {steady * single / given.workers:.2f} of {given.workers} x one process")
        worked = sum(seconds[name] for name in order[2 * given.workers + 1 :])
        idle = (given.workers * (late[-1] - late[0]) - worked) / (len(late) - 1)
        print(f"once the workers are warm, a worker waits {idle * 1e3:.0f} ms between two fields")
    print(
        f"processor time: {single_cpu * 1e3:.0f} ms per field in one process, "
        f"{whole_cpu / given.fields * 1e3:.0f} ms in the batch, the start of the workers included; "
        f"share {given.fields * single_cpu / whole_cpu:.2f}"
    )
    print(f"beside the work itself: {(whole - busy) / given.fields * 1e3:.0f} ms per field, the start included")
    print(f"failed: {done.n_failed}; rows of the summary: {rows}")
    print(f"tables and pictures of {len(few)} fields that differ from those of one process: {changed}")


if __name__ == "__main__":
    main()
