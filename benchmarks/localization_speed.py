"""Speed of detection and fits beside Picasso, in one run on the same file, alternating round by round.

    python benchmarks/localization_speed.py --peer-python PEER/bin/python --peers-script peers.py [--rounds 5]

The peer runs in an interpreter of its own (its packages clash with ours). The movie is the peer script's sparse.tif:
500 frames of 128 x 128 px, 40 emitters per frame, sigma 1.3 px. Fits start from the same spots (the peer's), see the
same 7 px regions and free the same six parameters (x, y, photons, background, sigma_x, sigma_y); both sides read the
file, cut the regions and end with a table with uncertainties. Accuracy is scored within 100 nm after optimal matching
per frame. Quoted: the median over rounds of the ratio of times.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from stormcell.io.movies import open_movie
from stormcell.localization.block_models import BlockModels, DetectionPlan
from stormcell.localization.detection import Spots
from stormcell.localization.fits import FitModel
from stormcell.localization.frame_blocks import block_edges, read_ahead, read_block
from stormcell.localization.pipeline import LocalizationSettings, localize_frames
from stormcell.localization.recipe import detected_blocks
from stormcell.localization.rows import FitPlan, RowWriter, fit_rows
from stormcell.physics.cameras import Camera
from stormcell.physics.gaussian import CameraNoise

BOX = 7
PIXEL_NM = 100.0
CAMERA = Camera("ideal", 100.0, 1.0)
PEER = """
import json, sys, time, warnings
warnings.filterwarnings("ignore")
import pandas as pd
from picasso import io, localize
path, folder = sys.argv[1:3]
camera = {"Baseline": 100, "Sensitivity": 1.0, "Gain": 1, "Qe": 1, "Pixelsize": 100}
movie, _ = io.load_movie(path)
ids = None
for line in sys.stdin:
    verb, *rest = line.split()
    start = time.perf_counter()
    if verb == "identify":
        ids = localize.identify(movie, float(rest[0]), 7, return_info=False)
        out = ids[["frame", "x", "y"]]
    else:
        out, _ = localize.fit(movie, camera_info=camera, identifications=ids, box=7, fitting_method=verb)
    seconds = time.perf_counter() - start
    out.to_csv(f"{folder}/peer_{verb}.csv", index=False)
    print("ANSWER", json.dumps({"seconds": seconds, "n": len(out)}), flush=True)
