"""Memory and time of one huge movie: python -m benchmarks.huge_movie --gb 1 4 20 [--cluster local:2] (Linux)."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from benchmarks.batch_kills import children

_SIDE = 256
_KINDS = 64


def write_movie(path: Path, n_bytes: float) -> int:
    """Write frames with 20 emitters each, drawn from a stock of 64 different ones."""
    n_frames = int(n_bytes // (2 * _SIDE * _SIDE))
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:_SIDE, :_SIDE] + 0.5
    ready = np.full((_KINDS, _SIDE, _SIDE), 10.0)
    for frame in ready:
        for a, b in rng.uniform(6, _SIDE - 6, (20, 2)):
            rows, columns = slice(int(a) - 5, int(a) + 6), slice(int(b) - 5, int(b) + 6)
            frame[rows, columns] += 200 * np.exp(-((y[rows, columns] - a) ** 2 + (x[rows, columns] - b) ** 2) / 3.4)
    stock = rng.poisson(ready).astype("<u2")
    header = {"descr": "<u2", "fortran_order": False, "shape": (n_frames, _SIDE, _SIDE)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, n_frames, _KINDS):
            file.write(stock[: n_frames - start].tobytes())
    return n_frames


def peak_mb(pid: int) -> float:
    """Peak resident memory of one process so far."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return max((float(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), default=0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gb", type=float, nargs="+", default=[1, 4, 20])
    parser.add_argument("--cluster")
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    for size in given.gb:
        with tempfile.TemporaryDirectory(dir=given.folder) as temporary:
            movie = Path(temporary) / "movie.npy"
            n_frames = write_movie(movie, size * 1e9)
            flags = ["--pixel-size-nm", "100", "--offset-adu", "0", "--gain-e-per-adu", "1", "--camera-type", "cmos"]
            call = [sys.executable, "-m", "stormcell", "--quiet", "localize", str(movie), "--method", "mle", *flags]
            call += ["-o", str(Path(temporary) / "table.parquet")]
            call += ["--cluster", given.cluster] if given.cluster else []
            begin, before = time.perf_counter(), os.times()
            process = subprocess.Popen(call)
            peaks: dict[int, float] = {}
            over = threading.Event()

            def watch(pid: int = process.pid, peaks: dict[int, float] = peaks, over: threading.Event = over) -> None:
                while not over.wait(0.2):
                    for one in [pid, *children(pid)]:
                        peaks[one] = max(peaks.get(one, 0.0), peak_mb(one))

            watcher = threading.Thread(target=watch)
            watcher.start()
            code = process.wait()
            over.set()
            watcher.join()
            after = os.times()
            busy = after.children_user + after.children_system - before.children_user - before.children_system
        print(
            f"{size:g} GB, {n_frames} frames: exit {code}, {time.perf_counter() - begin:.0f} s, processor time "
            f"{busy:.0f} s = {1e3 * busy / n_frames:.3f} ms per frame; peak of each process "
            f"{', '.join(f'{value:.0f}' for value in sorted(peaks.values(), reverse=True)[:4])} MB",
            flush=True,
        )


if __name__ == "__main__":
    main()
