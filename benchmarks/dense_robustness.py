"""The dense network where the world is not as promised: wrong cameras, empty frames, beads, hot pixels, gradients.

    python -m benchmarks.dense_robustness [--model dense] [--parts camera empty artefacts] [--frames 100]
        [--psfs "mild 0.98" "strehl 0.65 a"] [--told-psf]

camera: efficiency and precision with the gain wrong by a factor of two, the read noise left out, an EMCCD taken for
an sCMOS. empty: false positives per um^2 in frames without emitters, flat and structured backgrounds. artefacts: rows
per frame caused by beads, hot pixels, cosmic rays and steep gradients, in frames without emitters. --told-psf: there
too the PSF of a movie of the mildest test PSF is known, as it is where other frames hold emitters; without it nothing
is fitted jointly in frames that tell no PSF.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from benchmarks.dense_accuracy import RIM_NM, load_any
from benchmarks.dense_scenes import EMCCD, PIXEL_NM, SCMOS, Scene, make_movie
from benchmarks.dense_test_psfs import make_test_psf
from scipy import ndimage

from stormcell.data import FrameStack, Localizations
from stormcell.learning.dense_localizing import DenseLocalizationSettings, know_movie, localize_dense
from stormcell.learning.dense_model import load_dense_model
from stormcell.metrics.evaluation import evaluate_localizations
from stormcell.physics.cameras import Camera
from stormcell.simulation.smooth_background import draw_backgrounds

if TYPE_CHECKING:
    from stormcell.learning.psf_fitting import FittedPSF
    from stormcell.networks.dense import DenseNet

SIDE_PX = 64
N_SCENES = 3
BACKGROUNDS = (1.0, 25.0, 150.0, 600.0)


class Subject:
    """The network under test."""

    def __init__(self, model: str, threshold: float) -> None:
        self.network: DenseNet = load_any(model)
        try:
            self.calibration = load_dense_model(model).card.calibration
        except Exception:  # noqa: BLE001 - bare weights have no card
            self.calibration = {}
        self.settings = DenseLocalizationSettings(probability_threshold=threshold)

        self.told: FittedPSF | None = None

    def tell_psf(self) -> None:
        """Find the PSF in a movie that shows it, for those that do not."""
        movie = make_movie(make_test_psf("mild 0.98"), Scene(1.0, n_frames=30, seed=72))
        self.told = know_movie(movie.stack, movie.camera, self.network).fitted

    def localize(self, stack: FrameStack, camera: Camera) -> Localizations:
        known = know_movie(stack, camera, self.network, settings=self.settings)
        if known.fitted is None:
            known = replace(known, fitted=self.told)
        return localize_dense(
            stack,
            camera,
            PIXEL_NM,
            self.network,
            known=known,
            calibration=self.calibration,
            settings=self.settings,
        ).table


def wrong_camera(subject: Subject, psfs: list[str]) -> None:
    print(f"\n{'camera told':26}{'PSF':16}{'density':>8}{'efficiency':>11}{'change':>8}{'precision':>10}")
    cases = (
        ("as it is", SCMOS, SCMOS),
        ("gain twice too high", SCMOS, replace(SCMOS, gain_e_per_adu=1.0)),
        ("gain half", SCMOS, replace(SCMOS, gain_e_per_adu=0.25)),
        ("read noise left out", SCMOS, replace(SCMOS, read_noise_e=0.0)),
        ("EMCCD as it is", EMCCD, EMCCD),
        ("EMCCD taken for sCMOS", EMCCD, Camera("cmos", offset_adu=200.0, gain_e_per_adu=0.1)),
    )
    for psf in psfs:
        bank = make_test_psf(psf)
        for density, n_frames, background in ((0.1, 100, 25.0), (0.1, 100, 2.0), (1.0, 40, 25.0), (4.0, 20, 25.0)):
            reference: dict[str, float] = {}
            for name, true, told in cases:
                movie = make_movie(bank, Scene(density, 1800, background, n_frames, camera=true, seed=71))
                table = subject.localize(movie.stack, told)
                score = evaluate_localizations(table, movie.truth, field=movie.grid, rim_nm=RIM_NM)
                before = reference.setdefault(true.camera_type, score.efficiency)
                print(f"{name:26}{psf:16}{density:8g}{score.efficiency:11.1f}{score.efficiency - before:+8.1f}"
                      f"{score.precision:10.3f}   background {background:g}", flush=True)  # fmt: skip


def empty_frames(subject: Subject, n_frames: int) -> None:
    print(f"\n{'background':>11}{'structure':>11}{'false positives per um^2':>26}{'rows':>6}")
    rng = np.random.default_rng(9)
    for background in BACKGROUNDS:
        for structure in (0.0, 0.5):
            drawn = draw_backgrounds(
                rng,
                np.full(N_SCENES, background),
                np.full(N_SCENES, structure),
                np.full(N_SCENES, structure > 0),
                (SIDE_PX, SIDE_PX),
            )
            n_rows = 0
            for still in drawn:  # a structured background stands still, as that of a cell
                expected = np.broadcast_to(still, (n_frames, SIDE_PX, SIDE_PX))
                n_rows += subject.localize(FrameStack.from_array(SCMOS.to_adu(expected, rng)), SCMOS).n_rows
            area = len(drawn) * n_frames * (SIDE_PX * PIXEL_NM / 1000) ** 2
            print(f"{background:11g}{structure:11g}{n_rows / area:26.5f}{n_rows:6d}", flush=True)


def artefacts(subject: Subject, n_frames: int) -> None:
    rng = np.random.default_rng(10)
    print(f"\n{'scene':44}{'rows per frame':>15}{'of which wanted':>16}")
    flat = np.full((SIDE_PX, SIDE_PX), 25.0, np.float32)
    for name, expected, spikes, wanted in _scenes(flat, rng):
        frames = SCMOS.to_adu(np.broadcast_to(expected, (n_frames, SIDE_PX, SIDE_PX)), rng)
        frames = np.clip(frames + spikes(n_frames) / SCMOS.gain_e_per_adu, 0, 65535).astype(np.uint16)
        table = subject.localize(FrameStack.from_array(frames), SCMOS)
        print(f"{name:44}{table.n_rows / n_frames:15.3f}{wanted:16g}", flush=True)


def _scenes(flat, rng):
    def none(n):
        return np.zeros((n, SIDE_PX, SIDE_PX))

    for electrons in (2e4, 1e5, 5e5):
        for diameter in (100, 200, 500):
            yield f"bead of {diameter} nm, {electrons:g} e", flat + bead(electrons, diameter), none, 1
    for height in (30, 100, 1000, 10_000):
        places = rng.integers(4, SIDE_PX - 4, (2, 12))

        def hot(n, places=places, height=height):
            spikes = np.zeros((n, SIDE_PX, SIDE_PX))
            spikes[:, places[0], places[1]] = height
            return spikes

        yield f"12 hot pixels of {height} e", flat, hot, 0
    for height in (300, 3000, 30_000):

        def rays(n, height=height):
            spikes = np.zeros((n, SIDE_PX, SIDE_PX))
            for frame in spikes:
                for _ in range(3):
                    row, column = rng.integers(4, SIDE_PX - 4, 2)
                    frame[row, column] = height
                    if rng.random() < 0.5:
                        frame[row, column + 1] = height * rng.random()
            return spikes

        yield f"3 cosmic rays of {height} e, half of two pixels", flat, rays, 0
    ramp = np.linspace(5, 600, SIDE_PX, dtype=np.float32)
    yield "ramp from 5 to 600 e over the field", np.broadcast_to(ramp, (SIDE_PX, SIDE_PX)), none, 0
    step = np.where(np.arange(SIDE_PX) < SIDE_PX // 2, 10.0, 400.0)
    for blur in (1.0, 2.0, 4.0):
        edge = ndimage.gaussian_filter1d(step, blur).astype(np.float32)
        yield f"edge from 10 to 400 e, blurred by {blur:g} px", np.broadcast_to(edge, (SIDE_PX, SIDE_PX)), none, 0


def bead(electrons: float, diameter_nm: float) -> np.ndarray:
    """A sphere filled with dye, seen through the mildest test PSF: points spread over its projection."""
    rng = np.random.default_rng(3)
    points = rng.uniform(-1, 1, (4000, 3))
    points = points[(points**2).sum(axis=1) < 1][:300] * diameter_nm / 2 / PIXEL_NM
    bank = make_test_psf("mild 0.98")
    frame = torch.zeros(1, 1, SIDE_PX, SIDE_PX)
    x, y = (torch.from_numpy(SIDE_PX / 2 + 0.3 + points[:, i]) for i in (0, 1))
    kernel = torch.full((len(points),), bank.focus_plane, dtype=torch.int64)
    light = torch.full((len(points), 1), electrons / len(points))
    bank.add_to_frames(frame, torch.tensor([0, len(points)]), kernel, x, y, light)
    return frame[0, 0].numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="dense")
    parser.add_argument("--parts", nargs="+", default=["camera", "empty", "artefacts"])
    parser.add_argument("--psfs", nargs="+", default=["mild 0.98", "strehl 0.65 a"])
    parser.add_argument("--threshold", type=float, default=0.5)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--told-psf", action="store_true")
    arguments = parser.parse_args()
    subject = Subject(arguments.model, arguments.threshold)
    if "camera" in arguments.parts:
        wrong_camera(subject, arguments.psfs)
    if arguments.told_psf:
        subject.tell_psf()
    if "empty" in arguments.parts:
        empty_frames(subject, arguments.frames)
    if "artefacts" in arguments.parts:
        artefacts(subject, max(16, arguments.frames // 5))


if __name__ == "__main__":
    main()