"""


class Peer:
    """Picasso in its own interpreter, asked over a pipe."""

    def __init__(self, python: str, movie: Path) -> None:
        self.folder = movie.parent
        command = [python, "-c", PEER, str(movie), str(self.folder)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def ask(self, question: str) -> dict:
        self.process.stdin.write(question + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("ANSWER"):
                return json.loads(line.removeprefix("ANSWER"))
        raise RuntimeError("the peer stopped without an answer")

    def table(self, verb: str) -> tuple[np.ndarray, np.ndarray]:
        """Return frames and positions in nm from the outer corner (Picasso counts from the first pixel's centre)."""
        rows = np.genfromtxt(self.folder / f"peer_{verb}.csv", delimiter=",", names=True)
        return rows["frame"].astype(int), (np.stack([rows["x"], rows["y"]], axis=1) + 0.5) * PIXEL_NM


def make_movie(script: Path, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    movie = folder / "sparse.tif"
    if not movie.exists():
        import tifffile

        spec = importlib.util.spec_from_file_location("peers", script)
        peers = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(peers)
        frames, truth = peers.sparse_movie(np.random.default_rng(0))
        tifffile.imwrite(movie, frames)
        header = "frame0,x_nm,y_nm,photons"
        np.savetxt(folder / "sparse_truth.csv", truth, delimiter=",", header=header, comments="")
    return movie


def score(frames: np.ndarray, positions: np.ndarray, truth: np.ndarray, tolerance_nm: float) -> dict:
    n_matched, squares = 0, []
    for frame in np.unique(truth[:, 0]):
        found, real = positions[frames == frame], truth[truth[:, 0] == frame, 1:3]
        distances = cdist(found, real, "sqeuclidean")
        cost = np.where(distances < tolerance_nm**2, distances, 1e9)
        rows, columns = linear_sum_assignment(cost)
        matched = cost[rows, columns] < 1e9
        n_matched += int(matched.sum())
        squares.append(distances[rows, columns][matched])
    rmse = float(np.sqrt(np.concatenate(squares).mean()))
    return {"recall": n_matched / len(truth), "precision": n_matched / max(len(frames), 1), "rmse_nm": rmse}


def our_detection(movie: Path, false_positives: float, sigma: float) -> tuple[float, Spots]:
    start = time.perf_counter()
    stack = open_movie(movie)
    plan = DetectionPlan.of(CAMERA.read_variance_e2(stack.frame_shape), 1.0, sigma, false_positives)
    models = BlockModels(plan, "auto", stack.n_frames)
    blocks = read_ahead(stack, CAMERA, block_edges(stack.n_frames, LocalizationSettings().block_frames))
    spots = Spots.concatenate([s.shifted(block.start) for block, s in detected_blocks(blocks, models)])
    return time.perf_counter() - start, spots


def our_fit(movie: Path, spots: Spots, method: str, sigma: float, rounds: int = 0) -> tuple[float, dict]:
    start = time.perf_counter()
    stack = open_movie(movie)
    block = read_block(stack, CAMERA, 0, stack.n_frames)
    noise = CameraNoise(CAMERA.read_variance_e2(stack.frame_shape), 1.0)
    plan = FitPlan(FitModel(method, "elliptical"), sigma, BOX, noise, merge_duplicates=False, neighbour_rounds=rounds)
    columns = fit_rows(block, spots, plan, RowWriter(stack.grid(PIXEL_NM), 1.0, 0, "elliptical"))
    return time.perf_counter() - start, columns


def spots_at(frames: np.ndarray, positions_nm: np.ndarray) -> Spots:
    pixel = np.floor(positions_nm / PIXEL_NM).astype(np.int64)
    n = len(frames)
    return Spots(
        frames.astype(np.int64), pixel[:, 1], pixel[:, 0], np.zeros((n, 2), np.float32), np.ones(n, np.float32)
    )


def report(name: str, ratios: list[float], ours: float, theirs: float, unit: str) -> None:
    print(f"{name}: {np.median(ratios):.1f}x (rounds {', '.join(f'{r:.1f}' for r in ratios)}); "
          f"ours {ours:,.0f} {unit}, Picasso {theirs:,.0f} {unit}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", required=True, help="interpreter with picassosr")
    parser.add_argument("--peers-script", required=True, type=Path, help="script whose sparse_movie makes the file")
    parser.add_argument("--folder", type=Path, default=Path("benchmark_files"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--net-gradient", type=float, default=300.0, help="Picasso's detection threshold")
    parser.add_argument("--false-positives", type=float, default=0.1, help="ours, per frame")
    arguments = parser.parse_args()
    movie = make_movie(arguments.peers_script, arguments.folder.resolve())
    truth = np.loadtxt(movie.parent / "sparse_truth.csv", delimiter=",", skiprows=1)
    peer = Peer(arguments.peer_python, movie)
    sigma = 1.3
    identify = f"identify {arguments.net_gradient}"
    peer.ask(identify)
    peer_frames, peer_positions = peer.table("identify")
    shared = spots_at(peer_frames, peer_positions)
    times = {verb: ([], []) for verb in ("detection", "gaussmle", "gausslq")}
    for _ in range(arguments.rounds + 1):  # the first round compiles
        times["detection"][1].append(peer.ask(identify)["seconds"])
        seconds, spots = our_detection(movie, arguments.false_positives, sigma)
        times["detection"][0].append(seconds)
        for verb, method in (("gaussmle", "mle"), ("gausslq", "lsq")):
            times[verb][1].append(peer.ask(verb)["seconds"])
            seconds, columns = our_fit(movie, shared, method, sigma)
            times[verb][0].append(seconds)
            if verb == "gaussmle":
                fitted = columns
    for verb, (ours, theirs) in times.items():
        n, unit = (500, "frames/s") if verb == "detection" else (len(shared), "fits/s")
        ratios = [b / a for a, b in zip(ours[1:], theirs[1:], strict=True)]
        report(verb, ratios, n / np.median(ours[1:]), n / np.median(theirs[1:]), unit)
    place = np.stack([spots.column, spots.row], axis=1) + 0.5 + spots.offset_xy_px
    print("detection, ours, within 250 nm:", score(spots.frame, place * PIXEL_NM, truth, 250.0))
    print("detection, Picasso, within 250 nm:", score(peer_frames, peer_positions, truth, 250.0))
    ours_xy = np.stack([fitted["x_nm"], fitted["y_nm"]], axis=1)
    print("fits of the same spots, ours, within 100 nm:", score(fitted["frame"], ours_xy, truth, 100.0))
    print("fits of the same spots, Picasso, within 100 nm:", score(*peer.table("gaussmle"), truth, 100.0))
    start = time.perf_counter()
    table = localize_frames(open_movie(movie), CAMERA, PIXEL_NM)
    seconds = time.perf_counter() - start
    print(
        f"localize_frames with defaults: {500 / seconds:,.0f} frames/s,",
        score(table["frame"], table.positions_nm, truth, 100.0),
    )
    peer.process.stdin.close()
    sys.exit(peer.process.wait())


if __name__ == "__main__":
    main()
