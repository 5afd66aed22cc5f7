"""Speed from file to table, side by side: the dense network against Deep-STORM as published and at its best.

    python -m benchmarks.dense_speed [--model dense] [--frames 200] [--yardstick-frames 8] [--threads 2] [--large]

64 x 64 frames at 1 emitter per um^2 are written to a TIFF; every row reads it, infers and writes a table, but for
Deep-STORM as published (pixels enlarged, one frame at a time), which sums its pictures and lists nothing. Deep-STORM
runs with untrained weights: its time does not depend on them. Both number formats; ONNX Runtime where it is there.
Its rows include finding the noise and the PSF of the movie once, and the translation for ONNX Runtime; "network
alone" is without the joint fits.
`--large` adds a 2048 x 2048 movie with its peak memory, and the time per pixel at several frame sizes.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tifffile
import torch
from benchmarks.dense_accuracy import load_any
from benchmarks.dense_scenes import PIXEL_NM, SCMOS, Scene, make_movie
from benchmarks.dense_test_psfs import make_test_psf

from stormcell.io.movies import open_movie
from stormcell.io.tables import write_table
from stormcell.learning.deepstorm_frames import Normalisation, enlarge
from stormcell.learning.deepstorm_localizing import DeepStormSettings, localize_deepstorm
from stormcell.learning.deepstorm_model import DeepStormModel, draft_card
from stormcell.learning.dense_localizing import DenseLocalizationSettings, localize_dense
from stormcell.networks.deepstorm import DeepStormNet

if TYPE_CHECKING:
    from collections.abc import Callable


def timed(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def dense(network, path: Path, precision: str, engine: str = "torch", *, refines: bool = True) -> Callable[[], None]:
    settings = DenseLocalizationSettings(precision=precision, engine=engine, refines=refines)

    def work() -> None:
        table = localize_dense(open_movie(path), SCMOS, PIXEL_NM, network, settings=settings).table
        write_table(table, path.with_suffix(".parquet"), overwrite=True)

    return work


def deepstorm(model: DeepStormModel, path: Path, precision: str, n_frames: int) -> Callable[[], None]:
    settings = DeepStormSettings(precision=precision)

    def work() -> None:
        table = localize_deepstorm(open_movie(path).frames(0, n_frames), PIXEL_NM, model, settings=settings).table
        write_table(table, path.with_suffix(".parquet"), overwrite=True)

    return work


@torch.inference_mode()
def as_published(model: DeepStormModel, path: Path, dtype: torch.dtype, n_frames: int) -> None:
    """The published way: enlarge each frame, one at a time, sum the positive part."""
    frames = open_movie(path).read(0, n_frames).astype(np.float32)
    total = torch.zeros(8 * frames.shape[1], 8 * frames.shape[2])
    for frame in model.normalisation.apply(frames):
        given = enlarge(torch.from_numpy(frame)[None, None])
        with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
            painted = model.network(given)
        total += painted[0, 0].float().clamp(min=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="dense")
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--yardstick-frames", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--large", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    network = load_any(arguments.model)
    torch.manual_seed(0)
    published = DeepStormModel(draft_card(), DeepStormNet().eval(), Normalisation(0.2, 0.2))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "movie.tif"
        movie = make_movie(make_test_psf("mild 0.98"), Scene(1.0, n_frames=arguments.frames))
        tifffile.imwrite(path, movie.stack.read())
        side_by_side(network, published, path, arguments)
        if arguments.large:
            sizes(network, Path(folder))


def side_by_side(network, published: DeepStormModel, path: Path, arguments: argparse.Namespace) -> None:
    n, few = arguments.frames, arguments.yardstick_frames
    timed(dense(network, path, "float32"))  # compilation is not what is timed
    seconds = {
        "Deep-STORM as published, float32": timed(lambda: as_published(published, path, torch.float32, few)) / few,
        "Deep-STORM as published, bfloat16": timed(lambda: as_published(published, path, torch.bfloat16, few)) / few,
        "Deep-STORM best exact form, float32": timed(deepstorm(published, path, "float32", few)) / few,
        "Deep-STORM best exact form, bfloat16": timed(deepstorm(published, path, "bfloat16", few)) / few,
        "dense, float32": timed(dense(network, path, "float32")) / n,
        "dense, bfloat16": timed(dense(network, path, "bfloat16")) / n,
        "network alone, float32": timed(dense(network, path, "float32", refines=False)) / n,
        "network alone, bfloat16": timed(dense(network, path, "bfloat16", refines=False)) / n,
    }
    if find_spec("onnxruntime"):
        onnx = dense(network, path, "float32", "onnxruntime", refines=False)
        seconds["network alone, ONNX Runtime, float32"] = timed(onnx) / n
    base = {kind: seconds[f"Deep-STORM as published, {kind}"] for kind in ("float32", "bfloat16")}
    heads = ("frames/s", "x published, same format", "x published float32")
    print(f"{'64 x 64 frames, file to table':40}{heads[0]:>10}{heads[1]:>26}{heads[2]:>21}")
    for name, each in seconds.items():
        kind = name.rpartition(" ")[2]
        print(f"{name:40}{1 / each:10.2f}{base[kind] / each:26.1f}{base['float32'] / each:21.1f}", flush=True)


def sizes(network, folder: Path) -> None:
    print(f"\n{'frame side':>11}{'frames':>8}{'frames/s':>10}{'ns per pixel':>14}{'peak memory MB':>16}")
    rng = np.random.default_rng(4)
    tile = make_movie(make_test_psf("mild 0.98"), Scene(1.0, n_frames=16)).stack.read()
    for side, n_frames in ((64, 256), (128, 64), (256, 32), (512, 16), (2048, 4)):
        path = folder / f"{side}.tif"
        repeats = -(-side // 64)
        frames = [np.tile(tile[rng.integers(16)], (repeats, repeats))[:side, :side] for _ in range(n_frames)]
        tifffile.imwrite(path, np.stack(frames), photometric="minisblack")  # 4 frames are not 4 colours
        seconds = timed(dense(network, path, "auto"))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{side:11d}{n_frames:8d}{n_frames / seconds:10.2f}{1e9 * seconds / (n_frames * side**2):14.0f}"
              f"{peak:16.0f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
