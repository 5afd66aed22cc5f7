"""Follow a movie at a camera's pace: python -m benchmarks.follow_speed --rate 200 --seconds 30 --method mle.

A process of its own writes frames; how far the picture lags behind and how long it stays the same is measured from
outside, by looking at the page.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

_SIDE, _KINDS = 128, 400
_ARRIVED = re.compile(r"([\d,]+) frames arrived, ([\d,]+) in the picture \((\w+)\), ([\d,]+) rows")


def write_frames(path: Path, rate: float, n_frames: int, per_frame: int) -> None:
    """Write a .npy at the camera's pace: a header that tells the final shape, then frame after frame."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:_SIDE, :_SIDE] + 0.5
    ready = np.full((_KINDS, _SIDE, _SIDE), 10.0)
    for frame in ready:
        for t in rng.uniform(0, 1, per_frame):  # emitters along a few lines
            a, b = 20 + 80 * t, 20 + 15 * rng.integers(0, 6) + 8 * np.sin(6 * t)
            frame += 200 * np.exp(-((y - a) ** 2 + (x - b) ** 2) / 3.4)
    frames = rng.poisson(ready).astype("<u2")
    header = {"descr": "<u2", "fortran_order": False, "shape": (n_frames, _SIDE, _SIDE)}
    with path.open("wb", buffering=0) as file:
        np.lib.format.write_array_header_1_0(file, header)
        begin = time.perf_counter()
        for index in range(n_frames):
            time.sleep(max(0.0, begin + index / rate - time.perf_counter()))
            file.write(frames[index % _KINDS].tobytes())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--per-frame", type=int, default=12)
    parser.add_argument("--method", default="mle")
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    n_frames = int(given.rate * given.seconds)
    if given.write:
        write_frames(given.write, given.rate, n_frames, given.per_frame)
        return
    with tempfile.TemporaryDirectory() as temporary:
        movie, out = Path(temporary) / "movie.npy", Path(temporary) / "out"
        flags = ["--pixel-size-nm", "100", "--offset-adu", "0", "--gain-e-per-adu", "1", "--camera-type", "cmos"]
        call = [sys.executable, "-m", "stormcell", "--quiet", "run", str(movie), "-o", str(out), "--follow", *flags]
        again = [sys.executable, "-m", "benchmarks.follow_speed", "--write", str(movie)]
        pace = ["--rate", str(given.rate), "--seconds", str(given.seconds), "--per-frame", str(given.per_frame)]
        # the follower is started first: its imports are no part of the pace
        follower = subprocess.Popen([*call, "--method", given.method])
        time.sleep(15)
        writer = subprocess.Popen([*again, *pace])
        ages, lags, last, seen, state = [], [], 0.0, 0, ("0", "0", "", "0")
        while writer.poll() is None:
            time.sleep(0.1)
            page = out / "live.html"
            if not page.exists() or not movie.exists():
                continue
            told = page.stat().st_mtime
            if told != last:
                if last:
                    ages.append(told - last)
                last = told
                match = _ARRIVED.search(page.read_text())
                state = match.groups() if match else state
                seen = int(state[0].replace(",", ""))
            there = (movie.stat().st_size - 128) // (2 * _SIDE * _SIDE)
            lags.append((there - seen) / given.rate)
        ages.append(time.time() - last)
        looks = (out / "live.csv").read_text().splitlines() if (out / "live.csv").exists() else []
        follower.kill()  # the run of the whole is no part of the pace
        follower.wait()
    print(
        f"{n_frames} frames of {_SIDE} x {_SIDE} at {given.rate:g}/s, method {state[2]}, {state[3]} rows at the end"
    )
    if lags and len(ages) > 1:
        print(f"picture renewed every {np.median(ages):.2f} s (longest pause {max(ages):.2f} s)")
        print(f"newest frames the page knows are {np.median(lags):.2f} s old (median), {max(lags):.2f} s at worst")
        print(f"without the first five seconds of the picture: {max(lags[50:] or [np.nan]):.2f} s at worst")
    print(f"in the picture at the end of the writing: {state[1]} of {state[0]} frames")
    print("looks:", json.dumps(looks[-3:]))


if __name__ == "__main__":
    main()
