"""Emitters that stay on for three frames: the network seeing single frames against seeing three, events merged.

    python -m benchmarks.dense_neighbours [--model dense] [--densities 1 2 4] [--psfs "mild 0.98"] [--frames 40]

On-times are exponential (mean 3 frames) and begin anywhere within a frame; `density` counts emitters lit per frame.
Rows are paired with the emitters of their frame (250 nm). An event is found where one of its rows is paired, and lies
at the mean of the paired rows weighted by their stated variances; rows without a partner are linked to bursts (the
`link` verb's defaults), each a false event. Events begun or ended outside the movie, in the rim of 500 nm, or lit for
less than a quarter of a frame neither count as found nor as missed.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from benchmarks.dense_accuracy import HALF_ALPHA_PER_NM, RIM_NM
from benchmarks.dense_robustness import Subject
from benchmarks.dense_scenes import MARGIN_PX, PIXEL_NM, SCMOS
from benchmarks.dense_test_psfs import TEST_PSFS, make_test_psf

from stormcell.data import FrameStack, Localizations, PixelGrid
from stormcell.learning.dense_localizing import localize_dense
from stormcell.localization.linking import link_localizations
from stormcell.metrics.matching import match_localizations
from stormcell.metrics.scores import efficiency

SIDE_PX = 64
ON_TIME = 3.0
LEAST_SHARE = 0.25


def lasting_movie(bank, density: float, n_frames: int, seed: int):
    """Frames in grey values, a table of every emitter in every frame it is lit in, and which events count."""
    rng = np.random.default_rng([seed, 78])
    side = SIDE_PX + 2 * MARGIN_PX
    before = 30
    n = rng.poisson(density / ON_TIME * (n_frames + before) * (side * PIXEL_NM / 1000) ** 2)
    x, y = rng.uniform(-MARGIN_PX, SIDE_PX + MARGIN_PX, (2, n))
    begin = rng.uniform(-before, n_frames, n)
    end = begin + rng.exponential(ON_TIME, n)
    frame = np.arange(n_frames)
    share = np.clip(np.minimum(end[:, None], frame + 1) - np.maximum(begin[:, None], frame), 0, 1)
    light = 1800 * np.exp(0.6 * rng.standard_normal(n) - 0.18)
    frames = torch.full((1, n_frames, SIDE_PX, SIDE_PX), 25.0)
    electrons = torch.from_numpy((share * light[:, None]).astype(np.float32))
    kernel = torch.full((n,), bank.focus_plane, dtype=torch.int64)
    bank.add_to_frames(frames, torch.tensor([0, n]), kernel, torch.from_numpy(x), torch.from_numpy(y), electrons)
    adu = SCMOS.to_adu(frames[0].numpy(), rng)
    near = (np.minimum(x, y) > -2) & (np.maximum(x, y) < SIDE_PX + 2)
    event, at = np.nonzero((share > 0) & near[:, None])
    columns = {"frame": at, "x_nm": x[event] * PIXEL_NM, "y_nm": y[event] * PIXEL_NM}
    truth = Localizations(columns, grid=PixelGrid(PIXEL_NM, (SIDE_PX, SIDE_PX)), n_frames=n_frames)
    inner = (np.minimum(x, y) > RIM_NM / PIXEL_NM) & (np.maximum(x, y) < SIDE_PX - RIM_NM / PIXEL_NM)
    counts = inner & (begin >= 0) & (end <= n_frames) & (end - begin >= LEAST_SHARE)
    return FrameStack.from_array(adu), truth, event, counts


def merged_score(table: Localizations, truth: Localizations, event, counts) -> tuple[float, float, float, float]:
    """Jaccard index and RMSE (nm, 2-D) of events, and the shares of them found and of those found that are true."""
    pairs = match_localizations(table, truth, 250.0)
    mine = event[pairs.truth_row]
    weight = table["uncertainty_x_nm"][pairs.table_row] ** -2.0
    total = np.bincount(mine, weight, len(counts))
    square = np.zeros(len(counts))
    for axis in ("x_nm", "y_nm"):
        off = (table[axis][pairs.table_row] - truth[axis][pairs.truth_row]) * weight
        square += (np.bincount(mine, off, len(counts)) / np.where(total > 0, total, 1)) ** 2
    found = counts & (total > 0)
    alone = table.take(np.setdiff1d(np.arange(table.n_rows), pairs.table_row))
    inside = (np.minimum(alone["x_nm"], alone["y_nm"]) > RIM_NM) & (
        np.maximum(alone["x_nm"], alone["y_nm"]) < SIDE_PX * PIXEL_NM - RIM_NM
    )
    alone = alone.take(inside)
    n_false = link_localizations(alone).n_rows if alone.n_rows else 0
    n_found, n_missed = int(found.sum()), int((counts & ~found).sum())
    jaccard = n_found / max(n_found + n_missed + n_false, 1)
    rmse = float(np.sqrt(square[found].mean())) if n_found else float("nan")
    return jaccard, rmse, n_found / max(n_found + n_missed, 1), n_found / max(n_found + n_false, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="dense")
    parser.add_argument("--densities", nargs="+", type=float, default=[1.0, 2.0, 4.0])
    parser.add_argument("--psfs", nargs="+", default=["mild 0.98"], choices=list(TEST_PSFS))
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--seed", type=int, default=601)
    arguments = parser.parse_args()
    subject = Subject(arguments.model, 0.5)
    print(f"{'PSF':16}{'density':>8}{'sees':>8}{'events':>8}{'eff':>7}{'eff/2':>7}{'Jaccard':>9}{'RMSE nm':>9}"
          f"{'recall':>8}{'precision':>11}")  # fmt: skip
    for psf in arguments.psfs:
        bank = make_test_psf(psf)
        for density in arguments.densities:
            stack, truth, event, counts = lasting_movie(bank, density, arguments.frames, arguments.seed)
            for name, looks in (("1 frame", False), ("3 frames", True)):
                settings = subject.settings.model_copy(update={"uses_neighbours": looks, "rejects_still": False})
                table = localize_dense(stack, SCMOS, PIXEL_NM, subject.network, calibration=subject.calibration,
                                       settings=settings).table  # fmt: skip
                jaccard, rmse, recall, precision = merged_score(table, truth, event, counts)
                scores = [efficiency(jaccard, rmse, alpha) for alpha in (1.0, HALF_ALPHA_PER_NM)]
                print(f"{psf:16}{density:8g}{name:>8}{counts.sum():8d}{scores[0]:7.1f}{scores[1]:7.1f}{jaccard:9.3f}"
                      f"{rmse:9.1f}{recall:8.3f}{precision:11.3f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
