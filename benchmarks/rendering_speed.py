"""Rendering, localizations per second, side by side with Picasso.

    python -m benchmarks.rendering_speed [--peer PYTHON] [--rounds 9] [--out FILE.json]

PYTHON is an interpreter that has Picasso. Both programs get the same 2 million localizations on 256 x 256 camera
pixels of 100 nm, uncertainty 5-20 nm, drawn with pixels of 10 nm. Rounds alternate and the ratio is the median over
rounds; processor seconds are given beside wall seconds, because on a busy machine only they compare fairly (ours uses
all cores, Picasso's one). The peer's part of this file imports nothing of ours.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

N_ROWS = 2_000_000
CAMERA_PIXEL_NM, SR_PIXEL_NM, SIDE_PX = 100, 10, 256
MODES = ("histogram", "gaussian", "ash")
PEER_MODES = {"histogram": None, "gaussian": "gaussian"}


def make_inputs() -> dict[str, np.ndarray]:
    """Positions and uncertainties in camera pixels."""
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, SIDE_PX, (2, N_ROWS))
    sigma_x, sigma_y = rng.uniform(0.05, 0.2, (2, N_ROWS))
    return {"x": x, "y": y, "lpx": sigma_x, "lpy": sigma_y}


def answer_rounds(path: str) -> None:
    """Peer's side: draw once for each mode named on standard input, answer with seconds and the sum."""
    import pandas as pd
    from picasso import render

    with np.load(path) as inputs:
        table = pd.DataFrame({name: inputs[name].astype(np.float32) for name in inputs})
    info = [{"Width": SIDE_PX, "Height": SIDE_PX, "Frames": 1, "Pixelsize": CAMERA_PIXEL_NM}]
    view = ((0, 0), (SIDE_PX, SIDE_PX))
    for line in sys.stdin:
        start, cpu = time.perf_counter(), time.process_time()
        _, image = render.render(
            table, info, disp_px_size=SR_PIXEL_NM, viewport=view, blur_method=PEER_MODES[line.strip()]
        )
        answer = {"seconds": time.perf_counter() - start, "cpu_s": time.process_time() - cpu}
        sys.stdout.write(json.dumps({**answer, "sum": float(image.sum(dtype=np.float64))}) + "\n")
        sys.stdout.flush()


def our_renderer(inputs: dict[str, np.ndarray]):
    """Make a function that draws once and returns seconds and the sum."""
    from stormcell.data import Localizations, PixelGrid
    from stormcell.rendering import render

    nm = {name: values * CAMERA_PIXEL_NM for name, values in inputs.items()}
    columns = {"x_nm": nm["x"], "y_nm": nm["y"], "uncertainty_x_nm": nm["lpx"], "uncertainty_y_nm": nm["lpy"]}
    table = Localizations(columns, grid=PixelGrid(CAMERA_PIXEL_NM, (SIDE_PX, SIDE_PX)))

    def draw(mode: str) -> dict[str, float]:
        start, cpu = time.perf_counter(), time.process_time()
        image = render(table, SR_PIXEL_NM, mode)
        answer = {"seconds": time.perf_counter() - start, "cpu_s": time.process_time() - cpu}
        return {**answer, "sum": float(image.pixels.sum(dtype=np.float64))}

    return draw


def start_peer(interpreter: str, path: Path) -> subprocess.Popen:
    call = [interpreter, "-W", "ignore", __file__, "--answer", str(path)]
    return subprocess.Popen(call, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def ask(peer: subprocess.Popen, mode: str) -> dict[str, float]:
    peer.stdin.write(mode + "\n")
    peer.stdin.flush()
    for line in peer.stdout:
        if line.startswith("{"):
            return json.loads(line)
    raise RuntimeError("the peer ended; does its interpreter have Picasso and pandas?")


def measure(rounds: int, interpreter: str | None) -> dict[str, dict[str, float]]:
    inputs = make_inputs()
    draw = our_renderer(inputs)
    result: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        peer = None
        if interpreter:
            path = Path(folder) / "inputs.npz"
            np.savez(path, **inputs)
            peer = start_peer(interpreter, path)
        for mode in MODES:
            ours, theirs = [], []
            for _ in range(rounds + 1):
                ours.append(draw(mode))
                if peer and mode in PEER_MODES:
                    theirs.append(ask(peer, mode))
            result[mode] = summary(ours[1:], theirs[1:])  # the first round compiles
        if peer:
            peer.stdin.close()
            peer.wait()
    return result


def summary(ours: list[dict[str, float]], theirs: list[dict[str, float]]) -> dict[str, float]:
    seconds = [one["seconds"] for one in ours]
    found = {
        "localizations_per_s": N_ROWS / statistics.median(seconds),
        "best_localizations_per_s": N_ROWS / min(seconds),
        "cpu_s": statistics.median(one["cpu_s"] for one in ours),
        "sum_over_rows": ours[-1]["sum"] / N_ROWS,
    }
    if theirs:
        peer_seconds = [one["seconds"] for one in theirs]
        found |= {
            "peer_localizations_per_s": N_ROWS / statistics.median(peer_seconds),
            "peer_best_localizations_per_s": N_ROWS / min(peer_seconds),
            "peer_cpu_s": statistics.median(one["cpu_s"] for one in theirs),
            "peer_sum_over_rows": theirs[-1]["sum"] / N_ROWS,
            "median_ratio": statistics.median(b / a for a, b in zip(seconds, peer_seconds, strict=True)),
            "ratio_of_best": min(peer_seconds) / min(seconds),
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", help="interpreter that has Picasso")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", help="also write the figures to this file")
    parser.add_argument("--answer", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.answer:
        answer_rounds(options.answer)
        return
    result = {"n_rows": N_ROWS, "cpus": os.cpu_count(), **measure(options.rounds, options.peer)}
    text = json.dumps(result, indent=1)
    print(text)
    if options.out:
        Path(options.out).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
